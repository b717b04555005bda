"""The rules of the house, to be read and to be run: holds, refunds, freezes, keys, tariffs, trust.

Such orders are rare, so no kernel repeats these rules: the ledger asks this file. `judge` and
`effects` answer for every kind of order; for ordinary payments they ask `harambee.ledger.rules`,
which says what both answers mean.

**Nobody can debit a customer but the customer.** A hold is signed by its payer, and what ends it
can give the payee no more than was held. Whatever a central operator would do with a master key is
an order of the kinds GOVERNED here: proposed by one super-agent, in a slot of what it is about, and
voted for only by super-agents two of whose own operators have approved it (`protocol.replica` asks
for that). It changes what voters accept from then on. What is final, or certified, stays so: to
apply an order never asks for a status, a limit or a tariff in force.

**No wall clock.** Where a rule speaks of time it compares days that stand in signed orders.

**A hold** is money of the payer's balance that is not free any more. It ends once, in a slot of its
own for which payer and payee may both sign: released, with what was captured going to the payee by
the tariff of the hold, or voided. The side with the first word may release or void at any time; the
other one may always give in, and act alone once the days that the payer chose are over.

**A new key** for a lost phone is asked for by the enrolling super-agent. From the day on which that
is final its owner has `Books.key_days` to refuse with the old key; then the new one signs for itself.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from harambee.ledger import rules
from harambee.ledger.kinds import ENDINGS, HOUSE, MOVEMENTS, OrderKind, Space
from harambee.ledger.outcomes import Applied, Outcome
from harambee.ledger.payees import TARIFF_BYTES_MAX
from harambee.ledger.records import (
    CUSTODIAL_BIT,
    FEE_MODE_MASK,
    KEY_SIGN,
    KEY_TYPE_MASK,
    KEY_TYPE_SHIFT,
    P256_SIGN_BIT,
    SEQUENCE_LAST,
    STATUS_MASK,
    STATUS_SHIFT,
    SUPPLY_CENTS_MAX,
    TIER_MASK,
    TIER_SHIFT,
    KeyType,
    Status,
    region_of,
)
from harambee.ledger.rules import Account, Books, Case, Effects, Order, Rule, once_each
from harambee.ledger.side_tables import (
    TARIFF_SUBJECT,
    Attestation,
    Change,
    Hold,
    KeyRequest,
    Reversal,
    Row,
    SlotKey,
    hold_of_subject,
    subject_of_account,
    subject_of_hold,
)
from harambee.money.tariff import FeeMode, Tariff, TariffError

HOLDABLE: Final = frozenset({OrderKind.SEND, OrderKind.BUY_GOODS, OrderKind.PAY_BILL})
"""What a hold may become."""
REFUNDABLE: Final = HOLDABLE | {
    OrderKind.HOLD,
    OrderKind.WITHDRAW,
    OrderKind.AIRTIME,
    OrderKind.PAY_OUT,
    OrderKind.BUSINESS_TRANSFER,
}
"""What can be asked back and given back: of a hold, what was released of it.

Of bulk pay-outs each payee would have his own. A deposit is not: to give it back would be to withdraw it
without the fee, and to earn the agent another commission each time round.
"""

HOLD_DAYS_MAX: Final = 30
AUTHORISATION_BIT: Final = 1 << 4
"""In the third option byte of a hold, above who bears the charge of a bill."""
TARIFF_DAYS: Final = 3
"""So long after a new tariff was proposed it may begin: by then every order of before has died of age."""
TARIFF_DAYS_MAX: Final = 366
"""And no later than this: the next one begins later still, so a slip here would bar all that follow."""
REQUESTS_MAX: Final = 2**16 - 1
"""The last governance slot of an account in which a new key can be asked for."""
TARIFFS_MAX: Final = 64
"""So many versions a network has at most, each an array for the kernels."""

_OPTION_CUSTODIAL: Final = 8
_KEY_FLAGS: Final = KEY_TYPE_MASK << KEY_TYPE_SHIFT | P256_SIGN_BIT | CUSTODIAL_BIT
_REVERSING: Final = frozenset(
    {OrderKind.REFUND, OrderKind.ASK_REVERSAL, OrderKind.REFUSE_REVERSAL, OrderKind.DISPUTE}
)


def subject_of(order: Order) -> bytes:
    """Return what the slot of an order belongs to, 32 bytes, by the space of its kind."""
    match MOVEMENTS[OrderKind(order.kind)].space:
        case Space.ACCOUNT:
            return subject_of_account(order.payer)
        case Space.ALIAS:
            return order.reference
        case Space.HOLD:
            return subject_of_hold(rules.named_slot(order))
        case Space.GOVERNANCE:
            is_tariff = order.kind == OrderKind.NEW_TARIFF
            return TARIFF_SUBJECT if is_tariff else subject_of_account(order.payee)


def following(space: Space, subject: bytes, books: Books) -> int:
    """Return the next slot of a hold, or of what is governed; SEQUENCE_LAST where a hold has ended."""
    if space is Space.GOVERNANCE:
        return books.side.governed.get(subject, 0)
    key = hold_of_subject(subject)
    hold = books.side.holds.get(key)
    if hold is not None:
        return hold.next_sequence
    payer, sequence = key
    return SEQUENCE_LAST if sequence < books.account(payer).next_sequence else 0


# -- may it become final? -------------------------------------------------------------------------


def judge(
    order: Order,
    books: Books,
    today: int,
    *,
    signature_holds: bool = True,
    possession_holds: bool = True,
) -> Outcome:
    """Return ACCEPTED, or the first rule that an order of any kind breaks (`rules.judge`)."""
    case = Case(order, books, today, signature_holds, possession_holds)
    if order.kind in HOUSE and options_are_invalid(case):
        return Outcome.OPTIONS_INVALID
    if order.kind in ENDINGS:
        return _first_broken(SETTLING_RULES, case)
    paid = rules.as_moved(order) if order.kind == OrderKind.HOLD else order
    outcome = rules.judge(
        paid, books, today, signature_holds=signature_holds, possession_holds=possession_holds
    )
    if outcome is not Outcome.ACCEPTED or order.kind not in HOUSE:
        return outcome
    return _first_broken(HOUSE_RULES.get(OrderKind(order.kind), ()), case)


Rules = tuple[tuple[Outcome, Rule], ...]


def _first_broken(asked: Rules, case: Case) -> Outcome:
    broken = (outcome for outcome, is_broken in asked if is_broken(case))
    return next(broken, Outcome.ACCEPTED)


def options_are_invalid(case: Case) -> bool:
    """Bytes of options and reference that the kind gives no meaning to are zero."""
    order = case.order
    first, second, third = order.options
    if MOVEMENTS[OrderKind(order.kind)].to_itself and order.payee != order.payer:
        return True
    match order.kind:
        case OrderKind.HOLD:
            mode = third & FEE_MODE_MASK
            return (
                first not in HOLDABLE
                or not 1 <= second <= HOLD_DAYS_MAX
                or third & ~(FEE_MODE_MASK | AUTHORISATION_BIT) != 0
                or mode not in set(FeeMode)
                or (mode != 0 and first != OrderKind.PAY_BILL)
            )
        case OrderKind.RELEASE | OrderKind.VOID:
            hold = rules.named_hold(order)
            return (
                any(order.options) or bool(hold["zero"].any()) or hold["movement"] not in HOLDABLE
            )
        case kind if kind in _REVERSING:
            return any(order.options) or any(order.reference[8:])
        case OrderKind.CHANGE_KEY | OrderKind.REQUEST_KEY:
            return first != 0 or third != 0 or not key_options_hold(second)
        case OrderKind.TAKE_KEY:
            return not key_options_hold(third)
        case OrderKind.REFUSE_KEY:
            return third != 0
        case OrderKind.SET_TIER:
            return first > TIER_MASK or second != 0 or third != 0
        case OrderKind.NEW_TARIFF:
            return third != 0
        case OrderKind.ADOPT_LIMIT:
            return any(order.options) or any(order.reference[4:])
    return any(order.options)


def key_options_hold(key: int) -> bool:
    """Whether an option byte describes a key that could be: its type, sign of y, custody."""
    sign = key & KEY_SIGN
    known = KEY_TYPE_MASK | KEY_SIGN | _OPTION_CUSTODIAL
    return key <= known and (not sign or key & KEY_TYPE_MASK != KeyType.ED25519)


def key_is_refused(case: Case) -> bool:
    """The new key is of a type that is known here, and not a row of zeros."""
    return _type_of_new_key(case) is None or not any(case.order.reference)


def key_is_not_a_point(case: Case) -> bool:
    """The new key is one that somebody can have; a key that has signed is, and is not looked at."""
    options = case.order.options[1]
    return not case.possession_holds and not rules.can_be_a_key(options, case.order.reference)


def possession_is_unproven(case: Case) -> bool:
    """The new key has signed too: nobody's account goes to a key that she lacks.

    Of a type that is not known here nothing can be proven; it is refused as such.
    """
    return not case.possession_holds and _type_of_new_key(case) is not None


def _type_of_new_key(case: Case) -> KeyType | None:
    order = case.order
    return rules.key_type_of(order.options[2 if order.kind == OrderKind.TAKE_KEY else 1])


# Holds.


def _hold(case: Case) -> Hold | None:
    return case.books.side.holds.get(rules.named_slot(case.order))


def hold_is_unknown(case: Case) -> bool:
    """The order that is final in the slot named is a hold, and it has not ended."""
    return _hold(case) is None


def hold_is_different(case: Case) -> bool:
    """What the order says of the hold is so: its payee, its cents, its day, its tariff."""
    hold, order = _hold(case), case.order
    return hold is None or not _is_as_named(order, hold)


def _is_as_named(order: Order, hold: Hold) -> bool:
    named = rules.named_hold(order)
    return (order.payee, order.tariff) == (hold.payee, hold.tariff) and (
        int(named["amount"]),
        int(named["fee"]),
        int(named["day"]),
        int(named["movement"]),
        int(named["fee_mode"]),
    ) == (hold.amount_cents, hold.fee_cents, hold.day, hold.movement, hold.fee_mode)


def hold_sequence_is_wrong(case: Case) -> bool:
    """It is the hold's next slot: the first, unless recovery closed one without an order."""
    hold = _hold(case)
    return hold is None or case.order.sequence != hold.next_sequence


def hold_is_not_yours(case: Case) -> bool:
    """Who ends a hold is one of its two sides."""
    hold = _hold(case)
    return hold is None or case.order.payer not in (rules.named_slot(case.order)[0], hold.payee)


def hold_is_too_early(case: Case) -> bool:
    """The payer may release and the payee void at any time; so may the side with the first word do both.

    The other one waits until its order's own day is so many days after the hold's.
    """
    hold, order = _hold(case), case.order
    if hold is None:
        return True
    is_payee = order.payer == hold.payee
    gives_in = is_payee == (order.kind == OrderKind.VOID)
    has_first_word = is_payee == hold.is_authorisation
    return not gives_in and not has_first_word and order.day < hold.day + hold.days


def captured_is_wrong(case: Case) -> bool:
    """A release captures something, and no more than was held; a void captures nothing."""
    hold, amount = _hold(case), case.order.amount_cents
    if case.order.kind == OrderKind.VOID:
        return amount != 0
    return hold is None or not 0 < amount <= hold.amount_cents


def captured_is_without_tariff(case: Case) -> bool:
    """The tariff of the hold has a price for what is captured."""
    return case.order.kind == OrderKind.RELEASE and _captured_fee_cents(case) is None


def captured_fee_is_wrong(case: Case) -> bool:
    """The fee is the payer's part for what is captured, and not above what was held for it."""
    if case.order.kind == OrderKind.VOID:
        return case.order.fee_cents != 0
    hold, fee = _hold(case), _captured_fee_cents(case)
    return hold is None or fee != case.order.fee_cents or fee > hold.fee_cents


def _captured_fee_cents(case: Case) -> int | None:
    order = case.order
    if order.tariff not in case.books.tariffs:
        return None
    charge = rules.charge_of(rules.as_moved(order), case.tariff, order.amount_cents)
    return None if charge is None else charge.payer_cents


def signer_is_not_active(case: Case) -> bool:
    """Who releases is neither frozen nor closed; a void only gives back."""
    return case.order.kind == OrderKind.RELEASE and not case.payer.is_active


def payee_is_not_active(case: Case) -> bool:
    """Nor is whoever is paid."""
    return case.order.kind == OrderKind.RELEASE and not case.payee.is_active


def payee_balance_is_above_limit(case: Case) -> bool:
    """As of any payment; voters see the balance as it is now."""
    return case.order.kind == OrderKind.RELEASE and rules.payee_balance_is_above_limit(case)


SETTLING_RULES: Final[Rules] = (
    (Outcome.PAYER_UNKNOWN, rules.payer_is_unknown),
    (Outcome.SIGNATURE_INVALID, rules.signature_is_invalid),
    (Outcome.HOLD_UNKNOWN, hold_is_unknown),
    (Outcome.HOLD_DIFFERENT, hold_is_different),
    (Outcome.SUBJECT_SEQUENCE_WRONG, hold_sequence_is_wrong),
    (Outcome.HOLD_NOT_YOURS, hold_is_not_yours),
    (Outcome.AMOUNT_ABOVE_LIMIT, captured_is_wrong),
    (Outcome.AMOUNT_WITHOUT_TARIFF, captured_is_without_tariff),
    (Outcome.FEE_WRONG, captured_fee_is_wrong),
    (Outcome.DAY_WRONG, rules.day_is_wrong),
    (Outcome.HOLD_TOO_EARLY, hold_is_too_early),
    (Outcome.PAYER_NOT_ACTIVE, signer_is_not_active),
    (Outcome.PAYEE_NOT_ACTIVE, payee_is_not_active),
    (Outcome.PAYEE_BALANCE_ABOVE_LIMIT, payee_balance_is_above_limit),
)
"""Of what ends a hold, in the order of checking; no rule of payments is asked beside them."""


# Refunds and reversals.


def _original(case: Case) -> Order | None:
    return case.books.originals(rules.named_slot(case.order))


def _reversal(case: Case) -> Reversal:
    return case.books.side.reversals.get(rules.named_slot(case.order), Reversal())


def _sides(order: Order) -> tuple[int, int]:
    """Payer and payee of the payment that an order is about: who paid asks, who received gives back."""
    asks = order.kind in {OrderKind.ASK_REVERSAL, OrderKind.DISPUTE}
    return (order.payer, order.payee) if asks else (order.payee, order.payer)


def original_is_of_another(case: Case) -> bool:
    """The slot named is of the side that paid; asked first, so that nobody makes voters search for more."""
    return rules.named_slot(case.order)[0] != _sides(case.order)[0]


def original_is_unknown(case: Case) -> bool:
    """The slot named holds a payment that can be given back; a hold is none unless it was released."""
    original = _original(case)
    return original is None or original.kind not in REFUNDABLE - {OrderKind.HOLD}


def original_is_different(case: Case) -> bool:
    """The two are payer and payee of it: who received it gives it back, and who paid it asks for it."""
    original = _original(case)
    return original is None or (original.payer, original.payee) != _sides(case.order)


def refund_is_above_original(case: Case) -> bool:
    """No more is given back, or asked for, than was paid: all refunds of it together."""
    original = _original(case)
    refunded = _reversal(case).refunded_cents
    return original is None or refunded + case.order.amount_cents > original.amount_cents


def reversal_state_is_wrong(case: Case) -> bool:
    """A reversal is asked for once, refused once, and disputed once; the last two of one that was asked."""
    state, order = _reversal(case), case.order
    match order.kind:
        case OrderKind.ASK_REVERSAL:
            return state.asked_cents != 0
        case OrderKind.REFUSE_REVERSAL:
            return state.asked_cents == 0 or state.is_refused
        case _:
            return state.asked_cents == 0 or state.is_disputed


def figure_is_zero(case: Case) -> bool:
    """The amount that it is about is more than nothing."""
    return case.order.amount_cents == 0


# Keys.


def _request(case: Case) -> KeyRequest | None:
    """The pending request that the order names, by its slot and its key."""
    request = case.books.side.key_requests.get(case.order.payer)
    if request is None or request.key != case.order.reference:
        return None
    return request if request.sequence == named_request(case.order) else None


def named_request(order: Order) -> int:
    """Return the governance slot in which a new key was asked for, as an order names it."""
    return int.from_bytes(order.options[:2], "little")


def key_request_is_unknown(case: Case) -> bool:
    """Exactly this key was asked for, and is not refused or taken."""
    request = _request(case)
    is_taken = case.order.kind == OrderKind.TAKE_KEY
    return request is None or (is_taken and request.options != case.order.options[2])


def key_request_is_too_young(case: Case) -> bool:
    """The owner had her days to refuse."""
    request = _request(case)
    return request is None or case.order.day < request.day + case.books.key_days


def key_cannot_be_named(case: Case) -> bool:
    """Orders that take or refuse the key can name the request; a newer one replaces an older."""
    return case.order.sequence > REQUESTS_MAX


# Governance.


def subject_sequence_is_wrong(case: Case) -> bool:
    """It is the subject's next slot: who proposes has seen where it is."""
    order = case.order
    at = following(Space.GOVERNANCE, subject_of(order), case.books)
    return order.sequence != at or at == SEQUENCE_LAST


def subject_is_of_another(case: Case) -> bool:
    """Whatever changes who an account is, only its own super-agent proposes: it knows its owner."""
    return region_of(case.order.payer) != region_of(case.order.payee)


def freeze_is_wrong(case: Case) -> bool:
    """An account is frozen that is active, or an amount that is within all sense."""
    cents = case.order.amount_cents
    if cents == 0:
        return not case.payee.is_active
    return case.payee.frozen_cents + cents > SUPPLY_CENTS_MAX


def unfreeze_is_wrong(case: Case) -> bool:
    """What is unfrozen is frozen; or closed, with money on it that came while it was being closed."""
    cents, account = case.order.amount_cents, case.payee
    if cents == 0:
        is_closed = status_of(account) == Status.CLOSED
        return account.is_active or (is_closed and account.balance_cents == 0)
    return cents > case.payee.frozen_cents


def close_is_wrong(case: Case) -> bool:
    """Nothing lies on an account that is closed, and nothing on its way from it."""
    account = case.payee
    return (
        status_of(account) == Status.CLOSED or account.balance_cents != 0 or account.held_cents != 0
    )


def tier_is_the_same(case: Case) -> bool:
    """The tier is another one."""
    return case.payee.tier == case.order.options[0]


def attestation_is_wrong(case: Case) -> bool:
    """What banks hold in trust, all together, is within what the ledger can hold."""
    return case.order.amount_cents > SUPPLY_CENTS_MAX


def limit_is_different(case: Case) -> bool:
    """The limit that a bank adopts is the newest attested one, and the bank owes no more."""
    order = case.order
    attested = case.books.side.attestations.get(order.payer)
    others = sum(cents for bank, cents in case.books.issuers.items() if bank != order.payer)
    return (
        attested is None
        or attested.cents != order.amount_cents
        or attested.sequence != int.from_bytes(order.reference[:4], "little")
        or case.payer.balance_cents < -order.amount_cents
        or others + order.amount_cents > SUPPLY_CENTS_MAX
    )


def tariff_document_is_invalid(case: Case) -> bool:
    """The document came along, reads as a tariff, and is a version that is new and the next."""
    tariff = tariff_in(case.order, case.books)
    known = case.books.tariffs
    return (
        tariff is None or tariff.version != max(known, default=0) + 1 or len(known) >= TARIFFS_MAX
    )


def tariff_is_too_soon(case: Case) -> bool:
    """It begins when all orders of before its proposal have died, after the version before it, in a year."""
    day, proposed = first_day_of(case.order), case.order.day
    begun = max(case.books.side.tariff_days.values(), default=0)
    return not proposed + TARIFF_DAYS <= day <= proposed + TARIFF_DAYS_MAX or day <= begun


def first_day_of(order: Order) -> int:
    """Return the first day of the tariff that an order brings."""
    return int.from_bytes(order.options[:2], "little")


def tariff_in(order: Order, books: Books) -> Tariff | None:
    """Return the tariff that an order brings; None where it did not come, or is none."""
    content = books.documents.get(order.reference)
    if content is None or len(content) > TARIFF_BYTES_MAX:
        return None
    try:
        tariff = Tariff.from_bytes(content)
    except TariffError:
        return None
    return tariff if tariff.version == order.tariff else None


_SUBJECT: Final = (Outcome.SUBJECT_SEQUENCE_WRONG, subject_sequence_is_wrong)
_OWN: Final = (Outcome.SUBJECT_OF_ANOTHER, subject_is_of_another)
_ORIGINAL: Final[Rules] = (
    (Outcome.ORIGINAL_DIFFERENT, original_is_of_another),
    (Outcome.ORIGINAL_UNKNOWN, original_is_unknown),
    (Outcome.ORIGINAL_DIFFERENT, original_is_different),
)
_REVERSAL: Final = (Outcome.REVERSAL_STATE_WRONG, reversal_state_is_wrong)
_NEW_KEY: Final[Rules] = (
    (Outcome.KEY_NOT_A_POINT, key_is_not_a_point),
    (Outcome.POSSESSION_UNPROVEN, possession_is_unproven),
    (Outcome.KEY_REFUSED, key_is_refused),
)
_REQUESTED: Final = (Outcome.KEY_REQUEST_UNKNOWN, key_request_is_unknown)

HOUSE_RULES: Final[Mapping[OrderKind, Rules]] = {
    OrderKind.REFUND: (*_ORIGINAL, (Outcome.REFUND_ABOVE_ORIGINAL, refund_is_above_original)),
    OrderKind.ASK_REVERSAL: (
        (Outcome.AMOUNT_ZERO, figure_is_zero),
        *_ORIGINAL,
        (Outcome.REFUND_ABOVE_ORIGINAL, refund_is_above_original),
        _REVERSAL,
    ),
    OrderKind.REFUSE_REVERSAL: (*_ORIGINAL, _REVERSAL),
    OrderKind.DISPUTE: (*_ORIGINAL, _REVERSAL),
    OrderKind.CHANGE_KEY: _NEW_KEY,
    OrderKind.REFUSE_KEY: (_REQUESTED,),
    OrderKind.TAKE_KEY: (
        (Outcome.KEY_REFUSED, key_is_refused),
        _REQUESTED,
        (Outcome.KEY_REQUEST_TOO_YOUNG, key_request_is_too_young),
    ),
    OrderKind.ADOPT_LIMIT: ((Outcome.ATTESTATION_DIFFERENT, limit_is_different),),
    OrderKind.FREEZE: (_SUBJECT, (Outcome.SUBJECT_STATE_WRONG, freeze_is_wrong)),
    OrderKind.UNFREEZE: (_SUBJECT, (Outcome.SUBJECT_STATE_WRONG, unfreeze_is_wrong)),
    OrderKind.CLOSE: (_SUBJECT, _OWN, (Outcome.SUBJECT_STATE_WRONG, close_is_wrong)),
    OrderKind.SET_TIER: (_SUBJECT, _OWN, (Outcome.SUBJECT_STATE_WRONG, tier_is_the_same)),
    OrderKind.ATTEST: (_SUBJECT, (Outcome.AMOUNT_ABOVE_LIMIT, attestation_is_wrong)),
    OrderKind.NEW_TARIFF: (
        _SUBJECT,
        (Outcome.TARIFF_DOCUMENT_INVALID, tariff_document_is_invalid),
        (Outcome.TARIFF_TOO_SOON, tariff_is_too_soon),
    ),
    OrderKind.REQUEST_KEY: (
        _SUBJECT,
        _OWN,
        *_NEW_KEY,
        (Outcome.SUBJECT_SEQUENCE_WRONG, key_cannot_be_named),
    ),
}
"""Beside the rules of all orders, in the order of checking."""


def status_of(account: Account) -> int:
    """Return the Status of an account."""
    return account.flags >> STATUS_SHIFT & STATUS_MASK


# -- what does it do? -----------------------------------------------------------------------------


def effects(order: Order, books: Books) -> Effects:
    """Return what applying a final order of any kind changes (`rules.effects`)."""
    if order.kind not in HOUSE:
        return rules.effects(order, books)
    payer = books.account(order.payer)
    if not payer.exists or order.sequence == SEQUENCE_LAST:
        return Effects(Applied.WAITING)
    movement = MOVEMENTS[OrderKind(order.kind)]
    if movement.space is Space.ACCOUNT:
        at = payer.next_sequence
    else:
        at = following(movement.space, subject_of(order), books)
    if order.sequence != at:
        return Effects(Applied.ALREADY if order.sequence < at else Applied.WAITING)
    if not books.account(order.payee).exists:
        return Effects(Applied.WAITING)
    done = _EFFECTS[OrderKind(order.kind)](order, books)
    return Effects(Applied.WAITING) if done is None else done


def _done(
    order: Order,
    books: Books,
    accounts: Mapping[int, Account] | None = None,
    *side: Change,
) -> Effects:
    """What an order changes, with its own slot behind it."""
    changed = dict(accounts or {})
    movement = MOVEMENTS[OrderKind(order.kind)]
    if movement.space is Space.ACCOUNT:
        payer = changed.get(order.payer, books.account(order.payer))
        changed[order.payer] = replace(payer, next_sequence=order.sequence + 1)
    elif movement.space is Space.GOVERNANCE:
        side = (*side, Change("governed", subject_of(order), order.sequence + 1))
    touched = once_each(order.payer, order.payee)
    return Effects(Applied.APPLIED, changed, side=side, statements=touched)


def _held(order: Order, books: Books) -> Effects | None:
    """A hold: its cents are not free any more, and count for the day."""
    movement, days, terms = order.options
    mode = terms & FEE_MODE_MASK
    is_sound = movement in HOLDABLE and mode in set(FeeMode)
    if order.amount_cents + order.fee_cents > SUPPLY_CENTS_MAX or not is_sound:
        return None
    payer = books.account(order.payer)
    hold = Hold(
        payee=order.payee,
        amount_cents=order.amount_cents,
        fee_cents=order.fee_cents,
        tariff=order.tariff,
        day=order.day,
        movement=movement,
        fee_mode=FeeMode(mode),
        days=days,
        is_authorisation=bool(terms & AUTHORISATION_BIT),
    )
    held = replace(
        payer,
        held_cents=payer.held_cents + hold.cents,
        spent_today_cents=rules.spent_cents(payer, order),
        day=max(payer.day, order.day),
    )
    key = order.payer, order.sequence
    return _done(order, books, {order.payer: held}, Change("holds", key, hold))


def _ended(order: Order, books: Books) -> Effects | None:
    """A release or a void: the hold is gone, once; what is captured leaves the balance it was held of.

    What is not spent of the day's limit can be spent again, on the same day.
    """
    key = rules.named_slot(order)
    hold = books.side.holds.get(key)
    if hold is None or not _is_as_named(order, hold):
        return None
    payer = books.account(key[0])
    spared = hold.amount_cents - order.amount_cents
    if spared < 0 or order.fee_cents > hold.fee_cents:
        return None
    if payer.is_limited and payer.day == hold.day:
        spent = max(0, payer.spent_today_cents - spared)
        payer = replace(payer, spent_today_cents=spent)
    accounts = {key[0]: replace(payer, held_cents=payer.held_cents - hold.cents)}
    statements = once_each(key[0], order.payee)
    if order.kind == OrderKind.RELEASE:
        tariff = books.tariffs.get(order.tariff)
        credited = None if tariff is None else rules.credits_of(order, tariff)
        if credited is None or not all(books.account(n).exists for n in credited.waits):
            return None
        debit = order.amount_cents + order.fee_cents
        payer = accounts[key[0]]
        accounts[key[0]] = replace(
            payer,
            balance_cents=payer.balance_cents - debit,
            debited_cents=payer.debited_cents + debit,
        )
        rules.credit(accounts, books, credited)
        statements = once_each(key[0], *(number for number, _ in credited.all))
    return Effects(
        Applied.APPLIED, accounts, side=(Change("holds", key, None),), statements=statements
    )


def _refunded(order: Order, books: Books) -> Effects | None:
    """A refund is a payment; what came back of the original is counted."""
    state = books.side.reversals.get(rules.named_slot(order), Reversal())
    paid = rules.paid(order, books)
    if paid is None:
        return None
    refunded = min(state.refunded_cents + order.amount_cents, SUPPLY_CENTS_MAX)
    state = state._replace(refunded_cents=refunded)
    change = Change("reversals", rules.named_slot(order), state)
    return replace(paid, side=(change,))


def _reversal_changed(order: Order, books: Books) -> Effects | None:
    """It was asked for, refused or disputed. What speaks of one that was not asked for, waits for that."""
    state = books.side.reversals.get(rules.named_slot(order), Reversal())
    match order.kind:
        case OrderKind.ASK_REVERSAL:
            if order.amount_cents > SUPPLY_CENTS_MAX:
                return None
            state = state._replace(asked_cents=order.amount_cents)
        case _ if not state.asked_cents:
            return None
        case OrderKind.REFUSE_REVERSAL:
            state = state._replace(is_refused=True)
        case _:
            state = state._replace(is_disputed=True)
    return _done(order, books, {}, Change("reversals", rules.named_slot(order), state))


def _with_key(account: Account, key: bytes, options: int) -> Account:
    """An account whose owner signs with another key from now on."""
    flags = (
        account.flags & ~_KEY_FLAGS
        | (options & KEY_TYPE_MASK) << KEY_TYPE_SHIFT
        | (P256_SIGN_BIT if options & KEY_SIGN else 0)
        | (CUSTODIAL_BIT if options & _OPTION_CUSTODIAL else 0)
    )
    return replace(account, key=key, flags=flags)


def _key_changed(order: Order, books: Books) -> Effects | None:
    changed = _with_key(books.account(order.payer), order.reference, order.options[1])
    return _done(order, books, {order.payer: changed})


def _key_taken(order: Order, books: Books) -> Effects | None:
    """The new key is the account's; the request was final first, or this waits for it."""
    if not _was_requested(order, books):
        return None
    changed = _with_key(books.account(order.payer), order.reference, order.options[2])
    return _done(order, books, {order.payer: changed}, *_request_gone(order, books))


def _key_refused(order: Order, books: Books) -> Effects | None:
    """The request is gone, if it is still this one."""
    if not _was_requested(order, books):
        return None
    return _done(order, books, {}, *_request_gone(order, books))


def _was_requested(order: Order, books: Books) -> bool:
    at = following(Space.GOVERNANCE, subject_of_account(order.payer), books)
    return at > named_request(order)


def _request_gone(order: Order, books: Books) -> tuple[Change, ...]:
    request = books.side.key_requests.get(order.payer)
    if request is None or request.sequence != named_request(order):
        return ()
    return (Change("key_requests", order.payer, None),)


def _limit_adopted(order: Order, books: Books) -> Effects | None:
    if order.amount_cents > SUPPLY_CENTS_MAX:
        return None
    return replace(_done(order, books), issuers={order.payer: order.amount_cents})


def _with_status(account: Account, status: Status) -> Account:
    flags = account.flags & ~(STATUS_MASK << STATUS_SHIFT) | int(status) << STATUS_SHIFT
    return replace(account, flags=flags)


def _frozen(order: Order, books: Books) -> Effects | None:
    account, cents = books.account(order.payee), order.amount_cents
    if cents > SUPPLY_CENTS_MAX - min(account.frozen_cents, SUPPLY_CENTS_MAX):
        return None
    if cents:
        frozen = replace(account, frozen_cents=account.frozen_cents + cents)
    else:
        frozen = _with_status(account, Status.FROZEN)
    return _done(order, books, {order.payee: frozen})


def _unfrozen(order: Order, books: Books) -> Effects | None:
    account, cents = books.account(order.payee), order.amount_cents
    if cents > account.frozen_cents:
        return None
    if cents:
        unfrozen = replace(account, frozen_cents=account.frozen_cents - cents)
    else:
        unfrozen = _with_status(account, Status.ACTIVE)
    return _done(order, books, {order.payee: unfrozen})


def _closed(order: Order, books: Books) -> Effects | None:
    closed = _with_status(books.account(order.payee), Status.CLOSED)
    return _done(order, books, {order.payee: closed})


def _tier_set(order: Order, books: Books) -> Effects | None:
    account = books.account(order.payee)
    tier = order.options[0] & TIER_MASK
    flags = account.flags & ~(TIER_MASK << TIER_SHIFT) | tier << TIER_SHIFT
    return _done(order, books, {order.payee: replace(account, flags=flags)})


def _attested(order: Order, books: Books) -> Effects | None:
    if order.amount_cents > SUPPLY_CENTS_MAX:
        return None
    row = Attestation(order.sequence, order.amount_cents, order.day)
    return _done(order, books, {}, Change("attestations", order.payee, row))


def _tariff_brought(order: Order, books: Books) -> Effects | None:
    """A tariff begins; one that is no tariff changes nothing but the slot: no voter accepts it.

    It waits for its document: whoever has that would have other books.
    """
    if order.reference not in books.documents:
        return None
    tariff = tariff_in(order, books)
    if tariff is None or tariff.version in books.tariffs:
        return _done(order, books)
    begins = Change("tariff_days", tariff.version, first_day_of(order))
    return replace(_done(order, books, {}, begins), tariff=tariff)


def _key_requested(order: Order, books: Books) -> Effects | None:
    row = KeyRequest(order.sequence, order.reference, order.options[1], order.day)
    return _done(order, books, {}, Change("key_requests", order.payee, row))


_EFFECTS: Final[Mapping[OrderKind, Callable[[Order, Books], Effects | None]]] = {
    OrderKind.HOLD: _held,
    OrderKind.RELEASE: _ended,
    OrderKind.VOID: _ended,
    OrderKind.REFUND: _refunded,
    OrderKind.ASK_REVERSAL: _reversal_changed,
    OrderKind.REFUSE_REVERSAL: _reversal_changed,
    OrderKind.DISPUTE: _reversal_changed,
    OrderKind.CHANGE_KEY: _key_changed,
    OrderKind.REFUSE_KEY: _key_refused,
    OrderKind.TAKE_KEY: _key_taken,
    OrderKind.ADOPT_LIMIT: _limit_adopted,
    OrderKind.FREEZE: _frozen,
    OrderKind.UNFREEZE: _unfrozen,
    OrderKind.CLOSE: _closed,
    OrderKind.SET_TIER: _tier_set,
    OrderKind.ATTEST: _attested,
    OrderKind.NEW_TARIFF: _tariff_brought,
    OrderKind.REQUEST_KEY: _key_requested,
}
assert _EFFECTS.keys() == HOUSE, "every kind of the house does something"


def skip(space: Space, subject: bytes, sequence: int, books: Books) -> tuple[Change, ...] | None:
    """Return what closing a slot of a hold or of what is governed without an order changes.

    None where another slot is the next one, or the hold has ended or is not yet.
    """
    if following(space, subject, books) != sequence:
        return None
    if space is Space.GOVERNANCE:
        return (Change("governed", subject, sequence + 1),)
    key = hold_of_subject(subject)
    hold: Row | None = books.side.holds.get(key)
    if not isinstance(hold, Hold):
        return None
    return (Change("holds", key, hold._replace(next_sequence=sequence + 1)),)


def has_a_say(order: Order, books: Books) -> bool:
    """Whether the signer of an order is one of those whose slot it is in.

    That is so in the payer's own slots, but where the key signs that is to come. A hold's are those of its
    two sides, an alias's those of its owner. Who is none of them makes no second order that anybody fights
    over: otherwise a stranger's signature and one lying super-agent could open anybody's slot.
    """
    case = Case(order, books, order.day, signature_holds=True, possession_holds=True)
    match order.kind:
        case OrderKind.RELEASE | OrderKind.VOID:
            return not hold_is_not_yours(case)
        case OrderKind.TAKE_KEY:
            return not key_request_is_unknown(case)
        case OrderKind.CLAIM:
            return not rules.alias_is_not_owned(case)
    return True


def is_reversal_of(order: Order) -> SlotKey | None:
    """Return the slot of the payment that a refund, or a word about one, is about."""
    return rules.named_slot(order) if order.kind in _REVERSING else None
