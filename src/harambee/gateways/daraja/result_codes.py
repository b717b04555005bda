"""How M-PESA calls what became of a transaction: a number, rarely a word, and a sentence.

Daraja's clients branch on the code; most of M-PESA's rules have one of ours beside them. What has none is 17,
an internal failure, which tells a client that it makes no sense to ask the customer for anything.
"""

from typing import Final, NamedTuple

from harambee.gateways.daraja.errors import LOCKED
from harambee.ledger.outcomes import Outcome
from harambee.merchants.port import DECLINED_BY_CUSTOMER, Reason, RequestState, RequestView, Result


class Ending(NamedTuple):
    """What became of a transaction, in M-PESA's words."""

    code: int | str
    sentence: str


DONE: Final = Ending(0, "The service request is processed successfully.")
CANCELLED: Final = Ending(1032, "Request cancelled by user")
UNREACHED: Final = Ending(1037, "DS timeout user cannot be reached")
FAILED: Final = Ending(17, "System internal error.")
_BALANCE: Final = Ending(1, "The balance is insufficient for the transaction.")
_TOO_LITTLE: Final = Ending(
    2, "Declined due to limit rule: less than the minimum transaction amount."
)
_TOO_MUCH: Final = Ending(
    3, "Declined due to limit rule: greater than the maximum transaction amount."
)
_DAILY: Final = Ending(4, "Declined due to limit rule: would exceed daily transfer limit.")
_FULL: Final = Ending(8, "Declined due to limit rule: would exceed the maximum balance.")
_DEBIT_PARTY: Final = Ending(11, "The DebitParty is in an invalid state.")
_CREDIT_PARTY: Final = Ending(12, "The CreditParty is in an invalid state.")
_DUPLICATE: Final = Ending(15, "Duplicate Detected.")
_NOT_ALLOWED: Final = Ending(21, "The initiator is not allowed to initiate this request.")
_TRAFFIC: Final = Ending(26, "System busy. The service request is rejected.")
_IN_PROCESS: Final = Ending(1001, f"{LOCKED}.")
_INITIATOR: Final = Ending(2001, "The initiator information is invalid.")
_UNREGISTERED: Final = Ending(
    2040,
    "Credit Party customer type (Unregistered or Registered Customer) can't be supported by "
    "the service.",
)
_REVERSED: Final = Ending("R000001", "The transaction has already been reversed.")
_NO_ORIGINAL: Final = Ending("R000002", "The OriginalTransactionID is invalid.")

OF_OUTCOME: Final[dict[Outcome, Ending]] = {
    Outcome.ACCEPTED: DONE,
    Outcome.KIND_UNKNOWN: FAILED,
    Outcome.OPTIONS_INVALID: FAILED,
    Outcome.PAYER_UNKNOWN: _UNREGISTERED,
    Outcome.SIGNATURE_INVALID: _INITIATOR,
    Outcome.SEQUENCE_STALE: _IN_PROCESS,
    Outcome.SEQUENCE_AHEAD: _IN_PROCESS,
    Outcome.PAYER_IS_PAYEE: _CREDIT_PARTY,
    Outcome.PAYEE_UNKNOWN: _UNREGISTERED,
    Outcome.PAYER_KIND_WRONG: _NOT_ALLOWED,
    Outcome.PAYEE_KIND_WRONG: _UNREGISTERED,
    Outcome.AMOUNT_ZERO: _TOO_LITTLE,
    Outcome.AMOUNT_NOT_ZERO: FAILED,
    Outcome.AMOUNT_ABOVE_LIMIT: _TOO_MUCH,
    Outcome.TARIFF_UNKNOWN: FAILED,
    Outcome.AMOUNT_WITHOUT_TARIFF: _TOO_LITTLE,
    Outcome.FEE_WRONG: FAILED,
    Outcome.DAY_WRONG: FAILED,
    Outcome.DAY_BEFORE_LAST: FAILED,
    Outcome.PAYER_NOT_ACTIVE: _DEBIT_PARTY,
    Outcome.PAYEE_NOT_ACTIVE: _CREDIT_PARTY,
    Outcome.DAILY_LIMIT_EXCEEDED: _DAILY,
    Outcome.PAYEE_BALANCE_ABOVE_LIMIT: _FULL,
    Outcome.BALANCE_INSUFFICIENT: _BALANCE,
    Outcome.SLOT_FENCED: _IN_PROCESS,
    Outcome.SLOT_TAKEN: _IN_PROCESS,
    Outcome.POSSESSION_UNPROVEN: FAILED,
    Outcome.POSITION_TAKEN: FAILED,
    Outcome.KEY_REFUSED: FAILED,
    Outcome.ALIAS_SEQUENCE_WRONG: FAILED,
    Outcome.ALIAS_NOT_OWNED: FAILED,
    Outcome.BROKER_BUSY: _TRAFFIC,
    Outcome.SLOT_SKIPPED: _IN_PROCESS,
    Outcome.REFERENCE_MISSING: FAILED,
    Outcome.PAYEE_TABLE_MISSING: FAILED,
    Outcome.PAYEE_TABLE_INVALID: FAILED,
    Outcome.FEE_MODE_WRONG: FAILED,
    Outcome.HEAD_OFFICE_WRONG: FAILED,
    Outcome.TARIFF_NOT_IN_FORCE: FAILED,
    Outcome.HOLD_UNKNOWN: FAILED,
    Outcome.HOLD_DIFFERENT: FAILED,
    Outcome.HOLD_NOT_YOURS: FAILED,
    Outcome.HOLD_TOO_EARLY: FAILED,
    Outcome.SUBJECT_SEQUENCE_WRONG: FAILED,
    Outcome.ORIGINAL_UNKNOWN: _NO_ORIGINAL,
    Outcome.ORIGINAL_DIFFERENT: _NO_ORIGINAL,
    Outcome.REFUND_ABOVE_ORIGINAL: _REVERSED,
    Outcome.REVERSAL_STATE_WRONG: _REVERSED,
    Outcome.NOT_APPROVED: FAILED,
    Outcome.SUBJECT_STATE_WRONG: FAILED,
    Outcome.SUBJECT_OF_ANOTHER: FAILED,
    Outcome.TARIFF_DOCUMENT_INVALID: FAILED,
    Outcome.TARIFF_TOO_SOON: FAILED,
    Outcome.KEY_REQUEST_UNKNOWN: FAILED,
    Outcome.KEY_REQUEST_TOO_YOUNG: FAILED,
    Outcome.ATTESTATION_DIFFERENT: FAILED,
    Outcome.KEY_NOT_A_POINT: FAILED,
}
assert OF_OUTCOME.keys() == set(Outcome), "every outcome has its code"

OF_REASON: Final[dict[Reason, Ending]] = {
    Reason.MERCHANT_UNKNOWN: _NOT_ALLOWED,
    Reason.PAYER_UNKNOWN: _UNREGISTERED,
    Reason.PAYEE_UNKNOWN: _UNREGISTERED,
    Reason.AMOUNT_INVALID: _TOO_LITTLE,
    Reason.NAME_TAKEN: _DUPLICATE,
    Reason.PAYER_BUSY: _IN_PROCESS,
    Reason.CREDENTIAL_WRONG: _INITIATOR,
    Reason.INITIATOR_UNKNOWN: _INITIATOR,
    Reason.NOT_FOUND: _NO_ORIGINAL,
    Reason.SIGNATURE_INVALID: _INITIATOR,
    Reason.TOO_LATE: _REVERSED,
    Reason.BUSY: _TRAFFIC,
    Reason.QUOTA: _TRAFFIC,
    Reason.UNAVAILABLE: _TRAFFIC,
    Reason.INVALID: FAILED,
}
assert OF_REASON.keys() == set(Reason), "every reason has its code"


def ending_of(view: RequestView) -> Ending:
    """Return how a request ended that waits no longer."""
    assert view.state is not RequestState.WAITING
    if view.state in (RequestState.PAID, RequestState.AGREED):
        return DONE
    if view.state is RequestState.EXPIRED:
        return UNREACHED
    if view.reason == DECLINED_BY_CUSTOMER:
        return CANCELLED
    # The reason is what her handset says: a code of a later version, or none at all, ends it too.
    return OF_OUTCOME[Outcome(view.reason)] if view.reason in OF_OUTCOME else FAILED


def result_of(result: Result) -> Ending:
    """Return how an instruction ended; where M-PESA has no word for it, in our own sentence."""
    if result.outcome is not None:
        ending = OF_OUTCOME[result.outcome]
    else:
        ending = FAILED if result.reason is None else OF_REASON[result.reason]
    if ending is FAILED and result.sentence:
        return Ending(FAILED.code, result.sentence)
    return ending
