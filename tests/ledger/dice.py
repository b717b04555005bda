"""Books and orders drawn at random, mostly near the truth and often at its edges.

`pick` chooses from a sequence: hypothesis's draw, which shrinks what fails, or a seeded generator's
`choice`, which is quick. So the same shapes are searched in both ways.
"""

from dataclasses import replace

from tests.ledger.town import (
    ALL_SERVICES,
    FLAGS,
    NUMBERS,
    REGIONS,
    TARIFF,
    TODAY,
    TOWN,
    fee_for,
    payments_in,
    table_bytes,
)

from harambee.crypto.hashing import digest
from harambee.ledger.kinds import HOUSE, MOVEMENTS, OrderKind
from harambee.ledger.payees import table_digest
from harambee.ledger.records import (
    REGION_ACCOUNTS,
    SEQUENCE_LAST,
    SUPPLY_CENTS_MAX,
)
from harambee.ledger.rules import Account, Alias, Books, Order
from harambee.ledger.side_tables import SideTables
from harambee.money.amounts import MAX_AMOUNT_CENTS
from harambee.money.tariff import (
    Band,
    CommissionBand,
    Commissions,
    FeeTable,
    Limits,
    Price,
    Service,
    Tariff,
)

U16_MAX, U32_MAX, U64_MAX = 2**16 - 1, 2**32 - 1, 2**64 - 1

# As large and as coarse as a tariff can be, so that fees and limits reach the ends of their fields.
COARSE = Tariff(
    version=U16_MAX,
    name="Coarse",
    source="Made up for tests",
    limits=Limits(MAX_AMOUNT_CENTS, U32_MAX, MAX_AMOUNT_CENTS, 1),
    bands=(Band(10_000, 0, 0), Band(MAX_AMOUNT_CENTS, U32_MAX, U32_MAX)),
    services=(
        Service(FeeTable.BUY_GOODS, (Price(10_000, 0, 10_000), Price(MAX_AMOUNT_CENTS, 10_001))),
        Service(FeeTable.PAY_BILL, (Price(10_000, 1), Price(2 * U32_MAX, 0, 5_000))),
        Service(FeeTable.PAY_OUT, (Price(MAX_AMOUNT_CENTS, U32_MAX),), least_cents=100),
    ),
    commissions=Commissions(
        9_999, (CommissionBand(10_000, 7, 0), CommissionBand(10**9, U32_MAX, 2**31))
    ),
    excise_basis_points=10_000,
    shared_payer_basis_points=3_333,
)
TARIFFS = {tariff.version: tariff for tariff in (TARIFF, ALL_SERVICES, COARSE)}

NOBODY = (
    5,
    24,
    REGION_ACCOUNTS - 1,
    REGION_ACCOUNTS + 17,
    REGIONS * REGION_ACCOUNTS - 2,
    REGIONS * REGION_ACCOUNTS,
    REGIONS * REGION_ACCOUNTS + 16,
    2**31 - 1,
    2**31,
    U32_MAX,
)
"""Numbers that are no account at first; the second half is in no region."""
ANYBODY = (*NUMBERS.values(), *NOBODY)

ORDINARY = tuple(kind for kind in OrderKind if kind not in HOUSE)
"""The kinds that kernels know; the others have no twin."""

ALIASES = tuple(digest(bytes([n])) for n in range(4))
REFERENCES = (bytes(32), bytes(31) + b"\1", b"\1" + bytes(31), b"\xff" * 32, *ALIASES)

BAND_EDGES = sorted(
    {
        max(0, price.upper_cents + step)
        for table in FeeTable
        for price in ALL_SERVICES.prices(table)
        for step in (-1, 0, 1)
        if price.upper_cents <= 25_000_000
    }
)
AMOUNTS = (
    *BAND_EDGES,
    *(0, 1, 4_999, 5_000, 5_001),
    *(MAX_AMOUNT_CENTS - 1, MAX_AMOUNT_CENTS, MAX_AMOUNT_CENTS + 1),
    *(U32_MAX, U32_MAX + 1, 2**63 - 1, 2**63, U64_MAX - 99, U64_MAX),
)
SMALL_AMOUNTS = (1, 100, 4_900, 5_000, 10_000, 10_001)
SEQUENCES = (
    *(0, 1, 15, 16, 17, 24, 2**20 - 1, 2**20, 2**20 + 16, 2**31),
    *(SEQUENCE_LAST - 1, SEQUENCE_LAST),
)
BALANCES = (
    *(0, 1, 99, 100, 4_900, 5_700, 10_000, 1_000_000, 50_000_000),
    *(MAX_AMOUNT_CENTS, MAX_AMOUNT_CENTS + U32_MAX, SUPPLY_CENTS_MAX),
)
DAYS = (0, TODAY - 2, TODAY - 1, TODAY, TODAY + 1, TODAY + 2, U16_MAX)
OPTION_BYTES = (0, 1, 2, 3, 4, 5, 8, 10, 12, 15, 16, 17, 20, 27, 36, 52, 101, 255)
TABLES_MAX = 4


def now_and_then(pick, usual, rare, one_in=8):
    """Pick from the usual values, but once in a while from the rare ones."""
    return pick(rare) if pick(range(one_in)) == one_in - 1 else pick(usual)


def any_account(pick, kind, flags=0):
    """Return an account, mostly of that kind, mostly able to pay, sometimes at an edge."""
    kind = now_and_then(pick, [int(kind)], range(16), 12)
    return Account(
        key=pick(REFERENCES),
        balance_cents=now_and_then(pick, BALANCES[-6:], (*BALANCES, -1, -SUPPLY_CENTS_MAX), 2),
        debited_cents=pick((0, 1_000_000)),
        credited_cents=pick((0, 1_000_000)),
        next_sequence=now_and_then(pick, (0, 16, 24), SEQUENCES),
        flags=kind
        | now_and_then(pick, [0], (1 << 4, 2 << 4, 15 << 4), 10)
        | now_and_then(pick, [flags & ~0xF], (0x100, 0x200, 0xFF00, 0x30000, 0xFFFF0000)),
        spent_today_cents=now_and_then(pick, (0, 100), (49_999_999, 50_000_000, U32_MAX), 4),
        day=now_and_then(pick, (0, TODAY - 1, TODAY), DAYS, 6),
        held_cents=now_and_then(
            pick, [0], (1, 50_000_000, SUPPLY_CENTS_MAX, SUPPLY_CENTS_MAX + 1, U64_MAX)
        ),
        frozen_cents=now_and_then(
            pick, [0], (1, 50_000_000, SUPPLY_CENTS_MAX, SUPPLY_CENTS_MAX + 1, U64_MAX)
        ),
        head_office=pick((0, 0, 0, NUMBERS["chain"], NUMBERS["shop"], U32_MAX)),
    )


def any_books(pick):
    """Return books of the town's accounts, in whatever state."""
    accounts = {
        number: any_account(pick, kind, FLAGS.get(name, 0))
        for name, (number, kind, _) in TOWN.items()
    }
    issuers = {NUMBERS["bank"]: pick((0, 1, 1_000_000, SUPPLY_CENTS_MAX))}
    for number, limit in issuers.items():
        # What one issuer may owe is not owed to it: balance and limit are within the supply.
        if accounts[number].balance_cents + limit > SUPPLY_CENTS_MAX:
            limited = replace(accounts[number], balance_cents=SUPPLY_CENTS_MAX - limit)
            accounts[number] = limited
    owners = [number for number, account in accounts.items() if account.exists]
    aliases = {
        alias: Alias(pick(owners), pick((1, 2, SEQUENCE_LAST - 1, SEQUENCE_LAST)))
        for alias in ALIASES[2:]
    }
    tables = [any_table(pick, accounts) for _ in range(TABLES_MAX)]
    days = {version: TODAY + pick((-9, 0, 1)) for version in pick(((), (), (2,), (2, U16_MAX)))}
    side = SideTables(tariff_days=days)
    return Books(accounts, aliases, TARIFFS, issuers, payments_in(tables), side=side)


def any_table(pick, accounts):
    """Return a payee table as bytes; mostly sound, and mostly of people who can be paid."""
    people = sorted(n for n, account in accounts.items() if account.kind in (1, 11)) or [0]
    some = {now_and_then(pick, people, ANYBODY, 12) for _ in range(pick((1, 2, 3, 8)))}
    rows = [
        (number, now_and_then(pick, SMALL_AMOUNTS, (0, *AMOUNTS), 20)) for number in sorted(some)
    ]
    return table_bytes(*now_and_then(pick, [rows], ([], rows[::-1], rows + rows[-1:]), 10))


def any_order(pick, books, amounts=AMOUNTS):
    """Return an order that is right but for up to two fields."""
    order = right_order(pick, books, amounts)
    for _ in range(now_and_then(pick, [0], (1, 1, 2), 2)):
        order = slip(pick, order, books)
    return order


def right_order(pick, books, amounts):
    """Return an order that would be accepted if the payer has the money."""
    kind = pick(ORDINARY)
    movement = MOVEMENTS[kind]
    accounts = sorted(books.accounts)
    payers = [n for n in accounts if books.accounts[n].kind in movement.payers] or accounts
    payees = [n for n in accounts if books.accounts[n].kind in movement.payees] or accounts
    payer, payee = pick(payers), pick(payees)
    sequence = books.account(payer).next_sequence
    reference, options = pick(REFERENCES), bytes(3)
    if kind is OrderKind.CANCEL:
        payee, reference = payer, bytes(32)
    elif kind is OrderKind.ENROL:
        payee = min(payer - payer % REGION_ACCOUNTS + sequence, U32_MAX)
        options = bytes([pick((1, 2, 3, 4)), pick((0, 0, 1, 5, 8, 13)), pick((0, 1, 15))])
    elif kind is OrderKind.JOIN_HEAD_OFFICE:
        reference = bytes(32)
    elif kind is OrderKind.BULK_PAY_OUT:
        return right_bulk_order(pick, books, payer)
    elif kind in {OrderKind.WITHDRAW, OrderKind.DEPOSIT_COMMISSION}:
        options = (books.account(payee).head_office % REGION_ACCOUNTS).to_bytes(3, "little")
    elif kind is OrderKind.PAY_BILL:
        options = bytes([books.account(payee).fee_mode, 0, 0])
    elif kind is OrderKind.CLAIM:
        reference = pick(ALIASES)
        owner, sequence = books.alias(reference)
        payer = owner if sequence else pick([NUMBERS["enrolment"], NUMBERS["far-enrolment"]])
    tariff = books.tariffs[pick(sorted(books.tariffs))]
    amount = pick(amounts) if movement.moves_money else 0
    if kind is OrderKind.DEPOSIT_COMMISSION:
        amount = pick([price.fee_cents for price in tariff.prices(FeeTable.DEPOSIT_COMMISSION)])
    return Order(
        kind=int(kind),
        payer=payer,
        payee=payee,
        amount_cents=amount,
        fee_cents=fee_for(tariff, kind, amount, options[0]) if movement.moves_money else 0,
        sequence=sequence,
        tariff=tariff.version,
        day=max(books.account(payer).day, TODAY),
        options=options,
        reference=reference,
    )


def right_bulk_order(pick, books, payer):
    """Return a bulk pay-out by one of the tables, or by one that did not come."""
    tariff = books.tariffs[pick(sorted(books.tariffs))]
    named = [*books.tables, table_digest(b"none")]
    reference = now_and_then(pick, named, REFERENCES, 20)
    rows = books.tables.get(reference, ())
    fee = sum(fee_for(tariff, OrderKind.BULK_PAY_OUT, cents) for _, cents in rows)
    return Order(
        kind=int(OrderKind.BULK_PAY_OUT),
        payer=payer,
        payee=payer,
        amount_cents=min(sum(cents for _, cents in rows), U64_MAX),
        fee_cents=min(fee, U32_MAX),
        sequence=books.account(payer).next_sequence,
        tariff=tariff.version,
        day=max(books.account(payer).day, TODAY),
        reference=reference,
    )


def slip(pick, order, books):
    """Return the order with one field put wrong."""
    match pick(range(10)):
        case 0:
            return replace(order, kind=pick((*ORDINARY, 0, 31, 63, 71, 127, 128, 255)))
        case 1:
            return replace(order, payer=pick(ANYBODY))
        case 2:
            return replace(order, payee=pick((*ANYBODY, order.payer)))
        case 3:
            return replace(order, amount_cents=pick(AMOUNTS))
        case 4:
            near = (order.fee_cents + 1, max(order.fee_cents - 1, 0))
            return replace(order, fee_cents=min(pick((0, 1, *near, 2**31, U32_MAX)), U32_MAX))
        case 5:
            near = (order.sequence + 1, max(order.sequence - 1, 0))
            return replace(order, sequence=min(pick((*near, *SEQUENCES)), U32_MAX))
        case 6:
            return replace(order, tariff=pick((0, 3, *books.tariffs, U16_MAX - 1)))
        case 7:
            return replace(order, day=pick(DAYS))
        case 8:
            return replace(order, options=bytes(pick(OPTION_BYTES) for _ in range(3)))
        case _:
            return replace(order, reference=pick(REFERENCES))
