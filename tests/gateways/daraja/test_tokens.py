"""Access tokens: who gets one, where it is good, and how long."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.gateways.daraja.fakes import (
    KEY,
    OTHER_KEY,
    OTHER_SECRET,
    PAYBILL,
    SECRET,
    Door,
    FakePort,
    app,
)

from harambee.gateways.daraja.app import ROUTES
from harambee.gateways.daraja.tokens import (
    APPS_REMEMBERED,
    CLOCKS_APART_MS,
    LIFETIME_S,
    TokenDesk,
    bearer,
)

QR = "/mpesa/qrcode/v1/generate"
QR_CALL = {
    "MerchantName": "Shop",
    "RefNo": "QR-001",
    "Amount": 100,
    "TrxCode": "PB",
    "CPI": PAYBILL,
    "Size": "300",
}
WRONG_TOKEN = {
    "/mpesa/stkpush/v1/processrequest": (404, "404.001.03", "Invalid Access Token"),
    "/mpesa/stkpushquery/v1/query": (404, "404.001.03", "Invalid Access Token"),
    "/mpesa/reversal/v1/request": (404, "404.001.03", "Invalid Access Token"),
    "/mpesa/accountbalance/v1/query": (401, "401.002.01", "Invalid Access Token"),
    "/mpesa/c2b/v1/registerurl": (400, "400.003.01", "Invalid Access Token"),
    "/mpesa/c2b/v2/simulate": (400, "400.003.01", "Invalid Access Token"),
    "/mpesa/transactionstatus/v1/query": (400, "400.003.01", "Invalid Access Token"),
}


def is_good(door, token):
    return door.post(QR, QR_CALL, token).status == 200


def test_a_key_and_its_secret_get_a_token_for_an_hour_less_a_second(door):
    reply = door.oauth()
    assert reply.status == 200
    assert set(reply.document) == {"access_token", "expires_in"}
    assert reply.document["expires_in"] == "3599"
    assert is_good(door, reply.document["access_token"])


@pytest.mark.parametrize(
    ("key", "secret"),
    [(KEY, "wrong"), ("nobody", SECRET), (KEY, OTHER_SECRET), ("", ""), ("k" * 65, "s"), (KEY, "")],
)
def test_a_wrong_key_or_secret_gets_none(door, key, secret):
    assert door.oauth(key, secret).error == (400, "400.008.01", "Invalid Authentication passed")


@pytest.mark.parametrize("query", [b"", b"grant_type=password", b"grant_type=", b"grant=1"])
def test_any_other_grant_type_gets_none(door, query):
    assert door.oauth(query=query).error == (400, "400.008.02", "Invalid grant type passed")


@pytest.mark.parametrize(
    "header", [b"", b"Basic", b"Basic !", b"Basic /w==", b"Bearer x", b"Basic " + b"A" * 600]
)
def test_an_authorization_that_is_no_pair_gets_none(door, header):
    reply = door.send(
        "GET",
        "/oauth/v1/generate",
        query=b"grant_type=client_credentials",
        headers=[(b"authorization", header)],
    )
    assert reply.error == (400, "400.008.01", "Invalid Authentication passed")


def test_the_token_is_got_and_calls_are_posted(door):
    assert door.send("POST", "/oauth/v1/generate").error == (405, "405.001", "Method Not Allowed")
    assert door.send("GET", QR).error == (405, "405.001", "Method Not Allowed")


def test_a_token_of_one_door_is_good_at_another():
    port = FakePort()
    first, second = Door(port), Door(port)
    assert is_good(second, first.token())


def test_a_new_token_ends_the_one_before_it(door):
    old, new = door.token(), door.token()
    assert old != new
    assert not is_good(door, old)
    assert is_good(door, new)


def test_a_door_that_has_seen_the_new_token_refuses_the_old_one():
    port = FakePort()
    first, second = Door(port), Door(port)
    old = first.token()
    first.now_ms += 1
    new = first.token()
    assert is_good(second, old)
    assert is_good(second, new)
    assert not is_good(second, old)


def test_one_apps_tokens_do_not_end_anothers(door):
    token = door.token()
    door.token(OTHER_KEY, OTHER_SECRET)
    assert is_good(door, token)


def test_a_token_ends_after_its_hour(door):
    token = door.token()
    door.now_ms += LIFETIME_S * 1_000 - 1
    assert is_good(door, token)
    door.now_ms += 1
    assert not is_good(door, token)


def test_a_token_from_far_ahead_is_not_good():
    port = FakePort()
    here, ahead = Door(port), Door(port)
    ahead.now_ms += CLOCKS_APART_MS
    assert is_good(here, ahead.token())
    ahead.now_ms += 1
    assert not is_good(here, ahead.token())


@pytest.mark.parametrize(("path", "error"), WRONG_TOKEN.items())
def test_each_api_says_in_its_own_way_that_a_token_is_wrong(door, path, error):
    assert door.post(path, {}, "no-token").error == error
    assert door.send("POST", path).error == error


@pytest.mark.parametrize("path", ROUTES)
def test_no_call_goes_without_a_token(door, path):
    status, code, message = door.post(path, {}, "").error
    assert (status, message) == (int(code[:3]), "Invalid Access Token")


def test_two_authorizations_are_none(door):
    header = (b"authorization", f"Bearer {door.token()}".encode())
    reply = door.send("POST", QR, b"{}", headers=[header, header])
    assert reply.error == (404, "404.001.03", "Invalid Access Token")


def test_an_altered_token_is_nobodys(door):
    token = door.token()
    raw = bytearray(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    for place in range(len(raw)):
        raw[place] ^= 1
        altered = base64.urlsafe_b64encode(bytes(raw)).decode().rstrip("=")
        raw[place] ^= 1
        assert not is_good(door, altered), place
    assert is_good(door, token)


def test_a_door_remembers_so_many_apps_and_no_more():
    desk = TokenDesk()
    for index in range(APPS_REMEMBERED + 10):
        desk.issue(app(f"key-{index}", "secret"), 1_000)
    assert len(desk._newest) == APPS_REMEMBERED


def test_the_certificate_is_told_to_anybody_at_the_merchants_home(door):
    path = "/mpesa/credentials/v1/certificate"
    reply = door.send("GET", path, query=f"ShortCode={PAYBILL}".encode())
    assert (reply.status, reply.body) == (200, b"-----BEGIN CERTIFICATE-----\n")
    door.port.index = 3
    sentence = "This merchant's certificate is at the super-agent amani"
    error = door.send("GET", path, query=f"ShortCode={PAYBILL}".encode()).error
    assert error == (404, "404.001.01", sentence)
    error = door.send("GET", path, query=b"ShortCode=999999").error
    assert error == (404, "404.001.01", "Resource not found")
    error = door.send("GET", path, query=b"ShortCode=x").error
    assert error == (400, "400.002.02", "Bad Request - Invalid ShortCode")
    assert door.send("POST", path).error == (405, "405.001", "Method Not Allowed")


@pytest.mark.parametrize(
    ("header", "token"),
    [("Bearer abc", "abc"), ("bearer  abc ", "abc"), ("Basic abc", ""), ("", ""), ("Bearer", "")],
)
def test_a_bearer_authorization_has_a_token(header, token):
    assert bearer(header) == token


@given(st.one_of(st.text(max_size=700), st.binary(max_size=300).map(base64.urlsafe_b64encode)))
def test_what_a_stranger_shows_as_a_token_is_refused(shown):
    token = shown if isinstance(shown, str) else shown.decode()
    door = Door()
    header = token.encode("utf-8", "surrogatepass").replace(b"\n", b"")
    reply = door.send("POST", QR, b"{}", headers=[(b"authorization", b"Bearer " + header)])
    assert reply.error == (404, "404.001.03", "Invalid Access Token")


@given(st.binary(max_size=600))
def test_what_a_stranger_shows_as_a_key_and_secret_is_refused(shown):
    door = Door()
    for header in (shown, b"Basic " + shown, b"Basic " + base64.b64encode(shown)):
        reply = door.send(
            "GET",
            "/oauth/v1/generate",
            query=b"grant_type=client_credentials",
            headers=[(b"authorization", header)],
        )
        assert reply.error == (400, "400.008.01", "Invalid Authentication passed")
