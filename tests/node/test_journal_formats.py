"""Journals of the version before: read as they are, brought up to date by their owner, and no way back."""

import json
import logging
import random
import shutil
import struct
from pathlib import Path

import lmdb
import pytest
import uvloop
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.node.test_journal import NETWORK, open_
from tests.node.test_pruning import at
from tests.node.test_runner import running

from harambee.crypto.keyfiles import StoredKey, write_key_file
from harambee.crypto.signatures import from_seed
from harambee.node.journal import FORMAT, Journal, JournalError
from harambee.node.network_folder import (
    KIND_ENROLMENT,
    KIND_SIGNING,
    KIND_TREASURY,
    load_network,
)
from harambee.protocol.effects import Name
from harambee.protocol.wire import digest_of
from harambee.traffic.temporary_network import free_ports

HERE = Path(__file__).parent / "format-2"


def block(author, height, incarnation=0, size=160):
    head = struct.pack("<HHIIHH", 1, author, 0, height, incarnation, 0)
    return head + random.Random(f"{author}/{height}/{incarnation}").randbytes(size - len(head))


BLOCKS = [block(1, 1), block(1, 1, size=300), block(0, 1, 2), block(2, 1, size=9_000)]


@pytest.fixture
def folder(tmp_path):
    shutil.copy(HERE / "by-hand.journal", tmp_path / "data.mdb")
    return tmp_path


def read_in_every_way(journal):
    assert (journal.network, journal.author, journal.epoch) == (NETWORK, 2, 5)
    assert (journal.count, journal.pruned) == (4, 0)
    assert [data for _, data in journal.blocks()] == BLOCKS
    assert [journal.read(position) for position in range(4)] == BLOCKS
    assert journal.find(0, 1, incarnation=2) == 2
    assert journal.find_digest(Name(1, 0, 1, digest_of(BLOCKS[1]))) == BLOCKS[1]
    assert journal.range_of(2, 1, 1, 1) == [BLOCKS[3]]
    assert journal.evidence() == {1: b"a fork", 3: b"two votes"}
    assert journal.re_entering
    assert journal.damaged() == {}


def format_of(folder):
    with Journal.open_to_read(folder) as journal:
        return journal.format


def test_who_reads_reads_it_as_it_is(folder):
    for _ in range(2):
        with Journal.open_to_read(folder) as journal:
            assert journal.format == 2
            read_in_every_way(journal)


def test_its_owner_brings_it_up_to_date_once_and_says_so(folder, caplog):
    caplog.set_level(logging.INFO, "harambee.node.journal")
    with open_(folder, epoch=5) as journal:
        read_in_every_way(journal)
    assert "had format 2 and has 3 from now on" in caplog.text
    assert format_of(folder) == FORMAT == 3
    caplog.clear()
    with open_(folder, epoch=5) as journal:
        read_in_every_way(journal)
        assert journal.prune(at(0, 1, 3)) == 3
        assert [data for _, data in journal.blocks()] == BLOCKS
        journal.append([block(0, 2, 2)])
        journal.re_entering = False
    assert not caplog.text
    with Journal.open_to_read(folder) as journal:
        assert [data for _, data in journal.blocks()] == [*BLOCKS, block(0, 2, 2)]
        assert not journal.re_entering


def test_who_is_not_its_owner_leaves_it_as_it_is(folder):
    with pytest.raises(JournalError, match="belongs to epoch 5, not 6"):
        open_(folder, epoch=6)
    assert format_of(folder) == 2


def write_format(folder, raw):
    environment = lmdb.open(str(folder), max_dbs=5)
    table = environment.open_db(b"meta")
    with environment.begin(write=True, db=table) as transaction:
        transaction.put(b"format", raw)
    environment.close()


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (struct.pack("<I", 1), "has format 1, and nothing reads that any more: move it away, and"),
        (
            struct.pack("<I", 4),
            r"a newer version wrote .* format 4 \(this one reads 2 and 3\): inst",
        ),
        (b"shopping", "does not say whose it is"),
    ],
)
def test_another_format_is_refused_with_what_to_do(folder, raw, sentence):
    write_format(folder, raw)
    with pytest.raises(JournalError, match=sentence):
        open_(folder, epoch=5)
    with pytest.raises(JournalError, match=sentence):
        Journal.open_to_read(folder)
    write_format(folder, struct.pack("<I", 2))
    with open_(folder, epoch=5) as journal:
        read_in_every_way(journal)


def make_network(folder):
    """The network of `lived.journal`; its keys are made from the numbers that they were made from."""
    home = folder / "super-agents" / "amani"
    (home / "journal").mkdir(parents=True)
    (folder / "certificates").mkdir()
    for name in ("genesis.json", "openings.bin"):
        shutil.copy(HERE / name, folder / name)
    shutil.copy(HERE / "lived.journal", home / "journal" / "data.mdb")
    shutil.copy(HERE / "tls.crt", home / "tls.crt")
    shutil.copy(HERE / "tls.crt", folder / "certificates" / "amani.crt")
    http = free_ports(2)
    for source, target in ((HERE / "node.toml", home), (HERE / "addresses.json", folder)):
        text = source.read_text(encoding="utf-8")
        text = text.replace("28401", str(http)).replace("29401", str(http + 1))
        (target / source.name).write_text(text, encoding="utf-8")
    (home / "agents.csv").write_text("account,latitude,longitude,sells_above\n", encoding="utf-8")
    for number, kind in enumerate((KIND_SIGNING, KIND_ENROLMENT, KIND_TREASURY), 1):
        name = "signing" if kind == KIND_SIGNING else kind
        stored = StoredKey(kind, from_seed(bytes([number]) * 32), "for a test")
        write_key_file(home / f"{name}.key", stored)
    tls_key = ec.derive_private_key(679_300_000, ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    for file, content in ((home / "tls.key", tls_key), (folder / "directory.key", b"0" * 64)):
        file.touch(0o600)
        file.write_bytes(content)
    return load_network(folder)


def test_a_super_agent_starts_on_it_and_knows_what_it_knew(tmp_path):
    network = make_network(tmp_path / "network")
    said = json.loads((HERE / "balances.json").read_text(encoding="utf-8"))
    assert len(set(said.values())) > 4

    async def story():
        async with running(network) as ports:
            assert (await ports[0].digest())["total_cents"] == 0
            for account, cents in said.items():
                row = await ports[0].account(int(account))
                assert int(row["balance"][0]) == cents

    for _ in range(2):
        uvloop.run(story())
    assert format_of(network.node("amani").journal) == 3
