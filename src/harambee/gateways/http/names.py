"""Names over HTTP: a profile goes in, and a payee's masked name comes out to whoever may ask.

Both are signed by the account that they speak for, and both come in bodies only.
"""

from typing import Annotated, Final

import msgspec

from harambee.gateways.http.answers import Answer, json_answer
from harambee.gateways.http.problems import ProblemError, bad_request
from harambee.gateways.http.requests import Request, hex_field, hexadecimal
from harambee.handset.name_checks import QUESTION_BYTES
from harambee.handset.profiles import PROFILE_BYTES_MAX, ProfileError, read_profile
from harambee.node.port import NameStatus, Port, ProfileStatus

_REFUSED_PROFILES: Final = {
    ProfileStatus.OLDER: (
        409,
        "PROFILE_OLDER",
        "Another profile of this version or a newer one is kept.",
    ),
    ProfileStatus.INVALID: (400, "PROFILE_INVALID", "This is no profile."),
    ProfileStatus.UNSIGNED: (
        403,
        "SIGNATURE_INVALID",
        "The key of this account has not signed this profile.",
    ),
    ProfileStatus.NUMBER_WRONG: (
        409,
        "NUMBER_WRONG",
        "The telephone number in this profile is not registered to its account.",
    ),
    ProfileStatus.NAME_FIXED: (
        409,
        "NAME_FIXED",
        "This account has a name already; its owner cannot change it alone.",
    ),
    ProfileStatus.ACCOUNT_UNKNOWN: (404, "ACCOUNT_UNKNOWN", "There is no account of this number."),
    ProfileStatus.UNAVAILABLE: (
        503,
        "UNAVAILABLE",
        "The super-agent that enrolled this account cannot be reached.",
    ),
    ProfileStatus.NOT_HELD_HERE: (
        503,
        "UNAVAILABLE",
        "The super-agent that enrolled this account cannot be reached.",
    ),
}
_REFUSED_NAMES: Final = {
    NameStatus.NONE: (404, "NAME_UNKNOWN", "The owner of this account has given no name."),
    NameStatus.LOCKED: (
        429,
        "NAMES_LOCKED",
        "Too many names were checked today without a payment; checking is locked until tomorrow.",
    ),
    NameStatus.REPLAYED: (
        409,
        "QUESTION_REPLAYED",
        "This question was asked before; sign a new one.",
    ),
    NameStatus.CLOCK_WRONG: (
        400,
        "CLOCK_WRONG",
        "This question was signed at another time; set the clock of this device and sign a new one.",
    ),
    NameStatus.UNSIGNED: (
        403,
        "SIGNATURE_INVALID",
        "The asking account has not signed this question.",
    ),
    NameStatus.ASKER_UNKNOWN: (
        403,
        "ASKER_UNKNOWN",
        "Only the owner of an account may ask for names.",
    ),
    NameStatus.PAYEE_UNKNOWN: (404, "ACCOUNT_UNKNOWN", "There is no account of this number."),
    NameStatus.BUSY: (503, "NAMES_BUSY", "Another name is being looked up; ask again in a moment."),
    NameStatus.UNAVAILABLE: (
        503,
        "UNAVAILABLE",
        "None of the super-agents that hold this name can be reached.",
    ),
    NameStatus.NOT_HELD_HERE: (
        503,
        "UNAVAILABLE",
        "None of the super-agents that hold this name can be reached.",
    ),
}


class NameDocument(msgspec.Struct):
    """A payee's name and number, both masked."""

    name: str | None
    number: str | None


class ProfileKept(msgspec.Struct):
    """The profile that is kept."""

    account: int
    version: int


class ProfileBody(msgspec.Struct, forbid_unknown_fields=True):
    """The body of POST /v1/profiles: a profile and its owner's signature, in hexadecimal."""

    profile: str


class QuestionBody(msgspec.Struct, forbid_unknown_fields=True):
    """The body of POST /v1/names: a question and the asker's signature, in hexadecimal."""

    question: Annotated[object, hex_field(QUESTION_BYTES)]


async def keep(port: Port, request: Request) -> Answer:
    """POST /v1/profiles: keep a signed profile at those who hold it."""
    text = request.json(ProfileBody).profile
    if len(text) > 2 * PROFILE_BYTES_MAX:
        raise ProblemError(
            413, "PROFILE_TOO_LARGE", f"A profile is at most {PROFILE_BYTES_MAX} bytes."
        )
    signed = hexadecimal(text, "profile", len(text) // 2)
    try:
        profile = read_profile(signed)
    except ProfileError as error:
        raise bad_request("PROFILE_INVALID", str(error)) from error
    status = await port.keep_profile(signed)
    if status in _REFUSED_PROFILES:
        raise ProblemError(*_REFUSED_PROFILES[status])
    return json_answer(ProfileKept(profile.account, profile.version), 201)


async def check(port: Port, request: Request) -> Answer:
    """POST /v1/names: the masked name of a payee, to the account that has signed the question."""
    question = hexadecimal(request.json(QuestionBody).question, "question", QUESTION_BYTES)
    answer = await port.check_name(question)
    if answer.status in _REFUSED_NAMES:
        raise ProblemError(*_REFUSED_NAMES[answer.status])
    return json_answer(NameDocument(answer.name, answer.number))


assert set(_REFUSED_NAMES) | {NameStatus.KNOWN} == set(NameStatus)
assert set(_REFUSED_PROFILES) | {ProfileStatus.KEPT, ProfileStatus.SAME} == set(ProfileStatus)
PROFILE_CODES: Final = tuple(code for _, code, _ in _REFUSED_PROFILES.values())
NAME_CODES: Final = tuple(code for _, code, _ in _REFUSED_NAMES.values())
