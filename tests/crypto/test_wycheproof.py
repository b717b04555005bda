"""Project Wycheproof's Ed25519 vectors: every one, through the single and the batch verifier.

The vectors lie beside the checkout, in ../shared/wycheproof.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from harambee.crypto.signatures import verify, verify_many

VECTORS = Path(__file__).parents[2].parent / "shared" / "wycheproof" / "ed25519_test.json"

pytestmark = pytest.mark.skipif(
    not VECTORS.exists(), reason="needs ../shared/wycheproof beside the checkout"
)


@pytest.fixture(scope="module")
def cases():
    document = json.loads(VECTORS.read_text(encoding="utf-8"))
    found = [
        (
            f"{case['tcId']} {case['comment']}",
            bytes.fromhex(group["publicKey"]["pk"]),
            bytes.fromhex(case["msg"]),
            bytes.fromhex(case["sig"]),
            case["result"] == "valid",
        )
        for group in document["testGroups"]
        for case in group["tests"]
    ]
    assert len(found) == document["numberOfTests"]
    assert {valid for *_, valid in found} == {True, False}
    return found


def test_single_verifier_agrees_with_every_vector(cases):
    wrong = [name for name, key, text, mark, valid in cases if verify(key, text, mark) is not valid]
    assert wrong == []


def test_batch_verifier_agrees_with_every_vector_of_whole_length(cases):
    whole = [case for case in cases if len(case[3]) == 64]
    assert len(whole) > 100
    wrong = [
        name
        for name, key, text, mark, valid in whole
        if verify_many(b"", row(text), row(key), row(mark)).tolist() != [valid]
    ]
    assert wrong == []


def row(content: bytes):
    return np.frombuffer(content, np.uint8).reshape(1, -1)
