"""Where an audit reads blocks: a journal, and what is kept in archives beside it."""

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Protocol

from harambee.node.journal import JournalLacks, JournalPruned, JournalReader
from harambee.protocol.effects import Name
from harambee.protocol.evidence import read_evidence
from harambee.protocol.genesis import Genesis
from harambee.protocol.malformed import Malformed


class Lacking(Enum):
    """Why a block cannot be had."""

    DAMAGED = "its bytes on the disk do not match their checksum"
    TAKEN_AWAY = "it was moved to the archive and is not there any more"


class Records(Protocol):
    """Blocks in the order in which a super-agent took them in."""

    @property
    def count(self) -> int:
        """How many there are, damaged ones included."""

    def blocks(self) -> Iterator[tuple[int, bytes | Lacking]]:
        """All positions, ascending, each with its block, or why it cannot be had."""

    def read(self, position: int) -> bytes | None:
        """One block; None if it is damaged or not here."""

    def names_of(self, positions: set[int]) -> dict[int, Name]:
        """The names under which these positions are known to the index, as far as they are."""

    def position_of(self, name: Name) -> int | None:
        """Where the index says that a block is."""


class JournalRecords:
    """A journal's blocks, up to the end that it has when this is made."""

    def __init__(self, journal: JournalReader) -> None:
        """The journal stays its opener's."""
        self._journal = journal
        self.count = journal.count

    def blocks(self) -> Iterator[tuple[int, bytes | Lacking]]:
        """All positions, the archive's too; what cannot be had does not end it."""
        start = 0
        while start < self.count:
            try:
                for position, block in self._journal.blocks(start):
                    if position >= self.count:
                        return
                    yield position, block
                    start = position + 1
            except JournalLacks as lacks:
                pruned = isinstance(lacks, JournalPruned)
                yield lacks.position, Lacking.TAKEN_AWAY if pruned else Lacking.DAMAGED
                start = lacks.position + 1

    def read(self, position: int) -> bytes | None:
        """One block."""
        try:
            return self._journal.read(position)
        except (IndexError, JournalLacks):
            return None

    def names_of(self, positions: set[int]) -> dict[int, Name]:
        """As the tables `ids` and `forks` have them."""
        return self._journal.names_of(positions)

    def position_of(self, name: Name) -> int | None:
        """As the tables `ids` and `forks` have it."""
        return self._journal.position_of(name)


def convicted_by(evidence: Mapping[int, bytes], genesis: Genesis) -> list[int]:
    """The super-agents against whom evidence is kept that proves what it should."""
    found = []
    for culprit, content in sorted(evidence.items()):
        proved = read_evidence(content, genesis.network, genesis.committee)
        if not isinstance(proved, Malformed) and proved.culprit == culprit:
            found.append(culprit)
    return found
