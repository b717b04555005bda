"""Keys that change on a handset: nothing is lost, wherever it is stopped."""

import asyncio
from dataclasses import replace

import pytest
from tests.handset.conftest import KEYS, OWNER, PAYEE, PAYER, TODAY, FakeDoor, Truth

from harambee.crypto.hashing import TAG_POSSESSION, signed_prefix
from harambee.crypto.keyfiles import StoredKey, read_key_file, write_key_file
from harambee.crypto.keys import KeyForm, PublicKey, public_of, verify
from harambee.handset import key_changes
from harambee.handset.doors import GovernedView
from harambee.handset.governing import KeyRequestText, ask_for_key
from harambee.handset.handset import Handset, HandsetError, PaymentStatus
from harambee.handset.key_changes import change_key, refuse_key, take_key
from harambee.handset.orders import OrderBody
from harambee.handset.wallet import (
    KEY_FILE,
    KEY_KIND,
    NEW_KEY_FILE,
    Wallet,
    WalletError,
    finish_wallet,
    new_key_of,
    open_wallet,
    prepare_key,
    type_of,
    wanted_key,
)
from harambee.ledger.kinds import OrderKind
from harambee.ledger.records import KeyType


@pytest.fixture
def truth():
    return Truth()


@pytest.fixture
def doors(truth):
    return [FakeDoor(index, truth) for index in range(len(KEYS))]


@pytest.fixture
def wallet(tmp_path, truth):
    folder = tmp_path / "owner"
    folder.mkdir()
    write_key_file(folder / KEY_FILE, StoredKey(KEY_KIND, OWNER))
    return finish_wallet(folder, PAYER, truth.genesis.network)


def opened(wallet, truth):
    return open_wallet(wallet.folder, truth.genesis.network)


def handset_of(wallet, truth, doors):
    return Handset(truth.genesis, doors, opened(wallet, truth), 3, lambda: TODAY)


def run(waiting):
    return asyncio.run(waiting)


def test_a_new_key_replaces_the_old_one_once_it_is_final(wallet, truth, doors):
    payment = run(change_key(handset_of(wallet, truth, doors)))
    assert payment.status is PaymentStatus.FINAL
    new = opened(wallet, truth).keypair
    assert new.public == truth.accounts[PAYER].key != OWNER.public
    signed = signed_prefix(TAG_POSSESSION, truth.genesis.network) + payment.order[:64]
    assert all(verify(public_of(new), signed, proof) for proof in truth.proofs)
    assert not (wallet.folder / NEW_KEY_FILE).exists()
    paid = run(handset_of(wallet, truth, doors).pay(PAYEE, 1_000))
    assert paid.status is PaymentStatus.FINAL


@pytest.mark.parametrize("first", KeyType)
@pytest.mark.parametrize("wished", [None, *KeyType])
def test_an_account_changes_to_a_key_of_the_type_that_is_wished(
    wallet, truth, doors, first, wished
):
    run(change_key(handset_of(wallet, truth, doors), first))
    assert type_of(opened(wallet, truth).keypair) is first
    payment = run(change_key(handset_of(wallet, truth, doors), wished))
    assert payment.status is PaymentStatus.FINAL
    new = opened(wallet, truth).keypair
    assert type_of(new) is (first if wished is None else wished)
    assert truth.accounts[PAYER].public == public_of(new)
    body = OrderBody.from_bytes(payment.order)
    assert body.options == bytes([0, public_of(new).form, 0])
    signed = signed_prefix(TAG_POSSESSION, truth.genesis.network) + payment.order[:64]
    assert truth.proofs
    assert verify(public_of(new), signed, truth.proofs[-1])
    assert run(handset_of(wallet, truth, doors).pay(PAYEE, 1_000)).status is PaymentStatus.FINAL


def test_a_new_key_that_waits_is_never_dropped_for_one_of_another_type(wallet, truth, doors):
    """It may be the account's by now: whoever drops it may have dropped the account."""
    run(change_key(handset_of(wallet, truth, silent_doors(truth)), KeyType.P256))
    kept = (wallet.folder / NEW_KEY_FILE).read_bytes()
    with pytest.raises(WalletError, match=r"A key of type p256 waits in .* go on with that one"):
        run(change_key(handset_of(wallet, truth, doors), KeyType.ED25519))
    assert (wallet.folder / NEW_KEY_FILE).read_bytes() == kept
    assert run(change_key(handset_of(wallet, truth, doors))).status is PaymentStatus.FINAL
    assert type_of(opened(wallet, truth).keypair) is KeyType.P256


def test_a_key_of_the_same_bytes_and_another_form_is_not_the_wallets(wallet, truth, doors):
    truth.accounts[PAYER] = replace(truth.accounts[PAYER], key_form=KeyForm.P256_ODD)
    with pytest.raises(HandsetError, match="is not the key of the paying account"):
        run(handset_of(wallet, truth, doors).pay(PAYEE, 1_000))
    assert not truth.seen


def test_stopped_before_the_new_key_is_put_in_place(wallet, truth, doors, monkeypatch):
    def stopped(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Wallet, "take_new_key", stopped)
        with pytest.raises(KeyboardInterrupt):
            run(change_key(handset_of(wallet, truth, doors)))
    assert truth.accounts[PAYER].key != OWNER.public
    assert opened(wallet, truth).keypair == OWNER
    kept = read_key_file(wallet.folder / NEW_KEY_FILE).keypair
    payment = run(change_key(handset_of(wallet, truth, doors)))
    assert (payment.status, payment.resumed) == (PaymentStatus.FINAL, True)
    assert opened(wallet, truth).keypair == kept
    assert truth.accounts[PAYER].key == kept.public
    assert truth.accounts[PAYER].next_sequence == 1


def test_stopped_after_it_is_in_place_and_before_that_is_noted(wallet, truth, doors, monkeypatch):
    take = Wallet.take_new_key

    def stopped(self, public):
        take(self, public)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Wallet, "take_new_key", stopped)
        with pytest.raises(KeyboardInterrupt):
            run(change_key(handset_of(wallet, truth, doors)))
    assert opened(wallet, truth).keypair.public == truth.accounts[PAYER].key
    with pytest.raises(HandsetError, match="being changed"):
        run(handset_of(wallet, truth, doors).pay(PAYEE, 1_000))
    assert run(handset_of(wallet, truth, doors).pay(PAYEE, 1_000)).status is PaymentStatus.FINAL


def test_a_change_that_nobody_heard_of_keeps_both_keys(wallet, truth):
    payment = run(change_key(handset_of(wallet, truth, silent_doors(truth))))
    assert payment.is_open
    assert opened(wallet, truth).keypair == OWNER
    assert (wallet.folder / NEW_KEY_FILE).exists()
    doors = [FakeDoor(index, truth) for index in range(4)]
    assert run(change_key(handset_of(wallet, truth, doors))).status is PaymentStatus.FINAL
    assert opened(wallet, truth).keypair.public == truth.accounts[PAYER].key


class Deaf(FakeDoor):
    async def offer(self, order, wait_ms, possession=b""):
        await asyncio.Event().wait()


def silent_doors(truth):
    return [Deaf(index, truth) for index in range(4)]


def test_a_key_that_is_not_the_accounts_takes_no_place(wallet, truth):
    own = opened(wallet, truth)
    own.new_key()
    with pytest.raises(WalletError, match="is not the key that the account has now"):
        own.take_new_key(PublicKey(KeyForm.ED25519, bytes(32)))
    assert opened(wallet, truth).keypair == OWNER
    assert own.new_key() == own.new_key()


# -- a lost phone ---------------------------------------------------------------------------------


def wanted(key, day=TODAY, slot=5, form=0):
    return GovernedView(0, slot + 1, key, slot, form, day)


@pytest.fixture(params=KeyType, ids=lambda key_type: key_type.name.lower())
def phone(request, tmp_path, truth, monkeypatch):
    """A new phone's folder, with its key, for the payer's account."""
    monkeypatch.setattr(key_changes, "today", lambda: TODAY)
    folder = tmp_path / "new-phone"
    prepare_key(folder, new_key_of(request.param), PAYER, truth.genesis.network)
    return folder


def wanted_by(phone, truth, *rest):
    """What is governed of the account once the phone's key was asked for; and that key."""
    key = wanted_key(phone, truth.genesis.network).keypair
    return wanted(key.public, *rest, form=public_of(key).form), key


def test_the_new_phone_takes_over_and_is_a_wallet_then(phone, truth, doors):
    truth.governed[PAYER], key = wanted_by(phone, truth)
    taken = run(take_key(truth.genesis, doors, phone))
    body = OrderBody.from_bytes(taken.order)
    assert (body.kind, body.reference, body.options) == (
        OrderKind.TAKE_KEY,
        key.public,
        bytes([5, 0, public_of(key).form]),
    )
    assert taken.wallet.account == PAYER
    again = Handset(truth.genesis, doors, open_wallet(phone, truth.genesis.network), 3)
    assert again.wallet.keypair == key


def test_stopped_after_it_was_final_the_same_command_ends_it(phone, truth, doors):
    key = wanted_key(phone, truth.genesis.network).keypair
    truth.accounts[PAYER] = replace(
        truth.accounts[PAYER], key=key.public, key_form=public_of(key).form
    )
    truth.governed[PAYER] = GovernedView(0, 6)
    assert run(take_key(truth.genesis, doors, phone)).wallet.account == PAYER


@pytest.mark.parametrize(
    ("view", "sentence"),
    [
        (GovernedView(0, 0), "not approved yet"),
        (wanted(bytes(32)), "not approved yet"),
    ],
)
def test_what_is_not_approved_takes_over_nothing(phone, truth, doors, view, sentence):
    truth.governed[PAYER] = view
    with pytest.raises(HandsetError, match=sentence):
        run(take_key(truth.genesis, doors, phone))
    assert not truth.seen


def test_a_key_that_was_approved_in_another_form_takes_over_nothing(phone, truth, doors):
    view, key = wanted_by(phone, truth)
    for form in set(KeyForm) - {public_of(key).form}:
        truth.governed[PAYER] = replace(view, new_key_options=form)
        with pytest.raises(HandsetError, match="not approved yet"):
            run(take_key(truth.genesis, doors, phone))
    assert not truth.seen


def test_a_young_request_says_from_which_day_on(phone, truth, doors):
    truth.governed[PAYER], _ = wanted_by(phone, truth, TODAY + 3)
    with pytest.raises(HandsetError, match=r"from 2026-11-27 on"):
        run(take_key(truth.genesis, doors, phone))


def test_a_phone_asks_with_the_same_key_again_and_for_one_account(phone, truth):
    network = truth.genesis.network
    key = wanted_key(phone, network).keypair
    mine, other = sorted(KeyType, key=lambda key_type: key_type is not type_of(key))
    assert prepare_key(phone, new_key_of(mine), PAYER, network) == key
    with pytest.raises(WalletError, match="for another account"):
        prepare_key(phone, new_key_of(mine), PAYEE, network)
    with pytest.raises(WalletError, match=f"of type {mine.name.lower()} waits"):
        prepare_key(phone, new_key_of(other), PAYER, network)
    assert wanted_key(phone, network).keypair == key


def test_a_phone_asks_for_its_key_as_it_is(phone, truth, doors):
    key = wanted_key(phone, truth.genesis.network).keypair
    truth.governed[PAYER] = GovernedView(0, 6)
    text = run(ask_for_key(truth.genesis, doors, PAYER, key))
    body = OrderBody.from_bytes(KeyRequestText.from_text(text.to_text()).body)
    assert (body.kind, body.options, body.reference) == (
        OrderKind.REQUEST_KEY,
        bytes([0, public_of(key).form, 0]),
        key.public,
    )
    signed = signed_prefix(TAG_POSSESSION, truth.genesis.network) + text.body
    assert verify(public_of(key), signed, text.possession)


def test_the_old_key_refuses(wallet, truth, doors):
    truth.governed[PAYER] = GovernedView(0, 0)
    with pytest.raises(HandsetError, match="No new key was asked for"):
        run(refuse_key(handset_of(wallet, truth, doors)))
    truth.governed[PAYER] = wanted(b"n" * 32)
    payment = run(refuse_key(handset_of(wallet, truth, doors)))
    body = OrderBody.from_bytes(payment.order)
    assert (body.kind, body.reference, body.options) == (
        OrderKind.REFUSE_KEY,
        b"n" * 32,
        b"\x05\0\0",
    )
