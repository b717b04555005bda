"""What is governed, among replicas: nothing without q, everywhere with q, and nobody's slot jammed by it."""

from collections import Counter

import numpy as np
import pytest
from tests.protocol.network import (
    NETWORK,
    NEWER_TARIFF,
    SECOND,
    START_NS,
    TODAY,
    Network,
    customer_key,
    customers,
    make_order,
)

from harambee.crypto.hashing import TAG_ORDER, TAG_POSSESSION, digest, digest_many, signed_prefix
from harambee.crypto.signatures import from_seed, sign
from harambee.ledger.house_rules import TARIFF_DAYS
from harambee.ledger.kinds import OrderKind, Space
from harambee.ledger.outcomes import Outcome
from harambee.ledger.payees import document_digest
from harambee.ledger.records import (
    BODY_BYTES,
    POSITION_ENROLMENT,
    STATUS_MASK,
    STATUS_SHIFT,
    Status,
    account_number,
)
from harambee.ledger.side_tables import TARIFF_SUBJECT, subject_of_account
from harambee.money.tariff import FeeTable, Tariff
from harambee.protocol.messages import ApprovalsChanged, OrdersOffered
from harambee.protocol.replica import day_of

ENROLMENT = account_number(0, POSITION_ENROLMENT)
DAY_NS = 86_400 * SECOND
MIDNIGHT_NS = next(
    at for at in range(START_NS, START_NS + DAY_NS, SECOND) if day_of(at) != day_of(at - SECOND)
)


def name_of(order):
    rows = order.view(np.uint8).reshape(1, -1)[:, :BODY_BYTES]
    return digest_many(signed_prefix(TAG_ORDER, NETWORK), rows)[0].tobytes()


class Governing(Network):
    """Operators approve here: the replica is told, and the order is brought to its own door."""

    def __init__(self, n=4, seed=1, **more):
        super().__init__(n, seed=seed, **more)
        self.approved = [set() for _ in range(n)]
        self.tables = {}

    def approve(self, order, *super_agents):
        for index in super_agents:
            self.approved[index].add(name_of(order))
            self.tell(index)
            self.offer(index, order)

    def tell(self, index):
        self._later(0, index, ApprovalsChanged(frozenset(self.approved[index])))

    def offer(self, to, *orders, ticket=0):
        joined = np.concatenate(orders)
        tables = {
            row: self.tables[order["reference"].tobytes()]
            for row, order in enumerate(joined)
            if order["reference"].tobytes() in self.tables
        }
        self._later(0, to, OrdersOffered(ticket, joined, {}, tables))

    def restart(self, index, **more):
        super().restart(index, **more)
        self.tell(index)

    def status(self, index, account):
        flags = int(self.nodes[index].replica.ledger.accounts[account]["flags"])
        return Status(flags >> STATUS_SHIFT & STATUS_MASK)

    def statuses(self, account):
        return Counter(self.status(index, account) for index in range(self.n))

    def next_slot(self, index, subject):
        return self.nodes[index].replica.ledger.next_in(Space.GOVERNANCE, subject)

    def assert_agreed(self):
        self.run(2)
        self.assert_sound()
        self.assert_same()

    def pay_or_cancel(self, to, order, cancel):
        """What a handset does: offers, and cancels if q refuse it; how it ended on every replica."""
        self.offer(to, order)
        end = self.now + 3 * SECOND
        while self.now < end and not self.is_final(order):
            self.run(0.05)
        if not self.is_final(order):
            for index in range(self.n):
                self.offer(index, cancel)
        self.until(lambda: self.is_final(order) or self.is_final(cancel) or self.is_skipped(order))
        return "paid" if self.is_final(order) else "cancelled"

    def is_skipped(self, order):
        slot = int(order["payer"][0]), int(order["sequence"][0])
        return all(
            node.replica.ledger.next_sequence(slot[0]) > slot[1]
            and self.final_in_slot(node, order) is None
            for node in self.nodes
        )


def governed(kind, account, sequence=0, *, day=TODAY, payer=ENROLMENT, cents=0, **fields):
    order = make_order(payer, account, cents, sequence, kind=kind, day=day)
    for field, value in fields.items():
        order[field] = value
    if fields:
        prefix = signed_prefix(TAG_ORDER, NETWORK)
        signature = sign(customer_key(payer), prefix + order.tobytes()[:BODY_BYTES])
        order["signature"] = np.frombuffer(signature, np.uint8)
    return order


def freeze_of(account, **more):
    return governed(OrderKind.FREEZE, account, **more)


# -- approvals ------------------------------------------------------------------------------------


def test_a_freeze_that_too_few_approve_does_nothing_and_with_one_more_holds_everywhere():
    network = Governing()
    ann, ben = customers(2)
    freeze = freeze_of(ann)
    network.approve(freeze, 0, 1)
    network.run(5)
    assert network.statuses(ann) == {Status.ACTIVE: 4}
    for sequence in range(4):
        network.pay(sequence, make_order(ann, ben, 100, sequence))
    network.approve(freeze, 2)
    network.until(lambda: network.statuses(ann) == {Status.FROZEN: 4})
    network.offer(3, refused := make_order(ann, ben, 100, 4), ticket=7)
    network.run(2)
    assert network.nodes[3].refused[7, 0] is Outcome.PAYER_NOT_ACTIVE
    assert not network.is_final(refused, 0)
    network.assert_agreed()


def test_who_was_down_and_all_after_a_crash_hold_the_freeze():
    network = Governing()
    ann, ben = customers(2)
    network.run(1)
    network.kill(3)
    freeze = freeze_of(ann)
    network.approve(freeze, 0, 1, 2)
    network.until(lambda: all(network.status(i, ann) is Status.FROZEN for i in range(3)))
    network.restart(3)
    network.until(lambda: network.status(3, ann) is Status.FROZEN)
    for index in range(4):
        network.kill(index)
    for index in range(4):
        network.restart(index)
    assert network.statuses(ann) == {Status.FROZEN: 4}
    network.run(2)
    network.pay(0, make_order(ben, customers(3)[2], 100, 0))
    network.assert_agreed()


def test_a_restart_between_approvals_forgets_none():
    network = Governing()
    (ann,) = customers(1)
    freeze = freeze_of(ann)
    network.approve(freeze, 0, 1)
    network.run(1)
    for index in (0, 1):
        network.kill(index)
        network.restart(index)
    network.run(1)
    network.approve(freeze, 3)
    network.until(lambda: network.statuses(ann) == {Status.FROZEN: 4})


def test_a_liar_who_carries_an_order_everywhere_has_one_vote():
    network = Governing()
    ann, ben = customers(2)
    freeze = freeze_of(ann)
    network.approve(freeze, 0)
    for _ in range(5):
        network.offer(0, freeze)
        network.run(1)
    assert network.statuses(ann) == {Status.ACTIVE: 4}
    network.pay(1, make_order(ann, ben, 100, 0))


def test_nobody_votes_for_what_nobody_approved_at_the_door():
    network = Governing()
    (ann,) = customers(1)
    network.offer(2, freeze_of(ann), ticket=3)
    network.run(1)
    assert network.nodes[2].refused[3, 0] is Outcome.NOT_APPROVED


@pytest.mark.parametrize(("one", "other"), [((0, 1), (2, 3)), ((0, 1), ()), ((3,), ())])
def test_what_too_few_approve_dies_of_age_and_the_next_proposal_takes_its_place(one, other):
    """Some are locked on one freeze, others on another; after their days a third one replaces both."""
    network = Governing()
    ann, ben = customers(2)
    first, second = freeze_of(ann), freeze_of(ann, cents=500)
    network.approve(first, *one)
    network.approve(second, *other)
    network.run(20)
    subject = subject_of_account(ann)
    assert {network.next_slot(i, subject) for i in range(4)} == {0}, "people have time"
    assert network.statuses(ann) == {Status.ACTIVE: 4}
    network.pay(0, make_order(ann, ben, 100, 0))
    network.now += 3 * DAY_NS
    for approved in network.approved:
        approved.clear()
    later = day_of(network.now)
    third = freeze_of(ann, day=later)
    network.approve(third, 0, 1, 2, 3)

    def decided():
        slots = {network.next_slot(i, subject) for i in range(4)}
        if slots == {0}:
            network.approve(third, 0, 1, 2, 3)
            network.run(2)
        return slots == {1}

    network.until(decided, 60)
    if network.statuses(ann) != {Status.FROZEN: 4}:
        # Recovery closed the slot without an order: it is proposed again in the next one.
        again = freeze_of(ann, sequence=1, day=later)
        network.approve(again, 0, 1, 2, 3)
    network.until(lambda: network.statuses(ann) == {Status.FROZEN: 4})
    network.assert_agreed()


# -- nobody's slot is jammed ----------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_an_order_in_flight_while_a_freeze_becomes_final_ends(seed):
    """Some voted for it before they knew of the freeze, and some refuse it after."""
    network = Governing(seed=seed, delay_ms=(1, 120))
    ann, ben = customers(2)
    network.run(1)
    freeze = freeze_of(ann)
    network.approve(freeze, 0, 1, 2, 3)
    network.run(network.dice.uniform(0.1, 0.5))
    order, cancel = make_order(ann, ben, 100, 0), make_order(ann, ann, 0, 0, kind=OrderKind.CANCEL)
    began = network.now
    ended = network.pay_or_cancel(seed % 4, order, cancel)
    assert network.now - began < 15 * SECOND, ended
    network.until(lambda: network.statuses(ann) == {Status.FROZEN: 4})
    network.assert_agreed()


def test_voters_on_both_sides_of_a_freeze():
    """Two voted for the order before the freeze was final, two only hear of both together."""
    network = Governing()
    ann, ben = customers(2)
    network.run(1)
    far = {(0, 2), (0, 3), (1, 2), (1, 3)}
    network.cut = far | {(b, a) for a, b in far}
    order, cancel = make_order(ann, ben, 100, 0), make_order(ann, ann, 0, 0, kind=OrderKind.CANCEL)
    network.offer(0, order)
    network.run(1)
    freeze = freeze_of(ann)
    network.approve(freeze, 0, 1, 2, 3)
    network.run(1)
    assert network.statuses(ann) == {Status.ACTIVE: 4}
    network.cut = set()
    began = network.now
    network.pay_or_cancel(0, order, cancel)
    assert network.now - began < 15 * SECOND
    network.until(lambda: network.statuses(ann) == {Status.FROZEN: 4})
    network.assert_sound()


def test_what_was_certified_before_a_freeze_becomes_final():
    """Enough voted for it; that the account is frozen now changes nothing."""
    network = Governing()
    ann, ben = customers(2)
    network.run(1)
    order = make_order(ann, ben, 100, 0)
    network.offer(0, order)
    freeze = freeze_of(ann)
    for _ in range(40):
        network.run(0.01)
        if all(node.replica.slots.is_open(ann, 0) for node in network.nodes[:3]):
            break
    network.approve(freeze, 0, 1, 2, 3)
    network.until(lambda: network.is_final(order))
    network.until(lambda: network.statuses(ann) == {Status.FROZEN: 4})
    assert network.balance(0, ben) == network.opening + 100
    network.assert_agreed()


def next_tariff(price_cents=3_300):
    document = NEWER_TARIFF.to_document()
    document["version"] = 3
    for band in document["band"]:
        if band["send_cents"]:
            band["send_cents"] = price_cents
    return Tariff.from_document(document)


def tariff_order(network, tariff, first_day, sequence=0):
    content = tariff.to_bytes()
    reference = document_digest(content)
    network.tables[reference] = content
    return governed(
        OrderKind.NEW_TARIFF,
        ENROLMENT,
        sequence,
        day=day_of(network.now),
        tariff=tariff.version,
        options=np.frombuffer(first_day.to_bytes(2, "little") + b"\0", np.uint8),
        reference=np.frombuffer(reference, np.uint8),
    )


def priced(payer, payee, sequence, tariff, day, amount=20_000):
    order = make_order(payer, payee, amount, sequence, kind=OrderKind.CANCEL, day=day)
    order["kind"], order["tariff"] = OrderKind.SEND, tariff.version
    order["fee"] = tariff.fee_cents(FeeTable.SEND, amount)
    prefix = signed_prefix(TAG_ORDER, NETWORK)
    signature = sign(customer_key(payer), prefix + order.tobytes()[:BODY_BYTES])
    order["signature"] = np.frombuffer(signature, np.uint8)
    return order


@pytest.mark.parametrize("seed", range(4))
def test_orders_signed_around_a_change_of_tariff_at_midnight_are_all_paid(seed):
    network = Governing(seed=seed, delay_ms=(1, 80))
    people = customers(6)
    network.run(1)
    first_day = TODAY + TARIFF_DAYS
    newer = next_tariff()
    change = tariff_order(network, newer, first_day)
    network.approve(change, 0, 1, 2, 3)
    network.until(lambda: {network.next_slot(i, TARIFF_SUBJECT) for i in range(4)} == {1})
    midnight = MIDNIGHT_NS + (first_day - day_of(MIDNIGHT_NS)) * DAY_NS
    network.now = midnight - SECOND // 4
    for node in network.nodes:
        node.wake_at = network.now
    old = [priced(who, people[5], 0, NEWER_TARIFF, first_day - 1) for who in people[:3]]
    for index, order in enumerate(old):
        network.offer((index + seed) % 4, order)
    network.run(0.2)
    late = priced(people[3], people[5], 0, NEWER_TARIFF, first_day - 1)
    new = priced(people[4], people[5], 0, newer, first_day)
    network.offer(seed % 4, late)
    network.offer((seed + 1) % 4, new)
    network.until(lambda: all(network.is_final(order) for order in [*old, late, new]), 10)
    assert day_of(network.now) == first_day
    spent = network.opening - network.balance(0, people[4])
    assert spent == 20_000 + newer.fee_cents(FeeTable.SEND, 20_000)
    network.assert_agreed()


def test_a_day_that_ends_refuses_no_order_of_it():
    """Midnight alone: signed before it, voted for before and after it."""
    network = Governing(delay_ms=(1, 300))
    ann, ben = customers(2)
    network.run(1)
    network.now = MIDNIGHT_NS - SECOND // 8
    for node in network.nodes:
        node.wake_at = network.now
    order = make_order(ann, ben, 100, 0, day=day_of(network.now))
    network.offer(2, order)
    network.until(lambda: network.is_final(order), 10)
    assert day_of(network.now) == day_of(MIDNIGHT_NS)


# -- keys -----------------------------------------------------------------------------------------


def test_a_key_that_changed_signs_from_then_on_at_every_replica():
    network = Governing()
    ann, ben = customers(2)
    new = from_seed(digest(b"a new phone"))
    change = make_order(
        ann, ann, 0, 0, kind=OrderKind.CHANGE_KEY, reference=np.frombuffer(new.public, np.uint8)
    )
    proof = sign(new, signed_prefix(TAG_POSSESSION, NETWORK) + change.tobytes()[:BODY_BYTES])
    network._later(0, 1, OrdersOffered(0, change, {0: proof}, {}))
    network.until(lambda: network.is_final(change))
    network.offer(2, make_order(ann, ben, 100, 1), ticket=9)
    network.run(1)
    assert network.nodes[2].refused[9, 0] is Outcome.SIGNATURE_INVALID
    network.pay(3, make_order(ann, ben, 100, 1, key=new))
    network.assert_agreed()
