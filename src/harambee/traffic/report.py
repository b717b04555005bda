"""What a load came to, for people and for programs."""

from typing import Any, Final

from harambee.ledger.outcomes import SENTENCES, Outcome
from harambee.money.amounts import format_cents
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


def month_lines(figures: dict[str, Any]) -> list[str]:
    """What became of the transactions of a month and of its charges (`month.figures_of`)."""
    transactions, accepted = figures["transactions"], figures["accepted"]
    told = [f"{accepted:,} of {transactions:,} transactions were accepted; refused:"]
    told += [
        f"  {count:>12,}  {name.replace('_', ' ')}" for name, count in figures["refused"].items()
    ]
    told += [
        f"  of these {figures['agents_without_float']:,} deposits: the agent had no float",
        f"{format_cents(figures['moved_cents'])} moved, and all charges were:",
    ]
    for name, what in (
        ("charged_cents", "charged, of which"),
        ("revenue_cents", "revenue of the super-agents"),
        ("excise_cents", "excise, remitted"),
    ):
        told.append(f"  {format_cents(figures[name]):>24}  {what}")
    told.append("Agents earned, by withdrawals out of the charges and by deposits on top of them:")
    for name, what in (
        ("agents_commission_cents", "the shops"),
        ("head_offices_commission_cents", "their head offices"),
    ):
        told.append(f"  {format_cents(figures[name]):>24}  {what}")
    return told


def kind_lines(kinds: dict[str, dict[str, int]]) -> list[str]:
    """How many orders of each kind were offered and became final."""
    return ["Of each kind, final of offered:"] + [
        f"  {counts['final']:>12,} of {counts['offered']:>9,}  {name.replace('_', ' ')}"
        for name, counts in kinds.items()
    ]


def closing_line(figures: dict[str, Any]) -> str:
    """Whether the books of a month close."""
    closes = "close to the cent" if figures["closes"] else "DO NOT CLOSE"
    conserved = "money is conserved" if figures["conserved"] else "MONEY IS NOT CONSERVED"
    return f"The books {closes}; {conserved}."


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
