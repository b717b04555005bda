"""The wording, as one table: what each text says in each language, and which sentences end it.

People know these sentences by heart, and a text that is worded otherwise is taken for a forgery: so
the English follows what is usual in the country to the letter, its odd full stops included.
"""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from harambee.ledger.house_rules import AUTHORISATION_BIT
from harambee.ledger.kinds import OrderKind
from harambee.ledger.rules import Order, as_moved
from harambee.texts.languages import Language


class TextKind(Enum):
    """What a text tells, and to which side."""

    SENT = auto()
    RECEIVED = auto()
    TILL_PAID = auto()
    TILL_RECEIVED = auto()
    BILL_PAID = auto()
    BILL_RECEIVED = auto()
    DEPOSITED = auto()
    DEPOSIT_TAKEN = auto()
    """The agent's copy of a deposit: he has taken cash."""
    WITHDRAWN = auto()
    WITHDRAWAL_GIVEN = auto()
    """The agent's copy of a withdrawal: he is to give cash."""
    AIRTIME_BOUGHT = auto()
    AIRTIME_SOLD = auto()
    PAID_OUT = auto()
    BULK_PAID_OUT = auto()
    PAY_OUT_RECEIVED = auto()
    BANK_TO_WALLET = auto()
    WALLET_TO_BANK = auto()
    FLOAT_SOLD = auto()
    FLOAT_BOUGHT = auto()
    BUSINESS_SENT = auto()
    BUSINESS_RECEIVED = auto()
    COMMISSION_EARNED = auto()
    CANCELLED = auto()
    REFUSED = auto()
    BALANCE = auto()
    KEY_REQUESTED = auto()
    """A new phone is to take over the account; its owner may refuse."""
    KEY_TAKEN = auto()
    KEY_REFUSED = auto()
    KEY_CHANGED = auto()
    HELD = auto()
    """The payer has the first word: she has paid with a window in which to think again."""
    HELD_FOR = auto()
    """Its payee: nothing is his yet."""
    AUTHORISED = auto()
    """The payee has the first word, as with a hotel's deposit."""
    AUTHORISED_FOR = auto()
    VOIDED = auto()
    VOIDED_FOR = auto()
    REFUNDED = auto()
    """Who gives the money back."""
    REFUND_RECEIVED = auto()
    REVERSAL_ASKED = auto()
    REVERSAL_ASKED_OF = auto()
    REVERSAL_REFUSED = auto()
    """Who refuses."""
    REVERSAL_REFUSED_TO = auto()
    DISPUTED = auto()
    DISPUTED_WITH = auto()
    FROZEN = auto()
    FROZEN_PART = auto()
    UNFROZEN = auto()
    UNFROZEN_PART = auto()


@dataclass(frozen=True, slots=True)
class Wording:
    """One text: how it begins, by language, and the sentences that follow if their facts are known."""

    english: str
    swahili: str
    ends: tuple[str, ...] = ()
    by_code: bool = False
    """Whether the other side is shown by its public number, "123456 - SHOP"."""
    other_word: str = "account"
    """What the other side is called where it has no name."""

    def begins(self, language: Language) -> str:
        """Return the beginning as a format string."""
        return self.swahili if language is Language.SWAHILI else self.english


ENDS: Final[dict[str, tuple[str, str]]] = {
    "balance": ("New {brand} balance is {balance}.", "Baki yako mpya ya {brand} ni {balance}."),
    "float": ("Your float balance is {balance}.", "Baki yako ya float ni {balance}."),
    "cost": ("Transaction cost, {cost}.", "Gharama ya muamala, {cost}."),
    "left": (
        "Amount you can transact within the day is {left}.",
        "Kiasi unachoweza kutumia kwa siku ni {left}.",
    ),
    "free": ("Amount you can use now is {free}.", "Kiasi unachoweza kutumia sasa ni {free}."),
    "commission": ("Commission earned, {commission}.", "Kamisheni uliyopata, {commission}."),
}
"""Sentence by name, in English and Swahili."""

_PAYER: Final = ("balance", "cost", "left")
_CONFIRMED: Final = "{code} Confirmed. "
_IMETHIBITISHWA: Final = "{code} Imethibitishwa. "
_WHEN: Final = "on {date} at {time}"
_LINI: Final = "tarehe {date} saa {time}"

WORDINGS: Final[dict[TextKind, Wording]] = {
    TextKind.SENT: Wording(
        _CONFIRMED + "{amount} sent to {other} " + _WHEN + ".",
        _IMETHIBITISHWA + "{amount} imetumwa kwa {other} " + _LINI + ".",
        _PAYER,
    ),
    TextKind.RECEIVED: Wording(
        _CONFIRMED + "You have received {amount} from {other} " + _WHEN + ".",
        _IMETHIBITISHWA + "Umepokea {amount} kutoka kwa {other} " + _LINI + ".",
        ("balance",),
    ),
    TextKind.TILL_PAID: Wording(
        _CONFIRMED + "{amount} paid to {other}. " + _WHEN + ".",
        _IMETHIBITISHWA + "{amount} imelipwa kwa {other} " + _LINI + ".",
        _PAYER,
        other_word="till",
    ),
    TextKind.TILL_RECEIVED: Wording(
        _CONFIRMED + "{amount} paid by {other} " + _WHEN + ".",
        _IMETHIBITISHWA + "{amount} imelipwa na {other} " + _LINI + ".",
        ("balance", "cost"),
    ),
    TextKind.BILL_PAID: Wording(
        _CONFIRMED + "{amount} sent to {other}{for_reference} " + _WHEN + ".",
        _IMETHIBITISHWA + "{amount} imetumwa kwa {other}{for_reference} " + _LINI + ".",
        _PAYER,
        other_word="paybill",
    ),
    TextKind.BILL_RECEIVED: Wording(
        _CONFIRMED + "{amount} received from {other}{for_reference} " + _WHEN + ".",
        _IMETHIBITISHWA + "{amount} imepokewa kutoka kwa {other}{for_reference} " + _LINI + ".",
        ("balance", "cost"),
    ),
    TextKind.DEPOSITED: Wording(
        _CONFIRMED + "On {date} at {time} Give {amount} cash to {other}.",
        _IMETHIBITISHWA + "Tarehe {date} saa {time} Mpe {other} pesa taslimu {amount}.",
        ("balance",),
        other_word="agent",
    ),
    TextKind.DEPOSIT_TAKEN: Wording(
        _CONFIRMED + "On {date} at {time} Take {amount} cash from {other}.",
        _IMETHIBITISHWA
        + "Tarehe {date} saa {time} Pokea pesa taslimu {amount} kutoka kwa {other}.",
        ("float",),
    ),
    TextKind.WITHDRAWN: Wording(
        _CONFIRMED + "on {date} at {time} Withdraw {amount} from {other}.",
        _IMETHIBITISHWA + "tarehe {date} saa {time} Toa {amount} kutoka kwa {other}.",
        _PAYER,
        by_code=True,
        other_word="agent",
    ),
    TextKind.WITHDRAWAL_GIVEN: Wording(
        _CONFIRMED + "On {date} at {time} Give {amount} cash to {other}.",
        _IMETHIBITISHWA + "Tarehe {date} saa {time} Mpe {other} pesa taslimu {amount}.",
        ("float", "commission"),
    ),
    TextKind.AIRTIME_BOUGHT: Wording(
        _CONFIRMED + "You bought {amount} of airtime{for_number} " + _WHEN + ".",
        _IMETHIBITISHWA + "Umenunua muda wa maongezi wa {amount}{for_number} " + _LINI + ".",
        _PAYER,
    ),
    TextKind.AIRTIME_SOLD: Wording(
        _CONFIRMED + "{amount} of airtime sold to {other} " + _WHEN + ".",
        _IMETHIBITISHWA + "Umemuuzia {other} muda wa maongezi wa {amount} " + _LINI + ".",
        ("balance",),
    ),
    TextKind.PAID_OUT: Wording(
        _CONFIRMED + "{amount} paid out to {other} " + _WHEN + ".",
        _IMETHIBITISHWA + "{amount} imelipwa kwa {other} " + _LINI + ".",
        ("balance", "cost"),
    ),
    TextKind.BULK_PAID_OUT: Wording(
        _CONFIRMED + "{amount} paid out in bulk " + _WHEN + ".",
        _IMETHIBITISHWA + "{amount} imelipwa kwa watu wengi kwa pamoja " + _LINI + ".",
        ("balance", "cost"),
    ),
    TextKind.PAY_OUT_RECEIVED: Wording(
        _CONFIRMED + "You have received {amount} from {other} " + _WHEN + ".",
        _IMETHIBITISHWA + "Umepokea {amount} kutoka kwa {other} " + _LINI + ".",
        ("balance",),
        other_word="paybill",
    ),
    TextKind.BANK_TO_WALLET: Wording(
        _CONFIRMED + "You have received {amount} from your bank, {other}, " + _WHEN + ".",
        _IMETHIBITISHWA + "Umepokea {amount} kutoka benki yako, {other}, " + _LINI + ".",
        ("balance",),
    ),
    TextKind.WALLET_TO_BANK: Wording(
        _CONFIRMED + "{amount} sent to your bank, {other}, " + _WHEN + ".",
        _IMETHIBITISHWA + "{amount} imetumwa kwa benki yako, {other}, " + _LINI + ".",
        _PAYER,
    ),
    TextKind.FLOAT_SOLD: Wording(
        _CONFIRMED + "On {date} at {time} {amount} of float sent to {other}.",
        _IMETHIBITISHWA + "Tarehe {date} saa {time} float ya {amount} imetumwa kwa {other}.",
        ("float",),
        by_code=True,
        other_word="agent",
    ),
    TextKind.FLOAT_BOUGHT: Wording(
        _CONFIRMED + "On {date} at {time} {amount} of float received from {other}.",
        _IMETHIBITISHWA
        + "Tarehe {date} saa {time} float ya {amount} imepokewa kutoka kwa {other}.",
        ("float",),
        by_code=True,
    ),
    TextKind.BUSINESS_SENT: Wording(
        _CONFIRMED + "{amount} sent to {other} " + _WHEN + ".",
        _IMETHIBITISHWA + "{amount} imetumwa kwa {other} " + _LINI + ".",
        ("balance", "cost"),
        by_code=True,
    ),
    TextKind.BUSINESS_RECEIVED: Wording(
        _CONFIRMED + "You have received {amount} from {other} " + _WHEN + ".",
        _IMETHIBITISHWA + "Umepokea {amount} kutoka kwa {other} " + _LINI + ".",
        ("balance",),
        by_code=True,
    ),
    TextKind.COMMISSION_EARNED: Wording(
        _CONFIRMED + "You have earned {amount} of commission " + _WHEN + ".",
        _IMETHIBITISHWA + "Umepata kamisheni ya {amount} " + _LINI + ".",
        ("float",),
    ),
    TextKind.CANCELLED: Wording(
        "{code} Cancelled " + _WHEN + ". The payment with this code was not made and will not be; "
        "no money has left your account.",
        "{code} Imeghairiwa "
        + _LINI
        + ". Malipo yenye nambari hii hayakufanyika na hayatafanyika; "
        "hakuna pesa iliyotoka kwenye akaunti yako.",
        ("balance",),
    ),
    TextKind.REFUSED: Wording(
        "{code} Failed. {amount} was not sent to {other} " + _WHEN + ". {reason} "
        "No money has left your account.",
        "{code} Imeshindikana. {amount} haikutumwa kwa {other} " + _LINI + ". {reason} "
        "Hakuna pesa iliyotoka kwenye akaunti yako.",
        ("balance",),
    ),
    TextKind.BALANCE: Wording(
        "Confirmed. Your {brand} balance was {balance} " + _WHEN + ".",
        "Imethibitishwa. Baki yako ya {brand} ilikuwa {balance} " + _LINI + ".",
        ("cost",),
    ),
    TextKind.KEY_REQUESTED: Wording(
        "{code} Confirmed. A new phone was asked for your {brand} account "
        + _WHEN
        + ". It takes over from {from_day}. If you did not ask for it, refuse it now on your old phone "
        "(key refuse) or at an agent.",
        "{code} Imethibitishwa. Simu mpya imeombwa kwa akaunti yako ya {brand} "
        + _LINI
        + ". Itaanza kutumika {from_day}. Kama hukuiomba, ikatae sasa kwa simu yako ya zamani "
        "(key refuse) au kwa wakala.",
    ),
    TextKind.KEY_TAKEN: Wording(
        _CONFIRMED + "A new phone signs for your {brand} account since {date} at {time}. "
        "The old one cannot pay any more.",
        _IMETHIBITISHWA
        + "Simu mpya inatumika kwa akaunti yako ya {brand} tangu {date} saa {time}. "
        "Ya zamani haiwezi kulipa tena.",
    ),
    TextKind.KEY_REFUSED: Wording(
        _CONFIRMED + "You refused the new phone " + _WHEN + ". Your phone pays as before.",
        _IMETHIBITISHWA + "Umekataa simu mpya " + _LINI + ". Simu yako inalipa kama zamani.",
    ),
    TextKind.KEY_CHANGED: Wording(
        _CONFIRMED + "The key of your {brand} account was changed " + _WHEN + ".",
        _IMETHIBITISHWA + "Ufunguo wa akaunti yako ya {brand} umebadilishwa " + _LINI + ".",
    ),
    TextKind.HELD: Wording(
        _CONFIRMED + "{amount} is held for {other} " + _WHEN + " and not paid yet. "
        "You can take it back before {until}.",
        _IMETHIBITISHWA + "{amount} imewekwa kwa ajili ya {other} " + _LINI + " na bado "
        "haijalipwa. Unaweza kuirudisha kabla ya {until}.",
        ("free",),
    ),
    TextKind.HELD_FOR: Wording(
        "{code} Pending. {amount} from {other} is held for you " + _WHEN + ". "
        "It is not yours yet: wait for the text that you have received it.",
        "{code} Inasubiri. {amount} kutoka kwa {other} imewekwa kwa ajili yako " + _LINI + ". "
        "Bado si yako: subiri ujumbe kwamba umeipokea.",
    ),
    TextKind.AUTHORISED: Wording(
        _CONFIRMED + "{amount} is held for {other} " + _WHEN + ". They may take it, or a part of "
        "it; what they have not taken you can take back from {until}.",
        _IMETHIBITISHWA
        + "{amount} imewekwa kwa ajili ya {other} "
        + _LINI
        + ". Wanaweza kuichukua "
        "yote au sehemu; wasipoichukua unaweza kuirudisha kuanzia {until}.",
        ("free",),
    ),
    TextKind.AUTHORISED_FOR: Wording(
        "{code} Authorised. {amount} from {other} is held for you " + _WHEN + ". "
        "It is yours when you take it; from {until} they can take it back.",
        "{code} Imeidhinishwa. {amount} kutoka kwa {other} imewekwa kwa ajili yako " + _LINI + ". "
        "Ni yako ukiichukua; kuanzia {until} wanaweza kuirudisha.",
    ),
    TextKind.VOIDED: Wording(
        "{code} Voided " + _WHEN + ". {amount} that was held for {other} was not paid and is free "
        "again.",
        "{code} Imebatilishwa "
        + _LINI
        + ". {amount} iliyowekwa kwa ajili ya {other} haikulipwa na "
        "unaweza kuitumia tena.",
        ("free",),
    ),
    TextKind.VOIDED_FOR: Wording(
        "{code} Voided " + _WHEN + ". {amount} from {other} that was held for you was not paid.",
        "{code} Imebatilishwa " + _LINI + ". {amount} kutoka kwa {other} iliyowekwa kwa ajili yako "
        "haikulipwa.",
    ),
    TextKind.REFUNDED: Wording(
        _CONFIRMED + "{amount} refunded to {other} " + _WHEN + ".",
        _IMETHIBITISHWA + "{amount} imerudishwa kwa {other} " + _LINI + ".",
        ("balance",),
    ),
    TextKind.REFUND_RECEIVED: Wording(
        _CONFIRMED + "You have received a refund of {amount} from {other} " + _WHEN + ".",
        _IMETHIBITISHWA + "Umerudishiwa {amount} na {other} " + _LINI + ".",
        ("balance",),
    ),
    TextKind.REVERSAL_ASKED: Wording(
        _CONFIRMED + "You have asked {other} for {amount} of payment {paid} back " + _WHEN + ". "
        "No money has moved: they may return it or refuse.",
        _IMETHIBITISHWA + "Umemwomba {other} akurudishie {amount} ya malipo {paid} " + _LINI + ". "
        "Hakuna pesa iliyohamishwa: anaweza kurudisha au kukataa.",
    ),
    TextKind.REVERSAL_ASKED_OF: Wording(
        "{code} {other} asks you " + _WHEN + " to return {amount} of payment {paid}. "
        "To agree, refund {paid}; to keep it, refuse. No money has left your account.",
        "{code} {other} anaomba " + _LINI + " umrudishie {amount} ya malipo {paid}. Ukikubali, "
        "rudisha {paid}; usipokubali, kataa. Hakuna pesa iliyotoka kwenye akaunti yako.",
    ),
    TextKind.REVERSAL_REFUSED: Wording(
        _CONFIRMED + "You have refused to return payment {paid} to {other} " + _WHEN + ".",
        _IMETHIBITISHWA + "Umekataa kurudisha malipo {paid} kwa {other} " + _LINI + ".",
    ),
    TextKind.REVERSAL_REFUSED_TO: Wording(
        "{code} {other} has refused to return payment {paid} " + _WHEN + ". "
        "If you do not agree, you can dispute it.",
        "{code} {other} amekataa kurudisha malipo {paid} " + _LINI + ". "
        "Usipokubali, unaweza kuyapinga.",
    ),
    TextKind.DISPUTED: Wording(
        _CONFIRMED + "You have disputed payment {paid} to {other} " + _WHEN + ". "
        "No money has moved; keep what shows what it was for.",
        _IMETHIBITISHWA + "Umepinga malipo {paid} kwa {other} " + _LINI + ". "
        "Hakuna pesa iliyohamishwa; tunza ushahidi wa malipo hayo.",
    ),
    TextKind.DISPUTED_WITH: Wording(
        "{code} {other} has disputed payment {paid} to you " + _WHEN + ". "
        "No money has moved; keep what shows what it was for.",
        "{code} {other} amepinga malipo {paid} kwako " + _LINI + ". "
        "Hakuna pesa iliyohamishwa; tunza ushahidi wa malipo hayo.",
    ),
    TextKind.FROZEN: Wording(
        "{code} Your account was frozen " + _WHEN + ". It can neither pay nor be paid until it is "
        "unfrozen. Your money stays yours; ask your super-agent.",
        "{code} Akaunti yako imezuiwa " + _LINI + ". Haiwezi kulipa wala kulipwa hadi "
        "itakapofunguliwa. Pesa zako bado ni zako; muulize wakala mkuu wako.",
    ),
    TextKind.FROZEN_PART: Wording(
        "{code} {amount} of your account was frozen " + _WHEN + ". You can use the rest. "
        "Ask your super-agent.",
        "{code} {amount} ya akaunti yako imezuiwa " + _LINI + ". Unaweza kutumia zilizobaki. "
        "Muulize wakala mkuu wako.",
        ("free",),
    ),
    TextKind.UNFROZEN: Wording(
        "{code} Your account was unfrozen " + _WHEN + ". You can pay and be paid again.",
        "{code} Akaunti yako imefunguliwa " + _LINI + ". Unaweza kulipa na kulipwa tena.",
        ("balance",),
    ),
    TextKind.UNFROZEN_PART: Wording(
        "{code} {amount} of your account was unfrozen " + _WHEN + ".",
        "{code} {amount} ya akaunti yako imefunguliwa " + _LINI + ".",
        ("free",),
    ),
}
assert WORDINGS.keys() == set(TextKind), "every text has its wording"

OTHER_WORDS: Final = {
    "account": "akaunti",
    "till": "till",
    "agent": "wakala",
    "paybill": "paybill",
}

TOLD: Final[dict[OrderKind, tuple[TextKind | None, TextKind | None]]] = {
    OrderKind.SEND: (TextKind.SENT, TextKind.RECEIVED),
    OrderKind.WITHDRAW: (TextKind.WITHDRAWN, TextKind.WITHDRAWAL_GIVEN),
    OrderKind.DEPOSIT: (TextKind.DEPOSIT_TAKEN, TextKind.DEPOSITED),
    OrderKind.BUY_GOODS: (TextKind.TILL_PAID, TextKind.TILL_RECEIVED),
    OrderKind.BANK_DEPOSIT: (TextKind.WALLET_TO_BANK, None),
    OrderKind.CANCEL: (TextKind.CANCELLED, None),
    OrderKind.FLOAT_SALE: (TextKind.FLOAT_SOLD, TextKind.FLOAT_BOUGHT),
    OrderKind.BANK_WITHDRAWAL: (None, TextKind.BANK_TO_WALLET),
    OrderKind.PAY_BILL: (TextKind.BILL_PAID, TextKind.BILL_RECEIVED),
    OrderKind.AIRTIME: (TextKind.AIRTIME_BOUGHT, TextKind.AIRTIME_SOLD),
    OrderKind.PAY_OUT: (TextKind.PAID_OUT, TextKind.PAY_OUT_RECEIVED),
    OrderKind.BULK_PAY_OUT: (TextKind.BULK_PAID_OUT, TextKind.PAY_OUT_RECEIVED),
    OrderKind.BUSINESS_TRANSFER: (TextKind.BUSINESS_SENT, TextKind.BUSINESS_RECEIVED),
    OrderKind.DEPOSIT_COMMISSION: (None, TextKind.COMMISSION_EARNED),
    OrderKind.EXCISE_REMITTANCE: (None, TextKind.BUSINESS_RECEIVED),
    OrderKind.REQUEST_KEY: (None, TextKind.KEY_REQUESTED),
    OrderKind.TAKE_KEY: (TextKind.KEY_TAKEN, None),
    OrderKind.REFUSE_KEY: (TextKind.KEY_REFUSED, None),
    OrderKind.CHANGE_KEY: (TextKind.KEY_CHANGED, None),
    OrderKind.HOLD: (TextKind.HELD, TextKind.HELD_FOR),
    OrderKind.VOID: (TextKind.VOIDED, TextKind.VOIDED_FOR),
    OrderKind.REFUND: (TextKind.REFUNDED, TextKind.REFUND_RECEIVED),
    OrderKind.ASK_REVERSAL: (TextKind.REVERSAL_ASKED, TextKind.REVERSAL_ASKED_OF),
    OrderKind.REFUSE_REVERSAL: (TextKind.REVERSAL_REFUSED, TextKind.REVERSAL_REFUSED_TO),
    OrderKind.DISPUTE: (TextKind.DISPUTED, TextKind.DISPUTED_WITH),
    OrderKind.FREEZE: (None, TextKind.FROZEN),
    OrderKind.UNFREEZE: (None, TextKind.UNFROZEN),
}
"""What the payer of an order is told, and what its payee; a kind that is missing tells nobody.

A release is told as the payment that it is.
"""


_CUSTODIAL: Final = 8
"""Of the option byte that describes a key: a super-agent keeps it for the owner."""


def told_of(order: Order) -> tuple[TextKind | None, TextKind | None]:
    """Return what the two sides of an order are told (`sides_of`): whose money it is, and the other."""
    moved = as_moved(order) if order.kind == OrderKind.RELEASE else order
    match order.kind:
        case OrderKind.HOLD if order.options[2] & AUTHORISATION_BIT:
            return TextKind.AUTHORISED, TextKind.AUTHORISED_FOR
        case OrderKind.CHANGE_KEY if order.options[1] & _CUSTODIAL:
            return (
                None,
                None,
            )  # a feature phone's super-agents hand it over; its owner has done nothing
        case OrderKind.FREEZE if order.amount_cents:
            return None, TextKind.FROZEN_PART
        case OrderKind.UNFREEZE if order.amount_cents:
            return None, TextKind.UNFROZEN_PART
    known = moved.kind in set(OrderKind)
    return TOLD.get(OrderKind(moved.kind), (None, None)) if known else (None, None)
