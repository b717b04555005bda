"""Four super-agents in one process, over real links and journals: what the port promises its gateways."""

import asyncio
import threading
from contextlib import asynccontextmanager

import numpy as np
import pytest
import uvloop

from harambee.cli.node import make_bodies
from harambee.crypto.hashing import TAG_RECEIPT, signed_prefix
from harambee.crypto.signatures import from_seed, verify
from harambee.handset.orders import OrderBody, order_id, sign_order, sign_possession, today
from harambee.ledger.kinds import OrderKind
from harambee.ledger.outcomes import Outcome
from harambee.ledger.records import ORDER, AccountKind, account_number
from harambee.money.tariff import FeeTable
from harambee.node.config import read_config
from harambee.node.engine import Engine
from harambee.node.journal import JournalFull
from harambee.node.network_folder import create_network, load_node
from harambee.node.port import EnrolmentError, State
from harambee.node.runner import NodeError, serve_nodes
from harambee.traffic.temporary_network import free_ports

WAIT_MS = 20_000
NO_SIGNATURE = bytes(64)


async def nothing(scope, receive, send):
    """An application that nobody calls: these tests use the port itself."""
    raise AssertionError


def make_folder(path):
    base = free_ports(8)
    return create_network(
        path / "network",
        customers=6,
        agents_per_super_agent=1,
        base_http_port=base,
        base_peer_port=base + 4,
    )


def people(folder):
    return [person for person in folder.demo() if person.kind is AccountKind.CUSTOMER]


@asynccontextmanager
async def running(folder):
    """The ports of all four, once each says that it serves."""
    ports = []

    def gateway(port):
        ports.append(port)
        return nothing

    configs = [read_config(folder.node_file(name)) for name in folder.names]
    serving = asyncio.ensure_future(serve_nodes(configs, gateway, make_bodies()))
    try:
        async with asyncio.timeout(60):
            while len(ports) < len(configs) or any(port.ready() for port in ports):
                assert not serving.done(), serving.exception()
                await asyncio.sleep(0.01)
        ports.sort(key=lambda port: port.index)  # they start in any order
        yield ports
    finally:
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving


def journey(tmp_path, story):
    folder = make_folder(tmp_path)

    async def tell():
        async with running(folder) as ports:
            await story(folder, ports)

    uvloop.run(tell())
    return folder


def payment(folder, payer, payee, amount, sequence, *, kind=OrderKind.SEND, day=None):
    tariff = folder.genesis.tariffs[0]
    body = OrderBody(
        payer=payer.account,
        payee=payee.account,
        amount_cents=amount,
        fee_cents=tariff.fee_cents(FeeTable.SEND, amount) if kind == OrderKind.SEND else 0,
        sequence=sequence,
        kind=kind,
        tariff=tariff.version,
        day=today() if day is None else day,
    )
    return np.frombuffer(sign_order(payer.keypair, folder.genesis.network, body), ORDER)


async def same_digests(ports):
    """Wait until all have heard everything; the one digest that all of them then have."""
    async with asyncio.timeout(20):
        while True:
            digests = {(await port.digest())["digest"] for port in ports}
            if len(digests) == 1:
                return digests.pop()
            await asyncio.sleep(0.02)


def test_a_payment_its_receipts_its_statement_and_its_fate_after_a_restart(tmp_path):
    seen = {}

    async def first(folder, ports):
        ann, ben = people(folder)[:2]
        before = int((await ports[0].account(ben.account))["balance"][0])
        for sequence, port in enumerate(ports):
            submission = await port.submit(payment(folder, ann, ben, 10_100, sequence), {}, WAIT_MS)
            assert submission.states.tolist() == [State.FINAL]
        seen["digest"] = await same_digests(ports)
        for port in ports:
            assert int((await port.account(ben.account))["balance"][0]) == before + 4 * 10_100
            lines = await port.statement(ben.account, 2, None)
            assert [line.change_cents for line in lines] == [10_100, 10_100]
            older = await port.statement(ben.account, 9, lines[-1].entry)
            assert len(older) == 2
            assert lines[0].balance_cents == before + 4 * 10_100
            assert older[-1].balance_cents == before + 10_100
        order = payment(folder, ann, ben, 10_100, 2).tobytes()
        name = order_id(folder.genesis.network, order)
        prefix = signed_prefix(TAG_RECEIPT, folder.genesis.network) + bytes(4)
        for port in ports:
            found = await port.slot(ann.account, 2, WAIT_MS)
            assert (found.state, found.order) == (State.FINAL, order)
            member = folder.genesis.committee.members[port.index]
            assert verify(member.key, prefix + name + b"\0", port.receipt(name))
        finals, following = await ports[1].finals(0, 100)
        assert len(finals) == following == 4
        status = ports[0].status()
        assert status["total_cents"] == 0
        assert status["refused_total"] == 0
        assert all(peer["connected"] for peer in status["peers"])

    folder = journey(tmp_path, first)

    async def again():
        async with running(folder) as ports:
            assert await same_digests(ports) == seen["digest"]
            ann, ben = people(folder)[:2]
            submission = await ports[3].submit(payment(folder, ann, ben, 10_100, 4), {}, WAIT_MS)
            assert submission.states.tolist() == [State.FINAL]

    uvloop.run(again())


def test_one_order_at_all_doors_is_one_debit_and_two_of_a_slot_are_one_at_most(tmp_path):
    async def story(folder, ports):
        ann, ben, cyd = people(folder)[:3]
        order = payment(folder, ann, ben, 10_000, 0)
        answers = await asyncio.gather(
            *(port.submit(order, {}, WAIT_MS) for port in ports for _ in range(3))
        )
        assert all(answer.states.tolist() == [State.FINAL] for answer in answers)
        ten_later = await ports[0].submit(order, {}, WAIT_MS)
        assert ten_later.states.tolist() == [State.FINAL]
        other = await ports[1].submit(payment(folder, ann, cyd, 20_000, 0), {}, WAIT_MS)
        assert other.outcomes.tolist() == [Outcome.SEQUENCE_STALE]
        final = set()
        for payer in people(folder)[1:]:
            payee = ben if payer is not ben else cyd
            pair = [payment(folder, payer, payee, amount, 0) for amount in (10_000, 20_000)]
            answers = await asyncio.gather(
                ports[0].submit(pair[0], {}, 3_000), ports[2].submit(pair[1], {}, 3_000)
            )
            told = [answer.states[0] == State.FINAL for answer in answers]
            assert sum(told) <= 1
            await same_digests(ports)
            slots = np.zeros(1, [("payer", "<u4"), ("sequence", "<u4")])
            slots["payer"] = payer.account
            found = {(await port.slots(slots)).tobytes() for port in ports}
            assert len(found) == 1, "all four say the same of the slot"
            final.add(sum(told))
        assert final

    journey(tmp_path, story)


def test_orders_that_break_a_rule_change_nothing(tmp_path):
    async def story(folder, ports):
        ann, ben = people(folder)[:2]
        digest = await same_digests(ports)
        good = payment(folder, ann, ben, 10_000, 0)
        forged = good.copy()
        forged["signature"] = np.frombuffer(NO_SIGNATURE, np.uint8)
        cases = {
            Outcome.SIGNATURE_INVALID: forged,
            Outcome.PAYER_IS_PAYEE: payment(folder, ann, ann, 10_000, 0),
            Outcome.DAY_WRONG: payment(folder, ann, ben, 10_000, 0, day=today() + 2),
            Outcome.SEQUENCE_AHEAD: payment(folder, ann, ben, 10_000, 9),
            Outcome.BALANCE_INSUFFICIENT: payment(folder, ann, ben, 24_000_000, 0),
        }
        for outcome, order in cases.items():
            answers = await asyncio.gather(*(port.submit(order, {}, WAIT_MS) for port in ports))
            assert [int(a.outcomes[0]) for a in answers] == [outcome] * 4
        assert await same_digests(ports) == digest

    journey(tmp_path, story)


def test_somebody_enrols_and_is_found_by_her_number(tmp_path):
    async def story(folder, ports):
        key = from_seed(bytes([7]) * 32)
        port = ports[1]
        payer, sequence = await port.next_enrolment()
        number = account_number(payer >> 20, sequence)
        body = OrderBody(
            payer=payer,
            payee=number,
            amount_cents=0,
            fee_cents=0,
            sequence=sequence,
            kind=OrderKind.ENROL,
            tariff=0,
            day=today(),
            options=bytes([1, 0, 0]),
            reference=key.public,
        )
        proof = sign_possession(key, folder.genesis.network, body)
        with pytest.raises(EnrolmentError, match="has not signed"):
            await port.enrol(body.to_bytes(), NO_SIGNATURE, "+254712345678", WAIT_MS)
        made = await port.enrol(body.to_bytes(), proof, "+254712345678", WAIT_MS)
        assert made == number
        await same_digests(ports)
        for each in ports:
            assert await each.alias(each.alias_of("0712345678")) == number
            assert (await each.account(number))["key"][0].tobytes() == key.public
        with pytest.raises(EnrolmentError, match="comes next"):
            await port.enrol(body.to_bytes(), proof, None, WAIT_MS)

    journey(tmp_path, story)


def test_a_claim_that_is_offered_again_is_the_one_that_is_final(tmp_path):
    async def story(folder, ports):
        ann, ben, cyd = people(folder)[:3]
        number = ports[0].alias_of(ann.msisdn)

        def claim(payee):
            fields = {"amount_cents": 0, "fee_cents": 0, "tariff": 2, "day": today()}
            body = OrderBody(
                payer=ann.account,
                payee=payee.account,
                sequence=1,
                kind=OrderKind.CLAIM,
                reference=number,
                **fields,
            )
            signed = sign_order(ann.keypair, folder.genesis.network, body)
            return np.frombuffer(signed, ORDER)

        for port in ports * 2:
            answer = await port.submit(claim(ben), {}, WAIT_MS)
            assert answer.states.tolist() == [State.FINAL]
        await same_digests(ports)
        for port in ports:
            assert await port.alias(number) == ben.account
            other = await port.submit(claim(cyd), {}, WAIT_MS)
            assert other.states.tolist() == [State.REFUSED]
            assert other.outcomes.tolist() == [Outcome.ALIAS_SEQUENCE_WRONG]

    journey(tmp_path, story)


def test_a_port_in_use_is_one_sentence(tmp_path):
    folder = make_folder(tmp_path)
    config = read_config(folder.node_file(folder.names[0]))

    async def start_twice():
        async with asyncio.timeout(20):
            server = await asyncio.start_server(lambda *_: None, *config.listen_http)
            async with server:
                await serve_nodes([config], lambda _port: nothing, make_bodies())

    with pytest.raises(NodeError, match="cannot listen on"):
        uvloop.run(start_twice())


class FullJournal:
    """A journal whose disk has no room until somebody makes it."""

    count = 0
    re_entering = False

    def __init__(self):
        self.room = threading.Event()
        self.tried = threading.Event()
        self.taken = []
        self.attempts = 0

    def blocks(self):
        return iter(())

    def evidence(self):
        return {}

    def append(self, blocks, as_stored):
        self.attempts += 1
        if self.attempts > 1:
            self.tried.set()
        if not self.room.is_set():
            raise JournalFull("the disk is full")
        self.taken += blocks


def test_nothing_leaves_while_the_disk_is_full_and_all_of_it_does_later(tmp_path, monkeypatch):
    monkeypatch.setattr("harambee.node.engine.RETRY_S", 0.01)
    folder = create_network(tmp_path / "network", super_agents=1, customers=2)
    files = load_node(read_config(folder.node_file(0)))
    journal, sent = FullJournal(), []
    spoken = threading.Event()

    def deliver(turn):
        sent.extend(turn.effects.send)
        if turn.effects.send:
            spoken.set()

    engine = Engine(files, journal, deliver)
    engine.start()
    try:
        assert journal.tried.wait(60)
        assert not sent
        assert "the disk is full" in (engine.trouble or "")
        journal.room.set()
        assert spoken.wait(60)
        assert len(journal.taken) >= 1
        assert engine.trouble is None
    finally:
        engine.stop()
    assert engine.failure is None
