"""A journal that others read: while its owner appends, when nobody owns it, on a read-only disk."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from tests.node.test_journal import NETWORK, block, open_

import harambee
from harambee.node.journal import Journal, JournalError, JournalReader
from harambee.protocol.effects import Name
from harambee.protocol.wire import digest_of

WRITING = {"append", "repair", "give_up_damaged", "keep_evidence"}

READER = """
import sys
from pathlib import Path
from harambee.node.journal import Journal
with Journal.open_to_read(Path(sys.argv[1])) as journal:
    print(journal.network.hex(), journal.author, journal.epoch, flush=True)
    while sys.stdin.readline():
        blocks = list(journal.blocks())
        assert [position for position, _ in blocks] == list(range(len(blocks)))
        assert journal.count >= len(blocks)
        assert all(journal.find(data[2], int.from_bytes(data[8:12], "little")) == position
                   for position, data in blocks)
        print(len(blocks), flush=True)
"""


@pytest.fixture
def reader(tmp_path):
    """A process that reads the journal in `tmp_path` as often as it is asked."""
    environment = os.environ | {"PYTHONPATH": str(Path(harambee.__file__).parents[1])}
    open_(tmp_path, author=2, epoch=7).close()
    with subprocess.Popen(
        [sys.executable, "-c", READER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        yield process
        process.stdin.close()
        assert process.wait(30) == 0


def seen_by(reader):
    reader.stdin.write("look\n")
    reader.stdin.flush()
    return int(reader.stdout.readline())


def test_another_process_reads_whole_appends_while_the_owner_writes(tmp_path, reader):
    assert reader.stdout.readline() == f"{NETWORK.hex()} 2 7\n"
    with open_(tmp_path, epoch=7) as journal:
        assert seen_by(reader) == 0
        stop = threading.Event()

        def write():
            height = 0
            while not stop.is_set():
                height += 1
                journal.append([block(author, height, size=900) for author in range(4)])

        writer = threading.Thread(target=write)
        writer.start()
        try:
            seen = [seen_by(reader)]
            while seen[-1] < 80:
                seen.append(seen_by(reader))
        finally:
            stop.set()
            writer.join()
        assert all(count % 4 == 0 for count in seen)
        assert seen == sorted(seen)
        assert len(set(seen)) > 2
        assert seen_by(reader) == journal.count
    # The owner has gone and comes back: who reads does not notice, and is no owner.
    with open_(tmp_path, epoch=7) as journal:
        journal.append([block(9, 1)])
        assert seen_by(reader) == journal.count


def test_a_journal_that_nobody_owns_is_read_in_every_way(tmp_path):
    first, fork, far = block(1, 1), block(1, 1, size=300), block(0, 1, incarnation=2)
    with open_(tmp_path) as journal:
        journal.append([first, fork, far])
        journal.keep_evidence(1, b"a fork")
        journal.re_entering = True
    with Journal.open_to_read(tmp_path) as reader:
        assert (reader.network, reader.author, reader.epoch) == (NETWORK, 2, 0)
        assert reader.count == 3
        assert reader.re_entering
        assert reader.read(1) == fork
        assert list(reader.blocks(1)) == [(1, fork), (2, far)]
        assert reader.find(0, 1, incarnation=2) == 2
        assert reader.find_digest(Name(1, 0, 1, digest_of(fork))) == fork
        assert reader.range_of(1, 1, 1, 1_000) == [first]
        assert reader.evidence() == {1: b"a fork"}
        assert reader.damaged() == {}
        with pytest.raises(IndexError):
            reader.read(3)


def test_who_reads_cannot_write(tmp_path):
    open_(tmp_path).close()
    with Journal.open_to_read(tmp_path) as reader:
        assert type(reader) is JournalReader
        assert not WRITING & set(dir(reader))
        assert set(dir(Journal)) > WRITING
        with pytest.raises(AttributeError):
            reader.re_entering = True


def test_reading_changes_no_file_but_the_note_of_who_reads(tmp_path):
    with open_(tmp_path) as journal:
        journal.append([block(1, 1)])
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    with Journal.open_to_read(tmp_path) as reader:
        assert reader.count == 1
    after = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    assert before.keys() == after.keys()
    assert {name for name in before if before[name] != after[name]} <= {"lock.mdb"}


def test_where_no_journal_is_none_is_made(tmp_path):
    with pytest.raises(JournalError, match="there is no journal in"):
        Journal.open_to_read(tmp_path / "nowhere")
    with pytest.raises(JournalError, match="there is no journal in"):
        Journal.open_to_read(tmp_path)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "data.mdb").write_bytes(b"shopping list" * 2_000)
    with pytest.raises(JournalError, match="cannot read the journal"):
        Journal.open_to_read(tmp_path)


def test_one_process_does_not_open_it_twice(tmp_path):
    with open_(tmp_path), pytest.raises(JournalError, match="already open in this process"):
        Journal.open_to_read(tmp_path)


@pytest.mark.accept
def test_a_disk_that_nobody_may_write_is_read(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root may mount")
    with open_(tmp_path / "journal") as journal:
        journal.append([block(1, 1)])
    (tmp_path / "seen").mkdir()
    places = [str(tmp_path / "journal"), str(tmp_path / "seen")]
    mount = ["mount", "--bind", "-o", "ro", *places]
    if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("mounting is not allowed here")
    try:
        with Journal.open_to_read(tmp_path / "seen") as reader:
            assert reader.read(0) == block(1, 1)
    finally:
        subprocess.run(["umount", places[1]], check=True)
