"""The desk of one super-agent over a real ledger: whose approvals count, and how much liars make it keep."""

import asyncio
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from harambee.crypto.hashing import TAG_POSSESSION, digest, signed_prefix
from harambee.crypto.signatures import from_seed, sign
from harambee.handset.approvals import sign_approval
from harambee.handset.orders import OrderBody, order_id, sign_order
from harambee.ledger.kinds import OrderKind
from harambee.ledger.ledger import Ledger
from harambee.ledger.outcomes import Applied, Outcome
from harambee.ledger.records import OPENING, ORDER, AccountKind, account_flags
from harambee.money.tariff import shipped_tariff
from harambee.node.governance import SEEN_WAITING_MAX, GovernanceDesk
from harambee.node.port import GovernanceError, State, Submission
from harambee.node.proposals import (
    OPEN_EACH_MAX,
    RECORD_DAYS,
    ProposalState,
    ProposalStore,
    ProposalStoreError,
)
from harambee.protocol.effects import Name, Proposed
from harambee.protocol.genesis import Genesis, GenesisDocument, IssuerDocument, MemberDocument
from harambee.protocol.messages import ApprovalsChanged

TODAY = 20_781
ENROLMENTS = [from_seed(digest(b"enrolment", bytes([i]))) for i in range(4)]
OPERATORS = {name: from_seed(digest(name.encode())) for name in ("first", "second", "third")}
ANN, BEN, BANK = 16, 17, 20
PEOPLE = {number: from_seed(digest(b"person", bytes([number]))) for number in (ANN, BEN, BANK)}
OWN = 1
"""Whose desk it is."""


def make_genesis():
    members = [
        MemberDocument(f"agent-{i}", ENROLMENTS[i].public.hex(), "00" * 32, [i]) for i in range(4)
    ]
    tariffs = [shipped_tariff(2).to_document()]
    issuers = [IssuerDocument("bank-1", BANK, 1_000_000)]
    return Genesis(
        GenesisDocument(1, "t", True, 0, "2026-01-01", members, tariffs, issuers, [], 0, ""), b""
    )


def make_ledger():
    ledger = Ledger(4, [shipped_tariff(2)])
    rows = [
        *((i << 20, ENROLMENTS[i], 0, AccountKind.ENROLMENT) for i in range(4)),
        (ANN, PEOPLE[ANN], 500, AccountKind.CUSTOMER),
        (BEN, PEOPLE[BEN], 500, AccountKind.CUSTOMER),
        (BANK, PEOPLE[BANK], -1_000, AccountKind.BANK),
    ]
    openings = np.zeros(len(rows), OPENING)
    for row, (number, key, balance, kind) in zip(openings, rows, strict=True):
        row["number"], row["balance"], row["flags"] = number, balance, account_flags(kind)
        row["key"] = np.frombuffer(key.public, np.uint8)
    ledger.open_accounts(openings, {BANK: 1_000_000})
    return ledger


class Source:
    """A super-agent as its desk sees it: one ledger, and a door that takes what it is brought."""

    def __init__(self):
        self.genesis, self.index, self.day = make_genesis(), OWN, TODAY
        self.ledger = make_ledger()
        self.brought = []
        self.final = []
        self.trouble = None

    def today(self):
        return self.day

    def ready(self):
        return self.trouble

    async def ask(self, question):
        return question(SimpleNamespace(ledger=self.ledger))

    async def orders_at(self, entries):
        places = entries["position"].tolist()
        return np.array([self.final[at] for at in places], ORDER)

    async def submit(self, orders, possessions, wait_ms, tables):
        self.brought.append((orders.tobytes(), possessions, tables))
        return Submission(np.array([State.PENDING], np.uint8), np.zeros(1, np.uint8))

    def settle(self, order):
        row = np.frombuffer(order, ORDER)
        (applied,) = self.ledger.apply(row, len(self.final), np.zeros(1, np.uint32))
        assert applied == Applied.APPLIED
        self.final.append(row[0])
        return row


class Desk:
    """A desk, and what operators and other super-agents do at it."""

    def __init__(self, folder, operators=("first", "second"), source=None):
        self.source = source or Source()
        self.told = []
        config = SimpleNamespace(operators={name: OPERATORS[name].public for name in operators})
        files = SimpleNamespace(config=config, enrolment=ENROLMENTS[OWN])
        store = ProposalStore.open(folder, self.source.genesis)
        self.desk = GovernanceDesk(files, self.source, store, self.told.append)
        self.network = self.source.genesis.network

    def body(self, kind=OrderKind.FREEZE, account=ANN, by=OWN, **changes):
        payer = account if kind is OrderKind.ATTEST else by << 20
        fields = {"amount_cents": 0, "sequence": 0, "day": self.source.day, "tariff": 2} | changes
        return OrderBody(payer=payer, payee=account, fee_cents=0, kind=kind, **fields)

    def name(self, body):
        return order_id(self.network, body.to_bytes())

    def approval(self, who, body, at=OWN):
        return sign_approval(OPERATORS[who], self.network, at, self.name(body))

    def propose(self, body, who="first", approval=None, possession=None):
        approval = approval or self.approval(who, body)
        unsigned = body.to_bytes() + bytes(64)
        return self.run(self.desk.propose(unsigned, possession, None, who, approval))

    def approve(self, body, who="second", approval=None):
        approval = approval or self.approval(who, body)
        return self.run(self.desk.approve(self.name(body), who, approval))

    def see(self, body, author, key=None, possession=None):
        order = sign_order(key or ENROLMENTS[body.payer >> 20], self.network, body)
        block = Name(author, 0, 1, digest(order))
        self.desk.seen([Proposed(np.frombuffer(order, ORDER), block, possession)])
        return order

    def step(self):
        self.run(self.desk.step())

    def run(self, waiting):
        return asyncio.run(waiting)

    @property
    def approved(self):
        """What the replica was told last."""
        return self.told[-1].approved if self.told else frozenset()

    def state(self, body):
        proposal = self.desk.store.get(self.name(body))
        return None if proposal is None else proposal.state

    def refused(self, code, action):
        with pytest.raises(GovernanceError) as caught:
            action()
        assert caught.value.code == code


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path)


def test_one_operator_makes_nobody_sign_and_two_do(desk):
    freeze = desk.body()
    desk.propose(freeze)
    desk.step()
    assert not desk.source.brought
    assert desk.approved == frozenset()
    assert not desk.desk.store.get(desk.name(freeze)).is_signed
    view = desk.approve(freeze)
    assert view.approvals == ("first", "second")
    assert desk.approved == {desk.name(freeze)}
    desk.step()
    ((order, possessions, tables),) = desk.source.brought
    assert order == sign_order(ENROLMENTS[OWN], desk.network, freeze)
    assert (possessions, tables) == ({}, {})


def test_the_engine_is_told_before_the_order_comes_to_its_door(desk):
    freeze = desk.body()
    desk.propose(freeze)
    desk.approve(freeze)
    events = []
    desk.desk.tell = lambda message: events.append(type(message))
    submit = desk.source.submit

    async def note(*arguments):
        events.append("offered")
        return await submit(*arguments)

    desk.source.submit = note
    desk.step()
    assert events[0] is ApprovalsChanged
    assert events[-1] == "offered"


def test_what_does_not_count(desk):
    freeze, other = desk.body(), desk.body(amount_cents=7)
    desk.propose(freeze)
    desk.propose(other)
    desk.refused("APPROVED_ALREADY", lambda: desk.approve(freeze, "first"))
    desk.refused("OPERATOR_UNKNOWN", lambda: desk.approve(freeze, "third"))
    for forged in (
        desk.approval("second", other),
        desk.approval("second", freeze, at=OWN + 1),
        desk.approval("first", freeze),
        bytes(64),
        b"",
    ):
        desk.refused(
            "APPROVAL_INVALID",
            lambda forged=forged: desk.approve(freeze, approval=forged or b"\1" * 64),
        )
    desk.refused("PROPOSAL_UNKNOWN", lambda: desk.approve(desk.body(account=BEN)))
    assert desk.approved == frozenset()


def test_two_names_with_one_key_are_one_operator(tmp_path):
    """The configuration refuses that; the desk would count it once all the same."""
    desk = Desk(tmp_path)
    desk.desk.files.config.operators["another"] = OPERATORS["first"].public
    freeze = desk.body()
    desk.propose(freeze)
    approval = sign_approval(OPERATORS["first"], desk.network, OWN, desk.name(freeze))
    desk.refused("APPROVED_ALREADY", lambda: desk.approve(freeze, "another", approval))


def test_an_operator_who_has_left_counts_no_more(tmp_path):
    desk = Desk(tmp_path)
    freeze = desk.body()
    desk.propose(freeze)
    desk.approve(freeze)
    later = Desk(tmp_path, ("first", "third"), desk.source)
    later.step()
    assert later.approved == frozenset()
    later.approve(freeze, "third")
    assert later.approved == {desk.name(freeze)}


def test_approvals_outlive_a_restart(tmp_path):
    desk = Desk(tmp_path)
    freeze = desk.body()
    desk.propose(freeze)
    desk.approve(freeze)
    again = Desk(tmp_path, source=desk.source)
    again.step()
    assert again.approved == {desk.name(freeze)}
    assert len(again.source.brought) == 1
    again.see(freeze, author=OWN)
    again.step()
    again.step()
    assert len(again.source.brought) == 1, "it lies in a block of its own"


def test_while_it_does_not_serve_nothing_is_brought_and_then_it_is(desk):
    freeze = desk.body()
    desk.propose(freeze)
    desk.approve(freeze)
    desk.source.trouble = "it reads"
    desk.step()
    assert not desk.source.brought
    desk.source.trouble = None
    desk.step()
    assert len(desk.source.brought) == 1


def test_what_others_carry_is_shown_with_who_voted(desk):
    freeze = desk.body(by=3)
    for author in (3, 0, 3):
        desk.see(freeze, author)
    desk.step()
    (view,) = desk.run(desk.desk.proposals())
    assert (view.carried, view.state, view.outcome) == ((0, 3), "waiting", Outcome.ACCEPTED)
    desk.approve(freeze, "first")
    desk.approve(freeze, "second")
    desk.step()
    ((order, *_),) = desk.source.brought
    assert order == sign_order(ENROLMENTS[3], desk.network, freeze)


def test_what_breaks_a_rule_is_not_approved(desk):
    nothing = desk.body(OrderKind.UNFREEZE)
    desk.refused("RULE_BROKEN", lambda: desk.propose(nothing))
    foreign = desk.body(OrderKind.CLOSE)
    desk.refused("RULE_BROKEN", lambda: desk.propose(foreign))
    early = desk.body(sequence=1)
    desk.refused("RULE_BROKEN", lambda: desk.propose(early))


def test_who_may_propose(desk):
    freeze = desk.body()
    unsigned = freeze.to_bytes() + bytes(64)
    desk.refused(
        "APPROVAL_MISSING", lambda: desk.run(desk.desk.propose(unsigned, None, None, None, None))
    )
    foreign = desk.body(by=2)
    desk.refused("PROPOSER_WRONG", lambda: desk.propose(foreign))
    mine = replace(freeze, payer=ANN)
    desk.refused("PROPOSER_WRONG", lambda: desk.propose(mine))
    payment = replace(freeze, kind=OrderKind.SEND)
    desk.refused("NOT_GOVERNED", lambda: desk.propose(payment))
    desk.propose(freeze)
    desk.refused("PROPOSAL_KNOWN", lambda: desk.propose(freeze))


def test_a_bank_attests_by_its_own_signature(desk):
    attest = desk.body(OrderKind.ATTEST, BANK, amount_cents=5_000)
    order = sign_order(PEOPLE[BANK], desk.network, attest)
    view = desk.run(desk.desk.propose(order, None, None, None, None))
    assert view.approvals == ()
    forged = sign_order(PEOPLE[ANN], desk.network, replace(attest, amount_cents=6_000))
    desk.refused(
        "SIGNATURE_INVALID", lambda: desk.run(desk.desk.propose(forged, None, None, None, None))
    )


def test_a_new_key_comes_with_what_it_signed(tmp_path):
    desk = Desk(tmp_path)
    new = from_seed(digest(b"a new phone"))
    account = (OWN << 20) + 16
    openings = np.zeros(1, OPENING)
    openings["number"], openings["flags"] = account, account_flags(AccountKind.CUSTOMER)
    desk.source.ledger.open_accounts(openings, {})
    body = desk.body(OrderKind.REQUEST_KEY, account, reference=new.public)
    desk.refused("CONTENT_MISSING", lambda: desk.propose(body))
    prefix = signed_prefix(TAG_POSSESSION, desk.network)
    wrong = sign(PEOPLE[ANN], prefix + body.to_bytes())
    desk.refused("RULE_BROKEN", lambda: desk.propose(body, possession=wrong))
    proof = sign(new, prefix + body.to_bytes())
    desk.propose(body, possession=proof)
    desk.approve(body)
    desk.step()
    ((_, possessions, _),) = desk.source.brought
    assert possessions == {0: proof}


def test_a_garbled_proof_in_a_liars_block_does_not_stand_in_the_way(desk):
    new = from_seed(digest(b"a new phone"))
    body = desk.body(OrderKind.REQUEST_KEY, ANN, by=0, reference=new.public)
    desk.see(body, 2, possession=b"\1" * 64)
    desk.step()
    assert desk.state(body) is None
    proof = sign(new, signed_prefix(TAG_POSSESSION, desk.network) + body.to_bytes())
    desk.see(body, 0, possession=proof)
    desk.step()
    assert desk.state(body) is ProposalState.WAITING


# -- how they end ---------------------------------------------------------------------------------


def test_a_proposal_is_final_replaced_or_dead(desk):
    freeze, rival = desk.body(), desk.body(amount_cents=9)
    other = desk.body(account=BEN)
    for body in (freeze, rival, other):
        desk.propose(body)
    desk.source.settle(sign_order(ENROLMENTS[OWN], desk.network, freeze))
    desk.step()
    assert desk.state(freeze) is ProposalState.FINAL
    assert desk.state(rival) is ProposalState.REPLACED
    assert desk.state(other) is ProposalState.WAITING
    desk.refused("PROPOSAL_ENDED", lambda: desk.approve(rival))
    desk.source.day += 1
    desk.step()
    assert desk.state(other) is ProposalState.WAITING
    desk.source.day += 1
    desk.step()
    assert desk.state(other) is ProposalState.DEAD
    desk.source.settle(sign_order(ENROLMENTS[OWN], desk.network, other))
    desk.step()
    assert desk.state(other) is ProposalState.FINAL, "it was certified before it died"


def test_what_died_is_not_told_and_not_brought(desk):
    freeze = desk.body()
    desk.propose(freeze)
    desk.approve(freeze)
    assert desk.approved
    desk.source.day += 2
    desk.step()
    assert desk.approved == frozenset()
    assert not desk.source.brought


def test_what_ended_long_ago_is_forgotten_on_disk_too(tmp_path):
    desk = Desk(tmp_path)
    freeze = desk.body()
    desk.propose(freeze)
    desk.source.day += 2
    desk.step()
    assert len(list(tmp_path.iterdir())) == 1
    desk.source.day += RECORD_DAYS + 1
    desk.step()
    assert list(tmp_path.iterdir()) == []
    assert desk.state(freeze) is None


# -- how much is kept -----------------------------------------------------------------------------


def test_a_lying_super_agent_fills_its_own_share_and_no_other(desk):
    for cents in range(SEEN_WAITING_MAX + 50):
        desk.see(desk.body(by=3, amount_cents=cents + 1), 3)
    honest = desk.body(by=2)
    desk.see(honest, 2)
    desk.step()
    kept = [one.body.payer >> 20 for one in desk.desk.store]
    assert (kept.count(3), kept.count(2)) == (OPEN_EACH_MAX, 1)
    mine = desk.body(amount_cents=5)
    desk.propose(mine)
    assert desk.state(mine) is ProposalState.WAITING


def test_what_nobody_signed_or_who_may_not_is_not_kept(desk):
    desk.see(desk.body(by=3), 3, key=ENROLMENTS[2])
    desk.see(replace(desk.body(), payer=ANN), 3, key=PEOPLE[ANN])
    desk.see(desk.body(by=2, day=TODAY - 2), 3)
    desk.step()
    assert list(desk.desk.store) == []


def test_a_damaged_file_is_left_out_and_named(tmp_path, caplog):
    desk = Desk(tmp_path)
    freeze, other = desk.body(), desk.body(account=BEN)
    desk.propose(freeze)
    desk.propose(other)
    (tmp_path / f"{desk.name(freeze).hex()}.json").write_bytes(b"{")
    again = Desk(tmp_path, source=desk.source)
    assert [one.id for one in again.desk.store] == [desk.name(other)]
    assert "is left out" in caplog.text


def test_a_disk_that_takes_nothing_counts_no_approval(tmp_path, monkeypatch):
    desk = Desk(tmp_path)
    freeze = desk.body()
    desk.propose(freeze)

    def full(_proposal):
        raise ProposalStoreError("the disk is full")

    monkeypatch.setattr(desk.desk.store, "write", full)
    with pytest.raises(ProposalStoreError):
        desk.approve(freeze)
    assert desk.approved == frozenset()
    assert len(desk.desk.store.get(desk.name(freeze)).approvals) == 1
