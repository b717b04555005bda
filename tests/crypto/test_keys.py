"""Keys of both types side by side: each order is judged as by its own key's rule, alone or in a block."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harambee.crypto import p256, signatures
from harambee.crypto.keys import (
    FORM_MASK,
    KeyForm,
    PublicKey,
    is_p256,
    public_of,
    sign,
    verify,
    verify_many,
)
from harambee.crypto.threads import SMALLEST_SHARE

PREFIX = b"prefix"
WIDTH = 8
KEYS = [
    made(n.to_bytes(32, "big"))
    for n in range(1, 9)
    for made in (signatures.KeyPair, p256.P256KeyPair)
]
FORMS = range(FORM_MASK + 1)


def rows_of(contents):
    return np.frombuffer(b"".join(contents), np.uint8).reshape(len(contents), -1)


def judged_together(cases, threads=1):
    """Judge (body, public key, signature) as one batch."""
    bodies, publics, marks = zip(*cases, strict=True)
    forms = np.array([public.form for public in publics], np.uint8)
    keys = rows_of([public.key for public in publics])
    return verify_many(PREFIX, rows_of(bodies), keys, forms, rows_of(marks), threads).tolist()


def judged_alone(cases):
    return [verify(public, PREFIX + body, mark) for body, public, mark in cases]


def test_there_are_keys_of_all_forms():
    assert {public_of(key).form for key in KEYS} == set(KeyForm)


@st.composite
def case(draw):
    """A body, a key and a signature of it: right, or with one thing put wrong."""
    key = draw(st.sampled_from(KEYS))
    body = draw(st.binary(min_size=WIDTH, max_size=WIDTH))
    public, mark = public_of(key), sign(key, PREFIX + body)
    match draw(st.integers(0, 5)):
        case 0:
            bent = bytearray(mark)
            bent[draw(st.integers(0, 63))] ^= 1 << draw(st.integers(0, 7))
            mark = bytes(bent)
        case 1:
            public = PublicKey(draw(st.sampled_from(FORMS)), public.key)
        case 2:
            mark = sign(draw(st.sampled_from(KEYS)), PREFIX + body)
        case 3:
            public = PublicKey(public.form, draw(st.binary(min_size=32, max_size=32)))
    return body, public, mark


@given(st.lists(case(), min_size=1, max_size=12))
def test_a_mixed_block_is_judged_as_row_by_row(cases):
    assert judged_together(cases) == judged_alone(cases)


def test_a_block_over_threads_is_judged_as_row_by_row():
    cases = []
    for i in range(6 * SMALLEST_SHARE):
        key, body = KEYS[i % len(KEYS)], i.to_bytes(WIDTH, "big")
        signer = KEYS[(i // 7) % len(KEYS)] if i % 5 == 0 else key
        cases.append((body, public_of(key), sign(signer, PREFIX + body)))
    alone = judged_alone(cases)
    assert set(alone) == {True, False}
    assert judged_together(cases, threads=4) == judged_together(cases) == alone


def test_the_same_32_bytes_under_another_form_are_another_key():
    """Whoever has one of them signs nothing for the others, in either direction."""
    for key in KEYS:
        own = public_of(key)
        mark = sign(key, PREFIX)
        holding = [form for form in FORMS if verify(PublicKey(form, own.key), PREFIX, mark)]
        assert holding == [own.form]


def test_under_a_form_that_is_not_known_no_signature_holds():
    unknown = sorted(set(FORMS) - set(KeyForm))
    assert unknown == [2, 3, 4, 6, 7]
    cases = [
        (bytes(WIDTH), PublicKey(form, public_of(key).key), sign(key, PREFIX + bytes(WIDTH)))
        for form in unknown
        for key in KEYS
    ]
    assert not any(judged_alone(cases))
    assert not any(judged_together(cases))


def test_a_block_of_ed25519_alone_goes_on_as_the_arrays_it_came_in(monkeypatch):
    """It is not copied, and nothing is asked about P-256."""
    seen = []

    def noted(*arguments):
        seen.append(arguments)
        return np.ones(2, np.bool_)

    monkeypatch.setattr(signatures, "verify_many", noted)
    monkeypatch.setattr(p256, "verify_many", None)
    bodies, keys, marks = (np.zeros((2, width), np.uint8) for width in (WIDTH, 32, 64))
    assert verify_many(PREFIX, bodies, keys, np.zeros(2, np.uint8), marks, 3).all()
    ((_, *arrays, threads),) = seen
    assert [a is b for a, b in zip(arrays, (bodies, keys, marks), strict=True)] == [True] * 3
    assert threads == 3


def test_which_forms_are_of_p256():
    assert np.flatnonzero(is_p256(np.arange(8, dtype=np.uint8))).tolist() == [1, 5]


def test_forms_are_one_for_each_row():
    bodies, keys, marks = (np.zeros((2, width), np.uint8) for width in (WIDTH, 32, 64))
    with pytest.raises(ValueError, match="forms must have 2 rows, not 3"):
        verify_many(PREFIX, bodies, keys, np.zeros(3, np.uint8), marks)
