"""A text that somebody shows: true to the letter of its proof, or exposed."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.handset.proof_cases import PAYER, SHOP, TODAY, network_of, order_of, proof_of

from harambee.handset.proof_texts import Side, check_text
from harambee.handset.proofs import ProofError, verify_proof
from harambee.ledger.house_rules import AUTHORISATION_BIT
from harambee.ledger.kinds import OrderKind
from harambee.ledger.records import NAMED_HOLD
from harambee.texts.confirmations import Facts, confirmation
from harambee.texts.languages import Language
from harambee.texts.parties import Party
from harambee.texts.reading import TEXT_MAX, read_text
from harambee.texts.wording import TOLD, TextKind

GENESIS = network_of(4)
NOON_MS = int(datetime(2026, 11, 24, 9, tzinfo=UTC).timestamp()) * 1000
DAY_MS = 86_400_000
NAMED = Party(SHOP, "WANJIKŨ O.", "+254712345678")


def proven_of(**changes):
    changes = {"kind": OrderKind.SEND, "fee_cents": 7_00} | changes
    return verify_proof(proof_of(GENESIS, order_of(**changes)).to_text(), GENESIS)


SENT = proven_of()


def text_of(kind=TextKind.SENT, language=Language.ENGLISH, proven=SENT, **changes):
    """The text that is sent about the order, or one with a lie in it."""
    facts = {
        "code": proven.receipt_code,
        "time_ms": NOON_MS,
        "amount_cents": proven.amount_cents,
        "other": NAMED,
        "balance_cents": 1_234_56,
        "cost_cents": proven.fee_cents,
        "left_today_cents": 9_000_00,
        "free_cents": 1_000_00,
        "until_day": proven.day.toordinal() - date(1970, 1, 1).toordinal() + 1,
        "paid_code": "UKO3JNZ512",
    } | changes
    return confirmation(kind, Facts(**facts), language)


def exposed(text, proven=SENT):
    with pytest.raises(ProofError) as caught:
        check_text(proven, text)
    return str(caught.value)


@dataclass(frozen=True)
class Held:
    """What ends a hold names it so."""

    payer: int
    sequence: int
    amount_cents: int
    fee_cents: int
    movement: OrderKind

    @property
    def reference(self):
        named = np.zeros((), NAMED_HOLD)
        named["payer"], named["sequence"] = self.payer, self.sequence
        named["amount"], named["fee"] = self.amount_cents, self.fee_cents
        named["day"], named["movement"] = TODAY, self.movement
        return named.tobytes()


EVERY_TEXT = [
    (kind, side, text, language)
    for kind, told in TOLD.items()
    for side, text in zip(Side, told, strict=True)
    for language in Language
    if text is not None
]
SHARES = (OrderKind.BULK_PAY_OUT, OrderKind.DEPOSIT_COMMISSION)


@pytest.mark.parametrize(("kind", "side", "text", "language"), EVERY_TEXT)
@pytest.mark.parametrize(
    "facts",
    [
        {},
        {"balance_cents": None, "cost_cents": None, "left_today_cents": None},
        {"commission_cents": 11_00, "reference": "+254712345678"},
        {"reference": "INV-7", "other": Party(SHOP, "KIOSK. on 1/1/26", "till:100001")},
        {"other": None},
    ],
)
def test_every_text_that_is_sent_is_read_as_what_it_is(kind, side, text, language, facts):
    whole = kind in (OrderKind.FREEZE, OrderKind.UNFREEZE)
    proven = proven_of(kind=kind, **({"amount_cents": 0} if whole else {}))
    if kind is OrderKind.VOID:
        # It tells what was held, which is in its reference; itself it moves nothing.
        held = Held(proven.payer, 3, 250_00, 7_00, OrderKind.SEND).reference
        proven = proven_of(kind=kind, amount_cents=0, fee_cents=0, reference=held)
        facts = {"amount_cents": 250_00} | facts
    if facts.get("other", NAMED) is None:
        facts = facts | {"other": Party(SHOP if side is Side.PAYER else PAYER)}
    shown = text_of(text, language, proven, **facts)
    if side is Side.PAYEE and kind in SHARES:
        assert "does not say how much this payee received" in exposed(shown, proven)
    else:
        assert check_text(proven, shown) is side


@pytest.mark.parametrize("language", list(Language))
def test_one_wrong_fact_exposes_a_text(language):
    assert check_text(SENT, text_of(language=language)) is Side.PAYER
    for lie, said in (
        ({"amount_cents": 9_250_00}, "it says Ksh9,250.00, and proven are Ksh250.00"),
        ({"amount_cents": 250_01}, "it says Ksh250.01"),
        ({"code": "UKOAAAAAAA"}, "its code is UKOAAAAAAA, and the proof's is "),
        ({"cost_cents": 0}, "the proven charge is Ksh7.00"),
        ({"time_ms": NOON_MS + 3 * DAY_MS}, "it is dated 2026-11-27, and the order 2026-11-24"),
        ({"other": Party(SHOP + 1)}, "and proven is account 3145768"),
    ):
        sentence = exposed(text_of(language=language, **lie))
        assert sentence.startswith("The text is forged or of another payment: ")
        assert said in sentence


def test_a_text_of_another_direction_is_exposed():
    withdrawal = proven_of(kind=OrderKind.WITHDRAW)
    deposit = proven_of(kind=OrderKind.DEPOSIT)
    assert check_text(withdrawal, text_of(TextKind.WITHDRAWAL_GIVEN, proven=withdrawal))
    for proven, kind in (
        (withdrawal, TextKind.DEPOSIT_TAKEN),
        (deposit, TextKind.WITHDRAWN),
        (SENT, TextKind.TILL_PAID),
        (SENT, TextKind.CANCELLED),
        (SENT, TextKind.REFUSED),
        (proven_of(kind=OrderKind.CANCEL), TextKind.SENT),
    ):
        assert "not worded as the one about" in exposed(text_of(kind, proven=proven), proven)


def test_the_other_side_is_held_to_its_number_where_it_is_one():
    assert check_text(SENT, text_of(other=Party(SHOP))) is Side.PAYER
    received = text_of(TextKind.RECEIVED, other=Party(PAYER))
    assert check_text(SENT, received) is Side.PAYEE
    assert "and proven is account 17" in exposed(received.replace("account 17", "account 18"))


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (OrderKind.WITHDRAW, TextKind.WITHDRAWN),
        (OrderKind.BUY_GOODS, TextKind.TILL_PAID),
        (OrderKind.DEPOSIT, TextKind.DEPOSITED),
    ],
)
def test_a_shop_may_be_shown_by_its_public_number(kind, text):
    proven = proven_of(kind=kind)
    for language in Language:
        assert check_text(
            proven, text_of(text, language, proven, other=Party(9, None, "till:10001"))
        )


def test_a_day_on_either_side_is_the_clocks():
    for days in (-2, -1, 1, 2):
        assert check_text(SENT, text_of(time_ms=NOON_MS + days * DAY_MS)) is Side.PAYER


def test_letters_that_a_telephone_cannot_show_do_not_matter():
    text = text_of()
    assert "WANJIKU O." in text
    assert check_text(SENT, f"\n  {text.replace(' ', '  ')}\n") is Side.PAYER
    assert check_text(SENT, text.replace("WANJIKU", "WANJIKŨ")) is Side.PAYER


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Confirmed.",
        text_of() + " Call 0700000000 to confirm.",
        "Hello. " + text_of(),
        text_of().replace("24/11/26", "24/13/26"),
        text_of().replace("Ksh250.00", "Ksh2,50.00"),
        text_of().replace("Ksh250.00", "Ksh250"),
        text_of().replace("Ksh250.00", "Ksh\N{ARABIC-INDIC DIGIT TWO}50.00"),
        text_of() * 20,
    ],
)
def test_what_nobody_is_sent_is_exposed(text):
    assert "not worded" in exposed(text)


def test_an_order_of_which_nobody_is_told_has_no_text():
    treasury = proven_of(kind=OrderKind.TREASURY)
    assert "not worded as the one about treasury is" in exposed(text_of(), treasury)


@given(st.text(max_size=400))
def test_no_text_does_more_harm_than_to_be_exposed(text):
    exposed(text)
    exposed(f"{SENT.receipt_code} Confirmed. Ksh250.00 sent to {text}")


def test_a_text_made_to_be_slow_is_read_at_once():
    """Every field of the expressions is bounded, so the steps are too; the test's timeout holds it."""
    kinds = {kind for told in TOLD.values() for kind in told if kind is not None}
    for piece in (" on 1/1/26 at 1:00 PM.", " for account ", "sent to ", "1,"):
        text = f"{SENT.receipt_code} Confirmed. Ksh1.00 sent to " + piece * 200
        assert read_text(text[:TEXT_MAX], kinds) == []


def test_a_day_of_the_wording_is_read_as_the_day():
    (told,) = read_text(text_of(), [TextKind.SENT])
    assert told.day == SENT.day
    assert told.day - timedelta(days=1) < SENT.day
    assert re.fullmatch("[0-9A-Z]{10}", told.code)


@pytest.mark.parametrize("signer", [PAYER, SHOP])
def test_a_release_is_told_as_the_payment_that_it_is_whoever_signed(signer):
    held = Held(PAYER, 3, 400_00, 7_00, OrderKind.SEND)
    proven = proven_of(
        kind=OrderKind.RELEASE, payer=signer, sequence=0, reference=held.reference, fee_cents=7_00
    )
    assert (proven.payer, proven.sequence) == (PAYER, 3)
    assert check_text(proven, text_of(proven=proven, other=Party(SHOP))) is Side.PAYER
    received = text_of(TextKind.RECEIVED, proven=proven, other=Party(PAYER))
    assert check_text(proven, received) is Side.PAYEE
    assert "it says Ksh400.00" in exposed(text_of(proven=proven, amount_cents=400_00), proven)
    assert "not worded as" in exposed(text_of(TextKind.HELD, proven=proven), proven)


def test_an_authorisation_is_worded_as_one():
    terms = bytes([OrderKind.SEND, 7, AUTHORISATION_BIT])
    proven = proven_of(kind=OrderKind.HOLD, options=terms)
    assert check_text(proven, text_of(TextKind.AUTHORISED, proven=proven)) is Side.PAYER
    assert check_text(proven, text_of(TextKind.AUTHORISED_FOR, proven=proven)) is Side.PAYEE
    assert "not worded as" in exposed(text_of(TextKind.HELD, proven=proven), proven)
