"""C2B: where payments are confirmed that nobody asked for, and payments made up in a development network."""

from typing import Any, Final

from harambee.gateways.daraja.calls import Call
from harambee.gateways.daraja.errors import DarajaError
from harambee.gateways.daraja.identifiers import originator_conversation_id
from harambee.handset.payment_requests import ACCOUNT_MAX
from harambee.merchants.port import Urls

FORM_V1: Final = "daraja.c2b.v1"
FORM_V2: Final = "daraja.c2b.v2"
_COMPLETED: Final = "Completed"
_RESPONSE_TYPES: Final = (_COMPLETED, "Cancelled", "Canceled")
_COMMANDS: Final = ("CustomerPayBillOnline", "CustomerBuyGoodsOnline")


async def register_v1(call: Call) -> dict[str, Any]:
    """POST /mpesa/c2b/v1/registerurl."""
    return await _register(call, FORM_V1)


async def register_v2(call: Call) -> dict[str, Any]:
    """POST /mpesa/c2b/v2/registerurl."""
    return await _register(call, FORM_V2)


async def _register(call: Call, form: str) -> dict[str, Any]:
    fields = call.fields
    short_code = call.own_short_code("ShortCode")
    response_type = fields.choice("ResponseType", _RESPONSE_TYPES)
    urls = Urls(
        confirmation=fields.url("ConfirmationURL"),
        validation=fields.url("ValidationURL", optional=True),
        accept_unanswered=response_type == _COMPLETED,
        form=form,
    )
    await call.port.set_urls(call.app.consumer_key, short_code, urls)
    return _accepted("Success")


async def simulate(call: Call) -> dict[str, Any]:
    """POST /mpesa/c2b/v1/simulate and /v2/simulate: have a customer of a development network pay."""
    fields = call.fields
    short_code = call.own_short_code("ShortCode")
    fields.choice("CommandID", _COMMANDS)
    amount_cents = fields.amount_cents()
    msisdn = fields.msisdn("Msisdn")
    account = fields.text("BillRefNumber", ACCOUNT_MAX, least=0)
    if call.simulator is None:
        sentence = "Payments are simulated in development networks only."
        raise DarajaError(500, "500.001.1001", sentence)
    await call.simulator.pay(msisdn, short_code, amount_cents, account)
    return _accepted("Accept the service request successfully.")


def _accepted(description: str) -> dict[str, Any]:
    return {
        # So misspelt on the wire.
        "OriginatorCoversationID": originator_conversation_id(),
        "ResponseCode": "0",
        "ResponseDescription": description,
    }
