"""The door to libsodium refuses a library that answers wrongly."""

import pytest

from harambee.crypto import sodium


def test_the_known_answers_hold():
    assert sodium._wrong_answers() == []


@pytest.mark.parametrize(
    ("constant", "culprits"),
    [
        ("_SIGNATURE", ["crypto_sign", "crypto_sign_open"]),
        ("_DIGEST", ["crypto_generichash_blake2b_salt_personal"]),
    ],
)
def test_a_wrong_answer_names_its_function(monkeypatch, constant, culprits):
    right = getattr(sodium, constant)
    monkeypatch.setattr(sodium, constant, bytes([right[0] ^ 1]) + right[1:])
    wrong = sodium._wrong_answers()
    assert set(culprits) <= set(wrong)
    assert len(wrong) < 4


def test_a_hidden_function_is_one_clear_sentence():
    with pytest.raises(sodium.SodiumError, match="does not expose libsodium's crypto_sign_never"):
        sodium._address_of("crypto_sign_never")
