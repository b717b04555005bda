"""The first pass of an audit: every block read, and the ledger computed anew from all of them.

It goes through the blocks once, in one process, and checks what can be said without a signature: the checksum
on the disk, the form, the digests of head and body, the rules of chains, the index, the rules of the ledger.
On its way it tells which signatures must hold, by which keys, and cuts that into segments for others.

A block that is damaged ends nothing: what does not stand on it is folded all the same, and of what stands on
it form and signature are still checked. Only the ledger lacks what is in those blocks, and says so.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

import numpy as np
import numpy.typing as npt

from harambee.audit.findings import FINDINGS_MAX, OF_NO_BLOCK, Findings
from harambee.audit.records import Lacking, Records
from harambee.audit.segments import (
    PLACE,
    POSSESSION,
    Cutting,
    Places,
    Segment,
    SegmentReport,
    body_is_signed,
)
from harambee.audit.witnessing import Witness, WitnessedLedger
from harambee.ledger import invariants
from harambee.ledger.kinds import IS_ELSEWHERE, OrderKind
from harambee.ledger.ledger import Ledger
from harambee.ledger.records import BODY_BYTES
from harambee.protocol.checking import Checking
from harambee.protocol.effects import Effects, Name
from harambee.protocol.fold import FOLDED_AT_ONCE, Fold
from harambee.protocol.genesis import Genesis
from harambee.protocol.malformed import Malformed
from harambee.protocol.opening import open_accounts
from harambee.protocol.placing import Past, past_of, place
from harambee.protocol.wire import SIGNATURE_BYTES, Block

SEGMENT_SIGNATURES: Final = 32_768
"""About how many signatures are in a segment: half a second of one core, 6 MB."""
INVARIANTS_ACCOUNTS_MAX: Final = 2_000_000
"""In larger ledgers only the sums are checked: the others look at each account by itself."""
EXAMPLES_MAX: Final = 10
"""Of each invariant that is broken."""
BRINGS_KEY: Final = np.zeros(256, np.bool_)
BRINGS_KEY[[OrderKind.ENROL, OrderKind.CHANGE_KEY, OrderKind.REQUEST_KEY]] = True
"""Of the kind byte: whether the signature of a new key lies beside such an order."""

NOT_SIGNED_BY_AUTHOR: Final = "its author has not signed it"
NOT_SIGNED_BY_PAYER: Final = "order {row} was applied and is not signed by its payer"
NOT_SIGNED_BY_NEW_KEY: Final = (
    "order {row} was applied and the key that it brings has not signed it"
)
TWICE: Final = "it stands in the journal twice"
BREAKS_CHAIN: Final = (
    "it breaks a rule of chains: its references or refusals do not fit what came before"
)
OTHER_EPOCH: Final = "it is of another epoch"
NOT_IN_INDEX: Final = (
    "the index does not lead to it: another block stood here, or the index is damaged"
)


@dataclass(slots=True)
class Counts:
    """What was read."""

    blocks: int = 0
    orders: int = 0
    """In blocks that could be read, each as often as it lies there."""
    applied: int = 0
    unreached: int = 0
    """Blocks that stand on what is damaged or missing, and so could not be folded."""
    first_unreached: int | None = None
    """The position of the first of them."""
    signatures: int = 0


class AuditedFold(Fold):
    """A fold that takes one block at a time, from a journal that may have holes."""

    def read(self, data: bytes) -> Block | Malformed:
        """Parse a block."""
        return self._checking.read(data)

    def put(self, block: Block, position: int) -> str | None:
        """Fold a block if its past is here; else what is wrong with it, or an empty text if it lacks that."""
        if self._is_held(block):
            return TWICE
        past = past_of(self.chains, block)
        if not isinstance(past, Past):
            return ""
        placed = place(self.chains, block, past)
        if placed is None:
            return BREAKS_CHAIN
        self._position = position
        self._integrate(block, placed, Effects())
        return None

    def possession_holds(self, order: np.void, proof: bytes) -> bool:
        """Whether the new key that an order brings has signed it."""
        return self._checking.possession_holds(order, proof)

    def decide(self) -> None:
        """Count what is disputed, as far as it is its turn."""
        self._decide_disputes(Effects())

    def decide_all(self, convicted: Iterable[int]) -> None:
        """Count everything that is disputed, and one by one what lies in blocks of the convicted."""
        self.convicted.update(convicted)
        self.decide_everything(Effects())

    def undecided_orders(self) -> int:
        """How many orders in blocks may still become final."""
        found = 0
        for _, _, held in self._all_open():
            orders = held.block.orders
            found += int((self.ledger.following(orders) <= orders["sequence"]).sum())
        return found

    def heights(self) -> list[int]:
        """How far each author's newest chain goes, in the committee's order."""
        heights: list[int] = self.chains.heads[self.chains.current].tolist()
        return heights


@dataclass(slots=True)
class Proofs:
    """What new keys have signed, by the bodies of the orders that bring them, as blocks have it.

    An order may lie in several blocks, and its proof beside one of them only.
    """

    by_body: dict[bytes, list[bytes]] = field(default_factory=dict)

    def note(self, block: Block) -> None:
        """Keep what lies in a block."""
        for row, mark in block.possessions.items():
            body = block.orders[row].tobytes()[:BODY_BYTES]
            known = self.by_body.setdefault(body, [])
            if mark not in known:
                known.append(mark)

    def take(self, body: bytes) -> bytes:
        """The proof to check first; it is forgotten where there is no other."""
        known = self.by_body.get(body, [])
        if len(known) == 1:
            del self.by_body[body]
        return known[0] if known else bytes(SIGNATURE_BYTES)

    def of_applied(self, applied: npt.NDArray[np.void]) -> npt.NDArray[np.void]:
        """Take the proofs of those of an ORDER_SIGNED array that bring keys: a POSSESSION array."""
        bringing = applied[BRINGS_KEY[applied["order"]["kind"]]]
        rows = np.zeros(len(bringing), POSSESSION)
        for name in ("position", "row", "order"):
            rows[name] = bringing[name]
        for row in rows:
            proof = self.take(row["order"].tobytes()[:BODY_BYTES])
            row["signature"] = np.frombuffer(proof, np.uint8)
        return rows


class Recomputing:
    """One audit's pass through the blocks. Iterating over `segments` is what does the work."""

    def __init__(self, genesis: Genesis, records: Records, *, note_applied: bool = False) -> None:
        """`note_applied` keeps which orders were applied, a byte each. LedgerError where none opens."""
        self.genesis, self.counts, self.findings = genesis, Counts(), Findings()
        self.applied: dict[int, npt.NDArray[np.bool_]] | None = {} if note_applied else None
        """By the position of a block with orders: which of them were applied, (n,)."""
        self._records = records
        self.ledger = open_ledger(genesis, self._witness)
        checking = Checking(genesis.network, genesis.committee)
        self.fold = AuditedFold(genesis.network, genesis.committee, self.ledger, checking)
        self._proofs, self._doubtful = Proofs(), list[Places]()
        self._ready: deque[Segment] = deque()
        """Cut, and to be given out."""
        self._unsigned, self._bad_proofs = list[int](), list[Places]()
        keys = b"".join(member.key for member in genesis.committee.members)
        self._cutting = Cutting(genesis.network, genesis.committee.epoch, keys, SEGMENT_SIGNATURES)

    def segments(self, convicted: Iterable[int] = ()) -> Iterator[Segment]:
        """Read and fold everything; yields what is to be checked, as it comes.

        `convicted` are the authors against whom evidence is kept beside the journal.
        """
        lacking: list[tuple[int, Lacking]] = []
        for count, (position, data) in enumerate(self._records.blocks()):
            self.counts.blocks += 1
            if isinstance(data, Lacking):
                lacking.append((position, data))
            else:
                self._take(position, data)
            if count % FOLDED_AT_ONCE == 0:
                self.fold.decide()
            self._cut_if_full()
            while self._ready:
                yield self._ready.popleft()
        self.fold.decide_all(convicted)
        self._name_lacking(lacking)
        for what in self._records.flaws():
            self.findings.add(OF_NO_BLOCK, None, what)
        self._cut()
        yield from self._ready

    def _take(self, position: int, data: bytes) -> None:
        """Read one block, and fold it if that can be done."""
        block = self.fold.read(data)
        if isinstance(block, Malformed):
            self.findings.add(position, self._name_in_index(position), block.why)
            return
        name = Name(block.author, block.incarnation, block.height, block.digest)
        if block.epoch != self.genesis.committee.epoch:
            self.findings.add(position, name, OTHER_EPOCH)
            return
        if self._records.position_of(name) != position:
            self.findings.add(position, self._name_in_index(position) or name, NOT_IN_INDEX)
        self.counts.orders += len(block.orders)
        self._cutting.add_block(position, block.author, block.digest, block.signature)
        self._proofs.note(block)
        if self.applied is not None and len(block.orders):
            self.applied[position] = np.zeros(len(block.orders), np.bool_)
        wrong = self.fold.put(block, position)
        if wrong:
            self.findings.add(position, name, wrong)
        elif wrong is not None:
            self.counts.unreached += 1
            if self.counts.first_unreached is None:
                self.counts.first_unreached = position

    def _witness(self, applied: npt.NDArray[np.void]) -> None:
        """Take note of orders of one block that were applied, an ORDER_SIGNED array."""
        self.counts.applied += len(applied)
        self._cutting.add_orders(applied)
        if self.applied is not None:
            self.applied[int(applied["position"][0])][applied["row"]] = True
        bringing = self._proofs.of_applied(applied)
        if len(bringing):
            self._cutting.add_possessions(bringing)
        self._cut_if_full()

    def _cut_if_full(self) -> None:
        """One block may make a thousand others final: segments stay as small all the same."""
        if self._cutting.is_full:
            self._cut()

    def _cut(self) -> None:
        segment = self._cutting.cut()
        if segment is not None:
            self._ready.append(segment)

    # -- what the signatures are --------------------------------------------------------------------

    def note(self, report: SegmentReport) -> None:
        """Take in what became of a segment, in the order of the segments."""
        self.counts.signatures += report.signatures_checked
        self._unsigned += np.frombuffer(report.bad_blocks, "<u8").tolist()
        self._doubtful.append(np.frombuffer(report.bad_orders, PLACE))
        self._bad_proofs.append(np.frombuffer(report.bad_possessions, PLACE))

    def conclude(self) -> None:
        """After the last report: look at what did not hold once more, and at the ledger as a whole."""
        for position in sorted(self._unsigned):
            self.findings.add(position, self._name_at(position), NOT_SIGNED_BY_AUTHOR)
        for position, row in _in_order(self._doubtful):
            if not self._is_signed_by_another_key(position, row):
                what = NOT_SIGNED_BY_PAYER.format(row=row)
                self.findings.add(position, self._name_at(position), what, row)
        for position, row in _in_order(self._bad_proofs):
            if not self._is_proven_elsewhere(position, row):
                what = NOT_SIGNED_BY_NEW_KEY.format(row=row)
                self.findings.add(position, self._name_at(position), what, row)
        for what in broken_invariants(self.ledger):
            self.findings.add(OF_NO_BLOCK, None, what)

    def _is_signed_by_another_key(self, position: int, row: int) -> bool:
        """Whether an order in a slot that is not its signer's is signed by any key that she ever had."""
        order = self._order_at(position, row)
        if order is None or not IS_ELSEWHERE[order["kind"]]:
            return False
        keys = self.ledger.keys_ever_of(int(order["payer"]))
        network, signed = self.genesis.network, order.tobytes()
        return any(body_is_signed(network, signed, key) for key in keys)

    def _is_proven_elsewhere(self, position: int, row: int) -> bool:
        """Whether another block has the proof of a new key, where the first one found is none."""
        order = self._order_at(position, row)
        if order is None:
            return False
        known = self._proofs.by_body.get(order.tobytes()[:BODY_BYTES], ())
        return any(self.fold.possession_holds(order, proof) for proof in known)

    # -- which block --------------------------------------------------------------------------------

    def _order_at(self, position: int, index: int) -> np.void | None:
        """An ORDER in a block; None where it cannot be read."""
        data = self._records.read(position)
        block = None if data is None else self.fold.read(data)
        if not isinstance(block, Block) or not 0 <= index < len(block.orders):
            return None
        order: np.void = block.orders[index]
        return order

    def _name_at(self, position: int) -> Name | None:
        """The name of the block at a position, by its own bytes."""
        data = self._records.read(position)
        block = None if data is None else self.fold.read(data)
        if not isinstance(block, Block):
            return self._name_in_index(position)
        return Name(block.author, block.incarnation, block.height, block.digest)

    def _name_in_index(self, position: int) -> Name | None:
        return self._records.names_of({position}).get(position)

    def _name_lacking(self, lacking: list[tuple[int, Lacking]]) -> None:
        """Name the blocks that cannot be had, as the index has them."""
        listed = {position for position, _ in lacking[:FINDINGS_MAX]}
        names = self._records.names_of(listed) if listed else {}
        for position, why in lacking:
            self.findings.add(position, names.get(position), why.value)


def _in_order(places: list[Places]) -> list[tuple[int, int]]:
    """Positions and rows, ascending."""
    return sorted(place for some in places for place in some.tolist())


def broken_invariants(ledger: Ledger) -> Iterator[str]:
    """Say what is not true of a ledger that is true of every ledger at every moment, a sentence each.

    What rests on voters is left out: a journal ends at any moment, and half of what belongs together may be
    final in it.
    """
    total = ledger.total_cents()
    if total:
        yield f"the balances add up to {total} cents, not to zero"
    if ledger.account_count > INVARIANTS_ACCOUNTS_MAX:
        return
    now = invariants.Snapshot.of(ledger)
    for invariant in invariants.OF_MOMENTS:
        if invariant not in invariants.RESTING_ON_VOTERS:
            name = invariant.__name__.replace("_", " ")
            for example in islice(invariant(now), EXAMPLES_MAX):
                yield f"it is not so that {name}: {example}"


def open_ledger(genesis: Genesis, witness: Witness) -> WitnessedLedger:
    """The ledger as the genesis opens it; LedgerError where it cannot be opened."""
    ledger = WitnessedLedger(genesis.regions, genesis.tariffs, genesis.key_days, witness)
    open_accounts(genesis, ledger)
    return ledger
