"""`harambee observe`: every balance on one's own disk, every signature checked, and who lies, by name."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from harambee.cli.terminal import (
    FailureError,
    json_option,
    network_option,
    one_sentence,
    print_json,
)

if TYPE_CHECKING:
    import numpy as np
    from rich.console import Console

    from harambee.cli.parties import Parties
    from harambee.handset.network_file import KnownNetwork
    from harambee.observer.alarms import Alarm, Alarms
    from harambee.observer.following import Numbers
    from harambee.observer.observer import Observer
    from harambee.observer.sources import Source
    from harambee.protocol.account_proofs import AccountProof
    from harambee.protocol.genesis import Genesis

DEFAULT_FOLDER: Final = Path("harambee-observer")
LOOK_S: Final = 3.0
"""So often all doors are looked at."""
LOOKS_ONCE_MAX: Final = 12
"""So often `--once` looks at most, for under load a door and the observer must meet at the same blocks."""
LOOK_AGAIN_S: Final = 1.0
LOOKS_ONCE_MIN: Final = 3
"""Accounts are compared at the look after they were asked for, and digests that differ three times."""

observer_option = click.option(
    "--folder",
    "place",
    type=click.Path(path_type=Path, file_okay=False),
    default=DEFAULT_FOLDER,
    show_default=True,
    help="The observer's own folder.",
)


@click.group(invoke_without_command=True)
@click.option(
    "--once", is_flag=True, help="Compare with every super-agent, and end; 1: an alarm rang."
)
@click.option("--light", metavar="ACCOUNT", help="Fetch only this account, with its proof.")
@observer_option
@network_option
@json_option
@click.pass_context
def observe(
    ctx: click.Context, once: bool, light: str | None, place: Path, folder: Path, as_json: bool
) -> None:
    """Follow the network, check everything, and alarm when a super-agent's word and the ledger differ.

    No key is needed, only genesis.json and addresses.json (--network: their folder, or genesis.json);
    the opening accounts beside them as long as there is no checkpoint. The whole ledger lies in
    --folder, and is gone on from at the next start. An answer that does not check is never shown.

    --light asks for one account alone and its Merkle proof, at the newest checkpoint that enough
    super-agents have signed: for a small phone.

    \b
    Examples:
      harambee observe
      harambee observe --once --json
      harambee observe --light customer-1
      harambee observe balance customer-1
      harambee observe proof customer-1 --output account.proof
      harambee observe verify account.proof
    """  # noqa: D301 - click's sign for lines to keep
    if ctx.invoked_subcommand is not None:
        return
    if light is not None:
        _look_lightly(light, place, folder, as_json=as_json)
    else:
        _observe(place, folder, once=once, as_json=as_json)


# -- the whole ledger -----------------------------------------------------------------------------


def _expected() -> tuple[type[Exception], ...]:
    from harambee.cli.parties import PartyError
    from harambee.handset.network_file import NetworkFileError
    from harambee.ledger.ledger import LedgerError
    from harambee.observer.block_log import LogError
    from harambee.observer.light import NotProvedError
    from harambee.observer.observer import ObserverError
    from harambee.protocol.fold import JournalBroken
    from harambee.storage.checkpoint_making import NotMade
    from harambee.storage.checkpoint_store import CheckpointDamaged

    return (
        NetworkFileError,
        PartyError,
        LedgerError,
        LogError,
        NotProvedError,
        ObserverError,
        JournalBroken,
        NotMade,
        CheckpointDamaged,
        OSError,
    )


def _known(folder: Path) -> "tuple[KnownNetwork, Genesis, Parties, bool]":
    """The network; its genesis, with the opening accounts if these are there; and who is who."""
    from harambee.cli.handset_use import read_parties
    from harambee.node.network_folder import NetworkFolderError, load_genesis

    home = folder.parent if folder.is_file() else folder
    known, parties = read_parties(home)
    try:
        return known, load_genesis(home), parties, True
    except NetworkFolderError:
        return known, known.genesis, parties, False


def _observe(place: Path, folder: Path, *, once: bool, as_json: bool) -> None:
    from rich.console import Console

    from harambee.observer.alarms import Alarms
    from harambee.observer.observer import Observer
    from harambee.observer.sources import open_sources
    from harambee.protocol.warm import warm_up

    console = Console(stderr=as_json)

    def tell(alarm: "Alarm") -> None:
        console.print(
            alarm.sentence, style="bold red", highlight=False, soft_wrap=True, markup=False
        )

    async def run() -> Observer:
        async with open_sources(known.doors) as sources:
            observer = Observer(
                genesis, sources, place, Alarms(place, tell), has_openings=has_openings
            )
            try:
                await _run(observer, console, once=once)
            finally:
                observer.close()
            return observer

    with one_sentence(*_expected(), as_json=as_json):
        known, genesis, _, has_openings = _known(folder)
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        warm_up()
        try:
            observer = asyncio.run(run())
        except KeyboardInterrupt:
            return
        if len(observer.silent) == len(observer.sources):
            raise FailureError("No super-agent can be reached.")
    _conclude(observer, as_json=as_json)


async def _run(observer: "Observer", console: "Console", *, once: bool) -> None:
    """Begin, catch up with a bar, then look again and again; ends only where it is for once."""
    from harambee.cli.progress import follow

    pages = observer.pages
    await follow(
        observer.begin(), lambda: pages.pages, lambda: pages.done, console, "pages of a checkpoint"
    )

    def folded() -> int:
        return sum(observer.following.heights())

    await follow(observer.look(), lambda: folded() + observer.behind, folded, console, "blocks")
    if not once:
        await _watch(observer, console)
    for look in range(1, LOOKS_ONCE_MAX):
        if observer.compared_with_all and look >= LOOKS_ONCE_MIN:
            return
        await asyncio.sleep(LOOK_AGAIN_S)
        await observer.look()


async def _watch(observer: "Observer", console: "Console") -> None:
    """One line that lives, for ever."""
    from rich.text import Text

    with console.status(Text(_line(observer))) as line:
        while True:
            await asyncio.sleep(LOOK_S)
            await observer.look()
            line.update(Text(_line(observer)))


def _line(observer: "Observer") -> str:

    numbers = observer.numbers
    if numbers is None:
        return observer.why_no_numbers
    silent = f", silent: {', '.join(observer.silent)}" if observer.silent else ""
    return (
        f"{_spoken(numbers)}, {observer.behind} behind, {len(observer.alarms.new)} alarms{silent}"
    )


def _spoken(numbers: "Numbers") -> str:
    from harambee.money.amounts import format_cents

    return (
        f"{numbers.blocks:,} blocks, {numbers.accounts:,} accounts, {numbers.orders:,} orders, "
        f"e-money in circulation {format_cents(numbers.in_circulation_cents)}, "
        f"sum of all balances {numbers.total_cents}"
    )


def _conclude(observer: "Observer", *, as_json: bool) -> None:
    """Say what was found; exit status 1 where an alarm rang."""
    numbers, alarms = observer.numbers, observer.alarms
    agreed = [
        source.name
        for source, seen in zip(observer.sources, observer.seen, strict=True)
        if seen.agreed
    ]
    if as_json:
        members = observer.genesis.committee.members
        document: dict[str, Any] = {
            "ok": not alarms.new and numbers is not None,
            "alarms": [_alarm_document(alarm) for alarm in alarms.new],
            "agreed": agreed,
            "silent": observer.silent,
            "behind": observer.behind,
            "checkpoint": observer.checkpoint,
        }
        if numbers is None:
            document["sentence"] = observer.why_no_numbers
        else:
            document |= {
                "heights": {
                    member.name: height
                    for member, height in zip(members, numbers.heights, strict=True)
                },
                "blocks": numbers.blocks,
                "orders": numbers.orders,
                "accounts": numbers.accounts,
                "in_circulation_cents": numbers.in_circulation_cents,
                "total_cents": numbers.total_cents,
                "digest": numbers.digest.hex(),
            }
        print_json(document)
    elif numbers is None:
        click.echo(f"No number is shown: {observer.why_no_numbers}")
    else:
        click.echo(f"{_spoken(numbers)}.")
        click.echo(f"The ledger's digest is {numbers.digest.hex()}.")
        click.echo(f"The same at {', '.join(agreed) or 'nobody that could be compared'}.")
        if observer.silent:
            click.echo(f"Silent: {', '.join(observer.silent)}.")
    if alarms.new or numbers is None:
        raise SystemExit(1)


def _alarm_document(alarm: "Alarm") -> dict[str, Any]:
    return {"kind": alarm.kind, "super_agent": alarm.name, "sentence": alarm.sentence}


# -- one account ----------------------------------------------------------------------------------


def _with_sources(known: "KnownNetwork", use: "Callable[[list[Source]], Any]") -> Any:
    from harambee.observer.sources import open_sources

    async def run() -> Any:
        async with open_sources(known.doors) as sources:
            return await use(sources)

    return asyncio.run(run())


def _account(text: str, known: "KnownNetwork", parties: "Parties") -> int:
    """The account that is meant; a telephone number is asked for at super-agents until w say the same."""
    from harambee.cli.handset_use import with_doors
    from harambee.handset.agreement import DisagreementError, NoDoorError, agreed

    meant = parties.payee(text)
    if isinstance(meant, int):
        return meant
    found = parties.number_known_here(meant)
    if found is not None:
        return found
    needed = known.genesis.committee.w
    try:
        account = with_doors(
            known, None, lambda doors: agreed(doors, needed, lambda door: door.directory(meant))
        )
    except (NoDoorError, DisagreementError) as error:
        raise FailureError(str(error)) from error
    if account is None:
        raise FailureError("Nobody has this number.")
    return int(account)


@observe.command()
@click.argument("who", metavar="ACCOUNT|NUMBER")
@observer_option
@network_option
@json_option
def balance(who: str, place: Path, folder: Path, as_json: bool) -> None:
    """Show what an account holds, from the observer's folder alone; an observer may be running.

    A telephone number is looked up at super-agents, for its hash takes the committee's key.
    """
    from harambee.observer.alarms import Alarms
    from harambee.observer.block_log import BlockLog
    from harambee.observer.judging import newest_base
    from harambee.observer.observer import ObserverError, recovered
    from harambee.protocol.warm import warm_up
    from harambee.storage.checkpoint_store import CheckpointStore

    with one_sentence(*_expected(), as_json=as_json):
        known, genesis, parties, _ = _known(folder)
        account = _account(who, known, parties)
        alarm = Alarms(place).against_the_ledger
        if alarm is not None:
            raise ObserverError(alarm.sentence)
        log = BlockLog.open(place, genesis.network, genesis.committee.n, to_read=True)
        warm_up()
        try:
            store = CheckpointStore(place / "checkpoints", genesis.network, genesis.committee)
            following = recovered(genesis, log, newest_base(store, genesis))
        finally:
            log.close()
        numbers = following.numbers()
        if numbers is None:
            raise ObserverError(
                "the ledger is not as it must be: start `harambee observe` to see why"
            )
        found = following.record(account)
        if found is None:
            raise ObserverError(f"there is no account {account} in the ledger here")
    _show(
        account, found[0], {"blocks": numbers.blocks}, f"{numbers.blocks:,} blocks", as_json=as_json
    )


@observe.command()
@click.argument("who", metavar="ACCOUNT|NUMBER")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where to write it; default: account-NUMBER.proof.",
)
@observer_option
@network_option
@json_option
def proof(who: str, output: Path | None, place: Path, folder: Path, as_json: bool) -> None:
    """Write a file with which a stranger checks an account, offline, by the committee's keys alone.

    It is of the newest checkpoint in the observer's folder that enough super-agents have signed.
    """
    from harambee.observer.light import stored_proof
    from harambee.storage.checkpoint_store import CheckpointStore

    with one_sentence(*_expected(), as_json=as_json):
        known, genesis, parties, _ = _known(folder)
        account = _account(who, known, parties)
        store = CheckpointStore(place / "checkpoints", genesis.network, genesis.committee)
        made = stored_proof(store, genesis, account)
        file = output or Path(f"account-{account}.proof")
        file.write_bytes(made.to_bytes())
    if as_json:
        print_json({"file": str(file), "account": account, "bytes": file.stat().st_size})
    else:
        click.echo(f"{file} proves account {account} at checkpoint {made.checkpoint.number}.")


@observe.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@network_option
@json_option
def verify(file: Path, folder: Path, as_json: bool) -> None:
    """Say what such a file proves; exit status 1 if it proves nothing. Nobody is asked."""
    from harambee.handset.network_file import read_committee
    from harambee.observer.light import checked

    with one_sentence(*_expected(), as_json=as_json):
        genesis = read_committee(folder)
        found, record = checked(file.read_bytes(), genesis)
    _show_proof(genesis, found, record, as_json=as_json)


def _look_lightly(who: str, place: Path, folder: Path, *, as_json: bool) -> None:
    """Fetch one account with its proof, keep it, show it."""
    from harambee.observer.alarms import Alarms
    from harambee.observer.light import checked, fetch_proof, keep

    def tell(alarm: "Alarm") -> None:
        click.echo(alarm.sentence, err=True)

    with one_sentence(*_expected(), as_json=as_json):
        known, genesis, parties, _ = _known(folder)
        account = _account(who, known, parties)
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        alarms = Alarms(place, tell)
        fetched = _with_sources(
            known, lambda sources: fetch_proof(genesis, sources, account, alarms)
        )
        kept = keep(place, genesis, fetched)
        found, record = checked(kept.to_bytes(), genesis)
    _show_proof(genesis, found, record, as_json=as_json, alarms=alarms)
    if alarms.new:
        raise SystemExit(1)


def _show_proof(
    genesis: "Genesis",
    found: "AccountProof",
    record: "np.void",
    *,
    as_json: bool,
    alarms: "Alarms | None" = None,
) -> None:
    from datetime import datetime

    from harambee.ledger.days import EAST_AFRICA

    said = found.checkpoint
    names = [genesis.committee.members[word.signer].name for word in found.words]
    at = datetime.fromtimestamp(said.time_ms / 1_000, EAST_AFRICA)
    document = {"checkpoint": said.number, "time_ms": said.time_ms, "signed_by": names}
    if alarms is not None:
        document["alarms"] = [_alarm_document(alarm) for alarm in alarms.new]
    when = f"checkpoint {said.number} of {at:%Y-%m-%d %H:%M:%S}, signed by {', '.join(names)}"
    _show(found.account, record, document, when, as_json=as_json)


def _show(
    account: int, record: "np.void", more: dict[str, Any], when: str, *, as_json: bool
) -> None:
    from harambee.money.amounts import format_cents

    cents = int(record["balance"])
    if as_json:
        fields = ("held", "frozen", "debited", "credited")
        document = {"account": account, "balance_cents": cents}
        document |= {f"{name}_cents": int(record[name]) for name in fields}
        print_json(document | {"next_sequence": int(record["next_sequence"])} | more)
        return
    click.echo(f"Account {account} holds {format_cents(cents)} as of {when}.")
