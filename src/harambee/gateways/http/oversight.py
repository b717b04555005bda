"""What regulators, banks and anybody may see of the whole: days closed, their orders, the trust line."""

from typing import Final

import msgspec

from harambee.gateways.http.answers import Answer, Hex, json_answer, octets_answer
from harambee.gateways.http.problems import not_found
from harambee.gateways.http.requests import U16_MAX, Request, whole_text
from harambee.node.port import Port

ROWS_DEFAULT: Final = 8_192
ROWS_MAX: Final = 16_384
"""Entries that one page looks at: 2.3 MB of rows."""
DAYS_AHEAD: Final = 1
"""Voters accept orders of tomorrow, for clocks differ."""


class CloseDocument(msgspec.Struct):
    """A day's close; without a signature while the day may still change."""

    super_agent: int
    day: int
    document: Hex
    signature: Hex | None


class BankRow(msgspec.Struct):
    """A trust bank, and what it owes."""

    account: int
    name: str | None
    owed_cents: int
    limit_cents: int
    share_basis_points: int
    within_limit: bool
    alarm: bool


class TrustDocument(msgspec.Struct):
    """E-money in circulation, and what each bank owes."""

    super_agent: int
    circulation_cents: int
    owed_cents: int
    holds: bool
    banks: list[BankRow]


def _day(port: Port, request: Request) -> int:
    """Return the day of the path; a ProblemError for one of which there can be no orders yet."""
    day = whole_text(request.captured[0], "the day", U16_MAX)
    if day > port.today() + DAYS_AHEAD:
        raise not_found("DAY_AHEAD", "This day has not begun.")
    return day


async def close(port: Port, request: Request) -> Answer:
    """GET /v1/days/{day}/close: the day's close; without a signature while the day may still change."""
    day = _day(port, request)
    found = await port.oversight.close(day)
    return json_answer(
        CloseDocument(
            super_agent=port.index,
            day=day,
            document=found.document.hex(),
            signature=None if found.signature is None else found.signature.hex(),
        )
    )


async def flows(port: Port, request: Request) -> Answer:
    """GET /v1/days/{day}/flows: who paid whom how much, as the day's close names it."""
    return octets_answer(await port.oversight.flows(_day(port, request)))


async def orders(port: Port, request: Request) -> Answer:
    """GET /v1/days/{day}/orders: the day's final orders, in this super-agent's order of applying.

    Records of 138 bytes: the order, its block's author u16, that author's clock u64 in milliseconds.
    The header harambee-next says where to go on, harambee-end where the day ends; a page may be empty
    before that.
    """
    day = _day(port, request)
    after = request.number("after", 0, (1 << 63) - 1)
    limit = max(1, request.number("limit", ROWS_DEFAULT, ROWS_MAX))
    page = await port.oversight.orders(day, after, limit)
    headers = (
        (b"harambee-next", str(page.following).encode()),
        (b"harambee-end", str(page.end).encode()),
    )
    return octets_answer(page.rows.tobytes(), headers)


async def trust(port: Port, request: Request) -> Answer:
    """GET /v1/trust: e-money in circulation, and what each bank owes."""
    del request
    line = await port.oversight.trust()
    names = {issuer.account: issuer.name for issuer in port.genesis.document.issuers}
    banks = [
        BankRow(
            account=bank.account,
            name=names.get(bank.account),
            owed_cents=bank.owed_cents,
            limit_cents=bank.limit_cents,
            share_basis_points=bank.share_basis_points,
            within_limit=bank.is_within_limit,
            alarm=bank.is_concentrated,
        )
        for bank in line.banks
    ]
    return json_answer(
        TrustDocument(
            super_agent=port.index,
            circulation_cents=line.circulation_cents,
            owed_cents=line.owed_cents,
            holds=line.holds,
            banks=banks,
        )
    )
