"""Evidence: what no honest author signs, as one file that a stranger can check (docs/wire.md section 13).

There are three kinds of proof in two kinds of file. A **fork**: two blocks with one id (author, incarnation,
height) and different digests. A **double vote above view 0**: two blocks of one author that vote, in one slot
and view, for different values. A **double vote in view 0**: two ballots, each of which shows that a reference
covers a block with an order of the slot and does not refuse it.

An honest author makes none of these, whatever it loses: a restart continues its own chain, a lost disk begins
a new incarnation and abstains, and what it may not vote for it refuses by name. So the file and the
committee's keys prove it, and nothing else is needed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from harambee.crypto.hashing import TAG_ORDER, digest, signed_prefix
from harambee.crypto.signatures import verify
from harambee.ledger.records import BODY_BYTES
from harambee.protocol.ballots import HEADS_MAX
from harambee.protocol.committee import Committee
from harambee.protocol.effects import Ballot, Evidence, Name, TwoVotes
from harambee.protocol.malformed import Malformed
from harambee.protocol.slot import Slot
from harambee.protocol.wire import (
    BLOCK_BYTES_MAX,
    SIGNATURE_BYTES,
    Block,
    Head,
    block_prefix,
    head_bytes,
    read_block,
    read_head,
)

MAGIC: Final = b"hrb1:evidence".ljust(16, b"\0")
MAGIC_TWO_VOTES: Final = b"hrb1:two-votes".ljust(16, b"\0")
EVIDENCE_BYTES_MAX: Final = 32 << 20
_NETWORK_BYTES: Final = 32
_LENGTH_BYTES: Final = 4
_START: Final = len(MAGIC) + _NETWORK_BYTES


@dataclass(frozen=True, slots=True)
class Conviction:
    """What a piece of evidence proves."""

    culprit: int
    why: str
    """One sentence, without the culprit's name."""


def write_evidence(network: bytes, first: bytes, second: bytes) -> bytes:
    """The file of two blocks."""
    return MAGIC + network + _sized(first) + _sized(second)


def write_found(
    network: bytes, found: Evidence | TwoVotes, find: Callable[[Name], bytes | None]
) -> bytes | None:
    """The file of what a replica found; `find` brings a block's bytes. None where it cannot be made."""
    if isinstance(found, TwoVotes):
        return write_two_votes(network, found, find)
    held = find(found.held)
    return None if held is None else write_evidence(network, held, found.other)


def write_two_votes(
    network: bytes, found: TwoVotes, find: Callable[[Name], bytes | None]
) -> bytes | None:
    """The file of two ballots; `find` brings a block's bytes. None where one is gone or all are too much."""
    ballots = [_write_ballot(ballot, find) for ballot in found.ballots]
    content = MAGIC_TWO_VOTES + network + b"".join(part or b"" for part in ballots)
    return None if None in ballots or len(content) > EVIDENCE_BYTES_MAX else content


def _write_ballot(ballot: Ballot, find: Callable[[Name], bytes | None]) -> bytes | None:
    voting = [find(name) for name in ballot.voting]
    chain = [find(name) for name in ballot.chain]
    block = find(ballot.block)
    heads = [head_bytes(data) for data in (*voting, *chain) if data is not None]
    if block is None or len(heads) != len(voting) + len(chain):
        return None
    signature = voting[0][-SIGNATURE_BYTES:] if voting and voting[0] is not None else b""
    return (
        ballot.row.to_bytes(4, "little")
        + len(voting).to_bytes(2, "little")
        + len(chain).to_bytes(2, "little")
        + signature
        + b"".join(map(_sized, heads))
        + _sized(block)
    )


def _sized(content: bytes) -> bytes:
    return len(content).to_bytes(_LENGTH_BYTES, "little") + content


@dataclass(slots=True)
class _Reader:
    """Takes a file apart; what is cut short comes out as None."""

    data: bytes
    at: int

    def take(self, count: int) -> bytes | None:
        part = self.data[self.at : self.at + count]
        self.at += count
        return part if len(part) == count else None

    def number(self, count: int) -> int | None:
        part = self.take(count)
        return None if part is None else int.from_bytes(part, "little")

    def sized(self) -> bytes | None:
        length = self.number(_LENGTH_BYTES)
        return None if length is None or length > BLOCK_BYTES_MAX else self.take(length)


_CUT_SHORT: Final = Malformed("the evidence is cut short")


def read_evidence(data: bytes, network: bytes, committee: Committee) -> Conviction | Malformed:
    """Check a file with the committee's keys alone: whom it convicts, or why nobody."""
    kind = data[: len(MAGIC)]
    if kind not in (MAGIC, MAGIC_TWO_VOTES):
        return Malformed("this is no file of evidence")
    if len(data) > EVIDENCE_BYTES_MAX:
        return Malformed("the evidence is too long")
    if data[len(MAGIC) : _START] != network:
        return Malformed("the evidence is of another network")
    checker = _Checker(_Reader(data, _START), network, committee)
    found = checker.two_blocks() if kind == MAGIC else checker.two_votes()
    if isinstance(found, Conviction) and checker.reader.at != len(data):
        return Malformed("something follows the evidence")
    return found


@dataclass(frozen=True, slots=True)
class _Vote:
    """One vote in view 0 that a ballot proves."""

    author: int
    incarnation: int
    slot: Slot
    order: bytes
    """Its id."""


@dataclass(slots=True)
class _Checker:
    reader: _Reader
    network: bytes
    committee: Committee

    def two_blocks(self) -> Conviction | Malformed:
        first, second = self._signed_block(), self._signed_block()
        for block in (first, second):
            if isinstance(block, Malformed):
                return block
        assert isinstance(first, Block)
        assert isinstance(second, Block)
        return convict(first, second)

    def two_votes(self) -> Conviction | Malformed:
        first = self._ballot()
        if isinstance(first, Malformed):
            return first
        second = self._ballot()
        if isinstance(second, Malformed):
            return second
        if (first.author, first.incarnation) != (second.author, second.incarnation):
            return Malformed("the two votes are not of one author and incarnation")
        if first.slot != second.slot or first.order == second.order:
            return Malformed("the two votes are not for different orders of one slot")
        return Conviction(first.author, "voted for two different orders in one slot")

    def _holds(self, block: Block | Head, signature: bytes) -> bool:
        key = self.committee.members[block.author].key
        signed = block_prefix(self.network, self.committee.epoch) + block.digest
        return block.epoch == self.committee.epoch and verify(key, signed, signature)

    def _block(self) -> Block | Malformed:
        content = self.reader.sized()
        if content is None:
            return _CUT_SHORT
        return read_block(content, self.network, self.committee.n)

    def _signed_block(self) -> Block | Malformed:
        block = self._block()
        if isinstance(block, Block) and not self._holds(block, block.signature):
            return Malformed("a block of the evidence is not signed by its author")
        return block

    def _heads(self, count: int) -> list[Head] | Malformed:
        """So many heads of one chain, each on the next."""
        heads: list[Head] = []
        for _ in range(count):
            content = self.reader.sized()
            if content is None:
                return _CUT_SHORT
            head = read_head(content, self.network, self.committee.n)
            if isinstance(head, Malformed):
                return head
            if heads and not _stands_on(heads[-1], head):
                return Malformed("the heads of the evidence are no chain")
            heads.append(head)
        return heads

    def _ballot(self) -> _Vote | Malformed:
        row, voting_count = self.reader.number(4), self.reader.number(2)
        chain_count = self.reader.number(2)
        if row is None or voting_count is None or chain_count is None:
            return _CUT_SHORT
        if max(voting_count, chain_count) > HEADS_MAX:
            return Malformed("a ballot has more heads than it may")
        signature = self.reader.take(SIGNATURE_BYTES) if voting_count else b""
        voting = self._heads(voting_count)
        if isinstance(voting, Malformed):
            return voting
        chain = self._heads(chain_count)
        if isinstance(chain, Malformed):
            return chain
        block = self._block()
        if isinstance(block, Malformed):
            return block
        if signature is None or row >= len(block.orders):
            return _CUT_SHORT
        order = block.orders[row]
        slot = Slot.of(order)
        voter: Block | Head = voting[0] if voting else block
        if not self._holds(voter, signature or block.signature):
            return Malformed("the voting block is not signed by its author")
        if any(fence.slot == slot for fence in voter.recovery.fences):
            return Malformed("the voting block fences the slot, and so votes for nothing there")
        why = _why_no_vote(voting, chain, block, row) if voting else None
        if why is not None:
            return why
        prefix = signed_prefix(TAG_ORDER, self.network)
        name = digest(prefix, order.tobytes()[:BODY_BYTES])
        return _Vote(voter.author, voter.incarnation, slot, name)


def _stands_on(upper: Head, lower: Head | Block) -> bool:
    return (upper.author, upper.incarnation, upper.height, upper.previous) == (
        lower.author,
        lower.incarnation,
        lower.height + 1,
        lower.digest,
    )


def _why_no_vote(voting: list[Head], chain: list[Head], block: Block, row: int) -> Malformed | None:
    """Why the first of the voter's heads does not vote for this row of a block; None if it does."""
    voter = voting[0]
    named = _reference_to(voter, block.author)
    if named is None or named.digest != (chain[0] if chain else block).digest:
        return Malformed("the voting block does not reference the chain")
    if chain and not _stands_on(chain[-1], block):
        return Malformed("the chain does not lead down to the block")
    refused = any(
        (r.author, r.incarnation, r.height) == (block.author, block.incarnation, block.height)
        and row in r.indices
        for r in voter.rejections
    )
    if refused:
        return Malformed("the voting block refuses the order")
    first_life = not voter.incarnation
    if not chain and first_life:
        return None  # a reference extends the one before it, which therefore was below the block
    for head in voting[1:]:
        before = _reference_to(head, block.author)
        if before is not None:
            if (before.incarnation, before.height) < (block.incarnation, block.height):
                return None
            return Malformed("the voter referenced the block earlier")
    if voting[-1].height == 1 and first_life:
        return None
    return Malformed("it is not shown that the voter had not referenced the block earlier")


def _reference_to(head: Head, author: int) -> Name | None:
    return next((name for name in head.references if name.author == author), None)


def convict(first: Block, second: Block) -> Conviction | Malformed:
    """What two blocks prove together whose signatures hold."""
    if first.author != second.author:
        return Malformed("the two blocks have different authors")
    if first.digest == second.digest:
        return Malformed("the two blocks are one")
    if (first.incarnation, first.height) == (second.incarnation, second.height):
        return Conviction(first.author, f"signed two different blocks of height {first.height}")
    said = {(vote.slot, vote.view): vote.value for vote in first.recovery.votes}
    for vote in second.recovery.votes:
        if said.get((vote.slot, vote.view), vote.value) != vote.value:
            return Conviction(
                first.author, f"voted for two different values in one slot and view {vote.view}"
            )
    return Malformed("an honest author may have made both blocks")
