"""What lying super-agents and crooked people try with slots that are not the payer's."""

from dataclasses import replace

import numpy as np
import pytest
from tests.protocol.network import (
    BANK,
    MS,
    NETWORK,
    NEWER_TARIFF,
    SECOND,
    START_NS,
    SUPER_AGENT_KEYS,
    TODAY,
    Listener,
    Network,
    customer_key,
    customers,
    make_block,
    make_order,
)

from harambee.crypto.hashing import TAG_ORDER, TAG_POSSESSION, digest, signed_prefix
from harambee.crypto.signatures import from_seed, sign
from harambee.ledger import house_rules
from harambee.ledger.kinds import OrderKind
from harambee.ledger.outcomes import Outcome
from harambee.ledger.payees import document_digest
from harambee.ledger.records import BODY_BYTES, NAMED_HOLD, ORDER
from harambee.ledger.side_tables import Hold, KeyRequest
from harambee.money.tariff import FeeTable
from harambee.protocol.kept_orders import KeptOrders
from harambee.protocol.messages import ApprovalsChanged, OrdersOffered
from harambee.protocol.slot import Slot
from harambee.protocol.wire import NO_DIGEST, Draft, block_prefix, write_block, write_tariff

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
