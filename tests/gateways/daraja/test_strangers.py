"""Whatever a stranger sends is answered in Daraja's shape; and the paths beside Daraja's are not touched."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.gateways.daraja import test_b2b_express, test_bill_manager, test_hakikisha, test_ratiba
from tests.gateways.daraja.fakes import PAYBILL, PHONE, Door, FakeSimulator, password
from tests.gateways.daraja.test_c2b import register_call, simulate_call
from tests.gateways.daraja.test_instructions import CALLS, call_of
from tests.gateways.daraja.test_qr_and_pull import qr_call
from tests.gateways.daraja.test_stk import push_call, query_call

from harambee.gateways.daraja.app import LISTS, PREFIXES, ROUTES, serves
from harambee.gateways.daraja.fields import BODY_BYTES_MAX
from harambee.gateways.http.requests import BODY_BYTES_MAX as HTTP_BODY_BYTES_MAX

PUSH = "/mpesa/stkpush/v1/processrequest"
WHOLE = {
    PUSH: push_call(),
    "/mpesa/stkpushquery/v1/query": query_call("ws_CO_1"),
    "/mpesa/c2b/v1/registerurl": register_call(),
    "/mpesa/c2b/v2/registerurl": register_call(),
    "/mpesa/c2b/v1/simulate": simulate_call(),
    "/mpesa/c2b/v2/simulate": simulate_call(),
    "/mpesa/b2c/v1/paymentrequest": call_of("/mpesa/b2c/v3/paymentrequest"),
    **{path: call_of(path) for path in CALLS},
    "/mpesa/qrcode/v1/generate": qr_call(),
    "/mpesa/b2c/hakikisha/v1/hakikisha": test_hakikisha.call(),
    "/v1/ussdpush/get-msisdn": test_b2b_express.call(),
    **test_bill_manager.WHOLE,
    test_ratiba.CREATE: test_ratiba.call(),
    "/pulltransactions/v1/register": {
        "ShortCode": PAYBILL,
        "RequestType": "Pull",
        "NominatedNumber": PHONE,
        "CallBackURL": "https://shop.example/",
    },
    "/pulltransactions/v1/query": {
        "ShortCode": PAYBILL,
        "StartDate": "2019-12-01",
        "EndDate": "2019-12-31",
    },
    "/sfcverify/v1/query/info": {"IdentifierType": 4, "Identifier": PAYBILL},
}
DOCUMENTED_500S = {
    ("500.001.1001", "Merchant does not exist"),
    ("500.001.1001", "Wrong credentials"),
    ("500.001.1001", "The transaction is being processed"),
    ("500.002.1001", "Duplicate OriginatorConversationID."),
}

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(10**30), 10**30)
    | st.floats()
    | st.text()
    | st.sampled_from([PAYBILL, PHONE, "1" * 5_000, "0", "https://[", "2019-02-30", "\ud800", "٣"])
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


def fresh_door():
    door = Door(simulator=FakeSimulator())
    door.merchants.names[f"+{PHONE}"] = "BRIAN K."
    return door, door.token()


def assert_answered(reply):
    if reply.status == 200:
        assert isinstance(reply.document, dict)
        return
    status, code, message = reply.error
    assert code.startswith(f"{status}.") or status in (408, 413)
    if status >= 500:
        assert (code, message) in DOCUMENTED_500S


def test_every_call_has_a_whole_example():
    assert WHOLE.keys() == ROUTES.keys()
    for path, document in WHOLE.items():
        door, token = fresh_door()
        assert door.post(path, document, token).status in (200, 400, 404), path


@given(path=st.sampled_from(sorted(ROUTES)), body=st.binary(max_size=200))
def test_any_bytes_are_an_invalid_payload(path, body):
    door, token = fresh_door()
    reply = door.post(path, body, token)
    try:
        found = json.loads(body)
        is_object = isinstance(found, list if path in LISTS else dict)
    except ValueError:
        is_object = False
    if not is_object:
        assert reply.error == (400, "400.002.05", "Invalid Request Payload")
    assert_answered(reply)


@given(data=st.data(), path=st.sampled_from(sorted(ROUTES)))
def test_any_json_is_answered(data, path):
    door, token = fresh_door()
    whole = WHOLE[path][0] if path in LISTS else WHOLE[path]
    changed = data.draw(st.dictionaries(st.sampled_from(sorted(whole)), values, max_size=4))
    dropped = data.draw(st.sets(st.sampled_from(sorted(whole)), max_size=2))
    added = data.draw(st.dictionaries(st.text(max_size=5), values, max_size=2))
    if path in LISTS:
        assert_answered(door.post(path, [changed, *data.draw(st.lists(values, max_size=3))], token))
        return
    document = {name: v for name, v in (added | whole | changed).items() if name not in dropped}
    assert_answered(door.post(path, document, token))


@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "BREW"]),
    path=st.sampled_from([*PREFIXES, "/oauth/v1/generate", PUSH]).flatmap(
        lambda prefix: st.text(max_size=20).map(lambda rest: prefix + rest)
    ),
    query=st.binary(max_size=50),
    headers=st.lists(
        st.tuples(
            st.sampled_from([b"authorization", b"content-type", b"content-length", b"x-y"]),
            st.binary(max_size=30),
        ),
        max_size=4,
    ),
)
def test_any_request_is_answered(method, path, query, headers):
    door = Door()
    reply = door.send(method, path, b"{}", query, headers)
    assert 400 <= reply.status < 500
    if serves(path) and method != "HEAD":
        assert_answered(reply)


@pytest.mark.parametrize(
    "path",
    [
        "/oauth",
        "/oauth/v1/generate/",
        "/mpesa/",
        "/mpesa/stkpush/v2/processrequest",
        "/standingorder/v1/createStandingOrder",
        "/imsi/v1/checkATI",
        "/v1/billmanager-invoice/optout",
        "/v1/ussdpush/get-imsi",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_unknown_path_below_darajas_is_its_404(door, method, path):
    assert door.send(method, path).error == (404, "404.001.01", "Resource not found")


@pytest.mark.parametrize(
    "path", ["/nonexistent", "/mpesaX", "/v1/ussdpushed", "/v1/imsi", "/oauthv1"]
)
def test_every_other_unknown_path_is_a_problem_document(door, path):
    reply = door.send("POST", path, b"{}")
    assert reply.status == 404
    assert reply.headers["content-type"] == "application/problem+json"


def test_no_password_is_in_an_error(door):
    secret = password(PAYBILL, "20191125150115", "another")
    reply = door.post(PUSH, push_call(Password=secret))
    assert reply.status == 500
    assert secret.encode() not in reply.body


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", (400, "400.002.05", "Invalid Request Payload")),
        (b"[]", (400, "400.002.05", "Invalid Request Payload")),
        (b"[" * 5_000, (400, "400.002.05", "Invalid Request Payload")),
        (b'{"Amount":1', (400, "400.002.05", "Invalid Request Payload")),
        (
            b'{"a":"' + b"x" * BODY_BYTES_MAX + b'"}',
            (413, "400.002.05", "Invalid Request Payload"),
        ),
        (b" " * (HTTP_BODY_BYTES_MAX + 1), (413, "400.002.05", "Invalid Request Payload")),
    ],
)
def test_a_body_that_is_no_small_object_is_refused(door, body, error):
    assert door.post(PUSH, body).error == error


def test_a_number_of_many_digits_is_no_amount(door):
    body = json.dumps(push_call(Amount="?")).replace('"?"', "9" * 20_000).encode()
    status, code, _ = door.post(PUSH, body).error
    assert (status, code[:4]) == (400, "400.")
