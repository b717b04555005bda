"""Statements in pages, from a super-agent in full: every page says the same wherever one began to read."""

import numpy as np
import pytest
from tests.node.test_runner import WAIT_MS, journey, payment, people

from harambee.node import service
from harambee.node.port import UnavailableError


def test_pages_are_the_same_however_one_comes_to_them(tmp_path, monkeypatch):
    async def story(folder, ports):
        ann, ben = people(folder)[:2]
        port = ports[0]
        for sequence in range(5):
            amount = 10_000 * (sequence + 1)
            await port.submit(payment(folder, ann, ben, amount, sequence), {}, WAIT_MS)
        whole = await port.statement(ann.account, 500, None)
        assert len(whole) == 5
        balance = int((await port.account(ann.account))["balance"][0])
        for line in whole:
            assert line.balance_cents == balance
            assert line.other == ben.account
            assert line.commission_cents == 0
            paid = np.frombuffer(line.order, service.ORDER)[0]
            assert line.charge_cents == paid["fee"]
            balance -= line.change_cents
        assert sum(line.charge_cents for line in whole) > 0
        for remembers in (True, False):
            pages, before = [], None
            while page := await port.statement(ann.account, 2, before):
                pages += page
                before = page[-1].entry
                if not remembers:
                    port._page_ends.clear()
            assert pages == whole
        monkeypatch.setattr(service, "STATEMENT_WALK_MAX", 2)
        port._page_ends.clear()
        with pytest.raises(UnavailableError, match="too far back"):
            await port.statement(ann.account, 2, whole[-1].entry)
        assert await port.statement(ann.account, 2, whole[0].entry) == whole[1:3]

    journey(tmp_path, story)
