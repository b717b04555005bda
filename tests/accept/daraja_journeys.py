"""What software with a published Daraja client does all day, each client as it is on PyPI.

Run as `python daraja_journeys.py CLIENT` with the settings as JSON on standard input; it ends with status 0
if everything came out as the client expects, and says nothing else. The places of callbacks are those of a
receiver that tells on GET what was posted there.
"""

import base64
import datetime as dt
import json
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding

PENDING = "500.001.1001"
UNREGISTERED = 2040
PATIENCE_S = 30
POLL_S = 0.2


class Settings:
    """Where the network is, and who the merchant is."""

    def __init__(self, document):
        self.base_url = document["base_url"]
        self.callbacks = document["callbacks"]
        self.consumer_key = document["consumer_key"]
        self.consumer_secret = document["consumer_secret"]
        self.passkey = document["passkey"]
        self.initiator = document["initiator"]
        self.initiator_password = document["initiator_password"]
        self.certificate = document["certificate"]
        self.short_code = document["short_code"]
        self.biller = document["biller"]
        self.phone = document["phone"]

    def place(self, name):
        return f"{self.callbacks}/{name}"

    def told(self, name):
        """Wait for what was posted to a place, and return the first of it."""
        with urllib.request.urlopen(self.place(name), timeout=PATIENCE_S + 5) as answer:
            posted = json.load(answer)
        assert posted, f"nothing was posted to {name}"
        return posted[0]

    def result(self, name):
        """Wait for an asynchronous result, which has to be a success, and return its parameters."""
        result = self.told(name)["Result"]
        assert result["ResultCode"] == 0, result
        return {row["Key"]: row["Value"] for row in result["ResultParameters"]["ResultParameter"]}

    def credential(self, content):
        key = x509.load_pem_x509_certificate(Path(self.certificate).read_bytes()).public_key()
        return base64.b64encode(key.encrypt(content, padding.PKCS1v15())).decode()


def within_patience(ask):
    """Ask again until something comes, but not for ever."""
    deadline = time.monotonic() + PATIENCE_S
    while (found := ask()) is None:
        assert time.monotonic() < deadline, "it is still pending"
        time.sleep(POLL_S)
    return found


def daraja_v3(settings):
    import mpesa
    from mpesa.exceptions import AuthenticationError, MpesaError

    client = mpesa.MpesaClient(
        settings.consumer_key,
        settings.consumer_secret,
        settings.short_code,
        settings.passkey,
        base_url=settings.base_url,
    )
    asked = client.stk_push(
        settings.phone, 5, "INV-1", "One bill", callback_url=settings.place("v3-stk")
    )
    assert asked.checkout_request_id.startswith("ws_CO_")

    def ended():
        try:
            return client.stk_query(asked.checkout_request_id)
        except MpesaError as error:
            if error.code != PENDING:
                raise
            return None

    assert within_patience(ended).is_paid
    paid = client.parse_stk_callback(settings.told("v3-stk"))
    assert paid["paid"]
    assert (paid["amount"], paid["phone"]) == (5, settings.phone)
    assert paid["checkout_request_id"] == asked.checkout_request_id
    assert paid["merchant_request_id"] == asked.merchant_request_id

    instructed = {
        "initiator_name": settings.initiator,
        "security_credential": settings.credential(settings.initiator_password.encode()),
    }
    client.b2c(settings.phone, 10, callback_url=settings.place("v3-b2c"), **instructed)
    assert settings.result("v3-b2c")["TransactionAmount"] == 10
    client.account_balance(settings.place("v3-balance"), **instructed)
    assert "Utility Account|KES|" in settings.result("v3-balance")["AccountBalance"]

    registered = client.c2b_register_urls(
        settings.place("v3-validation"), settings.place("v3-confirmation")
    )
    assert registered["ResponseCode"] == "0"

    stranger = mpesa.MpesaClient("nobody", "nothing", "174379", "x", base_url=settings.base_url)
    with pytest.raises(AuthenticationError, match=r"400\.008\.01"):
        stranger.stk_query("ws_CO_1")


def mpesa_wrapper(settings):
    from mpesa_wrapper import MpesaClient

    client = MpesaClient(
        {
            "consumer_key": settings.consumer_key,
            "consumer_secret": settings.consumer_secret,
            "environment": "sandbox",
            "shortcode": settings.short_code,
            "passkey": settings.passkey,
            "callback_url": settings.place("wrapper-stk"),
            "initiator_name": settings.initiator,
            "initiator_password": settings.initiator_password,
            "certificate_path": settings.certificate,
            "timeout_url": settings.place("wrapper-timeout"),
            "result_url": settings.place("wrapper-result"),
            "base_url": settings.base_url,
            "auth_url": f"{settings.base_url}/oauth/v1/generate?grant_type=client_credentials",
        }
    )
    asked = client.stk_push(
        phone_number=settings.phone,
        amount=7,
        account_reference="INV-2",
        transaction_desc="A bill in UTC",
    )
    assert asked.response_code == "0"
    # Not by this client's own model of a callback: it refuses every one that has metadata.
    callback = settings.told("wrapper-stk")["Body"]["stkCallback"]
    assert callback["ResultCode"] == 0
    assert callback["CheckoutRequestID"] == asked.checkout_request_id
    items = {item["Name"]: item["Value"] for item in callback["CallbackMetadata"]["Item"]}
    receipt = items["MpesaReceiptNumber"]

    simulated = client.simulate_transaction(phone_number=settings.phone, amount=9, bill_ref="INV-4")
    assert simulated.response_code == "0"

    def result_of(name, call, **named):
        client.config["result_url"] = settings.place(name)
        answer = call(**named)
        assert answer.response_code == "0", answer
        return settings.result(name)

    status = result_of("wrapper-status", client.transaction_status, transaction_id=receipt)
    assert (status["ReceiptNo"], status["Amount"]) == (receipt, 7)
    out = result_of("wrapper-b2c", client.b2c_payment, phone_number=settings.phone, amount=11)
    assert out["ReceiverPartyPublicName"].startswith(settings.phone)
    back = result_of(
        "wrapper-reversal", client.reverse_transaction, transaction_id=receipt, amount=7
    )
    assert back["OriginalTransactionID"] == receipt
    assert result_of("wrapper-balance", client.account_balance)["BOCompletedTime"] > 0


def daraja_sdk(settings):
    from daraja import Mpesa
    from daraja.exceptions import MpesaAPIError
    from daraja.services import AccountBalanceService

    encoded = base64.b64encode(settings.initiator_password.encode())
    client = Mpesa(
        {
            "consumer_key": settings.consumer_key,
            "consumer_secret": settings.consumer_secret,
            "passkey": settings.passkey,
            "initiator_name": settings.initiator,
            "security_credential": settings.credential(encoded),
            "retry_config": {"max_retries": 0},
        }
    )
    short_code, phone = int(settings.short_code), int(settings.phone)
    asked = client.stk_push(
        {
            "BusinessShortCode": short_code,
            "TransactionType": "CustomerBuyGoodsOnline",
            "Amount": 3,
            "PartyA": phone,
            "PartyB": short_code,
            "PhoneNumber": phone,
            "CallBackURL": settings.place("sdk-stk"),
            "AccountReference": "INV-3",
            "TransactionDesc": "Goods",
        }
    )

    def ended():
        query = {
            "BusinessShortCode": settings.short_code,
            "CheckoutRequestID": asked.CheckoutRequestID,
        }
        try:
            return client.stk_query(query)
        except MpesaAPIError as error:
            if json.loads(error.raw_response)["errorCode"] != PENDING:
                raise
            return None

    assert within_patience(ended).ResultCode == "0"
    assert settings.told("sdk-stk")["Body"]["stkCallback"]["ResultCode"] == 0
    _sdk_instructions(settings, client, AccountBalanceService)
    _sdk_questions(settings, client)
    client.close()


def _sdk_instructions(settings, client, balances):
    short_code, phone = int(settings.short_code), int(settings.phone)

    def addresses(name):
        return {
            "QueueTimeOutURL": settings.place("sdk-timeout"),
            "ResultURL": settings.place(name),
            "Remarks": "As a client does",
        }

    sent = {"OriginatorConversationID": f"INT_{time.time_ns()}", "CommandID": "BusinessPayment"}
    answer = client.b2c(
        sent | {"Amount": 12, "PartyA": short_code, "PartyB": phone} | addresses("sdk-b2c")
    )
    assert answer.OriginatorConversationID == sent["OriginatorConversationID"]
    assert settings.result("sdk-b2c")["TransactionAmount"] == 12
    bill = {"Amount": 100, "PartyA": short_code, "PartyB": int(settings.biller)}
    client.business_pay_bill(bill | {"AccountReference": "B2B-1"} | addresses("sdk-b2b"))
    assert settings.result("sdk-b2b")["Amount"] == "100.00"
    client.account_balance(
        {"CommandID": "AccountBalance", "PartyA": short_code, "IdentifierType": 4}
        | addresses("sdk-balance")
    )
    told = balances.parse_callback(settings.told("sdk-balance"))
    assert told["success"]
    assert told["balances"].utilityAccount.availableBalance > 0
    client.b2c_account_top_up(
        {"Amount": "10", "PartyA": settings.short_code, "PartyB": settings.biller}
        | addresses("sdk-top-up")
    )
    assert settings.result("sdk-top-up")["Amount"] == "10.00"
    # There is no revenue authority in a development network: nobody is paid, and the merchant is told so.
    client.tax_remittance_service.remit(
        {"Amount": "10", "PartyA": settings.short_code, "AccountReference": "PRN-1"}
        | addresses("sdk-tax")
    )
    assert settings.told("sdk-tax")["Result"]["ResultCode"] == UNREGISTERED


def _sdk_invoices(settings, client):
    bills = client.bill_manager_service
    details = {
        "shortcode": settings.short_code,
        "email": "bills@shop.example",
        "officialContact": "0710000000",
        "sendReminders": "1",
        "callbackurl": settings.place("sdk-bills"),
    }
    assert bills.opt_in(details).rescode == "200"
    assert bills.change_opt_in(details).rescode == "200"
    invoice = {
        "externalReference": "SDK-1",
        "billedFullName": "Customer 1",
        "billedPhoneNumber": settings.phone,
        "billedPeriod": "November",
        "invoiceName": "Water",
        "dueDate": "2026-12-12",
        "accountReference": "SDK-METER",
        "amount": "50",
        "invoiceItems": [{"itemName": "Water", "amount": "50"}],
    }
    assert bills.send_single_invoice(invoice).rescode == "200"
    others = [invoice | {"externalReference": f"SDK-{number}"} for number in (2, 3)]
    assert bills.send_bulk_invoice({"invoices": others}).rescode == "200"
    assert bills.cancel_single_invoice({"externalReference": "SDK-2"}).rescode == "200"
    rest = {"externalReferences": [{"externalReference": "SDK-3"}]}
    assert bills.cancel_bulk_invoices(rest).rescode == "200"


def _sdk_standing_order(settings, client):
    now = dt.datetime.now(dt.timezone(dt.timedelta(hours=3)))
    asked = client.ratiba_service.create_standing_order(
        {
            "StandingOrderName": "Rent",
            "StartDate": f"{now:%Y%m%d}",
            "EndDate": f"{now + dt.timedelta(days=90):%Y%m%d}",
            "BusinessShortCode": settings.short_code,
            "TransactionType": "Standing Order Customer Pay Bill",
            "ReceiverPartyIdentifierType": "4",
            "Amount": "45",
            "PartyA": settings.phone,
            "CallBackURL": settings.place("sdk-ratiba"),
            "AccountReference": "HOUSE-7",
            "TransactionDesc": "Rent",
            "Frequency": "4",
        }
    )
    assert asked.ResponseHeader.responseCode == "200", asked
    told = settings.told("sdk-ratiba")
    assert told["responseHeader"]["responseCode"] == "0", told


def _sdk_questions(settings, client):
    _sdk_invoices(settings, client)
    _sdk_standing_order(settings, client)
    asked = client.b2b_express(
        {
            "primaryShortCode": settings.biller,
            "receiverShortCode": settings.short_code,
            "amount": "100",
            "paymentRef": "B2B-2",
            "callbackUrl": settings.place("sdk-express"),
            "partnerName": "Partner",
            "RequestRefID": "REQ001",
        }
    )
    assert asked.code == "0", asked
    picture = client.dynamic_qr(
        {
            "MerchantName": "Shop",
            "RefNo": "QR-1",
            "Amount": 100,
            "TrxCode": "PB",
            "CPI": settings.short_code,
            "Size": "300",
        }
    )
    assert base64.b64decode(picture.QRCode).startswith(b"\x89PNG")
    pulled = client.pull_transactions_query(
        {
            "ShortCode": settings.short_code,
            "StartDate": "2020-01-01",
            "EndDate": "2099-12-31",
            "OffSetValue": "0",
        }
    )
    assert pulled.ResponseCode == "1000"
    assert any(row.amount == "5.00" for row in pulled.Response[0]), pulled
    registered = client.pull_transactions_register(
        {
            "ShortCode": settings.short_code,
            "RequestType": "Pull",
            "NominatedNumber": settings.phone,
            "CallBackURL": settings.place("sdk-pull"),
        }
    )
    assert registered.ShortCode == settings.short_code
    whose = client.b2c_hakikisha(
        {"header": {}, "body": {"msisdn": settings.phone, "shortcode": settings.short_code}}
    )
    assert (whose.header.status, whose.body.firstName) == ("200", "CUSTOMER"), whose
    asked = {"IdentifierType": 4, "Identifier": int(settings.short_code)}
    assert client.query_org_info(asked).OrganizationShortCode == settings.short_code


JOURNEYS = {journey.__name__: journey for journey in (daraja_v3, mpesa_wrapper, daraja_sdk)}

if __name__ == "__main__":
    JOURNEYS[sys.argv[1]](Settings(json.load(sys.stdin)))
