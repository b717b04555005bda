"""Whoever checks the segments, the answer is one; and who makes them waits for who checks them."""

import dataclasses
import itertools
import json

import pytest
from tests.audit.histories import audited, blocks_of, genesis_of_tests, journal_of, payments
from tests.protocol.network import customer_key, customers, sign_again

from harambee.audit import recomputing, workers
from harambee.audit.segments import SegmentReport, check_segment
from harambee.audit.workers import WorkersError, chosen, here, in_order, in_processes, on_ray

GENESIS = genesis_of_tests()


def answer(found):
    """All that an audit says, but for how long it took and by how many."""
    document = found.as_json()
    for name in ("seconds", "orders_per_second", "workers"):
        del document[name]
    return json.dumps(document)


@pytest.fixture
def forged(tmp_path):
    """A journal with orders that their payers have not signed, here and there."""
    groups = [payments(60)[start : start + 6] for start in range(0, 60, 6)]
    stranger = customer_key(customers(1)[0])
    for group in groups[::3]:
        sign_again(group[4], stranger)
    with journal_of(tmp_path / "forged", GENESIS, blocks_of(*groups)) as journal:
        yield journal


@pytest.mark.timeout(300)
def test_processes_say_what_this_one_says(forged, monkeypatch):
    monkeypatch.setattr(recomputing, "SEGMENT_SIGNATURES", 8)
    with in_processes(2) as both:
        spread = audited(forged, GENESIS, both)
    alone = audited(forged, GENESIS)
    assert answer(spread) == answer(alone)
    assert (spread.workers, alone.workers) == (2, 1)
    assert [finding.row for finding in alone.findings] == [4, 4, 4, 4]


@pytest.mark.parametrize("each", [1, 7, 1_000])
def test_how_a_journal_is_cut_changes_nothing(forged, monkeypatch, each):
    whole = answer(audited(forged, GENESIS))
    monkeypatch.setattr(recomputing, "SEGMENT_SIGNATURES", each)
    assert answer(audited(forged, GENESIS)) == whole


def test_a_segment_is_of_bounded_size_and_its_report_follows_from_its_bytes(forged, monkeypatch):
    monkeypatch.setattr(recomputing, "SEGMENT_SIGNATURES", 8)
    kept = []

    def check(segments):
        for segment in segments:
            kept.append(segment)
            yield check_segment(segment)

    audited(forged, GENESIS, workers.Workers(1, check))
    assert len(kept) > 4
    assert [segment.number for segment in kept] == list(range(len(kept)))
    for segment in kept:
        report = check_segment(segment)
        assert report == check_segment(dataclasses.replace(segment))
        assert report.signatures_checked <= 8 + 6, "a block's orders stay together"


def test_no_more_segments_are_made_than_there_is_room_for():
    made = itertools.count()
    out = []
    received = in_order(
        (next(made) for _ in range(10)),
        lambda number: out.append(number) or number,
        lambda number: SegmentReport(number, 0, b"", b"", b""),
        3,
    )
    for expected in range(10):
        assert next(received).number == expected
        assert len(out) - expected <= 3


def test_a_worker_that_dies_ends_the_audit_in_a_sentence(forged, monkeypatch):
    monkeypatch.setattr(workers, "check_segment", dies)
    with (
        pytest.raises(WorkersError, match="worker process ended"),
        in_processes(1) as one,
    ):
        audited(forged, GENESIS, one)


def dies(_segment):
    import os

    os._exit(1)


def test_without_ray_one_sentence_says_how_to_install_it(monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(workers, "import_module", missing)
    with pytest.raises(WorkersError, match=r"pip install 'harambee\[ray\]'"), on_ray("auto"):
        pass


def test_one_worker_is_this_process(forged):
    with chosen(1, None) as alone, here() as same:
        assert alone.count == same.count == 1
