"""Why a payment did not happen, in words for whoever wanted to pay."""

from typing import Final

from harambee.ledger.outcomes import SENTENCES, Outcome
from harambee.texts.languages import Language

_TEMPORARY: Final = (
    "The service could not take it just now; please try again.",
    "Huduma haikuweza kuipokea kwa sasa; tafadhali jaribu tena.",
)
_DEVICE: Final = (
    "Your phone's order was not right; update the app or ask for help.",
    "Agizo la simu yako halikuwa sahihi; sasisha programu au omba msaada.",
)
_NO_PAYEE: Final = (
    "The receiver is not registered.",
    "Mpokeaji hajasajiliwa.",
)
_NOT_BETWEEN: Final = (
    "This service is not offered between these two accounts.",
    "Huduma hii haipatikani kati ya akaunti hizi mbili.",
)

_REASONS: Final[dict[Outcome, tuple[str, str]]] = {
    Outcome.KIND_UNKNOWN: _DEVICE,
    Outcome.OPTIONS_INVALID: _DEVICE,
    Outcome.PAYER_UNKNOWN: ("Your account does not exist.", "Akaunti yako haipo."),
    Outcome.SIGNATURE_INVALID: _DEVICE,
    Outcome.SEQUENCE_STALE: _DEVICE,
    Outcome.SEQUENCE_AHEAD: _DEVICE,
    Outcome.PAYER_IS_PAYEE: (
        "You cannot send money to yourself.",
        "Huwezi kujitumia pesa mwenyewe.",
    ),
    Outcome.PAYEE_UNKNOWN: _NO_PAYEE,
    Outcome.PAYER_KIND_WRONG: _NOT_BETWEEN,
    Outcome.PAYEE_KIND_WRONG: _NOT_BETWEEN,
    Outcome.AMOUNT_ZERO: ("The amount is zero.", "Kiasi ni sifuri."),
    Outcome.AMOUNT_NOT_ZERO: _DEVICE,
    Outcome.AMOUNT_ABOVE_LIMIT: (
        "The amount is above your limit for one transaction.",
        "Kiasi kimezidi kiwango chako cha muamala mmoja.",
    ),
    Outcome.TARIFF_UNKNOWN: _DEVICE,
    Outcome.AMOUNT_WITHOUT_TARIFF: (
        "The amount is too small or too large for this service.",
        "Kiasi ni kidogo mno au kikubwa mno kwa huduma hii.",
    ),
    Outcome.FEE_WRONG: _DEVICE,
    Outcome.DAY_WRONG: (
        "The date of your phone is wrong.",
        "Tarehe ya simu yako si sahihi.",
    ),
    Outcome.DAY_BEFORE_LAST: (
        "The date of your phone is wrong.",
        "Tarehe ya simu yako si sahihi.",
    ),
    Outcome.PAYER_NOT_ACTIVE: (
        "Your account is frozen or closed.",
        "Akaunti yako imezuiwa au imefungwa.",
    ),
    Outcome.PAYEE_NOT_ACTIVE: (
        "The receiver's account is frozen or closed.",
        "Akaunti ya mpokeaji imezuiwa au imefungwa.",
    ),
    Outcome.DAILY_LIMIT_EXCEEDED: (
        "You would exceed your limit for the day.",
        "Utazidi kiwango chako cha siku.",
    ),
    Outcome.PAYEE_BALANCE_ABOVE_LIMIT: (
        "The receiver's account cannot hold that much.",
        "Akaunti ya mpokeaji haiwezi kubeba kiasi hicho.",
    ),
    Outcome.BALANCE_INSUFFICIENT: (
        "You do not have enough money for the amount and the fee.",
        "Huna pesa za kutosha kwa kiasi hicho na gharama yake.",
    ),
    Outcome.SLOT_FENCED: _TEMPORARY,
    Outcome.SLOT_TAKEN: (
        "Another payment of yours is still being processed.",
        "Malipo yako mengine bado yanashughulikiwa.",
    ),
    Outcome.BROKER_BUSY: _TEMPORARY,
    Outcome.SLOT_SKIPPED: _TEMPORARY,
    Outcome.REFERENCE_MISSING: (
        "The account number at the biller is missing.",
        "Nambari ya akaunti ya bili haipo.",
    ),
    Outcome.FEE_MODE_WRONG: _DEVICE,
    Outcome.HEAD_OFFICE_WRONG: _DEVICE,
    Outcome.TARIFF_NOT_IN_FORCE: _DEVICE,
    Outcome.HOLD_UNKNOWN: (
        "This money is not held any more.",
        "Pesa hizi hazijawekwa tena.",
    ),
    Outcome.HOLD_DIFFERENT: _DEVICE,
    Outcome.HOLD_NOT_YOURS: (
        "This money is held for others.",
        "Pesa hizi zimewekwa kwa ajili ya wengine.",
    ),
    Outcome.HOLD_TOO_EARLY: (
        "Until its day, this is for the other side to decide.",
        "Hadi siku yake, uamuzi ni wa upande mwingine.",
    ),
    Outcome.ORIGINAL_UNKNOWN: (
        "There is no such payment.",
        "Hakuna malipo kama hayo.",
    ),
    Outcome.ORIGINAL_DIFFERENT: (
        "That payment was between others.",
        "Malipo hayo yalikuwa kati ya wengine.",
    ),
    Outcome.REFUND_ABOVE_ORIGINAL: (
        "That is more than was paid.",
        "Hiyo ni zaidi ya kilicholipwa.",
    ),
    Outcome.REVERSAL_STATE_WRONG: (
        "This was asked, refused or disputed already, or never asked.",
        "Hili liliombwa, lilikataliwa au lilipingwa tayari, au halikuombwa kamwe.",
    ),
}


def reason(outcome: Outcome, language: Language) -> str:
    """Return why, in one sentence; what a payer cannot meet is said in the ledger's own words."""
    english, swahili = _REASONS.get(outcome, (SENTENCES[outcome], SENTENCES[outcome]))
    return swahili if language is Language.SWAHILI else english
