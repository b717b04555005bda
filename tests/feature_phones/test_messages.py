"""Whatever another super-agent sends to a holder is read within bounds, or answered with nothing."""

import asyncio
import contextlib

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.feature_phones.village import PIN, village_of

from harambee.feature_phones.messages import (
    MESSAGE_BYTES_MAX,
    Act,
    Claim,
    Deed,
    Done,
    Mark,
    Matter,
    MessageError,
    Named,
    Noted,
    OfAccount,
    Rows,
    Told,
    read,
    write,
)
from harambee.feature_phones.rows import (
    KeyRow,
    PendingRow,
    PinRow,
    RowError,
    TriesRow,
    TryRow,
    read_row,
    write_row,
)
from harambee.texts.languages import Language

MESSAGES = (Rows, Noted, Claim, Mark, OfAccount, Told, Named, Act, Done)
ROWS = (KeyRow, PinRow, TriesRow, PendingRow)
PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.text(max_size=8)
    | st.binary(max_size=40),
    lambda inner: st.lists(inner, max_size=6),
    max_leaves=12,
)
GARBAGE = st.binary(max_size=120) | PLAIN.map(msgspec.msgpack.encode)


@given(GARBAGE)
def test_what_says_nothing_is_an_error_and_nothing_else(content):
    for kind in MESSAGES:
        with contextlib.suppress(MessageError):
            assert isinstance(read(content, kind), kind)
    for kind in ROWS:
        with contextlib.suppress(RowError):
            assert isinstance(read_row(content, kind), kind)


def test_what_is_written_is_read():
    pin = PinRow(3, bytes(16), bytes(32), Language.SWAHILI)
    for message in (
        Rows(16, [KeyRow(1, bytes(32))], pin),
        Claim(16, TryRow(1, bytes(16)), 0),
        Act(16, Deed.PAY, PIN, 1, 1, 17, 100, 0),
    ):
        assert read(write(message), type(message)) == message
    row = PendingRow([bytes(128)], bytes(64))
    assert read_row(write_row(row), PendingRow) == row


def test_what_is_too_long_is_not_read():
    with pytest.raises(MessageError):
        read(bytes(MESSAGE_BYTES_MAX + 1), Act)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15, deadline=None
)
@given(st.lists(st.tuples(st.sampled_from(Matter), st.integers(0, 3), GARBAGE), max_size=20))
def test_a_holder_that_is_sent_garbage_goes_on(tmp_path_factory, asked):
    async def story():
        async with village_of(tmp_path_factory.mktemp("village")) as village:
            home = village.desks[0].custody
            for matter, peer, content in asked:
                assert isinstance(await home.serve(peer, matter, content), bytes)
            done = await village.desks[3].act(Act(village.account, Deed.BALANCE, PIN))
            assert done.fate == "done"

    asyncio.run(story())
