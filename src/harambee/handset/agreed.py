"""Standing orders that a customer has agreed to: kept in her wallet, paid by her handset when they are due.

A merchant can ask whenever he likes; what is paid without asking her is what she agreed to and no more: this
payee, this amount at most, one payment in each period, between the first day and the last one by the
handset's own clock. That a payment was made is noted, durably, before it is signed.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from harambee.handset.handset import Handset, Payment, PaymentStatus
from harambee.handset.payment_requests import PaymentRequest, RequestError, read_request
from harambee.handset.requesting import (
    CheckedRequest,
    Clock,
    EndedError,
    UnpayableError,
    approve,
    now_ms,
    tell_agreed,
)
from harambee.handset.standing_orders import day_of
from harambee.handset.wallet import Wallet, WalletError, replace_file

FOLDER: Final = "standing"
FILE_BYTES_MAX: Final = 4_096


class Agreement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A standing order that the wallet's owner has agreed to, and how far it is paid."""

    document: str
    """The request, as JSON."""
    last_number: int = 0
    """The payment that was made last, or is being made."""
    last_request: str = ""
    """By which request, in hexadecimal."""

    @property
    def words(self) -> str:
        """How often it is paid, for people."""
        return "" if self.said.terms is None else self.said.terms.words

    @property
    def said(self) -> PaymentRequest:
        """What was agreed to; RequestError if that is none."""
        return read_request(self.document.encode())


@dataclass(frozen=True)
class Agreements:
    """The standing orders of one wallet; every method may raise WalletError."""

    wallet: Wallet

    def all(self) -> dict[str, Agreement]:
        """Return every agreement, by the id of its request in hexadecimal."""
        folder = self.wallet.folder / FOLDER
        try:
            names = sorted(file.stem for file in folder.glob("*.json"))
        except OSError as error:
            raise WalletError(f"Cannot use {folder}: {error.strerror}.") from error
        found = ((name, self.find(name)) for name in names)
        return {name: agreement for name, agreement in found if agreement is not None}

    def find(self, identity: str) -> Agreement | None:
        """Return an agreement by the id of its request; None where there is none."""
        file = self._file(identity)
        try:
            content = file.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise WalletError(f"Cannot read {file}: {error.strerror}.") from error
        try:
            agreement = msgspec.json.decode(content[:FILE_BYTES_MAX], type=Agreement)
            agreement.said  # noqa: B018 - read for what it raises
        except (msgspec.DecodeError, RequestError, UnicodeError) as error:
            raise WalletError(f"{file} is no agreement to a standing order.") from error
        return agreement

    def keep(self, request: CheckedRequest) -> None:
        """Keep, durably, that the owner agrees."""
        self._write(request.id.hex(), Agreement(request.said.to_bytes().decode()))

    def end(self, identity: str) -> None:
        """Agree no more: from now on nothing is paid under it."""
        file = self._file(identity)
        try:
            file.unlink(missing_ok=True)
        except OSError as error:
            raise WalletError(f"Cannot remove {file}: {error.strerror}.") from error

    def take(self, request: CheckedRequest, time_ms: int) -> None:
        """Note, durably, that this payment is made now; EndedError where it may not be made unasked."""
        with self.wallet.locked():
            agreement = self.find(request.said.under)
            refusal = refusal_of(agreement, request, time_ms)
            if agreement is None or refusal is not None:
                raise EndedError(refusal or NOT_AGREED)
            noted = msgspec.structs.replace(
                agreement, last_number=request.said.number, last_request=request.id.hex()
            )
            self._write(request.said.under, noted)

    def release(self, request: CheckedRequest) -> None:
        """This payment was not made after all: another request for it may be paid."""
        with self.wallet.locked():
            agreement = self.find(request.said.under)
            if agreement is None or agreement.last_request != request.id.hex():
                return
            before = msgspec.structs.replace(
                agreement, last_number=request.said.number - 1, last_request=""
            )
            self._write(request.said.under, before)

    def _write(self, identity: str, agreement: Agreement) -> None:
        file = self._file(identity)
        try:
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise WalletError(f"Cannot use {file.parent}: {error.strerror}.") from error
        replace_file(file, msgspec.json.encode(agreement))

    def _file(self, identity: str) -> Path:
        return self.wallet.folder / FOLDER / f"{identity}.json"


NOT_AGREED: Final = "Its owner has agreed to no such standing order."


def refusal_of(agreement: Agreement | None, request: CheckedRequest, time_ms: int) -> str | None:
    """Return why a payment is not made without asking; None where it was agreed to and is due."""
    said = request.said
    agreed = None if agreement is None else agreement.said
    if agreement is None or agreed is None or agreed.terms is None:
        return NOT_AGREED
    if (said.payee, said.payer, said.kind) != (agreed.payee, agreed.payer, agreed.terms.kind):
        return "Another payee was agreed to."
    if said.amount_cents > agreed.amount_cents:
        return "It is more than was agreed to."
    if said.number != agreed.terms.number_on(day_of(time_ms)):
        return "It is not due."
    is_same = agreement.last_request == request.id.hex()
    if said.number < agreement.last_number or (
        said.number == agreement.last_number and not is_same
    ):
        return "It is paid already."
    return None


async def agree(handset: Handset, request: CheckedRequest, clock: Clock = now_ms) -> None:
    """Agree to a standing order; can be said again where too few doors took it (HandsetError).

    EndedError where the request has expired.
    """
    if request.said.expires_ms <= clock():
        raise EndedError("The request has expired.")
    with handset.wallet.locked():
        agreements = Agreements(handset.wallet)
        if agreements.find(request.id.hex()) is None:
            agreements.keep(request)
    await tell_agreed(handset, request, clock)


async def pay_due(handset: Handset, request: CheckedRequest, clock: Clock = now_ms) -> Payment:
    """Make a payment of a standing order, once; raises what `approve` does, and EndedError if not due."""
    agreements = Agreements(handset.wallet)
    agreements.take(request, clock())
    try:
        payment = await approve(handset, request, clock)
    except UnpayableError:
        agreements.release(request)
        raise
    if payment.status in (PaymentStatus.REFUSED, PaymentStatus.REPLACED):
        agreements.release(request)
    return payment
