"""A small town to keep books for, and a language in which its stories are told.

A story is a few lines; `Town.tell` runs them one after the other and says which line went otherwise:

    send customer neighbour 100.00                 -> ACCEPTED
    send customer neighbour 100.00 fee 6.00        -> FEE_WRONG
    final send customer neighbour 100.00           -> APPLIED
    balance neighbour                              -> 300.00

A line with an order judges it; with `final` before it, applies it. What an order does not say is
right: the fee, who bears it, the head office, the next sequence, the day. A bulk pay-out says whom
it pays: `bulk-pay-out business self 150.00 to customer=100.00+neighbour=50.00`. Kernels judge and
apply, and every time the readable rules must have said the same of the same books.
"""

from copy import deepcopy
from dataclasses import replace

import numpy as np

from harambee.crypto.hashing import digest
from harambee.ledger import house_rules, invariants, rules
from harambee.ledger.invariants import Snapshot
from harambee.ledger.kinds import MOVEMENTS, OrderKind
from harambee.ledger.ledger import Ledger, _tariff_arrays
from harambee.ledger.outcomes import Applied, Outcome
from harambee.ledger.payees import document_digest, table_digest, tables_of
from harambee.ledger.records import (
    ACCOUNT,
    LINE_FIELDS,
    OPENING,
    ORDER,
    PAYEE,
    POSITION_COMMISSION,
    POSITION_ENROLMENT,
    POSITION_EXCISE,
    POSITION_FLOAT,
    POSITION_REVENUE,
    REGION_ACCOUNTS,
    AccountKind,
    Status,
    account_flags,
    account_number,
)
from harambee.ledger.rules import Account, Alias, Books, Order, Payment
from harambee.money.amounts import format_cents, parse_cents
from harambee.money.tariff import FeeMode, shipped_tariff

TODAY = 20_000
TARIFF = shipped_tariff(1)
ALL_SERVICES = shipped_tariff(2)
REGIONS = 2
LIMIT_CENTS = 1_000_000_00

# Name -> number, kind, opening balance in cents. The bank owes what all others hold.
TOWN = {
    "enrolment": (account_number(0, POSITION_ENROLMENT), AccountKind.ENROLMENT, 0),
    "revenue": (account_number(0, POSITION_REVENUE), AccountKind.REVENUE, 0),
    "float": (account_number(0, POSITION_FLOAT), AccountKind.FLOAT, 50_000_00),
    "customer": (account_number(0, 16), AccountKind.CUSTOMER, 1_000_00),
    "neighbour": (account_number(0, 17), AccountKind.CUSTOMER, 200_00),
    "agent": (account_number(0, 18), AccountKind.AGENT, 5_000_00),
    "merchant": (account_number(0, 19), AccountKind.MERCHANT, 0),
    "business": (account_number(0, 20), AccountKind.BUSINESS, 400_000_00),
    "bank": (account_number(0, 21), AccountKind.BANK, -610_300_00),
    "branch": (account_number(0, 22), AccountKind.BANK, 0),  # a bank that may not issue
    "rich": (account_number(0, 23), AccountKind.CUSTOMER, 0),
    "far-enrolment": (account_number(1, POSITION_ENROLMENT), AccountKind.ENROLMENT, 0),
    "far-revenue": (account_number(1, POSITION_REVENUE), AccountKind.REVENUE, 0),
    "far-customer": (account_number(1, 16), AccountKind.CUSTOMER, 9_600_00),
    "last": (account_number(1, REGION_ACCOUNTS - 1), AccountKind.CUSTOMER, 0),
    "commission": (account_number(0, POSITION_COMMISSION), AccountKind.COMMISSION, 2_000_00),
    "excise": (account_number(0, POSITION_EXCISE), AccountKind.EXCISE, 0),
    "far-excise": (account_number(1, POSITION_EXCISE), AccountKind.EXCISE, 0),
    "pochi": (account_number(0, 100), AccountKind.POCHI, 500_00),
    "chain": (account_number(0, 101), AccountKind.AGENT, 0),
    "shop": (account_number(0, 102), AccountKind.AGENT, 80_000_00),  # of the chain
    "utility": (account_number(0, 103), AccountKind.BUSINESS, 0),  # pays its customers' fees
    "school": (account_number(0, 104), AccountKind.BUSINESS, 0),  # shares them
    "newcomer": (account_number(0, 105), AccountKind.CUSTOMER, 60_000_00),  # of tier 1
    "nameless": (
        account_number(0, 106),
        AccountKind.CUSTOMER,
        1_000_00,
    ),  # of a tier without limits
    "far-agent": (account_number(1, 200), AccountKind.AGENT, 1_000_00),
}
FLAGS = {
    "utility": account_flags(AccountKind.BUSINESS, fee_mode=FeeMode.PAYEE),
    "school": account_flags(AccountKind.BUSINESS, fee_mode=FeeMode.SHARED),
    "newcomer": account_flags(AccountKind.CUSTOMER, tier=1),
    "nameless": account_flags(AccountKind.CUSTOMER, tier=9),
}
HEAD_OFFICES = {"shop": "chain"}
NUMBERS = {name: number for name, (number, _, _) in TOWN.items()}
FIRST_FREE = {0: 24, 1: 17}


def openings():
    """Return the town as an OPENING array."""
    array = np.zeros(len(TOWN), OPENING)
    for row, (name, (number, kind, cents)) in zip(array, TOWN.items(), strict=True):
        row["number"] = number
        row["key"] = np.frombuffer(digest(name.encode()), "u1")
        row["balance"] = cents
        row["flags"] = FLAGS.get(name, account_flags(kind))
        if kind is AccountKind.ENROLMENT:
            row["next_sequence"] = FIRST_FREE[number // REGION_ACCOUNTS]
    return array


def open_town(tariffs=(TARIFF,)):
    """Return a ledger of the town, just opened."""
    ledger = Ledger(REGIONS, tariffs)
    ledger.open_accounts(openings(), {NUMBERS["bank"]: LIMIT_CENTS})
    for agent, office in HEAD_OFFICES.items():
        ledger.identities["head_office"][NUMBERS[agent]] = NUMBERS[office]
    return ledger


# -- between the readable books and the ledger's arrays -------------------------------------------


def books_of(ledger, tables=()):
    """Return what the ledger holds as the readable rules take it, with payee tables as bytes."""
    now = Snapshot.of(ledger)
    accounts = {
        number: Account.of(record)
        for number, record in zip(now.numbers.tolist(), now.records, strict=True)
    }
    return Books(
        accounts={n: account for n, account in accounts.items() if account != rules.NO_ACCOUNT},
        aliases={alias: Alias(*found) for alias, found in now.aliases.items()},
        tariffs={tariff.version: tariff for tariff in ledger.tariffs},
        issuers=now.issuers,
        tables=payments_in(tables),
        documents={document_digest(content): content for content in tables},
        side=deepcopy(ledger.side),
        originals=ledger._original,
        key_days=ledger.key_days,
    )


def table_bytes(*rows):
    """Return a payee table of (number, cents) rows as it travels."""
    return np.array(list(rows), PAYEE).tobytes()


def payments_in(tables):
    """Return payee tables, given as bytes, as the readable rules take them."""
    return {
        name: tuple(Payment(*row) for row in table.tolist())
        for name, table in tables_of(tables).items()
        if table.dtype == PAYEE
    }


def ledger_of(books, regions=REGIONS):
    """Return a ledger in that state, however it may have come about."""
    ledger = Ledger(regions, list(books.tariffs.values()))
    ledger.side = deepcopy(books.side)
    arrays = _tariff_arrays(ledger.tariffs, ledger.side.tariff_days)
    ledger._prices, ledger._terms, ledger._limits = arrays
    bank = np.zeros(1, OPENING)
    bank["flags"] = AccountKind.BANK
    for number in books.issuers:
        bank["number"] = number
        ledger.open_accounts(bank, {number: books.issuers[number]})
    for number, account in books.accounts.items():
        record = account_record(account)
        for name in LINE_FIELDS:
            ledger.accounts[name][number] = record[name]
        for name in ("key", "head_office"):
            ledger.identities[name][number] = record[name]
        ledger._pages[number // (1 << 10)] = 3
    for alias, (owner, following) in books.aliases.items():
        ledger.aliases.put(alias, owner, following)
    return ledger


def account_record(account):
    record = np.zeros((), ACCOUNT)
    record["key"] = np.frombuffer(account.key, "u1")
    record["balance"] = account.balance_cents
    record["debited"] = account.debited_cents
    record["credited"] = account.credited_cents
    record["next_sequence"] = account.next_sequence
    record["flags"] = account.flags
    record["spent_today"] = account.spent_today_cents
    record["day"] = account.day
    record["held"] = account.held_cents
    record["frozen"] = account.frozen_cents
    record["head_office"] = account.head_office
    return record


def order_records(orders):
    """Return readable orders as an ORDER array."""
    array = np.zeros(len(orders), ORDER)
    for row, order in zip(array, orders, strict=True):
        row["payer"] = order.payer
        row["payee"] = order.payee
        row["amount"] = order.amount_cents
        row["fee"] = order.fee_cents
        row["sequence"] = order.sequence
        row["kind"] = order.kind
        row["tariff"] = order.tariff
        row["day"] = order.day
        row["options"] = np.frombuffer(order.options, "u1")
        row["reference"] = np.frombuffer(order.reference, "u1")
    return array


def check_all(ledger, orders, today=TODAY, signed=True, proven=True, tables=()):
    """Return the Outcome of each readable order, by the ledger."""
    count = len(orders)
    codes = ledger.check(
        order_records(orders),
        np.full(count, signed),
        np.full(count, proven),
        today,
        tables_of(tables),
    )
    return [Outcome(code) for code in codes.tolist()]


def apply_all(ledger, orders, position=0, tables=()):
    """Apply readable orders; return the Applied of each."""
    indices = np.arange(len(orders), dtype=np.uint32)
    states = ledger.apply(order_records(orders), position, indices, tables_of(tables))
    return [Applied(state) for state in states.tolist()]


def after(books, effects):
    """Return the books with the effects in them."""
    side = deepcopy(books.side)
    for change in effects.side:
        side.put(change)
    tariffs = dict(books.tariffs)
    if effects.tariff is not None:
        tariffs[effects.tariff.version] = effects.tariff
    return replace(
        books,
        accounts={**books.accounts, **effects.accounts},
        aliases={**books.aliases, **effects.aliases},
        tariffs=tariffs,
        issuers={**books.issuers, **effects.issuers},
        side=side,
    )


def fee_for(tariff, kind, amount_cents, mode=0):
    """Return the right fee of the payer's, or 0 where there is none; `mode` is the payee's."""
    movement = MOVEMENTS[kind]
    if movement.fee_mode is not None:
        mode = movement.fee_mode
    try:
        return tariff.charge(movement.fee_table, FeeMode(mode), amount_cents).payer_cents
    except ValueError:
        return 0


# -- stories --------------------------------------------------------------------------------------

REFERENCES = {
    "zero": bytes(32),
    "point": (5).to_bytes(32, "big"),
    "no-point": (1).to_bytes(32, "big"),
    "beyond": (2**256 - 1).to_bytes(32, "big"),
}
"""Words with a meaning of their own: P-256 has points with x = 5 and none with x = 1, or beyond its field."""


class Town:
    """The town's ledger, spoken to in words."""

    def __init__(self, tariff=TARIFF):
        """The tariff is the one that orders name; the ledger knows it and the first one."""
        self.tariff = tariff
        self.ledger = open_town((TARIFF, tariff) if tariff is not TARIFF else (TARIFF,))
        self.tables = []
        """Every payee table that came along, as bytes."""
        self.told = []
        """Every order that was applied, where it lies: at index 0 of a block at its place here."""
        self.ledger.original_at = lambda position, _: order_records([self.told[position]])[0]
        self.heard = set()
        """Every outcome that a story has met."""
        self.left_out = invariants.RESTING_ON_VOTERS
        """The invariants that need not hold of what a story gave."""

    def tell(self, story):
        for line in story.strip().splitlines():
            words, _, expected = line.partition("->")
            found = self.hear(words.split())
            assert found == expected.strip(), f"{' '.join(words.split())} -> {found}"

    def hear(self, words):
        match words:
            case []:
                return ""
            case ["final", *order]:
                return self.apply(self.order(order)[0]).name
            case ["head-office", name]:
                office = int(self.ledger.identities["head_office"][self.number(name)])
                return self.name(office) if office else "none"
            case ["balance", name]:
                return format_cents(self.record(name)["balance"]).replace("Ksh", "")
            case ["next", name]:
                return str(self.ledger.next_sequence(self.number(name)))
            case ["owner", alias]:
                found = self.ledger.alias(digest(alias.encode()))
                return "nobody" if found is None else f"{self.name(found[0])}, slot {found[1]}"
            case ["statement", name]:
                return " ".join(map(str, self.ledger.entries_of(self.number(name), 100)))
            case ["given", name, field, value]:
                self.give(name, field, value)
                return ""
            case _:
                order, signatures = self.order(words)
                return self.judge(order, **signatures).name

    def judge(self, order, signed=True, proven=True):
        before = invariants.check(self.ledger, leave_out=self.left_out)
        (found,) = check_all(self.ledger, [order], TODAY, signed, proven, self.tables)
        books = books_of(self.ledger, self.tables)
        said = house_rules.judge(
            order, books, TODAY, signature_holds=signed, possession_holds=proven
        )
        assert found is said, f"the kernel found {found.name}, the rules say {said.name}"
        assert Snapshot.of(self.ledger).records.tobytes() == before.records.tobytes()
        self.heard.add(found)
        return found

    def apply(self, order):
        books = books_of(self.ledger, self.tables)
        before = Snapshot.of(self.ledger)
        (found,) = apply_all(self.ledger, [order], len(self.told), self.tables)
        self.told.append(order)
        effects = house_rules.effects(order, books)
        assert found is effects.applied
        assert books_of(self.ledger, self.tables) == after(books, effects)
        invariants.check(self.ledger, before, leave_out=invariants.RESTING_ON_VOTERS)
        return found

    def give(self, name, field, value):
        """Bring an account into a state that no order leads to yet, or that would take long."""
        record = self.record(name)
        match field:
            case "status":
                record["flags"] = int(record["flags"]) & ~0xF0 | Status[value] << 4
            case "held" | "frozen" | "spent_today":
                record[field] = cents_of(value)
                if field == "held":
                    self.left_out |= {invariants.what_is_held_is_held_by_holds}
            case "balance":
                # From the business, or to it from the bank, so that no cent is made or destroyed.
                other = "bank" if name == "business" else "business"
                self.record(other)["balance"] -= cents_of(value) - int(record["balance"])
                record["balance"] = cents_of(value)
            case "day":
                record["day"] = TODAY + int(value)
            case "next_sequence":
                record["next_sequence"] = int(value)

    def record(self, name):
        return self.ledger.accounts[self.number(name)]

    def number(self, word):
        return int(word[1:]) if word.startswith("#") else NUMBERS[word]

    def name(self, number):
        return next((name for name, own in NUMBERS.items() if own == number), f"#{number}")

    def order(self, words):
        """Read `kind payer payee amount`, then pairs of a field and its value, then flags.

        The payee `new` is the account that an enrolment would create, `self` the payer.
        """
        kind_word, payer_word, payee_word, amount_word, *rest = words
        signatures = {"signed": "unsigned" not in rest, "proven": "unproven" not in rest}
        comes_along = "without-table" not in rest
        rest = [w for w in rest if w not in {"unsigned", "unproven", "without-table"}]
        pairs = dict(zip(rest[::2], rest[1::2], strict=True))
        kind = (
            int(kind_word)
            if kind_word.isdecimal()
            else OrderKind[kind_word.replace("-", "_").upper()]
        )
        payer = self.number(payer_word)
        reference = bytes(32)
        if kind in {OrderKind.PAY_BILL, OrderKind.DEPOSIT_COMMISSION}:
            reference = digest(b"account or deposit")
        for word in ("alias", "key", "for"):
            if word in pairs:
                reference = REFERENCES.get(pairs[word]) or digest(pairs[word].encode())
        following = self.ledger.next_sequence(payer)
        if kind is OrderKind.CLAIM:
            following = (self.ledger.alias(reference) or (0, 0))[1]
        sequence = moved(following, pairs.get("sequence", "+0"))
        match payee_word:
            case "new":
                payee = payer - payer % REGION_ACCOUNTS + sequence
            case "self":
                payee = payer
            case _:
                payee = self.number(payee_word)
        amount = cents_of(amount_word)
        options = "010000" if kind is OrderKind.ENROL else "000000"
        mode = 0
        if kind is OrderKind.PAY_BILL:
            mode = int(self.ledger.accounts["flags"][payee]) >> 16 & 3
            options = f"{mode:02x}0000"
        elif kind in {OrderKind.WITHDRAW, OrderKind.DEPOSIT_COMMISSION}:
            office = self.ledger.account(payee)
            place = 0 if office is None else int(office["head_office"]) % REGION_ACCOUNTS
            if "head-office" in pairs:
                place = self.number(pairs["head-office"]) % REGION_ACCOUNTS
            options = place.to_bytes(3, "little").hex()
        fee = fee_for(self.tariff, kind, amount, mode) if kind in MOVEMENTS else 0
        if "to" in pairs:
            rows = [row.split("=") for row in pairs["to"].split("+")]
            payments = [(self.number(name), cents_of(cents)) for name, cents in rows]
            table = table_bytes(*payments)
            reference = table_digest(table)
            fee = sum(fee_for(self.tariff, kind, cents) for _, cents in payments)
            if comes_along:
                self.tables.append(table)
        order = Order(
            kind=int(kind),
            payer=payer,
            payee=payee,
            amount_cents=amount,
            fee_cents=cents_of(pairs["fee"]) if "fee" in pairs else fee,
            sequence=sequence,
            tariff=int(pairs.get("tariff", self.tariff.version)),
            day=moved(TODAY, pairs.get("day", "+0")),
            options=bytes.fromhex(pairs.get("options", options)),
            reference=reference,
        )
        return order, signatures


def cents_of(word):
    """Read shillings, or with a `c` at the end any number of cents."""
    return int(word[:-1]) if word.endswith("c") else parse_cents(word)


def moved(base, word):
    """Read `+1` and `-1` as steps from the base, and any other number as itself."""
    return base + int(word) if word[0] in "+-" else int(word)


assert sum(cents for _, _, cents in TOWN.values()) == 0, "a town like a genesis"
