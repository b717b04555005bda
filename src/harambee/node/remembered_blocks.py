"""Blocks of one's own journal, read and parsed; the newest used are remembered."""

from collections import OrderedDict

from harambee.node.journal import JournalReader
from harambee.protocol.checking import Checking
from harambee.protocol.genesis import Genesis
from harambee.protocol.malformed import Malformed
from harambee.protocol.wire import Block


class RememberedBlocks:
    """So many blocks by their positions. Not thread-safe but for `read`, which remembers nothing."""

    def __init__(
        self, journal: JournalReader, genesis: Genesis, most: int, checking: Checking | None = None
    ) -> None:
        """`most` are remembered; each may be some megabytes. `checking` may remember others' parsing."""
        self._journal = journal
        self._checking = checking or Checking(genesis.network, genesis.committee)
        self._most = most
        self._recent: OrderedDict[int, Block] = OrderedDict()

    def find(self, position: int) -> Block | None:
        """Return a block that is remembered."""
        block = self._recent.get(position)
        if block is not None:
            self._recent.move_to_end(position)
        return block

    def read(self, position: int) -> Block | Malformed:
        """Read a block from the disk; IndexError where none is, JournalLacks where it cannot be had."""
        return self._checking.read(self._journal.read(position))

    def remember(self, position: int, block: Block) -> None:
        """Keep a block that was read, and forget the one that was not used for longest."""
        self._recent[position] = block
        while len(self._recent) > self._most:
            self._recent.popitem(last=False)
