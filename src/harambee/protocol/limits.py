"""Bounded work: what one author, and one peer, can make a replica do. Every number of it stands here.

PROTOCOL section 7. Three kinds of limit are kept apart:

*Rules of validity* are functions of a block's bytes alone, so that all replicas judge alike: the sizes of
`wire.py` and `INCARNATIONS_MAX`.

*Limits on what an author pushes.* Its blocks are taken as long as its allowance lasts: token buckets, filled
by the time that is an argument. What is beyond is **deferred**: not checked, not kept, and fetched when there
is room again. Nobody is ever convicted for it, and nothing is lost. Two things make it harmless for honest
replicas. A block that w peers say they hold was within the limits of an honest one, so it costs nothing: who
is behind catches up at full speed. And a block that another author's word vouches for costs an eighth:
whoever is behind a single honest peer is faster than any liar can lead that peer on.

*Limits on what is kept*: blocks that wait for their past, orders that wait to be decided, slots in which
no order lies. An honest author stays below half of them by itself, and what an honest author knew to be
decided when it signed a block, is known to whoever holds that block's past. So whoever takes blocks in the
order in which an honest replica took them is never stopped by these limits where that one was not.

A flood of orders, bytes or references costs its author its own allowance, and others nothing. References need
no bucket of their own: a block has one for each author at most.
"""

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from harambee.ledger.kinds import HAS_CONTENT
from harambee.ledger.payees import TABLE_BYTES_MAX
from harambee.ledger.records import ORDER_BYTES, PAYEE
from harambee.protocol.wire import ATTACHMENT_BYTES_MAX, Block, attached_bytes

SECOND_NS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Rate:
    """So many in a second, and so many at once."""

    per_second: int
    burst: int


BLOCKS: Final = Rate(512, 2_048)
"""Blocks of one author. At a pace of 20 ms there are 50 a second."""
BYTES: Final = Rate(8 << 20, 64 << 20)
"""Bytes of one author's blocks. The orders of a nation at its busiest are a fifth of it."""
WORK: Final = Rate(16_384, 131_072)
"""Orders and recovery entries of one author. A nation pays 12,000 times a second at most."""
RATES: Final = (BLOCKS, BYTES, WORK)
REFUSALS_IN_ONE: Final = 16
"""So many refusals are as much work as one order: who is shown forged orders by f liars refuses them all."""
FORGED_WORK: Final = 16
"""An order that its payer has not signed is as much work as so many: a broker checks that at its door."""
P256_WORK: Final = 2
"""An order by a P-256 key is as much work as so many: its signature takes up to twice as long to verify as
one of Ed25519 by libsodium, by which these limits were set."""
TABLE_WORK: Final = 4
"""A payee table is as much work as so many orders,"""
ROWS_IN_ONE: Final = 64
"""and as one more for so many of its rows."""
VOUCHED_SHIFT: Final = 3
"""A block that another author stands on costs an eighth."""
REFILLED_SHIFT: Final = 2
"""An allowance that was used up lasts again when a quarter of it is back: so one fetch brings many."""
OWN_SHARE: Final = 2
"""An author uses half of the burst that others grant it, because its blocks may arrive bunched together."""

FEW_BLOCKS: Final = 64
FEW_BYTES: Final = 16 << 20
"""Blocks of one author that nobody else vouches for and that wait for their past: a second's worth."""
PARKED_BLOCKS_MAX: Final = 2_048
PARKED_BYTES_MAX: Final = 64 << 20
"""Blocks of one author that wait for their past, and that others vouch for: several fetches' worth."""
KEPT_ORDERS: Final = 1 << 19
KEPT_ORDERS_MIN: Final = 1 << 14
"""Orders in kept blocks: of all authors together, and of one at least. A block is kept until all its orders
are decided. Payee tables count as the orders whose room they take."""
STRAY_SLOTS_MAX: Final = 1_024
"""Slots without any order in which an author speaks of recovery. An honest one speaks of none: whoever opens
a slot carries its orders."""
BLOCK_NS_MIN: Final = SECOND_NS // (BLOCKS.per_second // 2)
"""An author speaks no faster than half of what others take from it, whatever pace it is set to."""

NAMED_ANSWER_NS: Final = SECOND_NS
"""How long a block that was asked for by name may take before it is asked for again, at first."""
NAMED_DOUBLINGS_MAX: Final = 5
NAMES_MAX: Final = 256
"""Blocks asked for by name at once."""
DOOR_TABLE_BYTES_MAX: Final = 16 << 20
"""Payee tables of orders that wait at a door; beyond it, it is busy for orders that bring one."""
RIVAL_TABLES_MAX: Final = 8
"""Payee tables of orders that lie in no block and are kept for recovery to carry: a block's attachments."""
assert RIVAL_TABLES_MAX * attached_bytes(bytes(TABLE_BYTES_MAX)) <= ATTACHMENT_BYTES_MAX
OFFER_DOUBLINGS_MAX: Final = 10
"""A refused order is offered again after 2 s, 4 s and so on, up to half an hour."""

VAIN_FRAMES: Final = Rate(512, 8_192)
"""Frames of one peer that bring no new block: questions, repetitions, garbage. Then its link rests."""
SERVED_BYTES: Final = Rate(32 << 20, 128 << 20)
"""What one peer is served of the journal."""
HISTORY_BYTES: Final = Rate(32 << 20, 128 << 20)
"""What all observers together are served over HTTP: pages, blocks, proofs."""
SERVED_BYTES_EACH: Final = 128 << 10
"""What reading one block, or one range, costs beside its bytes."""
SERVED_PAGES: Final = Rate(64 << 20, 256 << 20)
"""What one peer is served of checkpoints, in bytes: ten gigabytes from four peers in a minute or less."""
FRAME_BYTES: Final = 4 << 10
"""A frame that waits counts for so many bytes beside its content, so that small ones are few as well."""


@dataclass(slots=True)
class Bucket:
    """Tokens that come back with time. It may be overdrawn by one burst, which has to come back first."""

    rate: Rate
    level: int = field(init=False)
    _at: int = -1
    _rest: int = 0
    """Billionths of a token, so that no time is lost to rounding."""

    def __post_init__(self) -> None:
        """It begins full."""
        self.level = self.rate.burst

    def fill(self, now: int) -> None:
        """Let what came back by `now` in; a clock that was set back brings nothing."""
        if self._at < 0 or now < self._at:
            self._at = now
            return
        missing = self.rate.burst - self.level
        came = (now - self._at) * self.rate.per_second + self._rest
        self._at = now
        whole, self._rest = divmod(came, SECOND_NS)
        self.level += min(missing, whole)

    def take(self, cost: int) -> None:
        """Pay; what is overdrawn is at most a burst."""
        self.level = max(self.level - cost, -self.rate.burst)

    def full_at(self, level: int) -> int:
        """When it will hold so many tokens; nanoseconds."""
        missing = max(0, level - self.level)
        return self._at + -(-missing * SECOND_NS // self.rate.per_second)


class Allowance:
    """What one author's blocks, or one peer's frames, may cost now."""

    def __init__(self, *rates: Rate) -> None:
        """Full, with a bucket for each rate."""
        self._buckets = tuple(Bucket(rate) for rate in rates)
        self._is_used_up = False

    def lasts(self, now: int) -> bool:
        """Whether anything may still be taken. Once used up, it must first come back to a quarter."""
        for bucket in self._buckets:
            bucket.fill(now)
        if self._is_used_up:
            self._is_used_up = any(
                bucket.level < bucket.rate.burst >> REFILLED_SHIFT for bucket in self._buckets
            )
        else:
            self._is_used_up = any(bucket.level <= 0 for bucket in self._buckets)
        return not self._is_used_up

    def back_at(self) -> int:
        """When it lasts again, as things stand; nanoseconds."""
        return max(bucket.full_at(bucket.rate.burst >> REFILLED_SHIFT) for bucket in self._buckets)

    def pay(self, *costs: int) -> None:
        """Take from each bucket."""
        for bucket, cost in zip(self._buckets, costs, strict=True):
            bucket.take(cost)

    def left(self) -> int:
        """How much is left in the last of its buckets."""
        return max(0, self._buckets[-1].level)


class AuthorLimits:
    """What has been taken of each author, and what is kept of it. For one replica."""

    def __init__(self, members: int, me: int) -> None:
        """Nothing is taken yet."""
        self.allowances = [
            Allowance(*(_in_eighths(rate, OWN_SHARE if author == me else 1) for rate in RATES))
            for author in range(members)
        ]
        """What each author's blocks may cost: blocks, bytes, work, in eighths."""
        self.kept = [0] * members
        """How many orders' room kept blocks take, by lane."""
        self.kept_orders_max = max(KEPT_ORDERS_MIN, KEPT_ORDERS // members)
        """How many may lie in kept blocks of one author's chain."""


def _in_eighths(rate: Rate, share: int) -> Rate:
    return Rate(rate.per_second << VOUCHED_SHIFT, (rate.burst << VOUCHED_SHIFT) // share)


def cost_of(block: Block, *, vouched: bool = False) -> tuple[int, int, int]:
    """What taking a block costs its author: blocks, bytes, work, each in eighths."""
    refusals = sum(len(rejection.indices) for rejection in block.rejections)
    recovery = block.recovery
    entries = len(recovery.fences) + len(recovery.proposals) + len(recovery.votes)
    naming = int(np.count_nonzero(HAS_CONTENT[block.orders["kind"]])) if len(block.orders) else 0
    tables = naming * TABLE_WORK + block.table_rows // ROWS_IN_ONE
    work = len(block.orders) + tables + entries + refusals // REFUSALS_IN_ONE
    shift = 0 if vouched else VOUCHED_SHIFT
    return 1 << shift, len(block.data) << shift, work << shift


def room_of(block: Block) -> int:
    """How many orders' room a kept block takes, its payee tables included."""
    return len(block.orders) + block.table_rows * PAYEE.itemsize // ORDER_BYTES


def cost_of_p256(orders: int, *, vouched: bool = False) -> tuple[int, int, int]:
    """What orders by P-256 keys cost their author, beside what they cost already."""
    shift = 0 if vouched else VOUCHED_SHIFT
    return 0, 0, orders * (P256_WORK - 1) << shift


def cost_of_forged(orders: int) -> tuple[int, int, int]:
    """What orders cost their broker that their payers have not signed, beside what they cost already."""
    return 0, 0, orders * FORGED_WORK << VOUCHED_SHIFT
