"""Holds, releases, voids and refunds among payments: in whatever order they are applied."""

import random
from dataclasses import dataclass, field, replace

import pytest
from tests.ledger.test_house_rules import BILL, GOODS, SEND, House
from tests.ledger.town import NUMBERS, TODAY, apply_all, open_town, openings, order_records

from harambee.crypto.hashing import digest
from harambee.ledger import invariants
from harambee.ledger.kinds import ENDINGS, OrderKind, Space
from harambee.ledger.ledger import slot_of
from harambee.ledger.outcomes import Applied, Outcome
from harambee.ledger.rules import Order, sides_of
from harambee.ledger.shares import other_side, shares_of
from harambee.ledger.side_tables import Hold, SideTables
from harambee.money.tariff import FeeMode
from harambee.node.service import change_cents
from harambee.statements.sheet import Entry, sheet_of, side_of

PAYERS = ("customer", "neighbour", "far-customer", "pochi", "newcomer")
PAYEES = {
    "customer": SEND,
    "neighbour": SEND,
    "pochi": SEND,
    "merchant": GOODS,
    "business": BILL,
    "utility": BILL,
    "school": BILL,
}
MODES = {"utility": 1, "school": 2}
AMOUNTS = (50_00, 100_00, 100_01, 150_00, 500_00)
STEPS = 120
REST_ON_OTHERS = ENDINGS | {OrderKind.REFUSE_REVERSAL, OrderKind.DISPUTE}
"""What waits until something in another subject's slot was applied: the hold, or the asking."""


@dataclass
class History:
    """A town in which people hold, release, void, refund and pay; every order one that voters accept."""

    seed: int
    house: House = field(default_factory=House)
    final: list[Order] = field(default_factory=list)
    open: list[Order] = field(default_factory=list)
    paid: list[Order] = field(default_factory=list)
    seen: dict[OrderKind, int] = field(default_factory=dict)

    def __post_init__(self):
        self.dice = random.Random(self.seed)
        before = invariants.check(self.house.ledger)
        for step in range(STEPS):
            if step == STEPS // 2:
                self.house.today = TODAY + 1  # voters take what is of tomorrow
            for order in self.dice.choice(
                (self.pays, self.holds, self.holds, self.ends, self.ends, self.speaks)
            )():
                if self.house.judge(order) is not Outcome.ACCEPTED:
                    continue
                assert self.house.town.apply(order) is Applied.APPLIED
                self.note(order)
                before = invariants.check(self.house.ledger, before)

    def note(self, order):
        kind = OrderKind(order.kind)
        self.final.append(order)
        self.seen[kind] = self.seen.get(kind, 0) + 1
        if kind is OrderKind.HOLD:
            self.open.append(order)
        elif kind in (SEND, GOODS):
            self.paid.append(order)
        elif kind in ENDINGS:
            self.open = [
                hold
                for hold in self.open
                if (hold.payer, hold.sequence) in self.house.ledger.side.holds
            ]

    def two(self):
        payer = self.dice.choice(PAYERS)
        return payer, self.dice.choice([name for name in PAYEES if name != payer])

    def pays(self):
        payer, payee = self.two()
        if PAYEES[payee] is not BILL:
            kind, cents = PAYEES[payee], self.dice.choice(AMOUNTS)
            fee = self.house.fee(kind, cents)
            yield self.house.order(kind, payer, payee, cents, fee_cents=fee)

    def holds(self):
        payer, payee = self.two()
        bill = {"reference": digest(b"INV-7")} if PAYEES[payee] is BILL else {}
        yield self.house.hold(
            payer,
            payee,
            self.dice.choice(AMOUNTS),
            PAYEES[payee],
            days=self.dice.choice((1, 1, 5)),
            authorisation=self.dice.random() < 0.5,
            mode=MODES.get(payee, 0),
            **bill,
        )

    def ends(self):
        if self.open:
            hold = self.dice.choice(self.open)
            signer = self.dice.choice((hold.payer, hold.payee))
            kind = self.dice.choice((OrderKind.RELEASE, OrderKind.RELEASE, OrderKind.VOID))
            part = self.dice.choice((hold.amount_cents, hold.amount_cents // 2))
            cents = part if kind is OrderKind.RELEASE else 0
            fee = {}
            if kind is OrderKind.RELEASE:
                fee["fee_cents"] = self.house.fee(hold.options[0], cents, hold.options[2] & 3)
            yield self.house.ending(kind, hold, signer, cents, **fee)

    def speaks(self):
        if self.paid:
            original = self.dice.choice(self.paid)
            payer, payee, cents = original.payer, original.payee, original.amount_cents
            yield self.house.about(OrderKind.REFUND, payee, payer, original, cents // 2)
            yield self.house.about(OrderKind.ASK_REVERSAL, payer, payee, original, cents // 4)
            yield self.house.about(OrderKind.REFUSE_REVERSAL, payee, payer, original)
            yield self.house.about(OrderKind.DISPUTE, payer, payee, original)


@pytest.fixture(scope="module", params=range(3), ids=lambda seed: f"seed {seed}")
def history(request):
    return History(request.param)


def test_the_histories_are_of_all_that_there_is(history):
    assert set(history.seen) >= {
        OrderKind.HOLD,
        OrderKind.RELEASE,
        OrderKind.VOID,
        OrderKind.REFUND,
        OrderKind.ASK_REVERSAL,
        OrderKind.REFUSE_REVERSAL,
        OrderKind.DISPUTE,
        SEND,
        GOODS,
    }
    assert history.seen[OrderKind.RELEASE] >= 5


def brought(orders, batch):
    """Return a town to which the orders came so; what waits is brought again, as a replica does."""
    ledger, waiting = open_town(tuple(House().ledger.tariffs)), orders
    while waiting:
        states = []
        for start in range(0, len(waiting), batch):
            states += apply_all(ledger, waiting[start : start + batch], start)
        again = [o for o, s in zip(waiting, states, strict=True) if s is Applied.WAITING]
        assert len(again) < len(waiting), "no order ever waits for what never comes"
        waiting = again
    return ledger


@pytest.mark.parametrize("seed", range(6))
def test_the_digest_does_not_depend_on_the_order_of_applying(history, seed):
    dice = random.Random(seed)
    shuffled = dice.sample(history.final, len(history.final))
    ledger = brought(shuffled + dice.sample(shuffled, 20), dice.choice((1, 5, 1_000)))
    assert ledger.digest() == history.house.ledger.digest()
    assert ledger.side == history.house.ledger.side
    assert sorted(ledger.side._holds_of.items()) == sorted(
        history.house.ledger.side._holds_of.items()
    )
    invariants.check(ledger)


@pytest.mark.parametrize("seed", range(6))
def test_the_order_between_subjects_is_free_at_every_point(history, seed):
    """Slots of one subject in their order, subjects among each other in any."""
    dice = random.Random(seed)
    ledger, done = open_town(tuple(House().ledger.tariffs)), 0
    before = invariants.check(ledger)
    queues = {}
    for order in history.final:
        space, subject, _ = slot_of(order_records([order])[0])
        queues.setdefault((space, subject), []).append(order)
    while queues:
        key = dice.choice(list(queues))
        (state,) = apply_all(ledger, [queues[key][0]], done)
        if state is Applied.APPLIED:
            done += 1
            queues[key].pop(0)
            if not queues[key]:
                del queues[key]
            before = invariants.check(ledger, before, leave_out=invariants.RESTING_ON_VOTERS)
        else:
            assert queues[key][0].kind in REST_ON_OTHERS, "own slots are in their order"
    assert ledger.digest() == history.house.ledger.digest()


def test_every_release_and_void_left_no_cent_held(history):
    due = {}
    for hold in history.open:
        cents = hold.amount_cents + hold.fee_cents
        due[hold.payer] = due.get(hold.payer, 0) + cents
    for name, number in NUMBERS.items():
        assert int(history.house.account(name)["held"]) == due.get(number, 0)


# -- whose a hold is ------------------------------------------------------------------------------


def test_the_open_holds_of_an_account_are_found_in_pages(history):
    side = history.house.ledger.side
    for number in NUMBERS.values():
        whole = sorted(key for key, hold in side.holds.items() if number in (key[0], hold.payee))
        assert side.holds_of(number, None, 1_000) == whole
        pages, after = [], None
        while page := side.holds_of(number, after, 2):
            pages += page
            after = page[-1]
        assert pages == whole


def test_a_hold_that_moves_on_to_another_slot_stays_where_it_is():
    side, key = SideTables(), (5, 7)
    hold = Hold(6, 100, 1, 2, TODAY, SEND, FeeMode.PAYER, 1, is_authorisation=False)
    house = House()
    made = house.accept(house.hold("customer", "neighbour", 100_00))
    subject = (made.payer | made.sequence << 32).to_bytes(32, "little")
    assert house.ledger.skip(Space.HOLD, subject, 0)
    assert house.ledger.side.holds_of(made.payer, None, 9) == [(made.payer, made.sequence)]
    assert side.holds_of(5, None, 9) == side.holds_of(6, None, 9) == []
    assert hold.cents == 101
    assert key not in side.holds


# -- what statements show -------------------------------------------------------------------------


def entries_of(history, number):
    """An account's entries as a super-agent tells them, oldest first, from the orders alone."""
    ledger = history.house.ledger
    tariffs = {tariff.version: tariff for tariff in ledger.tariffs}
    balance = int(ledger.account(number)["balance"])
    told = []
    for at in ledger.entries_of(number, 10_000).tolist():
        order = history.final[at]
        change = change_cents(number, order_records([order])[0], tariffs)
        shares = shares_of(number, order, tariffs[order.tariff])
        told.append(
            Entry(
                receipt_code=f"{at:010d}",
                kind=OrderKind(order.kind).name.lower(),
                side=side_of(number, *sides_of(order)),
                other=other_side(number, order),
                time_ms=at * 1000,
                change_cents=change,
                balance_cents=balance,
                charge_cents=shares.charge_cents,
                commission_cents=shares.commission_cents,
            )
        )
        balance -= change
    return told[::-1]


def test_every_statement_adds_up_from_the_opening_to_the_balance(history):
    opened = {int(row["number"]): int(row["balance"]) for row in openings()}
    charged = 0
    for name, number in NUMBERS.items():
        account = history.house.account(name)
        entries = entries_of(history, number)
        sheet = sheet_of(number, int(account["flags"]) & 0xF, entries, int(account["balance"]))
        assert sheet.opening_cents == opened[number], name
        assert sheet.closing_cents == int(account["balance"]), name
        moved = sheet.paid_in_cents - sheet.withdrawn_cents
        assert moved == int(account["credited"]) - int(account["debited"]), name
        charged += sum(entry.charge_cents for entry in entries)
    taken = sum(
        int(history.house.account(where + name)["credited"])
        for where in ("", "far-")
        for name in ("revenue", "excise")
    )
    assert charged == taken > 0


def test_a_release_is_a_line_of_whose_money_it_is_whoever_signed(history):
    tariffs = {tariff.version: tariff for tariff in history.house.ledger.tariffs}
    by_payees = 0
    for order in history.final:
        if order.kind != OrderKind.RELEASE:
            continue
        payer, payee = sides_of(order)
        by_payees += order.payer == payee
        record = order_records([order])[0]
        assert change_cents(payer, record, tariffs) == -order.amount_cents - order.fee_cents
        assert change_cents(payee, record, tariffs) > 0
        assert shares_of(payer, order, tariffs[2]).charge_cents == order.fee_cents
        assert (other_side(payer, order), other_side(payee, order)) == (payee, payer)
    assert by_payees, "some were captured by who is paid"


def test_a_hold_changes_no_balance_and_shows_no_charge():
    house = House()
    hold = house.accept(house.hold("customer", "merchant", 100_00, GOODS))
    void = house.accept(house.ending(OrderKind.VOID, hold, "merchant"))
    tariffs = {tariff.version: tariff for tariff in house.ledger.tariffs}
    for order in (hold, void):
        for name in ("customer", "merchant", "revenue", "excise"):
            number = NUMBERS[name]
            assert change_cents(number, order_records([order])[0], tariffs) == 0
            assert shares_of(number, replace(order), tariffs[2]) == (0, 0)
    assert other_side(NUMBERS["merchant"], void) == NUMBERS["customer"]
    assert other_side(NUMBERS["customer"], void) == NUMBERS["merchant"]
