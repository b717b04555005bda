"""Links: one connection between every two super-agents, and frames over it.

TLS 1.3 with certificates on both sides. Who somebody is, is learnt from the key of the certificate
(`harambee.node.tls` says how keys are pinned) and never from what is said inside; a hello that says
otherwise ends the link. The super-agent with the higher index dials, and dials again after a pause
that doubles up to a cap, with jitter, so that a thousand of them do not return in step.

What the other side can make us hold is bounded everywhere: strangers in the middle of a handshake
are few and the oldest of them gives way; a frame's length is checked before a byte of it is kept;
who reads too slowly is dropped and catches up later by fetching; who is silent is dropped, for a
live super-agent sends a heartbeat block every second. Whatever a peer does costs at most its own
link, and one line of log.

Everything here belongs to one event loop and one thread.
"""

import asyncio
import contextlib
import logging
import math
import random
import socket
import ssl
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self, cast

from harambee.node.config import Address
from harambee.node.frames import FRAME_BYTES_MAX, Frame, FrameError, Frames, FrameType
from harambee.node.household import Household, IndoorLink
from harambee.node.network_folder import NodeFiles
from harambee.node.tls import TlsError, client_context, key_digest, server_context
from harambee.protocol.committee import Committee

VERSION: Final = 1
NETWORK_BYTES: Final = 32
_HELLO: Final = struct.Struct(f"<HH{NETWORK_BYTES}s")
HELLO_FRAME_BYTES: Final = 1 + _HELLO.size
assert HELLO_FRAME_BYTES == 37

log: Final = logging.getLogger(__name__)


class LinksError(Exception):
    """This super-agent cannot listen; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What others may hold up, and for how long."""

    outgoing_bytes_max: int = 32 << 20
    """Waiting to be sent to one peer; beyond it the link is dropped."""
    silence_ms_max: int = 10_000
    """Without a byte from the peer; beyond it the link is dropped."""
    handshake_ms_max: int = 5_000
    """For connecting and TLS, and then again for the hello."""
    strangers_max: int = 16
    """Accepted connections that have not yet proved who they are."""
    backoff_ms_first: int = 50
    backoff_ms_max: int = 2_000
    """Between two attempts to dial one peer."""


@dataclass(slots=True)
class PeerStats:
    """What is known of the link to one peer; counts go on over reconnections."""

    name: str
    connected: bool = False
    bytes_in: int = 0
    bytes_out: int = 0
    outgoing_bytes: int = 0
    """Waiting to be sent."""
    connections: int = 0
    """How often the link came up."""
    reason: str = ""
    """Why the link was lost, or could not be made, the last time."""


class Links:
    """The links of one super-agent to all others."""

    def __init__(
        self,
        committee: Committee,
        network: bytes,
        index: int,
        *,
        certificate: Path,
        key: Path,
        certificates: Sequence[bytes],
        addresses: Sequence[Address],
        listen: Address,
        on_frame: Callable[[int, int, bytes], None],
        on_up: Callable[[int], None],
        on_down: Callable[[int], None],
        limits: Limits | None = None,
        household: Household | None = None,
    ) -> None:
        """For the super-agent `index` of the network with this id (32 bytes).

        With those of its `household` it has links without TLS and sockets.

        `certificate` and `key` are its own PEM files, `certificates` all members' in PEM, and
        `addresses` where each listens for super-agents, both in the committee's order. The
        callbacks take (peer, type, content), (peer) and (peer); between `on_up` and `on_down` of a
        peer `on_frame` may come, and hellos never do. TlsError if the certificates are no good.
        """
        assert len(addresses) == len(certificates) == committee.n
        assert 0 <= index < committee.n
        assert len(network) == NETWORK_BYTES
        self.limits = limits or Limits()
        self.addresses = list(addresses)
        self.index = index
        self._household = household or Household(network, committee, (index,))
        self._names = [member.name for member in committee.members]
        self._by_key = {member.tls_key_digest: i for i, member in enumerate(committee.members)}
        self._network = network
        self._server_tls = server_context(certificate, key, certificates)
        self._client_tls = client_context(certificate, key, certificates)
        self._listen = listen
        self._on_frame = on_frame
        self._on_up = on_up
        self._on_down = on_down
        self._stats = [PeerStats(name) for name in self._names]
        self._up: list[_Link | IndoorLink | None] = [None] * committee.n
        self._greeted: list[_Link | None] = [None] * committee.n
        self._links: set[_Link | IndoorLink] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._strangers: dict[asyncio.Task[None], socket.socket | None] = {}
        # All others may come at once, where a whole network starts.
        self._strangers_max = max(self.limits.strangers_max, committee.n)
        self._listener: socket.socket | None = None
        self._stopping = False
        self._refused_silently = 0
        self._refused_at = float("-inf")

    @classmethod
    def of(
        cls,
        files: NodeFiles,
        on_frame: Callable[[int, int, bytes], None],
        on_up: Callable[[int], None],
        on_down: Callable[[int], None],
        limits: Limits | None = None,
        household: Household | None = None,
    ) -> Self:
        """Return the links of the super-agent whose configuration was loaded."""
        return cls(
            files.genesis.committee,
            files.genesis.network,
            files.index,
            certificate=files.config.tls_certificate,
            key=files.config.tls_key,
            certificates=files.certificates,
            addresses=[address.peer for address in files.addresses],
            listen=files.config.listen_peer,
            on_frame=on_frame,
            on_up=on_up,
            on_down=on_down,
            limits=limits,
            household=household,
        )

    @property
    def outgoing_bytes_max(self) -> int:
        """How many bytes may wait to be sent to one peer."""
        return self.limits.outgoing_bytes_max

    @property
    def address(self) -> Address:
        """Where this super-agent listens; after `start` with the port that port 0 became."""
        if self._listener is None:
            return self._listen
        host, port, *_ = self._listener.getsockname()
        return Address(host, port)

    async def start(self) -> None:
        """Listen, and begin to dial everyone of a lower index.

        LinksError if the address cannot be listened on: in use, say, or not of this machine.
        """
        self._listener = await listen(self._listen)
        self._tasks.append(asyncio.create_task(self._accept(self._listener)))
        self._household.arrives(self)
        for peer in range(self.index):
            self.dial(peer)

    def dial(self, peer: int) -> None:
        """Begin to dial one of a lower index: all that somebody does who wants no other links."""
        assert peer < self.index, "the one with the higher index dials"
        self._tasks.append(asyncio.create_task(self._dial(peer)))

    def cut_off(self) -> None:
        """End all links at once, whatever waits to be sent; no callbacks from now on."""
        self._stopping = True
        self._household.leaves(self)
        for link in list(self._links):
            link.drop("stopping")

    async def stop(self) -> None:
        """End all links, after a second at most in which to send what waits; no callbacks then."""
        self._stopping = True
        self._household.leaves(self)
        tasks = [*self._tasks, *self._strangers]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._tasks.clear()
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        for link in list(self._links):
            link.close()
        for patience_s in (1, 1):
            closing = [link.lost for link in self._links]
            if not closing:
                break
            await asyncio.wait(closing, timeout=patience_s)
            for link in list(self._links):
                link.drop("stopping")

    def send(self, peer: int, kind: int, content: bytes) -> bool:
        """Send a frame to a peer; False if there is no link to it, or not any more."""
        link = self._up[peer]
        return link is not None and link.send(Frame(kind, content))

    def broadcast(self, kind: int, content: bytes) -> int:
        """Send a frame to every peer to which there is a link; returns to how many."""
        frame = Frame(kind, content)
        return sum(link.send(frame) for link in self._up if link is not None)

    def outgoing_bytes(self, peer: int) -> int:
        """Return how many bytes wait to be sent to a peer: what paces the answer to a fetch."""
        link = self._up[peer]
        return link.outgoing_bytes() if link is not None else 0

    def pause_reading(self, peer: int) -> None:
        """Take nothing more from a peer for now; its frames wait on its side."""
        if (link := self._up[peer]) is not None:
            link.pause_reading()

    def resume_reading(self, peer: int) -> None:
        """Take frames from a peer again."""
        if (link := self._up[peer]) is not None:
            link.resume_reading()

    def is_up(self, peer: int) -> bool:
        """Whether there is a link to a peer now."""
        return self._up[peer] is not None

    def stats(self) -> list[PeerStats]:
        """Return what is known of each peer, in the committee's order; its own row stays empty."""
        for peer, row in enumerate(self._stats):
            row.connected = self._up[peer] is not None
            row.outgoing_bytes = self.outgoing_bytes(peer)
        return self._stats

    async def _accept(self, listener: socket.socket) -> None:
        """Let connections in, each on probation until it has proved who it is."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, address = await loop.sock_accept(listener)
            except OSError as error:  # too many open files, say: others may close theirs
                log.warning("cannot accept connections: %s", _reason(error))
                await asyncio.sleep(1)
                continue
            stranger = asyncio.create_task(self._prove(connection, address[0]))
            self._strangers[stranger] = connection
            stranger.add_done_callback(self._forget_stranger)
            if len(self._strangers) > self._strangers_max:
                oldest = next(iter(self._strangers))
                oldest.cancel()
                self._forget_stranger(oldest)

    def _forget_stranger(self, task: asyncio.Task[None]) -> None:
        """A stranger is proved or gone; a task cancelled before it began has left its socket."""
        connection = self._strangers.pop(task, None)
        if connection is not None:
            connection.close()

    async def _prove(self, connection: socket.socket, host: str) -> None:
        """Take an accepted connection through the handshake; `_Link` goes on from there."""
        loop = asyncio.get_running_loop()
        patience_s = self.limits.handshake_ms_max / 1_000
        link = _Link(self, None)
        task = asyncio.current_task()
        assert task is not None
        self._strangers[task] = None  # from here on the transport closes the socket
        try:
            await loop.connect_accepted_socket(
                lambda: link,
                connection,
                ssl=self._server_tls,
                ssl_handshake_timeout=patience_s,
                ssl_shutdown_timeout=1,
            )
        except OSError as error:
            self.refused(f"a connection from {host} failed: {_reason(error)}")
        except asyncio.CancelledError:
            self.refused(f"a connection from {host} made room for others")
            raise

    async def _dial(self, peer: int) -> None:
        """Keep a link to a peer for ever."""
        loop = asyncio.get_running_loop()
        pause_ms = self.limits.backoff_ms_first
        while True:
            started = loop.time()
            try:
                link = await self._connect(peer)
            except OSError as error:
                self._failed(peer, _reason(error))
            else:
                await asyncio.shield(link.lost)
                if link.peer < 0:
                    self._failed(peer, link.dropped or "it hung up")
                # A link that lasted was good; one that fell at once may fall at once again.
                if (loop.time() - started) * 1_000 > self.limits.backoff_ms_max:
                    pause_ms = self.limits.backoff_ms_first
            await asyncio.sleep(random.uniform(pause_ms / 2, pause_ms) / 1_000)  # noqa: S311 - jitter
            pause_ms = min(2 * pause_ms, self.limits.backoff_ms_max)

    async def _connect(self, peer: int) -> "_Link | IndoorLink":
        """Dial a peer once; OSError if there is no TLS connection in time, or it is not at home."""
        if peer in self._household.members:
            return self._household.connect(self, peer)
        loop = asyncio.get_running_loop()
        patience_s = self.limits.handshake_ms_max / 1_000
        link = _Link(self, peer)
        async with self._household.dialling, asyncio.timeout(patience_s):
            await loop.create_connection(
                lambda: link,
                *self.addresses[peer],
                ssl=self._client_tls,
                ssl_handshake_timeout=patience_s,
                ssl_shutdown_timeout=1,
            )
        return link

    def _failed(self, peer: int, reason: str) -> None:
        """Note why there is no link to a peer, and log it unless the last reason was the same."""
        row = self._stats[peer]
        if row.reason != reason:
            row.reason = reason
            log.warning("no link to %s: %s", row.name, reason)

    def refused(self, what: str) -> None:
        """Log, at most once a second, that somebody was turned away."""
        now = asyncio.get_running_loop().time()
        if now - self._refused_at < 1:
            self._refused_silently += 1
            return
        more = f" ({self._refused_silently} more before it)" if self._refused_silently else ""
        self._refused_at, self._refused_silently = now, 0
        log.warning("%s%s", what, more)

    # What follows is called by links alone, and by the household.

    def meet(self, link: IndoorLink) -> None:
        """A link to another one of this process stands."""
        self._links.add(link)
        self.established(link)

    def identify(self, link: "_Link", digest: bytes) -> int:
        """Return whose key this is; FrameError if it may not be at the other end of this link."""
        peer = self._by_key.get(digest)
        if peer is None:
            raise FrameError("the key of its certificate is not in the genesis")
        name = self._names[peer]
        if link.dialled is not None and peer != link.dialled:
            raise FrameError(f"{name} answered in its place")
        if link.dialled is None and peer <= self.index:
            raise FrameError(f"{name} dialled, but has to wait to be dialled")
        return peer

    def greet(self, link: "_Link") -> Frame:
        """Return the hello for a proved peer; an older link that never said hello gives way."""
        older = self._greeted[link.peer]
        if older is not None:
            older.drop("it connected again")
        self._greeted[link.peer] = link
        self._links.add(link)
        return Frame(FrameType.HELLO, _HELLO.pack(VERSION, self.index, self._network))

    def check_hello(self, peer: int, kind: int, content: bytes) -> None:
        """Raise FrameError unless this is the hello of this peer, of our version and network."""
        if kind != FrameType.HELLO or len(content) != _HELLO.size:
            raise FrameError("it did not begin with a hello")
        version, index, network = _HELLO.unpack(content)
        if version != VERSION:
            raise FrameError(f"it speaks version {version} and not {VERSION}")
        if network != self._network:
            raise FrameError("it is on another network")
        if index != peer:
            raise FrameError(f"it says that it is number {index}, but its key is number {peer}'s")

    def established(self, link: "_Link | IndoorLink") -> None:
        """Make this the link to its peer; an older one, dead perhaps without knowing it, ends."""
        if self._stopping:
            return
        peer = link.peer
        self._greeted[peer] = None
        older = self._up[peer]
        if older is not None:
            self._up[peer] = None
            older.drop("it connected again")
            self._on_down(peer)
        self._up[peer] = link
        self._stats[peer].connections += 1
        self._stats[peer].reason = ""
        log.info("link to %s is up", self._names[peer])
        self._on_up(peer)

    def received(self, link: "_Link | IndoorLink", kind: int, content: bytes) -> None:
        """Hand a frame on, if this is still the link to its peer."""
        if self._up[link.peer] is link and not self._stopping:
            self._on_frame(link.peer, kind, content)

    def count(self, peer: int, *, bytes_in: int = 0, bytes_out: int = 0) -> None:
        """Add to a peer's counts."""
        self._stats[peer].bytes_in += bytes_in
        self._stats[peer].bytes_out += bytes_out

    def ended(self, link: "_Link | IndoorLink", reason: str) -> None:
        """Forget a link that is gone."""
        self._links.discard(link)
        peer = link.peer
        if self._greeted[peer] is link:
            self._greeted[peer] = None
            self._failed(peer, reason)
        if self._up[peer] is link:
            self._up[peer] = None
            self._stats[peer].reason = reason
            if not self._stopping:
                log.warning("link to %s is down: %s", self._names[peer], reason)
                self._on_down(peer)


@dataclass(eq=False)
class _Link(asyncio.Protocol):
    """One connection, from the end of its handshake to its end."""

    links: Links
    dialled: int | None
    """The peer that was dialled; None for a connection that was accepted."""
    peer: int = -1
    """Whose key the other side has proved; -1 until it has."""
    lost: "asyncio.Future[None]" = field(init=False)
    """Done when the connection is gone."""

    def __post_init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.lost = self._loop.create_future()
        self._transport: asyncio.Transport | None = None
        self._frames = Frames(HELLO_FRAME_BYTES)
        self._greeted = False
        self._paused = False
        self.dropped: str | None = None
        self._heard_at = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self._look_at = math.inf
        """When the timer is to look whether the peer is silent."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """TLS stands: learn from the key who this is, and say hello."""
        transport = cast("asyncio.Transport", transport)  # uvloop's are so in all but name
        self._transport = transport
        try:
            proof: ssl.SSLObject = transport.get_extra_info("ssl_object")
            certificate = proof.getpeercert(binary_form=True)
            assert certificate is not None, "the contexts demand one"
            self.peer = self.links.identify(self, key_digest(certificate))
        except (FrameError, TlsError) as error:
            host = transport.get_extra_info("peername", ("somebody",))[0]
            self.links.refused(f"hung up on {host}: {error}")
            self.drop(str(error))
            return
        with contextlib.suppress(OSError):  # gone already: connection_lost will say so
            plain: socket.socket = transport.get_extra_info("socket")
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._heard_at = self._loop.time()
        self._watch()
        self.send(self.links.greet(self))

    def data_received(self, data: bytes) -> None:
        """Take what came, frame by frame; whoever breaks the rules is hung up on."""
        if self.dropped is not None:
            return
        self._heard_at = self._loop.time()
        self.links.count(self.peer, bytes_in=len(data))
        try:
            for kind, content in self._frames.feed(data):
                if not self._greeted:
                    self.links.check_hello(self.peer, kind, content)
                    self._greeted = True
                    self._frames.bytes_max = FRAME_BYTES_MAX
                    self.links.established(self)
                elif kind == FrameType.HELLO:
                    raise FrameError("it said hello twice")  # noqa: TRY301 - as for every breach
                else:
                    self.links.received(self, kind, content)
                if self._is_dropped():
                    return
        except FrameError as error:
            self.drop(str(error))

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone, by whichever side."""
        if self._timer is not None:
            self._timer.cancel()
        if not self.lost.done():
            self.lost.set_result(None)
        if self.peer >= 0:
            self.links.ended(self, self.dropped or (_reason(exc) if exc else "it hung up"))

    def send(self, frame: Frame) -> bool:
        """Send a frame unless too many bytes wait already, which ends the link; says whether they went."""
        if self._transport is None or self.dropped is not None or self._transport.is_closing():
            return False
        if self.outgoing_bytes() + frame.size > self.links.outgoing_bytes_max:
            self.drop(f"it is too slow: {self.outgoing_bytes()} bytes wait for it")
            return False
        self._transport.write(frame.data)
        self.links.count(self.peer, bytes_out=frame.size)
        return True

    def outgoing_bytes(self) -> int:
        """Return how many bytes wait to be sent."""
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    def pause_reading(self) -> None:
        """Take nothing more for now. Silence is no fault of the peer's meanwhile."""
        if self._transport is not None and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Take bytes again."""
        if self._transport is not None and self._paused:
            self._paused = False
            self._heard_at = self._loop.time()
            self._transport.resume_reading()

    def drop(self, reason: str) -> None:
        """End the link at once. `connection_lost` follows, never from within this call."""
        if self.dropped is None:
            self.dropped = reason
        if self._transport is not None:
            self._transport.abort()

    def _is_dropped(self) -> bool:
        """Say whether some callback has dropped the link meanwhile."""
        return self.dropped is not None

    def close(self) -> None:
        """End the link after what waits to be sent."""
        if self._transport is not None:
            self._transport.close()

    def _watch(self) -> None:
        """Drop the link if the peer has been silent for too long; otherwise look again later.

        For as long as this process itself was late, nobody was silent: what came waits to be read.
        """
        limits = self.links.limits
        self._heard_at += max(0.0, self._loop.time() - self._look_at)
        allowed_ms = limits.silence_ms_max if self._greeted else limits.handshake_ms_max
        if self._paused:
            self._heard_at = self._loop.time()
        rest_s = self._heard_at + allowed_ms / 1_000 - self._loop.time()
        if rest_s <= 0:
            self.drop(f"it was silent for {allowed_ms} ms")
            return
        # A hello that comes changes what is allowed: look no later than the shorter limit says.
        rest_s = min(rest_s, limits.handshake_ms_max / 1_000, limits.silence_ms_max / 1_000)
        self._look_at = self._loop.time() + max(rest_s, 0.001)
        self._timer = self._loop.call_at(self._look_at, self._watch)


async def listen(address: Address) -> socket.socket:
    """Return a socket that listens there; LinksError if that cannot be."""
    loop = asyncio.get_running_loop()
    listener: socket.socket | None = None
    try:
        found = await loop.getaddrinfo(
            *address, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_NUMERICSERV
        )
        family, _, _, _, place = found[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setblocking(False)  # noqa: FBT003 - its only argument
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(place)
        listener.listen(128)
    except OSError as error:
        if listener is not None:
            listener.close()
        raise LinksError(f"cannot listen on {address}: {_reason(error)}") from error
    return listener


def _reason(error: BaseException) -> str:
    """Return an error's reason in words and in one line."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not a member's ({error.verify_message})"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed ({error.reason or error})"
    if isinstance(error, TimeoutError | ConnectionAbortedError):
        return "it took too long"
    if isinstance(error, ConnectionResetError | BrokenPipeError):
        return "the connection was reset"
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(text.split())
