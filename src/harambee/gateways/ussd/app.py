"""The USSD gateway: POST /ussd, as Africa's Talking calls back, answered by one screen.

Africa's Talking signs nothing. Whoever may post here can say which telephone somebody dials from, and is
kept from paying by her PIN alone; so callbacks are taken from configured addresses only, at first from this
machine, and a door has a bounded number of sessions. What goes wrong is a screen as well: an HTTP error
would leave the caller with nothing.
"""

import asyncio
import hashlib
import ipaddress
import re
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl

from harambee.feature_phones.messages import Act, Deed, Done, Fate
from harambee.feature_phones.port import Caller, Obstacle, PhonesPort, Quote, UssdSettings
from harambee.gateways.http.answers import Answer
from harambee.gateways.http.problems import ProblemError
from harambee.gateways.http.requests import Receive, Request, Scope, read_request
from harambee.gateways.ussd.menu import Confirm, Do, End, Show, walk
from harambee.gateways.ussd.sessions import ANSWERS_MAX, Session, Sessions
from harambee.gateways.ussd.wording import OBSTACLES, Words, say, screen
from harambee.handset.telephone import TelephoneError, telephone
from harambee.ledger.kinds import OrderKind
from harambee.ledger.outcomes import Outcome
from harambee.money.amounts import format_cents
from harambee.node.port import Port
from harambee.texts.languages import Language
from harambee.texts.parties import masked_telephone
from harambee.texts.reasons import reason

PATH: Final = "/ussd"
BODY_BYTES_MAX: Final = 4_096
FIELDS_MAX: Final = 16
TEXT_MAX: Final = 1_024
AT_ONCE_MAX: Final = 128
PLAIN: Final = b"text/plain; charset=utf-8"

_SESSION: Final = re.compile(r"[!-~]{1,100}", re.ASCII)
_CONFIRMS: Final = {
    OrderKind.SEND: Words.CONFIRM_SEND,
    OrderKind.WITHDRAW: Words.CONFIRM_WITHDRAW,
    OrderKind.AIRTIME: Words.CONFIRM_AIRTIME,
}
_FATES: Final = {
    Fate.WEAK_PIN: Words.WEAK_PIN,
    Fate.STALE: Words.STALE,
    Fate.BUSY: Words.BUSY,
    Fate.UNAVAILABLE: Words.UNAVAILABLE,
    Fate.NOT_HERE: Words.UNAVAILABLE,
    Fate.LOCKED: Words.PIN_LOCKED,
}


@dataclass(frozen=True, slots=True)
class Callback:
    """What Africa's Talking says."""

    session: str
    number: str
    """In the form +254712345678."""
    text: str = field(repr=False)
    """All that was typed so far, joined by asterisks: PINs are among it."""


class CallbackError(ValueError):
    """No callback; the message is one sentence and repeats nothing of what was sent."""


def read_callback(content_type: str, body: bytes) -> Callback:
    """Return the callback in a form; CallbackError if there is none."""
    if content_type != "application/x-www-form-urlencoded":
        raise CallbackError("A callback is a form.")
    if len(body) > BODY_BYTES_MAX:
        raise CallbackError(f"A callback has at most {BODY_BYTES_MAX} bytes.")
    try:
        pairs = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, max_num_fields=FIELDS_MAX, errors="strict"
        )
    except ValueError:
        raise CallbackError("This is no form that can be read.") from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise CallbackError("The form names one field twice.")
    return _callback_of(fields)


def _callback_of(fields: Mapping[str, str]) -> Callback:
    session, text = fields.get("sessionId", ""), fields.get("text", "")
    if not _SESSION.fullmatch(session):
        raise CallbackError("The session has no name.")
    if len(text) > TEXT_MAX:
        raise CallbackError("The text is too long.")
    try:
        number = telephone(fields.get("phoneNumber", ""))
    except TelephoneError:
        raise CallbackError("The telephone's number cannot be one.") from None
    return Callback(session, number, text)


class UssdGateway:
    """One super-agent's USSD door."""

    def __init__(self, port: Port, clock: Callable[[], float] = time.monotonic) -> None:
        self._port = port
        self._sessions = Sessions(clock)
        self._at_once = 0
        self._key = secrets.token_bytes(32)

    @property
    def _settings(self) -> UssdSettings:
        return self._port.ussd

    async def answer(self, scope: Scope, receive: Receive) -> Answer:
        """Answer one request under PATH; ClientGoneError where nobody waits any more."""
        if scope["method"] != "POST":
            return _plain(405, "END This takes POST only.")
        if not is_from(scope.get("client"), self._settings.sources):
            return _plain(403, "END Callbacks are not taken from this address.")
        try:
            request: Request = await read_request(scope, receive, ())
            callback = read_callback(request.content_type, request.body)
        except ProblemError as problem:
            return _plain(problem.status, "END This cannot be read.")
        except CallbackError as error:
            return _plain(400, f"END {error}")
        if self._at_once >= AT_ONCE_MAX:
            return _plain(200, self._end(Words.UNAVAILABLE))
        self._at_once += 1
        try:
            return _plain(200, await self.screen(callback))
        finally:
            self._at_once -= 1

    async def screen(self, callback: Callback) -> str:
        """Return the screen that follows a callback; the same for the same callback, and done once."""
        session = self._sessions.find(callback.session)
        if session is None:
            # What was typed into a session that is not known here is not acted on: it may have been before.
            if callback.text:
                return self._end(Words.EXPIRED)
            session = self._sessions.begin(callback.session, callback.number)
            if session is None:
                return self._end(Words.UNAVAILABLE)
        if session.number != callback.number:
            return self._end(Words.EXPIRED)
        # PINs are among what was typed: its digest under a key of this process is remembered instead.
        said = hashlib.blake2b(callback.text.encode(), digest_size=16, key=self._key).digest()
        task = session.answers.get(said)
        if task is None:
            if len(session.answers) >= ANSWERS_MAX:
                return self._end(Words.TOO_LONG)
            task = asyncio.create_task(self._next(session, callback))
            session.answers[said] = task
        # Whoever hangs up does not stop what has begun.
        return await asyncio.shield(task)

    async def _next(self, session: Session, callback: Callback) -> str:
        phones = self._port.phones
        if session.caller is None:
            caller = await phones.caller(callback.number)
            if isinstance(caller, Obstacle):
                return self._end(OBSTACLES[caller])
            session.caller = caller
        inputs = callback.text.split("*") if callback.text else []
        step = walk(
            inputs,
            number=callback.number,
            airtime=self._settings.airtime,
            has_request=session.caller.request is not None,
        )
        caller, language = session.caller, session.caller.language
        match step:
            case Show(words, error):
                return self._show(words, error, caller)
            case Confirm():
                return await self._confirm(phones, session, caller, step)
            case Do():
                return await self._do(phones, session, caller, step)
            case End(words):
                return screen(say(words, language), goes_on=False)

    def _show(self, words: Words, error: Words | None, caller: Caller) -> str:
        fields = {"brand": self._settings.brand}
        if words is Words.REQUEST and caller.request is not None:
            asked = caller.request
            fields = {
                "name": asked.payee_name,
                "amount": format_cents(asked.amount_cents),
                "account": asked.account or asked.short_code,
            }
        text = say(words, caller.language, **fields)
        return screen(
            text, goes_on=True, error="" if error is None else say(error, caller.language)
        )

    async def _confirm(
        self, phones: PhonesPort, session: Session, caller: Caller, step: Confirm
    ) -> str:
        quote = session.quotes.get(step.inputs)
        if quote is None:
            if step.wish is None:
                quote = await phones.quote_request(caller)
            else:
                quote = await phones.quote(caller, step.wish)
            session.quotes[step.inputs] = quote
        if isinstance(quote, Obstacle):
            return screen(say(OBSTACLES[quote], caller.language), goes_on=False)
        account = ""
        if step.wish is not None:
            number = step.wish.airtime_for
            account = step.wish.bill_account or masked_telephone(number) or number
        elif caller.request is not None:
            account = caller.request.account
        text = say(
            _CONFIRMS.get(quote.kind, Words.CONFIRM_PAY),
            caller.language,
            name=_named(quote, step, caller),
            amount=format_cents(quote.amount_cents),
            fee=format_cents(quote.fee_cents),
            account=account,
        )
        error = "" if step.error is None else say(step.error, caller.language)
        return screen(text, goes_on=True, error=error)

    async def _do(self, phones: PhonesPort, session: Session, caller: Caller, step: Do) -> str:
        language = caller.language
        if step.deed is Deed.PAY:
            quote = session.quotes.get(step.inputs)
            if not isinstance(quote, Quote):
                # She has not seen whom she pays: somebody typed it all at once.
                return screen(say(Words.EXPIRED, language), goes_on=False)
            done = await phones.act(
                Act(
                    caller.account,
                    Deed.PAY,
                    step.pin,
                    first_sequence=caller.next_sequence,
                    kind=int(quote.kind),
                    payee=quote.payee,
                    amount_cents=quote.amount_cents,
                    fee_cents=quote.fee_cents,
                    reference=quote.reference,
                )
            )
            return screen(_paid(done, quote, language), goes_on=False)
        reference = caller.request_id if step.deed is Deed.DECLINE else bytes(32)
        done = await phones.act(
            Act(
                caller.account,
                step.deed,
                step.pin,
                reference=reference,
                new_pin=step.new_pin,
                language=step.language,
            )
        )
        return screen(_done(done, step, caller), goes_on=False)

    def _end(self, words: Words) -> str:
        return screen(say(words, self._settings.language), goes_on=False)


def _named(quote: Quote, step: Confirm, caller: Caller) -> str:
    """Return the payee as she is shown: her masked name and number, or what was typed."""
    known = f"{quote.name} {quote.number}".strip()
    if known:
        return known
    if step.wish is None:
        return "" if caller.request is None else caller.request.payee_name
    return masked_telephone(step.wish.to) or step.wish.to.partition(":")[2]


def _paid(done: Done, quote: Quote, language: Language) -> str:
    amount = format_cents(quote.amount_cents)
    match done.fate:
        case Fate.DONE:
            balance = format_cents(done.balance_cents)
            return say(Words.PAID, language, code=done.code, amount=amount, balance=balance)
        case Fate.SENT:
            return say(Words.SENT, language, amount=amount)
    return _undone(done, language)


def _undone(done: Done, language: Language) -> str:
    """Return why something was not done."""
    match done.fate:
        case Fate.WRONG_PIN:
            return say(Words.PIN_WRONG, language, left=str(done.tries_left))
        case Fate.FUNDS:
            return say(Words.FUNDS, language, available=format_cents(done.available_cents))
        case Fate.REFUSED:
            known = done.outcome in set(Outcome)
            why = reason(Outcome(done.outcome), language) if known else ""
            return say(Words.REFUSED, language, reason=why)
    return say(_FATES.get(done.fate, Words.UNAVAILABLE), language)


def _done(done: Done, step: Do, caller: Caller) -> str:
    language = caller.language
    if done.fate is not Fate.DONE:
        return _undone(done, language)
    match step.deed:
        case Deed.BALANCE:
            balance, free = format_cents(done.balance_cents), format_cents(done.available_cents)
            return say(Words.BALANCE, language, balance=balance, available=free)
        case Deed.STATEMENT:
            balance = format_cents(done.balance_cents)
            return say(Words.STATEMENT, language, balance=balance, lines=_lines(done))
        case Deed.NEW_PIN:
            return say(Words.PIN_CHANGED, language)
        case Deed.DECLINE:
            name = "" if caller.request is None else caller.request.payee_name
            return say(Words.DECLINED, language, name=name)
    # In the language that she has chosen: the words are the other way round.
    chosen = Language.ENGLISH if step.language is Language.SWAHILI else Language.SWAHILI
    return say(Words.LANGUAGE_CHANGED, chosen)


def _lines(done: Done) -> str:
    """Return the lines of a short statement: receipt code, and what came or went."""
    return "\n".join(f"{line.code} {_signed(line.change_cents)}" for line in done.lines)


def _signed(cents: int) -> str:
    sign = "-" if cents < 0 else "+"
    return sign + format_cents(abs(cents)).removeprefix("Ksh")


def is_from(client: object, sources: Sequence[str]) -> bool:
    """Say whether a connection comes from one of these networks; from nowhere is from none."""
    if not isinstance(client, Sequence) or not client:
        return False
    try:
        address = ipaddress.ip_address(str(client[0]))
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    address = address if mapped is None else mapped
    return any(address in ipaddress.ip_network(source) for source in sources)


def _plain(status: int, text: str) -> Answer:
    return Answer(text.encode(), PLAIN, status)
