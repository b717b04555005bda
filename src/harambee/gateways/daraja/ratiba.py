"""Ratiba: a customer agrees once to a standing order, and her handset pays by itself what is due."""

import datetime as dt
import secrets
from typing import Any, Final

from harambee.gateways.daraja.calls import Call
from harambee.gateways.daraja.errors import DarajaError, invalid
from harambee.gateways.daraja.identifiers import local, request_id
from harambee.handset.payment_requests import ACCOUNT_MAX, TEXT_MAX
from harambee.handset.standing_orders import DAY_MAX, Terms, day_of, number_of
from harambee.merchants.port import Ask, Trade

FORM: Final = "daraja.ratiba"
REFERENCE: Final = "responseRefID"
"""Kept with the request, so that the callback tells it again."""
LASTS_MS: Final = 300_000
_TRADES: Final = {"2": Trade.TILL, "4": Trade.PAYBILL}
_KINDS: Final = {Trade.TILL: "buy_goods", Trade.PAYBILL: "pay_bill"}
_FREQUENCIES: Final = tuple("12345678")
_ACCEPTED: Final = "Request accepted for processing"


async def create(call: Call) -> dict[str, Any]:
    """POST /standingorder/v1/createStandingOrderExternal: ask a customer to agree to a standing order."""
    fields = call.fields
    short_code = call.own_short_code("BusinessShortCode")
    # The wire says "Marchant", and clients write what they like: whose short code it is, its kind says.
    fields.text("TransactionType", TEXT_MAX)
    trade = _TRADES[fields.choice("ReceiverPartyIdentifierType", _TRADES)]
    frequency = int(fields.choice("Frequency", _FREQUENCIES))
    first_day, last_day = _day(call, "StartDate"), _day(call, "EndDate")
    terms = Terms(_KINDS[trade], frequency, first_day, last_day)
    if not terms.are_possible or last_day < day_of(call.now_ms):
        raise invalid("EndDate")
    name = fields.text("StandingOrderName", TEXT_MAX)
    fields.text("TransactionDesc", TEXT_MAX, least=0)
    reference = request_id()
    if await call.port.merchant(f"{trade}:{short_code}") is None:
        raise DarajaError(500, "500.001.1001", "Merchant does not exist")
    await call.port.ask_payment(
        Ask(
            consumer_key=call.app.consumer_key,
            short_code=f"{trade}:{short_code}",
            msisdn=fields.msisdn("PartyA"),
            amount_cents=fields.amount_cents(),
            name=f"sto_{local(call.now_ms):%Y%m%d}_{secrets.token_hex(8)}",
            fresh=True,
            account=fields.text("AccountReference", ACCOUNT_MAX, least=0),
            text=name,
            callback_url=fields.url("CallBackURL"),
            form=FORM,
            lasts_ms=LASTS_MS,
            terms=terms,
            extra={REFERENCE: reference},
        )
    )
    return {
        "ResponseHeader": {
            "responseRefID": reference,
            "responseCode": "200",
            "responseDescription": _ACCEPTED,
            "ResultDesc": "The service request is processed successfully.",
        },
        "ResponseBody": {"responseDescription": _ACCEPTED, "responseCode": "200"},
    }


def _day(call: Call, name: str) -> int:
    text = call.fields.text(name, 10).replace("-", "")
    if len(text) != 8 or not (text.isascii() and text.isdigit()):
        raise invalid(name)
    try:
        day = number_of(dt.date(int(text[:4]), int(text[4:6]), int(text[6:])))
    except ValueError as error:
        raise invalid(name) from error
    if not 0 <= day < DAY_MAX:
        raise invalid(name)
    return day
