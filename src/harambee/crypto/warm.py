"""Loading the compiled kernels of signatures before the first customer waits for them."""

import numpy as np

from harambee.crypto.hashing import digest_many
from harambee.crypto.signatures import (
    FEWEST_TOGETHER,
    SEED_BYTES,
    key_faults,
    secret_keys_from_seeds,
    sign_many,
    verify_many,
)


def warm_up() -> None:
    """Sign and check a few messages together, and one alone."""
    few = FEWEST_TOGETHER + 1
    secrets = secret_keys_from_seeds(np.zeros((few, SEED_BYTES), np.uint8))
    bodies = np.zeros((few, 1), np.uint8)
    signatures = sign_many(b"", bodies, secrets)
    publics = secrets[:, SEED_BYTES:]
    assert verify_many(b"", bodies, publics, signatures).all(), "what was signed here is valid here"
    assert verify_many(b"", bodies[:1], publics[:1], signatures[:1]).all(), "and alone it is too"
    assert not key_faults(publics).any(), "a key that signs is one"
    digest_many(b"", bodies)
