"""Certificates without an authority: the genesis names each super-agent's TLS key by its digest.

A certificate here is only the envelope in which TLS carries a public key. Each signs itself, and
what is trusted is the key whose digest stands in the genesis. OpenSSL will still only ask for, and
accept, certificates that it can verify, so the contexts below make every member's own certificate
a trust anchor: a stranger fails in the handshake, before anything of ours reads a byte of hers. The
pin is checked on top by `harambee.node.links`: an anchor that signed a certificate for somebody
else would satisfy OpenSSL, but has the wrong key. Certificates are valid for a century on purpose:
whether a super-agent is one is the committee's matter and not the calendar's, and a clock that is
wrong must not cut anyone off.
"""

import hashlib
import ssl
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

VALID_FROM: Final = datetime(2020, 1, 1, tzinfo=UTC)
VALID_UNTIL: Final = datetime(2120, 1, 1, tzinfo=UTC)
NAME_LENGTH_MAX: Final = 64


class TlsError(ValueError):
    """A certificate or its key cannot be used; the message is one sentence."""


def create_certificate(name: str) -> tuple[bytes, bytes]:
    """Return a new P-256 key and its self-signed certificate, both PEM.

    TlsError for a name that is empty or longer than 64 characters.
    """
    if not 0 < len(name) <= NAME_LENGTH_MAX:
        raise TlsError(f"a certificate's name has 1 to {NAME_LENGTH_MAX} characters")
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(VALID_FROM)
        .not_valid_after(VALID_UNTIL)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    key_pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return key_pem, certificate.public_bytes(serialization.Encoding.PEM)


def key_digest(certificate: bytes) -> bytes:
    """Return SHA-256 of the SubjectPublicKeyInfo, 32 bytes, of a certificate in PEM or DER.

    TlsError if the bytes are not a certificate.
    """
    try:
        if certificate.lstrip().startswith(b"-----BEGIN"):
            parsed = x509.load_pem_x509_certificate(certificate)
        else:
            parsed = x509.load_der_x509_certificate(certificate)
        key = parsed.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    except (ValueError, UnsupportedAlgorithm) as error:
        raise TlsError(f"this is not a certificate that can be read: {error}") from error
    return hashlib.sha256(key).digest()


def server_context(certificate: Path, key: Path, trusted: Iterable[bytes]) -> ssl.SSLContext:
    """Return the context of the side that is dialled; `trusted` are the members' PEM certificates.

    It speaks TLS 1.3 only, demands a certificate, and hands out no tickets, so that every
    connection proves its key afresh. TlsError if the files or certificates cannot be used.
    """
    context = _context(ssl.PROTOCOL_TLS_SERVER, certificate, key, trusted)
    context.num_tickets = 0
    return context


def client_context(certificate: Path, key: Path, trusted: Iterable[bytes]) -> ssl.SSLContext:
    """Return the context of the side that dials; as `server_context`."""
    return _context(ssl.PROTOCOL_TLS_CLIENT, certificate, key, trusted)


def _context(
    side: "ssl._SSLMethod", certificate: Path, key: Path, trusted: Iterable[bytes]
) -> ssl.SSLContext:
    """Return a context for one side, with its own certificate and the members' as anchors."""
    context = ssl.SSLContext(side)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False  # the key is the name
    context.verify_mode = ssl.CERT_REQUIRED
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise TlsError(f"cannot use {certificate} with {key}: {error}") from error
    try:
        context.load_verify_locations(cadata=b"\n".join(trusted).decode("ascii"))
    except (ValueError, ssl.SSLError) as error:
        raise TlsError(f"the members' certificates cannot be read: {error}") from error
    return context
