"""What a holder signs for an account, and when it may.

**One holder, one key.** Each of the three has at most one key of an account, which it made itself, and all
three keep all of them. Which one counts stands in the ledger: it is the account's key. From this follow
two rules, and nothing else keeps home and alternate apart:

1. With a key of its own making a holder signs what the owner wants.
2. With another's it signs one thing: the change to a key of its own (`OrderKind.CHANGE_KEY`, in the
   account's next slot). Until that is final its own key signs nothing that anybody accepts; from then on
   the other one's does not.

So a home that comes back cannot sign by mistake what an alternate has signed meanwhile: its key is not the
account's any more. It takes the account back as it was taken, and asks the maker of the key that counts to
let go first, if he can be reached.

**The slot that both may use** is that of the change itself: a home may have signed a payment in it before
it went down. At most one of the two becomes final. If it is the payment, the change is signed again in the
next slot; if it is the change, the payment is dead for good, and is made again behind it by whoever
brings the same wish. Nobody pays twice, and nobody is told of a payment that was not.
"""

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from harambee.crypto.keys import public_of
from harambee.crypto.signatures import KeyPair, generate
from harambee.feature_phones.ground import Ground, GroundError
from harambee.feature_phones.holding import KEPT, Holding
from harambee.feature_phones.messages import Matter, OfAccount, Rows, write
from harambee.feature_phones.rows import KeyRow, PendingRow
from harambee.handset.orders import OrderBody, cancel_of, sign_order, sign_possession
from harambee.ledger.kinds import OrderKind
from harambee.ledger.outcomes import Outcome
from harambee.ledger.records import CUSTODIAL_BIT, STATUS_MASK, STATUS_SHIFT, Status, key_of

OPTION_CUSTODIAL: Final = 8
"""Of the option byte that describes a key: somebody keeps it for the owner."""
TAKE_OVER_TRIES: Final = 3
OFFER_MS: Final = 6_000
"""So long a person waits at her telephone; afterwards a text says what became of it."""
SLOT_MS: Final = 3_000
RELEASE_S: Final = 3.0
LET_GO_S: Final = 30.0
"""So long a holder signs nothing for an account after it let go of it."""
PASSING: Final = frozenset(
    {
        Outcome.SLOT_TAKEN,
        Outcome.SLOT_FENCED,
        Outcome.BROKER_BUSY,
        Outcome.SEQUENCE_AHEAD,
    }
)
"""Refusals that end by themselves: the same bytes are offered again."""


class BusyError(GroundError):
    """The account cannot be used now: an earlier order is on its way, or another holder has it."""


@dataclass(frozen=True, slots=True)
class Brought:
    """What became of an order that was offered."""

    final: bytes | None = None
    """What is final in its slot, if anything is."""
    is_decided: bool = False
    outcome: Outcome = Outcome.ACCEPTED
    """Why the order was refused, where it was."""


@dataclass
class Signing:
    """Signs for the accounts that this super-agent holds; one order of an account at a time."""

    ground: Ground
    holding: Holding
    _in_use: set[int] = field(default_factory=set)
    _let_go: dict[int, float] = field(default_factory=dict)
    """Until when nothing is signed for an account that another holder takes over."""

    @contextlib.contextmanager
    def use(self, account: int) -> Iterator[None]:
        """Have an account to oneself; BusyError if somebody else is at it here."""
        if account in self._in_use:
            raise BusyError("Something else is being done with this account.")
        self._in_use.add(account)
        try:
            yield
        finally:
            self._in_use.discard(account)

    async def record(self, account: int) -> np.void | None:
        """Return an account's record if it is one whose key is kept for its owner, and is active."""
        found = await self.ground.account(account)
        if found is None:
            return None
        flags = int(found["flags"][0])
        active = flags >> STATUS_SHIFT & STATUS_MASK == Status.ACTIVE
        record: np.void = found[0]
        return record if flags & CUSTODIAL_BIT and active else None

    async def key_in_force(self, account: int) -> KeyRow | None:
        """Return the key that counts, if this holder has it or another one gives it."""
        record = await self.record(account)
        if record is None:
            return None
        rows = await self.holding.rows(account)
        found = _the_one(rows, record)
        return found or _the_one(await self.holding.gather(account), record)

    # -- taking over ------------------------------------------------------------------------------

    async def take_over(self, account: int) -> KeyPair:
        """Return the key by which this holder signs; takes the account over where another has it.

        BusyError where that is not decided in time, GroundError where no key that counts is known.
        """
        if self._has_let_go(account):
            raise BusyError("Another super-agent takes this account over just now.")
        for _ in range(TAKE_OVER_TRIES):
            held = await self.key_in_force(account)
            record = await self.record(account)
            if held is None or record is None:
                raise GroundError("The key of this account is not here.")
            if held.maker == self.ground.index:
                return held.keypair
            await self._ask_to_let_go(account, held.maker)
            made = KeyRow(self.ground.index, generate().seed)
            own = (await self.holding.own_key(account, made)).keypair
            sequence = int(record["next_sequence"])
            body = self._change(account, sequence, own, (await self.ground.tariff()).version)
            network = self.ground.genesis.network
            order = sign_order(held.keypair, network, body)
            await self._bring(account, [order], sign_possession(own, network, body))
        raise BusyError(
            "Another super-agent holds this account, and it is not decided who has it now."
        )

    def _change(self, account: int, sequence: int, own: KeyPair, tariff: int) -> OrderBody:
        return OrderBody(
            payer=account,
            payee=account,
            amount_cents=0,
            fee_cents=0,
            sequence=sequence,
            kind=OrderKind.CHANGE_KEY,
            tariff=tariff,
            day=self.ground.today(),
            options=bytes([0, public_of(own).form | OPTION_CUSTODIAL, 0]),
            reference=own.public,
        )

    async def _ask_to_let_go(self, account: int, maker: int) -> None:
        """Ask who holds the account to sign no more; who cannot be reached is not waited for."""
        if not self.ground.is_linked(maker):
            return
        try:
            content = write(OfAccount(account))
            answer = await self.ground.ask(maker, Matter.RELEASE, content, RELEASE_S)
        except GroundError:
            return
        if answer != KEPT:
            raise BusyError("Another super-agent does something with this account just now.")

    async def let_go(self, account: int) -> bool:
        """Sign nothing for an account for a while; False where something is under way."""
        try:
            with self.use(account):
                if not (await self.finish(account)).is_decided:
                    return False
                self._let_go[account] = asyncio.get_running_loop().time() + LET_GO_S
                return True
        except BusyError:
            return False

    def _has_let_go(self, account: int) -> bool:
        now = asyncio.get_running_loop().time()
        if len(self._let_go) > 1_024:
            self._let_go = {each: until for each, until in self._let_go.items() if until > now}
        return self._let_go.get(account, 0) > now

    # -- orders -----------------------------------------------------------------------------------

    async def pay(self, account: int, keypair: KeyPair, body: OrderBody) -> Brought:
        """Sign an order, keep it, bring it; a refused one is cancelled, for it is not dead by itself."""
        order = sign_order(keypair, self.ground.genesis.network, body)
        return await self._bring(account, [order], b"")

    async def finish(self, account: int) -> Brought:
        """Bring to its end what this holder signed for an account; decided where there is nothing."""
        pending = await asyncio.to_thread(self.holding.store.pending, account)
        if pending is None:
            return Brought(is_decided=True)
        return await self._bring(account, list(pending.orders), pending.possession)

    async def _bring(self, account: int, orders: list[bytes], possession: bytes) -> Brought:
        """Offer the newest of the orders of one slot until the slot is decided, or time is up."""
        store = self.holding.store
        await asyncio.to_thread(store.put_pending, account, PendingRow(orders, possession))
        first = OrderBody.from_bytes(orders[0])
        refused = Outcome.ACCEPTED
        outcome = await self._offer(orders[-1], possession)
        if outcome is not None and outcome is not Outcome.ACCEPTED and outcome not in PASSING:
            refused = outcome
            if first.kind is OrderKind.CHANGE_KEY:
                # With another's key nothing else is signed, not even a cancel.
                await asyncio.to_thread(store.put_pending, account, None)
            elif (cancel := await self._cancel(account, first, orders)) is not None:
                orders = [orders[0], cancel]
                await asyncio.to_thread(store.put_pending, account, PendingRow(orders))
                await self._offer(cancel, b"")
        decided, final = await self.ground.final(account, first.sequence, SLOT_MS)
        if decided:
            await asyncio.to_thread(store.put_pending, account, None)
        return Brought(final, decided, refused)

    async def _offer(self, order: bytes, possession: bytes) -> Outcome | None:
        if abs(OrderBody.from_bytes(order).day - self.ground.today()) > 1:
            return Outcome.DAY_WRONG
        return await self.ground.offer(order, possession, OFFER_MS)

    async def _cancel(self, account: int, first: OrderBody, orders: list[bytes]) -> bytes | None:
        """Return a cancel of the slot, signed today, if this holder's key is the account's."""
        held = await self.key_in_force(account)
        if held is None or held.maker != self.ground.index:
            return None
        newest = OrderBody.from_bytes(orders[-1])
        if newest.kind is OrderKind.CANCEL and abs(newest.day - self.ground.today()) <= 1:
            return orders[-1]
        cancel = cancel_of(first, self.ground.today())
        return sign_order(held.keypair, self.ground.genesis.network, cancel)


def _the_one(rows: Rows, record: np.void) -> KeyRow | None:
    """Return the key that is the account's by its record."""
    wanted = key_of(record)
    return next((row for row in rows.keys if public_of(row.keypair) == wanted), None)
