"""What merchants' software is called back with, byte for byte as Daraja's clients read it.

Misspellings, and numbers that are text in one callback and numbers in another, are the interface's.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from harambee.gateways.daraja import b2b_express, bill_manager, c2b, instructions, ratiba, stk
from harambee.gateways.daraja.identifiers import dotted, local, stamp
from harambee.gateways.daraja.result_codes import CANCELLED, DONE, ending_of, result_of
from harambee.gateways.daraja.shillings import decimal, number, two_decimals
from harambee.merchants.port import (
    NAME_CHARACTERS_MAX,
    Body,
    Delivery,
    Merchant,
    PaymentFacts,
    RequestState,
    RequestView,
    Result,
    Trade,
    Verdict,
)

BodyMaker = Callable[[Delivery, Merchant, int], Body]

VERDICT_BYTES_MAX: Final = 16 << 10
_SENTENCE_CHARACTERS_MAX: Final = 100
_REFUSALS: Final = re.compile(r"C2B0001[1-6]", re.ASCII)
_REFUSED_BY_OPERATOR: Final = "4001"
OTHER_ERROR: Final = "C2B00016"
_HEADERS: Final = {"content-type": "application/json"}
_TRADE: Final = {Trade.PAYBILL: "Pay Bill", Trade.TILL: "Buy Goods"}
_FUNDS: Final = "Utility Account"
"""A business has one account here: what customers pay goes there and what it pays out comes from there, as
with this one of M-PESA's. The others exist, and are empty."""
_EMPTY_ACCOUNTS: Final = ("Charges Paid Account", "Organization Settlement Account")


class CallbackBodies:
    """Implements `harambee.merchants.port.Bodies`: Daraja's forms, and those that others make."""

    def __init__(self, others: Mapping[str, BodyMaker]) -> None:
        self._makers = _MAKERS | dict(others)

    def __call__(self, delivery: Delivery, merchant: Merchant, now_ms: int) -> Body:
        """Return headers and content of a callback; ValueError for a form that nobody makes."""
        maker = self._makers.get(delivery.form)
        if maker is None:
            message = f"nobody makes callbacks of the form {delivery.form!r}"
            raise ValueError(message)
        return maker(delivery, merchant, now_ms)

    def question(self, payment: PaymentFacts, merchant: Merchant) -> Body:
        """Return headers and content of the question whether a bill may be paid."""
        masked = merchant.urls is not None and merchant.urls.form == c2b.FORM_V2
        return _body(_payment(payment, merchant, masked=masked, balance=""))

    def verdict(self, status: int, content: bytes) -> Verdict:
        """Return what the answer to that question says; refused where it is none."""
        return verdict_of(status, content)


def _body(document: dict[str, Any]) -> Body:
    return _HEADERS, msgspec.json.encode(document)


def _stk(delivery: Delivery, merchant: Merchant, now_ms: int) -> Body:
    del merchant, now_ms
    view = delivery.event.facts
    assert isinstance(view, RequestView), "a request ended"
    ending = ending_of(view)
    callback: dict[str, Any] = {
        "MerchantRequestID": view.extra.get(stk.MERCHANT_REQUEST, ""),
        "CheckoutRequestID": view.name,
        "ResultCode": ending.code,
        "ResultDesc": ending.sentence,
    }
    if view.state is RequestState.PAID and view.payment is not None:
        callback["CallbackMetadata"] = {"Item": _paid_items(view, view.payment)}
    return _body({"Body": {"stkCallback": callback}})


def _paid_items(view: RequestView, payment: PaymentFacts) -> list[dict[str, Any]]:
    items = {
        "Amount": decimal(payment.amount_cents),
        "MpesaReceiptNumber": payment.receipt_code,
        "TransactionDate": int(stamp(payment.time_ms)),
        "PhoneNumber": int(view.msisdn.removeprefix("+")),
    }
    return [{"Name": name, "Value": value} for name, value in items.items()]


def _express(delivery: Delivery, merchant: Merchant, now_ms: int) -> Body:
    del merchant, now_ms
    view = delivery.event.facts
    assert isinstance(view, RequestView), "a request ended"
    ending = ending_of(view)
    told: dict[str, Any] = {
        "resultCode": str(ending.code),
        "resultDesc": ending.sentence,
        "amount": bytes(decimal(view.amount_cents)).decode(),
        "requestId": view.extra.get(b2b_express.REQUEST_REFERENCE, ""),
    }
    if view.state is RequestState.PAID and view.payment is not None:
        told |= {
            "resultType": "0",
            "conversationID": view.extra.get(b2b_express.CONVERSATION, ""),
            "transactionId": view.payment.receipt_code,
            "status": "SUCCESS",
        }
    else:
        if ending is CANCELLED:
            told |= {"resultCode": _REFUSED_BY_OPERATOR, "resultDesc": "User cancelled transaction"}
        told["paymentReference"] = view.account
    return _body(told)


def _c2b_v1(delivery: Delivery, merchant: Merchant, now_ms: int) -> Body:
    del now_ms
    return _confirmation(delivery, merchant, masked=False)


def _c2b_v2(delivery: Delivery, merchant: Merchant, now_ms: int) -> Body:
    del now_ms
    return _confirmation(delivery, merchant, masked=True)


def _confirmation(delivery: Delivery, merchant: Merchant, *, masked: bool) -> Body:
    payment = delivery.event.facts
    assert isinstance(payment, PaymentFacts), "a payment was received"
    cents = payment.balance_cents
    balance = "" if cents is None else two_decimals(cents)
    return _body(_payment(payment, merchant, masked=masked, balance=balance))


def _standing(delivery: Delivery, merchant: Merchant, now_ms: int) -> Body:
    """Return what became of a standing order: in small letters where it stands, in capitals where not."""
    del merchant, now_ms
    view = delivery.event.facts
    assert isinstance(view, RequestView), "a request ended"
    ending = ending_of(view)
    stands = view.state is RequestState.AGREED
    header = {
        "responseRefID": view.extra.get(ratiba.REFERENCE, ""),
        "requestRefID": view.name,
        "responseCode": str(ending.code),
        "responseDescription": ending.sentence,
    }
    rows = {
        "TransactionID": view.name if stands else "0000000000",
        "responseCode": str(ending.code),
        "Status": "OKAY" if stands else "ERROR",
        "Msisdn": f"******{view.msisdn[-3:]}",
    }
    if stands:
        data = [{"name": name, "value": value} for name, value in rows.items()]
        return _body({"responseHeader": header, "responseBody": {"responseData": data}})
    data = [{"Name": name, "Value": value} for name, value in rows.items()]
    return _body({"ResponseHeader": header, "ResponseBody": {"ResponseData": data}})


def _bill(delivery: Delivery, merchant: Merchant, now_ms: int) -> Body:
    del now_ms
    payment = delivery.event.facts
    assert isinstance(payment, PaymentFacts), "a payment was received"
    return _body(
        {
            "transactionId": payment.receipt_code,
            "paidAmount": bytes(number(payment.amount_cents)).decode(),
            "msisdn": (payment.msisdn or "").removeprefix("+"),
            "dateCreated": f"{local(payment.time_ms):%Y-%m-%d}",
            "accountReference": payment.account,
            "shortCode": merchant.short_code,
        }
    )


def _payment(
    payment: PaymentFacts, merchant: Merchant, *, masked: bool, balance: str
) -> dict[str, Any]:
    first, middle, last = _names(payment.payer_name or "")
    msisdn = (payment.msisdn or "").removeprefix("+")
    return {
        "TransactionType": _TRADE[merchant.trade],
        "TransID": payment.receipt_code,
        "TransTime": stamp(payment.time_ms),
        "TransAmount": two_decimals(payment.amount_cents),
        "BusinessShortCode": merchant.short_code,
        "BillRefNumber": payment.account,
        "InvoiceNumber": "",
        "OrgAccountBalance": balance,
        "ThirdPartyTransID": "",
        "MSISDN": f"{msisdn[:4]} ***** {msisdn[-3:]}" if masked and msisdn else msisdn,
        "FirstName": first,
        "MiddleName": "" if masked else middle,
        "LastName": "" if masked else last,
    }


def _names(name: str) -> tuple[str, str, str]:
    """Return a name in the three parts that M-PESA has."""
    words = name.split()
    if len(words) < 2:
        return name.strip(), "", ""
    return words[0], " ".join(words[1:-1]), words[-1]


def _result(result: Result, parameters: Mapping[str, Any], reference: Any) -> Body:
    """Return an instruction's result; what was done has parameters, and what was not has none."""
    ending = result_of(result)
    content: dict[str, Any] = {
        "ResultType": 0,
        "ResultCode": ending.code,
        "ResultDesc": ending.sentence,
        "OriginatorConversationID": result.instruction.name,
        "ConversationID": result.instruction.conversation,
        "TransactionID": result.receipt_code,
    }
    if ending is DONE:
        rows = [{"Key": key, "Value": value} for key, value in parameters.items()]
        content["ResultParameters"] = {"ResultParameter": rows}
    content["ReferenceData"] = {"ReferenceItem": reference}
    return _body({"Result": content})


def _facts(delivery: Delivery) -> Result:
    result = delivery.event.facts
    assert isinstance(result, Result), "an instruction ended"
    return result


def _timeout(result: Result) -> dict[str, str]:
    url = result.instruction.extra.get(instructions.TIMEOUT_URL, "")
    return {"Key": "QueueTimeoutURL", "Value": url}


def _to_customer(delivery: Delivery, merchant: Merchant, now_ms: int) -> Body:
    del merchant, now_ms
    result = _facts(delivery)
    told = result.instruction
    number_of = told.payee.removeprefix("pochi:").removeprefix("+")
    parameters = {
        "TransactionAmount": number(told.amount_cents),
        "TransactionReceipt": result.receipt_code,
        "ReceiverPartyPublicName": f"{number_of} - {result.payee_name}",
        "TransactionCompletedDateTime": dotted(result.ended_ms),
        "B2CUtilityAccountAvailableFunds": decimal(result.balance_cents or 0),
        "B2CWorkingAccountAvailableFunds": decimal(0),
        # Nobody but registered customers has an account to pay to.
        "B2CRecipientIsRegisteredCustomer": "Y",
        "B2CChargesPaidAccountAvailableFunds": decimal(0),
    }
    return _result(result, parameters, _timeout(result))


def _to_business(delivery: Delivery, merchant: Merchant, now_ms: int) -> Body:
    del merchant, now_ms
    result = _facts(delivery)
    told = result.instruction
    short_code = told.payee.partition(":")[2]
    funds = result.balance_cents or 0
    shown = (
        f"{{Amount={{CurrencyCode=KES, MinimumAmount={funds}, BasicAmount={two_decimals(funds)}}}}}"
    )
    parameters = {
        "DebitAccountBalance": shown,
        "Amount": two_decimals(told.amount_cents),
        "DebitPartyAffectedAccountBalance": _account_line(funds),
        "TransCompletedTime": stamp(result.ended_ms),
        "DebitPartyCharges": _charges(result.fee_cents),
        "ReceiverPartyPublicName": f"{short_code} - {result.payee_name}",
        "Currency": "KES",
        "InitiatorAccountCurrentBalance": shown,
    }
    bill = {
        "Key": "BillReferenceNumber",
        "Value": told.extra.get(instructions.ACCOUNT, ""),
    }
    return _result(result, parameters, [bill, _timeout(result)])


def _reversal(delivery: Delivery, merchant: Merchant, now_ms: int) -> Body:
    result = _facts(delivery)
    del now_ms
    parameters = {
        "DebitAccountBalance": _account_line(result.balance_cents or 0),
        "Amount": number(result.instruction.amount_cents),
        "TransCompletedTime": int(stamp(result.ended_ms)),
        "OriginalTransactionID": result.instruction.subject,
        "Charge": number(result.fee_cents),
        "CreditPartyPublicName": result.credit_party or _payer(result),
        "DebitPartyPublicName": result.debit_party or f"{merchant.short_code} - {merchant.name}",
    }
    return _result(result, parameters, _timeout(result))


def _payer(result: Result) -> str:
    """Return who had paid what was given back."""
    number_of = "" if result.payment is None else result.payment.msisdn or ""
    return f"{number_of.removeprefix('+')} - {result.payee_name}"


def _status(delivery: Delivery, merchant: Merchant, now_ms: int) -> Body:
    del merchant, now_ms
    result = _facts(delivery)
    payment = result.payment
    time = "" if payment is None else int(stamp(payment.time_ms))
    parameters = {
        "DebitPartyName": result.debit_party,
        "CreditPartyName": result.credit_party,
        "OriginatorConversationID": result.instruction.name,
        "InitiatedTime": time,
        "DebitAccountType": _FUNDS,
        "DebitPartyCharges": _charges(result.fee_cents),
        "TransactionReason": "",
        "ReasonType": result.payment_kind.replace("_", " ").title(),
        "TransactionStatus": "Completed",
        "FinalisedTime": time,
        "Amount": number(0 if payment is None else payment.amount_cents),
        "ConversationID": result.instruction.conversation,
        "ReceiptNo": "" if payment is None else payment.receipt_code,
    }
    return _result(result, parameters, _timeout(result))


def _balance(delivery: Delivery, merchant: Merchant, now_ms: int) -> Body:
    del merchant, now_ms
    result = _facts(delivery)
    accounts = [
        _account_line(0, "Working Account"),
        _account_line(result.balance_cents or 0),
        *(_account_line(0, name) for name in _EMPTY_ACCOUNTS),
    ]
    parameters = {
        "AccountBalance": "&".join(accounts),
        "BOCompletedTime": int(stamp(result.ended_ms)),
    }
    return _result(result, parameters, _timeout(result))


def _account_line(amount_cents: int, name: str = _FUNDS) -> str:
    """Return an account as M-PESA writes it: current, available, reserved and uncleared."""
    shown = two_decimals(amount_cents)
    return f"{name}|KES|{shown}|{shown}|0.00|0.00"


def _charges(fee_cents: int) -> str:
    return f"Fee|KES|{two_decimals(fee_cents)}" if fee_cents else ""


_MAKERS: Final[dict[str, BodyMaker]] = {
    stk.FORM: _stk,
    b2b_express.FORM: _express,
    bill_manager.FORM: _bill,
    ratiba.FORM: _standing,
    c2b.FORM_V1: _c2b_v1,
    c2b.FORM_V2: _c2b_v2,
    instructions.FORM_B2C: _to_customer,
    instructions.FORM_B2B: _to_business,
    instructions.FORM_REVERSAL: _reversal,
    instructions.FORM_STATUS: _status,
    instructions.FORM_BALANCE: _balance,
}


def verdict_of(status: int, content: bytes) -> Verdict:
    """Return what a biller's answer says: accepted by code 0 alone, whatever else it is refused."""
    malformed = Verdict(
        accepted=False, code=OTHER_ERROR, sentence="The biller's answer could not be read."
    )
    if status != 200 or len(content) > VERDICT_BYTES_MAX:
        return malformed
    try:
        answer = msgspec.json.decode(content)
    except (msgspec.DecodeError, RecursionError, ValueError):
        return malformed
    if not isinstance(answer, dict):
        return malformed
    code = answer.get("ResultCode")
    if code == "0" or (type(code) is int and code == 0):
        third_party = _printed(answer.get("ThirdPartyTransID"), NAME_CHARACTERS_MAX)
        return Verdict(accepted=True, third_party_id=third_party)
    if isinstance(code, str) and _REFUSALS.fullmatch(code):
        sentence = _printed(answer.get("ResultDesc"), _SENTENCE_CHARACTERS_MAX)
        return Verdict(accepted=False, code=code, sentence=sentence)
    return malformed


def _printed(value: object, most: int) -> str:
    """Return a stranger's text, cut short; empty where it is none that can be shown."""
    if not isinstance(value, str) or not value.isprintable():
        return ""
    return value[:most]
