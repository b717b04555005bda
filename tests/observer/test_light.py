"""Light mode: one account with its proof, or the sentence that says who lied."""

import asyncio
import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.audit.histories import genesis_of_tests
from tests.observer.doors import HonestDoor, Town, shown
from tests.observer.test_observer import Showing, flipped, forged_checkpoint

from harambee.handset.doors import DoorError
from harambee.observer.alarms import Alarms
from harambee.observer.light import NotProvedError, checked, fetch_proof, keep, stored_proof
from harambee.protocol.account_proofs import (
    PIECE_PROOF_BYTES_MAX,
    Piece,
    read_account_proof,
    read_piece,
)
from harambee.protocol.checkpoint import Word
from harambee.protocol.malformed import Malformed


@pytest.fixture
def town(tmp_path):
    town = Town(tmp_path)
    yield town
    town.journal.close()


def known(town):
    return np.flatnonzero(town.fold().ledger.accounts["flags"]).tolist()


def fetched(town, doors, account):
    alarms = Alarms(None)
    try:
        return asyncio.run(fetch_proof(town.genesis, doors, account, alarms)), alarms
    except NotProvedError as error:
        return str(error), alarms


def test_every_account_is_proved_as_it_was_at_the_checkpoint(town):
    stored = town.checkpoint(len(town.blocks) - 1)
    ledger = town.fold().ledger
    for account in known(town):
        proof, alarms = fetched(town, town.doors(), account)
        assert not alarms.new
        _, record = checked(proof.to_bytes(), town.genesis)
        theirs = ledger.records(np.array([account], np.uint32))[0]
        for field in ("key", "balance", "debited", "credited", "next_sequence", "flags"):
            assert (record[field] == theirs[field]).all(), (account, field)
        again = stored_proof(town.store, town.genesis, account)
        assert again == proof
    assert stored.checkpoint == proof.checkpoint
    assert len(proof.to_bytes()) < 2_500


def test_any_flipped_bit_of_a_proof_is_found(town):
    town.checkpoint(20)
    account = known(town)[3]
    content = fetched(town, town.doors(), account)[0].to_bytes()
    checked(content, town.genesis)
    passed = {}
    for at in range(len(content)):
        try:
            passed[at] = checked(flipped(content, at), town.genesis)[0].account
        except NotProvedError:
            continue
    # The account's number: the neighbour in the same piece is proved as well, under its own number.
    assert passed == {16: account ^ 1}


def test_a_proof_with_too_few_or_foreign_words_proves_nothing(town):
    town.checkpoint(20)
    proof = fetched(town, town.doors(), known(town)[3])[0]
    one, two = proof.words
    for words, why in [
        ((), "0 super-agents have signed it, and it takes 2"),
        ((one,), "1 super-agents have signed it, and it takes 2"),
        ((one, one), "twice"),
        ((one, Word(proof.checkpoint, 3, two.signature)), "has not signed it"),
        ((one, Word(proof.checkpoint, 7, two.signature)), "does not have"),
    ]:
        changed = dataclasses.replace(proof, words=words)
        with pytest.raises(NotProvedError, match=why):
            checked(changed.to_bytes(), town.genesis)


class FalsePiece(HonestDoor):
    """Shows the account's balance, or the way to the root, otherwise than it is."""

    def __init__(self, town, index, at):
        super().__init__(town, index)
        self.at = at

    async def piece(self, digest, account):
        return flipped(await super().piece(digest, account), self.at)


@pytest.mark.parametrize("at", [0, 9, 8 + 6 * 32 + 5, -1_440 + 32, -1])
def test_a_wrong_path_or_piece_names_the_door_and_shows_no_number(town, at):
    town.checkpoint(20)
    account = known(town)[3]
    proof, alarms = fetched(town, [FalsePiece(town, 0, at), *town.doors()[1:]], account)
    (alarm,) = alarms.new
    assert (alarm.kind, alarm.super_agent) == ("proof", 0)
    checked(proof.to_bytes(), town.genesis)
    said, alarms = fetched(town, [FalsePiece(town, index, at) for index in range(4)], account)
    assert [alarm.super_agent for alarm in alarms.new] == [0, 1, 2, 3]
    assert said == alarms.new[-1].sentence


def test_a_piece_cut_short_names_the_door(town):
    town.checkpoint(20)

    class Short(HonestDoor):
        async def piece(self, digest, account):
            return (await super().piece(digest, account))[:-1]

    _, alarms = fetched(town, [Short(town, 0), *town.doors()[1:]], known(town)[3])
    assert [(alarm.kind, alarm.super_agent) for alarm in alarms.new] == [("proof", 0)]


def test_forged_checkpoints_are_not_believed_and_name_who_lied(town):
    stored = town.checkpoint(20)
    account = known(town)[3]
    forged = forged_checkpoint(stored)
    word = town.word(forged, 0)
    # One liar has signed it: too few, and it is named because enough have signed another one.
    proof, alarms = fetched(
        town, [Showing(town, 0, [shown(forged, [word])]), *town.doors()[1:]], account
    )
    assert proof.checkpoint == stored.checkpoint
    assert {(alarm.kind, alarm.super_agent) for alarm in alarms.new} == {("checkpoint", 0)}
    # In the name of others, or of nobody there is: the door that shows it is named.
    made_up = [word, *(Word(forged, signer, word.signature) for signer in (1, 2, 8))]
    proof, alarms = fetched(
        town, [*town.doors()[:3], Showing(town, 3, [shown(forged, made_up)])], account
    )
    assert proof.checkpoint == stored.checkpoint
    kinds = [(alarm.kind, alarm.super_agent) for alarm in alarms.new]
    assert kinds.count(("words", 3)) == 3
    # Nothing else is shown anywhere: there is no number.
    doors = [Showing(town, index, [shown(forged, made_up)]) for index in range(4)]
    said, alarms = fetched(town, doors, account)
    assert "no checkpoint is shown that 2 super-agents have signed" in said
    assert {alarm.super_agent for alarm in alarms.new} == {0, 1, 2, 3}


def test_an_older_checkpoint_does_not_take_a_phone_back(town, tmp_path):
    first = town.checkpoint(12)
    account = known(town)[3]
    older = fetched(town, town.doors(), account)[0]
    town.checkpoint(30, base=first)
    newer = fetched(town, town.doors(), account)[0]
    assert newer.checkpoint.number == 2
    phone = tmp_path / "phone"
    assert keep(phone, town.genesis, older) == older
    assert keep(phone, town.genesis, newer) == newer
    assert keep(phone, town.genesis, older) == newer
    # What the phone's own disk has changed is replaced.
    file = phone / f"account-{account}.proof"
    file.write_bytes(flipped(file.read_bytes(), 40))
    assert keep(phone, town.genesis, older) == older


def test_an_account_that_nobody_has_is_said_so(town):
    town.checkpoint(20)
    said, alarms = fetched(town, town.doors(), 900_000)
    assert "no super-agent shows account 900000" in said
    assert not alarms.new
    nobody = known(town)[-1] + 1
    proof, _ = fetched(town, town.doors(), nobody)
    with pytest.raises(NotProvedError, match=f"there was no account {nobody}"):
        checked(proof.to_bytes(), town.genesis)


def test_silent_doors_are_no_liars(town):
    town.checkpoint(20)

    class Silent(HonestDoor):
        async def piece(self, digest, account):
            raise DoorError("it cannot be reached.")

    proof, alarms = fetched(town, [Silent(town, 0), *town.doors()[1:]], known(town)[3])
    assert proof.words
    assert not alarms.new


@given(st.binary(max_size=PIECE_PROOF_BYTES_MAX + 8))
def test_no_bytes_make_a_piece_raise(content):
    found = read_piece(content)
    assert isinstance(found, Piece | Malformed)


@given(st.binary(max_size=600))
def test_no_bytes_make_a_proof_raise(content):
    genesis = genesis_of_tests()
    for head in (b"", b"hrb1:account".ljust(16, b"\0")):
        found = read_account_proof(head + content, genesis.network, genesis.committee)
        assert isinstance(found, Malformed)


@given(st.binary(min_size=1_440, max_size=1_440), st.integers(0, 5), st.integers(0, 9))
def test_a_piece_is_read_as_it_is_written(content, inside, above):
    digests = [bytes([k]) * 32 for k in range(16)]
    piece = Piece(77, tuple(digests[:inside]), tuple(digests[inside : inside + above]), content)
    assert read_piece(piece.to_bytes()) == piece
    assert piece.root(16, 100) is None
