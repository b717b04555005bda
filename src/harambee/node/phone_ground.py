"""A super-agent as the desk for feature phones sees it (`harambee.feature_phones.ground.Ground`)."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from harambee.feature_phones.ground import GroundError, Shown, StatementRow
from harambee.feature_phones.messages import Matter
from harambee.handset.telephone import TelephoneError
from harambee.ledger.outcomes import Outcome
from harambee.merchants.port import MerchantsError
from harambee.node.errands import Errand
from harambee.node.ground import DeskGround
from harambee.node.port import EnrolmentError, NameStatus, ProfileStatus, UnavailableError
from harambee.node.profile_store import ProfileStoreError

ENROL_MS: Final = 10_000


@dataclass(frozen=True)
class PhoneGround(DeskGround):
    """Implements `Ground` over a super-agent's parts. Belongs to the event loop's thread."""

    cannot = GroundError
    errand = Errand.PHONES

    def now_us(self) -> int:
        """Return microseconds since 1970 UTC."""
        return time.time_ns() // 1_000

    async def number(self, text: str) -> int | None:
        """Return the account of a telephone number or short code in its canonical form."""
        return await self.told(self.service.alias(await self.alias(text)))

    async def alias(self, text: str) -> bytes:
        """Return the keyed hash of a number in its canonical form."""
        try:
            return self.service.alias_of(text)
        except TelephoneError as error:
            raise GroundError(str(error)) from error

    async def offer(self, order: bytes, possession: bytes, wait_ms: int) -> Outcome | None:
        """Offer an order; ACCEPTED once it is final, None where that is not decided in time."""
        proofs = {0: possession} if possession else {}
        return await self.submitted(order, proofs, wait_ms)

    async def statement(self, account: int, limit: int) -> Sequence[StatementRow]:
        """Return the newest lines of an account, the newest first."""
        lines = await self.told(self.service.statement(account, limit, None))
        return [StatementRow(line.order, line.change_cents) for line in lines]

    async def name_of(self, question: bytes) -> Shown | None:
        """Return the payee that a signed question is about; None where no name can be shown."""
        answer = await self.told(self.service.check_name(question))
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
            return await self.told(self.service.next_enrolment())
        except EnrolmentError as error:
            raise GroundError(str(error)) from error

    async def enrol(self, body: bytes, possession: bytes, msisdn: str) -> int:
        """Open an account for a key that has signed, and claim a number for it."""
        try:
            return await self.told(self.service.enrol(body, possession, msisdn, ENROL_MS))
        except EnrolmentError as error:
            raise GroundError(str(error)) from error

    async def keep_profile(self, signed: bytes) -> bool:
        """Keep a signed profile at its holders."""
        try:
            status = await self.names.keep_profile(signed)
        except (ProfileStoreError, UnavailableError) as error:
            raise GroundError(str(error)) from error
        return status in (ProfileStatus.KEPT, ProfileStatus.SAME)

    async def ask(self, peer: int, matter: Matter, content: bytes, patience_s: float) -> bytes:
        """Return a super-agent's answer; GroundError if there is none in time."""
        return await self.asked(peer, matter, content, patience_s)
