"""The desk at which a super-agent's operators decide what it votes for in governance.

Whatever a central operator would do with a master key is here an order of the kinds GOVERNED: proposed
by one super-agent, in a slot of what it is about. A replica votes for such an order only if this desk
has told it that two of this super-agent's own operators approved it. The votes of q super-agents are
the q signatures that make it final; there is nothing to collect and nobody who collects.

**What the desk knows.** Proposals come from the blocks of all super-agents (`Effects.proposed`, those
read during catch-up and from one's own journal too), and from this super-agent's own operators. It
keeps each with its approvals, and in whose blocks it was seen: carrying it *is* a super-agent's vote.

**What the desk does.** As soon as two operators have approved, it tells the engine so and brings the
order to its own door; it does both again after a restart, and until its own block has it. An order
proposed here is signed with the enrolment key only then: nobody alone, and no stranger who breaks into
the desk's folder, makes this super-agent sign anything.

**What it promises.** An approval counts if the signature holds, for this super-agent and this order, by
a key that the configuration names now; two different keys are needed. What is approved was judged by the
rules as they are at that moment, and the judgement was shown. Nothing here holds up a payment: the desk
asks the engine small questions, and what a liar can make it keep is bounded by who proposes
(`node.proposals`).
"""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from harambee.crypto.hashing import TAG_ORDER, TAG_POSSESSION, signed_prefix
from harambee.crypto.keys import PublicKey, verify
from harambee.crypto.signatures import sign
from harambee.handset.approvals import approval_holds
from harambee.handset.orders import order_id
from harambee.ledger.kinds import GOVERNED, IS_GOVERNED, MOVEMENTS, OrderKind
from harambee.ledger.ledger import Ledger, slot_of
from harambee.ledger.outcomes import SENTENCES, Outcome
from harambee.ledger.payees import TARIFF_BYTES_MAX, document_digest, tables_of
from harambee.ledger.records import (
    BODY_BYTES,
    KEY_FORM_MASK,
    ORDER,
    POSITION_ENROLMENT,
    SEQUENCE_LAST,
    account_number,
)
from harambee.ledger.side_tables import subject_of_account
from harambee.node.config import OPERATORS_NEEDED
from harambee.node.network_folder import NodeFiles
from harambee.node.port import (
    GovernanceError,
    Governed,
    ProposalView,
    State,
    Submission,
    UnavailableError,
)
from harambee.node.proposals import (
    RECORD_DAYS,
    UNSIGNED,
    Proposal,
    ProposalState,
    ProposalStore,
    ProposalStoreError,
)
from harambee.protocol.effects import Proposed
from harambee.protocol.genesis import Genesis
from harambee.protocol.messages import ApprovalsChanged, Message
from harambee.protocol.replica import Replica

T = TypeVar("T")
Orders = npt.NDArray[np.void]

REFRESH_S: Final = 2.0
"""How often the desk looks at what is open, where nothing wakes it up."""
OFFER_WAIT_MS: Final = 200
PAUSE_S: Final = 0.2
"""At least so long it rests between two looks, whatever comes."""
SEEN_WAITING_MAX: Final = 64
"""Orders seen in blocks of one super-agent that wait to be looked at; further ones are left out."""
OLD_AT_ONCE: Final = 8
"""Of what is older than its days so much is looked for in the ledger at one look, for the record."""
WALK_MAX: Final = 1_000
"""How far an account's newest entries are walked for what became final in a governance slot of it,"""
READ_MAX: Final = 64
"""and how many orders are read for it."""
JUDGED_FOR_S: Final = 1.0
"""So long a judgement is good for whoever only looks: whoever approves has a new one."""
SIGNATURE_BYTES: Final = 64

log: Final = logging.getLogger(__name__)


class Source(Protocol):
    """What the desk asks of its super-agent; `harambee.node.service.Service` has it."""

    @property
    def genesis(self) -> Genesis:
        """The network's genesis."""

    @property
    def index(self) -> int:
        """This super-agent's index in the committee."""

    def today(self) -> int:
        """The day number of now."""

    def ready(self) -> str | None:
        """None when this super-agent serves."""

    async def ask(self, question: Callable[[Replica], T]) -> T:
        """Ask the replica; UnavailableError where it cannot answer."""

    async def orders_at(self, entries: npt.NDArray[np.void]) -> Orders:
        """The ORDER that each ENTRY stands for."""

    async def submit(
        self,
        orders: Orders,
        possessions: dict[int, bytes],
        wait_ms: int,
        tables: Mapping[int, bytes],
    ) -> Submission:
        """Bring orders to this super-agent's own door."""


@dataclass(frozen=True, slots=True)
class _Look:
    """What the ledger says of one proposal now."""

    outcome: Outcome | None
    """None where it was not judged."""
    following: int
    """The next slot of what it is about."""
    entries: npt.NDArray[np.void]
    """ENTRY records among which the order is, if it is final."""
    is_brought: bool = False
    """Whether the tariff that it brings is one of the ledger's."""


@dataclass
class GovernanceDesk:
    """The desk of one super-agent. Belongs to the event loop's thread."""

    files: NodeFiles
    source: Source
    store: ProposalStore
    tell: Callable[[Message], None]
    """Lets the engine's replica receive something."""

    _outcomes: dict[bytes, Outcome] = field(default_factory=dict)
    """What the rules said of each open proposal when it was last judged."""
    _judged_at: dict[bytes, float] = field(default_factory=dict)
    _seen: dict[int, deque[Proposed]] = field(default_factory=dict)
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _writing: asyncio.Lock = field(default_factory=asyncio.Lock)
    _told: frozenset[bytes] | None = None
    _trouble: str | None = None
    _task: asyncio.Task[None] | None = None

    # -- what the runner tells ---------------------------------------------------------------------

    def start(self) -> None:
        """Begin to look at proposals."""
        self._task = asyncio.create_task(self.run())

    async def stop(self) -> None:
        """End; whatever was approved is on disk."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def seen(self, proposed: Iterable[Proposed]) -> None:
        """Governance orders lie in blocks that were taken in."""
        for one in proposed:
            waiting = self._seen.setdefault(one.block.author, deque())
            if len(waiting) < SEEN_WAITING_MAX:
                waiting.append(one)
            self._news.set()

    def note_final(self, orders: Orders) -> None:
        """Orders became final here, (n,)."""
        if IS_GOVERNED[orders["kind"]].any():
            self._news.set()

    def facts(self) -> dict[str, int]:
        """Return what the status shows of it."""
        waiting = self.store.waiting()
        return {
            "proposals_waiting": len(waiting),
            "proposals_to_approve": sum(not self._is_approved(one) for one in waiting),
        }

    async def run(self) -> None:
        """Look, tell and offer for ever; ends only when cancelled."""
        while True:
            try:
                await self.step()
                self._say(None)
            except UnavailableError:
                pass  # it reads its journal, or its disk is full; its own status says so
            except ProposalStoreError as error:
                self._say(str(error))
            except Exception:
                # Ours; payments go on, and proposals are looked at again.
                log.exception("proposals could not be looked at")
            await asyncio.sleep(PAUSE_S)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), REFRESH_S)

    def _say(self, trouble: str | None) -> None:
        """Log why nothing can be kept, once."""
        if trouble is not None and self._trouble is None:
            log.error("%s; approvals wait", trouble)
        self._trouble = trouble

    async def step(self) -> None:
        """Take in what was seen, see what became of what is open, and bring what is approved to the door."""
        self._news.clear()
        async with self._writing:
            self._tell_approved()
            await self._take_seen()
            await self._look_at_all()
            self.store.sweep(self.source.today())
            self._tell_approved()
        await self._offer_approved()

    # -- what operators do -------------------------------------------------------------------------

    async def proposals(self) -> list[ProposalView]:
        """Return all that are kept, the newest first."""
        found = sorted(self.store, key=lambda one: one.seen_ms, reverse=True)
        return [self._view(one) for one in found]

    async def proposal(self, name: bytes) -> ProposalView:
        """Return one, judged by the rules as they are now; GovernanceError if it is unknown."""
        proposal = self._known(name)
        age_s = time.monotonic() - self._judged_at.get(name, -JUDGED_FOR_S)
        if proposal.state is ProposalState.WAITING and age_s >= JUDGED_FOR_S:
            await self._judge(proposal)
        return self._view(proposal)

    async def propose(
        self,
        order: bytes,
        possession: bytes | None,
        content: bytes | None,
        operator: str | None,
        approval: bytes | None,
    ) -> ProposalView:
        """Keep a new proposal; with the approval of the operator who makes it, if it is made here.

        `order` are 128 bytes: unsigned if they are this super-agent's own, whole if they are a bank's, or
        another super-agent's. GovernanceError says why it is not kept.
        """
        name = order_id(self.source.genesis.network, order)
        now_ms = time.time_ns() // 1_000_000
        proposal = Proposal(name, order, possession, content, now_ms)
        async with self._writing:
            if self.store.get(name) is not None:
                raise GovernanceError("PROPOSAL_KNOWN", "This is proposed already; approve it.")
            await self._check_new(proposal, operator, approval)
            if not self.store.has_room(proposal):
                raise GovernanceError(
                    "PROPOSALS_FULL", "Too many proposals of this proposer are open already."
                )
            await self._check_rules(proposal)
            if operator is not None:
                proposal = self._with_approval(proposal, operator, approval)
            await self._write(proposal)
        self._news.set()
        return self._view(proposal)

    async def approve(self, name: bytes, operator: str, approval: bytes) -> ProposalView:
        """Count an operator's approval; GovernanceError where it does not count."""
        async with self._writing:
            proposal = self._known(name)
            self._check_approval(proposal, operator, approval)
            await self._look_at_all()
            if proposal.state is not ProposalState.WAITING:
                raise GovernanceError(
                    "PROPOSAL_ENDED", f"This proposal is {proposal.state} already."
                )
            if self.files.config.operators[operator] in proposal.approvals:
                raise GovernanceError(
                    "APPROVED_ALREADY",
                    f"{operator} has approved this already; it takes {OPERATORS_NEEDED} operators.",
                )
            await self._check_rules(proposal)
            proposal = self._with_approval(proposal, operator, approval)
            await self._write(proposal)
            self._tell_approved()
        self._news.set()
        return self._view(proposal)

    async def governed(self, account: int) -> Governed | None:
        """Return what of an account is governed; None where there is no such account."""

        def question(replica: Replica) -> Governed | None:
            ledger = replica.ledger
            if ledger.account(account) is None:
                return None
            subject = subject_of_account(account)
            return Governed(
                next_slot=ledger.side.governed.get(subject, 0),
                key_request=ledger.side.key_requests.get(account),
                attestation=ledger.side.attestations.get(account),
                limit_cents=ledger.issuers.get(account),
            )

        return await self.source.ask(question)

    # -- checking ----------------------------------------------------------------------------------

    def _known(self, name: bytes) -> Proposal:
        proposal = self.store.get(name)
        if proposal is None:
            raise GovernanceError("PROPOSAL_UNKNOWN", "There is no such proposal here.")
        return proposal

    async def _check_new(
        self, proposal: Proposal, operator: str | None, approval: bytes | None
    ) -> None:
        """Raise GovernanceError unless an operator of this super-agent proposes, or a proposer signed."""
        row = np.frombuffer(proposal.order, ORDER)[0]
        if int(row["kind"]) not in GOVERNED:
            raise GovernanceError("NOT_GOVERNED", "Only what is governed is proposed.")
        if not self.store.may_propose(int(row["payer"])):
            raise GovernanceError(
                "PROPOSER_WRONG", "Only a super-agent's enrolment account or a bank proposes."
            )
        if not _is_complete(proposal):
            raise GovernanceError(
                "CONTENT_MISSING",
                "The document or the signature of the new key that belongs to it is missing or wrong.",
            )
        if operator is not None:
            self._check_approval(proposal, operator, approval)
        if proposal.is_signed:
            if not (await self._are_signed([proposal]))[0]:
                raise GovernanceError("SIGNATURE_INVALID", "Its proposer has not signed it.")
        elif operator is None:
            raise GovernanceError(
                "APPROVAL_MISSING", "An unsigned proposal comes with an operator's approval."
            )
        elif not self._is_own(proposal):
            raise GovernanceError(
                "PROPOSER_WRONG", "This super-agent signs for its own enrolment accounts alone."
            )

    def _check_approval(self, proposal: Proposal, operator: str, approval: bytes | None) -> None:
        operators = self.files.config.operators
        if not operators:
            raise GovernanceError(
                "OPERATOR_UNKNOWN", "This super-agent's configuration names no operators."
            )
        key = operators.get(operator)
        if key is None:
            raise GovernanceError("OPERATOR_UNKNOWN", "There is no operator of this name here.")
        network = self.source.genesis.network
        if approval is None or not approval_holds(
            key, network, self.source.index, proposal.id, approval
        ):
            raise GovernanceError(
                "APPROVAL_INVALID",
                "This is not the approval of this operator for this proposal here.",
            )

    async def _check_rules(self, proposal: Proposal) -> None:
        """Raise GovernanceError unless the rules would let it become final now."""
        outcome = await self._judge(proposal)
        if outcome is not Outcome.ACCEPTED:
            raise GovernanceError("RULE_BROKEN", f"It would break a rule now: {SENTENCES[outcome]}")

    async def _judge(self, proposal: Proposal) -> Outcome:
        """Return what the rules say of a proposal now, and remember it."""
        (look,) = await self._looks([proposal], judged=True)
        assert look.outcome is not None
        self._remember(proposal, look.outcome)
        return look.outcome

    def _remember(self, proposal: Proposal, outcome: Outcome) -> None:
        self._outcomes[proposal.id] = outcome
        self._judged_at[proposal.id] = time.monotonic()

    def _is_own(self, proposal: Proposal) -> bool:
        regions = self.source.genesis.committee.members[self.source.index].regions
        own = [account_number(region, POSITION_ENROLMENT) for region in regions]
        return proposal.body.payer in own

    async def _are_signed(self, proposals: list[Proposal]) -> list[bool]:
        """Whether the keys that the payers have now have signed each of these orders."""
        payers = np.array([proposal.body.payer for proposal in proposals], np.uint32)
        found = await self.source.ask(lambda replica: replica.ledger.keys_of(payers))
        prefix = signed_prefix(TAG_ORDER, self.source.genesis.network)

        def check() -> list[bool]:
            return [
                bool(is_known)
                and verify(
                    PublicKey(int(form), key.tobytes()),
                    prefix + one.order[:BODY_BYTES],
                    one.order[BODY_BYTES:],
                )
                for one, key, form, is_known in zip(proposals, *found, strict=True)
            ]

        return await asyncio.to_thread(check)

    async def _looks(self, proposals: list[Proposal], *, judged: bool) -> list[_Look]:
        """Say where proposals stand; with `judged` also what the rules say, as if they were approved.

        To judge a tariff is to read its document, milliseconds in which nobody pays: so it is done for those
        that somebody approves or asks for, and not for all again and again.
        """
        if not proposals:
            return []
        orders = np.frombuffer(b"".join(one.order for one in proposals), ORDER)
        tables = tables_of(one.content for one in proposals if one.content is not None)
        proven = np.array([judged and self._is_proven(one) for one in proposals], np.bool_)
        today = self.source.today()

        def question(replica: Replica) -> list[_Look]:
            ledger = replica.ledger
            holds = np.ones(len(orders), np.bool_)
            codes = ledger.check(orders, holds, proven, today, tables) if judged else None
            return [
                _look(ledger, order, None if codes is None else Outcome(codes[row]))
                for row, order in enumerate(orders)
            ]

        return await self.source.ask(question)

    def _is_proven(self, proposal: Proposal) -> bool:
        """Whether a new key has signed for itself; True of what brings none."""
        if proposal.body.kind is not OrderKind.REQUEST_KEY:
            return True
        if proposal.possession is None:
            return False
        signed = signed_prefix(TAG_POSSESSION, self.source.genesis.network)
        signed += proposal.order[:BODY_BYTES]
        key = PublicKey(proposal.body.options[1] & KEY_FORM_MASK, proposal.body.reference)
        return verify(key, signed, proposal.possession)

    # -- taking in what was seen -------------------------------------------------------------------

    async def _take_seen(self) -> None:
        """Keep what lies in blocks and is signed by who may propose.

        What is known by these very bytes, or has no room, costs no signature.
        """
        batch = [one for waiting in self._seen.values() for one in waiting]
        self._seen.clear()
        new: dict[bytes, tuple[Proposal, list[Proposed]]] = {}
        for one in batch:
            proposal = self._read(one)
            if proposal is None:
                continue
            known = self.store.get(proposal.id)
            if known is not None and known.order == proposal.order:
                await self._note_places(known, [one])
            elif known is not None or self.store.has_room(proposal):
                new.setdefault(one.order.tobytes(), (proposal, []))[1].append(one)
        if not new:
            return
        try:
            signed = await self._are_signed([proposal for proposal, _ in new.values()])
        except UnavailableError:
            self.seen(one for _, places in new.values() for one in places)
            raise
        old = 0
        for (proposal, places), is_signed in zip(new.values(), signed, strict=True):
            if not is_signed or not (proposal.possession is None or self._is_proven(proposal)):
                continue
            if self.store.get(proposal.id) is None and not self._is_of_these_days(proposal):
                old += 1
                if old > OLD_AT_ONCE or not await self._is_recorded(proposal):
                    continue  # it died before it was heard of here
            await self._keep_seen(proposal, places)

    def _read(self, one: Proposed) -> Proposal | None:
        """Return a seen order as a proposal, unless it is none that this desk would ever keep."""
        order = one.order[0]
        if int(order["kind"]) not in GOVERNED or not self.store.may_propose(int(order["payer"])):
            return None
        written = one.order.tobytes()
        name = order_id(self.source.genesis.network, written)
        now_ms = time.time_ns() // 1_000_000
        proposal = Proposal(name, written, one.possession, one.content, now_ms)
        return proposal if _is_complete(proposal) else None

    def _is_of_these_days(self, proposal: Proposal) -> bool:
        return abs(proposal.body.day - self.source.today()) <= 1

    async def _is_recorded(self, proposal: Proposal) -> bool:
        """Whether an order that is older than its days became final, and lately: kept for the record."""
        if self.source.today() - proposal.body.day > RECORD_DAYS:
            return False
        (look,) = await self._looks([proposal], judged=False)
        return await self._is_final(proposal, look)

    async def _keep_seen(self, proposal: Proposal, places: list[Proposed]) -> None:
        known = self.store.get(proposal.id)
        if known is None:
            if not self.store.has_room(proposal):
                return
            await self._write(proposal)
            known = proposal
        elif not known.is_signed:
            known.order = proposal.order
            await self._write(known)
        await self._note_places(known, places)

    async def _note_places(self, known: Proposal, places: list[Proposed]) -> None:
        """Note in whose blocks it lies."""
        before = len(known.carried)
        for place in places:
            known.carried.setdefault(place.block.author, place.block)
        if len(known.carried) > before:
            await self._write(known)

    # -- what became of them -----------------------------------------------------------------------

    async def _look_at_all(self) -> None:
        """See what became of what is open, and of what died lately: it may have been certified before."""
        today = self.source.today()
        looked_at = [
            one
            for one in self.store
            if one.state is ProposalState.WAITING
            or (one.state is ProposalState.DEAD and one.ended_day >= today - 1)
        ]
        looks = await self._looks(looked_at, judged=False)
        for proposal, look in zip(looked_at, looks, strict=True):
            state = ProposalState.WAITING
            if look.following > proposal.body.sequence:
                is_final = await self._is_final(proposal, look)
                state = ProposalState.FINAL if is_final else ProposalState.REPLACED
            elif today > proposal.dies_after:
                state = ProposalState.DEAD
            if state is not proposal.state and not (
                proposal.state is ProposalState.DEAD and state is ProposalState.WAITING
            ):
                proposal.state, proposal.ended_day = state, today
                self._outcomes.pop(proposal.id, None)
                self._judged_at.pop(proposal.id, None)
                await self._write(proposal)
        fresh = [one for one in self.store.waiting() if one.id not in self._outcomes]
        for proposal, look in zip(fresh, await self._looks(fresh, judged=True), strict=True):
            if look.outcome is not None:
                self._remember(proposal, look.outcome)

    async def _is_final(self, proposal: Proposal, look: _Look) -> bool:
        """Whether this very order is the one that is final in its slot."""
        if look.following <= proposal.body.sequence:
            return False
        if proposal.body.kind is OrderKind.NEW_TARIFF:
            return look.is_brought
        orders = await self.source.orders_at(look.entries)
        return any(one.tobytes()[:BODY_BYTES] == proposal.order[:BODY_BYTES] for one in orders)

    # -- telling and offering ----------------------------------------------------------------------

    def _operators_of(self, proposal: Proposal) -> list[str]:
        """The operators who have approved it, of those that the configuration names now."""
        operators = self.files.config.operators
        return [name for name, key in operators.items() if key in proposal.approvals]

    def _is_approved(self, proposal: Proposal) -> bool:
        return len(self._operators_of(proposal)) >= OPERATORS_NEEDED

    def _approved(self) -> list[Proposal]:
        return [one for one in self.store.waiting() if self._is_approved(one)]

    def _tell_approved(self) -> None:
        """Tell the replica what it may vote for: always, for one that begins anew has not been told."""
        approved = frozenset(one.id for one in self._approved())
        if approved or self._told:
            self.tell(ApprovalsChanged(approved))
        self._told = approved

    async def _offer_approved(self) -> None:
        """Bring what is approved, and does not lie in a block of this super-agent, to its own door."""
        for proposal in self._approved():
            if self.source.index in proposal.carried or self.source.ready() is not None:
                continue
            if await self._judge(proposal) is not Outcome.ACCEPTED:
                continue
            async with self._writing:
                if not proposal.is_signed:
                    body = proposal.order[:BODY_BYTES]
                    prefix = signed_prefix(TAG_ORDER, self.source.genesis.network)
                    proposal.order = body + sign(self.files.enrolment, prefix + body)
                    await self._write(proposal)
            submission = await self.source.submit(
                np.frombuffer(proposal.order, ORDER),
                {} if proposal.possession is None else {0: proposal.possession},
                OFFER_WAIT_MS,
                {} if proposal.content is None else {0: proposal.content},
            )
            if State(submission.states[0]) is State.REFUSED:
                outcome = Outcome(submission.outcomes[0])
                log.warning(
                    "what two operators approved is refused at this door: %s", SENTENCES[outcome]
                )

    def _with_approval(self, proposal: Proposal, operator: str, approval: bytes | None) -> Proposal:
        """Return it with one approval more; nothing counts before it is on disk."""
        assert approval is not None, "it was checked"
        key = self.files.config.operators[operator]
        return replace(proposal, approvals=proposal.approvals | {key: approval})

    async def _write(self, proposal: Proposal) -> None:
        await asyncio.to_thread(self.store.write, proposal)
        self.store.keep(proposal)

    def _view(self, proposal: Proposal) -> ProposalView:
        outcome = self._outcomes.get(proposal.id)
        if proposal.state is not ProposalState.WAITING:
            outcome = None
        return ProposalView(
            id=proposal.id,
            order=proposal.order,
            possession=proposal.possession,
            content=proposal.content,
            seen_ms=proposal.seen_ms,
            dies_after=proposal.dies_after,
            approvals=tuple(self._operators_of(proposal)),
            carried=tuple(sorted(proposal.carried)),
            state=proposal.state.value,
            outcome=outcome,
        )


def _look(ledger: Ledger, order: np.void, outcome: Outcome | None) -> _Look:
    """Say where one proposed order stands in a ledger."""
    space, subject, sequence = slot_of(order)
    following = ledger.next_in(space, subject)
    entries = ledger.entries[:0]
    if following <= sequence:
        return _Look(outcome, following, entries)
    is_brought = int(order["kind"]) == OrderKind.NEW_TARIFF and any(
        tariff.version == int(order["tariff"])
        and document_digest(tariff.to_bytes()) == order["reference"].tobytes()
        for tariff in ledger.tariffs
    )
    walked = ledger.entries[ledger.entries_of(int(order["payee"]), WALK_MAX)]
    governed = walked[walked["sequence"] == SEQUENCE_LAST][:READ_MAX]
    return _Look(outcome, following, governed.copy(), is_brought)


def _is_complete(proposal: Proposal) -> bool:
    """Whether exactly what the order names came beside it."""
    kind = proposal.body.kind
    needs_document = MOVEMENTS[kind].by_document
    if needs_document != (proposal.content is not None):
        return False
    if proposal.content is not None and (
        len(proposal.content) > TARIFF_BYTES_MAX
        or document_digest(proposal.content) != proposal.body.reference
    ):
        return False
    brings_key = kind is OrderKind.REQUEST_KEY
    if brings_key != (proposal.possession is not None):
        return False
    return proposal.possession is None or len(proposal.possession) == SIGNATURE_BYTES


assert bytes(SIGNATURE_BYTES) == UNSIGNED
