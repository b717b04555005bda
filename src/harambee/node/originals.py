"""Orders of long ago, read back from the journal for the rules that ask about them.

A refund names the payment that it gives back, and a voter looks whether there was one. Only what is
durable here is found: a block of the turn under way is not, and neither is one that its disk has
damaged or that was taken out of the archive. What is not found is not known, and the voter refuses;
others may know it.
"""

from typing import Final

import numpy as np

from harambee.node.journal import JournalLacks, JournalReader
from harambee.node.remembered_blocks import RememberedBlocks
from harambee.protocol.genesis import Genesis
from harambee.protocol.malformed import Malformed
from harambee.protocol.wire import Block

BLOCKS_REMEMBERED: Final = 16
"""Refunds of one shop's afternoon lie in few blocks; each may be some megabytes."""


class Originals:
    """One journal's orders by where they lie. Not thread-safe; belongs to the engine's thread."""

    def __init__(self, journal: JournalReader, genesis: Genesis) -> None:
        self._blocks = RememberedBlocks(journal, genesis, BLOCKS_REMEMBERED)

    def at(self, position: int, index: int) -> np.void | None:
        """Return the ORDER at an index of the block at a position; None where it cannot be read."""
        block = self._block(position)
        if block is None or not 0 <= index < len(block.orders):
            return None
        order: np.void = block.orders[index]
        return order

    def _block(self, position: int) -> Block | None:
        block = self._blocks.find(position)
        if block is not None:
            return block
        try:
            read = self._blocks.read(position)
        except (IndexError, JournalLacks):
            return None
        if isinstance(read, Malformed):
            return None
        self._blocks.remember(position, read)
        return read
