"""Backups: whole while their super-agent runs, checked before they are put back, and marked as old disks."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import lmdb
import numpy as np
import pytest
from click.testing import CliRunner
from tests.node.test_journal_formats import make_network
from tests.node.test_pruning import WORKER, numbered_block

import harambee
from harambee.cli.main import main
from harambee.node.backup import (
    BackupError,
    Progress,
    back_up,
    link_archive,
    link_checkpoints,
    read_manifest,
    restore,
)
from harambee.node.config import read_config
from harambee.node.journal import Journal
from harambee.node.network_folder import load_node

CHECKPOINT = "checkpoints/0000000012-5f0c0123456789ab"
MERCHANT_FILES = (
    "merchants/credentials.pem",
    "merchants.json",
    "initiators.json",
    "merchant-keys/174379-till.key",
)
LINKED = {"document", "accounts-0003"}
PUBLIC = {"node.toml", "genesis.json", "openings.bin", "addresses.json", "tls.crt", "agents.csv"}


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A super-agent that does not run: 12 blocks, of which five lie in the archive, and a profile."""
    for module in ("archive", "journal"):
        monkeypatch.setattr(f"harambee.node.{module}.FILE_BYTES", 1_000)
    make_network(tmp_path / "network")
    home = tmp_path / "network" / "super-agents" / "amani"
    with opened(home) as journal:
        journal.append([numbered_block(position) for position in range(journal.count, 12)])
        journal.prune(np.array([0, 1, 2, 4, 5], np.int64))
    (home / "profiles").mkdir()
    with lmdb.open(str(home / "profiles"), max_dbs=4) as profiles:
        table = profiles.open_db(b"profiles")
        with profiles.begin(write=True, db=table) as transaction:
            transaction.put(b"1", b"sealed")
    (home / "merchants").mkdir()
    with (
        lmdb.open(str(home / "merchants"), max_dbs=32) as merchants,
        merchants.begin(write=True) as kept,
    ):
        kept.put(b"1", b"sealed")
    for path in MERCHANT_FILES:
        (home / path).parent.mkdir(exist_ok=True)
        (home / path).write_bytes(path.encode())
    for folder in (CHECKPOINT, home / "checkpoints" / ".making-7"):
        (home / folder).mkdir(parents=True)
        (home / folder / "document").write_bytes(b"signed")
        (home / folder / "accounts-0003").write_bytes(b"pages")
    (home / "profile.key").write_bytes(b"secret")
    return home


def opened(home, folder=None):
    config = read_config(home / "node.toml")
    with Journal.open_to_read(config.journal) as journal:
        whose = journal.network, journal.author, journal.epoch
    return Journal.open(folder or config.journal, *whose)


def blocks_of(home):
    with Journal.open_to_read(home / "journal") as journal:
        return list(journal.blocks())


def made(home, target, **options):
    return back_up(read_config(home / "node.toml"), target, Progress(), **options)


def files_of(folder):
    return {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}


def test_it_has_everything_but_the_keys(home, tmp_path):
    target = tmp_path / "backup"
    manifest = made(home, target)
    archived = {f"journal/archive/{file.name}" for file in (home / "journal/archive").iterdir()}
    assert len(archived) == 2
    linked = {f"{CHECKPOINT}/document", f"{CHECKPOINT}/accounts-0003", *archived}
    files = {"journal/data.mdb", "profiles/data.mdb", "merchants/data.mdb", *linked}
    files |= PUBLIC | {"certificates/amani.crt"}
    assert files_of(target) == files | {"manifest.json"}
    assert {kept.path for kept in manifest.files} == files
    assert (manifest.positions, manifest.archived, manifest.keys) == (12, 5, False)
    assert manifest == read_manifest(target)
    for file in target.rglob("*"):
        assert file.stat().st_mode & 0o077 == 0 or file.name in PUBLIC | {"amani.crt"} | LINKED
    # Files of the archive and of checkpoints took no room: they have a second name.
    for path in linked:
        assert (target / path).samefile(home / path)


def test_it_is_put_back_as_an_old_disk(home, tmp_path):
    before = blocks_of(home)
    made(home, tmp_path / "backup")
    keys = {file.name: file.read_bytes() for file in home.glob("*.key")}
    shutil.rmtree(home)
    progress = Progress()
    done = restore(tmp_path / "backup", home / "node.toml", progress)
    assert progress.done == progress.total > 0
    assert (done.journal, done.replaced) == (True, None)
    assert {file.name for file in done.missing} == keys.keys()
    assert {file.name for file in done.left} == {
        "genesis.json",
        "openings.bin",
        "addresses.json",
        "amani.crt",
    }
    assert blocks_of(home) == before
    assert files_of(home / "checkpoints") == {
        f"{CHECKPOINT[12:]}/document",
        f"{CHECKPOINT[12:]}/accounts-0003",
    }
    assert (home / CHECKPOINT / "document").read_bytes() == b"signed"
    with lmdb.open(str(home / "profiles"), max_dbs=4, readonly=True) as profiles:
        table = profiles.open_db(b"profiles", create=False)
        with profiles.begin(db=table) as transaction:
            assert transaction.get(b"1") == b"sealed"
    with opened(home) as journal:
        assert journal.re_entering
        assert (journal.count, journal.pruned) == (12, 5)
    assert not [name for name in files_of(home) if "restoring" in name]
    for name, content in keys.items():
        (home / name).touch(0o600)
        (home / name).write_bytes(content)
    assert load_node(read_config(home / "node.toml")).index == 0


def test_with_keys_it_is_a_whole_super_agent_on_a_new_machine(home, tmp_path):
    made(home, tmp_path / "backup", with_keys=True)
    keys = list((tmp_path / "backup" / "keys").iterdir())
    assert len(keys) == 6
    assert all(key.stat().st_mode & 0o777 == 0o600 for key in keys)
    new = tmp_path / "elsewhere" / "super-agents" / "amani"
    done = restore(tmp_path / "backup", new / "node.toml", Progress())
    assert (done.left, done.missing) == ([], [])
    assert load_node(read_config(new / "node.toml")).index == 0
    assert blocks_of(new) == blocks_of(home)
    assert (new / "signing.key").stat().st_mode & 0o777 == 0o600
    for path in MERCHANT_FILES:
        assert (new / path).read_bytes() == path.encode()
        assert (new / path).stat().st_mode & 0o777 == 0o600
    folder = str(new / "merchants")
    with lmdb.open(folder, max_dbs=32, readonly=True) as merchants, merchants.begin() as kept:
        assert kept.get(b"1") == b"sealed"


def test_a_key_of_the_environment_is_in_no_backup_and_not_missed(home, tmp_path):
    config = home / "node.toml"
    text = config.read_text(encoding="utf-8").replace('"signing.key"', '"env:AMANI_SIGNING"')
    config.write_text(text, encoding="utf-8")
    made(home, tmp_path / "backup", with_keys=True)
    assert not (tmp_path / "backup" / "keys" / "signing.key").exists()
    new = tmp_path / "elsewhere" / "super-agents" / "amani"
    done = restore(tmp_path / "backup", new / "node.toml", Progress())
    assert done.missing == []


def test_a_journal_that_holds_more_is_never_replaced(home, tmp_path):
    made(home, tmp_path / "backup")
    with opened(home) as journal:
        journal.append([numbered_block(12)])
    before = blocks_of(home)
    with pytest.raises(BackupError, match="holds 13 blocks and the backup 12: nothing is restored"):
        restore(tmp_path / "backup", home / "node.toml", Progress())
    assert blocks_of(home) == before
    with opened(home) as journal:
        assert not journal.re_entering


def test_the_same_journal_is_left_as_it_is_and_is_no_old_disk(home, tmp_path):
    made(home, tmp_path / "backup")
    shutil.rmtree(home / "profiles")
    (home / CHECKPOINT / "document").unlink()
    (home / CHECKPOINT / "document").write_bytes(b"signed by more")
    done = restore(tmp_path / "backup", home / "node.toml", Progress())
    assert (done.journal, done.replaced, done.missing) == (False, None, [])
    assert not done.re_entering
    assert home / CHECKPOINT in done.left
    assert (home / CHECKPOINT / "document").read_bytes() == b"signed by more"
    assert (home / "profiles" / "data.mdb").exists()
    with opened(home) as journal:
        assert not journal.re_entering


def test_a_journal_that_holds_less_is_moved_aside(home, tmp_path):
    with opened(home) as journal:
        journal.append([numbered_block(12)])
    made(home, tmp_path / "backup")
    full = blocks_of(home)
    with opened(home) as journal:
        whose = journal.network, journal.author, journal.epoch
    for number, less in enumerate((full[:5], [*full[:12], (12, numbered_block(99))]), 1):
        shutil.rmtree(home / "journal")
        with Journal.open(home / "journal", *whose) as journal:
            journal.append([data for _, data in less])
        done = restore(tmp_path / "backup", home / "node.toml", Progress())
        assert done.journal
        assert done.replaced == home / f"journal.before-{number}"
        assert blocks_of(home) == full
        with Journal.open_to_read(done.replaced) as journal:
            assert list(journal.blocks()) == less


def test_a_super_agent_that_runs_is_not_restored(home, tmp_path):
    made(home, tmp_path / "backup")
    before = files_of(tmp_path)
    program = "import sys; from pathlib import Path; from tests.node.test_backup import opened\n"
    program += "with opened(Path(sys.argv[1])): print('open', flush=True); sys.stdin.read()"
    with worker(program, home) as owner:
        assert owner.stdout.readline() == "open\n"
        with pytest.raises(BackupError, match="in use by another running process"):
            restore(tmp_path / "backup", home / "node.toml", Progress())
        owner.stdin.close()
    assert files_of(tmp_path) == before


@pytest.mark.parametrize(
    "path", ["journal/data.mdb", "profiles/data.mdb", "genesis.json", "journal/archive/*"]
)
def test_a_damaged_backup_is_refused_and_nothing_put_back(home, tmp_path, path):
    target = tmp_path / "backup"
    made(home, target)
    file = next(target.glob(path))
    content = bytearray(file.read_bytes())
    shutil.rmtree(tmp_path / "network")
    file.unlink()
    with pytest.raises(BackupError, match="cannot read"):
        restore(target, home / "node.toml", Progress())
    content[len(content) // 2] ^= 1
    for wrong in (content, content[:-1]):
        file.write_bytes(wrong)
        with pytest.raises(BackupError, match="is not the file that the manifest names"):
            restore(target, home / "node.toml", Progress())
    assert not (tmp_path / "network").exists()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (None, "is no backup, or one that was not finished"),
        (b"{", "is no manifest of a backup"),
        ({"harambee_backup": 2}, "is no manifest of a backup"),
        ({"positions": -1}, "is no manifest of a backup"),
        ({"more": 1}, "is no manifest of a backup"),
        ({"name": "baraka"}, "a backup of baraka, and not of amani"),
        ("../outside", "names a file outside the backup"),
        ("/etc/passwd", "names a file outside the backup"),
    ],
)
def test_a_manifest_that_is_none_is_refused(home, tmp_path, changes, sentence):
    target = tmp_path / "backup"
    made(home, target)
    file = target / "manifest.json"
    if changes is None:
        file.unlink()
    elif isinstance(changes, bytes):
        file.write_bytes(changes)
    else:
        document = json.loads(file.read_bytes())
        if isinstance(changes, str):
            document["files"][0]["path"] = changes
        else:
            document |= changes
        file.write_text(json.dumps(document))
    with pytest.raises(BackupError, match=sentence):
        restore(target, home / "node.toml", Progress())


def test_another_network_is_refused(home, tmp_path):
    made(home, tmp_path / "backup")
    shutil.rmtree(home / "journal")
    genesis = tmp_path / "network" / "genesis.json"
    genesis.write_bytes(genesis.read_bytes() + b"\n")
    with pytest.raises(BackupError, match=r"genesis.json is of another network than the backup"):
        restore(tmp_path / "backup", home / "node.toml", Progress())
    assert not (home / "journal").exists()


def test_a_folder_with_something_in_it_is_no_place_for_a_backup(home, tmp_path):
    with pytest.raises(BackupError, match="exists and is not an empty folder"):
        made(home, home)
    shutil.rmtree(home / "journal")
    with pytest.raises(BackupError, match="there is no journal in"):
        made(home, tmp_path / "backup")
    assert not (tmp_path / "backup").exists()


def worker(program, *words):
    """A process of its own that runs this program over the tests' own modules."""
    root = Path(__file__).parents[2]
    source = str(Path(harambee.__file__).parents[1])
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, words)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": f"{source}{os.pathsep}{root}"},
    )


def test_it_is_whole_while_its_owner_appends_and_prunes(home, tmp_path):
    """Whatever moves to the archive meanwhile is in one place of the backup, or in both."""
    shutil.rmtree(home / "journal")
    with worker(WORKER, home / "journal") as owner:
        assert owner.stdout.readline().startswith("open")
        while int(owner.stdout.readline()) < 200:
            pass
        backups = [tmp_path / f"backup-{number}" for number in range(6)]
        manifests = [made(home, target) for target in backups]
        owner.kill()
    assert manifests[-1].archived > manifests[0].archived > 0
    for target, manifest in zip(backups, manifests, strict=True):
        new = tmp_path / f"new {target.name}"
        assert restore(target, new / "home" / "amani" / "node.toml", Progress()).journal
        with Journal.open_to_read(new / "home" / "amani" / "journal") as journal:
            assert journal.count == manifest.positions
            expected = [(p, numbered_block(p)) for p in range(manifest.positions)]
            assert list(journal.blocks()) == expected


def test_a_checkpoint_that_is_removed_while_it_is_linked_is_left_out(tmp_path, monkeypatch):
    for name in ("0000000001-aa", "0000000002-bb"):
        (tmp_path / "there" / name).mkdir(parents=True)
        for file in ("document", "words"):
            (tmp_path / "there" / name / file).write_bytes(b"content")
    (tmp_path / "backup").mkdir()
    linked = []

    def link(source, target, **_):
        linked.append(source)
        if len(linked) == 2:
            shutil.rmtree(source.parent)
        target.write_bytes(source.read_bytes())

    monkeypatch.setattr("os.link", link)
    link_checkpoints(tmp_path / "there", tmp_path / "backup", Progress())
    assert files_of(tmp_path / "backup") == {"0000000002-bb/document", "0000000002-bb/words"}


def test_an_archive_that_is_split_while_it_is_linked_is_linked_again(home, tmp_path):
    """Between two looks at the folder the owner puts in what belongs between others."""
    with opened(home) as journal:
        archive = journal.archive
        looks = []

        class Watched:
            folder = archive.folder

            def files(self):
                looks.append(files := archive.files())
                if len(looks) <= 2:
                    start = 100 * len(looks)
                    rows = (
                        range(start + 1, start + 40, 2) if len(looks) == 2 else range(100, 140, 2)
                    )
                    archive.append([(position, numbered_block(position)) for position in rows])
                return files

        link_archive(Watched(), tmp_path / "linked", Progress())
        assert len(looks) > 3
        names = {file.name: file.stat().st_ino for file in archive.files()}
        assert {file.name: file.stat().st_ino for file in (tmp_path / "linked").iterdir()} == names


# -- the commands ---------------------------------------------------------------------------------


def run(*words):
    return CliRunner().invoke(main, [str(word) for word in words])


def test_the_commands_say_what_they_did(home, tmp_path):
    target = tmp_path / "backup"
    told = run("backup", home / "node.toml", "--to", target)
    assert told.exit_code == 0, told.output
    assert told.stdout.startswith(f"amani is backed up in {target}: 12 blocks, ")
    assert told.stdout.endswith("Its secret keys are not in it: keep them elsewhere.\n")
    refused = run("backup", home / "node.toml", "--to", target)
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert refused.stderr.endswith("exists and is not an empty folder.\n")
    shutil.rmtree(home)
    told = run("restore", target, "--to", home / "node.toml")
    assert told.exit_code == 0, told.output
    lines = told.stdout.splitlines()
    assert lines[0].startswith("amani is restored: 12 blocks, as of 20")
    assert lines[1].startswith(
        "A backup is an old disk: what amani has promised since then is lost"
    )
    assert f"Put this key back before you start it: {home / 'signing.key'}" in lines
    again = run("restore", target, "--to", home / "node.toml", "--json")
    document = json.loads(again.stdout.splitlines()[-1])
    assert (document["status"], document["positions"], document["re_entering"]) == (
        "done",
        12,
        True,
    )
    assert document["journal"] is False
    assert len(document["keys_missing"]) == 5


def test_keys_in_a_backup_are_said_aloud(home, tmp_path):
    told = run("backup", home / "node.toml", "--to", tmp_path / "backup", "--with-keys")
    assert f"Its SECRET KEYS are in {tmp_path / 'backup' / 'keys'}, mode 0600" in told.stdout
    told = run("backup", home / "node.toml", "--to", tmp_path / "other", "--with-keys", "--json")
    document = json.loads(told.stdout.splitlines()[-1])
    assert document["keys"] is True
    assert document["positions"] == 12
