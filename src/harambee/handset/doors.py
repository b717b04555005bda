"""One super-agent as a handset sees it: a few questions with typed answers, each with an end.

An answer that is late, too long or not as agreed is a DoorError, which means "ask another", and
never more. Nothing here decides whether an answer is true; that is for receipts and for agreement.
"""

import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

import aiohttp
import msgspec
import numpy as np
import numpy.typing as npt

from harambee.crypto.keys import KeyForm, PublicKey
from harambee.handset.holds import HoldState, HoldView
from harambee.handset.network_file import DoorAddress
from harambee.handset.orders import (
    NO_OPTIONS,
    NO_REFERENCE,
    PAYEE_ROW,
    OrderBody,
    OrderError,
)
from harambee.handset.places import Place
from harambee.handset.receipts import Receipt, Refusal
from harambee.ledger.kinds import OrderKind
from harambee.ledger.outcomes import Outcome
from harambee.ledger.records import ACCOUNT, KEY_SIGN, AccountKind, KeyType
from harambee.money.tariff import FeeMode

JSON: Final = "application/json"
OCTETS: Final = "application/octet-stream"
ANSWER_BYTES_MAX: Final = 1 << 20
CONNECT_S: Final = 2
ANSWER_S: Final = 5
"""How much longer than asked to wait an answer may take."""
NAME_WAIT_MS: Final = 8_000
"""A door asks others for a name, and some of them may be dead."""
HOLDS_ON_A_PAGE: Final = 500
SHOWN_MAX: Final = 256
"""Characters of a name that fit a screen."""
BILL_WAIT_MS: Final = 9_000
"""A door asks the biller, whose software may take eight seconds to answer."""

T = TypeVar("T")


class DoorError(Exception):
    """This door did not answer, or not sensibly; the message is one sentence."""


class WrongNetworkError(DoorError):
    """The door serves another network."""


class DoorProblemError(DoorError):
    """The door says in a problem document why it cannot do what was asked."""

    def __init__(self, status: int, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.code = code


@dataclass(frozen=True, slots=True)
class AccountView:
    """An account, as far as a handset needs it before it pays; the same at every honest door."""

    account: int
    key: bytes
    kind: AccountKind
    next_sequence: int
    balance_cents: int
    fee_mode: FeeMode = FeeMode.PAYER
    """Who bears the charge of a bill that it is paid."""
    head_office: int = 0
    """An agent's head office; 0 where there is none."""
    held_cents: int = 0
    """Of the balance: what is held for somebody."""
    frozen_cents: int = 0
    """Of the balance: what super-agents have frozen."""
    key_form: int = KeyForm.ED25519
    """How `key` is meant; not a KeyForm where this version has no name for its type."""

    @property
    def public(self) -> PublicKey:
        """The key that the account's signatures are held against."""
        return PublicKey(self.key_form, self.key)

    @property
    def available_cents(self) -> int:
        """What can be paid of the balance."""
        return self.balance_cents - self.held_cents - self.frozen_cents


class Outlook(msgspec.Struct, frozen=True):
    """An agent's float and how long it lasts, as one door forecasts it."""

    float_cents: int
    low: bool
    lasts_until_ms: int | None
    needed_today_cents: int
    top_up_cents: int
    sentence: str


class Shop(msgspec.Struct, frozen=True):
    """An agent under a head office, and his float."""

    account: int
    float_cents: int


class Seller(msgspec.Struct, frozen=True):
    """Somebody who sells float; the distance, in metres, where both places are known."""

    account: int
    surplus_cents: int
    distance_m: int | None = None


class FloatSources(msgspec.Struct, frozen=True):
    """Who sells float at one super-agent."""

    super_agent: str
    floats: list[Seller]
    agents: list[Seller]


@dataclass(frozen=True, slots=True)
class Offered:
    """What a door made of an order: "final", "refused", "pending" or "unknown"."""

    state: str
    receipt: Receipt | None
    refusal: Refusal | None


@dataclass(frozen=True, slots=True)
class SlotView:
    """What a door says is final in a slot: "final" (with a receipt), "other", or not yet."""

    state: str
    other_id: bytes | None
    receipt: Receipt | None


class ReversalView(msgspec.Struct, frozen=True):
    """What became of the wish to have a payment back; amounts in cents."""

    payer: int
    sequence: int
    asked_cents: int
    refunded_cents: int
    refused: bool
    disputed: bool


class HoldPage(msgspec.Struct, frozen=True):
    """A page of an account's open holds, as one door tells them."""

    holds: tuple[HoldView, ...]
    next_after: int | None


@dataclass(frozen=True, slots=True)
class FinalOrder:
    """An order that a door says is final, 64 bytes of body, and its signed word for it."""

    body: bytes
    receipt: Receipt


@dataclass(frozen=True, slots=True)
class EnrolmentView:
    """What a new account at this super-agent must put into its enrolment."""

    enrolment_account: int
    sequence: int
    account: int
    day: int


@dataclass(frozen=True, slots=True)
class TariffRow:
    """A version of the tariff as a door tells it: its first day, and the digest of its document."""

    version: int
    first_day: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class GovernedView:
    """What of an account is governed; the same at every honest door."""

    enrolment_account: int
    """Of the super-agent that enrolled it: whose order a new key or a tier is."""
    next_slot: int
    new_key: bytes | None = None
    """The key that waits to take over."""
    new_key_slot: int = 0
    """The governance slot in which it was asked for."""
    new_key_options: int = 0
    new_key_day: int = 0
    """From this day on it may take over."""
    attested_cents: int | None = None
    attested_slot: int = 0
    limit_cents: int | None = None


class ProposalSeen(msgspec.Struct, frozen=True):
    """A proposal as one super-agent tells it."""

    id: str
    what: str
    state: str
    sentence: str
    proposed_by: str
    dies_after: str
    approved_by: list[str]
    voted: list[str]
    votes_needed: int
    subject: int
    outcome: str | None = None


class NameView(msgspec.Struct, frozen=True):
    """What one door says of a payee: a name and a telephone number, both masked."""

    name: str
    number: str | None = None


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A merchant's request for a payment as a door tells it: the document as it was signed, unchecked."""

    document: bytes
    super_agent: int
    signature: bytes


class BillVerdict(msgspec.Struct, frozen=True):
    """What a biller says of a bill before it is paid."""

    accepted: bool
    code: str = ""
    sentence: str = ""


class Line(msgspec.Struct, frozen=True):
    """One line of a statement, as one door tells it."""

    entry: int
    time_ms: int
    change_cents: int
    balance_cents: int
    order: dict[str, Any]
    other: int | None = None
    """The account on the other side, if there is one."""
    charge_cents: int = 0
    """What the account bore of the charge, inside the change."""
    commission_cents: int = 0
    """What the account earned, inside the change."""


class Statement(msgspec.Struct, frozen=True):
    """A page of a statement, newest first."""

    lines: list[Line]
    next_before: int | None


class Door(Protocol):
    """What a handset asks of a super-agent; every method may raise DoorError."""

    @property
    def index(self) -> int:
        """Which super-agent this should be: its index in the committee."""

    @property
    def name(self) -> str:
        """Its name in the genesis."""

    async def network(self) -> str:
        """Return the id of the network that it serves, in hexadecimal."""

    async def account(self, number: int) -> AccountView | None:
        """Return an account, or None where it knows none."""

    async def directory(self, msisdn: str) -> int | None:
        """Return the account of a telephone number or short code, or None where it knows none."""

    async def alias(self, number: str) -> bytes | None:
        """Return the keyed hash of a number that somebody has, or None where nobody has it."""

    async def shops(self, number: int) -> list[Shop]:
        """Return the agents under a head office; so many as one page has."""

    async def outlook(self, number: int) -> Outlook:
        """Return how long an agent's float lasts."""

    async def place(self, number: int) -> Place | None:
        """Return where an agent is, or None where this super-agent does not know."""

    async def float_sources(self, here: Place | None) -> FloatSources:
        """Return who sells float here, nearest first."""

    async def statement(self, number: int, limit: int, before: int | None) -> Statement:
        """Return a page of a statement."""

    async def offer(self, order: bytes, wait_ms: int, possession: bytes = b"") -> Offered:
        """Bring a signed order, and what a new key signed if it brings one."""

    async def pay_out(self, order: bytes, table: bytes, wait_ms: int) -> Offered:
        """Bring a signed bulk pay-out and its payee table."""

    async def standings(self, numbers: tuple[int, ...]) -> tuple[int, ...]:
        """Return kind, status and tier of many accounts, as in their flags; 0 where there is none."""

    async def balances(self, numbers: tuple[int, ...]) -> tuple[int, ...]:
        """Return what many accounts hold, in cents."""

    async def slot(self, payer: int, sequence: int, order_id: bytes, wait_ms: int) -> SlotView:
        """Ask whether that order is final in the slot."""

    async def final_order(self, payer: int, sequence: int, wait_ms: int) -> FinalOrder | None:
        """Return what is final in a slot, or None if nothing is."""

    async def hold(self, payer: int, sequence: int) -> HoldView | None:
        """Return a hold and how it stands with it, or None where it knows none."""

    async def holds(self, number: int, after: int | None) -> HoldPage:
        """Return a page of an account's open holds, as payer and as payee."""

    async def ending(
        self, hold: tuple[int, int], slot: int, order_id: bytes, wait_ms: int
    ) -> SlotView:
        """Ask whether that order has ended a hold; `slot` is which of the hold's own slots it is in."""

    async def final_ending(self, hold: tuple[int, int], wait_ms: int) -> FinalOrder | None:
        """Return what has ended a hold, or None if nothing has."""

    async def reversal(self, payer: int, sequence: int) -> ReversalView | None:
        """Return what became of the wish to have a payment back, or None where it knows none."""

    async def name_of(self, question: bytes) -> NameView:
        """Return a payee's masked name, to the account that signed the question."""

    async def keep_profile(self, signed: bytes) -> None:
        """Bring a signed profile to those who hold it."""

    async def requests(self, question: bytes, wait_ms: int = 0) -> list[SignedRequest]:
        """Return what merchants ask of the account that signed the question; may wait for something."""

    async def decline(self, signed: bytes) -> None:
        """Bring a signed decline of a request."""

    async def announce(self, signed: bytes) -> BillVerdict:
        """Return what the biller says of a bill that is about to be paid."""

    async def tariffs(self) -> tuple[TariffRow, ...]:
        """Return every version of the tariff."""

    async def tariff(self, version: int) -> bytes:
        """Return the document of a version, in its canonical form."""

    async def governed(self, number: int) -> GovernedView | None:
        """Return what of an account is governed, or None where it knows no account."""

    async def tariff_slot(self) -> int:
        """Return the next governance slot of the tariff."""

    async def proposals(self) -> list[ProposalSeen]:
        """Return what is proposed, as this super-agent sees it; the newest first."""

    async def proposal(self, name: bytes) -> ProposalSeen | None:
        """Return one proposal by its order's id, or None where it is not known."""

    async def propose(self, document: dict[str, Any]) -> ProposalSeen:
        """Bring a proposal; DoorProblemError says why it is not kept."""

    async def approve(self, name: bytes, operator: str, approval: bytes) -> ProposalSeen:
        """Bring an operator's approval; DoorProblemError says why it does not count."""

    async def enrolment(self) -> EnrolmentView:
        """Return what its next new account must sign."""

    async def phone_paper(self, paper: bytes, signature: bytes) -> int:
        """Bring what an operator has signed of a feature phone; returns its account."""

    async def register(self, body: bytes, possession: bytes, msisdn: str | None) -> int:
        """Enrol a key that has signed `body`; returns the account number."""


class _Network(msgspec.Struct):
    network: str


class _Account(msgspec.Struct):
    account: int
    key: str
    kind: str
    next_sequence: int
    balance_cents: int
    fee_mode: str = "payer"
    head_office: int | None = None
    held_cents: int = 0
    frozen_cents: int = 0
    key_type: str = "ed25519"
    key_y_is_odd: bool = False

    @property
    def key_form(self) -> int:
        """The form of the key; ValueError if the type is neither a name nor a number."""
        name = self.key_type.upper()
        known = name in KeyType.__members__
        return (KeyType[name] if known else int(name)) | (KEY_SIGN if self.key_y_is_odd else 0)


class _Hold(msgspec.Struct):
    payer: int
    sequence: int
    payee: int
    amount_cents: int
    fee_cents: int
    tariff: int
    day: int
    days: int
    movement: str
    fee_mode: str
    authorisation: bool
    state: str = "held"
    slot: int | None = None
    released_cents: int = 0
    ended_by: int | None = None

    def view(self) -> HoldView:
        """Return it; KeyError or ValueError for what no hold says."""
        return HoldView(
            payer=self.payer,
            sequence=self.sequence,
            payee=self.payee,
            amount_cents=self.amount_cents,
            fee_cents=self.fee_cents,
            tariff=self.tariff,
            day=self.day,
            days=self.days,
            movement=OrderKind[self.movement.upper()],
            fee_mode=FeeMode[self.fee_mode.upper()],
            is_authorisation=self.authorisation,
            state=HoldState(self.state),
            slot=self.slot or 0,
            released_cents=self.released_cents,
            ended_by=self.ended_by,
        )


class _Holds(msgspec.Struct):
    holds: list[_Hold]
    next_after: int | None = None


class _Number(msgspec.Struct):
    account: int


class _Alias(msgspec.Struct):
    alias: str


class _Shops(msgspec.Struct):
    shops: list[Shop]


class _Place(msgspec.Struct):
    latitude: float
    longitude: float


class _Receipt(msgspec.Struct):
    super_agent: int
    signature: str


class _Refusal(msgspec.Struct):
    super_agent: int
    outcome: int
    day: int
    signature: str


class _Fate(msgspec.Struct):
    state: str
    receipt: _Receipt | None = None
    refusal: _Refusal | None = None


class _Fates(msgspec.Struct):
    orders: list[_Fate]


class _OrderName(msgspec.Struct):
    id: str


class _Slot(msgspec.Struct):
    state: str
    order: _OrderName | None = None
    receipt: _Receipt | None = None


class _Order(msgspec.Struct):
    payer: int
    payee: int
    amount_cents: int
    fee_cents: int
    sequence: int
    kind: str
    tariff: int
    day: int
    options: str
    reference: str

    def body(self) -> bytes:
        """Return the 64 bytes; KeyError or ValueError for what no order says."""
        options, reference = bytes.fromhex(self.options), bytes.fromhex(self.reference)
        if (len(options), len(reference)) != (len(NO_OPTIONS), len(NO_REFERENCE)):
            raise OrderError("A field of the order has another length.")
        return OrderBody(
            payer=self.payer,
            payee=self.payee,
            amount_cents=self.amount_cents,
            fee_cents=self.fee_cents,
            sequence=self.sequence,
            kind=OrderKind[self.kind.upper()],
            tariff=self.tariff,
            day=self.day,
            options=options,
            reference=reference,
        ).to_bytes()


class _FinalSlot(msgspec.Struct):
    state: str
    order: _Order | None = None
    receipt: _Receipt | None = None


class _Kept(msgspec.Struct):
    version: int


class _Request(msgspec.Struct):
    document: str
    super_agent: int
    signature: str


class _Requests(msgspec.Struct):
    requests: list[_Request]


class _Enrolment(msgspec.Struct):
    enrolment_account: int
    sequence: int
    account: int
    day: int


class _TariffRow(msgspec.Struct):
    version: int
    first_day: int
    digest: str


class _Tariffs(msgspec.Struct):
    tariffs: list[_TariffRow]


class _KeyRequest(msgspec.Struct):
    slot: int
    key: str
    options: int
    first_day: int


class _Attestation(msgspec.Struct):
    slot: int
    cents: int


class _Governed(msgspec.Struct):
    enrolment_account: int
    next_slot: int
    key_request: _KeyRequest | None = None
    attestation: _Attestation | None = None
    limit_cents: int | None = None


class _NextSlot(msgspec.Struct):
    next_slot: int


class _Proposals(msgspec.Struct):
    proposals: list[ProposalSeen]


class _Problem(msgspec.Struct):
    code: str
    detail: str


class HttpDoor:
    """A super-agent behind its HTTP gateway."""

    def __init__(self, index: int, address: DoorAddress, session: aiohttp.ClientSession) -> None:
        self.index = index
        self.name = address.name
        self._base = address.http
        self._session = session
        self._network: str | None = None

    async def network(self) -> str:
        """Return the id of the network that it serves, in hexadecimal; asked once."""
        if self._network is None:
            self._network = (await self._ask("GET", "/v1/network", _Network)).network
        return self._network

    async def account(self, number: int) -> AccountView | None:
        """Return an account, or None where it knows none."""
        try:
            found = await self._ask("GET", f"/v1/accounts/{number}", _Account)
        except DoorProblemError as problem:
            if problem.code == "ACCOUNT_UNKNOWN":
                return None
            raise
        try:
            kind = AccountKind[found.kind.upper()]
            key, form = bytes.fromhex(found.key), found.key_form
            mode = FeeMode[found.fee_mode.upper()]
        except (KeyError, ValueError) as error:
            raise self._nonsense() from error
        return AccountView(
            number,
            key,
            kind,
            found.next_sequence,
            found.balance_cents,
            mode,
            found.head_office or 0,
            found.held_cents,
            found.frozen_cents,
            form,
        )

    async def directory(self, msisdn: str) -> int | None:
        """Return the account of a telephone number or short code, or None where it knows none."""
        try:
            found = await self._ask("POST", "/v1/directory", _Number, {"msisdn": msisdn})
        except DoorProblemError as problem:
            if problem.code == "NUMBER_UNKNOWN":
                return None
            raise
        return found.account

    async def alias(self, number: str) -> bytes | None:
        """Return the keyed hash of a number that somebody has, or None where nobody has it."""
        try:
            found = await self._ask("POST", "/v1/directory", _Alias, {"msisdn": number})
            return bytes.fromhex(found.alias)
        except DoorProblemError as problem:
            if problem.code == "NUMBER_UNKNOWN":
                return None
            raise
        except ValueError as error:
            raise self._nonsense() from error

    async def shops(self, number: int) -> list[Shop]:
        """Return the agents under a head office; so many as one page has."""
        return (await self._ask("GET", f"/v1/accounts/{number}/shops?limit=1000", _Shops)).shops

    async def outlook(self, number: int) -> Outlook:
        """Return how long an agent's float lasts."""
        return await self._ask("GET", f"/v1/accounts/{number}/float", Outlook)

    async def place(self, number: int) -> Place | None:
        """Return where an agent is, or None where this super-agent does not know."""
        try:
            found = await self._ask("GET", f"/v1/agents/{number}", _Place)
        except DoorProblemError as problem:
            if problem.code == "PLACE_UNKNOWN":
                return None
            raise
        return Place(found.latitude, found.longitude)

    async def float_sources(self, here: Place | None) -> FloatSources:
        """Return who sells float here, nearest first."""
        near = (
            "" if here is None else f"?latitude={here.latitude:.6f}&longitude={here.longitude:.6f}"
        )
        return await self._ask("GET", f"/v1/float-sources{near}", FloatSources)

    async def statement(self, number: int, limit: int, before: int | None) -> Statement:
        """Return a page of a statement."""
        older = "" if before is None else f"&before={before}"
        path = f"/v1/accounts/{number}/statement?limit={limit}{older}"
        return await self._ask("GET", path, Statement)

    async def offer(self, order: bytes, wait_ms: int, possession: bytes = b"") -> Offered:
        """Bring a signed order, and what a new key signed if it brings one."""
        document = {"bytes": order.hex()}
        if possession:
            document["possession"] = possession.hex()
        return await self._offer(document, wait_ms)

    async def pay_out(self, order: bytes, table: bytes, wait_ms: int) -> Offered:
        """Bring a signed bulk pay-out and its payee table."""
        payees = [
            {"payee": payee, "amount_cents": cents} for payee, cents in PAYEE_ROW.iter_unpack(table)
        ]
        return await self._offer({"bytes": order.hex(), "payees": payees}, wait_ms)

    async def standings(self, numbers: tuple[int, ...]) -> tuple[int, ...]:
        """Return kind, status and tier of many accounts, as in their flags; 0 where there is none."""
        return tuple((await self._records(numbers))["flags"].astype(np.uint16).tolist())

    async def balances(self, numbers: tuple[int, ...]) -> tuple[int, ...]:
        """Return what many accounts hold, in cents."""
        return tuple((await self._records(numbers))["balance"].tolist())

    async def _records(self, numbers: tuple[int, ...]) -> npt.NDArray[np.void]:
        asked = struct.pack(f"<{len(numbers)}I", *numbers)
        answer = await self._send("POST", "/v1/accounts/query", asked, OCTETS)
        if len(answer) != len(numbers) * ACCOUNT.itemsize:
            raise self._nonsense()
        return np.frombuffer(answer, ACCOUNT)

    async def phone_paper(self, paper: bytes, signature: bytes) -> int:
        """Bring what an operator has signed of a feature phone; returns its account."""
        document = {"paper": paper.decode(), "signature": signature.hex()}
        wait_ms = 20_000
        return (await self._ask("POST", "/v1/feature-phones", _Number, document, wait_ms)).account

    async def _offer(self, order: dict[str, Any], wait_ms: int) -> Offered:
        path = f"/v1/orders?wait_ms={wait_ms}"
        fates = (await self._ask("POST", path, _Fates, {"orders": [order]}, wait_ms)).orders
        if len(fates) != 1:
            raise self._nonsense()
        (fate,) = fates
        return Offered(fate.state, self._receipt(fate.receipt), self._refusal(fate.refusal))

    async def slot(self, payer: int, sequence: int, order_id: bytes, wait_ms: int) -> SlotView:
        """Ask whether that order is final in the slot."""
        path = f"/v1/orders/{payer}/{sequence}?id={order_id.hex()}&wait_ms={wait_ms}"
        return await self._slot(path, wait_ms)

    async def ending(
        self, hold: tuple[int, int], slot: int, order_id: bytes, wait_ms: int
    ) -> SlotView:
        """Ask whether that order has ended a hold; `slot` is which of the hold's own slots it is in."""
        asked = f"id={order_id.hex()}&slot={slot}&wait_ms={wait_ms}"
        return await self._slot(f"/v1/holds/{hold[0]}/{hold[1]}/ending?{asked}", wait_ms)

    async def _slot(self, path: str, wait_ms: int) -> SlotView:
        found = await self._ask("GET", path, _Slot, wait_ms=wait_ms)
        try:
            other = (
                bytes.fromhex(found.order.id) if found.state == "other" and found.order else None
            )
        except ValueError as error:
            raise self._nonsense() from error
        return SlotView(found.state, other, self._receipt(found.receipt))

    async def final_order(self, payer: int, sequence: int, wait_ms: int) -> FinalOrder | None:
        """Return what is final in a slot, or None if nothing is."""
        path = f"/v1/orders/{payer}/{sequence}?wait_ms={wait_ms}"
        return await self._final_order(path, wait_ms)

    async def final_ending(self, hold: tuple[int, int], wait_ms: int) -> FinalOrder | None:
        """Return what has ended a hold, or None if nothing has."""
        path = f"/v1/holds/{hold[0]}/{hold[1]}/ending?wait_ms={wait_ms}"
        return await self._final_order(path, wait_ms)

    async def _final_order(self, path: str, wait_ms: int) -> FinalOrder | None:
        found = await self._ask("GET", path, _FinalSlot, wait_ms=wait_ms)
        receipt = self._receipt(found.receipt)
        if found.state != "final":
            return None
        if found.order is None or receipt is None:
            # The slot was closed without an order, or the door has no word to give.
            return None
        try:
            return FinalOrder(found.order.body(), receipt)
        except (KeyError, ValueError) as error:
            raise self._nonsense() from error

    async def hold(self, payer: int, sequence: int) -> HoldView | None:
        """Return a hold and how it stands with it, or None where it knows none."""
        try:
            found = await self._ask("GET", f"/v1/holds/{payer}/{sequence}", _Hold)
            return found.view()
        except DoorProblemError as problem:
            if problem.code == "HOLD_UNKNOWN":
                return None
            raise
        except (KeyError, ValueError) as error:
            raise self._nonsense() from error

    async def holds(self, number: int, after: int | None) -> HoldPage:
        """Return a page of an account's open holds, as payer and as payee."""
        behind = "" if after is None else f"&after={after}"
        path = f"/v1/accounts/{number}/holds?limit={HOLDS_ON_A_PAGE}{behind}"
        found = await self._ask("GET", path, _Holds)
        try:
            return HoldPage(tuple(row.view() for row in found.holds), found.next_after)
        except (KeyError, ValueError) as error:
            raise self._nonsense() from error

    async def reversal(self, payer: int, sequence: int) -> ReversalView | None:
        """Return what became of the wish to have a payment back, or None where it knows none."""
        try:
            return await self._ask("GET", f"/v1/reversals/{payer}/{sequence}", ReversalView)
        except DoorProblemError as problem:
            if problem.code == "PAYMENT_UNKNOWN":
                return None
            raise

    async def name_of(self, question: bytes) -> NameView:
        """Return a payee's masked name, to the account that signed the question."""
        body = {"question": question.hex()}
        view = await self._ask("POST", "/v1/names", NameView, body, NAME_WAIT_MS)
        if len(view.name) > SHOWN_MAX or not f"{view.name}{view.number or ''}".isprintable():
            raise self._nonsense()
        return view

    async def keep_profile(self, signed: bytes) -> None:
        """Bring a signed profile to those who hold it."""
        body = {"profile": signed.hex()}
        await self._ask("POST", "/v1/profiles", _Kept, body, NAME_WAIT_MS)

    async def requests(self, question: bytes, wait_ms: int = 0) -> list[SignedRequest]:
        """Return what merchants ask of the account that signed the question; may wait for something."""
        path = f"/v1/requests/query?wait_ms={wait_ms}"
        answer = await self._send("POST", path, question, OCTETS, wait_ms)
        try:
            return [
                SignedRequest(row.document.encode(), row.super_agent, bytes.fromhex(row.signature))
                for row in msgspec.json.decode(answer, type=_Requests).requests
            ]
        except (msgspec.DecodeError, RecursionError, ValueError) as error:
            raise self._nonsense() from error

    async def decline(self, signed: bytes) -> None:
        """Bring a signed decline of a request."""
        await self._send("POST", "/v1/requests/declines", signed, OCTETS)

    async def announce(self, signed: bytes) -> BillVerdict:
        """Return what the biller says of a bill that is about to be paid."""
        answer = await self._send("POST", "/v1/bills", signed, OCTETS, BILL_WAIT_MS)
        try:
            verdict = msgspec.json.decode(answer, type=BillVerdict)
        except (msgspec.DecodeError, RecursionError, ValueError) as error:
            raise self._nonsense() from error
        said = verdict.code + verdict.sentence
        if len(said) > SHOWN_MAX or not said.isprintable():
            raise self._nonsense()
        return verdict

    async def tariffs(self) -> tuple[TariffRow, ...]:
        """Return every version of the tariff."""
        found = await self._ask("GET", "/v1/tariffs", _Tariffs)
        try:
            return tuple(
                TariffRow(row.version, row.first_day, bytes.fromhex(row.digest))
                for row in found.tariffs
            )
        except ValueError as error:
            raise self._nonsense() from error

    async def tariff(self, version: int) -> bytes:
        """Return the document of a version, in its canonical form."""
        return await self._send("GET", f"/v1/tariffs/{version}", None, JSON)

    async def governed(self, number: int) -> GovernedView | None:
        """Return what of an account is governed, or None where it knows no account."""
        try:
            found = await self._ask("GET", f"/v1/governance/accounts/{number}", _Governed)
        except DoorProblemError as problem:
            if problem.code == "ACCOUNT_UNKNOWN":
                return None
            raise
        request, attested = found.key_request, found.attestation
        try:
            key = None if request is None else bytes.fromhex(request.key)
        except ValueError as error:
            raise self._nonsense() from error
        return GovernedView(
            found.enrolment_account,
            found.next_slot,
            key,
            0 if request is None else request.slot,
            0 if request is None else request.options,
            0 if request is None else request.first_day,
            None if attested is None else attested.cents,
            0 if attested is None else attested.slot,
            found.limit_cents,
        )

    async def tariff_slot(self) -> int:
        """Return the next governance slot of the tariff."""
        return (await self._ask("GET", "/v1/governance/tariff", _NextSlot)).next_slot

    async def proposals(self) -> list[ProposalSeen]:
        """Return what is proposed, as this super-agent sees it; the newest first."""
        return (await self._ask("GET", "/v1/governance/proposals", _Proposals)).proposals

    async def proposal(self, name: bytes) -> ProposalSeen | None:
        """Return one proposal by its order's id, or None where it is not known."""
        path = f"/v1/governance/proposals/{name.hex()}"
        try:
            return await self._ask("GET", path, ProposalSeen)
        except DoorProblemError as problem:
            if problem.code == "PROPOSAL_UNKNOWN":
                return None
            raise

    async def propose(self, document: dict[str, Any]) -> ProposalSeen:
        """Bring a proposal; DoorProblemError says why it is not kept."""
        return await self._ask("POST", "/v1/governance/proposals", ProposalSeen, document)

    async def approve(self, name: bytes, operator: str, approval: bytes) -> ProposalSeen:
        """Bring an operator's approval; DoorProblemError says why it does not count."""
        path = f"/v1/governance/proposals/{name.hex()}/approvals"
        document = {"operator": operator, "signature": approval.hex()}
        return await self._ask("POST", path, ProposalSeen, document)

    async def enrolment(self) -> EnrolmentView:
        """Return what its next new account must sign."""
        found = await self._ask("GET", "/v1/enrolment", _Enrolment)
        return EnrolmentView(found.enrolment_account, found.sequence, found.account, found.day)

    async def register(self, body: bytes, possession: bytes, msisdn: str | None) -> int:
        """Enrol a key that has signed `body`; returns the account number."""
        wait_ms = 10_000
        document = {"order_body": body.hex(), "possession": possession.hex()}
        if msisdn is not None:
            document["msisdn"] = msisdn
        path = f"/v1/accounts?wait_ms={wait_ms}"
        return (await self._ask("POST", path, _Number, document, wait_ms)).account

    def _receipt(self, found: _Receipt | None) -> Receipt | None:
        if found is None:
            return None
        try:
            return Receipt(found.super_agent, bytes.fromhex(found.signature))
        except ValueError as error:
            raise self._nonsense() from error

    def _refusal(self, found: _Refusal | None) -> Refusal | None:
        if found is None:
            return None
        try:
            outcome, signature = Outcome(found.outcome), bytes.fromhex(found.signature)
        except ValueError as error:
            raise self._nonsense() from error
        return Refusal(found.super_agent, outcome, found.day & 0xFFFF, signature)

    async def _ask(
        self, method: str, path: str, kind: type[T], body: Any = None, wait_ms: int = 0
    ) -> T:
        """Send one request and decode its answer as `kind`."""
        content = None if body is None else msgspec.json.encode(body)
        answer = await self._send(method, path, content, JSON, wait_ms)
        try:
            return msgspec.json.decode(answer, type=kind)
        except (msgspec.DecodeError, RecursionError, ValueError) as error:
            raise self._nonsense() from error

    async def _send(
        self,
        method: str,
        path: str,
        content: bytes | None,
        content_type: str,
        wait_ms: int = 0,
        bytes_max: int = ANSWER_BYTES_MAX,
    ) -> bytes:
        """Send one request and return its answer's body, if it is no problem."""
        timeout = aiohttp.ClientTimeout(total=wait_ms // 1000 + ANSWER_S, sock_connect=CONNECT_S)
        headers = {} if content is None else {"content-type": content_type}
        try:
            async with self._session.request(
                method,
                self._base + path,
                data=content,
                headers=headers,
                timeout=timeout,
                allow_redirects=False,
            ) as response:
                status, answer = response.status, await self._read(response, bytes_max)
        except TimeoutError as error:
            raise DoorError(f"{self.name} does not answer in time.") from error
        except (aiohttp.ClientError, OSError) as error:
            raise DoorError(f"{self.name} cannot be reached.") from error
        if status >= 400:
            raise self._problem(status, answer)
        return answer

    async def _read(self, response: aiohttp.ClientResponse, bytes_max: int) -> bytes:
        pieces = bytearray()
        async for piece in response.content.iter_any():
            pieces += piece
            if len(pieces) > bytes_max:
                raise self._nonsense()
        return bytes(pieces)

    def _problem(self, status: int, answer: bytes) -> DoorError:
        try:
            problem = msgspec.json.decode(answer, type=_Problem)
        except (msgspec.DecodeError, RecursionError, ValueError):
            return self._nonsense()
        return DoorProblemError(status, problem.code, problem.detail[:500])

    def _nonsense(self) -> DoorError:
        return DoorError(f"{self.name} answers nothing that can be understood.")


@asynccontextmanager
async def open_doors(addresses: Sequence[DoorAddress]) -> AsyncIterator[list[Door]]:
    """Yield the doors of a network, in the committee's order; connections end with the context."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield [HttpDoor(index, address, session) for index, address in enumerate(addresses)]
