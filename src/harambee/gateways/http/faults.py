"""Bad luck to order: what a development network does to callbacks and to itself, so that software is tried.

Where money is real there is no such door: the address is as unknown as any other.
"""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from harambee.gateways.http.answers import Answer, json_answer
from harambee.gateways.http.problems import not_found
from harambee.gateways.http.requests import Request
from harambee.merchants.port import Faults
from harambee.node.port import Port

LATE_S_MAX: Final = 60
PUSHES_MAX: Final = 1_000_000
_PUSHES: Final = frozenset({("/mpesa/stkpush/v1/processrequest", 200), ("/v1/requests", 201)})
"""Where merchants' software asks for payments, and the status of what is taken."""

Share = Annotated[float, Meta(ge=0, le=1)]


class FaultsDocument(msgspec.Struct, forbid_unknown_fields=True):
    """What this super-agent does to its merchants' software; what is left out is not done."""

    late_s: Annotated[float, Meta(ge=0, le=LATE_S_MAX)] = 0.0
    """How late a late callback is, in seconds."""
    late_share: Share = 0.0
    lost_share: Share = 0.0
    """These callbacks are never sent: the software has to ask."""
    doubled_share: Share = 0.0
    dies_after_pushes: Annotated[int, Meta(ge=0, le=PUSHES_MAX)] = 0
    """So many requests for payments are answered yet, and then it dies at once; 0: it does not."""


async def shown(port: Port, request: Request) -> Answer:
    """GET /v1/sandbox/faults: what this super-agent of a development network does to software."""
    del request
    return json_answer(_document(_faults(port)))


async def changed(port: Port, request: Request) -> Answer:
    """PUT /v1/sandbox/faults: have callbacks late, lost or doubled, and this super-agent die.

    Of this super-agent alone, and until its next start; only in development networks.
    """
    kept = _faults(port)
    wanted = request.json(FaultsDocument)
    for name in FaultsDocument.__struct_fields__:
        setattr(kept, name, getattr(wanted, name))
    return json_answer(_document(kept))


def is_push(method: str, path: str, status: int) -> bool:
    """Say whether an answer took a merchant's request for a payment."""
    return method == "POST" and (path, status) in _PUSHES


def _faults(port: Port) -> Faults:
    if not port.genesis.document.development:
        raise not_found("RESOURCE_UNKNOWN", "There is nothing under this address.")
    return port.merchants.faults


def _document(kept: Faults) -> FaultsDocument:
    return FaultsDocument(*(getattr(kept, name) for name in FaultsDocument.__struct_fields__))
