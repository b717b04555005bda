"""GET /metrics: the facts of `Port.status()` in Prometheus's text format 0.0.4, written by hand.

A client library would bring a registry and locks for what is one pure function of one value. No
label and no value here names a customer, an account or an order.
"""

from collections.abc import Iterator
from typing import Any, Final

from harambee.gateways.http.answers import Answer
from harambee.gateways.http.requests import Request
from harambee.node.port import Port

CONTENT_TYPE: Final = b"text/plain; version=0.0.4; charset=utf-8"

# Metric, type, key in the status, help. Keys in milliseconds are named so, as Prometheus's own
# convention of seconds would need a division and would say nothing more.
_OWN: Final = (
    ("uptime_seconds", "gauge", "uptime_s", "Seconds since this process began to serve."),
    ("orders_final_total", "counter", "final_total", "Orders final on this replica."),
    ("orders_refused_total", "counter", "refused_total", "Orders refused at this door."),
    ("orders_final_per_second", "gauge", "finals_per_second", "Orders that became final lately."),
    ("order_latency_p50_milliseconds", "gauge", "latency_ms_p50", "Offered to final, median."),
    ("order_latency_p99_milliseconds", "gauge", "latency_ms_p99", "Offered to final, 99th of 100."),
    ("height", "gauge", "height", "Height of this super-agent's own chain."),
    ("orders_queued", "gauge", "queued", "Orders waiting for a block of this super-agent."),
    ("slots_open", "gauge", "open_slots", "Slots locked and not yet final."),
    ("blocks_held", "gauge", "blocks_held", "Blocks held in memory."),
    ("journal_blocks_total", "counter", "journal_blocks", "Blocks in the journal."),
    ("balances_sum_cents", "gauge", "total_cents", "Sum of all balances; always zero."),
    ("signatures_checked_total", "counter", "signatures_checked", "Signatures checked."),
    ("journal_fsync_p50_milliseconds", "gauge", "fsync_ms_p50", "One group commit, median."),
    ("texts_sent_total", "counter", "texts_sent", "Texts that the text port took."),
    ("texts_failed_total", "counter", "texts_failed", "Times that it did not; they come again."),
    ("texts_too_old_total", "counter", "texts_too_old", "Texts not sent any more, days late."),
    ("texts_waiting", "gauge", "texts_waiting", "Final orders whose texts are still to be sent."),
    ("profiles", "gauge", "profiles", "Profiles held here, sealed."),
    (
        "profiles_undelivered",
        "gauge",
        "profiles_undelivered",
        "Profiles that alternates have yet to confirm.",
    ),
    ("proposals_waiting", "gauge", "proposals_waiting", "Open proposals of governance."),
    (
        "proposals_to_approve",
        "gauge",
        "proposals_to_approve",
        "Those that two operators here have not approved.",
    ),
    ("checkpoint", "gauge", "checkpoint", "Number of the newest checkpoint that w have signed."),
    (
        "checkpoint_signed_by",
        "gauge",
        "checkpoint_signed_by",
        "How many super-agents have signed it.",
    ),
    (
        "checkpoint_age_seconds",
        "gauge",
        "checkpoint_age_s",
        "Since there was a new one, or since the start.",
    ),
    (
        "checkpoint_alarms",
        "gauge",
        "checkpoint_alarms_count",
        "What is wrong with checkpoints; payments go on.",
    ),
    ("resident_memory_bytes", "gauge", "rss_bytes", "Memory of this process."),
    ("commissions_owed", "gauge", "commissions_owed", "Deposits whose commission is not paid yet."),
    ("commissions_owed_cents", "gauge", "commissions_owed_cents", "Their commissions together."),
    (
        "commissions_paid_total",
        "counter",
        "commissions_paid_total",
        "Commissions paid by this process.",
    ),
    ("float_cents", "gauge", "float_cents", "Float that this super-agent has to sell."),
    ("float_low", "gauge", "float_low", "1 while that float does not last the day, or two hours."),
    (
        "float_lasts_seconds",
        "gauge",
        "float_lasts_s",
        "At the usual rate; absent if it lasts two days.",
    ),
    (
        "trust_owed_cents",
        "gauge",
        "trust_owed_cents",
        "What all banks owe: e-money in circulation.",
    ),
    ("trust_holds", "gauge", "trust_holds", "1 while no bank owes more than it has attested."),
    (
        "trust_largest_share_basis_points",
        "gauge",
        "trust_largest_share_basis_points",
        "The largest part of the trust money in one bank, of 10,000.",
    ),
    (
        "trust_banks_above_quarter",
        "gauge",
        "trust_banks_above_quarter",
        "Banks that hold more than a quarter of the trust money.",
    ),
    (
        "day_books_entries_total",
        "counter",
        "day_books_entries",
        "Entries in the books of the days.",
    ),
)
_PEERS: Final = (
    ("peer_connected", "gauge", "connected", "1 while the link to the peer stands."),
    ("peer_height", "gauge", "height", "Highest block held of the peer's chain."),
    ("peer_height_final", "gauge", "height_final", "Highest final block of the peer's chain."),
    ("peer_behind", "gauge", "behind", "Blocks that the peer has not yet said it holds."),
    ("peer_received_bytes_total", "counter", "bytes_in", "Bytes received from the peer."),
    ("peer_sent_bytes_total", "counter", "bytes_out", "Bytes sent to the peer."),
)


async def metrics(port: Port, request: Request) -> Answer:
    """GET /metrics: every metric of this super-agent."""
    del request
    return Answer(render(port.status()).encode(), CONTENT_TYPE)


def render(status: dict[str, Any]) -> str:
    """Return the text of a status; a fact that the status lacks is left out."""
    return "".join(_lines(status))


def _lines(status: dict[str, Any]) -> Iterator[str]:
    yield from _head("ready", "gauge", "1 while this super-agent serves.")
    yield _sample("ready", "", status.get("ready") is None)
    for name, kind, key, text in _OWN:
        if status.get(key) is not None:
            yield from _head(name, kind, text)
            yield _sample(name, "", status[key])
    peers = status.get("peers", [])
    for name, kind, key, text in _PEERS:
        yield from _head(name, kind, text)
        for peer in peers:
            if peer.get(key) is not None:
                yield _sample(name, f'{{peer="{_escaped(str(peer["name"]))}"}}', peer[key])


def _head(name: str, kind: str, text: str) -> Iterator[str]:
    yield f"# HELP harambee_{name} {text}\n"
    yield f"# TYPE harambee_{name} {kind}\n"


def _sample(name: str, labels: str, value: float) -> str:
    number = int(value) if isinstance(value, bool) else value
    return f"harambee_{name}{labels} {number}\n"


def _escaped(label: str) -> str:
    return label.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
