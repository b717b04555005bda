"""Governance at a super-agent's HTTP door: what is asked of the port, and what strangers get."""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.gateways.conftest import PAYEE, TODAY, Client, FakePort
from tests.gateways.test_http import JSON_VALUES

from harambee.ledger.kinds import OrderKind
from harambee.ledger.outcomes import Outcome
from harambee.ledger.payees import TARIFF_BYTES_MAX, document_digest
from harambee.ledger.records import ORDER
from harambee.ledger.side_tables import Attestation, KeyRequest
from harambee.money.tariff import shipped_tariff
from harambee.node.port import GovernanceError, Governed, ProposalView

ID = bytes(range(32))


def freeze():
    row = np.zeros(1, ORDER)
    row["kind"], row["payee"], row["amount"] = OrderKind.FREEZE, PAYEE, 500
    row["payer"], row["day"] = 1 << 20, TODAY
    return row.tobytes()


def view(**changes):
    fields: dict[str, Any] = {
        "id": ID,
        "order": freeze(),
        "possession": None,
        "content": None,
        "seen_ms": 5,
        "dies_after": TODAY + 1,
        "approvals": ("first",),
        "carried": (0, 2),
        "state": "waiting",
        "outcome": Outcome.ACCEPTED,
    }
    return ProposalView(**fields | changes)


@dataclass
class GoverningPort(FakePort):
    views: list[Any] = field(default_factory=lambda: [view()])
    asked: list[Any] = field(default_factory=list)
    refuses: GovernanceError | None = None

    def answer(self, *asked):
        self.asked.append(asked)
        if self.refuses is not None:
            raise self.refuses
        return self.views[0]

    async def proposals(self):
        return self.views

    async def proposal(self, name):
        return self.answer(name)

    async def propose(self, order, possession, content, operator, approval):
        return self.answer(order, possession, content, operator, approval)

    async def approve(self, name, operator, approval):
        return self.answer(name, operator, approval)

    async def governed(self, number):
        if number != PAYEE:
            return None
        wanted = KeyRequest(3, b"k" * 32, 0, TODAY)
        return Governed(4, wanted, Attestation(1, 900, TODAY), None)

    async def tariff_slot(self):
        return 6

    async def tariffs(self):
        return [(0, shipped_tariff()), (TODAY + 3, shipped_tariff(2))]


@pytest.fixture
def port():
    return GoverningPort()


@pytest.fixture
def client(port):
    return Client(port)


def ask(client, *arguments, **named):
    return asyncio.run(client.ask(*arguments, **named))


PATH = "/v1/governance/proposals"
APPROVAL = {"operator": "first", "signature": "ab" * 64}


def test_what_is_proposed_is_told_in_words(client):
    (told,) = ask(client, "GET", PATH).document["proposals"]
    assert told["what"] == f"Freeze Ksh5.00 of account {PAYEE}."
    assert told["sentence"] == "It waits: 2 of 3 super-agents have voted for it."
    assert (told["voted"], told["votes_needed"]) == (["agent-0", "agent-2"], 3)
    assert (told["approved_by"], told["state"], told["proposed_by"]) == (
        ["first"],
        "waiting",
        "agent-1",
    )


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"outcome": Outcome.SUBJECT_STATE_WRONG}, "It would break a rule now: The account is not"),
        ({"state": "final", "outcome": None}, "It is final."),
        ({"state": "dead", "outcome": None}, "It was not final in its days"),
        ({"state": "replaced", "outcome": None}, "Another order, or none, became final"),
    ],
)
def test_what_became_of_it_is_said_in_a_sentence(client, port, changes, sentence):
    port.views = [view(**changes)]
    assert ask(client, "GET", f"{PATH}/{ID.hex()}").document["sentence"].startswith(sentence)


def test_an_operator_proposes_an_act_by_its_fields(client, port):
    document = {
        "order": {
            "kind": "freeze",
            "payer": 1 << 20,
            "payee": PAYEE,
            "amount_cents": 500,
            "sequence": 0,
            "day": TODAY,
        },
        "approval": APPROVAL,
    }
    reply = ask(client, "POST", PATH, document)
    assert reply.status == 201
    assert port.asked == [(freeze(), None, None, "first", b"\xab" * 64)]


def test_a_tariff_comes_with_its_document_and_is_named_by_its_digest(client, port):
    content = shipped_tariff(2).to_bytes()
    order = {"kind": "new_tariff", "payer": 0, "payee": 0, "sequence": 0, "tariff": 3, "day": TODAY}
    document = {"order": order, "document": content.decode(), "approval": APPROVAL}
    assert ask(client, "POST", PATH, document).status == 201
    ((written, _, brought, *_),) = port.asked
    row = np.frombuffer(written, ORDER)[0]
    assert (row["reference"].tobytes(), brought) == (document_digest(content), content)


def test_an_approval_is_counted_by_the_port(client, port):
    assert ask(client, "POST", f"{PATH}/{ID.hex()}/approvals", APPROVAL).status == 200
    assert port.asked == [(ID, "first", b"\xab" * 64)]


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("PROPOSAL_UNKNOWN", 404),
        ("APPROVAL_INVALID", 403),
        ("PROPOSALS_FULL", 429),
        ("APPROVED_ALREADY", 409),
        ("RULE_BROKEN", 409),
    ],
)
def test_what_does_not_count_says_why(client, port, code, status):
    port.refuses = GovernanceError(code, "One sentence.")
    reply = ask(client, "POST", f"{PATH}/{ID.hex()}/approvals", APPROVAL)
    assert (reply.status, reply.code, reply.document["detail"]) == (status, code, "One sentence.")


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ({"order": {"bytes": "00" * 128}}, "NOT_GOVERNED"),
        ({"order": {"bytes": freeze().hex(), "payees": []}}, "FIELD_UNKNOWN"),
        ({"order": {"bytes": "00" * 127}}, "HEX_INVALID"),
        ({"order": {"bytes": freeze().hex()}, "document": 7}, "DOCUMENT_INVALID"),
        ({"order": {"bytes": freeze().hex()}, "document": ""}, "DOCUMENT_TOO_LARGE"),
        (
            {"order": {"bytes": freeze().hex()}, "document": "x" * (TARIFF_BYTES_MAX + 1)},
            "DOCUMENT_TOO_LARGE",
        ),
        (
            {"order": {"bytes": freeze().hex()}, "approval": {"operator": "", "signature": ""}},
            "OPERATOR_INVALID",
        ),
        (
            {"order": {"bytes": freeze().hex()}, "approval": APPROVAL | {"signature": "ab"}},
            "HEX_INVALID",
        ),
        ({"order": {}}, "KIND_UNKNOWN"),
        ({}, "BODY_INVALID"),
    ],
)
def test_what_is_no_proposal_is_refused(client, port, document, code):
    reply = ask(client, "POST", PATH, document)
    assert 400 <= reply.status < 500
    assert reply.code in (code, "NUMBER_INVALID")
    assert not port.asked


def test_what_of_an_account_is_governed(client):
    told = ask(client, "GET", f"/v1/governance/accounts/{PAYEE}").document
    assert told["key_request"] == {
        "slot": 3,
        "key": (b"k" * 32).hex(),
        "options": 0,
        "first_day": TODAY,
    }
    assert (told["next_slot"], told["attestation"]["cents"]) == (4, 900)
    assert ask(client, "GET", "/v1/governance/accounts/5").code == "ACCOUNT_UNKNOWN"
    assert ask(client, "GET", "/v1/governance/tariff").document == {"next_slot": 6}


def test_tariffs_are_told_with_their_days_and_their_documents(client):
    rows = ask(client, "GET", "/v1/tariffs").document["tariffs"]
    assert [(row["version"], row["first_day"]) for row in rows] == [(1, 0), (2, TODAY + 3)]
    document = ask(client, "GET", "/v1/tariffs/2").body
    assert document_digest(document).hex() == rows[1]["digest"]
    assert ask(client, "GET", "/v1/tariffs/3").code == "TARIFF_UNKNOWN"
    assert ask(client, "GET", "/v1/tariffs/x").code == "NUMBER_INVALID"


FIELDS = st.dictionaries(
    st.sampled_from(["kind", "payer", "payee", "amount_cents", "bytes", "possession", "reference"]),
    JSON_VALUES | st.sampled_from(["freeze", "new_tariff", freeze().hex(), "ab" * 64]),
)


@given(
    path=st.sampled_from([PATH, f"{PATH}/{ID.hex()}/approvals", f"{PATH}/x/approvals"]),
    order=FIELDS | JSON_VALUES,
    document=JSON_VALUES,
    approval=JSON_VALUES
    | st.fixed_dictionaries({"operator": JSON_VALUES, "signature": JSON_VALUES}),
)
def test_whatever_a_stranger_proposes_is_never_our_fault(path, order, document, approval):
    port = GoverningPort()
    body = {"order": order, "document": document, "approval": approval}
    if path != PATH:
        body = approval if isinstance(approval, dict) else body
    reply = ask(Client(port), "POST", path, json.dumps(body).encode(), "application/json")
    assert reply.status < 500
    if reply.status >= 400:
        assert reply.document["detail"]
        assert reply.code == reply.document["code"]
