"""What a merchant asks a customer to pay, and what her handset says to it.

A super-agent signs the request that it took from the merchant, so a handset believes no stranger and a
super-agent that makes requests up is found out. To pay, the handset signs an ordinary order that has
the request's id as its reference: nothing else binds the two, and nobody can pay for one request with
the order of another. Everything a handset says besides is signed by the account's key. docs/wire.md,
section 20, has the layouts.
"""

import struct
from dataclasses import dataclass
from string import hexdigits
from typing import Final

import msgspec

from harambee.crypto.hashing import (
    TAG_ANNOUNCEMENT,
    TAG_DECLINE,
    TAG_REQUEST,
    TAG_REQUESTS_QUESTION,
    digest,
    signed_prefix,
)
from harambee.crypto.keys import OwnerKey, PublicKey, sign, verify
from harambee.crypto.signatures import verify as verify_ed25519
from harambee.handset.standing_orders import Terms
from harambee.ledger.kinds import OrderKind
from harambee.ledger.outcomes import Outcome
from harambee.money.amounts import MAX_AMOUNT_CENTS
from harambee.protocol.genesis import Genesis

DOCUMENT_BYTES_MAX: Final = 1_024
ANNOUNCEMENT_BYTES_MAX: Final = 512
SIGNATURE_BYTES: Final = 64
ACCOUNT_MAX: Final = 40
TEXT_MAX: Final = 100
NAME_MAX: Final = 64

_QUESTION: Final = struct.Struct("<IQ")
_DECLINE: Final = struct.Struct("<32sIB")
QUESTION_BYTES: Final = _QUESTION.size + SIGNATURE_BYTES
DECLINE_BYTES: Final = _DECLINE.size + SIGNATURE_BYTES
BUSINESS_TRANSFER: Final = "business_transfer"
ORDER_KINDS: Final = {
    "pay_bill": OrderKind.PAY_BILL,
    "buy_goods": OrderKind.BUY_GOODS,
    BUSINESS_TRANSFER: OrderKind.BUSINESS_TRANSFER,
}
"""The kinds that a request for money may have, and those of the orders that pay it."""
STANDING_ORDER: Final = "standing_order"
"""The kind of a request that no order pays: its payer is asked to agree to its terms."""
AGREED: Final = 255
"""What a decline has for its reason when it is none: the payer agrees to a standing order."""
assert AGREED not in set(Outcome)
_ID_DIGITS: Final = 64


class RequestError(ValueError):
    """These bytes are not what they should be; the message is one sentence."""


class PaymentRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A merchant asks a customer, or a business, for money. Its JSON, byte for byte, is signed and named."""

    name: str
    """Unique; what the merchant calls it."""
    super_agent: int
    """The index of the super-agent that took it from the merchant."""
    payee: int
    payer: int
    amount_cents: int
    kind: str
    """One of ORDER_KINDS, or STANDING_ORDER."""
    payee_name: str
    short_code: str
    account: str
    """The account at the biller; may be empty at a till."""
    text: str
    made_ms: int
    expires_ms: int
    nonce: str
    terms: Terms | None = None
    """Of a standing order, and of nothing else."""
    under: str = ""
    """The id of the standing order that this is a payment of, in hexadecimal; empty: of none."""
    number: int = 0
    """Which of its payments, from 1."""

    def to_bytes(self) -> bytes:
        """Return the document; RequestError if it says what no request can."""
        self._check()
        document = msgspec.json.encode(self)
        if len(document) > DOCUMENT_BYTES_MAX:
            raise RequestError(f"A request has at most {DOCUMENT_BYTES_MAX} bytes.")
        return document

    @property
    def order_kind(self) -> OrderKind:
        """The kind of the order that pays it."""
        return ORDER_KINDS[self.kind if self.terms is None else self.terms.kind]

    def _check(self) -> None:
        texts = (
            (self.name, 1, NAME_MAX),
            (self.payee_name, 1, TEXT_MAX),
            (self.short_code, 0, NAME_MAX),
            (self.account, 0, ACCOUNT_MAX),
            (self.text, 0, TEXT_MAX),
            (self.nonce, 1, NAME_MAX),
        )
        if any(not least <= len(text) <= most for text, least, most in texts):
            raise RequestError("A text of the request is too long, or missing.")
        if not all(text.isprintable() for text, _, _ in texts):
            raise RequestError("A text of the request cannot be printed.")
        self._check_kind()
        if not 0 < self.amount_cents <= MAX_AMOUNT_CENTS:
            raise RequestError("The amount of a request must be more than nothing, and possible.")
        if not 0 < self.made_ms < self.expires_ms < 1 << 53:
            raise RequestError("A request expires after it was made.")
        if not all(0 <= number < 1 << 32 for number in (self.payee, self.payer, self.super_agent)):
            raise RequestError("An account of the request cannot be one.")

    def _check_kind(self) -> None:
        if self.terms is None and self.kind not in ORDER_KINDS:
            raise RequestError("A request is for a bill, for goods or for a business's transfer.")
        if self.terms is not None and not (self.kind == STANDING_ORDER and self.terms.are_possible):
            raise RequestError("Nobody can agree to these terms.")
        is_payment = bool(self.under) and self.terms is None and 0 < self.number < 1 << 32
        if (self.under or self.number) and not (
            is_payment and len(self.under) == _ID_DIGITS and set(self.under) <= set(hexdigits)
        ):
            raise RequestError("This is no payment of a standing order.")


def read_request(document: bytes) -> PaymentRequest:
    """Return the request that a document says; RequestError if it is none."""
    if len(document) > DOCUMENT_BYTES_MAX:
        raise RequestError(f"A request has at most {DOCUMENT_BYTES_MAX} bytes.")
    try:
        request = msgspec.json.decode(document, type=PaymentRequest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RequestError("This is no request for a payment.") from error
    request._check()  # noqa: SLF001 - its own reader
    return request


def request_id(network: bytes, document: bytes) -> bytes:
    """Return the 32 bytes that name a request: the reference of the order that pays it."""
    return digest(b"harambee request", network, document)


def request_prefix(network: bytes, epoch: int) -> bytes:
    """Return what goes before a request's id when a super-agent signs it."""
    return signed_prefix(TAG_REQUEST, network) + epoch.to_bytes(4, "little")


def is_taken_by(genesis: Genesis, document: bytes, super_agent: int, signature: bytes) -> bool:
    """Say whether that super-agent signed this request."""
    committee = genesis.committee
    if not 0 <= super_agent < committee.n:
        return False
    prefix = request_prefix(genesis.network, committee.epoch)
    said = request_id(genesis.network, document)
    return verify_ed25519(committee.members[super_agent].key, prefix + said, signature)


@dataclass(frozen=True, slots=True)
class RequestsQuestion:
    """An account asks what waits for its answer."""

    account: int
    time_us: int
    """By the handset's clock: microseconds since 1970 UTC."""


def sign_requests_question(keypair: OwnerKey, network: bytes, question: RequestsQuestion) -> bytes:
    """Return the 76 bytes of a signed question."""
    body = _QUESTION.pack(question.account, question.time_us)
    return body + sign(keypair, signed_prefix(TAG_REQUESTS_QUESTION, network) + body)


def read_requests_question(signed: bytes) -> RequestsQuestion:
    """Return the question in 76 bytes, the signature not checked; RequestError if it is none."""
    if len(signed) != QUESTION_BYTES:
        raise RequestError(f"A question for requests has {QUESTION_BYTES} bytes.")
    return RequestsQuestion(*_QUESTION.unpack_from(signed))


def is_question_of(signed: bytes, network: bytes, key: PublicKey) -> bool:
    """Say whether the owner of this key signed the question."""
    return _is_signed(TAG_REQUESTS_QUESTION, signed, network, key)


@dataclass(frozen=True, slots=True)
class Decline:
    """A customer does not pay."""

    request: bytes
    account: int
    reason: int = 0
    """0 where she does not want to, AGREED where she agrees to a standing order; else the Outcome by which
    her order was refused."""


def sign_decline(keypair: OwnerKey, network: bytes, decline: Decline) -> bytes:
    """Return the 101 bytes of a signed decline."""
    body = _DECLINE.pack(decline.request, decline.account, decline.reason)
    return body + sign(keypair, signed_prefix(TAG_DECLINE, network) + body)


def read_decline(signed: bytes) -> Decline:
    """Return the decline in 101 bytes, the signature not checked; RequestError if it is none."""
    if len(signed) != DECLINE_BYTES:
        raise RequestError(f"A decline has {DECLINE_BYTES} bytes.")
    return Decline(*_DECLINE.unpack_from(signed))


def is_declined_by(signed: bytes, network: bytes, key: PublicKey) -> bool:
    """Say whether the owner of this key signed the decline."""
    return _is_signed(TAG_DECLINE, signed, network, key)


class Announcement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A customer is about to pay a merchant, and says what for: the ledger has only a hash of it."""

    payer: int
    payee: int
    amount_cents: int
    account: str
    """The account at the biller, or what a till's customer writes; 0 to 40 characters."""
    time_us: int
    msisdn: str | None = None
    """The payer's telephone, if she tells it."""


def sign_announcement(keypair: OwnerKey, network: bytes, announcement: Announcement) -> bytes:
    """Return the announcement's JSON and, behind it, 64 bytes of signature."""
    body = msgspec.json.encode(announcement)
    return body + sign(keypair, signed_prefix(TAG_ANNOUNCEMENT, network) + body)


def read_announcement(signed: bytes) -> Announcement:
    """Return what is announced, the signature not checked; RequestError if it is nothing."""
    if not SIGNATURE_BYTES < len(signed) <= ANNOUNCEMENT_BYTES_MAX:
        raise RequestError(f"An announcement has at most {ANNOUNCEMENT_BYTES_MAX} bytes.")
    try:
        said = msgspec.json.decode(signed[:-SIGNATURE_BYTES], type=Announcement)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RequestError("This is no announcement of a payment.") from error
    accounts = all(0 <= number < 1 << 32 for number in (said.payer, said.payee))
    if not accounts or not 0 < said.amount_cents <= MAX_AMOUNT_CENTS or said.time_us < 0:
        raise RequestError("The announcement says what no payment can be.")
    if len(said.account) > ACCOUNT_MAX or not said.account.isprintable():
        raise RequestError(f"An account at a biller has at most {ACCOUNT_MAX} characters.")
    return said


def is_announced_by(signed: bytes, network: bytes, key: PublicKey) -> bool:
    """Say whether the owner of this key signed the announcement."""
    return _is_signed(TAG_ANNOUNCEMENT, signed, network, key)


def _is_signed(tag: bytes, signed: bytes, network: bytes, key: PublicKey) -> bool:
    body, signature = signed[:-SIGNATURE_BYTES], signed[-SIGNATURE_BYTES:]
    return verify(key, signed_prefix(tag, network) + body, signature)
