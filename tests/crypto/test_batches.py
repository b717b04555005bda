"""The batch functions answer what the readable ones answer, row by row."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harambee.crypto import kernels
from harambee.crypto.hashing import TAG_ORDER, digest, digest_many, signed_prefix
from harambee.crypto.signatures import (
    KeyPair,
    from_seed,
    generate,
    secret_keys_from_seeds,
    sign,
    sign_many,
    verify,
    verify_many,
)

PREFIX = signed_prefix(TAG_ORDER, bytes(range(32)))


def random_rows(dice, count, width):
    return dice.integers(0, 256, (count, width), dtype=np.uint8)


def signed_orders(count, seed=1):
    """Return (count, 128) orders, signed, and the secret keys that signed them."""
    dice = np.random.default_rng(seed)
    secret_keys = secret_keys_from_seeds(random_rows(dice, count, 32))
    orders = random_rows(dice, count, 128)
    orders[:, 64:] = sign_many(PREFIX, orders[:, :64], secret_keys)
    return orders, secret_keys


def one_by_one(prefix, bodies, publics, signatures):
    return [
        verify(public.tobytes(), prefix + body.tobytes(), signature.tobytes())
        for body, public, signature in zip(bodies, publics, signatures, strict=True)
    ]


@settings(max_examples=25, deadline=None)
@given(
    prefix=st.binary(max_size=64),
    width=st.integers(0, 200),
    count=st.integers(0, 12),
    seed=st.integers(0, 2**32),
)
def test_signing_many_is_signing_each(prefix, width, count, seed):
    dice = np.random.default_rng(seed)
    seeds, bodies = random_rows(dice, count, 32), random_rows(dice, count, width)
    secret_keys = secret_keys_from_seeds(seeds)
    pairs = [from_seed(row.tobytes()) for row in seeds]
    assert [row.tobytes() for row in secret_keys] == [pair.secret for pair in pairs]
    signatures = sign_many(prefix, bodies, secret_keys)
    assert [row.tobytes() for row in signatures] == [
        sign(pair, prefix + body.tobytes()) for pair, body in zip(pairs, bodies, strict=True)
    ]
    assert verify_many(prefix, bodies, secret_keys[:, 32:], signatures).tolist() == [True] * count


@settings(max_examples=40, deadline=None)
@given(
    count=st.integers(1, 20),
    damage=st.lists(st.tuples(st.integers(0, 19), st.integers(0, 159), st.integers(1, 255))),
    threads=st.integers(1, 3),
)
def test_verifying_many_is_verifying_each_whatever_byte_is_damaged(count, damage, threads):
    orders, secret_keys = signed_orders(count)
    publics = secret_keys[:, 32:].copy()
    for row, place, change in damage:
        if place < 128:
            orders[row % count, place] ^= change
        else:
            publics[row % count, place - 128] ^= change
    answer = verify_many(PREFIX, orders[:, :64], publics, orders[:, 64:], threads)
    assert answer.tolist() == one_by_one(PREFIX, orders[:, :64], publics, orders[:, 64:])
    assert not damage or not answer.all() or undone(damage, count)


def undone(damage, count):
    """Say whether the changes cancel each other out."""
    bytes_changed = {}
    for row, place, change in damage:
        key = (row % count, place)
        bytes_changed[key] = bytes_changed.get(key, 0) ^ change
    return not any(bytes_changed.values())


@settings(max_examples=40, deadline=None)
@given(
    prefix=st.binary(max_size=200),
    count=st.integers(0, 20),
    width=st.integers(0, 300),
    seed=st.integers(0, 2**32),
)
def test_digesting_many_is_digesting_each(prefix, count, width, seed):
    rows = random_rows(np.random.default_rng(seed), count, width)
    assert [row.tobytes() for row in digest_many(prefix, rows)] == [
        digest(prefix, row.tobytes()) for row in rows
    ]


@pytest.mark.parametrize("threads", [1, 2, 3, 64])
def test_any_number_of_threads_gives_one_answer(threads):
    orders, secret_keys = signed_orders(133)
    orders[[0, 66, 67, 132], 3] ^= 1
    expected = [i not in {0, 66, 67, 132} for i in range(133)]
    answer = verify_many(PREFIX, orders[:, :64], secret_keys[:, 32:], orders[:, 64:], threads)
    assert answer.tolist() == expected
    again = sign_many(PREFIX, orders[:, :64], secret_keys, threads)
    assert np.array_equal(again, sign_many(PREFIX, orders[:, :64], secret_keys))
    assert np.array_equal(secret_keys_from_seeds(secret_keys[:, :32].copy(), threads), secret_keys)


def test_an_empty_batch_has_an_empty_answer():
    none = np.empty((0, 128), np.uint8)
    answer = verify_many(PREFIX, none[:, :64], none[:, :32], none[:, 64:], threads=2)
    assert (answer.shape, answer.dtype) == ((0,), np.bool_)
    assert sign_many(PREFIX, none[:, :64], none[:, 64:]).shape == (0, 64)
    assert secret_keys_from_seeds(none[:, :32]).shape == (0, 64)
    assert digest_many(PREFIX, none).shape == (0, 32)


def test_rows_may_lie_apart_backwards_or_all_in_one_place():
    orders, secret_keys = signed_orders(40)
    publics = secret_keys[:, 32:]
    backwards = orders[::-1]
    assert verify_many(PREFIX, backwards[:, :64], publics[::-1], backwards[:, 64:]).all()
    assert not verify_many(PREFIX, backwards[:, :64], publics, backwards[:, 64:]).any()
    every_third = orders[::3]
    assert verify_many(PREFIX, every_third[:, :64], publics[::3], every_third[:, 64:]).all()
    one_key = np.broadcast_to(secret_keys[0], (40, 64))
    signatures = sign_many(PREFIX, orders[:, :64], one_key)
    assert verify_many(PREFIX, orders[:, :64], one_key[:, 32:], signatures).all()
    assert (
        verify_many(PREFIX, orders[:, :64], publics, signatures).tolist() == [True] + [False] * 39
    )
    assert np.array_equal(digest_many(PREFIX, backwards), digest_many(PREFIX, orders)[::-1])


def test_a_batch_writes_into_nothing_that_it_was_given():
    orders, secret_keys = signed_orders(20)
    for array in (orders, secret_keys):
        array.setflags(write=False)
    assert verify_many(PREFIX, orders[:, :64], secret_keys[:, 32:], orders[:, 64:]).all()
    assert digest_many(PREFIX, orders).any()


def rows_of(count, width, dtype=np.uint8):
    return np.zeros((count, width), dtype)


@pytest.mark.parametrize(
    ("bodies", "publics", "signatures", "sentence"),
    [
        (rows_of(3, 64), rows_of(2, 32), rows_of(3, 64), "publics must have 3 rows, not 2"),
        (rows_of(3, 64), rows_of(3, 31), rows_of(3, 64), "rows of 32 bytes, not 31"),
        (rows_of(3, 64), rows_of(3, 32), rows_of(3, 63), "rows of 64 bytes, not 63"),
        (rows_of(3, 64), rows_of(3, 32), rows_of(4, 64), "signatures must have 3 rows, not 4"),
        (rows_of(3, 64, np.int8), rows_of(3, 32), rows_of(3, 64), "not 2-D int8"),
        (np.zeros(64, np.uint8), rows_of(3, 32), rows_of(3, 64), "not 1-D uint8"),
        (rows_of(64, 3).T, rows_of(3, 32), rows_of(3, 64), "next to each other"),
    ],
)
def test_arrays_of_the_wrong_shape_never_reach_the_kernel(bodies, publics, signatures, sentence):
    with pytest.raises(ValueError, match=sentence):
        verify_many(PREFIX, bodies, publics, signatures)


def test_the_number_of_threads_is_positive():
    orders, secret_keys = signed_orders(2)
    with pytest.raises(ValueError, match="threads must be at least 1, not 0"):
        verify_many(PREFIX, orders[:, :64], secret_keys[:, 32:], orders[:, 64:], threads=0)


def test_every_kernel_leaves_the_gil_free():
    compiled = [value for value in vars(kernels).values() if hasattr(value, "targetoptions")]
    assert len(compiled) == 4
    assert all(kernel.targetoptions["nogil"] for kernel in compiled)


@pytest.mark.parametrize(
    ("public", "signature"),
    [(b"", b""), (bytes(31), bytes(64)), (bytes(33), bytes(64)), (bytes(32), bytes(63))],
)
def test_wrong_lengths_are_no_signature(public, signature):
    assert verify(public, b"pay", signature) is False


def test_a_key_or_signature_with_bytes_to_spare_is_refused():
    pair = generate()
    signature = sign(pair, b"pay")
    assert verify(pair.public, b"pay", signature)
    assert not verify(pair.public, b"pay", signature + b"\0")
    assert not verify(pair.public, b"pay", signature[:-1])
    assert not verify(pair.public + b"\0", b"pay", signature)
    assert not verify(pair.public, b"pay!", signature)


def test_a_key_pair_never_shows_its_seed():
    pair = generate()
    assert repr(pair) == f"KeyPair(public={pair.public!r})"
    assert pair.seed.hex() not in repr(pair)
    assert repr(pair.seed) not in repr(pair)


def test_generated_keys_differ():
    assert len({generate().public for _ in range(8)}) == 8


@pytest.mark.parametrize("seed", [b"", bytes(31), bytes(33), bytes(64), 32, bytearray(32)])
def test_a_seed_is_thirty_two_bytes(seed):
    with pytest.raises(ValueError, match="a seed is 32 bytes long"):
        KeyPair(seed)
