"""Statements of one customer and one agent, as the tests of every format know them."""

from datetime import datetime

from harambee.ledger.days import EAST_AFRICA
from harambee.ledger.records import AccountKind
from harambee.statements.sheet import Entry, Side, sheet_of

ANNA, BEN, AGENT, OFFICE, SHOP = 16, 17, 18, 19, 20
NAMES = {ANNA: "ANNA", BEN: "BEN", AGENT: "JAMII AGENCIES"}


def at(*when):
    return int(datetime(*when, tzinfo=EAST_AFRICA).timestamp()) * 1000


def entry(code, kind, side, other, when, change, balance, charge=0, commission=0):
    return Entry(
        receipt_code=code,
        kind=kind,
        side=side,
        other=other,
        time_ms=at(*when),
        change_cents=change,
        balance_cents=balance,
        charge_cents=charge,
        commission_cents=commission,
    )


PAYER, PAYEE, SHARE = Side.PAYER, Side.PAYEE, Side.SHARE

ANNAS = [
    entry("UC1AAAAAAA", "enrol", PAYEE, 0, (2026, 3, 1, 8, 0, 0), 0, 0),
    entry("UC1BBBBBBB", "deposit", PAYEE, AGENT, (2026, 3, 1, 9, 0, 0), 100_000, 100_000),
    entry("UC2CCCCCCC", "send", PAYER, BEN, (2026, 3, 2, 17, 28, 9), -50_700, 49_300, 700),
    entry("UC2DDDDDDD", "cancel", PAYER, None, (2026, 3, 2, 17, 30, 0), 0, 49_300),
    entry("UC3EEEEEEE", "buy_goods", PAYER, SHOP, (2026, 3, 3, 10, 41, 0), -10_000, 39_300),
    entry("UC4FFFFFFF", "withdraw", PAYER, AGENT, (2026, 3, 4, 12, 0, 0), -22_900, 16_400, 2_900),
]
AGENTS = [
    entry("UC1BBBBBBB", "deposit", PAYER, ANNA, (2026, 3, 1, 9, 0, 0), -100_000, 400_000),
    entry(
        "UC1GGGGGGG", "deposit_commission", PAYEE, 2, (2026, 3, 1, 9, 0, 1), 720, 400_720, 0, 720
    ),
    entry("UC4FFFFFFF", "withdraw", PAYEE, ANNA, (2026, 3, 4, 12, 0, 0), 20_640, 421_360, 0, 640),
]


def annas(first_day=None, last_day=None):
    return sheet_of(
        ANNA,
        AccountKind.CUSTOMER,
        ANNAS,
        16_400,
        first_day=first_day,
        last_day=last_day,
        names=NAMES,
    )


def agents(names=None):
    return sheet_of(
        AGENT, AccountKind.AGENT, AGENTS, 421_360, names=NAMES if names is None else names
    )
