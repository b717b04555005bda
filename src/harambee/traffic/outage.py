"""The outage: five acts under load, played by killing processes, told in figures.

1. All four super-agents serve.
2. One is killed with `kill -9`; the others pay on, and its handsets go to them.
3. It comes back and asks the others what it missed.
4. Two are killed, more than four can bear: the network stands still, and makes no money.
5. One of the two comes back, and the network goes on; at the end the last one returns as well.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
import numpy as np

from harambee.traffic.generator import Door, Generator
from harambee.traffic.temporary_network import NetworkError, TemporaryNetwork
from harambee.traffic.verdict import read_digest

SUPER_AGENTS: Final = 4
SHILLINGS_AN_HOUR: Final = 679_300_000
"""What the country's mobile money carries in an hour."""
SECONDS_AN_HOUR: Final = 3_600
LAST_WORDS_S: Final = 2.0
LAST_WORDS_MAX_S: Final = 15.0
"""What the dead had said of payments still arrives and counts: until nothing has come for the first, but
not longer than the second."""
PATIENCE_S: Final = 120
POLL_S: Final = 0.05

CALM, ONE_DEAD, BACK, TWO_DEAD, RESTORED = "all four", "one dead", "back", "two dead", "restored"
SHARES: Final = {CALM: 20, ONE_DEAD: 25, BACK: 15, TWO_DEAD: 20, RESTORED: 20}
"""How many hundredths of the time each act takes; those that wait for something take longer."""
assert sum(SHARES.values()) == 100

Tell = Callable[[str], None]


@dataclass(slots=True)
class Act:
    """One act, in seconds of the load."""

    name: str
    starts_s: float
    ends_s: float = 0.0
    final: int = 0
    longest_silence_s: float = 0.0
    """The longest time without a payment that became final."""
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.ends_s - self.starts_s

    @property
    def final_per_second(self) -> float:
        """Payments a second."""
        return self.final / self.seconds if self.seconds else 0.0

    def as_json(self) -> dict[str, Any]:
        """The fields, for programs."""
        return {
            "name": self.name,
            "starts_s": round(self.starts_s, 2),
            "ends_s": round(self.ends_s, 2),
            "final": self.final,
            "final_per_second": round(self.final_per_second, 1),
            "longest_silence_s": round(self.longest_silence_s, 2),
            **self.facts,
        }


class Outage:
    """Plays the acts against a network of four; `acts` hold what was seen."""

    def __init__(
        self, network: TemporaryNetwork, load: Generator, seconds: float, tell: Tell
    ) -> None:
        assert network.network.super_agents == SUPER_AGENTS
        self.acts: dict[str, Act] = {}
        self._network = network
        self._load = load
        self._seconds = seconds
        self._tell = tell
        self._names = network.folder.names
        self._started = asyncio.Event()

    @property
    def money_made(self) -> bool:
        """Whether payments became final, or balances stopped adding up, while two were dead."""
        facts = self.acts[TWO_DEAD].facts
        return bool(facts["final_after_last_words"] or facts["total_cents"])

    @property
    def silent_without_centre_s(self) -> float:
        """The longest time without a final payment while one super-agent was away."""
        return max(self.acts[name].longest_silence_s for name in (ONE_DEAD, BACK))

    @property
    def silent_with_centre_s(self) -> float:
        """How long a switch in the centre would have been silent in the place of the one."""
        return self.acts[ONE_DEAD].seconds + float(self.acts[BACK].facts["caught_up_after_s"])

    @property
    def shillings_delayed_with_centre(self) -> int:
        """What a switch in the centre would have kept the country waiting for in that time."""
        return round(self.silent_with_centre_s * SHILLINGS_AN_HOUR / SECONDS_AN_HOUR)

    async def play(self) -> None:
        """Run the load and the acts; NetworkError or LoadError."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._load.run(self._started.set))
                group.create_task(self._acts())
        except* Exception as errors:  # noqa: BLE001 - one sentence of one of them is enough
            raise errors.exceptions[0] from None

    async def _acts(self) -> None:
        await self._started.wait()
        one, first, second = self._names[1], self._names[2], self._names[3]
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
            await self._calm()
            await self._one_dead(one)
            await self._back(one, session)
            await self._two_dead(first, second, session)
            await self._restored(first)
            self._tell(f"{second} is started as well, so that all four can be examined.")
            await self._return(second)
        self._load.stop()

    async def _calm(self) -> None:
        act = self._begin(CALM)
        self._tell("Four super-agents serve; none of them is the centre.")
        await self._pass(CALM)
        self._end(act)
        self._tell(f"    {act.final_per_second:,.0f} payments a second become final.")

    async def _one_dead(self, victim: str) -> None:
        act = self._begin(ONE_DEAD)
        moved = self._load.failovers
        self._network.kill(victim)
        self._tell(f"{victim} is killed (kill -9) in the middle of it.")
        await self._pass(ONE_DEAD)
        act.facts["killed"] = [victim]
        act.facts["failovers"] = self._load.failovers - moved
        self._end(act)
        self._tell(
            f"    The other three pay on: {act.final_per_second:,.0f} a second. "
            f"{act.facts['failovers']:,} orders that waited at {victim} were taken to another "
            f"super-agent, the same bytes. Longest silence: {act.longest_silence_s:.1f} s."
        )

    async def _back(self, name: str, session: aiohttp.ClientSession) -> None:
        act = self._begin(BACK)
        others = [door for door in self._load.doors if door.name != name]
        target = max([await self._entries(session, door) for door in others])
        act.facts["ready_after_s"] = round(await self._return(name), 2)
        (door,) = (door for door in self._load.doors if door.name == name)
        end = self._load.now + PATIENCE_S
        while await self._entries(session, door) < target:
            if self._load.now > end:
                raise NetworkError(f"{name} has not caught up after {PATIENCE_S} seconds")
            await asyncio.sleep(POLL_S)
        act.facts["caught_up_after_s"] = round(self._load.now - act.starts_s, 2)
        act.facts["missed"] = self.acts[ONE_DEAD].final
        await self._pass(BACK, since=act.starts_s)
        self._end(act)
        self._tell(
            f"{name} is started again. It asks the others for what it missed, some "
            f"{act.facts['missed']:,} payments, and has it after "
            f"{act.facts['caught_up_after_s']:.1f} s; meanwhile payments go on."
        )

    async def _two_dead(self, first: str, second: str, session: aiohttp.ClientSession) -> None:
        act = self._begin(TWO_DEAD)
        self._network.kill(first)
        self._network.kill(second)
        self._tell(f"{first} and {second} are killed at once: two of four, more than it can bear.")
        left = [door for door in self._load.doors if door.name not in {first, second}]
        still_from = await self._last_words(left, session)
        act.facts["last_words_s"] = round(still_from - act.starts_s, 2)
        before = [await read_digest(session, door) for door in left]
        await self._pass(TWO_DEAD, since=act.starts_s)
        after = [await read_digest(session, door) for door in left]
        act.facts["killed"] = [first, second]
        act.facts["final_after_last_words"] = self._load.book.finals_between(
            still_from, self._load.now
        ) + sum(b["entries"] - a["entries"] for a, b in zip(before, after, strict=True))
        act.facts["total_cents"] = max(abs(int(digest["total_cents"])) for digest in after)
        self._end(act)
        self._tell(
            f"    The network stands still: {act.facts['final_after_last_words']} payments "
            f"become final in {self._load.now - still_from:.1f} s. Nothing is guessed: the sum of "
            f"all balances is {act.facts['total_cents']} cents, as it must be."
        )

    async def _last_words(self, left: list[Door], session: aiohttp.ClientSession) -> float:
        """Wait until those left have worked off what the dead had said; returns when that was."""
        end = self._load.now + LAST_WORDS_MAX_S
        entries = [-1]
        quiet_since = self._load.now
        while self._load.now < min(quiet_since + LAST_WORDS_S, end):
            await asyncio.sleep(POLL_S)
            seen = [await self._entries(session, door) for door in left]
            if seen != entries:
                entries, quiet_since = seen, self._load.now
        return self._load.now

    async def _restored(self, name: str) -> None:
        act = self._begin(RESTORED)
        act.facts["ready_after_s"] = round(await self._return(name), 2)
        end = self._load.now + PATIENCE_S
        while not self._load.book.finals_between(act.starts_s, self._load.now):
            if self._load.now > end:
                raise NetworkError(f"no payment is final {PATIENCE_S} s after {name} came back")
            await asyncio.sleep(POLL_S)
        act.facts["first_final_after_s"] = round(self._load.now - act.starts_s, 2)
        await self._pass(RESTORED, since=act.starts_s + act.facts["first_final_after_s"])
        self._end(act)
        self._tell(
            f"{name} is started again. With three of four the network goes on, "
            f"{act.facts['first_final_after_s']:.1f} s later."
        )

    async def _return(self, name: str) -> float:
        """Restart and wait until it serves; returns how long that took."""
        since = self._load.now
        self._network.restart(name)
        await asyncio.to_thread(self._network.wait_ready, (name,))
        return self._load.now - since

    async def _entries(self, session: aiohttp.ClientSession, door: Door) -> int:
        return int((await read_digest(session, door))["entries"])

    async def _pass(self, name: str, since: float | None = None) -> None:
        """Let the act's share of the time pass, less what has passed since then."""
        share = self._seconds * SHARES[name] / 100
        passed = 0.0 if since is None else self._load.now - since
        await asyncio.sleep(max(0.0, share - passed))

    def _begin(self, name: str) -> Act:
        act = self.acts[name] = Act(name, self._load.now)
        return act

    def _end(self, act: Act) -> None:
        act.ends_s = self._load.now
        book = self._load.book
        told = book.told_at[: book.count]
        inside = np.sort(told[(told >= act.starts_s) & (told < act.ends_s)])
        act.final = len(inside)
        edges = np.concatenate([[act.starts_s], inside, [act.ends_s]])
        act.longest_silence_s = float(np.diff(edges).max())
