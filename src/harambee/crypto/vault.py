"""Sealing at rest: XChaCha20-Poly1305 (libsodium) under a key that lies in a file of its own.

A sealed record is key id 4 ‖ nonce 24 ‖ ciphertext and tag. Nonces are drawn at random, which is
safe at 24 bytes however many records there are. What a record belongs to goes in as associated
data: a record that was moved to another place does not open.

A vault seals with its newest key and opens with any of its keys, so that keys can be replaced one
record at a time (`Vault.is_newest`).
"""

import secrets
from dataclasses import dataclass, field
from typing import Final

from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_ABYTES,
    crypto_aead_xchacha20poly1305_ietf_decrypt,
    crypto_aead_xchacha20poly1305_ietf_encrypt,
    crypto_aead_xchacha20poly1305_ietf_KEYBYTES,
    crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
)
from nacl.exceptions import CryptoError

from harambee.crypto.hashing import digest

KEY_BYTES: Final = crypto_aead_xchacha20poly1305_ietf_KEYBYTES
KEY_ID_BYTES: Final = 4
NONCE_BYTES: Final = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
SEAL_BYTES: Final = KEY_ID_BYTES + NONCE_BYTES + crypto_aead_xchacha20poly1305_ietf_ABYTES
"""By how much a sealed record is longer than what is in it."""
assert (KEY_BYTES, NONCE_BYTES, SEAL_BYTES) == (32, 24, 44)


class VaultError(Exception):
    """A record does not open: altered, moved, or sealed by a key that is not here; one sentence."""


@dataclass(frozen=True, slots=True)
class SealingKey:
    """A key that seals; made of the 32 secret bytes of a key file, never shown."""

    seed: bytes = field(repr=False)

    def __post_init__(self) -> None:
        assert len(self.seed) == KEY_BYTES

    @property
    def key(self) -> bytes:
        """The key of the cipher: apart from the seed, which is also a signing key's form."""
        return digest(b"harambee sealing key", self.seed)

    @property
    def id(self) -> bytes:
        """What records call this key; it says nothing about it."""
        return digest(b"harambee sealing key id", self.seed)[:KEY_ID_BYTES]


class Vault:
    """Seals and opens. `keys` are newest first, at least one."""

    def __init__(self, *keys: SealingKey) -> None:
        assert keys
        self._newest = keys[0].id, keys[0].key
        self._keys = {key.id: key.key for key in keys}

    def seal(self, content: bytes, belongs_to: bytes) -> bytes:
        """Return the content, sealed by the newest key and bound to what it belongs to."""
        name, key = self._newest
        nonce = secrets.token_bytes(NONCE_BYTES)
        sealed = crypto_aead_xchacha20poly1305_ietf_encrypt(content, belongs_to, nonce, key)
        return name + nonce + sealed

    def open(self, sealed: bytes, belongs_to: bytes) -> bytes:
        """Return what was sealed; VaultError if it does not open."""
        key = self._keys.get(sealed[:KEY_ID_BYTES])
        if key is None or len(sealed) < SEAL_BYTES:
            raise VaultError("a record was sealed by a key that is not here, or is damaged")
        nonce = sealed[KEY_ID_BYTES : KEY_ID_BYTES + NONCE_BYTES]
        try:
            return crypto_aead_xchacha20poly1305_ietf_decrypt(
                sealed[KEY_ID_BYTES + NONCE_BYTES :], belongs_to, nonce, key
            )
        except CryptoError:
            raise VaultError("a sealed record was altered, or moved from its place") from None

    def is_newest(self, sealed: bytes) -> bool:
        """Say whether a record is sealed by the newest key."""
        return sealed[:KEY_ID_BYTES] == self._newest[0]
