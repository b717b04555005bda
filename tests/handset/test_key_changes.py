"""Keys that change on a handset: nothing is lost, wherever it is stopped."""

import asyncio
from dataclasses import replace

import pytest
from tests.handset.conftest import KEYS, OWNER, PAYEE, PAYER, TODAY, FakeDoor, Truth

from harambee.crypto.hashing import TAG_POSSESSION, signed_prefix
from harambee.crypto.keyfiles import StoredKey, read_key_file, write_key_file
from harambee.crypto.signatures import generate, verify
from harambee.handset import key_changes
from harambee.handset.doors import GovernedView
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
    open_wallet,
    prepare_key,
    wanted_key,
)
from harambee.ledger.kinds import OrderKind


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
    assert all(verify(new.public, signed, proof) for proof in truth.proofs)
    assert not (wallet.folder / NEW_KEY_FILE).exists()
    paid = run(handset_of(wallet, truth, doors).pay(PAYEE, 1_000))
    assert paid.status is PaymentStatus.FINAL


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
        own.take_new_key(bytes(32))
    assert opened(wallet, truth).keypair == OWNER
    assert own.new_key() == own.new_key()


# -- a lost phone ---------------------------------------------------------------------------------


def wanted(key, day=TODAY, slot=5):
    return GovernedView(0, slot + 1, key, slot, 0, day)


@pytest.fixture
def phone(tmp_path, truth, monkeypatch):
    """A new phone's folder, with its key, for the payer's account."""
    monkeypatch.setattr(key_changes, "today", lambda: TODAY)
    folder = tmp_path / "new-phone"
    prepare_key(folder, generate(), PAYER, truth.genesis.network)
    return folder


def test_the_new_phone_takes_over_and_is_a_wallet_then(phone, truth, doors):
    key = wanted_key(phone, truth.genesis.network).keypair
    truth.governed[PAYER] = wanted(key.public)
    taken = run(take_key(truth.genesis, doors, phone))
    body = OrderBody.from_bytes(taken.order)
    assert (body.kind, body.reference, body.options) == (
        OrderKind.TAKE_KEY,
        key.public,
        b"\x05\0\0",
    )
    assert taken.wallet.account == PAYER
    assert truth.accounts[PAYER].key == key.public
    again = Handset(truth.genesis, doors, open_wallet(phone, truth.genesis.network), 3)
    assert again.wallet.keypair == key


def test_stopped_after_it_was_final_the_same_command_ends_it(phone, truth, doors):
    key = wanted_key(phone, truth.genesis.network).keypair
    truth.accounts[PAYER] = replace(truth.accounts[PAYER], key=key.public)
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


def test_a_young_request_says_from_which_day_on(phone, truth, doors):
    key = wanted_key(phone, truth.genesis.network).keypair
    truth.governed[PAYER] = wanted(key.public, TODAY + 3)
    with pytest.raises(HandsetError, match=r"from 2026-11-27 on"):
        run(take_key(truth.genesis, doors, phone))


def test_a_phone_asks_with_the_same_key_again_and_for_one_account(phone, truth):
    network = truth.genesis.network
    key = wanted_key(phone, network).keypair
    assert prepare_key(phone, generate(), PAYER, network) == key
    with pytest.raises(WalletError, match="for another account"):
        prepare_key(phone, generate(), PAYEE, network)


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
