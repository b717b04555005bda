"""The protocol without clock, sockets, files or dice: blocks, votes, finality, catch-up."""
