"""The observer: follows every chain of blocks from any door, and holds the doors' words against its ledger.

    begin     at what lies in its folder, else at the newest checkpoint that w super-agents have signed, else
              at the genesis
    look      asks one door after the other how far its ledger is and what its digest is there, folds up to
              just there, and compares; then holds signed checkpoints against its own computation

Whatever does not check rings an alarm that names the super-agent, and no number comes of it. A door that
served it is asked for no blocks or pages again in this run. Doors that are silent, or behind, are no liars.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from harambee.crypto.durable_files import replace_file
from harambee.handset.doors import DoorError, WrongNetworkError
from harambee.observer.alarms import LEDGER, Alarms
from harambee.observer.block_log import BlockLog, LogError
from harambee.observer.checkpoints import (
    Fetching,
    NotFetchedError,
    Progress,
    hear_all,
    newest_true,
    ring_for_others,
)
from harambee.observer.comparing import Comparing, Seen
from harambee.observer.following import Following, Numbers
from harambee.observer.intake import Chain, Intake
from harambee.observer.judging import Judge, newest_base
from harambee.observer.sources import BLOCKS_AT_ONCE, Source
from harambee.protocol.checkpoint import Words
from harambee.protocol.evidence import write_found
from harambee.protocol.genesis import Genesis
from harambee.protocol.wire import Block
from harambee.storage.checkpoint_store import CheckpointStore, Stored

NOTHING_NEW_MAX: Final = 3
"""A door that has nothing new so often in a row, while something is missing, is left for another."""
CHAINS_AT_ONCE: Final = 8
"""Of so many chains a door is asked for blocks at a time."""


class ObserverError(Exception):
    """The observer cannot go on; one sentence."""


@dataclass(slots=True)
class Observer:
    """One observer with its folder. Belongs to one event loop."""

    genesis: Genesis
    sources: Sequence[Source]
    folder: Path
    alarms: Alarms
    has_openings: bool = True
    """Whether the genesis has its opening accounts with it."""
    pages: Progress = field(default_factory=Progress)
    """Of the checkpoint that is fetched."""
    following: Following = field(init=False)
    seen: list[Seen] = field(init=False)
    _numbers: Numbers | None = None
    _log: BlockLog = field(init=False)
    _store: CheckpointStore = field(init=False)
    _judge: Judge = field(init=False)
    _intake: Intake = field(init=False)

    def __post_init__(self) -> None:
        """Open the folder. LogError, OSError."""
        committee = self.genesis.committee
        self.seen = [Seen() for _ in self.sources]
        self._log = BlockLog.open(self.folder, self.genesis.network, committee.n)
        self._store = CheckpointStore(self.folder / "checkpoints", self.genesis.network, committee)

    def close(self) -> None:
        """End; all that was taken is kept."""
        self._log.sync()
        self._log.close()

    # -- where it begins ----------------------------------------------------------------------------

    async def begin(self) -> None:
        """Go on from the folder, or begin; ObserverError, LogError, CheckpointDamaged, OSError."""
        if self._fetching.exists():
            self._log.clear()
            self._fetching.unlink()
        words = Words.of(self.genesis.committee)
        base = newest_base(self._store, self.genesis)
        if base is None and not self._log.count:
            base = await self._fetched(words)
        if base is None and not self.has_openings:
            raise ObserverError(
                "there is no checkpoint yet that enough super-agents have signed, and to begin without "
                "one takes the opening accounts that lie beside genesis.json"
            )
        following = await asyncio.to_thread(recovered, self.genesis, self._log, base)
        self.following, self._intake = following, Intake(following)
        self._judge = Judge(self.genesis, self._store, self.alarms, words, following, base)
        self._judge.clean_up()
        self._ring_for_the_ledger()

    @property
    def _fetching(self) -> Path:
        """A file that is there as long as a checkpoint's open blocks may lie in the log without it."""
        return self.folder / "fetching"

    async def _fetched(self, words: Words) -> Stored | None:
        """The newest checkpoint that w super-agents have signed, from all doors; None where there is none."""
        who = await hear_all(self.genesis, self.sources, self.alarms, words)
        true = newest_true(words)
        if true is None:
            return None
        ring_for_others(self.genesis, words, true, self.alarms)
        asked = who[true.digest]
        fetching = Fetching(self.genesis, true, list(asked), self.alarms, self.pages)
        self._fetching.touch()
        try:
            stored = await fetching.fetch(self._store, self._log, words.for_(true.digest))
        except NotFetchedError as error:
            raise ObserverError(str(error)) from error
        finally:
            for source in asked:
                if source not in fetching.sources:
                    self._seen(source).distrusted = True
        self._fetching.unlink()
        return stored

    def _seen(self, source: Source) -> Seen:
        return next(
            seen for one, seen in zip(self.sources, self.seen, strict=True) if one is source
        )

    # -- looking ------------------------------------------------------------------------------------

    async def look(self) -> None:
        """Look at every door once, follow what it has, and compare. OSError, LogError."""
        for source, seen in zip(self.sources, self.seen, strict=True):
            try:
                await self._look_at(source, seen)
                seen.answers = True
            except DoorError:
                seen.answers = False
        sound = self._check() is not None
        await self._judge.look(self.sources, sound=sound)

    async def _look_at(self, source: Source, seen: Seen) -> None:
        committee = self.genesis.committee
        if await source.network() != self.genesis.network.hex():
            raise WrongNetworkError(f"{source.name} serves another network.")
        view = await source.ledger()
        heads = await source.heads()
        if len(view.heads) != committee.n or len(heads) < committee.n:
            raise DoorError(f"{source.name} answers nothing that can be understood.")
        seen.heights = tuple(view.heads)
        chains = [(head.author, head.incarnation) for head in heads[: committee.n]]
        if [author for author, _ in chains] != list(range(committee.n)):
            raise DoorError(f"{source.name} answers nothing that can be understood.")
        await self.follow(source, dict(zip(chains, view.heads, strict=True)))
        mine = self._check()
        if mine is not None:
            comparing = Comparing(self.following, self.alarms)
            same = chains == self.following.chains_followed()
            await comparing.compare(source, seen, view, mine, same_chains=same)

    def _check(self) -> Numbers | None:
        """Count and check everything that was folded."""
        numbers = self.following.numbers()
        self._ring_for_the_ledger()
        self._ring_for_authors()
        self._numbers = None if self.alarms.against_the_ledger else numbers
        return self._numbers

    # -- blocks -------------------------------------------------------------------------------------

    async def follow(self, source: Source, ends: dict[Chain, int]) -> None:
        """Take blocks up to these heights, of this door first and of others where it fails; OSError.

        DoorError where a door is silent and no other has them.
        """
        doors = [source, *(other for other in self.sources if other is not source)]
        failed: DoorError | None = None
        for door in doors:
            if self._seen(door).distrusted:
                continue
            try:
                if await self._follow_by(door, dict(ends)):
                    self._log.sync()
                    return
            except DoorError as error:
                if door is source:
                    failed = error
            finally:
                self._intake.drop()
        self._log.sync()
        if failed is not None:
            raise failed

    async def _follow_by(self, door: Source, ends: dict[Chain, int]) -> bool:
        """Take blocks of one door; whether all that was wanted is folded. DoorError."""
        rested = 0
        while any(self.following.height_of(chain) < end for chain, end in ends.items()):
            taken = await self._take_ranges(door, ends)
            if self._seen(door).distrusted:
                return False
            # Nobody else works on the ledger meanwhile, and whoever looks at the screen sees it go on.
            folded = await asyncio.to_thread(self._intake.fold)
            taken += await self._take_missing(door, ends)
            if self._seen(door).distrusted:
                return False
            rested = 0 if folded or taken else rested + 1
            if rested >= NOTHING_NEW_MAX:
                return False
        return True

    async def _take_ranges(self, door: Source, ends: dict[Chain, int]) -> int:
        """Ask for the next blocks of every chain that ends higher; how many came."""
        wanted = []
        for chain, end in ends.items():
            first = self._intake.reached(chain) + 1
            if first <= end and self._intake.has_room(chain):
                wanted.append((chain, first, min(end, first + BLOCKS_AT_ONCE - 1)))
        taken = 0
        for start in range(0, len(wanted), CHAINS_AT_ONCE):
            some = wanted[start : start + CHAINS_AT_ONCE]
            asked = [door.blocks(*chain, first, last) for chain, first, last in some]
            answers = await _all_of(asked)
            for (chain, first, last), blocks in zip(some, answers, strict=True):
                for height, data in enumerate(blocks[: last - first + 1], first):
                    taken += self._takes(door, data, chain, height)
        return taken

    async def _take_missing(self, door: Source, ends: dict[Chain, int]) -> int:
        """Ask for what others stand on and no range brings: other branches, earlier incarnations."""
        taken = 0
        for name in set(self._intake.missing()):
            chain = name.author, name.incarnation
            if name.height > ends.get(chain, 0):
                ends[chain] = name.height
                taken += 1
            elif name.height <= self._intake.reached(chain):
                data = await door.block(name)
                if data is not None:
                    taken += self._takes(door, data, chain, name.height)
        return taken

    def _takes(self, door: Source, data: bytes, chain: Chain, height: int) -> bool:
        """Take a block of a door, if it checks; otherwise nothing more is taken of this door."""
        seen = self._seen(door)
        if seen.distrusted:
            return False
        flaw = self._intake.flaw_of(data, chain, height)
        if flaw is not None:
            seen.distrusted = True
            self.alarms.ring("block", door.index, door.name, f"{door.name} serves {flaw}.")
        return flaw is None

    # -- what super-agents signed -------------------------------------------------------------------

    def _ring_for_the_ledger(self) -> None:
        """Say why no number is shown, if an order was applied that nobody signed, or money was made."""
        committee, following = self.genesis.committee, self.following
        for found in following.unsigned:
            name = committee.members[found.block.author].name
            sentence = (
                f"Order {found.row} of block {found.block.height} of {name} {found.what}: "
                f"{name} and others, {committee.q} together, have let it pass."
            )
            self.alarms.ring(LEDGER, found.block.author, name, sentence)
        total = following.ledger.total_cents()
        if total:
            sentence = f"The blocks make balances that add up to {total} cents, not to zero."
            self.alarms.ring(LEDGER, -1, "", sentence)

    def _ring_for_authors(self) -> None:
        """Ring for those who signed what no honest super-agent signs, and keep the evidence. OSError."""
        members, following = self.genesis.committee.members, self.following
        for block in self._intake.broken:
            name = members[block.author].name
            sentence = f"{name} has signed block {block.height}, which breaks a rule of chains."
            self.alarms.ring("chain", block.author, name, sentence)
        self._intake.broken.clear()
        for found in following.evidence:
            name = members[found.culprit].name
            content = write_found(self.genesis.network, found, self._log.find_digest)
            kept = ""
            if content is not None:
                file = self.folder / f"evidence-{name}.bin"
                replace_file(file, content)
                kept = f"; {file.name} is the evidence"
            sentence = (
                f"{name} has signed what no honest super-agent signs, two blocks with one id or two "
                f"votes in one slot{kept}."
            )
            self.alarms.ring("fork", found.culprit, name, sentence)
        following.evidence.clear()

    # -- what it says -------------------------------------------------------------------------------

    @property
    def numbers(self) -> Numbers | None:
        """What may be shown.

        None before the first look, where the ledger is not as it must be, and where a lie keeps this observer
        from what its doors have.
        """
        if self._numbers is None or (self.alarms.new and self.behind):
            return None
        return self._numbers

    @property
    def why_no_numbers(self) -> str:
        """The sentence that stands in the place of numbers."""
        alarm = self.alarms.against_the_ledger or next(reversed(self.alarms.new), None)
        return "Nothing was looked at yet." if alarm is None else alarm.sentence

    @property
    def behind(self) -> int:
        """How many blocks there are that are not folded here, by what w doors said last."""
        mine = self.following.heights()
        told = [seen.heights for seen in self.seen if seen.heights]
        if not told:
            return 0
        # One liar may say any height; what w say, an honest one says.
        enough = min(self.genesis.committee.w, len(told))
        believed = [sorted(column)[-enough] for column in zip(*told, strict=True)]
        return sum(max(0, theirs - own) for theirs, own in zip(believed, mine, strict=True))

    @property
    def compared_with_all(self) -> bool:
        """Whether every door that answers has agreed on the whole ledger once, or was found lying."""
        liars = {alarm.super_agent for alarm in self.alarms.new}
        return all(
            seen.agreed or source.index in liars or not seen.answers
            for source, seen in zip(self.sources, self.seen, strict=True)
        )

    @property
    def silent(self) -> list[str]:
        """The doors that did not answer at the last look."""
        pairs = zip(self.sources, self.seen, strict=True)
        return [source.name for source, seen in pairs if not seen.answers]

    @property
    def checkpoint(self) -> int:
        """The number of the checkpoint from which this observer goes on; 0 for the genesis."""
        base = self._judge.base
        return 0 if base is None else base.checkpoint.number

    def record(self, account: int) -> npt.NDArray[np.void] | None:
        """An account's record, (1,); None where there is none. ObserverError where no number is shown."""
        if self.numbers is None:
            raise ObserverError(self.why_no_numbers)
        return self.following.record(account)


async def _all_of(asked: Sequence[Coroutine[Any, Any, list[bytes]]]) -> list[list[bytes]]:
    """Wait for all answers; DoorError if one is none."""
    answers = await asyncio.gather(*asked, return_exceptions=True)
    found = []
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
        found.append(answer)
    return found


def recovered(genesis: Genesis, log: BlockLog, stored: Stored | None) -> Following:
    """Return the ledger that a folder's checkpoint and blocks make, every signature checked again.

    LogError where the log does not fold; CheckpointDamaged.
    """
    following = Following(genesis, log, stored)
    for position, data in following.blocks_behind():
        block = following.fold.read(data)
        if not isinstance(block, Block):
            raise LogError(f"{log.folder} is damaged: {block.why}")
        if following.lacks(block) is not None or not following.take(block, position):
            raise LogError(f"{log.folder} is damaged: its blocks do not fit each other")
    following.numbers()
    if following.altered:
        where = f"block {following.altered[0]} of {log.folder}"
        raise LogError(
            f"{where} was altered there: its author has not signed it; remove the folder"
        )
    return following
