"""Passwords of a merchant's people, encrypted for the certificate of the super-agent where its key lies.

RSA with PKCS #1 v1.5 padding, because the software that merchants have makes nothing else. What a wrong
ciphertext decrypts to is never told apart from a wrong password, in words or in time that matters: a
padding that does not hold gives random bytes (implicit rejection, as OpenSSL has it), which are no
password. What clients encrypt differs: the password, its Base64, or the password with a time behind it.
"""

import base64
import binascii
import hashlib
import hmac
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from harambee.crypto.durable_files import replace_file

FILE: Final = "credentials.pem"
"""The key and its certificate, in the folder of what is kept of merchants."""
KEY_BITS: Final = 2_048
"""What clients' libraries are known to take; the ciphertext protects a password on its way, inside TLS."""
CREDENTIAL_CHARACTERS_MAX: Final = 1_024
YEARS: Final = 10
FILE_BYTES_MAX: Final = 1 << 16

_TIME: Final = re.compile(rb"[0-9]{14}")


class CredentialsError(Exception):
    """The key or the certificate cannot be read or made; the message is one sentence."""


class Credentials:
    """The certificate of one super-agent, and what it decrypts."""

    def __init__(self, key: rsa.RSAPrivateKey, certificate: bytes) -> None:
        self._key = key
        self.certificate = certificate
        """PEM."""

    @classmethod
    def open(cls, folder: Path, name: str) -> "Credentials":
        """Read key and certificate in `folder`, or make them there for a super-agent of this name."""
        file = folder / FILE
        try:
            if not file.exists():
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                replace_file(file, _make(name))
            if file.stat().st_size > FILE_BYTES_MAX:
                raise CredentialsError(f"{file} is too large to be a key and its certificate")
            content = file.read_bytes()
            key = serialization.load_pem_private_key(content, None)
            certificate = x509.load_pem_x509_certificate(content)
        except (OSError, ValueError) as error:
            raise CredentialsError(f"{file} cannot be read: {error}") from error
        if not isinstance(key, rsa.RSAPrivateKey):
            raise CredentialsError(f"{file} has no RSA key")
        return cls(key, certificate.public_bytes(serialization.Encoding.PEM))

    def holds(self, credential: str, password: str) -> bool:
        """Say whether a credential, Base64, is this password encrypted for the certificate."""
        wanted = password.encode(errors="replace")
        try:
            ciphertext = base64.b64decode(credential[:CREDENTIAL_CHARACTERS_MAX], validate=True)
            plain, is_plain = self._key.decrypt(ciphertext, padding.PKCS1v15()), True
        except (binascii.Error, ValueError):
            plain, is_plain = b"", False
        candidates = [plain, plain]
        if _TIME.fullmatch(plain[-14:]):
            candidates[1] = plain[:-14]
        try:
            candidates.append(base64.b64decode(plain, validate=True))
        except (binascii.Error, ValueError):
            candidates.append(plain)
        same = [_is_same(candidate, wanted) for candidate in candidates]
        return is_plain and any(same)


def _is_same(candidate: bytes, wanted: bytes) -> bool:
    return hmac.compare_digest(hashlib.sha256(candidate).digest(), hashlib.sha256(wanted).digest())


def _make(name: str) -> bytes:
    key = rsa.generate_private_key(public_exponent=65_537, key_size=KEY_BITS)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{name} credentials")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=365 * YEARS))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return private + certificate.public_bytes(serialization.Encoding.PEM)
