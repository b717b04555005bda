"""An incumbent moves house: its file becomes a running network, and its customers pay as before."""

from pathlib import Path

import numpy as np
import pytest
from tests.accept.quiet_network import get
from tests.accept.test_up_and_pay import agreed, document_of, harambee, press_ctrl_c, up
from tests.node.incumbents import ED25519, P256, csv_file, hexadecimal, row

from harambee.handset.wallet import finish_wallet, prepare_wallet
from harambee.ledger.records import OPENING_ALIAS
from harambee.node.directory import alias_of
from harambee.node.network_folder import load_network
from harambee.traffic.temporary_network import free_ports

pytestmark = [pytest.mark.accept, pytest.mark.timeout(240)]

WANJIKU, BARAKA, SHOP = "0711000001", "0711000002", "300001"
ROWS = [
    row(1, number=WANJIKU, balance="500.00", super_agent="amani"),
    row(
        2,
        number=BARAKA,
        balance="20.05",
        super_agent="daima",
        key=hexadecimal(P256[0]),
        key_type="p256",
    ),
    row(3, kind="merchant", number=SHOP, balance="0.00", super_agent="chapa"),
    row(4, number="0711000004", balance="77.00", super_agent="amani", key=""),
]


def account_of(network, number):
    """The account that the genesis says a number names."""
    aliases = np.frombuffer(network.genesis.aliases, OPENING_ALIAS)
    wanted = np.frombuffer(alias_of(network.directory_key(), number), np.uint8)
    (row,) = aliases[(aliases["alias"] == wanted).all(axis=1)]
    return int(row["owner"])


def wallet(network, name, number, keypair):
    """What a customer's handset has: her own key, and which account it is."""
    folder = Path(network.folder) / "handsets" / name
    prepare_wallet(folder, keypair)
    return finish_wallet(folder, account_of(network, number), network.genesis.network)


def test_a_network_starts_from_an_incumbents_file_and_its_customers_pay(tmp_path):
    folder, base = tmp_path / "network", free_ports(8)
    file = csv_file(tmp_path, ROWS)
    ports = ["--http-port", str(base), "--peer-port", str(base + 4)]
    words = ["init", "--accounts", str(file), "--bank", "alpha=600", "--bank", "beta=400", *ports]
    refused = harambee(folder, *words)
    assert refused.returncode == 1
    assert "1 of 4 rows cannot be opened, so nothing was made" in refused.stderr
    said = document_of(folder, *words, "--leave-out-refused")["accounts"]
    assert (said["accepted"], said["accepted_cents"]) == (3, 520_05)
    assert (said["refused"], said["refused_cents"]) == (1, 77_00)
    network = load_network(folder)
    wallet(network, "wanjiku", WANJIKU, ED25519[1])
    wallet(network, "baraka", BARAKA, P256[0])
    with up(folder, tmp_path / "said.txt") as process:
        paid = document_of(folder, "pay", "wanjiku", BARAKA, "100", "--via", "chapa")
        assert paid["status"] == "final"
        assert paid["payee"] == account_of(network, BARAKA)
        bought = document_of(folder, "pay", "baraka", f"till:{SHOP}", "50", "--via", "amani")
        assert bought["status"] == "final"
        held = document_of(folder, "balance", "baraka")["balance_cents"]
        assert held == 20_05 + 100_00 - 50_00 - bought["fee_cents"]
        shop = get(network.addresses[1].http, f"/v1/accounts/{account_of(network, f'till:{SHOP}')}")
        assert shop.document["balance_cents"] == 50_00
        assert agreed(network)["total_cents"] == 0
        nobody = harambee(folder, "pay", "wanjiku", "0711000004", "5")
        assert nobody.returncode == 1, "who had no key has no account"
        trust = document_of(folder, "trust")
        assert trust["owed_cents"] == 520_05
        sold = document_of(folder, "pay", "alpha", "float:amani", "100")
        assert sold["status"] == "final", "floats begin empty, and a bank sells the first"
        assert press_ctrl_c(process) == 0
