"""Fetching a checkpoint into a journal and a folder, from peers that are only stores: no socket, no clock."""

import asyncio

import numpy as np
import pytest
from tests.audit.histories import journal_of, payments
from tests.node.test_checkpoint_making import Place, quiet
from tests.protocol.network import SUPER_AGENT_KEYS, make_block

from harambee.node.beginning import make_ledger
from harambee.node.forgotten import refuse_forgotten, refuse_without_history
from harambee.node.frames import FrameType
from harambee.node.mending import MendingEnded
from harambee.node.page_fetching import (
    GONE_S,
    FetchedPages,
    PageFetch,
    look_for_pages_next_time,
)
from harambee.node.page_serving import PageServer
from harambee.node.port import UnavailableError
from harambee.protocol.checkpoint import sign_checkpoint
from harambee.protocol.effects import AskIndex, AskPages, AskWords
from harambee.protocol.fold import Fold
from harambee.protocol.malformed import Malformed
from harambee.protocol.messages import WordArrived, WordsTold
from harambee.protocol.page_wire import (
    read_index,
    read_page,
    write_ask_index,
    write_ask_pages,
)
from harambee.protocol.wire import read_block
from harambee.storage.beginning import begin, blocks_behind
from harambee.storage.checkpoint_making import make
from harambee.storage.checkpoint_store import CheckpointStore

ME = 3


class Peer:
    """One who has a checkpoint and answers as a super-agent does, by its own PageServer."""

    def __init__(self, index, store, words):
        self.index, self.words, self.sent = index, words, []
        self.server = PageServer(store, self.send, lambda _: 0, 4)
        self.pages_sent = 0

    def send(self, peer, kind, content):
        assert peer == ME
        read = read_index if kind == FrameType.INDEX else read_page
        message = read(self.index, content)
        assert not isinstance(message, Malformed)
        self.pages_sent += kind == FrameType.PAGE
        self.sent.append(message)

    def answer(self, asked):
        match asked:
            case AskWords():
                told = [WordArrived(self.index, word.to_bytes()) for word in self.words]
                return [*told, WordsTold(self.index)]
            case AskIndex(_, name, part):
                return self.asked(FrameType.ASK_INDEX, write_ask_index(name, part))
            case AskPages(_, name, pages):
                return self.asked(FrameType.ASK_PAGES, write_ask_pages(name, pages))

    def asked(self, kind, content):
        async def serve():
            assert self.server.take(ME, kind, content) is None
            while self.server._servers:
                await asyncio.gather(*self.server._servers.values())

        asyncio.run(serve())
        sent, self.sent = self.sent, []
        return sent


class Comeback:
    """One who comes back: a journal with some of the blocks, a folder, and peers with a checkpoint."""

    def __init__(self, place, tmp_path, stored, *, blocks=(), name="back"):
        self.place = place
        self.folder = tmp_path / name
        self.journal = journal_of(tmp_path / name / "journal", place.genesis, blocks, author=ME)
        self.journal.re_entering = not blocks  # its disk is lost
        words = [sign_checkpoint(stored.checkpoint, k, SUPER_AGENT_KEYS[k]) for k in (0, 1)]
        self.peers = {k: Peer(k, place.store, words) for k in (0, 1, 2)}
        self.queue, self.reports, self.time = [], [], 10**18
        self.ends_after = 10**9
        self.fetch = PageFetch(
            place.genesis,
            ME,
            self.journal,
            self.folder / "checkpoints",
            self.hear,
            self.say,
            self.reports.append,
            lambda: self.time,
        )

    def hear(self, wait_s):
        self.ends_after -= 1
        if not self.ends_after:
            raise MendingEnded
        if self.queue:
            return self.queue.pop(0)
        self.time += int(wait_s * 1e9) + 1
        return None

    def say(self, asked):
        self.queue += self.peers[asked.peer].answer(asked)

    def run(self, *, only_pages=True):
        if only_pages:
            look_for_pages_next_time(self.fetch.folder)
        assert self.fetch.is_called_for()
        return self.fetch.run(self.peers)

    def fold(self, stored):
        """A fold that begins at what was fetched, with this journal's blocks behind it."""
        genesis = self.place.genesis
        ledger = make_ledger(genesis, self.journal, stored)
        fold = Fold(genesis.network, genesis.committee, ledger)
        begin(fold, self.journal, stored)
        for _ in fold.fold(blocks_behind(self.journal, stored)):
            pass
        return fold

    @property
    def pages_sent(self):
        return sum(peer.pages_sent for peer in self.peers.values())


@pytest.fixture
def place(tmp_path):
    place = Place(tmp_path)
    yield place
    place.journal.close()


@pytest.fixture
def stored(place):
    return place.make(20)


def behind(place, position):
    """The journal's blocks that are not in the past of the one at a position."""
    cut = place.cut_at(position)
    top = {tip.author: tip.height for tip in cut.tips}
    blocks = [read_block(data, place.genesis.network, 4) for data in place.blocks]
    return [b.data for b in blocks if b.height > top.get(b.author, 0)]


def test_from_nothing_it_begins_at_the_checkpoint_and_goes_on_to_the_same_end(
    place, stored, tmp_path
):
    back = Comeback(place, tmp_path, stored)
    with back.journal:
        found = back.run()
        assert found.checkpoint == stored.checkpoint
        assert found.local.entries == 0
        assert len(found.words(place.committee)) == 2
        assert found.local.until == back.journal.count
        back.journal.append(behind(place, 20))
        fold = back.fold(found)
        whole = place.whole()
        assert fold.ledger.digest() == whole.ledger.digest()
        assert fold.blocks_held == whole.blocks_held == len(place.blocks)
        assert sorted(file.name for file in back.fetch.folder.iterdir()) == [found.folder.name]
        facts = [facts for facts in back.reports if facts][-1]
        assert facts["pages"] == facts["of"] == len(stored.index)
        assert facts["bytes"] == int(stored.index["length"].sum())
        assert set(facts["from"]) <= {member.name for member in place.committee.members}
        assert back.reports[-1] is None


def test_its_pages_and_document_are_served_on_and_the_next_one_is_made_on_top(
    place, stored, tmp_path
):
    back = Comeback(place, tmp_path, stored)
    with back.journal:
        found = back.run()
        for page in (*stored.pages(frame=False), *stored.pages(frame=True)):
            assert found.page(page.section, page.number) == page.content
        back.journal.append(behind(place, 20))
        second = place.make(30, stored)
        store = CheckpointStore(back.fetch.folder, place.genesis.network, place.committee)
        again = make(place.genesis, back.journal, store, found, place.cut_at(30), quiet)
        assert again.checkpoint == second.checkpoint


def test_of_what_was_decided_before_it_says_that_it_cannot_tell(place, stored, tmp_path):
    back = Comeback(place, tmp_path, stored)
    with back.journal:
        found = back.run()
        back.journal.append(behind(place, 20))
        ledger, whole = back.fold(found).ledger, place.whole().ledger
        missing = stored.checkpoint.orders
        assert ledger.entries_missing == missing > 0
        assert ledger.entry_count == whole.entry_count - missing
        told = forgotten = 0
        for entry in whole.entries:
            slot = int(entry["payer"]), int(entry["sequence"])
            if ledger.entry_of_slot(*slot) is None:
                forgotten += 1
                with pytest.raises(UnavailableError, match="has not the orders of before"):
                    refuse_forgotten(ledger, *slot)
            else:
                told += 1
                refuse_forgotten(ledger, *slot)
            refuse_forgotten(whole, *slot)
        assert (told, forgotten) == (ledger.entry_count, missing)
        with pytest.raises(UnavailableError):
            refuse_without_history(ledger)
        refuse_forgotten(ledger, slot[0], whole.next_sequence(slot[0]))


def test_blocks_of_its_own_journal_outside_of_the_cut_are_folded_behind_it(place, tmp_path):
    """A branch that only this one has seen; and a block that nobody can place any more is left out."""
    seen = [read_block(data, place.genesis.network, 4) for data in place.blocks]
    tip = next(block for block in seen[:15] if block.author == 2)
    order = payments(60)[50]
    branch, _ = make_block(2, tip.height + 1, tip.digest, (), order)
    nowhere, _ = make_block(1, 99, bytes(range(32)), (), order)
    stored = place.make(30)
    own = max(at for at in range(31) if seen[at].author == ME)
    back = Comeback(place, tmp_path, stored, blocks=[*place.blocks[: own + 1], nowhere, branch])
    back.fetch._blocks = lambda _: own
    with back.journal:
        found = back.run()
        assert found.checkpoint == stored.checkpoint
        assert found.local.left == [own + 2]
        back.journal.append(behind(place, 30))
        end = back.fold(found)
    whole = place.whole()
    for _ in whole.fold([(len(place.blocks), branch)]):
        pass
    assert end.ledger.digest() == whole.ledger.digest()
    assert end.blocks_held == whole.blocks_held == len(place.blocks) + 1
    assert end.convicted == whole.convicted == {2}


def test_an_old_disk_does_not_begin_at_a_frame_with_blocks_of_its_own_that_it_lacks(
    place, stored, tmp_path, caplog
):
    own = [read_block(data, place.genesis.network, 4) for data in place.blocks[:21]]
    first = next(at for at, block in enumerate(own) if block.author == ME)
    back = Comeback(place, tmp_path, stored, blocks=place.blocks[: first + 1])
    with back.journal:
        assert back.run() is None
        assert "lie not in its own journal" in caplog.text
        assert back.journal.count == first + 1
        assert not list(back.fetch.folder.glob("0*"))
        back.journal.re_entering = True  # its operator says that it is one
        assert back.run().checkpoint == stored.checkpoint


def test_what_an_interrupted_fetch_has_brought_is_not_fetched_again(place, stored, tmp_path):
    back = Comeback(place, tmp_path, stored)
    total = len(stored.index)
    with back.journal:
        back.ends_after = 12  # so many messages: words, the index and some pages
        with pytest.raises(MendingEnded):
            back.run()
        with FetchedPages(back.fetch.folder / "fetched") as fetched:
            kept = [leaf["digest"].tobytes() in fetched for leaf in stored.leaves]
        assert 0 < sum(kept) < total
        back.queue, back.ends_after = [], 10**9
        before = back.pages_sent
        assert back.run().checkpoint == stored.checkpoint
        assert back.pages_sent - before == total - sum(kept)


def test_a_bit_that_flips_in_what_was_fetched_is_noticed(place, stored, tmp_path):
    back = Comeback(place, tmp_path, stored)
    with back.journal:
        back.ends_after = 12
        with pytest.raises(MendingEnded):
            back.run()
        file = back.fetch.folder / "fetched"
        content = bytearray(file.read_bytes())
        content[100] ^= 1
        file.write_bytes(content + b"torn")
        back.queue, back.ends_after = [], 10**9
        assert back.run().checkpoint == stored.checkpoint
        assert not (back.fetch.folder / "fetched").exists()


def test_pages_of_an_older_checkpoint_are_used_and_a_damaged_one_is_fetched(
    place, stored, tmp_path, caplog
):
    back = Comeback(place, tmp_path, stored)
    with back.journal:
        first = back.run()
        back.journal.append(behind(place, 20))
        second = place.make(38, stored)
        words = [sign_checkpoint(second.checkpoint, k, SUPER_AGENT_KEYS[k]) for k in (0, 1)]
        for peer in back.peers.values():
            peer.words, peer.pages_sent = words, 0
        same = np.isin(
            np.ascontiguousarray(second.leaves).view("V37"),
            np.ascontiguousarray(stored.leaves).view("V37"),
        )
        assert 0 < same.sum() < len(same)
        rest = first.folder / "rest"
        content = bytearray(rest.read_bytes())
        content[5] ^= 1
        rest.write_bytes(content)
        back.fetch._blocks = lambda _: 0  # as if its journal were far behind
        assert back.run().checkpoint == second.checkpoint
        assert back.pages_sent == len(same) - same.sum() + 1
        assert "a page that lay here is damaged" in caplog.text


def test_who_has_a_new_journal_asks_first_and_who_was_here_a_minute_ago_does_not(
    place, stored, tmp_path
):
    back = Comeback(place, tmp_path, stored, blocks=place.blocks)
    newest = read_block(place.blocks[-1], place.genesis.network, 4).time_ms * 1_000_000
    with back.journal:
        back.time = newest + GONE_S * 10**9
        assert not back.fetch.is_called_for()
        back.time += 1
        assert back.fetch.is_called_for()
        back.time = newest
        back.journal.re_entering = True
        assert back.fetch.is_called_for()
    empty = Comeback(place, tmp_path, stored, name="empty")
    with empty.journal:
        assert empty.fetch.is_called_for()
        assert empty.run(only_pages=False) is None, "forty blocks are not worth it"
        assert not empty.pages_sent


# -- serving --------------------------------------------------------------------------------------


def test_a_damaged_page_is_not_served_and_the_others_are(place, stored):
    peer = Peer(0, place.store, [])
    rest = stored.folder / "rest"
    rest.write_bytes(b"?" + rest.read_bytes()[1:])
    name = stored.checkpoint.digest
    answers = peer.answer(AskPages(0, name, ((1, 0), (3, 0), (4, 0), (1, 999), (2, 7))))
    assert [bool(answer.content) for answer in answers] == [True, False, True, False, False]
    index = stored.folder / "index"
    index.write_bytes(b"?" + index.read_bytes()[1:])
    fresh = Peer(0, place.store, [])
    [answer] = fresh.answer(AskIndex(0, name, 0))
    assert answer.parts == 0
    [answer] = fresh.answer(AskPages(0, name, ((1, 0),)))
    assert not answer.content


def test_a_checkpoint_that_is_taken_away_while_it_is_served_is_said_to_be_gone(place, stored):
    peer = Peer(0, place.store, [])
    name = stored.checkpoint.digest
    assert peer.answer(AskIndex(0, name, 0))[0].parts == 1
    assert peer.answer(AskIndex(0, bytes(32), 0))[0].parts == 0
    place.store.remove(stored)
    assert peer.answer(AskIndex(0, name, 0))[0].parts == 0
    assert not peer.answer(AskPages(0, name, ((1, 0),)))[0].content


def test_questions_beyond_the_limit_are_not_kept_and_nonsense_ends_the_link(place, stored):
    peer = Peer(0, place.store, [])

    async def flood():
        ask = write_ask_pages(stored.checkpoint.digest, ((1, 0),))
        for _ in range(50):
            assert peer.server.take(ME, FrameType.ASK_PAGES, ask) is None
        waiting = len(peer.server._asks[ME])
        assert peer.server.take(ME, FrameType.ASK_PAGES, b"x") is not None
        assert peer.server.take(ME, FrameType.ASK_INDEX, b"x") is not None
        await asyncio.gather(*peer.server._servers.values())
        return waiting

    assert asyncio.run(flood()) == 8
    assert len(peer.sent) == 8
