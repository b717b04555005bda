"""Closes as documents and files: what q sign is settled, and liars, forgers and strangers are named."""

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harambee.crypto.signatures import from_seed, sign
from harambee.oversight.day_close import (
    DOCUMENTS_MAX,
    FILE_MAGIC,
    CloseError,
    DayClose,
    Word,
    differences,
    flows_digest,
    net_debts,
    read_close,
    read_file,
    read_flows,
    sign_close,
    weigh,
    write_file,
    write_flows,
)
from harambee.oversight.settlement_parties import Party
from harambee.protocol.committee import Committee, Member

KEYS = [from_seed(bytes([index + 1]) * 32) for index in range(4)]
COMMITTEE = Committee(
    3, tuple(Member(f"agent-{i}", key.public, bytes(32), (i,)) for i, key in enumerate(KEYS))
)
NETWORK = bytes(range(32))
DAY = 20_781
PARTIES = (*(Party(is_bank=False, number=i) for i in range(4)), Party(is_bank=True, number=700))
CELLS = {(0, 1): 500, (1, 0): 200, (4, 2): 70, (2, 4): 70, (3, 2): 9}
FLOWS = write_flows(CELLS)


def close_of(**changes):
    return replace(
        DayClose(
            NETWORK,
            3,
            DAY,
            6,
            flows_digest(FLOWS),
            PARTIES,
            (-300, 300, 9, -9, 0),
            (1_000, 2_000, 0, 0, -3_000),
        ),
        **changes,
    )


CLOSE = close_of()


def word(index, close=CLOSE, key=None):
    return Word(index, close.to_bytes(), sign_close(KEYS[index] if key is None else key, close))


def weighed(*words):
    return weigh(COMMITTEE, NETWORK, DAY, words)


def name(party):
    return f"{'bank' if party.is_bank else 'agent'} {party.number}"


def test_a_close_is_what_it_was_and_says_who_owes_whom():
    assert read_close(CLOSE.to_bytes()) == CLOSE
    assert read_flows(FLOWS, CLOSE) == CELLS
    assert (CLOSE.circulation_cents, CLOSE.owed_cents) == (3_000, {700: 3_000})
    assert net_debts(CELLS) == [(0, 1, 300), (3, 2, 9)]


def test_q_equal_words_settle_a_day_and_fewer_do_not():
    assert not weighed().is_settled(COMMITTEE)
    assert not weighed(word(0), word(1)).is_settled(COMMITTEE)
    settled = weighed(word(0), word(1), word(3))
    assert settled.is_settled(COMMITTEE)
    assert sorted(settled.agreed.signatures) == [0, 1, 3]
    # One that says the same three times is one.
    assert not weighed(word(0), word(0), word(0)).is_settled(COMMITTEE)


def test_who_differs_is_named_and_by_what():
    other = close_of(
        orders=7,
        positions_cents=(-301, 300, 10, -9, 0),
        balances_cents=(999, 2_000, 1, 5, -3_005),
    )
    outcome = weighed(word(0), word(1), word(2, other), word(3))
    assert outcome.is_settled(COMMITTEE)
    assert [sorted(s.signatures) for s in outcome.statements] == [[0, 1, 3], [2]]
    assert differences(CLOSE, other, name) == [
        "7 orders instead of 6",
        "-1 cents in the position of agent 0",
        "+1 cents in the position of agent 2",
        "+5 cents from earlier days in the balance of agent 3",
        "-5 cents from earlier days in the balance of bank 700",
    ]
    flows = close_of(flows_digest=bytes(32))
    assert differences(CLOSE, flows, name) == ["other flows between the same positions"]
    fewer = close_of(parties=PARTIES[:4], positions_cents=(0, 0, 0, 0), balances_cents=(0, 0, 0, 0))
    assert differences(CLOSE, fewer, name) == ["other parties"]


BAD = [
    (word(2, key=KEYS[1]), "its signature does not hold"),
    (Word(2, CLOSE.to_bytes(), bytes(64)), "its signature does not hold"),
    (word(2, close_of(day=DAY + 1)), "it is of another day"),
    (word(2, close_of(epoch=4)), "its signature does not hold"),
    (word(2, close_of(network=bytes(32))), "its signature does not hold"),
]


@pytest.mark.parametrize(("bad", "why"), BAD)
def test_a_forged_or_foreign_word_counts_for_nothing(bad, why):
    outcome = weighed(word(0), word(1), bad)
    assert not outcome.is_settled(COMMITTEE)
    assert outcome.refused == {2: why}


def signed_bytes(index, document):
    prefix = b"hrb1:day-close\0\0" + NETWORK + COMMITTEE.epoch.to_bytes(4, "little")
    return Word(index, document, sign(KEYS[index], prefix + document))


@pytest.mark.parametrize(
    ("document", "why"),
    [
        (b"", "cut short"),
        (CLOSE.to_bytes()[:-1], "cut short"),
        (CLOSE.to_bytes() + b"\0", "something follows"),
        (bytes(1 << 20), "too long"),
        (close_of(positions_cents=(-300, 300, 9, -9, 1)).to_bytes(), "do not add up to zero"),
        (close_of(balances_cents=(1, 0, 0, 0, 0)).to_bytes(), "do not add up to zero"),
        (
            close_of(parties=(PARTIES[1], PARTIES[0], *PARTIES[2:])).to_bytes(),
            "not in the committee's order",
        ),
        (close_of(network=bytes(32)).to_bytes(), "another network or epoch"),
        (
            close_of(
                parties=PARTIES[:3], positions_cents=(0, 0, 0), balances_cents=(0, 0, 0)
            ).to_bytes(),
            "not those of the committee",
        ),
        (
            close_of(
                parties=(*PARTIES, PARTIES[4]),
                positions_cents=(0,) * 6,
                balances_cents=(0,) * 6,
            ).to_bytes(),
            "ascending order",
        ),
        (CLOSE.to_bytes()[:78] + b"\xff\xff\xff\xff" + CLOSE.to_bytes()[82:], "more parties"),
    ],
)
def test_whatever_a_liar_signs_is_named_and_breaks_nothing(document, why):
    outcome = weighed(word(0), word(1), signed_bytes(2, document))
    assert why in outcome.refused[2]
    assert not outcome.is_settled(COMMITTEE)


def test_an_index_outside_the_committee_holds_nothing():
    assert not Word(4, CLOSE.to_bytes(), bytes(64)).holds(COMMITTEE, NETWORK)
    assert not Word(-1, CLOSE.to_bytes(), bytes(64)).holds(COMMITTEE, NETWORK)


@pytest.mark.parametrize(
    "flows",
    [
        b"",
        FLOWS[:-1],
        FLOWS[20:] + FLOWS[:20],
        FLOWS + FLOWS[-20:],
        write_flows(CELLS | {(0, 1): 501}),
        write_flows(CELLS | {(0, 9): 1}),
        write_flows(CELLS | {(0, 0): 1}),
        write_flows(CELLS | {(0, 2): -1}),
    ],
)
def test_flows_are_those_of_their_close_in_their_one_order(flows):
    with pytest.raises(CloseError, match="not those that the close names"):
        read_flows(flows, CLOSE)
    with pytest.raises(CloseError):
        read_flows(flows, close_of(flows_digest=flows_digest(flows)))


def test_a_file_holds_all_signatures_and_is_checked_with_keys_alone():
    other = close_of(orders=7)
    outcome = weighed(word(0), word(1), word(2, other), word(3))
    content = write_file(outcome, FLOWS)
    read, cells = read_file(content, COMMITTEE, NETWORK)
    assert read == outcome
    assert cells == CELLS
    with pytest.raises(CloseError):
        read_file(content, COMMITTEE, bytes(32))


def test_a_forged_signature_in_a_file_is_named():
    outcome = weighed(word(0), word(1), word(3))
    content = write_file(outcome, FLOWS)
    place = content.index(outcome.agreed.signatures[1])
    forged = content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
    read, _ = read_file(forged, COMMITTEE, NETWORK)
    assert read.refused == {1: "its signature does not hold"}
    assert not read.is_settled(COMMITTEE)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "no file"),
        (b"x" * 100, "no file"),
        (FILE_MAGIC, "cut short"),
        (FILE_MAGIC + b"\0\0", "no close"),
        (FILE_MAGIC + (DOCUMENTS_MAX + 1).to_bytes(2, "little"), "more than it may"),
        (FILE_MAGIC + b"\1\0\xff\xff\xff\xff", "longer than it may be"),
        (write_file(weighed(word(0)), FLOWS) + b"\0", "something follows"),
        (write_file(weighed(word(0)), b""), "flows"),
    ],
)
def test_what_is_no_file_says_so(content, why):
    with pytest.raises(CloseError, match=why):
        read_file(content, COMMITTEE, NETWORK)


@given(st.integers(0, 2**32), st.integers(1, 8))
def test_hostile_bytes_are_refused_or_read_and_never_more(seed, edits):
    dice = random.Random(seed)
    content = bytearray(write_file(weighed(word(0), word(1), word(3), word(2)), FLOWS))
    for _ in range(edits):
        place = dice.randrange(len(content))
        match dice.randrange(3):
            case 0:
                content[place] = dice.randrange(256)
            case 1:
                del content[place : place + dice.randrange(1, 40)]
            case _:
                content[place:place] = dice.randbytes(dice.randrange(1, 40))
    try:
        outcome, _ = read_file(bytes(content), COMMITTEE, NETWORK)
    except CloseError:
        return
    # What is left of it is true: every signature holds for the one close that was signed.
    assert [statement.close for statement in outcome.statements] == [CLOSE]


@given(st.binary(max_size=400))
def test_any_bytes_as_a_close(data):
    try:
        close = read_close(data)
    except CloseError:
        return
    assert close.to_bytes() == data, "there is one way to write it"
