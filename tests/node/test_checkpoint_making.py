"""Checkpoints on disk: made from a journal, found whole or not at all, and gone on from."""

import numpy as np
import pytest
from tests.audit.histories import MEMBERS, blocks_of, chorus, genesis_of_tests, journal_of, payments
from tests.protocol.network import SUPER_AGENT_KEYS

from harambee.node.beginning import make_ledger
from harambee.protocol.checkpoint import sign_checkpoint
from harambee.protocol.cuts import cut_below
from harambee.protocol.effects import Name
from harambee.protocol.fold import Fold
from harambee.protocol.wire import read_block
from harambee.storage.beginning import begin
from harambee.storage.checkpoint_making import NotMade, make
from harambee.storage.checkpoint_store import CheckpointDamaged, CheckpointStore


def quiet(_what, _done, _total):
    pass


class Place:
    """A journal of some forty blocks with payments, and a folder for checkpoints."""

    def __init__(self, tmp_path):
        self.genesis = genesis_of_tests()
        orders = payments(60)
        groups = [[orders[k], orders[k + 1]] for k in range(0, 60, 2)]
        self.blocks = blocks_of(*groups)
        self.journal = journal_of(tmp_path / "journal", self.genesis, self.blocks)
        committee = self.genesis.committee
        self.store = CheckpointStore(tmp_path / "checkpoints", self.genesis.network, committee)
        self.committee = committee

    def fold(self, stored=None):
        fold = Fold(
            self.genesis.network, self.committee, make_ledger(self.genesis, self.journal, stored)
        )
        begin(fold, self.journal, stored)
        return fold

    def whole(self, stored=None):
        """A fold of everything, from the genesis or from a checkpoint."""
        fold = self.fold(stored)
        for _ in fold.fold(self.journal.blocks()):
            pass
        return fold

    def cut_at(self, position):
        block = read_block(self.blocks[position], self.genesis.network, MEMBERS)
        anchor = Name(block.author, block.incarnation, block.height, block.digest)
        return cut_below(self.whole().chains, anchor)

    def make(self, position, base=None):
        cut = self.cut_at(position)
        return make(self.genesis, self.journal, self.store, base, cut, quiet)


def places_in(entries):
    """Where the orders of entries lie: of those under way at a cut the order may be another one."""
    return sorted(zip(entries["position"].tolist(), entries["index"].tolist(), strict=True))


@pytest.fixture
def place(tmp_path):
    place = Place(tmp_path)
    yield place
    place.journal.close()


def test_a_checkpoint_is_what_the_fold_of_its_cut_is_and_one_goes_on_from_it(place):
    first = place.make(12)
    assert first.checkpoint.number == 1
    assert first.checkpoint.blocks == 13
    assert 0 < first.checkpoint.orders < 26
    whole = place.whole()
    again = place.whole(first)
    assert again.ledger.digest() == whole.ledger.digest()
    assert again.ledger.entry_count == whole.ledger.entry_count == 60
    assert places_in(again.ledger.entries) == places_in(whole.ledger.entries)
    someone = int(whole.ledger.entries[5]["payer"])
    statements = [
        places_in(ledger.entries[ledger.entries_of(someone, 99)])
        for ledger in (again.ledger, whole.ledger)
    ]
    assert statements[0] == statements[1]
    second = place.make(25, first)
    assert second.checkpoint.previous == first.checkpoint.digest
    assert second.checkpoint.number == 2
    straight = place.make(25)
    assert straight.checkpoint.ledger_root == second.checkpoint.ledger_root
    assert straight.checkpoint.frame_root == second.checkpoint.frame_root
    assert straight.checkpoint.orders == second.checkpoint.orders
    assert place.whole(second).ledger.digest() == whole.ledger.digest()
    assert [s.checkpoint.number for s in place.store.all()] == [1, 1, 2]
    assert place.store.find(second.checkpoint.digest) == second


def test_what_did_not_change_is_not_written_again(place):
    first = place.make(12)
    second = place.make(13, first)
    pages = [
        file.name for file in first.folder.iterdir() if file.name[:4] in ("acco", "rest", "fram")
    ]
    assert {"rest", "frame", "accounts-0000"} <= {*pages}
    for name in [*pages, f"entries-0-{first.local.entries}"]:
        one, two = first.folder / name, second.folder / name
        assert one.samefile(two) == (one.read_bytes() == two.read_bytes()), name
    assert (first.folder / "rest").samefile(second.folder / "rest")
    assert not (first.folder / "frame").samefile(second.folder / "frame")


def test_entries_lie_one_behind_the_other(place):
    first = place.make(20)
    second = place.make(38, first)
    parts = second.entries()
    assert len(parts) == 2
    assert [len(part) for part in parts] == [
        first.local.entries,
        second.local.entries - first.local.entries,
    ]
    assert parts[0].tobytes() == first.entries()[0].tobytes()
    ledger = place.fold(second).ledger
    assert ledger.entries.tobytes() == b"".join(part.tobytes() for part in parts)


def test_a_flipped_bit_in_any_file_is_found_before_it_is_believed(place):
    stored = place.make(20)
    good = place.whole(stored).ledger.digest()
    checked = 0
    for file in sorted(stored.folder.iterdir()):
        if file.name in ("local.json", "newest") or file.name.startswith("entries"):
            continue  # this replica's own, and in no digest
        content = file.read_bytes()
        for at in np.linspace(0, len(content) - 1, 9).astype(int).tolist():
            flipped = bytearray(content)
            flipped[at] ^= 1
            file.write_bytes(bytes(flipped))
            found = place.store.find(stored.checkpoint.digest)
            if file.name == "document":
                assert found is None
            elif found is not None:
                with pytest.raises(CheckpointDamaged):
                    place.whole(found)
            checked += 1
        file.write_bytes(content)
    assert checked >= 9 * 5
    found = place.store.find(stored.checkpoint.digest)
    assert place.whole(found).ledger.digest() == good


def test_pages_are_served_by_section_and_number(place):
    stored = place.make(20)
    for page in stored.pages(frame=False):
        assert stored.page(page.section, page.number) == page.content
    assert stored.page(1, 5) is None
    assert stored.page(2, 0) is None
    assert b"".join(filter(None, [stored.page(4, 0)])) == stored.frame()[:92_160]


def test_words_are_kept_and_those_that_do_not_hold_are_not(place):
    stored = place.make(20)
    assert stored.words(place.committee) == []
    words = [sign_checkpoint(stored.checkpoint, k, SUPER_AGENT_KEYS[k]) for k in (0, 2, 3)]
    stored.keep_words(words)
    assert stored.words(place.committee) == words
    forged = sign_checkpoint(stored.checkpoint, 1, SUPER_AGENT_KEYS[2])
    stored.keep_words([*words, forged])
    assert stored.words(place.committee) == words


def test_a_cut_that_the_journal_does_not_hold_is_not_made(place, tmp_path):
    cut = place.cut_at(30)
    short = journal_of(tmp_path / "short", place.genesis, place.blocks[:25], author=1)
    with short, pytest.raises(NotMade, match="lacks"):
        make(place.genesis, short, place.store, None, cut, quiet)


def test_a_cut_that_does_not_contain_the_one_before_is_not_made(place):
    later = place.make(30)
    with pytest.raises(NotMade, match="does not contain"):
        place.make(12, later)


def test_another_super_agents_journal_makes_the_same_checkpoint(place, tmp_path):
    """The same blocks in another order, with some beyond the cut in between."""
    voices = chorus()
    orders = payments(16)
    said = [voices.say(k % MEMBERS, orders[k].tobytes()) for k in range(16)]
    one = journal_of(tmp_path / "one", place.genesis, said, author=1)
    with one:
        place.journal.close()
        place.journal, place.blocks = one, said
        first = place.make(9)
        assert first.checkpoint.blocks == 10


def test_what_a_crash_left_half_made_is_no_checkpoint(place):
    stored = place.make(12)
    half = place.store.folder / ".making-77"
    half.mkdir()
    (half / "document").write_bytes(stored.checkpoint.to_bytes())
    gone = place.store.folder / (stored.folder.name + "x")
    gone.mkdir()
    (gone / "document").write_bytes(stored.checkpoint.to_bytes())
    assert [s.folder for s in place.store.all()] == [stored.folder]
    place.store.clean_up()
    assert not half.exists()
    place.store.remove(stored)
    assert place.store.all() == []
