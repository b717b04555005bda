"""Governance in a network of processes: q super-agents, each by two of its operators, and nobody else."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests.accept.quiet_network import get, post, submit, until
from tests.accept.test_up_and_pay import harambee

import harambee as harambee_package
from harambee.crypto.keyfiles import read_key_file
from harambee.handset.approvals import sign_approval
from harambee.handset.doors import open_doors
from harambee.handset.network_file import read_network
from harambee.handset.orders import OrderBody, order_id, today
from harambee.handset.tariffs import tariff_of_day
from harambee.ledger.house_rules import TARIFF_DAYS
from harambee.ledger.kinds import OrderKind
from harambee.ledger.payees import document_digest
from harambee.money.tariff import Tariff

pytestmark = [pytest.mark.accept, pytest.mark.timeout(300)]

FIRST, SECOND = "first", "second"
SCHEDULE = Path(harambee_package.__file__).parent / "money" / "schedules" / "2.toml"


class Operators:
    """The operators of every super-agent, and what they do at its door."""

    def __init__(self, quiet):
        self.quiet = quiet
        self.folder = quiet.running.folder
        self.network = self.folder.genesis.network

    def approval(self, at, who, name, counts_at=None):
        key = read_key_file(self.folder.operator_file(at, who)).keypair
        return sign_approval(key, self.network, at if counts_at is None else counts_at, name)

    def body(self, kind, account, cents=0, by=None, **changes):
        document = get(self.quiet.urls[0], f"/v1/governance/accounts/{account}").document
        payer = document["enrolment_account"] if by is None else by << 20
        fields = {"sequence": document["next_slot"], "day": today(), "tariff": 1} | changes
        return OrderBody(
            payer=payer, payee=account, amount_cents=cents, fee_cents=0, kind=kind, **fields
        )

    def propose(self, at, body, who=FIRST, **more):
        written = body.to_bytes()
        name = order_id(self.network, written)
        document = {
            "order": {"bytes": (written + bytes(64)).hex()},
            "approval": {"operator": who, "signature": self.approval(at, who, name).hex()},
        }
        answer = post(self.quiet.urls[at], "/v1/governance/proposals", document | more)
        assert answer.status == 201, answer.body
        return name

    def approve(self, at, name, who, **how):
        document = {"operator": who, "signature": self.approval(at, who, name, **how).hex()}
        path = f"/v1/governance/proposals/{name.hex()}/approvals"
        return post(self.quiet.urls[at], path, document)

    def approve_all(self, name, *super_agents):
        """Both operators of each, once it has heard of the proposal."""
        for at in super_agents:
            until(lambda at=at: self.seen(at, name), lambda at=at: f"{at} never heard of it")
            for who in (FIRST, SECOND):
                answer = self.approve(at, name, who)
                assert answer.status == 200 or answer.document["code"] in (
                    "APPROVED_ALREADY",
                    "PROPOSAL_ENDED",
                ), answer.body

    def seen(self, at, name):
        answer = get(self.quiet.urls[at], f"/v1/governance/proposals/{name.hex()}")
        return answer.document if answer.status == 200 else None

    def ends(self, name, state, *super_agents):
        until(
            lambda: all((self.seen(at, name) or {}).get("state") == state for at in super_agents),
            lambda: str([self.seen(at, name) for at in super_agents]),
        )


@pytest.fixture
def operators(quiet):
    return Operators(quiet)


def status_of(quiet, door, account):
    return get(quiet.urls[door], f"/v1/accounts/{account}").document["status"]


def test_a_freeze_waits_for_q_and_then_holds_on_every_replica(quiet, operators):
    ann, ben = quiet.customer(), quiet.customer()
    freeze = operators.body(OrderKind.FREEZE, ann.account)
    home = freeze.payer >> 20
    name = operators.propose(home, freeze)
    others = [at for at in range(4) if at != home]
    assert operators.seen(others[0], name) is None, "one operator alone makes nobody carry it"
    operators.approve_all(name, home, others[0])
    until(
        lambda: len(operators.seen(others[2], name)["voted"]) == 2,
        lambda: str(operators.seen(others[2], name)),
    )
    for sequence in range(4):
        quiet.pay(sequence, ann, ben, sequence)
        assert status_of(quiet, sequence, ann.account) == "active"
    down = others[2]
    quiet.running.kill(quiet.names[down])
    operators.approve_all(name, others[1])
    operators.ends(name, "final", home, *others[:2])
    quiet.running.restart(quiet.names[down])
    quiet.running.wait_ready((quiet.names[down],))
    operators.ends(name, "final", down)
    for at in range(4):
        quiet.running.kill(quiet.names[at])
    for at in range(4):
        quiet.running.restart(quiet.names[at])
    quiet.running.wait_ready(quiet.names)
    assert [status_of(quiet, at, ann.account) for at in range(4)] == ["frozen"] * 4
    order = quiet.sign(ann, quiet.body(ann, ben.account, 100_00, sequence=4))
    for at in range(4):
        (fate,) = submit(quiet.urls[at], [order])
        assert (fate["state"], fate["outcome"]) == ("refused", "PAYER_NOT_ACTIVE")
    assert quiet.state()["total_cents"] == 0


def test_approvals_outlive_a_crash_and_are_carried_out_after_it(quiet, operators):
    ann = quiet.customer()
    freeze = operators.body(OrderKind.FREEZE, ann.account, 100_00)
    home = freeze.payer >> 20
    name = operators.propose(home, freeze)
    _, said, _ = command(quiet, "proposals", "--json")  # only its own super-agent knows it yet
    assert name.hex() in {row["id"] for row in json.loads(said)["proposals"]}
    for who in (None, SECOND):
        if who is not None:
            assert operators.approve(home, name, who).status == 200
        quiet.running.kill(quiet.names[home])
        quiet.running.restart(quiet.names[home])
        quiet.running.wait_ready((quiet.names[home],))
        assert operators.seen(home, name)["approved_by"] == [FIRST, SECOND][: 1 + (who is not None)]
    operators.approve_all(name, *[at for at in range(4) if at != home])
    operators.ends(name, "final", *range(4))
    assert get(quiet.urls[0], f"/v1/accounts/{ann.account}").document["frozen_cents"] == 100_00


def test_no_approval_counts_twice_elsewhere_forged_or_for_another_order(quiet, operators):
    ann = quiet.customer()
    freeze = operators.body(OrderKind.FREEZE, ann.account)
    home = freeze.payer >> 20
    name = operators.propose(home, freeze)
    other = operators.propose(home, replace(freeze, amount_cents=1))
    twice = operators.approve(home, name, FIRST)
    assert (twice.status, twice.document["code"]) == (409, "APPROVED_ALREADY")
    elsewhere = operators.approve(home, name, SECOND, counts_at=(home + 1) % 4)
    assert (elsewhere.status, elsewhere.document["code"]) == (403, "APPROVAL_INVALID")
    replayed = {
        "operator": SECOND,
        "signature": operators.approval(home, SECOND, other).hex(),
    }
    as_another = {"operator": SECOND, "signature": operators.approval(home, FIRST, name).hex()}
    nobody = {"operator": "third", "signature": "00" * 64}
    path = f"/v1/governance/proposals/{name.hex()}/approvals"
    for document, code in (
        (replayed, "APPROVAL_INVALID"),
        (as_another, "APPROVAL_INVALID"),
        (nobody, "OPERATOR_UNKNOWN"),
    ):
        answer = post(quiet.urls[home], path, document)
        assert (answer.status, answer.document["code"]) == (403, code)
    assert operators.seen(home, name)["approved_by"] == [FIRST]
    assert operators.seen((home + 1) % 4, name) is None


def test_who_has_no_key_proposes_nothing(quiet, operators):
    ann = quiet.customer()
    freeze = operators.body(OrderKind.FREEZE, ann.account)
    unsigned = {"order": {"bytes": (freeze.to_bytes() + bytes(64)).hex()}}
    answer = post(quiet.urls[0], "/v1/governance/proposals", unsigned)
    assert (answer.status, answer.document["code"]) == (403, "APPROVAL_MISSING")
    forged = {"order": {"bytes": (freeze.to_bytes() + b"\1" * 64).hex()}}
    answer = post(quiet.urls[0], "/v1/governance/proposals", forged)
    assert (answer.status, answer.document["code"]) == (403, "SIGNATURE_INVALID")
    mine = replace(freeze, payer=ann.account)
    signed = {"order": {"bytes": quiet.sign(ann, mine).hex()}}
    answer = post(quiet.urls[0], "/v1/governance/proposals", signed)
    assert (answer.status, answer.document["code"]) == (403, "PROPOSER_WRONG")
    at = freeze.payer >> 20
    foreign = operators.body(OrderKind.FREEZE, ann.account, by=(at + 1) % 4)
    written = foreign.to_bytes()
    approval = operators.approval(at, FIRST, order_id(operators.network, written))
    document = {
        "order": {"bytes": (written + bytes(64)).hex()},
        "approval": {"operator": FIRST, "signature": approval.hex()},
    }
    answer = post(quiet.urls[at], "/v1/governance/proposals", document)
    assert (answer.status, answer.document["code"]) == (403, "PROPOSER_WRONG")


def test_a_new_tariff_is_told_to_handsets_and_is_the_price_of_its_days(quiet, operators):
    newest = quiet.running.folder.genesis.tariffs[-1]
    document = newest.to_document() | {"version": newest.version + 1, "name": "the next one"}
    tariff = Tariff.from_document(document)
    content = tariff.to_bytes()
    first_day = today() + TARIFF_DAYS
    slot = get(quiet.urls[0], "/v1/governance/tariff").document["next_slot"]
    body = OrderBody(
        payer=0,
        payee=0,
        amount_cents=0,
        fee_cents=0,
        sequence=slot,
        kind=OrderKind.NEW_TARIFF,
        tariff=tariff.version,
        day=today(),
        options=first_day.to_bytes(2, "little") + b"\0",
        reference=document_digest(content),
    )
    name = operators.propose(0, body, document=content.decode())
    operators.approve_all(name, 0, 1, 2)
    operators.ends(name, "final", *range(4))
    for url in quiet.urls:
        rows = get(url, "/v1/tariffs").document["tariffs"]
        assert (rows[-1]["version"], rows[-1]["first_day"]) == (tariff.version, first_day)
        assert get(url, f"/v1/tariffs/{tariff.version}").body == content
    known = read_network(quiet.running.folder.folder)

    async def prices():
        async with open_doors(known.doors) as doors:
            return [
                await tariff_of_day(known.genesis, doors, day) for day in (first_day - 1, first_day)
            ]

    assert asyncio.run(prices()) == [newest, tariff]
    ann, ben = quiet.customer(), quiet.customer()
    quiet.pay(1, ann, ben)
    early = quiet.body(ann, ben.account, 100_00, sequence=1, tariff=tariff.version)
    (fate,) = submit(quiet.urls[2], [quiet.sign(ann, early)])
    assert fate["outcome"] == "TARIFF_NOT_IN_FORCE"


def command(quiet, *words):
    """A command of the network, run to its end: its exit status, and all that it printed."""
    done = harambee(quiet.running.folder.folder, *words)
    return done.returncode, done.stdout, done.stderr


def decided(quiet, *words):
    """Propose by a command, let all approve, and return what is said of it at the end."""
    status, said, wrong = command(quiet, *words, "--json")
    assert status == 0, wrong
    name = json.loads(said.splitlines()[-1])["id"]
    status, said, wrong = command(quiet, "approve", name[:12], "--at", "all", "--json")
    assert status == 0, wrong
    return json.loads(said.splitlines()[-1])


def test_a_bank_attests_and_adopts_what_it_attested(quiet):
    bank = next(row for row in quiet.running.folder.demo() if row.name == "bank-1")
    before = get(quiet.urls[0], f"/v1/governance/accounts/{bank.account}").document["limit_cents"]
    assert command(quiet, "adopt-limit", "bank-1")[0] == 1
    shillings = before // 100 + 1_000
    ended = decided(quiet, "attest", "bank-1", str(shillings))
    assert (ended["state"], ended["proposed_by"], len(ended["voted"]) >= 2) == (
        "final",
        "bank-1",
        True,
    )
    seen = get(quiet.urls[0], f"/v1/governance/accounts/{bank.account}").document
    assert (seen["attestation"]["cents"], seen["limit_cents"]) == (shillings * 100, before)
    status, _, wrong = command(quiet, "adopt-limit", "bank-1")
    assert status == 0, wrong
    until(
        lambda: all(
            get(url, f"/v1/governance/accounts/{bank.account}").document["limit_cents"]
            == shillings * 100
            for url in quiet.urls
        ),
        lambda: "the limit is not everywhere",
    )
    assert quiet.state()["total_cents"] == 0


def test_a_tier_and_a_freeze_of_an_amount_by_commands(quiet):
    ann, ben = quiet.customer(), quiet.customer()
    account = str(ann.account)
    assert decided(quiet, "propose", "tier", account, "1")["state"] == "final"
    assert decided(quiet, "propose", "freeze", account, "--amount", "4950")["state"] == "final"
    for url in quiet.urls:
        record = get(url, f"/v1/accounts/{account}").document
        assert (record["tier"], record["frozen_cents"]) == (1, 4_950_00)
    order = quiet.sign(ann, quiet.body(ann, ben.account, 100_00))
    (fate,) = submit(quiet.urls[0], [order])
    assert fate["outcome"] == "BALANCE_INSUFFICIENT"
    ended = decided(quiet, "propose", "unfreeze", account, "--amount", "4950")
    status, said, _ = command(quiet, "proposals", ended["id"][:8])
    assert status == 0
    assert all(name in said for name in quiet.names)
    assert "approved by first, second; voted" in said
    status, said, _ = command(quiet, "proposals", "--json")
    assert ended["id"] in {row["id"] for row in json.loads(said)["proposals"]}


@pytest.mark.parametrize(
    ("words", "status", "sentence"),
    [
        (("propose", "close", "16"), 1, "It would break a rule now"),
        (("propose", "freeze", "16", "--at", "nobody"), 1, "There is no super-agent nobody"),
        (("propose", "freeze", "16", "--operator", "third"), 1, "has no operator third"),
        (("propose", "freeze", "999999999"), 1, "in no region of this network"),
        (("propose", "freeze", "16", "--amount", "0"), 2, "more than nothing"),
        (("propose", "new-key", "phone"), 2, "Say whose account it is"),
        (("propose", "new-key", "phone", "--request", "HRBK1:00"), 1, "copy the whole of it"),
        (("approve", "abcdef012345", "--at", "all"), 1, "No super-agent knows such a proposal"),
        (("approve", "abc", "--at", "all"), 2, "6 or more digits"),
        (("key", "take", "phone"), 1, "No new key waits"),
        (("key", "refuse", "bank-1"), 1, "No new key was asked for"),
        (("attest", "bank-1", "0"), 2, "more than nothing"),
        (("key", "change", "float:amani"), 1, "share one key"),
        (("propose", "tariff", __file__), 1, "is no tariff"),
        (("propose", "tariff", str(SCHEDULE), "--from", "1969-01-01"), 2, "no day"),
        (("propose", "tariff", str(SCHEDULE)), 1, "It would break a rule now"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(quiet, words, status, sentence):
    found, _, wrong = command(quiet, *words)
    assert found == status, wrong
    assert sentence in wrong
    assert "Traceback" not in wrong
