"""The frame of a checkpoint: what a fold goes on from, as bytes (docs/wire.md section 18).

A ledger says what is decided. The frame says the rest: how far every chain is known, voted for and
acknowledged, which slots are open, and who said what in them. All of it is a function of the cut. Every open
slot is written out vote by vote, as the definition counts them (PROTOCOL section 2), however it was counted
before; so two replicas that hold the same blocks write the same bytes.

A frame is read by who trusts its root, because super-agents have signed it. It is still read as if a liar
had made it: bounded, and every index checked before it is used.
"""

import struct
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from harambee.protocol.chains import KEPT, Chains, Lane
from harambee.protocol.disputes import (
    Candidate,
    Dispute,
    FenceAt,
    Place,
    ProposalAt,
    Votes,
)
from harambee.protocol.recovery_entries import SKIP
from harambee.protocol.slot import Slot

U4: Final = np.dtype("<u4")
_START: Final = struct.Struct("<HHII")
_LANE: Final = struct.Struct("<HHiIII")
_NUMBER: Final = struct.Struct("<I")
_VALUE_BYTES: Final = 32
_SLOT_BYTES: Final = 37
_NO_PLACE: Final = 0xFFFF_FFFF
FRAME_BYTES_MAX: Final = 1 << 30
"""A frame has 30 MB of rows, and as many open blocks as the limits of bounded work let be kept."""


class FrameBroken(ValueError):  # noqa: N818 - what is the matter with it
    """These bytes are no frame of this network; one sentence."""


@dataclass(frozen=True, slots=True)
class OpenBlock:
    """A block with orders that are not decided, or not applied."""

    lane: int
    height: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Frame:
    """What a fold goes on from."""

    chains: Chains
    blocks: tuple[OpenBlock, ...]
    slots: tuple[Dispute, ...]
    """Every open slot; orders are those of `blocks`."""
    waiting: tuple[Place, ...]
    """Orders that are final and wait for another one."""


# -- writing --------------------------------------------------------------------------------------


def write_frame(frame: Frame, lanes_before: int) -> bytes:
    """Return the bytes of a frame. The lanes behind the first `lanes_before` are put into their order."""
    order = _order_of_lanes(frame.chains, lanes_before)
    to = {lane: index for index, lane in enumerate(order)}
    parts = [_written_chains(frame.chains, order, to)]
    blocks = sorted((to[block.lane], block.height, block.data) for block in frame.blocks)
    parts.append(_NUMBER.pack(len(blocks)))
    parts += [_numbers(lane, height, len(data)) + data for lane, height, data in blocks]
    slots = sorted(frame.slots, key=lambda dispute: dispute.slot)
    parts.append(_NUMBER.pack(len(slots)))
    parts += [_written_slot(dispute, order, to) for dispute in slots]
    waiting = sorted((to[place.lane], place.height, place.row) for place in frame.waiting)
    parts.append(_NUMBER.pack(len(waiting)))
    parts += [_numbers(*place) for place in waiting]
    return b"".join(parts)


def _order_of_lanes(chains: Chains, before: int) -> list[int]:
    """Return the lanes in the order in which a frame has them: those that are new behind the others."""

    def key(lane: int) -> tuple[int, int, int, bytes]:
        about = chains.lanes[lane]
        first = chains.digest_at(lane, about.base + 1) or b""
        return about.author, about.incarnation, about.base, first

    return [*range(before), *sorted(range(before, len(chains.lanes)), key=key)]


def _written_chains(chains: Chains, order: list[int], to: dict[int, int]) -> bytes:
    parts = [_START.pack(chains.members, chains.quorum, chains.window, len(order))]
    for lane in order:
        about = chains.lanes[lane]
        parent = -1 if about.parent < 0 else to[about.parent]
        head, final = int(chains.heads[lane]), int(chains.final[lane])
        parts.append(_LANE.pack(about.author, about.incarnation, parent, about.base, head, final))
    parts.append(chains.acknowledged[:, order].astype(U4).tobytes())
    for lane in order:
        heads, rows = chains.kept_of(lane)
        written = np.zeros(len(heads), _row_of(len(order)))
        written["head"] = heads
        written["rows"] = rows[:, :, order]
        parts.append(written.tobytes())
    return b"".join(parts)


def _row_of(lanes: int) -> np.dtype[np.void]:
    return np.dtype([("head", KEPT), ("rows", U4, (3, lanes))])


def _written_slot(dispute: Dispute, order: list[int], to: dict[int, int]) -> bytes:
    places = sorted((to[place.lane], place.height, place.row) for place in dispute.places)
    index = {place: at for at, place in enumerate(places)}
    parts = [dispute.slot.written(), _NUMBER.pack(len(places))]
    parts += [_numbers(*place) for place in places]
    candidates = sorted(c for c, votes in dispute.votes.items() if votes.heights)
    parts.append(_NUMBER.pack(len(candidates)))
    for candidate in candidates:
        votes = dispute.votes[candidate]
        parts += [_NUMBER.pack(candidate.view), candidate.value, _NUMBER.pack(len(votes))]
        for lane, height in sorted((to[lane], height) for lane, height in votes.heights.items()):
            at = _NO_PLACE
            if candidate.view == 0:
                place = votes.place_of(order[lane])
                at = index[to[place.lane], place.height, place.row]
            parts.append(_numbers(lane, height, at))
    fences = sorted(
        (to[lane], fence.height, fence) for lane, found in dispute.fences.items() for fence in found
    )
    parts.append(_NUMBER.pack(len(fences)))
    for lane, height, fence in fences:
        clock = np.zeros(len(order), U4)
        clock[: len(fence.clock_before)] = fence.clock_before
        parts += [_numbers(lane, height, fence.view), clock[order].tobytes()]
        parts.append(_written_statement(fence.statement))
    # A free order of an even view is left out: versions before decision 77 take it for no proposal, and all
    # sign the same frame. Who begins by it misses a proposal for which it would have voted in one view.
    proposals = sorted(
        (view, to[p.lane], p.height, p.value, int(p.forced))
        for view, found in dispute.proposals.items()
        for p in found
        if p.forced or p.value == SKIP or view % 2
    )
    parts.append(_NUMBER.pack(len(proposals)))
    for view, lane, height, value, forced in proposals:
        parts += [_numbers(view, lane, height), value, _NUMBER.pack(forced)]
    return b"".join(parts)


def _written_statement(statement: Candidate | None) -> bytes:
    if statement is None:
        return _NUMBER.pack(0)
    return _numbers(1, statement.view) + statement.value


def _numbers(*numbers: int) -> bytes:
    return struct.pack(f"<{len(numbers)}I", *numbers)


# -- reading --------------------------------------------------------------------------------------


class _Reader:
    """Takes parts off the front of a frame; FrameBroken where it is too short."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    def bytes(self, length: int) -> "bytes":
        """Return the next bytes."""
        start, self._at = self._at, self._at + length
        if self._at > len(self._content):
            raise FrameBroken("the frame ends too early")
        return self._content[start : self._at]

    def numbers(self, count: int) -> tuple[int, ...]:
        """Return the next u32 numbers."""
        return struct.unpack(f"<{count}I", self.bytes(4 * count))

    def count(self, least_bytes: int) -> int:
        """Return how many parts follow, each of so many bytes at least."""
        (count,) = self.numbers(1)
        if count * least_bytes > len(self._content) - self._at:
            raise FrameBroken("the frame says that it has more than it has")
        return int(count)

    def array(self, dtype: "np.dtype[np.void] | np.dtype[np.uint32]", count: int) -> npt.NDArray:  # type: ignore[type-arg]
        """Return the next records."""
        return np.frombuffer(self.bytes(dtype.itemsize * count), dtype)

    def ends(self) -> bool:
        """Whether all was taken."""
        return self._at == len(self._content)


def read_frame(content: bytes, members: int, quorum: int) -> Frame:
    """Read a frame of a committee of so many members; FrameBroken for anything else."""
    reader = _Reader(content)
    chains = _read_chains(reader, members, quorum)
    blocks = []
    for _ in range(reader.count(12)):
        lane, height, length = reader.numbers(3)
        blocks.append(OpenBlock(_lane_in(chains, lane), height, reader.bytes(length)))
    slots = [_read_slot(reader, chains) for _ in range(reader.count(_SLOT_BYTES + 16))]
    waiting = [_read_place(reader, chains) for _ in range(reader.count(12))]
    if not reader.ends():
        raise FrameBroken("something stands behind the frame")
    return Frame(chains, tuple(blocks), tuple(slots), tuple(waiting))


def _read_chains(reader: _Reader, members: int, quorum: int) -> Chains:
    said_members, said_quorum, window, lanes = _START.unpack(reader.bytes(_START.size))
    if (said_members, said_quorum) != (members, quorum):
        raise FrameBroken("the frame is of another committee")
    chains = Chains(members, quorum)
    if window != chains.window or not members <= lanes <= 16 * members:
        raise FrameBroken("the frame has another window, or too many lanes")
    heads, finals = np.zeros(lanes, np.int64), np.zeros(lanes, np.int64)
    for index in range(lanes):
        author, incarnation, parent, base, head, final = _LANE.unpack(reader.bytes(_LANE.size))
        lane = Lane(author, incarnation, parent, base)
        if index < members:
            if lane != chains.lanes[index]:
                raise FrameBroken("the frame's first lanes are not those of its members")
        elif author >= members or not -1 <= parent < index or (parent < 0) != (base == 0):
            raise FrameBroken("a lane of the frame stands nowhere")
        else:
            chains.open_lane(lane)
        heads[index], finals[index] = head, final
        if not base <= head or not final <= head:
            raise FrameBroken("a lane of the frame ends before it begins")
    acknowledged = reader.array(U4, members * lanes).reshape(members, lanes)
    chains.begin_at(heads, finals, acknowledged.astype(np.int32))
    kind = _row_of(lanes)
    for index in range(lanes):
        rows = reader.array(kind, len(chains.kept_heights(index)))
        if (rows["rows"] > heads).any():
            raise FrameBroken("a row of the frame knows more than there is")
        chains.keep(index, rows["head"], rows["rows"].astype(np.int32))
    return chains


def _lane_in(chains: Chains, lane: int) -> int:
    if lane >= len(chains.lanes):
        raise FrameBroken(f"there is no lane {lane} in the frame")
    return lane


def _read_place(reader: _Reader, chains: Chains) -> Place:
    lane, height, row = reader.numbers(3)
    return Place(_lane_in(chains, lane), height, row)


def _read_slot(reader: _Reader, chains: Chains) -> Dispute:
    lanes = len(chains.lanes)
    written = reader.bytes(_SLOT_BYTES)
    slot = Slot(written[0], written[1:33], int.from_bytes(written[33:], "little"))
    if not slot.is_well_formed:
        raise FrameBroken("the frame names a slot that cannot be")
    dispute = Dispute(slot)
    places = [_read_place(reader, chains) for _ in range(reader.count(12))]
    # Which order lies in a place, its block says.
    dispute.places = dict.fromkeys(places, b"")
    for _ in range(reader.count(8 + _VALUE_BYTES)):
        (view,) = reader.numbers(1)
        candidate = Candidate(view, reader.bytes(_VALUE_BYTES))
        votes = dispute.votes.setdefault(candidate, Votes())
        for _ in range(reader.count(12)):
            lane, height, at = reader.numbers(3)
            if (view == 0) != (at < len(places)):
                raise FrameBroken("a vote in the frame is for no order of it")
            votes.cast(_lane_in(chains, lane), height, places[at] if view == 0 else None)
    for _ in range(reader.count(16 + 4 * lanes)):
        lane, height, view = reader.numbers(3)
        clock = reader.array(U4, lanes).astype(np.int32)
        fence = FenceAt(height, view, clock, _read_statement(reader))
        dispute.add_fence(chains, _lane_in(chains, lane), fence)
    for _ in range(reader.count(16 + _VALUE_BYTES)):
        view, lane, height = reader.numbers(3)
        value = reader.bytes(_VALUE_BYTES)
        (forced,) = reader.numbers(1)
        proposal = ProposalAt(_lane_in(chains, lane), height, value, bool(forced))
        dispute.proposals.setdefault(view, []).append(proposal)
    return dispute


def _read_statement(reader: _Reader) -> Candidate | None:
    (there,) = reader.numbers(1)
    if not there:
        return None
    (view,) = reader.numbers(1)
    return Candidate(view, reader.bytes(_VALUE_BYTES))
