"""Where an audit reads blocks: a journal, and what is kept in archives beside it."""

import struct
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Final, Protocol

import lmdb

from harambee.node.journal import JournalLacks, JournalPruned, JournalReader
from harambee.protocol.effects import Name
from harambee.protocol.evidence import read_evidence
from harambee.protocol.genesis import Genesis
from harambee.protocol.malformed import Malformed

UNREADABLE: Final = (lmdb.Error, struct.error)
"""What reading raises where the database's own pages are damaged: its keys and links, and not a block."""


class Lacking(Enum):
    """Why a block cannot be had."""

    DAMAGED = "its bytes on the disk do not match their checksum"
    TAKEN_AWAY = "it was moved to the archive and is not there any more"


class Records(Protocol):
    """Blocks in the order in which a super-agent took them in."""

    @property
    def count(self) -> int:
        """How many there are, damaged ones included."""

    def flaws(self) -> list[str]:
        """What is wrong with them as a whole, each as a sentence without its capital and its stop."""

    def blocks(self) -> Iterator[tuple[int, bytes | Lacking]]:
        """All positions, ascending, each with its block, or why it cannot be had."""

    def read(self, position: int) -> bytes | None:
        """One block; None if it is damaged or not here."""

    def names_of(self, positions: set[int]) -> dict[int, Name]:
        """The names under which these positions are known to the index, as far as they are."""

    def position_of(self, name: Name) -> int | None:
        """Where the index says that a block is."""


class JournalRecords:
    """A journal's blocks, up to the end that it has when this is made.

    The database below has no checksums of its own. Where it cannot be walked over, blocks are looked up
    one by one; where it has lost one, that one is damaged. None of this ends an audit.
    """

    def __init__(self, journal: JournalReader) -> None:
        """The journal stays its opener's."""
        self._journal = journal
        self._counts = journal.counts()
        self.count = min(self._counts)

    def flaws(self) -> list[str]:
        """Whether blocks and index are equally many."""
        blocks, named = self._counts
        if blocks == named:
            return []
        return [f"the journal says that it has {blocks:,} blocks, and its index names {named:,}"]

    def blocks(self) -> Iterator[tuple[int, bytes | Lacking]]:
        """All positions, the archive's too; what cannot be had does not end it."""
        start = 0
        while start < self.count:
            found: bytes | Lacking = Lacking.DAMAGED
            try:
                for position, block in self._journal.blocks(start):
                    if position >= self.count:
                        return
                    yield position, block
                    start = position + 1
            except JournalLacks as lacks:
                start = lacks.position
                if isinstance(lacks, JournalPruned):
                    found = Lacking.TAKEN_AWAY
            except UNREADABLE:
                found = self.read(start) or Lacking.DAMAGED
            if start < self.count:
                yield start, found
                start += 1

    def read(self, position: int) -> bytes | None:
        """One block."""
        try:
            return self._journal.read(position)
        except (IndexError, JournalLacks, *UNREADABLE):
            return None

    def names_of(self, positions: set[int]) -> dict[int, Name]:
        """As the tables `ids` and `forks` have them; none where these cannot be walked over."""
        try:
            return self._journal.names_of(positions)
        except UNREADABLE:
            return {}

    def position_of(self, name: Name) -> int | None:
        """As the tables `ids` and `forks` have it."""
        try:
            return self._journal.position_of(name)
        except UNREADABLE:
            return None


def convicted_by(evidence: Mapping[int, bytes], genesis: Genesis) -> list[int]:
    """The super-agents against whom evidence is kept that proves what it should."""
    found = []
    for culprit, content in sorted(evidence.items()):
        proved = read_evidence(content, genesis.network, genesis.committee)
        if not isinstance(proved, Malformed) and proved.culprit == culprit:
            found.append(culprit)
    return found
