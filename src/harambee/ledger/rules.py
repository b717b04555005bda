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
  debit, so no order makes or destroys a cent.
- No credit is ever clamped or dropped, whatever the receiver's state or limit.
- What an order does depends on the order alone, never on what else was applied before it: all
  super-agents that applied the same orders have the same books, in whatever order they came.

Here is one order at a time, in Python's integers, which cannot overflow, and nothing is changed:
books go in, a value comes out. `harambee.ledger.kernels` is the same compiled for a million orders
a second, and property tests hold each to the other.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple, Self

import numpy as np

from harambee.ledger.kinds import MOVEMENTS, PARTIES, Movement, OrderKind
from harambee.ledger.outcomes import Applied, Outcome
from harambee.ledger.records import (
    CUSTODIAL_BIT,
    FIRST_FREE_POSITION,
    KEY_TYPE_MASK,
    KEY_TYPE_SHIFT,
    KIND_MASK,
    NOBODY,
    P256_SIGN_BIT,
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
    region_of,
    revenue_account,
)
from harambee.money.amounts import MAX_AMOUNT_CENTS
from harambee.money.tariff import NoBandError, Tariff

# -- what the rules speak of ----------------------------------------------------------------------

SPENT_TODAY_CENTS_MAX: Final = 2**32 - 1
"""What the account's field can hold; every daily limit fits it."""

_OPTION_SIGN: Final = 4
_OPTION_CUSTODIAL: Final = 8
"""Bits of an enrolment's second option byte; below them is the type of the key."""


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


NO_ACCOUNT: Final = Account()


class Alias(NamedTuple):
    """Which account an alias names, and the only sequence that its next claim may carry."""

    owner: int
    next_sequence: int


UNCLAIMED: Final = Alias(owner=0, next_sequence=0)


@dataclass(frozen=True, slots=True)
class Books:
    """All that judging and applying read, by account number, alias and tariff version."""

    accounts: Mapping[int, Account]
    aliases: Mapping[bytes, Alias] = field(default_factory=dict)
    tariffs: Mapping[int, Tariff] = field(default_factory=dict)
    issuers: Mapping[int, int] = field(default_factory=dict)
    """How far an issuer of money may go below zero, in cents; nobody else may."""

    def account(self, number: int) -> Account:
        """The account of this number, or NO_ACCOUNT."""
        return self.accounts.get(number, NO_ACCOUNT)

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
    def tariff(self) -> Tariff:
        """The tariff that the order pays by; KeyError where it is not known."""
        return self.books.tariffs[self.order.tariff]

    @property
    def fee_cents(self) -> int | None:
        """What the tariff asks for this movement, or None where it has no price for the amount."""
        try:
            return self.tariff.fee_cents(self.movement.fee_table, self.order.amount_cents)
        except NoBandError:
            return None


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


def _rule(outcome: Outcome) -> Callable[[Rule], Rule]:
    """Enter a rule into RULES; the one before it has a smaller code."""

    def enter(is_broken: Rule) -> Rule:
        assert all(outcome > earlier for earlier in RULES), f"{outcome.name} is out of order"
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
        case _:
            return any(order.options)


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
    return case.order.kind != OrderKind.CLAIM and past


@_rule(Outcome.SEQUENCE_AHEAD)
def sequence_is_ahead(case: Case) -> bool:
    """The slot is the payer's next one: an account's orders become final one after the other."""
    ahead = case.order.sequence > case.payer.next_sequence
    return case.order.kind != OrderKind.CLAIM and ahead


@_rule(Outcome.PAYER_IS_PAYEE)
def payer_is_payee(case: Case) -> bool:
    """Nobody pays herself; only a cancel names its own account twice."""
    return case.order.payer == case.order.payee and case.order.kind != OrderKind.CANCEL


@_rule(Outcome.PAYEE_UNKNOWN)
def payee_is_unknown(case: Case) -> bool:
    """The payee is an account, but for an enrolment, which is there to create it."""
    return case.order.kind != OrderKind.ENROL and not case.payee.exists


@_rule(Outcome.PAYER_KIND_WRONG)
def payer_kind_is_wrong(case: Case) -> bool:
    """Accounts of the payer's kind may make this movement."""
    return case.payer.kind not in case.movement.payers


@_rule(Outcome.PAYEE_KIND_WRONG)
def payee_kind_is_wrong(case: Case) -> bool:
    """Accounts of the payee's kind may receive it."""
    return case.order.kind != OrderKind.ENROL and case.payee.kind not in case.movement.payees


@_rule(Outcome.AMOUNT_ZERO)
def amount_is_zero(case: Case) -> bool:
    """A payment pays something."""
    return case.moves_money and case.order.amount_cents == 0


@_rule(Outcome.AMOUNT_NOT_ZERO)
def amount_is_not_zero(case: Case) -> bool:
    """What is no payment pays nothing, not even a fee."""
    return not case.moves_money and (case.order.amount_cents != 0 or case.order.fee_cents != 0)


@_rule(Outcome.AMOUNT_ABOVE_LIMIT)
def amount_is_above_limit(case: Case) -> bool:
    """No amount is beyond all sense, and a customer's is within her tariff's limit."""
    amount = case.order.amount_cents
    if not case.moves_money:
        return False
    if amount > MAX_AMOUNT_CENTS:
        return True
    limited = case.payer.kind == AccountKind.CUSTOMER and case.order.tariff in case.books.tariffs
    return limited and amount > case.tariff.limits.transaction_cents


@_rule(Outcome.TARIFF_UNKNOWN)
def tariff_is_unknown(case: Case) -> bool:
    """The tariff that the order names is one of the network's."""
    return case.moves_money and case.order.tariff not in case.books.tariffs


@_rule(Outcome.AMOUNT_WITHOUT_TARIFF)
def amount_is_without_tariff(case: Case) -> bool:
    """The tariff has a price for this amount."""
    return case.moves_money and case.fee_cents is None


@_rule(Outcome.FEE_WRONG)
def fee_is_wrong(case: Case) -> bool:
    """The fee is that price, to the cent: the payer has signed what she pays."""
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
    """The payer is neither frozen nor closed; it may always cancel, which moves nothing."""
    return case.order.kind != OrderKind.CANCEL and not case.payer.is_active


@_rule(Outcome.PAYEE_NOT_ACTIVE)
def payee_is_not_active(case: Case) -> bool:
    """Nor is the payee."""
    has_payee = case.order.kind not in {OrderKind.CANCEL, OrderKind.ENROL}
    return has_payee and not case.payee.is_active


@_rule(Outcome.DAILY_LIMIT_EXCEEDED)
def daily_limit_is_exceeded(case: Case) -> bool:
    """A customer's payments of one day stay within her tariff's limit; fees are not counted."""
    if not case.moves_money or case.payer.kind != AccountKind.CUSTOMER:
        return False
    spent = case.payer.spent_today_cents if case.order.day == case.payer.day else 0
    return spent + case.order.amount_cents > case.tariff.limits.daily_cents


@_rule(Outcome.PAYEE_BALANCE_ABOVE_LIMIT)
def payee_balance_is_above_limit(case: Case) -> bool:
    """A customer holds no more than the tariff lets her.

    Voters see the balance as it is now: credits that become final together may exceed the limit.
    """
    if not case.moves_money or case.payee.kind != AccountKind.CUSTOMER:
        return False
    return case.payee.balance_cents + case.order.amount_cents > case.tariff.limits.balance_cents


@_rule(Outcome.BALANCE_INSUFFICIENT)
def balance_is_insufficient(case: Case) -> bool:
    """What is neither held nor frozen covers amount and fee; a bank may go down to its limit."""
    payer, order = case.payer, case.order
    free = payer.balance_cents - payer.held_cents - payer.frozen_cents
    if payer.kind == AccountKind.BANK:
        free += case.books.issuers.get(order.payer, 0)
    return case.moves_money and free < order.amount_cents + order.fee_cents


@_rule(Outcome.POSSESSION_UNPROVEN)
def possession_is_unproven(case: Case) -> bool:
    """The new key has signed its own enrolment: nobody is enrolled under a key she lacks."""
    return case.order.kind == OrderKind.ENROL and not case.possession_holds


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
    """The new key is an Ed25519 key, the only type accepted yet, and not a row of zeros."""
    if case.order.kind != OrderKind.ENROL:
        return False
    key_type = case.order.options[1] & KEY_TYPE_MASK
    return key_type != KeyType.ED25519 or not any(case.order.reference)


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
}
"""What is no matter of the books: recovery, other orders in flight, and a full super-agent."""
assert {Outcome.ACCEPTED} | RULES.keys() | JUDGED_ELSEWHERE == set(Outcome), "every code is used"


def enrolment_options_hold(options: bytes) -> bool:
    """Whether the three option bytes of an enrolment describe an account that could be.

    They are the kind; key type, sign of y and custody; the tier. Only a P-256 key has a sign of y.
    """
    kind, key, tier = options
    key_type, sign = key & KEY_TYPE_MASK, key & _OPTION_SIGN
    return (
        kind in PARTIES
        and key <= KEY_TYPE_MASK | _OPTION_SIGN | _OPTION_CUSTODIAL
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
    statements: tuple[int, ...] = ()
    """The accounts on whose statements the order appears, its payer first."""


def effects(order: Order, books: Books) -> Effects:
    """Return what applying a final order changes; twin of `kernels.apply_orders`.

    A cancel burns its slot. An enrolment creates an account. A claim lets an alias name one. All
    other kinds move money.
    """
    readiness = _readiness(order, books)
    if readiness is not Applied.APPLIED:
        return Effects(readiness)
    # From here on nothing can fail.
    match order.kind:
        case OrderKind.CANCEL:
            return Effects(
                Applied.APPLIED,
                {order.payer: _after_slot(order, books)},
                statements=(order.payer,),
            )
        case OrderKind.ENROL:
            created = _created(order, books)
            return Effects(
                Applied.APPLIED,
                {order.payer: _after_slot(order, books)} | created,
                statements=(order.payer, *created),
            )
        case OrderKind.CLAIM:
            return Effects(
                Applied.APPLIED,
                aliases={order.reference: Alias(order.payee, order.sequence + 1)},
                statements=_once_each(order.payer, order.payee),
            )
        case _:
            return _payment(order, books)


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
    has_payee = order.kind not in {OrderKind.CANCEL, OrderKind.ENROL}
    if has_payee and not books.account(order.payee).exists:
        return Applied.WAITING
    if MOVEMENTS[OrderKind(order.kind)].moves_money and (
        order.amount_cents > MAX_AMOUNT_CENTS or order.tariff not in books.tariffs
    ):
        return Applied.WAITING
    return Applied.APPLIED


def _after_slot(order: Order, books: Books) -> Account:
    """The payer with this slot behind it."""
    return replace(books.account(order.payer), next_sequence=order.sequence + 1)


def _payment(order: Order, books: Books) -> Effects:
    """Debit the payer; credit the payee with the amount and the payer's region with the fee."""
    credited = [(order.payee, order.amount_cents)]
    if order.fee_cents:
        credited.append((revenue_account(order.payer), order.fee_cents))
    accounts = {order.payer: _debited(_after_slot(order, books), order)}
    for number, cents in credited:
        # Somebody may be both, as when a revenue account is paid: one change on top of the other.
        account = accounts.get(number, books.account(number))
        accounts[number] = replace(
            account,
            balance_cents=account.balance_cents + cents,
            credited_cents=account.credited_cents + cents,
        )
    touched = _once_each(order.payer, *(number for number, _ in credited))
    return Effects(Applied.APPLIED, accounts, statements=touched)


def _debited(payer: Account, order: Order) -> Account:
    """The payer without amount and fee; a customer's spending of the day goes on or begins anew."""
    debit = order.amount_cents + order.fee_cents
    spent = payer.spent_today_cents
    if payer.kind == AccountKind.CUSTOMER:
        before = spent if order.day <= payer.day else 0
        # No money: only what is left of a limit, which voters have held below this.
        spent = min(before + order.amount_cents, SPENT_TODAY_CENTS_MAX)
    return replace(
        payer,
        balance_cents=payer.balance_cents - debit,
        debited_cents=payer.debited_cents + debit,
        spent_today_cents=spent,
        day=max(payer.day, order.day),
    )


def _created(order: Order, books: Books) -> dict[int, Account]:
    """The account that an enrolment creates, by its number.

    None, and the slot is only burnt, where voters should have refused it: a place that is not the
    slot's or not free, or an account of no kind.
    """
    kind, key, tier = order.options
    own = order.sequence < REGION_ACCOUNTS and order.payee == account_number(
        region_of(order.payer), order.sequence
    )
    place = books.account(order.payee)
    if not own or place.exists or kind & KIND_MASK == AccountKind.NONE:
        return {}
    flags = (
        (kind & KIND_MASK)
        | (key & KEY_TYPE_MASK) << KEY_TYPE_SHIFT
        | (tier & TIER_MASK) << TIER_SHIFT
        | (P256_SIGN_BIT if key & _OPTION_SIGN else 0)
        | (CUSTODIAL_BIT if key & _OPTION_CUSTODIAL else 0)
    )
    return {order.payee: replace(place, key=order.reference, flags=flags)}


def _once_each(*numbers: int) -> tuple[int, ...]:
    """The numbers in this order, each once."""
    return tuple(dict.fromkeys(numbers))
