"""A business pays everybody in a file, on a network of processes: through any door, with one dead."""

import asyncio
import json
import subprocess
import sys
from urllib.request import urlopen

import pytest
from tests.accept.quiet_network import get, ledger_of, request, until

from harambee.crypto.keyfiles import StoredKey, write_key_file
from harambee.crypto.signatures import KeyPair
from harambee.handset.doors import open_doors
from harambee.handset.handset import Handset
from harambee.handset.network_file import read_network
from harambee.handset.pay_outs import PayOuts, read_rows
from harambee.handset.wallet import KEY_FILE, KEY_KIND, Wallet, finish_wallet
from harambee.ledger.records import PAYEES_MAX
from harambee.traffic.bench_pay_outs import OPENING_CENTS, population
from harambee.traffic.temporary_network import TemporaryNetwork

pytestmark = [pytest.mark.accept, pytest.mark.alone, pytest.mark.timeout(400)]

WORKERS = 40


def harambee(*words, folder=None):
    named = [] if folder is None else ["--network", str(folder)]
    return subprocess.run(
        [sys.executable, "-m", "harambee", *named, *words],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_ten_thousand_payees_of_one_business_are_paid_once_everywhere():
    done = harambee("bench", "pay-outs", "--payees", "10500", "--single", "3", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert (found["rows"], found["orders"], found["single"]) == (10_500, 2, 3)
    assert found["rows"] > PAYEES_MAX, "more than one order pays"
    assert found["balances_right"]
    assert found["conserved"]
    assert found["digests_equal"]
    assert found["rows_per_second"] > 0


class Employer:
    """The business of a network, with its wallet where the command line finds it."""

    def __init__(self, running):
        self.running = running
        self.folder = running.folder.folder
        residents = running.folder.population()
        self.account = int(residents.numbers[0])
        self.workers = residents.numbers[1:].tolist()
        self.opening_cents = int(residents.balances[0])
        wallet = self.folder / "handsets" / "employer"
        wallet.mkdir(mode=0o700, parents=True)
        key = KeyPair(residents.seeds[0].tobytes())
        write_key_file(wallet / KEY_FILE, StoredKey(KEY_KIND, key))
        network = running.folder.genesis.network
        self.wallet: Wallet = finish_wallet(wallet, self.account, network)

    def pay(self, text, name):
        async def run():
            known = read_network(self.folder)
            async with open_doors(known.doors) as doors:
                handset = Handset(known.genesis, doors, self.wallet, 60)
                outs = PayOuts(handset, int, (ValueError,), lambda *_told: None)
                return await outs.pay(name, read_rows(text.encode()))

        return asyncio.run(run())

    def urls(self):
        names, pids = self.running.folder.names, self.running.pids
        doors = self.running.network.doors
        return [door.url for name, door in zip(names, doors, strict=True) if name in pids]

    def balances(self, url):
        numbers = (self.account, *self.workers)
        return [get(url, f"/v1/accounts/{n}").document["balance_cents"] for n in numbers]

    def all_hold(self, expected):
        until(
            lambda: all(self.balances(url) == expected for url in self.urls()),
            lambda: f"not {expected}, but {[self.balances(url) for url in self.urls()]}",
        )


@pytest.fixture
def employer():
    with TemporaryNetwork(4, population(WORKERS, 4, seed=7)) as running:
        yield Employer(running)


def statement(url, account):
    return get(url, f"/v1/accounts/{account}/statement").document["lines"]


def test_with_one_super_agent_dead_and_every_door_asked_ten_times_it_is_one_effect(employer):
    running, names = employer.running, employer.running.folder.names
    running.kill(names[3])
    rows = "".join(f"{worker},{10 + k}\n" for k, worker in enumerate(employer.workers))
    paid = employer.pay(rows, "first")
    assert (paid.status, paid.paid_rows) == ("final", WORKERS)
    (payment,) = paid.payments
    table = employer.wallet.paid_under("first")
    spelled = [{"payee": payee, "amount_cents": cents} for payee, cents in sorted(table.items())]
    body = json.dumps({"orders": [{"bytes": payment.order.hex(), "payees": spelled}]}).encode()
    for url in employer.urls():
        for _ in range(10):
            answer = request(
                url,
                "POST",
                "/v1/orders?wait_ms=5000",
                body,
                {"Content-Type": "application/json"},
            )
            assert answer.document["orders"][0]["state"] == "final"
    cost = paid.paid_cents + paid.fee_cents
    expected = [employer.opening_cents - cost] + [
        OPENING_CENTS + table[worker] for worker in employer.workers
    ]
    employer.all_hold(expected)
    # The one that was dead fetches the block, and another one folds its journal: both find the table.
    running.restart(names[3])
    running.kill(names[0])
    running.restart(names[0])
    running.wait_ready(names)
    employer.all_hold(expected)
    until(
        lambda: len({ledger_of(url)["digest"] for url in employer.urls()}) == 1,
        lambda: "the ledgers differ",
    )
    for url in employer.urls():
        assert ledger_of(url)["total_cents"] == 0
        (line,) = statement(url, employer.account)
        assert (line["change_cents"], line["balance_cents"]) == (-cost, expected[0])
        for place, worker in enumerate(employer.workers, 1):
            (line,) = statement(url, worker)
            assert (line["change_cents"], line["balance_cents"]) == (table[worker], expected[place])
        with urlopen(f"{url}/v1/finals?after=0&limit=7", timeout=30) as answer:
            assert answer.read() == payment.order, "an order is told once, not for each payee"
            after = int(answer.headers["Harambee-Next"])
        with urlopen(f"{url}/v1/finals?after={after}&limit=7", timeout=30) as answer:
            assert answer.read() == b""
            assert int(answer.headers["Harambee-Next"]) == 1 + WORKERS
        told = get(url, f"/v1/orders/{employer.account}/0/payees").document["payees"]
        assert told == spelled


def test_the_command_pays_a_file_once_and_says_what_is_wrong_with_it(employer, tmp_path):
    file = tmp_path / "wages.csv"
    file.write_text("payee,amount\n" + "".join(f"{n},100\n" for n in employer.workers[:5]))
    first = harambee("pay-out", "employer", str(file), folder=employer.folder)
    assert first.returncode == 0, first.stderr
    assert "Ksh500.00 paid to 5 payees" in first.stdout
    again = harambee("pay-out", "employer", str(file), folder=employer.folder)
    assert again.returncode == 0, again.stderr
    assert "All 5 payees had been paid before" in again.stdout
    named = ("pay-out", "employer", str(file), "--name", "March", "--json")
    more = json.loads(harambee(*named, folder=employer.folder).stdout.splitlines()[-1])
    assert (more["status"], more["paid_rows"], len(more["orders"])) == ("final", 5, 1)
    file.write_text(f"{employer.workers[0]},x\n{employer.account},5\n0712345678,5\n")
    bad = harambee("pay-out", "employer", str(file), folder=employer.folder)
    assert bad.returncode == 1
    assert "nothing was signed" in bad.stderr
    assert "line 1: 'x' is not an amount" in bad.stderr
    file.write_text(f"{employer.account},5\n0712345678,5\n")
    bad = harambee("pay-out", "employer", str(file), folder=employer.folder)
    assert "line 1: This is the paying account itself." in bad.stderr
    assert "line 2: No account is registered under this number." in bad.stderr
    for worker in employer.workers[:5]:
        url = employer.urls()[1]
        assert (
            get(url, f"/v1/accounts/{worker}").document["balance_cents"] == OPENING_CENTS + 20_000
        )
