"""`harambee close-day`: what a day made everybody owe, by the words of all super-agents."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harambee.cli.terminal import (
    FailureError,
    json_option,
    network_option,
    one_sentence,
    print_json,
)
from harambee.cli.watching import DAY, Watched, day_text, days_ago, watched

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harambee.oversight.day_close import Cells, DayClose, Outcome
    from harambee.oversight.inquiry import Inquirer


@dataclass
class _Found:
    """What was heard of one day."""

    day: int
    outcome: "Outcome | None" = None
    """Of the signed words, where there are any."""
    close: "DayClose | None" = None
    """What is shown: the agreed close, or while the day is open what most say so far."""
    cells: "Cells | None" = None
    """None where nobody told the flows."""
    flows: bytes = b""
    open_at: list[int] = field(default_factory=list)
    """Super-agents for whom the day may still change."""
    silent: "Mapping[int, str]" = field(default_factory=dict)


@click.command("close-day")
@click.argument("day", type=DAY, required=False)
@click.option(
    "-o",
    "--output",
    "target",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write every signature to this file.",
)
@click.option(
    "--check",
    "file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Check such a file with the committee's keys alone; nobody is asked.",
)
@network_option
@json_option
def close_day(
    day: int | None, target: Path | None, file: Path | None, folder: Path, as_json: bool
) -> None:
    """Close DAY: who owes whom, as every super-agent signs it. Default: the last day that can be closed.

    E-money that moves from one super-agent's customers to another's makes the first owe the second
    as much; banks are parties of their own. A day is closed when no super-agent accepts orders of it
    any more, which is two days later; before that what is known so far is shown, and nothing signed.
    q equal signatures settle a day: exit status 0.

    \b
    Examples:
      harambee close-day
      harambee close-day 2026-11-27 -o 2026-11-27.close
      harambee close-day --check 2026-11-27.close
    """  # noqa: D301 - click's sign for lines to keep
    from harambee.oversight.day_close import GRACE_DAYS, CloseError, read_file, write_file

    if file is not None and (day is not None or target is not None):
        raise click.UsageError("--check reads a file, and takes neither a day nor -o.")
    seen = watched(folder, as_json=as_json)
    genesis = seen.known.genesis
    if file is not None:
        with one_sentence(CloseError, OSError, as_json=as_json):
            outcome, cells = read_file(file.read_bytes(), genesis.committee, genesis.network)
        assert outcome.agreed is not None, "a file without signatures is none"
        found = _Found(outcome.day, outcome, outcome.agreed.close, cells)
    else:
        asked = days_ago(GRACE_DAYS) if day is None else day
        found = seen.ask(lambda inquirers: _fetch(seen, inquirers, asked))
    sentence = _why_not_settled(seen, found)
    document = _document(seen, found)
    if target is not None and found.outcome is not None and found.outcome.agreed is not None:
        if found.cells is None:
            # Without them the file could not be checked.
            sentence = f"Nobody tells the flows of {day_text(found.day)}, so no file is written."
        else:
            with one_sentence(OSError, as_json=as_json):
                target.write_bytes(write_file(found.outcome, found.flows))
            document |= {"file": str(target)}
    if as_json:
        print_json(document | {"sentence": sentence})
    else:
        _show(document)
    if sentence is not None:
        raise FailureError(sentence)


async def _fetch(seen: Watched, asked: "list[Inquirer]", day: int) -> _Found:
    """Ask everybody for the day, and one who is right for its flows."""
    from harambee.oversight.day_close import (
        CloseError,
        Word,
        flows_digest,
        read_close,
        read_flows,
        weigh,
    )
    from harambee.oversight.inquiry import NoAnswerError, ask_all

    genesis = seen.known.genesis
    views, silent = await ask_all(asked, lambda inquirer: inquirer.close(day))
    words, drafts = [], {}
    for index, view in views.items():
        document, signature = view.parts()
        if signature is not None:
            words.append(Word(index, document, signature))
        else:
            drafts[index] = document
    found = _Found(day, silent=silent, open_at=sorted(drafts))
    chosen: bytes | None = None
    if words:
        found.outcome = weigh(genesis.committee, genesis.network, day, words)
        if found.outcome.agreed is not None:
            found.close = found.outcome.agreed.close
    elif drafts:
        said = list(drafts.values())
        chosen = max(said, key=said.count)
        try:
            found.close = read_close(chosen)
        except CloseError as error:
            raise FailureError(f"What the super-agents say is no close: {error}.") from error
    if found.close is None:
        return found
    for index in views:
        try:
            flows = await asked[index].flows(day)
            if flows_digest(flows) != found.close.flows_digest:
                continue
            found.cells, found.flows = read_flows(flows, found.close), flows
        except (NoAnswerError, CloseError):
            continue  # another one tells the flows that the close names
        break
    return found


def _why_not_settled(seen: Watched, found: _Found) -> str | None:
    """Return in one sentence why the day is not settled; None if it is."""
    from harambee.oversight.day_close import GRACE_DAYS

    committee = seen.known.genesis.committee
    if found.outcome is not None:
        if found.outcome.is_settled(committee):
            return None
        count = 0 if found.outcome.agreed is None else len(found.outcome.agreed.signatures)
        return (
            f"{day_text(found.day)} is not settled: {count} of the {committee.q} super-agents that "
            "are needed have signed the same."
        )
    if found.open_at:
        return (
            f"{day_text(found.day)} is not over: orders of that day are accepted for a day after it, "
            f"and it can be closed from {day_text(found.day + GRACE_DAYS)} on."
        )
    reasons = "; ".join(found.silent.values())
    return f"No super-agent says anything of {day_text(found.day)}: {reasons}."


def _document(seen: Watched, found: _Found) -> dict[str, Any]:
    from harambee.oversight.day_close import differences, net_debts

    committee = seen.known.genesis.committee
    outcome, close = found.outcome, found.close
    agreed = None if outcome is None else outcome.agreed
    settled = outcome is not None and outcome.is_settled(committee)
    differing, missing = [], []
    if outcome is not None and agreed is not None:
        for statement in outcome.statements[1:]:
            by = ", ".join(differences(agreed.close, statement.close, seen.party))
            signers = map(seen.super_agent, sorted(statement.signatures))
            differing += [{"super_agent": name, "by": by} for name in signers]
    if outcome is not None:
        for index, why in sorted(outcome.refused.items()):
            differing.append({"super_agent": seen.super_agent(index), "by": why})
        heard = {index for one in outcome.statements for index in one.signatures}
        for index in sorted(set(range(committee.n)) - heard - set(outcome.refused)):
            why = found.silent.get(index, "it has not signed")
            missing.append({"super_agent": seen.super_agent(index), "why": why})
    else:
        for index, why in sorted(found.silent.items()):
            missing.append({"super_agent": seen.super_agent(index), "why": why})
    status = "settled" if settled else "provisional" if outcome is None else "unsettled"
    document: dict[str, Any] = {
        "status": status,
        "day": found.day,
        "date": day_text(found.day),
        "needed": committee.q,
        "signed": [seen.super_agent(index) for index in sorted(agreed.signatures)]
        if agreed
        else [],
        "differing": differing,
        "missing": missing,
    }
    if close is None:
        return document
    names = [seen.party(party) for party in close.parties]
    debts = [] if found.cells is None else net_debts(found.cells)
    rows = zip(names, close.parties, close.positions_cents, close.balances_cents, strict=True)
    return document | {
        "orders": close.orders,
        "circulation_cents": close.circulation_cents,
        "owed_by_banks_cents": sum(close.owed_cents.values()),
        "parties": [
            {
                "name": name,
                "is_bank": party.is_bank,
                "position_cents": position,
                "balance_cents": balance,
            }
            for name, party, position, balance in rows
        ],
        "debts": [
            {"from": names[payer], "to": names[payee], "cents": cents}
            for payer, payee, cents in debts
        ],
        "flows_digest": close.flows_digest.hex(),
    }


def _show(document: dict[str, Any]) -> None:
    from harambee.money.amounts import format_cents

    if "parties" in document:
        click.echo(
            f"{document['date']}: {document['orders']:,} final orders, e-money in circulation "
            f"{format_cents(document['circulation_cents'])}, as much as the banks owe."
        )
        for row in document["parties"]:
            click.echo(
                f"  {row['name']:<20} position {format_cents(row['position_cents']):>22}  "
                f"{'owes' if row['is_bank'] else 'holds'} "
                f"{format_cents(abs(row['balance_cents'])):>24}"
            )
        for debt in document["debts"]:
            amount = format_cents(debt["cents"])
            click.echo(f"  {debt['from']} owes {debt['to']} {amount}")
    if document["signed"]:
        click.echo(f"Signed alike by {', '.join(document['signed'])}.")
    for row in document["differing"]:
        click.echo(f"{row['super_agent']} differs: {row['by']}.")
    for row in document["missing"]:
        click.echo(f"{row['super_agent']} is missing: {row['why']}.")
    if document["status"] == "settled":
        click.echo("Settled.")
    if "file" in document:
        click.echo(f"All signatures are in {document['file']}.")
