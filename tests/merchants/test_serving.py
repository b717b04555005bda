"""Whatever another super-agent sends is answered, and leaves a desk as it was."""

import asyncio
import contextlib
import logging

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.merchants.town import CUSTOMER, PASSWORD, Town

from harambee.handset.payment_requests import (
    RequestError,
    read_announcement,
    read_decline,
    read_request,
    read_requests_question,
)
from harambee.merchants.desk import _Arrangement, _Note
from harambee.merchants.ground import Matter
from harambee.merchants.port import Instruction, Merchant, SignedRequest, Urls
from harambee.merchants.post import join_items
from harambee.merchants.rows import (
    ROW_BYTES_MAX,
    BillRow,
    DeliveryRow,
    EventRow,
    InstructionRow,
    MerchantRow,
    RequestRow,
    RowError,
    read_row,
    write_row,
    write_told,
)

KINDS = (
    BillRow,
    DeliveryRow,
    EventRow,
    InstructionRow,
    MerchantRow,
    RequestRow,
    Instruction,
    _Arrangement,
    _Note,
)
texts = st.text(max_size=30) | st.sampled_from(["174379", "till:174379", "key-1", CUSTOMER])
values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 1 << 63) | texts | st.binary(max_size=140),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


def like(kind):
    """Return what looks like a row: its names, with whatever in them."""
    names = (
        {field.name: values for field in msgspec.structs.fields(kind)}
        if issubclass(kind, msgspec.Struct)
        else dict.fromkeys(kind.__dataclass_fields__, values)
    )
    return st.fixed_dictionaries({}, optional=names).map(msgspec.msgpack.encode)


rows = st.one_of(st.binary(max_size=300), *(like(kind) for kind in KINDS))
notes = st.builds(
    bytes.__add__, st.sampled_from([b"D", b"P", b"N", b"T", b"Q", b"B", b"X", b""]), rows
)
batches = st.one_of(
    st.binary(max_size=300),
    st.lists(rows, max_size=5).map(join_items),
    st.lists(notes, max_size=5).map(join_items),
    st.just(b"\xff" * 150_000),
    st.just(b"x" * 150_000),
)
QUICK = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    """Return a loop and a town that stay for all examples."""
    loop = asyncio.new_event_loop()
    made = Town(tmp_path_factory.mktemp("town"))
    loop.run_until_complete(made.__aenter__())
    yield loop, made
    loop.run_until_complete(made.__aexit__())
    loop.close()


@QUICK
@given(st.sampled_from(list(Matter)), rows | batches)
def test_any_bytes_are_answered_and_nothing_is_believed(town, matter, content):
    loop, made = town
    desk, store = made.desks[1], made.stores[1]
    before = dict(desk._book._rows)
    answer = loop.run_until_complete(desk.serve(2, matter, content))
    assert isinstance(answer, bytes)
    assert len(answer) <= 64 << 10
    assert desk._book._rows == before
    assert store.waiting() == []
    assert store.undone() == []


@QUICK
@given(st.one_of(rows, batches))
def test_whatever_another_answers_is_borne(town, content):
    loop, made = town
    made.liars = {peer: lambda matter, _: content for peer in (1, 2, 3)}

    async def asked():
        assert await made.desks[0].request("nobody") is None
        shown = await made.pending(0)
        assert shown == []
        verdict = await asyncio.gather(
            made.desks[0].announce(made.announcement()), return_exceptions=True
        )
        assert len(verdict) == 1

    loop.run_until_complete(asked())
    made.liars = {}


@given(rows, st.sampled_from(KINDS))
def test_any_bytes_are_a_row_or_refused(content, kind):
    try:
        row = read_row(content, kind)
    except RowError:
        return
    assert read_row(msgspec.msgpack.encode(row), kind) == row


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_too_long_or_too_deep_is_no_row(kind):
    for content in (b"\x91" * 10_000, b"\x81\xa1a" * 5_000, bytes(ROW_BYTES_MAX + 1)):
        with pytest.raises(RowError):
            read_row(content, kind)


@given(st.binary(max_size=700))
def test_what_customers_sign_is_read_or_refused(content):
    for read in (read_request, read_decline, read_requests_question, read_announcement):
        with contextlib.suppress(RequestError):
            assert read(content) is not None


@given(st.text(max_size=50), st.integers(-1, 1 << 70))
def test_what_is_told_is_written_or_refused(text, number):
    row = MerchantRow(number, Merchant(text, "till", 1, text, 0, text, Urls(text)))
    try:
        content = write_told(row)
    except RowError:
        return
    assert msgspec.msgpack.decode(content)["version"] == number


def test_no_secret_and_no_person_is_in_what_is_logged_or_shown(town, caplog):
    loop, made = town
    caplog.set_level(logging.DEBUG)

    async def busy():
        view = await made.ask(0, "logged", callback_url="http://127.0.0.1:1/secret-path")
        await made.desks[0].decline(made.decline(view.id))
        mend = made.disk_full(1)
        await made.desks[1].serve(0, Matter.KEEP_REQUESTS, join_items([write_row(BillRow("A", 1))]))
        await made.desks[0].announce(made.announcement())
        mend()

    loop.run_until_complete(busy())
    said = caplog.text
    for secret in (CUSTOMER, PASSWORD, "passkey", "secret-path", "Customer 1"):
        assert secret not in said
    assert SignedRequest(b"", 0, b"").super_agent == 0
    shown = repr(made.an_ask()) + repr(made.till) + repr(made.apps)
    for secret in (CUSTOMER, "passkey", "kkkk", "dddd"):
        assert secret not in shown
