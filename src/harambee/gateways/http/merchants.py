"""Merchants' software over HTTP: ask customers for money, see what came, say where to be told.

Software says who it is with HTTP Basic, its consumer key and secret; every super-agent knows the
digest of the secret, so any of them can be asked. What is sent twice under one name, or with one
Idempotency-Key, is done once, at whichever super-agents it arrives. Telephone numbers come in
bodies only, never in addresses.
"""

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from urllib.parse import urlsplit

from harambee.crypto.hashing import digest
from harambee.gateways.http.answers import Answer, json_answer
from harambee.gateways.http.merchant_documents import (
    AskDocument,
    EventsDocument,
    InstructionTaken,
    PaymentsDocument,
    PayOutDocument,
    RefundDocument,
    SecretDocument,
    WebhookDocument,
    event_document,
    merchant_document,
    payment_document,
    request_document,
)
from harambee.gateways.http.problems import STATUS_OF, ProblemError, bad_request, not_found
from harambee.gateways.http.requests import Request
from harambee.gateways.http.webhooks import FORM, secret_text
from harambee.handset.numbers import canonical_number
from harambee.handset.telephone import TelephoneError, telephone
from harambee.merchants.book import ring
from harambee.merchants.port import (
    NAME_CHARACTERS_MAX,
    App,
    Ask,
    Deed,
    Instruction,
    Merchant,
    MerchantsError,
    Reason,
)
from harambee.node.port import Port

CREDENTIALS_BYTES_MAX: Final = 1_024
EVENTS_DEFAULT: Final = 50
EVENTS_MAX: Final = 500
PAYMENTS_DEFAULT: Final = 100
PAYMENTS_MAX: Final = 1_000
CURSOR_MAX: Final = (1 << 53) - 1
"""The largest whole number that every JSON reader keeps whole."""
OFFSET_MAX: Final = 10_000_000
RESERVED_NAMES: Final = frozenset({"query", "declines"})
"""What stands behind /v1/requests/ and is no request's name."""

CHALLENGE: Final = 'Basic realm="harambee", charset="UTF-8"'

assert {reason.name for reason in Reason} <= STATUS_OF.keys(), (
    "a problem's code is the reason's name"
)

_KEY: Final = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,62}[\x21-\x7e])?", re.ASCII)
_SHORT_CODE: Final = re.compile(r"[0-9]{5,7}", re.ASCII)
_NAME: Final = re.compile(rf"[A-Za-z0-9._~-]{{1,{NAME_CHARACTERS_MAX}}}", re.ASCII)
_URL: Final = re.compile(r"[\x21-\x7e]+", re.ASCII)


@contextmanager
def problems() -> Iterator[None]:
    """Turn what the port refuses into the problem that is told."""
    try:
        yield
    except MerchantsError as error:
        code = error.reason.name
        raise ProblemError(STATUS_OF[code], code, error.sentence) from error


async def ask(port: Port, request: Request) -> Answer:
    """POST /v1/requests: ask a customer for money."""
    app = await _app(port, request)
    asked = request.json(AskDocument)
    _controls(app, asked.short_code)
    for text in (asked.account, asked.text):
        if not text.isprintable():
            raise bad_request("TEXT_INVALID", "account and text must be of characters that print.")
    name, is_derived = _name_of(app, asked.name, request.header("idempotency-key"))
    wanted = Ask(
        consumer_key=app.consumer_key,
        short_code=asked.short_code,
        msisdn=_telephone(asked.msisdn),
        amount_cents=asked.amount_cents,
        name=name,
        account=asked.account,
        text=asked.text,
        callback_url=_url(asked.callback_url),
        form=FORM,
        lasts_ms=asked.lasts_ms,
    )
    try:
        with problems():
            view = await port.merchants.ask_payment(wanted)
    except ProblemError as problem:
        if is_derived and problem.code == Reason.NAME_TAKEN.name:
            raise ProblemError(
                422,
                "IDEMPOTENCY_KEY_REUSED",
                "Something else was asked with this Idempotency-Key; a new request needs a new one.",
            ) from problem
        raise
    return json_answer(request_document(view), 201)


async def request_named(port: Port, request: Request) -> Answer:
    """GET /v1/requests/{name}: how it stands with a request."""
    app = await _app(port, request)
    name = request.captured[0]
    unknown = not_found("REQUEST_UNKNOWN", "No request of this name is known here.")
    if not _NAME.fullmatch(name):
        raise unknown
    with problems():
        view = await port.merchants.request(name)
    # Whose request it is, is nobody else's business: to others it does not exist.
    if view is None or view.short_code not in app.short_codes:
        raise unknown
    return json_answer(request_document(view))


async def merchant(port: Port, request: Request) -> Answer:
    """GET /v1/merchants/{short_code}: the merchant, as its own software may see it."""
    _, short_code = await _own(port, request)
    found, members = await _recorded(port, short_code)
    return json_answer(merchant_document(found, members))


async def events(port: Port, request: Request) -> Answer:
    """GET /v1/merchants/{short_code}/events: what happened behind a cursor of this super-agent's."""
    _, short_code = await _own(port, request)
    await _recorded_here(port, short_code)
    after = request.number("after", 0, CURSOR_MAX)
    limit = max(1, request.number("limit", EVENTS_DEFAULT, EVENTS_MAX))
    with problems():
        found = await port.merchants.events(short_code, after, limit)
    documents = [event_document(event) for event in found]
    return json_answer(EventsDocument(documents, found[-1].cursor if found else after))


async def payments(port: Port, request: Request) -> Answer:
    """GET /v1/merchants/{short_code}/payments: what the merchant was paid in a time, oldest first."""
    _, short_code = await _own(port, request)
    await _recorded_here(port, short_code)
    since = request.number("since_ms", 0, CURSOR_MAX)
    until = request.number("until_ms", CURSOR_MAX, CURSOR_MAX)
    offset = request.number("offset", 0, OFFSET_MAX)
    limit = max(1, request.number("limit", PAYMENTS_DEFAULT, PAYMENTS_MAX))
    with problems():
        found = await port.merchants.payments(short_code, since, until, offset, limit)
    following = offset + len(found) if len(found) == limit else None
    return json_answer(PaymentsDocument([payment_document(each) for each in found], following))


async def webhook(port: Port, request: Request) -> Answer:
    """PUT /v1/merchants/{short_code}/webhook: where events go, and the secret that signs them."""
    app, short_code = await _own(port, request)
    url = _url(request.json(WebhookDocument).url)
    with problems():
        secret = await port.merchants.set_webhook(app.consumer_key, short_code, url)
    return json_answer(SecretDocument(secret_text(secret)))


async def refund(port: Port, request: Request) -> Answer:
    """POST /v1/merchants/{short_code}/refunds: give a payment back, by the merchant's own key."""
    app, short_code = await _own(port, request)
    asked = request.json(RefundDocument)
    instruction = Instruction(
        deed=Deed.REVERSE,
        consumer_key=app.consumer_key,
        short_code=short_code,
        initiator=asked.initiator,
        credential=asked.credential,
        name=_checked(asked.name),
        conversation=_conversation(short_code, asked.name),
        form=FORM,
        result_url=_url(asked.result_url),
        amount_cents=asked.amount_cents,
        subject=asked.receipt_code,
        remarks=asked.remarks,
    )
    return await _instruct(port, instruction)


async def pay_out(port: Port, request: Request) -> Answer:
    """POST /v1/merchants/{short_code}/pay-outs: pay a customer or a business, by the merchant's own key."""
    app, short_code = await _own(port, request)
    asked = request.json(PayOutDocument)
    payee = _payee(asked.payee)
    instruction = Instruction(
        deed=Deed.PAY_CUSTOMER if payee.startswith("+") else Deed.PAY_BUSINESS,
        consumer_key=app.consumer_key,
        short_code=short_code,
        initiator=asked.initiator,
        credential=asked.credential,
        name=_checked(asked.name),
        conversation=_conversation(short_code, asked.name),
        form=FORM,
        result_url=_url(asked.result_url),
        amount_cents=asked.amount_cents,
        payee=payee,
        remarks=asked.remarks,
    )
    return await _instruct(port, instruction)


async def _instruct(port: Port, instruction: Instruction) -> Answer:
    with problems():
        await port.merchants.instruct(instruction)
    return json_answer(InstructionTaken(instruction.name, instruction.conversation), 202)


async def _app(port: Port, request: Request) -> App:
    """Return the software that asks; a 401 where it does not show that it is one."""
    key, secret = _basic(request.header("authorization"))
    with problems():
        app = await port.merchants.app(key)
    given = hashlib.sha256(secret).digest()
    # One comparison for known and unknown keys, so that its time tells nothing of either.
    matches = hmac.compare_digest(given, bytes(32) if app is None else app.secret_digest)
    if app is None or not matches:
        raise _unauthorized("This consumer key and secret are not known here.")
    return app


def _basic(header: str) -> tuple[str, bytes]:
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        raise _unauthorized("Say who asks: HTTP Basic, with a consumer key and its secret.")
    unread = _unauthorized("The header authorization cannot be read.")
    if len(encoded) > CREDENTIALS_BYTES_MAX:
        raise unread
    try:
        plain = base64.b64decode(encoded.strip(), validate=True)
        key, secret = plain.split(b":", 1)
        return key.decode("utf-8"), secret
    except ValueError as error:
        raise unread from error


def _unauthorized(sentence: str) -> ProblemError:
    return ProblemError(401, "UNAUTHORIZED", sentence, challenge=CHALLENGE)


def _controls(app: App, short_code: str) -> None:
    if short_code not in app.short_codes:
        raise ProblemError(
            403, "SHORT_CODE_FORBIDDEN", "This software does not act for this short code."
        )


async def _own(port: Port, request: Request) -> tuple[App, str]:
    """Return the software that asks and the short code of the path, for which it acts."""
    app = await _app(port, request)
    short_code = request.captured[0]
    if not _SHORT_CODE.fullmatch(short_code):
        raise bad_request("SHORT_CODE_INVALID", "A short code is 5 to 7 digits.")
    _controls(app, short_code)
    return app, short_code


async def _recorded(port: Port, short_code: str) -> tuple[Merchant, tuple[int, ...]]:
    """Return a merchant and the super-agents that record what happens to it."""
    with problems():
        found = await port.merchants.merchant(short_code)
    if found is None:
        raise not_found(Reason.MERCHANT_UNKNOWN.name, "There is no merchant of this short code.")
    return found, ring(port.genesis.committee, found)


async def _recorded_here(port: Port, short_code: str) -> None:
    """Check that this super-agent has a merchant's events: an empty list of others would be a lie."""
    _, recorders = await _recorded(port, short_code)
    if port.index not in recorders:
        members = port.genesis.committee.members
        names = ", ".join(members[index].name for index in recorders)
        raise ProblemError(
            421,
            "RECORDED_ELSEWHERE",
            f"What happens to this merchant is recorded at {names}: ask one of them.",
        )


def _name_of(app: App, name: str | None, key: str) -> tuple[str, bool]:
    """Return what a request is called, and whether that came from its Idempotency-Key.

    The name of a key depends on the software and the key alone, so every super-agent finds the same.
    """
    if key and not _KEY.fullmatch(key):
        raise bad_request(
            "IDEMPOTENCY_KEY_INVALID",
            "An Idempotency-Key is 1 to 64 printable characters of ASCII.",
        )
    if name is not None:
        if name in RESERVED_NAMES:
            raise bad_request("NAME_RESERVED", f"A request cannot be called {name}.")
        return _checked(name), False
    if key:
        said = app.consumer_key.encode(), b"\0", key.encode("ascii")
        return f"key-{digest(b'harambee idempotency key', *said).hex()[:48]}", True
    return f"req-{secrets.token_hex(24)}", False


def _checked(name: str) -> str:
    """Return a name that stands in addresses; the schema's pattern lets a last end of line through."""
    if not _NAME.fullmatch(name):
        raise bad_request("NAME_INVALID", "A name is 1 to 64 letters, digits or signs of . _ ~ -")
    return name


def _conversation(short_code: str, name: str) -> str:
    """Return what an instruction is called in its event: the same however often it is sent."""
    said = short_code.encode(), b"\0", name.encode("ascii")
    return f"ins-{digest(b'harambee conversation', *said).hex()[:48]}"


def _telephone(text: str) -> str:
    try:
        return telephone(text)
    except TelephoneError as error:
        raise bad_request("TELEPHONE_INVALID", str(error)) from error


def _payee(text: str) -> str:
    try:
        return canonical_number(text)
    except TelephoneError as error:
        raise bad_request("TELEPHONE_INVALID", str(error)) from error


def _url(text: str) -> str:
    """Return an address that can be told something, or nothing; ProblemError for anything else."""
    if not text:
        return ""
    wrong = bad_request(
        "URL_INVALID", "An address must begin with http:// or https:// and name a host."
    )
    if not _URL.fullmatch(text):
        raise wrong
    try:
        parts = urlsplit(text)
        named = parts.hostname is not None and (parts.port is None or parts.port > 0)
    except ValueError as error:
        raise wrong from error
    if parts.scheme not in ("http", "https") or not named or "@" in parts.netloc:
        raise wrong
    return text
