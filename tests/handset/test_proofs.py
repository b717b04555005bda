"""Proofs: a true one says what it says, and whatever else there is proves nothing, in one sentence."""

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.handset.proof_cases import (
    PAYER,
    SHOP,
    TODAY,
    network_of,
    order_of,
    proof_of,
    receipt_of,
)

from harambee.handset import base45
from harambee.handset.orders import order_id
from harambee.handset.proofs import (
    BEGINS,
    CHARACTERS_MAX,
    HEAD_BYTES,
    QR_CHARACTERS_MAX,
    WORD_BYTES,
    Proof,
    ProofError,
    make_proof,
    proof_characters,
    read_proof,
    verify_proof,
)
from harambee.handset.receipt_code import receipt_code
from harambee.handset.receipts import Receipt
from harambee.ledger.kinds import OrderKind

FOUR = network_of(4)
HUNDRED = network_of(100)
ORDER = order_of()
TRUE = proof_of(FOUR, ORDER)
TEXT = TRUE.to_text()


def refused(text, genesis=FOUR):
    """The sentence with which a text is refused; nothing but a ProofError may be raised."""
    with pytest.raises(ProofError) as caught:
        verify_proof(text, genesis)
    sentence = str(caught.value)
    assert sentence
    assert "\n" not in sentence
    assert len(sentence) < 200
    return sentence


def text_of(content):
    return BEGINS + base45.encode(content)


@pytest.mark.parametrize(
    ("content", "text"),
    [  # the examples of RFC 9285, sections 4.3 and 4.4
        (b"AB", "BB8"),
        (b"Hello!!", "%69 VD92EX0"),
        (b"base-45", "UJCLQE7W581"),
        (b"ietf!", "QED8WEX0"),
        (b"", ""),
    ],
)
def test_base45_is_that_of_the_standard(content, text):
    assert base45.encode(content) == text
    assert base45.decode(text) == content
    assert base45.text_length(len(content)) == len(text)


@pytest.mark.parametrize(
    "text", ["A", "GGW", ":::", "AAAA", "V5", "ZZ", "bb8", "BB8\n", "BÉ8", "\ud800AA"]
)
def test_base45_refuses_what_stands_for_no_bytes(text):
    with pytest.raises(base45.Base45Error):
        base45.decode(text)


@given(st.text(base45.DIGITS, max_size=12))
def test_no_bytes_have_two_texts(text):
    try:
        content = base45.decode(text)
    except base45.Base45Error:
        return
    assert base45.encode(content) == text


@pytest.mark.parametrize(("genesis", "signers"), [(FOUR, 2), (HUNDRED, 34), (network_of(1), 1)])
def test_a_true_proof_says_what_is_in_the_order(genesis, signers):
    proven = verify_proof(proof_of(genesis, ORDER).to_text(), genesis)
    assert (proven.payer, proven.payee, proven.sequence) == (PAYER, SHOP, 3)
    assert (proven.amount_cents, proven.fee_cents) == (250_00, 0)
    assert (proven.kind, proven.day) == (OrderKind.BUY_GOODS, date(2026, 11, 24))
    assert proven.receipt_code == receipt_code(PAYER, 3, TODAY, genesis.regions)
    assert proven.order_id == order_id(genesis.network, ORDER)
    assert proven.signers == tuple(f"agent-{index}" for index in range(signers))
    assert "buy goods, Ksh250.00 from account 17 to account 3145768" in proven.sentence


def test_the_bytes_are_laid_out_as_the_wire_says():
    content = TRUE.to_bytes()
    assert content[0] == 1
    assert content[1:5] == bytes(4)
    assert content[5:69] == ORDER
    assert content[69:71] == b"\x02\x00"
    assert content[71:73] == b"\x00\x00"
    assert content[73:137] == TRUE.receipts[0].signature
    assert content[137:139] == b"\x01\x00"
    assert content[139:] == TRUE.receipts[1].signature


def test_a_hundred_super_agents_fit_a_qr_code():
    assert HUNDRED.committee.w == 34
    text = proof_of(HUNDRED, ORDER).to_text()
    assert len(text) == proof_characters(34) == 3_478
    assert len(text) <= QR_CHARACTERS_MAX
    assert set(text) <= set(base45.DIGITS)


@given(st.integers(0, 1_000))
def test_a_proof_never_ends_with_a_space_that_could_be_lost(signers):
    assert (HEAD_BYTES + signers * WORD_BYTES) % 2 == 1, "so the last character is a digit below 6"


def test_any_w_super_agents_will_do():
    for signers in ([0, 3], [1, 2], [2, 3]):
        text = proof_of(FOUR, ORDER, signers).to_text()
        assert verify_proof(text, FOUR).signers == tuple(f"agent-{index}" for index in signers)


def test_white_space_around_it_does_not_matter():
    assert verify_proof(f"  {TEXT}\r\n", FOUR) == verify_proof(TEXT, FOUR)
    refused(f"{TEXT[:40]}\n{TEXT[40:]}")


def test_every_altered_byte_is_refused():
    content = TRUE.to_bytes()
    for at in range(len(content)):
        for change in (1, 0x80):
            altered = bytearray(content)
            altered[at] ^= change
            refused(text_of(altered))


def test_every_altered_character_is_refused():
    for at in range(len(TEXT)):
        for character in ("0", "A", ":"):
            if TEXT[at] != character:
                refused(TEXT[:at] + character + TEXT[at + 1 :])


def test_every_shortened_and_lengthened_proof_is_refused():
    content = TRUE.to_bytes()
    for length in range(len(content)):
        refused(text_of(content[:length]))
    for length in range(len(TEXT)):
        refused(TEXT[:length])
    for more in (b"\0", bytes(66), bytes(660)):
        refused(text_of(content + more))


def test_a_proof_of_another_network_is_refused():
    other = network_of(4, salt=2)
    assert "another network" in refused(proof_of_other(other), FOUR)
    # The same keys under another genesis are another network as well.
    renamed = replace(FOUR, document=network_of(4, epoch=0).document)
    renamed.document.name = "elsewhere"
    assert "does not hold" in refused(TEXT, renamed)


def proof_of_other(genesis):
    body = ORDER
    receipts = [receipt_of(genesis, body, index, salt=2) for index in range(2)]
    return make_proof(genesis, body, receipts).to_text()


def test_a_proof_of_another_epoch_is_refused():
    later = network_of(4, epoch=1)
    assert "epoch 1" in refused(proof_of(later, ORDER).to_text(), FOUR)
    # Named as of this epoch, its signatures are still those of the other one.
    assert "does not hold" in refused(replace(proof_of(later, ORDER), epoch=0).to_text(), FOUR)


def words(*signers):
    """The true order under any words at all, in any order."""
    receipts = tuple(receipt_of(FOUR, ORDER, index) for index in signers)
    return Proof(0, ORDER, receipts).to_text()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (words(0, 0), "each once"),
        (words(1, 0), "in order"),
        (words(0), "signatures of 2 super-agents, and this has 1"),
        (words(), "this has 0"),
        (words(0, 1, 2), "this has 3"),
        (Proof(0, ORDER, (TRUE.receipts[0], Receipt(4, bytes(64)))).to_text(), "does not have"),
        (Proof(0, ORDER, (TRUE.receipts[0], Receipt(1, bytes(64)))).to_text(), "agent-1 does not"),
        (
            Proof(0, ORDER, (TRUE.receipts[0], replace(TRUE.receipts[0], super_agent=1))).to_text(),
            "agent-1 does not",
        ),
        (replace(TRUE, body=order_of(amount_cents=9_250_00)).to_text(), "forged, was altered"),
        (replace(TRUE, body=order_of(payee=SHOP + 1)).to_text(), "forged, was altered"),
        ("", "begins with HRB1:"),
        ("HRB1:", "cut short"),
        ("HRB2:" + TEXT[5:], "begins with HRB1:"),
        (TEXT.lower(), "begins with HRB1:"),
        (BEGINS + TEXT[5:].lower(), "does not belong"),
        ("HRB1:" + "0" * CHARACTERS_MAX, "longer than any"),
        (text_of(b"\x02" + TRUE.to_bytes()[1:]), "version 2"),
        ("\ud800", "begins with"),
    ],
)
def test_what_proves_nothing_says_why(text, said):
    assert said in refused(text)


def test_a_kind_of_order_that_is_not_known_is_said():
    body = bytearray(ORDER)
    body[24] = 63
    assert "does not know" in refused(proof_of(FOUR, bytes(body)).to_text())


@given(st.text(max_size=300))
def test_no_text_does_more_harm_than_to_be_refused(text):
    refused(text)
    refused(BEGINS + text)


@given(st.binary(max_size=400))
def test_no_bytes_do_more_harm_than_to_be_refused(content):
    refused(text_of(content))
    refused(text_of(b"\x01" + content))


@given(st.integers(0, len(TRUE.to_bytes()) - 1), st.binary(min_size=1, max_size=8))
def test_no_piece_written_over_a_true_proof_leaves_it_true(at, piece):
    content = TRUE.to_bytes()
    altered = content[:at] + piece + content[at + len(piece) :]
    if altered != content:
        refused(text_of(altered))


def test_a_proof_is_made_of_words_that_hold_and_of_no_others():
    good = [receipt_of(FOUR, ORDER, index) for index in (3, 1)]
    bad = [
        Receipt(0, bytes(64)),
        Receipt(9, good[0].signature),
        Receipt(2, good[0].signature),
        Receipt(0, b"short"),
    ]
    assert make_proof(FOUR, ORDER, [*bad, good[0], good[0], good[1]]) == proof_of(
        FOUR, ORDER, [1, 3]
    )
    with pytest.raises(ProofError, match="needs the receipts of 2 super-agents, and there are 1"):
        make_proof(FOUR, ORDER, [*bad, good[0], good[0]])


def test_a_signed_order_is_as_good_as_its_body():
    receipts = [receipt_of(FOUR, ORDER, index) for index in range(2)]
    assert make_proof(FOUR, ORDER + bytes(64), receipts) == TRUE


def proven_of(**changes):
    return verify_proof(proof_of(FOUR, order_of(**changes)).to_text(), FOUR)


def test_a_merchant_is_told_whether_this_account_was_paid_enough():
    proven = proven_of()
    proven.check_payment(SHOP, 250_00)
    proven.check_payment(SHOP)
    proven.check_payment(amount_cents=1)
    with pytest.raises(ProofError, match="paid account 3145768, not account 17"):
        proven.check_payment(PAYER, 250_00)
    with pytest.raises(ProofError, match=r"paid Ksh250\.00, which is less than Ksh250\.01"):
        proven.check_payment(SHOP, 250_01)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"kind": OrderKind.CANCEL, "payee": PAYER, "amount_cents": 0}, "it is a cancel"),
        ({"kind": OrderKind.JOIN_HEAD_OFFICE, "amount_cents": 0}, "it is a join head office"),
        ({"kind": OrderKind.BULK_PAY_OUT, "payee": PAYER}, "does not say who was paid"),
    ],
)
def test_what_pays_nobody_by_name_is_no_payment_to_anybody(changes, said):
    proven = proven_of(**changes)
    for payee in (PAYER, SHOP, None):
        with pytest.raises(ProofError, match=said):
            proven.check_payment(payee, 0)


def test_reading_alone_checks_the_form_alone():
    forged = replace(TRUE, body=order_of(amount_cents=1))
    assert read_proof(forged.to_text()) == forged
