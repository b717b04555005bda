"""Where blocks are read from: a super-agent's journal, or what an observer has taken."""

from collections.abc import Iterator
from typing import Protocol

from harambee.protocol.effects import Name


class BlockSource(Protocol):
    """Blocks by their positions, each after its past. It raises its own errors for what it cannot read."""

    @property
    def count(self) -> int:
        """The next block's position."""

    def read(self, position: int) -> bytes:
        """One block."""

    def blocks(self, start: int = 0) -> Iterator[tuple[int, bytes]]:
        """All from a position on."""

    def find_digest(self, name: Name) -> bytes | None:
        """Exactly this block, or None if it is not here."""

    def position_of(self, name: Name) -> int | None:
        """Where exactly this block is, or None if nowhere."""

    def forked(self) -> set[int]:
        """The authors of whom several blocks with one id are here."""
