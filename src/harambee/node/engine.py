"""The engine: the thread in which one replica lives, and the order in which things are done for it.

One turn of the loop takes what has come, lets the replica receive it and then act once, makes every new
block durable in one group commit, and only then hands over what the outside may see: blocks to send,
orders that are final, refusals, answers to questions. Nothing that was seen outside can be forgotten by
a crash.

Whoever wants to know something of the ledger asks with `ask`: the question runs in this thread after the
commit, so every answer is one consistent and durable state.
"""

import contextlib
import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt

from harambee.crypto.durable_files import replace_file
from harambee.node.beginning import make_ledger
from harambee.node.durations import COMMIT_BOUNDS_S, DurationFacts, Durations
from harambee.node.household import Household
from harambee.node.journal import Journal, JournalDamaged, JournalFull, written
from harambee.node.mending import MendingEnded, mend
from harambee.node.network_folder import NodeFiles
from harambee.node.page_fetching import PageFetch, look_for_pages_next_time
from harambee.node.port import UnavailableError
from harambee.protocol.effects import Effects, Outgoing, Proposed, SendBlock
from harambee.protocol.evidence import write_found
from harambee.protocol.messages import (
    ApprovalsChanged,
    Message,
    OrdersOffered,
    PeerDown,
    PeerUp,
    WordArrived,
)
from harambee.protocol.page_catchup import Lookout
from harambee.protocol.reentry import Phase
from harambee.protocol.replica import Pace, Replica
from harambee.protocol.warm import warm_up
from harambee.storage.beginning import begin, blocks_behind
from harambee.storage.checkpoint_store import CheckpointDamaged, CheckpointStore, Stored

T = TypeVar("T")

MILLISECOND_NS: Final = 1_000_000
TURN_NS: Final = 20_000_000
"""A turn takes nothing more after this, so that blocks and answers leave in time however much waits."""
SNAPSHOT_NS: Final = 250_000_000
RETRY_S: Final = 1.0
"""How long to wait before a disk that was full is tried again."""
COMMITS_REMEMBERED: Final = 512
COMMIT_REST: Final = 2
"""So many times as long as a commit took, blocks of others are gathered for the next one."""
GATHER_NS_MAX: Final = 50_000_000
"""But never longer than this, or than the turns below say, however slow the disk is, or a clock that was set
back."""
TURNS_IN_A_PACE: Final = 5
TURN_GAP_LESS_NS: Final = 10_000_000
"""What comes waits for the next of so many turns between two blocks of a super-agent that speaks rarely; for
one that speaks often, whose turns were closer together than this, whatever comes is a turn's beginning."""
GAPS_IN_A_COMMIT: Final = 2
TOTAL_COST_SHARE: Final = 50
"""The sum of all balances is audited no more often than this many times its own duration."""
PATROL_PAGES: Final = 64
"""So many pages that did not change are added up again each time: 100 million accounts in seven minutes."""

ABSTAINING_NAME: Final = "abstaining"

log: Final = logging.getLogger(__name__)


class MemoryDamaged(Exception):  # noqa: N818 - what has happened
    """The balances in memory do not add up to zero; the journal makes them anew at the next start."""


class BlocksGone(Exception):  # noqa: N818 - what has happened
    """Nobody has the blocks any more that are missing here; the next start fetches a checkpoint's pages."""


@dataclass(frozen=True, slots=True)
class _Question:
    ask: Callable[[Replica], Any]
    answer: "Future[Any]"


@dataclass(frozen=True, slots=True)
class _Told:
    message: Message
    peer: int
    """Whose frame it was; -1 for what is no frame."""
    size: int


@dataclass(slots=True)
class Turn:
    """What one turn of the loop leads to outside; everything in it is durable."""

    effects: Effects
    answers: list[tuple["Future[Any]", Any, BaseException | None]]
    taken_orders: int
    """How many orders' room was taken off the queue of what is offered."""
    taken_bytes: dict[int, int]
    """How many bytes of frames were taken from the queue, by peer."""
    vain_frames: dict[int, int] = field(default_factory=dict)
    """How many frames brought no new block, by peer."""

    @property
    def says_something(self) -> bool:
        """Whether there is anything to be done outside."""
        effects = self.effects
        told = effects.settled or effects.refused or effects.skipped or effects.proposed
        taken = self.taken_orders or self.taken_bytes
        return bool(taken or self.answers or effects.send or told)


@dataclass(slots=True)
class Snapshot:
    """Facts of the replica, a quarter of a second old at most."""

    now: int = 0
    applied: int = 0
    signatures: int = 0
    height: int = 0
    queued: int = 0
    open_slots: int = 0
    open_blocks: int = 0
    journal_blocks: int = 0
    total_cents: int = 0
    behind: int = 0
    speaking: bool = False
    reading_up: bool = False
    takes_part: bool = True
    heads: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    """How far each author's chain is held here, and is final, (n,); empty before the first look."""
    final: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    held_by: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 0), np.int64))
    """How far each super-agent says it holds each author's chain, (n, n)."""
    convicted: list[int] = field(default_factory=list)
    fsync_ms_p50: float = 0.0
    commits: DurationFacts | None = None
    """How long group commits took, since the start."""


class Engine:
    """A replica with its journal, in a thread of its own."""

    def __init__(
        self,
        files: NodeFiles,
        journal: Journal,
        deliver: Callable[[Turn], None],
        household: Household | None = None,
        is_awaited: Callable[[npt.NDArray[np.void]], bool] = lambda _: False,
    ) -> None:
        """`deliver` is called in the engine's thread for each turn that the outside may see.

        With the others of its `household` it shares checks, and takes turns to compute. `is_awaited`, called
        in the engine's thread, says whether somebody waits here for one of these orders, an ORDER array.
        """
        self.checking = household.checking if household is not None else None
        """What remembers for all engines of this process; None where there is but one."""
        self._turns = household.turns if household is not None else threading.Lock()
        self._written = household.written if household is not None else written
        self._is_awaited = is_awaited
        self.files = files
        self.snapshot = Snapshot()
        self.trouble: str | None = "This super-agent is reading its journal."
        """Why nothing can be made durable or answered now; one sentence."""
        self.halted: str | None = None
        self.catching_up: dict[str, Any] | None = None
        """How far it is with the pages of a checkpoint, while it fetches them."""
        self.failure: BaseException | None = None
        """What ended the thread, if it was not `stop`."""
        self._journal = journal
        self._deliver = deliver
        self._inbox: queue.SimpleQueue[_Told | None] = queue.SimpleQueue()
        """None only wakes the thread up."""
        self._questions: deque[_Question] = deque()
        """Apart, so that an answer waits for one turn and not for all that others have sent."""
        self._stopping = threading.Event()
        self._linked: dict[int, None] = {}
        """The peers whose links stood up before there was a replica; it is told then."""
        self._approvals: ApprovalsChanged | None = None
        """What came of these before there was a replica."""
        self._lookout: Lookout | None = None
        self._thread = threading.Thread(target=self._run, name=f"engine {files.config.name}")
        self._commits_ms: list[float] = []
        self._commits = Durations(COMMIT_BOUNDS_S)
        pace_ns = files.config.pace_ms * MILLISECOND_NS
        self._gap_ns = max(0, pace_ns // TURNS_IN_A_PACE - TURN_GAP_LESS_NS)
        """How long what comes is gathered for one turn."""
        self._gather_ns_max = max(GATHER_NS_MAX, GAPS_IN_A_COMMIT * self._gap_ns)
        self._turn_due = 0
        self._commit_due = 0
        """When the next commit may be made of what others say alone; nanoseconds since 1970."""
        self._total_due = 0
        self._has_noted = False
        """Whether it is on the disk from where on this super-agent does not abstain."""
        self._proposed: tuple[Proposed, ...] = ()
        """Governance orders of the journal, until they are told."""

    def start(self) -> None:
        """Read the journal and go on from there, in the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End after the turn under way; returns when the thread is gone."""
        self._stopping.set()
        self._inbox.put(None)
        if self._thread.is_alive():
            self._thread.join()

    def tell(self, message: Message, peer: int = -1, size: int = 0) -> None:
        """Let the replica receive something, in its turn. From any thread.

        A frame of a `peer` takes `size` bytes as long as it waits; `Turn` says when it does no more.
        """
        self._inbox.put(_Told(message, peer, size))

    def ask(self, question: Callable[[Replica], T]) -> "Future[T]":
        """Ask the replica something, in its turn; from any thread.

        The future fails with UnavailableError where nothing can be made durable.
        """
        answer: Future[T] = Future()
        self._questions.append(_Question(question, answer))
        self._inbox.put(None)
        return answer

    # -- in the thread ----------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            replica = self._open_whole()
            if replica is not None:
                self._loop(replica)
        except MendingEnded:
            return
        except BaseException as error:  # noqa: BLE001 - told to who owns the engine, who ends the process
            self.failure = error
            self._deliver(Turn(Effects(), [], 0, {}))

    def _open_whole(self) -> Replica | None:
        """Fold the journal, from a checkpoint of the others' where that is far ahead.

        Where its disk has damaged a block, get that block from a peer first. None when told to stop.
        """
        while not self._stopping.is_set():
            try:
                self._fetch_pages()
                return self._open()
            except JournalDamaged as damage:
                log.error("%s; it is fetched from the others", damage)  # noqa: TRY400 - expected
                self.trouble = f"This super-agent repairs its journal: {damage}."
                mend(self._journal, self.files.genesis, self._hear, self._say)
        return None

    def _fetch_pages(self) -> None:
        """Fetch a checkpoint that others have, where that is the quicker way, or the only one."""
        config = self.files.config
        fetch = PageFetch(
            self.files.genesis,
            self.files.index,
            self._journal,
            config.checkpoints,
            self._hear,
            self._say,
            self._report,
        )
        while fetch.is_called_for():
            self.trouble = "This super-agent asks the others for a checkpoint."
            try:
                fetch.run(self._linked)
                break
            except (JournalFull, OSError) as error:
                log.error("%s; it waits for room", error)  # noqa: TRY400 - expected, one line
                self.trouble = f"This super-agent cannot write: {error}."
                self._hear(RETRY_S)
        self.trouble = "This super-agent is reading its journal."

    def _report(self, facts: dict[str, Any] | None) -> None:
        self.catching_up = facts
        if facts is not None:
            done, of = facts["pages"], facts["of"]
            self.trouble = (
                f"This super-agent fetches checkpoint {facts['checkpoint']} from the others: "
                f"{done} of {of} pages."
            )

    def _hear(self, wait_s: float) -> Message | None:
        """The next message, or None when none comes in time; MendingEnded when told to stop."""
        if self._stopping.is_set():
            raise MendingEnded
        unanswered = Turn(Effects(), [], 0, {})
        while self._questions:
            failed = UnavailableError(self.trouble or "")
            unanswered.answers.append((self._questions.popleft().answer, None, failed))
        self._deliver(unanswered)
        with contextlib.suppress(queue.Empty):
            told = self._inbox.get(timeout=wait_s)
            if told is None:
                return None
            if told.peer >= 0:
                self._deliver(Turn(Effects(), [], 0, {told.peer: told.size}))
            if isinstance(told.message, PeerUp):
                self._linked[told.message.peer] = None
            elif isinstance(told.message, PeerDown):
                self._linked.pop(told.message.peer, None)
            elif isinstance(told.message, ApprovalsChanged):
                self._approvals = told.message
            elif isinstance(told.message, OrdersOffered):
                # Whoever brought them waits for an answer in vain, and brings them again.
                self._deliver(Turn(Effects(), [], told.message.room, {}))
            return told.message
        return None

    def _say(self, outgoing: Outgoing) -> None:
        self._deliver(Turn(Effects(send=[outgoing]), [], 0, {}))

    def _open(self) -> Replica:
        files = self.files
        genesis, config = files.genesis, files.config
        warm_up()
        began = time.monotonic()
        store = CheckpointStore(config.checkpoints, genesis.network, genesis.committee)
        for stored in [*store.all()[::-1], None]:
            try:
                replica = self._begin_at(stored)
                break
            except CheckpointDamaged as damage:
                log.error("%s; the one before it is tried", damage)  # noqa: TRY400 - expected
        blocks = self._journal.blocks()
        if stored is not None:
            replica.counters.applied = stored.checkpoint.orders
            log.info("began at checkpoint %d", stored.checkpoint.number)
            blocks = blocks_behind(self._journal, stored)
        self._proposed = replica.restore(blocks, self._journal.evidence())
        assert replica.blocks_integrated == self._journal.count, "what is next has one position"
        if self._journal.re_entering:
            replica.re_enter()
        if self._journal.count:
            log.info(
                "read %d blocks with %d final orders in %.1f s",
                self._journal.count,
                replica.counters.applied,
                time.monotonic() - began,
            )
        self.trouble = None
        return replica

    def _begin_at(self, stored: Stored | None) -> Replica:
        """Return a replica that has read the genesis, or a checkpoint; CheckpointDamaged."""
        genesis, config = self.files.genesis, self.files.config
        replica = Replica(
            genesis.network,
            genesis.committee,
            self.files.index,
            self.files.signing,
            make_ledger(genesis, self._journal, stored),
            Pace(config.pace_ms * MILLISECOND_NS, config.heartbeat_ms * MILLISECOND_NS),
            self.checking,
        )
        begin(replica, self._journal, stored)
        if stored is not None:
            noted = self._journal.folder / ABSTAINING_NAME
            if noted.exists():
                replica.go_on_abstaining(noted.read_bytes())
        return replica

    def _loop(self, replica: Replica) -> None:
        wake_at = 0
        turn = Turn(Effects(proposed=list(self._proposed)), [], 0, {})
        self._proposed = ()
        if self._approvals is not None:
            turn.effects.extend(replica.receive(self._approvals, time.time_ns()))
        for peer in sorted(self._linked):
            turn.effects.extend(replica.receive(PeerUp(peer), time.time_ns()))
        self._lookout = Lookout(replica.network, replica.committee)
        while not self._stopping.is_set():
            told = self._await(wake_at)
            with self._turns:
                self._receive(told, replica, turn)
                now = time.time_ns()
                turn.effects.extend(replica.act(now))
            wake_at = turn.effects.wake_at or now
            if self._may_gather(turn, now):
                wake_at = min(wake_at, self._commit_due)
                continue
            questions = [self._questions.popleft() for _ in range(len(self._questions))]
            if not self._make_durable(turn.effects.persist, questions):
                return
            self._keep_beside(replica, turn.effects)
            for question in questions:
                turn.answers.append(_answered(question, replica))
            self._look_at(replica, now)
            self._look_out(replica, turn, now)
            if turn.effects.halted is not None and self.halted is None:
                self.halted = turn.effects.halted
                log.error("this super-agent stops speaking: %s", self.halted)
            if turn.says_something:
                self._deliver(turn)
            turn = Turn(Effects(), [], 0, {})

    def _may_gather(self, turn: Turn, now: int) -> bool:
        """Whether a turn may take more before it is made durable: others' blocks, just after a commit.

        What this super-agent says itself waits for nothing; nor does what somebody asks of one that speaks
        often, or what somebody waits for at one that speaks rarely: there a turn gathers for long.
        """
        speaks = any(isinstance(outgoing, SendBlock) for outgoing in turn.effects.send)
        effects = turn.effects
        if self._gap_ns:
            is_urgent = bool(effects.refused or effects.skipped)
            is_urgent = is_urgent or any(map(self._is_awaited, effects.settled))
        else:
            is_urgent = bool(self._questions)
        waits = bool(effects.persist) and not (speaks or is_urgent)
        return waits and 0 < self._commit_due - now <= self._gather_ns_max

    def _await(self, wake_at: int) -> _Told | None:
        """Wait until something has come or `wake_at`; it gathers until a turn is due."""
        rest_ns = min(self._turn_due, wake_at) - time.time_ns()
        if 0 < rest_ns <= self._gap_ns:
            self._stopping.wait(rest_ns / 1e9)
        rest_s = max(0.0, (wake_at - time.time_ns()) / 1e9)
        try:
            return self._inbox.get(timeout=min(rest_s, 1.0)) if rest_s else self._inbox.get_nowait()
        except queue.Empty:
            return None

    def _receive(self, told: _Told | None, replica: Replica, turn: Turn) -> None:
        """Let the replica receive what has come, for one turn, beginning with this."""
        longest = TURN_NS + self._gap_ns
        end = time.time_ns() + longest
        with contextlib.suppress(queue.Empty):
            while True:
                if told is not None:
                    self._take(told, replica, turn)
                if self._stopping.is_set() or not 0 <= end - time.time_ns() <= longest:
                    return
                told = self._inbox.get_nowait()
        self._turn_due = time.time_ns() + self._gap_ns

    def _take(self, told: _Told, replica: Replica, turn: Turn) -> None:
        """Let the replica receive one message, and note what it took off those that wait."""
        before = replica.counters.taken
        if isinstance(told.message, WordArrived) and self._lookout is not None:
            self._lookout.hear(told.message)
        turn.effects.extend(replica.receive(told.message, time.time_ns()))
        if isinstance(told.message, OrdersOffered):
            turn.taken_orders += told.message.room
        if told.peer >= 0:
            turn.taken_bytes[told.peer] = turn.taken_bytes.get(told.peer, 0) + told.size
            if replica.counters.taken == before:
                turn.vain_frames[told.peer] = turn.vain_frames.get(told.peer, 0) + 1

    def _make_durable(self, blocks: list[bytes], questions: list[_Question]) -> bool:
        """Append to the journal, waiting for room if the disk is full; False when told to stop."""
        if not blocks:
            return True
        while True:
            began = time.perf_counter()
            try:
                self._journal.append(blocks, self._written)
            except JournalFull as error:
                if self.trouble is None:
                    log.error("%s; it waits for room", error)  # noqa: TRY400 - expected, one line
                self.trouble = f"This super-agent cannot write: {error}."
                failed = UnavailableError(self.trouble)
                unanswered = Turn(Effects(), [], 0, {})
                unanswered.answers += [(question.answer, None, failed) for question in questions]
                questions.clear()
                self._deliver(unanswered)
                if self._stopping.wait(RETRY_S):
                    return False
                continue
            if self.trouble is not None:
                log.warning("the journal can be written again")
                self.trouble = None
            took_s = time.perf_counter() - began
            rest_ns = max(int(COMMIT_REST * took_s * 1e9), GAPS_IN_A_COMMIT * self._gap_ns)
            rest_ns = min(rest_ns, self._gather_ns_max)
            self._commit_due = time.time_ns() + rest_ns
            self._commits_ms.append(took_s * 1e3)
            self._commits.add(took_s)
            del self._commits_ms[:-COMMITS_REMEMBERED]
            return True

    def _keep_beside(self, replica: Replica, effects: Effects) -> None:
        """Keep evidence, and that a new incarnation has begun; both follow the blocks they rest on."""
        for item in effects.evidence:
            content = write_found(replica.network, item, self._journal.find_digest)
            if content is not None:
                self._journal.keep_evidence(item.culprit, content)
            name = self.files.genesis.committee.members[item.culprit].name
            log.error("%s has signed what no honest super-agent signs: evidence is kept", name)
        if self._journal.re_entering and replica.re_entering.phase != Phase.READING:
            self._journal.re_entering = False
        if replica.re_entering.phase == Phase.ABSTAINING and not self._has_noted:
            noted = replica.re_entering.to_bytes(replica.own_incarnation)
            with contextlib.suppress(OSError):  # a later start notes it again, which is safe
                replace_file(self._journal.folder / ABSTAINING_NAME, noted)
            self._has_noted = True

    def _look_out(self, replica: Replica, turn: Turn, now: int) -> None:
        """See whether the blocks that are missing still come; BlocksGone if nobody has them."""
        if self._lookout is None or replica.halted is not None or self.snapshot.now != now:
            return
        lags = replica.reading_up or not replica.speaking
        lags &= len(replica.peers_up) >= replica.committee.q - 1
        asks, found = self._lookout.look(replica.blocks_held, now, lags=lags)
        turn.effects.send += asks
        if found is not None:
            look_for_pages_next_time(self.files.config.checkpoints)
            raise BlocksGone(
                f"it lacks blocks below checkpoint {found.number} that nobody sends any more, "
                "and fetches that checkpoint when it is started again"
            )

    def _look_at(self, replica: Replica, now: int) -> None:
        """Take a snapshot for people, if the last one is old."""
        before = self.snapshot
        if 0 <= now - before.now < SNAPSHOT_NS + self._gap_ns:
            return
        total = before.total_cents
        if not self._total_due or now >= self._total_due or now < before.now:
            began = time.perf_counter_ns()
            total = replica.ledger.audited_cents(PATROL_PAGES)
            if total:
                raise MemoryDamaged(f"all balances together are {total} cents, and must be 0")
            self._total_due = now + TOTAL_COST_SHARE * (time.perf_counter_ns() - began)
        self.snapshot = Snapshot(
            now=now,
            applied=replica.counters.applied,
            signatures=replica.counters.signatures,
            height=replica.height,
            queued=replica.queued,
            open_slots=replica.slots.in_use,
            open_blocks=replica.open_blocks,
            journal_blocks=self._journal.count,
            total_cents=total,
            behind=replica.behind(),
            speaking=replica.speaking,
            reading_up=replica.reading_up,
            takes_part=replica.takes_part,
            heads=replica.chains.heads[replica.chains.current],
            final=replica.chains.final[replica.chains.current],
            held_by=replica.catch_up.held_by.copy(),
            convicted=sorted(replica.convicted),
            fsync_ms_p50=float(np.median(self._commits_ms)) if self._commits_ms else 0.0,
            commits=self._commits.facts(),
        )


def _answered(
    question: _Question, replica: Replica
) -> tuple["Future[Any]", Any, BaseException | None]:
    try:
        return question.answer, question.ask(replica), None
    except Exception as error:  # noqa: BLE001 - it belongs to who asked
        return question.answer, None, error
