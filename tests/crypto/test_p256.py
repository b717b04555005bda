"""P-256: Project Wycheproof's vectors, the textbook's arithmetic, and the one rule that is ours, the low s.

The vectors lie beside the checkout, in ../shared/wycheproof. The arithmetic below is that of FIPS 186-5,
slowly, in whole numbers: `cryptography` is held to it.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harambee.crypto.p256 import (
    LOW_S_MAX,
    ORDER,
    P256KeyPair,
    generate,
    is_point,
    read_point,
    sign,
    verify,
    verify_many,
    with_low_s,
)

FOLDER = Path(__file__).parents[2].parent / "shared" / "wycheproof"
VECTORS = FOLDER / "ecdsa_secp256r1_sha256_p1363_test.json"

P = 2**256 - 2**224 + 2**192 + 2**96 - 1
B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
BASE = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)
NOWHERE = None
"""The neutral point, which has no coordinates."""

KEY = P256KeyPair(bytes(range(32)))
GOOD = sign(KEY, b"pay")

scalars = st.integers(1, ORDER - 1)


def add(p, q):
    if p is NOWHERE or q is NOWHERE:
        return q if p is NOWHERE else p
    (a, b), (c, d) = p, q
    if a == c and (b + d) % P == 0:
        return NOWHERE
    slope = (3 * a * a - 3) * pow(2 * b, -1, P) if p == q else (d - b) * pow(c - a, -1, P)
    x = (slope * slope - a - c) % P
    return x, (slope * (a - x) - b) % P


def times(n, p):
    result = NOWHERE
    while n:
        if n & 1:
            result = add(result, p)
        p, n = add(p, p), n >> 1
    return result


def holds_by_the_book(point, message, r, s):
    if not (0 < r < ORDER and 0 < s < ORDER):
        return False
    inverse = pow(s, -1, ORDER)
    hashed = int.from_bytes(hashlib.sha256(message).digest(), "big")
    found = add(times(hashed * inverse % ORDER, BASE), times(r * inverse % ORDER, point))
    return found is not NOWHERE and found[0] % ORDER == r


def halves(signature):
    return int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")


def joined(r, s):
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def holds(signature, message=b"pay", key=KEY):
    """Return the one answer of both verifiers."""
    single = verify(key.public, message, signature, is_odd=key.is_odd)
    if len(signature) == 64:
        assert batch([key.public], [key.is_odd], [message], [signature]) == [single]
    return single


def batch(publics, are_odd, messages, signatures):
    rows = [
        np.frombuffer(b"".join(column), np.uint8).reshape(len(column), -1)
        for column in (messages, publics, signatures)
    ]
    return verify_many(b"", rows[0], rows[1], np.array(are_odd), rows[2]).tolist()


# -- Wycheproof -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cases():
    document = json.loads(VECTORS.read_text(encoding="utf-8"))
    found = [
        (
            f"{case['tcId']} {case['comment']}",
            int(group["publicKey"]["wx"], 16).to_bytes(32, "big"),
            int(group["publicKey"]["wy"], 16) % 2 == 1,
            bytes.fromhex(case["msg"]),
            bytes.fromhex(case["sig"]),
            case["result"] == "valid",
        )
        for group in document["testGroups"]
        for case in group["tests"]
    ]
    assert len(found) == document["numberOfTests"]
    assert {odd for _, _, odd, *_ in found} == {valid for *_, valid in found} == {True, False}
    return found


needs_vectors = pytest.mark.skipif(
    not VECTORS.exists(), reason="needs ../shared/wycheproof beside the checkout"
)


@needs_vectors
def test_every_vector_is_judged_as_it_says_once_its_s_is_low(cases):
    wrong = [
        name
        for name, key, odd, text, mark, valid in cases
        if verify(key, text, with_low_s(mark) if len(mark) == 64 else mark, is_odd=odd) != valid
    ]
    assert wrong == []


@needs_vectors
def test_of_the_vectors_as_they_are_those_with_a_high_s_are_refused(cases):
    found = [
        (verify(key, text, mark, is_odd=odd), valid and halves(mark)[1] <= LOW_S_MAX, valid)
        for _, key, odd, text, mark, valid in cases
    ]
    assert [answer for answer, _, _ in found] == [low for _, low, _ in found]
    high = [valid and not low for _, low, valid in found]
    assert sum(high) > 50


@needs_vectors
def test_the_batch_judges_vectors_of_whole_length_as_the_single_verifier_does(cases):
    whole = [case for case in cases if len(case[4]) == 64]
    assert len(whole) > 200
    for name, key, odd, text, mark, _ in whole:
        if text:
            single = verify(key, text, mark, is_odd=odd)
            assert batch([key], [odd], [text], [mark]) == [single], name


@needs_vectors
def test_a_vector_holds_for_one_sign_of_y_only(cases):
    turned = [
        name
        for name, key, odd, text, mark, _ in cases
        if len(mark) == 64
        and halves(mark)[0] not in (0, ORDER)
        and verify(key, text, mark, is_odd=odd)
        and verify(key, text, mark, is_odd=not odd)
    ]
    assert turned == []


# -- the textbook ---------------------------------------------------------------------------------


def test_a_key_is_the_point_that_the_textbook_makes_of_its_seed():
    for seed in (1, 2, 3, ORDER - 1, *range(10**70, 10**70 + 20)):
        x, y = times(seed, BASE)
        key = P256KeyPair(seed.to_bytes(32, "big"))
        assert (key.public, key.is_odd) == (x.to_bytes(32, "big"), y % 2 == 1)


@given(scalars, st.binary(max_size=80))
def test_what_is_signed_holds_by_the_book_and_here_and_has_a_low_s(seed, message):
    key = P256KeyPair(seed.to_bytes(32, "big"))
    signature = sign(key, message)
    assert signature == sign(key, message)
    assert halves(signature)[1] <= LOW_S_MAX
    assert holds_by_the_book(times(seed, BASE), message, *halves(signature))
    assert verify(key.public, message, signature, is_odd=key.is_odd)
    assert not verify(key.public, message, signature, is_odd=not key.is_odd)
    assert not verify(key.public, message + b".", signature, is_odd=key.is_odd)


def test_a_nonce_that_any_signer_may_choose_is_judged_as_by_the_book():
    seed = int.from_bytes(KEY.seed, "big")
    hashed = int.from_bytes(hashlib.sha256(b"pay").digest(), "big")
    answers = set()
    for nonce in range(1, 30):
        r = times(nonce, BASE)[0] % ORDER
        s = pow(nonce, -1, ORDER) * (hashed + r * seed) % ORDER
        assert holds_by_the_book(times(seed, BASE), b"pay", r, s)
        assert holds(with_low_s(joined(r, s)))
        assert holds(joined(r, s)) == (s <= LOW_S_MAX)
        answers.add(holds(joined(r, s)))
    assert answers == {True, False}, "hardware makes both"


@pytest.mark.parametrize(
    "bent",
    {
        "the other s": lambda r, s: (r, ORDER - s),
        "r is nothing": lambda _, s: (0, s),
        "s is nothing": lambda r, _: (r, 0),
        "both are": lambda *_: (0, 0),
        "r is the order": lambda _, s: (ORDER, s),
        "s is the order": lambda r, _: (r, ORDER),
        "r is negative": lambda r, s: (ORDER - r, s),
        "the halves are exchanged": lambda r, s: (s, r),
        "one more": lambda r, s: (r, s + 1),
        "as large as can be": lambda *_: (2**256 - 1, 2**256 - 1),
    }.items(),
    ids=lambda case: case[0],
)
def test_a_bent_signature_is_refused(bent):
    assert holds(GOOD)
    assert not holds(joined(*bent[1](*halves(GOOD))))


def test_a_signature_of_another_length_is_refused():
    for mark in (b"", GOOD[:63], GOOD + b"\0", GOOD[:32]):
        assert not holds(mark)
    assert not verify(KEY.public[1:], b"pay", GOOD, is_odd=KEY.is_odd)


def test_the_low_s_is_made_of_the_high_one_and_of_nothing_else():
    r, s = halves(GOOD)
    assert with_low_s(joined(r, ORDER - s)) == with_low_s(GOOD) == GOOD
    for odd in (0, ORDER, 2**256 - 1):
        assert with_low_s(joined(r, odd)) == joined(r, odd)


# -- keys -----------------------------------------------------------------------------------------


@given(st.integers(0, 2**256 - 1))
def test_a_point_is_what_the_equation_says(x):
    square = (x * x * x - 3 * x + B) % P
    is_on_curve = x < P and pow(square, (P - 1) // 2, P) in (0, 1)
    assert is_point(x.to_bytes(32, "big")) == is_on_curve


@pytest.mark.parametrize("x", [P, P + 5, 2**256 - 1])
def test_an_x_beyond_the_field_is_no_point_though_its_remainder_is(x):
    assert not is_point(x.to_bytes(32, "big"))
    assert is_point((5).to_bytes(32, "big")), "x = 5 is on the curve"


def test_nobody_signs_for_what_is_no_point():
    x = next(x for x in range(100) if not is_point(x.to_bytes(32, "big")))
    for is_odd in (True, False):
        assert not verify(x.to_bytes(32, "big"), b"pay", GOOD, is_odd=is_odd)


@pytest.mark.parametrize("seed", [0, ORDER, ORDER + 1, 2**256 - 1])
def test_a_seed_lies_between_nothing_and_the_order(seed):
    with pytest.raises(ValueError, match="lies between"):
        P256KeyPair(seed.to_bytes(32, "big"))


def test_a_seed_is_32_bytes_and_never_shown():
    with pytest.raises(ValueError, match="32 bytes"):
        P256KeyPair(bytes(31))
    key = generate()
    assert key != generate()
    assert key.seed.hex() not in repr(key)
    assert str(key.seed) not in repr(key)


@given(scalars)
def test_a_point_is_read_as_short_and_as_long_as_sec_1_writes_it(scalar):
    x, y = times(scalar, BASE)
    read = x.to_bytes(32, "big"), y % 2 == 1
    long = b"\4" + joined(x, y)
    assert read_point(bytes([2 + y % 2]) + read[0]) == read
    assert read_point(long) == read
    assert read_point(b"\4" + joined(x, P - y)) == (read[0], not read[1])
    assert read_point(long[:-1] + bytes([long[-1] ^ 1])) is None, "not on the curve"


@pytest.mark.parametrize(
    "encoded",
    [
        b"",
        b"\0",
        KEY.public,
        b"\5" + KEY.public,
        b"\4" + KEY.public,
        b"\2" + KEY.public + KEY.public,
        b"\2" + P.to_bytes(32, "big"),
        b"\6" + joined(*BASE),
        b"\7" + joined(*BASE),
        b"\4" + bytes(64),
    ],
)
def test_what_is_no_point_of_sec_1_is_not_read(encoded):
    assert read_point(encoded) is None
