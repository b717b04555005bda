"""What others say: this super-agent itself, if it runs, its peers, and everybody's clock.

Only `/v1/status` is asked for, which anybody may. What comes is bounded, and believed no further than for a
sentence to an operator.
"""

import http.client
import socket
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import median
from typing import Final
from urllib.parse import urlsplit

import msgspec

from harambee.node.config import Address
from harambee.node.doctor.findings import Finding, fine, look, wrong
from harambee.node.network_folder import MemberAddress
from harambee.protocol.committee import Committee

SERVICE = "service"
PEERS = "other super-agents"
CLOCK = "clock"

PATIENCE_S: Final = 3.0
STATUS_BYTES_MAX: Final = 4 << 20
ASKED_AT_ONCE: Final = 16
CLOCK_OFF_S: Final = 5.0
TEXTS_WAITING_MANY: Final = 10_000


class Status(msgspec.Struct):
    """What is looked at of a super-agent's status."""

    name: str
    network: str
    ready: str | None = None
    time_s: float | None = None
    total_cents: int = 0
    texts_waiting: int = 0
    checkpoint_alarms: list[str] = []


@dataclass(frozen=True, slots=True)
class Heard:
    """What came of asking one super-agent."""

    name: str
    unreached: str | None
    """Why its port for super-agents cannot be reached; None where it can."""
    status: Status | None
    ahead_s: float | None
    """How far its clock is ahead of ours; None where it does not say."""


def read_status(content: bytes) -> Status | None:
    """Return what a door says of itself; None where that is no status."""
    try:
        return msgspec.json.decode(content, type=Status)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def ask_status(url: str) -> Status | None:
    """Ask a door for its status; None where nobody answers with one in time."""
    found = urlsplit(url)
    kind = http.client.HTTPSConnection if found.scheme == "https" else http.client.HTTPConnection
    connection = kind(found.hostname or "", found.port, timeout=PATIENCE_S)
    try:
        connection.request("GET", f"{found.path}/v1/status")
        answer = connection.getresponse()
        content = answer.read(STATUS_BYTES_MAX + 1)
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
    is_status = answer.status == http.client.OK and len(content) <= STATUS_BYTES_MAX
    return read_status(content) if is_status else None


def ask_all(addresses: Sequence[MemberAddress]) -> list[Heard]:
    """Ask these super-agents, several at a time."""
    with ThreadPoolExecutor(ASKED_AT_ONCE) as asking:
        return list(asking.map(_ask, addresses))


def _ask(member: MemberAddress) -> Heard:
    began = time.time()
    status = ask_status(member.http)
    ahead_s = None
    if status is not None and status.time_s is not None:
        # It looked at its clock somewhere between question and answer.
        ahead_s = status.time_s - (began + time.time()) / 2
    return Heard(member.name, _unreached(member.peer), status, ahead_s)


def _unreached(address: Address) -> str | None:
    try:
        socket.create_connection(address, timeout=PATIENCE_S).close()
    except OSError as error:
        return error.strerror or str(error) or "no answer in time"
    return None


def service(status: Status | None, name: str, network: str) -> Iterator[Finding]:
    """Say whether this super-agent runs and serves; `status` is that of its own door."""
    if status is None:
        yield look(SERVICE, f"{name} does not run.", "start it, if it should")
        return
    if (status.name, status.network) != (name, network):
        yield wrong(
            SERVICE,
            f"Somebody else answers where {name} should listen to handsets.",
            "mend listen_http in node.toml, or stop the other one",
        )
        return
    findings = list(_troubles(status))
    yield from findings or [fine(SERVICE, f"{name} runs and serves.")]


def _troubles(status: Status) -> Iterator[Finding]:
    if status.ready is not None:
        yield wrong(SERVICE, status.ready, "see docs/operating.md for this sentence")
    if status.total_cents:
        yield wrong(
            SERVICE,
            f"All balances add up to {status.total_cents} cents and not to zero.",
            "stop it and keep its folder: its memory or disk is damaged",
        )
    for alarm in status.checkpoint_alarms[:8]:
        yield look(SERVICE, alarm[:500], "see docs/operating.md for this sentence")
    if status.texts_waiting > TEXTS_WAITING_MANY:
        yield look(
            SERVICE, f"{status.texts_waiting:,} texts wait to be sent.", "mend the text port"
        )


def peers(heard: Sequence[Heard], committee: Committee) -> Iterator[Finding]:
    """Say who cannot be reached; `heard` are all but this super-agent."""
    missing = [one for one in heard if one.unreached is not None]
    for one in missing:
        yield look(
            PEERS,
            f"{one.name} cannot be reached: {one.unreached}.",
            "ask its operator; a new address belongs into addresses.json",
        )
    if len(missing) > committee.f:
        yield wrong(
            PEERS,
            f"{len(missing)} of {len(heard)} others cannot be reached, and {committee.f} may be "
            "missing: nothing becomes final here.",
            "if they see each other, this machine's network is at fault",
        )
    if not missing:
        yield fine(PEERS, f"All {len(heard)} others can be reached.")


def clock(heard: Sequence[Heard]) -> Iterator[Finding]:
    """Hold this machine's clock against the others'."""
    told = {one.name: one.ahead_s for one in heard if one.ahead_s is not None}
    if not told:
        yield look(CLOCK, "Nobody says what time it is.", "see `timedatectl`")
        return
    middle_s = median(told.values())
    if abs(middle_s) > CLOCK_OFF_S:
        way = "behind" if middle_s > 0 else "ahead of"
        yield wrong(
            CLOCK,
            f"This machine's clock is {abs(middle_s):,.0f} seconds {way} the others'.",
            "mend its time service: `timedatectl`; days of orders are by this clock",
        )
        return
    off = {name: ahead for name, ahead in told.items() if abs(ahead - middle_s) > CLOCK_OFF_S}
    for name, ahead_s in off.items():
        way = "ahead of" if ahead_s > middle_s else "behind"
        yield look(
            CLOCK,
            f"The clock of {name} is {abs(ahead_s - middle_s):,.0f} seconds {way} the others'.",
            "tell its operator",
        )
    if not off:
        yield fine(CLOCK, f"{len(told)} others have the same time.")
