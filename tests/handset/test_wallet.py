"""What a handset keeps on disk, and that nothing but the owner's program reads it."""

import stat

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harambee.crypto.signatures import generate, verify
from harambee.handset.orders import OrderBody, OrderError, kind_between, sign_order
from harambee.handset.telephone import TelephoneError, looks_like_telephone, telephone
from harambee.handset.wallet import (
    Wallet,
    WalletError,
    WalletState,
    finish_wallet,
    open_wallet,
    prepare_wallet,
)
from harambee.ledger.kinds import OrderKind
from harambee.ledger.records import ORDER, AccountKind

NETWORK = b"n" * 32


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_wallet_is_its_owners_alone(tmp_path):
    keypair = prepare_wallet(tmp_path / "w", generate())
    wallet = finish_wallet(tmp_path / "w", 16, NETWORK)
    wallet.write_state(WalletState(3))
    assert mode_of(wallet.folder) == 0o700
    assert {mode_of(file) for file in wallet.folder.iterdir()} == {0o600}
    again = open_wallet(wallet.folder, NETWORK)
    assert (again.account, again.keypair, again.state()) == (16, keypair, WalletState(3))


def test_a_prepared_key_survives_until_its_account_exists(tmp_path):
    first = prepare_wallet(tmp_path / "w", generate())
    assert prepare_wallet(tmp_path / "w", generate()) == first
    finish_wallet(tmp_path / "w", 16, NETWORK)
    with pytest.raises(WalletError, match="There is a wallet"):
        prepare_wallet(tmp_path / "w", generate())


def test_a_wallet_of_another_network_is_refused(tmp_path):
    prepare_wallet(tmp_path, generate())
    finish_wallet(tmp_path, 16, NETWORK)
    with pytest.raises(WalletError, match="another network"):
        open_wallet(tmp_path, b"m" * 32)
    with pytest.raises(WalletError, match="There is no wallet"):
        open_wallet(tmp_path / "elsewhere", NETWORK)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"orders":["00"]}', b'{"orders":["zz"]}', b'{"surprise":1}']
)
def test_a_damaged_state_is_never_taken_for_an_empty_one(tmp_path, content):
    wallet = Wallet(tmp_path, 16, generate())
    (tmp_path / "state.json").write_bytes(content)
    with pytest.raises(WalletError, match="damaged"):
        wallet.state()


U16, U32, U64 = (st.integers(0, 2**bits - 1) for bits in (16, 32, 64))


@given(U32, U32, U64, U32, U32, st.sampled_from(OrderKind), U16, U16, st.binary(max_size=32))
def test_an_orders_bytes_are_the_ledgers_record(
    payer, payee, amount, fee, sequence, kind, tariff, day, reference
):
    reference = reference.ljust(32, b"\0")
    body = OrderBody(payer, payee, amount, fee, sequence, kind, tariff, day, b"\1\2\3", reference)
    keypair = generate()
    order = sign_order(keypair, NETWORK, body)
    assert OrderBody.from_bytes(order) == body
    row = np.frombuffer(order, ORDER)[0]
    names = ("payer", "payee", "amount", "fee", "sequence", "kind", "tariff", "day")
    assert [int(row[name]) for name in names] == [
        payer, payee, amount, fee, sequence, kind, tariff, day,
    ]  # fmt: skip
    assert (row["options"].tobytes(), row["reference"].tobytes()) == (b"\1\2\3", reference)
    signed = b"hrb1:order".ljust(16, b"\0") + NETWORK + order[:64]
    assert verify(keypair.public, signed, order[64:])


def test_a_number_too_large_for_its_field_is_a_sentence():
    with pytest.raises(OrderError, match="does not fit"):
        OrderBody(2**32, 1, 1, 0, 0, OrderKind.SEND, 1, 1).to_bytes()


def test_an_ambiguous_movement_must_be_named():
    assert kind_between(AccountKind.CUSTOMER, AccountKind.AGENT) is OrderKind.WITHDRAW
    assert kind_between(AccountKind.AGENT, AccountKind.CUSTOMER) is OrderKind.DEPOSIT
    with pytest.raises(OrderError, match="Say which kind"):
        kind_between(AccountKind.BANK, AccountKind.AGENT)
    with pytest.raises(OrderError, match="from a customer to a business: pay-bill or airtime"):
        kind_between(AccountKind.CUSTOMER, AccountKind.BUSINESS)
    assert kind_between(AccountKind.BUSINESS, AccountKind.CUSTOMER) is OrderKind.PAY_OUT
    with pytest.raises(OrderError, match="no movement"):
        kind_between(AccountKind.MERCHANT, AccountKind.AGENT)


@pytest.mark.parametrize(
    "text", ["0712345678", "0712 345 678", "+254712345678", "254712345678", "(0712) 345-678"]
)
def test_a_telephone_number_has_one_form(text):
    assert telephone(text) == "+254712345678"


@pytest.mark.parametrize(
    "text", ["", "1048592", "071234568", "07123456789", "+255712345678", "0312345678", "٠٧١٢٣٤٥٦٧٨"]
)
def test_what_is_no_mobile_number_is_not_repeated(text):
    assert not looks_like_telephone(text)
    with pytest.raises(TelephoneError) as caught:
        telephone(text)
    assert not text or text not in str(caught.value)
