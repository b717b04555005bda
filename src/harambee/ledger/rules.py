"""The rules of the ledger, to be read: which orders may become final, and what a final one does.

Two questions are asked of every order, and this file answers both.

**May it become final?** `judge` is asked by each super-agent for itself, before it votes, and
answers with an `Outcome`: ACCEPTED, or the first rule that the order breaks. The rules stand below
in the order in which they are checked, which is the order of their codes. Each is one function that
says when it is broken, and takes all rules above it for granted.

**What does it do?** `effects` is asked once the order is final, that is, once enough super-agents
have accepted it. Nothing is judged again then: limits, days, freezes and signatures were for the
voters, and a final order is nobody's to refuse. It is applied, or was applied already, or waits for
what it needs. What is promised of it:

- An order debits one account, its payer. Everything else is a credit, and the credits add up to the
  debit, so no order makes or destroys a cent. A charge that somebody else bears is taken out of what
  he receives.
- No credit is ever clamped or dropped, whatever the receiver's state or limit.
- What an order does depends on the order alone, with the tariff version and the payee table that it
  names, never on what else was applied before it: all super-agents that applied the same orders
  have the same books, in whatever order they came.

Here is one order at a time, in Python's integers, which cannot overflow, and nothing is changed:
books go in, a value comes out. `harambee.ledger.kernels` is the same compiled for a million orders
a second, and property tests hold each to the other.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Final, NamedTuple, Self

import numpy as np

from harambee.crypto.p256 import is_point
from harambee.ledger.kinds import (
    ENDINGS,
    HOUSE,
    LIMITED,
    MOVEMENTS,
    PARTIES,
    Commission,
    Movement,
    OrderKind,
    Space,
)
from harambee.ledger.outcomes import Applied, Outcome
from harambee.ledger.records import (
    CUSTODIAL_BIT,
    FEE_MODE_MASK,
    FEE_MODE_SHIFT,
    FIRST_FREE_POSITION,
    KEY_SIGN,
    KEY_TYPE_MASK,
    KEY_TYPE_SHIFT,
    KIND_MASK,
    NAMED_HOLD,
    NOBODY,
    P256_SIGN_BIT,
    PAYEES_MAX,
    REGION_ACCOUNTS,
    SEQUENCE_LAST,
    STATUS_MASK,
    STATUS_SHIFT,
    TIER_MASK,
    TIER_SHIFT,
    AccountKind,
    KeyType,
    Status,
    account_number,
    excise_account,
    head_office_named,
    region_of,
    revenue_account,
)
from harambee.ledger.side_tables import Change, SideTables, SlotKey
from harambee.money.amounts import MAX_AMOUNT_CENTS
from harambee.money.tariff import Charge, FeeMode, FeeTable, NoBandError, Tariff

# -- what the rules speak of ----------------------------------------------------------------------

SPENT_TODAY_CENTS_MAX: Final = 2**32 - 1
"""What the account's field can hold; every daily limit fits it."""

_OPTION_CUSTODIAL: Final = 8
"""Bits of an enrolment's second option byte; below them is the type of the key."""
_OPTION_FEE_MODE_SHIFT: Final = 4
"""Of its first option byte; below it is the kind of the account."""


@dataclass(frozen=True, slots=True)
class Order:
    """The body of an order, 64 bytes that the payer signs (docs/wire.md section 4)."""

    kind: int
    payer: int
    payee: int
    amount_cents: int = 0
    fee_cents: int = 0
    sequence: int = 0
    tariff: int = 0
    day: int = 0
    options: bytes = bytes(3)
    reference: bytes = bytes(32)

    @classmethod
    def of(cls, record: np.void) -> Self:
        """Read an ORDER record."""
        return cls(
            kind=int(record["kind"]),
            payer=int(record["payer"]),
            payee=int(record["payee"]),
            amount_cents=int(record["amount"]),
            fee_cents=int(record["fee"]),
            sequence=int(record["sequence"]),
            tariff=int(record["tariff"]),
            day=int(record["day"]),
            options=record["options"].tobytes(),
            reference=record["reference"].tobytes(),
        )


@dataclass(frozen=True, slots=True)
class Account:
    """An account as the network agrees on it: the 90 bytes of its record that digests cover.

    As it stands here without arguments, it is what a row of the ledger holds where no account is.
    """

    key: bytes = bytes(32)
    balance_cents: int = 0
    debited_cents: int = 0
    credited_cents: int = 0
    next_sequence: int = 0
    flags: int = 0
    spent_today_cents: int = 0
    day: int = 0
    held_cents: int = 0
    frozen_cents: int = 0
    head_office: int = 0

    @classmethod
    def of(cls, record: np.void) -> Self:
        """Read an ACCOUNT record."""
        return cls(
            key=record["key"].tobytes(),
            balance_cents=int(record["balance"]),
            debited_cents=int(record["debited"]),
            credited_cents=int(record["credited"]),
            next_sequence=int(record["next_sequence"]),
            flags=int(record["flags"]),
            spent_today_cents=int(record["spent_today"]),
            day=int(record["day"]),
            held_cents=int(record["held"]),
            frozen_cents=int(record["frozen"]),
            head_office=int(record["head_office"]),
        )

    @property
    def kind(self) -> int:
        """The AccountKind; an integer, because a later version may know more kinds."""
        return self.flags & KIND_MASK

    @property
    def exists(self) -> bool:
        """Whether there is an account at all."""
        return self.kind != AccountKind.NONE

    @property
    def is_active(self) -> bool:
        """Whether it is neither frozen nor closed."""
        return self.flags >> STATUS_SHIFT & STATUS_MASK == Status.ACTIVE

    @property
    def tier(self) -> int:
        """To which level its owner is known; the tariff has the limits of each."""
        return self.flags >> TIER_SHIFT & TIER_MASK

    @property
    def is_limited(self) -> bool:
        """Whether the tariff limits what it moves and holds."""
        return self.kind in LIMITED

    @property
    def fee_mode(self) -> int:
        """Who bears the charge of a bill that it is paid."""
        return self.flags >> FEE_MODE_SHIFT & FEE_MODE_MASK


NO_ACCOUNT: Final = Account()


class Alias(NamedTuple):
    """Which account an alias names, and the only sequence that its next claim may carry."""

    owner: int
    next_sequence: int


UNCLAIMED: Final = Alias(owner=0, next_sequence=0)


class Payment(NamedTuple):
    """One account to be paid, and how much."""

    payee: int
    cents: int


@dataclass(frozen=True, slots=True)
class Books:
    """All that judging and applying read, by account number, alias and tariff version."""

    accounts: Mapping[int, Account]
    aliases: Mapping[bytes, Alias] = field(default_factory=dict)
    tariffs: Mapping[int, Tariff] = field(default_factory=dict)
    issuers: Mapping[int, int] = field(default_factory=dict)
    """How far an issuer of money may go below zero, in cents; nobody else may."""
    tables: Mapping[bytes, tuple[Payment, ...]] = field(default_factory=dict)
    """The payee tables that came with the orders, by the digests that name them."""
    documents: Mapping[bytes, bytes] = field(default_factory=dict, compare=False)
    """The documents that came with them, by the digests that name them."""
    side: SideTables = field(default_factory=SideTables)
    originals: Callable[[SlotKey], "Order | None"] = field(default=lambda _: None, compare=False)
    """The order that became final in a slot, as far as this super-agent can tell."""
    key_days: int = 0
    """So many days the owner of an account has to refuse a new key."""

    def account(self, number: int) -> Account:
        """The account of this number, or NO_ACCOUNT."""
        return self.accounts.get(number, NO_ACCOUNT)

    def is_in_force(self, version: int, day: int) -> bool:
        """Whether orders of a day pay by this tariff version: of those that began, the newest."""
        first = self.side.tariff_days
        begun = [first.get(known, 0) for known in self.tariffs if first.get(known, 0) <= day]
        return version in self.tariffs and first.get(version, 0) == max(begun, default=0)

    def alias(self, alias: bytes) -> Alias:
        """What is known of an alias, or UNCLAIMED."""
        return self.aliases.get(alias, UNCLAIMED)


@dataclass(frozen=True, slots=True)
class Case:
    """An order before the judge: what it says, what the books say, and whose signatures hold."""

    order: Order
    books: Books
    today: int
    signature_holds: bool
    possession_holds: bool

    @property
    def movement(self) -> Movement:
        """The row of the table of kinds; ValueError where the kind is not known."""
        return MOVEMENTS[OrderKind(self.order.kind)]

    @property
    def payer(self) -> Account:
        """The account that signs, and that pays if anything is paid."""
        return self.books.account(self.order.payer)

    @property
    def payee(self) -> Account:
        """The account that receives, is created or is named."""
        return self.books.account(self.order.payee)

    @property
    def moves_money(self) -> bool:
        """Whether orders of this kind pay anything at all."""
        return self.movement.moves_money

    @property
    def payments(self) -> tuple[Payment, ...]:
        """Whom the order pays, and how much each; nobody where the table is missing."""
        return payments_of(self.order, self.books) or ()

    @property
    def payees(self) -> list[Account]:
        """The accounts that receive."""
        return [self.books.account(payment.payee) for payment in self.payments]

    @property
    def names_payees(self) -> bool:
        """Whether the order is to accounts that must be there: all but an enrolment."""
        return self.order.kind != OrderKind.ENROL

    @property
    def tariff(self) -> Tariff:
        """The tariff that the order pays by; KeyError where it is not known."""
        return self.books.tariffs[self.order.tariff]

    @property
    def fee_cents(self) -> int | None:
        """What the tariff asks of the payer, or None where it has no price for an amount."""
        charges = [charge_of(self.order, self.tariff, cents) for _, cents in self.payments]
        if any(charge is None for charge in charges):
            return None
        if self.movement.commission is Commission.OF_THE_AMOUNT and not is_commission(
            self.order.amount_cents, self.tariff
        ):
            return None
        return sum(charge.payer_cents for charge in charges if charge is not None)


# -- what an order says, with its tariff and its table, and nothing else ----------------------------


def as_moved(order: Order) -> Order:
    """Return the payment that an order is about: what a hold becomes, what its release makes of it.

    All other orders are themselves. The reference of a release says what it needs (`NAMED_HOLD`).
    """
    if order.kind == OrderKind.HOLD:
        movement, _, terms = order.options
        mode = terms & FEE_MODE_MASK if movement == OrderKind.PAY_BILL else 0
        return replace(order, kind=movement, options=bytes([mode, 0, 0]))
    if order.kind == OrderKind.RELEASE:
        hold = named_hold(order)
        mode = int(hold["fee_mode"]) if hold["movement"] == OrderKind.PAY_BILL else 0
        return replace(
            order, kind=int(hold["movement"]), payer=int(hold["payer"]), options=bytes([mode, 0, 0])
        )
    return order


def sides_of(order: Order) -> tuple[int, int]:
    """Return whose money an order is about, and whose it becomes: as statements show it.

    That is its payer and its payee; but what ends a hold may be signed by either side of it.
    """
    payer = named_slot(order)[0] if order.kind in ENDINGS else order.payer
    return payer, order.payee


def named_hold(order: Order) -> np.void:
    """Return the hold that a release or a void names, a NAMED_HOLD record."""
    record: np.void = np.frombuffer(order.reference, NAMED_HOLD)[0]
    return record


def named_slot(order: Order) -> SlotKey:
    """Return the slot that the reference of an order names."""
    return int.from_bytes(order.reference[:4], "little"), int.from_bytes(
        order.reference[4:8], "little"
    )


def payments_of(order: Order, books: Books) -> tuple[Payment, ...] | None:
    """Whom an order pays, and how much each, before fees; None where its payee table is missing."""
    if MOVEMENTS[OrderKind(order.kind)].by_table:
        return books.tables.get(order.reference)
    return (Payment(order.payee, order.amount_cents),)


def fee_mode_of(order: Order) -> FeeMode | None:
    """Who bears the charge of an order; None where it says something that is no such thing."""
    mode = MOVEMENTS[OrderKind(order.kind)].fee_mode
    if mode is not None:
        return mode
    said = order.options[0]
    return FeeMode(said) if said in set(FeeMode) else None


def charge_of(order: Order, tariff: Tariff, cents: int) -> Charge | None:
    """The charge for an amount of such an order; None where the tariff has no price for it."""
    mode = fee_mode_of(order)
    if mode is None:
        return None
    try:
        return tariff.charge(MOVEMENTS[OrderKind(order.kind)].fee_table, mode, cents)
    except NoBandError:
        return None


def is_commission(cents: int, tariff: Tariff) -> bool:
    """Whether the tariff has a deposit for which an agent earns exactly this."""
    earned = {price.fee_cents for price in tariff.prices(FeeTable.DEPOSIT_COMMISSION)}
    return cents > 0 and cents in earned


def table_is_sound(payments: tuple[Payment, ...], total_cents: int) -> bool:
    """Whether a payee table has a row for each payee, ascending, and adds up to the total."""
    numbers = [payee for payee, _ in payments]
    return (
        0 < len(payments) <= PAYEES_MAX
        and all(below < above for below, above in pairwise(numbers))
        and sum(cents for _, cents in payments) == total_cents
    )


# -- may it become final? -------------------------------------------------------------------------


def judge(
    order: Order,
    books: Books,
    today: int,
    *,
    signature_holds: bool = True,
    possession_holds: bool = True,
) -> Outcome:
    """Return ACCEPTED, or the first rule that the order breaks; twin of `kernels.check_orders`.

    `today` is the day's number in UTC+3. `signature_holds` speaks of the order's signature, and
    `possession_holds` of the one by the new key that an enrolment brings along.
    """
    case = Case(order, books, today, signature_holds, possession_holds)
    broken = (outcome for outcome, is_broken in RULES.items() if is_broken(case))
    return next(broken, Outcome.ACCEPTED)


Rule = Callable[[Case], bool]

RULES: Final[dict[Outcome, Rule]] = {}
"""Every rule by the outcome of breaking it, in the order of checking."""


LAST_IN_ORDER: Final = Outcome.SLOT_SKIPPED
"""Up to here codes are in the order of checking; later rules stand where they are checked."""


def _rule(outcome: Outcome) -> Callable[[Rule], Rule]:
    """Enter a rule into RULES; the ones before it have smaller codes, but for later additions."""

    def enter(is_broken: Rule) -> Rule:
        first = [earlier for earlier in RULES if earlier <= LAST_IN_ORDER]
        assert outcome > LAST_IN_ORDER or outcome > max(first, default=Outcome.ACCEPTED)
        RULES[outcome] = is_broken
        return is_broken

    return enter


@_rule(Outcome.KIND_UNKNOWN)
def kind_is_unknown(case: Case) -> bool:
    """The kind is one that this version knows; what another one may mean is never guessed at."""
    return case.order.kind not in MOVEMENTS


@_rule(Outcome.OPTIONS_INVALID)
def options_are_invalid(case: Case) -> bool:
    """Bytes that the kind gives no meaning to are zero, so that nothing hides in a signed order."""
    order = case.order
    match order.kind:
        case OrderKind.ENROL:
            return not enrolment_options_hold(order.options)
        case OrderKind.CANCEL:
            return any(order.options) or any(order.reference) or order.payee != order.payer
        case OrderKind.JOIN_HEAD_OFFICE:
            return any(order.options) or any(order.reference)
        case OrderKind.BULK_PAY_OUT:
            return any(order.options) or order.payee != order.payer
    if order.kind in HOUSE:
        return False  # the house has its own rule for each
    movement = case.movement
    if movement.commission is not Commission.NONE:
        return head_office_named(order.payee, order.options) is None
    if movement.fee_mode is None:
        return fee_mode_of(order) is None or any(order.options[1:])
    return any(order.options)


@_rule(Outcome.REFERENCE_MISSING)
def reference_is_missing(case: Case) -> bool:
    """A bill says whose account at the biller it pays, a commission which deposit it is for."""
    return case.movement.needs_reference and not any(case.order.reference)


@_rule(Outcome.PAYER_UNKNOWN)
def payer_is_unknown(case: Case) -> bool:
    """The payer is an account."""
    return not case.payer.exists


@_rule(Outcome.SIGNATURE_INVALID)
def signature_is_invalid(case: Case) -> bool:
    """The payer's key has signed exactly this order, for this network."""
    return not case.signature_holds


@_rule(Outcome.SEQUENCE_STALE)
def sequence_is_stale(case: Case) -> bool:
    """The slot is not past. A claim is in no slot of its payer: its alias has slots of its own."""
    sequence = case.order.sequence
    past = sequence < case.payer.next_sequence or sequence == SEQUENCE_LAST
    return case.movement.space is Space.ACCOUNT and past


@_rule(Outcome.SEQUENCE_AHEAD)
def sequence_is_ahead(case: Case) -> bool:
    """The slot is the payer's next one: an account's orders become final one after the other."""
    ahead = case.order.sequence > case.payer.next_sequence
    return case.movement.space is Space.ACCOUNT and ahead


@_rule(Outcome.PAYEE_TABLE_MISSING)
def payee_table_is_missing(case: Case) -> bool:
    """The payees of a bulk pay-out stand in the table that it names, and it has come along."""
    return case.movement.by_table and payments_of(case.order, case.books) is None


@_rule(Outcome.PAYEE_TABLE_INVALID)
def payee_table_is_invalid(case: Case) -> bool:
    """The table has each payee once, not too many of them, and pays what the order says."""
    return case.movement.by_table and not table_is_sound(case.payments, case.order.amount_cents)


@_rule(Outcome.PAYER_IS_PAYEE)
def payer_is_payee(case: Case) -> bool:
    """Nobody pays herself; but a cancel names its own account twice, and whatever is about its signer."""
    if case.movement.to_itself:
        return False
    return any(payment.payee == case.order.payer for payment in case.payments)


@_rule(Outcome.PAYEE_UNKNOWN)
def payee_is_unknown(case: Case) -> bool:
    """Every payee is an account, but for an enrolment's, which it is there to create."""
    return case.names_payees and not all(payee.exists for payee in case.payees)


@_rule(Outcome.PAYER_KIND_WRONG)
def payer_kind_is_wrong(case: Case) -> bool:
    """Accounts of the payer's kind may make this movement."""
    return case.payer.kind not in case.movement.payers


@_rule(Outcome.PAYEE_KIND_WRONG)
def payee_kind_is_wrong(case: Case) -> bool:
    """Accounts of the payee's kind may receive it."""
    kinds = case.movement.payees
    return case.names_payees and any(payee.kind not in kinds for payee in case.payees)


@_rule(Outcome.FEE_MODE_WRONG)
def fee_mode_is_wrong(case: Case) -> bool:
    """Who bears the charge of a bill is what the biller agreed to, not what a payer would like."""
    return case.movement.fee_mode is None and case.order.options[0] != case.payee.fee_mode


@_rule(Outcome.HEAD_OFFICE_WRONG)
def head_office_is_wrong(case: Case) -> bool:
    """A commission names the agent's head office; and an agent joins one once, in its own region."""
    order = case.order
    if order.kind == OrderKind.JOIN_HEAD_OFFICE:
        place = order.payee % REGION_ACCOUNTS
        outside = region_of(order.payee) != region_of(order.payer) or place < FIRST_FREE_POSITION
        return outside or case.payer.head_office != 0
    if case.movement.commission is Commission.NONE:
        return False
    return head_office_named(order.payee, order.options) != case.payee.head_office


@_rule(Outcome.AMOUNT_ZERO)
def amount_is_zero(case: Case) -> bool:
    """A payment pays something, and each of its payees."""
    amounts = [case.order.amount_cents, *(cents for _, cents in case.payments)]
    return case.moves_money and 0 in amounts


@_rule(Outcome.AMOUNT_NOT_ZERO)
def amount_is_not_zero(case: Case) -> bool:
    """What is no payment pays nothing, not even a fee; an amount that it is about may stand in it."""
    amount = 0 if case.movement.has_figure else case.order.amount_cents
    return not case.moves_money and (amount != 0 or case.order.fee_cents != 0)


@_rule(Outcome.AMOUNT_ABOVE_LIMIT)
def amount_is_above_limit(case: Case) -> bool:
    """No amount is beyond all sense, and a customer's is within the limit of her tier."""
    amount = case.order.amount_cents
    if not case.moves_money:
        return False
    if amount > MAX_AMOUNT_CENTS:
        return True
    limited = case.payer.is_limited and case.order.tariff in case.books.tariffs
    return limited and amount > case.tariff.limits_of(case.payer.tier)[0]


@_rule(Outcome.TARIFF_UNKNOWN)
def tariff_is_unknown(case: Case) -> bool:
    """The tariff that the order names is one of the network's."""
    return case.moves_money and case.order.tariff not in case.books.tariffs


@_rule(Outcome.TARIFF_NOT_IN_FORCE)
def tariff_is_not_in_force(case: Case) -> bool:
    """The tariff is the one of the order's own day, whatever the day of the voter.

    So a change of tariff at midnight refuses nobody's order that was signed before. A commission
    pays by the tariff of its deposit.
    """
    by_another = case.movement.commission is Commission.OF_THE_AMOUNT
    in_force = case.books.is_in_force(case.order.tariff, case.order.day)
    return case.moves_money and not by_another and not in_force


@_rule(Outcome.AMOUNT_WITHOUT_TARIFF)
def amount_is_without_tariff(case: Case) -> bool:
    """The tariff has a price for this amount, or such a commission."""
    return case.moves_money and case.fee_cents is None


@_rule(Outcome.FEE_WRONG)
def fee_is_wrong(case: Case) -> bool:
    """The fee is the payer's part of it, to the cent: she has signed what she pays."""
    return case.moves_money and case.order.fee_cents != case.fee_cents


@_rule(Outcome.DAY_WRONG)
def day_is_wrong(case: Case) -> bool:
    """The order was signed for today, with a day's grace either way: clocks differ, orders age."""
    return abs(case.order.day - case.today) > 1


@_rule(Outcome.DAY_BEFORE_LAST)
def day_is_before_last(case: Case) -> bool:
    """Days do not run backwards, or the grace would give a daily limit twice."""
    return case.order.day < case.payer.day


@_rule(Outcome.PAYER_NOT_ACTIVE)
def payer_is_not_active(case: Case) -> bool:
    """The payer is neither frozen nor closed; a slot may always be cancelled, and a lost key replaced."""
    return (
        case.order.kind not in {OrderKind.CANCEL, OrderKind.TAKE_KEY} and not case.payer.is_active
    )


@_rule(Outcome.PAYEE_NOT_ACTIVE)
def payee_is_not_active(case: Case) -> bool:
    """Nor is any payee; who is only spoken of may be."""
    is_paid = case.moves_money or case.order.kind not in HOUSE | {OrderKind.CANCEL}
    return case.names_payees and is_paid and not all(payee.is_active for payee in case.payees)


@_rule(Outcome.DAILY_LIMIT_EXCEEDED)
def daily_limit_is_exceeded(case: Case) -> bool:
    """A customer's payments of one day stay within her tier's limit; fees are not counted."""
    if not case.moves_money or not case.payer.is_limited:
        return False
    spent = case.payer.spent_today_cents if case.order.day == case.payer.day else 0
    return spent + case.order.amount_cents > case.tariff.limits_of(case.payer.tier)[1]


@_rule(Outcome.PAYEE_BALANCE_ABOVE_LIMIT)
def payee_balance_is_above_limit(case: Case) -> bool:
    """A customer holds no more than the tariff lets her tier.

    Voters see the balance as it is now: credits that become final together may exceed the limit.
    """
    return case.moves_money and any(
        payee.is_limited and payee.balance_cents + cents > case.tariff.limits_of(payee.tier)[2]
        for payee, (_, cents) in zip(case.payees, case.payments, strict=True)
    )


@_rule(Outcome.BALANCE_INSUFFICIENT)
def balance_is_insufficient(case: Case) -> bool:
    """What is neither held nor frozen covers amount and fee; a bank may go down to its limit."""
    payer, order = case.payer, case.order
    free = payer.balance_cents - payer.held_cents - payer.frozen_cents
    if payer.kind == AccountKind.BANK:
        free += case.books.issuers.get(order.payer, 0)
    return case.moves_money and free < order.amount_cents + order.fee_cents


@_rule(Outcome.KEY_NOT_A_POINT)
def key_is_not_a_point(case: Case) -> bool:
    """The new key is one that somebody can have; a key that has signed is, and is not looked at."""
    return (
        case.order.kind == OrderKind.ENROL
        and not case.possession_holds
        and not can_be_a_key(case.order.options[1], case.order.reference)
    )


@_rule(Outcome.POSSESSION_UNPROVEN)
def possession_is_unproven(case: Case) -> bool:
    """The new key has signed its own enrolment: nobody is enrolled under a key she lacks.

    Of a type that is not known here nothing can be proven; it is refused as such.
    """
    return (
        case.order.kind == OrderKind.ENROL
        and not case.possession_holds
        and key_type_of(case.order.options[1]) is not None
    )


@_rule(Outcome.POSITION_TAKEN)
def position_is_taken(case: Case) -> bool:
    """Sequence p of a region's enrolment account creates position p there, where none is yet."""
    order = case.order
    if order.kind != OrderKind.ENROL:
        return False
    if not FIRST_FREE_POSITION <= order.sequence < REGION_ACCOUNTS:
        return True
    return order.payee != account_number(region_of(order.payer), order.sequence) or (
        case.payee.exists
    )


@_rule(Outcome.KEY_REFUSED)
def key_is_refused(case: Case) -> bool:
    """The new key is of a type that is known here, and not a row of zeros."""
    if case.order.kind != OrderKind.ENROL:
        return False
    return key_type_of(case.order.options[1]) is None or not any(case.order.reference)


@_rule(Outcome.ALIAS_SEQUENCE_WRONG)
def alias_sequence_is_wrong(case: Case) -> bool:
    """A claim is in the alias's next slot: who moves an alias has seen where it is."""
    if case.order.kind != OrderKind.CLAIM:
        return False
    following = case.books.alias(case.order.reference).next_sequence
    return case.order.sequence != following or following == SEQUENCE_LAST


@_rule(Outcome.ALIAS_NOT_OWNED)
def alias_is_not_owned(case: Case) -> bool:
    """A super-agent enters a new alias; from then on only its owner moves it."""
    if case.order.kind != OrderKind.CLAIM:
        return False
    alias = case.books.alias(case.order.reference)
    if alias == UNCLAIMED or alias.owner == NOBODY:
        return case.payer.kind != AccountKind.ENROLMENT
    return case.order.payer != alias.owner


JUDGED_ELSEWHERE: Final = {
    Outcome.SLOT_FENCED,
    Outcome.SLOT_TAKEN,
    Outcome.BROKER_BUSY,
    Outcome.SLOT_SKIPPED,
    Outcome.NOT_APPROVED,
}
"""What is no matter of the books: recovery, other orders in flight, a full super-agent, its operators."""


def key_type_of(options: int) -> KeyType | None:
    """Return the type of key that an option byte names; None where it is not known here."""
    key_type = options & KEY_TYPE_MASK
    return KeyType(key_type) if key_type in set(KeyType) else None


def can_be_a_key(options: int, key: bytes) -> bool:
    """Whether somebody can have the key that an option byte and 32 bytes describe.

    Of Ed25519, and of what is not known here, that is not asked: a proof of possession says it as well.
    """
    return key_type_of(options) is not KeyType.P256 or is_point(key)


def enrolment_options_hold(options: bytes) -> bool:
    """Whether the three option bytes of an enrolment describe an account that could be.

    They are the kind and who pays the fee of a bill; key type, sign of y and custody; the tier.
    Only a business has bills, and only a P-256 key a sign of y.
    """
    first, key, tier = options
    kind, mode = first & KIND_MASK, first >> _OPTION_FEE_MODE_SHIFT
    key_type, sign = key & KEY_TYPE_MASK, key & KEY_SIGN
    return (
        kind in PARTIES
        and mode in set(FeeMode)
        and (mode == FeeMode.PAYER or kind == AccountKind.BUSINESS)
        and key <= KEY_TYPE_MASK | KEY_SIGN | _OPTION_CUSTODIAL
        and (not sign or key_type != KeyType.ED25519)
        and tier <= TIER_MASK
    )


# -- what does it do? -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Effects:
    """What applying one final order changes; nothing unless it is APPLIED."""

    applied: Applied
    accounts: Mapping[int, Account] = field(default_factory=dict)
    """Number -> the account as it is afterwards, for those that change."""
    aliases: Mapping[bytes, Alias] = field(default_factory=dict)
    """The alias that changes, as it is afterwards."""
    side: tuple[Change, ...] = ()
    """Rows beside the accounts that change."""
    issuers: Mapping[int, int] = field(default_factory=dict)
    """The bank whose limit changes -> how far it may go below zero now, in cents."""
    tariff: Tariff | None = None
    """The version that is new."""
    statements: tuple[int, ...] = ()
    """The accounts on whose statements the order appears, its payer first."""


def effects(order: Order, books: Books) -> Effects:
    """Return what applying a final order changes; twin of `kernels.apply_orders`.

    A cancel burns its slot. An enrolment creates an account. A claim lets an alias name one. An
    agent joins its head office. All other kinds move money.
    """
    readiness = _readiness(order, books)
    if readiness is not Applied.APPLIED:
        return Effects(readiness)
    # From here on nothing can fail.
    match order.kind:
        case OrderKind.CANCEL:
            return Effects(
                Applied.APPLIED,
                {order.payer: after_slot(order, books)},
                statements=(order.payer,),
            )
        case OrderKind.ENROL:
            created = _created(order, books)
            return Effects(
                Applied.APPLIED,
                {order.payer: after_slot(order, books)} | created,
                statements=(order.payer, *created),
            )
        case OrderKind.CLAIM:
            return Effects(
                Applied.APPLIED,
                aliases={order.reference: Alias(order.payee, order.sequence + 1)},
                statements=once_each(order.payer, order.payee),
            )
        case OrderKind.JOIN_HEAD_OFFICE:
            joined = replace(after_slot(order, books), head_office=order.payee)
            return Effects(
                Applied.APPLIED,
                {order.payer: joined},
                statements=once_each(order.payer, order.payee),
            )
        case _:
            return moved(order, books)


def _readiness(order: Order, books: Books) -> Applied:
    """Whether the order is to be applied now, was applied before, or lacks something yet.

    What no voter of this version accepts waits too: it became final under a version to come.
    """
    payer = books.account(order.payer)
    if order.kind not in MOVEMENTS or not payer.exists or order.sequence == SEQUENCE_LAST:
        return Applied.WAITING
    if order.kind == OrderKind.CLAIM:
        following = books.alias(order.reference).next_sequence
    else:
        following = payer.next_sequence
    if order.sequence != following:
        return Applied.ALREADY if order.sequence < following else Applied.WAITING
    if MOVEMENTS[OrderKind(order.kind)].moves_money:
        credited = _credited(order, books)
        everybody = credited is not None and all(books.account(n).exists for n in credited.waits)
        return Applied.APPLIED if everybody else Applied.WAITING
    has_payee = order.kind not in {OrderKind.CANCEL, OrderKind.ENROL}
    if has_payee and not books.account(order.payee).exists:
        return Applied.WAITING
    return Applied.APPLIED


@dataclass(frozen=True, slots=True)
class Credits:
    """To whom the debit of one payment goes: every cent of it, in the order of the statements."""

    payees: tuple[Payment, ...]
    revenue: Payment
    excise: Payment
    head_office: Payment | None = None

    @property
    def all(self) -> tuple[Payment, ...]:
        """Every credit that is more than nothing; payees are shown whatever they receive."""
        others = (self.revenue, self.excise, self.head_office)
        return self.payees + tuple(c for c in others if c is not None and c.cents)

    @property
    def waits(self) -> tuple[int, ...]:
        """The accounts without which the order cannot be applied."""
        head_office = () if self.head_office is None else (self.head_office.payee,)
        return (*(payment.payee for payment in self.payees), *head_office)


def credits_of(
    order: Order, tariff: Tariff, table: tuple[Payment, ...] | None = None
) -> Credits | None:
    """Return what a payment credits; it adds up to amount and fee, and depends on nothing else.

    `table` is the payee table that the order names, if it names one. None where no voter accepts
    such an order: there is no table or no price, or the charge does not pay what is due of it.
    """
    order = as_moved(order)
    if order.kind not in MOVEMENTS:
        return None
    movement = MOVEMENTS[OrderKind(order.kind)]
    amount, fee = order.amount_cents, order.fee_cents
    if amount > MAX_AMOUNT_CENTS:
        return None
    revenue, excise = revenue_account(order.payer), excise_account(order.payer)
    if movement.by_table:
        if table is None or not table_is_sound(table, amount):
            return None
        tax = tariff.excise_cents(fee)
        return Credits(table, Payment(revenue, fee - tax), Payment(excise, tax))
    payees_part = 0
    if movement.fee_mode is not FeeMode.PAYER:
        # What the payer signed to pay is her fee; what the payee bears is the tariff's to say.
        charge = charge_of(order, tariff, amount)
        if charge is None:
            return None
        payees_part = charge.payee_cents
    tax = tariff.excise_cents(fee + payees_part)
    kept = fee + payees_part - tax
    if movement.commission is Commission.NONE:
        received = Payment(order.payee, amount - payees_part)
        return Credits((received,), Payment(revenue, kept), Payment(excise, tax))
    if movement.commission is Commission.OF_THE_CHARGE:
        commission = tariff.commission_cents(FeeTable.WITHDRAW_COMMISSION, amount)
        received_cents, kept = amount + commission, kept - commission
    else:
        commission = received_cents = amount
    number = head_office_named(order.payee, order.options)
    if number is None or kept < 0:
        return None
    head_office = Payment(number, tariff.head_office_cents(commission)) if number else None
    if head_office is not None:
        received_cents -= head_office.cents
    return Credits(
        (Payment(order.payee, received_cents),),
        Payment(revenue, kept),
        Payment(excise, tax),
        head_office,
    )


def _credited(order: Order, books: Books) -> Credits | None:
    """What a payment credits by these books; None where it cannot be applied by them."""
    if order.tariff not in books.tariffs:
        return None
    return credits_of(order, books.tariffs[order.tariff], books.tables.get(order.reference))


def after_slot(order: Order, books: Books) -> Account:
    """The payer with this slot behind it."""
    return replace(books.account(order.payer), next_sequence=order.sequence + 1)


def moved(order: Order, books: Books) -> Effects:
    """Debit the payer, and credit everybody whom the debit goes to."""
    done = paid(order, books)
    assert done is not None, "it is ready"
    return done


def paid(order: Order, books: Books) -> Effects | None:
    """What a payment in its payer's slot changes; None where it cannot be applied by these books."""
    credited = _credited(order, books)
    if credited is None or not all(books.account(n).exists for n in credited.waits):
        return None
    accounts = {order.payer: debited(after_slot(order, books), order)}
    credit(accounts, books, credited)
    touched = once_each(order.payer, *(number for number, _ in credited.all))
    return Effects(Applied.APPLIED, accounts, statements=touched)


def credit(accounts: dict[int, Account], books: Books, credited: Credits) -> None:
    """Enter credits on top of what has changed already: somebody may be both payer and payee of a fee."""
    for number, cents in credited.all:
        account = accounts.get(number, books.account(number))
        accounts[number] = replace(
            account,
            balance_cents=account.balance_cents + cents,
            credited_cents=account.credited_cents + cents,
        )


def debited(payer: Account, order: Order) -> Account:
    """The payer without amount and fee; a customer's spending of the day goes on or begins anew."""
    debit = order.amount_cents + order.fee_cents
    return replace(
        payer,
        balance_cents=payer.balance_cents - debit,
        debited_cents=payer.debited_cents + debit,
        spent_today_cents=spent_cents(payer, order),
        day=max(payer.day, order.day),
    )


def spent_cents(payer: Account, order: Order) -> int:
    """Return what the payer has spent of her limit on the order's day, this order included."""
    if not payer.is_limited:
        return payer.spent_today_cents
    before = payer.spent_today_cents if order.day <= payer.day else 0
    # No money: only what is left of a limit, which voters have held below this.
    return min(before + order.amount_cents, SPENT_TODAY_CENTS_MAX)


def _created(order: Order, books: Books) -> dict[int, Account]:
    """The account that an enrolment creates, by its number.

    None, and the slot is only burnt, where voters should have refused it: a place that is not the
    slot's or not free, or an account of no kind.
    """
    first, key, tier = order.options
    own = order.sequence < REGION_ACCOUNTS and order.payee == account_number(
        region_of(order.payer), order.sequence
    )
    place = books.account(order.payee)
    if not own or place.exists or first & KIND_MASK == AccountKind.NONE:
        return {}
    flags = (
        (first & KIND_MASK)
        | (first >> _OPTION_FEE_MODE_SHIFT & FEE_MODE_MASK) << FEE_MODE_SHIFT
        | (key & KEY_TYPE_MASK) << KEY_TYPE_SHIFT
        | (tier & TIER_MASK) << TIER_SHIFT
        | (P256_SIGN_BIT if key & KEY_SIGN else 0)
        | (CUSTODIAL_BIT if key & _OPTION_CUSTODIAL else 0)
    )
    return {order.payee: replace(place, key=order.reference, flags=flags)}


def once_each(*numbers: int) -> tuple[int, ...]:
    """The numbers in this order, each once."""
    return tuple(dict.fromkeys(numbers))
