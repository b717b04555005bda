"""A network of real processes in which every party there is has an account, and moves when told to.

`CAST` says who there is, `CASES` every movement with what it must change, to the cent. The figures
are written by hand from the published tariff; nothing here asks the rules what they would be.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
from tests.accept.quiet_network import WAIT_MS, get, ledger_of, post, request, until

from harambee.crypto.key_places import read_key_pair
from harambee.crypto.signatures import KeyPair, generate
from harambee.handset.holds import HoldView, slot_reference, void_of
from harambee.handset.orders import (
    OrderBody,
    cancel_of,
    order_id,
    sign_order,
    sign_possession,
    today,
)
from harambee.ledger.house_rules import AUTHORISATION_BIT
from harambee.ledger.kinds import ENDINGS, OrderKind
from harambee.ledger.outcomes import Outcome
from harambee.ledger.payees import table_digest
from harambee.ledger.records import (
    ACCOUNT,
    PAYEE,
    POSITION_COMMISSION,
    POSITION_ENROLMENT,
    POSITION_EXCISE,
    POSITION_FLOAT,
    POSITION_REVENUE,
    REGION_ACCOUNTS,
    AccountKind,
    account_number,
)
from harambee.money.tariff import FeeMode
from harambee.node.development import Population
from harambee.traffic.temporary_network import TemporaryNetwork

Kind = OrderKind
Out = Outcome
HERE, FAR = 0, 1
"""Two regions, and so two super-agents with accounts of their own."""

# Name -> kind, region, opening cents, tier, who pays a bill's fee.
CAST: Final = {
    "customer": (AccountKind.CUSTOMER, HERE, 400_000_00, 0, FeeMode.PAYER),
    "neighbour": (AccountKind.CUSTOMER, HERE, 1_000_00, 0, FeeMode.PAYER),
    "newcomer": (AccountKind.CUSTOMER, HERE, 60_000_00, 1, FeeMode.PAYER),
    "far-customer": (AccountKind.CUSTOMER, FAR, 300_000_00, 0, FeeMode.PAYER),
    "traveller": (AccountKind.CUSTOMER, HERE, 0, 0, FeeMode.PAYER),
    "pochi": (AccountKind.POCHI, HERE, 50_000_00, 0, FeeMode.PAYER),
    "chain": (AccountKind.AGENT, HERE, 0, 0, FeeMode.PAYER),
    "shop": (AccountKind.AGENT, HERE, 100_000_00, 0, FeeMode.PAYER),
    "operator": (AccountKind.AGENT, HERE, 20_000_00, 0, FeeMode.PAYER),
    "agent": (AccountKind.AGENT, HERE, 100_000_00, 0, FeeMode.PAYER),
    "far-agent": (AccountKind.AGENT, FAR, 0, 0, FeeMode.PAYER),
    "till": (AccountKind.MERCHANT, HERE, 30_000_00, 0, FeeMode.PAYER),
    "water": (AccountKind.BUSINESS, HERE, 0, 0, FeeMode.PAYER),
    "utility": (AccountKind.BUSINESS, HERE, 0, 0, FeeMode.PAYEE),
    "school": (AccountKind.BUSINESS, HERE, 0, 0, FeeMode.SHARED),
    "telco": (AccountKind.BUSINESS, HERE, 0, 0, FeeMode.PAYER),
    "employer": (AccountKind.BUSINESS, HERE, 400_000_00, 0, FeeMode.PAYER),
    "authority": (AccountKind.BUSINESS, HERE, 0, 0, FeeMode.PAYER),
    "bank": (AccountKind.BANK, HERE, 0, 0, FeeMode.PAYER),
}
RECRUITS: Final = 40
"""Agents who have not joined a head office yet: one can do so only once."""
OWN: Final = {
    "revenue": POSITION_REVENUE,
    "commission": POSITION_COMMISSION,
    "float": POSITION_FLOAT,
    "excise": POSITION_EXCISE,
}
COMMISSION_FUND_CENTS: Final = 50_000_00
BILL: Final = b"account 254".ljust(32, b"\0")


@dataclass(frozen=True)
class Case:
    """One movement: what is signed, what changes, and one thing that the network refuses."""

    kind: OrderKind
    payer: str
    payee: str
    cents: int
    fee_cents: int
    changes: dict[str, int]
    """Every account whose balance changes, and by how many cents."""
    wrong: dict[str, Any]
    """Changed fields of an order that is refused."""
    refused: Outcome
    options: bytes | str = bytes(3)
    """Three bytes, or the name of the head office that they stand for."""
    reference: bytes = bytes(32)
    payees: tuple[tuple[str, int], ...] = ()
    """The table of a bulk order: who, and how many cents; ascending by account."""
    after: str = ""
    """What must be final first, by its name in FIRST: the order is about it."""

    @property
    def entries(self) -> int:
        """How many statement entries it makes: its own, and one for each payee of a table."""
        return 1 + len(self.payees)


@dataclass(frozen=True)
class First:
    """An order that must be final before one that is about it."""

    kind: OrderKind
    payer: str
    payee: str
    cents: int
    fee_cents: int
    options: bytes = bytes(3)
    asked: bool = False
    """Whether it is asked back, too."""


FIRST: Final = {
    "a hold": First(Kind.HOLD, "customer", "neighbour", 500_00, 7_00, bytes([Kind.SEND, 1, 0])),
    "an authorisation": First(
        Kind.HOLD,
        "customer",
        "till",
        1_000_00,
        0,
        bytes([Kind.BUY_GOODS, 7, AUTHORISATION_BIT]),
    ),
    "a sale": First(Kind.BUY_GOODS, "customer", "till", 1_000_00, 0),
    "a mistake": First(Kind.SEND, "customer", "neighbour", 100_01, 7_00),
    "a mistake that is asked back": First(
        Kind.SEND, "customer", "neighbour", 100_01, 7_00, asked=True
    ),
}

# Every movement. A kind that comes to the network later gets its row here.
CASES: Final = {
    "send": Case(
        Kind.SEND,
        "customer",
        "neighbour",
        100_01,
        7_00,
        {"customer": -107_01, "neighbour": 100_01, "excise": 91, "revenue": 6_09},
        {"amount_cents": 249_000_00, "fee_cents": 108_00, "payer": "neighbour", "payee": "pochi"},
        Out.BALANCE_INSUFFICIENT,
    ),
    "send from afar": Case(
        Kind.SEND,
        "far-customer",
        "pochi",
        1_000_00,
        13_00,
        {"far-customer": -1_013_00, "pochi": 1_000_00, "far-excise": 1_69, "far-revenue": 11_31},
        {"fee_cents": 12_99},
        Out.FEE_WRONG,
    ),
    "send, first tier": Case(
        Kind.SEND,
        "newcomer",
        "customer",
        50_00,
        0,
        {"newcomer": -50_00, "customer": 50_00},
        {"amount_cents": 30_000_01, "fee_cents": 108_00},
        Out.AMOUNT_ABOVE_LIMIT,
    ),
    "send from a pochi": Case(
        Kind.SEND,
        "pochi",
        "neighbour",
        200_00,
        7_00,
        {"pochi": -207_00, "neighbour": 200_00, "excise": 91, "revenue": 6_09},
        {"payee": "till"},
        Out.PAYEE_KIND_WRONG,
    ),
    "withdraw": Case(
        Kind.WITHDRAW,
        "customer",
        "agent",
        500_00,
        29_00,
        {"customer": -529_00, "agent": 508_00, "excise": 3_78, "revenue": 17_22},
        {"amount_cents": 49_99},
        Out.AMOUNT_WITHOUT_TARIFF,
    ),
    "withdraw, head office": Case(
        Kind.WITHDRAW,
        "customer",
        "shop",
        500_00,
        29_00,
        {"customer": -529_00, "shop": 506_40, "chain": 1_60, "excise": 3_78, "revenue": 17_22},
        {"options": bytes(3)},
        Out.HEAD_OFFICE_WRONG,
        options="chain",
    ),
    "withdraw at an operator's": Case(
        Kind.WITHDRAW,
        "far-customer",
        "operator",
        1_000_00,
        29_00,
        {
            "far-customer": -1_029_00,
            "operator": 1_008_00,
            "chain": 2_00,
            "far-excise": 3_78,
            "far-revenue": 15_22,
        },
        {"payee": "till"},
        Out.PAYEE_KIND_WRONG,
        options="chain",
    ),
    "deposit": Case(
        Kind.DEPOSIT,
        "shop",
        "customer",
        300_00,
        0,
        {"shop": -300_00, "customer": 300_00},
        {"payer": "far-agent"},  # an agent without float
        Out.BALANCE_INSUFFICIENT,
    ),
    "deposit commission": Case(
        Kind.DEPOSIT_COMMISSION,
        "commission",
        "shop",
        8_00,
        0,
        {"commission": -8_00, "shop": 6_40, "chain": 1_60},
        {"amount_cents": 8_01},
        Out.AMOUNT_WITHOUT_TARIFF,
        options="chain",
        reference=b"the id of a deposit".ljust(32, b"\1"),
    ),
    "buy goods": Case(
        Kind.BUY_GOODS,
        "customer",
        "till",
        1_000_00,
        0,
        {"customer": -1_000_00, "till": 994_50, "excise": 71, "revenue": 4_79},
        {"payee": "water"},
        Out.PAYEE_KIND_WRONG,
    ),
    "bill, the customer pays": Case(
        Kind.PAY_BILL,
        "customer",
        "water",
        500_00,
        5_00,
        {"customer": -505_00, "water": 500_00, "excise": 65, "revenue": 4_35},
        {"reference": bytes(32)},
        Out.REFERENCE_MISSING,
        options=bytes([0, 0, 0]),
        reference=BILL,
    ),
    "bill, the business pays": Case(
        Kind.PAY_BILL,
        "customer",
        "utility",
        500_00,
        0,
        {"customer": -500_00, "utility": 495_00, "excise": 65, "revenue": 4_35},
        {"options": bytes([0, 0, 0]), "fee_cents": 5_00},
        Out.FEE_MODE_WRONG,
        options=bytes([1, 0, 0]),
        reference=BILL,
    ),
    "bill, they share": Case(
        Kind.PAY_BILL,
        "pochi",
        "school",
        500_00,
        2_50,
        {"pochi": -502_50, "school": 497_50, "excise": 65, "revenue": 4_35},
        {"options": bytes([3, 0, 0])},
        Out.OPTIONS_INVALID,
        options=bytes([2, 0, 0]),
        reference=BILL,
    ),
    "airtime": Case(
        Kind.AIRTIME,
        "customer",
        "telco",
        50_00,
        0,
        {"customer": -50_00, "telco": 50_00},
        {"payee": "till"},
        Out.PAYEE_KIND_WRONG,
    ),
    "airtime for another, at an agent's": Case(
        Kind.AIRTIME,
        "agent",
        "telco",
        20_00,
        0,
        {"agent": -20_00, "telco": 20_00},
        {"payer": "till"},
        Out.PAYER_KIND_WRONG,
        reference=b"another telephone".ljust(32, b"\2"),
    ),
    "pay out": Case(
        Kind.PAY_OUT,
        "employer",
        "customer",
        1_000_00,
        5_00,
        {"employer": -1_005_00, "customer": 1_000_00, "excise": 65, "revenue": 4_35},
        {"fee_cents": 0},
        Out.FEE_WRONG,
    ),
    "bulk pay-out": Case(
        Kind.BULK_PAY_OUT,
        "employer",
        "employer",
        1_150_00,
        10_00,
        {
            "employer": -1_160_00,
            "customer": 1_000_00,
            "pochi": 150_00,
            "excise": 1_30,
            "revenue": 8_70,
        },
        {"payees": (("customer", 1_000_00), ("till", 150_00))},
        Out.PAYEE_KIND_WRONG,
        payees=(("customer", 1_000_00), ("pochi", 150_00)),
    ),
    "business transfer": Case(
        Kind.BUSINESS_TRANSFER,
        "till",
        "water",
        700_00,
        0,
        {"till": -700_00, "water": 700_00},
        {"payer": "customer"},
        Out.PAYER_KIND_WRONG,
    ),
    "bank to wallet": Case(
        Kind.BANK_WITHDRAWAL,
        "bank",
        "neighbour",
        2_000_00,
        0,
        {"bank": -2_000_00, "neighbour": 2_000_00},
        {"payee": "newcomer", "amount_cents": 100_000_00},
        Out.PAYEE_BALANCE_ABOVE_LIMIT,
    ),
    "wallet to bank": Case(
        Kind.BANK_DEPOSIT,
        "till",
        "bank",
        100_00,
        0,
        {"till": -100_00, "bank": 100_00},
        {"payer": "far-agent"},
        Out.BALANCE_INSUFFICIENT,
    ),
    "float sale": Case(
        Kind.FLOAT_SALE,
        "float",
        "agent",
        5_000_00,
        0,
        {"float": -5_000_00, "agent": 5_000_00},
        {"payee": "customer"},
        Out.PAYEE_KIND_WRONG,
    ),
    "float sale between neighbours": Case(
        Kind.FLOAT_SALE,
        "agent",
        "operator",
        250_00,
        0,
        {"agent": -250_00, "operator": 250_00},
        {"payer": "customer"},
        Out.PAYER_KIND_WRONG,
    ),
    "treasury": Case(
        Kind.TREASURY,
        "float",
        "far-commission",
        900_00,
        0,
        {"float": -900_00, "far-commission": 900_00},
        {"fee_cents": 1},
        Out.FEE_WRONG,
    ),
    "excise remittance": Case(
        Kind.EXCISE_REMITTANCE,
        "excise",
        "authority",
        91,
        0,
        {"excise": -91, "authority": 91},
        {"payee": "revenue"},
        Out.PAYEE_KIND_WRONG,
    ),
    "join a head office": Case(
        Kind.JOIN_HEAD_OFFICE,
        "a recruit",
        "chain",
        0,
        0,
        {},
        {"payee": "far-agent"},
        Out.HEAD_OFFICE_WRONG,
    ),
    "enrol": Case(
        Kind.ENROL,
        "enrolment",
        "the next place",
        0,
        0,
        {},
        {"possession": bytes(64)},
        Out.POSSESSION_UNPROVEN,
        options=bytes([AccountKind.POCHI, 0, 1]),
    ),
    "claim": Case(
        Kind.CLAIM,
        "enrolment",
        "neighbour",
        0,
        0,
        {},
        {"sequence": 1},
        Out.ALIAS_SEQUENCE_WRONG,
    ),
    "hold": Case(
        Kind.HOLD,
        "customer",
        "neighbour",
        500_00,
        7_00,
        {},
        {"options": bytes([Kind.SEND, 31, 0])},
        Out.OPTIONS_INVALID,
        options=bytes([Kind.SEND, 1, 0]),
    ),
    "release": Case(
        Kind.RELEASE,
        "customer",
        "neighbour",
        500_00,
        7_00,
        {"customer": -507_00, "neighbour": 500_00, "excise": 91, "revenue": 6_09},
        {"fee_cents": 0},
        Out.FEE_WRONG,
        after="a hold",
    ),
    "release of a part, by the till": Case(
        Kind.RELEASE,
        "till",
        "till",
        400_00,
        0,
        {"customer": -400_00, "till": 397_80, "excise": 28, "revenue": 1_92},
        {"amount_cents": 1_000_01},
        Out.AMOUNT_ABOVE_LIMIT,
        after="an authorisation",
    ),
    "void, by whom it was for": Case(
        Kind.VOID,
        "neighbour",
        "neighbour",
        0,
        0,
        {},
        {"payer": "far-customer"},
        Out.HOLD_NOT_YOURS,
        after="a hold",
    ),
    "refund": Case(
        Kind.REFUND,
        "till",
        "customer",
        250_00,
        0,
        {"till": -250_00, "customer": 250_00},
        {"amount_cents": 1_000_01},
        Out.REFUND_ABOVE_ORIGINAL,
        after="a sale",
    ),
    "reversal asked": Case(
        Kind.ASK_REVERSAL,
        "customer",
        "neighbour",
        100_01,
        0,
        {},
        {"amount_cents": 100_02},
        Out.REFUND_ABOVE_ORIGINAL,
        after="a mistake",
    ),
    "reversal refused": Case(
        Kind.REFUSE_REVERSAL,
        "neighbour",
        "customer",
        0,
        0,
        {},
        {"amount_cents": 1},
        Out.AMOUNT_NOT_ZERO,
        after="a mistake that is asked back",
    ),
    "dispute": Case(
        Kind.DISPUTE,
        "customer",
        "neighbour",
        0,
        0,
        {},
        {"payee": "pochi"},
        Out.ORIGINAL_DIFFERENT,
        after="a mistake that is asked back",
    ),
    "a key changed": Case(
        Kind.CHANGE_KEY,
        "traveller",
        "traveller",
        0,
        0,
        {},
        {"possession": bytes(64)},
        Out.POSSESSION_UNPROVEN,
    ),
    "cancel": Case(
        Kind.CANCEL,
        "customer",
        "customer",
        0,
        0,
        {},
        {"amount_cents": 1},
        Out.AMOUNT_NOT_ZERO,
    ),
}


@dataclass(frozen=True)
class Offer:
    """A signed order with what else goes with it."""

    order: bytes
    body: OrderBody
    possession: bytes | None = None
    payees: bytes = b""
    """The table of payees as it travels."""

    @property
    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = {"bytes": self.order.hex()}
        if self.possession is not None:
            document["possession"] = self.possession.hex()
        if self.payees:
            rows = np.frombuffer(self.payees, PAYEE).tolist()
            document["payees"] = [{"payee": payee, "amount_cents": cents} for payee, cents in rows]
        return document


@dataclass
class CastNetwork:
    """Four super-agents, and everybody's keys."""

    running: TemporaryNetwork
    numbers: dict[str, int] = field(default_factory=dict)
    keys: dict[str, KeyPair] = field(default_factory=dict)
    sequences: dict[int, int] = field(default_factory=dict)
    recruits: list[str] = field(default_factory=list)
    claims: int = 0
    new_keys: dict[bytes, KeyPair] = field(default_factory=dict)
    """By public key: those that accounts are to have."""

    def __post_init__(self) -> None:
        residents = self.running.folder.population()
        assert residents is not None
        self.recruits = [f"recruit-{i}" for i in range(RECRUITS)]
        for name, number, seed in zip(
            [*CAST, *self.recruits], residents.numbers.tolist(), residents.seeds, strict=True
        ):
            self.numbers[name], self.keys[name] = number, KeyPair(seed.tobytes())
        for region, before in ((HERE, ""), (FAR, "far-")):
            home = self.running.folder.node(region)
            treasury = read_key_pair(home.treasury_key, "treasury")
            for name, position in OWN.items():
                self.numbers[before + name] = account_number(region, position)
                self.keys[before + name] = treasury
            self.numbers[before + "enrolment"] = account_number(region, POSITION_ENROLMENT)
            self.keys[before + "enrolment"] = read_key_pair(home.enrolment_key, "enrolment")
        opened = self.running.folder.openings
        pairs = zip(opened["number"].tolist(), opened["next_sequence"].tolist(), strict=True)
        self.sequences = dict(pairs)

    @property
    def urls(self) -> list[str]:
        return [door.url for door in self.running.network.doors]

    def settle_in(self) -> None:
        """Let the shop and its operator join their chain, and put money into the commissions."""
        for name in ("shop", "operator"):
            self.carry_out(self.urls[0], Kind.JOIN_HEAD_OFFICE, name, "chain")
        self.carry_out(
            self.urls[0], Kind.TREASURY, "float", "commission", amount_cents=COMMISSION_FUND_CENTS
        )

    def carry_out(
        self, url: str, kind: OrderKind, payer: str, payee: str, amount_cents: int = 0
    ) -> None:
        body = self.body(
            kind, payer=payer, payee=payee, amount_cents=amount_cents, sequence=self.next(payer)
        )
        self.make_final(url, payer, body)

    # -- orders -----------------------------------------------------------------------------------

    def next(self, payer: str) -> int:
        return self.sequences[self.numbers[payer]]

    def moved_on(self, body: OrderBody) -> None:
        """Take it into account that an order is final."""
        if body.kind is not Kind.CLAIM and body.kind not in ENDINGS:
            self.sequences[body.payer] = body.sequence + 1
        if body.kind is Kind.CHANGE_KEY:
            names = [name for name, number in self.numbers.items() if number == body.payer]
            self.keys[names[0]] = self.new_keys[body.reference]

    def body(self, kind: OrderKind, payer: str, payee: str | int, **fields: Any) -> OrderBody:
        number = self.numbers[payee] if isinstance(payee, str) else payee
        standing = {"amount_cents": 0, "fee_cents": 0, "day": today(), "tariff": 2}
        return OrderBody(kind=kind, payer=self.numbers[payer], payee=number, **(standing | fields))

    def signed(self, payer: str, body: OrderBody, possession: bytes | None = None) -> Offer:
        network = self.running.network.network
        return Offer(sign_order(self.keys[payer], network, body), body, possession)

    def first(self, url: str, first: First) -> OrderBody:
        """Make final, through that door, what an order is to be about."""
        body = self.body(
            first.kind,
            first.payer,
            first.payee,
            amount_cents=first.cents,
            fee_cents=first.fee_cents,
            options=first.options,
            sequence=self.next(first.payer),
        )
        self.make_final(url, first.payer, body)
        if first.asked:
            asked = self.body(
                Kind.ASK_REVERSAL,
                first.payer,
                first.payee,
                amount_cents=first.cents,
                sequence=self.next(first.payer),
                reference=slot_reference(body.payer, body.sequence),
            )
            self.make_final(url, first.payer, asked)
        return body

    def make_final(self, url: str, payer: str, body: OrderBody) -> None:
        (fate,) = submit([self.signed(payer, body)], url)
        assert fate["state"] == "final", fate
        self.moved_on(body)

    def named(self, case: Case, first: OrderBody) -> dict[str, Any]:
        """Return what an order says of the one that it is about."""
        if case.kind not in ENDINGS:
            return {"reference": slot_reference(first.payer, first.sequence)}
        view = HoldView(
            first.payer,
            first.sequence,
            first.payee,
            first.amount_cents,
            first.fee_cents,
            first.tariff,
            first.day,
            first.options[1],
            OrderKind(first.options[0]),
            FeeMode(first.options[2] & 3),
            bool(first.options[2] & AUTHORISATION_BIT),
        )
        named = void_of(view, first.payee, first.day)
        return {"reference": named.reference, "sequence": 0, "payee": named.payee}

    def offer(self, case: Case, through: str | None = None, **changes: Any) -> Offer:
        """Return the next order of a case, signed; with changes, one that is wrong in these.

        What must be final first, is made so through that door.
        """
        named: dict[str, Any] = {}
        if case.after:
            first = self.first(through or self.urls[0], FIRST[case.after])
            named = self.named(case, first)
        payer = changes.pop("payer", case.payer)
        if payer == "a recruit":
            payer = self.recruits[-1] if changes else self.recruits.pop()
        fields: dict[str, Any] = {
            "payee": case.payee,
            "amount_cents": case.cents,
            "fee_cents": case.fee_cents,
            "sequence": self.next(payer),
            "options": case.options,
            "reference": case.reference,
        } | named
        possession = changes.pop("possession", None)
        rows = [(self.numbers[name], cents) for name, cents in changes.pop("payees", case.payees)]
        table = np.array(rows, PAYEE).tobytes()
        if table:
            fields["reference"] = table_digest(table)
        new_key = generate() if case.kind in (Kind.ENROL, Kind.CHANGE_KEY) else None
        if new_key is not None:
            fields["reference"] = new_key.public
            self.new_keys[new_key.public] = new_key
        if case.kind is Kind.ENROL:
            fields["payee"] = self.numbers[payer] + self.next(payer)
        if case.kind is Kind.CLAIM:
            self.claims += 1
            fields |= {"sequence": 0, "reference": bytes([self.claims]) * 32}
        fields |= changes
        if isinstance(fields["options"], str):
            position = self.numbers[fields["options"]] % REGION_ACCOUNTS
            fields["options"] = position.to_bytes(3, "little")
        body = self.body(case.kind, payer, **fields)
        if case.kind is Kind.CANCEL and not changes:
            assert body.to_bytes() == cancel_of(body, body.day).to_bytes()
        if new_key is not None and possession is None:
            possession = sign_possession(new_key, self.running.network.network, body)
        return replace(self.signed(payer, body, possession), payees=table)

    def id_of(self, offer: Offer) -> str:
        return order_id(self.running.network.network, offer.order).hex()

    # -- what the super-agents hold ---------------------------------------------------------------

    def balances(self, url: str) -> dict[str, int]:
        """Return what everybody has by this super-agent's books, in cents."""
        numbers = np.array(list(self.numbers.values()), "<u4")
        answer = request(url, "POST", "/v1/accounts/query", numbers.tobytes(), OCTETS)
        assert answer.status == 200, answer
        records = np.frombuffer(answer.body, ACCOUNT)
        return dict(zip(self.numbers, records["balance"].tolist(), strict=True))

    def agreed(self, urls: list[str] | None = None) -> dict[str, Any]:
        """Return what all these say their ledger is, as soon as they say the same."""
        seen: list[dict[str, Any]] = []

        def agree() -> bool:
            seen[:] = [ledger_of(url) for url in urls or self.urls]
            return all(one == seen[0] for one in seen)

        until(agree, lambda: f"the ledgers differ: {seen}")
        assert seen[0]["total_cents"] == 0
        return seen[0]


OCTETS: Final = {"Content-Type": "application/octet-stream"}


def submit(offers: list[Offer], url: str, wait_ms: int = WAIT_MS) -> list[dict[str, Any]]:
    """Offer orders in one body; what became of each."""
    documents = {"orders": [offer.document for offer in offers]}
    answer = post(url, f"/v1/orders?wait_ms={wait_ms}", documents)
    assert answer.status == 200, answer
    fates: list[dict[str, Any]] = answer.document["orders"]
    return fates


def at_once(calls: list[Callable[[], Any]]) -> list[Any]:
    """Make all calls at the same time; their results."""
    with ThreadPoolExecutor(len(calls)) as threads:
        return [future.result() for future in [threads.submit(call) for call in calls]]


def newest_line(url: str, account: int) -> dict[str, Any]:
    """Return the newest line of an account's statement."""
    lines = get(url, f"/v1/accounts/{account}/statement?limit=1").document["lines"]
    return dict(lines[0])


def cast_population() -> Population:
    """Return everybody as a network is told to open them."""
    recruit = (AccountKind.AGENT, HERE, 0, 0, FeeMode.PAYER)
    rows = np.array([*CAST.values(), *[recruit] * RECRUITS], np.int64)
    kinds, regions, cents, tiers, modes = rows.T
    return Population(
        kinds.astype(np.uint8),
        cents,
        regions.astype(np.uint16),
        tier=tiers.astype(np.uint8),
        fee_mode=modes.astype(np.uint8),
    )
