"""What a client is told when a request cannot be served: RFC 9457, one clear sentence, one code.

A problem is the client's to mend (4xx) or says that this super-agent cannot serve now (503). Orders
that a rule refuses are not problems: they are answers, with an Outcome.
"""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from harambee.gateways.http.answers import Answer

PROBLEM_JSON: Final = b"application/problem+json"

_CODES: Final = {
    400: (
        "AMOUNT_INVALID BODY_EMPTY BODY_INVALID BODY_MISALIGNED BODY_NOT_JSON CLOCK_WRONG CONTENT_MISSING "
        "DOCUMENT_INVALID FIELD_UNKNOWN HEX_INVALID IDEMPOTENCY_KEY_INVALID INVALID "
        "KIND_UNKNOWN NAME_INVALID NAME_RESERVED NOT_GOVERNED NUMBER_INVALID OPERATOR_INVALID "
        "PAPER_INVALID PAYEES_INVALID PAYEES_UNWANTED PAYEES_WRONG PIN_WEAK PLACE_INVALID "
        "PROFILE_INVALID QUERY_INVALID RANGE_INVALID RECEIPT_CODE_INVALID SHORT_CODE_INVALID "
        "TELEPHONE_INVALID TEXT_INVALID URL_INVALID"
    ),
    401: "UNAUTHORIZED",
    403: (
        "APPROVAL_INVALID APPROVAL_MISSING ASKER_UNKNOWN CREDENTIAL_WRONG INITIATOR_UNKNOWN "
        "OPERATOR_UNKNOWN PROPOSER_WRONG SHORT_CODE_FORBIDDEN SIGNATURE_INVALID"
    ),
    404: (
        "ACCOUNT_UNKNOWN BLOCK_UNKNOWN CHECKPOINT_UNKNOWN DAY_AHEAD EVIDENCE_UNKNOWN HOLD_UNKNOWN "
        "MERCHANT_UNKNOWN NAME_UNKNOWN NOT_FOUND NO_FLOAT NUMBER_UNKNOWN PAYEE_UNKNOWN PAYER_UNKNOWN "
        "PAYMENT_UNKNOWN PAY_OUT_UNKNOWN PLACE_UNKNOWN PROPOSAL_UNKNOWN RECEIPT_UNKNOWN REQUEST_UNKNOWN "
        "RESOURCE_UNKNOWN TARIFF_UNKNOWN"
    ),
    405: "METHOD_UNKNOWN",
    408: "BODY_TOO_SLOW",
    409: (
        "APPROVED_ALREADY ENROLMENT_REFUSED NAME_FIXED NAME_TAKEN NETWORK_WRONG NUMBER_TAKEN NUMBER_WRONG "
        "PAPER_REPLAYED "
        "PROFILE_OLDER PROPOSAL_ENDED PROPOSAL_KNOWN QUESTION_REPLAYED RULE_BROKEN TOO_LATE"
    ),
    413: "BODY_TOO_LARGE DOCUMENT_TOO_LARGE PROFILE_TOO_LARGE TOO_MANY",
    415: "CONTENT_TYPE_UNKNOWN",
    421: "NOT_HELD_HERE RECORDED_ELSEWHERE",
    422: "IDEMPOTENCY_KEY_REUSED",
    429: "NAMES_LOCKED PAYER_BUSY PROPOSALS_FULL QUOTA",
    500: "INTERNAL",
    503: "BUSY NAMES_BUSY NOT_READY UNAVAILABLE",
}
STATUS_OF: Final = {code: status for status, codes in _CODES.items() for code in codes.split()}
"""Every code that a problem can have, and its HTTP status: programs read codes, people the sentence."""


class ProblemDocument(msgspec.Struct):
    """Why a request was not served (RFC 9457)."""

    type: str
    title: str
    status: int
    code: Annotated[str, Meta(extra_json_schema={"enum": sorted(STATUS_OF)})]
    detail: str
    """One sentence for a person."""


class ProblemError(Exception):
    """A request that cannot be served; carries the HTTP status, a stable code and a sentence."""

    def __init__(
        self,
        status: int,
        code: str,
        sentence: str,
        *,
        allow: str | None = None,
        challenge: str | None = None,
    ) -> None:
        super().__init__(sentence)
        self.status = status
        self.code = code
        self.sentence = sentence
        self.allow = allow
        """The methods that the resource does have, for 405."""
        self.challenge = challenge
        """How to say who asks, for 401."""

    def answer(self) -> Answer:
        """Return the problem document."""
        document = ProblemDocument(
            type=f"urn:harambee:problem:{self.code}",
            title=self.code.replace("_", " ").capitalize(),
            status=self.status,
            code=self.code,
            detail=self.sentence,
        )
        said = ((b"allow", self.allow), (b"www-authenticate", self.challenge))
        headers = tuple((name, value.encode()) for name, value in said if value is not None)
        return Answer(msgspec.json.encode(document), PROBLEM_JSON, self.status, headers)


def bad_request(code: str, sentence: str) -> ProblemError:
    """Return a 400: the request does not say what this resource needs."""
    return ProblemError(400, code, sentence)


def not_found(code: str, sentence: str) -> ProblemError:
    """Return a 404: nothing of that name is here."""
    return ProblemError(404, code, sentence)
