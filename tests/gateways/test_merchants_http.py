"""Merchants' software at the HTTP door: who may ask for what, and what is done once."""

import asyncio
import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.gateways.fake_merchants import (
    CUSTOMER,
    KEY,
    OTHER_TILL,
    SECRET,
    STRANGER,
    TILL,
)
from tests.gateways.test_http import JSON_VALUES

from harambee.crypto.signatures import from_seed
from harambee.gateways.http.problems import STATUS_OF
from harambee.handset.payment_requests import (
    Announcement,
    Decline,
    RequestsQuestion,
    sign_announcement,
    sign_decline,
    sign_requests_question,
)
from harambee.ledger.outcomes import SENTENCES, Outcome
from harambee.merchants.port import Deed, Reason, Verdict

OCTETS = "application/octet-stream"
OWNER = from_seed(b"o" * 32)
NETWORK = b"n" * 32
QUESTION = sign_requests_question(OWNER, NETWORK, RequestsQuestion(16, 5))
DECLINE = sign_decline(OWNER, NETWORK, Decline(b"r" * 32, 16))
ANNOUNCEMENT = sign_announcement(OWNER, NETWORK, Announcement(16, 40, 500, "METER-7", 5))
ASK = {"short_code": TILL, "msisdn": "0712 345678", "amount_cents": 15_000, "account": "INV-7"}
REFUND = {
    "name": "refund-1",
    "initiator": "till-1",
    "credential": "c2VjcmV0",
    "receipt_code": "SK1ABCDEFG",
}
PAY_OUT = {
    "name": "wage-1",
    "initiator": "till-1",
    "credential": "c2VjcmV0",
    "payee": "0712345678",
    "amount_cents": 9_900,
}


def basic(key=KEY, secret=SECRET):
    return "Basic " + base64.b64encode(f"{key}:{secret}".encode()).decode()


def ask(client, method, path, body=b"", *, headers=None, who=None, **named):
    sent = {"authorization": basic() if who is None else who} | (headers or {})
    return asyncio.run(client.ask(method, path, body, sent=sent.items(), **named))


def ask_as_handset(client, path, body, content_type=OCTETS):
    return asyncio.run(client.ask("POST", path, body, content_type))


def test_a_customer_is_asked_and_pays(client, port):
    made = ask(client, "POST", "/v1/requests", ASK | {"name": "order-7"})
    assert made.status == 201
    told = made.document
    assert (told["name"], told["state"], told["amount_cents"]) == ("order-7", "waiting", 15_000)
    assert (told["msisdn"], told["account"], told["payment"]) == (CUSTOMER, "INV-7", None)
    port.merchants.pay("order-7")
    found = ask(client, "GET", "/v1/requests/order-7").document
    assert (found["state"], found["reason"]) == ("paid", None)
    assert found["payment"]["receipt_code"] == "SK1ABCDEFG"
    assert bytes.fromhex(found["payment"]["order"]) == b"o" * 128
    assert found["id"] == told["id"]


@pytest.mark.parametrize(
    ("reason", "told", "sentence"),
    [
        (0, "DECLINED_BY_CUSTOMER", "The customer does not want to pay."),
        (200, "DECLINED_BY_CUSTOMER", "The customer does not want to pay."),
        (
            Outcome.BALANCE_INSUFFICIENT,
            "BALANCE_INSUFFICIENT",
            SENTENCES[Outcome.BALANCE_INSUFFICIENT],
        ),
    ],
)
def test_a_decline_says_why(client, port, reason, told, sentence):
    ask(client, "POST", "/v1/requests", ASK | {"name": "order-7"})
    port.merchants.refuse("order-7", reason)
    found = ask(client, "GET", "/v1/requests/order-7").document
    assert (found["state"], found["reason"], found["sentence"]) == ("declined", told, sentence)


@pytest.mark.parametrize("headers", [{"idempotency-key": "cart 7/1"}, {}])
def test_what_is_sent_again_is_done_once(client, port, headers):
    body = ASK if headers else ASK | {"name": "order-7"}
    first, again = (
        ask(client, "POST", "/v1/requests", body, headers=headers).document for _ in range(2)
    )
    assert first == again
    assert len(port.merchants.asked) == 1


def test_a_key_names_the_same_request_at_every_super_agent(make_client):
    names = {
        ask(make_client(), "POST", "/v1/requests", ASK, headers={"idempotency-key": key}).document[
            "name"
        ]
        for key in ("cart-7", "cart-7")
    }
    assert len(names) == 1


def test_two_programs_with_one_key_ask_twice(client, port):
    known = port.merchants.apps[KEY]
    port.merchants.apps["key-2"] = known.__class__("key-2", (TILL,), b"", known.secret_digest)
    headers = {"idempotency-key": "cart-7"}
    for key in (KEY, "key-2"):
        made = ask(client, "POST", "/v1/requests", ASK, headers=headers, who=basic(key))
        assert made.status == 201
    assert len(port.merchants.asked) == 2


def test_another_body_with_the_same_key_is_refused(client):
    headers = {"idempotency-key": "cart-7"}
    ask(client, "POST", "/v1/requests", ASK, headers=headers)
    other = ask(client, "POST", "/v1/requests", ASK | {"amount_cents": 1}, headers=headers)
    assert (other.status, other.code) == (422, "IDEMPOTENCY_KEY_REUSED")
    named = {"name": "order-7"}
    ask(client, "POST", "/v1/requests", ASK | named)
    other = ask(client, "POST", "/v1/requests", ASK | named | {"amount_cents": 1})
    assert (other.status, other.code) == (409, "NAME_TAKEN")


def test_without_a_key_or_a_name_two_requests_are_two(client, port):
    for _ in range(2):
        assert ask(client, "POST", "/v1/requests", ASK).status == 201
    assert len(port.merchants.asked) == 2


@pytest.mark.parametrize("key", ["k" * 65, "caf\xe9", "a\tb"])
def test_a_key_is_short_and_printable(client, key):
    reply = ask(client, "POST", "/v1/requests", ASK, headers={"idempotency-key": key})
    assert (reply.status, reply.code) == (400, "IDEMPOTENCY_KEY_INVALID")


@pytest.mark.parametrize(
    "who",
    [
        "",
        "Bearer abc",
        "Basic",
        "Basic !!!",
        "Basic " + base64.b64encode(b"no colon").decode(),
        "Basic " + base64.b64encode(b"\xff\xfe:x").decode(),
        "Basic " + "A" * 4_000,
        basic(secret="another"),
        basic(key="key-9"),
        basic(secret=""),
    ],
)
def test_who_does_not_show_who_asks_is_told_how(client, port, who):
    reply = ask(client, "POST", "/v1/requests", ASK, who=who)
    assert (reply.status, reply.code) == (401, "UNAUTHORIZED")
    assert reply.headers["www-authenticate"].startswith("Basic ")
    assert not port.merchants.asked


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/requests", ASK | {"short_code": OTHER_TILL}),
        ("GET", f"/v1/merchants/{OTHER_TILL}", b""),
        ("GET", f"/v1/merchants/{OTHER_TILL}/events", b""),
        ("GET", f"/v1/merchants/{OTHER_TILL}/payments", b""),
        ("PUT", f"/v1/merchants/{OTHER_TILL}/webhook", {"url": ""}),
        ("POST", f"/v1/merchants/{OTHER_TILL}/refunds", REFUND),
        ("POST", f"/v1/merchants/{OTHER_TILL}/pay-outs", PAY_OUT),
    ],
)
def test_software_acts_for_its_own_short_codes_only(client, port, method, path, body):
    reply = ask(client, method, path, body)
    assert (reply.status, reply.code) == (403, "SHORT_CODE_FORBIDDEN")
    assert not port.merchants.asked
    assert not port.merchants.instructions
    unknown = ask(client, method, path, body, who=basic(secret="another"))
    assert unknown.status == 401


def test_a_request_of_others_does_not_exist(client, port):
    known = port.merchants.apps[KEY]
    port.merchants.apps["key-2"] = known.__class__("key-2", (OTHER_TILL,), b"", known.secret_digest)
    ask(client, "POST", "/v1/requests", ASK | {"name": "order-7"})
    for name, who in (("order-7", basic("key-2")), ("order-8", basic()), ("a b", basic())):
        reply = ask(client, "GET", f"/v1/requests/{name}", who=who)
        assert (reply.status, reply.code) == (404, "REQUEST_UNKNOWN")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"msisdn": "12"}, "TELEPHONE_INVALID"),
        ({"msisdn": STRANGER}, "PAYER_UNKNOWN"),
        ({"amount_cents": 0}, "BODY_INVALID"),
        ({"amount_cents": -1}, "BODY_INVALID"),
        ({"amount_cents": 10**15 + 1}, "BODY_INVALID"),
        ({"amount_cents": 1.5}, "BODY_INVALID"),
        ({"amount_cents": "5"}, "BODY_INVALID"),
        ({"short_code": "12"}, "BODY_INVALID"),
        ({"name": "a/b"}, "BODY_INVALID"),
        ({"name": "order-7\n"}, "NAME_INVALID"),
        ({"name": "query"}, "NAME_RESERVED"),
        ({"account": "x" * 41}, "BODY_INVALID"),
        ({"account": "a\nb"}, "TEXT_INVALID"),
        ({"text": "x" * 101}, "BODY_INVALID"),
        ({"callback_url": "ftp://x"}, "URL_INVALID"),
        ({"callback_url": "https://"}, "URL_INVALID"),
        ({"callback_url": "https://a:b@c/"}, "URL_INVALID"),
        ({"callback_url": "https://a b/"}, "URL_INVALID"),
        ({"callback_url": "https://[::1/"}, "URL_INVALID"),
        ({"callback_url": "https://a:99999/"}, "URL_INVALID"),
        ({"callback_url": "https://a/" + "x" * 1_024}, "BODY_INVALID"),
        ({"lasts_ms": 1}, "BODY_INVALID"),
        ({"unknown": 1}, "BODY_INVALID"),
    ],
)
def test_what_is_no_request_is_refused_and_its_number_not_repeated(client, port, changes, code):
    reply = ask(client, "POST", "/v1/requests", ASK | changes)
    assert (reply.status < 500, reply.code) == (True, code)
    assert b"799999999" not in reply.body
    assert not port.merchants.asked


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_is_a_problem_of_its_own(client, port, reason):
    port.merchants.refuses = reason
    reply = ask(client, "POST", "/v1/requests", ASK)
    assert (reply.status, reply.code) == (STATUS_OF[reason.name], reason.name)
    assert reply.document["detail"] == "It cannot be done."
    assert ask_as_handset(client, "/v1/requests/query", QUESTION).code == reason.name
    assert ask_as_handset(client, "/v1/requests/declines", DECLINE).code == reason.name
    assert ask_as_handset(client, "/v1/bills", ANNOUNCEMENT).code == reason.name


def test_the_merchant_is_told_without_its_secrets(client, port):
    ask(client, "PUT", f"/v1/merchants/{TILL}/webhook", {"url": "https://duka.example/hook"})
    reply = ask(client, "GET", f"/v1/merchants/{TILL}")
    assert reply.document == {
        "short_code": TILL,
        "trade": "till",
        "account": 40,
        "name": "Duka One",
        "home": 3,
        "webhook": "https://duka.example/hook",
        "recorded_at": [3, 0, 1],
    }
    del port.merchants.merchants[TILL]
    assert ask(client, "GET", f"/v1/merchants/{TILL}").code == "MERCHANT_UNKNOWN"
    assert ask(client, "GET", "/v1/merchants/12x45").code == "SHORT_CODE_INVALID"


def test_a_webhook_has_a_secret_and_nowhere_has_none(client, port):
    path = f"/v1/merchants/{TILL}/webhook"
    made = ask(client, "PUT", path, {"url": "https://duka.example/hook"})
    secret = made.document["secret"]
    assert base64.b64decode(secret.removeprefix("whsec_")) == b"k" * 32
    assert ask(client, "PUT", path, {"url": ""}).document == {"secret": ""}
    assert port.merchants.merchants[TILL].webhook == ""
    assert ask(client, "PUT", path, {"url": "javascript:x"}).code == "URL_INVALID"


def test_events_come_behind_a_cursor(client, port):
    for name in ("order-1", "order-2"):
        ask(client, "POST", "/v1/requests", ASK | {"name": name})
        port.merchants.pay(name)
    path = f"/v1/merchants/{TILL}/events"
    first = ask(client, "GET", path, query=b"limit=3").document
    assert [event["type"] for event in first["events"]] == [
        "request.ended",
        "payment.received",
        "request.ended",
    ]
    assert first["events"][0]["data"]["name"] == "order-1"
    rest = ask(client, "GET", path, query=f"after={first['next_after']}".encode()).document
    assert [event["cursor"] for event in rest["events"]] == [4]
    nothing = ask(client, "GET", path, query=b"after=4").document
    assert nothing == {"events": [], "next_after": 4}


@pytest.mark.parametrize("what", ["events", "payments"])
def test_who_records_nothing_of_a_merchant_says_who_does(client, port, what):
    port.index = 2
    reply = ask(client, "GET", f"/v1/merchants/{TILL}/{what}")
    assert (reply.status, reply.code) == (421, "RECORDED_ELSEWHERE")
    assert "agent-3, agent-0, agent-1" in reply.document["detail"]


def test_payments_turn_their_pages(client, port):
    for name in ("order-1", "order-2", "order-3"):
        ask(client, "POST", "/v1/requests", ASK | {"name": name})
        port.merchants.pay(name)
    path = f"/v1/merchants/{TILL}/payments"
    first = ask(client, "GET", path, query=b"limit=2").document
    assert (len(first["payments"]), first["next_offset"]) == (2, 2)
    rest = ask(client, "GET", path, query=b"limit=2&offset=2").document
    assert (len(rest["payments"]), rest["next_offset"]) == (1, None)
    assert ask(client, "GET", path, query=b"until_ms=5").document["payments"] == []


def test_an_instruction_is_kept_once_under_one_conversation(client, port):
    path = f"/v1/merchants/{TILL}/pay-outs"
    first, again = (ask(client, "POST", path, PAY_OUT) for _ in range(2))
    assert (first.status, first.document) == (202, again.document)
    (told,) = port.merchants.instructions.values()
    assert (told.deed, told.payee, told.amount_cents) == (Deed.PAY_CUSTOMER, CUSTOMER, 9_900)
    assert told.conversation == first.document["conversation"]
    port.merchants.finish("wage-1")
    (event,) = ask(client, "GET", f"/v1/merchants/{TILL}/events").document["events"]
    assert (event["type"], event["data"]["done"]) == ("instruction.ended", True)
    assert event["data"]["conversation"] == told.conversation
    other = ask(client, "POST", path, PAY_OUT | {"amount_cents": 1})
    assert (other.status, other.code) == (409, "NAME_TAKEN")


def test_a_business_is_paid_and_a_payment_given_back(client, port):
    path = f"/v1/merchants/{TILL}"
    assert ask(client, "POST", f"{path}/pay-outs", PAY_OUT | {"payee": "Till 174380"}).status == 202
    assert ask(client, "POST", f"{path}/refunds", REFUND).status == 202
    paid, given_back = port.merchants.instructions.values()
    assert (paid.deed, paid.payee) == (Deed.PAY_BUSINESS, "till:174380")
    assert (given_back.deed, given_back.subject) == (Deed.REVERSE, "SK1ABCDEFG")
    wrong = ask(client, "POST", f"{path}/pay-outs", PAY_OUT | {"payee": "till"})
    assert wrong.code == "TELEPHONE_INVALID"


def test_a_handset_sees_what_waits_and_declines(client, port):
    ask(client, "POST", "/v1/requests", ASK | {"name": "order-7"})
    reply = ask_as_handset(client, "/v1/requests/query", QUESTION)
    (waiting,) = reply.document["requests"]
    assert json.loads(waiting["document"])["name"] == "order-7"
    assert (waiting["super_agent"], bytes.fromhex(waiting["signature"])) == (1, b"s" * 64)
    assert port.merchants.questions == [QUESTION]
    done = ask_as_handset(client, "/v1/requests/declines", DECLINE)
    assert (done.status, done.body) == (204, b"")
    assert {"content-length", "content-type"} & set(done.headers) == set()
    assert port.merchants.declined == [DECLINE]


def test_a_bill_is_announced_and_the_biller_answers(client, port):
    port.merchants.verdict = Verdict(False, "C2B00012", "There is no such account.")
    reply = ask_as_handset(client, "/v1/bills", ANNOUNCEMENT)
    assert reply.document == {
        "accepted": False,
        "code": "C2B00012",
        "sentence": "There is no such account.",
    }
    assert port.merchants.announced == [ANNOUNCEMENT]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/requests/query", QUESTION[:-1]),
        ("/v1/requests/declines", DECLINE + b"x"),
        ("/v1/bills", b"{}" + bytes(64)),
        ("/v1/bills", b"x" * 513),
    ],
)
def test_what_a_handset_cannot_have_signed_is_not_asked(client, port, path, body):
    assert ask_as_handset(client, path, body).code == "BODY_INVALID"
    assert ask_as_handset(client, path, body, "text/plain").status == 415
    desk = port.merchants
    assert [desk.questions, desk.declined, desk.announced] == [[], [], []]


def test_two_authorizations_are_none(client):
    twice = [("authorization", basic()), ("authorization", basic(secret="another"))]
    reply = asyncio.run(client.ask("GET", f"/v1/merchants/{TILL}", sent=twice))
    assert (reply.status, reply.code) == (401, "UNAUTHORIZED")


FIELDS = st.dictionaries(
    st.sampled_from([*ASK, *REFUND, *PAY_OUT, "url", "text", "lasts_ms", "callback_url"]),
    JSON_VALUES | st.sampled_from([TILL, CUSTOMER, "https://a", 5_000]),
    max_size=8,
)
BODIES = st.one_of(
    st.binary(max_size=200),
    JSON_VALUES.map(lambda value: json.dumps(value).encode()),
    FIELDS.map(lambda fields: json.dumps(fields).encode()),
    FIELDS.map(lambda fields: json.dumps(ASK | fields).encode()),
    FIELDS.map(lambda fields: json.dumps(REFUND | fields).encode()),
    FIELDS.map(lambda fields: json.dumps(PAY_OUT | fields).encode()),
    st.sampled_from([QUESTION, DECLINE, ANNOUNCEMENT]).flatmap(
        lambda whole: st.integers(0, len(whole)).map(lambda cut: whole[:cut])
    ),
    st.binary(min_size=76, max_size=76),
    st.binary(min_size=101, max_size=101),
)


@given(
    path=st.sampled_from(
        [
            ("POST", "/v1/requests"),
            ("POST", "/v1/requests/query"),
            ("POST", "/v1/requests/declines"),
            ("POST", "/v1/bills"),
            ("PUT", f"/v1/merchants/{TILL}/webhook"),
            ("POST", f"/v1/merchants/{TILL}/refunds"),
            ("POST", f"/v1/merchants/{TILL}/pay-outs"),
            ("GET", f"/v1/merchants/{TILL}/events"),
            ("GET", f"/v1/merchants/{TILL}/payments"),
        ]
    ),
    body=BODIES,
    content_type=st.sampled_from([None, "application/json", OCTETS]),
    key=st.text(st.characters(max_codepoint=127), max_size=70),
    who=st.one_of(
        st.just(basic()),
        st.text(st.characters(max_codepoint=127), max_size=60),
        st.text(st.characters(max_codepoint=255), max_size=40).map(
            lambda text: "Basic " + base64.b64encode(text.encode()).decode()
        ),
    ),
    query=st.one_of(
        st.binary(max_size=40),
        st.tuples(
            st.sampled_from([b"after=", b"limit=", b"since_ms=", b"offset="]),
            st.integers().map(lambda n: str(n).encode()),
        ).map(b"".join),
    ),
)
def test_whatever_merchants_send_is_never_our_fault(
    make_client, path, body, content_type, key, who, query
):
    headers = {"authorization": who, "idempotency-key": key}
    reply = asyncio.run(make_client().ask(*path, body, content_type, query, sent=headers.items()))
    assert reply.status < 500
    if reply.status >= 400:
        assert reply.document["detail"]
        assert reply.code == reply.document["code"]
