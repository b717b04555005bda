"""A network's folder: made whole or not at all, and refused if it was altered or exposed."""

import dataclasses
import json
import stat

import numpy as np
import pytest

from harambee.crypto.key_places import EnvironmentKey
from harambee.crypto.keyfiles import read_key_file
from harambee.crypto.signatures import secret_keys_from_seeds
from harambee.ledger.ledger import Ledger
from harambee.ledger.records import (
    FEE_MODE_SHIFT,
    FIRST_FREE_POSITION,
    KIND_MASK,
    OPENING,
    POSITION_BITS,
    REGION_ACCOUNTS,
    AccountKind,
    account_flags,
    account_number,
    region_of,
)
from harambee.money.tariff import FeeMode
from harambee.node.config import Address
from harambee.node.development import NAMES, Population, name_of
from harambee.node.directory import alias_of, canonical_msisdn
from harambee.node.network_folder import (
    NetworkFolderError,
    create_network,
    load_network,
    load_node,
)

SYSTEM = {
    0: AccountKind.ENROLMENT,
    1: AccountKind.REVENUE,
    2: AccountKind.COMMISSION,
    3: AccountKind.FLOAT,
    4: AccountKind.EXCISE,
}

OPEN_ONLY_TO_THEIR_OWNER = {"sandbox.json", "merchants.json", "initiators.json"}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return create_network(tmp_path_factory.mktemp("made") / "network")


@pytest.fixture
def network(tmp_path):
    return create_network(tmp_path / "network", super_agents=2, customers=2)


def kinds_of(openings):
    return openings["flags"] & KIND_MASK


def test_four_super_agents_with_swahili_names_each_with_a_region(made):
    committee = made.genesis.committee
    assert made.names == ("amani", "baraka", "chapa", "daima")
    assert [member.regions for member in committee.members] == [(0,), (1,), (2,), (3,)]
    assert made.genesis.document.development
    assert (committee.n, committee.q) == (4, 3)
    assert [a.peer for a in made.addresses] == [Address("127.0.0.1", 9401 + i) for i in range(4)]
    assert [a.http for a in made.addresses] == [f"http://127.0.0.1:{8401 + i}" for i in range(4)]


def test_it_reads_back_the_same(made):
    again = load_network(made.folder)
    assert again.genesis.network == made.genesis.network
    assert again.addresses == made.addresses


def test_two_networks_are_never_the_same(network, made):
    assert network.genesis.network != made.genesis.network


def test_every_region_has_its_system_accounts(made):
    openings = made.openings
    at = {int(row["number"]): row for row in openings}
    for region in range(4):
        for position, kind in SYSTEM.items():
            row = at[account_number(region, position)]
            assert row["flags"] & KIND_MASK == kind
            assert (row["balance"] > 0) == (kind in {AccountKind.FLOAT, AccountKind.COMMISSION})
        taken = [n & 0xFFFFF for n in at if region_of(n) == region]
        assert at[account_number(region, 0)]["next_sequence"] == max(taken) + 1
        beyond = sorted(p for p in taken if p >= FIRST_FREE_POSITION)
        assert beyond == list(range(FIRST_FREE_POSITION, max(taken) + 1)), "no gaps"


def test_balances_add_up_to_zero_and_banks_stay_within_their_limits(made):
    openings = made.openings
    assert int(openings["balance"].sum()) == 0
    limits = {issuer.account: issuer.limit_cents for issuer in made.genesis.document.issuers}
    banks = openings[kinds_of(openings) == AccountKind.BANK]
    assert list(limits) == banks["number"].tolist(), "issuers ascend"
    assert len(banks) == 2
    for row in banks:
        assert -limits[int(row["number"])] <= row["balance"] < 0
    assert np.all(openings[kinds_of(openings) != AccountKind.BANK]["balance"] >= 0)


def test_openings_ascend_and_no_key_is_shared_between_people(made):
    openings = made.openings
    assert np.all(np.diff(openings["number"].astype(np.int64)) > 0)
    people = openings[openings["number"] & 0xFFFFF >= FIRST_FREE_POSITION]
    assert len(np.unique(people["key"], axis=0)) == len(people)


def test_demo_accounts_have_keys_numbers_and_a_warning(made):
    demo = {person.name: person for person in made.demo()}
    at = {int(row["number"]): row for row in made.openings}
    aliases = {alias.alias: alias.account for alias in made.genesis.document.aliases}
    key = made.directory_key()
    assert demo["customer-1"].msisdn == "+254700000001"
    customers = [name for name, one in demo.items() if one.kind == AccountKind.CUSTOMER]
    assert customers == [f"customer-{n + 1}" for n in range(20)] + [
        "customer-sandbox",
        "customer-sandbox-2",
    ]
    agents = {name for name, one in demo.items() if one.kind == AccountKind.AGENT}
    assert agents == {f"agent-{n + 1}" for n in range(20)} | {"head-office-1", "operator-1"}
    assert {"bank-1", "bank-2", "till-1", "paybill-1", "airtime-1", "pochi-1"} < demo.keys()
    office = demo["head-office-1"].account
    assert {n for n, one in demo.items() if one.head_office == office} == {"agent-1", "operator-1"}
    assert region_of(office) == region_of(demo["agent-1"].account)
    modes = [at[demo[f"paybill-{n}"].account]["flags"] >> FEE_MODE_SHIFT for n in (1, 2, 3)]
    assert modes == [FeeMode.PAYER, FeeMode.PAYEE, FeeMode.SHARED]
    for person in demo.values():
        assert at[person.account]["key"].tobytes() == person.keypair.public
        assert at[person.account]["flags"] & KIND_MASK == person.kind
        for number in (person.msisdn, person.short_code):
            if number:
                assert aliases[alias_of(key, number).hex()] == person.account
    assert "DEVELOPMENT ONLY" in read_key_file(made.keys / "customer-1.key").comment
    assert "DEVELOPMENT ONLY" in (made.keys / "demo.json").read_text()
    assert (made.keys / "DEVELOPMENT-ONLY.txt").exists()


def test_every_secret_is_its_owners_alone(made):
    files = [file for file in made.folder.rglob("*") if file.is_file()]
    secret = [file for file in files if file.suffix in {".key", ".seeds"}]
    sandbox = 12 + 2 + 12  # its merchants, its customers, and the merchants' keys at their home
    assert len(secret) == 1 + 4 * (5 + 2) + 42 + 8 + sandbox
    beside = [file for file in files if file.name in OPEN_ONLY_TO_THEIR_OWNER]
    assert len(beside) == 1 + 4 + 1
    secret += beside
    assert {stat.S_IMODE(file.stat().st_mode) for file in secret} == {0o600}
    for file in set(files) - set(secret):
        assert b"PRIVATE" not in file.read_bytes()
        assert b'"seed"' not in file.read_bytes()


def test_a_node_finds_everything_its_configuration_names(made):
    for index, name in enumerate(made.names):
        files = load_node(made.node(name))
        assert made.node(index) == made.node(name)
        assert files.index == index
        assert files.signing.public == made.genesis.committee.members[index].key
        assert files.config.listen_peer == made.addresses[index].peer
        assert len(files.certificates) == 4
        assert files.directory_key == made.directory_key()
        opened = {int(row["number"]): row["key"].tobytes() for row in made.openings}
        assert opened[account_number(index, 0)] == files.enrolment.public
        assert opened[account_number(index, 3)] == files.treasury.public


def test_a_crowd_gets_numbers_keys_and_exactly_its_balances(tmp_path):
    rng = np.random.default_rng(7)
    n = 3_000
    kinds = rng.choice(np.array([1, 2, 3, 4], np.uint8), n)
    kinds[:5] = AccountKind.BANK
    balances = rng.integers(0, 10**7, n)
    balances[:5] = 0
    regions = rng.integers(0, 3, n).astype(np.uint16)
    crowd = Population(kinds, balances, regions)
    made = create_network(tmp_path / "n", super_agents=3, population=crowd)
    numbers, found_kinds, seeds, found_balances = load_network(tmp_path / "n").population()
    assert len(set(numbers.tolist())) == n
    assert np.array_equal(numbers >> 20, regions)
    assert np.array_equal(found_kinds, kinds)
    assert np.array_equal(found_balances[5:], balances[5:])
    assert np.all(found_balances[:5] < 0)
    rows = made.openings[np.searchsorted(made.openings["number"], numbers)]
    assert np.array_equal(rows["number"], numbers)
    assert np.array_equal(rows["balance"], found_balances)
    assert np.array_equal(kinds_of(rows), kinds)
    assert np.array_equal(rows["key"], secret_keys_from_seeds(seeds)[:, 32:])
    assert int(made.openings["balance"].sum()) == 0
    assert len(made.genesis.document.issuers) == 2 + 5


def test_a_crowd_has_tiers_and_agreements_on_fees_in_any_region_of_its_super_agent(tmp_path):
    crowd = Population(
        np.array([AccountKind.CUSTOMER, AccountKind.BUSINESS, AccountKind.POCHI], np.uint8),
        np.array([5, 6, 7]),
        np.array([4, 2, 5], np.uint16),
        tier=np.array([1, 0, 2], np.uint8),
        fee_mode=np.array([0, FeeMode.SHARED, 0], np.uint8),
    )
    made = create_network(tmp_path / "n", super_agents=2, population=crowd, regions_each=3)
    assert [m.regions for m in made.genesis.document.super_agents] == [[0, 2, 4], [1, 3, 5]]
    numbers, *_ = made.population()
    assert (numbers >> 20).tolist() == [4, 2, 5]
    flags = made.openings["flags"][np.searchsorted(made.openings["number"], numbers)].tolist()
    assert flags == [
        account_flags(AccountKind.CUSTOMER, tier=1),
        account_flags(AccountKind.BUSINESS, fee_mode=FeeMode.SHARED),
        account_flags(AccountKind.POCHI, tier=2),
    ]
    for region in range(6):
        treasury = made.openings["key"][made.openings["number"] == account_number(region, 2)]
        assert treasury.tobytes() == load_node(made.node(region % 2)).treasury.public
    assert int(made.openings["balance"].sum()) == 0


def test_a_network_without_a_crowd_has_no_population(made):
    assert made.population() is None


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"kind": np.array([6, 1], np.uint8)}, "cannot have accounts of kind 6"),
        ({"balance_cents": np.array([1, -1])}, "are not negative"),
        ({"region": np.array([0], np.uint16)}, "same length"),
        ({"seeds": np.zeros((1, 32), np.uint8)}, "as many seeds"),
        ({"kind": np.array([5, 1], np.uint8)}, "its balance here must be 0"),
        ({"tier": np.array([0, 16], np.uint8)}, "tiers are 0 to 15"),
        ({"tier": np.array([0, 1, 2], np.uint8)}, "the length of its kinds"),
        ({"fee_mode": np.array([0, 1], np.uint8)}, "only businesses have an agreement"),
        (
            {"kind": np.array([1, 4], np.uint8), "fee_mode": np.array([0, 3], np.uint8)},
            "cannot have a fee mode 3",
        ),
    ],
)
def test_an_impossible_crowd_is_refused(change, sentence):
    good = {
        "kind": np.array([1, 2], np.uint8),
        "balance_cents": np.array([1, 2]),
        "region": np.array([0, 1], np.uint16),
    }
    Population(**good)
    with pytest.raises(ValueError, match=sentence):
        Population(**(good | change))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"super_agents": 0}, "has 1 to 1024 super-agents"),
        ({"banks": 0}, "at least one trust bank"),
        ({"regions_each": 0}, "has 1 to 4096 regions"),
        ({"regions_each": 1_025}, "has 1 to 4096 regions"),
        ({"customers": -1}, "fewer than no customers"),
        ({"base_http_port": 65_534}, "the ports must lie between 1 and 65535"),
    ],
)
def test_what_is_no_network_leaves_nothing_behind(tmp_path, options, sentence):
    with pytest.raises(NetworkFolderError, match=sentence):
        create_network(tmp_path / "network", **options)
    assert list(tmp_path.iterdir()) == []


def test_a_crowd_in_a_region_that_is_not_there_leaves_nothing_behind(tmp_path):
    crowd = Population(np.array([1], np.uint8), np.array([1]), np.array([9], np.uint16))
    with pytest.raises(NetworkFolderError, match="region 9 is not one of this network's"):
        create_network(tmp_path / "network", population=crowd)
    assert list(tmp_path.iterdir()) == []


def test_more_money_than_a_ledger_holds_leaves_nothing_behind(tmp_path):
    n = 3
    rich = Population(np.ones(n, np.uint8), np.full(n, 2**62), np.zeros(n, np.uint16))
    with pytest.raises(NetworkFolderError, match="more money than a ledger can hold"):
        create_network(tmp_path / "network", population=rich)
    assert list(tmp_path.iterdir()) == []


def test_a_taken_folder_is_refused_and_an_empty_one_is_not(tmp_path, network):
    with pytest.raises(NetworkFolderError, match=r"there is a network in .* already"):
        create_network(network.folder)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter").touch()
    with pytest.raises(NetworkFolderError, match="is not an empty folder"):
        create_network(tmp_path / "mine")
    (tmp_path / "empty").mkdir()
    create_network(tmp_path / "empty", super_agents=1, customers=0, agents_per_super_agent=0)


def test_what_was_left_of_an_attempt_that_was_killed_is_no_obstacle(tmp_path):
    (tmp_path / ".network.unfinished" / "keys").mkdir(parents=True)
    create_network(tmp_path / "network", super_agents=1, customers=1)
    assert [path.name for path in tmp_path.iterdir()] == ["network"]


def test_a_folder_can_be_moved(network, tmp_path):
    network.folder.rename(tmp_path / "elsewhere")
    assert load_node(load_network(tmp_path / "elsewhere").node(1)).index == 1


def test_there_is_no_such_super_agent(network):
    for which in ("nobody", 2, -1):
        with pytest.raises(NetworkFolderError, match=f"no super-agent {which} here"):
            network.node(which)


def spoil_openings(folder):
    content = bytearray((folder / "openings.bin").read_bytes())
    content[40] ^= 1
    (folder / "openings.bin").write_bytes(content)


def forget(file):
    def spoil(folder):
        (folder / file).unlink()

    return spoil


def write(file, text):
    def spoil(folder):
        (folder / file).write_text(text)

    return spoil


def expose(file):
    def spoil(folder):
        (folder / file).chmod(0o644)

    return spoil


def swap_certificates(folder):
    a, b = (folder / "certificates" / f"{name}.crt" for name in ("amani", "baraka"))
    a.write_bytes(b.read_bytes())


def move_addresses(folder):
    file = folder / "addresses.json"
    rows = json.loads(file.read_text())
    file.write_text(json.dumps([row | {"peer": "nowhere"} for row in rows]))


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (forget("genesis.json"), "it has no genesis.json"),
        (write("genesis.json", "{}"), "this is not a genesis document"),
        (forget("openings.bin"), "openings.bin is missing"),
        (spoil_openings, "the file was changed"),
        (forget("addresses.json"), "addresses.json is missing"),
        (write("addresses.json", "[]"), "addresses.json lacks 'amani'"),
        (write("addresses.json", "{"), "is not a list of addresses"),
        (move_addresses, "'nowhere' is not an address"),
        (expose("directory.key"), "mode 0644.: chmod 600 it first"),
        (expose("super-agents/baraka/tls.key"), "mode 0644.: chmod 600 it first"),
        (expose("keys/customer-1.key"), "mode 0644.: chmod 600 it first"),
    ],
)
def test_a_spoiled_network_is_refused(network, spoil, sentence):
    spoil(network.folder)
    with pytest.raises(NetworkFolderError, match=sentence) as refusal:
        load_network(network.folder)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (swap_certificates, "amani.crt does not have the key that the genesis names"),
        (write("certificates/amani.crt", "paper"), "is not a certificate that can be read"),
        (forget("certificates/baraka.crt"), "baraka.crt is missing"),
        (forget("super-agents/amani/signing.key"), "there is no key file"),
        (forget("super-agents/amani/tls.key"), "cannot read .*tls.key: No such file"),
        (expose("super-agents/amani/tls.key"), "mode 0644.: chmod 600 it first"),
        (write("directory.key", "short"), "is not 32 bytes in hexadecimal"),
    ],
)
def test_a_node_with_a_spoiled_file_does_not_start(network, spoil, sentence):
    spoil(network.folder)
    with pytest.raises(NetworkFolderError, match=sentence):
        load_node(dataclasses.replace(network.node("amani")))


def test_a_node_with_anothers_key_or_name_does_not_start(network):
    amani, baraka = network.node("amani"), network.node("baraka")
    with pytest.raises(NetworkFolderError, match="is not the key that the genesis names"):
        load_node(dataclasses.replace(amani, signing_key=baraka.signing_key))
    with pytest.raises(NetworkFolderError, match="holds a key of kind 'enrolment'"):
        load_node(dataclasses.replace(amani, signing_key=amani.enrolment_key))
    with pytest.raises(NetworkFolderError, match="the genesis has no 'zuri'"):
        load_node(dataclasses.replace(amani, name="zuri"))


def test_a_node_takes_its_keys_from_the_environment(network, monkeypatch):
    amani = network.node("amani")
    of_files = load_node(amani)
    fields = {
        "signing_key": of_files.signing.seed,
        "enrolment_key": of_files.enrolment.seed,
        "treasury_key": of_files.treasury.seed,
        "directory_key": of_files.directory_key,
    }
    for name, secret in fields.items():
        getattr(amani, name).unlink()
        monkeypatch.setenv(name.upper(), secret.hex())
    places = {name: EnvironmentKey(name.upper()) for name in fields}
    found = load_node(dataclasses.replace(amani, **places))
    assert found.signing.public == of_files.signing.public
    assert found.treasury.public == of_files.treasury.public
    assert found.directory_key == of_files.directory_key
    monkeypatch.setenv("SIGNING_KEY", of_files.enrolment.seed.hex())
    with pytest.raises(NetworkFolderError, match="SIGNING_KEY is not the key that the genesis"):
        load_node(dataclasses.replace(amani, **places))
    monkeypatch.delenv("DIRECTORY_KEY")
    monkeypatch.setenv("SIGNING_KEY", of_files.signing.seed.hex())
    with pytest.raises(NetworkFolderError, match="DIRECTORY_KEY is not set"):
        load_node(dataclasses.replace(amani, **places))


def test_a_hundred_names_and_then_numbers():
    assert len({name_of(i) for i in range(1_024)}) == 1_024
    assert name_of(len(NAMES)) == f"name-{len(NAMES)}"


def test_an_opening_is_52_bytes():
    assert OPENING.itemsize == 52


@pytest.mark.parametrize("text", ["0700000001", "254700000001", "+254 700 000001"])
def test_one_number_however_it_is_written(text):
    assert canonical_msisdn(text) == "+254700000001"
    assert alias_of(bytes(32), text) == alias_of(bytes(32), "+254700000001")


def test_an_alias_depends_on_the_key_and_the_number():
    assert alias_of(bytes(32), "0700000001") != alias_of(bytes(31) + b"1", "0700000001")
    assert alias_of(bytes(32), "0700000001") != alias_of(bytes(32), "0700000002")
    with pytest.raises(ValueError, match="32 bytes long, not 3"):
        alias_of(b"abc", "0700000001")
    with pytest.raises(ValueError, match="not a mobile number"):
        alias_of(bytes(32), "call me")


def test_a_network_of_a_nations_size_has_accounts_that_nobody_uses(tmp_path):
    made = create_network(
        tmp_path / "network", super_agents=2, customers=2, regions_each=2, dormant_each=3_000
    )
    openings = made.openings
    assert (openings["number"][1:] > openings["number"][:-1]).all()
    assert int(openings["balance"].sum()) == 0
    in_region = np.bincount(openings["number"] >> POSITION_BITS)
    assert (in_region >= 3_000).all()
    for region, count in enumerate(in_region.tolist()):
        positions = openings["number"][openings["number"] >> POSITION_BITS == region]
        assert (positions & (REGION_ACCOUNTS - 1)).max() == count - 1 + FIRST_FREE_POSITION - len(
            SYSTEM
        )
        enrolment = openings[openings["number"] == account_number(region, 0)]
        assert enrolment["next_sequence"] == (positions & (REGION_ACCOUNTS - 1)).max() + 1
    ledger = Ledger(made.genesis.regions, made.genesis.tariffs)
    issuers = {row.account: row.limit_cents for row in made.genesis.document.issuers}
    ledger.open_accounts(openings, issuers)
    assert ledger.account_count == len(openings)
    before = openings.copy()
    made.genesis.rest()
    assert (made.openings == before).all(), "what was given back is read again"


def test_a_region_has_no_room_for_more_than_it_has(tmp_path):
    with pytest.raises(NetworkFolderError, match="room"):
        create_network(tmp_path / "network", dormant_each=REGION_ACCOUNTS)
