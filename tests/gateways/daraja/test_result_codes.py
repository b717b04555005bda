"""M-PESA's result codes beside our own outcomes and reasons."""

import pytest

from harambee.gateways.daraja.errors import refusal
from harambee.gateways.daraja.result_codes import DONE, OF_OUTCOME, OF_REASON
from harambee.ledger.outcomes import Outcome
from harambee.merchants.port import MerchantsError, Reason


def test_every_outcome_and_every_reason_has_a_code():
    assert set(OF_OUTCOME) == set(Outcome)
    assert set(OF_REASON) == set(Reason)


def test_only_what_was_accepted_has_code_0():
    done = [outcome for outcome, ending in OF_OUTCOME.items() if ending.code in (0, "0")]
    assert done == [Outcome.ACCEPTED]
    assert OF_OUTCOME[Outcome.ACCEPTED] is DONE
    assert not [reason for reason, ending in OF_REASON.items() if ending.code in (0, "0")]


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (Outcome.BALANCE_INSUFFICIENT, 1),
        (Outcome.AMOUNT_WITHOUT_TARIFF, 2),
        (Outcome.AMOUNT_ABOVE_LIMIT, 3),
        (Outcome.DAILY_LIMIT_EXCEEDED, 4),
        (Outcome.PAYEE_BALANCE_ABOVE_LIMIT, 8),
        (Outcome.PAYER_NOT_ACTIVE, 11),
        (Outcome.PAYEE_NOT_ACTIVE, 12),
        (Outcome.SLOT_TAKEN, 1001),
        (Outcome.SIGNATURE_INVALID, 2001),
        (Outcome.PAYEE_UNKNOWN, 2040),
        (Outcome.ORIGINAL_UNKNOWN, "R000002"),
        (Outcome.REVERSAL_STATE_WRONG, "R000001"),
        (Outcome.KEY_NOT_A_POINT, 17),
    ],
)
def test_the_rules_that_m_pesa_has_too_have_its_codes(outcome, code):
    assert OF_OUTCOME[outcome].code == code


@pytest.mark.parametrize("reason", Reason)
def test_every_refusal_of_the_port_is_an_error_of_darajas(reason):
    error = refusal(MerchantsError(reason, "A sentence."))
    assert error.code.startswith(f"{error.status}.")
    assert error.message
