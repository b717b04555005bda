"""Governance over HTTP: what is proposed, who has approved it here, which super-agents have voted for it.

Anybody may look: what is governed stands in the ledger, which everybody holds. Whoever is to be heard
signs: an operator of this super-agent, or a proposer who brings a whole signed order.
"""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from harambee.gateways.http.answers import JSON, Answer, Hex, json_answer, one_of
from harambee.gateways.http.orders import (
    OrderDocument,
    OrderShown,
    order_bytes,
    order_document,
)
from harambee.gateways.http.problems import STATUS_OF, ProblemError, bad_request, not_found
from harambee.gateways.http.requests import (
    U16_MAX,
    Request,
    hex_field,
    hexadecimal,
    whole_text,
)
from harambee.handset.governed_words import day_shown, in_words
from harambee.handset.orders import OrderBody
from harambee.ledger.kinds import GOVERNED
from harambee.ledger.outcomes import SENTENCES, Outcome
from harambee.ledger.payees import TARIFF_BYTES_MAX, document_digest
from harambee.ledger.records import (
    ORDER_BYTES,
    POSITION_ENROLMENT,
    account_number,
    region_of,
)
from harambee.node.port import GovernanceError, Port, ProposalView

SHOWN_DEFAULT: Final = 100
SHOWN_MAX: Final = 1_000
OPERATOR_LENGTH_MAX: Final = 32
UNSIGNED: Final = "00" * 64

STATE_SENTENCES: Final = {
    "final": "It is final.",
    "dead": "It was not final in its days; it has to be proposed again.",
    "replaced": "Another order, or none, became final in its place.",
}
CODES: Final = (
    "APPROVAL_INVALID",
    "APPROVAL_MISSING",
    "APPROVED_ALREADY",
    "CONTENT_MISSING",
    "NOT_GOVERNED",
    "OPERATOR_UNKNOWN",
    "PROPOSALS_FULL",
    "PROPOSAL_ENDED",
    "PROPOSAL_KNOWN",
    "PROPOSAL_UNKNOWN",
    "PROPOSER_WRONG",
    "RULE_BROKEN",
    "SIGNATURE_INVALID",
)
"""What a GovernanceError may say."""
assert set(CODES) <= STATUS_OF.keys()


class ApprovalDocument(msgspec.Struct, forbid_unknown_fields=True):
    """The body of POST /v1/governance/proposals/{proposal}/approvals."""

    operator: Annotated[
        object,
        Meta(
            extra_json_schema={"type": "string", "minLength": 1, "maxLength": OPERATOR_LENGTH_MAX}
        ),
    ]
    signature: Annotated[object, hex_field(64)]


class ProposalDocument(msgspec.Struct, forbid_unknown_fields=True):
    """The body of POST /v1/governance/proposals.

    The order as POST /v1/orders takes it; without a signature where it is this super-agent's own, and
    then with the approval of the operator who proposes it.
    """

    order: OrderDocument
    document: Annotated[
        object,
        Meta(extra_json_schema={"type": ["string", "null"], "maxLength": TARIFF_BYTES_MAX}),
    ] = None
    """A tariff in its canonical form, as a text."""
    approval: ApprovalDocument | None = None


class ProposalShown(msgspec.Struct):
    """A proposal as this super-agent sees it."""

    id: Hex
    what: str
    order: OrderShown
    subject: int
    proposed_by: str
    seen_ms: int
    dies_after: str
    state: Annotated[str, one_of("waiting", *STATE_SENTENCES)]
    sentence: str
    outcome: str | None
    approved_by: list[str]
    voted: list[str]
    votes_needed: int


class ProposalsDocument(msgspec.Struct):
    """What is proposed, and was lately; the newest first."""

    proposals: list[ProposalShown]


class ProposalWhole(ProposalShown):
    """A proposal with everything that an operator needs to judge it."""

    bytes: Hex
    possession: Hex | None
    document: str | None


class KeyRequestShown(msgspec.Struct):
    """A new key that waits to take over, and the day from which it may."""

    slot: int
    key: Hex
    options: int
    first_day: int


class AttestationShown(msgspec.Struct):
    """What a bank attests that it holds in trust."""

    slot: int
    cents: int
    day: int


class GovernedDocument(msgspec.Struct):
    """What of an account is governed."""

    account: int
    enrolment_account: int
    next_slot: int
    key_request: KeyRequestShown | None
    attestation: AttestationShown | None
    limit_cents: int | None


class TariffSlotDocument(msgspec.Struct):
    """The next governance slot of the tariff."""

    next_slot: int


class TariffRow(msgspec.Struct):
    """A version of the tariff, its first day, and the digest of its document."""

    version: int
    first_day: int
    first_date: str
    digest: Hex


class TariffsDocument(msgspec.Struct):
    """Every version of the tariff, ascending."""

    tariffs: list[TariffRow]
    today: int


async def listed(port: Port, request: Request) -> Answer:
    """GET /v1/governance/proposals: what is open, and what ended lately; the newest first."""
    limit = request.number("limit", SHOWN_DEFAULT, SHOWN_MAX)
    found = (await port.proposals())[:limit]
    return json_answer(ProposalsDocument([_document(port, view) for view in found]))


async def one(port: Port, request: Request) -> Answer:
    """GET /v1/governance/proposals/{proposal}: one of them, judged by the rules as they are now."""
    name = hexadecimal(request.captured[0], "the proposal", 32)
    try:
        view = await port.proposal(name)
    except GovernanceError as error:
        raise _problem(error) from error
    whole = ProposalWhole(
        **msgspec.structs.asdict(_document(port, view)),
        bytes=view.order.hex(),
        possession=None if view.possession is None else view.possession.hex(),
        document=None if view.content is None else view.content.decode("ascii", "replace"),
    )
    return json_answer(whole)


async def propose(port: Port, request: Request) -> Answer:
    """POST /v1/governance/proposals: propose, as an operator or with a whole signed order."""
    asked = request.json(ProposalDocument)
    content = _content(asked.document)
    order = asked.order
    if order.payees is not None:
        raise bad_request("FIELD_UNKNOWN", "A proposal pays nobody: it has no payees.")
    if order.bytes is None and order.signature is None:
        order.signature = UNSIGNED
    if content is not None and order.bytes is None and order.reference is None:
        order.reference = document_digest(content).hex()
    written = order_bytes(order, port.genesis.network)
    assert len(written) == ORDER_BYTES
    if written[24] not in GOVERNED:
        raise bad_request("NOT_GOVERNED", "Only what is governed is proposed.")
    possession = (
        None if order.possession is None else hexadecimal(order.possession, "possession", 64)
    )
    operator, signature = (None, None) if asked.approval is None else _approval(asked.approval)
    try:
        view = await port.propose(written, possession, content, operator, signature)
    except GovernanceError as error:
        raise _problem(error) from error
    return json_answer(_document(port, view), 201)


async def approve(port: Port, request: Request) -> Answer:
    """POST /v1/governance/proposals/{proposal}/approvals: an operator approves."""
    name = hexadecimal(request.captured[0], "the proposal", 32)
    operator, signature = _approval(request.json(ApprovalDocument))
    try:
        view = await port.approve(name, operator, signature)
    except GovernanceError as error:
        raise _problem(error) from error
    return json_answer(_document(port, view))


async def governed(port: Port, request: Request) -> Answer:
    """GET /v1/governance/accounts/{number}: what of an account is governed."""
    number = request.captured_number(0, "the account number")
    found = await port.governed(number)
    if found is None:
        raise not_found("ACCOUNT_UNKNOWN", "There is no account of this number.")
    wanted, attested = found.key_request, found.attestation
    return json_answer(
        GovernedDocument(
            account=number,
            enrolment_account=account_number(region_of(number), POSITION_ENROLMENT),
            next_slot=found.next_slot,
            key_request=None
            if wanted is None
            else KeyRequestShown(
                slot=wanted.sequence,
                key=wanted.key.hex(),
                options=wanted.options,
                first_day=wanted.day + port.genesis.key_days,
            ),
            attestation=None
            if attested is None
            else AttestationShown(attested.sequence, attested.cents, attested.day),
            limit_cents=found.limit_cents,
        )
    )


async def governed_tariff(port: Port, request: Request) -> Answer:
    """GET /v1/governance/tariff: where the next proposal of a tariff has its place."""
    del request
    return json_answer(TariffSlotDocument(await port.tariff_slot()))


async def tariffs(port: Port, request: Request) -> Answer:
    """GET /v1/tariffs: every version, its first day, and the digest of its document."""
    del request
    rows = [
        TariffRow(
            version=tariff.version,
            first_day=first,
            first_date=day_shown(first),
            digest=document_digest(tariff.to_bytes()).hex(),
        )
        for first, tariff in await port.tariffs()
    ]
    return json_answer(TariffsDocument(rows, port.today()))


async def tariff(port: Port, request: Request) -> Answer:
    """GET /v1/tariffs/{version}: the document of a version, in the form whose digest is told."""
    version = whole_text(request.captured[0], "the version", U16_MAX)
    for _, known in await port.tariffs():
        if known.version == version:
            return Answer(known.to_bytes(), JSON)
    raise not_found("TARIFF_UNKNOWN", "There is no tariff of this version.")


def _approval(document: ApprovalDocument) -> tuple[str, bytes]:
    operator = document.operator
    if not isinstance(operator, str) or not 1 <= len(operator) <= OPERATOR_LENGTH_MAX:
        raise bad_request(
            "OPERATOR_INVALID", f"operator must be a name of 1 to {OPERATOR_LENGTH_MAX} characters."
        )
    return operator, hexadecimal(document.signature, "signature", 64)


def _content(document: object) -> bytes | None:
    if document is None:
        return None
    if not isinstance(document, str) or not document.isascii():
        raise bad_request("DOCUMENT_INVALID", "document must be a tariff in its canonical form.")
    if not 0 < len(document) <= TARIFF_BYTES_MAX:
        raise ProblemError(
            413, "DOCUMENT_TOO_LARGE", f"A document has at most {TARIFF_BYTES_MAX} bytes."
        )
    return document.encode("ascii")


def _problem(error: GovernanceError) -> ProblemError:
    return ProblemError(STATUS_OF[error.code], error.code, str(error))


def _document(port: Port, view: ProposalView) -> ProposalShown:
    members = port.genesis.committee.members
    body = OrderBody.from_bytes(view.order)
    sentence = STATE_SENTENCES.get(view.state)
    if sentence is None:
        waits = view.outcome in (None, Outcome.ACCEPTED)
        needed = port.genesis.committee.q
        sentence = (
            f"It waits: {len(view.carried)} of {needed} super-agents have voted for it."
            if waits or view.outcome is None
            else f"It would break a rule now: {SENTENCES[view.outcome]}"
        )
    return ProposalShown(
        id=view.id.hex(),
        what=in_words(body),
        order=order_document(port, view.order),
        subject=body.payee,
        proposed_by=proposer_name(port, body.payer),
        seen_ms=view.seen_ms,
        dies_after=day_shown(view.dies_after),
        state=view.state,
        sentence=sentence,
        outcome=None if view.outcome is None else view.outcome.name,
        approved_by=list(view.approvals),
        voted=[members[index].name for index in view.carried],
        votes_needed=port.genesis.committee.q,
    )


def proposer_name(port: Port, account: int) -> str:
    """Return what a proposer is called: a super-agent, or a bank."""
    for issuer in port.genesis.document.issuers:
        if issuer.account == account:
            return issuer.name
    for member in port.genesis.committee.members:
        if region_of(account) in member.regions:
            return member.name
    return f"account {account}"
