"""The outage ledger: what one evening without some super-agents costs, beside one without the switch.

Both systems get the same orders (`traffic.sampled_day`): the network as replicas in the simulator
(`sim.evening`), the switch in the middle as a queue (`traffic.central_switch`).
"""

from dataclasses import dataclass
from typing import Any, Final

from harambee.protocol.committee import tolerated
from harambee.sim.evening import Evening, NetworkDay, Progress
from harambee.traffic import reliability
from harambee.traffic.central_switch import AGAIN_PERCENT, CentralDay, central_day
from harambee.traffic.sampled_day import (
    CENTS_A_DAY,
    MINUTES_AN_HOUR,
    Outage,
    SampledOrder,
    read_hours,
    sample_day,
)

CENTS_PER_SHILLING: Final = 100
EVENING: Final = Outage(17 * MINUTES_AN_HOUR, 21 * MINUTES_AN_HOUR)


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that a ledger is made of; the same ones give the same ledger, to the byte."""

    super_agents: int = 100
    down: int = 33
    outage: Outage = EVENING
    again_percent: int = AGAIN_PERCENT
    seed: int = 1
    minutes_each: int = 1
    """For how many minutes of the day an order stands."""

    @property
    def bears(self) -> bool:
        """Whether the network is to serve on."""
        return self.down <= tolerated(self.super_agents)


@dataclass(frozen=True, slots=True)
class OutageLedger:
    """What came of one day on both systems."""

    settings: Settings
    orders: list[SampledOrder]
    network: NetworkDay
    central: CentralDay

    @property
    def wanted_cents(self) -> int:
        """What people wanted to pay while the outage lasted."""
        outage = self.settings.outage
        return sum(o.value_cents for o in self.orders if outage.covers(o.minute))

    @property
    def as_promised(self) -> bool:
        """Whether nothing was lost, paid twice or made, and the network served just as long as it is to."""
        network = self.network
        return (
            network.conserved
            and network.digests_equal
            and not (network.lost_cents or network.duplicated or network.violations)
            and not (network.silent_minutes and self.settings.bears)
            and not (network.final_in_outage and not self.settings.bears)
        )

    def as_json(self) -> dict[str, Any]:
        """The figures, for programs: whole shillings, minutes of the day as hh:mm."""
        settings, network, central = self.settings, self.network, self.central
        latencies = sorted(network.latencies_ms)
        return {
            "silent_minutes": network.silent_minutes,
            "shillings_lost": _shillings(network.lost_cents),
            "shillings_delayed": _shillings(network.delayed_cents),
            "central_silent_minutes": central.silent_minutes,
            "central_shillings_lost": _shillings(central.given_up_cents),
            "central_shillings_delayed": _shillings(central.delayed_cents),
            "central_caught_up_at": clock(central.caught_up_at),
            "super_agents": settings.super_agents,
            "down": settings.down,
            "bears": tolerated(settings.super_agents),
            "halted": bool(network.brought_in_outage) and not network.final_in_outage,
            "from": clock(settings.outage.starts),
            "to": clock(settings.outage.ends),
            "again_percent": settings.again_percent,
            "shillings_a_day": _shillings(CENTS_A_DAY),
            "shillings_in_outage": _shillings(self.wanted_cents),
            "offered": len(self.orders),
            "offered_in_outage": network.brought_in_outage,
            "final": network.final,
            "final_in_outage": network.final_in_outage,
            "undecided": network.undecided,
            "lost": network.lost,
            "duplicated": network.duplicated,
            "conserved": network.conserved,
            "digests_equal": network.digests_equal,
            "violations": network.violations[:20],
            "as_promised": self.as_promised,
            "latency_ms_p50": _share(latencies, 50),
            "latency_ms_p99": _share(latencies, 99),
            "back_after_ms": network.back_after_ms,
            "moments": network.moments,
            "pace_ms": network.pace_ms,
            "simulated_seconds": network.simulated_s,
            "seed": settings.seed,
            "history": network.history,
            "reliability": reliability.table(),
        }


def keep_ledger(settings: Settings, progress: Progress | None = None) -> OutageLedger:
    """Let both systems live through the day; `progress` hears how many moments of how many are over."""
    orders = sample_day(read_hours(), settings.seed, settings.minutes_each)
    evening = Evening(orders, settings.outage, settings.super_agents, settings.down, settings.seed)
    central = central_day(orders, settings.outage, settings.again_percent)
    return OutageLedger(settings, orders, evening.live(progress), central)


def clock(minute: int) -> str:
    """Return a minute of the day, or of the one after it, as people write it: 17:00."""
    hour, rest = divmod(minute, MINUTES_AN_HOUR)
    return f"{hour:02d}:{rest:02d}"


def _shillings(cents: int) -> int:
    return cents // CENTS_PER_SHILLING


def _share(ascending: list[int], percent: int) -> int:
    if not ascending:
        return 0
    return ascending[min(len(ascending) - 1, len(ascending) * percent // 100)]
