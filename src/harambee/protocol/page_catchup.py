"""Catch-up by pages: the state at a checkpoint, fetched from several peers at once, none of which is trusted.

**What is believed.** A checkpoint for which w super-agents have given their word: one of them is honest and
has computed it from the blocks. Everything else is held against its document. An index has to give the
document's two roots, and a page its leaf in that index. So a lie is found when it comes, one page of work
later, and names its sender. Who has lied is asked nothing more. Who is silent rests, longer each time, and
what it was asked for is asked of others.

**What it does.** Before a super-agent begins that has little or nothing, `PageCatchUp` asks the others what
they have signed. If there is a checkpoint so far ahead that its pages cost less than the blocks up to it
(pages cost by how many accounts there are, blocks by how much was missed), it fetches them: the index from
one peer, pages from everybody who has them. Pages that lie on the disk already are not asked for. When peers
have gone on to a newer checkpoint and dropped this one, so does it; what is the same in both is not fetched
again. If q super-agents know of no such checkpoint, or nobody answers for some seconds, it says so at once:
then blocks are the way, as ever. `Lookout` notices, while a replica runs, that peers have the blocks no more.

Like the replica it is pure: `receive` and `act` take the time as an argument and return what is to be done.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from harambee.ledger.image import Page
from harambee.ledger.pages import PAGE_BYTES, Leaves, Section, digest_of, root_of_pages
from harambee.protocol.checkpoint import Checkpoint, Words, read_word
from harambee.protocol.committee import Committee
from harambee.protocol.effects import EVERYONE, AskIndex, AskPages, AskWords, Outgoing
from harambee.protocol.limits import SECOND_NS
from harambee.protocol.malformed import Malformed
from harambee.protocol.messages import (
    IndexArrived,
    Message,
    PageArrived,
    PeerDown,
    PeerUp,
    WordArrived,
    WordsTold,
)
from harambee.protocol.page_wire import IndexRows, parts_of, rows_in_part

# What one costs, in microseconds of one core, as measured: to take a block, and each order in it, by ordinary
# catch-up and into the journal; to hold a page against its leaf, keep it, write it and load it.
BLOCK_COST: Final = 450
ORDER_COST: Final = 60
PAGE_COST: Final = 1_500
BLOCKS_MIN: Final = 256
"""With fewer blocks to go nobody goes over to pages, however few there are: beginning anew takes seconds."""
STUCK_NS: Final = 60 * SECOND_NS
"""When nothing of what is missing has come for so long, peers have it no more;"""
LOOKED_NS: Final = 5 * SECOND_NS
"""if one has looked at least so often: whose disk was full has not."""

PAGES_AT_ONCE: Final = 32
"""Asked for in one frame: 3 MB."""
IN_FLIGHT_MAX: Final = 3 * PAGES_AT_ONCE
"""Asked of one peer, and not there yet."""
SILENCE_NS: Final = 4 * SECOND_NS
"""So long nothing came of what was asked: it is asked of others."""
REST_NS: Final = 4 * SECOND_NS
RESTS_MAX: Final = 5
"""A silent peer is left alone for 4 s, 8 s and so on, up to two minutes."""
QUIET_NS: Final = SECOND_NS
"""From whom nothing came for so long, others take over when they have nothing else to do."""
LACKS_MAX: Final = 16
"""A peer that lacks so many pages of a checkpoint has dropped it."""
LACKED_NS: Final = 30 * SECOND_NS
"""A peer that had nothing of a checkpoint is asked again after that: it may have made it meanwhile."""
WORDS_AGAIN_NS: Final = 2 * SECOND_NS
WORDS_SELDOM_NS: Final = 5 * SECOND_NS
"""While pages come. Who says nothing for ten seconds is hung up on."""
WORDS_EACH_TIME: Final = 2
"""So many times as many words as there are super-agents are read of a peer, each time that it is asked."""
GIVE_UP_NS: Final = 60 * SECOND_NS
"""So long nothing came of a checkpoint that is to be fetched: blocks may do."""
PATIENCE_NS: Final = 5 * SECOND_NS
"""So long one waits until q super-agents, itself included, have said what checkpoints there are."""


def is_worth(checkpoint: Checkpoint, blocks: int) -> bool:
    """Whether who holds so many blocks had better fetch a checkpoint's pages.

    At least checkpoint.blocks - blocks are missing. Those beyond the cut come as blocks either way. Orders
    are taken to lie in the missing blocks as in all others.
    """
    missing = checkpoint.blocks - blocks
    orders = checkpoint.orders * missing // max(1, checkpoint.blocks)
    by_blocks = missing * BLOCK_COST + orders * ORDER_COST
    by_pages = (checkpoint.ledger_pages + checkpoint.frame_pages) * PAGE_COST
    return missing >= BLOCKS_MIN and by_blocks > by_pages


@dataclass(frozen=True, slots=True)
class Lied:
    """A peer has sent what nobody honest sends."""

    peer: int
    what: str
    """A word, an index or a page: one sentence about it."""


class Lookout:
    """Notices, while a replica runs, that nobody has the blocks any more that it lacks."""

    def __init__(self, network: bytes, committee: Committee) -> None:
        """Nothing has been said."""
        self._network, self._committee = network, committee
        self._words = Words.of(committee)
        self._ask_at = 0
        self._granted = [0] * committee.n
        self._blocks, self._since, self._looked_at = -1, 0, 0

    def hear(self, message: WordArrived) -> None:
        """Take a word, if it was asked for; what is none is left out."""
        if self._granted[message.peer] <= 0:
            return
        self._granted[message.peer] -= 1
        word = read_word(message.content, self._network, self._committee)
        if not isinstance(word, Malformed):
            self._words.add(word)

    def look(
        self, blocks: int, now: int, *, lags: bool
    ) -> tuple[list[Outgoing], Checkpoint | None]:
        """Return what to ask, and the checkpoint whose pages are the only way on, if that is so.

        `blocks` is how many the replica holds, `lags` whether it lacks some that others vouch for, though
        it hears enough of them.
        """
        is_late = not 0 <= now - self._looked_at <= LOOKED_NS
        self._looked_at = now
        if not lags or is_late or blocks != self._blocks:
            self._blocks, self._since = blocks, now
            return [], None
        if now - self._since < STUCK_NS:
            return [], None
        asks: list[Outgoing] = []
        if not 0 < self._ask_at - now <= WORDS_AGAIN_NS:
            self._ask_at = now + WORDS_AGAIN_NS
            self._granted = [WORDS_EACH_TIME * self._committee.n] * self._committee.n
            asks.append(AskWords(EVERYONE))
        true = [c for c in self._words.all() if self._words.is_true(c.digest) and c.blocks > blocks]
        return asks, true[-1] if true else None


@dataclass(slots=True)
class Progress:
    """How far it is, for people."""

    pages: int = 0
    of: int = 0
    bytes: int = 0
    of_bytes: int = 0
    fetched: dict[int, int] = field(default_factory=dict)
    """How many pages each peer has brought."""


@dataclass(slots=True)
class Step:
    """What one event leads to."""

    send: list[Outgoing] = field(default_factory=list)
    lied: list[Lied] = field(default_factory=list)
    keep: list[Page] = field(default_factory=list)
    """Pages that are what they should be: to be kept."""
    compare: Leaves | None = None
    """Which of these pages lie on the disk already? `PageCatchUp.found` waits for the answer."""
    whole: Checkpoint | None = None
    """All pages of it are there."""
    by_blocks: bool = False
    """Blocks are the way: there is no checkpoint that is worth it, or nothing comes of it."""
    wake_at: int | None = None
    """Call `act` no later than this; nanoseconds."""

    def extend(self, later: "Step") -> None:
        """Append what came of a later event."""
        self.send += later.send
        self.lied += later.lied
        self.keep += later.keep
        self.compare = self.compare if later.compare is None else later.compare
        self.whole = self.whole or later.whole
        self.by_blocks = self.by_blocks or later.by_blocks
        self.wake_at = later.wake_at


@dataclass(slots=True)
class _Source:
    """What is known of one peer whose link stands."""

    rows: set[int] = field(default_factory=set)
    """Pages that it was asked for, and that are not there yet."""
    deadline: int = 0
    """When it is silent, if it was asked for anything; it was last heard, or asked, SILENCE_NS before."""
    rest_until: int = 0
    rests: int = 0
    ask_words_at: int = 0
    granted: int = 0
    """So many words are still read of it."""
    lacks: set[int] = field(default_factory=set)
    """Pages of the target that it has not got."""
    without: dict[bytes, int] = field(default_factory=dict)
    """Checkpoints that it has not got, and until when that is believed."""


@dataclass(slots=True)
class _Target:
    """The checkpoint that is fetched."""

    checkpoint: Checkpoint
    name: bytes
    index_peer: int = -1
    parts: list[IndexRows] = field(default_factory=list)
    index: IndexRows | None = None
    is_compared: bool = False
    keys: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    done: npt.NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))
    missing: deque[int] = field(default_factory=deque)
    """Rows of the index whose pages are asked of nobody."""
    left: int = 0
    """How many pages are not there."""

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> "_Target":
        return cls(checkpoint, checkpoint.digest)

    @property
    def rows(self) -> int:
        return self.checkpoint.ledger_pages + self.checkpoint.frame_pages

    def row_of(self, section: int, page: int) -> int | None:
        key = section << 32 | page
        at = int(np.searchsorted(self.keys, key))
        return at if at < len(self.keys) and self.keys[at] == key else None

    def place(self, row: int) -> tuple[int, int]:
        key = int(self.keys[row])
        return key >> 32, key & 0xFFFF_FFFF


class PageCatchUp:
    """Fetches one checkpoint's pages. Not thread-safe; one shell owns it."""

    def __init__(
        self, network: bytes, committee: Committee, blocks: int, *, only_pages: bool = False
    ) -> None:
        """`blocks` is how many are held; `only_pages` says that the missing ones cannot be had."""
        self.words = Words.of(committee)
        self.progress = Progress()
        self._network, self._committee = network, committee
        self._blocks, self._only_pages = blocks, only_pages
        self._told: set[int] = set()
        """Who has said all that it knows of checkpoints."""
        self._up: dict[int, _Source] = {}
        self._liars: set[int] = set()
        self._target: _Target | None = None
        self._came_at = -1
        """When something that was of use came last."""
        self._whole = False

    @property
    def target(self) -> Checkpoint | None:
        """The checkpoint that is fetched, once there is one."""
        return None if self._target is None else self._target.checkpoint

    @property
    def liars(self) -> frozenset[int]:
        """Who has lied, and is asked nothing more."""
        return frozenset(self._liars)

    def rows(self) -> IndexRows:
        """Return the index of the target, (pages,), once it is known."""
        assert self._target is not None
        assert self._target.index is not None
        return self._target.index

    # -- what comes -------------------------------------------------------------------------------

    def receive(self, message: Message, now: int) -> Step:
        """Take one event; what it leads to. Never raises for what others sent."""
        step = Step()
        match message:
            case PeerUp(peer):
                if peer not in self._liars:
                    self._release(peer)
                    self._up[peer] = _Source()
            case PeerDown(peer):
                self._release(peer)
                self._up.pop(peer, None)
            case WordArrived():
                self._on_word(message, step)
            case WordsTold(peer):
                self._told.add(peer)
            case IndexArrived():
                self._on_index(message, now, step)
            case PageArrived():
                self._on_page(message, now, step)
        step.extend(self.act(now))
        return step

    def found(self, here: npt.NDArray[np.bool_], now: int) -> Step:
        """Which of the pages that were to be compared lie on the disk, (pages,)."""
        target = self._target
        assert target is not None
        assert target.index is not None
        assert not target.is_compared
        target.is_compared = True
        target.done = here.copy()
        target.missing = deque(np.flatnonzero(~here).tolist())
        target.left = len(target.missing)
        self.progress.pages = int(here.sum())
        self.progress.bytes = int(target.index["length"][here].sum())
        return self.act(now)

    def begin_again(self) -> None:
        """A page that lay on the disk cannot be read back: compare and fetch once more."""
        for peer in self._up:
            self._release(peer)
        self._target, self._whole, self._came_at = None, False, -1

    def _on_word(self, message: WordArrived, step: Step) -> None:
        source = self._up.get(message.peer)
        if source is None or source.granted <= 0:
            return
        source.granted -= 1
        word = read_word(message.content, self._network, self._committee)
        if isinstance(word, Malformed):
            self._convict(message.peer, f"a word for a checkpoint: {word.why}", step)
            return
        self.words.add(word)

    def _on_index(self, message: IndexArrived, now: int, step: Step) -> None:
        target, source = self._target, self._up.get(message.peer)
        if target is None or source is None or message.checkpoint != target.name:
            return
        if message.peer != target.index_peer or message.part != len(target.parts):
            return  # it was asked of somebody else meanwhile
        if not message.parts:
            self._has_not(message.peer, now)
            return
        rows, part = target.rows, len(target.parts)
        if message.parts != parts_of(rows) or len(message.rows) != rows_in_part(part, rows):
            self._convict(message.peer, "an index of another length than was signed", step)
            return
        target.parts.append(message.rows)
        self._came_at = now
        source.deadline, source.rests = now + SILENCE_NS, 0
        if len(target.parts) < parts_of(rows):
            step.send.append(AskIndex(message.peer, target.name, len(target.parts)))
            return
        index = np.concatenate(target.parts)
        if not _is_index_of(target.checkpoint, index):
            self._convict(message.peer, "an index that does not give the signed roots", step)
            return
        self._take_index(target, index, step)

    def _take_index(self, target: _Target, index: IndexRows, step: Step) -> None:
        target.index, target.index_peer, target.parts = index, -1, []
        leaves = np.ascontiguousarray(index["leaf"])
        target.keys = leaves["section"].astype(np.int64) << 32 | leaves["page"]
        self.progress.of = len(index)
        self.progress.of_bytes = int(index["length"].astype(np.int64).sum())
        step.compare = leaves

    def _on_page(self, message: PageArrived, now: int, step: Step) -> None:
        target, source = self._target, self._up.get(message.peer)
        if target is None or source is None or message.checkpoint != target.name:
            return
        row = target.row_of(message.section, message.page)
        if row is None or not target.is_compared:
            return
        if not message.content:
            self._lacks(message.peer, row, now)
            return
        source.deadline, source.rests = now + SILENCE_NS, 0
        if target.done[row]:
            return  # somebody else was quicker
        assert target.index is not None
        said = target.index[row]
        if digest_of(message.content) != said["leaf"]["digest"].tobytes():
            what = f"page {message.page} of section {message.section}, which is not the one signed"
            self._convict(message.peer, what, step)
            return
        target.done[row] = True
        target.left -= 1
        self._came_at = now
        if row in source.rows:
            source.rows.discard(row)
        else:
            self._ask_no_more(row)
        length = len(message.content)
        self.progress.of_bytes += length - int(said["length"])
        self.progress.bytes += length
        self.progress.pages += 1
        self.progress.fetched[message.peer] = self.progress.fetched.get(message.peer, 0) + 1
        step.keep.append(Page(message.section, message.page, message.content))
        if not target.left:
            self._whole = True

    def _ask_no_more(self, row: int) -> None:
        """A page came of somebody who had been given up: nobody else needs to send it."""
        assert self._target is not None
        for source in self._up.values():
            source.rows.discard(row)
        if row in self._target.missing:
            self._target.missing.remove(row)

    # -- whom one can ask -------------------------------------------------------------------------

    def _release(self, peer: int) -> None:
        """What was asked of a peer will not come: let others be asked."""
        target, source = self._target, self._up.get(peer)
        if target is None or source is None:
            return
        target.missing.extendleft(sorted(source.rows, reverse=True))
        source.rows.clear()
        if target.index_peer == peer:
            target.index_peer, target.parts = -1, []

    def _convict(self, peer: int, what: str, step: Step) -> None:
        self._release(peer)
        self._up.pop(peer)
        self._liars.add(peer)
        step.lied.append(Lied(peer, what))

    def _has_not(self, peer: int, now: int) -> None:
        """A peer has dropped the target, or never had it: ask it what it has."""
        assert self._target is not None
        self._release(peer)
        source = self._up[peer]
        source.without[self._target.name] = now + LACKED_NS
        source.lacks.clear()
        source.ask_words_at = min(source.ask_words_at, now)

    def _lacks(self, peer: int, row: int, now: int) -> None:
        target, source = self._target, self._up[peer]
        assert target is not None
        if row not in source.rows:
            return
        source.rows.discard(row)
        source.lacks.add(row)
        source.deadline = now + SILENCE_NS
        target.missing.appendleft(row)
        if len(source.lacks) >= min(LACKS_MAX, target.rows):
            self._has_not(peer, now)

    def _may_have(self, source: _Source, name: bytes, now: int) -> bool:
        return not now < source.without.get(name, 0) <= now + LACKED_NS

    def _sources_of(self, name: bytes, now: int) -> list[int]:
        """Who may have a checkpoint: those who have signed it first, for they have made it."""
        able = [peer for peer, source in self._up.items() if self._may_have(source, name, now)]
        signers = {word.signer for word in self.words.for_(name)}
        return sorted(able, key=lambda peer: (peer not in signers, peer))

    def _is_ready(self, source: _Source, now: int) -> bool:
        longest = REST_NS << RESTS_MAX
        return not now < source.rest_until <= now + longest

    # -- what is due ------------------------------------------------------------------------------

    def act(self, now: int) -> Step:
        """Do what is due at `now`."""
        step = Step()
        if self._whole:
            assert self._target is not None
            step.whole = self._target.checkpoint
            return step
        self._note_silence(now)
        self._choose_target(now)
        self._ask_words(now, step)
        target = self._target
        if target is not None and target.index is None:
            self._ask_index(target, now, step)
        elif target is not None and target.is_compared:
            if not target.left:  # the disk had it all
                self._whole = True
                step.whole = target.checkpoint
                return step
            self._ask_pages(target, now, step)
        step.by_blocks = self._is_hopeless(now)
        step.wake_at = self._wake_at(now)
        return step

    def _note_silence(self, now: int) -> None:
        for peer, source in self._up.items():
            waits = bool(source.rows) or (
                self._target is not None and self._target.index_peer == peer
            )
            if waits and not now < source.deadline <= now + SILENCE_NS:
                self._let_rest(peer, now)

    def _let_rest(self, peer: int, now: int) -> None:
        """Ask others for what a silent peer was asked for, and leave it alone for a while."""
        self._release(peer)
        source = self._up[peer]
        source.rest_until = now + (REST_NS << source.rests)
        source.rests = min(source.rests + 1, RESTS_MAX)

    def _choose_target(self, now: int) -> None:
        """Keep to the target as long as somebody has it; go over to the newest that somebody has."""
        if self._target is not None and self._can_be_had(self._target, now):
            return
        true = [
            checkpoint
            for checkpoint in self.words.all()
            if self._is_of_use(checkpoint)
            and self.words.is_true(checkpoint.digest)
            and self._sources_of(checkpoint.digest, now)
        ]
        chosen = true[-1] if true else None
        if chosen is None or (self._target is not None and self._target.checkpoint == chosen):
            return
        if self._target is not None:
            for peer in self._up:
                self._release(peer)
        for source in self._up.values():
            source.lacks.clear()
        self._target = _Target.of(chosen)
        self.progress.pages = self.progress.bytes = 0
        self.progress.of, self.progress.of_bytes = self._target.rows, PAGE_BYTES * self._target.rows

    def _is_of_use(self, checkpoint: Checkpoint) -> bool:
        if self._only_pages:
            return checkpoint.blocks > self._blocks
        return is_worth(checkpoint, self._blocks)

    def _can_be_had(self, target: _Target, now: int) -> bool:
        sources = [self._up[peer] for peer in self._sources_of(target.name, now)]
        if not sources:
            return False
        if any(source.rows for source in sources) or not target.missing:
            return True
        lacked = set.intersection(*(source.lacks for source in sources))
        return not lacked.issuperset(target.missing)

    def _ask_words(self, now: int, step: Step) -> None:
        has_target = self._target is not None and self._can_be_had(self._target, now)
        again = WORDS_SELDOM_NS if has_target else WORDS_AGAIN_NS
        for peer, source in self._up.items():
            if not now < source.ask_words_at <= now + again:
                source.ask_words_at = now + again
                source.granted = WORDS_EACH_TIME * self._committee.n
                step.send.append(AskWords(peer))

    def _ask_index(self, target: _Target, now: int, step: Step) -> None:
        if target.index_peer >= 0:
            return
        for peer in self._sources_of(target.name, now):
            source = self._up[peer]
            if self._is_ready(source, now):
                target.index_peer, target.parts = peer, []
                source.deadline = now + SILENCE_NS
                step.send.append(AskIndex(peer, target.name, 0))
                return

    def _ask_pages(self, target: _Target, now: int, step: Step) -> None:
        """Ask each peer in turn for some, until each has enough to do."""
        if not target.missing:
            self._take_over(target, now)
        ready = [
            peer
            for peer in self._sources_of(target.name, now)
            if self._is_ready(self._up[peer], now)
        ]
        # Of a few pages everybody brings some, or one who says nothing would hold up all of them.
        share = min(PAGES_AT_ONCE, -(-len(target.missing) // max(1, len(ready))))
        while target.missing and ready:
            for peer in list(ready):
                source = self._up[peer]
                some: tuple[int, ...] = ()
                if len(source.rows) + PAGES_AT_ONCE <= IN_FLIGHT_MAX:
                    some = self._take_missing(target, source, share)
                if not some:
                    ready.remove(peer)
                    continue
                if not source.rows:
                    source.deadline = now + SILENCE_NS
                source.rows.update(some)
                step.send.append(AskPages(peer, target.name, tuple(map(target.place, some))))

    def _take_over(self, target: _Target, now: int) -> None:
        """Where somebody has nothing to do, what quiet ones were asked for is asked again."""
        sources = [self._up[peer] for peer in self._sources_of(target.name, now)]
        if not any(self._is_ready(source, now) and not source.rows for source in sources):
            return
        for peer, source in self._up.items():
            if source.rows and source.deadline - now <= SILENCE_NS - QUIET_NS:
                self._let_rest(peer, now)

    def _take_missing(self, target: _Target, source: _Source, most: int) -> tuple[int, ...]:
        """Take pages off those that are missing, for a peer that may have them."""
        some: list[int] = []
        passed: list[int] = []
        while target.missing and len(some) < most:
            row = target.missing.popleft()
            (passed if row in source.lacks else some).append(row)
        target.missing.extendleft(reversed(passed))
        return tuple(some)

    def _is_hopeless(self, now: int) -> bool:
        if self._came_at < 0 or now < self._came_at:
            self._came_at = now
        since = now - self._came_at
        if self._target is not None or self._only_pages:
            return since >= GIVE_UP_NS
        return len(self._told) >= self._committee.q - 1 or since >= PATIENCE_NS

    def _wake_at(self, now: int) -> int:
        wakes = [now + WORDS_AGAIN_NS]
        for peer, source in self._up.items():
            wakes += [source.ask_words_at, source.rest_until]
            if source.rows or (self._target is not None and self._target.index_peer == peer):
                wakes += [source.deadline, source.deadline - SILENCE_NS + QUIET_NS]
        if self._target is None and not self._only_pages:
            wakes.append(self._came_at + PATIENCE_NS)
        return min(at for at in wakes if at > now)


def _is_index_of(checkpoint: Checkpoint, index: IndexRows) -> bool:
    """Whether an index is the one that was signed: its leaves give both roots, and ascend."""
    leaves = np.ascontiguousarray(index["leaf"])
    keys = leaves["section"].astype(np.int64) << 32 | leaves["page"]
    is_frame = leaves["section"] == Section.FRAME
    if int(is_frame.sum()) != checkpoint.frame_pages or (np.diff(keys) <= 0).any():
        return False
    roots = root_of_pages(leaves[~is_frame]), root_of_pages(leaves[is_frame])
    return roots == (checkpoint.ledger_root, checkpoint.frame_root)
