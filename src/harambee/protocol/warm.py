"""Loading the compiled kernels of the protocol before the first customer waits for them."""

from functools import cache

import numpy as np

from harambee.crypto.hashing import TAG_ORDER, signed_prefix
from harambee.crypto.signatures import from_seed, sign
from harambee.crypto.warm import warm_up as warm_up_crypto
from harambee.ledger.kinds import OrderKind
from harambee.ledger.ledger import Ledger
from harambee.ledger.records import (
    BODY_BYTES,
    OPENING,
    ORDER,
    POSITION_ENROLMENT,
    AccountKind,
    account_flags,
)
from harambee.ledger.warm import warm_up as warm_up_ledger
from harambee.protocol.committee import Committee, Member
from harambee.protocol.disputes import Candidate
from harambee.protocol.doubts import Group, acknowledging
from harambee.protocol.messages import OrdersOffered
from harambee.protocol.replica import Pace, Replica
from harambee.protocol.slot import Slot
from harambee.protocol.tally import Tally
from harambee.protocol.wire import REFERENCE

_SECOND_NS = 1_000_000_000


@cache
def warm_up() -> None:
    """Run one order through a network of one super-agent, and every kernel besides; once a process."""
    warm_up_crypto()
    warm_up_ledger()
    key = from_seed(bytes(32))
    ledger = Ledger(1, ())
    openings = np.zeros(2, OPENING)
    openings["number"] = POSITION_ENROLMENT, POSITION_ENROLMENT + 1
    openings["flags"] = account_flags(AccountKind.ENROLMENT)
    openings["key"] = np.frombuffer(key.public, np.uint8)
    ledger.open_accounts(openings, {})
    member = Member("warm", key.public, bytes(32), (0,))
    replica = Replica(bytes(32), Committee(0, (member,)), 0, key, ledger, Pace(1, 1))
    orders = np.zeros(1, ORDER)
    orders["kind"] = OrderKind.CANCEL
    prefix = signed_prefix(TAG_ORDER, replica.network)
    signature = sign(key, prefix + orders.tobytes()[:BODY_BYTES])
    orders["signature"] = np.frombuffer(signature, np.uint8)
    replica.receive(OrdersOffered(1, orders), _SECOND_NS)
    for seconds in range(1, 5):
        replica.act(seconds * _SECOND_NS)
    assert replica.counters.applied == 1, "one super-agent alone makes its order final"
    replica.slots.lock(orders, np.zeros((1, 32), np.uint8), np.zeros(1, np.uint8))
    replica.slots.withdraw(orders, np.zeros((1, 32), np.uint8))
    replica.slots.release(orders)
    replica.chains.certified_if_referenced()
    chains = replica.chains
    replica.catch_up.holds_named(0, np.zeros(0, REFERENCE), chains.followed[1])
    group = Group(chains.first_votes(0, 1), {0: None})
    acknowledging(chains, chains.clocks(), [group])
    tally = Tally()
    slot = Slot.of(orders[0])
    tally.put(slot, Candidate(0, bytes(32)), group.ballot, chains.clocks(), chains)
    assert list(tally.stirred(chains, chains.clocks())) == [], "it was counted when it was put"
