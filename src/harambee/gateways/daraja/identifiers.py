"""The names that Daraja gives to calls, conversations and checkouts, and how it writes times.

Every time is East Africa's, three hours ahead of UTC all the year.
"""

import secrets
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

EAST_AFRICA: Final = timezone(timedelta(hours=3))
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


def request_id() -> str:
    """Return a name for one call, as "29115-34620561-1"."""
    return f"{_digits(5)}-{_digits(8)}-1"


def checkout_request_id(now_ms: int) -> str:
    """Return a name for one STK push: "ws_CO_", the time, and twelve digits of chance."""
    return f"ws_CO_{local(now_ms):%d%m%Y%H%M%S}{_digits(12)}"


def conversation_id(now_ms: int, seed: bytes = b"") -> str:
    """Return a name for a conversation, as "AG_20240706_20106e9209f64bebd05b".

    The same of 32 bytes of `seed` on one day, and of chance without.
    """
    return f"AG_{local(now_ms):%Y%m%d}_{(seed or secrets.token_bytes(32))[:10].hex()}"


def originator_conversation_id(seed: bytes = b"") -> str:
    """Return the name of an instruction whose sender gave it none: of 32 bytes of `seed`, or of chance."""
    digits = (seed or secrets.token_bytes(32))[10:26].hex()
    return f"{digits[:4]}-{digits[4:8]}-{digits[8:]}"


def _digits(count: int) -> str:
    return f"{secrets.randbelow(10**count):0{count}}"


def local(time_ms: int) -> datetime:
    """Return a time as East Africa's clocks show it."""
    return (_EPOCH + time_ms * _MILLISECOND).astimezone(EAST_AFRICA)


def milliseconds(when: datetime) -> int:
    """Return a time with a zone as milliseconds since 1970 UTC."""
    return (when - _EPOCH) // _MILLISECOND


def stamp(time_ms: int) -> str:
    """Return a time as YYYYMMDDHHMMSS."""
    return f"{local(time_ms):%Y%m%d%H%M%S}"


def dotted(time_ms: int) -> str:
    """Return a time as "06.07.2024 22:48:52"."""
    return f"{local(time_ms):%d.%m.%Y %H:%M:%S}"
