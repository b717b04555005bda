"""What software written for the incumbent's sandbox finds in a development network."""

import hashlib
import json
import stat

import pytest

from harambee.ledger.records import FEE_MODE_SHIFT, KIND_MASK, AccountKind, region_of
from harambee.merchants.files import MerchantFiles
from harambee.merchants.port import Trade
from harambee.node.directory import alias_of
from harambee.node.network_folder import NetworkFolderError, create_network, load_network
from harambee.node.sandbox import (
    CONSUMER_SECRET,
    INITIATOR_PASSWORD,
    PASSKEY,
    PAYBILLS,
    TILLS,
)

KINDS = {Trade.PAYBILL: AccountKind.BUSINESS, Trade.TILL: AccountKind.MERCHANT}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return create_network(
        tmp_path_factory.mktemp("made") / "network", super_agents=4, customers=1, regions_each=2
    )


def files_of(made, name):
    return MerchantFiles.load(made.folder / "super-agents" / name)


def test_every_short_code_and_number_is_an_account_with_money_in_the_ledger(made):
    at = {int(row["number"]): row for row in made.openings}
    aliases = {alias.alias: alias.account for alias in made.genesis.document.aliases}
    key = made.directory_key()
    merchants = files_of(made, "amani").merchants
    assert len(merchants) == len(PAYBILLS) + len(TILLS)
    assert {(one.trade, one.short_code) for one in merchants} >= {
        (Trade.PAYBILL, "174379"),
        (Trade.TILL, "174379"),
        (Trade.PAYBILL, "600000"),
    }
    for one in merchants:
        row = at[one.account]
        assert aliases[alias_of(key, f"{one.trade}:{one.short_code}").hex()] == one.account
        assert row["flags"] & KIND_MASK == KINDS[one.trade]
        assert row["flags"] >> FEE_MODE_SHIFT == 0, "the payer bears a bill's charge"
        assert row["balance"] > 0
        assert (region_of(one.account), one.home) == (0, 0)
    for telephone in ("+254708374149", "+254722000000"):
        row = at[aliases[alias_of(key, telephone).hex()]]
        assert row["flags"] & KIND_MASK == AccountKind.CUSTOMER
        assert row["balance"] == 250_000_00


def test_every_super_agent_knows_the_merchants_and_their_home_alone_has_their_keys(made):
    home, *others = (files_of(made, name) for name in made.names)
    for other in others:
        assert (other.apps, other.merchants) == (home.apps, home.merchants)
        assert not other.keys
        assert not other.initiators
    at = {int(row["number"]): row for row in made.openings}
    assert len(home.keys) == len(home.merchants)
    for one in home.merchants:
        public = home.keys[f"{one.trade}:{one.short_code}"].public
        assert at[one.account]["key"].tobytes() == public
        assert one.passkey == PASSKEY
    assert set(home.initiators.values()) == {INITIATOR_PASSWORD}
    (app,) = home.apps
    assert app.secret_digest == hashlib.sha256(CONSUMER_SECRET.encode()).digest()
    assert set(app.short_codes) == {*PAYBILLS, *TILLS}


def test_a_developer_reads_all_of_it_in_one_file(made):
    file = made.folder / "sandbox.json"
    said = json.loads(file.read_text())
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "DEVELOPMENT ONLY" in said["purpose"]
    assert said["consumer_secret"] == CONSUMER_SECRET
    assert said["passkey"] == PASSKEY
    assert said["initiators"] == ["testapi", "testinitiator"]
    assert {row["telephone"] for row in said["customers"]} == {"+254708374149", "+254722000000"}
    codes = {(row["trade"], row["short_code"]): row["account"] for row in said["short_codes"]}
    merchants = files_of(made, "amani").merchants
    assert codes == {(one.trade, one.short_code): one.account for one in merchants}


def test_no_two_networks_sign_tokens_with_one_key(made, tmp_path):
    other = create_network(tmp_path / "other", super_agents=1, customers=1)
    (one,), (two,) = files_of(made, "amani").apps, files_of(other, "amani").apps
    assert one.consumer_key == two.consumer_key
    assert one.token_key != two.token_key


def test_a_network_without_demo_customers_has_no_such_parties(tmp_path):
    bare = create_network(tmp_path / "bare", super_agents=1, customers=0)
    assert not (bare.folder / "sandbox.json").exists()
    assert files_of(bare, "amani") == MerchantFiles()


@pytest.mark.parametrize(
    "name",
    [
        "sandbox.json",
        "super-agents/amani/merchants.json",
        "super-agents/amani/initiators.json",
        "super-agents/amani/merchant-keys/174379-till.key",
    ],
)
def test_a_network_whose_secrets_others_can_read_is_refused(tmp_path, name):
    made = create_network(tmp_path / "network", super_agents=1, customers=1)
    (made.folder / name).chmod(0o644)
    with pytest.raises(NetworkFolderError, match="by others"):
        load_network(made.folder)
