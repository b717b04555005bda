"""Coming back after a lost or old disk: PROTOCOL section 7.

Who has lost its disk has lost its promises, and they may be known only to a liar. So it reads what the others
hold, begins a new chain under the next incarnation, waits until q *others* have it in their chains, and then
notes how far every payer is. The promises that it may have forgotten are all in slots up to one beyond that:
there it abstains. To abstain is to fence the highest view that there is, so it is said in its blocks and
everybody counts alike.

With n = 4, q others are all others: with one of them down as well, nobody can re-enter.
"""

import struct
import zlib
from collections.abc import Iterable
from enum import IntEnum
from typing import Final

import numpy as np
import numpy.typing as npt

from harambee.ledger.kinds import IS_ELSEWHERE, Space
from harambee.ledger.ledger import Ledger
from harambee.ledger.side_tables import hold_of_subject
from harambee.protocol.chains import VOTED, Chains
from harambee.protocol.committee import Committee
from harambee.protocol.slot import Slot

Orders = npt.NDArray[np.void]

ABSTENTIONS_MAX: Final = 16_384
"""How many abstentions go into one block; while more wait, it references nothing."""
_NOTED: Final = struct.Struct("<HII")
_ELSEWHERE: Final = struct.Struct("<B32sI")
_FORGOTTEN: Final = 2
"""Promises may have been made in the next slot, and in the one after it."""


class Phase(IntEnum):
    """How far a super-agent is with coming back."""

    NONE = 0
    """It has lost nothing."""
    READING = 1
    """It reads what the others hold, its own old blocks too, and says nothing."""
    ANNOUNCED = 2
    """It has begun a new chain, which votes for nothing yet."""
    ABSTAINING = 3
    """It takes part again, but for the slots in which it may have promised something."""


class ReEntering:
    """One super-agent's way back. `phase` is NONE for one that has lost nothing."""

    def __init__(self, committee: Committee, index: int) -> None:
        """Nothing is lost yet."""
        self.phase = Phase.NONE
        self._committee = committee
        self._index = index
        self._below: npt.NDArray[np.uint32] = np.zeros(0, np.uint32)
        """By account: it abstains in sequences below this."""
        self._elsewhere: dict[tuple[int, bytes], int] = {}
        self._waiting: dict[Slot, None] = {}

    def is_recorded(self, chains: Chains) -> bool:
        """Whether q others have the new chain in theirs."""
        lane = chains.current[self._index]
        recorders = {
            chains.lanes[other].author
            for other in chains.current
            if chains.head_row(other)[VOTED, lane] > 0
        } - {self._index}
        return len(recorders) >= self._committee.q

    def begin_to_abstain(self, ledger: Ledger) -> None:
        """Note how far every payer is. Later is safe, earlier is not: only then are all votes known."""
        exists = ledger.accounts["flags"] != 0
        following = ledger.accounts["next_sequence"].astype(np.uint32)
        self._below = np.where(exists, following + np.uint32(_FORGOTTEN), 0).astype(np.uint32)
        self._elsewhere = ledger.following_elsewhere()
        self.phase = Phase.ABSTAINING

    def to_bytes(self, incarnation: int) -> bytes:
        """Return from where on this incarnation does not abstain, for a start from a later checkpoint.

        Noted again then it would be later, and it would abstain where it has promised nothing.
        """
        assert self.phase == Phase.ABSTAINING
        parts = [_NOTED.pack(incarnation, len(self._below), len(self._elsewhere))]
        parts.append(self._below.astype("<u4").tobytes())
        for (space, subject), following in sorted(self._elsewhere.items()):
            parts.append(_ELSEWHERE.pack(space, subject, following))
        return zlib.compress(b"".join(parts), level=1)

    def go_on(self, noted: bytes, incarnation: int) -> None:
        """Go on abstaining as `to_bytes` noted it; nothing where that was of another incarnation."""
        try:
            content = zlib.decompress(noted)
            said, accounts, elsewhere = _NOTED.unpack_from(content)
            below = np.frombuffer(content, "<u4", accounts, _NOTED.size).astype(np.uint32)
            rest = content[_NOTED.size + below.nbytes :]
            rows = list(_ELSEWHERE.iter_unpack(rest))
        except (zlib.error, struct.error, ValueError):
            return  # noted again, then: later is safe
        if said == incarnation and len(rows) == elsewhere:
            self._below = below
            self._elsewhere = {(space, subject): following for space, subject, following in rows}
            self.phase = Phase.ABSTAINING

    def rows(self, orders: Orders) -> list[int]:
        """Which of these orders lie in slots in which it must abstain."""
        if self.phase != Phase.ABSTAINING:
            return []
        payers = orders["payer"]
        inside = payers < len(self._below)
        below = np.zeros(len(orders), np.uint32)
        below[inside] = self._below[payers[inside]]
        for row in np.flatnonzero(IS_ELSEWHERE[orders["kind"]]).tolist():
            below[row] = self._below_elsewhere(Slot.of(orders[row]))
        return [int(row) for row in np.flatnonzero(orders["sequence"] < below)]

    def binds(self, slot: Slot) -> bool:
        """Whether a slot is one in which it must abstain."""
        below = 0
        if slot.is_of_account:
            if slot.payer < len(self._below):
                below = int(self._below[slot.payer])
        else:
            below = self._below_elsewhere(slot)
        return self.phase == Phase.ABSTAINING and slot.sequence < below

    def _below_elsewhere(self, slot: Slot) -> int:
        """It abstains in sequences below this in slots that are no account's."""
        if self._came_later(slot.space, slot.subject):
            return 0
        return self._elsewhere.get((slot.space, slot.subject), 0) + _FORGOTTEN

    def _came_later(self, space: int, subject: bytes) -> bool:
        """Whether these are the slots of a hold that was not yet final then: nobody had voted in them."""
        if space != Space.HOLD:
            return False
        payer, sequence = hold_of_subject(subject)
        return payer >= len(self._below) or sequence >= int(self._below[payer])

    def note(self, slots: Iterable[Slot]) -> None:
        """Held blocks speak of these slots: its next block abstains in them."""
        self._waiting.update(dict.fromkeys(slots))

    def take(self) -> tuple[list[Slot], bool]:
        """The slots in which the next block abstains, and whether that is all of them."""
        taken = list(self._waiting)[:ABSTENTIONS_MAX]
        for slot in taken:
            del self._waiting[slot]
        return taken, not self._waiting

    @property
    def has_something_to_say(self) -> bool:
        """Whether there are slots in which to abstain."""
        return bool(self._waiting)
