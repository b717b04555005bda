"""What merchants have done by their own key, at the super-agent where it lies: their home.

One order of an account is in flight at a time, so each merchant has a queue. An order is durable before
it leaves, and so is the cancel that burns the slot of one that was refused; whatever happens in between,
the same bytes are offered again after a restart, and nothing is paid twice. Whoever wants to be paid out
much at once uses a bulk order.

A balance and the status of a payment are asked for in the same way, because that software asks so: the
answer comes by a callback.

An instruction is worth what its credential is. Whoever guesses at passwords is told nothing but that it
was not carried out, and only some guesses a minute are looked at for one merchant. A password is kept no
longer than until it was judged.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Final

import msgspec

from harambee.crypto.signatures import KeyPair
from harambee.handset.holds import slot_reference
from harambee.handset.orders import (
    NO_REFERENCE,
    OrderBody,
    OrderError,
    cancel_of,
    fee_of,
    sign_order,
)
from harambee.handset.receipt_code import code_of
from harambee.ledger.kinds import OrderKind
from harambee.ledger.outcomes import SENTENCES, Outcome
from harambee.merchants.book import Book, key_of
from harambee.merchants.credentials import Credentials
from harambee.merchants.ground import Ground, GroundError, Matter
from harambee.merchants.port import (
    Deed,
    Instruction,
    Merchant,
    MerchantsError,
    PaymentFacts,
    Reason,
    Result,
)
from harambee.merchants.rows import (
    TOLD_BYTES_MAX,
    EventRow,
    InstructionRow,
    RowError,
    read_row,
    write_told,
)
from harambee.merchants.store import Changes, MerchantStore, MerchantStoreError

WAITING_MAX: Final = 10_000
"""Instructions that wait at one merchant's home."""
DECIDE_MS: Final = 10_000
DECIDED_MS: Final = 1_000
RETRY_S: Final = 1.0
TELL_S: Final = 5.0
SENTENCE_MAX: Final = 256
NAME_MAX: Final = 64
WRONG_MAX: Final = 32
"""Instructions of one merchant with a wrong credential that are kept within WRONG_S; then it is busy."""
WRONG_S: Final = 60.0
FAILURES_MAX: Final = 5
"""So often an instruction for which nothing is signed may fail for no reason that is known here."""

_KINDS: Final = {
    Deed.PAY_CUSTOMER: OrderKind.PAY_OUT,
    Deed.PAY_BUSINESS: OrderKind.BUSINESS_TRANSFER,
    Deed.REVERSE: OrderKind.REFUND,
}

log: Final = logging.getLogger(__name__)

Ended = Callable[[Merchant, InstructionRow, Result], Awaitable[None]]
"""Told of every result, before the instruction is noted as done: so it is told at least once."""


_NEW: Final = b"new"
_KNOWN: Final = b"known"
"""Answers: it is durable at the home, since now or before."""


class _RefusedError(Exception):
    """An instruction is not carried out, and nothing was signed."""

    def __init__(self, reason: Reason | None, outcome: Outcome | None, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason
        self.outcome = outcome
        self.sentence = sentence


class InstructionDesk:
    """The instructions of the merchants whose home this is. Belongs to the event loop's thread."""

    def __init__(
        self,
        ground: Ground,
        store: MerchantStore,
        book: Book,
        credentials: Credentials,
        ended: Ended,
    ) -> None:
        self._ground = ground
        self._store = store
        self._book = book
        self._credentials = credentials
        self._ended = ended
        self._keys: Mapping[str, KeyPair] = {}
        self._initiators: Mapping[str, str] = {}
        self._queues: dict[str, deque[InstructionRow]] = {}
        self._workers: dict[str, asyncio.Task[None]] = {}
        self._taking: dict[tuple[str, str], asyncio.Future[None]] = {}
        """What is being made durable, by merchant and name."""
        self._wrong: dict[str, deque[float]] = {}
        """For each merchant when wrong credentials came."""

    def load(self, keys: Mapping[str, KeyPair], initiators: Mapping[str, str]) -> None:
        """Begin with these merchants' keys, by "paybill:174379", and go on with what is not done.

        `initiators` has passwords by "paybill:174379/initiator", or by the initiator alone where she
        may instruct every merchant whose key lies here.
        """
        self._keys, self._initiators = keys, initiators
        for row in self._store.undone():
            merchant = self._book.find(row.instruction.short_code)
            if merchant is not None:
                self._enqueue(merchant, row)

    async def stop(self) -> None:
        """End; what is not done is gone on with after the next start."""
        workers = list(self._workers.values())
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)

    @property
    def waiting(self) -> int:
        """How many instructions have no result yet."""
        return sum(len(queue) for queue in self._queues.values())

    # -- taking them ------------------------------------------------------------------------------

    async def instruct(self, instruction: Instruction) -> bool:
        """Keep an instruction at its merchant's home, which may be elsewhere; MerchantsError.

        Returns whether it is new.
        """
        merchant = self._book.find(instruction.short_code)
        if merchant is None:
            raise MerchantsError(
                Reason.MERCHANT_UNKNOWN, "There is no merchant of this short code."
            )
        try:
            content = write_told(instruction)
        except RowError as error:
            raise MerchantsError(Reason.INVALID, str(error)) from error
        if merchant.home == self._ground.index:
            return await self._take(merchant, instruction)
        try:
            answer = await self._ground.ask(merchant.home, Matter.INSTRUCT, content, TELL_S)
        except GroundError as error:
            name = self._ground.genesis.committee.members[merchant.home].name
            sentence = f"This merchant's key lies at {name}, which cannot be reached now."
            raise MerchantsError(Reason.UNAVAILABLE, sentence) from error
        _raise_told(answer)
        return answer == _NEW

    async def told(self, content: bytes) -> bytes:
        """Take an instruction by way of another super-agent; answers as `_raise_told` reads."""
        try:
            instruction = read_row(content, Instruction, TOLD_BYTES_MAX)
        except RowError as error:
            return _tell(MerchantsError(Reason.INVALID, str(error)))
        merchant = self._book.find(instruction.short_code)
        if merchant is None or merchant.home != self._ground.index:
            sentence = "This super-agent has not got this merchant's key."
            return _tell(MerchantsError(Reason.MERCHANT_UNKNOWN, sentence))
        try:
            return _NEW if await self._take(merchant, instruction) else _KNOWN
        except MerchantsError as error:
            return _tell(error)
        except MerchantStoreError:
            sentence = "This merchant's home cannot keep that now."
            return _tell(MerchantsError(Reason.UNAVAILABLE, sentence))

    async def _take(self, merchant: Merchant, instruction: Instruction) -> bool:
        key, name = key_of(merchant), instruction.name
        if key not in self._keys:
            sentence = "This super-agent has not got this merchant's key."
            raise MerchantsError(Reason.UNAVAILABLE, sentence)
        if not 1 <= len(name) <= NAME_MAX or not name.isprintable():
            raise MerchantsError(Reason.INVALID, f"A name has 1 to {NAME_MAX} characters.")
        while (under_way := self._taking.get((key, name))) is not None:
            await asyncio.wait([under_way])
        taking = self._taking[key, name] = asyncio.get_running_loop().create_future()
        try:
            return await self._take_once(merchant, instruction)
        finally:
            del self._taking[key, name]
            taking.set_result(None)

    async def _take_once(self, merchant: Merchant, instruction: Instruction) -> bool:
        key = key_of(merchant)
        known = self._store.instruction(key, instruction.name)
        if known is not None:
            if _essence(known.instruction) != _essence(instruction):
                sentence = "Another instruction has this name."
                raise MerchantsError(Reason.NAME_TAKEN, sentence)
            return False
        if len(self._queues.get(key, ())) >= WAITING_MAX or self._guesses(key, instruction):
            sentence = "Too many instructions of this merchant wait already."
            raise MerchantsError(Reason.BUSY, sentence)
        row = InstructionRow(instruction, self._ground.now_ms())
        await self._keep(merchant, row)
        self._enqueue(merchant, row)
        return True

    def _guesses(self, key: str, instruction: Instruction) -> bool:
        """Whether a credential is wrong, as many others of this merchant's were just now."""
        now_s = asyncio.get_running_loop().time()
        wrong = self._wrong.setdefault(key, deque())
        while wrong and wrong[0] < now_s - WRONG_S:
            wrong.popleft()
        if self._is_credible(key, instruction):
            return False
        if len(wrong) >= WRONG_MAX:
            return True
        wrong.append(now_s)
        return False

    def _enqueue(self, merchant: Merchant, row: InstructionRow) -> None:
        key = key_of(merchant)
        self._queues.setdefault(key, deque()).append(row)
        if key not in self._workers:
            self._workers[key] = asyncio.create_task(self._work(key, merchant))

    async def _keep(
        self, merchant: Merchant, row: InstructionRow, past_ms: int | None = None
    ) -> None:
        def change(changes: Changes) -> None:
            changes.put_instruction(key_of(merchant), row, past_ms=past_ms)

        await self._store.write(change)

    # -- carrying them out ------------------------------------------------------------------------

    async def _work(self, key: str, merchant: Merchant) -> None:
        queue, failures = self._queues[key], 0
        try:
            while queue:
                failures = await self._once(merchant, queue, failures)
        finally:
            del self._workers[key]
            del self._queues[key]

    async def _once(self, merchant: Merchant, queue: deque[InstructionRow], failures: int) -> int:
        """Go on with the first instruction; returns how often it has failed for no reason known here."""
        try:
            if failures >= FAILURES_MAX and not queue[0].order:
                sentence = "This instruction cannot be carried out."
                result = self._result(queue[0].instruction, None, Reason.INVALID, sentence)
                await self._finish(merchant, queue, queue[0], result)
            else:
                await self._do(merchant, queue)
        except GroundError:
            await asyncio.sleep(RETRY_S)  # the super-agent's own status says why
            return failures
        except MerchantStoreError as error:
            log.warning("an instruction is carried out later: %s", error)
            await asyncio.sleep(RETRY_S)
            return failures
        except Exception:
            # Ours; others' merchants go on, and so does this one unless something is signed.
            log.exception("an instruction could not be carried out")
            await asyncio.sleep(RETRY_S)
            return failures + 1
        return 0

    async def _do(self, merchant: Merchant, queue: deque[InstructionRow]) -> None:
        if self._ground.ready() is not None:
            raise GroundError("this super-agent does not serve now")
        row = queue[0]
        try:
            if not row.order:
                self._refuse_restored(row)
                self._judge(key_of(merchant), row.instruction)
                if row.instruction.deed not in _KINDS:
                    result = await self._look(merchant, row.instruction)
                    await self._finish(merchant, queue, row, result)
                    return
                row = queue[0] = await self._sign(merchant, row)
            result = await self._bring(merchant, queue)
        except _RefusedError as refused:
            result = self._result(
                row.instruction, refused.outcome, refused.reason, refused.sentence
            )
        await self._finish(merchant, queue, queue[0], result)

    def _refuse_restored(self, row: InstructionRow) -> None:
        """Raise _RefusedError for what a copy of the store has as not done: it may be older than that."""
        if row.instruction.deed in _KINDS and row.told_ms <= self._store.copied_ms:
            sentence = (
                "It is not known whether this was done before: a copy of the store was put back."
            )
            raise _RefusedError(Reason.UNAVAILABLE, None, sentence)

    async def _finish(
        self,
        merchant: Merchant,
        queue: deque[InstructionRow],
        row: InstructionRow,
        result: Result,
    ) -> None:
        # Nothing that is kept from now on has the credential in it.
        instruction = replace(row.instruction, credential="")
        ended = msgspec.structs.replace(row, instruction=instruction, done=True)
        await self._ended(merchant, ended, replace(result, instruction=instruction))
        await self._keep(merchant, ended, self._ground.now_ms())
        queue.popleft()

    def _judge(self, key: str, instruction: Instruction) -> None:
        """Raise _RefusedError unless a person of the merchant's stands behind it."""
        if not self._is_credible(key, instruction):
            sentence = "The initiator information is invalid."
            raise _RefusedError(Reason.CREDENTIAL_WRONG, None, sentence)

    def _is_credible(self, key: str, instruction: Instruction) -> bool:
        name = instruction.initiator
        password = self._initiators.get(f"{key}/{name}")
        if password is None and "/" not in name:
            password = self._initiators.get(name)
        # Also of somebody unknown, so that it takes as long.
        holds = self._credentials.holds(instruction.credential, password or "")
        return holds and bool(password)

    async def _sign(self, merchant: Merchant, row: InstructionRow) -> InstructionRow:
        """Return the row with its order, which is durable then."""
        instruction, kind = row.instruction, _KINDS[row.instruction.deed]
        tariff = await self._ground.tariff()
        if instruction.deed is Deed.REVERSE:
            payment = await self._payment(merchant, instruction.subject)
            original = OrderBody.from_bytes(payment.order)
            payee, reference = original.payer, slot_reference(original.payer, original.sequence)
        else:
            found = await self._ground.number(instruction.payee)
            if found is None:
                sentence = "No account is registered under the payee's number."
                raise _RefusedError(Reason.PAYEE_UNKNOWN, None, sentence)
            payee, reference = found, NO_REFERENCE
        sequence = await self._next_sequence(merchant)
        try:
            body = OrderBody(
                payer=merchant.account,
                payee=payee,
                amount_cents=instruction.amount_cents,
                fee_cents=fee_of(tariff, kind, instruction.amount_cents),
                sequence=sequence,
                kind=kind,
                tariff=tariff.version,
                day=self._ground.today(),
                reference=reference,
            )
            order = sign_order(self._keys[key_of(merchant)], self._ground.genesis.network, body)
        except OrderError as error:
            raise _RefusedError(Reason.AMOUNT_INVALID, None, str(error)) from error
        judged = replace(instruction, credential="")
        signed = msgspec.structs.replace(row, instruction=judged, order=order)
        await self._keep(merchant, signed)
        return signed

    async def _next_sequence(self, merchant: Merchant) -> int:
        """Return the slot to sign for; waits for an order that is in flight there already."""
        while True:
            record = await self._ground.account(merchant.account)
            if record is None:
                sentence = "The merchant's account does not exist."
                raise _RefusedError(Reason.MERCHANT_UNKNOWN, None, sentence)
            sequence = int(record["next_sequence"][0])
            if not await self._ground.is_open(merchant.account, sequence):
                return sequence
            await self._ground.final(merchant.account, sequence, DECIDE_MS)

    async def _bring(self, merchant: Merchant, queue: deque[InstructionRow]) -> Result:
        """Offer an order until its slot is decided; returns what came of it."""
        network = self._ground.genesis.network
        while True:
            row = queue[0]
            body = OrderBody.from_bytes(row.order)
            outcome = await self._ground.offer(row.cancel or row.order, DECIDE_MS)
            is_refused = outcome not in (None, Outcome.ACCEPTED)
            wait_ms = 0 if is_refused else DECIDED_MS
            decided, final = await self._ground.final(body.payer, body.sequence, wait_ms)
            if decided:
                return await self._decided(merchant, row, final)
            if outcome is None or outcome is Outcome.ACCEPTED:
                continue
            if row.cancel:
                await asyncio.sleep(RETRY_S)
                continue
            # A refused order is not dead: somebody may accept it later. Its slot is burnt first.
            cancel = sign_order(
                self._keys[key_of(merchant)], network, cancel_of(body, self._ground.today())
            )
            burning = msgspec.structs.replace(row, cancel=cancel, outcome=int(outcome))
            await self._keep(merchant, burning)
            queue[0] = burning

    async def _decided(
        self, merchant: Merchant, row: InstructionRow, final: bytes | None
    ) -> Result:
        if final != row.order:
            outcome = Outcome(row.outcome) if row.outcome else Outcome.SLOT_SKIPPED
            return self._result(row.instruction, outcome, None, SENTENCES[outcome])
        body = OrderBody.from_bytes(row.order)
        record = await self._ground.account(merchant.account)
        payment = None
        if row.instruction.deed is Deed.REVERSE:
            payment = await self._payment(merchant, row.instruction.subject)
        return self._result(
            row.instruction,
            Outcome.ACCEPTED,
            None,
            "",
            receipt_code=code_of(row.order, self._ground.genesis.regions),
            fee_cents=body.fee_cents,
            balance_cents=None if record is None else int(record["balance"][0]),
            payee_name=await self._ground.name_of(body.payee) or "",
            payment=payment,
        )

    async def _look(self, merchant: Merchant, instruction: Instruction) -> Result:
        """Answer what moves no money."""
        record = await self._ground.account(merchant.account)
        balance = None if record is None else int(record["balance"][0])
        if instruction.deed is Deed.BALANCE:
            return self._result(instruction, Outcome.ACCEPTED, None, "", balance_cents=balance)
        key = key_of(merchant)
        code = instruction.subject
        event = self._store.event_of_code(key, code)
        if event is None:
            told = self._store.instruction(key, code)
            if told is not None and told.order and told.done and not told.outcome:
                code = code_of(told.order, self._ground.genesis.regions)
                event = self._store.event_of_code(key, code)
        if event is None:
            raise _RefusedError(Reason.NOT_FOUND, None, "There is no such transaction.")
        return self._status(merchant, instruction, event, balance)

    def _status(
        self,
        merchant: Merchant,
        instruction: Instruction,
        event: EventRow,
        balance_cents: int | None,
    ) -> Result:
        payment = event.payment or (event.request.payment if event.request else None)
        if payment is not None:
            kind = OrderBody.from_bytes(payment.order).kind
            payer = (payment.msisdn or str(payment.payer)).removeprefix("+")
            return self._result(
                instruction,
                Outcome.ACCEPTED,
                None,
                "",
                receipt_code=payment.receipt_code,
                balance_cents=balance_cents,
                payment=payment,
                payment_kind=kind.name.lower(),
                debit_party=f"{payer} - {payment.payer_name or ''}".rstrip(" -"),
                credit_party=f"{merchant.short_code} - {merchant.name}",
            )
        assert event.result is not None, "an event has facts"
        before = event.result
        done = PaymentFacts(
            receipt_code=before.receipt_code,
            order=b"",
            short_code=merchant.short_code,
            payer=merchant.account,
            amount_cents=before.instruction.amount_cents,
            time_ms=before.ended_ms,
        )
        return self._result(
            instruction,
            Outcome.ACCEPTED,
            None,
            "",
            receipt_code=before.receipt_code,
            fee_cents=before.fee_cents,
            balance_cents=balance_cents,
            payment=done,
            payment_kind=_KINDS[before.instruction.deed].name.lower(),
            debit_party=f"{merchant.short_code} - {merchant.name}",
            credit_party=f"{before.instruction.payee} - {before.payee_name}".rstrip(" -"),
        )

    async def _payment(self, merchant: Merchant, receipt_code: str) -> PaymentFacts:
        event = self._store.event_of_code(key_of(merchant), receipt_code)
        payment = None if event is None else event.payment
        if payment is None and event is not None and event.request is not None:
            payment = event.request.payment
        if payment is None:
            sentence = "There is no payment to this merchant of this receipt code."
            raise _RefusedError(Reason.NOT_FOUND, None, sentence)
        return payment

    def _result(
        self,
        instruction: Instruction,
        outcome: Outcome | None,
        reason: Reason | None,
        sentence: str,
        **facts: object,
    ) -> Result:
        ended_ms = self._ground.now_ms()
        return Result(instruction, outcome, reason, sentence, ended_ms, **facts)  # type: ignore[arg-type]


def _essence(instruction: Instruction) -> tuple[object, ...]:
    """Return what makes two instructions the same."""
    return (
        instruction.deed,
        instruction.consumer_key,
        instruction.short_code,
        instruction.amount_cents,
        instruction.payee,
        instruction.subject,
    )


def _tell(error: MerchantsError) -> bytes:
    return error.reason.encode() + b"\n" + error.sentence.encode()


def _raise_told(answer: bytes) -> None:
    """Raise what another super-agent's answer says, unless it has taken the instruction."""
    if answer in (_NEW, _KNOWN):
        return
    reason, _, sentence = answer.decode("utf-8", "replace").partition("\n")
    if reason not in {each.value for each in Reason}:
        reason, sentence = Reason.UNAVAILABLE, "This merchant's home answers something else."
    raise MerchantsError(Reason(reason), sentence[:SENTENCE_MAX])
