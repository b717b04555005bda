"""A door over merchants in memory."""

import pytest
from tests.gateways.daraja.fakes import Door, FakeSimulator, payment


@pytest.fixture
def door():
    return Door(simulator=FakeSimulator())


@pytest.fixture
def merchants(door):
    return door.merchants


@pytest.fixture
def paid():
    return payment()
