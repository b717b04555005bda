"""The archive: what is put in is found again, whatever order it comes in; a file that lies is refused."""

import itertools
import os
import random
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harambee.node.archive import Archive, ArchiveDamaged, ArchiveRefused
from harambee.node.sealing import sealed

NETWORK, EPOCH, AUTHOR = bytes(range(32)), 3, 2
HEAD = struct.Struct("<16s32sIH2xI")


def block(position, size=200):
    return random.Random(f"{position}/{size}").randbytes(size)


def archive(folder):
    return Archive(folder / "archive", NETWORK, EPOCH, AUTHOR)


def numbered(positions, size=200):
    return [(position, block(position, size)) for position in positions]


@pytest.fixture
def small_files(monkeypatch):
    """Files of some five blocks."""
    monkeypatch.setattr("harambee.node.archive.FILE_BYTES", 1_000)


def content(folder):
    return {file.name: file.read_bytes() for file in (folder / "archive").iterdir()}


def test_a_file_has_the_bytes_that_the_document_says(tmp_path):
    archive(tmp_path).append(numbered([7, 9]))
    head = b"hrb1:archive\0\0\0\0" + NETWORK + struct.pack("<IHHI", EPOCH, AUTHOR, 0, 2)
    entries = [struct.pack("<QI", p, 200) + sealed(block(p)) for p in (7, 9)]
    assert content(tmp_path) == {"blocks-000000000007.archive": head + b"".join(entries)}


def test_what_is_not_there_is_none_and_nothing_is_made_by_looking(tmp_path):
    here = archive(tmp_path)
    assert here.read(0) is None
    assert list(here.blocks()) == []
    assert here.end() == 0
    assert here.files() == []
    here.append([])
    here.cut(0)
    assert list(tmp_path.iterdir()) == []


def test_large_files_are_begun_anew_and_small_ones_grow(tmp_path, small_files):
    here = archive(tmp_path)
    here.append(numbered(range(11)))
    names = [file.name for file in here.files()]
    assert names == [f"blocks-{first:012}.archive" for first in (0, 5, 10)]
    here.append(numbered(range(11, 14)))  # the last file was less than half full
    assert [file.name for file in here.files()] == names
    before = content(tmp_path)
    here.append(numbered(range(14, 16)))  # and now it is not: a new one, the others stay
    assert before.items() <= content(tmp_path).items()
    assert [file.name for file in here.files()] == [*names, "blocks-000000000014.archive"]
    assert list(here.blocks(3)) == numbered(range(3, 16))
    assert here.end() == 16


def test_what_belongs_between_others_is_put_there(tmp_path, small_files):
    here = archive(tmp_path)
    here.append(numbered(range(0, 60, 3)))
    here.append(numbered(p for p in range(60) if p % 3 == 1))
    here.append(numbered(p for p in range(80) if p % 3 == 2 or p >= 60))
    assert list(here.blocks()) == numbered(range(80))
    assert all(here.read(position) == block(position) for position in range(80))
    assert max(file.stat().st_size for file in here.files()) < 1_300


def test_behind_files_that_are_away_nothing_is_put_into_those_before_them(tmp_path, small_files):
    here = archive(tmp_path)
    here.append(numbered([0, 1]))
    here.append(numbered([5]), end=5)  # 2, 3 and 4 are away
    assert [file.name for file in here.files()] == [
        f"blocks-{first:012}.archive" for first in (0, 5)
    ]
    here.append(numbered([6]), end=6)
    assert [file.name for file in here.files()] == [
        f"blocks-{first:012}.archive" for first in (0, 5)
    ]
    # A straggler is put where it belongs, and what comes with it behind all others is not.
    other = archive(tmp_path / "other")
    (tmp_path / "other").mkdir()
    other.append(numbered([0, 2]))
    other.append(numbered([1, 8]), end=8)
    assert [file.name for file in other.files()] == [
        f"blocks-{first:012}.archive" for first in (0, 8)
    ]
    assert list(other.blocks()) == numbered([0, 1, 2, 8])


@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_it_is_a_table_of_blocks_by_position(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("model")
    writer, reader = archive(folder), archive(folder)
    model = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("harambee.node.archive.FILE_BYTES", data.draw(st.sampled_from([300, 2_000])))
        for _ in range(data.draw(st.integers(1, 5))):
            size = data.draw(st.integers(160, 300))
            if data.draw(st.integers(0, 4)) == 0:
                end = data.draw(st.integers(0, 60))
                writer.cut(end)
                model = {position: kept for position, kept in model.items() if position < end}
            else:
                some = sorted(data.draw(st.sets(st.integers(0, 60), max_size=30)))
                writer.append(numbered(some, size))
                model |= dict(numbered(some, size))
            start = data.draw(st.integers(0, 61))
            expected = sorted(model.items())
            for one in (writer, reader, archive(folder)):
                assert list(one.blocks(start)) == [row for row in expected if row[0] >= start]
                assert all(one.read(position) == model.get(position) for position in range(62))
                assert one.end() == max(model, default=-1) + 1
                damage = one.damage()
                assert (damage.positions.size, damage.ranges) == (0, [])


class Crashed(Exception):  # noqa: N818 - what has happened
    pass


def test_a_crash_before_any_step_loses_nothing_and_the_next_one_goes_on(
    tmp_path, monkeypatch, small_files
):
    """Every call that names, syncs or opens a file is the last one once."""
    old, new = numbered(range(0, 30, 2)), numbered(range(1, 40, 2))
    for crash_at in itertools.count():
        folder = tmp_path / str(crash_at)
        folder.mkdir()
        archive(folder).append(old)
        steps = itertools.count()

        def step(real, steps=steps, crash_at=crash_at):
            def stepped(*args, **kwargs):
                if next(steps) == crash_at:
                    raise Crashed
                return real(*args, **kwargs)

            return stepped

        with monkeypatch.context() as patch:
            # A crash cleans up nothing.
            patch.setattr("pathlib.Path.unlink", lambda *args, **kwargs: None)
            for name in ("fsync", "fdatasync", "open"):
                patch.setattr(f"os.{name}", step(getattr(os, name)))
            patch.setattr("pathlib.Path.replace", step(Path.replace))
            try:
                archive(folder).append(new)
                crashed = False
            except Crashed:
                crashed = True
        after = archive(folder)
        there = dict(after.blocks())
        assert dict(old).items() <= there.items() <= dict(old + new).items()
        assert not after.damage().ranges
        assert all(after.read(position) == kept for position, kept in there.items())
        after.append(new)
        assert list(after.blocks()) == sorted(old + new)
        assert not [name for name in content(folder) if name.startswith(".")]
        if not crashed:
            break
    assert crash_at > 20


def test_files_that_were_taken_away_come_back(tmp_path, small_files):
    here = archive(tmp_path)
    here.append(numbered(range(12)))
    away = here.files()[1]
    assert here.read(6) == block(6)
    away.rename(tmp_path / "tape")
    assert here.read(6) is None
    assert here.read(4) == block(4)
    assert [position for position, _ in here.blocks()] == [0, 1, 2, 3, 4, 10, 11]
    (tmp_path / "tape").rename(away)
    assert here.read(6) == block(6)
    assert [position for position, _ in here.blocks(4)] == list(range(4, 12))


def test_a_damaged_block_is_never_returned_and_its_neighbours_are(tmp_path):
    here = archive(tmp_path)
    here.append(numbered(range(100)))
    (file,) = here.files()
    data = bytearray(file.read_bytes())
    data[data.index(block(70)) + 50] ^= 1
    file.write_bytes(data)
    assert here.read(69) == block(69)
    assert here.read(71) == block(71)
    with pytest.raises(ArchiveDamaged, match="block 70 is damaged") as found:
        here.read(70)
    assert found.value.position == 70
    with pytest.raises(ArchiveDamaged, match="block 70 is damaged"):
        list(here.blocks())
    assert list(here.damage().positions) == [70]
    here.append(numbered([70]))
    assert list(here.blocks()) == numbered(range(100))
    assert not here.damage().positions.size


def lies():
    """(what is changed in a file of the blocks 5, 6 and 9, what is said of it)."""
    first, second = HEAD.size, HEAD.size + 12 + 216
    yield "magic", 0, b"HRB1", "does not begin as an archive does"
    yield "kind", 12, b"!", "does not begin as an archive does"
    yield "network", 20, b"\xff", "of another network"
    yield "epoch", 48, b"\4", "of another epoch"
    yield "author", 52, b"\4", "of another author"
    yield "zero", 54, b"\1", "should be zero"
    yield "no blocks", 56, bytes(4), "cannot have 0 blocks"
    yield "fewer blocks", 56, b"\2", "bytes behind its last block"
    yield "more blocks", 56, b"\4", "ends where the block behind 9 should begin"
    yield "very many blocks", 56, b"\xff" * 4, "cannot have 4294967295 blocks"
    yield "first position", first, b"\4", "stands behind 4"
    yield "another first position", first, b"\6", "stands behind 6"
    yield "equal positions", second, b"\5", "position 5 stands behind 5"
    yield "huge position", second, b"\xff" * 8, "stands behind 18446744073709551615"
    yield "longer", first + 8, b"\xc9", "cannot have|stands behind|should begin"
    yield "enormous", first + 8, b"\xff" * 4, "block 5 cannot have 4294967295 bytes"
    yield "past the end", second + 8, b"\xff\xff\0\0", "block 6 cannot have 65535 bytes"


@pytest.mark.parametrize(
    ("at", "lie", "sentence"), [pytest.param(*row[1:], id=row[0]) for row in lies()]
)
def test_a_file_that_lies_is_refused_with_a_sentence(tmp_path, at, lie, sentence):
    here = archive(tmp_path)
    here.append(numbered([5, 6, 9]))
    (file,) = here.files()
    data = bytearray(file.read_bytes())
    data[at : at + len(lie)] = lie
    file.write_bytes(data)
    with pytest.raises(ArchiveDamaged, match=sentence) as refused:
        here.read(6)
    assert str(refused.value).startswith(f"{file} is refused: ")
    with pytest.raises(ArchiveDamaged, match=sentence):
        list(here.blocks())
    with pytest.raises(ArchiveRefused, match=sentence):
        here.end()
    ((first, end, said),) = here.damage().ranges
    assert (first, end) == (5, 1 << 62)
    assert said == str(refused.value)
    # What comes again makes it whole, and the refused file stays for who wants to look at it.
    here.append(numbered([5, 6, 9]))
    assert list(here.blocks()) == numbered([5, 6, 9])
    assert (tmp_path / "archive" / "blocks-000000000005.refused").read_bytes() == data


def test_a_file_that_cannot_be_opened_is_refused_and_no_reason_to_wait(tmp_path, small_files):
    here = archive(tmp_path)
    here.append(numbered(range(12)))
    file = here.files()[1]
    file.unlink()
    file.symlink_to(tmp_path / "nowhere")
    assert here.read(4) == block(4)
    with pytest.raises(ArchiveDamaged, match="cannot be read"):
        here.read(5)
    assert [row[:2] for row in here.damage().ranges] == [(5, 10)]


@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_whatever_a_file_says_it_is_read_or_refused(tmp_path_factory, data):
    """Bytes changed, cut off and put behind: no other error, and never a block that was not put in."""
    folder = tmp_path_factory.getbasetemp() / "fuzzed"
    folder.mkdir(exist_ok=True)
    for file in archive(folder).files():
        file.unlink()
    here = archive(folder)
    put = dict(numbered([3, 4, 70, 71], 160))
    here.append(put.items())
    (file,) = here.files()
    raw = bytearray(file.read_bytes())
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.one_of(st.integers(0, 80), st.integers(0, len(raw) - 1)))
        raw[at] = data.draw(st.integers(0, 255))
    raw = raw[: data.draw(st.one_of(st.just(len(raw)), st.integers(0, len(raw))))]
    raw += data.draw(st.binary(max_size=300))
    file.write_bytes(raw)
    for position in (0, 3, 4, 5, 70, 71, 72):
        try:
            found = here.read(position)
        except ArchiveDamaged:
            continue
        assert found is None or found in put.values()
    try:
        assert set(dict(here.blocks()).values()) <= set(put.values())
    except ArchiveDamaged:
        damage = here.damage()
        assert damage.positions.size or damage.ranges


def test_a_random_file_is_refused(tmp_path):
    here = archive(tmp_path)
    (tmp_path / "archive").mkdir()
    for size in (0, 1, 59, 60, 61, 5_000):
        (tmp_path / "archive" / "blocks-000000000000.archive").write_bytes(block(0, size))
        with pytest.raises(ArchiveDamaged):
            here.read(0)
    (tmp_path / "archive" / "shopping-list.archive").write_bytes(b"milk")
    assert len(here.files()) == 1
