"""Traffic: the statistics of real mobile money turned into orders, offered, timed and judged.

`profile` reads the statistics, `workload` draws a crowd and its orders from them, `generator`
offers the orders to a network and keeps its own log of what it was told, `temporary_network` is a
network to break, and `verdict` compares the log with what every super-agent holds afterwards.
"""
