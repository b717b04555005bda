"""Instructions: told twice they are done once, and no crash loses one or pays twice."""

import asyncio
import base64
from dataclasses import replace

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding
from tests.merchants.town import (
    CUSTOMER,
    KEY,
    OTHER,
    PASSWORD,
    PAYBILL,
    TILL,
    credentials,
    until,
)

from harambee.handset.orders import OrderBody
from harambee.handset.receipt_code import code_of
from harambee.ledger.kinds import OrderKind
from harambee.ledger.outcomes import Outcome
from harambee.merchants import instructions
from harambee.merchants.ground import Matter
from harambee.merchants.port import Deed, EventKind, Instruction, MerchantsError, Reason

HOME = 1
TILL_KEY = f"till:{TILL}"


def credential(password=PASSWORD):
    key = x509.load_pem_x509_certificate(credentials().certificate).public_key()
    return base64.b64encode(key.encrypt(password.encode(), padding.PKCS1v15())).decode()


def instruction(name="pay-1", **other):
    told = Instruction(
        Deed.PAY_CUSTOMER,
        KEY,
        TILL,
        "alice",
        credential(),
        name,
        f"conversation-{name}",
        "b2c",
        "",
        amount_cents=2_500,
        payee=CUSTOMER,
    )
    return replace(told, **other)


async def result_of(town, name="pay-1", key=TILL_KEY):
    """Return how an instruction ended, once it has."""

    def found():
        rows = [row for _, row in town.stores[HOME].events(key, 0, 500) if row.result is not None]
        return [row.result for row in rows if row.result.instruction.name == name]

    await until(found)
    (result,) = found()
    return result


async def reason_of(call):
    with pytest.raises(MerchantsError) as caught:
        await call
    return caught.value.reason


def paid(town):
    """Return the orders of the till's that are final, but for burnt slots."""
    orders = [OrderBody.from_bytes(order) for order in town.finals.values()]
    mine = [one for one in orders if one.payer == town.till.account]
    return [one for one in mine if one.kind is not OrderKind.CANCEL]


@pytest.mark.parametrize("door", [0, HOME])
def test_an_instruction_is_done_wherever_it_is_told_and_once(play, door):
    async def scenario(town, receiver):
        told = [await town.desks[door].instruct(instruction()) for _ in range(3)]
        assert told == [True, False, False]
        result = await result_of(town)
        await town.desks[door].instruct(instruction())
        (order,) = paid(town)
        assert (order.payee, order.amount_cents) == (town.customer.account, 2_500)
        assert result.outcome is Outcome.ACCEPTED
        assert result.receipt_code == code_of(
            next(iter(town.finals.values())), town.genesis.regions
        )
        assert (
            await reason_of(town.desks[door].instruct(instruction(amount_cents=1)))
            is Reason.NAME_TAKEN
        )

    play(scenario)


def test_told_many_times_at_once_it_is_done_once(play):
    async def scenario(town, receiver):
        told = [town.desks[door].instruct(instruction()) for door in (0, 1, 2, 3) * 5]
        await asyncio.gather(*told)
        await result_of(town)
        assert len(paid(town)) == 1

    play(scenario)


@pytest.mark.parametrize("refused", [False, True])
@pytest.mark.parametrize("commits", range(7))
def test_a_crash_between_any_two_steps_loses_nothing_and_pays_once(play, commits, refused):
    async def scenario(town, receiver):
        town.grounds[HOME].refuses = Outcome.BALANCE_INSUFFICIENT if refused else None
        mend = town.disk_full(HOME, after=commits)
        answered = commits > 0
        if answered:
            assert await town.desks[HOME].instruct(instruction())
        else:
            reason = await reason_of(town.desks[HOME].instruct(instruction()))
            assert reason is Reason.UNAVAILABLE
        for _ in range(10):
            await asyncio.sleep(0.002)
        await town.stop(HOME)
        mend()
        await town.start(HOME)
        if not answered:
            assert town.stores[HOME].instruction(TILL_KEY, "pay-1") is None
            assert not town.finals
            await town.desks[0].instruct(instruction())
        result = await result_of(town)
        await until(lambda: town.stores[HOME].undone() == [])
        outcome = Outcome.BALANCE_INSUFFICIENT if refused else Outcome.ACCEPTED
        assert result.outcome is outcome
        assert len(paid(town)) == (0 if refused else 1)
        assert len(town.finals) == 1

    play(scenario)


def test_what_is_signed_goes_before_what_was_told_earlier_by_a_clock_set_back(play):
    async def scenario(town, receiver):
        ground = town.grounds[HOME]
        offer, reached = ground.offer, asyncio.Event()

        async def hang(order, wait_ms):
            reached.set()
            await asyncio.Event().wait()

        ground.offer = hang
        await town.desks[HOME].instruct(instruction("pay-1"))
        await asyncio.wait_for(reached.wait(), 5)
        town.later_ms = -3_600_000
        await town.desks[HOME].instruct(instruction("pay-2"))
        await town.stop(HOME)
        ground.offer = offer
        await town.start(HOME)
        for name in ("pay-1", "pay-2"):
            assert (await result_of(town, name)).outcome is Outcome.ACCEPTED
        assert len(paid(town)) == 2

    play(scenario)


def test_a_store_that_was_put_back_from_a_copy_pays_nothing_a_second_time(play):
    async def scenario(town, receiver):
        ground = town.grounds[HOME]
        number, reached = ground.number, asyncio.Event()

        async def hang(text):
            reached.set()
            await asyncio.Event().wait()

        ground.number = hang
        await town.desks[HOME].instruct(instruction())
        await asyncio.wait_for(reached.wait(), 5)
        await town.stop(HOME)
        data = town.folder / f"agent-{HOME}" / "data.mdb"
        copy = data.read_bytes()
        ground.number = number
        await town.start(HOME)
        assert (await result_of(town)).outcome is Outcome.ACCEPTED
        await town.stop(HOME)
        other = data.with_suffix(".new")
        other.write_bytes(copy)
        other.replace(data)
        await town.start(HOME)
        result = await result_of(town)
        assert (result.outcome, result.reason) == (None, Reason.UNAVAILABLE)
        assert len(paid(town)) == 1
        # Only what the copy had: whatever is told from now on is done.
        await town.desks[HOME].instruct(instruction("pay-2"))
        assert (await result_of(town, "pay-2")).outcome is Outcome.ACCEPTED

    play(scenario)


def test_a_refused_order_is_burnt_before_it_is_called_refused(play):
    async def scenario(town, receiver):
        town.grounds[HOME].refuses = Outcome.BALANCE_INSUFFICIENT
        await town.desks[HOME].instruct(instruction())
        result = await result_of(town)
        assert result.outcome is Outcome.BALANCE_INSUFFICIENT
        (final,) = town.finals.values()
        assert OrderBody.from_bytes(final).kind is OrderKind.CANCEL
        town.grounds[HOME].refuses = None
        await town.desks[HOME].instruct(instruction("pay-2"))
        assert (await result_of(town, "pay-2")).outcome is Outcome.ACCEPTED

    play(scenario)


def test_a_home_that_is_down_is_said_so(play):
    async def scenario(town, receiver):
        await town.stop(HOME)
        assert await reason_of(town.desks[0].instruct(instruction())) is Reason.UNAVAILABLE

    play(scenario)


@pytest.mark.parametrize(
    "other",
    [
        {"name": ""},
        {"name": "n" * 65},
        {"name": "\ud800"},
        {"name": "a\0b"},
        {"remarks": "r" * 8_000},
        {"result_url": "\ud800"},
    ],
)
def test_what_no_instruction_is_is_refused(play, other):
    async def scenario(town, receiver):
        for door in (0, HOME):
            assert (
                await reason_of(town.desks[door].instruct(instruction(**other))) is Reason.INVALID
            )
        assert town.desks[HOME].facts()["instructions_waiting"] == 0

    play(scenario)


@pytest.mark.parametrize(
    "other",
    [
        {"deed": Deed.STATUS, "subject": "x" * 2_000},
        {"deed": Deed.STATUS, "subject": ""},
        {"deed": Deed.STATUS, "subject": "SK1NOBODY0"},
        {"deed": Deed.REVERSE, "subject": "\x00"},
        {"payee": "nobody"},
        {"amount_cents": 0},
        {"amount_cents": 1 << 60},
        {"initiator": "mallory"},
        {"credential": ""},
        {"credential": "not base64"},
        {"credential": "A" * 3_000},
    ],
)
def test_what_cannot_be_done_ends_and_holds_up_nothing(play, other):
    async def scenario(town, receiver):
        await town.desks[HOME].instruct(instruction("bad", **other))
        await town.desks[HOME].instruct(instruction("good"))
        assert (await result_of(town, "bad")).outcome is not Outcome.ACCEPTED
        assert (await result_of(town, "good")).outcome is Outcome.ACCEPTED
        assert len(paid(town)) == 1

    play(scenario)


def test_one_that_fails_for_no_reason_known_ends_after_some_tries(play):
    async def scenario(town, receiver):
        ground, number = town.grounds[HOME], town.grounds[HOME].number

        async def spoilt(text):
            if text == OTHER:
                raise ZeroDivisionError
            return await number(text)

        ground.number = spoilt
        await town.desks[HOME].instruct(instruction("bad", payee=OTHER))
        await town.desks[HOME].instruct(instruction("good"))
        assert (await result_of(town, "bad")).reason is Reason.INVALID
        assert (await result_of(town, "good")).outcome is Outcome.ACCEPTED

    play(scenario)


def test_guesses_of_a_credential_are_few(play, monkeypatch):
    monkeypatch.setattr(instructions, "WRONG_MAX", 3)

    async def scenario(town, receiver):
        wrong = credential("a guess")
        for i in range(3):
            await town.desks[0].instruct(instruction(f"guess-{i}", credential=wrong))
        guess = instruction("guess-3", credential=wrong)
        assert await reason_of(town.desks[0].instruct(guess)) is Reason.BUSY
        await town.desks[0].instruct(instruction("good"))
        assert (await result_of(town, "good")).outcome is Outcome.ACCEPTED
        assert (await result_of(town, "guess-0")).reason is Reason.CREDENTIAL_WRONG
        # Another merchant of the same home is not the poorer for it.
        other = instruction("guess-4", credential=wrong, short_code=PAYBILL)
        await town.desks[0].instruct(other)

    play(scenario)


def test_an_initiator_may_instruct_her_own_merchant_only(play):
    async def scenario(town, receiver):
        town.initiators = {f"{TILL_KEY}/alice": PASSWORD}
        await town.stop(HOME)
        await town.start(HOME)
        await town.desks[0].instruct(instruction("own"))
        await town.desks[0].instruct(instruction("other", short_code=PAYBILL))
        spelt = instruction("spelt", short_code=PAYBILL, initiator=f"{TILL_KEY}/alice")
        await town.desks[0].instruct(spelt)
        assert (await result_of(town, "own")).outcome is Outcome.ACCEPTED
        for name in ("other", "spelt"):
            result = await result_of(town, name, f"paybill:{PAYBILL}")
            assert result.reason is Reason.CREDENTIAL_WRONG

    play(scenario)


def test_no_credential_is_kept_once_it_was_judged(play):
    async def scenario(town, receiver):
        await town.desks[HOME].instruct(instruction())
        await town.desks[HOME].instruct(instruction("wrong", credential=credential("x")))
        for name in ("pay-1", "wrong"):
            result = await result_of(town, name)
            assert result.instruction.credential == ""
            await until(lambda name=name: town.stores[HOME].instruction(TILL_KEY, name).done)
            assert town.stores[HOME].instruction(TILL_KEY, name).instruction.credential == ""

    play(scenario)


def test_a_payment_is_looked_up_and_given_back(play):
    async def scenario(town, receiver):
        await town.ask(0)
        order = await town.pay(await town.document(0))
        code = code_of(order, town.genesis.regions)
        looked = instruction("look", deed=Deed.STATUS, subject=code, payee="", amount_cents=0)
        await town.desks[0].instruct(looked)
        result = await result_of(town, "look")
        assert (result.payment.order, result.payment_kind) == (order, "buy_goods")
        back = instruction("back", deed=Deed.REVERSE, subject=code, payee="", amount_cents=5_000)
        await town.desks[0].instruct(back)
        assert (await result_of(town, "back")).outcome is Outcome.ACCEPTED
        (refund,) = paid(town)
        assert (refund.kind, refund.payee) == (OrderKind.REFUND, town.customer.account)
        again = instruction("look-2", deed=Deed.STATUS, subject="back", payee="", amount_cents=0)
        await town.desks[0].instruct(again)
        assert (await result_of(town, "look-2")).payment_kind == "refund"
        await town.desks[0].instruct(instruction("balance", deed=Deed.BALANCE, payee=""))
        balance = int(town.accounts[town.till.account]["balance"][0])
        assert (await result_of(town, "balance")).balance_cents == balance

    play(scenario)


def test_what_a_lying_home_answers_is_read_carefully(play):
    async def scenario(town, receiver):
        for answer in (b"", b"\xff\xfe", b"name-taken\nSorry", b"nonsense\n" + b"x" * 9_000):
            town.liars[HOME] = lambda matter, _, answer=answer: answer
            reason = await reason_of(town.desks[0].instruct(instruction()))
            assert reason in (Reason.UNAVAILABLE, Reason.NAME_TAKEN)

    play(scenario)


def test_an_instruction_that_comes_to_the_wrong_place_is_refused(play):
    async def scenario(town, receiver):
        content = msgspec.msgpack.encode(instruction())
        assert (await town.desks[2].serve(0, Matter.INSTRUCT, content)).startswith(
            b"merchant-unknown"
        )
        result = await town.desks[HOME].serve(0, Matter.INSTRUCT, content)
        assert result == b"new"
        rows = town.stores[HOME].events(TILL_KEY, 0, 10)
        assert all(row.kind is EventKind.INSTRUCTION_ENDED for _, row in rows)

    play(scenario)
