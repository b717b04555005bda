"""The console's buttons: who may press them, and what they do to a process and to a journal."""

import http.client
import json
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.node.test_journal import block, open_

from harambee.cli.breaking import BEHIND_THE_END, Breaker, BreakingError, Buttons, damage_journal
from harambee.cli.processes import Child, Children
from harambee.node.journal import HEAD_BYTES

ORIGIN = "http://127.0.0.1:8401"
SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]


class Network:
    names = ("amani", "baraka")


class Sleepers(Children):
    """Processes that do nothing, instead of super-agents."""

    def restart(self, child):
        child.process = subprocess.Popen(SLEEP)
        child.mourned = False


@pytest.fixture
def said():
    return []


@pytest.fixture
def breaker(tmp_path, said):
    children = Sleepers(
        [Child((name,), subprocess.Popen(SLEEP), tmp_path / "log", ()) for name in Network.names]
    )
    yield Breaker(Network(), children, said.append)
    children.stop()


@pytest.fixture
def buttons(breaker):
    with Buttons(breaker, [ORIGIN]) as listening:
        yield listening


def states(breaker):
    return [row["state"] for row in breaker.state()]


def ask(buttons, method="GET", path="/super-agents", body=None, **sent):
    head = {"authorization": f"Bearer {buttons.token}", "origin": ORIGIN} | sent
    connection = http.client.HTTPConnection("127.0.0.1", buttons.port, timeout=10)
    try:
        connection.request(method, path, body, {k: v for k, v in head.items() if v is not None})
        answer = connection.getresponse()
        content = answer.read()
    finally:
        connection.close()
    return answer, json.loads(content) if content else None


class Switchable(threading.Thread):
    """The other end of a shared process's switches: it remembers who is on, and refuses one."""

    def __init__(self, end):
        super().__init__(daemon=True)
        self.end, self.asked = end, []

    def run(self):
        with self.end.makefile("rwb") as lines:
            for line in lines:
                asked = json.loads(line)
                self.asked.append((asked["super_agent"], asked["on"]))
                refused = asked["super_agent"] == "baraka" and asked["on"]
                answer = {"detail": "baraka: its journal is spoilt"} if refused else {"done": True}
                lines.write(json.dumps(answer).encode() + b"\n")
                lines.flush()


def test_those_that_share_a_process_have_a_switch_each(tmp_path, said):
    mine, theirs = socket.socketpair()
    house = Switchable(theirs)
    house.start()
    process = subprocess.Popen(SLEEP)
    children = Sleepers([Child(Network.names, process, tmp_path / "log", (), mine)])
    breaker = Breaker(Network(), children, said.append)
    try:
        breaker.do("kill", "baraka")
        assert states(breaker) == ["running", "ended"]
        assert process.poll() is None
        with pytest.raises(BreakingError, match="has ended already"):
            breaker.do("kill", "baraka")
        with pytest.raises(BreakingError, match="its journal is spoilt"):
            breaker.do("start", "baraka")
        assert states(breaker) == ["running", "ended"]
        with pytest.raises(BreakingError, match="it can be killed, not paused"):
            breaker.do("pause", "amani")
        breaker.do("kill", "amani")
        breaker.do("start", "amani")
        assert states(breaker) == ["running", "ended"]
        assert house.asked == [
            ("baraka", False),
            ("baraka", True),
            ("amani", False),
            ("amani", True),
        ]
        theirs.shutdown(socket.SHUT_RDWR)
        with pytest.raises(BreakingError, match="does not answer"):
            breaker.do("kill", "amani")
        assert said[0] == "baraka: killed by the console."
    finally:
        children.stop()
        house.join()
        theirs.close()


def test_kill_and_start(breaker, said):
    assert breaker.state()[0] == {"name": "amani", "state": "running"}
    breaker.do("kill", "amani")
    assert states(breaker) == ["ended", "running"]
    assert breaker.children.dead() == [], "the terminal need not say it once more"
    with pytest.raises(BreakingError, match="has ended already"):
        breaker.do("kill", "amani")
    breaker.do("start", "amani")
    assert states(breaker) == ["running", "running"]
    with pytest.raises(BreakingError, match="runs already"):
        breaker.do("start", "amani")
    assert said == ["amani: killed by the console.", "amani: started by the console."]


def test_pause_stops_the_process_and_resume_lets_it_go_on(breaker):
    pid = breaker.children.children[1].process.pid

    def is_stopped():
        said = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
        return said.rpartition(")")[2].split()[0] == "T"

    with pytest.raises(BreakingError, match="is not paused"):
        breaker.do("resume", "baraka")
    breaker.do("pause", "baraka")
    assert states(breaker) == ["running", "paused"]
    deadline = time.monotonic() + 10
    while not is_stopped():
        assert time.monotonic() < deadline
    with pytest.raises(BreakingError, match="does not run"):
        breaker.do("pause", "baraka")
    breaker.do("resume", "baraka")
    assert states(breaker) == ["running", "running"]
    while is_stopped():
        assert time.monotonic() < deadline


def test_a_paused_process_ends_in_time_when_all_are_to_end(breaker):
    breaker.do("pause", "amani")
    began = time.monotonic()
    breaker.children.stop()
    assert time.monotonic() - began < 10
    assert states(breaker) == ["ended", "ended"]


@pytest.mark.parametrize(("action", "name"), [("kill", "nobody"), ("sing", "amani"), ("", "")])
def test_what_is_not_there_cannot_be_pressed(breaker, action, name):
    with pytest.raises(BreakingError, match="no such"):
        breaker.do(action, name)


def test_who_has_the_token_sees_and_presses(buttons, breaker):
    answer, document = ask(buttons)
    assert (answer.status, [row["state"] for row in document]) == (200, ["running", "running"])
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    answer, document = ask(buttons, "POST", "/super-agents/amani/kill")
    assert (answer.status, document[0]["state"]) == (200, "ended")
    answer, document = ask(buttons, "POST", "/super-agents/amani/kill")
    assert (answer.status, document) == (409, {"detail": "amani has ended already."})
    assert states(breaker) == ["ended", "running"]
    assert buttons.fragment == f"control={buttons.port}.{buttons.token}"
    assert len(buttons.token) >= 32


@pytest.mark.parametrize(
    "sent",
    [
        {"authorization": None},
        {"authorization": "Bearer wrong"},
        {"authorization": "Bearer "},
        {"host": "elsewhere.example"},
        {"host": "localhost"},
    ],
)
def test_nobody_else_does(buttons, breaker, sent):
    for method, path in (("GET", "/super-agents"), ("POST", "/super-agents/amani/kill")):
        answer, document = ask(buttons, method, path, **sent)
        assert answer.status == 403
        assert document == {"detail": "This is for the console of this network."}
    assert states(breaker) == ["running", "running"]


def test_another_page_is_not_told_what_is_answered(buttons):
    answer, _ = ask(buttons, origin="http://elsewhere.example")
    assert "access-control-allow-origin" not in answer.headers
    answer, _ = ask(buttons, "OPTIONS", origin="http://elsewhere.example", authorization=None)
    assert "access-control-allow-origin" not in answer.headers
    answer, _ = ask(buttons, "OPTIONS", authorization=None)
    assert answer.headers["access-control-allow-headers"] == "authorization"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(
    st.sampled_from(["GET", "POST", "OPTIONS"]),
    st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=40),
    st.binary(max_size=40),
)
def test_whatever_is_asked_for_nothing_breaks_but_by_a_button(buttons, breaker, method, path, body):
    if path.startswith("/super-agents/"):
        return
    answer, _ = ask(buttons, method, "/" + path, body)
    assert answer.status in (200, 204, 403, 409)
    assert states(breaker) == ["running", "running"]


@pytest.mark.parametrize("size", [HEAD_BYTES, 9_000])
def test_damage_is_one_bit_of_one_block_and_is_noticed(tmp_path, size):
    with open_(tmp_path) as journal:
        journal.append([block(0, height, size=size) for height in range(1, BEHIND_THE_END)])
    with pytest.raises(BreakingError, match="too few blocks"):
        damage_journal(tmp_path)
    with open_(tmp_path) as journal:
        journal.append([block(1, height, size=size) for height in range(1, 40)])
        count = journal.count
    position = damage_journal(tmp_path)
    assert position == count - BEHIND_THE_END
    with open_(tmp_path) as journal:
        assert list(journal.damaged()) == [position]


def test_a_folder_without_a_journal_says_so(tmp_path):
    with pytest.raises(BreakingError):
        damage_journal(tmp_path)
