"""The unit, the container and the cluster: what they name is there, and keys are nobody else's."""

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from harambee.cli.main import COMMANDS, main
from harambee.crypto.key_places import EnvironmentKey
from harambee.gateways.http.operations import operations
from harambee.node.config import read_config

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
UNIT = DEPLOY / "systemd" / "harambee@.service"
CONTAINERFILE = DEPLOY / "container" / "Containerfile"

# Names of Kubernetes' API that the example may use, by where they stand: one that is not here is a slip.
POD = {
    "automountServiceAccountToken",
    "containers",
    "initContainers",
    "securityContext",
    "terminationGracePeriodSeconds",
    "volumes",
}
CONTAINER = {
    "command",
    "env",
    "image",
    "livenessProbe",
    "name",
    "ports",
    "readinessProbe",
    "resources",
    "securityContext",
    "startupProbe",
    "volumeMounts",
}
PROBE = {"httpGet", "periodSeconds", "timeoutSeconds", "failureThreshold"}
STATEFUL_SET = {"serviceName", "replicas", "selector", "template", "volumeClaimTemplates"}
SERVICE = {"type", "externalTrafficPolicy", "publishNotReadyAddresses", "selector", "ports"}


@pytest.fixture(scope="module")
def documents():
    text = (DEPLOY / "kubernetes" / "super-agent.yaml").read_text(encoding="utf-8")
    return list(yaml.safe_load_all(text))


@pytest.fixture(scope="module")
def stateful_set(documents):
    (found,) = [one for one in documents if one["kind"] == "StatefulSet"]
    return found["spec"]


@pytest.fixture(scope="module")
def pod(stateful_set):
    return stateful_set["template"]["spec"]


@pytest.fixture(scope="module")
def super_agent(pod):
    (found,) = pod["containers"]
    return found


@pytest.fixture
def config(documents, tmp_path):
    """The node.toml of the example, read as a super-agent reads it."""
    (found,) = [one for one in documents if one["kind"] == "ConfigMap"]
    file = tmp_path / "node.toml"
    file.write_text(found["data"]["node.toml"], encoding="utf-8")
    return read_config(file)


def services(documents):
    return {one["metadata"]["name"]: one["spec"] for one in documents if one["kind"] == "Service"}


# -- a cluster ------------------------------------------------------------------------------------


def test_the_example_has_the_fields_that_kubernetes_knows(documents, stateful_set, pod):
    kinds = [(one["apiVersion"], one["kind"]) for one in documents]
    assert kinds == [
        ("v1", "ConfigMap"),
        ("apps/v1", "StatefulSet"),
        ("v1", "Service"),
        ("v1", "Service"),
    ]
    assert all(one["metadata"]["namespace"] == "harambee" for one in documents)
    assert set(stateful_set) == STATEFUL_SET
    assert set(pod) <= POD
    for container in [*pod["containers"], *pod["initContainers"]]:
        assert set(container) <= CONTAINER
        for probe in (key for key in container if key.endswith("Probe")):
            assert set(container[probe]) <= PROBE
    assert all(set(spec) <= SERVICE for spec in services(documents).values())


def test_there_is_one_process_with_these_keys_and_never_two(stateful_set):
    assert stateful_set["replicas"] == 1
    labels = stateful_set["template"]["metadata"]["labels"]
    assert stateful_set["selector"]["matchLabels"].items() <= labels.items()


def test_services_and_probes_find_it(documents, stateful_set, super_agent, config):
    labels = stateful_set["template"]["metadata"]["labels"]
    ports = {one["name"]: one["containerPort"] for one in super_agent["ports"]}
    assert ports == {"http": config.listen_http.port, "peer": config.listen_peer.port}
    assert stateful_set["serviceName"] in services(documents)
    for spec in services(documents).values():
        assert spec["selector"].items() <= labels.items()
        assert {one["targetPort"] for one in spec["ports"]} <= set(ports)
    paths = {operation.path for operation in operations("1")}
    asked = {key: probe["httpGet"] for key, probe in super_agent.items() if key.endswith("Probe")}
    assert {key: probe["path"] for key, probe in asked.items()} == {
        "startupProbe": "/livez",
        "livenessProbe": "/livez",
        "readinessProbe": "/readyz",
    }
    assert {"/livez", "/readyz", "/metrics"} <= paths
    assert {probe["port"] for probe in asked.values()} == {"http"}


def test_keys_come_from_the_secret_and_are_in_no_file(super_agent, config):
    given = {one["name"]: one["valueFrom"]["secretKeyRef"] for one in super_agent["env"]}
    places = [config.signing_key, config.enrolment_key, config.treasury_key, config.directory_key]
    assert all(isinstance(place, EnvironmentKey) for place in places)
    assert {place.variable for place in places} == set(given)
    assert len({ref["key"] for ref in given.values()}) == len(given)


def test_every_path_of_the_configuration_is_mounted_and_what_is_written_lasts(
    stateful_set, pod, super_agent, config
):
    mounts = {one["mountPath"]: one for one in super_agent["volumeMounts"]}
    claims = {one["metadata"]["name"] for one in stateful_set["volumeClaimTemplates"]}
    assert {one["name"] for one in mounts.values()} <= claims | {
        one["name"] for one in pod["volumes"]
    }
    read = [config.genesis, config.openings, config.addresses, config.certificates]
    assert {str(path.parent if path.suffix else path) for path in read} == {"/etc/harambee"}
    for written in (
        config.journal,
        config.checkpoints,
        config.profiles,
        config.profile_key,
        config.texts_folder,
        config.governance,
        config.merchants,
    ):
        mount = mounts[str(written.parent)]
        assert mount["name"] in claims
        assert not mount.get("readOnly", False)
    (copy,) = pod["initContainers"]
    assert str(config.tls_key.parent) in mounts
    assert "install -m 0600 /secret/tls.key" in copy["command"][-1]


def test_it_runs_as_nobody_in_particular_and_may_do_nothing(pod):
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["automountServiceAccountToken"] is False
    for container in [*pod["containers"], *pod["initContainers"]]:
        locked = container["securityContext"]
        assert locked["readOnlyRootFilesystem"]
        assert not locked["allowPrivilegeEscalation"]
        assert locked["capabilities"] == {"drop": ["ALL"]}


# -- a container ----------------------------------------------------------------------------------


def instructions():
    text = CONTAINERFILE.read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines() if line and not line.startswith("#")]
    return [(line.partition(" ")[0], line.partition(" ")[2]) for line in lines]


def test_what_the_container_copies_is_there_and_not_ignored():
    ignored = (ROOT / ".containerignore").read_text(encoding="utf-8").split()
    assert ignored[0] == "*", "whatever is not named stays out: keys, networks, histories"
    allowed = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    copied = [
        source
        for word, rest in instructions()
        if word == "COPY" and "--from" not in rest
        for source in rest.split()[:-1]
    ]
    assert copied
    assert all((ROOT / source).exists() for source in copied)
    assert set(copied) == allowed
    assert "**/*.key" in ignored


def test_the_container_runs_a_node_as_a_user_of_its_own():
    found = dict(instructions())
    entry, words = (yaml.safe_load(found[word]) for word in ("ENTRYPOINT", "CMD"))
    assert entry == ["harambee"]
    assert words == ["node", "--config", "/etc/harambee/node.toml"]
    command = main.get_command(None, words[0])
    assert words[1] in [option for one in command.params for option in one.opts]
    assert found["USER"] == "harambee"
    assert found["EXPOSE"].split() == ["8401", "9401"]
    bases = {rest.split()[0] for word, rest in instructions() if word == "FROM"}
    assert len(bases) == 1
    assert re.search(r"python:3\.1[1-9]-", bases.pop())


# -- systemd --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def unit():
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str
    parser.read_string(UNIT.read_text(encoding="utf-8"))
    return parser


def test_the_unit_runs_a_node_of_its_own_folder(unit):
    program, command, *words = unit["Service"]["ExecStart"].split()
    assert Path(program).name == "harambee"
    assert command in COMMANDS
    assert words == ["--config", "/etc/harambee/%i/node.toml"]
    assert unit["Service"]["StateDirectory"] == "harambee/%i"
    assert unit["Service"]["User"] == "harambee"
    assert int(unit["Service"]["LimitNOFILE"]) >= 4_096


def test_the_unit_forbids_what_a_super_agent_does_not_need(unit):
    service = unit["Service"]
    assert service["ProtectSystem"] == "strict"
    assert (service["CapabilityBoundingSet"], service["NoNewPrivileges"]) == ("", "yes")
    assert service["UMask"] == "0077"
    # Kernels are compiled while it runs, and checkpoints are made with a low priority.
    assert "MemoryDenyWriteExecute" not in service
    assert "@resources" not in service["SystemCallFilter"]


@pytest.mark.accept
def test_systemd_finds_the_unit_hardened(tmp_path):
    copy = tmp_path / UNIT.name
    shutil.copy(UNIT, copy)
    told = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", copy],
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stdout[-300:] + told.stderr
    assert "Overall exposure level for harambee@i.service: 1." in told.stdout
