"""What customers' handsets say about payments that merchants ask for: signed by their keys, as octets.

The layouts are those of docs/wire.md, section 20. Lengths and fields are checked here, so that
garbage ends at the door; signatures are checked behind the port.
"""

import msgspec

from harambee.gateways.http.answers import Answer, json_answer, no_content
from harambee.gateways.http.merchants import problems
from harambee.gateways.http.problems import bad_request
from harambee.gateways.http.requests import Request
from harambee.handset.payment_requests import (
    RequestError,
    read_announcement,
    read_decline,
    read_requests_question,
    request_id,
)
from harambee.node.port import Port


class SignedRequestDocument(msgspec.Struct):
    """A request as the super-agent that took it from the merchant has signed it."""

    id: str
    """32 bytes in hexadecimal: the reference of the order that pays it."""
    document: str
    """Its JSON, byte for byte as it was signed."""
    super_agent: int
    signature: str


class PendingDocument(msgspec.Struct):
    """What waits for a customer's answer."""

    requests: list[SignedRequestDocument]


class VerdictDocument(msgspec.Struct):
    """What a biller says of a bill before it is paid."""

    accepted: bool
    code: str
    """The biller's own, where he refuses."""
    sentence: str


async def pending(port: Port, request: Request) -> Answer:
    """POST /v1/requests/query: what waits for the answer of the account that has signed the question."""
    question = request.octets()
    try:
        read_requests_question(question)
    except RequestError as error:
        raise bad_request("BODY_INVALID", str(error)) from error
    with problems():
        found = await port.merchants.pending(question, request.wait_ms())
    network = port.genesis.network
    return json_answer(
        PendingDocument(
            [
                SignedRequestDocument(
                    request_id(network, signed.document).hex(),
                    signed.document.decode(),
                    signed.super_agent,
                    signed.signature.hex(),
                )
                for signed in found
            ]
        )
    )


async def decline(port: Port, request: Request) -> Answer:
    """POST /v1/requests/declines: a customer does not pay."""
    signed = request.octets()
    try:
        read_decline(signed)
    except RequestError as error:
        raise bad_request("BODY_INVALID", str(error)) from error
    with problems():
        await port.merchants.decline(signed)
    return no_content()


async def announce(port: Port, request: Request) -> Answer:
    """POST /v1/bills: what the biller says, before a customer pays a bill."""
    signed = request.octets()
    try:
        read_announcement(signed)
    except RequestError as error:
        raise bad_request("BODY_INVALID", str(error)) from error
    with problems():
        verdict = await port.merchants.announce(signed)
    return json_answer(VerdictDocument(verdict.accepted, verdict.code, verdict.sentence))
