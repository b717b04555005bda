"""A feature phone on four real super-agents: its home stops, an alternate pays, the home takes it back."""

import asyncio
import contextlib
import json
import time

import pytest
import uvloop
from tests.feature_phones.conftest import quick_hashes
from tests.gateways.ussd.test_app import Phone
from tests.node.test_runner import WAIT_MS, make_folder, nothing, payment, people

from harambee.cli.governance_use import operators_of
from harambee.cli.node import make_bodies
from harambee.feature_phones.messages import Act, Deed, Fate
from harambee.feature_phones.port import NewPhone, PhonesError
from harambee.gateways.http.app import HttpGateway
from harambee.handset.orders import OrderBody
from harambee.handset.phone_papers import PhonePaper, sign_paper
from harambee.ledger.kinds import OrderKind
from harambee.ledger.records import CUSTODIAL_BIT, TIER_MASK, TIER_SHIFT
from harambee.node.config import read_config
from harambee.node.outbox import OutboxReader
from harambee.node.port import State
from harambee.node.runner import serve_nodes
from harambee.texts.languages import Language

__all__ = ["quick_hashes"]

NUMBER, PIN = "+254712345678", "2580"


class Networks:
    """Super-agents that are started and stopped one by one, in one event loop."""

    def __init__(self, folder):
        self.folder = folder
        self.ports = {}
        self._tasks = {}

    async def start(self, *indices):
        for index in indices:
            config = read_config(self.folder.node_file(self.folder.names[index]))

            def gateway(port, index=index):
                self.ports[index] = port
                return nothing

            serving = serve_nodes([config], gateway, make_bodies())
            self._tasks[index] = asyncio.ensure_future(serving)
        async with asyncio.timeout(60):
            while any(
                index not in self.ports or self.ports[index].ready() for index in self._tasks
            ):
                for task in self._tasks.values():
                    assert not task.done(), task.exception()
                await asyncio.sleep(0.01)

    async def stop(self, *indices):
        for index in indices:
            task = self._tasks.pop(index)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            del self.ports[index]


def story(tmp_path, tell):
    async def run():
        networks = Networks(make_folder(tmp_path))
        await networks.start(0, 1, 2, 3)
        try:
            await tell(networks)
        finally:
            await networks.stop(*networks.ports)

    uvloop.run(run())


async def funded(networks, cents=200_000):
    """A feature phone whose home is super-agent 0, with some money."""
    phone = NewPhone(NUMBER, "Customer One", PIN, Language.ENGLISH)
    account = await networks.ports[0].phones.register(phone)
    payer = people(networks.folder)[0]

    class Payee:
        def __init__(self, account):
            self.account = account

    order = payment(networks.folder, payer, Payee(account), cents, 0)
    submission = await networks.ports[1].submit(order, {}, WAIT_MS)
    assert submission.states.tolist() == [State.FINAL]
    return account


class Village:
    """What `Phone` needs of a village: the desks of those who are there."""

    def __init__(self, networks):
        self.networks = networks

    @property
    def desks(self):
        return {index: port.phones for index, port in self.networks.ports.items()}


async def until(ask, is_good):
    """What is answered once it is good; links come up a moment after whoever they lead to."""
    async with asyncio.timeout(30):
        while True:
            answer = await ask()
            if is_good(answer):
                return answer
            await asyncio.sleep(0.1)


async def kinds_of(port, account):
    lines = await port.statement(account, 50, None)
    orders = [OrderBody.from_bytes(line.order) for line in lines]
    return [body.kind for body in reversed(orders) if body.payer == account]


def test_home_and_alternates_over_real_links(tmp_path):
    async def tell(networks):
        account = await funded(networks)
        port = networks.ports[3]
        flags = int((await port.account(account))["flags"][0])
        assert flags & CUSTODIAL_BIT
        tariff = await port.tariff_today()
        tier = flags >> TIER_SHIFT & TIER_MASK
        assert tariff.limits_of(tier)[0] < tariff.limits_of(0)[0]
        phone = Phone(Village(networks), number=NUMBER)
        # Everybody pays; by whichever door, the home signs.
        send = f"1*{people(networks.folder)[1].msisdn}*100*1*{PIN}"
        assert "Confirmed" in await phone.dial(send, "one")
        assert await kinds_of(port, account) == [OrderKind.SEND]
        # Two wrong PINs while the home is there, and the home stops.
        for session in ("wrong-1", "wrong-2"):
            assert "Tries left" in await phone.dial("5*1*1357", session)
        await networks.stop(0)
        assert "Confirmed" in await phone.dial(send, "two")
        assert await kinds_of(port, account) == [
            OrderKind.SEND,
            OrderKind.CHANGE_KEY,
            OrderKind.SEND,
        ]
        # It comes back, and takes the account back before it signs.
        await networks.start(0)
        shown = await until(
            lambda: Phone(Village(networks), number=NUMBER).dial(send.replace("*100*", "*50*")),
            lambda shown: "Dial again" not in shown,
        )
        assert "Confirmed" in shown
        assert (await kinds_of(port, account))[3:] == [OrderKind.CHANGE_KEY, OrderKind.SEND]
        # Texts of the account come from its home: of payments, and not of hand-overs.
        reader = OutboxReader(networks.folder.node(networks.folder.names[0]).texts_folder)

        async def told():
            return [line for line in reader.newest(50) if line.account == account]

        texts = await until(told, lambda lines: len(lines) >= 4)
        assert {line.kind for line in texts} == {"received", "sent"}

    story(tmp_path, tell)


def test_three_wrong_pins_lock_over_real_links_and_outlast_a_restart(tmp_path):
    async def tell(networks):
        account = await funded(networks)
        wrong = Act(account, Deed.BALANCE, "1357")
        assert (await networks.ports[3].phones.act(wrong)).tries_left == 2
        await networks.stop(0)
        assert (await networks.ports[3].phones.act(wrong)).tries_left == 1
        await networks.start(0)
        done = await until(
            lambda: networks.ports[3].phones.act(wrong),
            lambda done: done.fate not in (Fate.BUSY, Fate.UNAVAILABLE),
        )
        assert done.fate is Fate.LOCKED
        right = Act(account, Deed.BALANCE, PIN)
        assert (await networks.ports[3].phones.act(right)).fate is Fate.LOCKED
        with pytest.raises(PhonesError, match="This account is held by"):
            await networks.ports[3].phones.unlock(NUMBER)
        assert await networks.ports[1].phones.unlock(NUMBER) == account
        done = await networks.ports[3].phones.act(right)
        assert (done.fate, done.balance_cents) == (Fate.DONE, 200_000)

    story(tmp_path, tell)


async def posted(gateway, document):
    content = json.dumps(document).encode()
    sent = []

    async def receive():
        return {"type": "http.request", "body": content}

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/feature-phones",
        "headers": [(b"content-type", b"application/json")],
        "client": ("127.0.0.1", 1),
    }
    await gateway(scope, receive, send)
    return sent[0]["status"], json.loads(sent[1]["body"])


def test_only_an_operators_paper_opens_an_account_and_it_counts_once(tmp_path):
    async def tell(networks):
        port = networks.ports[0]
        network = port.genesis.network
        name, key = next(
            iter(operators_of(networks.folder.folder, networks.folder.names[0]).items())
        )
        gateway = HttpGateway(port, "1")

        def paper(signer=key, **changes):
            said = {
                "wish": "register",
                "super_agent": 0,
                "operator": name,
                "number": "0712345678",
                "time_ms": time.time_ns() // 1_000_000,
                "name": "Customer One",
                "pin": PIN,
            } | changes
            content = PhonePaper(**said).to_bytes()
            return {
                "paper": content.decode(),
                "signature": sign_paper(signer, network, content).hex(),
            }

        stranger = people(networks.folder)[0].keypair
        for wrong, status, code in (
            (paper(stranger), 403, "SIGNATURE_INVALID"),
            (paper(super_agent=1), 403, "SIGNATURE_INVALID"),
            (paper(operator="nobody"), 403, "OPERATOR_UNKNOWN"),
            (paper(time_ms=1), 400, "CLOCK_WRONG"),
            (paper(number="12"), 400, "TELEPHONE_INVALID"),
            (paper(pin="1111"), 400, "PIN_WEAK"),
            (paper(wish="unlock"), 404, "NUMBER_UNKNOWN"),
            ({"paper": "{}", "signature": "00" * 64}, 400, "PAPER_INVALID"),
        ):
            answer = await posted(gateway, wrong)
            assert (answer[0], answer[1]["code"]) == (status, code)
            assert PIN not in json.dumps(answer[1])
        good = paper()
        status, answer = await posted(gateway, good)
        assert status == 200
        flags = int((await port.account(answer["account"]))["flags"][0])
        assert flags & CUSTODIAL_BIT
        assert (await posted(gateway, good))[1]["code"] == "PAPER_REPLAYED"
        assert (await posted(gateway, paper()))[1]["code"] == "NUMBER_TAKEN"

    story(tmp_path, tell)
