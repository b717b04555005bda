"""What a handset and an operator see at a super-agent's HTTP door."""

import asyncio
import json
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harambee.crypto.hashing import TAG_ORDER, TAG_RECEIPT, TAG_REFUSAL, digest, signed_prefix
from harambee.crypto.signatures import verify
from harambee.gateways.http.requests import BODY_BYTES_MAX
from harambee.handset.receipt_code import receipt_code
from harambee.ledger.outcomes import Outcome
from harambee.ledger.records import ACCOUNT, ORDER, AccountKind, account_flags
from harambee.money.tariff import FeeMode
from harambee.node.port import State

OCTETS = "application/octet-stream"
PAYER, PAYEE, MISSING, TODAY = 16, 17, 99, 20_781


def ask(client, *arguments, **named):
    return asyncio.run(client.ask(*arguments, **named))


def order_id(port, order):
    return digest(signed_prefix(TAG_ORDER, port.genesis.network), order[:64])


def spelled(**changes):
    fields = {
        "payer": PAYER,
        "payee": PAYEE,
        "amount_cents": 500,
        "fee_cents": 0,
        "sequence": 7,
        "kind": "send",
        "tariff": 1,
        "day": TODAY,
        "signature": "03" * 64,
    }
    return {"orders": [fields | changes]}


def test_many_orders_go_in_and_come_back_as_records(client, port, order):
    reply = ask(client, "POST", "/v1/orders", order * 3, OCTETS, query=b"wait_ms=50")
    assert (reply.status, reply.headers["content-type"]) == (200, OCTETS)
    assert reply.body == bytes([State.FINAL, 0]) * 3
    assert port.submitted[0][0].dtype == ORDER
    assert port.submitted[0][0].tobytes() == order * 3
    assert port.waits == [50]


def test_a_refused_record_carries_its_outcome(client, port, order):
    port.state, port.outcome = State.REFUSED, Outcome.BALANCE_INSUFFICIENT
    reply = ask(client, "POST", "/v1/orders", order, OCTETS)
    assert reply.body == bytes([State.REFUSED, Outcome.BALANCE_INSUFFICIENT])


def test_an_order_spelled_out_is_the_same_order(client, port, order):
    by_fields = ask(client, "POST", "/v1/orders", spelled())
    by_bytes = ask(client, "POST", "/v1/orders", {"orders": [{"bytes": order.hex()}]})
    assert by_fields.document == by_bytes.document
    assert [taken.tobytes() for taken, _ in port.submitted] == [order, order]


def test_a_final_order_comes_with_this_super_agents_receipt(client, port, order):
    (fate,) = ask(client, "POST", "/v1/orders", spelled()).document["orders"]
    name = order_id(port, order)
    assert (fate["id"], fate["state"]) == (name.hex(), "final")
    assert fate["receipt_code"] == receipt_code(PAYER, 7, TODAY, 4)
    signed = signed_prefix(TAG_RECEIPT, port.genesis.network) + bytes(4) + name + b"\0"
    key = port.genesis.committee.members[fate["receipt"]["super_agent"]].key
    assert verify(key, signed, bytes.fromhex(fate["receipt"]["signature"]))


def test_a_refusal_is_signed_and_says_why(client, port, order):
    port.state, port.outcome = State.REFUSED, Outcome.BALANCE_INSUFFICIENT
    (fate,) = ask(client, "POST", "/v1/orders", spelled()).document["orders"]
    assert fate["outcome"] == "BALANCE_INSUFFICIENT"
    assert fate["sentence"] == "The balance does not cover the amount and the fee."
    refusal = fate["refusal"]
    said = order_id(port, order) + bytes([23]) + refusal["day"].to_bytes(2, "little")
    signed = signed_prefix(TAG_REFUSAL, port.genesis.network) + bytes(4) + said
    assert verify(
        port.genesis.committee.members[0].key, signed, bytes.fromhex(refusal["signature"])
    )


def test_a_pending_order_has_no_receipt(client, port):
    port.state = State.PENDING
    (fate,) = ask(client, "POST", "/v1/orders", spelled()).document["orders"]
    assert fate["state"] == "pending"
    assert "receipt" not in fate


@pytest.mark.parametrize(
    ("changes", "code", "sentence"),
    [
        ({"amount_cents": -5}, "NUMBER_INVALID", "amount_cents must be a whole number from 0"),
        ({"amount_cents": 1.5}, "NUMBER_INVALID", "amount_cents must be a whole number from 0"),
        ({"amount_cents": 2**64}, "NUMBER_INVALID", "amount_cents must be a whole number from 0"),
        ({"amount_cents": 10**400}, None, ""),
        ({"amount_cents": "5"}, "NUMBER_INVALID", "amount_cents must be"),
        ({"amount_cents": True}, "NUMBER_INVALID", "amount_cents must be"),
        ({"payer": None}, "NUMBER_INVALID", "payer must be"),
        ({"sequence": 2**32}, "NUMBER_INVALID", "sequence must be"),
        ({"kind": "gift"}, "KIND_UNKNOWN", "kind must be one of send, withdraw"),
        ({"signature": "zz" * 64}, "HEX_INVALID", "signature must be 128 hexadecimal digits."),
        ({"signature": "0 " * 64}, "HEX_INVALID", "signature must be"),
        ({"bytes": "00"}, "HEX_INVALID", "bytes must be 256 hexadecimal digits."),
        ({"surprise": 1}, "BODY_INVALID", "surprise"),
    ],
)
def test_bad_fields_get_one_sentence(client, port, changes, code, sentence):
    reply = ask(client, "POST", "/v1/orders", spelled(**changes))
    assert reply.status == 400
    assert code is None or reply.code == code
    assert sentence in reply.document["detail"]
    assert reply.document["detail"].count(". ") == 0
    assert not port.submitted


def test_an_order_of_another_network_is_named_so(client, port):
    assert ask(client, "POST", "/v1/orders", spelled(network="ab" * 32)).code == "NETWORK_WRONG"
    own = port.genesis.network.hex()
    assert ask(client, "POST", "/v1/orders", spelled(network=own)).status == 200


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"", OCTETS, 400),
        (b"1" * 127, OCTETS, 400),
        (b"1" * 128 * 8193, OCTETS, 413),
        (b"", None, 400),
        (b"{", "application/json", 400),
        (b'{"orders": []}', "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b'{"orders":' + b"[" * 100_000, "application/json", 400),
        (b'{"orders":[{"payer":' + b'{"a":' * 100_000, "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        (b"<order/>", "text/xml", 415),
    ],
)
def test_garbage_bodies_are_the_clients_fault(client, port, body, content_type, status):
    reply = ask(client, "POST", "/v1/orders", body, content_type)
    assert reply.status == status
    assert reply.document["detail"].endswith(".")
    assert not port.submitted


def test_a_body_beyond_the_limit_is_not_read_to_its_end(client):
    taken = []

    def chunks():
        for _ in range(64):
            taken.append(1)
            yield b"x" * 65_536

    assert BODY_BYTES_MAX < 64 * 65_536
    assert ask(client, "POST", "/v1/orders", content_type=OCTETS, chunks=chunks()).status == 413


def test_a_wait_is_bounded(client, port, order):
    ask(client, "POST", "/v1/orders", order, OCTETS, query=b"wait_ms=999999999")
    assert port.waits == [30_000]
    for query in (b"wait_ms=-1", b"wait_ms=abc", b"wait_ms=1&wait_ms=2", b"%", b"a" * 2000):
        assert ask(client, "POST", "/v1/orders", order, OCTETS, query=query).status == 400


def test_a_slot_says_final_other_or_unknown(client, port, order):
    port.finals_held.append(order)
    own, other = order_id(port, order).hex(), "00" * 32
    path = f"/v1/orders/{PAYER}/7"
    plain = ask(client, "GET", path).document
    assert (plain["state"], plain["order"]["amount_cents"]) == ("final", 500)
    mine = ask(client, "GET", path, query=f"id={own}&wait_ms=5".encode()).document
    assert (mine["state"], mine["receipt"]["super_agent"]) == ("final", 0)
    assert plain == mine, "who does not know the order yet is told it with the same signature"
    theirs = ask(client, "GET", path, query=f"id={other}".encode()).document
    assert theirs["state"] == "other"
    assert "receipt" not in theirs
    assert ask(client, "GET", f"/v1/orders/{PAYER}/8").document == {"state": "unknown"}
    assert ask(client, "GET", "/v1/orders/x/8").code == "NUMBER_INVALID"
    assert ask(client, "GET", f"/v1/orders/{2**32}/8").code == "NUMBER_INVALID"


def test_many_slots_at_once(client, port, order):
    port.finals_held.append(order)
    asked = np.array([(PAYER, 7), (PAYER, 8)], "<u4").tobytes()
    assert ask(client, "POST", "/v1/slots", asked).body == order + bytes(128)


def test_finals_are_read_page_by_page(client, port, order):
    port.finals_held += [order] * 3
    first = ask(client, "GET", "/v1/finals", query=b"after=0&limit=2")
    assert (len(first.body), first.headers["harambee-next"]) == (256, "2")
    rest = ask(client, "GET", "/v1/finals", query=b"after=2&limit=2")
    assert (len(rest.body), rest.headers["harambee-next"]) == (128, "3")


def test_no_page_of_finals_is_so_short_that_it_goes_nowhere(client, port, order):
    port.finals_held += [order] * 2
    page = ask(client, "GET", "/v1/finals", query=b"limit=0")
    assert (len(page.body), page.headers["harambee-next"]) == (128, "1")


def test_an_account_is_spelled_out(client):
    document = ask(client, "GET", f"/v1/accounts/{PAYER}").document
    assert document["balance_cents"] == 1000
    assert document["kind"] == "customer"
    assert document["key"] == "10" * 32
    assert (document["fee_mode"], document["head_office"]) == ("payer", None)
    assert ask(client, "GET", f"/v1/accounts/{MISSING}").code == "ACCOUNT_UNKNOWN"


@pytest.mark.parametrize(
    ("flags", "key_type", "is_odd"),
    [(0, "ed25519", False), (0x1000, "p256", False), (0x5000, "p256", True), (0x3000, "3", False)],
)
def test_an_account_says_how_its_key_is_meant(client, port, flags, key_type, is_odd):
    port.accounts_held[PAYER]["flags"] = AccountKind.CUSTOMER | flags
    document = ask(client, "GET", f"/v1/accounts/{PAYER}").document
    assert (document["key_type"], document["key_y_is_odd"]) == (key_type, is_odd)


def test_an_account_says_what_orders_to_it_must_name(client, port):
    shared = account_flags(AccountKind.BUSINESS, fee_mode=FeeMode.SHARED)
    port.accounts_held[PAYER]["flags"] = shared
    port.accounts_held[PAYER]["head_office"] = PAYEE
    document = ask(client, "GET", f"/v1/accounts/{PAYER}").document
    assert (document["fee_mode"], document["head_office"]) == ("shared", PAYEE)


def test_an_order_is_spelled_out_whole(client, port):
    fields = spelled(options="650000", reference="ab" * 32, kind="withdraw")["orders"][0]
    ask(client, "POST", "/v1/orders", {"orders": [fields]})
    port.finals_held.append(port.submitted[0][0].tobytes())
    document = ask(client, "GET", f"/v1/orders/{PAYER}/7").document["order"]
    assert fields.pop("signature")
    assert document | fields == document


def test_accounts_of_unknown_codes_are_still_shown(client, port):
    port.accounts_held[PAYER]["flags"] = 0xFFFF
    assert ask(client, "GET", f"/v1/accounts/{PAYER}").document["kind"] == "15"


def test_many_accounts_at_once(client, port):
    asked = np.array([PAYER, MISSING], "<u4").tobytes()
    reply = ask(client, "POST", "/v1/accounts/query", asked)
    assert reply.body == port.accounts_held[PAYER].tobytes() + bytes(ACCOUNT.itemsize)
    assert ask(client, "POST", "/v1/accounts/query", b"123").status == 400


def test_a_statement_turns_its_pages(client, port, order):
    port.finals_held += [order] * 3
    path = f"/v1/accounts/{PAYER}/statement"
    first = ask(client, "GET", path, query=b"limit=2").document
    assert [line["entry"] for line in first["lines"]] == [3, 2]
    assert first["lines"][0]["super_agent"] == "agent-1"
    told = {name: first["lines"][0][name] for name in ("other", "charge_cents", "commission_cents")}
    assert told == {"other": PAYEE, "charge_cents": 7, "commission_cents": 2}
    assert first["lines"][0]["order"]["options"] == "000000"
    last = ask(client, "GET", path, query=f"limit=2&before={first['next_before']}".encode())
    assert [line["entry"] for line in last.document["lines"]] == [1]
    assert last.document["next_before"] is None
    assert ask(client, "GET", f"/v1/accounts/{MISSING}/statement").status == 404


@pytest.mark.parametrize("number", ["0712345678", "+254 712 345 678", "254712345678"])
def test_the_directory_knows_a_number_in_any_spelling(client, number):
    document = ask(client, "POST", "/v1/directory", {"msisdn": number}).document
    alias = b"+254712345678".ljust(32, b"\0").hex()
    assert document == {"account": PAYEE, "key": "11" * 32, "alias": alias}


def test_the_directory_repeats_no_number(client):
    unknown = ask(client, "POST", "/v1/directory", {"msisdn": "0799999999"})
    assert (unknown.status, unknown.code) == (404, "NUMBER_UNKNOWN")
    wrong = ask(client, "POST", "/v1/directory", {"msisdn": "12345"})
    assert wrong.code == "TELEPHONE_INVALID"
    assert b"99999" not in unknown.body
    assert b"12345 " not in wrong.body


def test_a_new_account_is_enrolled(client):
    offered = ask(client, "GET", "/v1/enrolment").document
    assert offered["account"] == (1 << 20) + 40
    body = {"order_body": "00" * 64, "possession": "00" * 64}
    made = ask(client, "POST", "/v1/accounts", body)
    assert (made.status, made.document) == (201, {"account": offered["account"]})
    taken = ask(client, "POST", "/v1/accounts", body | {"msisdn": "0712345678"})
    assert (taken.status, taken.code) == (409, "ENROLMENT_REFUSED")
    assert taken.document["detail"] == "This number is registered already."


def test_the_network_names_its_committee(client, port):
    document = ask(client, "GET", "/v1/network").document
    assert document["network"] == port.genesis.network.hex()
    committee = document["committee"]
    assert [committee[letter] for letter in "nfqw"] == [4, 1, 3, 2]
    assert committee["members"][3]["name"] == "agent-3"
    assert (document["today"], document["software_version"]) == (TODAY, "1.2.3")


def test_readiness_is_a_sentence(client, port):
    assert ask(client, "GET", "/livez").status == 200
    assert ask(client, "GET", "/readyz").status == 200
    port.not_ready = "It is catching up: 12 blocks to go."
    reply = ask(client, "GET", "/readyz")
    assert (reply.status, reply.document["detail"]) == (503, port.not_ready)
    assert ask(client, "GET", "/livez").status == 200


def test_metrics_are_prometheus_text_without_customers(client):
    reply = ask(client, "GET", "/metrics")
    assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = reply.body.decode().splitlines()
    assert "harambee_orders_final_total 3" in lines
    assert 'harambee_order_latency_seconds_bucket{le="0.1"} 2' in lines
    assert "harambee_ready 1" in lines
    assert "harambee_commissions_owed 7" in lines
    assert "harambee_float_low 1" in lines
    assert not any("float_lasts" in line for line in lines), "it lasts"
    assert 'harambee_peer_connected{peer="a\\"b"} 1' in lines
    assert not any("journal_commit" in line for line in lines), "unknown facts are left out"
    named = {line.split()[2] for line in lines if line.startswith("# TYPE")}
    used = {line.partition("{")[0].split()[0] for line in lines if not line.startswith("#")}
    assert {re.sub(r"(latency_seconds)_(bucket|sum|count)$", r"\1", name) for name in used} == named


def test_the_digest_is_computed_once_for_all_who_ask_together(client, port):
    async def together():
        return await asyncio.gather(*[client.ask("GET", "/v1/digest") for _ in range(5)])

    replies = asyncio.run(together())
    assert {reply.document["accounts"] for reply in replies} == {2}
    assert port.digests == 1


def test_the_front_door_leads_to_the_console(client):
    reply = ask(client, "GET", "/")
    assert (reply.status, reply.headers["location"], reply.body) == (307, "/console/", b"")


def test_the_status_has_live_facts(client):
    assert ask(client, "GET", "/v1/status").document["peers"][0]["height"] == 7


@pytest.mark.parametrize(
    "path", ["/nothing", "//", "/v1/orders/1", "/v1/accounts/*", "/" + "x" * 999]
)
def test_unknown_addresses_are_404_or_400(client, path):
    assert ask(client, "GET", path).status in (400, 404)


def test_a_wrong_method_says_which_are_right(client):
    reply = ask(client, "DELETE", "/v1/orders")
    assert (reply.status, reply.headers["allow"]) == (405, "POST")
    head = ask(client, "HEAD", "/livez")
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", "6")


def test_a_bug_is_a_500_that_shows_nothing(client, port, order, caplog):
    port.fails = True
    reply = ask(client, "POST", "/v1/orders", order, OCTETS)
    assert (reply.status, reply.code) == (500, "INTERNAL")
    assert b"a bug" not in reply.body
    assert "a request could not be answered" in caplog.text


PATHS = st.one_of(
    st.sampled_from(
        [
            "/v1/orders",
            "/v1/slots",
            "/v1/accounts",
            "/v1/accounts/query",
            "/v1/directory",
            "/v1/finals",
            "/v1/enrolment",
            "/v1/network",
            "/v1/digest",
            "/metrics",
            "/",
        ]
    ),
    st.tuples(st.sampled_from(["/v1/orders/", "/v1/accounts/"]), st.text(max_size=30)).map("".join),
    st.text(max_size=40).map(lambda text: "/" + text),
)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)
FIELDS = st.dictionaries(
    st.sampled_from([*spelled()["orders"][0], "bytes", "network", "options", "possession"]),
    JSON_VALUES,
    max_size=12,
)
BODIES = st.one_of(
    st.binary(max_size=400),
    st.binary(min_size=128, max_size=128),
    JSON_VALUES.map(lambda value: json.dumps(value).encode()),
    FIELDS.map(lambda fields: json.dumps({"orders": [fields]}).encode()),
    FIELDS.map(lambda fields: json.dumps(spelled(**fields)).encode()),
    JSON_VALUES.map(
        lambda value: json.dumps(
            {"msisdn": value, "order_body": value, "possession": value}
        ).encode()
    ),
)


@given(
    method=st.sampled_from(["GET", "POST", "HEAD", "PUT", "\N{SNOWMAN}"]),
    path=PATHS,
    query=st.one_of(
        st.binary(max_size=60),
        st.tuples(
            st.sampled_from([b"wait_ms=", b"id=", b"limit=", b"before=", b"after="]),
            st.one_of(st.binary(max_size=30), st.integers().map(lambda n: str(n).encode())),
        ).map(b"".join),
    ),
    content_type=st.sampled_from([None, "application/json", OCTETS, "Application/JSON; x=y", "x"]),
    body=BODIES,
)
def test_whatever_a_stranger_sends_is_never_our_fault(
    make_client, method, path, query, content_type, body
):
    reply = ask(make_client(), method, path, body, content_type, query=query)
    assert reply.status < 500
    if reply.status >= 400 and method != "HEAD":
        assert reply.document["detail"]
        assert reply.code == reply.document["code"]
