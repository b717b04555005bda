"""Opening a ledger: all accounts or none, and a sentence that says why not."""

import subprocess
import sys

import numpy as np
import pytest
from tests.ledger.town import (
    LIMIT_CENTS,
    NUMBERS,
    TARIFF,
    Town,
    apply_all,
    open_town,
    openings,
)

from harambee.crypto.hashing import digest
from harambee.ledger import invariants
from harambee.ledger.ledger import Ledger, LedgerError
from harambee.ledger.records import (
    IDENTITY,
    LINE,
    OPENING,
    OPENING_ALIAS,
    ORDER,
    REGION_ACCOUNTS,
    REGION_BITS,
    SUPPLY_CENTS_MAX,
    AccountKind,
    account_number,
)
from harambee.money.tariff import shipped_tariff

CUSTOMER, BANK = AccountKind.CUSTOMER, AccountKind.BANK
ANN, BANK_NUMBER = 16, 20


def rows(*accounts):
    """Return an OPENING array of (number, kind, cents)."""
    array = np.zeros(len(accounts), OPENING)
    for row, (number, kind, cents) in zip(array, accounts, strict=True):
        row["number"], row["flags"], row["balance"] = number, kind, cents
    return array


# What is opened, the issuers' limits, and the sentence that refuses it.
REFUSED = [
    ([(ANN, CUSTOMER, 0), (ANN, CUSTOMER, 0)], {}, "account 16 is opened twice"),
    ([(2**21, CUSTOMER, 0)], {}, "account 2097152 is in none of the 2 regions"),
    ([(2**32 - 1, CUSTOMER, 0)], {}, "account 4294967295 is in none of the 2 regions"),
    ([(ANN, 0, 0)], {}, "account 16 has no known kind"),
    ([(ANN, 12, 0)], {}, "account 16 has no known kind"),
    ([(ANN, 15, 0)], {}, "account 16 has no known kind"),
    ([(ANN, 0xFFF0, 0)], {}, "account 16 has no known kind"),
    ([(ANN, CUSTOMER, -1), (17, CUSTOMER, 1)], {}, "account 16 opens below zero and is not a bank"),
    ([(BANK_NUMBER, BANK, -1), (ANN, CUSTOMER, 1)], {}, "bank 20 opens below its limit"),
    ([(BANK_NUMBER, BANK, -11), (ANN, CUSTOMER, 11)], {20: 10}, "bank 20 opens below its limit"),
    ([(ANN, CUSTOMER, 0)], {ANN: 10}, "account 16 is to issue money but is not opened as a bank"),
    ([(ANN, CUSTOMER, 0)], {20: 10}, "account 20 is to issue money but is not opened as a bank"),
    ([(BANK_NUMBER, BANK, 0)], {20: -1}, "the limit of bank 20 is below zero"),
    (
        [(BANK_NUMBER, BANK, 0)],
        {20: SUPPLY_CENTS_MAX + 1},
        "the issuers' limits add up to more money than the ledger can hold",
    ),
    (
        [(BANK_NUMBER, BANK, 0), (21, BANK, 0)],
        {20: SUPPLY_CENTS_MAX, 21: 1},
        "the issuers' limits add up to more money than the ledger can hold",
    ),
    ([(ANN, CUSTOMER, 1)], {}, "the opening balances add up to 1 cents, not to zero"),
    (
        [(BANK_NUMBER, BANK, -10), (ANN, CUSTOMER, 9)],
        {20: 10},
        "the opening balances add up to -1 cents, not to zero",
    ),
    (  # sums that a 64-bit integer would wrap to zero
        [(n, CUSTOMER, 2**62) for n in range(16, 20)],
        {},
        f"the opening balances add up to {2**64} cents, not to zero",
    ),
    (
        [(n, CUSTOMER, 2**63 - 1) for n in range(16, 18)] + [(18, CUSTOMER, 2)],
        {},
        f"the opening balances add up to {2**64} cents, not to zero",
    ),
]


@pytest.mark.parametrize(("accounts", "issuers", "sentence"), REFUSED)
def test_what_cannot_open_a_ledger_changes_nothing(accounts, issuers, sentence):
    ledger = Ledger(2, [TARIFF])
    empty = ledger.digest()
    with pytest.raises(LedgerError) as refused:
        ledger.open_accounts(rows(*accounts), issuers)
    assert str(refused.value) == sentence
    assert ledger.digest() == empty
    assert ledger.account_count == 0
    assert ledger.issuers == {}


def test_the_most_that_a_ledger_can_hold():
    ledger = Ledger(1, [TARIFF])
    ledger.open_accounts(
        rows((BANK_NUMBER, BANK, -SUPPLY_CENTS_MAX), (ANN, AccountKind.BUSINESS, SUPPLY_CENTS_MAX)),
        {BANK_NUMBER: SUPPLY_CENTS_MAX},
    )
    assert ledger.total_cents() == 0
    invariants.check(ledger)


def test_a_town_opens_with_all_that_was_said_of_it():
    ledger, said = open_town(), openings()
    for row in said:
        account = ledger.account(int(row["number"]))
        for name in ("key", "balance", "flags", "next_sequence"):
            assert np.array_equal(account[name], row[name])
        for name in ("debited", "credited", "spent_today", "day", "held", "frozen", "last_entry"):
            assert account[name] == 0
    assert ledger.account_count == len(said)
    assert ledger.issuers == {NUMBERS["bank"]: LIMIT_CENTS}
    invariants.check(ledger)


def test_it_does_not_matter_in_which_order_or_in_how_many_parts_accounts_are_opened():
    town = openings()
    balanced = town["balance"] == 0
    parts = Ledger(2, [TARIFF])
    parts.open_accounts(town[balanced][::-1], {})
    parts.open_accounts(town[~balanced][::-1], {NUMBERS["bank"]: LIMIT_CENTS})
    whole = Ledger(2, [TARIFF])
    whole.open_accounts(town, {NUMBERS["bank"]: LIMIT_CENTS})
    assert parts.digest() == whole.digest()


def test_an_open_account_is_not_opened_again():
    ledger = open_town()
    opened = ledger.digest()
    with pytest.raises(LedgerError, match="account 16 is open already"):
        ledger.open_accounts(rows((900, CUSTOMER, 0), (16, CUSTOMER, 0)), {})
    assert ledger.digest() == opened


def test_limits_opened_one_after_the_other_are_added_up():
    ledger = Ledger(1, [TARIFF])
    ledger.open_accounts(rows((20, BANK, 0)), {20: SUPPLY_CENTS_MAX})
    with pytest.raises(LedgerError, match="more money than the ledger can hold"):
        ledger.open_accounts(rows((21, BANK, 0)), {21: 1})
    ledger.open_accounts(rows((22, BANK, 0)), {22: 0})


@pytest.mark.parametrize(
    "odd",
    [np.zeros(1, ORDER), np.zeros(1, np.uint32), np.zeros((1, 1), OPENING), np.zeros((), OPENING)],
    ids=["orders", "numbers", "table", "scalar"],
)
def test_what_is_no_array_of_openings_is_refused(odd):
    with pytest.raises(LedgerError, match="not an array of opening records"):
        Ledger(1, [TARIFF]).open_accounts(odd, {})


def test_fees_that_came_before_their_account_are_not_lost():
    ledger = Ledger(1, [TARIFF])
    ledger.open_accounts(
        rows((20, BANK, -1_000_000), (16, CUSTOMER, 1_000_000), (17, CUSTOMER, 0)),
        {20: 1_000_000},
    )
    town = Town()
    order, _ = town.order(["send", "customer", "neighbour", "1,000.00"])
    apply_all(ledger, [order])
    ledger.open_accounts(rows((account_number(0, 1), AccountKind.REVENUE, 0)), {})
    assert ledger.account(1)["balance"] == order.fee_cents == 1_300
    assert ledger.total_cents() == 0
    invariants.check(ledger)


@pytest.mark.parametrize("regions", [-1, 0, 2**REGION_BITS + 1])
def test_a_ledger_has_at_least_a_region_and_no_more_than_numbers_reach(regions):
    with pytest.raises(LedgerError, match=f"1 to 4096 regions, not {regions}"):
        Ledger(regions, [TARIFF])


def test_no_two_tariffs_have_one_version():
    with pytest.raises(LedgerError, match="two tariffs have the same version"):
        Ledger(1, [TARIFF, shipped_tariff()])


def test_a_ledger_without_tariffs_knows_none():
    ledger = Ledger(1, [])
    ledger.open_accounts(rows((16, CUSTOMER, 0)), {})
    assert ledger.digest() != Ledger(1, []).digest()


# -- aliases from the beginning -------------------------------------------------------------------


def test_aliases_may_be_there_from_the_beginning():
    town = Town()
    town.ledger.open_aliases({digest(b"till"): NUMBERS["merchant"]})
    town.tell("""
        owner till                                     -> merchant, slot 1
        claim enrolment business 0 alias till          -> ALIAS_NOT_OWNED
        claim merchant business 0 alias till           -> ACCEPTED
    """)
    invariants.check(town.ledger)


@pytest.mark.parametrize("owner", [-1, 24, 2**21, 2**32])
def test_an_alias_of_nobody_is_refused_with_all_others(owner):
    ledger = open_town()
    with pytest.raises(LedgerError, match=f"names account {owner}, which does not exist"):
        ledger.open_aliases({digest(b"a"): NUMBERS["merchant"], digest(b"b"): owner})
    assert ledger.alias(digest(b"a")) is None
    assert len(ledger.aliases) == 0


def test_an_alias_that_is_taken_is_refused_with_all_others():
    ledger = open_town()
    ledger.open_aliases({digest(b"a"): NUMBERS["merchant"]})
    with pytest.raises(LedgerError, match="is taken already"):
        ledger.open_aliases({digest(b"b"): NUMBERS["merchant"], digest(b"a"): NUMBERS["agent"]})
    assert ledger.alias(digest(b"a")) == (NUMBERS["merchant"], 1)
    assert ledger.alias(digest(b"b")) is None


def alias_rows(*named):
    """Return an OPENING_ALIAS array of (bytes, owner)."""
    return np.array(
        [(np.frombuffer(alias, np.uint8), owner) for alias, owner in named], OPENING_ALIAS
    )


def test_a_countrys_aliases_are_entered_as_one_by_one():
    owners = [NUMBERS["merchant"], NUMBERS["agent"], NUMBERS["customer"]]
    named = sorted((digest(n.to_bytes(4, "little")), owners[n % 3]) for n in range(5_000))
    rows, single = open_town(), open_town()
    rows.open_alias_rows(alias_rows(*named))
    single.open_aliases(dict(named))
    assert len(rows.aliases) == 5_000
    assert all(rows.alias(alias) == (owner, 1) for alias, owner in named)
    assert rows.digest() == single.digest()
    invariants.check(rows)


AGENT, LOW, HIGH = NUMBERS["agent"], b"\1" + bytes(31), bytes(31).rjust(32, b"\2")
LAST = LOW[:31] + b"\1"


@pytest.mark.parametrize(
    ("named", "sentence"),
    [
        ([(LOW, AGENT), (HIGH, 24)], "names account 24, which does not exist"),
        ([(LOW, AGENT), (HIGH, 2**32 - 1)], "names account 4294967295, which does not exist"),
        ([(LOW, AGENT), (LOW, AGENT)], "is taken already, or not in ascending order"),
        ([(HIGH, AGENT), (LOW, AGENT)], "is taken already, or not in ascending order"),
        ([(LAST, AGENT), (LOW, AGENT)], f"{LOW.hex()} is taken already"),
        ([(LOW, AGENT), (digest(b"a"), AGENT)], f"{digest(b'a').hex()} is taken already"),
    ],
)
def test_aliases_that_cannot_all_be_entered_are_refused_together(named, sentence):
    ledger = open_town()
    ledger.open_aliases({digest(b"a"): NUMBERS["merchant"]})
    with pytest.raises(LedgerError, match=sentence):
        ledger.open_alias_rows(alias_rows(*named))
    assert len(ledger.aliases) == 1
    assert ledger.alias(LOW) is None


def test_aliases_that_differ_in_the_last_byte_ascend():
    ledger = open_town()
    ledger.open_alias_rows(alias_rows((LOW, AGENT), (LAST, AGENT)))
    ledger.open_alias_rows(alias_rows())
    assert len(ledger.aliases) == 2


ROOM = """
import os
import numpy as np
from harambee.ledger.ledger import Ledger
from harambee.ledger.records import OPENING, AccountKind
from harambee.money.tariff import shipped_tariff
from harambee.traffic.processes import rss_bytes

def opened(ledgers, accounts):
    before = rss_bytes(os.getpid())
    kept = []
    for _ in range(ledgers):
        ledger = Ledger(4, [shipped_tariff()])
        rows = np.zeros(accounts, OPENING)
        rows["number"] = np.arange(accounts)
        rows["flags"] = AccountKind.CUSTOMER
        ledger.open_accounts(rows, {})
        del rows
        kept.append(ledger)
    return rss_bytes(os.getpid()) - before

opened(1, 3)
"""


def taken(what):
    """Return what is printed at the end of ROOM, by a process that has nothing else to remember."""
    code = f"{ROOM}print({what})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_ledgers_with_few_accounts_take_little_memory():
    """A region has room for a million accounts; what nobody has opened costs nothing."""
    assert taken("opened(50, 20)") < 50 << 20


def test_a_region_that_is_full_takes_what_its_accounts_take():
    """Large pages of memory, which a full region has, add nothing to 100 bytes an account."""
    floor = (LINE.itemsize + IDENTITY.itemsize) * REGION_ACCOUNTS
    assert floor <= taken(f"opened(1, {REGION_ACCOUNTS})") < floor + (32 << 20)
