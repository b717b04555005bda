"""The box of PROTOCOL section 3, word for word: slow, with sets of blocks, to hold `slot_model` to it."""

from tests.model.slot_model import Block, Vote, World


def past(block: Block | None) -> set[Block]:
    """B and everything reachable."""
    seen: set[Block] = set()
    left = [block] if block else []
    while left:
        one = left.pop()
        if one not in seen:
            seen.add(one)
            left += [*one.references, *([one.previous] if one.previous else [])]
    return seen


def chain(block: Block | None) -> list[Block]:
    """B and its previous ones."""
    found = []
    while block:
        found.append(block)
        block = block.previous
    return found


def fence(block: Block) -> int:
    """The highest view fenced in chain(B), B's own included."""
    return max(one.fence for one in chain(block))


def covered(block: Block | None) -> set[Block]:
    """Every block on the chains that this chain has referenced."""
    return {one for mine in chain(block) for other in mine.references for one in chain(other)}


def votes(block: Block) -> set[Vote]:
    if fence(block):
        return {vote for vote in block.votes if vote.view == fence(block)}
    newly_voted_on = covered(block) - covered(block.previous)
    return {Vote(0, order) for order in block.orders} | {
        Vote(0, order)
        for other in newly_voted_on
        for order in other.orders
        if (other.number, order) not in block.refused
    }


def counting(blocks: set[Block]) -> set[Block]:
    """Those whose authors did not lose their disk while the slot was open (section 7)."""
    return {block for block in blocks if block.author.incarnation == 0}


def certificates(world: World, blocks: set[Block]) -> set[Vote]:
    """cert(S, s, v, x): q distinct authors voted."""
    given = {(block.author.member, vote) for block in counting(blocks) for vote in votes(block)}
    return with_quorum(world, given)


def acknowledged(world: World, block: Block) -> set[Vote]:
    """ack(B, s, v, x): the certificate is in B's past, and B's chain has fenced no higher view."""
    return {vote for vote in certificates(world, past(block)) if fence(block) <= vote.view}


def final(world: World, blocks: set[Block]) -> set[str]:
    """The values that q distinct authors acknowledge in a set of blocks."""
    given = {
        (block.author.member, vote)
        for block in counting(blocks)
        for vote in acknowledged(world, block)
    }
    return {value for _, value in with_quorum(world, given)}


def statement(world: World, block: Block) -> Vote | None:
    """stmt(F, s, v): the certificate of the highest view below v in F's past."""
    below = [vote for vote in certificates(world, past(block)) if vote.view < block.fence]
    return max(below, default=None)


def with_quorum(world: World, given: set[tuple[int, Vote]]) -> set[Vote]:
    found = {vote for _, vote in given}
    return {one for one in found if sum(vote == one for _, vote in given) >= world.q}
