"""The text with which a payment ends at the terminal."""

import re

import pytest

from harambee.cli.payment_text import payee_shown, payment_text
from harambee.handset.handset import Payment, PaymentStatus
from harambee.handset.orders import OrderBody
from harambee.ledger.kinds import OrderKind
from harambee.ledger.outcomes import Outcome
from harambee.texts.languages import Language
from harambee.texts.parties import Party


def payment(status, kind=OrderKind.SEND, outcome=Outcome.ACCEPTED):
    return Payment(
        status=status,
        sentence="",
        payer=16,
        payee=17,
        amount_cents=5_000,
        fee_cents=700,
        sequence=0,
        kind=kind,
        order=OrderBody(16, 17, 5_000, 700, 0, kind, 2, 20_781).to_bytes() + bytes(64),
        order_id=b"",
        receipt_code="UC1AAAAAAA",
        outcome=outcome,
    )


WHEN = r"\d+/\d+/\d\d (at|saa) \d+:\d\d [AP]M"
FINAL, REFUSED = PaymentStatus.FINAL, PaymentStatus.REFUSED

TEXTS = [
    (
        payment(FINAL),
        {},
        r"UC1AAAAAAA Confirmed\. Ksh50\.00 sent to BEN on WHEN\. Transaction cost, Ksh7\.00\.",
    ),
    (
        payment(FINAL, OrderKind.PAY_BILL),
        {"reference": "12345", "balance_cents": 100},
        (
            r"UC1AAAAAAA Confirmed\. Ksh50\.00 sent to BEN for account 12345 on WHEN\. "
            r"New Harambee balance is Ksh1\.00\. Transaction cost, Ksh7\.00\."
        ),
    ),
    (
        payment(FINAL, OrderKind.WITHDRAW),
        {"language": Language.SWAHILI},
        (
            r"UC1AAAAAAA Imethibitishwa\. tarehe WHEN Toa Ksh50\.00 kutoka kwa BEN\. "
            r"Gharama ya muamala, Ksh7\.00\."
        ),
    ),
    (
        payment(REFUSED, outcome=Outcome.DAILY_LIMIT_EXCEEDED),
        {},
        (
            r"UC1AAAAAAA Failed\. Ksh50\.00 was not sent to BEN on WHEN\. "
            r"You would exceed your limit for the day\. No money has left your account\."
        ),
    ),
    (
        payment(PaymentStatus.CANCELLED),
        {},
        (
            r"UC1AAAAAAA Cancelled on WHEN\. The payment with this code was not made and will not be; "
            r"no money has left your account\."
        ),
    ),
]


@pytest.mark.parametrize(("made", "more", "text"), TEXTS)
def test_the_text_of_a_payment(made, more, text):
    found = payment_text(made, Party(17, "BEN"), **more)
    assert re.fullmatch(text.replace("WHEN", WHEN), found), found


@pytest.mark.parametrize(
    "made",
    [
        payment(PaymentStatus.SENT),
        payment(PaymentStatus.WAITING),
        payment(PaymentStatus.REPLACED),
        payment(FINAL, OrderKind.TREASURY),
    ],
)
def test_what_is_open_or_told_to_nobody_has_no_text(made):
    assert payment_text(made, Party(17)) is None


def test_who_is_shown():
    assert payee_shown(17, "0712 345678", "BEN") == Party(17, "BEN", "+254712345678")
    assert payee_shown(17, "customer-2") == Party(17)
