"""Alert rules and dashboard ask for metrics that exist, and say what to do."""

import json
import logging
import re
from pathlib import Path

import pytest
import yaml

from harambee.gateways.http import metrics
from harambee.node.logs import JsonLines

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
NAME = re.compile(r"harambee_[a-z_]+")
HISTOGRAMS = [
    f"{metrics.PREFIX}{metric.name}_{suffix}"
    for group in metrics.GROUPS
    for metric in group.metrics
    if metric.kind == metrics.HISTOGRAM
    for suffix in ("bucket", "sum", "count")
]
KNOWN = {*metrics.names(), *HISTOGRAMS}


def rules():
    document = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text(encoding="utf-8"))
    return [rule for group in document["groups"] for rule in group["rules"]]


def anchors():
    """The headings of docs/operating.md as links name them."""
    text = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
    heads = re.findall(r"^#{2,3} (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^a-z0-9 -]", "", head.lower()).replace(" ", "-") for head in heads}


def panels():
    board = json.loads((DEPLOY / "grafana" / "harambee.json").read_text(encoding="utf-8"))
    return [panel for panel in board["panels"] if panel["type"] != "row"]


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_an_alert_is_a_sentence_about_metrics_that_exist_with_a_runbook(rule):
    assert set(NAME.findall(rule["expr"])) <= KNOWN
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    summary, runbook = rule["annotations"]["summary"], rule["annotations"]["runbook"]
    assert summary.endswith(".")
    page, _, anchor = runbook.partition("#")
    assert (ROOT / page).is_file()
    assert anchor in anchors()


def test_alerts_have_names_of_their_own():
    names = [rule["alert"] for rule in rules()]
    assert len(names) == len(set(names)) >= 20


@pytest.mark.parametrize("panel", panels(), ids=lambda panel: panel["title"])
def test_a_panel_explains_itself_and_asks_for_metrics_that_exist(panel):
    assert panel["description"].endswith(".")
    asked = [name for target in panel["targets"] for name in NAME.findall(target["expr"])]
    assert asked
    assert set(asked) <= KNOWN


def test_panels_do_not_lie_on_each_other():
    taken = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels())
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(taken) == len(set(taken))
    assert all(x < 24 for x, _ in taken)


def test_the_example_of_a_prometheus_reads_the_rules():
    document = yaml.safe_load(
        (DEPLOY / "prometheus" / "prometheus.yml").read_text(encoding="utf-8")
    )
    assert document["rule_files"] == ["alerts.yml"]
    (job,) = document["scrape_configs"]
    # The alert of a super-agent that does not answer asks for this name.
    assert (job["job_name"], job["metrics_path"]) == ("harambee", "/metrics")


def test_a_collector_reads_what_a_super_agent_logs_and_every_part_of_it_is_used():
    text = (DEPLOY / "opentelemetry" / "collector.yaml").read_text(encoding="utf-8")
    document = yaml.safe_load(text)
    for kind in ("receivers", "processors", "exporters"):
        used = {name for line in document["service"]["pipelines"].values() for name in line[kind]}
        assert used == set(document[kind])
    (job,) = document["receivers"]["prometheus"]["config"]["scrape_configs"]
    assert job["metrics_path"] == "/metrics"
    record = logging.LogRecord("harambee", logging.INFO, "", 0, "it says", (), None)
    said = json.loads(JsonLines(["amani"]).format(record))
    parser, move = document["receivers"]["filelog"]["operators"]
    asked = [parser["timestamp"]["parse_from"], parser["severity"]["parse_from"], move["from"]]
    assert {name.removeprefix("attributes.") for name in asked} <= set(said)
    # The layout is Go's: the same length, digit for digit, as what is written.
    layout = parser["timestamp"]["layout"].replace("Z07:00", "+00:00")
    assert re.sub(r"\d", "0", layout) == re.sub(r"\d", "0", said["time"])
