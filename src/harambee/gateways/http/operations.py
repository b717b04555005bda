"""Every operation of the HTTP door, with its description: what is not in this table is not served.

The application routes by the table, and `harambee.gateways.http.openapi` writes it down for others, so
that a route cannot be without a description. What an operation does is the first line of its handler's
docstring.
"""

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from harambee.gateways.http import (
    accounts,
    agents,
    evidence,
    faults,
    governance,
    history,
    holds,
    live,
    merchant_documents,
    merchants,
    metrics,
    names,
    network,
    openapi,
    orders,
    oversight,
    paths,
    pay_outs,
    payment_requests,
    phones,
)
from harambee.gateways.http.answers import EVENTS, Answer
from harambee.gateways.http.operation import (
    DEGREES,
    DIGEST,
    U32,
    WHOLE,
    Nothing,
    Octets,
    Operation,
    Parameter,
    Text,
)
from harambee.gateways.http.requests import Request
from harambee.ledger.records import ACCOUNT
from harambee.merchants.port import Reason
from harambee.node.port import Port

_OF_OWN: Final = ("SHORT_CODE_INVALID", "SHORT_CODE_FORBIDDEN")
_OF_SIGNED: Final = ("BODY_INVALID", *(reason.name for reason in Reason))
_WAIT: Final = Parameter("wait_ms", "How long the answer may wait for what is asked.", WHOLE)
_LIMIT: Final = Parameter("limit", "How many at most.", WHOLE)
_AFTER: Final = Parameter("after", "Where the page before ended.", WHOLE)
_ORDER_ID: Final = Parameter("id", "The order that is asked for.", DIGEST)
_KEY: Final = Parameter(
    "idempotency-key",
    "What is sent again with the same key is the same request, at every super-agent.",
    Annotated[str, Meta(min_length=1, max_length=64, pattern="^[!-~]([ -~]{0,62}[!-~])?$")],
)
_JSON_OBJECT: Final = dict[str, Any]


class Description:
    """Answers GET /v1/openapi.json with what this table says."""

    content = b""

    async def document(self, port: Port, request: Request) -> Answer:
        """GET /v1/openapi.json: this description, as OpenAPI 3.1 has it."""
        del port, request
        return Answer(self.content)


def operations(version: str) -> tuple[Operation, ...]:
    """Return every operation of a door of that software version; desks are made anew."""
    description = Description()
    table = (
        *_of_operators(version, description),
        *_of_orders(),
        *_of_holds(),
        *_of_accounts(),
        *_of_merchants(),
        *_of_governance(),
        *_of_observers(),
    )
    assert len({(each.method, each.path) for each in table}) == len(table), "each has one meaning"
    description.content = msgspec.json.encode(openapi.document(table, version))
    return table


def _of_operators(version: str, description: Description) -> tuple[Operation, ...]:
    front = Text("text/plain", "Nothing; `location` says where the console is.")
    events = Text(EVENTS.decode(), "Events whose data is a LiveDocument in JSON.")
    digests, about = network.DigestDesk(), network.NetworkDesk(version)
    return (
        Operation(
            "GET",
            "/",
            network.front,
            front,
            status=307,
            says={"location": "The console's address at this super-agent."},
        ),
        Operation("GET", "/livez", network.live, Text("text/plain", "alive")),
        Operation("GET", "/readyz", network.ready, Text("text/plain", "ready"), ("NOT_READY",)),
        Operation(
            "GET", "/metrics", metrics.metrics, Text("text/plain", "Prometheus's format 0.0.4.")
        ),
        Operation("GET", "/v1/openapi.json", description.document, _JSON_OBJECT),
        Operation("GET", "/v1/network", about.network, network.NetworkDocument),
        Operation("GET", "/v1/genesis", network.genesis, _JSON_OBJECT),
        Operation("GET", "/v1/digest", digests.digest, network.DigestDocument),
        Operation("GET", "/v1/status", network.status, _JSON_OBJECT),
        Operation("GET", "/v1/live", live.LiveDesk().live, events, ("BUSY",)),
    )


def _of_orders() -> tuple[Operation, ...]:
    of_fields = (
        "BODY_EMPTY",
        "HEX_INVALID",
        "KIND_UNKNOWN",
        "NETWORK_WRONG",
        "NUMBER_INVALID",
        "PAYEES_INVALID",
    )
    of_tables = ("BODY_MISALIGNED", "PAYEES_UNWANTED", "PAYEES_WRONG", "TOO_MANY")
    order = Octets(
        "Orders of 128 bytes each; the answer has two bytes for each, state and outcome."
    )
    return (
        Operation(
            "POST",
            "/v1/orders",
            orders.submit,
            orders.FatesDocument,
            (*of_fields, *of_tables),
            (_WAIT,),
            bodies=(orders.OrdersDocument, order),
        ),
        Operation(
            "GET",
            "/v1/orders/{payer}/{sequence}",
            orders.slot,
            orders.SlotDocument,
            query=(_ORDER_ID, _WAIT),
        ),
        Operation(
            "GET",
            "/v1/orders/{payer}/{sequence}/path",
            paths.path,
            paths.PathDocument,
        ),
        Operation(
            "GET",
            "/v1/receipts/{code}",
            paths.receipt,
            orders.SlotDocument,
            ("RECEIPT_CODE_INVALID", "RECEIPT_UNKNOWN"),
        ),
        Operation(
            "GET",
            "/v1/orders/{payer}/{sequence}/payees",
            pay_outs.payees,
            pay_outs.PayeesDocument,
            ("PAY_OUT_UNKNOWN",),
        ),
        Operation(
            "POST",
            "/v1/pay-outs",
            pay_outs.submit,
            Octets("State and outcome, a byte each."),
            of_tables,
            (_WAIT,),
            bodies=(Octets("An order of 128 bytes, then 12 bytes for each payee."),),
        ),
        Operation(
            "POST",
            "/v1/slots",
            orders.slots,
            Octets("Orders of 128 bytes each, zero bytes where none is final."),
            ("BODY_MISALIGNED", "TOO_MANY"),
            bodies=(Octets("Slots of 8 bytes each: payer u32, sequence u32."),),
        ),
        Operation(
            "GET",
            "/v1/finals",
            orders.finals,
            Octets("Orders of 128 bytes each."),
            query=(_AFTER, _LIMIT),
            says={"harambee-next": "The `after` of the next page."},
        ),
    )


def _of_holds() -> tuple[Operation, ...]:
    slot = Parameter("slot", "Which of the hold's own slots.", WHOLE)
    return (
        Operation(
            "GET",
            "/v1/holds/{payer}/{sequence}",
            holds.hold,
            holds.HoldDocument,
            ("HOLD_UNKNOWN",),
            (_WAIT,),
        ),
        Operation(
            "GET",
            "/v1/holds/{payer}/{sequence}/ending",
            holds.ending,
            orders.SlotDocument,
            query=(_ORDER_ID, slot, _WAIT),
        ),
        Operation(
            "GET",
            "/v1/reversals/{payer}/{sequence}",
            holds.reversal,
            holds.ReversalDocument,
            ("PAYMENT_UNKNOWN",),
        ),
        Operation(
            "GET",
            "/v1/accounts/{number}/holds",
            holds.open_holds,
            holds.OpenHoldsDocument,
            ("ACCOUNT_UNKNOWN",),
            (_AFTER, _LIMIT),
        ),
    )


def _of_accounts() -> tuple[Operation, ...]:
    before = Parameter("before", "Where the page before ended.", WHOLE)
    places = tuple(
        Parameter(name, "In degrees; both or neither.", DEGREES)
        for name in ("latitude", "longitude")
    )
    return (
        Operation(
            "POST",
            "/v1/accounts",
            accounts.register,
            accounts.AccountMade,
            ("ENROLMENT_REFUSED", "HEX_INVALID", "TELEPHONE_INVALID"),
            (_WAIT,),
            bodies=(accounts.RegistrationDocument,),
            status=201,
        ),
        Operation(
            "POST",
            "/v1/accounts/query",
            accounts.query,
            Octets(
                f"Records of {ACCOUNT.itemsize} bytes each, zero bytes where there is no account."
            ),
            ("BODY_MISALIGNED", "TOO_MANY"),
            bodies=(Octets("Account numbers, u32 each."),),
        ),
        Operation(
            "GET",
            "/v1/accounts/{number}",
            accounts.account,
            accounts.AccountDocument,
            ("ACCOUNT_UNKNOWN",),
        ),
        Operation(
            "GET",
            "/v1/accounts/{number}/statement",
            accounts.statement,
            accounts.StatementDocument,
            ("ACCOUNT_UNKNOWN",),
            (before, _LIMIT),
        ),
        Operation(
            "GET",
            "/v1/accounts/{number}/shops",
            agents.shops,
            agents.ShopsDocument,
            ("ACCOUNT_UNKNOWN",),
            (_AFTER, _LIMIT),
        ),
        Operation(
            "GET",
            "/v1/accounts/{number}/float",
            agents.float_outlook,
            agents.FloatDocument,
            ("ACCOUNT_UNKNOWN", "NO_FLOAT"),
        ),
        Operation(
            "GET", "/v1/agents/{number}", agents.place, agents.PlaceDocument, ("PLACE_UNKNOWN",)
        ),
        Operation(
            "GET",
            "/v1/float-sources",
            agents.float_sources,
            agents.FloatSourcesDocument,
            query=(*places, _LIMIT),
        ),
        Operation(
            "POST",
            "/v1/directory",
            accounts.directory,
            accounts.NumberDocument,
            ("ACCOUNT_UNKNOWN", "NUMBER_UNKNOWN", "TELEPHONE_INVALID"),
            bodies=(accounts.DirectoryDocument,),
        ),
        Operation(
            "POST",
            "/v1/profiles",
            names.keep,
            names.ProfileKept,
            ("HEX_INVALID", "PROFILE_TOO_LARGE", *names.PROFILE_CODES),
            bodies=(names.ProfileBody,),
            status=201,
        ),
        Operation(
            "POST",
            "/v1/names",
            names.check,
            names.NameDocument,
            ("HEX_INVALID", *names.NAME_CODES),
            bodies=(names.QuestionBody,),
        ),
        Operation("GET", "/v1/enrolment", accounts.enrolment, accounts.EnrolmentDocument),
        Operation(
            "POST",
            "/v1/feature-phones",
            phones.PhonesDoor().take,
            phones.PhoneDocument,
            phones.CODES,
            bodies=(phones.PaperBody,),
        ),
    )


def _of_merchants() -> tuple[Operation, ...]:
    documents, own = merchant_documents, "/v1/merchants/{short_code}"
    offset = Parameter("offset", "How many of them came before.", WHOLE)
    since = Parameter("since_ms", "From this time on, by super-agents' clocks.", WHOLE)
    until = Parameter("until_ms", "Up to this time.", WHOLE)
    of_ask = ("IDEMPOTENCY_KEY_INVALID", "IDEMPOTENCY_KEY_REUSED", "NAME_RESERVED", "TEXT_INVALID")
    of_texts = ("NAME_INVALID", "TELEPHONE_INVALID", "URL_INVALID")
    return (
        Operation(
            "POST",
            "/v1/requests",
            merchants.ask,
            documents.RequestDocument,
            ("SHORT_CODE_FORBIDDEN", *of_ask, *of_texts),
            headers=(_KEY,),
            bodies=(documents.AskDocument,),
            status=201,
            of_merchants=True,
        ),
        Operation(
            "GET",
            "/v1/requests/{name}",
            merchants.request_named,
            documents.RequestDocument,
            ("REQUEST_UNKNOWN",),
            of_merchants=True,
        ),
        Operation(
            "GET", own, merchants.merchant, documents.MerchantDocument, _OF_OWN, of_merchants=True
        ),
        Operation(
            "GET",
            f"{own}/events",
            merchants.events,
            documents.EventsDocument,
            (*_OF_OWN, "RECORDED_ELSEWHERE"),
            (_AFTER, _LIMIT),
            of_merchants=True,
        ),
        Operation(
            "GET",
            f"{own}/payments",
            merchants.payments,
            documents.PaymentsDocument,
            (*_OF_OWN, "RECORDED_ELSEWHERE"),
            (since, until, offset, _LIMIT),
            of_merchants=True,
        ),
        Operation(
            "PUT",
            f"{own}/webhook",
            merchants.webhook,
            documents.SecretDocument,
            (*_OF_OWN, "URL_INVALID"),
            bodies=(documents.WebhookDocument,),
            of_merchants=True,
        ),
        Operation(
            "POST",
            f"{own}/refunds",
            merchants.refund,
            documents.InstructionTaken,
            (*_OF_OWN, *of_texts),
            bodies=(documents.RefundDocument,),
            status=202,
            of_merchants=True,
        ),
        Operation(
            "POST",
            f"{own}/pay-outs",
            merchants.pay_out,
            documents.InstructionTaken,
            (*_OF_OWN, *of_texts),
            bodies=(documents.PayOutDocument,),
            status=202,
            of_merchants=True,
        ),
        Operation(
            "POST",
            "/v1/requests/query",
            payment_requests.pending,
            payment_requests.PendingDocument,
            _OF_SIGNED,
            (_WAIT,),
            bodies=(Octets("76 bytes: account u32, time u64 in microseconds, signature 64."),),
        ),
        Operation(
            "POST",
            "/v1/requests/declines",
            payment_requests.decline,
            Nothing(),
            _OF_SIGNED,
            bodies=(Octets("101 bytes: request 32, account u32, reason u8, signature 64."),),
            status=204,
        ),
        Operation(
            "POST",
            "/v1/bills",
            payment_requests.announce,
            payment_requests.VerdictDocument,
            _OF_SIGNED,
            bodies=(Octets("At most 512 bytes: the announcement's JSON, then signature 64."),),
        ),
        Operation("GET", "/v1/sandbox/faults", faults.shown, faults.FaultsDocument),
        Operation(
            "PUT",
            "/v1/sandbox/faults",
            faults.changed,
            faults.FaultsDocument,
            bodies=(faults.FaultsDocument,),
        ),
    )


def _of_governance() -> tuple[Operation, ...]:
    proposals = "/v1/governance/proposals"
    return (
        Operation(
            "GET", proposals, governance.listed, governance.ProposalsDocument, query=(_LIMIT,)
        ),
        Operation(
            "POST",
            proposals,
            governance.propose,
            governance.ProposalShown,
            (
                "DOCUMENT_INVALID",
                "DOCUMENT_TOO_LARGE",
                "FIELD_UNKNOWN",
                "HEX_INVALID",
                "KIND_UNKNOWN",
                "NETWORK_WRONG",
                "NUMBER_INVALID",
                "OPERATOR_INVALID",
                *governance.CODES,
            ),
            bodies=(governance.ProposalDocument,),
            status=201,
        ),
        Operation(
            "GET",
            f"{proposals}/{{proposal}}",
            governance.one,
            governance.ProposalWhole,
            governance.CODES,
        ),
        Operation(
            "POST",
            f"{proposals}/{{proposal}}/approvals",
            governance.approve,
            governance.ProposalShown,
            ("HEX_INVALID", "OPERATOR_INVALID", *governance.CODES),
            bodies=(governance.ApprovalDocument,),
        ),
        Operation(
            "GET",
            "/v1/governance/tariff",
            governance.governed_tariff,
            governance.TariffSlotDocument,
        ),
        Operation(
            "GET",
            "/v1/governance/accounts/{number}",
            governance.governed,
            governance.GovernedDocument,
            ("ACCOUNT_UNKNOWN",),
        ),
        Operation("GET", "/v1/tariffs", governance.tariffs, governance.TariffsDocument),
        Operation(
            "GET", "/v1/tariffs/{version}", governance.tariff, _JSON_OBJECT, ("TARIFF_UNKNOWN",)
        ),
    )


def _of_observers() -> tuple[Operation, ...]:
    of_chain = (
        Parameter("author", "The index of a super-agent.", U32, is_needed=True),
        Parameter("incarnation", "Which life of it.", WHOLE),
        Parameter("from", "The first height.", U32, is_needed=True),
        Parameter("to", "The last height.", U32, is_needed=True),
    )
    checkpoint, day = "/v1/checkpoints/{digest}", "/v1/days/{day}"
    of_day = {
        "harambee-next": "The `after` of the next page.",
        "harambee-end": "The entry where the day ends.",
    }
    unknown, ahead = ("CHECKPOINT_UNKNOWN",), ("DAY_AHEAD",)
    sized = "a length u32 before it"
    return (
        Operation("GET", "/v1/checkpoints", history.checkpoints, history.CheckpointsDocument),
        Operation(
            "GET",
            f"{checkpoint}/index",
            history.index,
            Octets("Rows of 41 bytes: leaf 37, length u32."),
            unknown,
            (_AFTER, _LIMIT),
        ),
        Operation(
            "GET",
            f"{checkpoint}/pages/{{section}}/{{page}}",
            history.page,
            Octets("The page's content."),
            unknown,
        ),
        Operation(
            "GET",
            f"{checkpoint}/accounts/{{number}}",
            history.piece,
            Octets("The account's record and its way to the root."),
            unknown,
        ),
        Operation("GET", "/v1/heads", history.heads, history.HeadsDocument),
        Operation(
            "GET",
            "/v1/blocks",
            history.blocks,
            Octets(f"Blocks, each with {sized}."),
            ("RANGE_INVALID",),
            of_chain,
        ),
        Operation(
            "GET",
            "/v1/blocks/{author}/{incarnation}/{height}/{digest}",
            history.block,
            Octets(f"The block, with {sized}."),
            ("BLOCK_UNKNOWN",),
        ),
        Operation("GET", "/v1/evidence", evidence.listed, evidence.EvidenceDocument),
        Operation(
            "GET",
            "/v1/evidence/{super_agent}",
            evidence.file,
            Octets("The evidence, as docs/wire.md has it."),
            ("EVIDENCE_UNKNOWN",),
        ),
        Operation("GET", "/v1/trust", oversight.trust, oversight.TrustDocument),
        Operation("GET", f"{day}/close", oversight.close, oversight.CloseDocument, ahead),
        Operation(
            "GET", f"{day}/flows", oversight.flows, Octets("As the day's close names them."), ahead
        ),
        Operation(
            "GET",
            f"{day}/orders",
            oversight.orders,
            Octets("Rows of 138 bytes: order 128, author u16, time u64 in milliseconds."),
            ahead,
            (_AFTER, _LIMIT),
            says=of_day,
        ),
    )
