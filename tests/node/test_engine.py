"""The engine: what it looks at for itself."""

from types import SimpleNamespace

import pytest
from tests.protocol.network import (
    NETWORK,
    START_NS,
    SUPER_AGENT_KEYS,
    customers,
    make_committee,
    make_ledger,
)

from harambee.node.engine import Engine, MemoryDamaged
from harambee.protocol.replica import Replica


def test_balances_that_do_not_add_up_end_it():
    """Its journal makes the ledger anew; a ledger that a bit has flipped in must answer nobody."""
    files = SimpleNamespace(config=SimpleNamespace(name="baraka"))
    engine = Engine(files, SimpleNamespace(count=0), lambda _: None)
    replica = Replica(NETWORK, make_committee(4), 0, SUPER_AGENT_KEYS[0], make_ledger(4, 2))
    engine._look_at(replica, START_NS)
    assert engine.snapshot.total_cents == 0
    replica.ledger.accounts[customers(1)[0]]["balance"] ^= 1 << 20
    with pytest.raises(MemoryDamaged, match="1048576 cents"):
        engine._look_at(replica, START_NS * 2)
