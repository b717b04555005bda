"""Merchants: changed by their homes alone, and no liar takes one over."""

import asyncio
from dataclasses import replace

import pytest
from tests.merchants.town import KEY, TILL, until

from harambee.ledger.records import account_number
from harambee.merchants.ground import Matter
from harambee.merchants.port import Merchant, MerchantsError, Reason, Trade, Urls
from harambee.merchants.post import join_items
from harambee.merchants.rows import MerchantRow, write_row

URLS = Urls("http://127.0.0.1:9/confirm", "http://127.0.0.1:9/validate", form="daraja.c2b")


async def told(town, sender, row, to=0):
    batch = join_items([write_row(row)])
    return await town.desks[to].serve(sender, Matter.KEEP_MERCHANTS, batch)


def test_a_change_at_the_home_is_known_everywhere_and_after_a_restart(play):
    async def scenario(town, receiver):
        await town.desks[0].set_urls(KEY, TILL, URLS)
        secret = await town.desks[3].set_webhook(KEY, TILL, "http://127.0.0.1:9/hook")
        assert await town.desks[2].set_webhook(KEY, TILL, "http://127.0.0.1:9/other") == secret

        def known(index):
            found = town.desks[index]._book.find(TILL)
            return (found.urls, found.webhook, found.webhook_secret)

        wanted = (URLS, "http://127.0.0.1:9/other", secret)
        await until(lambda: all(known(index) == wanted for index in range(4)))
        await town.stop(0)
        await town.start(0)
        assert known(0) == wanted

    play(scenario)


def test_who_was_away_hears_of_it_when_it_comes_back(play):
    async def scenario(town, receiver):
        town.separate(3)
        await town.desks[1].set_urls(KEY, TILL, URLS)
        for _ in range(5):
            town.join(3)
            town.separate(3)
        town.join(3)
        await until(lambda: town.desks[3]._book.find(TILL).urls == URLS)

    play(scenario)


def test_a_home_that_has_lost_its_disk_is_heard_all_the_same(play):
    async def scenario(town, receiver):
        for _ in range(5):
            await town.desks[1].set_urls(KEY, TILL, URLS)
        await town.stop(1)
        (town.folder / "agent-1" / "data.mdb").unlink()
        await town.start(1)
        town.later_ms = 1_000
        other = replace(URLS, confirmation="http://127.0.0.1:9/new")
        await town.desks[1].set_urls(KEY, TILL, other)
        await until(lambda: town.desks[0]._book.find(TILL).urls == other)

    play(scenario)


def test_an_older_word_changes_nothing(play):
    async def scenario(town, receiver):
        newer = replace(town.till, webhook="http://new/")
        assert await told(town, 1, MerchantRow(7, newer)) == b"\1"
        assert await told(town, 1, MerchantRow(6, town.till)) == b"\1"
        assert town.desks[0]._book.find(TILL).webhook == "http://new/"

    play(scenario)


def test_a_liar_changes_no_merchant_whose_home_he_is_not(play):
    async def scenario(town, receiver):
        evil = replace(town.till, webhook="http://evil/")
        new_code = replace(town.till, short_code="555555")
        lies = [
            (3, MerchantRow(9, evil)),
            (3, MerchantRow(9, replace(evil, home=3))),
            # Another code for the same account would turn its events to the liar.
            (3, MerchantRow(9, replace(new_code, home=3))),
            # A paybill of a till's digits would be found in its place.
            (3, MerchantRow(9, replace(evil, trade=Trade.PAYBILL, home=3, account=99))),
            # Nothing in the ledger says so.
            (3, MerchantRow(9, Merchant("777777", Trade.TILL, 99, "Nobody", 3, "p"))),
            (3, MerchantRow(9, Merchant("abc", Trade.TILL, 99, "Nobody", 3, "p"))),
            # Not even its home moves a merchant to another account.
            (1, MerchantRow(9, replace(town.till, account=99))),
            (1, MerchantRow(1 << 63, town.till)),
            (1, MerchantRow(0, town.till)),
            (3, MerchantRow(9, replace(new_code, home=77))),
        ]
        before = {index: dict(town.desks[index]._book._rows) for index in range(4)}
        for sender, row in lies:
            assert await told(town, sender, row) == b"\0", row
        assert {i: town.desks[i]._book._rows for i in range(4)} == before
        assert town.desks[0]._book.of_account(town.till.account).short_code == TILL

    play(scenario)


def test_somebody_new_is_known_once_the_ledger_knows_the_short_code(play):
    async def scenario(town, receiver):
        account = account_number(3, 300)
        new = Merchant("888888", Trade.TILL, account, "Duka 3", 3, "passkey")
        town.numbers["till:888888"] = account
        assert await told(town, 3, MerchantRow(1, new)) == b"\1"
        assert town.desks[0]._book.find("888888") == new
        assert account in town.desks[0].accounts()

    play(scenario)


def test_a_file_that_is_corrected_corrects_what_no_home_has_said_otherwise(play):
    async def scenario(town, receiver):
        await town.desks[1].set_urls(KEY, TILL, URLS)
        await until(lambda: town.desks[3]._book.find(TILL).urls == URLS)
        town.till = replace(town.till, passkey="new passkey")
        town.paybill = replace(town.paybill, passkey="new passkey")
        await town.stop(3)
        await town.start(3)
        assert town.desks[3]._book.find("600000").passkey == "new passkey"
        assert town.desks[3]._book.find(TILL).passkey == "passkey"
        await town.stop(1)
        await town.start(1)
        assert town.desks[1]._book.find(TILL).urls == URLS
        await until(lambda: town.desks[3]._book.find(TILL).passkey == "new passkey")

    play(scenario)


def test_an_arrangement_for_somebody_elses_merchant_is_refused(play):
    async def scenario(town, receiver):
        town.apps[0] = replace(town.apps[0], short_codes=("600000",))
        await town.stop(1)
        await town.start(1)
        with pytest.raises(MerchantsError) as caught:
            await town.desks[0].set_urls(KEY, TILL, URLS)
        assert caught.value.reason is Reason.INVALID
        await town.stop(1)
        with pytest.raises(MerchantsError) as caught:
            await town.desks[0].set_urls(KEY, TILL, URLS)
        assert caught.value.reason is Reason.UNAVAILABLE

    play(scenario)


def test_changes_at_once_are_all_kept(play):
    async def scenario(town, receiver):
        hooks = [f"http://127.0.0.1:9/{i}" for i in range(20)]
        await asyncio.gather(*(town.desks[1].set_webhook(KEY, TILL, url) for url in hooks))
        await until(lambda: len({town.desks[i]._book.find(TILL).webhook for i in range(4)}) == 1)
        assert town.desks[0]._book.find(TILL).webhook == town.desks[1]._book.find(TILL).webhook

    play(scenario)
