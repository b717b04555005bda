"""Networks of real processes, shared by the tests that leave them as they found them."""

import pytest
from tests.accept.quiet_network import QuietNetwork, quiet_population

from harambee.traffic.temporary_network import TemporaryNetwork


@pytest.fixture(scope="module")
def quiet():
    """Four super-agents that nobody disturbs but the tests of one file."""
    with TemporaryNetwork(4, quiet_population()) as running:
        yield QuietNetwork(running)
