"""Pull: the payments of the last days, for a merchant that missed callbacks; and whose a short code is."""

from datetime import datetime, timedelta
from typing import Any, Final

from harambee.gateways.daraja.calls import Call
from harambee.gateways.daraja.errors import DarajaError, invalid
from harambee.gateways.daraja.identifiers import (
    EAST_AFRICA,
    conversation_id,
    local,
    milliseconds,
    request_id,
)
from harambee.gateways.daraja.shillings import two_decimals
from harambee.merchants.port import Merchant, PaymentFacts, Trade

PAGE_PAYMENTS: Final = 1_000
OFFSET_DIGITS_MAX: Final = 7
_SECONDS: Final = "%Y-%m-%d %H:%M:%S"
_DAY: Final = "%Y-%m-%d"
_TRADES: Final = {"2": Trade.TILL, "4": Trade.PAYBILL}


async def register(call: Call) -> dict[str, Any]:
    """POST /pulltransactions/v1/register: every merchant's payments can be pulled, so nothing is kept."""
    short_code = call.own_short_code("ShortCode")
    call.fields.choice("RequestType", ("Pull",))
    call.fields.msisdn("NominatedNumber")
    call.fields.url("CallBackURL")
    return {
        "ResponseRefID": request_id(),
        "Response Status": "1001",
        "ShortCode": short_code,
        "Response Description": "ShortCode already Registered",
    }


async def query(call: Call) -> dict[str, Any]:
    """POST /pulltransactions/v1/query: the payments between two times, oldest first."""
    short_code = call.own_short_code("ShortCode")
    since_ms = _time_ms(call, "StartDate", days_after=0)
    until_ms = _time_ms(call, "EndDate", days_after=1)
    if until_ms < since_ms:
        raise invalid("EndDate")
    offset = call.fields.text("OffSetValue", OFFSET_DIGITS_MAX, least=0) or "0"
    if not (offset.isascii() and offset.isdigit()):
        raise invalid("OffSetValue")
    merchant = await call.merchant(short_code)
    payments = await call.port.payments(short_code, since_ms, until_ms, int(offset), PAGE_PAYMENTS)
    return {
        "ResponseRefID": request_id(),
        "ResponseCode": "1000",
        "ResponseMessage": "Success",
        "Response": [[_row(payment, merchant) for payment in payments]],
    }


def _time_ms(call: Call, name: str, days_after: int) -> int:
    """Return a time of the call; a mere date is its beginning, `days_after` it."""
    text = call.fields.text(name, 19)
    for form, days in ((_SECONDS, 0), (_DAY, days_after)):
        try:
            when = datetime.strptime(text, form).replace(tzinfo=EAST_AFRICA)
            return max(milliseconds(when + timedelta(days=days)), 0)
        except (ValueError, OverflowError):
            continue
    raise invalid(name)


def _row(payment: PaymentFacts, merchant: Merchant) -> dict[str, Any]:
    bill = merchant.trade is Trade.PAYBILL
    return {
        "transactionId": payment.receipt_code,
        "trxDate": f"{local(payment.time_ms):%Y-%m-%dT%H:%M:%S+03:00}",
        "msisdn": int((payment.msisdn or "0").removeprefix("+")),
        "sender": payment.payer_name or "",
        "transactiontype": "c2b-pay-bill-debit" if bill else "c2b-buy-goods-debit",
        "billreference": payment.account,
        "amount": two_decimals(payment.amount_cents),
        "organizationname": merchant.name,
    }


async def organisation(call: Call) -> dict[str, Any]:
    """POST /sfcverify/v1/query/info: the name of a short code."""
    trade = _TRADES[call.fields.choice("IdentifierType", _TRADES)]
    merchant = await call.port.merchant(f"{trade}:{call.fields.short_code('Identifier')}")
    if merchant is None:
        raise DarajaError(404, "404.001.01", "Resource not found")
    return {
        "ConversationID": conversation_id(call.now_ms),
        "ResponseCode": "0",
        "ResponseMessage": "Success",
        "DetailedMessage": "The service request is processed successfully.",
        "OrganizationShortCode": merchant.short_code,
        "OrganizationName": merchant.name,
        "ChargeProfileID": "",
    }
