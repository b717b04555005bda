"""Orders and requests that break a rule: one clear sentence from each of the four, and nothing moves."""

import socket
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
from tests.accept.quiet_network import (
    JSON,
    OPENING_CENTS,
    Customer,
    post,
    request,
    submit,
)

from harambee.crypto.signatures import generate
from harambee.handset.orders import today
from harambee.ledger.kinds import OrderKind
from harambee.ledger.outcomes import SENTENCES, Outcome
from harambee.ledger.records import ORDER_BYTES

pytestmark = [pytest.mark.accept, pytest.mark.timeout(120)]

OCTETS = {"Content-Type": "application/octet-stream"}
U64_MAX = 2**64 - 1
BODY_BYTES_MAX = 2 << 20
NOBODY = 4_000_000_000

Out = Outcome

# What is wrong with the order, its changed fields, and the rule that it breaks.
WRONG_FIELDS = [
    ("payee unknown", {"payee": NOBODY}, Out.PAYEE_UNKNOWN),
    ("payee is a super-agent's own account", {"payee": 0}, Out.PAYEE_KIND_WRONG),
    ("payer unknown", {"payer": NOBODY}, Out.PAYER_UNKNOWN),
    ("somebody else's account", {"payer": "third"}, Out.SIGNATURE_INVALID),
    ("skipped sequence", {"sequence": 1}, Out.SEQUENCE_AHEAD),
    ("far sequence", {"sequence": 2**32 - 2}, Out.SEQUENCE_AHEAD),
    ("sequence that nobody may use", {"sequence": 2**32 - 1}, Out.SEQUENCE_STALE),
    ("zero", {"amount_cents": 0, "fee_cents": 0}, Out.AMOUNT_ZERO),
    ("minus one as two's complement", {"amount_cents": U64_MAX}, Out.AMOUNT_ABOVE_LIMIT),
    ("least of a signed word", {"amount_cents": 2**63}, Out.AMOUNT_ABOVE_LIMIT),
    ("amount that overflows with its fee", {"amount_cents": 2**63 - 1}, Out.AMOUNT_ABOVE_LIMIT),
    ("payee is payer", {"payee": "payer"}, Out.PAYER_IS_PAYEE),
    ("no fee", {"fee_cents": 0, "amount_cents": 1_000_00}, Out.FEE_WRONG),
    ("a cent too much", {"fee_cents": 1, "amount_cents": 100_00}, Out.FEE_WRONG),
    ("largest fee", {"fee_cents": 2**32 - 1}, Out.FEE_WRONG),
    ("day before yesterday", {"day": -2}, Out.DAY_WRONG),
    ("day after tomorrow", {"day": 2}, Out.DAY_WRONG),
    ("tariff unknown", {"tariff": 999}, Out.TARIFF_UNKNOWN),
    ("options", {"options": b"\1\0\0"}, Out.OPTIONS_INVALID),
    ("withdrawal at no agent", {"kind": OrderKind.WITHDRAW}, Out.PAYEE_KIND_WRONG),
    ("deposit by a customer", {"kind": OrderKind.DEPOSIT}, Out.PAYER_KIND_WRONG),
    ("more than there is", {"amount_cents": OPENING_CENTS}, Out.BALANCE_INSUFFICIENT),
]


@pytest.fixture(scope="module")
def pair(quiet):
    """A payer who has never paid, and a payee."""
    return quiet.customer(), quiet.customer()


def refused_everywhere(quiet, order, outcome):
    """Offer the order to each of the four: the same refusal, and the same ledger as before."""
    before = quiet.state()
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda url: refused(url, order, outcome), quiet.urls))
    assert quiet.state() == before


def refused(url, order, outcome):
    (fate,) = submit(url, [order])
    assert (fate["state"], fate["outcome"]) == ("refused", outcome.name)
    assert fate["sentence"] == SENTENCES[outcome]
    answer = request(url, "POST", "/v1/orders?wait_ms=10000", order, OCTETS)
    assert (answer.status, answer.body[1]) == (200, outcome)


@pytest.mark.parametrize(
    ("changes", "outcome"), [case[1:] for case in WRONG_FIELDS], ids=[c[0] for c in WRONG_FIELDS]
)
def test_an_order_that_breaks_a_rule_changes_nothing(quiet, pair, changes, outcome):
    (payer, payee), third = pair, quiet.customer()
    changes = dict(changes)
    named = {"payer": payer.account, "third": third.account}
    for field in ("payer", "payee"):
        if field in changes:
            changes[field] = named.get(changes[field], changes[field])
    if "day" in changes:
        changes["day"] += today()
    body = quiet.body(payer, payee.account, 100_00, **changes)
    refused_everywhere(quiet, quiet.sign(payer, body), outcome)


def test_wrong_keys_networks_kinds_and_altered_bytes(quiet, pair):
    payer, payee = pair
    body = quiet.body(payer, payee.account, 100_00)
    right = quiet.sign(payer, body)
    stranger = Customer(payer.account, generate())
    elsewhere = quiet.body(payer, quiet.customer().account, 100_00)
    unknown_kind = bytearray(right)
    unknown_kind[24] = 99
    cases = [
        (quiet.sign(stranger, body), Out.SIGNATURE_INVALID),
        (quiet.sign(payer, body, network=bytes(32)), Out.SIGNATURE_INVALID),
        (elsewhere.to_bytes() + right[64:], Out.SIGNATURE_INVALID),
        (right[:64] + bytes(64), Out.SIGNATURE_INVALID),
        (bytes(unknown_kind), Out.KIND_UNKNOWN),
        (bytes(ORDER_BYTES), Out.KIND_UNKNOWN),
    ]
    for order, outcome in cases:
        refused_everywhere(quiet, order, outcome)


def test_a_used_sequence_is_stale(quiet):
    payer, payee, third = quiet.customer(), quiet.customer(), quiet.customer()
    quiet.pay(0, payer, payee)
    body = quiet.body(payer, third.account, 100_00, sequence=0)
    refused_everywhere(quiet, quiet.sign(payer, body), Out.SEQUENCE_STALE)


def fields(quiet, payer, payee, /, **changes):
    """A payment in JSON, field by field."""
    body = quiet.body(payer, payee.account, 100_00)
    signature = quiet.sign(payer, body)[64:].hex()
    return {
        "payer": payer.account,
        "payee": payee.account,
        "amount_cents": 100_00,
        "fee_cents": body.fee_cents,
        "sequence": 0,
        "kind": "send",
        "tariff": body.tariff,
        "day": body.day,
        "signature": signature,
    } | changes


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"amount_cents": -1}, 400, "NUMBER_INVALID"),
        ({"amount_cents": 2**64}, 400, "NUMBER_INVALID"),
        ({"amount_cents": 10**400}, 400, None),
        ({"amount_cents": 1.5}, 400, "NUMBER_INVALID"),
        ({"amount_cents": "100"}, 400, "NUMBER_INVALID"),
        ({"amount_cents": True}, 400, "NUMBER_INVALID"),
        ({"payer": -1}, 400, "NUMBER_INVALID"),
        ({"payee": 2**32}, 400, "NUMBER_INVALID"),
        ({"sequence": None}, 400, "NUMBER_INVALID"),
        ({"kind": "gift"}, 400, "KIND_UNKNOWN"),
        ({"signature": "00"}, 400, "HEX_INVALID"),
        ({"network": "00" * 32}, 409, "NETWORK_WRONG"),
        ({"pin": "1234"}, 400, "BODY_INVALID"),
    ],
)
def test_an_order_in_json_that_is_none(quiet, pair, changes, status, code):
    before = quiet.state()
    document = {"orders": [fields(quiet, *pair, **changes)]}
    for url in quiet.urls:
        one_sentence(post(url, "/v1/orders?wait_ms=1000", document), status, code)
    assert quiet.state() == before


def one_sentence(answer, status, code=None):
    """The answer is a problem document of that status, and its detail one sentence."""
    assert answer.status == status, answer
    problem = answer.document
    if code is not None:
        assert problem["code"] == code
    detail = problem["detail"]
    assert detail.strip() == detail != ""
    assert detail.endswith(".")
    assert "\n" not in detail
    assert "Traceback" not in detail


ORDERS = "/v1/orders"
MANY = 8_193


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "status"),
    [
        ("POST", ORDERS, JSON, b"", 400),
        ("POST", ORDERS, JSON, b"\xff\x00garbage", 400),
        ("POST", ORDERS, JSON, b"[" * 100_000, 400),
        ("POST", ORDERS, JSON, b'{"orders": []}', 400),
        ("POST", ORDERS, JSON, b'{"orders": [null]}', 400),
        ("POST", ORDERS, {"Content-Type": "text/xml"}, b"<order/>", 415),
        ("POST", ORDERS, OCTETS, b"", 400),
        ("POST", ORDERS, OCTETS, bytes(ORDER_BYTES - 1), 400),
        ("POST", ORDERS, OCTETS, bytes(ORDER_BYTES * MANY), 413),
        ("POST", ORDERS, OCTETS, bytes(BODY_BYTES_MAX + 1), 413),
        ("POST", ORDERS + "?wait_ms=soon", OCTETS, bytes(ORDER_BYTES), 400),
        ("POST", ORDERS + "?" + "x" * 2_000, OCTETS, bytes(ORDER_BYTES), 400),
        ("PUT", ORDERS, JSON, b"{}", 405),
        ("GET", "/v1/nothing", {}, None, 404),
        ("GET", "/" + "x" * 5_000, {}, None, 404),
        ("GET", f"/v1/accounts/{NOBODY}", {}, None, 404),
        ("GET", "/v1/accounts/-1", {}, None, 400),
        ("GET", f"/v1/accounts/{2**32}", {}, None, 400),
        ("GET", f"/v1/accounts/{NOBODY}/statement", {}, None, 404),
        ("GET", "/v1/orders/1/1?id=zz", {}, None, 400),
        ("POST", "/v1/directory", JSON, b'{"msisdn": "12"}', 400),
        ("POST", "/v1/directory", JSON, b'{"msisdn": "+254799999999"}', 404),
        ("POST", "/v1/accounts", JSON, b"{}", 400),
        ("POST", "/v1/slots", OCTETS, bytes(7), 400),
        ("POST", "/v1/accounts/query", OCTETS, bytes(3), 400),
    ],
)
def test_a_request_that_cannot_be_served(quiet, method, path, headers, body, status):
    before = quiet.state()
    for url in quiet.urls:
        one_sentence(request(url, method, path, body, headers), status)
    assert quiet.state() == before


GARBAGE = [
    bytes(range(256)) * 64,
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 300_000,
    b"POST /v1/orders HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    b"POST /v1/orders HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    + (b"10000\r\n" + bytes(0x10000) + b"\r\n") * 40,
]
"""The last one never ends; the sentence comes as soon as it is too much."""


@pytest.mark.parametrize("sent", GARBAGE, ids=["bytes", "tls", "head", "length", "chunks"])
def test_garbage_is_refused_or_hung_up_on(quiet, sent):
    before = quiet.state()
    for url in quiet.urls:
        address = urlsplit(url)
        with socket.create_connection((address.hostname, address.port), timeout=60) as stranger:
            answer = talk(stranger, sent)
            assert answer == b"" or answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 413")), answer
    assert quiet.state() == before


def talk(stranger, sent):
    """Send everything, or as much as is taken; what comes back, at first or by hanging up."""
    try:
        stranger.sendall(sent)
        return stranger.recv(65_536)
    except (BrokenPipeError, ConnectionResetError):
        return b""


def test_after_all_this_the_four_serve_and_no_log_has_a_traceback(quiet):
    payer = quiet.customer()
    for door in range(4):
        quiet.pay(door, payer, quiet.customer(), sequence=door)
    assert quiet.state()["total_cents"] == 0
    for name in quiet.names:
        assert "Traceback" not in quiet.log_of(name)
