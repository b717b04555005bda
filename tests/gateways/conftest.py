"""A port that remembers what it was asked, and a client that drives the application directly."""

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from tests.gateways.description import VERSION, breaches_at
from tests.gateways.fake_merchants import FakeMerchants

from harambee.crypto.hashing import TAG_RECEIPT, TAG_REFUSAL, signed_prefix
from harambee.crypto.signatures import from_seed, sign
from harambee.gateways.http.app import HttpGateway
from harambee.handset.network_file import DoorAddress
from harambee.ledger.outcomes import Outcome
from harambee.ledger.records import ACCOUNT, ORDER, AccountKind, account_flags
from harambee.ledger.records import PAYEE as PAYEE_ROW
from harambee.money.tariff import shipped_tariff
from harambee.node.port import (
    EnrolmentError,
    NameAnswer,
    NameStatus,
    OrderPath,
    ProfileStatus,
    Slot,
    State,
    StatementLine,
    Submission,
)
from harambee.protocol.genesis import Genesis, GenesisDocument, MemberDocument

TODAY = 20_781
KEYS = [from_seed(bytes([index + 1]) * 32) for index in range(4)]
PAYER, PAYEE, MISSING = 16, 17, 99
NUMBER = "+254712345678"


def make_genesis() -> Genesis:
    members = [
        MemberDocument(f"agent-{index}", key.public.hex(), "00" * 32, [index])
        for index, key in enumerate(KEYS)
    ]
    document = GenesisDocument(
        1, "test", True, 0, "2026-01-01", members, [shipped_tariff().to_document()], [], [], 0, ""
    )
    return Genesis(document, b"")


@dataclass
class FakePort:
    genesis: Genesis = field(default_factory=make_genesis)
    index: int = 0
    accounts_held: dict[int, Any] = field(default_factory=dict)
    finals_held: list[bytes] = field(default_factory=list)
    shops_held: dict[int, list[int]] = field(default_factory=dict)
    places_held: dict[int, Any] = field(default_factory=dict)
    outcome: Outcome = Outcome.ACCEPTED
    state: State = State.FINAL
    not_ready: str | None = None
    submitted: list[Any] = field(default_factory=list)
    tables: list[Any] = field(default_factory=list)
    waits: list[int] = field(default_factory=list)
    fails: bool = False
    is_leaving: bool = False
    paths: dict[Any, Any] = field(default_factory=dict)
    """(payer, sequence) -> OrderPath"""
    newest_held: list[Any] = field(default_factory=list)
    digests: int = 0
    kept_evidence: dict[int, bytes] = field(default_factory=dict)
    profiles: list[bytes] = field(default_factory=list)
    profile_status: ProfileStatus = ProfileStatus.KEPT
    questions: list[bytes] = field(default_factory=list)
    holds_held: dict[Any, Any] = field(default_factory=dict)
    """(payer, sequence) -> HoldFacts"""
    open_holds: list[Any] = field(default_factory=list)
    reversals_held: dict[Any, Any] = field(default_factory=dict)
    skipped_to: int = 0
    """Of every open hold: the slots before it were closed."""
    name_answer: NameAnswer = field(
        default_factory=lambda: NameAnswer(NameStatus.KNOWN, "GIVEN F.", "0712***678")
    )

    def __post_init__(self):
        self.merchants = FakeMerchants(self.genesis.network)
        for number in (PAYER, PAYEE):
            record = np.zeros(1, ACCOUNT)
            record["key"] = number
            record["balance"] = 1000
            record["flags"] = account_flags(AccountKind.CUSTOMER)
            self.accounts_held[number] = record

    @property
    def doors(self):
        return tuple(
            DoorAddress(member.name, f"http://127.0.0.1:{8401 + index}")
            for index, member in enumerate(self.genesis.committee.members)
        )

    def today(self):
        return TODAY

    def ready(self):
        return self.not_ready

    async def submit(self, orders, possessions, wait_ms, tables=None):
        if self.fails:
            raise RuntimeError("a bug")
        self.submitted.append((orders, possessions))
        self.tables.append(tables)
        self.waits.append(wait_ms)
        outcomes = np.full(len(orders), self.outcome, np.uint8)
        return Submission(np.full(len(orders), self.state, np.uint8), outcomes)

    async def slot(self, payer, sequence, wait_ms):
        self.waits.append(wait_ms)
        for order in self.finals_held:
            row = np.frombuffer(order, ORDER)[0]
            if (row["payer"], row["sequence"]) == (payer, sequence):
                return Slot(State.FINAL, order)
        return Slot(State.UNKNOWN, None)

    async def hold(self, payer, sequence, wait_ms):
        return self.holds_held.get((payer, sequence))

    async def ending(self, key, number, wait_ms):
        self.waits.append(wait_ms)
        facts = self.holds_held.get(key)
        if facts is not None and facts.ending is not None:
            return Slot(State.FINAL, facts.ending)
        return Slot(State.SKIPPED if number < self.skipped_to else State.UNKNOWN, None)

    async def holds(self, account, limit, after):
        mine = [row for row in self.open_holds if account in (row.payer, row.terms.payee)]
        return [row for row in mine if after is None or (row.payer, row.sequence) > after][:limit]

    async def reversal(self, payer, sequence):
        return self.reversals_held.get((payer, sequence))

    async def path(self, payer, sequence):
        return self.paths.get((payer, sequence), OrderPath(State.UNKNOWN))

    async def newest(self, limit):
        return self.newest_held[:limit]

    async def payees(self, payer, sequence):
        return np.array([(PAYEE, 700)], PAYEE_ROW) if (payer, sequence) == (PAYER, 7) else None

    async def slots(self, keys):
        found = np.zeros(len(keys), ORDER)
        for place, key in enumerate(keys):
            slot = await self.slot(key["payer"], key["sequence"], 0)
            if slot.order is not None:
                found[place] = np.frombuffer(slot.order, ORDER)[0]
        return found

    async def account(self, number):
        return self.accounts_held.get(number)

    async def accounts(self, numbers):
        found = np.zeros(len(numbers), ACCOUNT)
        for place, number in enumerate(numbers):
            if int(number) in self.accounts_held:
                found[place] = self.accounts_held[int(number)][0]
        return found

    async def statement(self, number, limit, before):
        entries = range(1, len(self.finals_held) + 1)
        chosen = [e for e in reversed(entries) if before is None or e < before][:limit]
        return [
            StatementLine(e, self.finals_held[e - 1], 1, 5, -100, 900, PAYEE, 7, 2) for e in chosen
        ]

    async def shops(self, head_office):
        return np.array(self.shops_held.get(head_office, []), np.uint32)

    def agent_places(self):
        return self.places_held

    async def alias(self, alias):
        return PAYEE if alias == self.alias_of(NUMBER) else None

    def alias_of(self, msisdn):
        return msisdn.encode().ljust(32, b"\0")

    async def next_enrolment(self):
        return 1 << 20, 40

    async def enrol(self, order_body, possession, msisdn, wait_ms):
        if msisdn is not None:
            raise EnrolmentError("This number is registered already.")
        return (1 << 20) + 40

    async def keep_profile(self, signed):
        self.profiles.append(signed)
        return self.profile_status

    async def check_name(self, question):
        self.questions.append(question)
        return self.name_answer

    async def finals(self, after, limit):
        chosen = self.finals_held[after : after + limit]
        return np.frombuffer(b"".join(chosen), ORDER), after + len(chosen)

    async def digest(self):
        self.digests += 1
        return {"digest": "00", "total_cents": 0, "entries": 0, "heads": [], "accounts": 2}

    async def evidence(self):
        return self.kept_evidence

    def receipt(self, order_id):
        prefix = signed_prefix(TAG_RECEIPT, self.genesis.network) + bytes(4)
        return sign(KEYS[self.index], prefix + order_id + b"\0")

    def refusal(self, order_id, outcome, day):
        prefix = signed_prefix(TAG_REFUSAL, self.genesis.network) + bytes(4)
        said = order_id + bytes([outcome]) + day.to_bytes(2, "little")
        return sign(KEYS[self.index], prefix + said)

    def status(self):
        peer = {
            "name": 'a"b',
            "index": 1,
            "connected": True,
            "height": 7,
            "height_final": 6,
            "behind": 0,
            "bytes_in": 1,
            "bytes_out": 2,
        }
        return {
            "name": "agent-0",
            "index": 0,
            "network": self.genesis.network.hex(),
            "ready": self.not_ready,
            "uptime_s": 5,
            "final_total": 3,
            "refused_total": 1,
            "finals_per_second": 2.5,
            "latency_ms_p50": None,
            "latency_ms_p99": 90.0,
            "latency": {"up_to": [(0.1, 2), (1.0, 3)], "count": 3, "sum_s": 0.4},
            "commits": None,
            "requests_taken": 5,
            "height": 8,
            "queued": 0,
            "open_slots": 0,
            "blocks_held": 4,
            "journal_blocks": 12,
            "total_cents": 0,
            "peers": [peer],
            "signatures_checked": 9,
            "fsync_ms_p50": 1.5,
            "rss_bytes": 1000,
            "commissions_owed": 7,
            "float_low": True,
            "float_lasts_s": None,
        }


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def document(self):
        return json.loads(self.body)

    @property
    def code(self):
        assert self.headers["content-type"] == "application/problem+json"
        return self.document["code"]


class Client:
    """Speaks ASGI to the application, one request at a time."""

    def __init__(self, port):
        self.port = port
        self.application = HttpGateway(port, VERSION)
        self.lies = False
        """Whether the port says what no super-agent says."""

    async def ask(self, method, path, body=b"", content_type=None, query=b"", chunks=None, sent=()):
        if not isinstance(body, bytes):
            body, content_type = json.dumps(body).encode(), content_type or "application/json"
        headers = [(name.encode(), value.encode()) for name, value in sent]
        headers += [(b"content-type", content_type.encode())] if content_type else []
        pieces = [body] if chunks is None else list(chunks)
        incoming = [
            {"type": "http.request", "body": piece, "more_body": place < len(pieces) - 1}
            for place, piece in enumerate(pieces)
        ]
        answered = []

        async def receive():
            return incoming.pop(0) if incoming else {"type": "http.disconnect"}

        async def send(message):
            answered.append(message)

        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": query,
            "headers": headers,
        }
        await self.application(scope, receive, send)
        start, end = answered
        headers_back = {name.decode(): value.decode() for name, value in start["headers"]}
        reply = Reply(start["status"], headers_back, end["body"])
        # Whatever a test is about, no answer is other than the description says.
        if method != "HEAD" and not self.lies:
            assert breaches_at(method, path, reply) == []
        return reply


@pytest.fixture
def port():
    return FakePort()


@pytest.fixture
def client(port):
    return Client(port)


@pytest.fixture
def order():
    """One order's bytes; the port does not look at the signature."""
    row = np.zeros(1, ORDER)
    row["payer"], row["payee"], row["amount"], row["sequence"] = PAYER, PAYEE, 500, 7
    row["kind"], row["tariff"], row["day"] = 1, 1, TODAY
    row["signature"] = 3
    return row.tobytes()


@pytest.fixture(scope="module")
def make_client():
    """A fresh port and client for every example of a property."""
    return lambda: Client(FakePort())
