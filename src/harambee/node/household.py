"""Super-agents that share a process: they hand their frames over, and check what all of them read once.

What a link over TLS proves with keys needs no proof here: whoever is in this process was started by it, with
its own keys, and whoever could lie inside it has those keys anyway. All the rest of a link is kept: frames
arrive in order and never within the call that sends them, what waits for a slow reader is bounded, and who
leaves is seen to leave. A block is the same bytes for all of them, so it is parsed once, its signatures are
checked once (`harambee.protocol.remembering`), and it is made ready for their journals once.

Links belong to one event loop and one thread; the checks to any.
"""

import asyncio
import errno
import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Protocol

from harambee.node.frames import Frame, FrameError
from harambee.node.journal import Written, written
from harambee.protocol.committee import Committee
from harambee.protocol.remembering import Memory, RememberingChecking

HANDED_AT_ONCE: Final = 64
"""So many frames are handed over before others have their turn of the loop."""
WRITTEN_BYTES: Final = 8 << 20
"""So many bytes of blocks are remembered as journals store them, at least."""
DIALS_MAX: Final = 16
"""So many handshakes they begin at once."""


class Housemate(Protocol):
    """The links of one super-agent of this process, as the others' ends of indoor links know them."""

    index: int

    @property
    def outgoing_bytes_max(self) -> int:
        """How many bytes may wait for one peer; beyond it the link is dropped."""

    def meet(self, link: "IndoorLink") -> None:
        """A link to another one of this process stands."""

    def received(self, link: "IndoorLink", kind: int, content: bytes) -> None:
        """A frame came."""

    def ended(self, link: "IndoorLink", reason: str) -> None:
        """A link is gone."""

    def count(self, peer: int, *, bytes_in: int = 0, bytes_out: int = 0) -> None:
        """Add to a peer's counts."""


@dataclass(eq=False)
class IndoorLink:
    """One end of a link between two super-agents of this process."""

    links: Housemate
    peer: int
    other: "IndoorLink" = field(init=False, repr=False)
    dropped: str | None = None
    """Why it ended, once it has."""
    lost: "asyncio.Future[None]" = field(init=False)
    """Done when the link is gone."""
    _coming: deque[Frame] = field(default_factory=deque)
    _coming_bytes: int = 0
    _paused: bool = False
    _is_due: bool = False
    """Whether the loop will hand over what is coming."""

    def __post_init__(self) -> None:
        """It stands once the other end knows it."""
        self._loop = asyncio.get_running_loop()
        self.lost = self._loop.create_future()

    def send(self, frame: Frame) -> bool:
        """Hand a frame over unless too many wait already, which ends the link; says whether it went."""
        if self.dropped is not None:
            return False
        if self.outgoing_bytes() + frame.size > self.links.outgoing_bytes_max:
            self.drop(f"it is too slow: {self.outgoing_bytes()} bytes wait for it")
            return False
        self.links.count(self.peer, bytes_out=frame.size)
        self.other._take(frame)  # noqa: SLF001 - its own other end
        return True

    def outgoing_bytes(self) -> int:
        """Return how many bytes wait for the other end."""
        return self.other._coming_bytes  # noqa: SLF001 - its own other end

    def pause_reading(self) -> None:
        """Take nothing more for now."""
        self._paused = True

    def resume_reading(self) -> None:
        """Take frames again."""
        self._paused = False
        self._hand_over_soon()

    def drop(self, reason: str) -> None:
        """End the link at once, at both ends. That it is gone is said later, never from within this call."""
        for end, why in ((self, reason), (self.other, "it hung up")):
            if end.dropped is None:
                end.dropped = why
                self._loop.call_soon(end._end)  # noqa: SLF001 - its own other end

    def close(self) -> None:
        """End the link; what waits is handed over by the loop before that."""
        self._loop.call_soon(self.drop, "stopping")

    def _take(self, frame: Frame) -> None:
        self._coming.append(frame)
        self._coming_bytes += frame.size
        self._hand_over_soon()

    def _hand_over_soon(self) -> None:
        if self._coming and not self._paused and not self._is_due:
            self._is_due = True
            self._loop.call_soon(self._hand_over)

    def _hand_over(self) -> None:
        self._is_due = False
        for _ in range(min(HANDED_AT_ONCE, len(self._coming))):
            if self._paused or self.dropped is not None:
                break
            frame = self._coming.popleft()
            self._coming_bytes -= frame.size
            self.links.count(self.peer, bytes_in=frame.size)
            try:
                self.links.received(self, frame.kind, frame.content)
            except FrameError as error:
                self.drop(str(error))
        self._hand_over_soon()

    def _end(self) -> None:
        self._coming.clear()
        self._coming_bytes = 0
        self.lost.set_result(None)
        self.links.ended(self, self.dropped or "")


class Household:
    """The super-agents of one network that this process runs, now or later."""

    def __init__(self, network: bytes, committee: Committee, members: Iterable[int]) -> None:
        """`members` are their indices in the committee."""
        self.network = network
        self.members = frozenset(members)
        self.checking = RememberingChecking(network, committee) if len(self.members) > 1 else None
        """What replicas of this process ask instead of each computing it; None where there is but one."""
        self.turns = threading.Lock()
        """Who computes has it: Python computes one thing at a time, and waiting for a lock costs nothing."""
        self.dialling = asyncio.Semaphore(DIALS_MAX)
        """Who dials somebody elsewhere has one of these: a handshake is work, and has to end in time."""
        self._at_home: dict[int, Housemate] = {}
        self.written = self._written_once if len(self.members) > 1 else written
        """Returns a block as each of their journals stores it; ValueError. From any thread."""
        self._remembered: Memory[Written] = Memory(WRITTEN_BYTES)

    def _written_once(self, block: bytes) -> Written:
        found = self._remembered.get(block)
        if found is None:
            found = written(block)
            self._remembered.put(block, found)
        return found

    def arrives(self, links: Housemate) -> None:
        """One of them has started."""
        assert links.index in self.members
        self._at_home[links.index] = links

    def leaves(self, links: Housemate) -> None:
        """One of them has ended, or never started; it drops its links itself."""
        self._at_home.pop(links.index, None)

    def connect(self, links: Housemate, peer: int) -> IndoorLink:
        """Link two of them; ConnectionRefusedError where the other one is not here."""
        other = self._at_home.get(peer)
        if other is None:
            raise ConnectionRefusedError(errno.ECONNREFUSED, "it is switched off")
        here, there = IndoorLink(links, peer), IndoorLink(other, links.index)
        here.other, there.other = there, here
        links.meet(here)
        other.meet(there)
        return here
