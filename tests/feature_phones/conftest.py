"""PINs are hashed quickly in tests, where nobody has to be kept from guessing."""

import pytest

from harambee.feature_phones import pins


@pytest.fixture(autouse=True)
def quick_hashes(monkeypatch):
    monkeypatch.setattr(pins, "MEMORY_BYTES", 8 << 10)
    monkeypatch.setattr(pins, "PASSES", 1)
