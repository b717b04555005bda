"""A network in memory: one truth, and doors that tell it, deny it, delay it or are dead."""

import asyncio
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import pytest

from harambee.crypto.hashing import TAG_ORDER, TAG_RECEIPT, TAG_REFUSAL, signed_prefix
from harambee.crypto.keys import public_of, verify
from harambee.crypto.signatures import from_seed, sign
from harambee.handset.doors import (
    AccountView,
    DoorError,
    DoorProblemError,
    EnrolmentView,
    FinalOrder,
    HoldPage,
    Offered,
    ReversalView,
    SlotView,
    Statement,
    TariffRow,
)
from harambee.handset.handset import Handset
from harambee.handset.holds import HoldState, HoldView, slot_named
from harambee.handset.orders import OrderBody, order_id
from harambee.handset.payment_requests import is_question_of
from harambee.handset.receipts import Receipt, Refusal
from harambee.handset.wallet import Wallet
from harambee.ledger.house_rules import AUTHORISATION_BIT
from harambee.ledger.kinds import ENDINGS, MOVEMENTS, OrderKind
from harambee.ledger.outcomes import Outcome
from harambee.ledger.payees import document_digest
from harambee.ledger.records import AccountKind
from harambee.money.tariff import FeeMode, shipped_tariff
from harambee.protocol.genesis import Genesis, GenesisDocument, MemberDocument

TODAY = 20_781
KEYS = [from_seed(bytes([index + 1]) * 32) for index in range(4)]
OWNER = from_seed(b"w" * 32)
PAYER, PAYEE, SHOP, NOBODY = 16, 17, 18, 99
TELEPHONE = "+254712345678"


def make_genesis(tariff=1):
    members = [
        MemberDocument(f"agent-{index}", key.public.hex(), "00" * 32, [index])
        for index, key in enumerate(KEYS)
    ]
    document = GenesisDocument(
        1,
        "test",
        True,
        0,
        "2026-01-01",
        members,
        [shipped_tariff(tariff).to_document()],
        [],
        [],
        0,
        "",
    )
    return Genesis(document, b"")


@dataclass
class Truth:
    """What the honest super-agents agree on."""

    genesis: Genesis = field(default_factory=make_genesis)
    accounts: dict[Any, Any] = field(default_factory=dict)
    numbers: dict[Any, Any] = field(default_factory=dict)
    final: dict[Any, Any] = field(default_factory=dict)
    seen: list[Any] = field(default_factory=list)
    tables: list[Any] = field(default_factory=list)
    """What came beside bulk orders."""
    later_tariffs: list[Any] = field(default_factory=list)
    """(first day, tariff), beside those of the genesis."""
    proofs: list[Any] = field(default_factory=list)
    """What new keys signed, as it came beside orders."""
    governed: dict[Any, Any] = field(default_factory=dict)
    waiting: list[Any] = field(default_factory=list)
    holds: dict[Any, Any] = field(default_factory=dict)
    ends: dict[Any, Any] = field(default_factory=dict)
    """(payer, sequence) of a hold -> what ended it, and the hold as it is told since."""
    reversals: dict[Any, Any] = field(default_factory=dict)
    requests: list[Any] = field(default_factory=list)
    """What doors tell whoever asks what merchants want, checked by nobody."""
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when there is a request."""
    declines: list[Any] = field(default_factory=list)
    announced: list[Any] = field(default_factory=list)
    verdict: Any = None
    """What billers say; None where doors have no such service."""

    def __post_init__(self):
        for number, kind in (
            (PAYER, AccountKind.CUSTOMER),
            (PAYEE, AccountKind.CUSTOMER),
            (SHOP, AccountKind.MERCHANT),
        ):
            key = OWNER.public if number == PAYER else bytes([number]) * 32
            self.accounts[number] = AccountView(number, key, kind, 0, 100_000)
        self.numbers[TELEPHONE] = PAYEE

    @property
    def tariffs(self):
        return [*((0, tariff) for tariff in self.genesis.tariffs), *self.later_tariffs]

    def judge_ending(self, order, body):
        """Of a release or a void: the hold ends once, in the one of its slots that is open."""
        key = slot_named(body)
        if self.ends.get(key, (None,))[0] == order:
            return Outcome.ACCEPTED
        hold = self.holds.get(key)
        if hold is None or key in self.ends:
            return Outcome.HOLD_UNKNOWN
        if body.sequence != hold.slot:
            return Outcome.SUBJECT_SEQUENCE_WRONG
        if body.payer not in (hold.payer, hold.payee):
            return Outcome.HOLD_NOT_YOURS
        gives_in = (body.payer == hold.payee) == (body.kind is OrderKind.VOID)
        if not gives_in and (body.payer == hold.payee) is not hold.is_authorisation:
            return Outcome.HOLD_TOO_EARLY
        released = body.kind is OrderKind.RELEASE
        state = HoldState.RELEASED if released else HoldState.VOIDED
        ended = replace(
            hold, state=state, slot=0, released_cents=body.amount_cents, ended_by=body.payer
        )
        self.ends[key] = order, ended
        self._wake()
        return Outcome.ACCEPTED

    def _note_hold(self, body):
        """What a hold makes, and what a word about a payment does."""
        key = body.payer, body.sequence
        if body.kind is OrderKind.HOLD:
            movement, days, terms = body.options
            self.holds[key] = HoldView(
                *key,
                body.payee,
                body.amount_cents,
                body.fee_cents,
                body.tariff,
                body.day,
                days,
                OrderKind(movement),
                FeeMode(terms & 3),
                bool(terms & AUTHORISATION_BIT),
            )
            return
        changes = {
            OrderKind.REFUND: {"refunded_cents": body.amount_cents},
            OrderKind.ASK_REVERSAL: {"asked_cents": body.amount_cents},
            OrderKind.REFUSE_REVERSAL: {"refused": True},
            OrderKind.DISPUTE: {"disputed": True},
        }.get(body.kind)
        if changes is not None:
            about = slot_named(body)
            state = self.reversals.get(
                about, ReversalView(*about, 0, 0, refused=False, disputed=False)
            )
            self.reversals[about] = msgspec.structs.replace(state, **changes)

    def _wake(self):
        for asker in self.waiting:
            if not asker.done():
                asker.set_result(None)

    def judge(self, order):
        """The outcome of an order, applied at once if it is accepted."""
        body = OrderBody.from_bytes(order)
        payer = self.accounts[body.payer]
        if body.kind is OrderKind.TAKE_KEY:
            payer = replace(payer, key=body.reference, key_form=body.options[2])
        signed = signed_prefix(TAG_ORDER, self.genesis.network) + order[:64]
        if not verify(payer.public, signed, order[64:]):
            return Outcome.SIGNATURE_INVALID
        if body.kind in ENDINGS:
            return self.judge_ending(order, body)
        if self.final.get((body.payer, body.sequence)) == order:
            return Outcome.ACCEPTED
        if body.sequence != payer.next_sequence:
            late = body.sequence < payer.next_sequence
            return Outcome.SEQUENCE_STALE if late else Outcome.SEQUENCE_AHEAD
        if abs(body.day - TODAY) > 1:
            return Outcome.DAY_WRONG
        asks = MOVEMENTS[body.kind].has_figure and body.kind is not OrderKind.HOLD
        if not asks and body.amount_cents + body.fee_cents > payer.balance_cents:
            return Outcome.BALANCE_INSUFFICIENT
        self.final[body.payer, body.sequence] = order
        self._note_hold(body)
        pays = MOVEMENTS[body.kind].moves_money
        cost = body.amount_cents + body.fee_cents if pays else 0
        self.accounts[body.payer] = replace(
            payer,
            next_sequence=payer.next_sequence + 1,
            balance_cents=payer.balance_cents - cost,
        )
        if body.kind is OrderKind.CHANGE_KEY:
            self.accounts[body.payer] = replace(
                self.accounts[body.payer], key=body.reference, key_form=body.options[1]
            )
        for asker in self.waiting:
            if not asker.done():
                asker.set_result(None)
        self._wake()
        return Outcome.ACCEPTED


@dataclass
class FakeDoor:
    """An honest super-agent; the classes below change one thing each."""

    index: int
    truth: Truth
    takes: int = 0

    @property
    def name(self):
        return f"agent-{self.index}"

    async def network(self):
        return self.truth.genesis.network.hex()

    async def account(self, number):
        return self.truth.accounts.get(number)

    async def directory(self, msisdn):
        return self.truth.numbers.get(msisdn)

    async def statement(self, number, limit, before):
        return Statement([], None)

    def receipt(self, name):
        prefix = signed_prefix(TAG_RECEIPT, self.truth.genesis.network) + bytes(4)
        return Receipt(self.index, sign(KEYS[self.index], prefix + name + b"\0"))

    def refusal(self, name, outcome):
        prefix = signed_prefix(TAG_REFUSAL, self.truth.genesis.network) + bytes(4)
        said = name + bytes([outcome]) + TODAY.to_bytes(2, "little")
        return Refusal(self.index, outcome, TODAY, sign(KEYS[self.index], prefix + said))

    async def offer(self, order, wait_ms, possession=b""):
        self.takes += 1
        self.truth.seen.append(order)
        self.truth.proofs.append(possession)
        name = order_id(self.truth.genesis.network, order)
        outcome = self.truth.judge(order)
        if outcome is Outcome.ACCEPTED:
            return Offered("final", self.receipt(name), None)
        return Offered("refused", None, self.refusal(name, outcome))

    async def pay_out(self, order, table, wait_ms):
        self.truth.tables.append(table)
        return await self.offer(order, wait_ms)

    async def standings(self, numbers):
        found = (self.truth.accounts.get(number) for number in numbers)
        return tuple(0 if account is None else int(account.kind) for account in found)

    async def balances(self, numbers):
        found = (self.truth.accounts.get(number) for number in numbers)
        return tuple(0 if account is None else account.balance_cents for account in found)

    async def slot(self, payer, sequence, name, wait_ms):
        while (payer, sequence) not in self.truth.final:
            asker = asyncio.get_running_loop().create_future()
            self.truth.waiting.append(asker)
            await asker
        found = order_id(self.truth.genesis.network, self.truth.final[payer, sequence])
        if found == name:
            return SlotView("final", None, self.receipt(name))
        return SlotView("other", found, None)

    async def final_order(self, payer, sequence, wait_ms):
        order = self.truth.final.get((payer, sequence))
        if order is None:
            return None
        name = order_id(self.truth.genesis.network, order)
        return FinalOrder(order[:64], self.receipt(name))

    async def requests(self, question, wait_ms=0):
        assert is_question_of(question, self.truth.genesis.network, public_of(OWNER))
        if wait_ms:
            await self.truth.asked.wait()
        return list(self.truth.requests)

    async def decline(self, signed):
        self.truth.declines.append((self.index, signed))

    async def announce(self, signed):
        self.truth.announced.append((self.index, signed))
        if self.truth.verdict is None:
            raise DoorProblemError(404, "NOT_FOUND", "There is nothing here.")
        return self.truth.verdict

    async def tariffs(self):
        return tuple(
            TariffRow(tariff.version, first, document_digest(tariff.to_bytes()))
            for first, tariff in self.truth.tariffs
        )

    async def governed(self, number):
        return self.truth.governed.get(number)

    async def tariff(self, version):
        (found,) = (tariff for _, tariff in self.truth.tariffs if tariff.version == version)
        return found.to_bytes()

    async def hold(self, payer, sequence):
        ended = self.truth.ends.get((payer, sequence))
        return self.truth.holds.get((payer, sequence)) if ended is None else ended[1]

    async def holds(self, number, after):
        mine = [
            hold
            for key, hold in self.truth.holds.items()
            if key not in self.truth.ends and number in (hold.payer, hold.payee)
        ]
        return HoldPage(tuple(mine), None)

    async def ending(self, hold, slot, name, wait_ms):
        while hold not in self.truth.ends:
            if slot < self.truth.holds[hold].slot:
                return SlotView("skipped", None, None)
            asker = asyncio.get_running_loop().create_future()
            self.truth.waiting.append(asker)
            await asker
        found = order_id(self.truth.genesis.network, self.truth.ends[hold][0])
        if found == name:
            return SlotView("final", None, self.receipt(name))
        return SlotView("other", found, None)

    async def final_ending(self, hold, wait_ms):
        if hold not in self.truth.ends:
            return None
        order = self.truth.ends[hold][0]
        return FinalOrder(order[:64], self.receipt(order_id(self.truth.genesis.network, order)))

    async def reversal(self, payer, sequence):
        nothing = ReversalView(payer, sequence, 0, 0, refused=False, disputed=False)
        return self.truth.reversals.get((payer, sequence), nothing)

    async def enrolment(self):
        return EnrolmentView(self.index << 20, 40, (self.index << 20) + 40, TODAY)

    async def register(self, body, possession, msisdn):
        order = OrderBody.from_bytes(body)
        self.truth.accounts[order.payee] = AccountView(
            order.payee, order.reference, AccountKind.CUSTOMER, 0, 0, key_form=order.options[1]
        )
        return order.payee


class DeadDoor(FakeDoor):
    async def _die(self):
        raise DoorError(f"{self.name} cannot be reached.")

    async def network(self):
        await self._die()

    async def offer(self, order, wait_ms):
        await self._die()

    async def slot(self, payer, sequence, name, wait_ms):
        await self._die()

    async def hold(self, payer, sequence):
        await self._die()

    async def ending(self, hold, slot, name, wait_ms):
        await self._die()

    async def final_ending(self, hold, wait_ms):
        await self._die()


class SilentDoor(FakeDoor):
    """Takes every question and never answers."""

    async def network(self):
        await asyncio.Event().wait()

    async def offer(self, order, wait_ms):
        self.takes += 1
        await asyncio.Event().wait()

    async def slot(self, payer, sequence, name, wait_ms):
        await asyncio.Event().wait()


class LyingDoor(FakeDoor):
    """Wants the money for itself, and says whatever helps."""

    async def account(self, number):
        return AccountView(number, OWNER.public, AccountKind.CUSTOMER, 77, 1)

    async def directory(self, msisdn):
        return 66

    async def offer(self, order, wait_ms):
        forged = Receipt(self.index, bytes(64))
        return Offered("final", forged, None)

    async def slot(self, payer, sequence, name, wait_ms):
        stolen = Receipt((self.index + 1) % 4, self.receipt(name).signature)
        return SlotView("final", None, stolen)

    async def hold(self, payer, sequence):
        truth = await super().hold(payer, sequence)
        return None if truth is None else replace(truth, payee=66, amount_cents=1)

    async def ending(self, hold, slot, name, wait_ms):
        return SlotView("other", bytes(32), None)

    async def final_ending(self, hold, wait_ms):
        told = await super().final_ending(hold, wait_ms)
        return None if told is None else replace(told, receipt=Receipt(self.index, bytes(64)))

    async def final_order(self, payer, sequence, wait_ms):
        told = await super().final_order(payer, sequence, wait_ms)
        return None if told is None else replace(told, receipt=Receipt(self.index, bytes(64)))


class EagerDoor(FakeDoor):
    """Signs receipts for what is not final."""

    async def offer(self, order, wait_ms):
        name = order_id(self.truth.genesis.network, order)
        return Offered("final", self.receipt(name), None)

    async def slot(self, payer, sequence, name, wait_ms):
        return SlotView("final", None, self.receipt(name))

    async def final_order(self, payer, sequence, wait_ms):
        body = OrderBody(payer, PAYEE, 9_999_00, 0, sequence, OrderKind.SEND, 1, TODAY).to_bytes()
        return FinalOrder(body, self.receipt(order_id(self.truth.genesis.network, body)))


class RefusingDoor(FakeDoor):
    """Refuses what the others accept."""

    async def offer(self, order, wait_ms):
        name = order_id(self.truth.genesis.network, order)
        return Offered("refused", None, self.refusal(name, Outcome.BALANCE_INSUFFICIENT))


class HoldingDoor(FakeDoor):
    """Takes orders, and nothing becomes of them."""

    async def offer(self, order, wait_ms):
        self.takes += 1
        self.truth.seen.append(order)
        return Offered("pending", None, None)


class ForeignDoor(FakeDoor):
    async def network(self):
        return "ab" * 32


KINDS = {
    "honest": FakeDoor,
    "dead": DeadDoor,
    "silent": SilentDoor,
    "lying": LyingDoor,
    "eager": EagerDoor,
    "refusing": RefusingDoor,
    "holding": HoldingDoor,
    "foreign": ForeignDoor,
}


class Scene:
    """A truth, four doors by their words, and a handset with a wallet on disk."""

    def __init__(self, folder, words):
        self.truth = Truth()
        self.folder = folder
        self.doors = [KINDS[word](index, self.truth) for index, word in enumerate(words.split())]

    def handset(self, patience_s=5, account=PAYER, keypair=OWNER):
        wallet = Wallet(self.folder / "wallet", account, keypair)
        return Handset(self.truth.genesis, self.doors, wallet, patience_s, lambda: TODAY)

    def kinds_seen(self):
        return [OrderKind(order[24]).name.lower() for order in dict.fromkeys(self.truth.seen)]


@pytest.fixture
def scene(tmp_path):
    return lambda words: Scene(tmp_path, words)
