"""The first shell: clock, sockets, disk and keys around one replica."""
