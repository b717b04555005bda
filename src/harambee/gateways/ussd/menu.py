"""The menu as a function of what was typed: `walk(inputs)` says what is shown next, or what is to be done.

Africa's Talking brings all that was typed in a session each time, joined by asterisks. So the menu keeps no
place: it is walked anew from its root, and an input that is wrong leaves one where one is. 0 leads back to
the root from anywhere. Nothing is done on the way; the last input of whatever is done is the PIN.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, NoReturn, TypeVar

from harambee.feature_phones.messages import Deed
from harambee.feature_phones.pins import PinError, check_new_pin, is_pin
from harambee.feature_phones.port import Wish
from harambee.gateways.ussd.wording import Words
from harambee.handset.telephone import TelephoneError, telephone
from harambee.ledger.kinds import OrderKind
from harambee.money.amounts import MAX_AMOUNT_CENTS
from harambee.texts.languages import Language

INPUTS_MAX: Final = 48
INPUT_MAX: Final = 64
BILL_ACCOUNT_MAX: Final = 20
BACK: Final = "0"

T = TypeVar("T")

_SHORT_CODE: Final = re.compile(r"[0-9]{5,7}", re.ASCII)
_AMOUNT: Final = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Show:
    """A screen after which she types."""

    words: Words
    error: Words | None = None


@dataclass(frozen=True, slots=True)
class Confirm:
    """A screen that says to whom, how much and at which price; what is typed next is her yes."""

    wish: Wish | None
    """None for the merchant's request that waits."""
    inputs: tuple[str, ...]
    """What led here: what is shown here is remembered under it."""
    error: Words | None = None


@dataclass(frozen=True, slots=True)
class Do:
    """Something is to be done."""

    deed: Deed
    pin: str | None = field(default=None, repr=False)
    new_pin: str | None = field(default=None, repr=False)
    language: Language | None = None
    inputs: tuple[str, ...] = ()
    """Of a payment: under what it was confirmed."""


@dataclass(frozen=True, slots=True)
class End:
    """The last screen, without anything being done."""

    words: Words


Step = Show | Confirm | Do | End


class _Stop(Exception):  # noqa: N818 - no error: what was typed ends here
    def __init__(self, step: Step) -> None:
        self.step = step


class _Back(Exception):  # noqa: N818 - no error either
    pass


class _WrongError(ValueError):
    def __init__(self, words: Words) -> None:
        self.words = words


def walk(
    inputs: Sequence[str], *, number: str, airtime: str = "", has_request: bool = False
) -> Step:
    """Return what follows what was typed, by whoever dials from `number`.

    `airtime` is the short code of who sells airtime, in its canonical form; nothing where nobody does.
    """
    if len(inputs) > INPUTS_MAX or any(len(text) > INPUT_MAX for text in inputs):
        return End(Words.TOO_LONG)
    walker = _Walker(inputs, number, airtime)
    try:
        if has_request:
            walker.request()
        while True:
            try:
                walker.root()
            except _Back:
                continue
    except _Stop as stop:
        return stop.step


class _Walker:
    """Goes through the menu; every method ends by raising."""

    def __init__(self, inputs: Sequence[str], number: str, airtime: str) -> None:
        self._inputs = tuple(text.strip() for text in inputs)
        self._number = number
        self._airtime = airtime
        self._at = 0

    def request(self) -> None:
        """What a merchant asks for comes first; returns where she would rather have the menu."""
        try:
            choice = self._choose(Words.REQUEST, 3)
            if choice == 1:
                self._confirmed(None)
            if choice == 2:
                raise _Stop(Do(Deed.DECLINE))
        except _Back:
            return

    def root(self) -> NoReturn:
        branches = (self._send, self._withdraw, self._buy_airtime, self._lipa, self._account)
        branches[self._choose(Words.ROOT, len(branches)) - 1]()

    def _send(self) -> NoReturn:
        to = self._ask(Words.SEND_TO, _telephone)
        self._confirmed(Wish(OrderKind.SEND, to, self._amount()))

    def _withdraw(self) -> NoReturn:
        to = self._ask(Words.WITHDRAW_AT, _short_code("agent"))
        self._confirmed(Wish(OrderKind.WITHDRAW, to, self._amount()))

    def _buy_airtime(self) -> NoReturn:
        if not self._airtime:
            raise _Stop(End(Words.NO_AIRTIME))
        number = self._number
        if self._choose(Words.AIRTIME, 2) == 2:
            number = self._ask(Words.AIRTIME_FOR, _telephone)
        wish = Wish(OrderKind.AIRTIME, self._airtime, self._amount(), airtime_for=number)
        self._confirmed(wish)

    def _lipa(self) -> NoReturn:
        if self._choose(Words.LIPA, 2) == 1:
            to = self._ask(Words.TILL, _short_code("till"))
            self._confirmed(Wish(OrderKind.BUY_GOODS, to, self._amount()))
        to = self._ask(Words.PAYBILL, _short_code("paybill"))
        account = self._ask(Words.BILL_ACCOUNT, _bill_account)
        self._confirmed(Wish(OrderKind.PAY_BILL, to, self._amount(), bill_account=account))

    def _account(self) -> NoReturn:
        match self._choose(Words.ACCOUNT, 4):
            case 1:
                raise _Stop(Do(Deed.BALANCE, self._ask(Words.PIN, _pin)))
            case 2:
                raise _Stop(Do(Deed.STATEMENT, self._ask(Words.PIN, _pin)))
            case 3:
                self._change_pin()
            case _:
                chosen = (Language.ENGLISH, Language.SWAHILI)[self._choose(Words.LANGUAGE, 2) - 1]
                raise _Stop(Do(Deed.LANGUAGE, language=chosen))

    def _change_pin(self) -> NoReturn:
        pin = self._ask(Words.PIN, _pin)
        error = None
        while True:
            new = self._ask(Words.NEW_PIN, _new_pin, error)
            if self._ask(Words.NEW_PIN_AGAIN, _pin) == new:
                raise _Stop(Do(Deed.NEW_PIN, pin, new))
            error = Words.PINS_DIFFER

    def _confirmed(self, wish: Wish | None) -> NoReturn:
        """Let her see what it would be, then let her PIN be the last word."""
        led_here = self._inputs[: self._at]
        error = None
        while True:
            if self._is_at_end:
                raise _Stop(Confirm(wish, led_here, error))
            if self._next() == "1":
                break
            error = Words.WRONG_CHOICE
        raise _Stop(Do(Deed.PAY, self._ask(Words.PIN, _pin), inputs=led_here))

    def _amount(self) -> int:
        return self._ask(Words.AMOUNT, _amount)

    def _choose(self, words: Words, most: int) -> int:
        def choice(text: str) -> int:
            if text not in {str(number) for number in range(1, most + 1)}:
                raise _WrongError(Words.WRONG_CHOICE)
            return int(text)

        return self._ask(words, choice)

    def _ask(self, words: Words, read: Callable[[str], T], error: Words | None = None) -> T:
        """Return the next input that can be read; a screen where there is none."""
        while True:
            if self._is_at_end:
                raise _Stop(Show(words, error))
            text = self._next()
            try:
                return read(text)
            except _WrongError as wrong:
                error = wrong.words

    @property
    def _is_at_end(self) -> bool:
        return self._at >= len(self._inputs)

    def _next(self) -> str:
        text = self._inputs[self._at]
        self._at += 1
        if text == BACK:
            raise _Back
        return text


def _telephone(text: str) -> str:
    try:
        return telephone(text)
    except TelephoneError:
        raise _WrongError(Words.WRONG_NUMBER) from None


def _short_code(word: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if not _SHORT_CODE.fullmatch(text):
            raise _WrongError(Words.WRONG_CODE)
        return f"{word}:{text}"

    return read


def _bill_account(text: str) -> str:
    if not 1 <= len(text) <= BILL_ACCOUNT_MAX or not text.isascii() or not text.isprintable():
        raise _WrongError(Words.WRONG_ACCOUNT)
    return text


def _amount(text: str) -> int:
    """Return whole shillings as cents: a keypad has no point."""
    if not _AMOUNT.fullmatch(text) or int(text) * 100 > MAX_AMOUNT_CENTS:
        raise _WrongError(Words.WRONG_AMOUNT)
    return int(text) * 100


def _pin(text: str) -> str:
    if not is_pin(text):
        raise _WrongError(Words.WRONG_PIN_FORM)
    return text


def _new_pin(text: str) -> str:
    try:
        check_new_pin(text)
    except PinError:
        raise _WrongError(Words.WEAK_PIN if is_pin(text) else Words.WRONG_PIN_FORM) from None
    return text
