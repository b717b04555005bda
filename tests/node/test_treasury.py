"""Four super-agents in one process: commissions paid, shops and floats told, by the real service."""

import asyncio

from tests.node.test_runner import journey, payment, running, same_digests

from harambee.handset.orders import order_id
from harambee.ledger.kinds import OrderKind
from harambee.ledger.records import POSITION_COMMISSION, POSITION_FLOAT, account_number
from harambee.node.development import FLOAT_CENTS
from harambee.node.port import State

WAIT_MS = 20_000


def one(folder, name):
    return next(person for person in folder.demo() if person.name == name)


async def until(holds):
    """Return when it holds; TimeoutError if it does not in time."""
    async with asyncio.timeout(20):
        while True:
            if await holds():
                return
            await asyncio.sleep(0.01)


async def carry(port, *orders):
    for order in orders:
        submission = await port.submit(order, {}, WAIT_MS)
        assert submission.states.tolist() == [State.FINAL], submission


async def paid_for(port, agent):
    """The references of the commissions in an agent's statement, oldest first."""
    lines = await port.statement(agent.account, 100, None)
    orders = [line.order for line in reversed(lines)]
    return [order[32:64] for order in orders if order[24] == OrderKind.DEPOSIT_COMMISSION]


async def is_paid(port, agent, count):
    return len(await paid_for(port, agent)) >= count


def test_commissions_shops_and_floats_over_a_restart(tmp_path):
    seen = {}

    def deposit(folder, sequence, name="agent-1"):
        agent, customer = one(folder, name), one(folder, "customer-1")
        return payment(folder, agent, customer, 500_00, sequence, kind=OrderKind.DEPOSIT)

    async def story(folder, ports):
        agent, office = one(folder, "agent-1"), one(folder, "head-office-1")
        assert (await ports[0].shops(office.account)).tolist() == []
        join = payment(folder, agent, office, 0, 0, kind=OrderKind.JOIN_HEAD_OFFICE)
        await carry(ports[2], join)
        first = deposit(folder, 1)
        await carry(ports[1], first, deposit(folder, 2))
        for port in ports:
            await until(lambda port=port: is_paid(port, agent, 2))
            assert (await port.shops(office.account)).tolist() == [agent.account]
        assert (await paid_for(ports[3], agent))[0] == order_id(
            folder.genesis.network, first.tobytes()
        )
        # A fifth of 8 shillings, twice.
        change = [line.change_cents for line in await ports[3].statement(office.account, 9, None)]
        assert change[:2] == [1_60, 1_60]
        status = ports[0].status()
        assert (status["commissions_owed"], status["commissions_trouble"]) == (0, None)
        assert status["commissions_paid_total"] == 2
        assert ports[1].status()["commissions_paid_total"] == 0
        assert (status["float_cents"], status["float_low"]) == (FLOAT_CENTS, False)
        assert ports[0].agent_places().keys() >= {agent.account, office.account}
        seen["digest"] = await same_digests(ports)

    folder = journey(tmp_path, story)

    async def again():
        async with running(folder) as ports:
            agent = one(folder, "agent-1")
            await carry(ports[3], deposit(folder, 3))
            await until(lambda: is_paid(ports[2], agent, 3))
            references = await paid_for(ports[2], agent)
            assert len(references) == len(set(references)) == 3
            account = await ports[0].account(account_number(0, POSITION_COMMISSION))
            assert int(account["next_sequence"][0]) == 3, "nothing was paid for again"
            assert await ports[0].account(account_number(0, POSITION_FLOAT)) is not None

    asyncio.run(again())
