"""What a client is told when a request cannot be served: RFC 9457, one clear sentence, one code.

A problem is the client's to mend (4xx) or says that this super-agent cannot serve now (503). Orders
that a rule refuses are not problems: they are answers, with an Outcome.
"""

from typing import Final

import msgspec

from harambee.gateways.http.answers import Answer

PROBLEM_JSON: Final = b"application/problem+json"


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
        document = {
            "type": f"urn:harambee:problem:{self.code}",
            "title": self.code.replace("_", " ").capitalize(),
            "status": self.status,
            "code": self.code,
            "detail": self.sentence,
        }
        said = ((b"allow", self.allow), (b"www-authenticate", self.challenge))
        headers = tuple((name, value.encode()) for name, value in said if value is not None)
        return Answer(msgspec.json.encode(document), PROBLEM_JSON, self.status, headers)


def bad_request(code: str, sentence: str) -> ProblemError:
    """Return a 400: the request does not say what this resource needs."""
    return ProblemError(400, code, sentence)


def not_found(code: str, sentence: str) -> ProblemError:
    """Return a 404: nothing of that name is here."""
    return ProblemError(404, code, sentence)
