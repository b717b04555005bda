"""A super-agent whose keys are in a PKCS#11 device: SoftHSM of the distribution."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pkcs11
import pytest
from pkcs11 import Attribute, KeyType, ObjectClass
from tests.accept.quiet_network import QuietNetwork, quiet_population

from harambee.crypto.device_keys import DeviceKey, DeviceKeyError, parse_uri
from harambee.crypto.keyfiles import read_key_file
from harambee.crypto.signatures import from_seed, verify
from harambee.traffic.temporary_network import TemporaryNetwork

pytestmark = [pytest.mark.accept, pytest.mark.timeout(240)]

LIBRARY = Path("/usr/lib/softhsm/libsofthsm2.so")
EDWARDS25519 = bytes([0x13, 12]) + b"edwards25519"
"""The curve's name as PKCS#11 has it: a printable string in DER."""
PIN = "270981"
SEED = bytes(range(32))


@pytest.fixture(scope="module")
def token(tmp_path_factory):
    """A token `amani`; SoftHSM reads where it is from the environment, once in a process."""
    folder = tmp_path_factory.mktemp("softhsm")
    (folder / "tokens").mkdir()
    config = folder / "softhsm2.conf"
    config.write_text(
        f"directories.tokendir = {folder / 'tokens'}\nobjectstore.backend = file\n",
        encoding="utf-8",
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOFTHSM2_CONF", str(config))
        patch.setenv("AMANI_PIN", PIN)
        for label in ("amani", "locked"):
            words = ("--init-token", "--free", "--label", label, "--so-pin", "7481", "--pin", PIN)
            subprocess.run(["softhsm2-util", *words], check=True, capture_output=True)
        yield pkcs11.lib(str(LIBRARY)).get_token(token_label="amani")


def opened(token):
    """A session that may write; whoever is logged in already is so in all sessions."""
    try:
        return token.open(rw=True, user_pin=PIN)
    except pkcs11.exceptions.UserAlreadyLoggedIn:
        return token.open(rw=True)


def put(token, label, seed):
    """Put a key into the device, which keeps it from then on."""
    shared = {
        Attribute.KEY_TYPE: KeyType.EC_EDWARDS,
        Attribute.EC_PARAMS: EDWARDS25519,
        Attribute.LABEL: label,
        Attribute.TOKEN: True,
    }
    point = b"\x04\x20" + from_seed(seed).public
    with opened(token) as session:
        secret = {Attribute.VALUE: seed, Attribute.SIGN: True, Attribute.SENSITIVE: True}
        session.create_object({Attribute.CLASS: ObjectClass.PRIVATE_KEY, **shared, **secret})
        public = {Attribute.EC_POINT: point, Attribute.VERIFY: True}
        session.create_object({Attribute.CLASS: ObjectClass.PUBLIC_KEY, **shared, **public})


def uri(label):
    return f"pkcs11:token=amani;object={label}?module-path={LIBRARY}&pin-source=env:AMANI_PIN"


def test_a_device_signs_as_we_do(token):
    put(token, "own", SEED)
    key = DeviceKey(parse_uri(uri("own")))
    assert key.public == from_seed(SEED).public
    assert key.sign(b"message") == from_seed(SEED).sign(b"message")
    assert verify(key.public, b"message", key.sign(b"message"))
    assert PIN not in repr(key)
    # The device was away: all sessions of the process are gone.
    other = DeviceKey(parse_uri(uri("own")))
    key._session.close()
    for _ in range(2):
        assert key.sign(b"message") == from_seed(SEED).sign(b"message")
        assert other.sign(b"message") == from_seed(SEED).sign(b"message")


def test_a_wrong_pin_and_a_key_that_is_not_there_are_named(token, monkeypatch):
    with pytest.raises(DeviceKeyError, match="the key none of the token amani cannot be opened"):
        DeviceKey(parse_uri(uri("none")))
    monkeypatch.setenv("AMANI_PIN", "000000")
    with pytest.raises(DeviceKeyError, match="cannot be opened: PinIncorrect"):
        DeviceKey(parse_uri(uri("own").replace("amani", "locked")))


def test_a_key_whose_public_part_is_anothers_is_refused(token):
    put(token, "mixed", SEED)
    with opened(token) as session:
        label = {"object_class": ObjectClass.PUBLIC_KEY, "label": "mixed"}
        session.get_key(**label).destroy()
        session.create_object(
            {
                Attribute.CLASS: ObjectClass.PUBLIC_KEY,
                Attribute.KEY_TYPE: KeyType.EC_EDWARDS,
                Attribute.EC_PARAMS: EDWARDS25519,
                Attribute.LABEL: "mixed",
                Attribute.TOKEN: True,
                Attribute.EC_POINT: b"\x04\x20" + from_seed(bytes(32)).public,
            }
        )
    with pytest.raises(DeviceKeyError, match="does not sign as Ed25519 does"):
        DeviceKey(parse_uri(uri("mixed")))


def test_a_super_agent_pays_with_keys_that_are_in_no_file(token):
    with TemporaryNetwork(4, quiet_population()) as running:
        quiet = QuietNetwork(running)
        quiet.pay(0, quiet.customer(), quiet.customer())
        name = quiet.names[0]
        config = running.folder.node_file(name)
        running.stop(name)
        text = config.read_text(encoding="utf-8")
        for label, kind in (
            ("signing", "super-agent"),
            ("enrolment", "enrolment"),
            ("treasury", "treasury"),
        ):
            file = config.parent / f"{label}.key"
            put(token, label, read_key_file(file, kind).keypair.seed)
            file.unlink()
            text = text.replace(f'"{label}.key"', f'"{uri(label)}"')
        config.write_text(text, encoding="utf-8")
        running.restart(name)
        running.wait_ready((name,))
        # It signs blocks, without which its door brings nothing to an end, and the receipts of its own door.
        for door in (0, 1, 2, 3):
            quiet.pay(door, quiet.customer(), quiet.customer())
        running.kill(quiet.names[3])
        quiet.pay(0, quiet.customer(), quiet.customer())
        line = [sys.executable, "-m", "harambee", "doctor", "--json", "--config", str(config)]
        told = subprocess.run(
            line, capture_output=True, text=True, check=False, env=dict(os.environ)
        )
        findings = json.loads(told.stdout.splitlines()[-1])["findings"]
        assert [one["severity"] for one in findings if one["subject"] == "keys"] == ["fine"], told
        assert PIN not in quiet.log_of(name)
        assert "Traceback" not in quiet.log_of(name)
