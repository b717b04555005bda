"""Profiles and names at the HTTP door: who is let in, and what is said to whom."""

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harambee.crypto.signatures import from_seed
from harambee.handset.profiles import PROFILE_BYTES_MAX, Profile, ProfileDocument, sign_profile
from harambee.node.port import NameAnswer, NameStatus, ProfileStatus

OWNER = from_seed(b"o" * 32)
QUESTION = "ab" * 80
PROFILE = sign_profile(
    OWNER,
    b"n" * 32,
    Profile(
        16, 3, "Given Family", "+254712345678", documents=(ProfileDocument("scan", b"picture"),)
    ),
)


def ask(client, *arguments, **named):
    return asyncio.run(client.ask(*arguments, **named))


def test_a_name_is_told_to_who_asks_rightly(client, port):
    reply = ask(client, "POST", "/v1/names", {"question": QUESTION})
    assert reply.status == 200
    assert reply.document == {"name": "GIVEN F.", "number": "0712***678"}
    assert reply.headers["cache-control"] == "no-store"
    assert port.questions == [bytes.fromhex(QUESTION)]


@pytest.mark.parametrize(
    ("status", "http", "code"),
    [
        (NameStatus.NONE, 404, "NAME_UNKNOWN"),
        (NameStatus.LOCKED, 429, "NAMES_LOCKED"),
        (NameStatus.REPLAYED, 409, "QUESTION_REPLAYED"),
        (NameStatus.CLOCK_WRONG, 400, "CLOCK_WRONG"),
        (NameStatus.UNSIGNED, 403, "SIGNATURE_INVALID"),
        (NameStatus.ASKER_UNKNOWN, 403, "ASKER_UNKNOWN"),
        (NameStatus.PAYEE_UNKNOWN, 404, "ACCOUNT_UNKNOWN"),
        (NameStatus.BUSY, 503, "NAMES_BUSY"),
        (NameStatus.UNAVAILABLE, 503, "UNAVAILABLE"),
        (NameStatus.NOT_HELD_HERE, 503, "UNAVAILABLE"),
    ],
)
def test_why_a_name_is_not_told_is_one_sentence(client, port, status, http, code):
    port.name_answer = NameAnswer(status)
    reply = ask(client, "POST", "/v1/names", {"question": QUESTION})
    assert (reply.status, reply.code) == (http, code)
    assert reply.document["detail"].endswith(".")


@pytest.mark.parametrize("question", [None, 1, "", "ab", "zz" * 80, "ab" * 79, "ab" * 81, ["ab"]])
def test_what_is_no_question_is_not_asked(client, port, question):
    reply = ask(client, "POST", "/v1/names", {"question": question})
    assert (reply.status, reply.code) == (400, "HEX_INVALID")
    assert port.questions == []


def test_a_profile_is_kept(client, port):
    for status in (ProfileStatus.KEPT, ProfileStatus.SAME):
        port.profile_status = status
        reply = ask(client, "POST", "/v1/profiles", {"profile": PROFILE.hex()})
        assert (reply.status, reply.document) == (201, {"account": 16, "version": 3})
    assert port.profiles == [PROFILE] * 2


@pytest.mark.parametrize(
    ("status", "http", "code"),
    [
        (ProfileStatus.OLDER, 409, "PROFILE_OLDER"),
        (ProfileStatus.INVALID, 400, "PROFILE_INVALID"),
        (ProfileStatus.UNSIGNED, 403, "SIGNATURE_INVALID"),
        (ProfileStatus.NUMBER_WRONG, 409, "NUMBER_WRONG"),
        (ProfileStatus.NAME_FIXED, 409, "NAME_FIXED"),
        (ProfileStatus.ACCOUNT_UNKNOWN, 404, "ACCOUNT_UNKNOWN"),
        (ProfileStatus.UNAVAILABLE, 503, "UNAVAILABLE"),
        (ProfileStatus.NOT_HELD_HERE, 503, "UNAVAILABLE"),
    ],
)
def test_why_a_profile_is_not_kept_is_one_sentence(client, port, status, http, code):
    port.profile_status = status
    reply = ask(client, "POST", "/v1/profiles", {"profile": PROFILE.hex()})
    assert (reply.status, reply.code) == (http, code)
    assert b"Given" not in reply.body


@pytest.mark.parametrize(
    ("profile", "status", "code"),
    [
        (PROFILE[:-1].hex(), 400, "PROFILE_INVALID"),
        (PROFILE.hex()[:-1], 400, "HEX_INVALID"),
        ("", 400, "PROFILE_INVALID"),
        ("zz", 400, "HEX_INVALID"),
        ("00" * 64, 400, "PROFILE_INVALID"),
        (7, 400, "BODY_INVALID"),
        ("00" * (PROFILE_BYTES_MAX + 1), 413, "PROFILE_TOO_LARGE"),
    ],
)
def test_what_is_no_profile_is_not_kept(client, port, profile, status, code):
    reply = ask(client, "POST", "/v1/profiles", {"profile": profile})
    assert (reply.status, reply.code) == (status, code)
    assert port.profiles == []


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)
HEX = st.binary(max_size=300).map(bytes.hex)
ALTERED = st.tuples(st.integers(0, len(PROFILE) - 1), st.integers(1, 255)).map(
    lambda change: (
        PROFILE[: change[0]] + bytes([PROFILE[change[0]] ^ change[1]]) + PROFILE[change[0] + 1 :]
    ).hex()
)


@given(
    path=st.sampled_from(["/v1/names", "/v1/profiles"]),
    method=st.sampled_from(["GET", "POST", "HEAD", "PUT"]),
    content_type=st.sampled_from([None, "application/json", "application/octet-stream"]),
    body=st.one_of(
        st.binary(max_size=200),
        JSON_VALUES.map(lambda value: json.dumps(value).encode()),
        st.dictionaries(
            st.sampled_from(["profile", "question", "name"]),
            st.one_of(JSON_VALUES, HEX, ALTERED, st.just(QUESTION)),
            max_size=2,
        ).map(lambda fields: json.dumps(fields).encode()),
    ),
)
def test_whatever_a_stranger_sends_is_never_our_fault(
    make_client, path, method, content_type, body
):
    reply = ask(make_client(), method, path, body, content_type)
    assert reply.status < 500
    if reply.status >= 400 and method != "HEAD":
        assert reply.document["detail"]
