"""What the screens say, in English and Swahili; a screen never has more than SCREEN_MAX characters."""

from enum import Enum, auto
from typing import Final

from harambee.feature_phones.port import Obstacle
from harambee.texts.gsm import fold
from harambee.texts.languages import Language

SCREEN_MAX: Final = 182
"""Of a screen, with the word before it that says whether the session goes on."""
FIELD_MAX: Final = 32
"""Of whatever a screen is filled with: an amount, a code, an account at a biller."""
NAME_MAX: Final = 44
"""Of a name with the masked number behind it."""


class Words(Enum):
    """What a screen, or a part of one, says."""

    ROOT = auto()
    REQUEST = auto()
    SEND_TO = auto()
    WITHDRAW_AT = auto()
    AIRTIME = auto()
    AIRTIME_FOR = auto()
    LIPA = auto()
    TILL = auto()
    PAYBILL = auto()
    BILL_ACCOUNT = auto()
    AMOUNT = auto()
    ACCOUNT = auto()
    LANGUAGE = auto()
    PIN = auto()
    NEW_PIN = auto()
    NEW_PIN_AGAIN = auto()
    CONFIRM_SEND = auto()
    CONFIRM_WITHDRAW = auto()
    CONFIRM_AIRTIME = auto()
    CONFIRM_PAY = auto()
    # What was wrong with the input before, above the screen that asks again.
    WRONG_CHOICE = auto()
    WRONG_NUMBER = auto()
    WRONG_CODE = auto()
    WRONG_AMOUNT = auto()
    WRONG_ACCOUNT = auto()
    WRONG_PIN_FORM = auto()
    WEAK_PIN = auto()
    PINS_DIFFER = auto()
    # Ends.
    PAID = auto()
    SENT = auto()
    BALANCE = auto()
    STATEMENT = auto()
    PIN_CHANGED = auto()
    LANGUAGE_CHANGED = auto()
    DECLINED = auto()
    PIN_WRONG = auto()
    PIN_LOCKED = auto()
    FUNDS = auto()
    REFUSED = auto()
    STALE = auto()
    BUSY = auto()
    EXPIRED = auto()
    TOO_LONG = auto()
    NO_AIRTIME = auto()
    NUMBER_UNKNOWN = auto()
    OWN_KEY = auto()
    UNAVAILABLE = auto()
    PAYEE_UNKNOWN = auto()
    PAYEE_HERSELF = auto()
    PAYEE_WRONG = auto()
    NAMES_LOCKED = auto()


_BACK_EN: Final = "\n0. Cancel"
_BACK_SW: Final = "\n0. Ghairi"

WORDS: Final[dict[Words, tuple[str, str]]] = {
    Words.ROOT: (
        "{brand}\n1. Send money\n2. Withdraw cash\n3. Buy airtime\n4. Lipa\n5. My account",
        "{brand}\n1. Tuma pesa\n2. Toa pesa\n3. Nunua muda wa maongezi\n4. Lipa\n5. Akaunti yangu",
    ),
    Words.REQUEST: (
        "{name} asks you for {amount}, account {account}.\n1. Pay\n2. Decline\n3. Menu",
        "{name} anaomba {amount}, akaunti {account}.\n1. Lipa\n2. Kataa\n3. Menyu",
    ),
    Words.SEND_TO: ("Enter phone number" + _BACK_EN, "Weka nambari ya simu" + _BACK_SW),
    Words.WITHDRAW_AT: ("Enter agent number" + _BACK_EN, "Weka nambari ya wakala" + _BACK_SW),
    Words.AIRTIME: (
        "Buy airtime for\n1. My number\n2. Other number" + _BACK_EN,
        "Nunua muda wa maongezi wa\n1. Nambari yangu\n2. Nambari nyingine" + _BACK_SW,
    ),
    Words.AIRTIME_FOR: ("Enter phone number" + _BACK_EN, "Weka nambari ya simu" + _BACK_SW),
    Words.LIPA: (
        "Lipa\n1. Buy goods (till)\n2. Pay bill" + _BACK_EN,
        "Lipa\n1. Nunua bidhaa (till)\n2. Lipa bili" + _BACK_SW,
    ),
    Words.TILL: ("Enter till number" + _BACK_EN, "Weka nambari ya till" + _BACK_SW),
    Words.PAYBILL: ("Enter business number" + _BACK_EN, "Weka nambari ya biashara" + _BACK_SW),
    Words.BILL_ACCOUNT: ("Enter account number" + _BACK_EN, "Weka nambari ya akaunti" + _BACK_SW),
    Words.AMOUNT: ("Enter amount" + _BACK_EN, "Weka kiasi" + _BACK_SW),
    Words.ACCOUNT: (
        "My account\n1. Balance\n2. Mini statement\n3. Change PIN\n4. Language / Lugha" + _BACK_EN,
        "Akaunti yangu\n1. Baki\n2. Taarifa fupi\n3. Badilisha PIN\n4. Lugha / Language" + _BACK_SW,
    ),
    Words.LANGUAGE: ("1. English\n2. Kiswahili" + _BACK_EN, "1. English\n2. Kiswahili" + _BACK_SW),
    Words.PIN: ("Enter PIN" + _BACK_EN, "Weka PIN" + _BACK_SW),
    Words.NEW_PIN: ("Enter new PIN, 4 digits" + _BACK_EN, "Weka PIN mpya, tarakimu 4" + _BACK_SW),
    Words.NEW_PIN_AGAIN: ("Enter new PIN again" + _BACK_EN, "Weka PIN mpya tena" + _BACK_SW),
    Words.CONFIRM_SEND: (
        "Send {amount} to {name}. Cost {fee}.\n1. Confirm" + _BACK_EN,
        "Tuma {amount} kwa {name}. Gharama {fee}.\n1. Thibitisha" + _BACK_SW,
    ),
    Words.CONFIRM_WITHDRAW: (
        "Withdraw {amount} from agent {name}. Cost {fee}.\n1. Confirm" + _BACK_EN,
        "Toa {amount} kwa wakala {name}. Gharama {fee}.\n1. Thibitisha" + _BACK_SW,
    ),
    Words.CONFIRM_AIRTIME: (
        "Buy {amount} of airtime for {account}. Cost {fee}.\n1. Confirm" + _BACK_EN,
        "Nunua muda wa maongezi wa {amount} kwa {account}. Gharama {fee}.\n1. Thibitisha"
        + _BACK_SW,
    ),
    Words.CONFIRM_PAY: (
        "Pay {amount} to {name} {account}. Cost {fee}.\n1. Confirm" + _BACK_EN,
        "Lipa {amount} kwa {name} {account}. Gharama {fee}.\n1. Thibitisha" + _BACK_SW,
    ),
    Words.WRONG_CHOICE: ("Choose a number of the list.", "Chagua nambari ya orodha."),
    Words.WRONG_NUMBER: ("That is no phone number.", "Hiyo si nambari ya simu."),
    Words.WRONG_CODE: ("That is no such number.", "Nambari hiyo si sahihi."),
    Words.WRONG_AMOUNT: ("That is no amount.", "Kiasi hicho si sahihi."),
    Words.WRONG_ACCOUNT: ("That is no account number.", "Nambari hiyo ya akaunti si sahihi."),
    Words.WRONG_PIN_FORM: ("A PIN has 4 digits.", "PIN ina tarakimu 4."),
    Words.WEAK_PIN: ("That PIN is too easy to guess.", "PIN hiyo ni rahisi kukisiwa."),
    Words.PINS_DIFFER: ("The two were not the same.", "Hizo mbili hazifanani."),
    Words.PAID: (
        "{code} Confirmed. {amount} paid. New balance {balance}.",
        "{code} Imethibitishwa. Umelipa {amount}. Baki mpya {balance}.",
    ),
    Words.SENT: (
        "Your payment of {amount} is being processed. Wait for a text; do not pay again.",
        "Malipo yako ya {amount} yanashughulikiwa. Subiri ujumbe; usilipe tena.",
    ),
    Words.BALANCE: (
        "Balance {balance}. You can use {available}.",
        "Baki {balance}. Unaweza kutumia {available}.",
    ),
    Words.STATEMENT: ("Balance {balance}\n{lines}", "Baki {balance}\n{lines}"),
    Words.PIN_CHANGED: ("Your PIN was changed.", "PIN yako imebadilishwa."),
    Words.LANGUAGE_CHANGED: ("Lugha yako ni Kiswahili.", "Your language is English."),
    Words.DECLINED: (
        "Declined. {name} is told that you do not pay.",
        "Umekataa. {name} ataambiwa kwamba hulipi.",
    ),
    Words.PIN_WRONG: (
        "Wrong PIN; nothing was done. Tries left: {left}.",
        "PIN si sahihi; hakuna kilichofanyika. Umebakisha majaribio {left}.",
    ),
    Words.PIN_LOCKED: (
        "Your PIN is locked after three wrong tries. Go to an agent with your ID.",
        "PIN yako imefungwa baada ya makosa matatu. Nenda kwa wakala na kitambulisho chako.",
    ),
    Words.FUNDS: (
        "You have too little money: you can use {available}. Nothing was paid.",
        "Pesa hazitoshi: unaweza kutumia {available}. Hakuna kilicholipwa.",
    ),
    Words.REFUSED: ("Not paid. {reason}", "Haikulipwa. {reason}"),
    Words.STALE: (
        "Your account was used meanwhile, or the price changed; nothing was paid. Dial again.",
        "Akaunti yako imetumika au bei imebadilika; hakuna kilicholipwa. Piga tena.",
    ),
    Words.BUSY: (
        "Something else is being done with your account. Dial again in a minute.",
        "Akaunti yako inatumika kwa sasa. Piga tena baada ya dakika moja.",
    ),
    Words.EXPIRED: (
        "This took too long; nothing was done. Dial again.",
        "Muda umeisha; hakuna kilichofanyika. Piga tena.",
    ),
    Words.TOO_LONG: (
        "That was too much; nothing was done. Dial again.",
        "Umeandika mengi mno; hakuna kilichofanyika. Piga tena.",
    ),
    Words.NO_AIRTIME: ("No airtime is sold here yet.", "Muda wa maongezi hauuzwi hapa bado."),
    Words.NUMBER_UNKNOWN: (
        "No account is registered under your number. Go to an agent with your ID.",
        "Nambari yako haijasajiliwa. Nenda kwa wakala na kitambulisho chako.",
    ),
    Words.OWN_KEY: (
        "The key of your account is on your smartphone: use it to pay.",
        "Ufunguo wa akaunti yako uko kwenye simu yako ya kisasa: itumie kulipa.",
    ),
    Words.UNAVAILABLE: (
        "The service cannot be reached just now. If you were paying, wait for a text before you pay again.",
        "Huduma haipatikani kwa sasa. Kama ulikuwa unalipa, subiri ujumbe kabla ya kulipa tena.",
    ),
    Words.PAYEE_UNKNOWN: (
        "No account is registered under that number.",
        "Nambari hiyo haijasajiliwa.",
    ),
    Words.PAYEE_HERSELF: ("You cannot pay yourself.", "Huwezi kujilipa mwenyewe."),
    Words.PAYEE_WRONG: (
        "That account cannot be paid in this way.",
        "Akaunti hiyo haiwezi kulipwa kwa njia hii.",
    ),
    Words.NAMES_LOCKED: (
        "You have looked up too many names today without paying. Try again tomorrow.",
        "Umeangalia majina mengi leo bila kulipa. Jaribu tena kesho.",
    ),
}
assert WORDS.keys() == set(Words), "every screen has its words"

OBSTACLES: Final = {
    Obstacle.NUMBER_UNKNOWN: Words.NUMBER_UNKNOWN,
    Obstacle.OWN_KEY: Words.OWN_KEY,
    Obstacle.UNAVAILABLE: Words.UNAVAILABLE,
    Obstacle.PAYEE_UNKNOWN: Words.PAYEE_UNKNOWN,
    Obstacle.PAYEE_HERSELF: Words.PAYEE_HERSELF,
    Obstacle.PAYEE_WRONG: Words.PAYEE_WRONG,
    Obstacle.AMOUNT_WRONG: Words.WRONG_AMOUNT,
    Obstacle.NAMES_LOCKED: Words.NAMES_LOCKED,
}
assert OBSTACLES.keys() == set(Obstacle), "every obstacle has its screen"


def say(words: Words, language: Language, **fields: str) -> str:
    """Return what a screen says, in the alphabet of an SMS, filled with `fields`, which are cut."""
    text = WORDS[words][language is Language.SWAHILI]
    long = {"lines", "reason"}
    known = {
        name: value if name in long else fold(value)[: _longest(name)].rstrip()
        for name, value in fields.items()
    }
    lines = text.format(**known).split("\n")
    return "\n".join(fold(line) for line in lines if line.strip())


def _longest(field: str) -> int:
    return NAME_MAX if field == "name" else FIELD_MAX


def screen(text: str, *, goes_on: bool, error: str = "") -> str:
    """Return an answer to Africa's Talking: a screen after which she types, or the last one.

    What asks again begins with what was wrong, where there is room for it.
    """
    word = "CON " if goes_on else "END "
    if error and len(word) + len(error) + 1 + len(text) <= SCREEN_MAX:
        text = f"{error}\n{text}"
    return (word + text)[:SCREEN_MAX]
