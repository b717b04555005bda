"""What accounts had after old entries is what a ledger had that stopped there, however little is asked."""

import asyncio
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harambee.ledger.records import ENTRY, ROW_OF_TABLE
from harambee.node import past_balances
from harambee.node.past_balances import PastBalances, Touched

OPENING = 1_000
ACCOUNTS = 4


class Ledger:
    """Payments between a few accounts, as a super-agent answers questions about them."""

    def __init__(self):
        self.entries = np.zeros(0, ENTRY)
        self.accounts = np.zeros(ACCOUNTS, [("balance", "<i8"), ("last_entry", "<u8")])
        self.accounts["balance"] = OPENING
        self.after = {}
        """What each account had after an entry."""
        self.read = 0
        """How many orders were read from the journal."""

    def pay(self, payer, payee, cents, *, by_table=False):
        """A row of a payee table has no payer: the order's own entry has."""
        entry = np.zeros(1, ENTRY)
        entry["payer"], entry["payee"], entry["sequence"] = payer, payee, cents
        entry["revenue_previous"] = ROW_OF_TABLE if by_table else 0
        number = len(self.entries)
        if not by_table:
            self._touch(entry, "payer_previous", payer, -cents)
        self._touch(entry, "payee_previous", payee, cents)
        self.entries = np.append(self.entries, entry)
        for account in {payee} | ({payer} if not by_table else set()):
            self.after[account, number] = int(self.accounts[account]["balance"])
            self.accounts[account]["last_entry"] = number + 1

    def _touch(self, entry, side, account, change):
        entry[side] = self.accounts[account]["last_entry"]
        self.accounts[account]["balance"] += change

    def entries_of(self, number, limit):
        found = sorted((entry for account, entry in self.after if account == number), reverse=True)
        return np.array(found[:limit], np.int64)

    async def ask(self, question):
        return question(SimpleNamespace(ledger=self))

    async def changes_at(self, number, entries):
        self.read += len(entries)
        return [change_of(number, entry) for entry in entries]

    def touched(self, entry):
        """An entry as a courier passes it, for each account that it touched."""
        place = self.entries[entry]
        for number in range(ACCOUNTS):
            if (number, entry) in self.after:
                record = self.accounts[number]
                newest = int(record["balance"]) if record["last_entry"] == entry + 1 else None
                yield Touched(number, entry, place, change_of(number, place), newest)


def change_of(number, entry):
    cents = int(entry["sequence"])
    pays = number == int(entry["payer"]) and entry["revenue_previous"] != ROW_OF_TABLE
    return cents * (number == int(entry["payee"])) - cents * pays


PAYMENTS = st.lists(
    st.tuples(
        st.integers(0, ACCOUNTS - 1), st.integers(0, ACCOUNTS - 1), st.integers(1, 9), st.booleans()
    ),
    max_size=30,
)
WALKS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 3)), max_size=20)


@given(PAYMENTS, PAYMENTS, WALKS, st.sampled_from([1, 3, 1_000]), st.sampled_from([2, 1_000]))
@settings(max_examples=200)
def test_a_balance_is_what_a_ledger_had_that_stopped_there(
    before, later, walks, remembered, newer_max
):
    """Entries are passed in their order, some left out, while others come."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(past_balances, "REMEMBERED", remembered)
        patched.setattr(past_balances, "NEWER_FIRST", 1)
        patched.setattr(past_balances, "NEWER_MAX", newer_max)
        ledger, come = Ledger(), list(later)
        past = PastBalances(ledger)
        for payer, payee, cents, by_table in before:
            ledger.pay(payer, payee, cents, by_table=by_table)
        at = 0
        for passed, left_out in walks:
            touched = [
                one
                for entry in range(at, min(at + passed, len(ledger.entries)))
                for one in ledger.touched(entry)
            ]
            found = asyncio.run(past.after(touched))
            for one, balance in zip(touched, found, strict=True):
                if balance is None:
                    newer = [e for a, e in ledger.after if a == one.number and e > one.entry]
                    assert len(newer) > newer_max
                else:
                    assert balance == ledger.after[one.number, one.entry]
            at += passed + left_out
            for payer, payee, cents, by_table in come[:2]:
                ledger.pay(payer, payee, cents, by_table=by_table)
            del come[:2]


def test_a_backlog_is_looked_through_once_for_each_account():
    ledger = Ledger()
    for turn in range(100):
        ledger.pay(turn % 2, 2, 1)
    past = PastBalances(ledger)
    for entry in range(100):
        touched = list(ledger.touched(entry))
        assert asyncio.run(past.after(touched)) == [
            ledger.after[one.number, entry] for one in touched
        ]
    assert ledger.read == 99 + 2 * 49
