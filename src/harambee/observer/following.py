"""The observer's own ledger: blocks in, every signature checked, and only then a number out.

    Following.take      a block whose author's signature holds -> folded, or what is wrong with it
    Following.verify    the payers' signatures of all that was applied since
    Following.numbers   what may be shown: None while anything is unchecked or wrong

What a super-agent signed that no honest one signs, and an order that was applied and that its payer never
signed, are found here; what a door served that does not check never gets here (`intake.py`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from harambee.audit.recomputing import Proofs
from harambee.audit.segments import (
    PLACE,
    Cutting,
    SegmentReport,
    body_is_signed,
    check_segment,
)
from harambee.audit.witnessing import WitnessedLedger
from harambee.ledger.kinds import IS_ELSEWHERE
from harambee.ledger.records import BODY_BYTES
from harambee.observer.block_log import BlockLog
from harambee.protocol.effects import Effects, Evidence, Name, TwoVotes
from harambee.protocol.fold import FOLDED_AT_ONCE, Fold
from harambee.protocol.genesis import Genesis
from harambee.protocol.malformed import Malformed
from harambee.protocol.placing import Past, past_of
from harambee.protocol.wire import Block
from harambee.storage.beginning import begin, blocks_behind, fill
from harambee.storage.checkpoint_store import Stored

SEGMENT_SIGNATURES: Final = 32_768
"""About so many signatures are checked at once."""


class WatchedFold(Fold):
    """A fold that takes one block at a time, and says what it lacks."""

    def read(self, data: bytes) -> Block | Malformed:
        """Parse a block."""
        return self._checking.read(data)

    def is_signed(self, block: Block) -> bool:
        """Whether its author has signed it."""
        return self._checking.block_holds(block)

    def holds(self, block: Block | Name) -> bool:
        """Whether a block is held, or lies in the checkpoint from which this went on."""
        return self.covers(block)

    def put(self, block: Block, position: int, effects: Effects) -> bool:
        """Fold a block whose past is held, which lies so in the log; False if it breaks a rule of chains."""
        self._position = position
        past = past_of(self.chains, block)
        assert isinstance(past, Past), "it is held"
        return self._take(block, past, effects)

    def possession_holds(self, order: np.void, proof: bytes) -> bool:
        """Whether the new key that an order brings has signed it."""
        return self._checking.possession_holds(order, proof)

    @property
    def disputed(self) -> int:
        """How many slots are counted one by one."""
        return len(self.disputes) + len(self.doubts)


@dataclass(frozen=True, slots=True)
class Numbers:
    """What an observer may show; cents."""

    heights: tuple[int, ...]
    """How far each author's newest chain is folded, in the committee's order."""
    blocks: int
    orders: int
    """Applied since the genesis."""
    accounts: int
    in_circulation_cents: int
    total_cents: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Unsigned:
    """An order that was applied and that nobody signed who had to."""

    block: Name
    row: int
    what: str


class Following:
    """One ledger, from a checkpoint or the genesis on. Not thread-safe."""

    def __init__(self, genesis: Genesis, log: BlockLog, stored: Stored | None) -> None:
        """Begin; CheckpointDamaged where the checkpoint cannot be used. Folds nothing of the log yet."""
        committee = genesis.committee
        self.genesis, self.log = genesis, log
        self.unsigned: list[Unsigned] = []
        self.altered: list[int] = []
        """Positions of blocks in the log that their authors have not signed."""
        self.evidence: list[Evidence | TwoVotes] = []
        keys = b"".join(member.key for member in committee.members)
        self._cutting = Cutting(genesis.network, committee.epoch, keys, SEGMENT_SIGNATURES)
        self._proofs = Proofs()
        self.ledger = WitnessedLedger(
            genesis.regions, genesis.tariffs, genesis.key_days, self._witness
        )
        fill(self.ledger, genesis, stored)
        self.fold = WatchedFold(genesis.network, committee, self.ledger)
        begin(self.fold, log, stored)
        self._orders_before = -self.ledger.entry_count
        if stored is not None:
            self._orders_before += stored.checkpoint.orders
        self.from_position = 0 if stored is None else stored.local.until
        """What lies in the log below it was folded by whoever made the checkpoint."""
        self._stored = stored
        self._note_proofs_before(stored)
        self._since_decided = 0

    def _note_proofs_before(self, stored: Stored | None) -> None:
        """What new keys signed beside orders that a checkpoint leaves open."""
        if stored is not None:
            for position, data in self.log.blocks():
                if position >= self.from_position:
                    break
                block = self.fold.read(data)
                if isinstance(block, Block):
                    self._proofs.note(block)

    def blocks_behind(self) -> Iterator[tuple[int, bytes]]:
        """The log's blocks that are to be folded at the start, with their positions."""
        return self.log.blocks() if self._stored is None else blocks_behind(self.log, self._stored)

    # -- blocks -------------------------------------------------------------------------------------

    def lacks(self, block: Block) -> Name | None:
        """The first block of its immediate past that is not here."""
        past = past_of(self.fold.chains, block)
        return None if isinstance(past, Past) else past

    def take(self, block: Block, position: int | None = None) -> bool:
        """Fold a block that is signed and whose past is here, and keep it in the log.

        `position` is where it lies in the log already. False if it breaks a rule of chains; it is not kept
        then. OSError where it cannot be written.
        """
        at = self.log.count if position is None else position
        effects = Effects()
        if not self.fold.put(block, at, effects):
            return False
        if position is None:
            self.log.append(block.data)
        else:
            # The disk is trusted no more than a door: what came from one was checked when it came.
            self._cutting.add_block(at, block.author, block.digest, block.signature)
        self._proofs.note(block)
        self._since_decided += 1
        if self._since_decided >= FOLDED_AT_ONCE:
            self._since_decided = 0
            self.fold.decide_everything(effects)
        self.evidence += effects.evidence
        if self._cutting.is_full:
            self.verify()
        return True

    def settle(self) -> None:
        """Count whatever is disputed."""
        effects = Effects()
        self.fold.decide_everything(effects)
        self.evidence += effects.evidence

    # -- signatures ---------------------------------------------------------------------------------

    def _witness(self, applied: npt.NDArray[np.void]) -> None:
        """Take note of orders of one block that were applied, an ORDER_SIGNED array."""
        self._cutting.add_orders(applied)
        bringing = self._proofs.of_applied(applied)
        if len(bringing):
            self._cutting.add_possessions(bringing)

    def verify(self) -> None:
        """Check every signature that was not checked yet; `unsigned` has what does not hold."""
        segment = self._cutting.cut()
        if segment is not None:
            self._note(check_segment(segment))

    def _note(self, report: SegmentReport) -> None:
        for position in np.frombuffer(report.bad_blocks, "<u8").tolist():
            # A door's block is checked when it comes; so whoever may write to the folder has changed it.
            self.altered.append(position)
        for position, row in np.frombuffer(report.bad_orders, PLACE).tolist():
            if not self._is_signed_by_another_key(position, row):
                self._say(position, row, "was applied and is not signed by its payer")
        for position, row in np.frombuffer(report.bad_possessions, PLACE).tolist():
            if not self._is_proven_elsewhere(position, row):
                what = "was applied and the key that it brings has not signed it"
                self._say(position, row, what)

    def _order_at(self, position: int, row: int) -> tuple[Block, np.void]:
        block = self.fold.read(self.log.read(position))
        assert isinstance(block, Block), "it was read before"
        return block, block.orders[row]

    def _say(self, position: int, row: int, what: str) -> None:
        block = self.fold.read(self.log.read(position))
        assert isinstance(block, Block), "it was read before"
        name = Name(block.author, block.incarnation, block.height, block.digest)
        self.unsigned.append(Unsigned(name, row, what))

    def _is_signed_by_another_key(self, position: int, row: int) -> bool:
        """Whether an order in a slot that is not its signer's is signed by any key that she ever had.

        Keys from before the checkpoint are not known here; of what lay open at it nothing is said.
        """
        _, order = self._order_at(position, row)
        if not IS_ELSEWHERE[order["kind"]]:
            return False
        if position < self.from_position:
            return True
        keys = self.ledger.keys_ever_of(int(order["payer"]))
        return any(body_is_signed(self.genesis.network, order.tobytes(), key) for key in keys)

    def _is_proven_elsewhere(self, position: int, row: int) -> bool:
        _, order = self._order_at(position, row)
        known = self._proofs.by_body.get(order.tobytes()[:BODY_BYTES], ())
        return any(self.fold.possession_holds(order, proof) for proof in known)

    # -- numbers ------------------------------------------------------------------------------------

    def heights(self) -> list[int]:
        """How far each author's newest chain is folded, in the committee's order."""
        chains = self.fold.chains
        found: list[int] = chains.heads[chains.current].tolist()
        return found

    def height_of(self, chain: tuple[int, int]) -> int:
        """How far a chain, (author, incarnation), is folded."""
        chains = self.fold.chains
        lanes = [k for k in chains.lanes_of[chain[0]] if chains.lanes[k].incarnation == chain[1]]
        return max((int(chains.heads[lane]) for lane in lanes), default=0)

    def chains_followed(self) -> list[tuple[int, int]]:
        """The newest chain of each author, (author, incarnation), in the committee's order."""
        chains = self.fold.chains
        return [(chains.lanes[k].author, chains.lanes[k].incarnation) for k in chains.current]

    @property
    def is_forked(self) -> bool:
        """Whether somebody's chain has two branches."""
        lanes = [(lane.author, lane.incarnation) for lane in self.fold.chains.lanes]
        return len(set(lanes)) != len(lanes)

    def record(self, account: int) -> npt.NDArray[np.void] | None:
        """An account's ACCOUNT record, (1,), or None where there is none."""
        if account >= len(self.ledger.accounts):
            return None
        found = self.ledger.records(np.array([account], np.uint32))
        return found if found["flags"][0] else None

    def numbers(self) -> Numbers | None:
        """What may be shown; None where an order was applied that is not signed, or the sum is not zero.

        Checks what is unchecked first.
        """
        self.settle()
        self.verify()
        total = self.ledger.total_cents()
        if self.unsigned or self.altered or total:
            return None
        owed = sum(
            max(0, -int(self.ledger.accounts["balance"][bank])) for bank in self.ledger.issuers
        )
        bases = [lane.base for lane in self.fold.chains.lanes]
        return Numbers(
            tuple(self.heights()),
            int(self.fold.chains.heads.sum()) - sum(bases),
            self._orders_before + self.ledger.entry_count,
            self.ledger.account_count,
            owed,
            total,
            self.ledger.digest(),
        )
