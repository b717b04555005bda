"""What lying super-agents and crooked people try with slots that are not the payer's."""

from dataclasses import replace

import numpy as np
import pytest
from tests.protocol.network import (
    MS,
    NETWORK,
    NEWER_TARIFF,
    SUPER_AGENT_KEYS,
    TODAY,
    Listener,
    Network,
    customer_key,
    customers,
    heads_of,
    make_block,
    make_order,
)

from harambee.crypto.hashing import TAG_ORDER, TAG_POSSESSION, digest, signed_prefix
from harambee.crypto.signatures import from_seed, sign
from harambee.ledger import house_rules
from harambee.ledger.kinds import OrderKind, Space
from harambee.ledger.outcomes import Outcome
from harambee.ledger.payees import document_digest
from harambee.ledger.records import BODY_BYTES, NAMED_HOLD, ORDER
from harambee.ledger.side_tables import KeyRequest
from harambee.money.tariff import FeeTable
from harambee.protocol.effects import SendBlock
from harambee.protocol.kept_orders import KeptOrders
from harambee.protocol.messages import (
    ApprovalsChanged,
    BlockArrived,
    HeadsArrived,
    OrdersOffered,
    PeerUp,
)
from harambee.protocol.slot import Slot
from harambee.protocol.wire import (
    NO_DIGEST,
    Draft,
    block_prefix,
    read_block,
    write_block,
    write_tariff,
)

ENROLMENT = 0
STRANGER_KEY = from_seed(digest(b"a stranger"))


def signed(order, key=None):
    order = order.copy()
    prefix = signed_prefix(TAG_ORDER, NETWORK)
    key = key or customer_key(int(order["payer"][0]))
    signature = sign(key, prefix + order.tobytes()[:BODY_BYTES])
    order["signature"] = np.frombuffer(signature, np.uint8)
    return order


def house_order(kind, payer, payee, sequence=0, amount=0, key=None, **fields):
    order = np.zeros(1, ORDER)
    order["kind"], order["payer"], order["payee"] = kind, payer, payee
    order["sequence"], order["amount"], order["day"] = sequence, amount, TODAY
    for name, value in fields.items():
        order[name] = np.frombuffer(value, np.uint8) if isinstance(value, bytes) else value
    return signed(order, key)


def hold_of(payer, payee, amount, sequence=0, days=3, *, authorisation=False):
    terms = house_rules.AUTHORISATION_BIT if authorisation else 0
    fee = NEWER_TARIFF.fee_cents(FeeTable.SEND, amount)
    options = bytes([OrderKind.SEND, days, terms])
    return house_order(
        OrderKind.HOLD, payer, payee, sequence, amount, fee=fee, options=options, tariff=2
    )


def end_of(kind, hold, signer, amount=0, sequence=0, key=None):
    named = np.zeros(1, NAMED_HOLD)
    for name in ("payer", "sequence", "amount", "fee", "day"):
        named[name] = hold[name]
    named["movement"] = OrderKind.SEND
    fee = NEWER_TARIFF.fee_cents(FeeTable.SEND, amount) if amount else 0
    return house_order(
        kind,
        signer,
        int(hold["payee"][0]),
        sequence,
        amount,
        key=key,
        fee=fee,
        tariff=2,
        reference=named.tobytes(),
    )


def id_of(order):
    return digest(signed_prefix(TAG_ORDER, NETWORK), order.tobytes()[:BODY_BYTES])


# -- strangers in others' slots -------------------------------------------------------------------


def opens(listener, mine, theirs):
    """Whether replica 0 opens the slot of an order once a liar has put another one beside it."""
    for author, orders in ((1, mine), (3, theirs)):
        listener.hear_blocks(make_block(author, 1, NO_DIGEST, orders=orders)[0])
        listener.speak()
    slot = Slot.of(mine[0])
    for _ in range(40):
        for block in listener.speak():
            if any(fence.slot == slot for fence in block.recovery.fences):
                return True
    return False


def test_two_orders_of_the_payer_open_her_slot():
    """So the tests below would see it."""
    payer, payee, other = customers(3)
    one, two = make_order(payer, payee, 100_00, 0), make_order(payer, other, 100_00, 0)
    assert opens(Listener(), one, two)


def test_nobody_opens_a_payers_slot_by_taking_over_with_a_key_of_his_own():
    """TAKE_KEY is signed by the key that it brings: anybody can sign one for any account."""
    payer, payee, _ = customers(3)
    take = house_order(
        OrderKind.TAKE_KEY, payer, payer, key=STRANGER_KEY, reference=STRANGER_KEY.public
    )
    assert not opens(Listener(), make_order(payer, payee, 100_00, 0), take)


def test_a_requested_key_and_the_old_one_do_open_the_slot():
    payer, payee, _ = customers(3)
    listener = Listener()
    listener.replica.ledger.side.key_requests[payer] = KeyRequest(
        0, STRANGER_KEY.public, 0, TODAY - 1
    )
    listener.replica.ledger.side.governed[payer.to_bytes(32, "little")] = 1
    take = house_order(
        OrderKind.TAKE_KEY, payer, payer, key=STRANGER_KEY, reference=STRANGER_KEY.public
    )
    assert opens(listener, make_order(payer, payee, 100_00, 0), take)


@pytest.mark.parametrize("is_side", [False, True])
def test_only_the_two_sides_of_a_hold_open_its_slots(is_side):
    payer, payee, stranger = customers(3)
    listener = Listener()
    hold = hold_of(payer, payee, 100_00)
    ledger = listener.replica.ledger
    ledger.apply(hold, 0, np.zeros(1, np.uint32))
    assert ledger.side.holds
    release = end_of(OrderKind.RELEASE, hold, payer, 100_00)
    void = end_of(OrderKind.VOID, hold, payee if is_side else stranger)
    assert opens(listener, release, void) is is_side


# -- what costs voters and doors much -------------------------------------------------------------


class Costly:
    """Stands in for a shell's journal, and for the parser of tariffs; counts how often it is asked."""

    def __init__(self, listener, monkeypatch):
        self.read = self.parsed = 0
        listener.replica.ledger.original_at = self.original_at
        parse = house_rules.tariff_in
        monkeypatch.setattr(house_rules, "tariff_in", lambda *asked: self.count(parse, asked))

    def original_at(self, _position, _index):
        self.read += 1

    def count(self, parse, asked):
        self.parsed += 1
        return parse(*asked)


def refund_of(paid, key=None):
    payer, payee = int(paid["payer"][0]), int(paid["payee"][0])
    reference = paid["payer"].tobytes() + paid["sequence"].tobytes() + bytes(24)
    return house_order(OrderKind.REFUND, payee, payer, 0, 50_00, key, tariff=2, reference=reference)


def test_a_door_asks_who_signed_before_it_reads_its_journal(monkeypatch):
    payer, payee, _ = customers(3)
    listener = Listener()
    costly = Costly(listener, monkeypatch)
    paid = make_order(payer, payee, 100_00, 0)
    listener.replica.ledger.apply(paid, 0, np.zeros(1, np.uint32))
    forged = np.concatenate([refund_of(paid, STRANGER_KEY)] * 8)
    effects = listener.replica.receive(OrdersOffered(1, forged), listener.now)
    assert effects.refused[0].outcomes.tolist() == [Outcome.SIGNATURE_INVALID] * 8
    assert costly.read == 0
    effects = listener.replica.receive(OrdersOffered(2, refund_of(paid)), listener.now)
    assert effects.refused[0].outcomes.tolist() == [Outcome.ORIGINAL_UNKNOWN]
    assert costly.read > 0


def new_tariff(content=None, key=None):
    content = content or new_tariff_document()
    return house_order(
        OrderKind.NEW_TARIFF,
        ENROLMENT,
        ENROLMENT,
        key=key,
        tariff=3,
        reference=document_digest(content),
        options=(TODAY + 3).to_bytes(2, "little") + b"\0",
    )


def new_tariff_document():
    return replace(NEWER_TARIFF, version=3).to_bytes()


def test_nobody_reads_a_tariff_that_its_own_operators_did_not_approve(monkeypatch):
    """A document of many bands takes a second to check: a stranger, or a liar, would send many."""
    listener = Listener()
    costly = Costly(listener, monkeypatch)
    content = new_tariff_document()
    offer = OrdersOffered(1, new_tariff(), {}, {0: content})
    effects = listener.replica.receive(offer, listener.now)
    assert effects.refused[0].outcomes.tolist() == [Outcome.NOT_APPROVED]
    listener.hear_blocks(block_with(1, new_tariff(), write_tariff(0, content)))
    (block,) = listener.speak()
    assert [r.outcomes.tolist() for r in block.rejections] == [[Outcome.NOT_APPROVED]]
    assert costly.parsed == 0
    listener.hear(ApprovalsChanged(frozenset({id_of(new_tariff())})))
    assert not listener.replica.receive(offer, listener.now).refused
    assert costly.parsed > 0
    (block,) = listener.speak()
    assert block.orders["kind"].tolist() == [OrderKind.NEW_TARIFF]


def block_with(author, orders, attachments):
    unsigned, name = write_block(
        Draft(NETWORK, 0, author, 1, NO_DIGEST, 0, (), b"", b"", orders.tobytes(), attachments)
    )
    return unsigned + sign(SUPER_AGENT_KEYS[author], block_prefix(NETWORK, 0) + name)


def test_the_orders_of_one_hold_are_found_without_those_of_all_others():
    """Every hold's first slot is slot 0: who refuses all releases would make each look at all."""
    kept = KeptOrders(100)
    holds = [hold_of(payer, 60, 100_00) for payer in customers(20)]
    ends = [
        end_of(kind, hold, int(hold["payer"][0]), 0, sequence)
        for hold in holds
        for kind in (OrderKind.VOID, OrderKind.RELEASE)
        for sequence in (0, 1)
    ]
    freezes = [house_order(OrderKind.FREEZE, ENROLMENT, number) for number in customers(20)]
    orders = np.concatenate([*ends, *freezes])
    kept.add(2, 7, orders)
    kept.add(3, 1, orders[::-1])
    for row, order in enumerate(orders):
        slot = Slot.of(order)
        same = [k for k, other in enumerate(orders) if Slot.of(other) == slot]
        mirrored = sorted(len(orders) - 1 - k for k in same)
        expected = [(2, 7, k) for k in same] + [(3, 1, k) for k in mirrored]
        assert row in same
        assert kept.places(slot) == expected
    assert kept.places(Slot.of_account(customers(1)[0], 0)) == []


# -- promises in slots that are not the payer's ---------------------------------------------------


class Silent(Listener):
    """A replica that nobody has told yet how far its own chain goes."""

    def hear(self, *messages):
        if any(isinstance(m, HeadsArrived) and not m.heads["height"].any() for m in messages):
            return
        super().hear(*messages)


def with_hold(listener, hold):
    listener.replica.ledger.apply(hold, 0, np.zeros(1, np.uint32))
    return listener


def refusals(blocks):
    return [r.outcomes.tolist() for block in blocks for r in block.rejections]


@pytest.mark.parametrize("governed", [False, True])
def test_a_restart_remembers_what_was_promised_in_others_slots(governed):
    payer, payee, _ = customers(3)
    hold = hold_of(payer, payee, 100_00)
    mine = end_of(OrderKind.RELEASE, hold, payer, 100_00)
    rival = end_of(OrderKind.VOID, hold, payee)
    if governed:
        mine = house_order(OrderKind.FREEZE, ENROLMENT, payer)
        rival = house_order(OrderKind.FREEZE, ENROLMENT, payer, amount=1_00)
    before = with_hold(Listener(), hold)
    approved = ApprovalsChanged(frozenset({id_of(mine), id_of(rival)}))
    before.hear(approved, BlockArrived(1, make_block(1, 1, NO_DIGEST, orders=mine)[0]))
    if governed:
        before.hear(OrdersOffered(1, mine))  # its vote is a block of its own
    assert refusals(before.speak()) == []
    after = with_hold(Silent(), hold)
    after.now = before.now
    after.replica.restore(enumerate(before.journal))
    for peer in range(1, 4):
        after.hear(PeerUp(peer), HeadsArrived(peer, heads_of(4, of_0=1, of_1=1)))
    after.hear(approved, BlockArrived(2, make_block(2, 1, NO_DIGEST, orders=rival)[0]))
    assert refusals(after.speak()) == [[Outcome.SLOT_TAKEN]]


def run_until_final(net, order, seconds=30):
    slot = Slot.of(order[0])
    net.until(
        lambda: all(
            n.replica.ledger.next_in(Space(slot.space), slot.subject) > slot.sequence
            for n in net.nodes
            if n.up
        ),
        seconds,
    )


def approve(net, order, *who):
    for index in who:
        node = net.nodes[index]
        approved = node.replica.approved | {id_of(order)}
        node.replica.receive(ApprovalsChanged(frozenset(approved)), net.now)


def status_on_all(net, number):
    return {int(n.replica.ledger.accounts[number]["flags"]) >> 4 & 0xF for n in net.nodes if n.up}


def test_a_freeze_is_final_when_q_have_approved_before_or_after_they_saw_it():
    net = Network()
    net.run(1)
    (victim,) = customers(1)
    freeze = house_order(OrderKind.FREEZE, ENROLMENT, victim)
    approve(net, freeze, 0, 1)
    net.offer(0, freeze)
    net.run(2)
    assert status_on_all(net, victim) == {0}
    approve(net, freeze, 2)
    net.offer(1, freeze)
    net.run(1)
    assert status_on_all(net, victim) == {0}, "a reference that refused it is no vote"
    net.offer(2, freeze)
    run_until_final(net, freeze)
    assert status_on_all(net, victim) == {1}
    net.assert_same()
    assert not any(node.evidence for node in net.nodes)


def test_f_super_agents_alone_freeze_nobody_and_hold_up_nobodys_freeze():
    net = Network()
    net.run(1)
    victim, friend = customers(2)
    alone = house_order(OrderKind.FREEZE, ENROLMENT, victim)
    approve(net, alone, 3)
    net.offer(3, alone)
    net.run(5)
    assert status_on_all(net, victim) == {0}
    # The same super-agent proposes something else in the slot of a freeze that three others approve.
    wanted = house_order(OrderKind.FREEZE, ENROLMENT, friend)
    other = house_order(OrderKind.FREEZE, ENROLMENT, friend, amount=1)
    approve(net, other, 3)
    net.offer(3, other)
    net.run(1)
    for index in (0, 1, 2):
        approve(net, wanted, index)
        net.offer(index, wanted)
        net.run(3)
    run_until_final(net, wanted)
    assert status_on_all(net, friend) == {1}
    net.pay(0, make_order(victim, friend + 1, 100_00, 0))
    net.assert_same()


@pytest.mark.parametrize("seed", range(3))
def test_a_release_and_a_void_at_two_doors_at_once_end_a_hold_once(seed):
    net = Network(seed=seed, delay_ms=(1, 60))
    net.run(1)
    payer, payee = customers(2)
    hold = hold_of(payer, payee, 1_000_00, authorisation=True)
    net.pay(0, hold)
    release = end_of(OrderKind.RELEASE, hold, payee, 400_00)
    void = end_of(OrderKind.VOID, hold, payee)
    net.offer(1, release)
    net.offer(2, void)
    run_until_final(net, release)
    net.run(2)
    net.assert_same()
    for node in net.nodes:
        holds = node.replica.ledger.side.holds
        assert len(holds) == int(node.replica.ledger.accounts[payer]["held"] > 0)
        assert node.replica.ledger.total_cents() == 0


def test_one_who_refuses_everything_holds_up_no_release():
    """Each release is counted apart then, and final by the three others."""
    net = Network()
    net.run(1)
    payer, payee = customers(2)
    ledger = net.nodes[3].replica.ledger
    net.nodes[3].replica.ledger.check = lambda orders, *_: np.full(
        len(orders), Outcome.KIND_UNKNOWN, np.uint8
    )
    hold = hold_of(payer, payee, 1_000_00)
    net.pay(0, hold)
    release = end_of(OrderKind.RELEASE, hold, payer, 1_000_00)
    net.offer(0, release)
    run_until_final(net, release)
    assert not ledger.side.holds
    net.assert_same()


# -- the old key after a change -------------------------------------------------------------------


def test_what_the_old_key_signed_ahead_of_its_change_comes_too_late():
    """A thief brings to every door what comes after the change, while that is under way.

    Each door had checked it by the old key, and put it into its block: q votes for an order that the owner's
    key never signed.
    """
    payer, payee, _ = customers(3)
    listener = Listener()
    theft = make_order(payer, payee, 100_00, 1)
    assert not listener.replica.receive(OrdersOffered(7, theft), listener.now).refused
    change = house_order(OrderKind.CHANGE_KEY, payer, payer, reference=STRANGER_KEY.public)
    listener.replica.ledger.apply(change, 0, np.zeros(1, np.uint32))
    listener.now += 100 * MS
    effects = listener.replica.act(listener.now)
    assert [refused.outcomes.tolist() for refused in effects.refused] == [
        [Outcome.SIGNATURE_INVALID]
    ]
    blocks = [out.data for out in effects.send if isinstance(out, SendBlock)]
    assert all(not len(read_block(data, NETWORK, 4).orders) for data in blocks)
    mine = signed(theft, STRANGER_KEY)
    listener.hear(OrdersOffered(8, mine))
    (block,) = listener.speak()
    assert block.orders.tobytes() == mine.tobytes()


def test_a_thief_at_every_door_gets_nothing_past_the_change():
    net = Network(delay_ms=(5, 20))
    net.run(1)
    payer, payee = customers(2)
    change = house_order(OrderKind.CHANGE_KEY, payer, payer, reference=STRANGER_KEY.public)
    attachment = sign(
        STRANGER_KEY, signed_prefix(TAG_POSSESSION, NETWORK) + change.tobytes()[:BODY_BYTES]
    )
    net._later(0, 0, OrdersOffered(1, change, {0: attachment}))
    theft = make_order(payer, payee, 100_00, 1)
    for door in range(4):
        net.offer(door, theft)
    net.run(4)
    assert not any(net.final_in_slot(node, theft) for node in net.nodes)
    mine = signed(make_order(payer, payee, 5_00, 1), STRANGER_KEY)
    net.pay(2, mine)
    net.assert_same()
