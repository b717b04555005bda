"""What /metrics writes, held against the table it is written from and the page that explains it."""

import re
from pathlib import Path

import pytest

from harambee.cli.reference import WHAT, page
from harambee.gateways.http import metrics

DOCS = Path(__file__).parents[2] / "docs"
SAMPLE = re.compile(
    r"(?P<name>[a-z_]+)(\{(?P<labels>[a-z_]+=\"([^\"\\\n]|\\[\\\"n])*\"(,[a-z_]+=\"[^\"\n]*\")*)\})?"
    r" -?[0-9]+(\.[0-9]+)?(e-?[0-9]+)?"
)


def whole_status():
    """A status with every fact that any metric tells."""
    status = {"name": "amani", "network": "ab" * 32, "ready": None}
    peer = {"name": 'a"b\\c\nd', "convicted": False}
    for group in metrics.GROUPS:
        for metric in group.metrics:
            for key in [key for _, key in metric.keys] or [metric.key]:
                told = {"up_to": [(0.1, 2)], "count": 3, "sum_s": 1.5}
                value = told if metric.kind == metrics.HISTOGRAM else 7
                (peer if metric.label == metrics.PEER else status)[key] = value
    return status | {"peers": [peer, {**peer, "name": "baraka"}]}


def families(text):
    return [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]


@pytest.mark.parametrize("what", WHAT)
def test_a_page_that_is_written_from_the_code_is_as_the_code_says(what):
    written = (DOCS / f"{what}.md").read_text(encoding="utf-8")
    assert written == page(what), f"harambee reference {what} > docs/{what}.md"


def test_every_metric_is_written_once_and_explained():
    text = metrics.render(whole_status())
    assert families(text) == metrics.names()
    explained = page("metrics")
    assert all(f"| `{name}" in explained for name in metrics.names())


def test_every_sample_is_of_the_format():
    samples = [
        line for line in metrics.render(whole_status()).splitlines() if not line.startswith("#")
    ]
    assert [line for line in samples if not SAMPLE.fullmatch(line)] == []
    assert len(samples) == len(set(samples))
    assert 'harambee_peer_height{peer="a\\"b\\\\c\\nd"} 7' in samples


def test_names_have_units_and_counters_say_that_they_are_totals():
    for group in metrics.GROUPS:
        for metric in group.metrics:
            assert metric.name.endswith("_total") == (metric.kind == metrics.COUNTER), metric
            assert not re.search(r"_(s|ms|milliseconds|kb|mb|minutes)(_|$)", metric.name), metric
            assert metric.says.endswith("."), metric


def test_a_histogram_ends_with_all_that_was_counted():
    text = metrics.render({"latency": {"up_to": [(0.1, 2), (1.0, 3)], "count": 4, "sum_s": 9.5}})
    assert text.splitlines()[-5:] == [
        'harambee_order_latency_seconds_bucket{le="0.1"} 2',
        'harambee_order_latency_seconds_bucket{le="1.0"} 3',
        'harambee_order_latency_seconds_bucket{le="+Inf"} 4',
        "harambee_order_latency_seconds_sum 9.5",
        "harambee_order_latency_seconds_count 4",
    ]


def test_what_is_not_known_is_left_out_and_no_zero():
    text = metrics.render({"name": "amani", "float_lasts_s": None, "ready": "It reads."})
    assert families(text) == ["harambee_build_info", "harambee_ready"]
    assert "harambee_ready 0\n" in text
