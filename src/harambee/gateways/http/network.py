"""The network and this super-agent, as anyone may see them: committee, tariffs, digest, health."""

import asyncio
from typing import Any

import msgspec

from harambee.gateways.http.answers import TEXT, Answer, Hex, json_answer, text_answer
from harambee.gateways.http.problems import ProblemError
from harambee.gateways.http.requests import Request
from harambee.node.port import Port


class MemberRow(msgspec.Struct):
    """A super-agent, and the key by which it signs."""

    index: int
    name: str
    key: Hex


class CommitteeDocument(msgspec.Struct):
    """Who the super-agents are, and how many make a quorum."""

    n: int
    f: int
    q: int
    w: int
    members: list[MemberRow]


class DoorRow(msgspec.Struct):
    """Where a super-agent serves handsets: a URL without a slash at its end."""

    name: str
    http: str


class NetworkDocument(msgspec.Struct):
    """The network, and which of its super-agents answers; `doors` stand in the committee's order."""

    network: Hex
    name: str
    development: bool
    epoch: int
    regions: int
    committee: CommitteeDocument
    tariffs: list[dict[str, Any]]
    super_agent: int
    name_of_super_agent: str
    today: int
    software_version: str
    doors: list[DoorRow]


class DigestDocument(msgspec.Struct):
    """A digest over every byte of every account, and where in time it was taken."""

    digest: Hex
    total_cents: int
    entries: int
    heads: list[int]
    accounts: int


def network_document(port: Port, version: str) -> NetworkDocument:
    """Return who the super-agents are, how many make a quorum, and which tariffs are in force."""
    genesis = port.genesis
    committee = genesis.committee
    return NetworkDocument(
        network=genesis.network.hex(),
        name=genesis.document.name,
        development=genesis.document.development,
        epoch=committee.epoch,
        regions=genesis.regions,
        committee=CommitteeDocument(
            n=committee.n,
            f=committee.f,
            q=committee.q,
            w=committee.w,
            members=[
                MemberRow(index, member.name, member.key.hex())
                for index, member in enumerate(committee.members)
            ],
        ),
        tariffs=genesis.document.tariffs,
        super_agent=port.index,
        name_of_super_agent=committee.members[port.index].name,
        today=port.today(),
        software_version=version,
        doors=[DoorRow(door.name, door.http) for door in port.doors],
    )


class NetworkDesk:
    """Answers GET /v1/network with the version of this software."""

    def __init__(self, version: str) -> None:
        self._version = version

    async def network(self, port: Port, request: Request) -> Answer:
        """GET /v1/network: who the super-agents are, how many make a quorum, and the first tariffs."""
        del request
        return json_answer(network_document(port, self._version))


async def genesis(port: Port, request: Request) -> Answer:
    """GET /v1/genesis: the document of which the network's id is the hash, byte for byte."""
    del request
    return Answer(port.genesis.canonical)


class DigestDesk:
    """Answers GET /v1/digest: however many ask at once, the ledger is hashed once for all."""

    def __init__(self) -> None:
        self._running: asyncio.Task[dict[str, Any]] | None = None

    async def digest(self, port: Port, request: Request) -> Answer:
        """GET /v1/digest: the digest over every byte of every account, and where in time it was taken."""
        del request
        if self._running is None or self._running.done():
            self._running = asyncio.ensure_future(port.digest())
        return json_answer(await asyncio.shield(self._running))


async def front(port: Port, request: Request) -> Answer:
    """GET /: to the console, which every super-agent serves."""
    del port, request
    return Answer(b"", TEXT, 307, ((b"location", b"/console/"),))


async def status(port: Port, request: Request) -> Answer:
    """GET /v1/status: live facts, as the console shows them."""
    del request
    return json_answer(port.status())


async def live(port: Port, request: Request) -> Answer:
    """GET /livez: this process answers."""
    del port, request
    return text_answer("alive\n")


async def ready(port: Port, request: Request) -> Answer:
    """GET /readyz: this super-agent serves, or a sentence that says why not yet."""
    del request
    reason = port.ready()
    if reason is not None:
        raise ProblemError(503, "NOT_READY", reason)
    return text_answer("ready\n")
