"""Traffic: the statistics of real mobile money turned into orders, offered, timed and judged.

`profile` reads the statistics, `workload` draws a crowd and its orders from them, `generator`
offers the orders to a network and keeps its own log of what it was told, `temporary_network` is a
network to break, and `verdict` compares the log with what every super-agent holds afterwards.
`month` is a whole month with all that goes on around it, which `bench_month` puts through the rules
and `replay_month` through a network.
"""
