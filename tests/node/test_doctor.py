"""harambee doctor: a healthy super-agent, and what is said of each thing that can be wrong with it."""

import contextlib
import json
import shutil
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from tests.node.test_pruning import numbered_block

from harambee.cli.main import main
from harambee.crypto.keyfiles import StoredKey, write_key_file
from harambee.crypto.signatures import generate
from harambee.node.config import Address, read_config
from harambee.node.doctor import files, machine, others
from harambee.node.doctor.examining import examine
from harambee.node.doctor.findings import Severity
from harambee.node.doctor.others import Heard, Status, read_status
from harambee.node.journal import Journal
from harambee.node.network_folder import MemberAddress, create_network, load_network
from harambee.traffic.temporary_network import free_ports


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A network that no test changes."""
    folder = tmp_path_factory.mktemp("made") / "network"
    base = free_ports(8)
    return create_network(
        folder,
        customers=2,
        agents_per_super_agent=1,
        base_http_port=base,
        base_peer_port=base + 4,
    )


@pytest.fixture
def home(made, tmp_path, monkeypatch):
    """Amani's folder, in a copy of that network; nobody is asked."""
    monkeypatch.setattr(others, "PATIENCE_S", 0.2)
    shutil.copytree(made.folder, tmp_path / "network")
    return tmp_path / "network" / "super-agents" / "amani"


def found(home, subject, severity=None):
    """The sentences about a subject, of that severity if one is given."""
    return [
        one.sentence
        for one in examine(home / "node.toml")
        if one.subject == subject and severity in (None, one.severity)
    ]


def change(home, before, after):
    file = home / "node.toml"
    text = file.read_text(encoding="utf-8")
    assert before in text
    file.write_text(text.replace(before, after), encoding="utf-8")


def of_a_real_network(home):
    """Say in the genesis that this is no development network."""
    file = home.parents[1] / "genesis.json"
    document = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps(document | {"development": False}), encoding="utf-8")


@contextlib.contextmanager
def serving(address, status):
    """A door that answers /v1/status with this."""

    class Door(BaseHTTPRequestHandler):
        def do_GET(self):
            content = json.dumps(status() if callable(status) else status).encode()
            self.send_response(200 if self.path == "/v1/status" else 404)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    server = HTTPServer((address.host, address.port), Door)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def status_of(home, **facts):
    network = load_network(home.parents[1]).genesis.network.hex()
    return {"name": "amani", "network": network, "ready": None, "total_cents": 0, **facts}


# -- what is fine ---------------------------------------------------------------------------------


def test_a_new_super_agent_that_does_not_run_has_nothing_wrong_but_its_lonesomeness(home):
    findings = examine(home / "node.toml")
    assert {one.subject for one in findings if one.severity is Severity.WRONG} == {
        "other super-agents"
    }
    assert {one.subject for one in findings if one.severity is Severity.FINE} >= {
        "configuration",
        "permissions",
        "keys",
        "certificates",
        "ports",
        "disk",
        "memory",
        "checkpoints",
        "merchants",
        "texts",
        "agents' places",
    }
    assert all(one.sentence.endswith(".") for one in findings)
    assert all(one.remedy for one in findings if one.severity is not Severity.FINE)


def test_it_changes_nothing(home):
    (home / "profile.key").unlink()
    before = {
        file: (file.stat().st_mtime_ns, file.stat().st_size) for file in home.parents[1].rglob("*")
    }
    examine(home / "node.toml")
    assert {
        file: (file.stat().st_mtime_ns, file.stat().st_size) for file in home.parents[1].rglob("*")
    } == before


def test_one_that_runs_is_asked_how_it_does(home):
    config = read_config(home / "node.toml")
    with serving(config.listen_http, status_of(home)):
        assert found(home, "service") == ["amani runs and serves."]
        assert found(home, "ports") == ["It listens itself."]
    said = status_of(home, ready="It reads its journal.", total_cents=7, texts_waiting=20_000)
    with serving(config.listen_http, said | {"checkpoint_alarms": ["X signed another state."]}):
        assert found(home, "service", Severity.WRONG) == [
            "It reads its journal.",
            "All balances add up to 7 cents and not to zero.",
        ]
        assert found(home, "service", Severity.LOOK) == [
            "X signed another state.",
            "20,000 texts wait to be sent.",
        ]


def test_another_super_agent_at_its_door_is_noticed(home):
    config = read_config(home / "node.toml")
    with serving(config.listen_http, status_of(home) | {"name": "baraka"}):
        (sentence,) = found(home, "service", Severity.WRONG)
        assert "Somebody else answers" in sentence
        assert "something else listens there" in found(home, "ports", Severity.WRONG)[0]


# -- files ----------------------------------------------------------------------------------------


def expose(name):
    return lambda home: (home / name).chmod(0o644)


def remove(name):
    return lambda home: (home / name).unlink()


def write(name, content="paper"):
    def spoil(home):
        (home / name).write_text(content, encoding="utf-8")
        if name.endswith("json"):
            (home / name).chmod(0o600)

    return spoil


def other_key(name, kind):
    def spoil(home):
        (home / name).unlink()
        write_key_file(home / name, StoredKey(kind, generate()))

    return spoil


def open_folder(name):
    def spoil(home):
        (home / name).mkdir(exist_ok=True)
        (home / name).chmod(0o755)

    return spoil


def others_certificate(home):
    folder = home.parents[1] / "certificates"
    shutil.copy(folder / "baraka.crt", folder / "chapa.crt")


def others_tls_key(home):
    shutil.copy(home.parent / "baraka" / "tls.key", home / "tls.key")


def stray_home(home):
    document = json.loads((home / "merchants.json").read_text(encoding="utf-8"))
    document["merchants"][0]["home"] = 9
    write("merchants.json", json.dumps(document))(home)


@pytest.mark.parametrize(
    ("spoil", "subject", "sentence"),
    [
        (write("node.toml"), "configuration", "is not valid TOML"),
        (remove("node.toml"), "configuration", "There is no configuration"),
        (write("../../genesis.json"), "genesis", "genesis.json"),
        (remove("../../openings.bin"), "genesis", "openings.bin is missing"),
        (write("../../addresses.json"), "addresses", "is not a list of addresses"),
        (expose("signing.key"), "permissions", "signing.key can be read or written by others"),
        (expose("tls.key"), "permissions", "tls.key can be read or written by others (mode 0644)"),
        (expose("../../directory.key"), "permissions", "directory.key can be read or written"),
        (expose("merchants.json"), "permissions", "merchants.json can be read or written"),
        (expose("operators/first.key"), "permissions", "first.key can be read or written"),
        (open_folder("journal"), "permissions", "journal is open to others (mode 0755)"),
        (open_folder("profiles"), "permissions", "profiles is open to others"),
        (remove("signing.key"), "keys", "There is no key file"),
        (other_key("signing.key", "super-agent"), "keys", "is not the key that the genesis names"),
        (other_key("signing.key", "treasury"), "keys", "holds a key of kind 'treasury'"),
        (other_key("enrolment.key", "enrolment"), "keys", "that account 0 was opened with"),
        (other_key("treasury.key", "treasury"), "keys", "that account 2 was opened with"),
        (write("../../directory.key", "short"), "keys", "is not 32 bytes in hexadecimal"),
        (write("profile.key", "{}"), "keys", "profile.key is not a key file"),
        (others_certificate, "certificates", "chapa.crt does not have the key"),
        (remove("../../certificates/chapa.crt"), "certificates", "chapa.crt cannot be read"),
        (write("tls.crt"), "certificates", "is not a certificate that can be read"),
        (others_tls_key, "certificates", "tls.key is not the key of"),
        (write("merchants.json", "{"), "merchants", "is not as such a file must be"),
        (stray_home, "merchants", "is super-agent 9, which is none"),
        (write("agents.csv"), "agents' places", "does not begin with account,latitude"),
    ],
)
def test_a_spoiled_file_is_named(home, spoil, subject, sentence):
    spoil(home)
    said = found(home, subject, Severity.WRONG) + found(home, subject, Severity.LOOK)
    assert any(sentence in one for one in said), said


def test_a_damaged_note_of_texts_is_named(home):
    (home / "texts").mkdir(mode=0o700)
    write("texts/cursor.json", "{")(home)
    (sentence,) = found(home, "texts", Severity.WRONG)
    assert "cursor.json cannot be read" in sentence
    change(home, 'texts = "outbox"', 'texts = "off"')
    assert found(home, "texts") == ["It sends no texts."]


def test_a_key_of_another_user_is_named(home, monkeypatch):
    (home / "journal").mkdir(mode=0o700)
    monkeypatch.setattr(files, "owner_of", lambda file: 12_345 if file.suffix == ".key" else 999)
    sentences = found(home, "permissions")
    assert f"{home}/signing.key belongs to user 12345, and the journal to 999." in sentences
    assert not any("merchants.json" in sentence for sentence in sentences)


def test_a_key_of_the_environment_is_looked_for_there(home, monkeypatch):
    change(home, '"signing.key"', '"env:AMANI_SIGNING"')
    assert "AMANI_SIGNING is not set" in found(home, "keys", Severity.WRONG)[0]
    seed = json.loads((home / "signing.key").read_text(encoding="utf-8"))["seed"]
    monkeypatch.setenv("AMANI_SIGNING", seed)
    assert len(found(home, "keys", Severity.FINE)) == 1


def test_a_device_that_is_not_there_is_named(home, monkeypatch):
    monkeypatch.setenv("AMANI_PIN", "5678")
    place = "pkcs11:token=a;object=signing?module-path=/lib/nothing.so&pin-source=env:AMANI_PIN"
    change(home, '"signing.key"', f'"{place}"')
    (sentence,) = found(home, "keys", Severity.WRONG)
    assert sentence.startswith("The key signing of the token a cannot be opened: ")
    assert "5678" not in sentence


def test_what_is_right_for_a_demonstration_alone_is_named_elsewhere(home):
    change(home, 'listen_http = "127.0.0.1', 'listen_http = "0.0.0.0')
    assert len(found(home, "configuration", Severity.FINE)) == 1
    of_a_real_network(home)
    callbacks, plain = found(home, "configuration", Severity.LOOK)
    assert "Callbacks may go to addresses inside this network" in callbacks
    assert "without TLS on 0.0.0.0" in plain
    assert "operators' own keys lie here (first.key)" in found(home, "keys", Severity.LOOK)[0]


def test_a_super_agent_without_operators_votes_for_nothing_governed(home):
    text = (home / "node.toml").read_text(encoding="utf-8")
    line = next(line for line in text.splitlines() if line.startswith("operators"))
    change(home, line, "")
    assert "There are no operators" in found(home, "configuration", Severity.LOOK)[0]


def test_a_name_that_the_genesis_does_not_know(home):
    change(home, 'name = "amani"', 'name = "zuri"')
    assert found(home, "genesis", Severity.WRONG) == ["The genesis has no super-agent zuri."]


# -- stores ---------------------------------------------------------------------------------------


def journal_of(home, author=0, network=None):
    config, genesis = read_config(home / "node.toml"), load_network(home.parents[1]).genesis
    return Journal.open(config.journal, network or genesis.network, author, genesis.committee.epoch)


def test_a_journal_is_counted_also_while_it_is_in_use(home):
    with journal_of(home) as journal:
        journal.append([numbered_block(position) for position in range(3)])
    assert found(home, "journal") == ["The journal has 3 blocks, 0 of them in the archive."]


def test_a_journal_that_is_to_come_back_says_so(home):
    with journal_of(home) as journal:
        journal.re_entering = True
    assert "under a new incarnation" in found(home, "journal", Severity.LOOK)[0]


@pytest.mark.parametrize("whose", [{"author": 1}, {"network": b"\1" * 32}])
def test_anothers_journal_is_named(home, whose):
    with journal_of(home, **whose):
        pass
    assert "belongs to another network, super-agent" in found(home, "journal", Severity.WRONG)[0]


def test_what_is_no_journal_is_named(home):
    (home / "journal").mkdir(mode=0o700)
    (home / "journal" / "data.mdb").write_bytes(b"paper" * 4_096)
    assert "Cannot read the journal" in found(home, "journal", Severity.WRONG)[0]


def test_an_archive_that_was_taken_away_is_named(home):
    with journal_of(home) as journal:
        journal.append([numbered_block(position) for position in range(4)])
        journal.prune([0, 1])
    shutil.rmtree(home / "journal" / "archive")
    assert "is not there any more" in found(home, "journal", Severity.LOOK)[0]


def test_no_checkpoints_are_a_choice_to_look_at(home):
    change(home, "checkpoint_minutes = 10.0", "checkpoint_minutes = 0")
    assert "makes no checkpoints" in found(home, "checkpoints", Severity.LOOK)[0]


# -- the machine ----------------------------------------------------------------------------------


def test_a_port_that_is_taken_is_named(home):
    config = read_config(home / "node.toml")
    with socket.create_server(config.listen_peer):
        (sentence,) = found(home, "ports", Severity.WRONG)
    assert sentence == f"It cannot listen on {config.listen_peer}: something else listens there."


def test_one_port_for_both_is_named(home):
    config = read_config(home / "node.toml")
    change(home, f'listen_peer = "{config.listen_peer}"', f'listen_peer = "{config.listen_http}"')
    assert "Handsets and super-agents have one port" in found(home, "ports", Severity.WRONG)[0]


@pytest.mark.parametrize(
    ("gib", "severity"), [(0, Severity.WRONG), (2, Severity.LOOK), (50, Severity.FINE)]
)
def test_room_on_the_disk(home, monkeypatch, gib, severity):
    monkeypatch.setattr(machine, "free_bytes", lambda _: gib << 30)
    assert found(home, "disk", severity) == [f"The disk of {home} has {gib}.0 GiB of room."]


@pytest.mark.parametrize(
    ("accounts", "severity"),
    [(1_000, Severity.FINE), (100_000_000, Severity.LOOK), (200_000_000, Severity.WRONG)],
)
def test_memory_against_accounts(accounts, severity):
    (finding,) = machine.memory(accounts, 16_000_000_000)
    assert finding.severity is severity
    assert f"{accounts:,} accounts need about" in finding.sentence


@pytest.mark.parametrize(
    ("most", "severity"),
    [(1_024, Severity.LOOK), (65_536, Severity.FINE), (-1, Severity.FINE)],
)
def test_open_files(most, severity):
    (finding,) = machine.open_files(most)
    assert finding.severity is severity


# -- the others -----------------------------------------------------------------------------------


def test_peers_that_listen_are_reached_and_tell_the_time(home):
    network = load_network(home.parents[1])
    with contextlib.ExitStack() as stack:
        for member in network.addresses[1:]:
            stack.enter_context(socket.create_server(member.peer))
            port = int(member.http.rpartition(":")[2])
            said = status_of(home) | {"name": member.name}
            stack.enter_context(
                serving(
                    Address("127.0.0.1", port),
                    lambda said=said: said | {"time_s": time.time()},
                )
            )
        assert found(home, "other super-agents") == ["All 3 others can be reached."]
        assert found(home, "clock") == ["3 others have the same time."]


def heard(**ahead_s):
    status = Status("x", "ab")
    return [Heard(name, None, status, ahead) for name, ahead in ahead_s.items()]


@pytest.mark.parametrize(
    ("ahead_s", "severity", "sentence"),
    [
        ({"a": 0.1, "b": -0.2, "c": 1}, Severity.FINE, "3 others have the same time."),
        (
            {"a": 60, "b": 61, "c": 0},
            Severity.WRONG,
            "This machine's clock is 60 seconds behind the others'.",
        ),
        (
            {"a": -90, "b": -90, "c": -91},
            Severity.WRONG,
            "This machine's clock is 90 seconds ahead of the others'.",
        ),
        (
            {"a": 0, "b": 0, "c": 300},
            Severity.LOOK,
            "The clock of c is 300 seconds ahead of the others'.",
        ),
        (
            {"a": 0, "b": 0, "c": -300},
            Severity.LOOK,
            "The clock of c is 300 seconds behind the others'.",
        ),
        ({"a": None, "b": None}, Severity.LOOK, "Nobody says what time it is."),
    ],
)
def test_clocks_are_held_against_each_other(ahead_s, severity, sentence):
    (finding,) = others.clock(heard(**ahead_s))
    assert (finding.severity, finding.sentence) == (severity, sentence)


def test_a_host_that_nobody_has_is_said_in_words(made):
    members = [MemberAddress("zuri", Address("host.invalid", 9), "http://host.invalid:9")]
    (one,) = others.ask_all(members)
    assert (one.status, one.ahead_s) == (None, None)
    assert one.unreached
    *looks, last = others.peers([one] * 3, made.genesis.committee)
    assert [finding.severity for finding in looks] == [Severity.LOOK] * 3
    assert "3 of 3 others cannot be reached, and 1 may be missing" in last.sentence


@given(
    st.binary(max_size=300)
    | st.recursive(
        st.none() | st.integers() | st.text(max_size=9),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["name", "network", "ready", "time_s", "x"]), inner)
        ),
        max_leaves=9,
    ).map(lambda value: json.dumps(value).encode())
)
def test_whatever_a_door_answers_is_a_status_or_none(content):
    status = read_status(content)
    assert status is None or (isinstance(status.name, str) and isinstance(status.ready, str | None))


@pytest.mark.parametrize("content", [b"[" * 100_000, b"{}", b"\xff", b'{"name": 1}'])
def test_what_is_no_status_is_none(content):
    assert read_status(content) is None


# -- the command ----------------------------------------------------------------------------------


def test_the_command_says_it_in_lines_or_as_json(home):
    (home / "signing.key").chmod(0o644)
    told = CliRunner().invoke(main, ["doctor", "--config", str(home / "node.toml")])
    assert told.exit_code == 1
    assert f"x permissions         {home}/signing.key can be read" in told.output
    assert f"-> chmod 600 {home}/signing.key" in told.output
    assert " must be mended, " in told.output.splitlines()[-1]
    told = CliRunner().invoke(main, ["doctor", "--json", "--config", str(home / "node.toml")])
    document = json.loads(told.output.splitlines()[-1])
    assert (told.exit_code, document["status"]) == (1, "wrong")
    assert document["wrong"] == sum(one["severity"] == "wrong" for one in document["findings"])
