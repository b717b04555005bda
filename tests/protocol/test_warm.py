"""Nothing is compiled while a customer waits: `warm_up` has met every kernel in its only shape."""

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import sys
from numba.core.dispatcher import Dispatcher
from harambee.protocol.warm import warm_up

def compiled():
    return {
        f"{module.__name__}.{name}": len(thing.signatures)
        for module in list(sys.modules.values())
        if getattr(module, "__name__", "").startswith("harambee")
        for name, thing in vars(module).items()
        if isinstance(thing, Dispatcher)
    }

warm_up()
before = compiled()
sys.path.insert(0, sys.argv[1])
from tests.protocol.network import Network, customers, make_order, make_block, customer_key
from harambee.protocol.messages import BlockArrived
from harambee.protocol.wire import NO_DIGEST

ann, ben, cyd, dan = customers(4)
network = Network()
network.kill(3)
network.run(1)
forged = make_order(ann, ben, 50_000, 0, key=customer_key(ben))
data, _ = make_block(3, 1, NO_DIGEST, (), forged)
network._later(0, 0, BlockArrived(3, data))
network.pay(0, make_order(cyd, dan, 10_000, 0))
network.offer(1, make_order(cyd, ben, 10_000, 3))
network.run(2)
network.kill(0)
network.restart(0)
network.run(1)
network.assert_same()
ledger = network.nodes[0].replica.ledger
assert len(ledger.entries_of(cyd, 5)) == 1
print({name: count - before.get(name, 0) for name, count in compiled().items()
       if count != before.get(name, 0)})
"""


def test_warm_up_leaves_nothing_to_compile():
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(root)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "{}", f"compiled too late: {done.stdout}"
