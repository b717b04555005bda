"""A merchants' desk in memory: one till, one app, and customers who answer when a test says so."""

import hashlib
from dataclasses import replace

from harambee.handset.payment_requests import PaymentRequest, request_id
from harambee.handset.telephone import telephone
from harambee.ledger.outcomes import Outcome
from harambee.merchants.port import (
    App,
    Ask,
    Event,
    EventKind,
    Faults,
    Instruction,
    Merchant,
    MerchantsError,
    PaymentFacts,
    Reason,
    RequestState,
    RequestView,
    Result,
    SignedRequest,
    Trade,
    Verdict,
)

TILL, OTHER_TILL, PAYBILL = "174379", "174380", "600000"
KEY, SECRET = "key-1", "secret of the till's software"
CUSTOMER, STRANGER = "+254712345678", "+254799999999"
NOW_MS = 1_795_000_000_000


class FakeMerchants:
    """`MerchantsPort` without ledger or disk; `refuses` makes every method fail for that reason."""

    def __init__(self, network: bytes) -> None:
        self.network = network
        self.refuses: Reason | None = None
        self.apps = {
            KEY: App(KEY, (TILL,), b"t" * 32, hashlib.sha256(SECRET.encode()).digest()),
        }
        self.merchants = {
            TILL: Merchant(TILL, Trade.TILL, 40, "Duka One", 3, "passkey"),
            OTHER_TILL: Merchant(OTHER_TILL, Trade.TILL, 41, "Duka Two", 2, "passkey"),
        }
        self.asked: dict[str, tuple[Ask, RequestView]] = {}
        self.instructions: dict[str, Instruction] = {}
        self.told: list[Event] = []
        self.paid: list[PaymentFacts] = []
        self.declined: list[bytes] = []
        self.announced: list[bytes] = []
        self.questions: list[bytes] = []
        self.verdict = Verdict(accepted=True)
        self.faults = Faults()
        self.answered = 0

    def _check(self):
        if self.refuses is not None:
            raise MerchantsError(self.refuses, "It cannot be done.")

    def push_answered(self):
        self.answered += 1

    async def app(self, consumer_key):
        return self.apps.get(consumer_key)

    async def merchant(self, short_code):
        self._check()
        return self.merchants.get(short_code)

    async def ask_payment(self, ask):
        self._check()
        if ask.msisdn == STRANGER:
            raise MerchantsError(Reason.PAYER_UNKNOWN, "No account is registered under it.")
        if ask.name in self.asked:
            known, view = self.asked[ask.name]
            if known != ask:
                raise MerchantsError(Reason.NAME_TAKEN, "Something else was asked under this name.")
            return view
        view = RequestView(
            id=request_id(self.network, ask.name.encode()),
            name=ask.name,
            short_code=ask.short_code,
            payee=40,
            payer=16,
            msisdn=ask.msisdn,
            amount_cents=ask.amount_cents,
            account=ask.account,
            text=ask.text,
            made_ms=NOW_MS,
            expires_ms=NOW_MS + ask.lasts_ms,
            state=RequestState.WAITING,
        )
        self.asked[ask.name] = ask, view
        return view

    def pay(self, name):
        """Let the customer pay what was asked for under a name."""
        ask, view = self.asked[name]
        facts = PaymentFacts(
            "SK1ABCDEFG",
            b"o" * 128,
            ask.short_code,
            16,
            ask.amount_cents,
            NOW_MS + 5,
            ask.account,
            telephone(ask.msisdn),
            "Customer 1",
            ask.amount_cents,
            len(self.paid) + 1,
        )
        self.paid.append(facts)
        self._end(name, replace(view, state=RequestState.PAID, payment=facts))
        self._tell(EventKind.PAYMENT_RECEIVED, ask.short_code, facts)

    def refuse(self, name, reason):
        """Let the customer's handset decline what was asked for under a name."""
        _, view = self.asked[name]
        self._end(name, replace(view, state=RequestState.DECLINED, reason=reason))

    def finish(self, name):
        """Let an instruction of that name be done."""
        told = self.instructions[name]
        result = Result(told, Outcome.ACCEPTED, ended_ms=NOW_MS, receipt_code="SK1HIJKLMN")
        self._tell(EventKind.INSTRUCTION_ENDED, told.short_code, result)

    def _end(self, name, view):
        ask, _ = self.asked[name]
        self.asked[name] = ask, view
        self._tell(EventKind.REQUEST_ENDED, view.short_code, view)

    def _tell(self, kind, short_code, facts):
        cursor = len(self.told) + 1
        self.told.append(Event(f"evt_{cursor}", cursor, kind, short_code, NOW_MS, facts))

    async def request(self, name):
        self._check()
        return self.asked[name][1] if name in self.asked else None

    async def pending(self, question, wait_ms=0):
        self._check()
        self.questions.append(question)
        rows = []
        for _, view in self.asked.values():
            if view.state is RequestState.WAITING:
                document = PaymentRequest(
                    view.name,
                    1,
                    view.payee,
                    view.payer,
                    view.amount_cents,
                    "buy_goods",
                    "Duka One",
                    view.short_code,
                    view.account,
                    view.text,
                    view.made_ms,
                    view.expires_ms,
                    "n",
                )
                rows.append(SignedRequest(document.to_bytes(), 1, b"s" * 64))
        return rows

    async def decline(self, signed):
        self._check()
        self.declined.append(signed)

    async def announce(self, signed):
        self._check()
        self.announced.append(signed)
        return self.verdict

    async def instruct(self, instruction):
        self._check()
        is_new = instruction.name not in self.instructions
        known = self.instructions.setdefault(instruction.name, instruction)
        if known != instruction:
            raise MerchantsError(Reason.NAME_TAKEN, "Another instruction has this name.")
        return is_new

    async def set_urls(self, consumer_key, short_code, urls):
        self._check()

    async def set_webhook(self, consumer_key, short_code, url):
        self._check()
        secret = b"k" * 32 if url else b""
        known = self.merchants[short_code]
        self.merchants[short_code] = replace(known, webhook=url, webhook_secret=secret)
        return secret

    async def events(self, short_code, after, limit):
        self._check()
        mine = [e for e in self.told if e.short_code == short_code and e.cursor > after]
        return mine[:limit]

    async def payments(self, short_code, since_ms, until_ms, offset, limit):
        self._check()
        mine = [
            facts
            for facts in self.paid
            if facts.short_code == short_code and since_ms <= facts.time_ms <= until_ms
        ]
        return mine[offset : offset + limit]

    def certificate(self):
        return b""
