"""What a replica does about a disputed slot: whom it fences, what it proposes, what it votes for.

PROTOCOL section 3. `disputes.py` says what the blocks mean; this module chooses. Its only memory beside the
blocks are the signed orders it has seen and how long it has waited: one's own fences, proposals and votes are
read from one's own chain, so a restart finds every promise again.

A slot is *opened* (fenced from view 0 to 1) of one's own accord only for a payer's next sequence, with two
signed orders in hand, or one that was offered again without success; and only so often for each payer and
region. Who is shown the second of two after a vote for the first opens it at once; who merely sees both in
blocks gives view 0 the time of a view first: a cancel of what everybody refused is final before that. So it
is with one order that somebody has fenced: what he does not acknowledge any more may be what is lacking.
*Joining* w others is never limited: at least one of them is honest.

A payer who signed one order is not skipped because others open her slot and lead it. In views 1 to w, by
which somebody honest has led, a free leader proposes the only order, in even views too, and for a free skip
votes only who has seen two that she signed; in a few more, nobody for whom the one passes. If she wants it
gone she signs a cancel, and then there are two.
"""

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from harambee.ledger.kinds import HAS_CONTENT, OrderKind
from harambee.ledger.records import ORDER
from harambee.protocol.chains import Chains
from harambee.protocol.committee import Committee
from harambee.protocol.disputes import LONE_VIEWS, Candidate, Clock, Dispute, Disputes
from harambee.protocol.limits import RIVAL_TABLES_MAX
from harambee.protocol.recovery_entries import (
    ABSTAINS,
    FENCE_ORDERS_MAX,
    SKIP,
    Fence,
    Proposal,
    Recovery,
    Vote,
)
from harambee.protocol.slot import Slot

Orders = npt.NDArray[np.void]

VIEW_BLOCKS: Final = 10
"""How many paces view 1 may take; view v may take v times as long, up to the cap."""
VIEW_STRIDES: Final = 8
"""How many of one's own blocks view 1 may take, at the speed at which they really follow each other."""
STRIDE_NS_MAX: Final = 4_000_000_000
VIEW_NS_MIN: Final = 400_000_000
VIEWS_CAP: Final = 16
OPEN_AGAIN_NS: Final = 500_000_000
"""A payer's slots are opened no oftener than this."""
REGION_OPENS: Final = 256
"""How many slots of one region are opened in one `OPEN_AGAIN_NS`."""
KNOWN_SLOTS_MAX: Final = 1 << 16
ENTRIES_MAX: Final = 2_048
"""How many recovery entries go into one block; the others have their turn in the next."""
_CANCEL: Final = int(OrderKind.CANCEL)
_TAKE_KEY: Final = int(OrderKind.TAKE_KEY)
_NO_ORDERS: Final[Orders] = np.zeros(0, ORDER)


@dataclass(slots=True)
class Plan:
    """What one's next block says about recovery."""

    entries: Recovery = field(default_factory=Recovery)
    fences: dict[Slot, int] = field(default_factory=dict)
    """The views that this block fences: they take effect before its references and orders."""
    orders: list[Orders] = field(default_factory=list)
    """Orders of fenced slots that lie in no block yet: carried, not voted for."""
    looked_at: list[Slot] = field(default_factory=list)
    """The slots that had their turn before the block was full."""
    tables: dict[int, bytes] = field(default_factory=dict)
    """The payee tables of those that are bulk pay-outs, by their place in `orders`."""
    takes_part: bool = True
    """Whether the block references others, votes and carries orders at all."""

    def abstain(self, slots: list[Slot]) -> None:
        """Fence these slots for good: this author may have promised something there."""
        said = tuple(Fence(slot, ABSTAINS, _NO_ORDERS) for slot in slots)
        entries = self.entries
        self.entries = Recovery((*entries.fences, *said), entries.proposals, entries.votes)
        self.fences.update(dict.fromkeys(slots, ABSTAINS))


@dataclass(slots=True)
class _Case:
    """One slot as this replica sees it."""

    number: int
    """Cases are numbered as they come."""
    known: dict[bytes, Orders] = field(default_factory=dict)
    """At most two orders with valid signatures, by id."""
    insisted: bool = False
    """Its one order was offered again without success."""
    opening: bool = False
    """The rate limits let it be opened; it will be, whatever comes."""
    own_view: int = 0
    """The view of this replica's own fence, when it last looked."""
    timer_view: int = 0
    timer_due: int = 0
    view_0_due: int = 0
    """When view 0 is over in which two signed orders lie, or one that somebody fenced; 0 as long as not."""

    @property
    def is_justified(self) -> bool:
        """Whether what is known lets a replica open the slot of its own accord."""
        return len(self.known) >= FENCE_ORDERS_MAX or (self.insisted and bool(self.known))

    def may_be_opened(self, now: int) -> bool:
        """Whether there is a reason to open it that it was not opened for yet."""
        return not self.own_view and (self.is_justified or 0 < self.view_0_due <= now)

    def has_run_out(self, now: int) -> bool:
        """Whether the view that it is in is over."""
        return 0 < self.timer_due <= now and self.own_view == self.timer_view


class Rescuer:
    """The choices of one replica. Not thread-safe; belongs to it."""

    def __init__(
        self,
        committee: Committee,
        index: int,
        pace_ns: int,
        chains: Chains,
        disputes: Disputes,
        is_next: Callable[[Slot], bool],
        passes: Callable[[Dispute, bytes], bool],
        is_signed: Callable[[Dispute, bytes], bool],
        sees: Callable[[], Clock],
        is_ripe: Callable[[Slot], bool],
        abstains: Callable[[Slot], bool],
    ) -> None:
        """`pace_ns` is the least time between two of one's own blocks.

        `is_next` says whether a slot is the next of its payer here; `passes` whether an order of a dispute
        passes every check of a voter but lock and view; `is_signed` whether its payer signed it; `sees` what
        one's next block may have in its past; `is_ripe` whether a slot may be opened of one's own accord
        at all; `abstains` whether one may have made a promise there that is forgotten.
        """
        self._committee = committee
        self._index = index
        self._pace_ns = pace_ns
        self.stride_ns = pace_ns
        """How far one's own blocks really lie apart when they have been due; nanoseconds."""
        self._chains = chains
        self._disputes = disputes
        self._is_next = is_next
        self._passes = passes
        self._is_signed = is_signed
        self._sees = sees
        self._is_ripe = is_ripe
        self._abstains = abstains
        self._cases: dict[Slot, _Case] = {}
        self._cases_begun = 0
        self._timers: list[tuple[int, int, Slot]] = []
        """A heap of (when, the case's number, slot); some say nothing any more."""
        self._due: dict[Slot, None] = {}
        """Slots whose time has come, or that there is a reason to open."""
        self._tables: dict[bytes, bytes] = {}
        """Payee tables of known orders, by the orders' ids: those that came to this door themselves."""
        self._opened_at: dict[bytes, int] = {}
        self._region_opens: dict[int, int] = {}
        self._in_line: dict[int, dict[Slot, None]] = {}
        """By region the slots that would be opened if fewer others of it were."""
        self._window_at = 0

    # -- what is seen -----------------------------------------------------------------------------

    def note_stride(self, took_ns: int) -> None:
        """One's next block came so long after the one before, and had been due since the pace was over.

        Who is busy speaks more slowly than its pace, and so, most likely, do the others: views that end
        before anybody can have voted in them would make everybody busier still.
        """
        took_ns = min(max(took_ns, self._pace_ns), STRIDE_NS_MAX)
        self.stride_ns += (took_ns - self.stride_ns) // 4

    @property
    def view_ns(self) -> int:
        """How long view 1 may take; nanoseconds."""
        return max(VIEW_BLOCKS * self._pace_ns, VIEW_NS_MIN, VIEW_STRIDES * self.stride_ns)

    def note_order(
        self,
        slot: Slot,
        name: bytes,
        order: Orders,
        table: bytes | None = None,
        *,
        insisted: bool = False,
    ) -> None:
        """An order with a valid signature was seen in a slot that another one occupies.

        `insisted`: it is the only one, was offered again long after the first time, and is not final.
        `table` is the payee table that came with it. Of those few are kept: an order that lies in no block
        and whose table is not kept, is not carried, and recovery does without it.
        """
        case = self._case(slot)
        if case is None:
            return
        case.insisted |= insisted
        if name not in case.known and len(case.known) < FENCE_ORDERS_MAX:
            case.known[name] = order.copy()
            if table is not None and len(self._tables) < RIVAL_TABLES_MAX:
                self._tables[name] = table
        if case.is_justified:
            self._due[slot] = None

    def _case(self, slot: Slot) -> _Case | None:
        case = self._cases.get(slot)
        if case is None and len(self._cases) < KNOWN_SLOTS_MAX:
            self._cases_begun += 1
            case = self._cases[slot] = _Case(self._cases_begun)
        return case

    def forget(self, slot: Slot) -> None:
        """The slot is decided."""
        case = self._cases.pop(slot, None)
        if case is not None:
            for name in case.known:
                self._tables.pop(name, None)
            self._due.pop(slot, None)
            self._in_line.get(_region_of(slot), {}).pop(slot, None)

    def due(self, now: int) -> list[Slot]:
        """The slots whose view has run out, each once, and those that only the rate limits keep shut.

        Oldest cases first.
        """
        self._note_time(now)
        found = []
        self._admit_those_in_line(now)
        for slot in list(self._due):
            case = self._cases.get(slot)
            may_be_opened = case is not None and case.may_be_opened(now)
            if case is not None and (may_be_opened or case.has_run_out(now)):
                found.append((case.number, slot))
            if not may_be_opened:
                del self._due[slot]
                self._wind_up_again(slot, now)
        return [slot for _, slot in sorted(found)]

    def next_timer(self, now: int) -> int | None:
        """When the next view runs out that has not yet, or more slots may be opened; None if neither."""
        self._note_time(now)
        timers = [self._timers[0][0]] if self._timers else []
        if self._in_line:
            timers.append(max(now + 1, self._window_at + OPEN_AGAIN_NS))
        return min(timers, default=None)

    def _wind_up_again(self, slot: Slot, now: int) -> None:
        """A slot is not due any more; if that is because the clock was set back, it will be again."""
        case = self._cases.get(slot)
        if case is not None:
            for at in (case.timer_due, case.view_0_due):
                if at > now:
                    heapq.heappush(self._timers, (at, case.number, slot))

    def _admit_those_in_line(self, now: int) -> None:
        """A new window has begun: of each region as many slots are looked at again as it may open, twice."""
        if self._is_in_window(now):
            return
        for region, line in list(self._in_line.items()):
            for slot in list(itertools.islice(line, 2 * REGION_OPENS)):
                del line[slot]
                self._due[slot] = None
            if not line:
                del self._in_line[region]

    def _is_in_window(self, now: int) -> bool:
        return 0 <= now - self._window_at < OPEN_AGAIN_NS

    def _note_time(self, now: int) -> None:
        """Take what has run out from the timers, and what says nothing any more."""
        while self._timers:
            at, number, slot = self._timers[0]
            case = self._cases.get(slot)
            runs = (
                case is not None
                and case.number == number
                and at in (case.timer_due, case.view_0_due)
            )
            if runs and at > now:
                return
            heapq.heappop(self._timers)
            if runs:
                self._due[slot] = None

    # -- what is to be said -----------------------------------------------------------------------

    def owes(self, slot: Slot, now: int) -> bool:
        """Whether there is a fence, a proposal or a vote to put into one's next block."""
        plan = Plan()
        self._consider(slot, now, plan, [], [])
        return bool(plan.fences) or bool(plan.entries)

    def plan(self, slots: list[Slot], now: int) -> Plan:
        """What one's next block says about these slots."""
        plan = Plan()
        proposals: list[Proposal] = []
        votes: list[Vote] = []
        for slot in slots:
            self._consider(slot, now, plan, proposals, votes)
            plan.looked_at.append(slot)
            if len(plan.fences) + len(proposals) + len(votes) >= ENTRIES_MAX:
                break
        return plan

    def _consider(
        self, slot: Slot, now: int, plan: Plan, proposals: list[Proposal], votes: list[Vote]
    ) -> None:
        chains = self._chains
        dispute = self._disputes.get(slot)
        lane = chains.current[self._index]
        own = 0 if dispute is None else dispute.fence(chains, lane, int(chains.heads[lane]))
        if self._takes_no_part(slot, own):
            return
        view = self._wanted_view(slot, dispute, own, now)
        led: tuple[Proposal, bool] | None = None
        fences = plan.entries.fences
        if view > own:
            known = self._cases[slot].known if slot in self._cases else {}
            carried = np.concatenate([_NO_ORDERS, *known.values()])
            fences = (*fences, Fence(slot, view, carried))
            plan.fences[slot] = view
            for name, order in known.items():
                if dispute is None or not self._will_see(dispute, name):
                    self._carry(name, order, plan)
        elif dispute is not None and own:
            led = self._proposal(dispute, own)
            if led is not None:
                proposals.append(led[0])
        if dispute is not None and view:
            vote = self._vote(dispute, lane, view, led)
            if vote is not None:
                votes.append(vote)
        plan.entries = Recovery(fences, tuple(proposals), tuple(votes))

    def _takes_no_part(self, slot: Slot, own: int) -> bool:
        """Whether one has abstained in a slot, or will: then it is not due to be opened either."""
        if own != ABSTAINS and not self._abstains(slot):
            return False
        if slot in self._cases:
            self._cases[slot].own_view = ABSTAINS
        return True

    def _will_see(self, dispute: Dispute, name: bytes) -> bool:
        """Whether an order lies in the past that one's next block will have.

        What is held is not always: a block of somebody whom nobody references any more is in nobody's.
        """
        places = [at for at, lies_there in dispute.places.items() if lies_there == name]
        if not places:
            return False
        clock = self._sees()
        return any(at.height <= clock[at.lane] for at in places)

    def _carry(self, name: bytes, order: Orders, plan: Plan) -> None:
        """Put an order that others may not see into this block; one that names something only with that."""
        if HAS_CONTENT[order["kind"][0]]:
            if name not in self._tables:
                return
            plan.tables[len(plan.orders)] = self._tables[name]
        plan.orders.append(order)

    def _wanted_view(self, slot: Slot, dispute: Dispute | None, own: int, now: int) -> int:
        """The view that this replica should have fenced by now; `own` if that is enough."""
        case = self._cases.get(slot)
        if case is not None:
            case.own_view = own
        if dispute is not None:
            joined = dispute.fenced_by(self._committee.w)
            if joined > own:
                return joined
            if own and dispute.fenced_by(self._committee.q) >= own:
                case = self._case(slot)
                if case is not None and case.timer_view != own:
                    case.timer_view = case.own_view = own
                    case.timer_due = self._runs_out(own, now)
                    heapq.heappush(self._timers, (case.timer_due, case.number, slot))
                elif case is not None and now >= case.timer_due:
                    return own + 1
        if own or not self._is_next(slot) or not self._is_ripe(slot):
            return own
        if dispute is not None and (len(dispute.orders) > 1 or dispute.fenced_by(1)):
            case = self._with_view_0(dispute, now)
        if case is None or not case.is_justified:
            return own
        if dispute is not None and dispute.comes_by_itself(self._chains, self._sees):
            return own
        case.opening = case.opening or self._may_open(slot, now)
        return 1 if case.opening else 0

    def _with_view_0(self, dispute: Dispute, now: int) -> _Case | None:
        """The case of a slot in which several orders lie, or one that somebody fenced.

        What justifies to open it is in hand when view 0 is over: two signed orders, or one and the fence.
        """
        case = self._case(dispute.slot)
        if case is None or case.is_justified or now < case.view_0_due:
            return case
        signed = self._signed(dispute)
        is_fenced = dispute.fenced_by(1) > 0
        if len(signed) < (1 if is_fenced else FENCE_ORDERS_MAX):
            return case
        if case.view_0_due:
            case.known = {name: dispute.orders[name] for name in signed[:FENCE_ORDERS_MAX]}
            case.insisted |= is_fenced
        else:
            case.view_0_due = now + self.view_ns
            heapq.heappush(self._timers, (case.view_0_due, case.number, dispute.slot))
        return case

    def _runs_out(self, view: int, now: int) -> int:
        """When a view is over that begins now.

        Views at the cap run out together, whichever the slot: however many slots stay undecided, because too
        few are up, they make for a few blocks in each such time.
        """
        lasts = min(view, VIEWS_CAP) * self.view_ns
        if view < VIEWS_CAP:
            return now + lasts
        return -(-(now + lasts) // lasts) * lasts

    def _may_open(self, slot: Slot, now: int) -> bool:
        """Whether the rate limits let it be opened; of a region that has opened too many it waits in line."""
        if not self._is_in_window(now):
            self._window_at = now
            self._region_opens.clear()
            self._opened_at = {
                subject: at
                for subject, at in self._opened_at.items()
                if 0 <= now - at < OPEN_AGAIN_NS
            }
        region = _region_of(slot)
        opens = self._region_opens.get(region, 0)
        if opens >= REGION_OPENS:
            self._in_line.setdefault(region, {})[slot] = None
            self._due.pop(slot, None)
            return False
        if slot.subject in self._opened_at:
            return False
        self._opened_at[slot.subject] = now
        self._region_opens[region] = opens + 1
        return True

    def _proposal(self, dispute: Dispute, view: int) -> tuple[Proposal, bool] | None:
        """What to propose as the leader of one's own view, once q authors' fences are in one's past.

        And whether a certificate forces it.
        """
        chains = self._chains
        if dispute.slot.leader(view, self._committee.n) != self._index:
            return None
        if any(chains.lanes[p.lane].author == self._index for p in dispute.proposals.get(view, ())):
            return None
        clock = self._past()
        fences = [
            (chains.lanes[lane], fence, lane)
            for lane, found in sorted(dispute.fences.items())
            for fence in found
            if fence.view == view and fence.height <= clock[lane]
        ]
        proof: dict[int, tuple[int, int, int, bytes]] = {}
        certified: list[Candidate] = []
        for lane, fence, at in fences:
            name = chains.digest_at(at, fence.height)
            if lane.author in proof or name is None or len(proof) == self._committee.q:
                continue
            proof[lane.author] = lane.author, lane.incarnation, fence.height, name
            if fence.statement is not None:
                certified.append(fence.statement)
        if len(proof) < self._committee.q:
            return None
        value = max(certified).value if certified else self._choice(dispute, view)
        return Proposal(dispute.slot, view, value, tuple(proof.values())), bool(certified)

    def _past(self) -> npt.NDArray[np.int32]:
        """The clock that one's next block will have: all that is held but for what nobody references."""
        chains = self._chains
        rows = [chains.head_row(chains.current[author])[0] for author in range(self._committee.n)]
        past: npt.NDArray[np.int32] = np.maximum.reduce(rows)
        return past

    def _choice(self, dispute: Dispute, view: int) -> bytes:
        """What to propose where nothing is certified: skip, or in odd views an order that passes.

        In the first w views it is the only order, if there is but one: whether it passes each voter judges,
        for who leads may lag. Of several a key that takes over comes first: whoever has the old one could
        cancel for ever. Then a cancel, for it is the payer's later wish; then the one with the most votes.
        """
        lone = self._awaited(dispute, view)
        if lone is not None:
            return lone
        if view % 2 == 0:
            return SKIP
        passing = [name for name in dispute.orders if self._passes(dispute, name)]
        return min(
            passing,
            key=lambda name: (
                dispute.orders[name]["kind"][0] != _TAKE_KEY,
                dispute.orders[name]["kind"][0] != _CANCEL,
                -len(dispute.votes.get(Candidate(0, name), ())),
                name,
            ),
            default=SKIP,
        )

    def _signed(self, dispute: Dispute) -> list[bytes]:
        """Which orders of a slot its payer signed, as far as is known."""
        return [name for name in dispute.orders if self._is_signed(dispute, name)]

    def _awaited(self, dispute: Dispute, view: int) -> bytes | None:
        """The lone order of a slot as long as it is waited for; None where there is none, or several.

        That is until somebody honest has led, and longer if it passes.
        """
        w = self._committee.w
        if view > w + LONE_VIEWS:
            return None
        signed = self._signed(dispute)
        if len(signed) != 1:
            return None
        return signed[0] if view <= w or self._passes(dispute, signed[0]) else None

    def _vote(
        self, dispute: Dispute, lane: int, view: int, led: tuple[Proposal, bool] | None
    ) -> Vote | None:
        """One vote in the view of one's own fence, for a proved proposal; what is free must pass.

        `led` is one's own proposal for this view, in the block that is being made.
        """
        if dispute.vote_of(self._chains, lane, view) is not None:
            return None
        own = [] if led is None else [(led[0].value, led[1])]
        theirs = [(p.value, p.forced) for p in dispute.proposals.get(view, ())]
        for value, forced in own + theirs:
            if forced or self._may_be(dispute, view, value):
                return Vote(dispute.slot, view, value)
        return None

    def _may_be(self, dispute: Dispute, view: int, value: bytes) -> bool:
        """Whether to vote for what nobody has certified: an order that passes, or a skip that waited."""
        if value != SKIP:
            return self._passes(dispute, value)
        if view <= self._committee.w:
            return len(self._signed(dispute)) > 1
        return self._awaited(dispute, view) is None


def _region_of(slot: Slot) -> int:
    """The region of an account's number; -1 for what no account is."""
    return slot.payer >> 20 if slot.is_of_account else -1
