"""The port for super-agents: strangers, garbage and members that break the rules cost a link, no more."""

import socket
import ssl
import struct
from contextlib import contextmanager

import pytest
from tests.accept.quiet_network import get, until

from harambee.node.frames import FRAME_BYTES_MAX, FrameType
from harambee.node.tls import create_certificate

pytestmark = [pytest.mark.accept, pytest.mark.timeout(120)]

VICTIM, MEMBER = 0, 3
"""The higher index dials: number 3 may come to number 0."""
HELLO = struct.Struct("<HH32s")
PATIENCE_S = 30


@pytest.fixture(autouse=True)
def nothing_changes(quiet):
    """Whatever a test sends: the ledger is as before, all links come back, the four pay on."""
    before = quiet.state()
    yield
    assert quiet.state() == before
    until(lambda: all(linked(url) for url in quiet.urls), lambda: "a link does not come back")
    payer = quiet.customer()
    for door in range(4):
        quiet.pay(door, payer, quiet.customer(), sequence=door)
    for name in quiet.names:
        assert "Traceback" not in quiet.log_of(name)


def linked(url):
    return all(peer["connected"] for peer in get(url, "/v1/status").document["peers"])


def client(version=ssl.TLSVersion.TLSv1_3):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = context.maximum_version = version
    return context


@pytest.fixture
def member(quiet):
    """TLS with the certificate of a member whose key has been stolen, say."""
    config = quiet.running.folder.node(MEMBER)
    context = client()
    context.load_cert_chain(config.tls_certificate, config.tls_key)
    return context


@contextmanager
def dialled(quiet, context):
    """A connection to the victim's port for super-agents, with TLS or without."""
    address = quiet.running.folder.addresses[VICTIM].peer
    with socket.create_connection(address, timeout=PATIENCE_S) as plain:
        if context is None:
            yield plain
        else:
            with context.wrap_socket(plain) as secure:
                yield secure


def heard(connection):
    """Everything until the other side hangs up; TimeoutError if it does not."""
    answer = b""
    try:
        while piece := connection.recv(65_536):
            answer += piece
    except (ConnectionResetError, BrokenPipeError, ssl.SSLError):
        return answer
    return answer


def send(connection, data):
    try:
        connection.sendall(data)
    except (ConnectionResetError, BrokenPipeError, ssl.SSLError):
        print("hung up on before everything was sent")


def frame(kind, content):
    return struct.pack("<IB", 1 + len(content), kind) + content


def hello(quiet, index=MEMBER, version=1, network=None):
    network = network or quiet.running.network.network
    return frame(FrameType.HELLO, HELLO.pack(version, index, network))


def said(quiet, words):
    name = quiet.names[VICTIM]
    until(lambda: words in quiet.log_of(name), lambda: f"no {words!r} in {quiet.log_of(name)}")


@pytest.mark.parametrize(
    "garbage",
    [bytes(range(256)) * 1_000, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\xff\xff"],
    ids=["bytes", "http", "half a handshake"],
)
def test_garbage_is_hung_up_on(quiet, garbage):
    with dialled(quiet, None) as stranger:
        send(stranger, garbage)
        heard(stranger)
    said(quiet, "a connection from 127.0.0.1 failed")


@pytest.mark.parametrize("name", ["amani", "daima", "stranger"])
def test_a_certificate_that_is_not_a_members_is_refused(quiet, tmp_path, name):
    key, certificate = create_certificate(name)
    (tmp_path / "tls.key").write_bytes(key)
    (tmp_path / "tls.crt").write_bytes(certificate)
    context = client()
    context.load_cert_chain(tmp_path / "tls.crt", tmp_path / "tls.key")

    def refused_in_words():
        with dialled(quiet, context) as stranger:
            # TLS 1.3 lets a client believe for a moment that it is welcome.
            send(stranger, hello(quiet))
            assert heard(stranger) == b""
        return "its certificate is not a member's" in quiet.log_of(quiet.names[VICTIM])

    # Strangers fill no log: one line a second at most, so the word may be a later one's.
    until(refused_in_words, lambda: "the log does not say why")


def test_without_a_certificate_nobody_enters(quiet):
    with dialled(quiet, client()) as stranger:
        send(stranger, hello(quiet))
        assert heard(stranger) == b""


def test_tls_1_2_is_not_spoken(quiet, member):
    member.minimum_version = member.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError), dialled(quiet, member):
        pytest.fail("TLS 1.2 was accepted")


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (lambda q: frame(FrameType.BLOCK, b"x"), "it did not begin with a hello"),
        (lambda q: struct.pack("<I", 2**32 - 1), "a frame of 4294967295 bytes where 37"),
        (lambda q: struct.pack("<I", 0), "a frame without a type"),
        (lambda q: hello(q, index=1), "it says that it is number 1"),
        (lambda q: hello(q, version=2), "it speaks version 2 and not 1"),
        (lambda q: hello(q, network=bytes(32)), "it is on another network"),
        (
            lambda q: hello(q) + struct.pack("<IB", FRAME_BYTES_MAX + 1, FrameType.BLOCK),
            f"a frame of {FRAME_BYTES_MAX + 1} bytes where {FRAME_BYTES_MAX} are allowed",
        ),
        (lambda q: hello(q) + hello(q), "it said hello twice"),
        (lambda q: hello(q) + frame(99, b"x"), "a frame of the unknown type 99"),
        (lambda q: hello(q) + frame(FrameType.FETCH, b"x" * 13), "a fetch is not a list"),
        (lambda q: hello(q) + frame(FrameType.HEADS, b"x"), "heads are not as many"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_member_that_breaks_the_rules_loses_its_link(quiet, member, sent, words):
    with dialled(quiet, member) as liar:
        send(liar, sent(quiet))
        heard(liar)
    said(quiet, words)


def test_blocks_of_garbage_are_no_blocks(quiet, member):
    with dialled(quiet, member) as liar:
        send(liar, hello(quiet))
        for size in (0, 1, 223, 5_000, 1 << 20):
            send(liar, frame(FrameType.BLOCK, b"\xa5" * size))


def test_silent_strangers_make_room_for_others(quiet):
    address = quiet.running.folder.addresses[VICTIM].peer
    crowd = []
    try:
        crowd += [socket.create_connection(address, timeout=PATIENCE_S) for _ in range(40)]
        # More than may wait: the first must go at once, the last within the handshake's time.
        assert heard(crowd[0]) == b""
        assert heard(crowd[-1]) == b""
    finally:
        for connection in crowd:
            connection.close()
