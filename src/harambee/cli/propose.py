"""`harambee propose`: an operator of a super-agent asks all of them for a freeze, a key, a tariff."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from harambee.cli.terminal import (
    FailureError,
    json_option,
    key_type_option,
    network_option,
    network_words,
    print_json,
    program,
)

if TYPE_CHECKING:
    from harambee.cli.parties import Parties
    from harambee.handset.governing import KeyRequestText
    from harambee.handset.network_file import KnownNetwork
    from harambee.ledger.records import KeyType

F = TypeVar("F", bound=Callable[..., Any])

TARIFF_DAYS: Final = 3
"""A new tariff begins so many days after its proposal at the soonest."""

DAY_MAX: Final = (1 << 16) - 1

at_option: Final = click.option(
    "--at", metavar="SUPER-AGENT", help="Whose operator proposes; default: the account's own."
)
operator_option: Final = click.option(
    "--operator", metavar="NAME", help="Who proposes, and approves with it; default: the first."
)


def _common(function: F) -> F:
    return at_option(operator_option(network_option(json_option(function))))


@click.group()
def propose() -> None:
    """Propose what super-agents decide together; two operators of each must approve.

    A proposal counts once q super-agents have voted for it, each after two of its own operators
    approved. It lives until the end of tomorrow. Whoever proposes approves with it.

    \b
    Examples:
      harambee propose freeze customer-1 --amount 500
      harambee proposals
      harambee approve 3f9a1c --at amani --operator second
    """  # noqa: D301 - click's sign for lines to keep


@propose.command()
@click.argument("account", metavar="WHO")
@click.option("--amount", metavar="SHILLINGS", help="So much of it; default: the whole account.")
@_common
def freeze(account: str, amount: str | None, **common: Any) -> None:
    """Let nothing leave an account, or so many shillings of it.

    What is final stays final, and so does what was certified before. WHO is a name, a number or an
    account number.
    """
    _propose_act("FREEZE", account, amount=amount, **common)


@propose.command()
@click.argument("account", metavar="WHO")
@click.option("--amount", metavar="SHILLINGS", help="So much of it; default: the whole account.")
@_common
def unfreeze(account: str, amount: str | None, **common: Any) -> None:
    """Take a freeze back."""
    _propose_act("UNFREEZE", account, amount=amount, **common)


@propose.command()
@click.argument("account", metavar="WHO")
@_common
def close(account: str, **common: Any) -> None:
    """Close an empty account for good; its own super-agent proposes that."""
    _propose_act("CLOSE", account, **common)


@propose.command()
@click.argument("account", metavar="WHO")
@click.argument("to", metavar="TIER", type=click.IntRange(0, 15))
@_common
def tier(account: str, to: int, **common: Any) -> None:
    """Say to which tier a customer is known; the tariff has the limits of each."""
    _propose_act("SET_TIER", account, tier=to, **common)


@propose.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--from",
    "first",
    type=click.DateTime(["%Y-%m-%d"]),
    help="Its first day; default: the soonest, three days from now.",
)
@_common
def tariff(
    file: Path,
    first: Any,
    at: str | None,
    operator: str | None,
    folder: Path,
    as_json: bool,
) -> None:
    """Bring a new version of the tariff, a TOML schedule as src/harambee/money/schedules has them.

    It is the price of every order whose own day is the first day or later, and of none before.
    """
    from harambee.cli.governance_use import bring_proposal, governance_errors, index_of, tell
    from harambee.cli.handset_use import read_parties, with_doors
    from harambee.handset.governed_words import EPOCH
    from harambee.handset.governing import tariff_body
    from harambee.handset.orders import today
    from harambee.money.tariff import TariffError, load_tariff

    with governance_errors(as_json=as_json):
        known, _ = read_parties(folder)
        try:
            loaded = load_tariff(file.read_text(encoding="utf-8"))
        except (TariffError, OSError, UnicodeDecodeError) as error:
            raise FailureError(f"{file} is no tariff: {error}.") from error
        day = today() + TARIFF_DAYS if first is None else (first.date() - EPOCH).days
        if not 0 < day <= DAY_MAX:
            raise click.BadParameter("this is no day that an order can have", param_hint="--from")
        by = at or known.doors[0].name
        body = with_doors(
            known,
            at,
            lambda doors: tariff_body(known.genesis, doors, loaded, day, index_of(known, by)),
        )
        content = loaded.to_bytes().decode("ascii")
        proposal = bring_proposal(known, folder, body, by, operator, {"document": content})
        tell(proposal, folder, at=by, as_json=as_json)


@propose.command("new-key")
@click.argument("who", metavar="NAME")
@click.option(
    "--telephone", metavar="NUMBER", help="Whose account it is for: the lost phone's number."
)
@click.option("--account", type=click.IntRange(0), help="Or the number of the account.")
@click.option("--request", metavar="TEXT", help="At the super-agent: what the new phone shows.")
@click.option("--show", is_flag=True, help="On the phone: make the key and show what to hand over.")
@key_type_option
@_common
def new_key(
    who: str,
    telephone: str | None,
    account: int | None,
    request: str | None,
    show: bool,
    key_type: "KeyType",
    at: str | None,
    operator: str | None,
    folder: Path,
    as_json: bool,
) -> None:
    """Ask for a new key for an account whose phone is lost.

    The new phone makes its key first: handsets/NAME in the network's folder, for its owner alone. With
    --show, it shows a text for the super-agent that opened the account, which checks who asks and then
    proposes it with --request. On a development network both happen at once.

    \b
    Examples:
      harambee propose new-key wanjiku-2 --telephone 0712345678
      harambee propose new-key wanjiku-2 --telephone 0712345678 --show --key-type p256
      harambee propose new-key wanjiku-2 --request HRBK1:...
    """  # noqa: D301 - click's sign for lines to keep
    from harambee.cli.governance_use import bring_proposal, governance_errors, tell
    from harambee.cli.handset_use import read_parties
    from harambee.handset.governing import KeyRequestText
    from harambee.handset.orders import OrderBody

    with governance_errors(as_json=as_json):
        known, parties = read_parties(folder)
        if request is None:
            asked = _asked_on_the_phone(known, parties, who, telephone, account, key_type)
        else:
            asked = KeyRequestText.from_text(request)
        body = OrderBody.from_bytes(asked.body)
        by = at or _own_super_agent(known, body.payee)
        if show:
            _show_request(asked, body.payee, by, who, folder, as_json=as_json)
            return
        more = {"possession": asked.possession.hex()}
        proposal = bring_proposal(known, folder, body, by, operator, more)
        tell(proposal, folder, at=by, as_json=as_json)


def _asked_on_the_phone(
    known: "KnownNetwork",
    parties: "Parties",
    who: str,
    telephone: str | None,
    account: int | None,
    key_type: "KeyType",
) -> "KeyRequestText":
    """Make the new phone's key durable, then write and sign its request."""
    from harambee.cli.handset_use import with_doors
    from harambee.cli.register import NAME
    from harambee.handset.governing import ask_for_key
    from harambee.handset.handset import find_telephone
    from harambee.handset.wallet import new_key_of, prepare_key

    if not NAME.fullmatch(who):
        raise click.BadParameter("a name begins with a letter; then letters, digits, _ and -")
    if (telephone is None) == (account is None):
        raise click.UsageError("Say whose account it is: --telephone NUMBER, or --account NUMBER.")
    if parties.is_taken(who):
        raise FailureError(f"There is somebody called {who} on this machine already.")
    genesis = known.genesis
    number = account
    if telephone is not None:
        wanted = telephone
        number = with_doors(known, None, lambda doors: find_telephone(genesis, doors, wanted))
    assert number is not None
    whose = number
    keypair = prepare_key(parties.handsets / who, new_key_of(key_type), whose, genesis.network)
    return with_doors(known, None, lambda doors: ask_for_key(genesis, doors, whose, keypair))


def _show_request(
    asked: "KeyRequestText", account: int, by: str, who: str, folder: Path, *, as_json: bool
) -> None:
    if as_json:
        print_json({"account": account, "super_agent": by, "request": asked.to_text()})
        return
    words = network_words(folder)
    click.echo(f"The key for account {account} lies in {folder / 'handsets' / who}.")
    click.echo(f"Take this to {by}, with what shows who you are, today:")
    click.echo(f"  {asked.to_text()}")
    click.echo(f"There: {program()} propose new-key {who} --request TEXT{words}")


def _propose_act(
    kind: str,
    account: str,
    *,
    amount: str | None = None,
    tier: int = 0,
    at: str | None,
    operator: str | None,
    folder: Path,
    as_json: bool,
) -> None:
    from harambee.cli.governance_use import bring_proposal, governance_errors, index_of, tell
    from harambee.cli.handset_use import read_parties, with_doors
    from harambee.handset.governing import Act, body_of
    from harambee.ledger.kinds import OrderKind

    with governance_errors(as_json=as_json):
        known, parties = read_parties(folder)
        number = account_of(known, parties, account)
        cents = 0 if amount is None else cents_of(amount)
        act = Act(OrderKind[kind], number, cents, tier)
        by = at or _own_super_agent(known, number)
        index = index_of(known, by)
        body = with_doors(known, at, lambda doors: body_of(known.genesis, doors, act, index))
        proposal = bring_proposal(known, folder, body, by, operator)
        tell(proposal, folder, at=by, as_json=as_json)


def account_of(known: "KnownNetwork", parties: "Parties", text: str) -> int:
    """Return the account that a name, a number or a telephone number stands for."""
    from harambee.cli.handset_use import with_doors
    from harambee.handset.handset import find_telephone

    found = parties.payee(text)
    if isinstance(found, int):
        return found
    return with_doors(known, None, lambda doors: find_telephone(known.genesis, doors, found))


def cents_of(text: str) -> int:
    """Return an amount in shillings as cents; BadParameter if it is none, or nothing."""
    from harambee.money.amounts import AmountError, parse_cents

    try:
        cents = parse_cents(text)
    except AmountError as error:
        raise click.BadParameter(str(error)) from error
    if cents <= 0:
        raise click.BadParameter("the amount must be more than nothing")
    return cents


def _own_super_agent(known: "KnownNetwork", account: int) -> str:
    from harambee.ledger.records import region_of

    for member in known.genesis.committee.members:
        if region_of(account) in member.regions:
            return member.name
    raise FailureError("The account is in no region of this network.")
