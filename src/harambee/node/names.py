"""Names: who holds which profile, and how a payer is told a payee's name before the money goes.

Three super-agents hold the profile of an account (`holders`): the one that enrolled it and two
alternates. The home takes it from the owner, whose key signs it; the alternates take it from
the home, and the home goes on until both have it. Any other super-agent passes a profile on. Who has
lost its store asks the others who hold a profile with it, once each.

A question for a name is signed by the asker and goes two ways. First to a holder *of the asker's*
profile, which counts it: so however many doors somebody asks, and whomever she asks for, her
questions are counted in one place, and in at most three while some of them are down. From there it
goes to a holder *of the payee's*, which says the name to nobody but such a holder (docs/profiles.md
says what a lying super-agent can do).

Nothing of a person is ever logged here. Everything belongs to the event loop's thread; the store is
read and written in others.
"""

import asyncio
import contextlib
import logging
import struct
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from harambee.handset.name_checks import Question, QuestionError, is_asked_by, read_question
from harambee.handset.orders import EAST_AFRICA_S, SECONDS_PER_DAY
from harambee.handset.profiles import (
    TRADES,
    Profile,
    ProfileError,
    is_signed,
    masked_name,
    read_profile,
)
from harambee.ledger.records import (
    KIND_MASK,
    STATUS_MASK,
    STATUS_SHIFT,
    AccountKind,
    Status,
    key_of,
)
from harambee.node.errands import Errand, ErrandError, Errands
from harambee.node.port import NameAnswer, NameStatus, ProfileStatus, UnavailableError
from harambee.node.profile_store import Counted, Kept, ProfileStore, ProfileStoreError
from harambee.protocol.committee import Committee
from harambee.protocol.holders import co_holders, holders
from harambee.texts.parties import Party, masked_telephone

CLOCK_US_MAX: Final = 300_000_000
"""How far an asker's clock may be off: five minutes."""
TELL_S: Final = 0.8
CHECK_S: Final = 3.5
KEEP_S: Final = 5.0
RETRY_S: Final = 2.0
ASK_BACK_S: Final = 60.0
ASK_BACK_EVERY_S: Final = 600.0
"""A peer that loses its store again and again is sent everything no oftener than this."""
HANDED_OVER_AT_ONCE: Final = 32
CHECKS_AT_ONCE_MAX: Final = 1_024
"""Questions under way at one super-agent."""
SHOWN_CHARACTERS_MAX: Final = 256

_ENROLLED: Final = TRADES | {AccountKind.CUSTOMER}
_NAME: Final = struct.Struct("<BHB")
_DONE: Final = frozenset({ProfileStatus.KEPT, ProfileStatus.SAME, ProfileStatus.OLDER})
_IN_VAIN: Final = frozenset(
    {
        ProfileStatus.INVALID,
        ProfileStatus.UNSIGNED,
        ProfileStatus.NAME_FIXED,
        ProfileStatus.NOT_HELD_HERE,
    }
)
_KEPT: Final = {
    Kept.NEW: ProfileStatus.KEPT,
    Kept.SAME: ProfileStatus.SAME,
    Kept.OLDER: ProfileStatus.OLDER,
}

log: Final = logging.getLogger(__name__)


class LedgerView(Protocol):
    """What is asked of the ledger here; `harambee.node.service.Service` answers."""

    def ready(self) -> str | None:
        """None when this super-agent serves; otherwise why not."""

    async def account(self, number: int) -> Any:
        """The ACCOUNT record, shape (1,), or None."""

    async def paid_since(self, payer: int, sequence: int) -> tuple[int, Mapping[int, int]]:
        """The payer's next sequence, and the highest one in which each payee was paid lately."""

    async def alias(self, alias: bytes) -> int | None:
        """The account that a keyed hash names."""

    def alias_of(self, msisdn: str) -> bytes:
        """The keyed hash of a telephone number."""


@dataclass
class NameDesk:
    """The names of one super-agent: keeps profiles, hands them on, and answers for names."""

    committee: Committee
    network: bytes
    index: int
    store: ProfileStore
    ledger: LedgerView
    send: Callable[[int, int, bytes], bool]
    """Sends a frame (peer, type, content) if there is a link."""
    checks_daily: int
    """How many questions a day may stay without a payment to the payee."""
    now_us: Callable[[], int] = lambda: time.time_ns() // 1_000
    serve_merchants: Callable[[int, bytes], Awaitable[bytes]] | None = None
    """Answers what other super-agents ask for merchants."""
    serve_phones: Callable[[int, bytes], Awaitable[bytes]] | None = None
    """Answers what other super-agents ask for feature phones."""
    retry_s: float = RETRY_S
    ask_back_every_s: float = ASK_BACK_EVERY_S
    errands: Errands = field(init=False)
    _asking: set[int] = field(default_factory=set)
    """Askers of whom one question is under way: a second one waits for nobody."""
    _checking: int = 0
    _keeping: asyncio.Lock = field(default_factory=asyncio.Lock)
    _wakes: dict[int, asyncio.Event] = field(default_factory=dict)
    _sent_at: dict[int, float] = field(default_factory=dict)
    """When a peer was last promised everything that it should hold."""
    _couriers: list["asyncio.Task[None]"] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.errands = Errands(self.committee.n, self.send, self._serve)
        peers = sorted(co_holders(self.committee, self.index))
        self._wakes = {peer: asyncio.Event() for peer in peers}

    def start(self) -> None:
        """Begin to hand over what alternates have yet to confirm."""
        for peer, wake in self._wakes.items():
            wake.set()
            self._couriers.append(asyncio.create_task(self._hand_over_to(peer, wake)))

    async def stop(self) -> None:
        """End everything under way. What is in the outbox stays there."""
        for task in self._couriers:
            task.cancel()
        await asyncio.gather(*self._couriers, return_exceptions=True)
        await self.errands.stop()

    def link_up(self, peer: int) -> None:
        """A peer can be reached again: what waits for it goes out."""
        if peer in self._wakes:
            self._wakes[peer].set()

    def facts(self) -> dict[str, int | None]:
        """Return counts for the status page and metrics; None where the store cannot be read."""
        try:
            return {
                "profiles": self.store.count(),
                "profiles_undelivered": self.store.undelivered_count(),
            }
        except ProfileStoreError:
            return {"profiles": None, "profiles_undelivered": None}

    # -- profiles ---------------------------------------------------------------------------------

    async def keep_profile(self, signed: bytes, sender: int | None = None) -> ProfileStatus:
        """Take in what an owner brings, to this door or by way of a peer's (`sender`)."""
        try:
            profile = read_profile(signed)
        except ProfileError:
            return ProfileStatus.INVALID
        held_by = holders(self.committee, profile.account)
        if not held_by:
            return ProfileStatus.ACCOUNT_UNKNOWN
        home, *alternates = held_by
        if home == self.index:
            return await self._keep_at_home(profile, signed, tuple(alternates))
        if sender is not None:
            return ProfileStatus.NOT_HELD_HERE
        return await self._bring_home(home, signed)

    async def keep_copy(self, signed: bytes, sender: int) -> ProfileStatus:
        """Keep what another holder of the same profile hands over."""
        try:
            profile = read_profile(signed)
        except ProfileError:
            return ProfileStatus.INVALID
        held_by = holders(self.committee, profile.account)
        if sender not in held_by or self.index not in held_by:
            return ProfileStatus.NOT_HELD_HERE
        return await self._keep(profile, signed, ())

    async def _keep_at_home(
        self, profile: Profile, signed: bytes, alternates: tuple[int, ...]
    ) -> ProfileStatus:
        refused = await self._refuse_profile(profile, signed)
        if refused is not None:
            return refused
        if profile.number is not None:
            named = await self.ledger.alias(self.ledger.alias_of(profile.number))
            if named != profile.account:
                return ProfileStatus.NUMBER_WRONG
        return await self._keep(profile, signed, alternates)

    async def _keep(self, profile: Profile, signed: bytes, tell: tuple[int, ...]) -> ProfileStatus:
        """Keep a profile that its owner signed, under the name that is known, and tell others."""
        refused = await self._refuse_profile(profile, signed)
        if refused is not None:
            return refused
        async with self._keeping:
            before = await asyncio.to_thread(self.store.get, profile.account)
            if before is not None and read_profile(before).name != profile.name:
                return ProfileStatus.NAME_FIXED
            kept = await asyncio.to_thread(
                self.store.put, profile.account, profile.version, signed, tell
            )
        for peer in tell:
            self._wakes[peer].set()
        return _KEPT[kept]

    async def _refuse_profile(self, profile: Profile, signed: bytes) -> ProfileStatus | None:
        record = await self.ledger.account(profile.account)
        if record is None:
            return ProfileStatus.ACCOUNT_UNKNOWN
        if not is_signed(signed, self.network, key_of(record)):
            return ProfileStatus.UNSIGNED
        return None

    async def _bring_home(self, home: int, signed: bytes) -> ProfileStatus:
        try:
            answer = await self.errands.ask(home, Errand.TAKE_PROFILE, signed, KEEP_S)
            return ProfileStatus(answer[0])
        except (ErrandError, IndexError, ValueError):
            return ProfileStatus.UNAVAILABLE

    async def _hand_over_to(self, peer: int, wake: asyncio.Event) -> None:
        """Bring a peer what it has yet to confirm, for as long as it takes."""
        while True:
            await wake.wait()
            wake.clear()
            try:
                asked = await self._ask_back(peer)
                left = await self._hand_over_all(peer) or not asked
            except ProfileStoreError as error:
                log.error("profiles cannot be handed over: %s", error)  # noqa: TRY400 - a full disk
                left = True
            if left:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self.retry_s):
                        await wake.wait()
                wake.set()

    async def _ask_back(self, peer: int) -> bool:
        """Ask a peer for what this store may have lost, unless it was asked; says whether it was."""
        if await asyncio.to_thread(self.store.has_asked, peer):
            return True
        try:
            answer = await self.errands.ask(peer, Errand.SEND_PROFILES, b"", ASK_BACK_S)
        except ErrandError:
            return False
        if answer != bytes([ProfileStatus.KEPT]):
            return False
        await asyncio.to_thread(self.store.note_asked, peer)
        return True

    async def _serve_lost(self, peer: int, content: bytes) -> bytes:
        """Promise a peer everything that lies here and belongs to it too."""
        del content
        if peer not in self._wakes:
            return bytes([ProfileStatus.NOT_HELD_HERE])
        now = asyncio.get_running_loop().time()
        if now - self._sent_at.get(peer, float("-inf")) < self.ask_back_every_s:
            return bytes([ProfileStatus.UNAVAILABLE])
        self._sent_at[peer] = now
        await asyncio.to_thread(
            self.store.owe, peer, lambda account: peer in holders(self.committee, account)
        )
        self._wakes[peer].set()
        return bytes([ProfileStatus.KEPT])

    async def _hand_over_all(self, peer: int) -> bool:
        """Offer everything once; says whether something is left for later."""
        after, left = -1, False
        while batch := await asyncio.to_thread(
            self.store.undelivered, peer, HANDED_OVER_AT_ONCE, after
        ):
            done = await asyncio.gather(*[self._hand_over(peer, *row) for row in batch])
            if not any(done):
                return True
            left |= not all(done)
            after = batch[-1][0]
        return left

    async def _hand_over(self, peer: int, account: int, version: int) -> bool:
        """Offer one profile to an alternate; says whether that is settled."""
        signed = await asyncio.to_thread(self.store.get, account)
        if signed is None:
            raise ProfileStoreError("a profile that is to be handed over is not there")
        try:
            answer = await self.errands.ask(peer, Errand.KEEP_PROFILE, signed, KEEP_S)
            status = ProfileStatus(answer[0])
        except (ErrandError, IndexError, ValueError):
            return False
        if status in _IN_VAIN:
            name = self.committee.members[peer].name
            log.warning("%s refuses a profile that it should hold: %s", name, status.name)
        if status not in _DONE | _IN_VAIN:
            return False
        await asyncio.to_thread(self.store.delivered, peer, account, version)
        return True

    # -- names ------------------------------------------------------------------------------------

    async def check_name(self, signed: bytes, sender: int | None = None) -> NameAnswer:
        """Answer a signed question, by way of those who count this asker's questions."""
        try:
            question = read_question(signed)
        except QuestionError:
            return NameAnswer(NameStatus.UNSIGNED)
        counted_by = holders(self.committee, question.asker)
        if sender is not None and self.index not in counted_by:
            return NameAnswer(NameStatus.NOT_HELD_HERE)
        if self._checking >= CHECKS_AT_ONCE_MAX:
            return NameAnswer(NameStatus.BUSY)
        self._checking += 1
        try:
            refused = await self._refuse_question(question, signed)
            if refused is not None:
                return NameAnswer(refused)
            # One at a time of an asker: a storm of hers must not crowd her questions out of the
            # home's sight and have them counted by an alternate.
            if question.asker in self._asking:
                return NameAnswer(NameStatus.BUSY)
            self._asking.add(question.asker)
            try:
                return await self._answer_by(counted_by, question, signed)
            finally:
                self._asking.discard(question.asker)
        finally:
            self._checking -= 1

    async def _answer_by(
        self, counted_by: tuple[int, ...], question: Question, signed: bytes
    ) -> NameAnswer:
        """Let the first holder of the asker's that can be reached count, and answer."""
        for holder in counted_by:
            # Nobody counts while one before it in this order can: so there is one count.
            if holder == self.index:
                return await self._count_and_find(question, signed)
            answer = await self._ask_name(holder, Errand.CHECK_NAME, signed, CHECK_S)
            if answer.status is not NameStatus.UNAVAILABLE:
                return answer
        return NameAnswer(NameStatus.UNAVAILABLE)

    async def _refuse_question(self, question: Question, signed: bytes) -> NameStatus | None:
        record = await self.ledger.account(question.asker)
        if record is None:
            return NameStatus.ASKER_UNKNOWN
        flags = int(record["flags"][0])
        active = flags >> STATUS_SHIFT & STATUS_MASK == Status.ACTIVE
        if flags & KIND_MASK not in _ENROLLED or not active:
            return NameStatus.ASKER_UNKNOWN
        if not is_asked_by(signed, self.network, key_of(record)):
            return NameStatus.UNSIGNED
        now = self.now_us()
        if abs(now - question.time_us) > CLOCK_US_MAX or _day(now) != _day(question.time_us):
            return NameStatus.CLOCK_WRONG
        return None

    async def _count_and_find(self, question: Question, signed: bytes) -> NameAnswer:
        """Count a question here and, if it may be asked, find the name."""
        if self.ledger.ready() is not None:
            # What it has yet to read may be the payments that followed the earlier questions.
            return NameAnswer(NameStatus.UNAVAILABLE)
        asker, payee = question.asker, question.payee
        day = _day(question.time_us)
        before = await asyncio.to_thread(self.store.checks, day, asker)
        since = min((sequence for _, sequence in before.payees), default=0)
        following, paid = await self.ledger.paid_since(asker, since)
        counted = await asyncio.to_thread(
            self.store.count_check,
            day,
            asker,
            payee,
            question.time_us,
            following,
            paid,
            self.checks_daily,
        )
        if counted is Counted.LOCKED:
            return NameAnswer(NameStatus.LOCKED)
        if counted is Counted.REPLAYED:
            return NameAnswer(NameStatus.REPLAYED)
        answer = await self._find(question, signed)
        if answer.status is not NameStatus.KNOWN and counted is Counted.NEW:
            await asyncio.to_thread(self.store.uncount_check, day, asker, payee)
        return answer

    async def _find(self, question: Question, signed: bytes) -> NameAnswer:
        """Return the payee's name from the first of its holders that has it."""
        status = NameStatus.UNAVAILABLE
        held_by = holders(self.committee, question.payee)
        if not held_by:
            return NameAnswer(NameStatus.PAYEE_UNKNOWN)
        for holder in held_by:
            if holder == self.index:
                answer = await self._tell(question.payee)
            else:
                answer = await self._ask_name(holder, Errand.TELL_NAME, signed, TELL_S)
            if answer.status in (NameStatus.KNOWN, NameStatus.PAYEE_UNKNOWN):
                return answer
            if answer.status is NameStatus.NONE:
                status = NameStatus.NONE
        return NameAnswer(status)

    async def _tell(self, payee: int) -> NameAnswer:
        """Return what the profile that lies here lets others see."""
        if await self.ledger.account(payee) is None:
            return NameAnswer(NameStatus.PAYEE_UNKNOWN)
        signed = await asyncio.to_thread(self.store.get, payee)
        party = None if signed is None else await self._party(payee, signed)
        if party is None:
            return NameAnswer(NameStatus.NONE)
        number = None if party.number is None else masked_telephone(party.number)
        return NameAnswer(NameStatus.KNOWN, party.name, number)

    async def _party(self, account: int, signed: bytes) -> Party | None:
        """Return what others may see of the owner of an account, of her profile; None without one."""
        record = await self.ledger.account(account)
        if record is None:
            return None
        profile = read_profile(signed)
        kind = AccountKind(int(record["flags"][0]) & KIND_MASK)
        number = None
        if profile.number is not None and kind not in TRADES:
            named = await self.ledger.alias(self.ledger.alias_of(profile.number))
            number = profile.number if named == account else None
        return Party(account, masked_name(profile.name, kind), number, profile.language)

    async def _ask_name(
        self, holder: int, what: Errand, signed: bytes, patience_s: float
    ) -> NameAnswer:
        try:
            return read_answer(await self.errands.ask(holder, what, signed, patience_s))
        except ErrandError:
            return NameAnswer(NameStatus.UNAVAILABLE)

    async def parties(self, accounts: Sequence[int]) -> dict[int, Party]:
        """Return what texts may show of these accounts' owners: of those whose profiles lie here."""
        try:
            profiles = await asyncio.to_thread(self.store.get_many, accounts)
            found = await asyncio.gather(*(self._party(*profile) for profile in profiles.items()))
        except (ProfileStoreError, UnavailableError) as error:
            log.warning("texts name nobody for now: %s", error)
            return {}
        return {party.account: party for party in found if party is not None}

    async def telephones(self, accounts: Sequence[int]) -> dict[int, str]:
        """Return the telephones to which texts to these accounts go, as far as they are known here."""
        profiles = await asyncio.to_thread(self.store.get_many, accounts)
        found: dict[int, str] = {}
        for account, signed in profiles.items():
            number = read_profile(signed).number
            named = None
            if number is not None:
                named = await self.ledger.alias(self.ledger.alias_of(number))
            if number is not None and named == account:
                found[account] = number
        return found

    # -- errands of others ------------------------------------------------------------------------

    async def _serve(self, peer: int, what: Errand, content: bytes) -> bytes:
        """Answer a peer; what goes wrong here is "unavailable" there."""
        serve: Callable[[int, bytes], Awaitable[bytes]] | None
        match what:
            case Errand.MERCHANTS:
                serve, failed = self.serve_merchants, b""
            case Errand.PHONES:
                serve, failed = self.serve_phones, b""
            case Errand.TAKE_PROFILE:
                serve, failed = self._serve_owner, bytes([ProfileStatus.UNAVAILABLE])
            case Errand.KEEP_PROFILE:
                serve, failed = self._serve_copy, bytes([ProfileStatus.UNAVAILABLE])
            case Errand.CHECK_NAME:
                serve, failed = self._serve_check, write_answer(_UNAVAILABLE)
            case Errand.TELL_NAME:
                serve, failed = self._serve_tell, write_answer(_UNAVAILABLE)
            case Errand.SEND_PROFILES:
                serve, failed = self._serve_lost, bytes([ProfileStatus.UNAVAILABLE])
        if serve is None:
            return failed
        try:
            return await serve(peer, content)
        except (ProfileStoreError, UnavailableError) as error:
            log.warning("a profile or a name cannot be served: %s", error)
            return failed

    async def _serve_owner(self, peer: int, content: bytes) -> bytes:
        return bytes([await self.keep_profile(content, peer)])

    async def _serve_copy(self, peer: int, content: bytes) -> bytes:
        return bytes([await self.keep_copy(content, peer)])

    async def _serve_check(self, peer: int, content: bytes) -> bytes:
        return write_answer(await self.check_name(content, peer))

    async def _serve_tell(self, peer: int, content: bytes) -> bytes:
        try:
            question = read_question(content)
        except QuestionError:
            return write_answer(NameAnswer(NameStatus.UNSIGNED))
        if peer not in holders(self.committee, question.asker) or self.index not in holders(
            self.committee, question.payee
        ):
            return write_answer(NameAnswer(NameStatus.NOT_HELD_HERE))
        refused = await self._refuse_question(question, content)
        if refused is not None:
            return write_answer(NameAnswer(refused))
        return write_answer(await self._tell(question.payee))


_UNAVAILABLE: Final = NameAnswer(NameStatus.UNAVAILABLE)


def write_answer(answer: NameAnswer) -> bytes:
    """Return an answer as it travels: status, and name and number in UTF-8 with their lengths."""
    name = (answer.name or "").encode()
    number = (answer.number or "").encode()
    return _NAME.pack(answer.status, len(name), len(number)) + name + number


def read_answer(content: bytes) -> NameAnswer:
    """Return what a peer answered; "unavailable" for whatever is no answer."""
    try:
        code, name_bytes, number_bytes = _NAME.unpack_from(content)
        text = content[_NAME.size :]
        name, number = text[:name_bytes].decode(), text[name_bytes:].decode()
        status = NameStatus(code)
    except (struct.error, ValueError):
        return _UNAVAILABLE
    fits = len(text) == name_bytes + number_bytes
    if not fits or len(text) > SHOWN_CHARACTERS_MAX * 4 or not (name + number).isprintable():
        return _UNAVAILABLE
    if (status is NameStatus.KNOWN) != bool(name):
        return _UNAVAILABLE
    return NameAnswer(status, name or None, number or None)


def _day(time_us: int) -> int:
    """Return the day number of a time: days since 1970-01-01 in UTC+3."""
    return (time_us // 1_000_000 + EAST_AFRICA_S) // SECONDS_PER_DAY
