"""How long an account stays shut over which two orders fight.

A payer signs two orders for one slot and brings each to half of the super-agents at once. Neither half is
a quorum, so nothing but recovery decides the slot, and until then the payer cannot pay on. The clock runs
from the moment before they are offered until w super-agents have said that the slot is decided; then the
payer's next order has to become final. One fight after the other, each with another payer.
"""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Final

import aiohttp
import numpy as np
import numpy.typing as npt

from harambee.crypto.hashing import TAG_ORDER, signed_prefix
from harambee.crypto.signatures import secret_keys_from_seeds, sign_many
from harambee.ledger.kinds import OrderKind
from harambee.ledger.records import BODY_BYTES, ORDER, ORDER_BYTES
from harambee.node.port import State
from harambee.traffic.generator import Door, today
from harambee.traffic.temporary_network import Network
from harambee.traffic.verdict import OCTETS
from harambee.traffic.workload import fees_of

AMOUNT_CENTS: Final = 150_00
PARTIES: Final = 3
"""A payer and two payees for each fight."""
PATIENCE_MS: Final = 20_000
"""A slot that is not decided after so long counts as undecided."""
DECIDED: Final = frozenset({"final", "skipped"})


class FreeError(Exception):
    """A super-agent does not answer; the message is one sentence."""


@dataclass(slots=True)
class Fights:
    """What became of all fights."""

    fights: int
    seconds: list[float] = field(default_factory=list)
    """From offered to decided at w super-agents, of those that were decided."""
    endings: Counter[str] = field(default_factory=Counter)
    """How often a slot ended as "final" (with one of the two) or "skipped"."""
    paid_on: int = 0
    """How many payers' next orders became final."""

    @property
    def all_free(self) -> bool:
        """Whether every slot was decided and every payer paid on."""
        return len(self.seconds) == self.paid_on == self.fights

    def as_json(self) -> dict[str, Any]:
        """The figures, for programs; no seconds where no slot was decided."""
        return {
            "seconds_median": round(median(self.seconds), 3) if self.seconds else None,
            "seconds_max": round(max(self.seconds), 3) if self.seconds else None,
            "fights": self.fights,
            "decided": len(self.seconds),
            "paid_on": self.paid_on,
            "endings": dict(sorted(self.endings.items())),
        }


async def run(network: Network, fights: int) -> Fights:
    """Let so many payers, each at its first slot, sign two orders for it; FreeError."""
    assert PARTIES * fights <= network.parties.crowd.customers, "each fight has its own payer"
    found = Fights(fights)
    timeout = aiohttp.ClientTimeout(total=2 * PATIENCE_MS / 1_000)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session:
            for number in range(fights):
                await _fight(session, network, number, found)
    except (aiohttp.ClientError, TimeoutError) as error:
        message = f"a super-agent does not answer: {type(error).__name__} {error}".rstrip()
        raise FreeError(message) from error
    return found


async def _fight(
    session: aiohttp.ClientSession, network: Network, number: int, found: Fights
) -> None:
    rival, other, following = _orders(network, number)
    # Other halves each time.
    turn = number % network.super_agents
    doors = network.doors[turn:] + network.doors[:turn]
    half = len(doors) // 2
    began = time.perf_counter()
    watches = [asyncio.create_task(_ending(session, door, rival)) for door in doors]
    offers = [(door, rival) for door in doors[:half]] + [(door, other) for door in doors[half:]]
    await asyncio.gather(*(_offer(session, *offer, wait_ms=0) for offer in offers))
    # w = f + 1 and q = n - f.
    ending = await _told_by(watches, network.super_agents - network.quorum + 1)
    if ending is not None:
        found.seconds.append(time.perf_counter() - began)
        found.endings[ending] += 1
        state = await _offer(session, doors[0], following, wait_ms=PATIENCE_MS)
        found.paid_on += state == State.FINAL
    await asyncio.gather(*watches)


def _orders(network: Network, number: int) -> npt.NDArray[np.void]:
    """Two orders of one payer for its first slot, to different payees, and one for the next; (3,)."""
    parties = network.parties
    payer, one, other = range(PARTIES * number, PARTIES * (number + 1))
    orders = np.zeros(3, ORDER)
    orders["kind"] = OrderKind.SEND
    orders["payer"] = parties.numbers[payer]
    orders["payee"] = parties.numbers[[one, other, one]]
    orders["amount"] = AMOUNT_CENTS
    orders["fee"] = fees_of(network.tariff, orders["kind"], np.full(3, AMOUNT_CENTS, np.int64))
    orders["tariff"] = network.tariff.version
    orders["sequence"] = [0, 0, 1]
    orders["day"] = today()
    secrets = secret_keys_from_seeds(np.repeat(parties.seeds[payer : payer + 1], 3, axis=0))
    bodies = orders.view(np.uint8).reshape(-1, ORDER_BYTES)[:, :BODY_BYTES]
    prefix = signed_prefix(TAG_ORDER, network.network)
    orders["signature"] = sign_many(prefix, np.ascontiguousarray(bodies), secrets)
    return orders


async def _offer(session: aiohttp.ClientSession, door: Door, order: np.void, wait_ms: int) -> int:
    """Bring an order to a door; the State that it answers."""
    path = f"{door.url}/v1/orders?wait_ms={wait_ms}"
    async with session.post(path, data=order.tobytes(), headers=OCTETS) as answer:
        answer.raise_for_status()
        return (await answer.read())[0]


async def _ending(session: aiohttp.ClientSession, door: Door, order: np.void) -> str:
    """What a door says of an order's slot: as soon as it is decided, or at last."""
    path = f"{door.url}/v1/orders/{order['payer']}/{order['sequence']}?wait_ms={PATIENCE_MS}"
    async with session.get(path) as answer:
        answer.raise_for_status()
        return str((await answer.json())["state"])


async def _told_by(watches: list["asyncio.Task[str]"], count: int) -> str | None:
    """How a slot ended, as soon as so many doors say that it has; None if fewer ever do."""
    told = 0
    for watch in asyncio.as_completed(watches):
        ending = await watch
        told += ending in DECIDED
        if told == count:
            return ending
    return None
