"""The journal: all or nothing, durable before it says so, and only ever one super-agent's."""

import itertools
import os
import random
import resource
import struct
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import harambee
from harambee.node.journal import HEAD_BYTES, Journal, JournalError, JournalFull

NETWORK = bytes(range(32))


def block(author: int, height: int, incarnation: int = 0, size: int = HEAD_BYTES) -> bytes:
    head = struct.pack("<HHIIHH", 1, author, 0, height, incarnation, 0)
    filler = random.Random(f"{author}/{height}/{incarnation}").randbytes(size - len(head))
    return head + filler


def open_(
    folder: Path,
    network: bytes = NETWORK,
    author: int = 2,
    epoch: int = 0,
    map_bytes: int = 1 << 30,
) -> Journal:
    return Journal.open(folder, network, author, epoch, map_bytes)


def test_what_is_appended_is_read_and_found(tmp_path):
    blocks = [block(0, 1), block(1, 1, size=9_000), block(0, 2), block(0, 1, incarnation=1)]
    with open_(tmp_path / "new" / "journal") as journal:
        journal.append(blocks[:2])
        journal.append([])
        journal.append(blocks[2:])
        assert journal.count == 4
        assert [journal.read(i) for i in range(4)] == blocks
        assert list(journal.blocks()) == list(enumerate(blocks))
        assert list(journal.blocks(start=3)) == [(3, blocks[3])]
        assert journal.find(0, 2) == 2
        assert journal.find(0, 1, incarnation=1) == 3
        assert journal.find(7, 1) is None
        with pytest.raises(IndexError):
            journal.read(4)


def test_a_range_ends_at_a_gap_and_within_the_budget_but_never_empty_for_size(tmp_path):
    with open_(tmp_path) as journal:
        journal.append([block(3, height, size=1_000) for height in (1, 2, 3, 5)])
        assert journal.range_of(3, 1, 9, 10_000) == [block(3, h, size=1_000) for h in (1, 2, 3)]
        assert journal.range_of(3, 2, 2, 10_000) == [block(3, 2, size=1_000)]
        assert journal.range_of(3, 1, 9, 2_999) == [block(3, h, size=1_000) for h in (1, 2)]
        assert journal.range_of(3, 1, 9, 10) == [block(3, 1, size=1_000)]
        assert journal.range_of(3, 4, 9, 10_000) == []
        assert journal.range_of(4, 1, 9, 10_000) == []


def test_the_first_of_two_branches_keeps_the_id(tmp_path):
    first, second = block(1, 1), block(1, 1, size=500)
    with open_(tmp_path) as journal:
        journal.append([first, second])
        assert journal.find(1, 1) == 0
        assert journal.read(1) == second


def test_bytes_too_short_for_a_block_change_nothing(tmp_path):
    with open_(tmp_path) as journal:
        with pytest.raises(ValueError, match="at least 160 bytes"):
            journal.append([block(0, 1), b"short"])
        assert journal.count == 0
        assert list(journal.blocks()) == []


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"network": bytes(32)}, "belongs to another network"),
        ({"author": 3}, "belongs to super-agent 2, not 3"),
        ({"epoch": 1}, "belongs to epoch 0, not 1"),
    ],
)
def test_a_journal_of_another_is_refused_unchanged(tmp_path, changes, sentence):
    with open_(tmp_path) as journal:
        journal.append([block(0, 1)])
    with pytest.raises(JournalError, match=sentence):
        open_(tmp_path, **changes)
    with open_(tmp_path) as journal:
        assert journal.count == 1


def test_a_journal_in_use_is_refused(tmp_path):
    with open_(tmp_path), pytest.raises(JournalError, match="in use by another running process"):
        open_(tmp_path)
    open_(tmp_path).close()


def test_a_file_that_is_no_journal_is_refused(tmp_path):
    (tmp_path / "data.mdb").write_bytes(b"shopping list" * 2_000)
    with pytest.raises(JournalError, match="is damaged or no journal"):
        open_(tmp_path)


def test_a_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(JournalError, match="cannot open the journal"):
        open_(tmp_path / "file")


def fill(journal: Journal) -> list[bytes]:
    """Append until it is refused; return what was taken."""
    taken: list[bytes] = []
    for height in itertools.count(1):
        batch = [block(2, height, size=3_000), block(1, height, size=70_000)]
        try:
            journal.append(batch)
        except JournalFull:
            return taken
        taken += batch
    raise AssertionError


def test_a_full_map_changes_nothing_and_a_larger_one_goes_on(tmp_path):
    with open_(tmp_path, map_bytes=1 << 20) as journal:
        taken = fill(journal)
        assert taken
        assert [data for _, data in journal.blocks()] == taken
        assert journal.count == len(taken)
    with open_(tmp_path, map_bytes=4 << 20) as journal:
        journal.append([block(3, 1)])
        assert [data for _, data in journal.blocks()] == [*taken, block(3, 1)]


def test_a_file_that_may_not_grow_changes_nothing_and_goes_on_later(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with open_(tmp_path) as journal:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))
        try:
            taken = fill(journal)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert taken
        assert [data for _, data in journal.blocks()] == taken
        journal.append([block(3, 1)])
    with open_(tmp_path) as journal:
        assert [data for _, data in journal.blocks()] == [*taken, block(3, 1)]


@pytest.mark.accept
def test_a_full_disk_changes_nothing_and_goes_on_when_there_is_room(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)]
    if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("mounting is not allowed here")
    try:
        ballast = tmp_path / "ballast"
        ballast.write_bytes(bytes(300_000))
        with open_(tmp_path / "journal") as journal:
            taken = fill(journal)
            assert taken
            assert [data for _, data in journal.blocks()] == taken
            ballast.unlink()
            journal.append([block(3, 1)])
            assert [data for _, data in journal.blocks()] == [*taken, block(3, 1)]
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


batches = st.lists(
    st.one_of(
        st.none(),  # close it and open it again
        st.lists(st.tuples(st.integers(0, 2), st.integers(160, 6_000)), max_size=5),
    ),
    max_size=8,
)


@settings(deadline=None)
@given(steps=batches)
def test_it_is_a_list_of_blocks_with_an_index(tmp_path_factory, steps):
    folder = tmp_path_factory.mktemp("journal")
    heights = dict.fromkeys(range(3), 0)
    model = []
    journal = open_(folder, map_bytes=64 << 20)
    try:
        for step in steps:
            if step is None:
                journal.close()
                journal = open_(folder, map_bytes=64 << 20)
                continue
            batch = []
            for author, size in step:
                heights[author] += 1
                batch.append(block(author, heights[author], size=size))
            journal.append(batch)
            model += batch
        assert journal.count == len(model)
        assert list(journal.blocks()) == list(enumerate(model))
        for author, top in heights.items():
            chain = [data for data in model if data[2] == author]
            assert journal.range_of(author, 1, top, 1 << 30) == chain
            for height, data in enumerate(chain, 1):
                assert journal.find(author, height) == model.index(data)
            assert journal.find(author, top + 1) is None
    finally:
        journal.close()


def test_another_thread_reads_whole_appends_while_this_one_writes(tmp_path):
    with open_(tmp_path) as journal:
        stop = threading.Event()
        seen = []

        def read():
            while not stop.is_set():
                seen.append(len(list(journal.blocks())))

        reader = threading.Thread(target=read)
        reader.start()
        try:
            for height in range(1, 101):
                journal.append([block(author, height) for author in range(4)])
        finally:
            stop.set()
            reader.join()
        assert all(count % 4 == 0 for count in seen)
        assert seen == sorted(seen)


WRITER = """
import struct, sys
from pathlib import Path
from harambee.node.journal import Journal
journal = Journal.open(Path(sys.argv[1]), bytes(range(32)), 2, 0)
print("open", journal.count, flush=True)
while True:
    first = journal.count + 1
    batch = [struct.pack("<HHIIHH", 1, 2, 0, h, 0, 0) + h.to_bytes(4, "little") * 100
             for h in range(first, first + 1 + first % 7)]
    journal.append(batch)
    print(journal.count, flush=True)
"""


def test_what_a_killed_writer_reported_is_there_after_every_kill(tmp_path):
    dice = random.Random(679_300_000)
    environment = os.environ | {"PYTHONPATH": str(Path(harambee.__file__).parents[1])}
    reported = 0
    for _ in range(25):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)],
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        ) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline().startswith("open")
            # The moment is random twice over: which report, and how long a spin after it.
            for _ in range(dice.randrange(12)):
                reported = int(writer.stdout.readline())
            for _ in range(dice.randrange(20_000)):
                pass
            writer.kill()
            rest = [line for line in writer.stdout.read().split("\n")[:-1] if line]
            reported = max([reported, *map(int, rest)])
        with open_(tmp_path) as journal:
            assert journal.count >= reported
            for position, data in journal.blocks():
                height = position + 1
                assert data[16:] == height.to_bytes(4, "little") * 100
                assert journal.find(2, height) == position
