"""A customer whose key is of P-256, as a phone's hardware keeps it, on a network of real processes."""

import json
import shutil

import pytest
from tests.accept.quiet_network import get
from tests.accept.test_up_and_pay import agreed, document_of, harambee, up

from harambee.cli.parties import Parties
from harambee.crypto.p256 import P256KeyPair
from harambee.crypto.signatures import KeyPair
from harambee.node.network_folder import load_network
from harambee.traffic.temporary_network import free_ports

pytestmark = [pytest.mark.accept, pytest.mark.timeout(300)]


def said(folder, *words, status=0):
    done = harambee(folder, *words)
    assert done.returncode == status, (words, done.stdout + done.stderr)
    return done.stdout + done.stderr


def test_a_phones_key_is_registered_pays_and_is_changed_to_the_other_type_and_back(tmp_path):
    folder = tmp_path / "network"
    base = free_ports(8)
    ports = ["--http-port", str(base), "--peer-port", str(base + 4)]
    said(folder, "init", *ports)
    with up(folder, tmp_path / "said"):
        words = ("--telephone", "0712345678", "--name", "Baraka Otieno", "--key-type", "p256")
        number = document_of(folder, "register", "baraka", *words)["account"]
        network = load_network(folder)

        def keypair():
            return Parties(folder, network.genesis.network).wallet("baraka").keypair

        first = keypair()
        assert isinstance(first, P256KeyPair)
        said(folder, "pay", "customer-1", "0712345678", "500")
        said(folder, "pay", "baraka", "customer-2", "100")
        asked = document_of(folder, "name", "0712345678", "--from", "customer-1")
        assert asked["name"] == "BARAKA O."
        assert said(folder, "name", "0700000002", "--from", "baraka"), "asked under the phone's key"
        said(folder, "key", "change", "baraka", "--key-type", "ed25519")
        soft = keypair()
        assert isinstance(soft, KeyPair)
        said(folder, "pay", "baraka", "customer-2", "50")
        said(folder, "key", "change", "baraka", "--key-type", "p256")
        last = keypair()
        assert isinstance(last, P256KeyPair)
        assert last != first
        said(folder, "pay", "baraka", "customer-2", "25")
        agreed(network)
        statement = document_of(folder, "statement", "baraka")
        assert [line["order"]["kind"] for line in statement["lines"]][::-1] == [
            *("enrol", "claim", "send", "send", "change_key", "send", "change_key", "send")
        ]
        old = tmp_path / "old"
        shutil.copytree(folder / "handsets" / "baraka", old)
        document = json.loads((old / "owner.key").read_text())
        (old / "owner.key").write_text(json.dumps(document | {"seed": first.seed.hex()}))
        refused = said(folder, "pay", str(old), "customer-2", "1", status=1)
        assert "is not the key of the paying account" in refused
        told = get(network.addresses[0].http, f"/v1/accounts/{number}").document
        assert (told["key"], told["key_type"]) == (last.public.hex(), "p256")
        assert told["key_y_is_odd"] is last.is_odd
