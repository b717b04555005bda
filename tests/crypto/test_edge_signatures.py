"""Signatures on which implementations differ: here is what ours answers, singly and in a batch."""

import itertools

import numpy as np
import pytest
from nacl.bindings import crypto_sign_open
from nacl.exceptions import BadSignatureError
from tests.crypto import curve
from tests.crypto.curve import BASE, TORSION_ENCODINGS, TORSION_POINTS, L, encode, sign_with, times

from harambee.crypto.signatures import (
    KeyFault,
    from_seed,
    key_faults,
    sign,
    verify,
    verify_many,
)

KEY = from_seed(bytes(range(32)))
SCALAR = curve.secret_scalar(KEY.seed)
NONCE = 12345678901234567
MESSAGE = b"pay"
CANONICAL = [encode(point) for point in TORSION_POINTS]
HONEST = (KEY.public, MESSAGE, sign(KEY, MESSAGE))
FORGED = (KEY.public, MESSAGE, HONEST[2][:63] + bytes([HONEST[2][63] ^ 1]))


def together(cases):
    """Return the answers of one batch to (key, message, signature), messages of one length."""
    columns = [np.frombuffer(b"".join(column), np.uint8) for column in zip(*cases, strict=True)]
    publics, messages, signatures = (column.reshape(len(cases), -1) for column in columns)
    return verify_many(b"", messages, publics, signatures).tolist()


def judge(*case):
    """Return the one answer: alone, among good ones, among bad ones, and by the readable rule."""
    single = verify(*case)
    message = case[1]
    good = (KEY.public, message, sign(KEY, message))
    bad = (KEY.public, message, good[2][:40] + bytes([good[2][40] ^ 1]) + good[2][41:])
    assert together([case]) == [single]
    assert together([good, case, good, good]) == [True, single, True, True]
    assert together([bad, bad, case, bad]) == [False, False, single, False]
    assert curve.is_valid(*case) is single
    return single


def libsodium_accepts(public, message, signature):
    try:
        crypto_sign_open(signature + message, public)
    except BadSignatureError:
        return False
    return True


def test_the_arithmetic_of_the_readable_rule_signs_what_is_accepted():
    assert encode(times(SCALAR, BASE)) == KEY.public
    signature = sign_with(SCALAR, NONCE, KEY.public, encode(times(NONCE, BASE)), MESSAGE)
    assert judge(KEY.public, MESSAGE, signature)
    assert libsodium_accepts(KEY.public, MESSAGE, signature)


@pytest.mark.parametrize("of_key", range(8))
def test_torsion_in_key_and_nonce_is_multiplied_away(of_key):
    """The factor 8 makes it the same for all messages; libsodium has none and accepts one in eight."""
    public = encode(curve.add(times(SCALAR, BASE), TORSION_POINTS[of_key]))
    cases = []
    for of_nonce, message in itertools.product(range(8), (b"pay", b"owe")):
        r = encode(curve.add(times(NONCE, BASE), TORSION_POINTS[of_nonce]))
        cases.append((public, message, sign_with(SCALAR, NONCE, public, r, message)))
    assert all(judge(*case) for case in cases)
    assert together(cases) == [True] * len(cases)
    assert not all(libsodium_accepts(*case) for case in cases)


@pytest.mark.parametrize("encoding", TORSION_ENCODINGS)
def test_a_nonce_of_small_order_is_a_point_like_others_if_it_is_canonical(encoding):
    signature = sign_with(SCALAR, 0, KEY.public, encoding, MESSAGE)
    assert judge(KEY.public, MESSAGE, signature) is (encoding in CANONICAL)
    assert not libsodium_accepts(KEY.public, MESSAGE, signature)


def test_a_key_of_small_order_signs_nothing_whatever_the_nonce():
    """ZIP-215 would accept all of these, for any message and without a secret."""
    assert len(TORSION_ENCODINGS) == 14
    cases = [
        (key, MESSAGE, r + bytes(32)) for key, r in itertools.product(TORSION_ENCODINGS, repeat=2)
    ]
    assert len(cases) == 196
    assert together(cases) == [False] * 196
    assert not any(verify(*case) for case in cases)
    assert not any(curve.is_valid(*case) for case in cases)


def test_the_key_of_an_account_that_has_none_signs_nothing():
    assert bytes(32) in CANONICAL
    r = encode(times(NONCE, BASE))
    messages = [b"order %02d" % i for i in range(16)]
    assert any(curve.challenge(r, bytes(32), message) % 4 == 0 for message in messages)
    signature = r + NONCE.to_bytes(32, "little")
    assert not any(judge(bytes(32), message, signature) for message in messages)


@pytest.mark.parametrize("y", range(19))
def test_what_is_at_least_p_is_no_coordinate(y):
    for sign_bit in (0, 1 << 255):
        encoding = (curve.P + y | sign_bit).to_bytes(32, "little")
        assert not judge(encoding, MESSAGE, HONEST[2])
        assert not judge(KEY.public, MESSAGE, encoding + HONEST[2][32:])


@pytest.mark.parametrize("multiple", range(1, 15))
def test_s_is_below_the_order_of_the_group(multiple):
    s = int.from_bytes(HONEST[2][32:], "little") + multiple * L
    assert judge(*HONEST)
    assert not judge(KEY.public, MESSAGE, HONEST[2][:32] + s.to_bytes(32, "little"))


def fault_of(encoding):
    """What is wrong with a key, by the readable rule."""
    point = curve.decode(encoding)
    if point is None:
        return KeyFault.NOT_A_POINT
    return KeyFault.SMALL_ORDER if times(8, point) == curve.NEUTRAL else KeyFault.NONE


@pytest.mark.parametrize("threads", [1, 3])
def test_keys_of_which_no_signature_can_be_are_told_apart(threads):
    scalars = range(1, 20)
    mixed = [encode(curve.add(times(n, BASE), TORSION_POINTS[n % 8])) for n in scalars]
    edges = [(y | sign << 255).to_bytes(32, "little") for y in range(30) for sign in (0, 1)]
    over = [(curve.P + y).to_bytes(32, "little") for y in range(19)]
    keys = [KEY.public, bytes(32), b"\xff" * 32, *TORSION_ENCODINGS, *mixed, *edges, *over]
    rows = np.frombuffer(b"".join(keys), np.uint8).reshape(-1, 32)
    expected = [fault_of(key) for key in keys]
    assert key_faults(rows, threads).tolist() == expected
    assert set(expected) == set(KeyFault)
    spread = np.zeros((len(keys), 40), np.uint8)
    spread[:, 5:37] = rows
    assert key_faults(spread[:, 5:37]).tolist() == expected, "wherever the rows lie"
    assert len(key_faults(rows[:0])) == 0
    with pytest.raises(ValueError, match="publics"):
        key_faults(rows[:, :31])
