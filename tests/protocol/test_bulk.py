"""Bulk pay-outs through the protocol: the table is where the order is, or there is no block."""

import numpy as np
import pytest
from tests.protocol.network import (
    BANK,
    FIRST_CUSTOMER,
    MS,
    NETWORK,
    NEWER_TARIFF,
    START_NS,
    SUPER_AGENT_KEYS,
    TODAY,
    Listener,
    Network,
    customer_key,
    customers,
    make_order,
)

from harambee.crypto.hashing import TAG_ORDER, signed_prefix
from harambee.crypto.signatures import sign
from harambee.ledger.kinds import OrderKind
from harambee.ledger.ledger import Ledger
from harambee.ledger.outcomes import Outcome
from harambee.ledger.payees import table_digest
from harambee.ledger.records import (
    BODY_BYTES,
    OPENING,
    ORDER,
    PAYEE,
    PAYEES_MAX,
    AccountKind,
    account_flags,
)
from harambee.money.tariff import FeeTable
from harambee.protocol import limits
from harambee.protocol.applying import Applier
from harambee.protocol.effects import SendBlock
from harambee.protocol.malformed import Malformed
from harambee.protocol.messages import BlockArrived, OrdersOffered
from harambee.protocol.wire import (
    ATTACHMENT_BYTES_MAX,
    NO_DIGEST,
    Draft,
    block_prefix,
    read_block,
    write_block,
    write_payees,
)

PEOPLE = 40
ANN, BEN, CYD, DAN, *OTHERS = customers(PEOPLE)
EMPLOYER = BANK + 1
FARM = BANK + 2
BOX = BANK + 3
"""A bank of their own, so that the usual openings stay as they are."""
EMPLOYER_CENTS = 500_000_000


def open_businesses(ledger):
    rows = [
        (EMPLOYER, EMPLOYER_CENTS, AccountKind.BUSINESS),
        (FARM, EMPLOYER_CENTS, AccountKind.BUSINESS),
        (BOX, -2 * EMPLOYER_CENTS, AccountKind.BANK),
    ]
    openings = np.zeros(len(rows), OPENING)
    for row, (number, balance, kind) in zip(openings, rows, strict=True):
        row["number"], row["balance"], row["flags"] = number, balance, account_flags(kind)
        row["key"] = np.frombuffer(customer_key(number).public, np.uint8)
    ledger.open_accounts(openings, {BOX: 2 * EMPLOYER_CENTS})
    return ledger


def table_of(rows):
    return np.array(rows, PAYEE).tobytes()


def pay_out(rows, sequence=0, payer=EMPLOYER, amount=None):
    """A signed bulk pay-out, (1,), and its table."""
    table = table_of(rows)
    order = np.zeros(1, ORDER)
    order["payer"] = order["payee"] = payer
    order["kind"], order["sequence"], order["day"] = OrderKind.BULK_PAY_OUT, sequence, TODAY
    order["amount"] = sum(cents for _, cents in rows) if amount is None else amount
    order["tariff"] = NEWER_TARIFF.version
    order["fee"] = sum(
        NEWER_TARIFF.fee_cents(FeeTable.PAY_OUT, cents) for _, cents in rows if cents
    )
    order["reference"] = np.frombuffer(table_digest(table), np.uint8)
    prefix = signed_prefix(TAG_ORDER, NETWORK)
    signature = sign(customer_key(payer), prefix + order.tobytes()[:BODY_BYTES])
    order["signature"] = np.frombuffer(signature, np.uint8)
    return order, table


def block_of(author, orders, tables, height=1, previous=NO_DIGEST):
    """A block as its author can sign it, whatever it carries: (bytes, digest)."""
    attachments = b"".join(write_payees(index, table) for index, table in tables.items())
    unsigned, name = write_block(
        Draft(
            NETWORK,
            0,
            author,
            height,
            previous,
            0,
            (),
            orders=orders.tobytes(),
            attachments=attachments,
        )
    )
    return unsigned + sign(SUPER_AGENT_KEYS[author], block_prefix(NETWORK, 0) + name), name


class Town(Network):
    """The usual network, with two businesses; orders come with the tables that they name."""

    def __init__(self, **words):
        self.tables = {}
        super().__init__(people=PEOPLE, **words)

    def _replica(self, index):
        replica = super()._replica(index)
        open_businesses(replica.ledger)
        return replica

    def offer(self, to, *orders, ticket=0):
        joined = np.concatenate(orders)
        found = {
            row: self.tables[order["reference"].tobytes()]
            for row, order in enumerate(joined)
            if order["reference"].tobytes() in self.tables
        }
        self._later(0, to, OrdersOffered(ticket, joined, {}, found))

    def known(self, rows, *words, **more):
        """A signed bulk pay-out whose table every door will get with it."""
        order, table = pay_out(rows, *words, **more)
        self.tables[table_digest(table)] = table
        return order

    def hear(self, to, data):
        """Let a liar's bytes arrive."""
        self._later(0, to, BlockArrived(int.from_bytes(data[2:4], "little"), data))


WAGES = [(ANN, 10_000), (BEN, 20_000), (CYD, 30_000)]
MORE = [(ANN, 15_000), (DAN, 5_000)]


def gains(network, index):
    return {who: network.balance(index, who) - network.opening for who in (ANN, BEN, CYD, DAN)}


def paid(rows):
    return dict.fromkeys((ANN, BEN, CYD, DAN), 0) | dict(rows)


@pytest.mark.parametrize("n", [1, 4, 7])
def test_one_signature_pays_everybody_in_the_table_at_every_super_agent(n):
    network = Town(n=n)
    order = network.known(WAGES)
    network.offer(n - 1, order)
    network.run(2)
    assert network.is_final(order)
    for index in range(n):
        assert gains(network, index) == paid(WAGES)
        cost = int(order["amount"][0]) + int(order["fee"][0])
        assert network.balance(index, EMPLOYER) == EMPLOYER_CENTS - cost
    network.assert_sound()
    network.assert_same()


def test_ten_offers_at_every_door_are_one_effect():
    network = Town(seed=3)
    order = network.known(WAGES)
    for turn in range(10):
        network.offer(turn % 4, order)
        network.run(0.3)
    network.run(2)
    assert network.is_final(order)
    assert gains(network, 0) == paid(WAGES)
    network.assert_same()


def test_one_super_agent_dead_the_order_is_final_and_found_in_the_journal_afterwards():
    network = Town(seed=5)
    network.kill(3)
    first, second = network.known(WAGES), network.known(MORE, 1)
    network.pay(0, first)
    network.kill(1)
    network.restart(1)
    network.restart(3)
    network.run(2)
    network.pay(3, second)
    network.run(2)
    for index in range(4):
        assert network.is_final(first, index)
        assert network.is_final(second, index)
        assert gains(network, index) == {ANN: 25_000, BEN: 20_000, CYD: 30_000, DAN: 5_000}
    network.assert_sound()
    network.assert_same()


@pytest.mark.parametrize(
    ("rows", "brings", "outcome"),
    [
        (WAGES, None, Outcome.PAYEE_TABLE_MISSING),
        (WAGES, MORE, Outcome.PAYEE_TABLE_MISSING),
        ([(BEN, 20_000), (ANN, 10_000)], "own", Outcome.PAYEE_TABLE_INVALID),
        ([(BEN, 20_000), (BEN, 10_000)], "own", Outcome.PAYEE_TABLE_INVALID),
        ([(FARM, 10_000), (ANN, 10_000)], "own", Outcome.PAYEE_KIND_WRONG),
        ([(ANN, 10_000), (FIRST_CUSTOMER + PEOPLE, 10_000)], "own", Outcome.PAYEE_UNKNOWN),
        ([(ANN, 10_000), (BEN, 0)], "own", Outcome.AMOUNT_ZERO),
    ],
)
def test_the_door_refuses_an_order_without_its_table_or_with_one_that_breaks_a_rule(
    rows, brings, outcome
):
    order, table = pay_out(rows)
    network = Town()
    if brings is not None:
        network.tables[table_digest(table)] = table if brings == "own" else table_of(brings)
    network.offer(0, order, ticket=7)
    network.run(1)
    assert network.nodes[0].refused == {(7, 0): outcome}
    assert network.final_in_slot(network.nodes[0], order) is None


def test_the_voters_refuse_an_unsorted_table_that_a_liar_carries():
    """Its hash is right, so the block is well formed: the table breaks a rule of orders."""
    network = Town(seed=2)
    network.kill(3)
    order, table = pay_out([(BEN, 20_000), (ANN, 10_000)])
    honest = make_order(ANN, BEN, 10_000, 0)
    data, _ = block_of(3, np.concatenate([order, honest]), {0: table})
    for to in range(3):
        network.hear(to, data)
    network.run(3)
    assert network.is_final(honest)
    assert network.final_in_slot(network.nodes[0], order) is None
    assert gains(network, 0)[ANN] < 0
    good = network.known(WAGES)
    network.pay(0, good)
    network.run(2)
    network.assert_sound()
    network.assert_same()


@pytest.mark.parametrize(
    "carries", [{}, {0: table_of(MORE)}, {0: table_of(WAGES), 1: table_of(MORE)}]
)
def test_a_block_that_withholds_or_alters_the_table_is_no_block(carries):
    """Nobody takes it; the order that an honest door has, with its table, is final all the same."""
    network = Town(seed=4)
    network.kill(3)
    order = network.known(WAGES)
    orders = np.concatenate([order, make_order(ANN, BEN, 10_000, 0)])
    data, _ = block_of(3, orders, carries)
    assert isinstance(read_block(data, NETWORK, 4), Malformed)
    for to in range(3):
        network.hear(to, data)
    network.run(1)
    assert all(node.replica.counters.malformed for node in network.nodes[:3])
    assert not any(node.replica.chains.heads[3] for node in network.nodes[:3])
    network.pay(0, order)
    assert gains(network, 0) == paid(WAGES)
    network.assert_same()


@pytest.mark.parametrize("seed", range(4))
def test_a_fork_with_two_tables_for_one_slot_ends_in_one_of_them_everywhere(seed):
    """A business and its broker conspire: each half of the network is shown another table."""
    network = Town(seed=seed)
    network.kill(3)
    one, other = network.known(WAGES), network.known(MORE)
    for order, shown_to in ((one, (0, 1)), (other, (2,))):
        reference = order["reference"].tobytes()
        data, _ = block_of(3, order, {0: network.tables[reference]})
        for to in shown_to:
            network.hear(to, data)
    network.run(1)
    for to, order in ((0, one), (1, other), (2, other)):
        network.offer(to, order)
    network.until(lambda: network.final_in_slot(network.nodes[0], one) is not None, 30)
    network.run(2)
    finals = {network.final_in_slot(node, one) for node in network.nodes[:3]}
    assert len(finals) == 1
    (body,) = finals
    rows = WAGES if body == one.tobytes()[:BODY_BYTES] else MORE
    for index in range(3):
        assert gains(network, index) == paid(rows)
        assert 3 in network.nodes[index].replica.convicted
    network.assert_sound()
    network.assert_same()


@pytest.mark.parametrize("seed", range(6))
def test_two_pay_outs_of_one_slot_go_to_recovery_and_one_or_none_is_applied(seed):
    """What recovery chooses finds its table in the block that carries it, and after a restart too."""
    network = Town(seed=seed, delay_ms=(1, 60))
    one, other = network.known(WAGES), network.known(MORE)
    network.offer(seed % 4, one)
    network.offer((seed + 1) % 4, other)
    network.offer((seed + 2) % 4, other)

    def is_decided():
        return all(node.replica.ledger.next_sequence(EMPLOYER) == 1 for node in network.nodes)

    network.until(is_decided, 60)
    network.kill(2)
    network.restart(2)
    network.run(1)
    body = network.final_in_slot(network.nodes[0], one)
    rows = {one.tobytes()[:BODY_BYTES]: WAGES, other.tobytes()[:BODY_BYTES]: MORE, None: []}[body]
    for index in range(4):
        assert gains(network, index) == paid(rows)
    network.assert_sound()
    network.assert_same()
    again = network.known(MORE, 1)
    network.pay(0, again)


def test_a_rival_that_lies_in_no_block_is_carried_with_its_table():
    """Its door has locked another order of the slot: the fence brings the rival, table and all."""
    network = Town(seed=9)
    one, other = network.known(WAGES), network.known(MORE)
    network.run(0.5)
    network.cut = {(a, b) for a in range(4) for b in range(4)}
    network.offer(0, one)
    network.run(0.1)
    network.offer(0, other)
    network.run(0.2)
    blocks = [read_block(data, NETWORK, 4) for data in network.nodes[0].disk]
    carried = [block for block in blocks if other["reference"].tobytes() in block.tables]
    assert carried
    assert carried[0].recovery.fences
    network.cut = set()
    network.until(lambda: network.nodes[0].replica.ledger.next_sequence(EMPLOYER) == 1, 60)
    network.run(2)
    network.assert_sound()
    network.assert_same()


def test_a_table_that_came_with_one_order_serves_another_that_names_it_too():
    """Else the broker, for whom the table is there, would write the other one into a block without it."""
    network = Town(seed=4)
    one, table = pay_out(WAGES)
    other, _ = pay_out(WAGES, payer=FARM)
    network._later(0, 0, OrdersOffered(0, np.concatenate([one, other]), {}, {0: table}))
    network.run(2)
    assert network.is_final(one)
    assert network.is_final(other)
    assert gains(network, 3) == paid([(who, 2 * cents) for who, cents in WAGES])
    network.assert_sound()
    network.assert_same()


def test_a_refused_pay_out_takes_no_lock_and_a_cancel_ends_it():
    network = Town()
    dear = network.known([(who, 24_900_000) for who in OTHERS[:21]])
    network.offer(0, dear, ticket=3)
    network.run(1)
    assert network.nodes[0].refused[3, 0] is Outcome.BALANCE_INSUFFICIENT
    assert not network.nodes[0].replica.queued
    cancel = make_order(EMPLOYER, EMPLOYER, 0, 0, kind=OrderKind.CANCEL)
    network.pay(1, cancel)
    network.pay(1, network.known(WAGES, 1))
    network.run(2)
    network.assert_same()


def listener():
    alone = Listener(people=PEOPLE)
    open_businesses(alone.replica.ledger)
    return alone


def many_rows(count, cents):
    return [(OTHERS[k], cents + k) for k in range(count)]


def test_tables_that_do_not_fit_into_one_block_wait_for_the_next(monkeypatch):
    # Tables here are a few hundred bytes: so is the room that this author gives them.
    room = 2 * (len(table_of(many_rows(30, 10_000))) + 12)
    monkeypatch.setattr("harambee.protocol.replica.ATTACHMENT_BYTES_MAX", room)
    alone = listener()
    orders, tables = [], {}
    for index, payer in enumerate((EMPLOYER, FARM)):
        order, table = pay_out(many_rows(30, 10_000 + index), payer=payer)
        orders.append(order)
        tables[index] = table
    alone.hear(OrdersOffered(1, np.concatenate(orders), {}, tables))
    (first,) = alone.speak()
    assert len(first.orders) == 2, "both fit"
    alone = listener()
    monkeypatch.setattr("harambee.protocol.replica.ATTACHMENT_BYTES_MAX", room - 1)
    plain = make_order(ANN, BEN, 10_000, 0)
    joined = np.concatenate([orders[0], plain, orders[1]])
    alone.hear(OrdersOffered(1, joined, {}, {0: tables[0], 2: tables[1]}))
    (first,) = alone.speak()
    (second,) = alone.speak()
    assert first.orders["kind"].tolist() == [OrderKind.BULK_PAY_OUT, OrderKind.SEND]
    assert second.orders["payer"].tolist() == [FARM]
    assert not alone.replica.queued


def test_a_door_keeps_tables_within_its_bound_and_is_busy_beyond(monkeypatch):
    order, table = pay_out(WAGES)
    other, other_table = pay_out(MORE, payer=FARM)
    monkeypatch.setattr("harambee.protocol.replica.DOOR_TABLE_BYTES_MAX", len(table) + 1)
    alone = listener()
    alone.hear(OrdersOffered(1, order, {}, {0: table}))
    joined = np.concatenate([other, make_order(ANN, BEN, 10_000, 0)])
    effects = alone.replica.receive(OrdersOffered(2, joined, {}, {0: other_table}), alone.now)
    (refused,) = effects.refused
    assert refused.indices.tolist() == [0]
    assert refused.outcomes.tolist() == [Outcome.BROKER_BUSY]
    (block,) = alone.speak()
    assert len(block.orders) == 2
    assert not alone.replica.receive(
        OrdersOffered(3, other, {}, {0: other_table}), alone.now
    ).refused


def test_tables_count_as_room_and_as_work():
    rows = [(FIRST_CUSTOMER + k, 10_000) for k in range(PAYEES_MAX)]
    order, table = pay_out(rows)
    block = read_block(block_of(1, order, {0: table})[0], NETWORK, 4)
    assert limits.room_of(block) == 1 + len(table) // ORDER.itemsize
    _, size, work = limits.cost_of(block, vouched=True)
    assert size == len(block.data)
    assert work == 1 + limits.TABLE_WORK + PAYEES_MAX // limits.ROWS_IN_ONE
    assert OrdersOffered(1, order, {}, {0: table}).room == limits.room_of(block)
    assert 8 * (len(table) + 12) <= ATTACHMENT_BYTES_MAX < 9 * (len(table) + 12)


def test_an_order_ahead_waits_at_the_door_with_its_table():
    network = Town()
    first, second = network.known(WAGES), network.known(MORE, 1)
    network.offer(0, second)
    network.offer(0, first)
    network.run(3)
    assert network.is_final(first)
    assert network.is_final(second)
    network.assert_same()


def test_a_final_pay_out_waits_for_the_slot_before_it_with_its_table():
    ledger = open_businesses(Ledger(1, (NEWER_TARIFF,)))
    openings = np.zeros(2, OPENING)
    openings["number"] = ANN, DAN
    openings["flags"] = account_flags(AccountKind.CUSTOMER)
    ledger.open_accounts(openings, {})
    applier = Applier(ledger)
    at = np.zeros(1, np.uint32)
    later, table = pay_out(MORE, 1)
    tables = {table_digest(table): np.frombuffer(table, PAYEE)}
    assert not len(applier.apply(later, 0, at, tables))
    assert not len(applier.apply(later, 2, at, tables)), "it lies in another block too"
    assert len(applier) == 1
    earlier = make_order(EMPLOYER, EMPLOYER, 0, 0, kind=OrderKind.CANCEL)
    assert len(applier.apply(earlier, 1, at)) == 1
    (done,) = applier.apply_waiting()
    assert done.tobytes() == later.tobytes()
    assert len(applier) == 0
    assert int(ledger.accounts[DAN]["balance"]) == 5_000
    assert ledger.total_cents() == 0


def test_a_replica_says_nothing_of_a_block_that_it_cannot_read():
    """One that withholds the table is dropped, and the same author's good block is taken."""
    alone = listener()
    order, table = pay_out(WAGES)
    bad, _ = block_of(1, order, {})
    good, name = block_of(1, order, {0: table})
    assert read_block(good, NETWORK, 4).digest == name
    alone.hear_blocks(bad)
    assert alone.replica.chains.heads[1] == 0
    alone.hear_blocks(good)
    assert alone.replica.chains.heads[1] == 1
    assert not alone.replica.convicted
    voted = [out for out in alone.sent if isinstance(out, SendBlock)]
    assert voted == []
    (block,) = alone.speak()
    assert [reference.author for reference in block.references] == [1]
    assert not block.rejections
    assert alone.now == START_NS + 100 * MS
