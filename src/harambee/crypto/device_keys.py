"""Keys that never leave a device: Ed25519 by PKCS#11, for which python-pkcs11 is installed as an extra.

A place is written as RFC 7512 has it, and the PIN is always somewhere else:

    pkcs11:token=amani;object=signing?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/etc/pin
    pkcs11:token=amani;object=treasury?module-path=/usr/lib/libdevice.so&pin-source=env:AMANI_PIN

When a key is opened, the device has to sign something, which is checked here: a device that signs by another
rule is refused at the start and not by the others.
"""

import contextlib
import os
import re
import secrets
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

from harambee.crypto.kernels import SIGNATURE_BYTES
from harambee.crypto.signatures import PUBLIC_BYTES, verify

PREFIX: Final = "pkcs11:"
URI_CHARACTERS_MAX: Final = 1_024
PIN_BYTES_MAX: Final = 256
PATH_PARTS: Final = frozenset({"token", "object"})
QUERY_PARTS: Final = frozenset({"module-path", "pin-source"})

_PIN_SOURCE: Final = re.compile(r"(?:file:(?P<file>/.+)|env:(?P<variable>[A-Za-z_][A-Za-z0-9_]*))")
_OTHERS: Final = 0o077
_POINT_HEAD: Final = b"\x04\x20"
"""The public point is the octet string of 32 bytes, in DER."""


class DeviceKeyError(Exception):
    """A device's key cannot be used; the message is one sentence, and has no PIN in it."""


@dataclass(frozen=True, slots=True)
class DeviceKeyPlace:
    """Which key of which device, and where its PIN is."""

    module: Path
    """The device's library."""
    token: str
    label: str
    pin_source: str

    def __str__(self) -> str:
        return f"the key {self.label} of the token {self.token}"


def parse_uri(text: str) -> DeviceKeyPlace:
    """Return the place that a PKCS#11 URI names; ValueError, in words, for what is none."""
    if not text.startswith(PREFIX) or len(text) > URI_CHARACTERS_MAX:
        raise ValueError(f"a device's key is written as {PREFIX}token=...;object=...?...")
    path, _, query = text.removeprefix(PREFIX).partition("?")
    found = _parts(path, ";", PATH_PARTS) | _parts(query, "&", QUERY_PARTS)
    missing = sorted((PATH_PARTS | QUERY_PARTS) - found.keys())
    if missing:
        raise ValueError(f"the URI of a device's key lacks {', '.join(missing)}")
    if not found["module-path"].startswith("/"):
        raise ValueError("module-path of a device's key is an absolute path")
    if not _PIN_SOURCE.fullmatch(found["pin-source"]):
        raise ValueError("pin-source of a device's key is file:/PATH or env:NAME")
    return DeviceKeyPlace(
        Path(found["module-path"]), found["token"], found["object"], found["pin-source"]
    )


def _parts(text: str, separator: str, known: frozenset[str]) -> dict[str, str]:
    """Return what stands between separators as name=value; ValueError."""
    found: dict[str, str] = {}
    for part in filter(None, text.split(separator)):
        name, _, value = part.partition("=")
        if name not in known or name in found:
            raise ValueError(
                f"{name[:40]!r} is no part of the URI of a device's key, or is there twice"
            )
        found[name] = unquote(value)
        if not found[name] or not found[name].isprintable():
            raise ValueError(f"{name} of a device's key is not printable text")
    return found


class DeviceKey:
    """A key in a device. Several threads may sign; they take turns."""

    def __init__(self, place: DeviceKeyPlace) -> None:
        """Open it, and let it sign something; DeviceKeyError."""
        self._place = place
        self._turn = threading.Lock()
        self._session: Any = None
        self.public = b""
        with self._turn:
            self._open()
        probe = secrets.token_bytes(32)
        if not verify(self.public, probe, self.sign(probe)):
            raise DeviceKeyError(f"{place} does not sign as Ed25519 does")

    def __repr__(self) -> str:
        return f"DeviceKey({self._place})"

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte signature of `message`; DeviceKeyError when the device makes none.

        A device that was away for a moment has forgotten its session, so it is opened anew once.
        """
        import pkcs11  # noqa: PLC0415 - an extra: only who has a device needs it

        with self._turn:
            try:
                signature = self._signed(message)
            except pkcs11.PKCS11Error:
                self._open()
                try:
                    signature = self._signed(message)
                except pkcs11.PKCS11Error as error:
                    raise DeviceKeyError(f"{self._place} does not sign: {_name(error)}") from error
        if len(signature) != SIGNATURE_BYTES:
            raise DeviceKeyError(f"{self._place} does not sign as Ed25519 does")
        return signature

    def _signed(self, message: bytes) -> bytes:
        import pkcs11  # noqa: PLC0415 - as above

        return bytes(self._key.sign(message, mechanism=pkcs11.Mechanism.EDDSA))

    def _open(self) -> None:
        """Log in and find the key pair."""
        place = self._place
        try:
            import pkcs11  # noqa: PLC0415 - as above
        except ImportError:
            raise DeviceKeyError(
                f"{place} needs the package python-pkcs11: install harambee[pkcs11]"
            ) from None
        pin = _read_pin(place)
        try:
            token = pkcs11.lib(str(place.module)).get_token(token_label=place.token)
            if self._session is not None:
                with contextlib.suppress(pkcs11.PKCS11Error):  # it is gone already
                    self._session.close()
            try:
                self._session = token.open(user_pin=pin)
            except pkcs11.exceptions.UserAlreadyLoggedIn:
                # By another key's session: a process logs in once for all of a token's sessions.
                self._session = token.open()
            wanted = {"key_type": pkcs11.KeyType.EC_EDWARDS, "label": place.label}
            self._key = self._session.get_key(object_class=pkcs11.ObjectClass.PRIVATE_KEY, **wanted)
            public = self._session.get_key(object_class=pkcs11.ObjectClass.PUBLIC_KEY, **wanted)
            point = bytes(public[pkcs11.Attribute.EC_POINT])
        except (pkcs11.PKCS11Error, RuntimeError, OSError) as error:
            raise DeviceKeyError(f"{place} cannot be opened: {_name(error)}") from error
        if len(point) == len(_POINT_HEAD) + PUBLIC_BYTES and point.startswith(_POINT_HEAD):
            point = point.removeprefix(_POINT_HEAD)
        if len(point) != PUBLIC_BYTES:
            raise DeviceKeyError(f"{place} is no Ed25519 key")
        self.public = point


def _read_pin(place: DeviceKeyPlace) -> str:
    """Return the PIN; DeviceKeyError where it is not there, or others could read it."""
    found = _PIN_SOURCE.fullmatch(place.pin_source)
    assert found is not None, "it was parsed"
    if found["variable"]:
        pin = os.environ.get(found["variable"], "")
        if not pin:
            raise DeviceKeyError(f"the PIN of {place}: {found['variable']} is not set")
        return pin
    file = Path(found["file"])
    try:
        with file.open("rb") as opened:
            mode = os.fstat(opened.fileno()).st_mode
            content = opened.read(PIN_BYTES_MAX + 1)
    except OSError as error:
        raise DeviceKeyError(f"cannot read the PIN in {file}: {error.strerror}") from error
    if mode & _OTHERS:
        raise DeviceKeyError(f"the PIN in {file} can be read by others: chmod 600 it first")
    try:
        pin = content.decode("utf-8").strip()
    except UnicodeDecodeError:
        pin = ""
    if not pin or len(content) > PIN_BYTES_MAX:
        raise DeviceKeyError(f"{file} is no PIN")
    return pin


def _name(error: BaseException) -> str:
    """Return what a device's error is called; most have no text."""
    return str(error) or type(error).__name__
