"""Four super-agents in one process: the same close at all of them, signed when it is time, over a restart."""

import asyncio

import numpy as np
import pytest
from tests.node.test_runner import WAIT_MS, journey, payment, running, same_digests

from harambee.handset.orders import today
from harambee.ledger.kinds import OrderKind
from harambee.ledger.records import ORDER
from harambee.node import day_books, service
from harambee.node.port import State, UnavailableError
from harambee.oversight.day_close import Word, read_close, read_flows, weigh


def one(folder, name):
    return next(person for person in folder.demo() if person.name == name)


async def carry(port, *orders):
    for order in orders:
        submission = await port.submit(order, {}, WAIT_MS)
        assert submission.states.tolist() == [State.FINAL], submission


async def closes(ports, day):
    return [await port.oversight.close(day) for port in ports]


def test_closes_are_equal_and_signed_when_the_day_can_change_no_more(tmp_path, monkeypatch):
    day = today()
    seen = {}

    async def story(folder, ports):
        committee, network = folder.genesis.committee, folder.genesis.network
        ann = one(folder, "customer-1")
        ben = one(folder, "customer-2")
        bank = one(folder, "bank-1")
        assert ann.account >> 20 != ben.account >> 20, "two super-agents' customers"
        await carry(
            ports[1],
            payment(folder, ann, ben, 500_00, 0),
            payment(folder, ann, ben, 100_00, 1, day=day + 1),
            payment(folder, bank, ben, 70_00, 0, kind=OrderKind.BANK_WITHDRAWAL),
        )
        await same_digests(ports)
        drafts = await closes(ports, day)
        assert [answer.signature for answer in drafts] == [None] * 4
        assert len({answer.document for answer in drafts}) == 1
        draft = read_close(drafts[0].document)
        assert draft.orders == 2
        here, there = ann.account >> 20, ben.account >> 20
        rows = {(party.is_bank, party.number): row for row, party in enumerate(draft.parties)}
        expected = [0] * len(draft.parties)
        expected[rows[False, here]] = -500_00
        expected[rows[False, there]] = 500_00 + 70_00
        expected[rows[True, bank.account]] = -70_00
        assert list(draft.positions_cents) == expected
        assert read_close((await closes(ports, day + 1))[0].document).orders == 1
        cells = read_flows(await ports[3].oversight.flows(day), draft)
        assert cells[rows[False, here], rows[False, there]] == 500_00

        line = await ports[2].oversight.trust()
        assert line.holds
        assert line.circulation_cents == draft.circulation_cents
        assert {bank.account: bank.owed_cents for bank in line.banks} == draft.owed_cents

        monkeypatch.setattr(service.Service, "today", lambda self: day + 1)
        assert [answer.signature for answer in await closes(ports, day)] == [None] * 4
        monkeypatch.setattr(service.Service, "today", lambda self: day + 2)
        signed = await closes(ports, day)
        words = [Word(i, a.document, a.signature) for i, a in enumerate(signed)]
        outcome = weigh(committee, network, day, words)
        assert outcome.is_settled(committee)
        assert sorted(outcome.agreed.signatures) == [0, 1, 2, 3]
        seen["document"] = signed[0].document

    folder = journey(tmp_path, story)
    monkeypatch.setattr(service.Service, "today", lambda self: day + 3)

    async def again():
        async with running(folder) as ports:
            assert {a.document for a in await closes(ports, day)} == {seen["document"]}

    asyncio.run(again())


def test_a_days_orders_come_in_pages_with_author_and_time(tmp_path, monkeypatch):
    day = today()
    monkeypatch.setattr(day_books, "SCAN_ENTRIES", 2)
    monkeypatch.setattr(day_books, "READ_ORDERS", 1)

    async def story(folder, ports):
        ann, ben = one(folder, "customer-1"), one(folder, "customer-2")
        days = [day, day, day + 1, day + 1]
        orders = [
            payment(folder, ann, ben, 100_00, sequence, day=own)
            for sequence, own in enumerate(days)
        ]
        late = payment(folder, ben, ann, 100_00, 0, day=day)
        await carry(ports[0], *orders)
        await carry(ports[1], late)
        await same_digests(ports)
        for port in ports:
            assert (await port.oversight.orders(day - 9, 0, 100)).rows.tobytes() == b""
            for own, wanted in ((day, [*orders[:2], late]), (day + 1, orders[2:])):
                rows, after = [], 0
                while True:
                    page = await port.oversight.orders(own, after, 2)
                    rows.append(page.rows)
                    assert page.following > after or page.following >= page.end
                    after = page.following
                    if after >= page.end:
                        break
                found = np.concatenate(rows)
                told = [row.tobytes() for row in found["order"].view(ORDER).reshape(-1)]
                assert told == [order.tobytes() for order in wanted]
                assert set(found["author"].tolist()) <= {0, 1}
                assert found["time_ms"].min() > (day - 1) * 86_400_000

    journey(tmp_path, story)


def test_who_lags_signs_nothing(tmp_path, monkeypatch):
    async def story(folder, ports):
        monkeypatch.setattr(service.Service, "ready", lambda self: "It reads what it missed.")
        with pytest.raises(UnavailableError, match="reads what it missed"):
            await ports[0].oversight.close(today() - 2)
        monkeypatch.undo()

    journey(tmp_path, story)
