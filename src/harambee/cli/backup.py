"""`harambee backup` and `harambee restore`: a super-agent's folder, kept elsewhere and put back."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from harambee.cli.terminal import json_option, one_sentence, print_json

if TYPE_CHECKING:
    from harambee.node.backup import Manifest, Progress

Result = TypeVar("Result")

OLD_DISK = (
    "A backup is an old disk: what {name} has promised since then is lost, so it is marked as with "
    "`harambee rejoin`, and comes back under a new incarnation when it is started."
)


@click.command()
@click.argument("file", metavar="NODE_CONFIG", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--to",
    "target",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="A folder that is missing or empty.",
)
@click.option("--with-keys", is_flag=True, help="The secret keys too. Then guard it like them.")
@json_option
def backup(file: Path, target: Path, with_keys: bool, as_json: bool) -> None:
    """Copy a super-agent's journal, archive, profiles and configuration, also while it runs.

    NODE_CONFIG is its node.toml. Files of the archive get a second name where the folder is on the
    same disk, and are copied otherwise.

    \b
    Example:
      harambee backup node.toml --to /backups/2026-11-28
    """  # noqa: D301 - click's sign for lines to keep
    from harambee.node.backup import BackupError, back_up
    from harambee.node.config import ConfigError, read_config

    with one_sentence(ConfigError, BackupError, as_json=as_json):
        config = read_config(file)
        manifest = _with_a_bar(
            lambda progress: back_up(config, target, progress, with_keys=with_keys), "Backing up"
        )
    if as_json:
        print_json({"status": "done", "folder": str(target), **_facts(manifest)})
        return
    click.echo(
        f"{manifest.name} is backed up in {target}: {manifest.positions:,} blocks, "
        f"{len(manifest.files)} files, {manifest.size:,} bytes."
    )
    if with_keys:
        click.echo(
            f"Its SECRET KEYS are in {target / 'keys'}, mode 0600: who has this folder can sign as "
            f"{manifest.name}."
        )
    else:
        click.echo("Its secret keys are not in it: keep them elsewhere.")


@click.command()
@click.argument("source", metavar="FOLDER", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--to",
    "file",
    metavar="NODE_CONFIG",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="Its node.toml; where none is, the backup's own is put there.",
)
@json_option
def restore(source: Path, file: Path, as_json: bool) -> None:
    """Put a backup back where NODE_CONFIG says, for a super-agent that does not run.

    Every file is checked first. What is there already stays as it is; a journal that holds more than
    the backup is never replaced, one that holds less is moved aside.

    \b
    Example:
      harambee restore /backups/2026-11-28 --to node.toml
    """  # noqa: D301 - click's sign for lines to keep
    from harambee.node.backup import BackupError
    from harambee.node.backup import restore as put_back

    with one_sentence(BackupError, as_json=as_json):
        done = _with_a_bar(lambda progress: put_back(source, file, progress), "Restoring")
    if as_json:
        print_json(
            {
                "status": "done",
                "journal": done.journal,
                "re_entering": done.re_entering,
                "replaced": None if done.replaced is None else str(done.replaced),
                "left": [str(each) for each in done.left],
                "keys_missing": [str(each) for each in done.missing],
                **_facts(done.manifest),
            }
        )
        return
    name = done.manifest.name
    click.echo(
        f"{name} is restored: {done.manifest.positions:,} blocks, as of {done.manifest.made}."
    )
    if done.journal:
        click.echo(OLD_DISK.format(name=name))
    else:
        click.echo("The journal that is there has the same blocks, and was left as it is.")
    if done.replaced is not None:
        click.echo(f"The journal that was there held no more; it is {done.replaced} now.")
    for each in done.left:
        click.echo(f"Left as it was: {each}")
    for each in done.missing:
        click.echo(f"Put this key back before you start it: {each}")


def _with_a_bar(work: "Callable[[Progress], Result]", what: str) -> Result:
    """Do the work in another thread, and show how many bytes are done."""
    from rich.console import Console

    from harambee.cli.progress import follow
    from harambee.node.backup import Progress

    progress = Progress()
    results: list[Result] = []

    async def run() -> None:
        results.append(await asyncio.to_thread(work, progress))

    asyncio.run(
        follow(run(), lambda: progress.total, lambda: progress.done, Console(stderr=True), what)
    )
    return results[0]


def _facts(manifest: "Manifest") -> dict[str, str | int | bool]:
    return {
        "name": manifest.name,
        "network": manifest.network,
        "author": manifest.author,
        "positions": manifest.positions,
        "archived": manifest.archived,
        "keys": manifest.keys,
        "files": len(manifest.files),
        "bytes": manifest.size,
        "made": manifest.made,
    }
