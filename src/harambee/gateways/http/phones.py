"""Feature phones over HTTP: an operator's signed paper opens an account, or unlocks a PIN."""

import logging
import time
from collections.abc import Callable
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from harambee.feature_phones.port import NewPhone, PhonesError
from harambee.gateways.http.answers import Answer, json_answer
from harambee.gateways.http.problems import ProblemError, bad_request
from harambee.gateways.http.requests import Request, hex_field, hexadecimal
from harambee.handset.phone_papers import (
    CLOCK_MS_MAX,
    PAPER_BYTES_MAX,
    PaperError,
    PhonePaper,
    is_paper_of,
    read_paper,
)
from harambee.handset.telephone import TelephoneError, telephone
from harambee.node.port import Port

SIGNATURE_BYTES: Final = 64
SEEN_MAX: Final = 4_096
CODES: Final = (
    "BUSY",
    "CLOCK_WRONG",
    "HEX_INVALID",
    "NOT_HELD_HERE",
    "NUMBER_TAKEN",
    "NUMBER_UNKNOWN",
    "OPERATOR_UNKNOWN",
    "PAPER_INVALID",
    "PAPER_REPLAYED",
    "PIN_WEAK",
    "PROFILE_INVALID",
    "SIGNATURE_INVALID",
    "TELEPHONE_INVALID",
)

_REFUSALS: Final = (
    (400, "PIN_WEAK", "the owner chooses another PIN"),
    (400, "PROFILE_INVALID", "the name is typed anew"),
    (404, "NUMBER_UNKNOWN", "the account is to be opened first"),
    (409, "NUMBER_TAKEN", "the number's owner moves it, or it is another number"),
    (421, "NOT_HELD_HERE", "an operator of a holder does it"),
    (503, "UNAVAILABLE", "it is tried again"),
)
"""Status and code of what the desk refuses, and who mends it."""
_STATUSES: Final = {code: status for status, code, _ in _REFUSALS}

log: Final = logging.getLogger(__name__)


class PaperBody(msgspec.Struct, forbid_unknown_fields=True):
    """The body of POST /v1/feature-phones: a paper as it was signed, and its operator's signature."""

    paper: Annotated[str, Meta(max_length=PAPER_BYTES_MAX)]
    signature: Annotated[object, hex_field(SIGNATURE_BYTES)]


class PhoneDocument(msgspec.Struct):
    """The feature phone's account."""

    account: int


class PhonesDoor:
    """Takes operators' papers, each once."""

    def __init__(self, clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        self._clock_ms = clock_ms
        self._seen: dict[bytes, int] = {}
        """Signatures of papers that were taken, and when; the oldest first."""

    async def take(self, port: Port, request: Request) -> Answer:
        """POST /v1/feature-phones: open a feature phone's account, or unlock its PIN.

        The paper is the JSON of harambee.handset.phone_papers.PhonePaper, signed by an operator of this
        super-agent.
        """
        body = request.json(PaperBody)
        content = body.paper.encode()
        signature = hexadecimal(body.signature, "signature", SIGNATURE_BYTES)
        paper = self._checked(port, content, signature)
        try:
            number = telephone(paper.number)
        except TelephoneError as error:
            raise bad_request("TELEPHONE_INVALID", str(error)) from error
        try:
            if paper.wish == "unlock":
                account = await port.phones.unlock(number)
            else:
                phone = NewPhone(number, paper.name.strip(), paper.pin, paper.language)
                account = await port.phones.register(phone)
        except PhonesError as error:
            raise ProblemError(_STATUSES[error.code], error.code, str(error)) from error
        done = "unlocked the PIN of" if paper.wish == "unlock" else "opened"
        log.info("the operator %s has %s account %d", paper.operator, done, account)
        return json_answer(PhoneDocument(account))

    def _checked(self, port: Port, content: bytes, signature: bytes) -> PhonePaper:
        """Return a paper that counts here, now and for the first time; ProblemError otherwise."""
        try:
            paper = read_paper(content)
        except PaperError as error:
            raise bad_request("PAPER_INVALID", str(error)) from error
        key = port.operators.get(paper.operator)
        if key is None:
            raise ProblemError(
                403, "OPERATOR_UNKNOWN", "This super-agent has no operator of that name."
            )
        of_here = paper.super_agent == port.index
        if not of_here or not is_paper_of(key, port.genesis.network, content, signature):
            raise ProblemError(
                403, "SIGNATURE_INVALID", "The operator has not signed this for this super-agent."
            )
        now_ms = self._clock_ms()
        if abs(paper.time_ms - now_ms) > CLOCK_MS_MAX:
            raise bad_request("CLOCK_WRONG", "This paper was signed at another time; sign it anew.")
        self._note(signature, now_ms)
        return paper

    def _note(self, signature: bytes, now_ms: int) -> None:
        # Twice the tolerance: a paper may be signed as far ahead of this clock as behind it.
        while self._seen and next(iter(self._seen.values())) < now_ms - 2 * CLOCK_MS_MAX:
            self._seen.pop(next(iter(self._seen)))
        if signature in self._seen:
            raise ProblemError(409, "PAPER_REPLAYED", "This paper was taken already; sign it anew.")
        if len(self._seen) >= SEEN_MAX:
            raise ProblemError(503, "BUSY", "Too many papers were taken lately; try again.")
        self._seen[signature] = now_ms
