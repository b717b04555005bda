"""The HTTP door of a running network against its own description, asked by a program that has only that.

Schemathesis sends what the description allows and much that it does not. No answer is our fault, and none
is other than described: not its status, its media type, its headers or its body.
"""

import subprocess
import sys
from pathlib import Path

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from tests.accept.test_up_and_pay import document_of, harambee, up
from tests.gateways.description import described

from harambee.node.network_folder import load_network
from harambee.node.sandbox import CONSUMER_KEY, CONSUMER_SECRET
from harambee.traffic.temporary_network import free_ports

pytestmark = [pytest.mark.accept, pytest.mark.timeout(1_200)]

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "ignored_auth",
)
EXAMPLES = 6
ASKED_S = 900


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """A development network of four, with merchants, and payments to look at."""
    place = tmp_path_factory.mktemp("doors")
    folder, base = place / "network", free_ports(8)
    ports = ["--http-port", str(base), "--peer-port", str(base + 4)]
    made = harambee(folder, "init", *ports)
    assert made.returncode == 0, made.stderr
    with up(folder, place / "said.txt"):
        for _ in range(2):
            document_of(folder, "pay", "customer-1", "customer-2", "100")
        yield load_network(folder)


def test_the_description_is_openapi():
    assert list(OpenAPIV31SpecValidator(described()).iter_errors()) == []


def test_no_answer_is_other_than_described_and_none_our_fault(network, tmp_path):
    url = network.addresses[0].http
    asked = subprocess.run(
        [
            SCHEMATHESIS,
            "run",
            "--exclude-path",
            "/v1/sandbox/faults",  # asked for it, the super-agent would end itself
            f"{url.rstrip('/')}/v1/openapi.json",
            f"--url={url.rstrip('/')}",
            f"--auth={CONSUMER_KEY}:{CONSUMER_SECRET}",
            f"--checks={','.join(CHECKS)}",
            "--phases=coverage,fuzzing",
            f"--max-examples={EXAMPLES}",
            "--workers=1",  # ast.parse of Python 3.11 is not for several threads
            "--generation-deterministic",
            "--continue-on-failure",
            "--no-shrink",
            "--no-color",
            "--request-timeout=40",
        ],
        capture_output=True,
        text=True,
        timeout=ASKED_S,
        check=False,
        cwd=tmp_path,
    )
    assert asked.returncode == 0, asked.stdout[-20_000:]


def test_after_all_that_every_super_agent_serves_and_pays(network):
    paid = document_of(network.folder, "pay", "customer-2", "customer-1", "50")
    assert paid["status"] == "final"
