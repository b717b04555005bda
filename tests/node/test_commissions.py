"""Deposit commissions: each deposit's once, in order, whatever crashes between; and why not, where not."""

import asyncio
import logging
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.ledger.town import ALL_SERVICES, NUMBERS, TODAY, open_town

from harambee.crypto.signatures import from_seed
from harambee.handset.orders import order_id
from harambee.ledger.kinds import OrderKind
from harambee.ledger.outcomes import Applied, Outcome
from harambee.ledger.records import BODY_BYTES, ORDER, STATUS_SHIFT, Status
from harambee.money.tariff import shipped_tariff
from harambee.node.commissions import ASIDE_S, WITHOUT_MONEY_S, CommissionPayer, Owed
from harambee.node.port import Slot, State, Submission, UnavailableError

NETWORK = bytes(range(32))
COMMISSION = NUMBERS["commission"]
AGENTS = ("agent", "shop", "far-agent")
"""The shop has a head office; the far agent is another super-agent's."""
DEPOSITS_CENTS = (20_00, 100_00, 500_00, 1_000_00)
"""The first earns nothing, the others 4, 8 and 9 shillings."""


class Crash(BaseException):
    """The process is gone, at once."""


@dataclass
class World:
    """One ledger, and a super-agent's service over it that does with orders what it is told to.

    `fates` are used up one by one, one for each order that is offered: "final"; "pending", it is
    locked and its end is still to come; "lost", the process dies before anybody has the order;
    "kept", it dies after the order was durable. When they are used up every order is final.
    """

    ledger: object = field(default_factory=lambda: open_town((shipped_tariff(1), ALL_SERVICES)))
    fates: list[str] = field(default_factory=list)
    in_flight: dict[tuple[int, int], np.ndarray] = field(default_factory=dict)
    blocks: list[np.ndarray] = field(default_factory=list)
    not_ready: str | None = None
    unreadable: int = 0
    """How often the journal cannot be read from now on."""
    genesis: object = field(
        default_factory=lambda: SimpleNamespace(
            tariffs=(shipped_tariff(1), ALL_SERVICES), network=NETWORK
        )
    )

    # -- what tests do ----------------------------------------------------------------------------

    def apply(self, order):
        states = self.ledger.apply(order, len(self.blocks), np.zeros(1, np.uint32))
        self.blocks.append(order)
        assert Applied(states[0]) is Applied.APPLIED

    def move(self, kind, payer, payee, cents, tariff=2):
        order = np.zeros(1, ORDER)
        order["kind"], order["payer"], order["payee"] = kind, NUMBERS[payer], NUMBERS[payee]
        order["amount"], order["tariff"], order["day"] = cents, tariff, TODAY
        order["sequence"] = self.ledger.next_sequence(NUMBERS[payer])
        self.apply(order)
        return order

    def deposit(self, agent, cents, tariff=2):
        return self.move(OrderKind.DEPOSIT, agent, "neighbour", cents, tariff)

    def payer(self):
        files = SimpleNamespace(treasury=from_seed(b"t" * 32))
        return CommissionPayer(files, self, 0)

    def finals(self, kind):
        return [order[0] for order in self.blocks if order["kind"][0] == kind]

    def balance(self, name):
        return int(self.ledger.account(NUMBERS[name])["balance"])

    # -- what a payer asks of the service ---------------------------------------------------------

    def today(self):
        return TODAY

    def ready(self):
        return self.not_ready

    async def ask(self, question):
        slots = SimpleNamespace(is_open=lambda *slot: slot in self.in_flight)
        return question(SimpleNamespace(ledger=self.ledger, slots=slots))

    async def orders_at(self, entries):
        if self.unreadable:
            self.unreadable -= 1
            raise UnavailableError("This super-agent cannot tell: a block is damaged.")
        rows = [self.blocks[position] for position in entries["position"].tolist()]
        return np.concatenate(rows) if rows else np.zeros(0, ORDER)

    async def account(self, number):
        return self.ledger.records(np.array([number]))

    async def slot(self, payer, sequence, wait_ms):
        order = self.in_flight.pop((payer, sequence))
        self.apply(order)
        return Slot(State.FINAL, order.tobytes())

    async def submit(self, orders, possessions, wait_ms):
        yes = np.ones(1, np.bool_)
        outcome = Outcome(self.ledger.check(orders, yes, yes, TODAY)[0])
        key = int(orders["payer"][0]), int(orders["sequence"][0])
        held = self.in_flight.get(key)
        if held is not None and held.tobytes()[:BODY_BYTES] != orders.tobytes()[:BODY_BYTES]:
            outcome = Outcome.SLOT_TAKEN
        if outcome is not Outcome.ACCEPTED:
            return Submission(np.array([State.REFUSED], "u1"), np.array([outcome], "u1"))
        fate = self.fates.pop(0) if self.fates else "final"
        if fate == "lost":
            raise Crash
        if fate in ("pending", "kept"):
            self.in_flight[key] = orders.copy()
            if fate == "kept":
                raise Crash
            return Submission(np.array([State.PENDING], "u1"), np.zeros(1, "u1"))
        self.in_flight.pop(key, None)
        self.apply(orders.copy())
        return Submission(np.array([State.FINAL], "u1"), np.zeros(1, "u1"))


def pay(payer):
    return asyncio.run(payer.pay_all())


def pay_to_the_end(world, payer=None):
    """Let it pay, and start again after every crash, until it rests with nothing in flight."""
    while True:
        payer = payer or world.payer()
        try:
            if pay(payer) is None and not world.in_flight:
                return payer
        except Crash:
            payer = None


def deposits_with_commission(world):
    """Every deposit in the region that earns something: its id, agent and what it earns."""
    found = []
    for order in world.finals(OrderKind.DEPOSIT):
        earned = {20_00: 0, 100_00: 4_00, 500_00: 8_00, 1_000_00: 9_00}[int(order["amount"])]
        if earned and order["tariff"] == 2 and order["payer"] != NUMBERS["far-agent"]:
            found.append((order_id(NETWORK, order.tobytes()), int(order["payer"]), earned))
    return found


def commissions(world):
    """Every commission that is final, in the order of slots."""
    return [
        (order["reference"].tobytes(), int(order["payee"]), int(order["amount"]))
        for order in world.finals(OrderKind.DEPOSIT_COMMISSION)
    ]


def test_a_deposit_earns_its_commission_and_the_head_office_its_share():
    world = World()
    world.deposit("shop", 500_00)
    before = world.balance("shop"), world.balance("chain")
    payer = pay_to_the_end(world)
    assert commissions(world) == deposits_with_commission(world) != []
    assert (world.balance("shop"), world.balance("chain")) == (before[0] + 6_40, before[1] + 1_60)
    assert (payer.facts.paid, payer.facts.owed, payer.facts.trouble) == (1, 0, None)


def test_agents_are_paid_in_the_order_of_their_deposits():
    world = World()
    for agent, cents in zip(
        ["agent", "shop", "shop", "agent"], (100_00, 500_00, 100_00, 1_000_00), strict=True
    ):
        world.deposit(agent, cents)
    pay_to_the_end(world)
    assert commissions(world) == deposits_with_commission(world)
    assert [cents for _, _, cents in commissions(world)] == [4_00, 8_00, 4_00, 9_00]


@pytest.mark.parametrize(
    ("agent", "cents", "tariff"),
    [
        ("agent", 20_00, 2),  # below what earns anything
        ("agent", 500_00, 1),  # by a tariff without commissions
        ("far-agent", 500_00, 2),  # another super-agent's agent
    ],
)
def test_what_earns_nothing_here_is_not_paid_for(agent, cents, tariff):
    world = World()
    world.deposit(agent, cents, tariff)
    assert pay(world.payer()) is None
    assert commissions(world) == []


_FATES = st.lists(st.sampled_from(["final", "pending", "lost", "kept"]), max_size=12)
_DEPOSITS = st.lists(
    st.tuples(st.sampled_from(AGENTS), st.sampled_from(DEPOSITS_CENTS)), max_size=6
)


@given(rounds=st.lists(st.tuples(_DEPOSITS, _FATES), min_size=1, max_size=4))
@settings(max_examples=40)
def test_each_deposit_is_paid_for_exactly_once_whatever_crashes(rounds):
    world, payer = World(), None
    for deposits, fates in rounds:
        for agent, cents in deposits:
            if cents <= world.balance(agent):
                world.deposit(agent, cents)
        world.fates = list(fates)
        # At any instant: nothing is paid for twice, and nobody before his turn.
        try:
            payer = payer or world.payer()
            pay(payer)
        except Crash:
            payer = None
        due, paid = deposits_with_commission(world), commissions(world)
        assert paid == due[: len(paid)]
    pay_to_the_end(world, payer)
    assert commissions(world) == deposits_with_commission(world)
    assert world.ledger.total_cents() == 0


def test_an_account_without_money_says_so_once_and_pays_when_it_has_some(caplog):
    world = World()
    world.move(OrderKind.TREASURY, "commission", "bank", world.balance("commission") - 5_00)
    for cents in (100_00, 500_00):
        world.deposit("agent", cents)
    payer = world.payer()
    with caplog.at_level(logging.INFO):
        assert pay(payer) == WITHOUT_MONEY_S
        assert pay(payer) == WITHOUT_MONEY_S
    assert [cents for _, _, cents in commissions(world)] == [4_00], "while there is something"
    assert (payer.facts.owed, payer.facts.owed_cents) == (1, 8_00)
    sentence = (
        "The commission account of region 0 has Ksh1.00, and owes Ksh8.00 to its agents: "
        f"pay money into account {COMMISSION}"
    )
    assert payer.facts.trouble == sentence
    assert [record.getMessage() for record in caplog.records] == [
        f"{sentence}; they are paid later"
    ]
    world.move(OrderKind.TREASURY, "float", "commission", 100_00)
    with caplog.at_level(logging.INFO):
        assert pay(payer) is None
    assert commissions(world) == deposits_with_commission(world)
    assert payer.facts.trouble is None
    assert caplog.records[-1].getMessage() == "commissions of region 0 are paid again"


def test_a_frozen_agent_waits_and_holds_up_nobody():
    world = World()
    line = world.ledger.accounts[NUMBERS["shop"]]
    world.deposit("shop", 100_00)
    world.deposit("agent", 500_00)
    line["flags"] |= int(Status.FROZEN) << STATUS_SHIFT
    payer = world.payer()
    assert pay(payer) == ASIDE_S
    assert [agent for _, agent, _ in commissions(world)] == [NUMBERS["agent"]]
    assert payer.facts.owed == 1
    line["flags"] &= ~np.uint32(int(Status.FROZEN) << STATUS_SHIFT)
    pay_to_the_end(world)
    assert [agent for _, agent, _ in commissions(world)] == [NUMBERS["agent"], NUMBERS["shop"]]


def test_an_order_of_another_holder_of_the_key_only_takes_a_slot():
    world = World()
    world.deposit("agent", 100_00)
    other = np.zeros(1, ORDER)
    other["kind"], other["payer"], other["payee"] = OrderKind.TREASURY, COMMISSION, NUMBERS["bank"]
    other["amount"], other["tariff"], other["day"] = 1_00, 2, TODAY
    world.in_flight[COMMISSION, 0] = other
    pay_to_the_end(world)
    assert commissions(world) == deposits_with_commission(world)
    assert world.ledger.next_sequence(COMMISSION) == 2


def test_a_deposit_that_could_not_be_read_is_not_forgotten():
    world = World(unreadable=1)
    world.deposit("agent", 100_00)
    payer = world.payer()
    with pytest.raises(UnavailableError):
        pay(payer)
    assert pay(payer) is None
    assert commissions(world) == deposits_with_commission(world) != []


def test_a_commission_that_could_not_be_read_is_not_paid_again():
    world = World(not_ready="This super-agent reads what it missed.")
    world.deposit("agent", 100_00)
    payer = world.payer()
    pay(payer)
    assert payer.facts.owed == 1
    world.not_ready = None
    pay_to_the_end(world)
    world.unreadable = 1
    with pytest.raises(UnavailableError):
        pay(payer)
    assert pay(payer) is None
    assert len(commissions(world)) == 1


def test_nothing_is_signed_while_the_super_agent_does_not_serve():
    world = World(not_ready="This super-agent reads what it missed.")
    world.deposit("agent", 100_00)
    assert pay(world.payer()) is not None
    assert commissions(world) == []


def test_only_business_of_the_region_wakes_the_payer():
    world = World()

    async def wakes(order):
        payer = world.payer()
        payer.note_final(order)
        return payer.is_awake

    async def all_of_them():
        deposit = world.deposit("agent", 100_00)
        far = world.deposit("far-agent", 100_00)
        money = world.move(OrderKind.TREASURY, "float", "commission", 100_00)
        sold = world.move(OrderKind.FLOAT_SALE, "float", "agent", 100_00)
        return [await wakes(order) for order in (deposit, far, money, sold)]

    assert asyncio.run(all_of_them()) == [True, False, True, False]


@given(st.data())
def test_what_is_owed_does_not_depend_on_the_order_in_which_it_is_told(data):
    deposits = np.zeros(6, ORDER)
    deposits["kind"], deposits["payer"] = OrderKind.DEPOSIT, NUMBERS["agent"]
    deposits["amount"], deposits["tariff"] = 100_00, 2
    deposits["sequence"] = np.arange(6)
    names = [order_id(NETWORK, row.tobytes()) for row in deposits]
    paid = np.zeros(3, ORDER)
    paid["kind"], paid["payer"] = OrderKind.DEPOSIT_COMMISSION, COMMISSION
    for row, name in zip(paid, names[:3], strict=True):
        row["reference"] = np.frombuffer(name, "u1")
    elsewhere = deposits[:1].copy()
    elsewhere["payer"] = NUMBERS["far-agent"]
    told = [
        (elsewhere[0], b"far"),
        *zip(deposits, names, strict=True),
        *((row, b"") for row in paid),
    ]
    owed = Owed(0, (ALL_SERVICES,))
    for row, name in data.draw(st.permutations(told)):
        owed.take(row, name)
    assert {due.reference for due in owed} == set(names[3:])
    assert (len(owed), owed.cents) == (3, 3 * 4_00)
