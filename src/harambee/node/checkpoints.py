"""When checkpoints are made, signed, told and pruned behind (docs/checkpoints.md).

Off the payment path: whatever goes wrong here, payments go on and an alarm rings. Super-agents take turns to
choose a cut, the past of their own newest block, and make its checkpoint first; who hears of that makes the
same one from its own journal and adds its signature, if the result is the same to the byte. Nobody signs what
it has not computed itself.
"""

import asyncio
import contextlib
import logging
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from harambee.node.checkpoint_process import Made, Request
from harambee.node.frames import FrameType
from harambee.node.journal import Journal, JournalFull
from harambee.node.network_folder import NodeFiles
from harambee.node.port import UnavailableError
from harambee.protocol.checkpoint import (
    Checkpoint,
    Words,
    read_word,
    sign_checkpoint,
)
from harambee.protocol.cuts import Cut, cut_below
from harambee.protocol.effects import EVERYONE, Name
from harambee.protocol.limits import SECOND_NS, Allowance, Rate
from harambee.protocol.malformed import Malformed
from harambee.protocol.replica import Replica
from harambee.storage.checkpoint_store import CheckpointDamaged, CheckpointStore, Stored

if TYPE_CHECKING:
    from harambee.node.service import Service

LOOK_S: Final = 1.0
AFTER_MISTAKE_S: Final = 60.0
TURNS: Final = 4
"""A turn to choose the cut lasts so many parts of the interval."""
TURN_S_MIN: Final = 5.0
LATE_INTERVALS: Final = 3
"""So many intervals after the last checkpoint that w have signed, an alarm rings."""
WORD_RATE: Final = Rate(8, 256)
"""Words of one peer; an honest one sends a few for each checkpoint."""

log: Final = logging.getLogger(__name__)

Send = Callable[[int, FrameType, bytes], None]


class CheckpointDesk:
    """One super-agent's checkpoints. Belongs to the event loop's thread."""

    def __init__(self, files: NodeFiles, journal: Journal, service: "Service", send: Send) -> None:
        """Nothing runs yet. `send` takes a peer or EVERYONE, a type and a content."""
        genesis = files.genesis
        self._files, self._journal, self._service, self._send = files, journal, service, send
        self._committee, self._network = genesis.committee, genesis.network
        self._interval_s = files.config.checkpoint_minutes * 60
        self._turn_s = max(TURN_S_MIN, self._interval_s / TURNS)
        self.store = CheckpointStore(files.config.checkpoints, self._network, self._committee)
        self.words = Words.of(self._committee)
        self._allowances = [Allowance(WORD_RATE) for _ in range(self._committee.n)]
        self._task: asyncio.Task[None] | None = None
        self._pruning: asyncio.Task[int] | None = None
        self._is_ending = False
        self._making: tuple[str, int, int] | None = None
        self._moved_at = 0.0
        """When there was something new: the start, or a checkpoint that w have signed."""
        self._newest = 0
        """The number of that."""
        self._pruned_until = 0
        self._failed: set[bytes] = set()
        """Checkpoints that could not be made here, by their digests."""
        self._alarms: dict[str, str] = {}
        self._is_distrusted = False
        """Whether w others have found another state than this super-agent: it signs nothing more."""

    def start(self) -> None:
        """Begin, unless the configuration wants no checkpoints."""
        if self._interval_s:
            self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End; a checkpoint under way is not made."""
        self._is_ending = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._pruning is not None:  # its thread uses the journal, which is closed next
            await asyncio.gather(self._pruning, return_exceptions=True)

    def facts(self) -> dict[str, Any]:
        """Return what the status page says of checkpoints."""
        newest = [c for c in self.words.all() if self.words.is_true(c.digest)]
        said = newest[-1] if newest else None
        making = self._making
        return {
            "checkpoint": 0 if said is None else said.number,
            "checkpoint_signed_by": 0 if said is None else len(self.words.for_(said.digest)),
            "checkpoint_age_s": round(self._now() - self._moved_at, 1) if self._moved_at else None,
            "checkpoint_making": None if making is None else "{} {} of {}".format(*making),
            "checkpoint_alarms": list(self._alarms.values()),
            "checkpoint_alarms_count": len(self._alarms),
        }

    # -- what others say --------------------------------------------------------------------------

    def link_up(self, peer: int) -> None:
        """A link stands: ask what there is."""
        if self._interval_s:
            self._send(peer, FrameType.ASK_WORDS, b"")

    def take(self, peer: int, kind: int, content: bytes) -> str | None:
        """Take a frame of a peer; a sentence where that ends the link."""
        allowance = self._allowances[peer]
        if not allowance.lasts(self._now_ns()):
            return None
        allowance.pay(1)
        if kind == FrameType.ASK_WORDS:
            self._answer(peer)
            return None if not content else "it asks for words with words"
        word = read_word(content, self._network, self._committee)
        if isinstance(word, Malformed):
            return f"it sent what is no word for a checkpoint: {word.why}"
        if self.words.add(word):
            self._look_at_words()
        return None

    def _answer(self, peer: int) -> None:
        """Send every word for the newest checkpoint that most have signed."""
        found = sorted(
            self.words.all(),
            key=lambda c: (self.words.is_true(c.digest), c.number, len(self.words.for_(c.digest))),
        )
        for word in self.words.for_(found[-1].digest) if found else ():
            self._send(peer, FrameType.WORD, word.to_bytes())

    def _look_at_words(self) -> None:
        """See what is signed by enough now."""
        for checkpoint in self.words.all():
            if checkpoint.number > self._newest and self.words.is_true(checkpoint.digest):
                self._newest, self._moved_at = checkpoint.number, self._now()
                self._alarms.pop("late", None)
                log.info(
                    "checkpoint %d is signed by %d: %d accounts, %d orders, %d blocks",
                    checkpoint.number,
                    len(self.words.for_(checkpoint.digest)),
                    checkpoint.accounts,
                    checkpoint.orders,
                    checkpoint.blocks,
                )

    # -- the work ---------------------------------------------------------------------------------

    async def _run(self) -> None:
        await asyncio.to_thread(self.store.clean_up)
        for stored in await asyncio.to_thread(self.store.all):
            for word in await asyncio.to_thread(stored.words, self._committee):
                self.words.add(word)
        self._look_at_words()
        self._moved_at = self._now()
        while True:
            rest_s = LOOK_S
            try:
                await self._turn()
            except UnavailableError:
                pass  # the super-agent's own status says why
            except (JournalFull, OSError) as error:
                self._ring("disk", f"checkpoints cannot be kept: {error}")
                rest_s = AFTER_MISTAKE_S
            except Exception:
                # A mistake here must not end the super-agent, which serves payments without it.
                log.exception("checkpoints could not be seen to")
                rest_s = AFTER_MISTAKE_S
            await asyncio.sleep(rest_s)

    async def _turn(self) -> None:
        """Do what is due: make a checkpoint, keep words, prune, ring."""
        if self._now() - self._moved_at > LATE_INTERVALS * self._interval_s:
            age_s = int(self._now() - self._moved_at)
            self._ring("late", f"no checkpoint has been signed by enough for {age_s} seconds")
        if self._service.ready() is None and not self._is_distrusted:
            wanted = await self._wanted()
            if wanted is not None:
                await self._make(*wanted)
        await self._keep_words()
        await self._prune()

    async def _wanted(self) -> tuple[Stored | None, Cut, Checkpoint | None] | None:
        """What to make now: another's cut, if one is signed; one's own, if it is one's turn."""
        stored = {s.checkpoint.digest: s for s in await asyncio.to_thread(self.store.all)}
        bases: dict[bytes, Stored | None] = {bytes(32): None, **stored}
        since_s = self._now() - self._moved_at
        for theirs in self.words.all():
            name = theirs.digest
            if name in stored or name in self._failed or theirs.previous not in bases:
                continue
            is_due = since_s >= self._interval_s / 2 or self.words.is_true(name)
            if not is_due or theirs.number < self._newest:
                continue
            cut = await self._cut_below(theirs.anchor)
            if cut is None:
                continue  # its anchor is not here yet
            if cut.digest() != theirs.cut:
                self._failed.add(name)
                self._ring_about_signers(theirs)
                continue
            return bases[theirs.previous], cut, theirs
        newest = max((s.checkpoint.number for s in stored.values()), default=0)
        rank = (self._files.index - newest - 1) % self._committee.n
        if since_s < self._interval_s + rank * self._turn_s or newest > self._newest:
            return None
        own = await self._service.ask(_own_cut)
        if own is None:
            return None
        base = max(stored.values(), key=lambda s: s.checkpoint.number, default=None)
        return base, own, None

    async def _cut_below(self, anchor: Name) -> Cut | None:
        return await self._service.ask(lambda replica: cut_below(replica.chains, anchor))

    async def _make(self, base: Stored | None, cut: Cut, theirs: Checkpoint | None) -> None:
        """Make one, and give one's word for it."""
        request = Request.of(self._files.config.file, base, cut)
        began = self._now()
        made = await self._run_process(request)
        stored = None
        if made.digest:
            stored = await asyncio.to_thread(self.store.find, bytes.fromhex(made.digest))
        if stored is None:
            self._ring("making", f"a checkpoint could not be made: {made.why or 'it is gone'}")
            if theirs is not None:
                self._failed.add(theirs.digest)
            await asyncio.sleep(self._turn_s)
            return
        self._alarms.pop("making", None)
        mine = stored.checkpoint
        if self._others_agree(mine):
            word = sign_checkpoint(mine, self._files.index, self._files.signing)
            self.words.add(word)
            self._send(EVERYONE, FrameType.WORD, word.to_bytes())
            log.info("made checkpoint %d in %.1f s", mine.number, self._now() - began)
            self._look_at_words()
        else:
            await asyncio.to_thread(self.store.remove, stored)

    def _others_agree(self, mine: Checkpoint) -> bool:
        """Whether fewer than w others have signed another state of this cut; says who they are."""
        against = self.words.against(mine)
        if not against:
            return True
        names = ", ".join(self._committee.members[word.signer].name for word in against)
        if len({word.signer for word in against}) >= self._committee.w:
            self._is_distrusted = True
            self._ring(
                "distrusted",
                f"{names} have found another state than this super-agent at checkpoint {mine.number}: "
                "it signs no more checkpoints until it is started again, and its disk and memory "
                "want to be looked at",
            )
            log.error("%s", self._alarms["distrusted"])
            return False
        self._ring(
            f"against {mine.number}", f"{names} signed another state at checkpoint {mine.number}"
        )
        return True

    def _ring_about_signers(self, theirs: Checkpoint) -> None:
        signers = self.words.for_(theirs.digest)
        names = ", ".join(self._committee.members[word.signer].name for word in signers)
        what = f"{names} signed checkpoint {theirs.number} of a cut that is none"
        self._ring(f"cut {theirs.digest.hex()}", what)

    async def _run_process(self, request: Request) -> Made:
        """Let the other process make it; what it says at its end."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "harambee.node.checkpoint_process",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        last = b""
        try:
            process.stdin.write(msgspec.json.encode(request))
            process.stdin.close()
            async for line in process.stdout:
                last = line
                with contextlib.suppress(ValueError):
                    what, done, total = line.split()
                    self._making = what.decode(), int(done), int(total)
            await process.wait()
        finally:
            self._making = None
            if process.returncode is None:
                process.kill()
                await process.wait()
        try:
            return msgspec.json.decode(last, type=Made)
        except msgspec.DecodeError:
            return Made(why=f"its process ended with status {process.returncode}")

    async def _keep_words(self) -> None:
        """Keep the words for what lies here; take away what is older than the last two that q signed."""
        everything = await asyncio.to_thread(self.store.all)
        for stored in everything:
            words = self.words.for_(stored.checkpoint.digest)
            kept = await asyncio.to_thread(stored.words, self._committee)
            if len(words) > len(kept):
                await asyncio.to_thread(stored.keep_words, words)
        settled = self._settled(everything)
        if len(settled) > 1:
            for stored in everything:
                number = stored.checkpoint.number
                is_beside = number <= settled[-1].checkpoint.number and stored not in settled
                if number < settled[-2].checkpoint.number or is_beside:
                    await asyncio.to_thread(self.store.remove, stored)

    def _settled(self, stored: list[Stored]) -> list[Stored]:
        """Of these those that q have signed, oldest first; one of each number."""
        signed = [s for s in stored if self.words.allows_pruning(s.checkpoint.digest)]
        return list({s.checkpoint.number: s for s in signed}.values())

    async def _prune(self) -> None:
        """Move what the last but one of the checkpoints that q signed covers to the archive.

        What was said since then stays at hand for peers that come back after some minutes.
        """
        settled = self._settled(await asyncio.to_thread(self.store.all))
        if len(settled) < 2:
            return
        try:
            local = settled[-2].local
        except CheckpointDamaged as error:
            self._ring("damaged", str(error))
            return
        if local.until > self._pruned_until:
            positions = np.setdiff1d(
                np.arange(self._pruned_until, local.until, dtype=np.int64),
                np.array(local.left, np.int64),
            )
            self._pruning = asyncio.create_task(
                asyncio.to_thread(self._journal.prune, positions, lambda: self._is_ending)
            )
            moved = await asyncio.shield(self._pruning)
            self._pruned_until = local.until
            log.info("moved %d blocks to the archive", moved)

    def _ring(self, what: str, sentence: str) -> None:
        """Say that something is wrong, once; it stays in the status until it is over."""
        if what not in self._alarms:
            log.error("checkpoints: %s", sentence)
        self._alarms[what] = sentence

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _now_ns(self) -> int:
        return int(self._now() * SECOND_NS)


def _own_cut(replica: Replica) -> Cut | None:
    """The past of one's own newest block; None while there is none."""
    if not replica.speaking or not replica.height:
        return None
    return cut_below(replica.chains, replica.own_head)
