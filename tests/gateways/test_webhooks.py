"""Webhooks from the super-agent that signs them to the merchant's software that checks them."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harambee.gateways.http.webhooks import FORM, body, secret_text
from harambee.handset.webhooks import TOLERANCE_S, WebhookError, signature, verify
from harambee.ledger.outcomes import SENTENCES, Outcome
from harambee.merchants.port import (
    Deed,
    Delivery,
    Event,
    EventKind,
    Instruction,
    Merchant,
    PaymentFacts,
    Reason,
    RequestState,
    RequestView,
    Result,
    Trade,
)

NOW = 1_795_000_000
KEY = bytes(range(32))
SECRET = secret_text(KEY)
MERCHANT = Merchant("174379", Trade.TILL, 40, "Duka One", 1, "passkey", None, "https://x", KEY)
PAYMENT = PaymentFacts("SK1ABCDEFG", b"o" * 128, "174379", 16, 15_000, 5, "INV-7")
VIEW = RequestView(
    b"r" * 32,
    "order-7",
    "174379",
    40,
    16,
    "+254712345678",
    15_000,
    "INV-7",
    "",
    1,
    60_001,
    RequestState.PAID,
    payment=PAYMENT,
)
TOLD = Instruction(
    Deed.PAY_CUSTOMER, "key-1", "174379", "till-1", "c", "wage-1", "ins-1", FORM, "", 9_900
)


def sent(facts=PAYMENT, kind=EventKind.PAYMENT_RECEIVED, now=NOW, event_id="evt_1"):
    event = Event(event_id, 7, kind, "174379", 1, facts)
    return body(Delivery(event, "https://x", FORM), MERCHANT, now * 1000 + 999)


def test_the_signature_is_the_one_that_standard_webhooks_publishes():
    # The example of the specification's own test suite: its secret, id, time and content.
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    with pytest.raises(WebhookError, match="signed, and no event"):
        verify(headers, b'{"test": 2432232314}', secret, 1_614_265_330)


def test_what_is_sent_is_what_is_received():
    headers, content = sent()
    event = verify(headers, content, SECRET, NOW)
    assert (event.id, event.type, event.cursor) == ("evt_1", "payment.received", 7)
    assert event.data["receipt_code"] == "SK1ABCDEFG"
    assert (event.short_code, event.made_ms) == ("174379", 1)
    assert json.loads(content).keys() == {"id", "type", "cursor", "short_code", "made_ms", "data"}
    shouted = {name.upper(): value for name, value in headers.items()}
    assert verify(shouted, content, SECRET, NOW) == event


def test_a_request_that_ended_is_told_whole():
    headers, content = sent(VIEW, EventKind.REQUEST_ENDED)
    data = verify(headers, content, SECRET, NOW).data
    assert (data["name"], data["state"], data["msisdn"]) == ("order-7", "paid", "+254712345678")
    assert data["payment"]["amount_cents"] == 15_000


@pytest.mark.parametrize(
    ("outcome", "reason", "done", "told", "sentence"),
    [
        (Outcome.ACCEPTED, None, True, None, "It was done."),
        (
            Outcome.BALANCE_INSUFFICIENT,
            None,
            False,
            "BALANCE_INSUFFICIENT",
            SENTENCES[Outcome.BALANCE_INSUFFICIENT],
        ),
        (None, Reason.CREDENTIAL_WRONG, False, "CREDENTIAL_WRONG", "It cannot be opened."),
    ],
)
def test_an_instruction_says_how_it_ended(outcome, reason, done, told, sentence):
    result = Result(TOLD, outcome, reason, "It cannot be opened.", 9)
    headers, content = sent(result, EventKind.INSTRUCTION_ENDED)
    data = verify(headers, content, SECRET, NOW).data
    assert (data["done"], data["reason"], data["sentence"]) == (done, told, sentence)
    assert (data["name"], data["conversation"]) == ("wage-1", "ins-1")
    assert b'"c"' not in content, "the credential goes nowhere"


def test_sent_again_it_has_the_same_id_and_its_own_time():
    first, again = sent()[0], sent(now=NOW + 60)[0]
    assert first["webhook-id"] == again["webhook-id"]
    assert first["webhook-signature"] != again["webhook-signature"]


@pytest.mark.parametrize(
    ("later", "believed"),
    [
        (TOLERANCE_S, True),
        (-TOLERANCE_S, True),
        (TOLERANCE_S + 1, False),
        (-TOLERANCE_S - 1, False),
    ],
)
def test_it_is_believed_for_five_minutes(later, believed):
    headers, content = sent()
    if believed:
        assert verify(headers, content, SECRET, NOW + later).id == "evt_1"
    else:
        with pytest.raises(WebhookError, match="another time"):
            verify(headers, content, SECRET, NOW + later)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"webhook-id": ""}, "no id"),
        ({"webhook-id": "evt_2"}, "not signed with"),
        ({"webhook-id": "x" * 129}, "no id"),
        ({"webhook-timestamp": ""}, "when it was sent"),
        ({"webhook-timestamp": "-5"}, "when it was sent"),
        ({"webhook-timestamp": f"{NOW}.0"}, "when it was sent"),
        ({"webhook-timestamp": str(NOW + 1)}, "not signed with"),
        ({"webhook-signature": ""}, "not signed"),
        ({"webhook-signature": "v2,AAAA"}, "not signed"),
        ({"webhook-signature": "v1,\xe9"}, "not signed"),
        ({"webhook-signature": "v1," + base64.b64encode(bytes(32)).decode()}, "not signed with"),
    ],
)
def test_a_changed_header_is_found(changes, sentence):
    headers, content = sent()
    with pytest.raises(WebhookError, match=sentence):
        verify({**headers, **changes}, content, SECRET, NOW)


def test_one_of_several_signatures_is_enough():
    headers, content = sent()
    both = {**headers, "webhook-signature": "v1,AAAA v2,BBBB " + headers["webhook-signature"]}
    assert verify(both, content, SECRET, NOW).id == "evt_1"


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_AAAA", "whsec_!!", KEY.hex()])
def test_a_secret_that_anybody_knows_is_none(secret):
    headers, content = sent()
    with pytest.raises(WebhookError, match="no webhook secret"):
        verify(headers, content, secret, NOW)


def test_no_webhook_has_no_secret():
    assert secret_text(b"") == ""


@given(place=st.integers(min_value=0), change=st.integers(1, 255))
def test_no_byte_changes_without_notice(place, change):
    headers, content = sent()
    altered = bytearray(content)
    altered[place % len(altered)] ^= change
    with pytest.raises(WebhookError):
        verify(headers, bytes(altered), SECRET, NOW)


@given(
    headers=st.dictionaries(
        st.sampled_from(["webhook-id", "Webhook-Timestamp", "webhook-signature", "other"]),
        st.text(max_size=40) | st.just(str(NOW)) | st.just("v1,AAAA"),
    ),
    content=st.binary(max_size=60),
    secret=st.text(max_size=20) | st.just(SECRET),
    now=st.integers(0, 2**40),
)
def test_whatever_a_stranger_sends_is_only_not_believed(headers, content, secret, now):
    with pytest.raises(WebhookError):
        verify(headers, content, secret, now)


@given(content=st.binary(max_size=80))
def test_whoever_has_the_secret_can_send_nonsense_that_is_refused(content):
    headers = {
        "webhook-id": "evt_1",
        "webhook-timestamp": str(NOW),
        "webhook-signature": "v1," + signature(KEY, "evt_1", str(NOW), content),
    }
    with pytest.raises(WebhookError, match="no event"):
        verify(headers, content, SECRET, NOW)


def test_a_body_longer_than_any_event_is_not_read():
    headers, _ = sent()
    with pytest.raises(WebhookError, match="at most"):
        verify(headers, b" " * 65_537, SECRET, NOW)
