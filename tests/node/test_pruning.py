"""A journal whose blocks leave for the archive: it is read as before, and no instant loses one."""

import itertools
import os
import random
import re
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.node.test_journal import block, open_
from tests.node.test_mending import FORK, FORK_NAME, ONE, ONE_NAME, TWO, TWO_NAME

import harambee
from harambee.node.journal import (
    Journal,
    JournalDamaged,
    JournalFull,
    JournalPruned,
    _Pen,
)
from harambee.protocol.effects import Name
from harambee.protocol.wire import digest_of


def at(*positions):
    return np.array(positions, np.int64)


def name_of(data):
    author, height = data[2], int.from_bytes(data[8:12], "little")
    return Name(author, data[12], height, digest_of(data))


@pytest.fixture
def small_files(monkeypatch):
    for module in ("archive", "journal"):
        monkeypatch.setattr(f"harambee.node.{module}.FILE_BYTES", 1_000)


def test_what_was_pruned_is_read_and_found_as_before(tmp_path, small_files):
    blocks = [block(author, height) for height in range(1, 31) for author in (0, 1)]
    with open_(tmp_path) as journal:
        journal.append(blocks)
        assert journal.prune(at(0, 1, 2, 5, 6, 7, 40)) == 7
        assert journal.prune(at(*range(10, 20), 40)) == 10
        assert journal.pruned == 17
        assert journal.count == 60
        assert journal._environment.begin().stat(journal._blocks)["entries"] == 43
    for opening in (open_, Journal.open_to_read):
        with opening(tmp_path) as journal:
            assert (journal.count, journal.pruned) == (60, 17)
            assert list(journal.blocks()) == list(enumerate(blocks))
            assert list(journal.blocks(7)) == list(enumerate(blocks))[7:]
            assert [journal.read(position) for position in range(60)] == blocks
            assert journal.range_of(1, 1, 30, 1 << 20) == blocks[1::2]
            assert all(journal.find_digest(name_of(data)) == data for data in blocks)
            assert journal.find(1, 6) == 11
            assert journal.damaged() == {}
    with open_(tmp_path) as journal:
        journal.append([block(2, 1)])
        assert journal.read(60) == block(2, 1)
        assert journal.prune(at(*range(61))) == 44
        assert journal.prune(at(*range(61))) == 0
        assert journal.prune(at()) == 0
        journal.append([block(2, 2)])
        assert [position for position, _ in journal.blocks()] == list(range(62))
        assert journal.find(2, 2) == 61


@pytest.mark.parametrize("positions", [(1, 0), (1, 1), (-1, 0), (0, 3)])
def test_positions_that_cannot_be_pruned_are_refused(tmp_path, positions):
    with open_(tmp_path) as journal:
        journal.append([block(0, height) for height in (1, 2, 3)])
        with pytest.raises(ValueError, match="ascend, and are below 3"):
            journal.prune(at(*positions))
        assert journal.pruned == 0


@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_it_is_a_list_of_blocks_wherever_they_lie(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("pruned")
    model: list[bytes] = []
    with pytest.MonkeyPatch.context() as patch:
        for module in ("archive", "journal"):
            patch.setattr(f"harambee.node.{module}.FILE_BYTES", 700)
        journal = open_(folder, map_bytes=64 << 20)
        try:
            for _ in range(data.draw(st.integers(1, 6))):
                new = [
                    block(2, len(model) + 1 + row) for row in range(data.draw(st.integers(0, 9)))
                ]
                journal.append(new)
                model += new
                if model:
                    some = data.draw(st.sets(st.integers(0, len(model) - 1)))
                    journal.prune(at(*sorted(some)))
                if data.draw(st.booleans()):
                    journal.close()
                    journal = open_(folder, map_bytes=64 << 20)
                start = data.draw(st.integers(0, len(model)))
                assert list(journal.blocks(start)) == list(enumerate(model))[start:]
                assert [journal.read(position) for position in range(len(model))] == model
                assert journal.range_of(2, 1, len(model) + 1, 1 << 20) == model
                assert journal.count == len(model)
                assert not journal.damaged()
        finally:
            journal.close()


def test_what_an_operator_took_away_is_said_and_comes_back(tmp_path, small_files):
    blocks = [block(0, height) for height in range(1, 21)]
    with open_(tmp_path) as journal:
        journal.append(blocks)
        journal.prune(at(*range(15)))
        away = journal.archive.files()[1]
        away.rename(tmp_path / "tape")
        with pytest.raises(
            JournalPruned, match=r"block 7 of the journal .* not there any"
        ) as pruned:
            journal.read(7)
        assert pruned.value.position == 7
        seen = []
        with pytest.raises(JournalPruned, match="block 5 of"):
            seen.extend(journal.blocks())
        assert seen == list(enumerate(blocks))[:5]
        assert list(journal.blocks(10)) == list(enumerate(blocks))[10:]
        assert journal.range_of(0, 1, 20, 1 << 20) == blocks[:5]
        assert journal.range_of(0, 11, 20, 1 << 20) == blocks[10:]
        assert journal.range_of(0, 7, 20, 1 << 20) == []
        assert journal.find(0, 8) == 7
        assert journal.find_digest(name_of(blocks[7])) is None
        assert journal.find_digest(name_of(blocks[12])) == blocks[12]
        assert journal.damaged() == {}
        shutil.rmtree(tmp_path / "archive")
        with pytest.raises(JournalPruned, match="block 0 of"):
            list(journal.blocks())
        assert list(journal.blocks(15)) == list(enumerate(blocks))[15:]
        assert journal.prune(at(*range(18))) == 3
        (tmp_path / "tape").rename(away)
        assert journal.read(7) == blocks[7]
        assert journal.read(17) == blocks[17]


def test_what_is_pruned_while_files_are_away_is_not_in_their_way(tmp_path, small_files, caplog):
    blocks = [block(0, height) for height in range(1, 41)]
    left_out = [3, 7, 8, 12, 17]
    with open_(tmp_path) as journal:
        journal.append(blocks[:30])
        journal.prune(at(*(p for p in range(20) if p not in left_out)))
        files = journal.archive.files()
        assert [int(archived.name[7:19]) for archived in files] == [0, 6, 14, 19]
        away = [files[1], files[-1]]
        for archived in away:
            archived.rename(tmp_path / archived.name)
        # What belongs beside the files that are away stays; what comes behind them all does not.
        assert journal.prune(at(*range(22))) == 4
        assert "blocks between 6 and 9 stay in the journal" in caplog.text
        journal.append(blocks[30:])
        assert journal.prune(at(*range(35))) == 13
        there = [p for p in range(20) if journal.archive.read(p)]
        assert there == [0, 1, 2, 3, 4, 5, 14, 15, 16, 17, 18]
        for archived in away:
            (tmp_path / archived.name).rename(archived)
        assert list(journal.blocks()) == list(enumerate(blocks))
        assert journal.prune(at(*range(35))) == 3
        assert list(journal.blocks()) == list(enumerate(blocks))
        assert [position for position, _ in journal.archive.blocks()] == list(range(35))


def flip(file, data):
    """Change a bit of a stored block wherever it lies; older copies of its page may lie there too."""
    content = bytearray(file.read_bytes())
    places = [found.start() for found in re.finditer(re.escape(data), content)]
    assert places
    for place in places:
        content[place + 100] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize(("position", "name"), [(0, ONE_NAME), (1, TWO_NAME), (2, FORK_NAME)])
def test_a_block_that_is_damaged_in_the_archive_is_repaired(tmp_path, position, name):
    blocks = [ONE, TWO, FORK]
    with open_(tmp_path) as journal:
        journal.append(blocks)
        journal.prune(at(0, 1, 2))
        flip(journal.archive.files()[0], blocks[position])
        with pytest.raises(JournalDamaged, match=f"block {position} of the journal"):
            journal.read(position)
        with pytest.raises(JournalDamaged, match=f"block {position} of the journal"):
            list(journal.blocks())
        wanted = Name(1, 0, 1 if position == 0 else 2, name)
        assert journal.find_digest(wanted) is None
        assert journal.damaged() == {position: wanted}
        assert not journal.repair(position, wanted, blocks[position - 1])
        assert journal.repair(position, wanted, blocks[position])
        assert (journal.count, journal.pruned) == (3, 2)
        assert [data for _, data in journal.blocks()] == blocks
        assert journal.damaged() == {}
        # Pruned again, it takes the place of the damaged one.
        assert journal.prune(at(0, 1, 2)) == 1
        assert [data for _, data in journal.archive.blocks()] == blocks
        assert journal.damaged() == {}


def test_a_file_that_is_refused_is_repaired_block_by_block(tmp_path):
    with open_(tmp_path) as journal:
        journal.append([ONE, TWO, FORK])
        journal.prune(at(0, 2))
        (file,) = journal.archive.files()
        file.write_bytes(b"shopping list" * 100)
        damaged = journal.damaged()
        assert damaged == {0: Name(1, 0, 1, ONE_NAME), 2: Name(1, 0, 2, FORK_NAME)}
        with pytest.raises(JournalDamaged, match="block 0 of"):
            list(journal.blocks())
        for position, data in ((0, ONE), (2, FORK)):
            assert journal.repair(position, damaged[position], data)
        assert [data for _, data in journal.blocks()] == [ONE, TWO, FORK]
        assert journal.damaged() == {}
        assert journal.prune(at(0, 1, 2)) == 3
        assert [data for _, data in journal.blocks()] == [ONE, TWO, FORK]
        assert journal.damaged() == {}


def test_a_damaged_block_is_not_pruned(tmp_path, caplog):
    with open_(tmp_path) as journal:
        journal.append([ONE, TWO, FORK])
    flip(tmp_path / "data.mdb", TWO)
    with open_(tmp_path) as journal:
        assert journal.prune(at(0, 1, 2)) == 2
        assert "block 1 is damaged, and therefore not pruned" in caplog.text
        assert list(journal.damaged()) == [1]
        assert journal.repair(1, Name(1, 0, 2, TWO_NAME), TWO)
        assert journal.prune(at(0, 1, 2)) == 1
        assert [data for _, data in journal.blocks()] == [ONE, TWO, FORK]


@pytest.mark.parametrize("in_archive", [True, False])
def test_what_nobody_has_is_given_up_in_the_archive_too(tmp_path, in_archive, small_files):
    blocks = [block(0, height) for height in range(1, 21)]
    with open_(tmp_path) as journal:
        journal.append(blocks)
        assert journal.give_up_damaged() == 0
        journal.prune(at(*range(6), *range(7, 15)))
        if in_archive:
            flip(journal.archive.files()[1], blocks[5])
    if not in_archive:
        flip(tmp_path / "data.mdb", blocks[6])
    whole = 5 if in_archive else 6
    with open_(tmp_path) as journal:
        assert journal.give_up_damaged() == 20 - whole
        assert (journal.count, journal.pruned) == (whole, whole)
        assert list(journal.blocks()) == list(enumerate(blocks))[:whole]
        assert journal.archive.end() == whole
        assert journal.find(0, whole + 1) is None
        others = [block(1, height) for height in range(1, 15)]
        journal.append(others)
        journal.prune(at(*range(whole + 3)))
    with open_(tmp_path) as journal:
        assert [data for _, data in journal.blocks()] == blocks[:whole] + others
        assert journal.damaged() == {}


def test_a_crash_while_it_is_given_up_leaves_nothing_that_counts(tmp_path, monkeypatch):
    blocks = [block(0, height) for height in range(1, 11)]
    others = [block(1, height) for height in range(1, 11)]
    with open_(tmp_path) as journal:
        journal.append(blocks)
        journal.prune(at(*range(8)))
        flip(journal.archive.files()[0], blocks[3])
        # The archive still has what the journal has given up.
        monkeypatch.setattr("harambee.node.archive.Archive.cut", lambda *_: None)
        assert journal.give_up_damaged() == 7
    with open_(tmp_path) as journal:
        assert list(journal.blocks()) == list(enumerate(blocks))[:3]
        assert journal.damaged() == {}
        journal.append(others)
        assert journal.prune(at(*range(13))) == 10
        assert [data for _, data in journal.blocks()] == blocks[:3] + others


def test_an_archive_that_cannot_be_written_changes_nothing(tmp_path):
    with open_(tmp_path) as journal:
        journal.append([ONE, TWO])
        (tmp_path / "archive").write_text("not a folder")
        with pytest.raises(JournalFull, match=r"the archive .* cannot be written"):
            journal.prune(at(0, 1))
        assert [data for _, data in journal.blocks()] == [ONE, TWO]
        assert journal.pruned == 0


def test_the_archive_may_lie_elsewhere(tmp_path):
    place = tmp_path / "large disk"
    network = bytes(range(32))
    with Journal.open(tmp_path / "journal", network, 2, 0, 1 << 30, archive=place) as journal:
        journal.append([ONE, TWO])
        assert journal.prune(at(0)) == 1
    assert len(list(place.iterdir())) == 1
    with Journal.open_to_read(tmp_path / "journal", place) as journal:
        assert [data for _, data in journal.blocks()] == [ONE, TWO]


# -- beside one who appends -----------------------------------------------------------------------


def test_it_ends_when_told_to_and_goes_on_later(tmp_path, small_files):
    blocks = [block(0, height) for height in range(1, 101)]
    with open_(tmp_path) as journal:
        journal.append(blocks)
        for questions in (0, 6, 9):
            answers = itertools.chain([False] * questions, itertools.repeat(True))
            journal.prune(at(*range(100)), answers.__next__)
            assert list(journal.blocks()) == list(enumerate(blocks))
        assert 0 < journal.pruned < 100
        journal.prune(at(*range(100)))
        assert journal.pruned == 100
        assert list(journal.blocks()) == list(enumerate(blocks))


def test_appends_get_their_turn_between_the_steps_of_pruning(tmp_path, small_files):
    """Wherever pruning pauses, an append goes through: it never waits for more than one step."""
    blocks = [block(0, height) for height in range(1, 101)]
    with open_(tmp_path) as journal:
        journal.append(blocks)

        def one_more():
            blocks.append(block(0, len(blocks) + 1))
            thread = threading.Thread(target=journal.append, args=([blocks[-1]],))
            thread.start()
            thread.join(30)
            assert not thread.is_alive()
            return False

        journal.prune(at(*range(100)), one_more)
        assert len(blocks) > 110
        assert list(journal.blocks()) == list(enumerate(blocks))


def test_who_appends_writes_before_who_prunes_again():
    pen, wrote = _Pen(), []

    def append():
        with pen.to_append():
            wrote.append("appended")

    for turn in range(1, 21):
        thread = threading.Thread(target=append)
        with pen.to_prune():
            thread.start()
            while not pen._appending:
                time.sleep(0)
            assert len(wrote) == turn - 1
        with pen.to_prune():
            assert len(wrote) == turn
        thread.join()


def bytes_of_names(journal):
    """The pages of the index, which grows by some 60 bytes with every block, wherever that lies."""
    with journal._environment.begin() as transaction:
        tree = transaction.stat(journal._ids)
    return (tree["leaf_pages"] + tree["branch_pages"]) * tree["psize"]


def test_a_journal_that_is_pruned_and_appended_to_in_turn_does_not_grow(tmp_path):
    """LMDB's file never shrinks; it uses pages again that nobody reads any more."""
    file = tmp_path / "data.mdb"
    sizes = []
    height = 0
    with open_(tmp_path) as journal:
        for _ in range(15):
            for _ in range(20):
                batch = [
                    block(0, height + row, size=(300, 1_500, 9_000)[row % 3])
                    for row in range(1, 25)
                ]
                height += len(batch)
                journal.append(batch)
            journal.prune(np.arange(journal.count - 50, dtype=np.int64))
            sizes.append(file.stat().st_size - bytes_of_names(journal))
        assert journal.count == 15 * 480
        written = sum(archived.stat().st_size for archived in journal.archive.files())
    assert max(sizes[4:]) <= max(sizes[:4]) * 5 // 4
    assert max(sizes) < written // 6


WORKER = """
import sys, threading
import numpy as np
from pathlib import Path
import harambee.node.archive, harambee.node.journal
harambee.node.archive.FILE_BYTES = harambee.node.journal.FILE_BYTES = 20_000
from harambee.node.journal import Journal
from tests.node.test_pruning import numbered_block
journal = Journal.open(Path(sys.argv[1]), bytes(range(32)), 2, 0)
print("open", journal.count, flush=True)
def prune():
    dice = np.random.default_rng(journal.count)
    while True:
        some = np.flatnonzero(dice.random(max(1, journal.count - 20)) < 0.7)
        if journal.count > 30:
            journal.prune(some.astype(np.int64))
threading.Thread(target=prune, daemon=True).start()
while True:
    first = journal.count
    journal.append([numbered_block(p) for p in range(first, first + 1 + first % 7)])
    print(journal.count, flush=True)
"""


def numbered_block(position):
    return block(2, position + 1, size=200 + position % 5 * 150)


def test_what_a_killed_pruner_moved_is_in_one_place_or_in_both(tmp_path):
    dice = random.Random(679_300_000)
    root = Path(__file__).parents[2]
    source = str(Path(harambee.__file__).parents[1])
    environment = os.environ | {"PYTHONPATH": f"{source}{os.pathsep}{root}"}
    reported, pruned = 0, 0
    for _ in range(8):
        with subprocess.Popen(
            [sys.executable, "-c", WORKER, str(tmp_path)],
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        ) as worker:
            assert worker.stdout is not None
            assert worker.stdout.readline().startswith("open")
            # The moment is random twice over: which report, and how long a spin after it.
            for _ in range(dice.randrange(5, 40)):
                reported = int(worker.stdout.readline())
            for _ in range(dice.randrange(20_000)):
                pass
            worker.kill()
            rest = [line for line in worker.stdout.read().split("\n")[:-1] if line]
            reported = max([reported, *map(int, rest)])
        with open_(tmp_path) as journal:
            assert journal.count >= reported
            assert journal.pruned >= pruned
            pruned = journal.pruned
            assert list(journal.blocks()) == [(p, numbered_block(p)) for p in range(journal.count)]
            assert journal.damaged() == {}
            for position in range(journal.count):
                assert journal.find(2, position + 1) == position
                assert journal.read(position) == numbered_block(position)
    assert pruned > 50
