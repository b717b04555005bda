"""A network of real processes that nobody else uses, and somebody who signs for its customers."""

import http.client
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from harambee.crypto.signatures import KeyPair
from harambee.handset.orders import OrderBody, order_id, sign_order, today
from harambee.ledger.kinds import OrderKind
from harambee.money.tariff import FeeTable
from harambee.traffic.parties import population_of
from harambee.traffic.temporary_network import TemporaryNetwork
from harambee.traffic.workload import Crowd, party_balances

CROWD: Final = Crowd(customers=400, agents=8, merchants=4, banks=2)
OPENING_CENTS: Final = 5_000_00
AGREE_S: Final = 30
POLL_S: Final = 0.05
WAIT_MS: Final = 10_000

JSON: Final = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True)
class Customer:
    """An account and the key that signs for it."""

    account: int
    keypair: KeyPair


@dataclass(frozen=True, slots=True)
class Answer:
    """What a door said."""

    status: int
    body: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.body)


@dataclass
class QuietNetwork:
    """Four super-agents with a crowd that moves only when a test says so."""

    running: TemporaryNetwork
    _given_out: int = field(default=0)

    @property
    def urls(self) -> list[str]:
        return [door.url for door in self.running.network.doors]

    @property
    def names(self) -> tuple[str, ...]:
        return self.running.folder.names

    def log_of(self, name: str) -> str:
        file = self.running.folder.folder / f"{name}.log"
        return file.read_text(encoding="utf-8", errors="replace")

    def customer(self) -> Customer:
        """Return a customer whom no test has had yet."""
        parties = self.running.network.parties
        row = self._given_out
        assert row < parties.crowd.customers, "the crowd is used up: make it larger"
        self._given_out += 1
        return Customer(int(parties.numbers[row]), KeyPair(parties.seeds[row].tobytes()))

    def body(self, payer: Customer, payee: int, amount_cents: int, **changes: Any) -> OrderBody:
        """Return a payment to another customer, right in everything but the changes."""
        tariff = self.running.network.tariff
        fields: dict[str, Any] = {
            "payer": payer.account,
            "payee": payee,
            "amount_cents": amount_cents,
            "fee_cents": tariff.fee_cents(FeeTable.SEND, 100_00),
            "sequence": 0,
            "kind": OrderKind.SEND,
            "tariff": tariff.version,
            "day": today(),
        }
        if amount_cents > 0 and "fee_cents" not in changes and amount_cents <= OPENING_CENTS:
            fields["fee_cents"] = tariff.fee_cents(FeeTable.SEND, amount_cents)
        return OrderBody(**(fields | changes))

    def sign(self, payer: Customer, body: OrderBody, network: bytes | None = None) -> bytes:
        return sign_order(payer.keypair, network or self.running.network.network, body)

    def id_of(self, order: bytes) -> str:
        return order_id(self.running.network.network, order).hex()

    def pay(self, door: int, payer: Customer, payee: Customer, sequence: int = 0) -> dict[str, Any]:
        """Pay 100 shillings through that door; the order's fate, which must be final."""
        order = self.sign(payer, self.body(payer, payee.account, 100_00, sequence=sequence))
        fate = submit(self.urls[door], [order])[0]
        assert fate["state"] == "final", fate
        return fate

    def balance(self, door: int, account: int) -> int:
        return int(get(self.urls[door], f"/v1/accounts/{account}").document["balance_cents"])

    def state(self) -> dict[str, Any]:
        """Return what all four say their ledger is, as soon as they say the same."""
        seen: list[dict[str, Any]] = []

        def agree() -> bool:
            seen[:] = [ledger_of(url) for url in self.urls]
            return all(one == seen[0] for one in seen)

        until(agree, lambda: f"the four ledgers differ: {seen}")
        return seen[0]


def ledger_of(url: str) -> dict[str, Any]:
    """Return a super-agent's digest, without the heights: an idle network says that it is alive."""
    document: dict[str, Any] = get(url, "/v1/digest").document
    del document["heads"]
    return document


def request(
    url: str,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
) -> Answer:
    address = urlsplit(url)
    assert address.hostname is not None
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=60)
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return Answer(response.status, response.read())
    finally:
        connection.close()


def get(url: str, path: str) -> Answer:
    return request(url, "GET", path)


def post(url: str, path: str, document: Any) -> Answer:
    return request(url, "POST", path, json.dumps(document).encode(), JSON)


def submit(url: str, orders: list[bytes], wait_ms: int = WAIT_MS) -> list[dict[str, Any]]:
    """Offer orders in one body; what became of each."""
    answer = post(
        url,
        f"/v1/orders?wait_ms={wait_ms}",
        {"orders": [{"bytes": order.hex()} for order in orders]},
    )
    assert answer.status == 200, answer
    fates: list[dict[str, Any]] = answer.document["orders"]
    assert len(fates) == len(orders)
    return fates


def until(
    holds: Callable[[], bool], otherwise: Callable[[], str], deadline_s: float = AGREE_S
) -> None:
    """Return as soon as the condition holds; fails with `otherwise()` at the deadline."""
    end = time.monotonic() + deadline_s
    while not holds():
        assert time.monotonic() < end, otherwise()
        time.sleep(POLL_S)


def quiet_population() -> Any:
    return population_of(CROWD, party_balances(CROWD, OPENING_CENTS), super_agents=4, seed=1)
