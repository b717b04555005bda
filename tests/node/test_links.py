"""Links on loopback: who may connect, what a frame may be, and what a bad peer can cost."""

import asyncio
import contextlib
import itertools
import socket
import ssl
import struct
from collections import deque

import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st

from harambee.node.config import Address
from harambee.node.frames import FRAME_BYTES_MAX, Frame, FrameError, Frames, FrameType
from harambee.node.links import Limits, Links, LinksError
from harambee.node.tls import create_certificate, key_digest
from harambee.protocol.committee import Committee, Member

NETWORK = b"n" * 32
QUICK = Limits(silence_ms_max=60_000, backoff_ms_first=5, backoff_ms_max=20)
LOCAL = "127.0.0.1"


def frame(kind, content):
    """A frame as it goes over a link."""
    return Frame(kind, content).data


class Identity:
    """A key and its certificate, in files."""

    def __init__(self, folder, name):
        self.key, self.certificate = folder / f"{name}.key", folder / f"{name}.crt"
        key, self.pem = create_certificate(name)
        self.key.write_bytes(key)
        self.certificate.write_bytes(self.pem)


@pytest.fixture(scope="session")
def identities(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    return [Identity(folder, name) for name in ("amani", "baraka", "chapa", "daima", "stranger")]


@pytest.fixture(scope="session")
def committee(identities):
    return Committee(
        0,
        tuple(
            Member(f"member-{i}", bytes([i]) * 32, key_digest(identity.pem), (i,))
            for i, identity in enumerate(identities[:4])
        ),
    )


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request):
    def run(story):
        async def bounded():
            async with asyncio.timeout(30):
                await story

        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(bounded())

    return run


class Node:
    """Links of one member, whose callbacks are written down in the order in which they came."""

    def __init__(self, cast, index, limits, **changes):
        self.events: deque[tuple[object, ...]] = deque()
        self.happened = asyncio.Event()
        self.bug = False
        own = cast.identities[changes.pop("identity", index)]
        self.links = Links(
            cast.committee,
            changes.pop("network", NETWORK),
            index,
            certificate=own.certificate,
            key=own.key,
            certificates=[identity.pem for identity in cast.identities[:4]],
            addresses=cast.addresses,
            listen=cast.addresses[index],
            on_frame=self.on_frame,
            on_up=lambda peer: self.note("up", peer),
            on_down=lambda peer: self.note("down", peer),
            limits=limits,
        )

    def on_frame(self, peer, kind, content):
        if self.bug:
            raise RuntimeError("a bug")
        self.note("frame", peer, kind, content)

    def note(self, *event):
        self.events.append(event)
        self.happened.set()

    async def next(self):
        while not self.events:
            self.happened.clear()
            await self.happened.wait()
        return self.events.popleft()

    async def expect(self, *event):
        assert await self.next() == event


class Cast:
    """The members of one test; it ends with all of them stopped."""

    def __init__(self, committee, identities):
        self.committee = committee
        self.identities = identities
        self.addresses = [Address(LOCAL, 0)] * 4
        self.nodes = []

    async def node(self, index, limits=QUICK, **changes):
        node = Node(self, index, limits, **changes)
        await node.links.start()
        self.nodes.append(node)
        self.addresses[index] = node.links.address
        return node

    async def pair(self, limits=QUICK):
        amani, baraka = await self.node(0, limits), await self.node(1, limits)
        await amani.expect("up", 1)
        await baraka.expect("up", 0)
        return amani, baraka

    def context(self, who, version=ssl.TLSVersion.TLSv1_3):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.minimum_version = context.maximum_version = version
        if who is not None:
            context.load_cert_chain(self.identities[who].certificate, self.identities[who].key)
        return context

    @contextlib.asynccontextmanager
    async def raw(self, node, who, **changes):
        """Connect by hand, with the certificate of `who`, and say nothing."""
        context = self.context(who, **changes)
        reader, writer = await asyncio.open_connection(*node.links.address, ssl=context)
        try:
            yield reader, writer
        finally:
            writer.transport.abort()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        for node in self.nodes:
            await node.links.stop()


@pytest.fixture
def cast(committee, identities):
    return lambda: Cast(committee, identities)


def hello(index, version=1, network=NETWORK):
    return frame(1, struct.pack("<HH32s", version, index, network))


async def until(condition):
    """Give way to the loop until something holds for which there is no callback."""
    while not condition():  # noqa: ASYNC110 - it is bounded by the test's own timeout
        await asyncio.sleep(0)


async def hung_up(reader):
    """Wait until the other side hangs up, whatever it sent before."""
    with contextlib.suppress(OSError, ssl.SSLError):
        while await reader.read(1 << 16):
            pass


async def read_hello(reader):
    assert await reader.readexactly(4 + 37) == hello(0)


# Ordinary days


def test_two_peers_exchange_frames_of_all_sizes(run, cast):
    async def story():
        async with cast() as c:
            amani, baraka = await c.pair()
            largest = bytes(FRAME_BYTES_MAX - 1)
            for content in (b"", b"x", b"y" * 70_000, largest):
                assert amani.links.send(1, FrameType.BLOCK, content)
                assert baraka.links.send(0, FrameType.HEADS, content)
                await baraka.expect("frame", 0, 2, content)
                await amani.expect("frame", 1, 3, content)
            with pytest.raises(ValueError, match="cannot have 4194368 bytes"):
                amani.links.send(1, FrameType.BLOCK, largest + b"!")
            for link in (*amani.links._links, *baraka.links._links):
                plain = link._transport.get_extra_info("socket")
                assert plain.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            mine, theirs = amani.links.stats()[1], baraka.links.stats()[0]
            assert mine.connected
            assert mine.connections == 1
            assert mine.bytes_in == theirs.bytes_out > FRAME_BYTES_MAX
            assert not amani.links.stats()[0].connected
            assert not amani.links.send(2, FrameType.BLOCK, b"nobody there")

    run(story())


def test_many_frames_arrive_in_order(run, cast):
    async def story():
        async with cast() as c:
            amani, baraka = await c.pair()
            for i in range(5_000):
                assert amani.links.send(1, FrameType.BLOCK, i.to_bytes(4, "big"))
            for i in range(5_000):
                await baraka.expect("frame", 0, 2, i.to_bytes(4, "big"))

    run(story())


def test_four_are_all_linked_and_a_broadcast_reaches_three(run, cast):
    async def story():
        async with cast() as c:
            nodes = [await c.node(i) for i in range(4)]
            for i, node in enumerate(nodes):
                ups = {await node.next() for _ in range(3)}
                assert ups == {("up", j) for j in range(4) if j != i}
            assert nodes[2].links.broadcast(FrameType.ASK_HEADS, b"") == 3
            for i in (0, 1, 3):
                await nodes[i].expect("frame", 2, 5, b"")

    run(story())


@pytest.mark.parametrize("leaver", [0, 1])
def test_a_peer_that_leaves_is_down_and_up_again_when_it_returns(run, cast, leaver):
    async def story():
        async with cast() as c:
            pair = await c.pair()
            stayer = pair[1 - leaver]
            await pair[leaver].links.stop()
            await stayer.expect("down", leaver)
            assert not stayer.links.send(leaver, FrameType.BLOCK, b"")
            assert not pair[leaver].events, "nothing is called back after stop"
            again = await c.node(leaver)
            await stayer.expect("up", leaver)
            await again.expect("up", 1 - leaver)
            assert stayer.links.stats()[leaver].connections == 2

    run(story())


def test_dialling_begins_before_the_other_is_there(run, cast):
    async def story():
        async with cast() as c:
            with socket.socket() as reserved:
                reserved.bind((LOCAL, 0))
                c.addresses[0] = Address(LOCAL, reserved.getsockname()[1])
            baraka = await c.node(1)
            await until(lambda: baraka.links.stats()[0].reason)
            amani = await c.node(0)
            await amani.expect("up", 1)
            await baraka.expect("up", 0)

    run(story())


def test_a_port_in_use_is_one_clear_sentence(run, cast):
    async def story():
        async with cast() as c:
            amani = await c.node(0)
            c.addresses[2] = amani.links.address
            with pytest.raises(LinksError, match=r"cannot listen on 127\.0\.0\.1:\d+: .*in use"):
                await c.node(2)

    run(story())


# Who may not come in


@pytest.mark.parametrize("who", [None, 4], ids=["no certificate", "a stranger's certificate"])
def test_whoever_is_no_member_is_hung_up_on(run, cast, who):
    async def story():
        async with cast() as c:
            amani, _ = await c.pair()
            async with c.raw(amani, who) as (reader, writer):
                writer.write(hello(2))
                await hung_up(reader)
            assert amani.links.send(1, FrameType.BLOCK, b"others do not notice")
            assert not amani.events

    run(story())


def test_tls_1_2_is_refused(run, cast, caplog):
    async def story():
        async with cast() as c:
            amani, _ = await c.pair()
            with contextlib.suppress(OSError):
                async with c.raw(amani, 2, version=ssl.TLSVersion.TLSv1_2):
                    pytest.fail("the handshake succeeded")
            await until(lambda: "failed: TLS failed (UNSUPPORTED_PROTOCOL)" in caplog.text)
            assert not amani.events

    run(story())


def test_bytes_that_are_not_tls_are_refused(run, cast):
    async def story():
        async with cast() as c:
            amani, _ = await c.pair()
            reader, writer = await asyncio.open_connection(*amani.links.address)
            writer.write(b"GET / HTTP/1.1\r\n\r\n" * 100)
            await hung_up(reader)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
            assert not amani.events

    run(story())


@pytest.mark.parametrize(
    ("who", "said"),
    [
        (2, hello(3)),
        (2, hello(2, version=2)),
        (2, hello(2, network=b"m" * 32)),
        (2, frame(2, bytes(36))),
        (2, frame(1, bytes(20))),
        (2, frame(1, bytes(37))),
        (2, bytes(4)),
        (2, b"\xff" * 4),
        (0, hello(0)),
    ],
    ids=[
        "another's index",
        "another version",
        "another network",
        "a block before hello",
        "a short hello",
        "a long hello",
        "an empty frame",
        "an endless frame",
        "one's own key",
    ],
)
def test_a_wrong_hello_is_hung_up_on(run, cast, who, said):
    async def story():
        async with cast() as c:
            amani = await c.node(0)
            async with c.raw(amani, who) as (reader, writer):
                writer.write(said)
                await hung_up(reader)
            assert not amani.events

    run(story())


def test_a_member_who_should_wait_to_be_dialled_may_not_dial(run, cast):
    async def story():
        async with cast() as c:
            await c.node(0)
            baraka = await c.node(1)
            await baraka.expect("up", 0)
            async with c.raw(baraka, 0) as (reader, writer):
                writer.write(hello(0))
                await hung_up(reader)
            assert not baraka.events

    run(story())


def test_a_stranger_who_answers_at_a_members_address_is_not_believed(run, cast):
    async def story():
        async with cast() as c:
            impostor = await c.node(0, identity=4)
            baraka = await c.node(1)
            await until(lambda: "is not a member's" in baraka.links.stats()[0].reason)
            await impostor.links.stop()
            amani = await c.node(0)
            await baraka.expect("up", 0)
            await amani.expect("up", 1)
            assert not impostor.events

    run(story())


def test_another_member_who_answers_at_a_members_address_is_not_believed(run, cast):
    async def story():
        async with cast() as c:
            await c.node(0, identity=2)
            baraka = await c.node(1)
            await until(lambda: baraka.links.stats()[0].reason == "member-2 answered in its place")
            assert not baraka.events

    run(story())


def test_networks_with_the_same_keys_do_not_mix(run, cast):
    async def story():
        async with cast() as c:
            amani = await c.node(0, network=b"m" * 32)
            baraka = await c.node(1)
            await until(lambda: amani.links.stats()[1].reason and baraka.links.stats()[0].reason)
            assert "it is on another network" in {
                amani.links.stats()[1].reason,
                baraka.links.stats()[0].reason,
            }
            assert not amani.events
            assert not baraka.events

    run(story())


# Members who misbehave


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (struct.pack("<I", FRAME_BYTES_MAX + 1), "a frame of 4194369 bytes"),
        (b"\xde\xad\xbe\xef" * 10, "a frame of 4022250974 bytes"),
        (bytes(4), "a frame without a type"),
        (hello(2), "it said hello twice"),
    ],
    ids=["oversized", "garbage", "empty", "two hellos"],
)
def test_a_member_who_breaks_the_frames_loses_its_own_link_only(run, cast, said, reason):
    async def story():
        async with cast() as c:
            amani, baraka = await c.pair()
            async with c.raw(amani, 2) as (reader, writer):
                writer.write(hello(2) + frame(2, b"a block"))
                await amani.expect("up", 2)
                await amani.expect("frame", 2, 2, b"a block")
                writer.write(frame(2, b"the last") + said + frame(2, b"never heard"))
                await amani.expect("frame", 2, 2, b"the last")
                await amani.expect("down", 2)
                await hung_up(reader)
            assert reason in amani.links.stats()[2].reason
            assert amani.links.send(1, FrameType.BLOCK, b"still here")
            await baraka.expect("frame", 0, 2, b"still here")

    run(story())


def test_a_frame_may_come_byte_by_byte(run, cast):
    async def story():
        async with cast() as c:
            amani = await c.node(0)
            async with c.raw(amani, 2) as (reader, writer):
                await read_hello(reader)
                for byte in hello(2) + frame(2, b"slowly"):
                    writer.write(bytes([byte]))
                    await writer.drain()
                await amani.expect("up", 2)
                await amani.expect("frame", 2, 2, b"slowly")
                writer.close()
                await amani.expect("down", 2)

    run(story())


def test_a_newer_connection_of_a_peer_takes_the_place_of_a_half_open_one(run, cast):
    async def story():
        async with cast() as c:
            amani = await c.node(0)
            async with c.raw(amani, 2) as (old_reader, old):
                old.write(hello(2))
                await amani.expect("up", 2)
                async with c.raw(amani, 2) as (_, new):
                    new.write(hello(2))
                    await amani.expect("down", 2)
                    await amani.expect("up", 2)
                    await hung_up(old_reader)
                    new.write(frame(2, b"from the new one"))
                    await amani.expect("frame", 2, 2, b"from the new one")
            await amani.expect("down", 2)
            assert not amani.events

    run(story())


def test_a_member_holds_one_connection_without_hello_at_most(run, cast):
    async def story():
        async with cast() as c:
            amani = await c.node(0)
            async with c.raw(amani, 2) as (first, _):
                await read_hello(first)
                async with c.raw(amani, 2) as (second, _):
                    await read_hello(second)
                    await hung_up(first)

    run(story())


def test_a_peer_that_falls_silent_is_dropped(run, cast):
    async def story():
        async with cast() as c:
            amani = await c.node(0, Limits(silence_ms_max=100))
            async with c.raw(amani, 2) as (reader, writer):
                writer.write(hello(2))
                await amani.expect("up", 2)
                await amani.expect("down", 2)
                await hung_up(reader)
            assert amani.links.stats()[2].reason == "it was silent for 100 ms"

    run(story())


def test_a_paused_peer_is_not_called_silent_and_waits(run, cast):
    async def story():
        async with cast() as c:
            amani = await c.node(0, Limits(silence_ms_max=50))
            async with c.raw(amani, 2) as (reader, writer):
                await read_hello(reader)
                writer.write(hello(2))
                await amani.expect("up", 2)
                amani.links.pause_reading(2)
                writer.write(frame(2, b"later"))
                # Another peer's whole silence passes meanwhile: time measured by the thing itself.
                async with c.raw(amani, 3) as (_, other):
                    other.write(hello(3))
                    await amani.expect("up", 3)
                    await amani.expect("down", 3)
                assert not amani.events
                amani.links.resume_reading(2)
                await amani.expect("frame", 2, 2, b"later")

    run(story())


def test_who_says_nothing_at_all_is_hung_up_on(run, cast):
    async def story():
        async with cast() as c:
            amani = await c.node(0, Limits(handshake_ms_max=100))
            reader, writer = await asyncio.open_connection(*amani.links.address)
            await hung_up(reader)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    run(story())


def test_a_member_who_says_no_hello_is_hung_up_on(run, cast):
    async def story():
        async with cast() as c:
            amani = await c.node(0, Limits(handshake_ms_max=200))
            async with c.raw(amani, 2) as (reader, _):
                await hung_up(reader)
            assert not amani.events
            assert amani.links.stats()[2].reason == "it was silent for 200 ms"

    run(story())


def test_a_crowd_of_strangers_is_small_and_does_not_shut_members_out(run, cast):
    async def story():
        async with cast() as c:
            limits = Limits(strangers_max=4, handshake_ms_max=60_000)
            amani = await c.node(0, limits)
            crowd = [await asyncio.open_connection(*amani.links.address) for _ in range(12)]
            for reader, _ in crowd[:8]:
                await hung_up(reader)
            async with c.raw(amani, 2) as (_, writer):
                writer.write(hello(2))
                await amani.expect("up", 2)
            for _, writer in crowd:
                writer.transport.abort()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()

    run(story())


def test_a_peer_that_does_not_read_is_dropped_and_what_waits_is_bounded(run, cast):
    async def story():
        async with cast() as c:
            limits = Limits(outgoing_bytes_max=2 << 20, silence_ms_max=60_000)
            amani = await c.node(0, limits)
            async with c.raw(amani, 2) as (_, writer):
                writer.write(hello(2))
                await amani.expect("up", 2)
                writer.transport.pause_reading()
                sent = 0
                while amani.links.send(2, FrameType.BLOCK, bytes(100_000)):
                    sent += 1
                    assert sent < 1_000
                    assert amani.links.outgoing_bytes(2) <= limits.outgoing_bytes_max
                    await asyncio.sleep(0)
                await amani.expect("down", 2)
            assert "it is too slow" in amani.links.stats()[2].reason
            assert amani.links.outgoing_bytes(2) == 0

    run(story())


def test_an_error_of_our_own_costs_a_link_and_not_the_node(run, cast):
    async def story():
        async with cast() as c:
            complaints = []
            loop = asyncio.get_running_loop()
            loop.set_exception_handler(lambda _, context: complaints.append(context))
            amani, baraka = await c.pair()
            amani.bug = True
            baraka.links.send(0, FrameType.BLOCK, b"trigger")
            await amani.expect("down", 1)
            amani.bug = False
            await amani.expect("up", 1)
            assert str(complaints[0]["exception"]) == "a bug"
            while (event := await baraka.next()) != ("down", 0):
                assert event == ("up", 0)

    run(story())


def test_stopping_closes_everything_even_with_strangers_and_dials_in_the_air(run, cast):
    async def story():
        async with cast() as c:
            amani = await c.node(0)
            reader, writer = await asyncio.open_connection(*amani.links.address)
            c.addresses[0] = Address(LOCAL, 1)
            daima = await c.node(3)
            await daima.links.stop()
            await amani.links.stop()
            await hung_up(reader)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection(*c.addresses[3])

    run(story())


# Frames


@given(
    contents=st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=50)), max_size=8),
    cuts=st.lists(st.integers(0, 500), max_size=12),
)
def test_frames_are_the_same_however_the_bytes_are_cut(contents, cuts):
    data = b"".join(frame(kind, content) for kind, content in contents)
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    frames = Frames()
    found = []
    for start, end in itertools.pairwise(places):
        found += frames.feed(data[start:end])
    assert found == contents


@given(st.binary(max_size=300))
def test_any_bytes_are_frames_or_an_error(data):
    frames = Frames(bytes_max=100)
    try:
        for kind, content in frames.feed(data):
            assert 0 <= kind <= 255
            assert len(content) < 100
    except FrameError:
        pass
