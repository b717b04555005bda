"""A holder of feature phones' accounts: it counts tries, keeps keys, and does what an owner's PIN allows.

Of the three holders the first that serves does it: the home, while it can be reached. Each looks for itself
whether one before it serves, so that a door that lies, or has no link to a home, moves nobody's account.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import ClassVar, Final

import msgspec
import numpy as np

from harambee.feature_phones.ground import Ground, GroundError
from harambee.feature_phones.holding import KEPT, NOT_KEPT, Holding, NoPinError, TooFewError
from harambee.feature_phones.messages import (
    LINES_MAX,
    SHOWN_MAX,
    Act,
    Claim,
    Deed,
    Done,
    Fate,
    Line,
    Mark,
    Matter,
    MessageError,
    Named,
    OfAccount,
    Rows,
    Told,
    read,
    write,
)
from harambee.feature_phones.pins import PinError, check_new_pin, new_salt, verifier_of
from harambee.feature_phones.rows import PinRow
from harambee.feature_phones.signing import BusyError, Signing
from harambee.feature_phones.store import PhoneStore, PhoneStoreError
from harambee.handset.name_checks import Question, sign_question
from harambee.handset.orders import (
    OrderBody,
    OrderError,
    check_between,
    check_reference,
    fee_of,
    options_for,
)
from harambee.handset.payment_requests import (
    Decline,
    RequestsQuestion,
    sign_decline,
    sign_requests_question,
)
from harambee.handset.receipt_code import code_of
from harambee.ledger.kinds import LIMITED, OrderKind
from harambee.ledger.outcomes import Outcome
from harambee.ledger.records import (
    FEE_MODE_MASK,
    FEE_MODE_SHIFT,
    KIND_MASK,
    TIER_MASK,
    TIER_SHIFT,
    AccountKind,
)
from harambee.money.tariff import FeeMode, Tariff

SERVES_S: Final = 1.0
ACTS_AT_ONCE_MAX: Final = 64
SLOTS_LOOKED_THROUGH_MAX: Final = 8
"""Of what became final since an owner began to dial; whoever lets more happen dials again."""
LINES_READ: Final = 16
"""More than are shown, because what moved no money is left out."""
FINISH_EVERY_S: Final = 2.0
NO_PIN_NEEDED: Final = frozenset({Deed.LANGUAGE, Deed.DECLINE})

log: Final = logging.getLogger(__name__)


@dataclass
class Custody:
    """One super-agent as a holder of feature phones. Belongs to the event loop's thread."""

    ground: Ground
    store: PhoneStore
    finish_every_s: float = FINISH_EVERY_S
    holding: Holding = field(init=False)
    signing: Signing = field(init=False)
    _acting: int = 0
    _task: "asyncio.Task[None] | None" = None

    def __post_init__(self) -> None:
        self.holding = Holding(self.ground, self.store)
        self.signing = Signing(self.ground, self.holding)

    def start(self) -> None:
        """Begin to bring to its end what was signed before."""
        self._task = asyncio.create_task(self._finish_all())

    async def stop(self) -> None:
        """End; what is not decided is gone on with at the next start."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def serve(self, peer: int, matter: Matter, content: bytes) -> bytes:
        """Answer another super-agent; nothing where its question is none of its business."""
        serve = self._SERVES[matter]
        try:
            return await serve(self, peer, content)
        except MessageError:
            return b""
        except (GroundError, PhoneStoreError) as error:
            log.warning("what others ask for feature phones cannot be told: %s", error)
            return b""

    # -- for other holders ------------------------------------------------------------------------

    def _is_shared(self, peer: int, account: int) -> bool:
        held_by = self.holding.holders_of(account)
        return peer in held_by and self.ground.index in held_by and peer != self.ground.index

    async def _serve_serves(self, _peer: int, _content: bytes) -> bytes:
        return KEPT if self.ground.ready() is None else NOT_KEPT

    async def _serve_rows(self, peer: int, content: bytes) -> bytes:
        account = read(content, OfAccount).account
        return write(await self.holding.rows(account)) if self._is_shared(peer, account) else b""

    async def _serve_keep(self, peer: int, content: bytes) -> bytes:
        rows = read(content, Rows)
        held_by = self.holding.holders_of(rows.account)
        # A key that this holder made itself may come back to it: its disk may be a new one.
        fits = self._is_shared(peer, rows.account) and all(
            row.maker in held_by for row in rows.keys
        )
        return KEPT if fits and await self.holding.keep(rows) else NOT_KEPT

    async def _serve_tries(self, peer: int, content: bytes) -> bytes:
        account = read(content, OfAccount).account
        return write(await self.holding.noted(account)) if self._is_shared(peer, account) else b""

    async def _serve_claim(self, peer: int, content: bytes) -> bytes:
        claim = read(content, Claim)
        if not self._is_shared(peer, claim.account):
            return b""
        return write(await self.holding.claim(claim))

    async def _serve_mark(self, peer: int, content: bytes) -> bytes:
        mark = read(content, Mark)
        if not self._is_shared(peer, mark.account):
            return NOT_KEPT
        await asyncio.to_thread(self.store.mark, mark.account, mark.number)
        return KEPT

    async def _serve_release(self, peer: int, content: bytes) -> bytes:
        account = read(content, OfAccount).account
        if not self._is_shared(peer, account):
            return NOT_KEPT
        return KEPT if await self.signing.let_go(account) else NOT_KEPT

    # -- for doors --------------------------------------------------------------------------------

    async def _serve_tell(self, _peer: int, content: bytes) -> bytes:
        return write(await self.tell(read(content, OfAccount).account))

    async def _serve_name(self, _peer: int, content: bytes) -> bytes:
        asked = read(content, OfAccount)
        return write(await self.name(asked.account, asked.other))

    async def _serve_act(self, _peer: int, content: bytes) -> bytes:
        return write(await self.act(read(content, Act)))

    _SERVES: ClassVar[dict[Matter, Callable[["Custody", int, bytes], Awaitable[bytes]]]] = {
        Matter.SERVES: _serve_serves,
        Matter.ROWS: _serve_rows,
        Matter.KEEP: _serve_keep,
        Matter.TRIES: _serve_tries,
        Matter.CLAIM: _serve_claim,
        Matter.MARK: _serve_mark,
        Matter.RELEASE: _serve_release,
        Matter.TELL: _serve_tell,
        Matter.NAME: _serve_name,
        Matter.ACT: _serve_act,
    }

    async def tell(self, account: int) -> Told:
        """Return what a menu begins with; nothing is known where this is no holder of the account."""
        record = await self.signing.record(account)
        if record is None or self.ground.index not in self.holding.holders_of(account):
            return Told(known=False)
        rows = await self.holding.rows(account)
        if rows.pin is None:
            rows = await self.holding.gather(account)
        if rows.pin is None:
            return Told(known=False)
        return Told(
            known=True,
            language=rows.pin.language,
            next_sequence=int(record["next_sequence"]),
            request=await self._request(account),
        )

    async def _request(self, account: int) -> bytes:
        """Return the oldest request that waits for this account; nothing where none can be told."""
        key = await self.signing.key_in_force(account)
        if key is None:
            return b""
        asked = RequestsQuestion(account, self.ground.now_us())
        question = sign_requests_question(key.keypair, self.ground.genesis.network, asked)
        try:
            return next(iter(await self.ground.requests(question)), b"")
        except GroundError:
            return b""

    async def name(self, account: int, payee: int) -> Named:
        """Return whose account it is, as its payer may see it; counted as any owner's question is."""
        key = await self.signing.key_in_force(account)
        if key is None:
            return Named()
        question = Question(account, payee, self.ground.now_us())
        signed = sign_question(key.keypair, self.ground.genesis.network, question)
        shown = await self.ground.name_of(signed)
        if shown is None:
            return Named()
        return Named(shown.name[:SHOWN_MAX], shown.number[:SHOWN_MAX], shown.is_locked)

    async def act(self, act: Act) -> Done:
        """Do something for an account's owner, once her PIN is right."""
        held_by = self.holding.holders_of(act.account)
        if self.ground.index not in held_by or await self.signing.record(act.account) is None:
            return Done(Fate.NOT_HERE)
        if self.ground.ready() is not None:
            return Done(Fate.UNAVAILABLE)
        if self._acting >= ACTS_AT_ONCE_MAX or await self._another_serves(held_by):
            return Done(Fate.BUSY)
        self._acting += 1
        try:
            with self.signing.use(act.account):
                return await self._act(act)
        except BusyError:
            return Done(Fate.BUSY)
        except NoPinError:
            return Done(Fate.NOT_HERE)
        except TooFewError:
            return Done(Fate.UNAVAILABLE)
        finally:
            self._acting -= 1

    async def _another_serves(self, held_by: tuple[int, ...]) -> bool:
        """Whether a holder before this one serves: then it is for that one to act."""
        for peer in held_by[: held_by.index(self.ground.index)]:
            if not self.ground.is_linked(peer):
                continue
            with contextlib.suppress(GroundError):
                if await self.ground.ask(peer, Matter.SERVES, b"", SERVES_S) == KEPT:
                    return True
        return False

    async def _act(self, act: Act) -> Done:
        if act.deed not in NO_PIN_NEEDED:
            if act.pin is None:
                return Done(Fate.WRONG_PIN)
            checked = await self.holding.check_pin(act.account, act.pin)
            if not checked.is_right:
                fate = Fate.WRONG_PIN if checked.tries_left else Fate.LOCKED
                return Done(fate, tries_left=checked.tries_left)
        match act.deed:
            case Deed.PAY:
                return await self._pay(act)
            case Deed.BALANCE:
                return await self._balance(act.account)
            case Deed.STATEMENT:
                return await self._statement(act.account)
            case Deed.NEW_PIN | Deed.LANGUAGE:
                return await self._change(act)
            case Deed.DECLINE:
                return await self._decline(act)

    # -- what is done -----------------------------------------------------------------------------

    async def _balance(self, account: int) -> Done:
        record = await self.signing.record(account)
        if record is None:
            return Done(Fate.NOT_HERE)
        balance = int(record["balance"])
        return Done(Fate.DONE, balance_cents=balance, available_cents=_available(record))

    async def _statement(self, account: int) -> Done:
        rows = await self.ground.statement(account, LINES_READ)
        done = await self._balance(account)
        lines: list[Line] = []
        for row in [row for row in rows if row.change_cents][:LINES_MAX]:
            day, kind = OrderBody.from_bytes(row.order).day, OrderBody.from_bytes(row.order).kind
            code = code_of(row.order, self.ground.genesis.regions)
            lines.append(Line(day, row.change_cents, kind, code))
        return msgspec.structs.replace(done, lines=lines)

    async def _change(self, act: Act) -> Done:
        """Take a new PIN, or another language."""
        before = await self.holding.newest_pin(act.account)
        if before is None:
            return Done(Fate.NOT_HERE)
        if act.deed is Deed.LANGUAGE:
            wanted = before.language if act.language is None else act.language
            row = msgspec.structs.replace(before, version=before.version + 1, language=wanted)
        else:
            try:
                check_new_pin(act.new_pin or "")
            except PinError:
                return Done(Fate.WEAK_PIN)
            row = await pin_row(act.new_pin or "", before.version + 1, before)
        await self.holding.new_pin(act.account, row)
        return Done(Fate.DONE)

    async def _decline(self, act: Act) -> Done:
        key = await self.signing.key_in_force(act.account)
        if key is None:
            return Done(Fate.NOT_HERE)
        said = Decline(act.reference, act.account, 0)
        try:
            await self.ground.decline(sign_decline(key.keypair, self.ground.genesis.network, said))
        except GroundError:
            return Done(Fate.UNAVAILABLE)
        return Done(Fate.DONE)

    async def _pay(self, act: Act) -> Done:
        """Pay once: what became final since the owner began, or is on its way, may be this payment."""
        earlier = await self.signing.finish(act.account)
        if not earlier.is_decided:
            return Done(Fate.BUSY)
        keypair = await self.signing.take_over(act.account)
        record = await self.signing.record(act.account)
        if record is None:
            return Done(Fate.NOT_HERE)
        settled = await self._since(act, int(record["next_sequence"]))
        if settled is not None:
            return settled
        tariff = await self.ground.tariff()
        body = await self._body(act, record, tariff)
        if isinstance(body, Done):
            return body
        brought = await self.signing.pay(act.account, keypair, body)
        if brought.final is not None and _is_same(brought.final, act):
            code = code_of(brought.final, self.ground.genesis.regions)
            return Done(Fate.DONE, code, balance_cents=await self._left(act.account))
        refused = brought.outcome not in (Outcome.ACCEPTED, Outcome.SEQUENCE_STALE)
        if refused and brought.is_decided:
            return Done(Fate.REFUSED, outcome=brought.outcome)
        return Done(Fate.STALE) if brought.is_decided else Done(Fate.SENT)

    async def _left(self, account: int) -> int:
        record = await self.signing.record(account)
        return 0 if record is None else int(record["balance"])

    async def _since(self, act: Act, following: int) -> Done | None:
        """Return what became of this payment if it was made since the owner began; None if not.

        A change of holder, a cancel and a slot without an order are nothing that she did.
        """
        if not 0 <= following - act.first_sequence <= SLOTS_LOOKED_THROUGH_MAX:
            return Done(Fate.STALE)
        for sequence in range(act.first_sequence, following):
            _, order = await self.ground.final(act.account, sequence, 0)
            if order is None:
                continue
            if _is_same(order, act):
                code = code_of(order, self.ground.genesis.regions)
                return Done(Fate.DONE, code, balance_cents=await self._left(act.account))
            if OrderBody.from_bytes(order).kind not in {OrderKind.CHANGE_KEY, OrderKind.CANCEL}:
                return Done(Fate.STALE)
        return None

    async def _body(self, act: Act, record: np.void, tariff: Tariff) -> OrderBody | Done:
        """Return what is to be signed; or why it is not, where that is plain beforehand."""
        kind, payee = act.order_kind, await self.ground.account(act.payee)
        if kind is None or payee is None or act.payee == act.account:
            return Done(Fate.REFUSED, outcome=Outcome.PAYEE_UNKNOWN)
        flags = int(payee["flags"][0])
        mode = FeeMode(flags >> FEE_MODE_SHIFT & FEE_MODE_MASK)
        try:
            check_between(kind, _kind(record), AccountKind(flags & KIND_MASK))
            check_reference(kind, act.reference)
            fee_cents = fee_of(tariff, kind, act.amount_cents, mode)
        except OrderError:
            return Done(Fate.REFUSED, outcome=Outcome.AMOUNT_WITHOUT_TARIFF)
        if fee_cents != act.fee_cents:
            return Done(Fate.STALE)  # she was shown another price
        broken = _limit_broken(record, act, tariff, self.ground.today())
        if broken is not None:
            return Done(Fate.REFUSED, outcome=broken)
        if act.amount_cents + fee_cents > _available(record):
            return Done(Fate.FUNDS, available_cents=_available(record))
        return OrderBody(
            payer=act.account,
            payee=act.payee,
            amount_cents=act.amount_cents,
            fee_cents=fee_cents,
            sequence=int(record["next_sequence"]),
            kind=kind,
            tariff=tariff.version,
            day=self.ground.today(),
            options=options_for(kind, mode, int(payee["head_office"][0])),
            reference=act.reference,
        )

    async def _finish_all(self) -> None:
        """Bring to its end, again and again, whatever was signed here and is not decided."""
        while True:
            try:
                for account in await asyncio.to_thread(self.store.all_pending):
                    await self._finish(account)
            except (GroundError, PhoneStoreError) as error:
                log.warning("feature phones' orders wait: %s", error)
            await asyncio.sleep(self.finish_every_s)

    async def _finish(self, account: int) -> None:
        with contextlib.suppress(BusyError), self.signing.use(account):
            if self.ground.ready() is None:
                await self.signing.finish(account)


async def pin_row(pin: str, version: int, before: PinRow) -> PinRow:
    """Return what is to be kept of a new PIN."""
    salt = new_salt()
    verifier = await asyncio.to_thread(verifier_of, pin, salt)
    return PinRow(version, salt, verifier, before.language)


def _available(record: np.void) -> int:
    """Return what of an account can be paid, in cents."""
    return int(record["balance"]) - int(record["held"]) - int(record["frozen"])


def _kind(record: np.void) -> AccountKind:
    return AccountKind(int(record["flags"]) & KIND_MASK)


def _limit_broken(record: np.void, act: Act, tariff: Tariff, today: int) -> Outcome | None:
    """Return the limit that a payment would break, if it would: then it is not signed at all."""
    if _kind(record) not in LIMITED:
        return None
    tier = int(record["flags"]) >> TIER_SHIFT & TIER_MASK
    most_cents, daily_cents, _ = tariff.limits_of(tier)
    spent_cents = int(record["spent_today"]) if int(record["day"]) >= today else 0
    if act.amount_cents > most_cents:
        return Outcome.AMOUNT_ABOVE_LIMIT
    return Outcome.DAILY_LIMIT_EXCEEDED if spent_cents + act.amount_cents > daily_cents else None


def _is_same(order: bytes, act: Act) -> bool:
    """Say whether an order is the payment that an owner wants."""
    body = OrderBody.from_bytes(order)
    said = (body.kind, body.payee, body.amount_cents, body.reference)
    return said == (act.kind, act.payee, act.amount_cents, act.reference)
