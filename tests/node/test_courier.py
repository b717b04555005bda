"""Texts of four super-agents in one process: each to its own accounts, once, and late rather than lost."""

import asyncio
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from tests.node.test_runner import WAIT_MS, journey, make_folder, payment, people, running

from harambee.ledger.records import ENTRY, ROW_OF_TABLE, region_of
from harambee.node import courier as couriers
from harambee.node import past_balances, runner
from harambee.node.courier import Courier, Style
from harambee.node.outbox import OutboxReader
from harambee.node.port import State
from harambee.node.texts import TextPortError
from harambee.texts.languages import Language
from harambee.texts.parties import Party

STYLE = Style("Harambee", Language.ENGLISH)


class Port:
    """Keeps what it takes; takes nothing while it is `broken`."""

    def __init__(self):
        self.texts = []
        self.broken = False
        self.asked = asyncio.Event()

    async def send(self, texts):
        self.asked.set()
        if self.broken:
            raise TextPortError("the port is closed")
        self.texts += texts


def courier_of(service, port, file, **more):
    return Courier(service, port, file, STYLE, lambda: 0, **more)


async def named(accounts):
    return {number: Party(number, f"NAME {number}") for number in accounts}


def acquainted(*known):
    async def parties(accounts):
        return {party.account: party for party in known if party.account in accounts}

    return parties


async def all_steps(courier):
    while await courier.step():
        pass


async def outboxes(folder, count):
    """What lies in all outboxes, by the super-agent's index, once there is so much."""
    readers = [OutboxReader(folder.node(name).texts_folder) for name in folder.names]
    async with asyncio.timeout(20):
        while True:
            found = [(at, line) for at, reader in enumerate(readers) for line in reader.newest(500)]
            if len(found) >= count:
                return found
            await asyncio.sleep(0.05)


def test_each_account_is_told_once_by_its_own_super_agent(tmp_path):
    folder = make_folder(tmp_path)

    async def story(payments):
        async with running(folder) as ports:
            ann, ben = people(folder)[:2]
            assert region_of(ann.account) != region_of(ben.account)
            for sequence in payments:
                port = ports[sequence % 4]
                await port.submit(payment(folder, ann, ben, 10_100, sequence), {}, WAIT_MS)
            told = await outboxes(folder, 2 * (payments[-1] + 1))
            lines = [line for port in ports for line in await port.statement(ann.account, 9, None)]
            assert {port.status()["texts_failed"] for port in ports} == {0}
            return ann, ben, told, lines

    # A super-agent that was stopped goes on where it was: nothing is told twice, nothing is lost.
    for payments in (range(4), range(4, 6)):
        ann, ben, told, lines = asyncio.run(story(payments))
        names = [(line.account, line.kind, line.receipt_code) for _, line in told]
        assert len(names) == len(set(names)) == 2 * (payments[-1] + 1)
        assert {(at, line.account) for at, line in told} == {
            (region_of(who.account), who.account) for who in (ann, ben)
        }
        balances = {
            f"Ksh{line.balance_cents // 100:,}.{line.balance_cents % 100:02d}" for line in lines
        }
        for _, line in told:
            if line.kind == "sent":
                assert f"Confirmed. Ksh101.00 sent to account {ben.account} on " in line.text
                assert (
                    "Transaction cost, Ksh7.00. Amount you can transact within the day" in line.text
                )
                assert line.text.split("balance is ")[1].split(". T")[0] in balances
            else:
                assert line.kind == "received"
                # The payer's profile lies at the payee's super-agent too; the payee's not at the payer's.
                assert "You have received Ksh101.00 from CUSTOMER 1 0700***001 on" in line.text


def test_a_port_that_fails_makes_texts_late_and_loses_none(tmp_path):
    async def story(folder, ports):
        ann, ben = people(folder)[:2]
        service, port = ports[region_of(ann.account)], Port()
        courier = courier_of(service, port, tmp_path / "cursor.json", parties=named)
        assert not await courier.step()
        port.broken = True
        for sequence in range(3):
            await service.submit(payment(folder, ann, ben, 10_100, sequence), {}, WAIT_MS)
            with pytest.raises(TextPortError):
                await courier.step()
        assert courier.facts()["texts_waiting"] == 3
        port.broken = False
        await all_steps(courier)
        assert [text.kind for text in port.texts] == ["sent"] * 3
        assert len({text.receipt_code for text in port.texts}) == 3
        assert f"sent to NAME {ben.account} on" in port.texts[0].text
        assert courier.facts() == {
            "texts_sent": 3,
            "texts_failed": 0,
            "texts_too_old": 0,
            "texts_waiting": 0,
        }

    journey(tmp_path, story)


def test_a_crash_before_the_note_doubles_texts_and_loses_none(tmp_path):
    async def story(folder, ports):
        ann, ben = people(folder)[:2]
        service, port, file = ports[region_of(ann.account)], Port(), tmp_path / "cursor.json"
        await courier_of(service, port, file).step()
        before = file.read_bytes()
        await service.submit(payment(folder, ann, ben, 10_100, 0), {}, WAIT_MS)
        await all_steps(courier_of(service, port, file))
        after = file.read_bytes()
        file.write_bytes(before)
        await all_steps(courier_of(service, port, file))
        assert port.texts[0] == port.texts[1]
        file.write_bytes(after)
        await all_steps(courier_of(service, port, file))
        assert len(port.texts) == 2

    journey(tmp_path, story)


def test_what_is_days_old_is_told_no_more_and_languages_are_each_accounts_own(
    tmp_path, monkeypatch
):
    async def story(folder, ports):
        ann, ben = people(folder)[:2]
        service, port = ports[region_of(ben.account)], Port()
        await service.submit(payment(folder, ann, ben, 10_100, 0), {}, WAIT_MS)
        parties = acquainted(Party(ben.account, language=Language.SWAHILI))
        swahili = courier_of(service, port, tmp_path / "a.json", parties=parties)
        await all_steps(swahili)
        (text,) = port.texts
        assert text.language is Language.SWAHILI
        assert "Umepokea Ksh101.00 kutoka kwa akaunti" in text.text
        later = service.today() + 9
        monkeypatch.setattr(service, "today", lambda: later)
        late = courier_of(service, port, tmp_path / "b.json")
        await all_steps(late)
        assert (len(port.texts), late.too_old) == (1, 1)

    journey(tmp_path, story)


def test_a_backlog_is_told_in_steps(tmp_path, monkeypatch):
    async def story(folder, ports):
        ann, ben = people(folder)[:2]
        service, port = ports[region_of(ben.account)], Port()
        for sequence in range(6):
            await service.submit(payment(folder, ann, ben, 10_100, sequence), {}, WAIT_MS)
        monkeypatch.setattr(couriers, "TEXTS_AT_ONCE", 2)
        monkeypatch.setattr(past_balances, "NEWER_FIRST", 1)
        courier = courier_of(service, port, tmp_path / "cursor.json")
        steps = 1
        while await courier.step():
            steps += 1
        assert steps >= 3
        assert len({text.receipt_code for text in port.texts}) == len(port.texts) == 6
        whole = await service.statement(ben.account, 9, None)
        for text, line in zip(port.texts, reversed(whole), strict=True):
            assert (
                f"balance is Ksh{line.balance_cents // 100:,}.{line.balance_cents % 100:02d}."
                in text.text
            )

    journey(tmp_path, story)


def test_a_courier_that_runs_goes_on_after_every_failure(tmp_path, monkeypatch):
    monkeypatch.setattr(couriers, "RETRY_S", (0.01,))

    async def story(folder, ports):
        ann, ben = people(folder)[:2]
        service, port = ports[region_of(ann.account)], Port()
        courier = courier_of(service, port, tmp_path / "cursor.json")
        await courier.step()
        port.broken = True
        running_courier = asyncio.create_task(courier.run())
        await service.submit(payment(folder, ann, ben, 10_100, 0), {}, WAIT_MS)
        courier.wake(1)
        async with asyncio.timeout(20):
            for broken in (True, True, True, False):
                port.broken = broken
                port.asked.clear()
                await port.asked.wait()
        assert len(port.texts) == 1
        assert courier.failed >= 3
        running_courier.cancel()
        await asyncio.gather(running_courier, return_exceptions=True)

    journey(tmp_path, story)


@dataclass
class Ledgerless:
    """A super-agent of the first region, for questions that need no ledger."""

    genesis: Any
    index: int = 0


OURS, OTHERS = 16, (1 << 20) + 16

# Payer, payee, mark in the place of the revenue account's entry; then who of ours is told.
ERRANDS = {
    "ours pays another's": ((OURS, OTHERS, 0), [OURS]),
    "another's pays ours": ((OTHERS, OURS, 0), [OURS]),
    "both are ours": ((OURS, OURS + 1, 0), [OURS, OURS + 1]),
    "neither is": ((OTHERS, OTHERS + 1, 0), []),
    "a cancel, or a bulk pay-out: to itself": ((OURS, OURS, 0), [OURS]),
    "a row of a table tells its payee": ((OTHERS, OURS, ROW_OF_TABLE), [OURS]),
    "and not its payer again": ((OURS, OTHERS, ROW_OF_TABLE), []),
    "a row that pays its own region": ((OURS, OURS + 1, ROW_OF_TABLE), [OURS + 1]),
}


def entries_of(*rows):
    found = np.zeros(len(rows), ENTRY)
    for row, (payer, payee, mark) in zip(found, rows, strict=True):
        row["payer"], row["payee"], row["revenue_previous"] = payer, payee, mark
    return found


def errands(tmp_path, entries, told, at=100):
    async def ask():
        source = Ledgerless(make_folder(tmp_path).genesis)
        courier = courier_of(source, Port(), tmp_path / "cursor.json")
        found, done = courier._errands(at, entries, np.array(told, np.bool_))
        return [(errand.entry, errand.account) for errand in found], done

    return asyncio.run(ask())


def test_whom_an_entry_concerns(tmp_path):
    entries = entries_of(*(row for row, _ in ERRANDS.values()))
    wanted = [(100 + at, n) for at, (_, told) in enumerate(ERRANDS.values()) for n in told]
    assert errands(tmp_path, entries, [False] * len(entries)) == (wanted, len(entries))


def test_what_was_told_is_passed_over(tmp_path):
    entries = entries_of(*[(OTHERS, OURS, 0)] * 3)
    assert errands(tmp_path, entries, [True, False, True]) == ([(101, OURS)], 3)


def test_a_step_has_so_many_texts_and_no_entry_by_halves(tmp_path):
    count = couriers.TEXTS_AT_ONCE
    entries = entries_of((OTHERS, OURS, 0), *[(OURS, OURS + 1, 0)] * count)
    found, done = errands(tmp_path, entries, [False] * len(entries))
    assert len(found) == 1 + 2 * (done - 1)
    assert count <= len(found) <= count + 1


class StuckPort:
    """Takes texts and never says that it has."""

    def __init__(self):
        self.asked = asyncio.Event()

    async def send(self, texts):
        self.asked.set()
        await asyncio.get_running_loop().create_future()


def test_a_port_that_is_stuck_holds_up_no_payment(tmp_path, monkeypatch):
    stuck = []

    def make(*_):
        stuck.append(StuckPort())
        return stuck[-1]

    monkeypatch.setattr(runner, "text_port", make)

    async def story(folder, ports):
        ann, ben = people(folder)[:2]
        home = region_of(ann.account)
        for sequence in range(20):
            found = await ports[home].submit(
                payment(folder, ann, ben, 10_100, sequence), {}, WAIT_MS
            )
            assert found.states.tolist() == [State.FINAL]
        await stuck[home].asked.wait()
        assert ports[home].status()["texts_waiting"] >= 20
        assert ports[home].status()["texts_sent"] == 0

    journey(tmp_path, story)


def test_a_super_agent_whose_texts_are_off_sends_none(tmp_path):
    folder = make_folder(tmp_path)
    for name in folder.names:
        file = folder.node_file(name)
        file.write_text(file.read_text().replace('texts = "outbox"', 'texts = "off"'))

    async def story():
        async with running(folder) as ports:
            ann, ben = people(folder)[:2]
            await ports[0].submit(payment(folder, ann, ben, 10_100, 0), {}, WAIT_MS)
            assert "texts_sent" not in ports[0].status()

    asyncio.run(story())
    assert not any(folder.node(name).texts_folder.exists() for name in folder.names)
