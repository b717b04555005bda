"""GET /metrics: the facts of `Port.status()` in Prometheus's text format 0.0.4, written by hand.

A client library would bring a registry and locks for what is one pure function of one value. No
label and no value here names a customer, an account or an order, and labels have as many values as
there are super-agents, or as this table lists.

What each metric says, and when to worry, stands beside its name; docs/metrics.md is written from this.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import harambee
from harambee.gateways.http.answers import Answer
from harambee.gateways.http.requests import Request
from harambee.node.port import Port

CONTENT_TYPE: Final = b"text/plain; version=0.0.4; charset=utf-8"
PREFIX: Final = "harambee_"
NEVER: Final = "by itself, never"

GAUGE: Final = "gauge"
COUNTER: Final = "counter"
HISTOGRAM: Final = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One family: its name without the prefix, its type, and which fact of the status it tells."""

    name: str
    kind: str
    says: str
    worry: str
    key: str = ""
    label: str = ""
    keys: tuple[tuple[str, str], ...] = ()
    """(value of the label, key of the status), where one family tells several facts."""


@dataclass(frozen=True, slots=True)
class Group:
    """Metrics about one thing."""

    title: str
    metrics: tuple[Metric, ...]


PEER: Final = "peer"

GROUPS: Final = (
    Group(
        "Does it serve",
        (
            Metric(
                "uptime_seconds",
                GAUGE,
                "Seconds since this process began to serve.",
                "it begins anew and nobody has restarted it",
                "uptime_s",
            ),
            Metric(
                "clock_seconds",
                GAUGE,
                "Its clock, in seconds since 1970.",
                "it is seconds away from the others': an order's day is by this clock",
                "time_s",
            ),
            Metric(
                "resident_memory_bytes",
                GAUGE,
                "Memory of this process, which may be several super-agents'.",
                "it comes near to what the machine has; a hundred million accounts are 11 GB",
                "rss_bytes",
            ),
            Metric(
                "disk_free_bytes",
                GAUGE,
                "Room on the journal's disk.",
                "three days more of its fall would end it; a full disk is waited out",
                "disk_free_bytes",
            ),
        ),
    ),
    Group(
        "Payments",
        (
            Metric(
                "orders_final_total",
                COUNTER,
                "Orders final on this replica: all of the network's.",
                "it stands still while slots are open",
                "final_total",
            ),
            Metric(
                "orders_refused_total",
                COUNTER,
                "Orders refused at this door, each with a reason.",
                "most of what is offered is refused: clients, or clocks, are wrong",
                "refused_total",
            ),
            Metric(
                "order_latency_seconds",
                HISTOGRAM,
                "From offered at this door to final.",
                "99 of 100 take longer than twice what they take in a quiet week",
                "latency",
            ),
            Metric(
                "orders_queued",
                GAUGE,
                "Orders that wait for a block of this super-agent.",
                "thousands for minutes: more is offered than it can carry",
                "queued",
            ),
            Metric(
                "slots_open",
                GAUGE,
                "Slots that are locked and not yet final.",
                "it stays high while nothing becomes final: too few acknowledge",
                "open_slots",
            ),
            Metric(
                "signatures_checked_total",
                COUNTER,
                "Signatures checked: one for each order of the nation.",
                NEVER,
                "signatures_checked",
            ),
        ),
    ),
    Group(
        "Ledger and journal",
        (
            Metric(
                "balances_sum_cents",
                GAUGE,
                "Sum of all balances.",
                "it is not 0: stop this super-agent",
                "total_cents",
            ),
            Metric(
                "height",
                GAUGE,
                "Height of this super-agent's own chain.",
                "it stands still: this super-agent says nothing",
                "height",
            ),
            Metric(
                "blocks_held",
                GAUGE,
                "Blocks held in memory.",
                "it grows for hours: the others do not acknowledge",
                "blocks_held",
            ),
            Metric(
                "journal_blocks_total", COUNTER, "Blocks in the journal.", NEVER, "journal_blocks"
            ),
            Metric(
                "journal_commit_seconds",
                HISTOGRAM,
                "One group commit, made durable.",
                "the half of them take longer than 50 ms: the disk is slow",
                "commits",
            ),
            Metric(
                "day_books_entries_total",
                COUNTER,
                "Entries that the books of the days have read.",
                "it stands still below `orders_final_total`: closes of this super-agent wait",
                "day_books_entries",
            ),
        ),
    ),
    Group(
        "Checkpoints",
        (
            Metric(
                "checkpoint",
                GAUGE,
                "Number of the newest checkpoint that w have signed.",
                "it is not the others'",
                "checkpoint",
            ),
            Metric(
                "checkpoint_signed_by",
                GAUGE,
                "How many super-agents have signed it.",
                "fewer than q for a day: nothing moves to the archive",
                "checkpoint_signed_by",
            ),
            Metric(
                "checkpoint_age_seconds",
                GAUGE,
                "Since there was a new one, or since the start.",
                "three times `checkpoint_minutes`",
                "checkpoint_age_s",
            ),
            Metric(
                "checkpoint_alarms",
                GAUGE,
                "Sentences about what is wrong with checkpoints; payments go on.",
                "one is enough: `/v1/status` has it",
                "checkpoint_alarms_count",
            ),
        ),
    ),
    Group(
        "Money",
        (
            Metric(
                "trust_owed_cents",
                GAUGE,
                "What all banks owe: e-money in circulation.",
                "it differs from the others' for longer than a minute",
                "trust_owed_cents",
            ),
            Metric(
                "trust_holds",
                GAUGE,
                "1 while no bank owes more than it has attested.",
                "it is 0",
                "trust_holds",
            ),
            Metric(
                "trust_largest_share_basis_points",
                GAUGE,
                "The largest part of the trust money in one bank, of 10,000.",
                "more than the regulator allows",
                "trust_largest_share_basis_points",
            ),
            Metric(
                "trust_banks_above_quarter",
                GAUGE,
                "Banks that hold more than a quarter of the trust money.",
                "it is not 0, where there are more than three banks",
                "trust_banks_above_quarter",
            ),
            Metric(
                "commissions_owed",
                GAUGE,
                "Deposits whose commission is not paid yet.",
                "it grows for an hour: most often the commission account is empty",
                "commissions_owed",
            ),
            Metric(
                "commissions_owed_cents",
                GAUGE,
                "Their commissions together.",
                "as above",
                "commissions_owed_cents",
            ),
            Metric(
                "commissions_paid_total",
                COUNTER,
                "Commissions paid by this process.",
                NEVER,
                "commissions_paid_total",
            ),
            Metric(
                "float_cents",
                GAUGE,
                "Float that this super-agent has to sell.",
                "see `float_low`",
                "float_cents",
            ),
            Metric(
                "float_low",
                GAUGE,
                "1 while that float does not last the day, or two hours.",
                "it is 1: agents will find nothing to buy",
                "float_low",
            ),
            Metric(
                "float_lasts_seconds",
                GAUGE,
                "How long it lasts at the usual rate; absent if two days.",
                "see `float_low`",
                "float_lasts_s",
            ),
        ),
    ),
    Group(
        "Customers and governance",
        (
            Metric(
                "texts_sent_total", COUNTER, "Texts that the text port took.", NEVER, "texts_sent"
            ),
            Metric(
                "texts_failed_total",
                COUNTER,
                "Times that it took none; they come again.",
                "it grows for ten minutes: customers are told nothing, and pay again",
                "texts_failed",
            ),
            Metric(
                "texts_too_old_total",
                COUNTER,
                "Texts that were not sent any more, days late.",
                "it grows",
                "texts_too_old",
            ),
            Metric(
                "texts_waiting",
                GAUGE,
                "Final orders whose texts are still to be sent.",
                "it grows with `texts_failed_total`",
                "texts_waiting",
            ),
            Metric("profiles", GAUGE, "Profiles held here, sealed.", "it falls", "profiles"),
            Metric(
                "profiles_undelivered",
                GAUGE,
                "Profiles that alternates have yet to confirm.",
                "not 0 for hours while all super-agents are up",
                "profiles_undelivered",
            ),
            Metric(
                "proposals_waiting",
                GAUGE,
                "Open proposals of governance.",
                NEVER,
                "proposals_waiting",
            ),
            Metric(
                "proposals_to_approve",
                GAUGE,
                "Those that two operators here have not approved.",
                "not 0 for half a day: each dies the day after it was made",
                "proposals_to_approve",
            ),
        ),
    ),
    Group(
        "Merchants",
        (
            Metric(
                "payment_requests_total",
                COUNTER,
                "Requests for payment that this process took, and how those kept here ended.",
                "few of those taken are paid",
                label="state",
                keys=tuple(
                    (state, f"requests_{state}")
                    for state in ("taken", "paid", "declined", "expired", "agreed")
                ),
            ),
            Metric(
                "payment_requests_waiting",
                GAUGE,
                "Requests that wait for a customer.",
                NEVER,
                "requests_waiting",
            ),
            Metric(
                "callbacks_total",
                COUNTER,
                "Tries to tell merchants' servers: delivered, failed and to be repeated, abandoned.",
                "any is abandoned; or most fail, at more than one merchant",
                label="result",
                keys=tuple(
                    (result, f"callbacks_{result}")
                    for result in ("delivered", "failed", "abandoned")
                ),
            ),
            Metric(
                "callbacks_waiting",
                GAUGE,
                "Callbacks that are still to be delivered.",
                "it grows for an hour",
                "callbacks_waiting",
            ),
            Metric(
                "instructions_waiting",
                GAUGE,
                "Instructions of merchants that have no result yet.",
                "it grows for minutes",
                "instructions_waiting",
            ),
        ),
    ),
    Group(
        "The other super-agents",
        (
            Metric(
                "peer_connected",
                GAUGE,
                "1 while the link to the peer stands; its own is always 1.",
                "0 for minutes; as many as f at 0: one more, and payments stop",
                "connected",
                PEER,
            ),
            Metric(
                "peer_convicted",
                GAUGE,
                "1 if the peer signed what no honest super-agent signs.",
                "it is 1",
                "convicted",
                PEER,
            ),
            Metric(
                "peer_height",
                GAUGE,
                "Highest block held of the peer's chain.",
                NEVER,
                "height",
                PEER,
            ),
            Metric(
                "peer_height_final",
                GAUGE,
                "Highest final block of the peer's chain.",
                "it falls behind `peer_height`: fewer than q acknowledge",
                "height_final",
                PEER,
            ),
            Metric(
                "peer_behind",
                GAUGE,
                "Blocks that the peer has not yet said it holds.",
                "it grows for minutes while the link stands",
                "behind",
                PEER,
            ),
            Metric(
                "peer_received_bytes_total",
                COUNTER,
                "Bytes received from the peer.",
                "many times the others': it floods",
                "bytes_in",
                PEER,
            ),
            Metric(
                "peer_sent_bytes_total",
                COUNTER,
                "Bytes sent to the peer.",
                NEVER,
                "bytes_out",
                PEER,
            ),
        ),
    ),
)
BUILD: Final = Metric(
    "build_info",
    GAUGE,
    "1; the labels say which super-agent of which network this is, and its version.",
    "versions differ for longer than an upgrade takes",
)
READY: Final = Metric(
    "ready", GAUGE, "1 while this super-agent serves.", "0 for minutes: `/readyz` says why not"
)


async def metrics(port: Port, request: Request) -> Answer:
    """GET /metrics: every metric of this super-agent."""
    del request
    return Answer(render(port.status()).encode(), CONTENT_TYPE)


def render(status: Mapping[str, Any]) -> str:
    """Return the text of a status; a fact that the status lacks is left out."""
    return "".join(_lines(status))


def names() -> list[str]:
    """Return the names of all families."""
    own = [metric.name for group in GROUPS for metric in group.metrics]
    return [PREFIX + name for name in (BUILD.name, READY.name, *own)]


def reference() -> Iterator[str]:
    """Yield the lines of the table of docs/metrics.md."""
    first, *others = GROUPS
    for group in (Group(first.title, (BUILD, READY, *first.metrics)), *others):
        yield from (f"## {group.title}", "", "| metric | type | says | worry when |")
        yield "|---|---|---|---|"
        for metric in group.metrics:
            labels = f"{{{metric.label}}}" if metric.label else ""
            if metric is BUILD:
                labels = "{super_agent, network, version}"
            values = ", ".join(f"`{value}`" for value, _ in metric.keys)
            says = f"{metric.says} {metric.label}: {values}." if values else metric.says
            yield f"| `{PREFIX}{metric.name}{labels}` | {metric.kind} | {says} | {metric.worry} |"
        yield ""


def _lines(status: Mapping[str, Any]) -> Iterator[str]:
    yield from _head(BUILD)
    labels = {
        "super_agent": status.get("name", ""),
        "network": status.get("network", ""),
        "version": harambee.__version__,
    }
    yield _sample(BUILD.name, labels, 1)
    yield from _head(READY)
    yield _sample(READY.name, {}, status.get("ready") is None)
    for group in GROUPS:
        for metric in group.metrics:
            if lines := list(_samples(metric, status)):
                yield from _head(metric)
                yield from lines


def _samples(metric: Metric, status: Mapping[str, Any]) -> Iterator[str]:
    if metric.label == PEER:
        for peer in status.get("peers", ()):
            if peer.get(metric.key) is not None:
                yield _sample(metric.name, {PEER: peer["name"]}, peer[metric.key])
    elif metric.keys:
        for value, key in metric.keys:
            if status.get(key) is not None:
                yield _sample(metric.name, {metric.label: value}, status[key])
    elif status.get(metric.key) is not None:
        if metric.kind == HISTOGRAM:
            yield from _buckets(metric.name, status[metric.key])
        else:
            yield _sample(metric.name, {}, status[metric.key])


def _buckets(name: str, facts: Mapping[str, Any]) -> Iterator[str]:
    """Yield a histogram's lines; `facts` are those of `harambee.node.durations`."""
    for bound, count in facts["up_to"]:
        yield _sample(f"{name}_bucket", {"le": bound}, count)
    yield _sample(f"{name}_bucket", {"le": "+Inf"}, facts["count"])
    yield _sample(f"{name}_sum", {}, facts["sum_s"])
    yield _sample(f"{name}_count", {}, facts["count"])


def _head(metric: Metric) -> Iterator[str]:
    yield f"# HELP {PREFIX}{metric.name} {metric.says}\n"
    yield f"# TYPE {PREFIX}{metric.name} {metric.kind}\n"


def _sample(name: str, labels: Mapping[str, object], value: float) -> str:
    number = int(value) if isinstance(value, bool) else value
    written = ",".join(f'{label}="{_escaped(str(text))}"' for label, text in labels.items())
    return f"{PREFIX}{name}{{{written}}} {number}\n" if written else f"{PREFIX}{name} {number}\n"


def _escaped(label: str) -> str:
    return label.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
