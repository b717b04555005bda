"""Disputes and lanes against PROTOCOL section 3, written out with sets of blocks.

Random authors say whatever blocks can say: orders of which two share a slot, refusals, fences, explicit
votes in any view, and forks. A silent replica holds the blocks; what it counts must be what the definition
counts, in every slot that is not decided yet: votes, certificates, acknowledgements, statements.
"""

import itertools
import random
from dataclasses import dataclass, field

import numpy as np
import pytest
from tests.protocol.network import (
    MS,
    NETWORK,
    START_NS,
    SUPER_AGENT_KEYS,
    customers,
    make_block,
    make_committee,
    make_ledger,
    make_order,
)

from harambee.crypto.hashing import TAG_ORDER, digest, signed_prefix
from harambee.ledger.records import BODY_BYTES, ORDER
from harambee.protocol.disputes import Candidate
from harambee.protocol.doubts import acknowledging as acknowledging_groups
from harambee.protocol.messages import BlockArrived
from harambee.protocol.recovery_entries import (
    ABSTAINS,
    SKIP,
    Fence,
    Recovery,
    Vote,
    write_recovery,
)
from harambee.protocol.replica import Replica
from harambee.protocol.slot import Slot
from harambee.protocol.wire import NO_DIGEST, write_rejection

PEOPLE = 6
PAYERS = customers(PEOPLE + 1)[:-1]
PAYEE = customers(PEOPLE + 1)[-1]
POOL = [make_order(payer, PAYEE, cents, 0) for payer in PAYERS for cents in (10_000, 20_000)]
NAMES = [digest(signed_prefix(TAG_ORDER, NETWORK), order.tobytes()[:BODY_BYTES]) for order in POOL]
SLOTS = [Slot.of_account(payer, 0) for payer in PAYERS]
N, QUORUM = 7, 5
NEVER = itertools.repeat(False)


@dataclass(frozen=True, eq=False)
class Said:
    """One block, as the definition sees it."""

    author: int
    height: int
    name: bytes
    previous: "Said | None"
    references: tuple["Said", ...]
    orders: tuple[int, ...]
    refused: frozenset[tuple[bytes, int]]
    """(block's name, order)"""
    fences: dict[Slot, int]
    votes: dict[tuple[Slot, int], bytes]
    past: frozenset["Said"] = field(default=frozenset())

    @property
    def chain(self):
        block, found = self, []
        while block is not None:
            found.append(block)
            block = block.previous
        return found

    def fence(self, slot):
        return max((block.fences.get(slot, 0) for block in self.chain), default=0)

    def newly(self):
        """The blocks on which this one newly votes: of each reference's chain, what is above the last one."""
        before = {b for own in self.chain[1:] for r in own.references for b in r.chain}
        return [b for r in self.references for b in r.chain if b not in before]

    def voted(self, slot):
        """votes(B, s): (view, value) pairs."""
        fenced = self.fence(slot)
        if fenced:
            return {(v, x) for (s, v), x in self.votes.items() if s == slot and v == fenced}
        own = {order for order in self.orders if slot_of(order) == slot}
        for block in self.newly():
            own |= {
                order
                for order in block.orders
                if slot_of(order) == slot and (block.name, order) not in self.refused
            }
        return {(0, NAMES[order]) for order in own}


def slot_of(order):
    return SLOTS[order // 2]


def certified(past, slot):
    """The (view, value) pairs for which q distinct authors have a vote in a past."""
    voters = {}
    for block in past:
        for candidate in block.voted(slot):
            voters.setdefault(candidate, set()).add(block.author)
    return {candidate for candidate, who in voters.items() if len(who) >= QUORUM}


def acknowledging(blocks, slot):
    """(view, value) -> the authors who acknowledge it."""
    found = {}
    for block in blocks:
        for view, value in certified(block.past, slot):
            if block.fence(slot) <= view:
                found.setdefault((view, value), set()).add(block.author)
    return found


class World:
    def __init__(self, seed, views):
        self.dice = random.Random(seed)
        self.views = views
        """What is fenced; abstentions alone leave a slot doubted, where others make a dispute of it."""
        self.blocks = []
        self.tips = {author: [] for author in range(1, N)}
        """The newest block of each branch."""

    def forked(self, past, author):
        mine = [b for b in past if b.author == author]
        return any(
            a is not b and a.height == b.height for i, a in enumerate(mine) for b in mine[:i]
        )

    def step(self):
        dice = self.dice
        author = dice.randrange(1, N)
        branches = self.tips[author]
        previous = dice.choice(branches) if branches else None
        if author == N - 1 and branches and dice.random() < 0.15:
            previous = dice.choice(dice.choice(branches).chain).previous
        past = set(previous.past) if previous else set()
        references = []
        for other in range(1, N):
            if other == author or not self.tips[other] or dice.random() < 0.3:
                continue
            block = dice.choice(dice.choice(self.tips[other]).chain[:3])
            last = self._last_reference(previous, other)
            if last is not None and (block is last or last not in block.chain):
                continue
            merged = past | block.past
            if not any(self.forked(merged, who) for who in (author, other)):
                references.append(block)
                past = merged
        mine = {b for b in past if b.author == author}
        if any(self.forked(past, r.author) for r in references) or not mine <= set(
            previous.chain if previous else ()
        ):
            return None
        return self._block(author, previous, tuple(references))

    def _last_reference(self, previous, other):
        for own in previous.chain if previous else ():
            for reference in own.references:
                if reference.author == other:
                    return reference
        return None

    def _block(self, author, previous, references):
        dice = self.dice
        orders = tuple(dice.sample(range(len(POOL)), dice.choice([0, 0, 1, 2])))
        fences, votes = {}, {}
        for slot in SLOTS:
            if dice.random() < 0.05:
                fences[slot] = dice.choice(self.views)
            if self.views != [ABSTAINS] and dice.random() < 0.25:
                view = dice.choice([1, 1, 2, 3])
                rivals = [NAMES[o] for o in range(len(POOL)) if slot_of(o) == slot]
                votes[slot, view] = dice.choice([SKIP, *rivals, rivals[0]])
        refuses = (dice.random() < 0.1 for _ in itertools.count())
        return self.say(author, previous, references, orders, fences, votes, refuses)

    def say(
        self,
        author,
        previous=None,
        references=(),
        orders=(),
        fences=None,
        votes=None,
        refuses=NEVER,
    ):
        """A block that says this, and its bytes; `refuses` says so of each order that it newly sees."""
        height = previous.height + 1 if previous else 1
        fences, votes = fences or {}, votes or {}
        bare = Said(author, height, b"", previous, references, orders, frozenset(), fences, votes)
        refused, entries = set(), []
        for block in sorted(bare.newly(), key=lambda b: (b.author, b.height)):
            indices = [i for i in range(len(block.orders)) if next(refuses)]
            if indices:
                refused |= {(block.name, block.orders[i]) for i in indices}
                codes = np.full(len(indices), 24, np.uint8)
                entries.append(
                    write_rejection(
                        block.author, 0, block.height, len(block.orders), np.array(indices), codes
                    )
                )
        recovery = Recovery(
            tuple(Fence(s, v, np.zeros(0, ORDER)) for s, v in fences.items()),
            (),
            tuple(Vote(s, v, x) for (s, v), x in votes.items()),
        )
        data, name = make_block(
            author,
            height,
            previous.name if previous else NO_DIGEST,
            tuple((r.author, r.height, r.name) for r in references),
            np.concatenate([POOL[o] for o in orders]) if orders else None,
            b"".join(entries),
            write_recovery(recovery),
        )
        said = Said(
            author, height, name, previous, references, orders, frozenset(refused), fences, votes
        )
        below = (block.past for block in (previous, *references) if block)
        object.__setattr__(said, "past", frozenset({said}.union(*below)))
        self.blocks.append(said)
        branches = self.tips[author]
        if previous in branches:
            branches.remove(previous)
        branches.append(said)
        return said, data


def silent_replica():
    return Replica(NETWORK, make_committee(N), 0, SUPER_AGENT_KEYS[0], make_ledger(N, PEOPLE + 1))


def take(replica, block, data, now):
    # A convicted author's blocks are taken where others stand on them; here all are wanted.
    replica.convicted.clear()
    replica._parking._lacking.setdefault(block.name, _Wanted())
    replica.receive(BlockArrived(block.author, data), now)
    assert replica.counters.malformed == 0


@pytest.mark.parametrize("views", [[1, 1, 2, 3], [ABSTAINS], [1, 2, ABSTAINS]], ids=repr)
@pytest.mark.parametrize(
    "seed", [*range(12), *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(12, 400))]
)
def test_disputes_count_as_the_definition_does(seed, views):
    world = World(seed, views)
    replica, compared = silent_replica(), 0
    for step in range(70):
        made = world.step()
        if made is None:
            continue
        block, data = made
        now = START_NS + step * MS
        take(replica, block, data, now)
        assert replica.blocks_integrated == len(world.blocks)
        compared += compare(replica, world)
        replica.act(now, may_speak=False)
        for slot in SLOTS:
            counts = acknowledging(world.blocks, slot).values()
            is_final = max(map(len, counts), default=0) >= QUORUM
            if replica._is_decided(slot):
                assert is_final, "nothing is final that the definition does not make final"
            elif replica.doubts.place_of(slot) is not None:
                assert not is_final, "and it is counted again in time"
    assert compared > 50, "the case is not an empty one"
    compare_frame(replica, world)


def test_who_abstains_in_a_block_that_sees_the_certificate_acknowledges_in_no_branch():
    """Neither that block does, nor those that stand on it, though one of them abstains again."""
    world, replica = World(0, [ABSTAINS]), silent_replica()
    carried, carried_bytes = world.say(1, orders=(0,))
    said = [(carried, carried_bytes)]
    said += [world.say(author, references=(carried,)) for author in range(2, QUORUM + 1)]
    first = world.say(N - 1)
    votes = tuple(block for block, _ in said)
    abstains = world.say(N - 1, first[0], votes, fences={SLOTS[0]: ABSTAINS})
    one = world.say(N - 1, abstains[0])
    again = world.say(N - 1, one[0], fences={SLOTS[0]: ABSTAINS})
    other = world.say(N - 1, abstains[0], orders=(10,))
    for block, data in (*said, first, abstains, one, again, other):
        take(replica, block, data, START_NS)
    assert certified(world.blocks, SLOTS[0]) == {(0, NAMES[0])}
    assert acknowledging(world.blocks, SLOTS[0]) == {}
    assert replica.doubts.place_of(SLOTS[0]) is not None, "it is counted with others, not a dispute"
    assert compare(replica, world)
    compare_frame(replica, world)


def test_a_lane_that_was_opened_after_an_abstention_votes():
    """A branch of its author does; then the slot is written into a frame, and becomes a dispute."""
    world, replica = World(0, [ABSTAINS]), silent_replica()
    carried = world.say(1, orders=(0,))
    said = [carried, world.say(N - 1, fences={SLOTS[0]: ABSTAINS})]
    said += [world.say(author, references=(carried[0],)) for author in range(2, QUORUM)]
    said.append(world.say(N - 1, references=(carried[0],)))
    for block, data in said:
        take(replica, block, data, START_NS)
    assert certified(world.blocks, SLOTS[0]) == {(0, NAMES[0])}
    assert replica.doubts.place_of(SLOTS[0]) is not None
    assert compare(replica, world)
    compare_frame(replica, world)
    take(replica, *world.say(QUORUM, orders=(0,)), START_NS)
    assert replica.disputes.get(SLOTS[0]) is not None
    assert compare(replica, world)
    compare_frame(replica, world)


def test_who_abstains_order_by_order_makes_no_more_groups():
    """With each block in another slot of one block; to count each apart would be its price a block."""
    world, replica = World(0, [ABSTAINS]), silent_replica()
    carried = world.say(1, orders=tuple(range(0, len(POOL), 2)))
    said = [carried, *(world.say(author, references=(carried[0],)) for author in range(2, N - 1))]
    last, sizes = None, []
    for block, data in said:
        take(replica, block, data, START_NS)
    for slot in SLOTS:
        block, data = world.say(N - 1, last, fences={slot: ABSTAINS})
        take(replica, block, data, START_NS)
        (doubt,) = replica.doubts.all()
        sizes.append([len(group.rows) for group in doubt.groups(replica.chains)])
        last = block
        assert compare(replica, world)
    assert sizes == [[count] for count in range(1, len(SLOTS) + 1)]


class _Wanted:
    """Stands for a parked block that waits."""

    waiters: tuple[bytes, ...] = ()
    vouched = True


def compare_doubt(replica, world, slot, expected):
    """A doubted slot is counted in its group: q votes or not, and by whom they are acknowledged."""
    at = replica.doubts.place_of(slot)
    groups = [
        group
        for doubt, group in replica.doubts.certified(replica.chains)
        if (doubt.lane, doubt.height) == at[:2] and at.row in group.rows
    ]
    assert len(groups) == len(expected) <= 1
    if groups:
        (found,) = acknowledging_groups(replica.chains, replica.chains.clocks(), groups)
        authors = acknowledging(world.blocks, slot).get(next(iter(expected)), set())
        assert set(np.flatnonzero(found).tolist()) == authors


def compare(replica, world):
    chains, compared = replica.chains, 0
    for slot in SLOTS:
        if replica._is_decided(slot):
            continue
        dispute = replica.disputes.get(slot)
        expected = certified(world.blocks, slot)
        if replica.doubts.place_of(slot) is not None:
            assert dispute is None
            compare_doubt(replica, world, slot, expected)
            compared += 1
        if dispute is None:
            continue
        compared += 1
        compare_dispute(chains, world, dispute)
    return compared


def compare_frame(replica, world):
    """What a checkpoint says about every open slot is written out vote by vote, however it was counted."""
    frame = replica.frame(lambda _: pytest.fail("nothing waits for another order"))
    for dispute in frame.slots:
        compare_dispute(replica.chains, world, dispute)


def compare_dispute(chains, world, dispute):
    """A slot counted vote by vote: what is certified, acknowledged by whom, and what its fences state."""
    slot = dispute.slot
    expected = certified(world.blocks, slot)
    assert {tuple(c) for c in dispute.certified(chains)} == expected
    acknowledged = acknowledging(world.blocks, slot)
    for view, value in expected:
        candidate = Candidate(view, value)
        ballot = dispute.votes[candidate].row(len(chains.lanes))[np.newaxis]
        seen = chains.acknowledging(chains.clocks(), ballot)[0]
        found = dispute.acknowledging(chains, seen, candidate)
        assert found == acknowledged.get((view, value), set())
    for lane, fences in dispute.fences.items():
        for fence in fences:
            name = chains.digest_at(lane, fence.height)
            (block,) = [b for b in world.blocks if b.name == name]
            assert block.fence(slot) == fence.view
            below = {c for c in certified(block.past, slot) if c[0] < fence.view}
            stated = None if fence.statement is None else fence.statement.view
            assert stated == max((view for view, _ in below), default=None)
