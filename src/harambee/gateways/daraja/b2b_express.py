"""B2B express: a business is asked to pay another one, and whoever has its key says yes or no.

The money is the payer's, so nothing moves without its key: its operator sees the request on her handset,
as a customer sees an STK push.
"""

from typing import Any, Final

from harambee.crypto.hashing import digest
from harambee.gateways.daraja.calls import Call
from harambee.gateways.daraja.errors import invalid
from harambee.gateways.daraja.identifiers import conversation_id, local
from harambee.handset.payment_requests import ACCOUNT_MAX, TEXT_MAX
from harambee.merchants.port import Ask, MerchantsError, Reason, RequestState

FORM: Final = "daraja.b2b-express"
REQUEST_REFERENCE: Final = "RequestRefID"
CONVERSATION: Final = "ConversationID"
"""Both kept with the request, so that the callback tells them."""
REFERENCE_MAX: Final = 64
LASTS_MS: Final = 300_000
"""An operator does not have the telephone in her hand as a customer at the till has."""


async def push(call: Call) -> dict[str, Any]:
    """POST /v1/ussdpush/get-msisdn: ask a business to pay."""
    fields = call.fields
    payer = fields.short_code("primaryShortCode")
    payee = fields.short_code("receiverShortCode")
    if payee == payer:
        raise invalid("receiverShortCode")
    if not {payee, payer} & set(call.app.short_codes):
        # Strangers to both have no business with either.
        raise invalid("receiverShortCode")
    amount_cents = fields.amount_cents("amount")
    reference = fields.text("RequestRefID", REFERENCE_MAX)
    asked = await call.merchant(payer)
    seed = digest(
        b"harambee daraja express",
        *(
            digest(part.encode())
            for part in (
                call.app.consumer_key,
                payer,
                payee,
                reference,
                f"{local(call.now_ms):%Y%m%d}",
            )
        ),
    )
    view = await call.port.ask_payment(
        Ask(
            consumer_key=call.app.consumer_key,
            short_code=payee,
            msisdn="",
            payer=f"{asked.trade}:{asked.short_code}",
            amount_cents=amount_cents,
            name=f"b2b_{seed[:16].hex()}",
            account=fields.text("paymentRef", ACCOUNT_MAX, least=0),
            text=fields.text("partnerName", TEXT_MAX, least=0),
            callback_url=fields.url("callbackUrl"),
            form=FORM,
            lasts_ms=LASTS_MS,
            extra={
                REQUEST_REFERENCE: reference,
                CONVERSATION: conversation_id(call.now_ms, seed),
            },
        )
    )
    if view.state is not RequestState.WAITING:
        raise MerchantsError(Reason.NAME_TAKEN, "This was asked for before, and is answered.")
    return {"code": "0", "status": "USSD Initiated Successfully"}
