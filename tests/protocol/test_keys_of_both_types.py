"""Accounts with keys of P-256 beside accounts with keys of Ed25519: who signs for whom, and what it costs."""

import numpy as np
import pytest
from tests.protocol.network import (
    MS,
    NETWORK,
    TODAY,
    Listener,
    Network,
    customer_key,
    customers,
    make_block,
    make_order,
    sign_again,
)

from harambee.crypto import p256
from harambee.crypto.hashing import TAG_POSSESSION, digest, signed_prefix
from harambee.crypto.keys import KeyForm, PublicKey, public_of, sign
from harambee.crypto.p256 import P256KeyPair
from harambee.crypto.signatures import from_seed
from harambee.ledger.kinds import OrderKind
from harambee.ledger.outcomes import Outcome
from harambee.ledger.records import (
    BODY_BYTES,
    KEY_FORM_MASK,
    KEY_TYPE_SHIFT,
    ORDER,
    POSITION_ENROLMENT,
    AccountKind,
    account_number,
)
from harambee.protocol.limits import P256_WORK, VOUCHED_SHIFT
from harambee.protocol.messages import OrdersOffered
from harambee.protocol.wire import NO_DIGEST

ANN, BEN, CYD = customers(3)
PHONE = P256KeyPair(digest(b"a phone"))
OTHER_PHONE = P256KeyPair(digest(b"another phone"))
assert {PHONE.is_odd, OTHER_PHONE.is_odd} == {True, False}
SIGNATURE_INVALID = [Outcome.SIGNATURE_INVALID]
ENROLMENT = account_number(0, POSITION_ENROLMENT)


def give_key(ledger, number, public):
    """Let an account have a key that no order brought."""
    flags = int(ledger.accounts[number]["flags"]) & ~(KEY_FORM_MASK << KEY_TYPE_SHIFT)
    ledger.accounts[number]["flags"] = flags | public.form << KEY_TYPE_SHIFT
    ledger.identities[number]["key"] = np.frombuffer(public.key, np.uint8)


def with_keys(listener, **of_whom):
    for name, public in of_whom.items():
        give_key(listener.replica.ledger, {"ann": ANN, "ben": BEN}[name], public)
    return listener


def offered(listener, order, proof=None):
    """The outcomes with which a door refuses an order; none if it takes it."""
    effects = listener.replica.receive(OrdersOffered(1, order, proof or {}), listener.now)
    return [outcome for refused in effects.refused for outcome in refused.outcomes.tolist()]


def pay(key, sequence=0, payer=ANN):
    return make_order(payer, CYD, 100_00, sequence, key=key)


def bringing(kind, number, key, sequence=0, form=None, proof=None):
    """An order that brings a key, and the attachment in which that key signs it."""
    form = public_of(key).form if form is None else form
    order = np.zeros(1, ORDER)
    order["kind"], order["payee"] = kind, number
    order["payer"] = ENROLMENT if kind == OrderKind.ENROL else number
    order["sequence"], order["day"], order["tariff"] = sequence, TODAY, 1
    first = AccountKind.CUSTOMER if kind == OrderKind.ENROL else 0
    order["options"] = first, form, 0
    order["reference"] = np.frombuffer(key.public, np.uint8)
    body = order.tobytes()[:BODY_BYTES]
    return order, {0: sign(proof or key, signed_prefix(TAG_POSSESSION, NETWORK) + body)}


# -- who signs for whom ---------------------------------------------------------------------------


@pytest.mark.parametrize("key", [PHONE, OTHER_PHONE], ids=["odd or even", "the other"])
def test_a_phones_key_signs_for_its_account_and_no_other_key_does(key):
    listener = with_keys(Listener(), ann=public_of(key))
    for stranger in (customer_key(ANN), PHONE, OTHER_PHONE, from_seed(key.seed)):
        if stranger != key:
            assert offered(listener, pay(stranger)) == SIGNATURE_INVALID
    assert offered(listener, pay(key)) == []
    (block,) = listener.speak()
    assert block.orders.tobytes() == pay(key).tobytes()


def test_a_p256_account_is_not_signed_for_by_the_ed25519_key_of_the_same_bytes():
    mine = customer_key(ANN)
    for form in (KeyForm.P256_EVEN, KeyForm.P256_ODD):
        listener = with_keys(Listener(), ann=PublicKey(form, mine.public))
        assert offered(listener, pay(mine)) == SIGNATURE_INVALID
    assert offered(with_keys(Listener(), ann=public_of(mine)), pay(mine)) == []


def test_an_ed25519_account_is_not_signed_for_by_the_p256_key_of_the_same_bytes():
    own = public_of(PHONE)
    others = set(KeyForm) - {own.form}
    assert KeyForm.ED25519 in others
    for form in others:
        listener = with_keys(Listener(), ann=PublicKey(form, own.key))
        assert offered(listener, pay(PHONE)) == SIGNATURE_INVALID


@pytest.mark.parametrize("form", [2, 3, 4, 6, 7])
def test_a_key_of_a_type_that_is_not_known_signs_nothing(form):
    for key in (customer_key(ANN), PHONE):
        listener = with_keys(Listener(), ann=PublicKey(form, key.public))
        assert offered(listener, pay(key)) == SIGNATURE_INVALID


def test_the_higher_s_is_refused_at_the_door_and_by_voters():
    """Or a stranger could make another signature of one that she has seen."""
    good = pay(PHONE)
    r, s = good["signature"].tobytes()[:32], good["signature"].tobytes()[32:]
    higher = good.copy()
    higher["signature"] = np.frombuffer(
        r + (p256.ORDER - int.from_bytes(s, "big")).to_bytes(32, "big"), np.uint8
    )
    listener = with_keys(Listener(), ann=public_of(PHONE))
    assert offered(listener, higher) == SIGNATURE_INVALID
    listener.hear_blocks(make_block(1, 1, NO_DIGEST, orders=np.concatenate([higher, good]))[0])
    (block,) = listener.speak()
    (rejection,) = block.rejections
    assert (rejection.indices, rejection.outcomes) == ((0,), tuple(SIGNATURE_INVALID))


def test_a_mixed_block_is_refused_row_by_row():
    listener = with_keys(Listener(), ann=public_of(PHONE))
    orders = [
        pay(PHONE),
        pay(None, payer=BEN),
        pay(OTHER_PHONE),
        pay(customer_key(ANN)),
        pay(PHONE, payer=BEN),
    ]
    listener.hear_blocks(make_block(1, 1, NO_DIGEST, orders=np.concatenate(orders))[0])
    (block,) = listener.speak()
    (rejection,) = block.rejections
    assert tuple(rejection.indices) == (2, 3, 4)
    assert set(rejection.outcomes) == set(SIGNATURE_INVALID)


# -- keys that come and go ------------------------------------------------------------------------


def test_what_was_signed_for_one_form_is_judged_again_when_the_form_changes():
    """The 32 bytes stay; a block that waits was checked by what they meant before."""
    listener = with_keys(Listener(), ann=public_of(PHONE))
    theft = pay(PHONE, sequence=1)
    assert offered(listener, theft) == []
    listener.hear_blocks(make_block(1, 1, NO_DIGEST, orders=theft)[0])
    change, _ = bringing(OrderKind.CHANGE_KEY, ANN, PHONE, form=KeyForm.ED25519)
    listener.replica.ledger.apply(change, 0, np.zeros(1, np.uint32))
    listener.now += 100 * MS
    effects = listener.replica.act(listener.now)
    assert [refused.outcomes.tolist() for refused in effects.refused] == [SIGNATURE_INVALID]


@pytest.mark.parametrize("key", [PHONE, OTHER_PHONE], ids=["odd or even", "the other"])
def test_a_phone_is_enrolled_pays_and_changes_to_the_other_type_and_back(key):
    net = Network()
    net.run(1)
    number = account_number(0, 100)
    for node in net.nodes:
        node.replica.ledger.accounts[ENROLMENT]["next_sequence"] = 100
    enrol, proof = bringing(OrderKind.ENROL, number, key, 100)
    sign_again(enrol)
    net._later(0, 1, OrdersOffered(0, enrol, proof, {}))
    net.until(lambda: net.is_final(enrol))
    net.pay(2, make_order(ANN, number, 5_000_00, 0))
    net.pay(3, make_order(number, BEN, 100_00, 0, key=key))
    soft = from_seed(digest(b"soft"))
    for sequence, old, new in ((1, key, soft), (2, soft, OTHER_PHONE)):
        change, proof = bringing(OrderKind.CHANGE_KEY, number, new, sequence)
        sign_again(change, old)
        net._later(0, sequence, OrdersOffered(0, change, proof, {}))
        net.until(lambda change=change: net.is_final(change))
    net.offer(2, make_order(number, BEN, 100, 3, key=soft), ticket=9)
    net.run(1)
    assert net.nodes[2].refused[9, 0] is Outcome.SIGNATURE_INVALID
    net.pay(0, make_order(number, CYD, 100_00, 3, key=OTHER_PHONE))
    net.run(1)
    net.assert_same()
    net.assert_sound()
    record = net.nodes[0].replica.ledger.account(number)
    assert record["key"].tobytes() == OTHER_PHONE.public
    assert record["flags"] == AccountKind.CUSTOMER | public_of(OTHER_PHONE).form << KEY_TYPE_SHIFT


def no_point():
    x = next(x for x in range(1, 99) if not p256.is_point(x.to_bytes(32, "big")))
    return x.to_bytes(32, "big")


@pytest.mark.parametrize(
    ("kind", "number", "sequence"),
    [(OrderKind.ENROL, account_number(0, 16), 16), (OrderKind.CHANGE_KEY, ANN, 0)],
    ids=["enrol", "change key"],
)
def test_a_door_refuses_keys_that_nobody_can_have_or_that_did_not_sign(kind, number, sequence):
    listener = Listener()
    listener.replica.ledger.accounts[ENROLMENT]["next_sequence"] = 16

    def said(order, proof):
        return offered(listener, sign_again(order), proof)

    order, proof = bringing(kind, number, PHONE, sequence)
    order["reference"] = np.frombuffer(no_point(), np.uint8)
    assert said(order, proof) == [Outcome.KEY_NOT_A_POINT]
    assert said(*bringing(kind, number, PHONE, sequence, form=3)) == [Outcome.KEY_REFUSED]
    for wrong in (0, 1, 5):
        if wrong != public_of(PHONE).form:
            order, proof = bringing(kind, number, PHONE, sequence, form=wrong)
            assert said(order, proof) == [Outcome.POSSESSION_UNPROVEN]
    order, proof = bringing(kind, number, PHONE, sequence, proof=OTHER_PHONE)
    assert said(order, proof) == [Outcome.POSSESSION_UNPROVEN]
    assert said(*bringing(kind, number, PHONE, sequence)) == []


# -- what it costs --------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [PHONE, None], ids=["p256", "ed25519"])
def test_orders_by_a_phones_key_count_more_of_what_their_author_may_push(key):
    listener = Listener()
    if key is not None:
        with_keys(listener, ann=public_of(key))
    allowance = listener.replica._limits.allowances[1]
    before = allowance.left()
    orders = np.concatenate([pay(key)] * 8 + [pay(None, payer=BEN)] * 5)
    listener.hear_blocks(make_block(1, 1, NO_DIGEST, orders=orders)[0])
    work = 13 if key is None else 8 * P256_WORK + 5
    assert before - allowance.left() == work << VOUCHED_SHIFT


def test_an_author_counts_its_own_as_others_do():
    listener = with_keys(Listener(), ann=public_of(PHONE))
    allowance = listener.replica._limits.allowances[0]
    assert offered(listener, pay(PHONE)) == []
    before = allowance.left()
    (block,) = listener.speak()
    assert len(block.orders) == 1
    assert before - allowance.left() == P256_WORK << VOUCHED_SHIFT
