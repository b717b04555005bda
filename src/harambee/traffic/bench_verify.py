"""How many signatures one core checks in a second, against libsodium one by one.

Both take turns over the same signatures, and what is counted is the processor's time of this thread,
so that a busy neighbour slows down both or neither.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from harambee.crypto.ed25519.batch import keys
from harambee.crypto.hashing import TAG_ORDER, signed_prefix
from harambee.crypto.rows import Rows
from harambee.crypto.signatures import open_many, secret_keys_from_seeds, sign_many, verify_many
from harambee.ledger.records import BODY_BYTES

BLOCK: Final = 4_096
"""The orders of a full block."""
SIZES: Final = (1, 4, 16, 64, 256, 1_024, BLOCK)
MOST_BATCHES: Final = 50
FORGED_SHARE: Final = 0.01
DEAREST_RHYTHM: Final = 9
"""Every so manieth forged: when as many have held as a group of 8 takes, the group fails."""
_PREFIX: Final = signed_prefix(TAG_ORDER, bytes(32))


@dataclass(frozen=True, slots=True)
class _Signed:
    """Bodies, keys and signatures, row by row, and which of the signatures are valid."""

    bodies: Rows
    publics: Rows
    signatures: Rows
    valid: NDArray[np.bool_]

    def rows(self, start: int, stop: int) -> "_Signed":
        """Return some of the rows."""
        some = slice(start, stop)
        return _Signed(
            self.bodies[some], self.publics[some], self.signatures[some], self.valid[some]
        )


def _signed(count: int, seed: int) -> _Signed:
    """Return `count` orders, each signed by a customer of its own."""
    dice = np.random.default_rng([seed, 7])
    secrets = secret_keys_from_seeds(dice.integers(0, 256, (count, 32), dtype=np.uint8))
    bodies = dice.integers(0, 256, (count, BODY_BYTES), dtype=np.uint8)
    signatures = sign_many(_PREFIX, bodies, secrets)
    return _Signed(bodies, secrets[:, 32:].copy(), signatures, np.ones(count, np.bool_))


def _with_forgeries(signed: _Signed, forged: NDArray[np.bool_]) -> _Signed:
    """Return the same orders; the forged ones were changed after they were signed."""
    bodies, valid = signed.bodies.copy(), signed.valid.copy()
    bodies[forged, 0] ^= 1
    valid[forged] = False
    return _Signed(bodies, signed.publics, signed.signatures, valid)


def _timed_s(check: Callable[..., NDArray[np.bool_]], signed: _Signed) -> float:
    """Return the seconds of this thread that the check of all rows takes."""
    started = time.thread_time()
    answer = check(_PREFIX, signed.bodies, signed.publics, signed.signatures)
    spent_s = time.thread_time() - started
    assert np.array_equal(answer, signed.valid), "what was signed here, and only that, is valid"
    return spent_s


@dataclass(slots=True)
class _Turns:
    """Seconds of either side, for so many signatures in all."""

    signatures: int = 0
    alone_s: float = 0.0
    new_keys_s: float = 0.0
    known_keys_s: float = 0.0

    def take(self, signed: _Signed) -> None:
        """Let libsodium check the rows, then this program twice: the second time it knows the keys."""
        keys.forget()
        self.signatures += len(signed.valid)
        self.alone_s += _timed_s(open_many, signed)
        self.new_keys_s += _timed_s(verify_many, signed)
        self.known_keys_s += _timed_s(verify_many, signed)

    def as_json(self) -> dict[str, float]:
        """Return microseconds a signature, and how many times as fast as libsodium that is."""
        each = 1e6 / self.signatures
        return {
            "libsodium_us": round(self.alone_s * each, 2),
            "new_keys_us": round(self.new_keys_s * each, 2),
            "known_keys_us": round(self.known_keys_s * each, 2),
            "ratio_new_keys": round(self.alone_s / self.new_keys_s, 2),
            "ratio_known_keys": round(self.alone_s / self.known_keys_s, 2),
        }


def _turns(signed: _Signed, size: int) -> _Turns:
    """Return the times of the rows in batches of a size, of up to `MOST_BATCHES` of them."""
    turns = _Turns()
    for batch in range(min(MOST_BATCHES, len(signed.valid) // size)):
        turns.take(signed.rows(batch * size, (batch + 1) * size))
    return turns


def bench_verify(signatures: int, seed: int) -> dict[str, Any]:
    """Return the figures of `signatures` orders; those that head the list are of whole blocks.

    The heading ones are of keys never seen before, which is the dearer case.
    """
    signed = _signed(signatures, seed)
    sizes = [size for size in SIZES if size < signatures] + [min(signatures, BLOCK)]
    # Compiled code is loaded and the memory of keys is touched before the clock runs.
    _turns(signed.rows(0, 1), 1)
    verify_many(_PREFIX, signed.bodies, signed.publics, signed.signatures)
    by_size = {size: _turns(signed, size) for size in dict.fromkeys(sizes)}
    places = np.arange(signatures)
    forgeries = {
        "1_percent": np.random.default_rng([seed, 8]).random(signatures) < FORGED_SHARE,
        "dearest": places % DEAREST_RHYTHM == DEAREST_RHYTHM - 1,
        "all": places >= 0,
    }
    forged = {
        f"ratio_to_libsodium_{name}_forged": _turns(_with_forgeries(signed, which), sizes[-1])
        for name, which in forgeries.items()
    }
    whole = by_size[sizes[-1]]
    return {
        "verified_per_second": round(whole.signatures / whole.new_keys_s),
        "verified_per_second_known_keys": round(whole.signatures / whole.known_keys_s),
        "ratio_to_libsodium": round(whole.alone_s / whole.new_keys_s, 3),
        "ratio_to_libsodium_known_keys": round(whole.alone_s / whole.known_keys_s, 3),
        **{name: round(turns.alone_s / turns.new_keys_s, 3) for name, turns in forged.items()},
        "by_batch_size": {str(size): turns.as_json() for size, turns in by_size.items()},
        "signatures": signatures,
        "seed": seed,
    }
