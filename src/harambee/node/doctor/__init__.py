"""What is wrong with one super-agent's machine, in sentences: `harambee doctor`.

It looks and changes nothing: it takes no lock that a running super-agent would notice, makes no file and no
key, and asks others nothing but what anybody may ask. So it may be run at any time, and by a timer.
"""
