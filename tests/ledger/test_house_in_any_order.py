"""Final orders of different slots, applied in any order: one digest.

Histories are drawn at random from every kind of the house among ordinary payments. Orders of one round are
judged against the same books, as voters do who have not heard of each other's yet; then all become final,
and some slots are skipped instead. Whoever applies them in another order must have the same books.
"""

import functools
import random

import numpy as np
import pytest
from tests.ledger.test_house_rules import BILL, GOODS, SEND, House, tariff_order
from tests.ledger.town import apply_all, order_records

from harambee.crypto.hashing import digest
from harambee.ledger import invariants
from harambee.ledger.kinds import MOVEMENTS, OrderKind, Space
from harambee.ledger.ledger import slot_of
from harambee.ledger.outcomes import Applied, Outcome
from harambee.ledger.payees import tables_of
from harambee.money.tariff import NoBandError

PAYERS = ("customer", "neighbour", "rich", "far-customer", "pochi", "newcomer")
PAYEES = (*PAYERS, "merchant", "business", "utility")
SEEDS, ROUNDS, ORDERS_A_ROUND = 12, 14, 5
VERSIONS_MAX = 4


class History:
    """A network's final orders and skipped slots, drawn at random, with books to draw them from."""

    def __init__(self, seed):
        self.dice = random.Random(seed)
        self.house = House(key_days=1)
        self.house.tell("given rich balance 300,000.00 ->")
        self.ledger = self.house.ledger
        self.final = []
        """("order", Order) or ("skip", space, subject, sequence)."""
        self.holds, self.paid, self.requests, self.attested = [], [], [], []

    def draw(self):
        for _ in range(ROUNDS):
            chosen = {}
            for _ in range(ORDERS_A_ROUND):
                order = self.any_order()
                if order is None:
                    continue
                slot = slot_of(order_records([order])[0])
                if slot not in chosen and self.judge(order) is Outcome.ACCEPTED:
                    chosen[slot] = order
            for slot, order in chosen.items():
                if self.dice.random() < 0.1:
                    assert self.ledger.skip(*slot)
                    self.final.append(("skip", *slot))
                else:
                    assert self.house.town.apply(order) is Applied.APPLIED
                    self.final.append(("order", order))
                    self.remember(order)
            if self.dice.random() < 0.3:
                self.house.today += 1

    def judge(self, order):
        yes = np.ones(1, bool)
        tables = tables_of(self.house.town.tables)
        (code,) = self.ledger.check(
            order_records([order]), yes, yes, self.house.today, tables
        ).tolist()
        return Outcome(code)

    def remember(self, order):
        match order.kind:
            case OrderKind.HOLD:
                self.holds.append(order)
                self.paid.append(order)
            case OrderKind.REQUEST_KEY:
                self.requests.append(order)
            case OrderKind.ATTEST:
                self.attested.append(order)
            case OrderKind.SEND | OrderKind.BUY_GOODS:
                self.paid.append(order)

    def any_order(self):
        house, dice = self.house, self.dice
        tariffs = sorted(t.version for t in self.ledger.tariffs)
        day = house.today + dice.choice([0, 0, 0, 1])
        fields = {"day": day, "tariff": dice.choice(tariffs)}
        payer, payee = dice.choice(PAYERS), dice.choice(PAYEES)
        cents = dice.choice([50_00, 100_00, 120_00])
        kind = dice.choice([*MOVEMENTS, *[OrderKind.HOLD] * 6, *[OrderKind.SEND] * 6])
        try:
            match kind:
                case OrderKind.SEND | OrderKind.BUY_GOODS:
                    return house.order(
                        kind, payer, payee, cents, fee_cents=house.fee(kind, cents), **fields
                    )
                case OrderKind.HOLD:
                    movement = dice.choice([SEND, GOODS, BILL])
                    mode = dice.choice([0, 1]) if movement is BILL else 0
                    return house.hold(
                        payer,
                        payee,
                        cents,
                        movement,
                        dice.choice([1, 2]),
                        dice.random() < 0.5,
                        mode,
                        reference=digest(b"bill"),
                        **fields,
                    )
                case OrderKind.RELEASE | OrderKind.VOID if self.holds:
                    hold = dice.choice(self.holds)
                    captured = dice.choice([hold.amount_cents, 50_00])
                    signer = dice.choice([hold.payer, hold.payee])
                    captured = captured if kind is OrderKind.RELEASE else 0
                    return house.ending(kind, hold, signer, captured, day=day)
            if kind in REVERSING and self.paid:
                paid = dice.choice(self.paid)
                sides = (paid.payer, paid.payee)
                if kind in (OrderKind.REFUND, OrderKind.REFUSE_REVERSAL):
                    sides = sides[::-1]
                moves = kind in (OrderKind.REFUND, OrderKind.ASK_REVERSAL)
                return house.about(kind, *sides, paid, 40_00 if moves else 0, **fields)
            return self.any_of_governance_or_keys(kind, payer, payee, fields)
        except NoBandError:
            return None

    def any_of_governance_or_keys(self, kind, payer, payee, fields):
        house, dice = self.house, self.dice
        key = digest(dice.randbytes(4))
        match kind:
            case OrderKind.CHANGE_KEY:
                return house.order(kind, payer, payer, reference=key, **fields)
            case OrderKind.REQUEST_KEY:
                owner = dice.choice(["customer", "neighbour"])
                return house.order(kind, "enrolment", owner, reference=key, **fields)
            case OrderKind.TAKE_KEY | OrderKind.REFUSE_KEY if self.requests:
                asked = dice.choice(self.requests[-4:])
                fields |= {"options": asked.sequence.to_bytes(2, "little") + b"\0"}
                return house.order(
                    kind, asked.payee, asked.payee, reference=asked.reference, **fields
                )
            case OrderKind.FREEZE | OrderKind.UNFREEZE:
                signer = dice.choice(["enrolment", "far-enrolment"])
                return house.order(kind, signer, payee, dice.choice([0, 10_00, 30_00]), **fields)
            case OrderKind.CLOSE:
                whom = dice.choice(["merchant", "utility"])
                return house.order(kind, "enrolment", whom, **fields)
            case OrderKind.SET_TIER:
                options = bytes([dice.choice([0, 1]), 0, 0])
                return house.order(kind, "enrolment", payer, options=options, **fields)
            case OrderKind.CANCEL:
                return house.order(kind, payer, payer, day=fields["day"])
        return self.any_of_trust_or_tariffs(kind, fields)

    def any_of_trust_or_tariffs(self, kind, fields):
        house, dice = self.house, self.dice
        match kind:
            case OrderKind.ATTEST:
                cents = dice.choice([700_000_00, 900_000_00, 1_000_000_00])
                return house.order(kind, "bank", "bank", cents, **fields)
            case OrderKind.ADOPT_LIMIT if self.attested:
                newest = self.attested[-1]
                fields |= {"reference": newest.sequence.to_bytes(4, "little") + bytes(28)}
                return house.order(kind, "bank", "bank", newest.amount_cents, **fields)
            case OrderKind.BANK_WITHDRAWAL:
                return house.order(kind, "bank", "business", 1_000_00, fee_cents=0, **fields)
            case OrderKind.NEW_TARIFF:
                version = max(t.version for t in self.ledger.tariffs) + 1
                if version <= VERSIONS_MAX:
                    return tariff_order(house, version, house.today + dice.choice([3, 4]))
        return None

    def applied_in_another_order(self, seed):
        """A ledger that heard of it all in an order of its own."""
        dice = random.Random(seed)
        house = House(key_days=1)
        house.tell("given rich balance 300,000.00 ->")
        house.town.tables = self.house.town.tables
        left = list(self.final)
        while left:
            dice.shuffle(left)
            still = [event for event in left if not happens(house, event)]
            assert len(still) < len(left), still
            left = still
        return house.ledger


REVERSING = (
    OrderKind.REFUND,
    OrderKind.ASK_REVERSAL,
    OrderKind.REFUSE_REVERSAL,
    OrderKind.DISPUTE,
)


def happens(house, event):
    """Whether it can be applied by now; if so, it is."""
    if event[0] == "skip":
        return house.ledger.skip(*event[1:])
    (state,) = apply_all(house.ledger, [event[1]], tables=house.town.tables)
    assert state is not Applied.ALREADY
    return state is Applied.APPLIED


@functools.cache
def history(seed):
    drawn = History(seed)
    drawn.draw()
    return drawn


@pytest.mark.parametrize("seed", range(SEEDS))
def test_whatever_order_they_come_in_the_books_are_the_same(seed):
    drawn = history(seed)
    kinds = {event[1].kind for event in drawn.final if event[0] == "order"}
    assert len(kinds) > 5, "a history of one thing shows little"
    invariants.check(drawn.ledger)
    for order in range(4):
        ledger = drawn.applied_in_another_order(order)
        assert ledger.side == drawn.ledger.side
        assert ledger.digest() == drawn.ledger.digest()
        invariants.check(ledger)


def test_histories_have_every_kind_that_ends_something():
    seen, skipped = set(), set()
    for drawn in map(history, range(SEEDS)):
        seen |= {OrderKind(event[1].kind) for event in drawn.final if event[0] == "order"}
        skipped |= {event[1] for event in drawn.final if event[0] == "skip"}
    assert seen >= {OrderKind.RELEASE, OrderKind.VOID, OrderKind.TAKE_KEY, OrderKind.REFUND}
    assert seen >= {OrderKind.NEW_TARIFF, OrderKind.CLOSE, OrderKind.ADOPT_LIMIT, *REVERSING[:2]}
    assert skipped >= {Space.ACCOUNT, Space.GOVERNANCE}
