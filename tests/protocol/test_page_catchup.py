"""Catch-up by pages against peers that serve, lie, forget or say nothing: no clock, no socket, no disk."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from tests.protocol.network import NETWORK, SUPER_AGENT_KEYS, make_committee

from harambee.ledger.pages import PAGE_LEAF, digest_of, root_of_pages
from harambee.protocol.checkpoint import Checkpoint, sign_checkpoint
from harambee.protocol.effects import AskIndex, AskPages, AskWords, Name
from harambee.protocol.limits import SECOND_NS
from harambee.protocol.messages import (
    IndexArrived,
    PageArrived,
    PeerDown,
    PeerUp,
    WordArrived,
    WordsTold,
)
from harambee.protocol.page_catchup import (
    BLOCK_COST,
    BLOCKS_MIN,
    GIVE_UP_NS,
    IN_FLIGHT_MAX,
    PAGE_COST,
    PATIENCE_NS,
    STUCK_NS,
    Lookout,
    PageCatchUp,
    is_worth,
)
from harambee.protocol.page_wire import index_rows, parts_of

COMMITTEE = make_committee(7)
"""f is 2, w is 3."""
ME = 6
HOP_NS = 20_000_000


class Image:
    """A checkpoint of so many pages; those of two numbers are the same but for some."""

    def __init__(self, number=1, pages=200, changed=()):
        self.contents = {(1, k): b"%d of %d" % (k, number * (k in changed)) for k in range(pages)}
        self.contents |= {(3, 0): b"rest", (4, 0): b"frame %d" % number}
        places = sorted(self.contents)
        leaves = np.zeros(len(places), PAGE_LEAF)
        for leaf, place in zip(leaves, places, strict=True):
            leaf["section"], leaf["page"] = place
            leaf["digest"] = np.frombuffer(digest_of(self.contents[place]), np.uint8)
        self.rows = index_rows(leaves, np.array([len(self.contents[p]) for p in places]))
        self.checkpoint = Checkpoint(
            epoch=0,
            network=NETWORK,
            number=number,
            previous=bytes(32) if number == 1 else bytes([number]) * 32,
            anchor=Name(0, 0, number, bytes(32)),
            time_ms=0,
            cut=bytes(32),
            blocks=10_000 * number,
            orders=100 * number,
            accounts=1,
            aliases=0,
            in_circulation=0,
            ledger_pages=len(leaves) - 1,
            frame_pages=1,
            ledger_root=root_of_pages(leaves[leaves["section"] < 4]),
            frame_root=root_of_pages(leaves[leaves["section"] == 4]),
        )

    @property
    def name(self):
        return self.checkpoint.digest

    def words(self, *signers):
        return [
            sign_checkpoint(self.checkpoint, k, SUPER_AGENT_KEYS[k]).to_bytes() for k in signers
        ]


@dataclass
class Peer:
    """One who serves as it should; those who do not, are below."""

    index: int
    images: list[Any] = field(default_factory=list)
    words: list[Any] = field(default_factory=list)
    asked: list[Any] = field(default_factory=list)

    def answer(self, asked):
        self.asked.append(asked)
        match asked:
            case AskWords():
                told = [WordArrived(self.index, word) for word in self.words]
                return [*told, WordsTold(self.index)]
            case AskIndex(_, name, part):
                return [self.index_of(name, part)]
            case AskPages(_, name, pages):
                return [self.page_of(name, *page) for page in pages]

    def image(self, name):
        return next((image for image in self.images if image.name == name), None)

    def index_of(self, name, part):
        image = self.image(name)
        if image is None:
            return IndexArrived(self.index, name, part, 0, index_rows(np.zeros(0, PAGE_LEAF), 0))
        return IndexArrived(self.index, name, part, parts_of(len(image.rows)), image.rows)

    def page_of(self, name, section, page):
        image = self.image(name)
        content = b"" if image is None else image.contents[section, page]
        return PageArrived(self.index, name, section, page, content)


class WrongPages(Peer):
    def page_of(self, name, section, page):
        return replace(super().page_of(name, section, page), content=b"mine are better")


class WrongIndex(Peer):
    def index_of(self, name, part):
        rows = super().index_of(name, part).rows.copy()
        rows["leaf"]["digest"][3] ^= 1
        return replace(super().index_of(name, part), rows=rows)


class ShortIndex(Peer):
    def index_of(self, name, part):
        found = super().index_of(name, part)
        return replace(found, rows=found.rows[:-1])


class Forger(Peer):
    def answer(self, asked):
        if isinstance(asked, AskWords):
            told = [WordArrived(self.index, word[:-1] + b"?") for word in self.words]
            return [*told, WordsTold(self.index)]
        return super().answer(asked)


class Silent(Peer):
    def answer(self, asked):
        self.asked.append(asked)
        return []


class SilentAboutPages(Peer):
    def answer(self, asked):
        answers = super().answer(asked)
        return [] if isinstance(asked, AskPages) else answers


class Story:
    """One who fetches, and peers at a hop's distance; `tell` lets everything happen until it is whole."""

    def __init__(self, *peers, here=(), blocks=0, only_pages=False):
        self.catch_up = PageCatchUp(NETWORK, COMMITTEE, blocks, only_pages=only_pages)
        self.peers = {peer.index: peer for peer in peers}
        self.disk = {digest_of(content) for content in here}
        self.now, self.queue, self.wake = 10**18, [], 0
        self.kept, self.lied, self.whole, self.by_blocks = {}, [], None, False
        self.in_flight_max = 0

    def do(self, step):
        for page in step.keep:
            assert self.kept.setdefault(page[:2], page.content) == page.content
            self.disk.add(digest_of(page.content))
        self.lied += [lied.peer for lied in step.lied]
        self.wake = step.wake_at
        for asked in step.send:
            peer = self.peers.get(asked.peer)
            for answer in () if peer is None else peer.answer(asked):
                self.queue.append((self.now + HOP_NS, answer))
        waiting = max((len(s.rows) for s in self.catch_up._up.values()), default=0)
        self.in_flight_max = max(self.in_flight_max, waiting)
        self.whole, self.by_blocks = step.whole, step.by_blocks
        if step.compare is not None:
            here = [digest.tobytes() in self.disk for digest in step.compare["digest"]]
            self.do(self.catch_up.found(np.array(here), self.now))

    def up(self):
        for peer in self.peers:
            self.do(self.catch_up.receive(PeerUp(peer), self.now))
        return self

    def tell(self, seconds=120, until_kept=10**9):
        end = self.now + seconds * SECOND_NS
        while (
            self.whole is None
            and not self.by_blocks
            and self.now < end
            and len(self.kept) <= until_kept
        ):
            if self.queue and self.queue[0][0] <= self.wake:
                self.now, answer = self.queue.pop(0)
                self.do(self.catch_up.receive(answer, self.now))
            else:
                self.now = self.wake
                self.do(self.catch_up.act(self.now))
        return self


def honest(image, *indices):
    return [Peer(k, [image], image.words(*indices)) for k in indices]


def test_pages_come_from_everybody_who_has_them():
    image = Image()
    story = Story(*honest(image, 0, 1, 2, 3)).up().tell()
    assert story.whole == image.checkpoint
    assert story.kept == image.contents
    progress = story.catch_up.progress
    assert (progress.pages, progress.of) == (len(image.contents), len(image.contents))
    assert progress.bytes == progress.of_bytes == sum(map(len, image.contents.values()))
    assert sum(progress.fetched.values()) == len(image.contents)
    assert min(progress.fetched.get(k, 0) for k in range(4)) > 20
    assert story.in_flight_max <= IN_FLIGHT_MAX
    assert not story.lied


def test_without_w_words_nothing_is_believed():
    image = Image()
    story = Story(*honest(image, 0, 1)).up().tell()
    assert story.by_blocks
    assert story.whole is None
    assert not story.kept
    assert story.catch_up.target is None


def test_where_q_know_of_no_checkpoint_nobody_waits():
    """With seven, q is five: four others have to say so, or time has to pass."""
    began = Story().now
    story = Story(*[Peer(k) for k in range(4)], Silent(4)).up().tell()
    assert story.by_blocks
    assert story.now - began == HOP_NS
    story = Story(*[Peer(k) for k in range(3)], Silent(4)).up().tell()
    assert story.by_blocks
    assert story.now - began == PATIENCE_NS
    assert Story().tell().by_blocks


def test_where_blocks_cannot_be_had_nobody_gives_up_so_soon():
    image = Image()
    peers = [Peer(k, [image], []) for k in range(5)]
    story = Story(*peers, blocks=9_990, only_pages=True).up().tell(seconds=20)
    assert not story.by_blocks
    for peer in peers:
        peer.words = image.words(0, 1, 2)
    assert story.tell().whole == image.checkpoint
    assert Story(*peers, blocks=10_000, only_pages=True).up().tell().by_blocks
    assert Story(*peers, blocks=9_990).up().tell().by_blocks, "ten blocks are not worth it"


@pytest.mark.parametrize(
    "kind", [WrongPages, WrongIndex, ShortIndex, Forger, Silent, SilentAboutPages]
)
@pytest.mark.parametrize("count", [1, 2])
def test_liars_are_named_and_asked_no_more_and_cannot_keep_it(kind, count):
    image = Image()
    liars = [kind(k, [image], image.words(0, 1, 2, 3, 4)) for k in range(count)]
    peers = [Peer(k, [image], image.words(0, 1, 2, 3, 4)) for k in range(count, 5)]
    story = Story(*liars, *peers).up().tell()
    assert story.whole == image.checkpoint
    assert story.kept == image.contents
    named = kind not in (Silent, SilentAboutPages)
    assert sorted(story.lied) == (list(range(count)) if named else [])
    assert story.catch_up.liars == set(story.lied)
    if named:
        before = [len(liar.asked) for liar in liars]
        for liar in liars:
            story.do(story.catch_up.receive(PeerUp(liar.index), story.now))
        story.do(story.catch_up.act(story.now + GIVE_UP_NS))
        assert [len(liar.asked) for liar in liars] == before


def test_honest_peers_are_never_taken_for_liars_beside_all_kinds_of_them():
    image = Image(pages=300)
    words = image.words(2, 3, 4)
    liars = [WrongPages(0, [image], words), WrongIndex(1, [image], words)]
    story = Story(*liars, *honest(image, 2, 3, 4)).up().tell()
    assert story.whole == image.checkpoint
    assert set(story.lied) <= {0, 1}
    assert 0 in story.lied


def test_what_lies_on_the_disk_is_not_fetched():
    old, new = Image(1, changed=()), Image(2, changed=(5, 77))
    story = Story(*honest(new, 0, 1, 2), here=old.contents.values()).up().tell()
    assert story.whole == new.checkpoint
    assert sorted(story.kept) == [(1, 5), (1, 77), (4, 0)]
    assert story.catch_up.progress.pages == len(new.contents)


def test_all_on_the_disk_is_whole_at_once():
    image = Image()
    story = Story(*honest(image, 0, 1, 2), here=image.contents.values()).up().tell()
    assert story.whole == image.checkpoint
    assert not story.kept


def test_peers_that_went_on_are_followed_and_what_is_the_same_is_kept():
    old, new = Image(1, 600), Image(2, 600, changed=(7,))
    peers = honest(old, 0, 1, 2)
    story = Story(*peers).up().tell(until_kept=60)
    for peer in peers:
        peer.images, peer.words = [new], new.words(0, 1, 2)
    kept = dict(story.kept)
    story.kept.clear()
    story.tell()
    assert story.whole == new.checkpoint
    assert not story.lied
    fetched_again = {place for place in story.kept if kept.get(place) == story.kept[place]}
    assert not fetched_again
    assert {**kept, **story.kept} == {**new.contents, **{p: new.contents[p] for p in story.kept}}


def test_the_newest_is_fetched_and_an_older_one_only_if_nobody_has_that():
    old, new = Image(1), Image(2, changed=(1,))
    peers = [Peer(k, [old, new], new.words(0, 1, 2) + old.words(0, 1, 2)) for k in range(3)]
    assert Story(*peers).up().tell().whole == new.checkpoint
    for peer in peers:
        peer.images = [old]
    assert Story(*peers).up().tell().whole == old.checkpoint
    assert Story(*peers, blocks=10_000).up().tell().by_blocks


def test_who_hangs_up_is_replaced_and_who_comes_back_is_asked_again():
    image = Image(pages=400)
    story = Story(*honest(image, 0, 1, 2)).up().tell(until_kept=50)
    for peer in (0, 1):
        story.queue = [(at, m) for at, m in story.queue if m.peer != peer]
        story.do(story.catch_up.receive(PeerDown(peer), story.now))
    story.tell(until_kept=200)
    asked = len(story.peers[1].asked)
    story.do(story.catch_up.receive(PeerUp(1), story.now))
    story.tell()
    assert story.whole == image.checkpoint
    assert len(story.peers[1].asked) > asked


def test_pages_that_one_lacks_another_brings():
    image = Image()
    holey = Peer(0, [image], image.words(0, 1, 2))
    holey.page_of = lambda name, section, page: PageArrived(
        0, name, section, page, b"" if page % 2 else image.contents[section, page]
    )
    story = Story(holey, *[Peer(k, [image], image.words(0, 1, 2)) for k in (1, 2)]).up().tell()
    assert story.whole == image.checkpoint
    assert not story.lied


def test_one_who_drips_does_not_hold_up_the_end():
    """A page every three seconds is no silence; those who have nothing else to do bring the rest."""
    image = Image(pages=120)

    class Dripping(Peer):
        def answer(self, asked):
            return (
                super().answer(asked)[:1] if isinstance(asked, AskPages) else super().answer(asked)
            )

    story = Story(Dripping(0, [image], image.words(0, 1, 2)), *honest(image, 1, 2))
    story.peers[1].words = story.peers[2].words = image.words(0, 1, 2)
    began = story.now
    story.up().tell()
    assert story.whole == image.checkpoint
    assert story.now - began < 4 * SECOND_NS


def test_unasked_pages_and_words_cost_nothing_and_convict_whoever_lies():
    image = Image()
    story = Story(*honest(image, 0, 1, 2)).up().tell(until_kept=10)
    for content in (b"", image.contents[1, 5]):
        story.do(story.catch_up.receive(PageArrived(1, image.name, 1, 5, content), story.now))
    story.do(story.catch_up.receive(PageArrived(1, image.name, 1, 4_000, b"x"), story.now))
    story.do(story.catch_up.receive(PageArrived(1, bytes(32), 1, 5, b"x"), story.now))
    story.do(story.catch_up.receive(PageArrived(5, image.name, 1, 5, b"a stranger"), story.now))
    assert not story.lied
    place = next(p for p in image.contents if p not in story.kept)
    story.do(story.catch_up.receive(PageArrived(2, image.name, *place, b"x"), story.now))
    assert story.lied == [2]
    assert story.tell().whole == image.checkpoint


def test_a_clock_that_is_set_back_does_not_stop_it():
    image = Image(pages=300)
    story = Story(Silent(0), *honest(image, 1, 2, 3)).up().tell(until_kept=30)
    story.now -= 3_600 * SECOND_NS
    story.queue = [(story.now + HOP_NS, message) for _, message in story.queue]
    story.do(story.catch_up.act(story.now))
    assert story.tell(600).whole == image.checkpoint


# -- whether pages are better ---------------------------------------------------------------------


def test_pages_are_worth_it_when_they_cost_less_than_the_blocks():
    checkpoint = replace(Image(number=5).checkpoint, orders=0)  # 50,000 blocks, 202 pages
    cost = 202 * PAGE_COST // BLOCK_COST
    assert is_worth(checkpoint, 0)
    assert is_worth(checkpoint, 50_000 - cost - 1)
    assert not is_worth(checkpoint, 50_000 - cost)
    orders = replace(checkpoint, orders=50_000 * 100)
    assert is_worth(orders, 50_000 - cost)
    small = replace(checkpoint, ledger_pages=1, frame_pages=1)
    assert is_worth(small, 50_000 - BLOCKS_MIN)
    assert not is_worth(small, 50_000 - BLOCKS_MIN + 1)


def test_who_gets_no_block_any_more_is_told_of_pages():
    lookout, now = Lookout(NETWORK, COMMITTEE), 10**18
    image = Image(number=5)

    def look(blocks, after_ns, *, lags=True):
        return lookout.look(blocks, now + after_ns, lags=lags)

    def wait(blocks, start, end):
        for at in range(start, end, SECOND_NS):
            assert look(blocks, at) == ([], None)

    for second in range(9):  # something still comes
        assert look(49_900 + second, second * SECOND_NS) == ([], None)
    last = 8 * SECOND_NS
    wait(49_908, last, last + STUCK_NS)
    assert look(49_908, last + STUCK_NS - 1) == ([], None)
    lookout.hear(WordArrived(0, image.words(0)[0]))  # nobody was asked
    asks, found = look(49_908, last + STUCK_NS)
    assert [type(ask) for ask in asks] == [AskWords]
    assert found is None
    for word in (b"nonsense", *image.words(1, 2)):
        lookout.hear(WordArrived(0, word))
    assert look(49_908, last + STUCK_NS + 1) == ([], None)
    lookout.hear(WordArrived(1, image.words(0)[0]))
    assert look(49_908, last + STUCK_NS + 2)[1] == image.checkpoint
    assert look(49_908, last + STUCK_NS + 3, lags=False) == ([], None)
    last += STUCK_NS + 4
    wait(50_000, last, last + STUCK_NS)
    assert look(50_000, last + STUCK_NS)[1] is None, "it covers nothing more than is here"
    last += STUCK_NS + 1
    wait(49_908, last, last + STUCK_NS)
    late = last + 2 * STUCK_NS  # its disk was full meanwhile
    assert look(49_908, late) == ([], None)
    wait(49_908, late, late + STUCK_NS)
    assert look(49_908, late + STUCK_NS)[1] == image.checkpoint
