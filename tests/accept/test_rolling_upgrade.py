"""docs/operating.md, followed: four super-agents are upgraded one after the other while handsets pay.

The version before is this one too, unless HARAMBEE_OLDER_SOURCE names the `src` folder of an older one whose
blocks and journals this one reads.
"""

import asyncio
import json
import os
import subprocess
import sys
import threading
import time

import pytest
from tests.accept.quiet_network import QuietNetwork, get, quiet_population, until

from harambee.handset.doors import open_doors
from harambee.handset.handset import Handset, PaymentStatus
from harambee.handset.network_file import DoorAddress
from harambee.handset.wallet import Wallet
from harambee.traffic.temporary_network import TemporaryNetwork

pytestmark = [pytest.mark.accept, pytest.mark.alone, pytest.mark.timeout(420)]

PAYERS = 6
CENTS = 10_00
BETWEEN = 10
"""So many more payments are final before the next super-agent is stopped."""
BEHIND_MOST = 50
"""Blocks under way are always a few; so many are a second's."""


class Versions:
    """Which source each super-agent runs from."""

    def __init__(self):
        self.older = os.environ.get("HARAMBEE_OLDER_SOURCE")
        self.upgraded = set()

    def command(self, config):
        line = [sys.executable, "-m", "harambee", "node", "--config", str(config)]
        if self.older is not None and config.parent.name not in self.upgraded:
            return ["env", f"PYTHONPATH={self.older}", *line]
        return line


class Payers:
    """Customers whose handsets pay one after the other, each beginning with another door."""

    def __init__(self, quiet, folder):
        self.quiet, self.folder = quiet, folder
        self.fates = []
        self.slowest_s = 0.0
        self._stop = threading.Event()
        self._failed = None
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()
        if self._failed is not None:
            raise self._failed

    def more(self, count):
        """Return when so many more payments are decided."""
        wanted = len(self.fates) + count
        until(
            lambda: len(self.fates) >= wanted or self._failed is not None,
            lambda: f"no payment goes on after {len(self.fates)}",
            60,
        )

    def _run(self):
        try:
            asyncio.run(self._pay_all())
        except Exception as error:  # noqa: BLE001 - raised again by who waits for the thread
            self._failed = error

    async def _pay_all(self):
        names, urls = self.quiet.names, self.quiet.urls
        addresses = [DoorAddress(name, url) for name, url in zip(names, urls, strict=True)]
        payees = [self.quiet.customer().account for _ in range(PAYERS)]
        async with open_doors(addresses) as doors, asyncio.TaskGroup() as group:
            for number, payee in enumerate(payees):
                first = number % len(doors)
                group.create_task(self._pay([*doors[first:], *doors[:first]], payee))

    async def _pay(self, doors, payee):
        customer = self.quiet.customer()
        genesis = self.quiet.running.folder.genesis
        wallet = Wallet(self.folder / str(customer.account), customer.account, customer.keypair)
        handset = Handset(genesis, doors, wallet, patience_s=60)
        while not self._stop.is_set():
            began = time.monotonic()
            payment = await handset.pay(payee, CENTS)
            self.slowest_s = max(self.slowest_s, time.monotonic() - began)
            self.fates.append(payment.status)
            await asyncio.sleep(0.1)  # a customer looks up from her telephone; this is no load test


def examined(config):
    """What `harambee doctor` finds that must be mended."""
    line = [sys.executable, "-m", "harambee", "doctor", "--json", "--config", str(config)]
    told = subprocess.run(line, capture_output=True, text=True, check=False)
    document = json.loads(told.stdout.splitlines()[-1])
    wrong = [one for one in document["findings"] if one["severity"] == "wrong"]
    assert told.returncode == bool(wrong), told.stderr
    return [one["sentence"] for one in wrong], document["findings"]


def test_no_payment_fails_while_all_four_are_upgraded_in_turn(tmp_path):
    versions = Versions()
    with TemporaryNetwork(4, quiet_population(), versions.command) as running:
        quiet = QuietNetwork(running)
        with Payers(quiet, tmp_path) as payers:
            for name in quiet.names:
                config = running.folder.node_file(name)
                payers.more(BETWEEN)
                assert examined(config)[0] == []
                running.stop(name)
                payers.more(BETWEEN)
                wrong, findings = examined(config)
                assert wrong == []
                assert f"{name} does not run." in [one["sentence"] for one in findings]
                versions.upgraded.add(name)
                running.restart(name)
                running.wait_ready((name,))
                # The next one is stopped only when this one has all that the others have.
                until(
                    lambda: all(
                        one["connected"] and one["behind"] < BEHIND_MOST for one in peers_of(quiet)
                    ),
                    lambda: f"somebody is behind: {peers_of(quiet)}",
                )
            payers.more(BETWEEN)
        print(f"{len(payers.fates)} payments, the slowest {payers.slowest_s:.1f} s")
        assert set(payers.fates) == {PaymentStatus.FINAL}
        state = quiet.state()
        assert (state["total_cents"], state["entries"]) == (0, len(payers.fates))
        assert running.killed == []
        for name in quiet.names:
            assert "Traceback" not in quiet.log_of(name)
            assert "no honest super-agent signs" not in quiet.log_of(name)


def peers_of(quiet):
    """How it stands with each super-agent, as the first one sees it."""
    peers = get(quiet.urls[0], "/v1/status").document["peers"]
    return [{key: one[key] for key in ("name", "connected", "behind")} for one in peers]
