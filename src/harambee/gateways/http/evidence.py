"""Evidence against super-agents, as anyone may fetch and check it."""

import msgspec

from harambee.gateways.http.answers import Answer, json_answer, octets_answer
from harambee.gateways.http.problems import not_found
from harambee.gateways.http.requests import Request
from harambee.node.port import Port
from harambee.protocol.evidence import read_evidence
from harambee.protocol.malformed import Malformed


class EvidenceRow(msgspec.Struct):
    """A super-agent that has signed what no honest one signs."""

    super_agent: int
    name: str
    why: str


class EvidenceDocument(msgspec.Struct):
    """Whom this super-agent has convicted."""

    evidence: list[EvidenceRow]


async def listed(port: Port, request: Request) -> Answer:
    """GET /v1/evidence: whom this super-agent has convicted, and why."""
    del request
    return json_answer(EvidenceDocument(await convicted(port)))


async def convicted(port: Port) -> list[EvidenceRow]:
    """Return whom a super-agent has convicted, and why."""
    committee = port.genesis.committee
    items = []
    for culprit, content in sorted((await port.evidence()).items()):
        found = read_evidence(content, port.genesis.network, committee)
        if not isinstance(found, Malformed):
            name = committee.members[culprit].name
            items.append(EvidenceRow(culprit, name, found.why))
    return items


async def file(port: Port, request: Request) -> Answer:
    """GET /v1/evidence/{super_agent}: the file that convicts it."""
    culprit = request.captured_number(0, "super_agent")
    content = (await port.evidence()).get(culprit)
    if content is None:
        raise not_found("EVIDENCE_UNKNOWN", "This super-agent keeps no evidence against that one.")
    return octets_answer(content)
