"""Keys in devices: what their places look like, and what is said of those that cannot be opened."""

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harambee.crypto.device_keys import DeviceKey, DeviceKeyError, DeviceKeyPlace, parse_uri
from harambee.crypto.key_places import parse_place, read_key, read_key_pair
from harambee.crypto.keyfiles import KeyFileError

URI = "pkcs11:token=amani;object=signing?module-path=/lib/nothing.so&pin-source=env:AMANI_PIN"
PLACE = DeviceKeyPlace(Path("/lib/nothing.so"), "amani", "signing", "env:AMANI_PIN")


def test_a_place_is_read_in_any_order_and_with_escapes(tmp_path):
    assert parse_place(URI, tmp_path) == PLACE
    turned = "pkcs11:object=my%20key;token=a%3Bb?pin-source=file:/etc/pin&module-path=/lib/x.so"
    found = parse_uri(turned)
    assert (found.label, found.token, found.pin_source) == ("my key", "a;b", "file:/etc/pin")
    assert str(PLACE) == "the key signing of the token amani"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("pkcs11:", "lacks module-path, object, pin-source, token"),
        (URI.replace("token=amani;", ""), "lacks token"),
        (URI.replace("object", "id"), "'id' is no part of the URI"),
        (URI.replace("object", "token"), "'token' is no part of the URI of a device's key, or is"),
        (URI.replace("amani;", "%00;"), "token of a device's key is not printable text"),
        (URI.replace("signing", ""), "object of a device's key is not printable text"),
        (URI.replace("/lib", "lib"), "module-path of a device's key is an absolute path"),
        (URI.replace("env:AMANI_PIN", "1234"), "pin-source of a device's key is file:/PATH or"),
        (URI.replace("env:AMANI_PIN", "env:1"), "pin-source of a device's key is file:/PATH or"),
        (URI.replace("amani", "a" * 1_024), "is written as pkcs11:token="),
        ("file:/etc/key", "is written as pkcs11:token="),
    ],
)
def test_what_is_no_place_is_refused(text, sentence):
    with pytest.raises(ValueError, match=sentence):
        parse_uri(text)


@given(
    st.text(st.sampled_from("pkcs11:token=object?module-path&;pin-source/envfile%0"), max_size=90)
)
def test_whatever_is_written_is_a_place_or_refused_in_a_sentence(text):
    try:
        place = parse_uri("pkcs11:" + text)
    except ValueError as error:
        assert "\n" not in str(error)  # noqa: PT017 - either of two ends is right
    else:
        assert place.token
        assert place.label


def test_a_pin_in_the_open_is_refused_and_never_repeated(tmp_path, monkeypatch):
    file = tmp_path / "pin"
    file.write_text("5678", encoding="utf-8")
    file.chmod(0o644)
    place = DeviceKeyPlace(PLACE.module, "amani", "signing", f"file:{file}")
    with pytest.raises(DeviceKeyError, match="can be read by others: chmod 600 it first"):
        DeviceKey(place)
    file.chmod(0o600)
    with pytest.raises(DeviceKeyError, match="of the token amani cannot be opened") as refused:
        DeviceKey(place)
    assert "5678" not in str(refused.value)
    file.write_bytes(b"\xff")
    with pytest.raises(DeviceKeyError, match="is no PIN"):
        DeviceKey(place)
    file.unlink()
    with pytest.raises(DeviceKeyError, match="cannot read the PIN in"):
        DeviceKey(place)
    monkeypatch.delenv("AMANI_PIN", raising=False)
    with pytest.raises(DeviceKeyError, match="AMANI_PIN is not set"):
        DeviceKey(PLACE)


def test_a_library_that_is_not_there_and_a_package_that_is_not_installed(monkeypatch):
    monkeypatch.setenv("AMANI_PIN", "5678")
    with pytest.raises(
        DeviceKeyError, match=r"signing of the token amani cannot be opened: .*nothing"
    ):
        read_key(PLACE, "super-agent")
    monkeypatch.setitem(sys.modules, "pkcs11", None)
    with pytest.raises(DeviceKeyError, match=r"install harambee\[pkcs11\]"):
        read_key(PLACE, "super-agent")


def test_a_devices_key_is_no_seed_to_be_read():
    with pytest.raises(KeyFileError, match="does not leave its device"):
        read_key_pair(PLACE, "treasury")
