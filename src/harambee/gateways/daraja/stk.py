"""STK push: a merchant asks a customer for money, and asks what became of it.

The customer's handset takes the part of the SIM toolkit: it shows the request, and its owner signs the
order that pays it. The password proves the passkey of the short code; its timestamp is only a part of what
is hashed, for clients write it in their own time zone or in UTC.
"""

import base64
import hmac
import re
from typing import Any, Final

from harambee.gateways.daraja.calls import Call
from harambee.gateways.daraja.errors import DarajaError, invalid
from harambee.gateways.daraja.identifiers import checkout_request_id, request_id
from harambee.gateways.daraja.result_codes import ending_of
from harambee.handset.payment_requests import ACCOUNT_MAX, TEXT_MAX
from harambee.merchants.port import NAME_CHARACTERS_MAX, Ask, Merchant, RequestState, Trade

FORM: Final = "daraja.stk"
MERCHANT_REQUEST: Final = "MerchantRequestID"
"""Kept with the request, so that the callback and the query tell it again."""
_GOODS: Final = "CustomerBuyGoodsOnline"
_TYPES: Final = ("CustomerPayBillOnline", _GOODS)
_TIMESTAMP: Final = re.compile(r"[0-9]{14}", re.ASCII)
_ACCEPTED: Final = "Success. Request accepted for processing"


async def push(call: Call) -> dict[str, Any]:
    """POST /mpesa/stkpush/v1/processrequest: ask a customer to pay."""
    fields = call.fields
    short_code = fields.short_code("BusinessShortCode")
    payee = fields.short_code("PartyB")
    transaction = fields.choice("TransactionType", _TYPES)
    amount_cents = fields.amount_cents()
    payer = fields.msisdn("PartyA")
    if fields.msisdn("PhoneNumber") != payer:
        raise invalid("PhoneNumber")
    callback_url = fields.url("CallBackURL")
    account = fields.text("AccountReference", ACCOUNT_MAX)
    text = fields.text("TransactionDesc", TEXT_MAX, least=0)
    await _prove(call, short_code)
    if payee not in call.app.short_codes:
        raise invalid("PartyB")
    merchant_request = request_id()
    view = await call.port.ask_payment(
        Ask(
            consumer_key=call.app.consumer_key,
            short_code=await _payee(call, payee, transaction),
            msisdn=payer,
            amount_cents=amount_cents,
            name=checkout_request_id(call.now_ms),
            fresh=True,
            account=account,
            text=text,
            callback_url=callback_url,
            form=FORM,
            extra={MERCHANT_REQUEST: merchant_request},
        )
    )
    return {
        "MerchantRequestID": merchant_request,
        "CheckoutRequestID": view.name,
        "ResponseCode": "0",
        "ResponseDescription": _ACCEPTED,
        "CustomerMessage": _ACCEPTED,
    }


async def _payee(call: Call, short_code: str, transaction: str) -> str:
    """Return who is paid, as the port knows him.

    What the digits are, the merchant's registration says: clients often write CustomerPayBillOnline for all.
    Where they are a till and a paybill, goods are bought at the till.
    """
    till = f"{Trade.TILL}:{short_code}"
    if transaction == _GOODS and await call.port.merchant(till) is not None:
        return till
    return short_code


async def query(call: Call) -> dict[str, Any]:
    """POST /mpesa/stkpushquery/v1/query: what became of a request."""
    short_code = call.fields.short_code("BusinessShortCode")
    name = call.fields.text("CheckoutRequestID", NAME_CHARACTERS_MAX)
    await _prove(call, short_code)
    view = await call.port.request(name)
    if view is None or view.short_code not in call.app.short_codes:
        raise invalid("CheckoutRequestID")
    if view.state is RequestState.WAITING:
        raise DarajaError(500, "500.001.1001", "The transaction is being processed")
    ending = ending_of(view)
    return {
        "ResponseCode": "0",
        # Three s: clients compare this sentence.
        "ResponseDescription": "The service request has been accepted successsfully",
        "MerchantRequestID": view.extra.get(MERCHANT_REQUEST, ""),
        "CheckoutRequestID": view.name,
        "ResultCode": str(ending.code),
        "ResultDesc": ending.sentence,
    }


async def _prove(call: Call, short_code: str) -> Merchant:
    """Return the merchant whose passkey is in the password; DarajaError where it is not."""
    password = call.fields.text("Password", 512)
    timestamp = call.fields.text("Timestamp", 14)
    if not _TIMESTAMP.fullmatch(timestamp):
        raise invalid("Timestamp")
    merchant = await call.merchant(short_code)
    known = short_code in call.app.short_codes
    if not is_password(password, short_code, merchant.passkey, timestamp) or not known:
        raise DarajaError(500, "500.001.1001", "Wrong credentials")
    return merchant


def is_password(password: str, short_code: str, passkey: str, timestamp: str) -> bool:
    """Say whether this is the password of a short code at a timestamp."""
    expected = base64.b64encode(f"{short_code}{passkey}{timestamp}".encode())
    return hmac.compare_digest(password.encode(), expected)
