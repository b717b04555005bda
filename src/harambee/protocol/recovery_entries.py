"""Recovery entries as bytes: fences, proposals, votes, re-entries (docs/wire.md section 7).

`read_recovery` faces liars like `wire.read_block`, which calls it: bounded by the block's own limits, and
it answers `Malformed` rather than raising. What an entry is worth is said in `disputes.py`.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from harambee.ledger.records import ORDER, ORDER_BYTES
from harambee.protocol.malformed import Malformed
from harambee.protocol.slot import Slot

FENCE: Final = 1
PROPOSAL: Final = 2
VOTE: Final = 3
RE_ENTRY: Final = 4

SKIP: Final = bytes(32)
"""The value that burns a slot."""
ABSTAINS: Final = 0xFFFF_FFFF
"""The view of an author that lost its promises: it takes no part in the slot any more."""
FENCE_ORDERS_MAX: Final = 2

_HEAD_BYTES: Final = 8
_SLOT_BYTES: Final = 37
_VIEW_BYTES: Final = 4
_VALUE_BYTES: Final = 32
_REFERENCE_BYTES: Final = 40
_RE_ENTRY_BYTES: Final = 38


@dataclass(frozen=True, slots=True, eq=False)
class Fence:
    """From here on its author votes and acknowledges nothing in views below `view`."""

    slot: Slot
    view: int
    orders: npt.NDArray[np.void]
    """ORDER array of at most two: what justifies it."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A leader's: let `value` be voted for, and here is why it may be."""

    slot: Slot
    view: int
    value: bytes
    """An order id, or SKIP."""
    proof: tuple[tuple[int, int, int, bytes], ...]
    """Blocks as (author, incarnation, height, digest), each with a fence for exactly this view."""


@dataclass(frozen=True, slots=True)
class Vote:
    """An explicit vote, as views above 0 need it."""

    slot: Slot
    view: int
    value: bytes


@dataclass(frozen=True, slots=True)
class ReEntry:
    """The first thing that a super-agent says under a new incarnation."""

    incarnation: int
    last_height: int
    """What it knows of the chain before: the height of its newest block, 0 for none."""
    last_digest: bytes


@dataclass(frozen=True, slots=True)
class Recovery:
    """The recovery entries of one block, by type, each in the order in which they stand."""

    fences: tuple[Fence, ...] = ()
    proposals: tuple[Proposal, ...] = ()
    votes: tuple[Vote, ...] = ()
    re_entry: ReEntry | None = None

    def slots(self) -> list[Slot]:
        """The slots that they speak of."""
        entries: tuple[Fence | Proposal | Vote, ...] = (*self.fences, *self.proposals, *self.votes)
        return [entry.slot for entry in entries]

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self.fences or self.proposals or self.votes or self.re_entry)


def _entry(kind: int, content: bytes) -> bytes:
    return bytes([kind, 0, 0, 0]) + len(content).to_bytes(4, "little") + content


def write_recovery(recovery: Recovery) -> bytes:
    """The bytes of all of them: fences, which take effect first, then proposals, votes, the re-entry."""
    parts = [
        _entry(FENCE, f.slot.written() + f.view.to_bytes(4, "little") + f.orders.tobytes())
        for f in recovery.fences
    ]
    for p in recovery.proposals:
        proof = b"".join(
            author.to_bytes(2, "little")
            + incarnation.to_bytes(2, "little")
            + height.to_bytes(4, "little")
            + name
            for author, incarnation, height, name in p.proof
        )
        content = p.slot.written() + p.view.to_bytes(4, "little") + p.value + proof
        parts.append(_entry(PROPOSAL, content))
    parts += [
        _entry(VOTE, v.slot.written() + v.view.to_bytes(4, "little") + v.value)
        for v in recovery.votes
    ]
    if recovery.re_entry is not None:
        again = recovery.re_entry
        content = (
            again.incarnation.to_bytes(2, "little")
            + again.last_height.to_bytes(4, "little")
            + again.last_digest
        )
        parts.append(_entry(RE_ENTRY, content))
    return b"".join(parts)


def read_recovery(part: bytes, members: int) -> Recovery | Malformed:
    """Parse a block's recovery entries; `members` is the size of the committee."""
    if not part:
        return _NOTHING
    found: dict[type, list[Fence | Proposal | Vote | ReEntry]] = {
        Fence: [],
        Proposal: [],
        Vote: [],
        ReEntry: [],
    }
    at = 0
    while at < len(part):
        length = int.from_bytes(part[at + 4 : at + 8], "little")
        content = part[at + _HEAD_BYTES : at + _HEAD_BYTES + length]
        if len(part) - at < _HEAD_BYTES + length or part[at + 1 : at + 4] != bytes(3):
            return Malformed("a recovery entry is cut short")
        entry = _read_entry(part[at], content, members)
        if isinstance(entry, Malformed):
            return entry
        found[type(entry)].append(entry)
        at += _HEAD_BYTES + length
    recovery = Recovery(
        tuple(e for e in found[Fence] if isinstance(e, Fence)),
        tuple(e for e in found[Proposal] if isinstance(e, Proposal)),
        tuple(e for e in found[Vote] if isinstance(e, Vote)),
        next((e for e in found[ReEntry] if isinstance(e, ReEntry)), None),
    )
    if len(found[ReEntry]) > 1:
        return Malformed("a block re-enters twice")
    if len({fence.slot for fence in recovery.fences}) != len(recovery.fences):
        return Malformed("a block fences one slot twice")
    if len({(vote.slot, vote.view) for vote in recovery.votes}) != len(recovery.votes):
        return Malformed("a block votes twice in one view")
    return recovery


def _read_entry(
    kind: int, content: bytes, members: int
) -> Fence | Proposal | Vote | ReEntry | Malformed:
    if kind == RE_ENTRY:
        if len(content) != _RE_ENTRY_BYTES:
            return Malformed("a re-entry is too long or too short")
        return ReEntry(
            int.from_bytes(content[:2], "little"),
            int.from_bytes(content[2:6], "little"),
            content[6:],
        )
    if len(content) < _SLOT_BYTES + _VIEW_BYTES:
        return Malformed("a recovery entry names no slot")
    slot = Slot(content[0], content[1:33], int.from_bytes(content[33:37], "little"))
    if not slot.is_well_formed:
        return Malformed("a recovery entry names no slot")
    view = int.from_bytes(content[37:41], "little")
    rest = content[41:]
    if view == 0 or (view == ABSTAINS and kind != FENCE):
        return Malformed("there are no recovery entries in this view")
    if kind == FENCE:
        return _read_fence(slot, view, rest)
    if kind == PROPOSAL:
        return _read_proposal(slot, view, rest, members)
    if kind == VOTE and len(rest) == _VALUE_BYTES:
        return Vote(slot, view, rest)
    return Malformed("a recovery entry is of a type that is not known, or a vote is cut short")


def _read_fence(slot: Slot, view: int, rest: bytes) -> Fence | Malformed:
    count, odd = divmod(len(rest), ORDER_BYTES)
    if odd or count > FENCE_ORDERS_MAX:
        return Malformed("a fence carries at most two orders")
    orders = np.frombuffer(rest, ORDER, count)
    if any(Slot.of(order) != slot for order in orders):
        return Malformed("a fence carries an order of another slot")
    return Fence(slot, view, orders)


def _read_proposal(slot: Slot, view: int, rest: bytes, members: int) -> Proposal | Malformed:
    value, proof = rest[:_VALUE_BYTES], rest[_VALUE_BYTES:]
    if len(value) != _VALUE_BYTES or len(proof) % _REFERENCE_BYTES:
        return Malformed("a proposal is cut short")
    if len(proof) // _REFERENCE_BYTES > members:
        return Malformed("a proposal has more proof than there are authors")
    blocks = tuple(
        (
            int.from_bytes(proof[k : k + 2], "little"),
            int.from_bytes(proof[k + 2 : k + 4], "little"),
            int.from_bytes(proof[k + 4 : k + 8], "little"),
            proof[k + 8 : k + _REFERENCE_BYTES],
        )
        for k in range(0, len(proof), _REFERENCE_BYTES)
    )
    if any(author >= members for author, _, _, _ in blocks):
        return Malformed("a proposal's proof names nobody")
    return Proposal(slot, view, value, blocks)


_NOTHING: Final = Recovery()
