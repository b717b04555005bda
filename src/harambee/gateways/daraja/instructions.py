"""What a merchant has done at its home by its own key: paying out, paying others, taking back, asking.

Each call is kept as an instruction and answered at once; what comes of it is told at the ResultURL. Whether
the initiator's credential is right is seen only there, as result 2001, as it is with M-PESA.
"""

from typing import Any, Final

from harambee.gateways.daraja.calls import Call
from harambee.gateways.daraja.errors import invalid
from harambee.gateways.daraja.fields import CREDENTIAL_CHARACTERS_MAX
from harambee.gateways.daraja.identifiers import conversation_id, originator_conversation_id
from harambee.handset.payment_requests import ACCOUNT_MAX, TEXT_MAX
from harambee.merchants.port import (
    NAME_CHARACTERS_MAX,
    Deed,
    Instruction,
    MerchantsError,
    Reason,
)

FORM_B2C: Final = "daraja.result.b2c"
FORM_B2B: Final = "daraja.result.b2b"
FORM_REVERSAL: Final = "daraja.result.reversal"
FORM_STATUS: Final = "daraja.result.status"
FORM_BALANCE: Final = "daraja.result.balance"

TIMEOUT_URL: Final = "QueueTimeOutURL"
ACCOUNT: Final = "AccountReference"
"""Both kept with the instruction: its result tells them again."""

_TO_CUSTOMERS: Final = ("BusinessPayment", "SalaryPayment", "PromotionPayment")
_TO_POCHI: Final = ("BusinessPayToPochi", "BusinessPayment")
_TO_BUSINESSES: Final = {
    "BusinessPayBill": "paybill",
    "BusinessBuyGoods": "till",
    "BusinessPayToBulk": "paybill",
}
"""The word that the directory has before the payee's short code."""
_TAX: Final = "PayTaxToKRA"
_REVENUE_AUTHORITY: Final = "572572"


async def pay_customer(call: Call) -> dict[str, Any]:
    """POST /mpesa/b2c/v1/paymentrequest and /v3/paymentrequest."""
    call.fields.choice("CommandID", _TO_CUSTOMERS)
    return await _pay_customer(call, call.fields.msisdn("PartyB"))


async def pay_pochi(call: Call) -> dict[str, Any]:
    """POST /mpesa/b2pochi/v1/paymentrequest."""
    call.fields.choice("CommandID", _TO_POCHI)
    return await _pay_customer(call, f"pochi:{call.fields.msisdn('PartyB')}")


async def _pay_customer(call: Call, payee: str) -> dict[str, Any]:
    return await _instruct(
        call,
        Deed.PAY_CUSTOMER,
        FORM_B2C,
        short_code=call.own_short_code("PartyA"),
        initiator="InitiatorName",
        amount_cents=call.fields.amount_cents(),
        payee=payee,
    )


async def pay_business(call: Call) -> dict[str, Any]:
    """POST /mpesa/b2b/v1/paymentrequest: a bill, goods, or another account's float."""
    command = call.fields.choice("CommandID", _TO_BUSINESSES)
    return await _pay_business(
        call, f"{_TO_BUSINESSES[command]}:{call.fields.short_code('PartyB')}"
    )


async def remit_tax(call: Call) -> dict[str, Any]:
    """POST /mpesa/b2b/v1/remittax: AccountReference is the payment's registration number."""
    call.fields.choice("CommandID", (_TAX,))
    payee = call.fields.choice("PartyB", (_REVENUE_AUTHORITY,))
    call.fields.text(ACCOUNT, ACCOUNT_MAX)
    return await _pay_business(call, f"paybill:{payee}")


async def _pay_business(call: Call, payee: str) -> dict[str, Any]:
    return await _instruct(
        call,
        Deed.PAY_BUSINESS,
        FORM_B2B,
        short_code=call.own_short_code("PartyA"),
        amount_cents=call.fields.amount_cents(),
        payee=payee,
    )


async def reverse(call: Call) -> dict[str, Any]:
    """POST /mpesa/reversal/v1/request: give a payment back."""
    call.fields.choice("CommandID", ("TransactionReversal",))
    return await _instruct(
        call,
        Deed.REVERSE,
        FORM_REVERSAL,
        short_code=call.own_short_code("ReceiverParty"),
        amount_cents=call.fields.amount_cents(),
        subject=call.fields.text("TransactionID", NAME_CHARACTERS_MAX),
    )


async def status(call: Call) -> dict[str, Any]:
    """POST /mpesa/transactionstatus/v1/query: by the receipt, or by the conversation."""
    call.fields.choice("CommandID", ("TransactionStatusQuery",))
    receipt = call.fields.text("TransactionID", NAME_CHARACTERS_MAX, least=0)
    conversation = call.fields.text("OriginalConversationID", NAME_CHARACTERS_MAX, least=0)
    if not receipt and not conversation:
        raise invalid("TransactionID")
    return await _instruct(
        call,
        Deed.STATUS,
        FORM_STATUS,
        short_code=call.own_short_code("PartyA"),
        subject=receipt or conversation,
    )


async def balance(call: Call) -> dict[str, Any]:
    """POST /mpesa/accountbalance/v1/query."""
    call.fields.choice("CommandID", ("AccountBalance",))
    return await _instruct(
        call, Deed.BALANCE, FORM_BALANCE, short_code=call.own_short_code("PartyA")
    )


async def _instruct(
    call: Call,
    deed: Deed,
    form: str,
    *,
    short_code: str,
    initiator: str = "Initiator",
    amount_cents: int = 0,
    payee: str = "",
    subject: str = "",
) -> dict[str, Any]:
    fields = call.fields
    name = fields.text("OriginatorConversationID", NAME_CHARACTERS_MAX, least=0)
    # Under a name of its own an instruction that comes again is a duplicate. One without a name, but marked
    # by the client, is the same again, and paid once.
    seed = b"" if name else call.sent_again_as
    for occasion in ("Occasion", "Occassion"):
        fields.text(occasion, TEXT_MAX, least=0)
    told = {
        TIMEOUT_URL: fields.url(TIMEOUT_URL, optional=True),
        ACCOUNT: fields.text(ACCOUNT, ACCOUNT_MAX, least=0),
    }
    instruction = Instruction(
        deed=deed,
        consumer_key=call.app.consumer_key,
        short_code=short_code,
        initiator=fields.text(initiator, NAME_CHARACTERS_MAX),
        credential=fields.text("SecurityCredential", CREDENTIAL_CHARACTERS_MAX),
        name=name or originator_conversation_id(seed),
        conversation=conversation_id(call.now_ms, seed),
        form=form,
        result_url=fields.url("ResultURL"),
        amount_cents=amount_cents,
        payee=payee,
        subject=subject,
        remarks=fields.text("Remarks", TEXT_MAX, least=0),
        extra={key: value for key, value in told.items() if value},
    )
    if not await call.port.instruct(instruction) and name:
        raise MerchantsError(Reason.NAME_TAKEN, "This instruction was given before.")
    return {
        "ConversationID": instruction.conversation,
        "OriginatorConversationID": instruction.name,
        "ResponseCode": "0",
        "ResponseDescription": "Accept the service request successfully.",
    }
