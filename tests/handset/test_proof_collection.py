"""Who collects a proof gets it from any w honest super-agents, or is told how many are missing."""

import asyncio

import pytest

from harambee.handset.doors import DoorError, FinalOrder
from harambee.handset.handset import HandsetError
from harambee.handset.orders import OrderBody, order_id
from harambee.handset.proof_collection import (
    SAME_NAME_MAX,
    collect_proof,
    collect_proof_of_code,
)
from harambee.handset.proofs import verify_proof
from harambee.handset.receipt_code import receipt_code, sequences
from harambee.ledger.kinds import OrderKind

TODAY = 20_781
PAYER, PAYEE = 16, 17


def final_in(scene, sequence=0, payer=PAYER, day=TODAY):
    body = OrderBody(payer, PAYEE, 250_00, 7_00, sequence, OrderKind.SEND, 1, day)
    scene.truth.final[payer, sequence] = body.to_bytes() + bytes(64)
    return body


def collected(scene, sequence=0):
    return asyncio.run(collect_proof(scene.truth.genesis, scene.doors, PAYER, sequence))


def collected_by(scene, code):
    return asyncio.run(collect_proof_of_code(scene.truth.genesis, scene.doors, code))


@pytest.mark.parametrize(
    ("words", "signers"),
    [
        ("honest honest honest honest", ("agent-0", "agent-1")),
        ("dead honest honest dead", ("agent-1", "agent-2")),
        ("lying honest honest honest", ("agent-1", "agent-2")),
        ("eager honest dead honest", ("agent-1", "agent-3")),
        ("foreign honest honest honest", ("agent-1", "agent-2")),
        ("silent honest honest honest", ("agent-1", "agent-2")),
    ],
)
def test_a_proof_is_of_w_honest_words(scene, words, signers):
    here = scene(words)
    body = final_in(here)
    proof = collected(here)
    assert proof is not None
    proven = verify_proof(proof.to_text(), here.truth.genesis)
    assert (proven.amount_cents, proven.payee) == (250_00, PAYEE)
    assert proven.signers == signers
    assert proof.body == body.to_bytes()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("dead dead dead dead", r"No super-agent can be reached: agent-\d cannot be reached\."),
        ("dead dead dead honest", r"Too few super-agents answer: 1, and 2 must agree\."),
        ("lying lying lying honest", r"Too few super-agents answer: 1, and 2 must agree\."),
        (
            "foreign foreign foreign foreign",
            r"agent-\d serves another network than this handset's\.",
        ),
        ("honest eager dead dead", r"The super-agents do not agree; try again in a moment\."),
    ],
)
def test_fewer_than_w_prove_nothing_and_it_says_so(scene, words, said):
    here = scene(words)
    final_in(here)
    with pytest.raises(HandsetError, match=f"^{said}$"):
        collected(here)


def test_what_is_not_final_has_no_proof_whatever_one_liar_signs(scene):
    assert collected(scene("honest honest honest honest")) is None
    assert collected(scene("eager honest honest honest")) is None


def test_a_door_that_answers_about_another_payment_does_not_count(scene):
    here = scene("honest honest honest honest")
    final_in(here)
    other = final_in(here, sequence=5)

    async def another(payer, sequence, wait_ms):
        name = order_id(here.truth.genesis.network, other.to_bytes())
        return FinalOrder(other.to_bytes(), here.doors[0].receipt(name))

    async def of_another_signer(payer, sequence, wait_ms):
        return await here.doors[2].final_order(payer, sequence, wait_ms)

    here.doors[0].final_order = another
    here.doors[1].final_order = of_another_signer
    proof = collected(here)
    assert [receipt.super_agent for receipt in proof.receipts] == [2, 3]


def at_next(here, sequence):
    account = here.truth.accounts[PAYER]
    here.truth.accounts[PAYER] = type(account)(PAYER, account.key, account.kind, sequence, 0)


def test_a_receipt_code_names_the_payment(scene):
    here = scene("honest honest dead honest")
    apart = sequences(4)
    for sequence in (3, 3 + apart, 3 + 2 * apart):
        final_in(here, sequence, day=TODAY + sequence // apart)
    at_next(here, 3 + 2 * apart + 10)
    for turn in range(3):
        code = receipt_code(PAYER, 3, TODAY + turn, 4)
        proof = collected_by(here, f" {code.lower()} ")
        assert OrderBody.from_bytes(proof.body).sequence == 3 + turn * apart


def test_a_payment_that_has_just_become_final_is_found(scene):
    here = scene("honest honest honest honest")
    final_in(here, 4)
    at_next(here, 4)
    assert collected_by(here, receipt_code(PAYER, 4, TODAY, 4))


def test_a_code_of_no_payment_is_said(scene):
    here = scene("honest honest honest honest")
    final_in(here, 4)
    at_next(here, 5)
    for code in (receipt_code(PAYER, 3, TODAY, 4), receipt_code(PAYER, 4, TODAY + 1, 4)):
        with pytest.raises(HandsetError, match="No payment with this receipt code is final"):
            collected_by(here, code)
    with pytest.raises(HandsetError, match="No payment with this receipt code is final"):
        collected_by(here, receipt_code(99, 4, TODAY, 4))
    for code in ("", "UKO", "UK!1234567", "A" * 400):
        with pytest.raises(HandsetError, match="no receipt code of this network"):
            collected_by(here, code)


def test_of_very_many_payments_only_the_newest_are_looked_through(scene):
    here = scene("honest honest honest honest")
    asked = []

    async def count(payer, sequence, wait_ms):
        asked.append(sequence)
        if len(asked) > 4 * SAME_NAME_MAX:
            raise DoorError("enough")

    for door in here.doors:
        door.final_order = count
    at_next(here, 2**32 - 2)
    with pytest.raises(HandsetError, match="name its sequence"):
        collected_by(here, receipt_code(PAYER, 3, TODAY, 4))
    assert len(set(asked)) == SAME_NAME_MAX
