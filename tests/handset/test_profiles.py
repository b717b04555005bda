"""Profiles and questions: what a stranger may send, and what a payer is shown."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harambee.crypto.keys import public_of
from harambee.crypto.signatures import from_seed
from harambee.handset.name_checks import (
    QUESTION_BYTES,
    Question,
    QuestionError,
    is_asked_by,
    read_question,
    sign_question,
)
from harambee.handset.profiles import (
    NAME_CHARACTERS_MAX,
    PROFILE_BYTES_MAX,
    Profile,
    ProfileDocument,
    ProfileError,
    checked_name,
    is_signed,
    masked_name,
    read_profile,
    sign_profile,
)
from harambee.ledger.records import AccountKind
from harambee.texts.languages import Language

OWNER, OTHER = from_seed(b"o" * 32), from_seed(b"x" * 32)
NETWORK = b"n" * 32
PROFILE = Profile(17, 1, "Given Middle Family", "+254712345678")

WORDS = st.text(st.characters(categories=["L"], max_codepoint=0x24F), min_size=1, max_size=9)
NAMES = (
    st.lists(WORDS, min_size=1, max_size=4)
    .map(" ".join)
    .filter(lambda name: name == checked_or_none(name))
)
DOCUMENTS = st.builds(
    ProfileDocument,
    st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=20),
    st.binary(max_size=300),
)
U32 = st.integers(0, 2**32 - 1)
PROFILES = st.builds(
    Profile,
    account=U32,
    version=st.integers(1, 2**32 - 1),
    name=NAMES,
    number=st.none() | st.integers(0, 99_999_999).map(lambda n: f"+2547{n:08}"),
    language=st.sampled_from(Language),
    documents=st.lists(DOCUMENTS, max_size=4).map(tuple),
)


def checked_or_none(name):
    try:
        return checked_name(name)
    except ProfileError:
        return None


@given(PROFILES)
def test_a_profile_is_read_as_it_was_signed(profile):
    signed = sign_profile(OWNER, NETWORK, profile)
    assert read_profile(signed) == profile
    assert is_signed(signed, NETWORK, public_of(OWNER))
    assert not is_signed(signed, NETWORK, public_of(OTHER))
    assert not is_signed(signed, b"m" * 32, public_of(OWNER))


@given(PROFILES, st.data())
def test_a_profile_that_was_altered_is_not_signed(profile, data):
    signed = bytearray(sign_profile(OWNER, NETWORK, profile))
    place = data.draw(st.integers(0, len(signed) - 1))
    signed[place] ^= data.draw(st.integers(1, 255))
    assert not is_signed(bytes(signed), NETWORK, public_of(OWNER))


@given(st.binary(max_size=300))
def test_garbage_is_no_profile(garbage):
    with pytest.raises(ProfileError):
        read_profile(garbage)


@given(PROFILES, st.data())
def test_half_a_profile_and_more_than_one_are_none(profile, data):
    signed = sign_profile(OWNER, NETWORK, profile)
    with pytest.raises(ProfileError):
        read_profile(signed[: data.draw(st.integers(0, len(signed) - 1))])
    with pytest.raises(ProfileError):
        read_profile(signed + data.draw(st.binary(min_size=1, max_size=9)))


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 0},
        {"version": 2**32},
        {"account": -1},
        {"name": ""},
        {"name": "  "},
        {"name": " Given"},
        {"name": "Given  Family"},
        {"name": "Given\nFamily"},
        {"name": "Given\u202eFamily"},
        {"name": "Given <b>"},
        {"name": "Given\u200bFamily"},
        {"name": "e\u0301"},
        {"name": "x" * (NAME_CHARACTERS_MAX + 1)},
        {"name": "\ud800"},
        {"number": "0712345678"},
        {"number": "+1555"},
        {"documents": (ProfileDocument("", b""),)},
        {"documents": (ProfileDocument("x" * 65, b""),)},
        {"documents": (ProfileDocument("a\nb", b""),)},
        {"documents": (ProfileDocument("a", b""),) * 5},
        {"documents": (ProfileDocument("a", b"x" * PROFILE_BYTES_MAX),)},
    ],
)
def test_what_can_be_no_profile_is_not_signed(changes):
    with pytest.raises(ProfileError) as error:
        sign_profile(OWNER, NETWORK, dataclasses.replace(PROFILE, **changes))
    assert str(error.value).endswith(".")
    assert "\n" not in str(error.value)


def test_the_largest_profile_fits():
    room = PROFILE_BYTES_MAX - len(sign_profile(OWNER, NETWORK, PROFILE)) - len("scan") - 5
    largest = dataclasses.replace(PROFILE, documents=(ProfileDocument("scan", b"x" * room),))
    signed = sign_profile(OWNER, NETWORK, largest)
    assert len(signed) == PROFILE_BYTES_MAX
    assert read_profile(signed) == largest


def test_a_profiles_text_shows_no_person():
    shown = repr(dataclasses.replace(PROFILE, documents=(ProfileDocument("passport", b"picture"),)))
    for secret in ("Given", "Family", "712345678", "passport", "picture"):
        assert secret not in shown


@pytest.mark.parametrize(
    ("name", "kind", "shown"),
    [
        ("Given Family", AccountKind.CUSTOMER, "GIVEN F."),
        ("Given Middle Other Family", AccountKind.CUSTOMER, "GIVEN F."),
        ("Given", AccountKind.CUSTOMER, "GIVEN"),
        ("Customer 12", AccountKind.CUSTOMER, "CUSTOMER 12"),
        ("Given Middle Family", AccountKind.AGENT, "GIVEN MIDDLE FAMILY"),
        ("The Corner Shop", AccountKind.MERCHANT, "THE CORNER SHOP"),
        ("Water Company", AccountKind.BUSINESS, "WATER COMPANY"),
        ("Vegetables by the Road", AccountKind.POCHI, "VEGETABLES BY THE ROAD"),
        ("A Trust Bank", AccountKind.BANK, "A TRUST BANK"),
    ],
)
def test_a_person_is_shown_in_part_and_a_shop_in_whole(name, kind, shown):
    assert masked_name(name, kind) == shown


@given(NAMES)
def test_of_a_persons_last_name_one_letter_is_shown(name):
    shown = masked_name(name, AccountKind.CUSTOMER)
    first, *rest = name.upper().split()
    assert shown == (f"{first} {rest[-1][0]}." if rest else first)


@given(U32, U32, st.integers(0, 2**64 - 1))
def test_a_question_is_read_as_it_was_signed(asker, payee, time_us):
    question = Question(asker, payee, time_us)
    signed = sign_question(OWNER, NETWORK, question)
    assert len(signed) == QUESTION_BYTES
    assert read_question(signed) == question
    assert is_asked_by(signed, NETWORK, public_of(OWNER))
    assert not is_asked_by(signed, NETWORK, public_of(OTHER))
    assert not is_asked_by(bytes([signed[0] ^ 1]) + signed[1:], NETWORK, public_of(OWNER))


@given(st.binary(max_size=200).filter(lambda garbage: len(garbage) != QUESTION_BYTES))
def test_a_question_has_one_length(garbage):
    with pytest.raises(QuestionError):
        read_question(garbage)
