"""However often and wherever an order is brought, and whatever else is signed for its slot: one debit."""

import http.client
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from urllib.parse import urlsplit

import numpy as np
import pytest
from tests.accept.quiet_network import OPENING_CENTS, get, submit, until

from harambee.ledger.records import ORDER, ORDER_BYTES
from harambee.node.port import State

pytestmark = [pytest.mark.accept, pytest.mark.alone, pytest.mark.timeout(300)]

OCTETS = {"Content-Type": "application/octet-stream"}
FINAL = State.FINAL
RIVALS = 60
RIVAL_WAIT_MS = 400
"""Where neither of two has a quorum the slot stays open, and nobody need wait for it."""


def bring(url, order, wait_ms, together):
    """Offer one order; its bytes leave when everybody else's do."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=60)
    try:
        connection.connect()
        together.wait()
        connection.request("POST", f"/v1/orders?wait_ms={wait_ms}", order, OCTETS)
        state, outcome = connection.getresponse().read()
        return State(state), outcome
    finally:
        connection.close()


def bring_together(pairs, wait_ms):
    """Offer (url, order) pairs at the same instant; the state of each."""
    together = Barrier(len(pairs))
    with ThreadPoolExecutor(len(pairs)) as threads:
        futures = [threads.submit(bring, *pair, wait_ms, together) for pair in pairs]
        return [future.result() for future in futures]


def test_the_same_order_ten_times_at_all_four_at_once_is_one_debit(quiet):
    payer, payee = quiet.customer(), quiet.customer()
    before = quiet.state()
    body = quiet.body(payer, payee.account, 100_00)
    order = quiet.sign(payer, body)
    told = bring_together([(url, order) for url in quiet.urls for _ in range(10)], 20_000)
    assert {state for state, _ in told} == {FINAL}
    after = quiet.state()
    assert after["entries"] == before["entries"] + 1
    cost = body.amount_cents + body.fee_cents
    for door, url in enumerate(quiet.urls):
        assert quiet.balance(door, payer.account) == OPENING_CENTS - cost
        assert quiet.balance(door, payee.account) == OPENING_CENTS + body.amount_cents
        lines = get(url, f"/v1/accounts/{payer.account}/statement").document["lines"]
        assert len(lines) == 1
    # Long after, and ten times in one body, it is still the one that is final.
    fates = [fate for url in quiet.urls for fate in submit(url, [order] * 10)]
    assert {fate["state"] for fate in fates} == {"final"}
    assert len({fate["receipt_code"] for fate in fates}) == 1
    assert len({fate["receipt"]["signature"] for fate in fates}) == 4, "one word of each"
    assert quiet.state() == after


def test_two_orders_for_one_slot_are_never_both_final(quiet):
    before = quiet.state()
    told: dict[int, set[bytes]] = {}
    signed: dict[int, set[bytes]] = {}
    for turn in range(RIVALS):
        payer, one, other = quiet.customer(), quiet.customer(), quiet.customer()
        rivals = [quiet.sign(payer, quiet.body(payer, p.account, 100_00)) for p in (one, other)]
        # In turn: one door each, and two doors each; another pair of doors each time.
        doors = quiet.urls[turn % 4 :] + quiet.urls[: turn % 4]
        doors = doors[: 2 + turn // 4 % 2 * 2]
        pairs = [(url, rivals[place % 2]) for place, url in enumerate(doors)]
        states = [state for state, _ in bring_together(pairs, RIVAL_WAIT_MS)]
        told[payer.account] = {o for (_, o), s in zip(pairs, states, strict=True) if s == FINAL}
        signed[payer.account] = set(rivals)
        assert len(told[payer.account]) <= 1, (turn, states)
    # An honest customer is not held up by what the others tried.
    honest = quiet.customer()
    for door in range(4):
        quiet.pay(door, honest, quiet.customer(), sequence=door)
    # What was told is what every replica holds, and no slot has two.
    after, finals = settled_finals(quiet)
    for account, rivals in signed.items():
        held = finals.get(account, [])
        assert len(held) <= 1, "two orders of one slot are final"
        assert told[account] <= set(held) <= rivals
    assert after["total_cents"] == 0
    decided = sum(account in finals for account in signed)
    assert after["entries"] == before["entries"] + decided + 4


def settled_finals(quiet):
    """The ledger's state and every final order by payer, which are the same at all four."""
    found: list[object] = []

    def settle():
        state = quiet.state()
        finals = [read_finals(url) for url in quiet.urls]
        found[:] = [state, finals[0]]
        return all(one == finals[0] for one in finals) and quiet.state() == state

    until(settle, lambda: f"the final orders do not come to rest: {found[0]}")
    return found


def read_finals(url):
    """Every final order of a replica, by payer."""
    content = get(url, "/v1/finals?after=0&limit=60000").body
    held: dict[int, list[bytes]] = {}
    for row, order in enumerate(np.frombuffer(content, ORDER)):
        data = content[row * ORDER_BYTES : (row + 1) * ORDER_BYTES]
        held.setdefault(int(order["payer"]), []).append(data)
    return held
