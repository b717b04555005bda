"""A customer's device: it pays, asks, registers and cancels through any super-agents that answer.

What it believes (PROTOCOL section 5): its own copy of the genesis; a payee's account and its own
next sequence when w super-agents say the same; "final" on w signed receipts; "refused" on q signed
refusals.

What it never does: sign a second payment in an open slot. The signed bytes are durable before they
first leave; whatever happens then, the next run sends the same bytes again. When q super-agents
refuse, it signs a cancel for the slot, because a refused order is not dead: only when the cancel is
final is the payment shown as failed.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise
from typing import Final, TypeVar

import msgspec

from harambee.crypto.keys import OwnerKey, PublicKey, public_of
from harambee.handset.agreement import DisagreementError
from harambee.handset.announcing import verdict_on
from harambee.handset.believing import (
    ROUND_PAUSE_S,
    ROUNDS,
    HandsetError,
    believed,
    check_network,
)
from harambee.handset.doors import (
    AccountView,
    Door,
    DoorError,
    DoorProblemError,
    Line,
    Outlook,
    Shop,
    Statement,
)
from harambee.handset.holds import slot_named
from harambee.handset.numbers import canonical_number
from harambee.handset.orders import (
    NO_OPTIONS,
    NO_REFERENCE,
    PAYEE_ROW,
    OrderBody,
    OrderError,
    bill_reference,
    cancel_of,
    check_between,
    check_join,
    check_reference,
    fee_of,
    kind_between,
    options_for,
    order_id,
    sign_order,
    sign_possession,
    today,
)
from harambee.handset.receipt_code import code_of
from harambee.handset.receipts import Receipt
from harambee.handset.settlement import Decision, Settlement, SlotOfOrders
from harambee.handset.tariffs import tariff_of_day
from harambee.handset.telephone import TelephoneError, telephone
from harambee.handset.wallet import Wallet, WalletState
from harambee.ledger.kinds import ENDINGS, OrderKind
from harambee.ledger.outcomes import SENTENCES, Outcome
from harambee.ledger.payees import table_digest
from harambee.ledger.records import (
    BODY_BYTES,
    KEY_FORM_MASK,
    POSITION_ENROLMENT,
    AccountKind,
    account_number,
    region_of,
)
from harambee.protocol.genesis import Genesis

PATIENCE_S: Final = 15
ENROLMENT_TRIES: Final = 4
PAGE_LINES: Final = 500
LINES_MAX: Final = 1_000_000
"""A statement of more is to be asked for in periods; a door that pages for ever is left."""
CLOCKS_DIFFER_MS: Final = 86_400_000
"""Lines stand in the order of applying, and their authors' clocks may differ by so much."""

T = TypeVar("T", bound=Hashable)
A = TypeVar("A")

__all__ = [
    "Balance",
    "Handset",
    "HandsetError",
    "Line",
    "Payment",
    "PaymentStatus",
    "Statement",
    "believed",
    "check_network",
]


class PaymentStatus(StrEnum):
    """What the customer may be told."""

    FINAL = "final"
    SENT = "sent"
    """A super-agent has it; it may still become final. The next run goes on with it."""
    WAITING = "waiting"
    """Nobody has answered about it. The next run goes on with it."""
    REFUSED = "refused"
    """Refused, and cancelled: it can never become final."""
    CANCELLED = "cancelled"
    """Cancelled because the customer asked: it can never become final."""
    REPLACED = "replaced"
    """The slot went to an order that this handset did not make: the key is in use elsewhere."""


@dataclass(frozen=True, slots=True)
class Payment:
    """What became of a payment."""

    status: PaymentStatus
    sentence: str
    payer: int
    payee: int
    amount_cents: int
    fee_cents: int
    sequence: int
    kind: OrderKind
    order: bytes
    order_id: bytes
    receipt_code: str
    outcome: Outcome = Outcome.ACCEPTED
    """Why it was refused, where it was."""
    receipts: tuple[Receipt, ...] = ()
    """Of w distinct super-agents, where it is final."""
    via: str | None = None
    latency_ms: int = 0
    resumed: bool = False
    """This is an earlier payment of the same amount to the same payee, not a second one."""

    @property
    def is_open(self) -> bool:
        """Whether it may still become final."""
        return self.status in (PaymentStatus.SENT, PaymentStatus.WAITING)


@dataclass(frozen=True, slots=True)
class Balance:
    """What an account holds."""

    account: int
    cents: int
    agreed: bool
    """Whether w super-agents say so; a very busy account may differ from door to door."""
    held_cents: int = 0
    """Of it: what is held for somebody."""
    frozen_cents: int = 0
    """Of it: what super-agents have frozen."""

    @property
    def available_cents(self) -> int:
        """What of it can be paid."""
        return self.cents - self.held_cents - self.frozen_cents


@dataclass(frozen=True, slots=True)
class WholeStatement:
    """All that one door tells of an account; lines newest first."""

    account: AccountView
    lines: list[Line]


@dataclass(frozen=True)
class Handset:
    """One customer's view of the network through `doors`, which are asked in their order.

    Every method raises HandsetError or WalletError with one sentence when it cannot do its work.
    """

    genesis: Genesis
    doors: Sequence[Door]
    wallet: Wallet
    patience_s: float = PATIENCE_S
    day: Callable[[], int] = today

    async def pay(
        self,
        payee: int | str,
        amount_cents: int,
        kind: OrderKind | None = None,
        *,
        account: str | None = None,
        airtime_for: str | None = None,
    ) -> Payment:
        """Pay an account number, a telephone number or a short code.

        Without `kind`, the only one there is. `account` is that of a bill at the biller, or what the
        customer of a till writes, and `airtime_for` the number to be topped up if it is not the payer's
        own. A merchant is told the account before, because the order has only a hash of it; HandsetError
        if she says that she does not take the payment.

        A payment that was left open by an earlier run is brought to its end first. If it was the
        same payment, that is the answer, and nothing more is paid.
        """
        with self.wallet.locked():
            payee = await self.payee_number(payee)
            kind, reference = await self._reference(payee, kind, account, airtime_for)
            earlier = await self._finish_earlier()
            if earlier is not None:
                same = (earlier.payee, earlier.amount_cents) == (payee, amount_cents)
                if same and earlier.kind is OrderKind.HOLD and not earlier.is_open:
                    raise HandsetError(
                        "This amount is held for this payee already, by an earlier command: "
                        "release it or void it."
                    )
                if (
                    same
                    and kind in (None, earlier.kind)
                    and OrderBody.from_bytes(earlier.order).reference == reference
                ):
                    return replace(earlier, resumed=True)
                self._demand_decided(earlier)
            if account is not None:
                await self._announce(payee, amount_cents, account)
            return await self._pay(payee, amount_cents, kind, reference)

    async def _announce(self, payee: int, amount_cents: int, account: str) -> None:
        verdict = await verdict_on(
            self.genesis, self.doors, self.wallet, payee, amount_cents, account
        )
        if verdict is not None and not verdict.accepted:
            raise HandsetError(verdict.sentence or "The biller does not take this payment.")

    async def sign_next(self, make: Callable[[AccountView, int], Awaitable[OrderBody]]) -> Payment:
        """Sign, keep and send the order that `make` returns for the own account and its next slot.

        An order that an earlier run left open is brought to its end first; if it says the same, it is
        the answer, and nothing more is signed. `make` may raise HandsetError.
        """
        with self.wallet.locked():
            earlier = await self._finish_earlier()
            own = await self._own_account()
            body = await make(own, max(own.next_sequence, self.wallet.state().next_sequence))
            if earlier is not None:
                if _say_the_same(OrderBody.from_bytes(earlier.order), body):
                    return replace(earlier, resumed=True)
                self._demand_decided(earlier)
            return await self._sign_and_finish(body)

    async def sign_ending(self, body: OrderBody) -> Payment:
        """Sign, keep and send an order that ends a hold, in a slot of the hold's.

        REPLACED means that the hold has ended otherwise, CANCELLED that recovery closed this slot of
        it without an order: the next one is to be signed.
        """
        assert body.kind in ENDINGS
        with self.wallet.locked():
            earlier = await self._finish_earlier()
            if earlier is not None:
                if _say_the_same(OrderBody.from_bytes(earlier.order), body):
                    return replace(earlier, resumed=True)
                self._demand_decided(earlier)
            return await self._sign_and_finish(body, self.wallet.state().next_sequence)

    def _demand_decided(self, earlier: Payment) -> None:
        if earlier.kind is OrderKind.CHANGE_KEY:
            raise HandsetError("The key was being changed; run the same command again.")
        if earlier.is_open:
            raise HandsetError(
                "An earlier payment of this account is still on its way; no second one can "
                "be signed before it is decided."
            )

    async def _sign_and_finish(self, body: OrderBody, sequence: int | None = None) -> Payment:
        """Keep a signed order before it leaves; `sequence` is the own next one where it is in no own slot."""
        try:
            order = sign_order(self.wallet.keypair, self.genesis.network, body)
        except OrderError as error:
            raise HandsetError(str(error)) from error
        following = body.sequence if sequence is None else sequence
        state = WalletState(following, (order.hex(),))
        self.wallet.write_state(state)
        return await self._finish(state)

    async def pay_table(
        self, name: str, payments: Sequence[tuple[int, int]], fee_cents: int
    ) -> Payment:
        """Pay accounts so many cents each by one bulk order, under a name; see `pay_outs.py`.

        `fee_cents` is that of them all. HandsetError, and nothing is signed, where an earlier payment
        is still on its way, or one of them was paid under this name already.
        """
        with self.wallet.locked():
            state = self.wallet.state()
            paid = self.wallet.paid_under(name)
            if state.orders or any(payee in paid for payee, _ in payments):
                raise HandsetError(
                    "Another payment of this account came in between; run the same command again."
                )
            own = await self._own_account()
            day = self.day()
            tariff = await tariff_of_day(self.genesis, self.doors, day)
            table = b"".join(PAYEE_ROW.pack(*payment) for payment in sorted(payments))
            body = OrderBody(
                payer=self.wallet.account,
                payee=self.wallet.account,
                amount_cents=sum(cents for _, cents in payments),
                fee_cents=fee_cents,
                sequence=max(own.next_sequence, state.next_sequence),
                kind=OrderKind.BULK_PAY_OUT,
                tariff=tariff.version,
                day=day,
                reference=table_digest(table),
            )
            try:
                order = sign_order(self.wallet.keypair, self.genesis.network, body)
            except OrderError as error:
                raise HandsetError(str(error)) from error
            state = WalletState(body.sequence, (order.hex(),), table=table.hex(), pay_out=name)
            self.wallet.write_state(state)
            return await self._finish(state)

    async def _own_account(self) -> AccountView:
        payer = self.wallet.account
        try:
            own = await self._believed(lambda door: _lasting(door, payer))
        except DisagreementError as error:
            raise HandsetError(str(error)) from error
        return self._checked_own(own)

    def _checked_own(self, own: AccountView | None) -> AccountView:
        if own is None:
            raise HandsetError("The paying account does not exist.")
        if own.public != public_of(self.wallet.keypair):
            raise HandsetError("The key of this wallet is not the key of the paying account.")
        return own

    async def bring(
        self,
        kind: OrderKind,
        amount_cents: int = 0,
        *,
        options: bytes = NO_OPTIONS,
        reference: bytes = NO_REFERENCE,
        new_key: OwnerKey | None = None,
    ) -> Payment:
        """Sign an order of the own slot to oneself that moves no money, and bring it to its end.

        `new_key` signs for itself where the order brings it. HandsetError, and nothing is signed, where
        an earlier order is still on its way; one that became final just now is not repeated.
        """
        with self.wallet.locked():
            earlier = await self._finish_earlier()
            if earlier is not None:
                body = OrderBody.from_bytes(earlier.order)
                if (body.kind, body.amount_cents, body.reference) == (
                    kind,
                    amount_cents,
                    reference,
                ):
                    return replace(earlier, resumed=True)
                if earlier.is_open or body.kind is OrderKind.CHANGE_KEY:
                    raise HandsetError(
                        "An earlier order of this account came first; run the same command again."
                    )
            own = await self._own_account()
            number, state = self.wallet.account, self.wallet.state()
            body = OrderBody(
                payer=number,
                payee=number,
                amount_cents=amount_cents,
                fee_cents=0,
                sequence=max(own.next_sequence, state.next_sequence),
                kind=kind,
                tariff=self.genesis.tariffs[0].version,
                day=self.day(),
                options=options,
                reference=reference,
            )
            network = self.genesis.network
            proof = b"" if new_key is None else sign_possession(new_key, network, body)
            order = sign_order(self.wallet.keypair, network, body)
            state = WalletState(body.sequence, (order.hex(),), possession=proof.hex())
            self.wallet.write_state(state)
            return await self._finish(state)

    async def resume(self) -> Payment | None:
        """Go on with the payment that an earlier run left open; None if there is none."""
        with self.wallet.locked():
            return await self._finish_earlier()

    async def cancel(self) -> Payment:
        """Cancel the payment that is open: it ends as cancelled, or as final if that came first."""
        with self.wallet.locked():
            state = self.wallet.state()
            if not state.orders:
                raise HandsetError("There is no open payment to cancel.")
            if OrderBody.from_bytes(state.pending[0]).kind in ENDINGS:
                raise HandsetError("What ends a hold cannot be cancelled; the hold ends once.")
            return await self._cancel(state)

    async def balance(self) -> Balance:
        """Return what the own account holds, as w super-agents say."""
        number = self.wallet.account
        try:
            view = await self._believed(lambda door: door.account(number))
        except DisagreementError as error:
            views = [(n, v) for v, n in error.answers.items() if isinstance(v, AccountView)]
            if not views:
                raise HandsetError(str(error)) from error
            most = max(views, key=lambda row: row[0])[1]
            return _balance_of(most, agreed=False)
        if view is None:
            raise HandsetError("The network has no account of this number.")
        return _balance_of(view, agreed=True)

    async def balance_after(self, payment: Payment) -> Balance | None:
        """Return what the own account holds after a final payment; None if that is not sure.

        Only those are asked who signed receipts: the others may not have applied it yet.
        """
        signed = {receipt.super_agent for receipt in payment.receipts}
        doors = [door for door in self.doors if door.index in signed]
        number = self.wallet.account
        try:
            view = await believed(self.genesis, doors, lambda door: door.account(number))
        except (HandsetError, DisagreementError):
            return None
        return None if view is None else _balance_of(view, agreed=True)

    async def account(self, number: int) -> AccountView:
        """Return an account without its balance, as w super-agents say; HandsetError if there is none."""
        return await lasting_account(self.genesis, self.doors, number)

    async def account_now(self, number: int) -> AccountView:
        """Return an account with its balance, as the first door that answers tells it."""
        view = await self.told(lambda door: door.account(number))
        if view is None:
            raise HandsetError("The network has no account of this number.")
        return view

    async def shops(self, head_office: int) -> list[Shop]:
        """Return the agents under a head office, as the first door that answers tells it."""
        return await self.told(lambda door: door.shops(head_office))

    async def outlook(self, number: int) -> Outlook:
        """Return how long an agent's float lasts, as the first door that answers forecasts it."""
        return await self.told(lambda door: door.outlook(number))

    async def statement(self, limit: int = 20, before: int | None = None) -> Statement:
        """Return a page of the own statement, as the first door that answers tells it."""
        return await self.told(lambda door: door.statement(self.wallet.account, limit, before))

    async def told(self, ask: Callable[[Door], Awaitable[A]]) -> A:
        """Return what the first door that answers says; HandsetError if none does."""
        said = "No super-agent can be reached."
        for door in self.doors:
            try:
                await check_network(door, self.genesis)
                return await ask(door)
            except DoorError as error:
                said = str(error)
        raise HandsetError(said)

    async def whole_statement(self, since_ms: int | None = None) -> WholeStatement:
        """Return all lines of the own statement, at least back to a time if one is given.

        All pages are one door's, whose entries are its own; if it fails, the next one begins anew.
        """
        return await self.told(lambda door: _read_pages(door, self.wallet.account, since_ms))

    async def _reference(
        self, payee: int, kind: OrderKind | None, account: str | None, airtime_for: str | None
    ) -> tuple[OrderKind | None, bytes]:
        """Return the kind, where what is named besides implies it, and the order's reference."""
        if account is not None and airtime_for is not None:
            raise HandsetError("A payment is a bill with an account or airtime, not both.")
        implied = kind
        if account is not None and kind is not OrderKind.BUY_GOODS:
            implied = OrderKind.PAY_BILL
        elif airtime_for is not None:
            implied = OrderKind.AIRTIME
        if kind not in (None, implied):
            raise HandsetError(
                "Only a bill names an account, and only airtime a number that it is for."
            )
        if account is not None:
            try:
                return implied, bill_reference(payee, account)
            except OrderError as error:
                raise HandsetError(str(error)) from error
        if airtime_for is not None:
            return implied, await find_alias(self.genesis, self.doors, airtime_for)
        return kind, NO_REFERENCE

    async def payee_number(self, payee: int | str) -> int:
        """Return the account of a payee, as w super-agents say where it is a number that people type."""
        if isinstance(payee, int):
            return payee
        return await find_telephone(self.genesis, self.doors, payee)

    async def _pay(
        self, payee: int, amount_cents: int, kind: OrderKind | None, reference: bytes
    ) -> Payment:
        """Make, keep and send a new payment."""
        payer, day = self.wallet.account, self.day()
        try:
            own, other, tariff = await asyncio.gather(
                self._believed(lambda door: _lasting(door, payer)),
                self._believed(lambda door: _lasting(door, payee)),
                tariff_of_day(self.genesis, self.doors, day),
            )
        except DisagreementError as error:
            raise HandsetError(str(error)) from error
        own = self._checked_own(own)
        if payer == payee:
            raise HandsetError("Payer and payee are the same account.")
        if other is None:
            raise HandsetError("The receiving account does not exist.")
        try:
            movement = kind_between(own.kind, other.kind) if kind is None else kind
            check_between(movement, own.kind, other.kind)
            check_reference(movement, reference)
            if movement is OrderKind.JOIN_HEAD_OFFICE:
                check_join(payer, payee, own.head_office)
            fee = fee_of(tariff, movement, amount_cents, other.fee_mode)
        except OrderError as error:
            raise HandsetError(str(error)) from error
        state = self.wallet.state()
        body = OrderBody(
            payer=payer,
            payee=payee,
            amount_cents=amount_cents,
            fee_cents=fee,
            sequence=max(own.next_sequence, state.next_sequence),
            kind=movement,
            tariff=tariff.version,
            day=day,
            options=options_for(movement, other.fee_mode, other.head_office),
            reference=reference,
        )
        return await self._sign_and_finish(body)

    async def _finish_earlier(self) -> Payment | None:
        state = self.wallet.state()
        return await self._finish(state) if state.orders else None

    async def _finish(self, state: WalletState) -> Payment:
        """Bring a pending payment to its end, by way of a cancel if it is refused."""
        began_ns = time.monotonic_ns()
        if state.refused_by is not None or len(state.orders) > 1:
            return await self._cancel(state)
        decision = await self._settle(state)
        if decision.refused_by is not None:
            state = replace_state(state, refused_by=decision.refused_by)
            if OrderBody.from_bytes(state.pending[0]).kind in ENDINGS:
                return self._give_up(state, decision, began_ns)
            return await self._cancel(state)
        return self._conclude(state, decision, began_ns)

    def _give_up(self, state: WalletState, decision: Decision, began_ns: int) -> Payment:
        """Let an order go that ends a hold and that q refuse: no cancel is there for a hold's slot.

        Whatever becomes of it, the hold ends once, and the payer's own slots are not touched.
        """
        payment = self._conclude(state, decision, began_ns)
        self.wallet.write_state(WalletState(next_sequence=state.next_sequence))
        assert decision.refused_by is not None
        return replace(
            payment, status=PaymentStatus.REFUSED, sentence=SENTENCES[decision.refused_by]
        )

    async def _cancel(self, state: WalletState) -> Payment:
        """Sign a cancel for the slot, keep it, send it, and see which of its orders is final."""
        began_ns = time.monotonic_ns()
        newest = OrderBody.from_bytes(state.pending[-1])
        # A cancel ages like any order; yesterday's is still good, an older one is signed again.
        if newest.kind is not OrderKind.CANCEL or abs(newest.day - self.day()) > 1:
            order = sign_order(
                self.wallet.keypair, self.genesis.network, cancel_of(newest, self.day())
            )
            state = replace_state(state, orders=(*state.orders, order.hex()))
            self.wallet.write_state(state)
        return self._conclude(state, await self._settle(state), began_ns)

    async def _settle(self, state: WalletState) -> Decision:
        body = OrderBody.from_bytes(state.pending[0])
        network = self.genesis.network
        orders = {order_id(network, order): order for order in state.pending}
        hold = slot_named(body) if body.kind in ENDINGS else None
        slot = SlotOfOrders(body.payer, body.sequence, orders, state.payees, state.proof, hold)
        return await Settlement(self.genesis, self.doors, slot).decide(self.patience_s)

    def _conclude(self, state: WalletState, decision: Decision, began_ns: int) -> Payment:
        """Say what the decision means for the payment; a decided slot is pending no more."""
        order = state.pending[0]
        body = OrderBody.from_bytes(order)
        name = order_id(self.genesis.network, order)
        reason = Outcome.ACCEPTED if state.refused_by is None else Outcome[state.refused_by]
        status = _status(decision, name, reason)
        if decision.final_id == name and body.kind is OrderKind.BULK_PAY_OUT:
            self.wallet.note_paid(state)
        if decision.final_id == name and body.kind is OrderKind.CHANGE_KEY:
            form = body.options[1] & KEY_FORM_MASK
            self.wallet.take_new_key(PublicKey(form, body.reference))
        if decision.final_id is not None or decision.foreign or decision.skipped:
            own = body.kind not in ENDINGS
            self.wallet.write_state(WalletState(body.sequence + 1 if own else state.next_sequence))
        return Payment(
            status=status,
            sentence=_sentence(status, reason, decision),
            payer=body.payer,
            payee=body.payee,
            amount_cents=body.amount_cents,
            fee_cents=body.fee_cents,
            sequence=body.sequence,
            kind=body.kind,
            order=order,
            order_id=name,
            receipt_code=code_of(order, self.genesis.regions),
            outcome=Outcome.ACCEPTED if status is PaymentStatus.FINAL else reason,
            receipts=decision.receipts if decision.final_id == name else (),
            via=decision.via,
            latency_ms=(time.monotonic_ns() - began_ns) // 1_000_000,
        )

    async def _believed(self, ask: Callable[[Door], Awaitable[T]]) -> T:
        return await believed(self.genesis, self.doors, ask)


async def _read_pages(door: Door, number: int, since_ms: int | None) -> WholeStatement:
    """Turn the pages of a statement; DoorError where they do not go back and back."""
    account = await door.account(number)
    if account is None:
        raise DoorError(f"{door.name} has no account of this number.")
    lines: list[Line] = []
    before: int | None = None
    while True:
        page = await door.statement(number, PAGE_LINES, before)
        oldest = [line.entry for line in page.lines]
        older = [above > below for above, below in pairwise(oldest)]
        if not all(older) or (before is not None and oldest and oldest[0] >= before):
            raise DoorError(f"{door.name} tells a statement whose lines are in no order.")
        lines += page.lines
        before = page.next_before
        if before is None or not page.lines:
            return WholeStatement(account, lines)
        if since_ms is not None and page.lines[-1].time_ms < since_ms - CLOCKS_DIFFER_MS:
            return WholeStatement(account, lines)
        if len(lines) > LINES_MAX:
            raise DoorError(f"The statement has more than {LINES_MAX:,} lines: ask for a period.")


async def find_telephone(genesis: Genesis, doors: Sequence[Door], text: str) -> int:
    """Return the account of a telephone number or short code, as w super-agents say; HandsetError."""
    return await _found(genesis, doors, text, lambda door, number: door.directory(number))


async def find_alias(genesis: Genesis, doors: Sequence[Door], text: str) -> bytes:
    """Return the keyed hash of a number that has an account, as w super-agents say; HandsetError."""
    return await _found(genesis, doors, text, lambda door, number: door.alias(number))


async def _found(
    genesis: Genesis,
    doors: Sequence[Door],
    text: str,
    ask: Callable[[Door, str], Awaitable[T | None]],
) -> T:
    try:
        number = canonical_number(text)
        found = await believed(genesis, doors, lambda door: ask(door, number))
    except (TelephoneError, DisagreementError) as error:
        raise HandsetError(str(error)) from error
    if found is None:
        raise HandsetError("No account is registered under this number.")
    return found


async def register(
    genesis: Genesis, doors: Sequence[Door], keypair: OwnerKey, msisdn: str | None = None
) -> int:
    """Open an account for a key, and claim a telephone number for it; returns the account number.

    HandsetError with one sentence if no super-agent does so, or if what one did is not confirmed.
    """
    number = await _enrolled(genesis, doors, keypair, None if msisdn is None else _checked(msisdn))
    for _ in range(ROUNDS * 4):
        try:
            view = await believed(genesis, doors, lambda door: _lasting(door, number))
        except DisagreementError:
            view = None
        if view is not None and view.public == public_of(keypair):
            return number
        await asyncio.sleep(ROUND_PAUSE_S)
    raise HandsetError("The super-agents do not confirm the new account; try again in a moment.")


async def _enrolled(
    genesis: Genesis, doors: Sequence[Door], keypair: OwnerKey, msisdn: str | None
) -> int:
    said = "No super-agent can be reached."
    for turn in range(ENROLMENT_TRIES):
        for door in doors:
            try:
                await check_network(door, genesis)
                return await _enrol_at(door, genesis, keypair, msisdn)
            except DoorProblemError as problem:
                said = str(problem)
                if problem.status < 500:
                    # Another customer may have got the position first: ask for the next one.
                    break
            except DoorError as error:
                said = str(error)
        await asyncio.sleep(ROUND_PAUSE_S * turn)
    raise HandsetError(said)


async def _enrol_at(door: Door, genesis: Genesis, keypair: OwnerKey, msisdn: str | None) -> int:
    view = await door.enrolment()
    region = region_of(view.enrolment_account)
    own = genesis.committee.members[door.index].regions
    if (
        region not in own
        or view.enrolment_account != account_number(region, POSITION_ENROLMENT)
        or view.account != view.enrolment_account + view.sequence
    ):
        raise DoorError(f"{door.name} offers an account that is not its own to give.")
    body = OrderBody(
        payer=view.enrolment_account,
        payee=view.account,
        amount_cents=0,
        fee_cents=0,
        sequence=view.sequence,
        kind=OrderKind.ENROL,
        tariff=genesis.tariffs[-1].version,
        day=view.day,
        options=bytes([AccountKind.CUSTOMER, public_of(keypair).form, 0]),
        reference=keypair.public,
    )
    possession = sign_possession(keypair, genesis.network, body)
    unsigned = body.to_bytes()
    assert len(unsigned) == BODY_BYTES
    return await door.register(unsigned, possession, msisdn)


def _checked(msisdn: str) -> str:
    try:
        return telephone(msisdn)
    except TelephoneError as error:
        raise HandsetError(str(error)) from error


async def lasting_account(genesis: Genesis, doors: Sequence[Door], number: int) -> AccountView:
    """Return an account without its balance, as w super-agents say; HandsetError if there is none."""
    try:
        view = await believed(genesis, doors, lambda door: _lasting(door, number))
    except DisagreementError as error:
        raise HandsetError(str(error)) from error
    if view is None:
        raise HandsetError("The network has no account of this number.")
    return view


async def _lasting(door: Door, number: int) -> AccountView | None:
    """Return an account without its balance, which changes while doors are asked."""
    view = await door.account(number)
    return None if view is None else replace(view, balance_cents=0, held_cents=0, frozen_cents=0)


def _balance_of(view: AccountView, *, agreed: bool) -> Balance:
    return Balance(view.account, view.balance_cents, agreed, view.held_cents, view.frozen_cents)


def _say_the_same(one: OrderBody, other: OrderBody) -> bool:
    """Say whether two orders want the same, whichever slot they are in and whenever they were signed."""
    return replace(one, sequence=0, day=0) == replace(other, sequence=0, day=0)


def replace_state(
    state: WalletState, orders: tuple[str, ...] | None = None, refused_by: Outcome | None = None
) -> WalletState:
    """Return the state with other pending orders or a reason."""
    return msgspec.structs.replace(
        state,
        orders=state.orders if orders is None else orders,
        refused_by=state.refused_by if refused_by is None else refused_by.name,
    )


def _status(decision: Decision, payment_id: bytes, reason: Outcome) -> PaymentStatus:
    if decision.final_id == payment_id:
        return PaymentStatus.FINAL
    if decision.final_id is not None or decision.skipped:
        return PaymentStatus.CANCELLED if reason is Outcome.ACCEPTED else PaymentStatus.REFUSED
    if decision.foreign:
        return PaymentStatus.REPLACED
    return PaymentStatus.SENT if decision.heard else PaymentStatus.WAITING


def _sentence(status: PaymentStatus, reason: Outcome, decision: Decision) -> str:
    match status:
        case PaymentStatus.FINAL:
            return "The payment is final."
        case PaymentStatus.REFUSED:
            return SENTENCES[reason]
        case PaymentStatus.CANCELLED:
            return "The payment is cancelled."
        case PaymentStatus.REPLACED:
            return (
                "Another order, not of this handset, took this payment's place; nothing was paid."
            )
        case PaymentStatus.WAITING:
            return "No super-agent answers about the payment; run the same command again to go on."
        case PaymentStatus.SENT:
            pass
    if decision.refused_by is not None:
        return (
            f"The payment is not decided, and cannot be cancelled: {SENTENCES[decision.refused_by]}"
        )
    return "The payment is sent and not yet final; run the same command again to go on."
