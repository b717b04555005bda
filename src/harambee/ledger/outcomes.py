"""What can become of an order: one dense enum, in the order in which the rules are checked.

Codes are written into journals and signed into refusals. A code is never reused and never changes
its meaning; new rules take new codes at the end, and their place in `rules.py` says where they are
checked.
"""

from enum import IntEnum, unique
from typing import Final


@unique
class Outcome(IntEnum):
    """`ACCEPTED`, or the first rule that the order breaks."""

    ACCEPTED = 0
    KIND_UNKNOWN = 1
    OPTIONS_INVALID = 2
    PAYER_UNKNOWN = 3
    SIGNATURE_INVALID = 4
    SEQUENCE_STALE = 5
    SEQUENCE_AHEAD = 6
    PAYER_IS_PAYEE = 7
    PAYEE_UNKNOWN = 8
    PAYER_KIND_WRONG = 9
    PAYEE_KIND_WRONG = 10
    AMOUNT_ZERO = 11
    AMOUNT_NOT_ZERO = 12
    AMOUNT_ABOVE_LIMIT = 13
    TARIFF_UNKNOWN = 14
    AMOUNT_WITHOUT_TARIFF = 15
    FEE_WRONG = 16
    DAY_WRONG = 17
    DAY_BEFORE_LAST = 18
    PAYER_NOT_ACTIVE = 19
    PAYEE_NOT_ACTIVE = 20
    DAILY_LIMIT_EXCEEDED = 21
    PAYEE_BALANCE_ABOVE_LIMIT = 22
    BALANCE_INSUFFICIENT = 23
    SLOT_FENCED = 24
    SLOT_TAKEN = 25
    POSSESSION_UNPROVEN = 26
    POSITION_TAKEN = 27
    KEY_REFUSED = 28
    ALIAS_SEQUENCE_WRONG = 29
    ALIAS_NOT_OWNED = 30
    BROKER_BUSY = 31
    SLOT_SKIPPED = 32
    REFERENCE_MISSING = 33
    PAYEE_TABLE_MISSING = 34
    PAYEE_TABLE_INVALID = 35
    FEE_MODE_WRONG = 36
    HEAD_OFFICE_WRONG = 37
    TARIFF_NOT_IN_FORCE = 38
    HOLD_UNKNOWN = 39
    HOLD_DIFFERENT = 40
    HOLD_NOT_YOURS = 41
    HOLD_TOO_EARLY = 42
    SUBJECT_SEQUENCE_WRONG = 43
    ORIGINAL_UNKNOWN = 44
    ORIGINAL_DIFFERENT = 45
    REFUND_ABOVE_ORIGINAL = 46
    REVERSAL_STATE_WRONG = 47
    NOT_APPROVED = 48
    SUBJECT_STATE_WRONG = 49
    SUBJECT_OF_ANOTHER = 50
    TARIFF_DOCUMENT_INVALID = 51
    TARIFF_TOO_SOON = 52
    KEY_REQUEST_UNKNOWN = 53
    KEY_REQUEST_TOO_YOUNG = 54
    ATTESTATION_DIFFERENT = 55
    KEY_NOT_A_POINT = 56


assert [outcome.value for outcome in Outcome] == list(range(len(Outcome))), "codes are dense"

SENTENCES: Final[dict[Outcome, str]] = {
    Outcome.ACCEPTED: "The order keeps every rule.",
    Outcome.KIND_UNKNOWN: "This kind of order is not known here.",
    Outcome.OPTIONS_INVALID: "The order sets options or bytes that its kind does not have.",
    Outcome.PAYER_UNKNOWN: "The paying account does not exist.",
    Outcome.SIGNATURE_INVALID: (
        "The signature does not hold: another key, another network, or altered bytes."
    ),
    Outcome.SEQUENCE_STALE: "This sequence is already used; ask for the account's next one.",
    Outcome.SEQUENCE_AHEAD: "This sequence skips one that is still open.",
    Outcome.PAYER_IS_PAYEE: "Payer and payee are the same account.",
    Outcome.PAYEE_UNKNOWN: "The receiving account does not exist.",
    Outcome.PAYER_KIND_WRONG: "An account of the payer's kind cannot make this movement.",
    Outcome.PAYEE_KIND_WRONG: "An account of the payee's kind cannot receive this movement.",
    Outcome.AMOUNT_ZERO: "The amount is zero.",
    Outcome.AMOUNT_NOT_ZERO: "This kind of order moves no money: its amount and fee must be zero.",
    Outcome.AMOUNT_ABOVE_LIMIT: "The amount is above the limit for one transaction.",
    Outcome.TARIFF_UNKNOWN: "The tariff version named is not in force.",
    Outcome.AMOUNT_WITHOUT_TARIFF: (
        "The tariff has no price for this amount: it is too small or too large."
    ),
    Outcome.FEE_WRONG: "The fee is not the tariff's fee for this amount.",
    Outcome.DAY_WRONG: "The order's day is more than one day away from today; sign it again.",
    Outcome.DAY_BEFORE_LAST: "The order's day lies before the account's last payment.",
    Outcome.PAYER_NOT_ACTIVE: "The paying account is frozen or closed.",
    Outcome.PAYEE_NOT_ACTIVE: "The receiving account is frozen or closed.",
    Outcome.DAILY_LIMIT_EXCEEDED: "The payer's limit for one day would be exceeded.",
    Outcome.PAYEE_BALANCE_ABOVE_LIMIT: "The receiver's balance would exceed its limit.",
    Outcome.BALANCE_INSUFFICIENT: "The balance does not cover the amount and the fee.",
    Outcome.SLOT_FENCED: "This slot is in recovery; its outcome comes from there.",
    Outcome.SLOT_TAKEN: "Another order of the payer is already in flight in this slot.",
    Outcome.POSSESSION_UNPROVEN: "The new account's key has not signed its own enrolment.",
    Outcome.POSITION_TAKEN: "The region has no free account here.",
    Outcome.KEY_REFUSED: "The new key is not one that the network accepts.",
    Outcome.ALIAS_SEQUENCE_WRONG: "The alias has moved since; look it up again.",
    Outcome.ALIAS_NOT_OWNED: "Only the owner of an alias can move it.",
    Outcome.BROKER_BUSY: "This super-agent is full for the moment; another will take the order.",
    Outcome.SLOT_SKIPPED: "The network closed this slot without a payment; sign with the next sequence.",
    Outcome.REFERENCE_MISSING: "The order does not say what it is for: its reference is empty.",
    Outcome.PAYEE_TABLE_MISSING: "The table of payees that the order names did not come with it.",
    Outcome.PAYEE_TABLE_INVALID: (
        "The table of payees is not 1 to 10,000 payees, ascending and each once, that add up to"
        " the amount."
    ),
    Outcome.FEE_MODE_WRONG: "The business has another agreement on who pays the fee.",
    Outcome.HEAD_OFFICE_WRONG: "The agent's head office is another one; look it up again.",
    Outcome.TARIFF_NOT_IN_FORCE: "The tariff version named is not in force on the order's day.",
    Outcome.HOLD_UNKNOWN: "There is no such hold: it was released or voided, or never was.",
    Outcome.HOLD_DIFFERENT: "The hold is another one than the order says.",
    Outcome.HOLD_NOT_YOURS: "Only the payer and the payee of a hold can end it.",
    Outcome.HOLD_TOO_EARLY: "Until the day named in the hold, this is for the other side to do.",
    Outcome.SUBJECT_SEQUENCE_WRONG: "What the order is about has moved on; look at it again.",
    Outcome.ORIGINAL_UNKNOWN: "The payment that the order names is not known here.",
    Outcome.ORIGINAL_DIFFERENT: "The payment that the order names was between others.",
    Outcome.REFUND_ABOVE_ORIGINAL: "More would be given back than was paid.",
    Outcome.REVERSAL_STATE_WRONG: (
        "A reversal is asked for once, refused once, and disputed once it was asked for."
    ),
    Outcome.NOT_APPROVED: "Two operators of this super-agent have not approved it.",
    Outcome.SUBJECT_STATE_WRONG: (
        "The account is not as it must be: a freeze needs one that is not frozen so, a close an empty one."
    ),
    Outcome.SUBJECT_OF_ANOTHER: "Only the super-agent that enrolled the account can ask for this.",
    Outcome.TARIFF_DOCUMENT_INVALID: (
        "The tariff that the order names did not come with it, or is not a new version of one."
    ),
    Outcome.TARIFF_TOO_SOON: (
        "A new tariff begins three days to a year after it is proposed, and after the one before it."
    ),
    Outcome.KEY_REQUEST_UNKNOWN: "No such new key was asked for, or it was refused.",
    Outcome.KEY_REQUEST_TOO_YOUNG: "The new key may not take over yet: its owner has days to refuse.",
    Outcome.ATTESTATION_DIFFERENT: (
        "The limit is not the newest that was attested, or the bank owes more."
    ),
    Outcome.KEY_NOT_A_POINT: "The new key is no point of its curve: no phone can have made it.",
}
assert SENTENCES.keys() == set(Outcome), "every outcome has its sentence"


@unique
class Applied(IntEnum):
    """What became of a final order when it was applied."""

    APPLIED = 0
    ALREADY = 1
    """The slot is past: this order, or another one, was applied in it."""
    WAITING = 2
    """It needs something that is not here yet: the slot before it, its payee, its tariff."""
