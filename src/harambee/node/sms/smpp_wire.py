"""SMPP 3.4 on the wire: the few PDUs that a client needs who only sends.

A PDU is a head of four u32, big-endian (length of the whole, command, status, sequence), and a body. Texts
are in the default alphabet of GSM 03.38, one septet an octet, data coding 0; longer ones go in parts, each
with a user data header that says which one it is.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

HEAD: Final = struct.Struct(">IIII")
PDU_BYTES_MAX: Final = 4_096
"""Of what an SMSC may send to a client that only sends; more ends the connection."""
RESPONSE: Final = 0x8000_0000
INTERFACE_VERSION: Final = 0x34
ALONE_MAX: Final = 160
PART_MAX: Final = 153
PARTS_MAX: Final = 4
_UDH_BIT: Final = 0x40
_INTERNATIONAL: Final = (1, 1)
"""Type and plan of a telephone number."""

_ALPHABET: Final = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
assert len(_ALPHABET) == 128
_BASIC: Final = {character: bytes([at]) for at, character in enumerate(_ALPHABET) if at != 0x1B}
_EXTENDED: Final = {
    "^": b"\x1b\x14",
    "{": b"\x1b\x28",
    "}": b"\x1b\x29",
    "\\": b"\x1b\x2f",
    "[": b"\x1b\x3c",
    "~": b"\x1b\x3d",
    "]": b"\x1b\x3e",
    "|": b"\x1b\x40",
    "€": b"\x1b\x65",
}
_OF: Final = _BASIC | _EXTENDED


class Command(IntEnum):
    """The commands that a client sends or may be sent."""

    BIND_TRANSMITTER = 0x02
    SUBMIT_SM = 0x04
    UNBIND = 0x06
    ENQUIRE_LINK = 0x15
    GENERIC_NACK = 0x8000_0000


class Status(IntEnum):
    """The statuses that a client tells apart."""

    OK = 0x00
    INVALID_COMMAND = 0x03
    SYSTEM_ERROR = 0x08
    QUEUE_FULL = 0x14
    THROTTLED = 0x58


class SmppError(ValueError):
    """These bytes are no PDU, or a text cannot be one; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class Pdu:
    """One PDU."""

    command: int
    status: int
    sequence: int
    body: bytes = b""

    def to_bytes(self) -> bytes:
        """Return its bytes."""
        length = HEAD.size + len(self.body)
        return HEAD.pack(length, self.command, self.status, self.sequence) + self.body


def body_bytes(head: bytes) -> int:
    """Return how many bytes follow a head; SmppError where its length cannot be."""
    (length, _, _, _) = HEAD.unpack(head)
    if not HEAD.size <= length <= PDU_BYTES_MAX:
        raise SmppError("a PDU has a length that cannot be")
    return int(length) - HEAD.size


def read_pdu(head: bytes, body: bytes) -> Pdu:
    """Return the PDU of a head and the bytes that followed it."""
    _, command, status, sequence = HEAD.unpack(head)
    return Pdu(command, status, sequence, body)


def bind_body(user: str, secret: str) -> bytes:
    """Return the body of a bind_transmitter; SmppError where a name is longer than SMPP has it."""
    return b"".join(
        (
            _c_octets(user, 16),
            _c_octets(secret, 9),
            _c_octets("", 13),
            bytes([INTERFACE_VERSION, 0, 0]),
            _c_octets("", 41),
        )
    )


def submit_bodies(sender: str, number: str, text: str, reference: int) -> Iterator[bytes]:
    """Yield the bodies of the submit_sm of a text: one, or one for each of its parts."""
    parts = split(text)
    for at, part in enumerate(parts):
        header = b""
        if len(parts) > 1:
            header = bytes([5, 0, 3, reference & 0xFF, len(parts), at + 1])
        yield _submit_body(sender, number, header, part)


def split(text: str) -> list[bytes]:
    """Return a text's septets, one an octet, in parts; SmppError for what the alphabet lacks."""
    try:
        septets = [_OF[character] for character in text]
    except KeyError:
        raise SmppError("a text has a character that the alphabet lacks") from None
    if sum(map(len, septets)) <= ALONE_MAX:
        return [b"".join(septets)]
    parts = [b""]
    for one in septets:
        if len(parts[-1]) + len(one) > PART_MAX:  # an escape and its character stay together
            parts.append(b"")
        parts[-1] += one
    if len(parts) > PARTS_MAX:
        raise SmppError("a text is too long")
    return parts


def _submit_body(sender: str, number: str, header: bytes, part: bytes) -> bytes:
    ton, npi = _INTERNATIONAL
    message = header + part
    return b"".join(
        (
            _c_octets("", 6),
            # A name is alphanumeric; a short code is of the network's own.
            bytes([3, 0] if sender.isdigit() else [5, 0]),
            _c_octets(sender, 21),
            bytes([ton, npi]),
            _c_octets(number.removeprefix("+"), 21),
            bytes([_UDH_BIT if header else 0, 0, 0]),
            _c_octets("", 17),
            _c_octets("", 17),
            bytes([0, 0, 0, 0, len(message)]),
            message,
        )
    )


def _c_octets(text: str, most: int) -> bytes:
    """Return a text as a C-octet string of at most `most` bytes, its end included."""
    try:
        content = text.encode("ascii")
    except UnicodeEncodeError:
        raise SmppError("a name for the SMSC is not of ASCII") from None
    if len(content) >= most or b"\0" in content:
        raise SmppError(f"a name for the SMSC has more than {most - 1} characters")
    return content + b"\0"
