"""Accounts over HTTP: what they hold, what moved them, whose number is whose, and new ones.

Telephone numbers come in bodies only, never in addresses, so that no access log can hold one.
"""

from typing import Annotated, Any, Final

import msgspec
import numpy as np

from harambee.gateways.http.answers import Answer, Hex, json_answer, octets_answer
from harambee.gateways.http.orders import OrderShown, order_document
from harambee.gateways.http.problems import ProblemError, bad_request, not_found
from harambee.gateways.http.requests import Request, hex_field, hexadecimal
from harambee.handset.numbers import canonical_number
from harambee.handset.telephone import TelephoneError, telephone
from harambee.ledger.records import (
    BODY_BYTES,
    FEE_MODE_MASK,
    FEE_MODE_SHIFT,
    KEY_TYPE_MASK,
    KEY_TYPE_SHIFT,
    KIND_MASK,
    P256_SIGN_BIT,
    STATUS_MASK,
    STATUS_SHIFT,
    TIER_MASK,
    TIER_SHIFT,
    AccountKind,
    KeyType,
    Status,
    account_number,
    region_of,
)
from harambee.money.tariff import FeeMode
from harambee.node.port import EnrolmentError, Port

QUERY_MAX: Final = 65_536
STATEMENT_DEFAULT: Final = 20
STATEMENT_MAX: Final = 500
ENROLMENT_WAIT_MS: Final = 10_000


class DirectoryDocument(msgspec.Struct, forbid_unknown_fields=True):
    """The body of POST /v1/directory."""

    msisdn: str


class RegistrationDocument(msgspec.Struct, forbid_unknown_fields=True):
    """The body of POST /v1/accounts: the enrolment that the new key has signed."""

    order_body: Annotated[object, hex_field(BODY_BYTES)]
    possession: Annotated[object, hex_field(64)]
    msisdn: str | None = None


class AccountDocument(msgspec.Struct):
    """An account's record, spelled out."""

    account: int
    key: Hex
    kind: str
    status: str
    tier: int
    fee_mode: str
    head_office: int | None
    key_type: str
    key_y_is_odd: bool
    balance_cents: int
    debited_cents: int
    credited_cents: int
    held_cents: int
    frozen_cents: int
    available_cents: int
    next_sequence: int
    spent_today_cents: int
    day: int


class LineDocument(msgspec.Struct):
    """One final order as it moved an account; `change_cents` has the charge and what was earned inside it."""

    entry: int
    time_ms: int
    super_agent: str
    change_cents: int
    balance_cents: int
    other: int | None
    charge_cents: int
    commission_cents: int
    order: OrderShown


class StatementDocument(msgspec.Struct):
    """A page of a statement, newest first; `next_before` is the `before` of the next page."""

    account: int
    lines: list[LineDocument]
    next_before: int | None


class NumberDocument(msgspec.Struct):
    """The account that a telephone number or a short code names, its key, and the keyed hash."""

    account: int
    key: Hex
    alias: Hex


class EnrolmentDocument(msgspec.Struct):
    """What the next new account must put into its enrolment order."""

    enrolment_account: int
    sequence: int
    account: int
    day: int


class AccountMade(msgspec.Struct):
    """The number of a new account."""

    account: int


def _named(names: Any, code: int) -> str:
    """Return the name of a code in the record, or the number if this version has no name for it."""
    return names(code).name.lower() if code in iter(names) else str(code)


async def _account(port: Port, number: int) -> Any:
    found = await port.account(number)
    if found is None:
        raise not_found("ACCOUNT_UNKNOWN", "There is no account of this number.")
    return found[0]


async def account(port: Port, request: Request) -> Answer:
    """GET /v1/accounts/{number}: an account's record, spelled out."""
    number = request.captured_number(0, "the account number")
    record = await _account(port, number)
    flags = int(record["flags"])
    return json_answer(
        AccountDocument(
            account=number,
            key=record["key"].tobytes().hex(),
            kind=_named(AccountKind, flags & KIND_MASK),
            status=_named(Status, flags >> STATUS_SHIFT & STATUS_MASK),
            tier=flags >> TIER_SHIFT & TIER_MASK,
            fee_mode=_named(FeeMode, flags >> FEE_MODE_SHIFT & FEE_MODE_MASK),
            head_office=int(record["head_office"]) or None,
            key_type=_named(KeyType, flags >> KEY_TYPE_SHIFT & KEY_TYPE_MASK),
            key_y_is_odd=flags & P256_SIGN_BIT != 0,
            balance_cents=int(record["balance"]),
            debited_cents=int(record["debited"]),
            credited_cents=int(record["credited"]),
            held_cents=int(record["held"]),
            frozen_cents=int(record["frozen"]),
            available_cents=int(record["balance"]) - int(record["held"]) - int(record["frozen"]),
            next_sequence=int(record["next_sequence"]),
            spent_today_cents=int(record["spent_today"]),
            day=int(record["day"]),
        )
    )


async def query(port: Port, request: Request) -> Answer:
    """POST /v1/accounts/query: the records of many accounts, zero bytes where there is none."""
    count = request.records(4, QUERY_MAX)
    numbers = np.frombuffer(request.body, "<u4", count)
    return octets_answer((await port.accounts(numbers)).tobytes())


async def statement(port: Port, request: Request) -> Answer:
    """GET /v1/accounts/{number}/statement: what moved an account, newest first.

    `change_cents` has the charge that the account bore, and what it earned, inside it.
    """
    number = request.captured_number(0, "the account number")
    await _account(port, number)
    limit = max(1, request.number("limit", STATEMENT_DEFAULT, STATEMENT_MAX))
    before = request.number("before", 0, (1 << 63) - 1) if "before" in request.query else None
    lines = await port.statement(number, limit, before)
    members = port.genesis.committee.members
    entries = [
        LineDocument(
            entry=line.entry,
            time_ms=line.time_ms,
            super_agent=members[line.author].name,
            change_cents=line.change_cents,
            balance_cents=line.balance_cents,
            other=line.other,
            charge_cents=line.charge_cents,
            commission_cents=line.commission_cents,
            order=order_document(port, line.order),
        )
        for line in lines
    ]
    following = lines[-1].entry if len(lines) == limit else None
    return json_answer(StatementDocument(number, entries, following))


def _telephone(text: str) -> str:
    try:
        return telephone(text)
    except TelephoneError as error:
        raise bad_request("TELEPHONE_INVALID", str(error)) from error


def _number(text: str) -> str:
    """Return a telephone number or a short code as the directory hashes it."""
    try:
        return canonical_number(text)
    except TelephoneError as error:
        raise bad_request("TELEPHONE_INVALID", str(error)) from error


async def directory(port: Port, request: Request) -> Answer:
    """POST /v1/directory: the account that a telephone number or a short code names, and its key."""
    msisdn = _number(request.json(DirectoryDocument).msisdn)
    alias = port.alias_of(msisdn)
    number = await port.alias(alias)
    if number is None:
        raise not_found("NUMBER_UNKNOWN", "No account is registered under this number.")
    record = await _account(port, number)
    # The hash of a number that nobody has is told to nobody: it would name who cannot even object.
    return json_answer(NumberDocument(number, record["key"].tobytes().hex(), alias.hex()))


async def enrolment(port: Port, request: Request) -> Answer:
    """GET /v1/enrolment: what the next new account must put into its enrolment order."""
    del request
    payer, sequence = await port.next_enrolment()
    number = account_number(region_of(payer), sequence)
    return json_answer(EnrolmentDocument(payer, sequence, number, port.today()))


async def register(port: Port, request: Request) -> Answer:
    """POST /v1/accounts: enrol a new key and, if given, claim its telephone number."""
    document = request.json(RegistrationDocument)
    body = hexadecimal(document.order_body, "order_body", BODY_BYTES)
    possession = hexadecimal(document.possession, "possession", 64)
    msisdn = None if document.msisdn is None else _telephone(document.msisdn)
    wait_ms = request.wait_ms() or ENROLMENT_WAIT_MS
    try:
        number = await port.enrol(body, possession, msisdn, wait_ms)
    except EnrolmentError as error:
        raise ProblemError(409, "ENROLMENT_REFUSED", str(error)) from error
    return json_answer(AccountMade(number), 201)
