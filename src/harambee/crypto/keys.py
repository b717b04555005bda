"""The keys of accounts, of whichever type: what signs, and what a signature is held against.

A public key is 32 bytes and a **form**, which says how they are meant. A form is three bits, and they
stand side by side as they are in an account's flags and in the options of the orders that bring a key
(docs/wire.md sections 3 and 4). Under a form that is not known here, no signature holds. The same 32
bytes under two forms are two keys: nobody can sign for the one with the other.

Super-agents and operators have Ed25519 keys only, and ask `harambee.crypto.signatures` directly.
"""

from enum import IntEnum
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from harambee.crypto import p256, signatures
from harambee.crypto.p256 import P256KeyPair
from harambee.crypto.rows import Rows
from harambee.crypto.signatures import KeyPair

OwnerKey: TypeAlias = KeyPair | P256KeyPair
"""What an account's owner signs with."""


class KeyForm(IntEnum):
    """How the 32 bytes of a public key are meant: its type, and above it the sign of y."""

    ED25519 = 0
    P256_EVEN = 1
    P256_ODD = 5


FORM_MASK: Final = 7
assert max(KeyForm) <= FORM_MASK


class PublicKey(NamedTuple):
    """What an account's signatures are held against."""

    form: int
    """A KeyForm, or one that is not known here."""
    key: bytes
    """32 bytes."""


def public_of(keypair: OwnerKey) -> PublicKey:
    """Return the public key of a signing key."""
    if isinstance(keypair, KeyPair):
        return PublicKey(KeyForm.ED25519, keypair.public)
    form = KeyForm.P256_ODD if keypair.is_odd else KeyForm.P256_EVEN
    return PublicKey(form, keypair.public)


def sign(keypair: OwnerKey, message: bytes) -> bytes:
    """Return the 64-byte signature of `message`; the same each time."""
    if isinstance(keypair, KeyPair):
        return signatures.sign(keypair, message)
    return p256.sign(keypair, message)


def verify(public: PublicKey, message: bytes, signature: bytes) -> bool:
    """Say whether `signature` is the key's signature of `message`; False for wrong lengths too."""
    match public.form:
        case KeyForm.ED25519:
            return signatures.verify(public.key, message, signature)
        case KeyForm.P256_EVEN | KeyForm.P256_ODD:
            is_odd = public.form == KeyForm.P256_ODD
            return p256.verify(public.key, message, signature, is_odd=is_odd)
    return False


def verify_many(
    prefix: bytes,
    bodies: Rows,
    publics: Rows,
    forms: NDArray[np.uint8],
    marks: Rows,
    threads: int = 1,
) -> NDArray[np.bool_]:
    """Say for each i whether `marks[i]` is the signature of `prefix` ‖ `bodies[i]`.

    Shapes: bodies (n, m), publics (n, 32), forms (n,), marks (n, 64); the answer is bool (n,). Ed25519
    rows are one batch, and where there are no others, the arrays as they came. ValueError for other
    shapes.
    """
    if len(forms) != len(bodies):
        message = f"forms must have {len(bodies)} rows, not {len(forms)}"
        raise ValueError(message)
    if not forms.any():
        return signatures.verify_many(prefix, bodies, publics, marks, threads)
    valid = np.zeros(len(bodies), np.bool_)
    rows = np.flatnonzero(forms == KeyForm.ED25519)
    if len(rows):
        valid[rows] = signatures.verify_many(
            prefix, bodies[rows], publics[rows], marks[rows], threads
        )
    rows = np.flatnonzero(is_p256(forms))
    valid[rows] = p256.verify_many(
        prefix,
        bodies[rows],
        publics[rows],
        forms[rows] == KeyForm.P256_ODD,
        marks[rows],
        threads,
    )
    return valid


assert KeyForm.P256_EVEN & KeyForm.P256_ODD == 1, "they differ in the highest of three bits"


def is_p256(forms: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which of (n,) forms are of P-256."""
    return np.asarray(forms & 0b011 == 1)
