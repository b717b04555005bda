"""Who waits for which orders."""

import asyncio

from tests.protocol.network import customers, make_order

from harambee.node.tickets import Tickets, account_key

ONE, OTHER = (make_order(payer, customers(3)[2], 100, 0) for payer in customers(2))


def test_an_order_is_awaited_while_a_ticket_of_it_is_open():
    async def story():
        tickets = Tickets()
        assert not tickets.is_awaited(ONE)
        ticket = tickets.open(ONE)
        assert tickets.is_awaited(ONE)
        assert not tickets.is_awaited(OTHER)
        tickets.close(ticket)
        assert not tickets.is_awaited(ONE)

    asyncio.run(story())


def test_an_order_is_awaited_while_somebody_watches_its_slot():
    async def story():
        tickets = Tickets()
        key = account_key(int(ONE["payer"][0]), int(ONE["sequence"][0]))
        watching = asyncio.create_task(tickets.watch(key, 60))
        await asyncio.sleep(0)
        assert tickets.is_awaited(ONE)
        assert not tickets.is_awaited(OTHER)
        tickets.settled(ONE)
        await watching
        assert not tickets.is_awaited(ONE)

    asyncio.run(story())
