"""Passwords that come encrypted for a super-agent's certificate."""

import base64

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding
from hypothesis import given
from hypothesis import strategies as st
from tests.merchants.town import credentials

from harambee.merchants.credentials import Credentials, CredentialsError

PASSWORD = "Safaricom999!*!"


def sealed(plain):
    key = x509.load_pem_x509_certificate(credentials().certificate).public_key()
    return base64.b64encode(key.encrypt(plain, padding.PKCS1v15())).decode()


@pytest.mark.parametrize(
    "plain",
    [PASSWORD.encode(), base64.b64encode(PASSWORD.encode()), PASSWORD.encode() + b"20261128101500"],
)
def test_a_password_holds_as_software_writes_it(plain):
    assert credentials().holds(sealed(plain), PASSWORD)
    assert not credentials().holds(sealed(plain), PASSWORD + "x")
    assert not credentials().holds(sealed(plain), "")


@pytest.mark.parametrize(
    "plain", [b"", b"x", PASSWORD.encode() + b"2026112810150", b"20261128101500"]
)
def test_nothing_else_does(plain):
    assert not credentials().holds(sealed(plain), PASSWORD)


def test_a_password_of_fourteen_digits_is_one():
    assert credentials().holds(sealed(b"20261128101500"), "20261128101500")


@given(
    st.one_of(
        st.text(max_size=400), st.binary(max_size=256).map(lambda b: base64.b64encode(b).decode())
    )
)
def test_whatever_comes_is_a_plain_no(credential):
    assert not credentials().holds(credential, PASSWORD)
    # What does not decrypt is no empty password, either.
    assert not credentials().holds(credential, "")


def test_a_wrong_padding_is_no_other_answer_than_a_wrong_password():
    good = bytearray(base64.b64decode(sealed(PASSWORD.encode())))
    good[-1] ^= 1
    assert credentials().holds(base64.b64encode(bytes(good)).decode(), PASSWORD) is False


def test_the_key_stays_and_what_is_no_key_is_said_so(folder):
    first = Credentials.open(folder, "agent-1")
    assert Credentials.open(folder, "agent-1").certificate == first.certificate
    file = folder / "credentials.pem"
    assert file.stat().st_mode & 0o077 == 0
    for content in (b"", b"no key", b"x" * (1 << 17)):
        file.write_bytes(content)
        with pytest.raises(CredentialsError):
            Credentials.open(folder, "agent-1")
