"""`harambee export`: a day in a file, as a regulator asks for it."""

from collections.abc import Sequence
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
from harambee.cli.watching import DAY, Watched, day_text, watched
from harambee.oversight.tables import Column, Sink, TableError, Value, numbers, table, words

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from harambee.oversight.flags import Flag
    from harambee.oversight.flows import Splitter
    from harambee.oversight.inquiry import Inquirer

ORDER_COLUMNS = [
    *words("receipt_code", "kind", "date", "time"),
    *numbers("payer", "payer_region"),
    *words("payer_super_agent"),
    *numbers("payee", "payee_region"),
    *words("payee_super_agent"),
    *numbers("amount_cents", "fee_cents", "excise_cents", "tariff"),
]
POSITION_COLUMNS = [
    *words("date", "state", "party", "party_kind"),
    *numbers("position_cents", "balance_cents"),
]
FLAG_COLUMNS = [
    *words("date", "flag"),
    *numbers("account"),
    *words("super_agent"),
    *numbers("count", "amount_cents"),
    *words("sentence"),
]
ACCOUNT_COLUMNS = [
    *words("date", "super_agent"),
    *numbers("region"),
    *words("kind"),
    *numbers("accounts", "balance_cents"),
]


@click.command()
@click.argument("day", type=DAY)
@click.option(
    "-o",
    "--output",
    "target",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="The file: .csv or .parquet.",
)
@click.option(
    "--what",
    type=click.Choice(["orders", "positions", "flags", "accounts-by-kind"]),
    default="orders",
    show_default=True,
    help="What the rows are.",
)
@click.option("--via", metavar="NAME", help="Read this super-agent; default: any that answers.")
@network_option
@json_option
def export(day: int, target: Path, what: str, via: str | None, folder: Path, as_json: bool) -> None:
    """Write DAY into a file, a row for each final order (or --what else), by one super-agent's word.

    Money is in whole cents. There are no names and no telephone numbers: the ledger has none. The
    time is that of the block in which the order lies, for display; balances of accounts by kind are
    those of now, so DAY must be today. .parquet needs pyarrow: pip install pyarrow.

    \b
    Examples:
      harambee export 2026-11-27 -o 2026-11-27.csv
      harambee export 2026-11-27 --what positions -o positions.parquet
    """  # noqa: D301 - click's sign for lines to keep
    from harambee.oversight.day_close import CloseError
    from harambee.oversight.flows import NotFinalError
    from harambee.oversight.inquiry import NoAnswerError

    columns, write = _WRITERS[what]
    seen = watched(folder, as_json=as_json)
    with (
        one_sentence(
            NoAnswerError, TableError, CloseError, NotFinalError, OSError, as_json=as_json
        ),
        table(target, columns) as sink,
    ):
        counted = _Counted(sink)
        seen.ask_one(via, lambda inquirer: write(seen, inquirer, day, counted))
    if as_json:
        print_json(
            {"day": day, "date": day_text(day), "what": what, "rows": counted.rows}
            | {"file": str(target)}
        )
    else:
        click.echo(f"{counted.rows:,} rows in {target}.")


class _Counted:
    """A sink that knows how many rows it has had."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self.rows = 0

    def write(self, rows: Sequence[Sequence[Value]]) -> None:
        self._sink.write(rows)
        self.rows += len(rows)


# -- orders ---------------------------------------------------------------------------------------


async def _write_orders(seen: Watched, inquirer: "Inquirer", day: int, sink: Sink) -> None:
    from harambee.oversight.flows import Splitter

    splitter = Splitter({tariff.version: tariff for tariff in seen.known.genesis.tariffs})
    async for page in inquirer.day_orders(day):
        sink.write(_order_rows(seen, page, splitter))


def _order_rows(
    seen: Watched, page: "npt.NDArray[np.void]", splitter: "Splitter"
) -> list[tuple[Value, ...]]:
    """Return the rows of a FINAL_ORDER page; NotFinalError where one cannot be final."""
    from datetime import UTC, datetime, timedelta

    from harambee.handset.receipt_code import code_of
    from harambee.ledger.days import EAST_AFRICA
    from harambee.ledger.kinds import ENDINGS
    from harambee.ledger.records import region_of
    from harambee.ledger.rules import Order, named_slot
    from harambee.oversight.flows import excise_cents_of, kind_name

    genesis = seen.known.genesis
    orders = page["order"]
    excise = excise_cents_of(orders, splitter).tolist()
    began = datetime.fromtimestamp(0, UTC)
    rows: list[tuple[Value, ...]] = []
    fields = ("payer", "payee", "amount", "fee", "kind", "tariff", "day")
    lists = [orders[name].tolist() for name in fields]
    for record, signer, payee, amount, fee, kind, tariff, day, time_ms, tax in zip(
        orders, *lists, page["time_ms"].tolist(), excise, strict=True
    ):
        # What ends a hold may be signed by either side of it; the payer is whose money it was.
        payer = named_slot(Order.of(record))[0] if kind in ENDINGS else signer
        # A liar's clock may say anything; what no calendar has is left empty.
        try:
            when = (began + timedelta(milliseconds=time_ms)).astimezone(EAST_AFRICA).isoformat()
        except OverflowError:
            when = ""
        rows.append(
            (
                code_of(record.tobytes(), genesis.regions),
                kind_name(kind),
                day_text(day),
                when,
                payer,
                region_of(payer),
                seen.home(payer),
                payee,
                region_of(payee),
                seen.home(payee),
                amount,
                fee,
                tax,
                tariff,
            )
        )
    return rows


# -- positions, flags, accounts -------------------------------------------------------------------


async def _write_positions(seen: Watched, inquirer: "Inquirer", day: int, sink: Sink) -> None:
    from harambee.oversight.day_close import read_close

    document, signature = (await inquirer.close(day)).parts()
    close = read_close(document)
    state = "provisional" if signature is None else "closed"
    triples = zip(close.parties, close.positions_cents, close.balances_cents, strict=True)
    sink.write(
        [
            (
                day_text(close.day),
                state,
                seen.party(party),
                "bank" if party.is_bank else "super-agent",
                position,
                balance,
            )
            for party, position, balance in triples
        ]
    )


async def _write_flags(seen: Watched, inquirer: "Inquirer", day: int, sink: Sink) -> None:
    from harambee.oversight.day_reading import read_day
    from harambee.oversight.flags import flags_of

    read = await read_day(inquirer, seen.known.genesis, day)
    sink.write([flag_row(seen, day, flag) for flag in flags_of(read)])


def flag_row(seen: Watched, day: int, flag: "Flag") -> tuple[Value, ...]:
    """Return a flag as a row of FLAG_COLUMNS."""
    home = seen.home(flag.account)
    account = (flag.account, home, flag.count, flag.cents)
    return (day_text(day), flag.name, *account, flag.sentence)


async def _write_accounts(seen: Watched, inquirer: "Inquirer", day: int, sink: Sink) -> None:
    from harambee.ledger.records import KIND_MASK, POSITION_BITS
    from harambee.oversight.day_reading import KINDS, accounts_of

    _, today = await inquirer.network()
    if day != today:
        raise FailureError(
            f"What accounts hold is known of now only: ask for {day_text(today)}, which is today."
        )
    sums: dict[tuple[int, int], list[int]] = {}
    async for region, records in accounts_of(inquirer, seen.known.genesis.regions):
        for kind in KINDS:
            own = records["balance"][records["flags"] & KIND_MASK == kind].tolist()
            if own:
                row = sums.setdefault((region, int(kind)), [0, 0])
                row[0] += len(own)
                row[1] += sum(own)
    names = {int(kind): kind.name.lower() for kind in KINDS}
    sink.write(
        [
            (day_text(day), seen.home(region << POSITION_BITS), region, names[kind], count, cents)
            for (region, kind), (count, cents) in sorted(sums.items())
        ]
    )


_WRITERS: dict[str, tuple[Sequence[Column], Any]] = {
    "orders": (ORDER_COLUMNS, _write_orders),
    "positions": (POSITION_COLUMNS, _write_positions),
    "flags": (FLAG_COLUMNS, _write_flags),
    "accounts-by-kind": (ACCOUNT_COLUMNS, _write_accounts),
}
