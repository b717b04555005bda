"""What an order of governance does, in one sentence, for whoever is asked to approve it."""

from datetime import date, timedelta
from typing import Final

from harambee.handset.orders import OrderBody
from harambee.ledger.kinds import OrderKind
from harambee.money.amounts import format_cents

EPOCH: Final = date(1970, 1, 1)


def day_shown(day: int) -> str:
    """Return a day number as people write it: 2026-03-31."""
    return (EPOCH + timedelta(days=day)).isoformat()


def in_words(body: OrderBody) -> str:
    """Return what an order of governance does; of another kind, its name."""
    about = f"account {body.payee}"
    amount = format_cents(body.amount_cents)
    match body.kind:
        case OrderKind.FREEZE:
            what = f"{amount} of {about}" if body.amount_cents else about
            return f"Freeze {what}."
        case OrderKind.UNFREEZE:
            what = f"{amount} of {about}" if body.amount_cents else about
            return f"Unfreeze {what}."
        case OrderKind.CLOSE:
            return f"Close {about}."
        case OrderKind.SET_TIER:
            return f"Put {about} into tier {body.options[0]}."
        case OrderKind.ATTEST:
            return f"The bank of {about} attests that it holds {amount} in trust."
        case OrderKind.NEW_TARIFF:
            first = int.from_bytes(body.options[:2], "little")
            return f"Tariff version {body.tariff} begins on {day_shown(first)}."
        case OrderKind.REQUEST_KEY:
            return f"Give {about} the new key {body.reference.hex()[:16]}..."
    return f"{body.kind.name.replace('_', ' ').capitalize()} of {about}."
