"""Bill Manager: invoices that a merchant's software keeps here, and the payments of them.

No invoice names its short code: the software has opted in for one. Nobody is sent an invoice by the network;
what it does is to know under which account something is owed, and to tell a payment of it where the
software said.
"""

from typing import Any, Final

from harambee.gateways.daraja.calls import Call
from harambee.gateways.daraja.errors import DarajaError, invalid, unreadable
from harambee.gateways.daraja.fields import Fields
from harambee.handset.payment_requests import ACCOUNT_MAX
from harambee.merchants.port import (
    NAME_CHARACTERS_MAX,
    URL_CHARACTERS_MAX,
    Billing,
    Invoice,
    Merchant,
)

FORM: Final = "daraja.bill-manager"
INVOICES_AT_ONCE: Final = 100
ITEMS_MAX: Final = 16
TEXT_MAX: Final = 64
EMAIL_MAX: Final = 128
_DATE_MAX: Final = 32


async def opt_in(call: Call) -> dict[str, Any]:
    """POST /v1/billmanager-invoice/optin: this software keeps a short code's invoices from now on."""
    await _set_billing(call, await _own(call))
    return {"app_key": call.app.consumer_key, "resmsg": "Success", "rescode": "200"}


async def change_opt_in(call: Call) -> dict[str, Any]:
    """POST /v1/billmanager-invoice/change-optin-details: of a short code that has opted in."""
    merchant = await _own(call)
    if merchant.billing is None or merchant.billing.consumer_key != call.app.consumer_key:
        raise invalid("shortcode")
    await _set_billing(call, merchant)
    return _success()


async def _own(call: Call) -> Merchant:
    return await call.merchant(call.own_short_code("shortcode"))


async def _set_billing(call: Call, merchant: Merchant) -> None:
    fields = call.fields
    # A picture for invoices that the network does not send is of no use here.
    fields.text("logo", URL_CHARACTERS_MAX, least=0)
    billing = Billing(
        consumer_key=call.app.consumer_key,
        since_ms=call.now_ms,
        callback_url=fields.url("callbackurl"),
        form=FORM,
        email=fields.text("email", EMAIL_MAX, least=0),
        contact=fields.text("officialContact", TEXT_MAX, least=0),
        reminders=fields.text("sendReminders", 1, least=0) == "1",
    )
    await call.port.set_billing(f"{merchant.trade}:{merchant.short_code}", billing)


async def invoice(call: Call) -> dict[str, Any]:
    """POST /v1/billmanager-invoice/single-invoicing."""
    return await _keep(call, (call.fields,))


async def invoices(call: Call) -> dict[str, Any]:
    """POST /v1/billmanager-invoice/bulk-invoicing: a list of them."""
    return await _keep(call, _rows(call))


async def _keep(call: Call, rows: tuple[Fields, ...]) -> dict[str, Any]:
    # All are read before one is kept. Where the keeping fails, the same call again keeps the rest.
    kept = [_invoice(row) for row in rows]
    short_code = await _opted_in(call)
    for one in kept:
        await call.port.keep_invoice(call.app.consumer_key, short_code, one)
    return {"Status_Message": "Invoice kept successfully"} | _success()


async def cancel(call: Call) -> dict[str, Any]:
    """POST /v1/billmanager-invoice/cancel-single-invoice."""
    return await _cancel(call, (call.fields,))


async def cancel_all(call: Call) -> dict[str, Any]:
    """POST /v1/billmanager-invoice/cancel-bulk-invoices: a list of references."""
    return await _cancel(call, _rows(call))


async def _cancel(call: Call, rows: tuple[Fields, ...]) -> dict[str, Any]:
    references = [row.text("externalReference", NAME_CHARACTERS_MAX) for row in rows]
    short_code = await _opted_in(call)
    for reference in references:
        await call.port.cancel_invoice(call.app.consumer_key, short_code, reference)
    return {"Status_Message": "Invoice cancelled successfully"} | _success()


async def reconcile(call: Call) -> dict[str, Any]:
    """POST /v1/billmanager-invoice/reconciliation: the software has booked a payment, which must be one."""
    fields = call.fields
    receipt_code = fields.text("transactionId", NAME_CHARACTERS_MAX)
    amount_cents = fields.amount_cents("paidAmount")
    for name in ("paymentDate", "fullName", "invoiceName", "externalReference", "phoneNumber"):
        fields.text(name, TEXT_MAX, least=0)
    fields.text("accountReference", ACCOUNT_MAX, least=0)
    short_code = await _opted_in(call)
    await call.port.acknowledge(call.app.consumer_key, short_code, receipt_code, amount_cents)
    return _success()


def _rows(call: Call) -> tuple[Fields, ...]:
    if not 0 < len(call.rows) <= INVOICES_AT_ONCE:
        raise unreadable()
    return call.rows


def _invoice(fields: Fields) -> Invoice:
    phone = fields.text("billedPhoneNumber", TEXT_MAX, least=0)
    return Invoice(
        reference=fields.text("externalReference", NAME_CHARACTERS_MAX),
        account=fields.text("accountReference", ACCOUNT_MAX),
        name=fields.text("invoiceName", TEXT_MAX, least=0),
        period=fields.text("billedPeriod", TEXT_MAX, least=0),
        due=fields.text("dueDate", _DATE_MAX, least=0),
        amount_cents=fields.amount_cents("amount"),
        billed_name=fields.text("billedFullName", TEXT_MAX, least=0),
        billed_msisdn=fields.msisdn("billedPhoneNumber") if phone else "",
        items=tuple(
            (item.text("itemName", TEXT_MAX), item.amount_cents("amount"))
            for item in fields.rows("invoiceItems", ITEMS_MAX)
        ),
    )


async def _opted_in(call: Call) -> str:
    """Return the short code whose invoices this software keeps: the one it has opted in for last."""
    found: list[tuple[int, str]] = []
    for short_code in call.app.short_codes:
        merchant = await call.port.merchant(short_code)
        billing = None if merchant is None else merchant.billing
        is_own = billing is not None and billing.consumer_key == call.app.consumer_key
        if merchant is not None and billing is not None and is_own:
            found.append((billing.since_ms, f"{merchant.trade}:{merchant.short_code}"))
    if not found:
        raise DarajaError(404, "404.001.01", "This software has not opted in for a short code.")
    return max(found)[1]


def _success() -> dict[str, Any]:
    return {"resmsg": "Success", "rescode": "200"}
