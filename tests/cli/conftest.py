"""A network that a terminal can use: real files, keys and HTTP servers over a ledger of one dict."""

import asyncio
import os
import socket
import threading
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import uvicorn
from click.testing import CliRunner

from harambee.cli.main import main
from harambee.crypto.hashing import TAG_RECEIPT, TAG_REFUSAL, signed_prefix
from harambee.crypto.signatures import sign
from harambee.gateways.http.app import HttpGateway
from harambee.handset.name_checks import is_asked_by, read_question
from harambee.handset.network_file import DoorAddress
from harambee.handset.orders import today
from harambee.handset.profiles import is_signed, read_profile
from harambee.ledger.kinds import OrderKind
from harambee.ledger.outcomes import Outcome
from harambee.ledger.records import (
    ACCOUNT,
    KEY_TYPE_SHIFT,
    ORDER,
    AccountKind,
    key_of,
)
from harambee.node.agent_places import AgentPlaces
from harambee.node.day_books import Books
from harambee.node.directory import alias_of
from harambee.node.network_folder import create_network, load_node
from harambee.node.port import (
    FINAL_ROW,
    CloseAnswer,
    DayPage,
    NameAnswer,
    NameStatus,
    ProfileStatus,
    Slot,
    State,
    StatementLine,
    Submission,
)
from harambee.oversight.day_close import sign_close
from harambee.oversight.trust_line import trust_line


@dataclass
class Ledger:
    """One ledger for all doors, with the few rules that these tests need."""

    network: Any
    accounts: dict[int, Any] = field(default_factory=dict)
    final: dict[tuple[int, int], bytes] = field(default_factory=dict)
    names: dict[int, NameAnswer] = field(default_factory=dict)
    asked: list[Any] = field(default_factory=list)
    profiles: list[Any] = field(default_factory=list)
    profile_status: ProfileStatus = ProfileStatus.KEPT
    lies: dict[int, Any] = field(default_factory=dict)
    """What super-agents make of a true close before they sign it, by index."""
    merchant_routes: dict[str, Any] = field(default_factory=dict)
    """What doors answer at a path, by the body: (status, content)."""
    days_on: int = 0
    """How many days the super-agents' clocks are ahead of the handset's."""

    def __post_init__(self):
        self.directory_key = self.network.directory_key()
        self.numbers = {
            bytes.fromhex(row.alias): row.account for row in self.network.genesis.document.aliases
        }
        issuers = self.network.genesis.document.issuers
        self.limits = {issuer.account: issuer.limit_cents for issuer in issuers}
        for opening in self.network.openings:
            record = np.zeros(1, ACCOUNT)
            for name in ("key", "balance", "flags", "next_sequence"):
                record[name] = opening[name]
            self.accounts[int(opening["number"])] = record

    def opened(self, number):
        balances = [o["balance"] for o in self.network.openings if o["number"] == number]
        return int(balances[0]) if balances else 0

    def judge(self, row):
        slot = int(row["payer"]), int(row["sequence"])
        payer = self.accounts[slot[0]]
        if self.final.get(slot) == row.tobytes():
            return Outcome.ACCEPTED
        if slot[1] != payer["next_sequence"][0]:
            return Outcome.SEQUENCE_STALE
        cost = int(row["amount"]) + int(row["fee"])
        if cost > payer["balance"][0] + self.limits.get(slot[0], 0):
            return Outcome.BALANCE_INSUFFICIENT
        self.final[slot] = row.tobytes()
        payer["next_sequence"] += 1
        payer["balance"] -= cost
        if row["kind"] == OrderKind.JOIN_HEAD_OFFICE:
            payer["head_office"] = row["payee"]
        elif row["kind"] != OrderKind.CANCEL:
            self.accounts[int(row["payee"])]["balance"] += int(row["amount"])
        return Outcome.ACCEPTED


class LedgerPort:
    def __init__(self, ledger, index):
        files = load_node(ledger.network.node(index))
        self.ledger, self.index, self.key = ledger, index, files.signing
        self.places = AgentPlaces(files.config.agent_places)
        self.genesis = ledger.network.genesis
        self.doors = [DoorAddress(at.name, at.http) for at in files.addresses]
        self.next_position = 900 + index
        self.oversight = Desk(self)

    def today(self):
        return today() + self.ledger.days_on

    def ready(self):
        return None

    async def submit(self, orders, possessions, wait_ms, tables=None):
        outcomes = np.array([self.ledger.judge(row) for row in orders], np.uint8)
        states = np.where(outcomes == 0, State.FINAL, State.REFUSED).astype(np.uint8)
        return Submission(states, outcomes)

    async def slot(self, payer, sequence, wait_ms):
        for _ in range(max(1, wait_ms // 10)):
            if (payer, sequence) in self.ledger.final:
                return Slot(State.FINAL, self.ledger.final[payer, sequence])
            await asyncio.sleep(0.01)
        return Slot(State.UNKNOWN, None)

    async def account(self, number):
        return self.ledger.accounts.get(number)

    async def accounts(self, numbers):
        found = np.zeros(len(numbers), ACCOUNT)
        for place, number in enumerate(numbers.tolist()):
            if number in self.ledger.accounts:
                found[place] = self.ledger.accounts[number][0]
        return found

    async def shops(self, head_office):
        held = self.ledger.accounts.items()
        return np.array(
            sorted(n for n, one in held if int(one["head_office"][0]) == head_office), np.uint32
        )

    def agent_places(self):
        return self.places.rows()

    async def statement(self, number, limit, before):
        balance = self.ledger.opened(number)
        lines = []
        for entry, order in enumerate(self.ledger.final.values()):
            row = np.frombuffer(order, ORDER)[0]
            payer, payee = int(row["payer"]), int(row["payee"])
            if number not in (payer, payee):
                continue
            fee = int(row["fee"])
            change = -int(row["amount"]) - fee if number == payer else int(row["amount"])
            balance += change
            sides = (payee, fee) if number == payer else (payer, 0)
            time_ms = int(row["day"]) * 86_400_000
            lines.append(StatementLine(entry, order, 0, time_ms, change, balance, *sides))
        older = [line for line in lines[::-1] if before is None or line.entry < before]
        return older[:limit]

    async def alias(self, alias):
        return self.ledger.numbers.get(alias)

    def alias_of(self, msisdn):
        return alias_of(self.ledger.directory_key, msisdn)

    async def tariffs(self):
        return [(0, tariff) for tariff in self.genesis.tariffs]

    async def next_enrolment(self):
        return self.index << 20, self.next_position

    async def enrol(self, order_body, possession, msisdn, wait_ms):
        row = np.frombuffer(order_body + bytes(64), ORDER)[0]
        record = np.zeros(1, ACCOUNT)
        record["key"] = row["reference"]
        record["flags"] = AccountKind.CUSTOMER | int(row["options"][1]) << KEY_TYPE_SHIFT
        self.ledger.accounts[int(row["payee"])] = record
        if msisdn is not None:
            self.ledger.numbers[self.alias_of(msisdn)] = int(row["payee"])
        return int(row["payee"])

    async def check_name(self, question):
        asked = read_question(question)
        key = key_of(self.ledger.accounts[asked.asker])
        if not is_asked_by(question, self.genesis.network, key):
            return NameAnswer(NameStatus.UNSIGNED)
        self.ledger.asked.append(asked)
        return self.ledger.names.get(asked.payee, NameAnswer(NameStatus.NONE))

    async def keep_profile(self, signed):
        profile = read_profile(signed)
        key = key_of(self.ledger.accounts[profile.account])
        if not is_signed(signed, self.genesis.network, key):
            return ProfileStatus.UNSIGNED
        self.ledger.profiles.append(profile)
        return self.ledger.profile_status

    def receipt(self, order_id):
        prefix = signed_prefix(TAG_RECEIPT, self.genesis.network) + bytes(4)
        return sign(self.key, prefix + order_id + b"\0")

    def refusal(self, order_id, outcome, day):
        prefix = signed_prefix(TAG_REFUSAL, self.genesis.network) + bytes(4)
        return sign(self.key, prefix + order_id + bytes([outcome]) + day.to_bytes(2, "little"))

    def status(self):
        return {"peers": []}


class Desk:
    """The one ledger's books, signed by each super-agent for itself."""

    def __init__(self, port):
        self.port, self.ledger = port, port.ledger

    def books(self):
        books = Books(self.ledger.network.genesis)
        orders = np.frombuffer(b"".join(self.ledger.final.values()), ORDER)
        books.take(orders, np.arange(len(orders)), {})
        return books

    async def close(self, day):
        close = self.books().close(day)
        close = self.ledger.lies.get(self.port.index, lambda true: true)(close)
        is_over = self.port.today() >= day + 2
        return CloseAnswer(close.to_bytes(), sign_close(self.port.key, close) if is_over else None)

    async def flows(self, day):
        return self.books().flows(day)

    async def orders(self, day, after, limit):
        orders = list(self.ledger.final.values())
        rows = np.zeros(len(orders), FINAL_ROW)
        for row, order in zip(rows, orders, strict=True):
            row["order"], row["time_ms"] = np.frombuffer(order, np.uint8), day * 86_400_000
        rows = rows[np.array([int.from_bytes(o[27:29], "little") == day for o in orders], bool)]
        # Pages of one row, and an empty one before the last.
        end = 2 * len(rows)
        found = rows[after // 2 : after // 2 + 1] if after % 2 else rows[:0]
        return DayPage(found, min(after + 1, end), end)

    async def trust(self):
        limits = self.ledger.limits
        held = {number: int(one["balance"][0]) for number, one in self.ledger.accounts.items()}
        # This ledger has no place for fees: what is not with a bank is in circulation.
        owed = -sum(held[number] for number in limits)
        line = trust_line(owed, [(n, held[n], limit) for n, limit in limits.items()])
        return self.ledger.lies.get(("trust", self.port.index), lambda true: true)(line)


class MerchantRoutes:
    """A gateway that besides tells what merchants ask, and takes what customers say to it."""

    def __init__(self, gateway, ledger):
        self.gateway, self.ledger = gateway, ledger

    async def __call__(self, scope, receive, send):
        answer = self.ledger.merchant_routes.get(scope.get("path"))
        if answer is None:
            await self.gateway(scope, receive, send)
            return
        body = (await receive())["body"]
        status, document = answer(body)
        head = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": head})
        await send({"type": "http.response.body", "body": document})


def free_ports(count):
    """The first of so many free ports in a row."""
    places = 10_000 // count
    for turn in range(places):
        # Two runs of the tests at once begin their search in different places.
        base = 21_000 + (os.getpid() + turn) % places * count
        held = []
        try:
            held += [socket.create_server(("127.0.0.1", base + n)) for n in range(count)]
        except OSError:
            continue
        finally:
            for listener in held:
                listener.close()
        return base
    raise AssertionError("no free ports")


class Served:
    """Four HTTP servers in a thread; `stop(index)` kills one."""

    def __init__(self, folder):
        base = free_ports(8)
        self.folder = folder
        self.network = create_network(
            folder, customers=3, base_http_port=base, base_peer_port=base + 4
        )
        self.ledger = Ledger(self.network)
        self.servers = []
        ready = threading.Barrier(2)
        self.thread = threading.Thread(target=asyncio.run, args=(self._serve(ready),))
        self.thread.start()
        ready.wait()

    async def _serve(self, ready):
        tasks = []
        for index, address in enumerate(self.network.addresses):
            configuration = uvicorn.Config(
                MerchantRoutes(HttpGateway(LedgerPort(self.ledger, index), "test"), self.ledger),
                port=int(address.http.rpartition(":")[2]),
                log_level="warning",
                ws="none",
                timeout_graceful_shutdown=1,
            )
            server = uvicorn.Server(configuration)
            tasks.append(asyncio.create_task(server.serve()))
            while not server.started:  # noqa: ASYNC110 - it has no event for it
                await asyncio.sleep(0)
            self.servers.append((server, tasks[-1]))
        await asyncio.to_thread(ready.wait)
        await asyncio.gather(*tasks)

    def stop(self, index):
        server, task = self.servers[index]
        server.should_exit = True
        while not task.done():
            threading.Event().wait(0.01)

    def run(self, *words):
        return CliRunner().invoke(main, ["--network", str(self.folder), *words])

    def close(self):
        for server, _ in self.servers:
            server.should_exit = True
        self.thread.join()


@pytest.fixture
def served(tmp_path):
    network = Served(tmp_path / "network")
    yield network
    network.close()
