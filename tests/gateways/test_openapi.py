"""The HTTP door's description: every operation is in it, and every answer is as it says."""

import ast
import asyncio
import base64
import json
import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from tests.gateways.conftest import PAYEE, PAYER, FakePort
from tests.gateways.description import breaches, described, every_operation
from tests.gateways.fake_merchants import CUSTOMER, KEY, PAYBILL, SECRET, TILL
from tests.gateways.test_http import BODIES

from harambee.gateways import http
from harambee.gateways.http.app import HttpGateway
from harambee.gateways.http.governance import CODES
from harambee.gateways.http.names import NAME_CODES, PROFILE_CODES
from harambee.gateways.http.operation import ALWAYS, CAPTURED, Octets
from harambee.gateways.http.operations import operations
from harambee.gateways.http.problems import STATUS_OF
from harambee.merchants.port import Reason

FOLDER = Path(http.__file__).parent
ELSEWHERE = {"governance", "history", "oversight", "paths"}
"""Operations whose ports have fakes of their own, and tests beside them."""
WHO = "Basic " + base64.b64encode(f"{KEY}:{SECRET}".encode()).decode()


def test_every_route_is_described_and_every_description_is_routed():
    routed = {
        (method, shape)
        for shape, route in HttpGateway(FakePort(), "1.2.3")._routes.items()
        for method in route
    }
    written = {
        (method, tuple(re.sub(r"\{.*\}", "*", part) for part in path[1:].split("/")))
        for method, path, _ in every_operation()
    }
    assert routed == written


def test_it_is_openapi_of_this_version(client):
    document = asyncio.run(client.ask("GET", "/v1/openapi.json")).document
    assert document == described()
    assert document["openapi"].startswith("3.1.")
    assert document["info"]["version"] == "1.2.3"
    assert document["servers"] == [{"url": "/", "description": "This super-agent."}]
    assert document["webhooks"]["event"]["post"]["requestBody"]["required"] is True


def test_a_handler_says_what_it_does_and_under_which_address():
    for operation in operations("1"):
        said = operation.handler.__doc__.partition(": ")[0]
        assert said == f"{operation.method} {operation.path}"
        assert operation.what[0].isupper()


def test_every_operation_has_a_name_of_its_own():
    names = [operation["operationId"] for _, _, operation in every_operation()]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z_]+\.[a-z_]+", name) for name in names)


def test_every_variable_segment_is_a_parameter():
    used = set()
    for _, path, operation in every_operation():
        segments = set(re.findall(r"\{(.*?)\}", path))
        used |= segments
        parameters = operation.get("parameters", [])
        assert {each["name"] for each in parameters if each["in"] == "path"} == segments
        assert all(each["required"] for each in parameters if each["in"] == "path")
    assert used == CAPTURED.keys(), "no parameter is described that no path has"


def test_no_address_holds_a_telephone_number():
    for _, _, operation in every_operation():
        names = {each["name"] for each in operation.get("parameters", [])}
        assert not {"msisdn", "telephone", "payee"} & names


def test_every_reference_leads_somewhere():
    document = described()
    schemas = document["components"]["schemas"]
    found = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document)))
    assert found == schemas.keys(), "and nothing is described that nothing leads to"


def test_every_object_that_is_read_says_what_it_reads_and_no_more():
    for operation in operations("1"):
        for body in operation.bodies:
            if not isinstance(body, Octets):
                schema = described()["components"]["schemas"][body.__name__]
                assert schema["additionalProperties"] is False, body


def test_merchants_operations_want_who_asks_and_others_do_not():
    for _, path, operation in every_operation():
        wanted = path.startswith("/v1/merchants/") or path in (
            "/v1/requests",
            "/v1/requests/{name}",
        )
        assert ("security" in operation, "401" in operation["responses"]) == (wanted, wanted)


def codes_in_source():
    """Yield (status, code) of every problem that a module raises by name."""
    of = {"bad_request": 400, "not_found": 404}
    for file in FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(
                    func=ast.Name(id=name),
                    args=[ast.Constant(value=str(code)), *_],
                ) if name in of:
                    yield of[name], code
                case ast.Call(
                    func=ast.Name(id="ProblemError"),
                    args=[ast.Constant(value=int(status)), ast.Constant(value=str(code)), *_],
                ):
                    yield status, code
                case ast.Tuple(
                    elts=[ast.Constant(value=int(status)), ast.Constant(value=str(code)), _]
                ):
                    yield status, code
                case _:
                    pass


def test_every_code_has_one_status_and_every_status_is_that():
    found = set(codes_in_source())
    assert ("NAME_UNKNOWN", 404) in {(code, status) for status, code in found}
    assert {code: status for status, code in found}.items() <= STATUS_OF.items()
    assert len({code for _, code in found}) == len(found)


def test_no_code_is_listed_that_nothing_says():
    said = {code for _, code in codes_in_source()}
    said |= {reason.name for reason in Reason} | {*CODES, *NAME_CODES, *PROFILE_CODES}
    assert said == STATUS_OF.keys()


def test_every_code_is_a_problem_of_some_operation():
    told = {code for operation in operations("1") for code in operation.codes}
    assert told == STATUS_OF.keys()
    assert all(set(ALWAYS) <= set(operation.codes) for operation in operations("1"))


SEGMENTS = st.one_of(
    st.sampled_from([str(PAYER), str(PAYEE), "7", "0", TILL, PAYBILL, "order-7", "ab" * 32]),
    st.integers(0, 2**64).map(str),
    st.text(max_size=12),
)


@given(
    operation=st.sampled_from(
        [each for each in every_operation() if not ELSEWHERE & set(each[2]["tags"])]
    ),
    segments=st.lists(SEGMENTS, min_size=4, max_size=4),
    query=st.dictionaries(
        st.sampled_from(
            ["wait_ms", "limit", "after", "before", "id", "from", "to", "author", "slot", "offset"]
        ),
        st.integers(0, 2**65).map(str) | st.sampled_from(["1", "3", "x", "ab" * 32]),
        max_size=4,
    ),
    body=BODIES
    | st.sampled_from(
        [
            {"short_code": TILL, "msisdn": CUSTOMER, "amount_cents": 5, "name": "order-7"},
            {"url": "https://duka.example/"},
            {"msisdn": CUSTOMER},
        ]
    ).map(lambda body: json.dumps(body).encode()),
    content_type=st.sampled_from([None, "application/json", "application/octet-stream"]),
    who=st.sampled_from([WHO, "", "Basic !"]),
)
def test_whatever_is_asked_the_answer_is_as_described(
    make_client, operation, segments, query, body, content_type, who
):
    method, path, said = operation
    places = iter(segments)
    address = re.sub(r"\{.*?\}", lambda _: next(places), path)
    client = make_client()
    asked = "&".join(f"{name}={value}" for name, value in query.items()).encode()
    sent = [("authorization", who)]
    for _ in range(2):
        reply = asyncio.run(client.ask(method, address, body, content_type, asked, sent=sent))
        if "/" in "".join(segments) and reply.status in (404, 405):
            continue
        assert breaches(said, reply) == []
        assert reply.status < 500
