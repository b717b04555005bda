"""A Prometheus of the distribution watches four super-agents, and rings when one is killed."""

import json
import re
import shutil
import subprocess
import urllib.parse
from pathlib import Path

import pytest
import yaml
from tests.accept.quiet_network import QuietNetwork, get, quiet_population, until

from harambee.traffic.temporary_network import TemporaryNetwork, free_ports

pytestmark = [pytest.mark.accept, pytest.mark.timeout(240)]

DEPLOY = Path(__file__).parents[2] / "deploy" / "prometheus"
VICTIM = 2


def tool(*words):
    return subprocess.run(
        ["promtool", *map(str, words)], capture_output=True, text=True, check=False
    )


@pytest.fixture
def quiet():
    """A network of one's own, as one of it is killed."""
    with TemporaryNetwork(4, quiet_population()) as running:
        yield QuietNetwork(running)


class Watch:
    """A Prometheus with our example's configuration, made quick."""

    def __init__(self, folder, targets):
        rules = (DEPLOY / "alerts.yml").read_text(encoding="utf-8")
        (folder / "alerts.yml").write_text(
            re.sub(r"^( +for: ).*$", r"\1 2s", rules, flags=re.MULTILINE), encoding="utf-8"
        )
        document = yaml.safe_load((DEPLOY / "prometheus.yml").read_text(encoding="utf-8"))
        document["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        document["scrape_configs"][0]["static_configs"] = [{"targets": targets}]
        self._config = folder / "prometheus.yml"
        self._config.write_text(yaml.safe_dump(document), encoding="utf-8")
        self._folder = folder
        address = f"127.0.0.1:{free_ports(1)}"
        self.url = f"http://{address}"
        self._line = [
            "prometheus",
            f"--config.file={self._config}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={address}",
        ]

    def __enter__(self):
        assert tool("check", "config", self._config).returncode == 0
        self._log = (self._folder / "prometheus.log").open("wb")
        self._process = subprocess.Popen(self._line, stdout=self._log, stderr=self._log)
        until(self._is_up, lambda: (self._folder / "prometheus.log").read_text(encoding="utf-8"))
        return self

    def __exit__(self, *_):
        self._process.terminate()
        self._process.wait()
        self._log.close()

    def _is_up(self):
        try:
            return get(self.url, "/-/ready").status == 200
        except ConnectionError:
            return False

    def ask(self, question):
        """The values of a question, by instance."""
        words = urllib.parse.urlencode({"query": question})
        document = get(self.url, f"/api/v1/query?{words}").document
        assert document["status"] == "success", document
        return {
            row["metric"].get("instance", ""): float(row["value"][1])
            for row in document["data"]["result"]
        }

    def ringing(self):
        """(alert, instance) of what fires."""
        alerts = get(self.url, "/api/v1/alerts").document["data"]["alerts"]
        return {
            (alert["labels"]["alertname"], alert["labels"].get("instance", ""))
            for alert in alerts
            if alert["state"] == "firing"
        }


def test_promtool_accepts_the_rules_and_they_ring_when_they_should(tmp_path):
    checked = tool("check", "rules", DEPLOY / "alerts.yml")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    for file in (DEPLOY / "alerts.yml", Path(__file__).with_name("alert_rules.yml")):
        shutil.copy(file, tmp_path)
    told = tool("test", "rules", tmp_path / "alert_rules.yml")
    assert told.returncode == 0, told.stdout + told.stderr


def test_a_prometheus_scrapes_all_and_rings_when_one_is_killed(quiet, tmp_path):
    targets = [url.removeprefix("http://") for url in quiet.urls]
    for door in range(4):
        quiet.pay(door, quiet.customer(), quiet.customer())
    with Watch(tmp_path, targets) as watch:
        until(
            lambda: watch.ask("harambee_orders_final_total") == dict.fromkeys(targets, 4.0),
            lambda: f"it does not see four payments everywhere: {watch.ask('up')}",
        )
        counted = watch.ask("harambee_order_latency_seconds_count")
        assert counted == dict.fromkeys(targets, 1.0), "each door has taken one payment"
        for url in quiet.urls:
            text = get(url, "/metrics").body.decode()
            told = subprocess.run(
                ["promtool", "check", "metrics"],
                input=text,
                capture_output=True,
                text=True,
                check=False,
            )
            assert (told.returncode, told.stderr) == (0, ""), told
        noisy = {name for name, _ in watch.ringing()} - {"HarambeeTrustConcentrated"}
        assert not noisy, "two banks of a demonstration hold more than a quarter each, and no more"
        name = quiet.names[VICTIM]
        quiet.running.kill(name)
        others = set(targets) - {targets[VICTIM]}
        wanted = {("HarambeeSuperAgentDown", targets[VICTIM])}
        wanted |= {("HarambeeNoMoreMayFail", other) for other in others}
        until(lambda: wanted <= watch.ringing(), lambda: f"only these ring: {watch.ringing()}")
        quiet.running.restart(name)
        quiet.running.wait_ready((name,))
        until(
            lambda: not wanted & watch.ringing(),
            lambda: f"it does not cease: {json.dumps(sorted(watch.ringing()))}",
        )
