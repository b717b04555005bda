"""Many signatures in one equation: it names exactly those that are invalid, at a bounded cost."""

import hashlib
import os
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.crypto import curve
from tests.crypto.curve import BASE, TORSION_POINTS, L, encode, times

from harambee.crypto.ed25519 import batch, kernels
from harambee.crypto.signatures import (
    from_seed,
    open_many,
    secret_keys_from_seeds,
    sign_many,
    verify,
    verify_many,
)

PREFIX = b"harambee test"


def signed(count, seed=1):
    """Return bodies, keys and signatures of `count` customers."""
    dice = np.random.default_rng(seed)
    secrets = secret_keys_from_seeds(dice.integers(0, 256, (count, 32), dtype=np.uint8))
    bodies = dice.integers(0, 256, (count, 40), dtype=np.uint8)
    return bodies, secrets[:, 32:].copy(), sign_many(PREFIX, bodies, secrets)


@pytest.fixture(autouse=True)
def _new_keys():
    batch.keys.forget()


def work_of(bodies, publics, signatures):
    """Return the answers, and how many signatures all equations together were of."""
    valid = np.zeros(len(bodies), np.uint8)
    work = batch.verify_rows(PREFIX, bodies, publics, signatures, valid, 0, len(bodies))
    return valid.view(np.bool_), work


@pytest.mark.parametrize("count", [1, 2, 3, 8, 9, 32, 33, 64, 65, 66, 100, 257, 1_000, 4_097])
def test_all_good_is_one_equation_and_one_forgery_is_named_wherever_it_is(count):
    bodies, publics, signatures = signed(count)
    valid, work = work_of(bodies, publics, signatures)
    assert valid.all()
    assert work == count
    for place in {0, count // 2, count - 1, min(count - 1, 7), min(count - 1, 32)}:
        for column in (bodies, publics, signatures):
            column[place, 5] ^= 1
            answer = verify_many(PREFIX, bodies, publics, signatures)
            assert np.flatnonzero(~answer).tolist() == [place]
            column[place, 5] ^= 1


@settings(max_examples=30)
@given(st.integers(1, 400), st.data())
def test_any_set_of_forgeries_is_named_at_a_bounded_cost(count, data):
    bodies, publics, signatures = signed(count)
    share = data.draw(st.sampled_from([0.005, 0.05, 0.5, 1.0]))
    dice = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    forged = dice.random(count) < share
    signatures[forged, 40] ^= 1
    valid, work = work_of(bodies, publics, signatures)
    assert np.array_equal(valid, ~forged)
    assert count <= work <= 4 * count


@pytest.mark.parametrize("every", [1, 2, 3, 9, 10, 33, 41, 49, 100, 1_000])
def test_no_rhythm_of_forgeries_makes_the_work_dear(every):
    """Just behind so many that held that the groups have grown: the dearest places to forge at."""
    bodies, publics, signatures = signed(4_096)
    signatures[every - 1 :: every, 40] ^= 1
    valid, work = work_of(bodies, publics, signatures)
    assert np.flatnonzero(~valid).tolist() == list(range(every - 1, 4_096, every))
    assert work <= 3.2 * 4_096


def test_where_all_are_forged_each_is_soon_judged_alone():
    bodies, publics, signatures = signed(4_096)
    signatures[:, 40] ^= 1
    valid, work = work_of(bodies, publics, signatures)
    assert not valid.any()
    assert work == 2 * 4_096 + kernels.FEW + kernels.FEWER


# -- errors that cancel -------------------------------------------------------------------------------


def with_added(signature, difference):
    s = (int.from_bytes(signature[32:].tobytes(), "little") + difference) % L
    return np.frombuffer(signature[:32].tobytes() + s.to_bytes(32, "little"), np.uint8)


@pytest.mark.parametrize("difference", [1, 2**128, L // 2])
def test_errors_that_sum_to_nothing_are_found(difference):
    """Without multipliers the first equation would hold: what is added to one S is taken from another."""
    bodies, publics, signatures = signed(12)
    for plus, minus in ((3, 8), (0, 1)):
        signatures[plus] = with_added(signatures[plus], difference)
        signatures[minus] = with_added(signatures[minus], -difference)
    answer = verify_many(PREFIX, bodies, publics, signatures)
    assert np.flatnonzero(~answer).tolist() == [0, 1, 3, 8]


def test_a_forgery_twice_or_exchanged_is_found():
    bodies, publics, signatures = signed(6)
    signatures[[0, 1]] = signatures[[1, 0]]
    bodies[3], publics[3] = bodies[2], publics[2]
    bodies[5], publics[5], signatures[5] = bodies[4], publics[4], signatures[4]
    answer = verify_many(PREFIX, bodies, publics, signatures)
    assert answer.tolist() == [False, False, True, False, True, True]


def test_torsion_in_a_batch_is_judged_as_alone_whether_it_cancels_or_not():
    scalar = curve.secret_scalar(bytes(32))
    public = encode(times(scalar, BASE))
    rows = []
    for i, torsion in enumerate([1, 7, 4, 4, 3, 0]):
        body, nonce = bytes([i]) * 40, 1_000 + i
        r = encode(curve.add(times(nonce, BASE), TORSION_POINTS[torsion]))
        made = curve.sign_with(scalar, nonce, public, r, PREFIX + body)
        if i == 4:
            made = made[:32] + (int.from_bytes(made[32:], "little") ^ 8).to_bytes(32, "little")
        rows.append((body, public, made))
    bodies, publics, signatures = (
        np.frombuffer(b"".join(column), np.uint8).reshape(6, -1)
        for column in zip(*rows, strict=True)
    )
    alone = [verify(key, PREFIX + body, made) for body, key, made in rows]
    assert alone == [True, True, True, True, False, True]
    assert verify_many(PREFIX, bodies, publics, signatures).tolist() == alone
    assert verify_many(PREFIX, bodies[:2], publics[:2], signatures[:2]).all()


# -- the multipliers ----------------------------------------------------------------------------------


def test_the_multipliers_are_hashes_of_the_whole_batch():
    """As the head of the package says; and no two batches, however alike, have one in common."""
    bodies, publics, signatures = signed(9)
    drawn = set()
    for change in range(4):
        if change:
            (bodies, publics, signatures)[change - 1][8, 0] ^= 1
            assert verify_many(PREFIX, bodies, publics, signatures)[:8].all()
        said = [
            hashlib.sha512(made[:32].tobytes() + key.tobytes() + PREFIX + body.tobytes()).digest()
            for body, key, made in zip(bodies, publics, signatures, strict=True)
        ]
        transcript = b"".join(
            one + made[32:].tobytes() for one, made in zip(said, signatures, strict=True)
        )
        scalars = scalars_of(transcript, 9)
        seed = hashlib.blake2b(transcript).digest()
        for i, (of_key, of_nonce) in enumerate(scalars):
            block = hashlib.blake2b(seed + (i // 4 * 4).to_bytes(8, "little")).digest()
            z = int.from_bytes(block[i % 4 * 16 :][:16], "little")
            k = int.from_bytes(said[i], "little") % L
            assert (of_key, of_nonce) == (z * k % L, z)
            drawn.add(z)
    assert len(drawn) == 4 * 9


def scalars_of(transcript, count):
    """Return what the kernel draws: (z·k, z) of each signature."""
    scratch = batch._Scratch(count, b"", 0)
    room, start = scratch.room, scratch._memory.ctypes.data
    place = room.transcript - start
    scratch._memory[place : place + len(transcript)] = np.frombuffer(transcript, np.uint8)
    kernels._draw(batch._LIBRARY, room, count)
    rows = scratch._memory[room.scalars - start :][: 2 * count * 40].reshape(-1, 40)
    numbers = [int.from_bytes(row.tobytes(), "little") for row in rows]
    return list(zip(numbers[::2], numbers[1::2], strict=True))


# -- remembered keys ----------------------------------------------------------------------------------


def remembered():
    return int(batch.keys._used.sum())


def test_keys_are_remembered_once_they_are_good_and_then_judge_the_same():
    bodies, publics, signatures = signed(50)
    publics[7] = np.frombuffer(curve.TORSION_ENCODINGS[3], np.uint8)
    publics[8] = 255
    signatures[9, 40] ^= 1
    expected = [i not in {7, 8, 9} for i in range(50)]
    assert verify_many(PREFIX, bodies, publics, signatures).tolist() == expected
    assert 40 < remembered() <= 48
    assert verify_many(PREFIX, bodies, publics, signatures).tolist() == expected
    batch.keys.forget()
    assert remembered() == 0
    assert verify_many(PREFIX, bodies, publics, signatures).tolist() == expected


def test_an_empty_place_is_not_the_key_of_zeros():
    bodies, publics, signatures = signed(5)
    publics[:] = 0
    assert not verify_many(PREFIX, bodies, publics, signatures).any()
    assert remembered() == 0


def test_keys_that_want_one_place_drive_each_other_out_and_harm_nobody(monkeypatch):
    monkeypatch.setattr(batch, "keys", batch.KeyMemory(2))
    bodies, publics, signatures = signed(60)
    for _ in range(3):
        assert verify_many(PREFIX, bodies, publics, signatures).all()
        assert remembered() == 2
    publics[::2] = publics[1::2]
    assert verify_many(PREFIX, bodies, publics, signatures).tolist() == [False, True] * 30


def test_a_good_key_is_not_believed_of_another_that_differs_in_any_byte():
    bodies, publics, signatures = signed(1)
    three = [np.repeat(column, 3, axis=0) for column in (bodies, publics, signatures)]
    assert verify_many(PREFIX, *three).all()
    for place in range(3, 32):
        three[1][1] = publics[0]
        three[1][1, place] ^= 1
        assert verify_many(PREFIX, *three).tolist() == [True, False, True], place


def test_threads_share_the_memory_of_keys():
    bodies, publics, signatures = signed(300)
    signatures[::30, 40] ^= 1
    expected = [i % 30 != 0 for i in range(300)]
    found = []

    def check():
        found.extend(
            verify_many(PREFIX, bodies, publics, signatures, threads=2).tolist() for _ in range(5)
        )

    threads = [threading.Thread(target=check) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 15


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_does_not_wait_for_a_lock_that_only_its_parent_could_release():
    bodies, publics, signatures = signed(5)
    with batch.keys._lock:
        child = os.fork()
        if child == 0:
            os._exit(not verify_many(PREFIX, bodies, publics, signatures).all())
    assert os.waitpid(child, 0)[1] == 0


# -- against libsodium --------------------------------------------------------------------------------


def mutated(count, seed):
    """Return signed rows, most of them then damaged somewhere."""
    dice = np.random.default_rng(seed)
    bodies, publics, signatures = signed(count, seed)
    for row in np.flatnonzero(dice.random(count) < 0.65):
        column = (bodies, publics, signatures, signatures)[dice.integers(4)]
        place = dice.integers(column.shape[1])
        kind = dice.integers(3)
        if kind == 0:
            column[row, place] ^= 1 << dice.integers(8)
        elif kind == 1:
            column[row, place] = dice.choice(np.array([0, 255, 127, 237], np.uint8))
        else:
            column[row] = column[dice.integers(count)]
    return bodies, publics, signatures


def compare_with_libsodium(count, seed, size):
    """Compare `count` rows in batches of a size; what the two judge differently goes to the rule."""
    bodies, publics, signatures = mutated(count, seed)
    accepted = open_many(PREFIX, bodies, publics, signatures)
    for start in range(0, count, size):
        rows = slice(start, start + size)
        valid, _ = work_of(bodies[rows], publics[rows], signatures[rows])
        for i in np.flatnonzero(valid != accepted[rows]) + start:
            case = publics[i].tobytes(), PREFIX + bodies[i].tobytes(), signatures[i].tobytes()
            assert curve.is_valid(*case), "refused by libsodium, so valid by the rule if at all"
            assert valid[i - start]
    return int(accepted.sum())


@pytest.mark.parametrize("size", [1, 7, 64, 200, 3_000])
def test_random_and_damaged_signatures_are_judged_as_by_libsodium(size):
    accepted = compare_with_libsodium(3_000, size, size)
    assert 900 < accepted < 2_000


@pytest.mark.soak
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("seed", range(100, 200))
def test_millions_are_judged_as_by_libsodium(seed):
    assert compare_with_libsodium(30_000, seed, (3, 50, 500, 4_096)[seed % 4]) > 9_000


@settings(max_examples=10)
@given(st.integers(0, 2**32))
def test_small_mutations_are_judged_by_the_readable_rule(seed):
    bodies, publics, signatures = mutated(8, seed)
    valid = verify_many(PREFIX, bodies, publics, signatures)
    for i in range(8):
        case = publics[i].tobytes(), PREFIX + bodies[i].tobytes(), signatures[i].tobytes()
        assert valid[i] == curve.is_valid(*case) == verify(*case)


def test_the_keys_of_this_file_are_those_of_the_single_signer():
    pair = from_seed(bytes(32))
    assert encode(times(curve.secret_scalar(pair.seed), BASE)) == pair.public
