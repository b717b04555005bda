"""The page docs/lost-phone.md, its commands run in their order on a network of real processes."""

import re
import shlex
import sys
from pathlib import Path

import pytest
from tests.accept.quiet_network import until
from tests.accept.test_up_and_pay import agreed, document_of, harambee, up

from harambee.cli.parties import Parties
from harambee.node.network_folder import load_network
from harambee.traffic.temporary_network import free_ports

pytestmark = [pytest.mark.accept, pytest.mark.timeout(480)]

PAGE = Path(__file__).parents[2] / "docs" / "lost-phone.md"
REFUSED = "# refused"


def commands_of_the_page():
    """Each command as words, and whether the page says that it is refused."""
    blocks = re.findall(
        r"^```\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    lines = [line for block in blocks for line in block.splitlines()]
    commands = [line.partition("#")[0] for line in lines]
    assert all(command.startswith("harambee ") for command in commands)
    return [
        (shlex.split(command)[1:], line.rstrip().endswith(REFUSED))
        for command, line in zip(commands, lines, strict=True)
    ]


def test_the_page_on_a_real_network(tmp_path):
    folder = tmp_path / "network"
    base = free_ports(8)
    ports = ["--http-port", str(base), "--peer-port", str(base + 4)]
    assert harambee(folder, "init", "--key-days", "0", *ports).returncode == 0
    commands = commands_of_the_page()
    assert len(commands) >= 14
    with up(folder, tmp_path / "said"):
        last = ""
        for words, is_refused in commands:
            done = harambee(folder, *[last if word == "LAST" else word for word in words])
            said = done.stdout + done.stderr
            assert (done.returncode != 0) == is_refused, (words, said)
            if words[0] == "propose":
                last = done.stdout.split()[0]
            sys.stdout.write(f"harambee {shlex.join(words)}\n{said}")
        network = load_network(folder)
        history(folder, network)
        agreed(network)
        until(
            lambda: {"key_requested", "key_taken", "key_changed"} <= texts_of(folder),
            lambda: f"only {texts_of(folder)} were texted",
        )


def history(folder, network):
    """What the account was before the phone was lost is on its statement still."""
    parties = Parties(folder, network.genesis.network)
    new = parties.wallet("wanjiku-2")
    assert parties.wallet("wanjiku").account == new.account
    assert parties.wallet("wanjiku").keypair.public != new.keypair.public
    lines = document_of(folder, "statement", "wanjiku-2")["lines"]
    kinds = [line["order"]["kind"] for line in lines]
    assert kinds[::-1] == [
        *("enrol", "claim", "send", "freeze", "cancel", "request_key", "take_key"),
        *("unfreeze", "send", "change_key", "send"),
    ]
    assert lines[0]["balance_cents"] == sum(line["change_cents"] for line in lines) == 350_00


def texts_of(folder):
    done = document_of(folder, "texts", "--limit", "100")
    return {text["kind"] for text in done["texts"]}
