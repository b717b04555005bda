"""A super-agent as the desk for feature phones sees it (`harambee.feature_phones.ground.Ground`)."""

import time
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt

from harambee.feature_phones.ground import GroundError, Shown, StatementRow
from harambee.feature_phones.messages import Matter
from harambee.handset.telephone import TelephoneError
from harambee.ledger.outcomes import Outcome
from harambee.ledger.records import ORDER
from harambee.merchants.port import MerchantsError
from harambee.money.tariff import Tariff
from harambee.node.errands import Errand, ErrandError
from harambee.node.links import Links
from harambee.node.names import NameDesk
from harambee.node.port import EnrolmentError, NameStatus, ProfileStatus, State, UnavailableError
from harambee.node.profile_store import ProfileStoreError
from harambee.node.service import Service
from harambee.protocol.genesis import Genesis

T = TypeVar("T")

ENROL_MS: Final = 10_000


@dataclass(frozen=True)
class PhoneGround:
    """Implements `Ground` over a super-agent's parts. Belongs to the event loop's thread."""

    service: Service
    names: NameDesk
    links: Links

    @property
    def genesis(self) -> Genesis:
        """The network's genesis."""
        return self.service.genesis

    @property
    def index(self) -> int:
        """This super-agent's index in the committee."""
        return self.service.index

    def now_us(self) -> int:
        """Return microseconds since 1970 UTC."""
        return time.time_ns() // 1_000

    def today(self) -> int:
        """Return the day number that this super-agent would put into an order now."""
        return self.service.today()

    def ready(self) -> str | None:
        """Return None when this super-agent serves; otherwise why not."""
        return self.service.ready()

    async def account(self, number: int) -> npt.NDArray[np.void] | None:
        """Return the ACCOUNT record, shape (1,), or None."""
        return await _told(self.service.account(number))

    async def number(self, text: str) -> int | None:
        """Return the account of a telephone number or short code in its canonical form."""
        return await _told(self.service.alias(await self.alias(text)))

    async def alias(self, text: str) -> bytes:
        """Return the keyed hash of a number in its canonical form."""
        try:
            return self.service.alias_of(text)
        except TelephoneError as error:
            raise GroundError(str(error)) from error

    async def tariff(self) -> Tariff:
        """Return the tariff of today."""
        return await _told(self.service.tariff_today())

    async def offer(self, order: bytes, possession: bytes, wait_ms: int) -> Outcome | None:
        """Offer an order; ACCEPTED once it is final, None where that is not decided in time."""
        proofs = {0: possession} if possession else {}
        submission = await _told(self.service.submit(np.frombuffer(order, ORDER), proofs, wait_ms))
        match State(submission.states[0]):
            case State.FINAL:
                return Outcome.ACCEPTED
            case State.REFUSED:
                return Outcome(submission.outcomes[0])
            case _:
                return None

    async def final(self, payer: int, sequence: int, wait_ms: int) -> tuple[bool, bytes | None]:
        """Return whether a slot is decided, and the 128 bytes that are final in it, if any are."""
        slot = await _told(self.service.slot(payer, sequence, wait_ms))
        return slot.state in (State.FINAL, State.SKIPPED), slot.order

    async def statement(self, account: int, limit: int) -> Sequence[StatementRow]:
        """Return the newest lines of an account, the newest first."""
        lines = await _told(self.service.statement(account, limit, None))
        return [StatementRow(line.order, line.change_cents) for line in lines]

    async def name_of(self, question: bytes) -> Shown | None:
        """Return the payee that a signed question is about; None where no name can be shown."""
        answer = await _told(self.service.check_name(question))
        if answer.status is NameStatus.LOCKED:
            return Shown("", "", is_locked=True)
        if answer.status is not NameStatus.KNOWN:
            return None
        return Shown(answer.name or "", answer.number or "")

    async def requests(self, question: bytes) -> Sequence[bytes]:
        """Return the documents of the requests that wait for the account that signed the question."""
        try:
            told = await self.service.merchants.pending(question)
        except MerchantsError as error:
            raise GroundError(str(error)) from error
        return [request.document for request in told]

    async def decline(self, signed: bytes) -> None:
        """Bring a signed decline of a request."""
        try:
            await self.service.merchants.decline(signed)
        except MerchantsError as error:
            raise GroundError(str(error)) from error

    async def next_enrolment(self) -> tuple[int, int]:
        """Return this super-agent's enrolment account, and its next sequence."""
        try:
            return await _told(self.service.next_enrolment())
        except EnrolmentError as error:
            raise GroundError(str(error)) from error

    async def enrol(self, body: bytes, possession: bytes, msisdn: str) -> int:
        """Open an account for a key that has signed, and claim a number for it."""
        try:
            return await _told(self.service.enrol(body, possession, msisdn, ENROL_MS))
        except EnrolmentError as error:
            raise GroundError(str(error)) from error

    async def keep_profile(self, signed: bytes) -> bool:
        """Keep a signed profile at its holders."""
        try:
            status = await self.names.keep_profile(signed)
        except (ProfileStoreError, UnavailableError) as error:
            raise GroundError(str(error)) from error
        return status in (ProfileStatus.KEPT, ProfileStatus.SAME)

    def is_linked(self, peer: int) -> bool:
        """Whether there is a link to a super-agent now."""
        return peer != self.index and self.links.stats()[peer].connected

    async def ask(self, peer: int, matter: Matter, content: bytes, patience_s: float) -> bytes:
        """Return a super-agent's answer; GroundError if there is none in time."""
        asked = bytes([matter]) + content
        try:
            return await self.names.errands.ask(peer, Errand.PHONES, asked, patience_s)
        except ErrandError as error:
            raise GroundError(str(error)) from error


async def _told(answer: Awaitable[T]) -> T:
    try:
        return await answer
    except UnavailableError as error:
        raise GroundError(str(error)) from error
