"""/ussd over a village of four: who may call back, what comes twice, and a session that dies half-way."""

import asyncio
from dataclasses import dataclass
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.feature_phones.conftest import quick_hashes
from tests.feature_phones.village import BEN, BILLER, NUMBER, PIN, village_of

from harambee.feature_phones.port import UssdSettings
from harambee.gateways.ussd.app import (
    BODY_BYTES_MAX,
    CallbackError,
    UssdGateway,
    is_from,
    read_callback,
)
from harambee.gateways.ussd.sessions import LIFETIME_S, SESSIONS_OF_NUMBER_MAX
from harambee.gateways.ussd.wording import SCREEN_MAX
from harambee.handset.payment_requests import PaymentRequest
from harambee.ledger.kinds import OrderKind

__all__ = ["quick_hashes"]

LOCAL = ("127.0.0.1", 40_000)
SETTINGS = UssdSettings(airtime="paybill:400009")


@dataclass
class Port:
    phones: object
    ussd: UssdSettings = SETTINGS


@dataclass
class Phone:
    """A telephone at one door."""

    village: object
    door: int = 3
    number: str = NUMBER
    now_s: float = 0.0

    def __post_init__(self):
        self.gateway = UssdGateway(Port(self.village.desks[self.door]), lambda: self.now_s)

    async def post(
        self, text, session="s1", *, client=LOCAL, number=None, body=None, method="POST"
    ):
        form = {
            "sessionId": session,
            "serviceCode": "*334#",
            "phoneNumber": number or self.number,
            "networkCode": "63902",
            "text": text,
        }
        content = urlencode(form).encode() if body is None else body
        scope = {
            "type": "http",
            "method": method,
            "path": "/ussd",
            "headers": [(b"content-type", b"application/x-www-form-urlencoded")],
            "client": client,
        }

        async def receive():
            return {"type": "http.request", "body": content}

        answer = await self.gateway.answer(scope, receive)
        assert answer.content_type.startswith(b"text/plain")
        text = answer.body.decode()
        assert text.startswith(("CON ", "END "))
        assert len(text) <= SCREEN_MAX
        return answer.status, text

    async def dial(self, text, session="s1"):
        """Type it piece by piece, as a person does; returns the last screen."""
        _, shown = await self.post("", session)
        inputs = text.split("*") if text else []
        for at in range(len(inputs)):
            _, shown = await self.post("*".join(inputs[: at + 1]), session)
        return shown


def story(tmp_path, tell, **more):
    async def run():
        async with village_of(tmp_path, **more) as village:
            await tell(village, Phone(village))

    asyncio.run(run())


SEND = "1*0722000001*200"


def test_money_is_sent_after_the_name_was_shown_and_the_pin_was_last(tmp_path):
    async def tell(village, phone):
        assert await phone.dial("") == (
            "CON Harambee\n1. Send money\n2. Withdraw cash\n3. Buy airtime\n4. Lipa\n5. My account"
        )
        shown = await phone.dial(SEND)
        assert shown.startswith("CON Send Ksh200.00 to BEN O. 0722***001. Cost Ksh")
        assert (await phone.dial(SEND + "*1")).startswith("CON Enter PIN")
        shown = await phone.dial(SEND + "*1*" + PIN)
        assert " Confirmed. Ksh200.00 paid. New balance Ksh" in shown
        assert village.accounts[BEN].balance_cents == 1_020_000

    story(tmp_path, tell)


def test_a_callback_that_comes_again_is_answered_again_and_does_nothing_twice(tmp_path):
    async def tell(village, phone):
        await phone.dial(SEND + "*1")
        last = SEND + "*1*" + PIN
        answers = await asyncio.gather(*(phone.post(last) for _ in range(5)))
        answers.append(await phone.post(last))
        assert len(set(answers)) == 1
        assert len(village.finals(village.account, OrderKind.SEND)) == 1

    story(tmp_path, tell)


def test_a_wrong_pin_that_comes_again_counts_once(tmp_path):
    async def tell(village, phone):
        await phone.dial("5*1")
        for _ in range(3):
            assert "Tries left: 2" in (await phone.post("5*1*1357"))[1]
        for session, left in (("s2", "Tries left: 1"), ("s3", "locked"), ("s4", "locked")):
            assert left in await phone.dial("5*1*1357", session)
        assert "locked" in await phone.dial("5*1*" + PIN, "s5")

    story(tmp_path, tell)


def test_a_session_that_dies_half_way_does_nothing(tmp_path):
    async def tell(village, phone):
        pieces = (SEND + "*1").split("*")
        for at in range(len(pieces) + 1):
            await phone.dial("*".join(pieces[:at]), f"dies-{at}")
        assert village.offered == []
        # The door has forgotten the session, or is another one: what was typed is not acted on.
        phone.now_s += LIFETIME_S + 1
        assert "nothing was done" in (await phone.post(SEND + "*1*" + PIN, "dies-4"))[1]
        elsewhere = Phone(village, door=2)
        assert "nothing was done" in (await elsewhere.post(SEND + "*1*" + PIN, "dies-4"))[1]
        assert village.offered == []

    story(tmp_path, tell)


def test_who_has_not_seen_whom_she_pays_does_not_pay(tmp_path):
    async def tell(village, phone):
        await phone.post("")
        assert "nothing was done" in (await phone.post(SEND + "*1*" + PIN))[1]
        assert village.offered == []

    story(tmp_path, tell)


def test_a_new_session_is_a_new_payment_which_is_why_she_is_told_to_wait(tmp_path):
    async def tell(village, phone):
        village.mute = {0}
        await phone.dial(SEND + "*1")
        assert "being processed" in (await phone.post(SEND + "*1*" + PIN))[1]
        village.stop(0)
        village.let_out()
        shown = await phone.dial(SEND + "*1*" + PIN, "again")
        # What the dead home had signed became final, and the new session begins behind it.
        assert "Confirmed" in shown
        assert len(village.finals(village.account, OrderKind.SEND)) == 2

    story(tmp_path, tell)


def test_withdraw_airtime_till_and_bill(tmp_path):
    async def tell(village, phone):
        for at, (text, kind) in enumerate(
            {
                "2*12345*100": OrderKind.WITHDRAW,
                "3*1*20": OrderKind.AIRTIME,
                "4*1*123456*50": OrderKind.BUY_GOODS,
                "4*2*400001*AB7*50": OrderKind.PAY_BILL,
            }.items()
        ):
            shown = await phone.dial(text + "*1*" + PIN, f"s{at}")
            assert "Confirmed" in shown
            assert village.finals(village.account)[-1].kind is kind

    story(tmp_path, tell)


def test_balance_statement_language_and_a_new_pin(tmp_path):
    async def tell(village, phone):
        await phone.dial(SEND + "*1*" + PIN, "s0")
        assert "Balance Ksh" in await phone.dial("5*1*" + PIN, "s1")
        assert "-200.00" in await phone.dial("5*2*" + PIN, "s2")
        assert "Lugha yako ni Kiswahili" in await phone.dial("5*4*2", "s3")
        assert "Tuma pesa" in await phone.dial("", "s4")
        assert "PIN yako imebadilishwa" in await phone.dial(f"5*3*{PIN}*8642*8642", "s5")
        assert "PIN si sahihi" in await phone.dial("5*1*" + PIN, "s6")
        assert "Baki" in await phone.dial("5*1*8642", "s7")

    story(tmp_path, tell)


def test_a_merchants_request_is_paid_or_declined(tmp_path):
    async def tell(village, phone):
        request = PaymentRequest(
            "r-1",
            0,
            BILLER,
            village.account,
            5_000,
            "pay_bill",
            "WATER",
            "400001",
            "AB7",
            "",
            1,
            2,
            "n",
        )
        village.requests = [request.to_bytes()]
        assert await phone.dial("", "s0") == (
            "CON WATER asks you for Ksh50.00, account AB7.\n1. Pay\n2. Decline\n3. Menu"
        )
        assert "Declined" in await phone.dial("2", "s1")
        (declined,) = village.declined
        assert declined.account == village.account
        assert "Pay Ksh50.00 to WATER" in await phone.dial("1", "s2")
        assert "Confirmed" in await phone.dial("1*1*" + PIN, "s3")
        (bill,) = village.finals(village.account)
        assert (bill.kind, bill.reference) == (OrderKind.PAY_BILL, declined.request)

    story(tmp_path, tell)


@pytest.mark.parametrize(
    ("text", "number", "said"),
    [
        ("", "+254799999999", "No account is registered under your number"),
        ("", "+254733000001", "on your smartphone"),
    ],
)
def test_who_is_no_feature_phone_is_told_so(tmp_path, text, number, said):
    async def tell(village, phone):
        assert said in (await phone.post(text, number=number))[1]

    story(tmp_path, tell)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1*0799999999*100", "No account is registered under that number"),
        ("1*0712345678*100", "You cannot pay yourself"),
        ("4*2*400001*A*99999999", "That is no amount"),
        ("4*1*654321*5", "No account is registered under that number"),
    ],
)
def test_what_cannot_be_paid_ends_before_the_pin(tmp_path, text, said):
    async def tell(village, phone):
        shown = await phone.dial(text)
        assert shown.startswith("END ")
        assert said in shown

    story(tmp_path, tell)


def test_too_many_names_and_too_little_money(tmp_path):
    async def tell(village, phone):
        assert "you can use Ksh1,000.00" in await phone.dial(f"1*0722000001*5000*1*{PIN}", "s0")
        village.locked_names = True
        assert "too many names" in await phone.dial(SEND, "s1")

    story(tmp_path, tell)


def test_callbacks_are_taken_from_configured_addresses_only(tmp_path):
    async def tell(village, phone):
        for client in (("196.201.214.200", 1), None, ("unix", 0), ("::ffff:196.201.214.200", 1)):
            status, _ = await phone.post("", client=client)
            assert status == 403
        assert (await phone.post("", client=("::ffff:127.0.0.1", 1)))[0] == 200
        assert (await phone.post("", method="GET"))[0] == 405
        assert is_from(("10.0.0.7", 1), ("10.0.0.0/24",))

    story(tmp_path, tell)


def test_one_telephone_has_few_sessions_and_one_session_one_telephone(tmp_path):
    async def tell(village, phone):
        for at in range(SESSIONS_OF_NUMBER_MAX):
            assert (await phone.post("", f"s{at}"))[1].startswith("CON ")
        assert "cannot be reached" in (await phone.post("", "more"))[1]
        assert "nothing was done" in (await phone.post("1", "s0", number="+254733000001"))[1]
        phone.now_s += LIFETIME_S + 1
        assert (await phone.post("", "more"))[1].startswith("CON ")

    story(tmp_path, tell)


@given(
    st.binary(max_size=300)
    | st.text(max_size=100).map(lambda text: urlencode({"text": text}).encode())
)
def test_no_form_breaks_the_reader(body):
    for content_type in ("application/x-www-form-urlencoded", "application/json", ""):
        with pytest.raises(CallbackError):
            read_callback(content_type, body)


@given(
    st.dictionaries(
        st.sampled_from(["sessionId", "phoneNumber", "text", "networkCode"]), st.text(max_size=60)
    )
)
def test_a_callback_that_is_read_is_within_its_bounds(fields):
    form = {"sessionId": "s", "phoneNumber": NUMBER} | fields
    try:
        callback = read_callback(
            "application/x-www-form-urlencoded", urlencode(form).encode("ascii")
        )
    except CallbackError:
        return
    assert callback.number.startswith("+254")
    assert callback.session.isascii()
    assert callback.text == form.get("text", "")
    assert callback.text not in repr(callback) or len(callback.text) < 4


def test_a_form_that_is_too_long_is_not_read():
    with pytest.raises(CallbackError):
        read_callback("application/x-www-form-urlencoded", b"a" * (BODY_BYTES_MAX + 1))
