"""Where a super-agent's secret key is: in a file of its owner's alone, in the environment, or in a device.

Containers and service managers hand secrets over as variables, and a seed that was never on a disk is on no
backup. A variable has the 64 hexadecimal digits of a seed and nothing else, so it does not say which kind of
key it is; whoever may read the process's environment (its user, and root) has the key. A key in a device
(`harambee.crypto.device_keys`) nobody has. No error repeats a value.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harambee.crypto import device_keys
from harambee.crypto.device_keys import DeviceKey, DeviceKeyPlace, parse_uri
from harambee.crypto.keyfiles import KeyFileError, read_key_file
from harambee.crypto.signatures import SEED_BYTES, KeyPair, Signer

PREFIX: Final = "env:"

_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}", re.ASCII)
_SEED: Final = re.compile(rf"[0-9A-Fa-f]{{{2 * SEED_BYTES}}}", re.ASCII)


@dataclass(frozen=True, slots=True)
class EnvironmentKey:
    """A variable of the environment that has a key."""

    variable: str

    def __str__(self) -> str:
        return f"the environment's {self.variable}"


SecretPlace = Path | EnvironmentKey
"""Of a secret that has to be read."""
KeyPlace = SecretPlace | DeviceKeyPlace
"""Of a key that has to sign."""


def parse_place(text: str, folder: Path) -> KeyPlace:
    """Return what "env:NAME", "pkcs11:..." or a path, relative to `folder`, names; ValueError."""
    if text.startswith(device_keys.PREFIX):
        return parse_uri(text)
    if not text.startswith(PREFIX):
        return folder / text
    name = text.removeprefix(PREFIX)
    if not _VARIABLE.fullmatch(name):
        raise ValueError("behind env: stands the name of a variable, of letters, digits and _")
    return EnvironmentKey(name)


def read_key(place: KeyPlace, kind: str) -> Signer:
    """Return what signs; KeyFileError as `read_key_pair`, DeviceKeyError."""
    if isinstance(place, DeviceKeyPlace):
        return DeviceKey(place)
    return read_key_pair(place, kind)


def read_key_pair(place: KeyPlace, kind: str) -> KeyPair:
    """Return an Ed25519 key; KeyFileError as `read_key_file`, or where there is no seed to be read."""
    if isinstance(place, DeviceKeyPlace):
        message = f"{place} does not leave its device, and is needed here"
        raise KeyFileError(message)
    if isinstance(place, EnvironmentKey):
        return KeyPair(read_variable(place))
    return read_key_file(place, kind).keypair


def read_variable(place: EnvironmentKey) -> bytes:
    """Return the 32 bytes that a variable has in hexadecimal; KeyFileError where it has not."""
    value = os.environ.get(place.variable)
    if value is None:
        message = f"{place} is not set, and a key is needed there"
        raise KeyFileError(message)
    if not _SEED.fullmatch(value.strip()):
        message = f"{place} is not {2 * SEED_BYTES} hexadecimal digits"
        raise KeyFileError(message)
    return bytes.fromhex(value.strip())
