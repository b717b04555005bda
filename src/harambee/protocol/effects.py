"""What a replica wants done: a value, so that every shell does the same things in the same order.

A shell must make `persist` durable **before** it carries out `send`, `settled` or anything else that lets
the outside know: locks live in the blocks, and a promise that a crash can forget was never one.
"""

from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from harambee.protocol.slot import Slot

EVERYONE: Final = -1
"""A `Send.peer` that means every other super-agent."""


class Name(NamedTuple):
    """One block, exactly: its id and its digest."""

    author: int
    incarnation: int
    height: int
    digest: bytes
    """32 bytes; zero where a head says that there is no block."""


@dataclass(frozen=True, slots=True)
class Range:
    """Heights of one author's chain, both ends inclusive."""

    author: int
    first: int
    last: int
    incarnation: int = 0


@dataclass(frozen=True, slots=True)
class SendBlock:
    """Send these block bytes to `peer` (or EVERYONE)."""

    peer: int
    data: bytes


@dataclass(frozen=True, slots=True)
class SendHeads:
    """Tell `peer` (or EVERYONE) which heads this replica holds: a REFERENCE array, see `Replica.heads`."""

    peer: int
    heads: npt.NDArray[np.void]


@dataclass(frozen=True, slots=True)
class AskHeads:
    """Ask `peer` (or EVERYONE) for its heads."""

    peer: int


@dataclass(frozen=True, slots=True)
class Fetch:
    """Ask `peer` for blocks that this replica lacks."""

    peer: int
    ranges: tuple[Range, ...]


@dataclass(frozen=True, slots=True)
class Serve:
    """Read these blocks from the journal and send them to `peer`, bounded by the shell's frame budget."""

    peer: int
    ranges: tuple[Range, ...]


@dataclass(frozen=True, slots=True)
class FetchNamed:
    """Ask `peer` for exactly these blocks: branches of an author that forked."""

    peer: int
    names: tuple[Name, ...]


@dataclass(frozen=True, slots=True)
class ServeNamed:
    """Read exactly these blocks from the journal and send those that are there to `peer`."""

    peer: int
    names: tuple[Name, ...]


@dataclass(frozen=True, slots=True)
class AskWords:
    """Ask `peer` (or EVERYONE) who has signed its newest checkpoint."""

    peer: int


@dataclass(frozen=True, slots=True)
class AskIndex:
    """Ask `peer` for a part of a checkpoint's index."""

    peer: int
    checkpoint: bytes
    part: int


@dataclass(frozen=True, slots=True)
class AskPages:
    """Ask `peer` for pages of a checkpoint: (section, page number) of each."""

    peer: int
    checkpoint: bytes
    pages: tuple[tuple[int, int], ...]


Outgoing = (
    SendBlock
    | SendHeads
    | AskHeads
    | Fetch
    | FetchNamed
    | Serve
    | ServeNamed
    | AskWords
    | AskIndex
    | AskPages
)


@dataclass(frozen=True, slots=True)
class Refused:
    """Orders offered at this door under `ticket` that a rule refuses: indices and Outcome codes."""

    ticket: int
    indices: npt.NDArray[np.intp]
    outcomes: npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Evidence:
    """Two signed blocks that no honest author makes both (`evidence.py` says why and checks it)."""

    culprit: int
    held: Name
    """One is in the journal."""
    other: bytes
    """The other one, whole."""


@dataclass(frozen=True, slots=True)
class Ballot:
    """What shows that an author voted for an order in view 0 (docs/wire.md section 13)."""

    row: int
    """Where the order stands in its block."""
    block: Name
    voting: tuple[Name, ...] = ()
    """The voter's block that votes, and as many below it as are needed; none if the block is its own."""
    chain: tuple[Name, ...] = ()
    """From what the voting block references down to the block above `block`."""


@dataclass(frozen=True, slots=True)
class TwoVotes:
    """An author's votes for two orders of one slot in view 0; all blocks named are in the journal."""

    culprit: int
    ballots: tuple[Ballot, Ballot]


@dataclass(frozen=True, slots=True)
class Proposed:
    """A governance order that lies in a block: for operators to look at."""

    order: npt.NDArray[np.void]
    """ORDER, (1,)."""
    block: Name
    """In which block: its author votes for it."""
    possession: bytes | None = None
    """The signature of a new key, of an order that brings one."""
    content: bytes | None = None
    """The document that the order names, if it names one."""


@dataclass(slots=True)
class Effects:
    """Everything one event leads to. Merge with `extend`; the order of lists is the order of doing."""

    persist: list[bytes] = field(default_factory=list)
    send: list[Outgoing] = field(default_factory=list)
    settled: list[npt.NDArray[np.void]] = field(default_factory=list)
    """Arrays of orders (dtype ORDER) that became final and were applied, in the order of applying."""
    refused: list[Refused] = field(default_factory=list)
    skipped: list[Slot] = field(default_factory=list)
    """Slots that became final without an order."""
    evidence: list[Evidence | TwoVotes] = field(default_factory=list)
    """What convicts an author; to be kept durably."""
    proposed: list[Proposed] = field(default_factory=list)
    """Governance orders that were seen in blocks, each as often as it was; nothing is judged yet."""
    wake_at: int | None = None
    """Call `act` no later than this; nanoseconds on the shell's clock."""
    halted: str | None = None
    """A sentence, once the replica must not speak any more (an old disk, say)."""

    def extend(self, later: "Effects") -> None:
        """Append what came of a later event."""
        self.persist += later.persist
        self.send += later.send
        self.settled += later.settled
        self.refused += later.refused
        self.skipped += later.skipped
        self.evidence += later.evidence
        self.proposed += later.proposed
        self.wake_at = later.wake_at
        self.halted = self.halted or later.halted
