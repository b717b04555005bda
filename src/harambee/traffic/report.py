"""What a load came to, for people and for programs."""

from typing import Any, Final

from harambee.ledger.outcomes import SENTENCES, Outcome
from harambee.traffic.book import Tally
from harambee.traffic.verdict import Verdict

PERCENT: Final = 100


def as_json(
    tally: Tally, verdict: Verdict, *, super_agents: int, killed: int, seed: int
) -> dict[str, Any]:
    """Every field that a program may count on."""
    return {
        **tally.as_json(),
        **verdict.as_json(),
        "super_agents": super_agents,
        "killed": killed,
        "seed": seed,
    }


def lines(tally: Tally, verdict: Verdict) -> list[str]:
    """The same in sentences."""
    share = PERCENT * tally.final // max(1, tally.offered)
    told = [
        f"{tally.offered:,} orders were offered in {tally.seconds:.1f} seconds.",
        f"{tally.final:,} became final ({share}%), {tally.final_per_second:,.0f} a second.",
        (
            f"Half of those were final within {tally.latency_ms_p50:,.0f} ms, "
            f"99 in 100 within {tally.latency_ms_p99:,.0f} ms."
        ),
    ]
    if tally.rejected:
        told.append(f"{tally.rejected:,} were refused, and their slots closed by a cancel:")
    for name, times in sorted(tally.reasons.items(), key=lambda item: -item[1]):
        told.append(f"    {times:,} times: {SENTENCES[Outcome[name]]}")
    if tally.unanswered:
        told.append(f"{tally.unanswered:,} were never answered.")
    return told + verdict_lines(verdict)


def verdict_lines(verdict: Verdict) -> list[str]:
    """What the judge found."""
    made = "none" if verdict.conserved else "YES"
    same = "the same ledger, byte for byte" if verdict.digests_equal else "DIFFERENT ledgers"
    return [
        (
            f"Lost: {verdict.lost:,}. Paid twice: {verdict.duplicated:,}. "
            f"Money made or destroyed: {made}."
        ),
        f"The {verdict.examined} super-agents hold {same}.",
    ]
