"""A text, composed from facts: amounts as `Ksh1,000.00`, dates as `3/3/22 at 5:28 PM`, in EAT."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

from harambee.ledger.days import EAST_AFRICA
from harambee.ledger.outcomes import Outcome
from harambee.money.amounts import format_cents
from harambee.texts.gsm import fold, segments
from harambee.texts.languages import Language
from harambee.texts.parties import Party, masked_telephone, shown, shown_by_code, shown_name
from harambee.texts.reasons import reason
from harambee.texts.wording import ENDS, OTHER_WORDS, WORDINGS, TextKind

BRAND: Final = "Harambee"
SEGMENTS_MAX: Final = 2
"""No text takes more, whatever names and amounts it has; a test holds the wording to it."""
_LONG_BRAND: Final = 16
_EPOCH: Final = date(1970, 1, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a text tells. None is what is not known, and its sentence is left out."""

    code: str = ""
    """The receipt code."""
    time_ms: int
    """Milliseconds since 1970."""
    amount_cents: int = 0
    other: Party
    balance_cents: int | None = None
    cost_cents: int | None = None
    left_today_cents: int | None = None
    """What the account may still move today."""
    commission_cents: int | None = None
    reference: str | None = None
    """The account at a biller, or the number whose airtime it is ("+254712345678")."""
    outcome: Outcome = Outcome.ACCEPTED
    """Why it was refused."""
    from_day: int | None = None
    """From which day a new phone takes over, days since 1970 in East African time; None is at once."""
    free_cents: int | None = None
    """What the account may use of its balance: all but what is held and frozen."""
    until_day: int = 0
    """Of a hold: the day, counted from 1970-01-01, from which either side may end it alone."""
    paid_code: str = ""
    """The receipt code of the payment that is asked back."""


def confirmation(
    kind: TextKind, facts: Facts, language: Language = Language.ENGLISH, brand: str = BRAND
) -> str:
    """Return a text, in the alphabet of an SMS and within SEGMENTS_MAX of its segments.

    ValueError for a text about a balance without the balance.
    """
    wording = WORDINGS[kind]
    swahili = language is Language.SWAHILI
    word = OTHER_WORDS[wording.other_word] if swahili else wording.other_word
    other = (shown_by_code if wording.by_code else shown)(facts.other, word)
    day, time = _when(facts.time_ms)
    fields = {
        "code": facts.code,
        "brand": fold(brand)[:_LONG_BRAND],
        "amount": format_cents(facts.amount_cents),
        "other": other,
        "date": day,
        "time": time,
        "for_reference": _for_reference(facts, swahili=swahili),
        "for_number": _for_number(facts, swahili=swahili),
        "reason": reason(facts.outcome, language),
        "from_day": day if facts.from_day is None else _date(facts.from_day),
        "until": _day(facts.until_day),
        "paid": facts.paid_code,
    }
    known = {
        "balance": facts.balance_cents,
        "float": facts.balance_cents,
        "cost": facts.cost_cents,
        "left": facts.left_today_cents,
        "free": facts.free_cents,
        "commission": facts.commission_cents,
    }
    fields |= {name: _cents(name, cents) for name, cents in known.items() if cents is not None}
    if kind is TextKind.BALANCE and facts.balance_cents is None:
        raise ValueError("a text about a balance needs the balance")
    sentences = [wording.begins(language)]
    sentences += [ENDS[end][swahili] for end in wording.ends if known[end] is not None]
    text = fold(" ".join(sentences).format(**fields))
    while len(sentences) > 1 and segments(text) > SEGMENTS_MAX:
        # Only sums that no customer may hold are so long; what it is about is said first.
        sentences.pop()
        text = fold(" ".join(sentences).format(**fields))
    return text


def _cents(name: str, cents: int) -> str:
    # The usual wording has no currency here, and here alone.
    return format_cents(cents).removeprefix("Ksh") if name == "left" else format_cents(cents)


def _day(day: int) -> str:
    """Return "3/3/22" for a day that is counted from 1970-01-01."""
    on = _EPOCH + timedelta(days=day)
    return f"{on.day}/{on.month}/{on.year % 100:02d}"


def _when(time_ms: int) -> tuple[str, str]:
    """Return "3/3/22" and "5:28 PM": day, month and year without leading zeros, East African time."""
    at = datetime.fromtimestamp(time_ms // 1000, UTC).astimezone(EAST_AFRICA)
    hour = at.hour % 12 or 12
    half = "PM" if at.hour >= 12 else "AM"
    return f"{at.day}/{at.month}/{at.year % 100:02d}", f"{hour}:{at.minute:02d} {half}"


def _date(day: int) -> str:
    at = date(1970, 1, 1) + timedelta(days=day)
    return f"{at.day}/{at.month}/{at.year % 100:02d}"


def _for_reference(facts: Facts, *, swahili: bool) -> str:
    if facts.reference is None:
        return ""
    return f" {'kwa akaunti' if swahili else 'for account'} {shown_name(facts.reference)}"


def _for_number(facts: Facts, *, swahili: bool) -> str:
    number = None if facts.reference is None else masked_telephone(facts.reference)
    return "" if number is None else f" {'kwa' if swahili else 'for'} {number}"
