"""What a client is told when a call cannot be served, in the shape that Daraja's clients read.

`{requestId, errorCode, errorMessage}`, never a problem document: existing software looks for these three
names, and some of it compares the codes.
"""

from typing import Final

from harambee.gateways.daraja.identifiers import request_id
from harambee.gateways.http.answers import Answer, json_answer
from harambee.merchants.port import MerchantsError, Reason

LOCKED: Final = (
    "Unable to lock subscriber, a transaction is already in process for the current subscriber"
)


class DarajaError(Exception):
    """A call that cannot be served; carries the HTTP status, Daraja's code and a sentence."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message

    def answer(self) -> Answer:
        """Return the error's document."""
        document = {
            "requestId": request_id(),
            "errorCode": self.code,
            "errorMessage": self.message,
        }
        return json_answer(document, self.status)


def invalid(field: str) -> DarajaError:
    """Return a 400: this field is missing, or is not what it should be."""
    return DarajaError(400, "400.002.02", f"Bad Request - Invalid {field}")


def unreadable(status: int = 400) -> DarajaError:
    """Return the error for a body that is no JSON object, or is too large."""
    return DarajaError(status, "400.002.05", "Invalid Request Payload")


def internal(message: str = "Internal Server Error") -> DarajaError:
    """Return the error that says that this super-agent cannot serve the call."""
    return DarajaError(500, "500.003.1001", message)


_REFUSALS: Final[dict[Reason, tuple[int, str, str]]] = {
    Reason.MERCHANT_UNKNOWN: (500, "500.001.1001", "Merchant does not exist"),
    Reason.PAYER_UNKNOWN: (400, "400.002.02", "Bad Request - Invalid PhoneNumber"),
    Reason.PAYEE_UNKNOWN: (400, "400.002.02", "Bad Request - Invalid PartyB"),
    Reason.AMOUNT_INVALID: (400, "400.002.02", "Bad Request - Invalid Amount"),
    Reason.NAME_TAKEN: (500, "500.002.1001", "Duplicate OriginatorConversationID."),
    Reason.PAYER_BUSY: (500, "500.001.1001", LOCKED),
    Reason.CREDENTIAL_WRONG: (400, "400.002.02", "Bad Request - Invalid SecurityCredential"),
    Reason.INITIATOR_UNKNOWN: (400, "400.002.02", "Bad Request - Invalid Initiator"),
    Reason.NOT_FOUND: (404, "404.001.01", "Resource not found"),
    Reason.SIGNATURE_INVALID: (500, "500.003.1001", "Internal Server Error"),
    Reason.TOO_LATE: (500, "500.001.1001", ""),
    Reason.BUSY: (500, "500.003.02", "System is busy. Please try again in few minutes."),
    Reason.QUOTA: (500, "500.003.03", "Quota Violation"),
    Reason.UNAVAILABLE: (500, "500.003.1001", ""),
    Reason.INVALID: (400, "400.002.05", ""),
}
"""HTTP status, code and message; where it has none, the port's own sentence says more."""
assert _REFUSALS.keys() == set(Reason), "every reason has its error"


def refusal(error: MerchantsError) -> DarajaError:
    """Return what Daraja says where the port refuses."""
    status, code, message = _REFUSALS[error.reason]
    return DarajaError(status, code, message or error.sentence)
