"""The three holders of an account, as one of them sees the others: what is kept, at a majority of them.

Whatever must not be forgotten while one of the three is away (a key before it is used, a PIN before it is
anybody's, a try before it is looked at) is durable at a majority before anybody goes on. So any majority
that can be reached later knows it, and a holder that was away is given what it missed by whoever asks next.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass, field
from typing import Final, TypeVar

from harambee.feature_phones.ground import Ground, GroundError
from harambee.feature_phones.messages import (
    Claim,
    Mark,
    Matter,
    MessageError,
    Noted,
    OfAccount,
    Rows,
    read,
    write,
)
from harambee.feature_phones.pins import is_right
from harambee.feature_phones.rows import HOLDERS_MAX, KeyRow, PinRow, TriesRow, TryRow
from harambee.feature_phones.store import PhoneStore
from harambee.feature_phones.tries import ID_BYTES, Tries, Try, majority, merged
from harambee.protocol.holders import holders

T = TypeVar("T")

PATIENCE_S: Final = 2.0
"""A holder that takes longer has not answered."""
CLAIM_TRIES: Final = 3
HASHED_AT_ONCE: Final = 2
KEPT: Final = b"\1"
NOT_KEPT: Final = b"\0"
assert HOLDERS_MAX == 3


class TooFewError(GroundError):
    """Too few of an account's holders can be reached; one sentence."""


class NoPinError(GroundError):
    """None of the holders that can be reached has a PIN of this account."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What became of a PIN."""

    is_right: bool
    tries_left: int = 0
    """Zero where the account is locked now, or was before."""
    was_looked_at: bool = True
    """Whether the PIN was compared at all."""


@dataclass
class Holding:
    """What one super-agent holds of feature phones, together with two others for each account."""

    ground: Ground
    store: PhoneStore
    _hashing: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(HASHED_AT_ONCE))

    def holders_of(self, account: int) -> tuple[int, ...]:
        """Return the super-agents that hold an account, its home first."""
        return holders(self.ground.genesis.committee, account)

    def others(self, account: int) -> list[int]:
        """Return the other holders."""
        return [peer for peer in self.holders_of(account) if peer != self.ground.index]

    def _needed(self, account: int) -> int:
        return majority(len(self.holders_of(account)))

    # -- keys and PINs ----------------------------------------------------------------------------

    async def rows(self, account: int) -> Rows:
        """Return what lies here of an account."""

        def read_all() -> Rows:
            return Rows(account, self.store.keys(account), self.store.pin(account))

        return await asyncio.to_thread(read_all)

    async def keep(self, rows: Rows) -> bool:
        """Keep what another holder gives; says whether all of it lies here now, or what replaced it."""

        def keep_all() -> bool:
            kept = [self.store.keep_key(rows.account, row) for row in rows.keys]
            if rows.pin is not None:
                kept.append(self.store.keep_pin(rows.account, rows.pin))
            return all(kept)

        return await asyncio.to_thread(keep_all)

    async def keep_everywhere(self, rows: Rows) -> None:
        """Keep here and at the others; TooFewError unless a majority of them has it durably."""
        kept = 1 if await self.keep(rows) else 0
        content = write(rows)
        answers = await self._asked(self.others(rows.account), Matter.KEEP, content)
        kept += sum(answer == KEPT for answer in answers)
        if kept < self._needed(rows.account):
            raise TooFewError("Too few of the super-agents that hold this account can be reached.")

    async def gather(self, account: int) -> Rows:
        """Take over whatever the other holders have and this one lacks; return what lies here then."""
        content = write(OfAccount(account))
        for answer in await self._asked(self.others(account), Matter.ROWS, content):
            try:
                rows = read(answer, Rows)
            except MessageError:
                continue
            if rows.account == account:
                await self.keep(rows)
        return await self.rows(account)

    async def own_key(self, account: int, made: KeyRow) -> KeyRow:
        """Return this holder's key of an account, `made` if it has none yet; a majority has it durably."""
        own = [row for row in (await self.rows(account)).keys if row.maker == self.ground.index]
        key = own[0] if own else made
        await self.keep_everywhere(Rows(account, [key]))
        return key

    async def new_pin(self, account: int, row: PinRow) -> None:
        """Let a PIN replace the one before, at a majority of the holders."""
        await self.keep_everywhere(Rows(account, [], row))

    async def newest_pin(self, account: int) -> PinRow | None:
        """Return the newest PIN that a majority of the holders knows; TooFewError."""
        _, versions = await self._noted_by_most(account)
        return await self._pin_of(account, max(versions.values(), default=0), versions)

    async def _pin_of(self, account: int, version: int, versions: dict[int, int]) -> PinRow | None:
        """Return this holder's PIN once it is of that version, and give it to whoever is behind."""
        pin = await asyncio.to_thread(self.store.pin, account)
        if pin is None or pin.version < version:
            pin = (await self.gather(account)).pin
        if pin is None:
            return None
        if pin.version < version:
            raise TooFewError("The holders that know the newest PIN cannot be reached.")
        behind = [peer for peer, known in versions.items() if known < pin.version]
        if behind:
            rows = await self.rows(account)
            await self._asked(behind, Matter.KEEP, write(rows))
        return pin

    # -- tries ------------------------------------------------------------------------------------

    async def check_pin(self, account: int, pin: str) -> Checked:
        """Say whether this is the owner's PIN; the try is counted at a majority before it is looked at.

        TooFewError where it cannot be counted, NoPinError where there is none to compare with.
        """
        for _ in range(CLAIM_TRIES):
            tries, versions = await self._noted_by_most(account)
            if tries.is_locked:
                return Checked(is_right=False, was_looked_at=False)
            row = await self._pin_of(account, max(versions.values(), default=0), versions)
            if row is None:
                raise NoPinError("No PIN of this account is kept.")
            asked = Try(tries.top + 1, secrets.token_bytes(ID_BYTES))
            granted = await self._claimed_by_most(account, asked, tries.mark)
            if granted is None:
                continue
            before = granted.before(asked.number)
            if before.is_locked:
                return Checked(is_right=False, was_looked_at=False)
            async with self._hashing:
                right = await asyncio.to_thread(is_right, pin, row.salt, row.verifier)
            if right:
                await self.mark(account, asked.number)
                return Checked(is_right=True, tries_left=before.left)
            return Checked(is_right=False, tries_left=before.left - 1)
        raise TooFewError("Too few of the holders count this try.")

    async def unlock(self, account: int) -> None:
        """Let all tries so far count no more, at a majority of the holders; TooFewError."""
        tries, _ = await self._noted_by_most(account)
        if await self.mark(account, tries.top) < self._needed(account):
            raise TooFewError("Too few of the super-agents that hold this account can be reached.")

    async def mark(self, account: int, number: int) -> int:
        """Tries up to this number count no more; returns how many holders have noted it."""
        await asyncio.to_thread(self.store.mark, account, number)
        content = write(Mark(account, number))
        answers = await self._asked(self.others(account), Matter.MARK, content)
        return 1 + sum(answer == KEPT for answer in answers)

    async def noted(self, account: int) -> Noted:
        """Return what is noted here of an account's tries."""

        def look() -> Noted:
            pin = self.store.pin(account)
            tries = TriesRow.of(self.store.tries(account))
            return Noted(tries, pin_version=0 if pin is None else pin.version)

        return await asyncio.to_thread(look)

    async def claim(self, claim: Claim) -> Noted:
        """Note a try here, if it may be."""
        asked = Try(claim.asked.number, claim.asked.id)
        tries, granted = await asyncio.to_thread(self.store.claim, claim.account, asked, claim.mark)
        return Noted(TriesRow.of(tries), granted)

    async def _noted_by_most(self, account: int) -> tuple[Tries, dict[int, int]]:
        """Return what a majority has noted together, and the version of each one's PIN, by holder."""
        own = await self.noted(account)
        told = {self.ground.index: own}
        told |= await self._noted_of(account, Matter.TRIES, write(OfAccount(account)))
        if len(told) < self._needed(account):
            raise TooFewError("Too few of the super-agents that hold this account can be reached.")
        tries = merged(noted.tries.tries() for noted in told.values())
        return tries, {peer: noted.pin_version for peer, noted in told.items()}

    async def _claimed_by_most(self, account: int, asked: Try, mark: int) -> Tries | None:
        """Return what those who granted a claim have noted; None unless they are a majority."""
        claim = Claim(account, TryRow(asked.number, asked.id), mark)
        # First here: who cannot note it himself has no business to ask others.
        told = {self.ground.index: await self.claim(claim)}
        told |= await self._noted_of(account, Matter.CLAIM, write(claim))
        granting = [noted.tries.tries() for noted in told.values() if noted.granted]
        return merged(granting) if len(granting) >= self._needed(account) else None

    async def _noted_of(self, account: int, matter: Matter, content: bytes) -> dict[int, Noted]:
        peers = self.others(account)
        found: dict[int, Noted] = {}
        for peer, answer in zip(peers, await self._asked(peers, matter, content), strict=True):
            try:
                found[peer] = read(answer, Noted)
            except MessageError:
                continue
        return found

    async def _asked(self, peers: Iterable[int], matter: Matter, content: bytes) -> list[bytes]:
        """Return what each of these answers; nothing where it does not."""

        async def one(peer: int) -> bytes:
            if not self.ground.is_linked(peer):
                return b""
            return await _or_nothing(self.ground.ask(peer, matter, content, PATIENCE_S))

        return list(await asyncio.gather(*map(one, peers)))


async def _or_nothing(answer: Awaitable[bytes]) -> bytes:
    try:
        return await answer
    except GroundError:
        return b""
