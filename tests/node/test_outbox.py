"""The outbox, and the note of how far texts were sent."""

import asyncio
import json
import stat

import numpy as np
import pytest

from harambee.node.outbox import Outbox, OutboxReader, file_of
from harambee.node.text_cursor import MARK, RECENT, CursorError, TextCursor
from harambee.node.texts import Text, TextPortError
from harambee.texts.languages import Language


def text(number):
    return Text(
        17, Language.ENGLISH, "sent", f"UC{number:08d}", number, f"UC{number:08d} Confirmed."
    )


def send(outbox, *numbers):
    asyncio.run(outbox.send([text(number) for number in numbers]))


def codes(lines):
    return [int(line.receipt_code[2:]) for line in lines]


def test_a_text_as_a_line_of_json(tmp_path):
    send(Outbox(tmp_path / "texts"), 1)
    file = tmp_path / "texts" / "outbox.jsonl"
    assert json.loads(file.read_text()) == {
        "time_ms": 1,
        "account": 17,
        "language": "en",
        "kind": "sent",
        "receipt_code": "UC00000001",
        "segments": 1,
        "text": "UC00000001 Confirmed.",
    }
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_files_are_bounded_in_size_and_number(tmp_path):
    outbox = Outbox(tmp_path, bytes_max=400, files_max=3)
    for number in range(50):
        send(outbox, number)
    files = sorted(tmp_path.iterdir())
    assert len(files) == 3
    assert all(file.stat().st_size <= 400 for file in files)
    newest = codes(OutboxReader(tmp_path).newest(100))
    assert newest == list(range(newest[0], 50))
    assert codes(OutboxReader(tmp_path).newest(2)) == [48, 49]


def test_whoever_follows_misses_nothing_when_files_change(tmp_path):
    outbox = Outbox(tmp_path, bytes_max=400, files_max=3)
    reader, seen = OutboxReader(tmp_path), []
    assert reader.further() == []
    for number in range(20):
        send(outbox, number)
        seen += codes(reader.further())
    assert seen == list(range(20))
    assert reader.further() == []


def test_a_line_that_a_crash_cut_off_is_passed_over(tmp_path):
    outbox, reader = Outbox(tmp_path), OutboxReader(tmp_path)
    send(outbox, 1)
    with file_of(tmp_path, 0).open("ab") as file:
        file.write(b'{"time_ms": 2, "acc')
    assert codes(reader.newest(9)) == [1]
    assert reader.further() == []
    send(outbox, 3)
    assert codes(reader.further()) == [3]


def test_a_disk_that_takes_nothing(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(TextPortError, match="cannot be written"):
        send(Outbox(tmp_path / "file" / "texts"), 1)


# -- how far -----------------------------------------------------------------------------------------


def marks(first, count):
    found = np.zeros(count, MARK)
    found["position"] = np.arange(first, first + count)
    return found


def test_without_a_file_texts_begin_where_one_says(tmp_path):
    cursor = TextCursor.read(tmp_path / "cursor.json", 7, 9, 3)
    assert (cursor.entries, len(cursor.recent)) == (7, 0)


@pytest.mark.parametrize("count", [0, 1, RECENT, RECENT + 500])
def test_a_restart_goes_back_a_little_and_knows_what_it_passes(tmp_path, count):
    cursor = TextCursor(tmp_path / "texts" / "cursor.json")
    cursor.advance(marks(0, count))
    cursor.write(blocks=40)
    again = TextCursor.read(cursor.file, 0, count + 5, 40)
    assert again.entries == max(0, count - RECENT)
    assert again.told(marks(again.entries, count - again.entries)).all()
    assert not again.told(marks(count, 5)).any()


def test_an_entry_that_stands_elsewhere_after_the_fold_is_told_once(tmp_path):
    cursor = TextCursor(tmp_path / "cursor.json")
    live = marks(0, 10)
    cursor.advance(live[:6])
    cursor.write(blocks=4)
    folded = live[[0, 1, 2, 3, 8, 4, 5, 6, 7, 9]]
    again = TextCursor.read(cursor.file, 0, 10, 4)
    untold = folded[again.entries :][~again.told(folded[again.entries :])]
    assert untold["position"].tolist() == [8, 6, 7, 9]


def test_a_lost_journal_is_told_anew(tmp_path):
    cursor = TextCursor(tmp_path / "cursor.json", 500)
    cursor.write(blocks=40)
    assert TextCursor.read(cursor.file, 0, 20, 39).entries == 0


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b'{"format":2,"entries":1,"blocks":1,"recent":""}',
        b'{"format":1,"entries":1,"blocks":1,"recent":"AAAA"}',
    ],
)
def test_a_damaged_cursor_says_so(tmp_path, content):
    file = tmp_path / "cursor.json"
    file.write_bytes(content)
    with pytest.raises(CursorError, match=r"cursor\.json"):
        TextCursor.read(file, 0, 0, 0)
    with pytest.raises(CursorError, match="cannot be written"):
        TextCursor(file / "x").write(0)
