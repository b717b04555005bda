"""Which design a world of the model follows: PROTOCOL's, or one with a single rule broken."""

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Rules:
    """The wrong designs that were thought of, one a field; with all of them off it is the contract."""

    certificate_is_final: bool = False
    """q votes already make a value final; nobody needs to have acknowledged the certificate."""

    fenced_acknowledge: bool = False
    """A fence does not stop its author's acknowledgements in lower views."""

    fenced_vote: bool = False
    """A reference counts as a view-0 vote even after its author's fence, when it refuses nothing."""

    fence_starts_after_its_block: bool = False
    """A fencing block still acknowledges, and its statement is that of the block before it."""

    statements_are_ignored: bool = False
    """A proposal is free whatever the statements of its proof say."""

    lowest_certificate: bool = False
    """Statements and proposals take the lowest certificate instead of the highest."""

    any_certificate: bool = False
    """A proposal may carry any value that a statement of its proof holds, of whatever view."""

    most_voted: bool = False
    """A statement is its author's own newest vote, and the proposal takes what most of them say."""

    every_block_is_a_ballot: bool = False
    """Votes are counted by block: an author with two blocks has two."""

    small_quorum: bool = False
    """q = 2f + 1 also where n > 3f + 1, so that two quorums may share only a liar."""

    conviction_uncounts: bool = False
    """Whoever was seen to fork is counted no longer."""

    free_timers: bool = False
    """The timer of a view runs although fewer than q authors have come to that view."""

    stops_once_decided: bool = False
    """Who knows the outcome fences no more, though its own blocks do not show it to the others."""

    orders_in_every_view: bool = False
    """A free proposal may be an order in late even views too, so that none need be the skip."""

    skips_the_only_order: bool = False
    """A free skip is proposed and voted for at once, where the payer has signed one order alone."""

    restart_forgets: bool = False
    """Locks and explicit votes do not survive a restart."""

    wiped_votes_on: bool = False
    """A replica that lost its disk comes back under a new incarnation and votes in open slots."""

    proposals_unchecked: bool = False
    """Voters take whatever the right leader proposes, without looking at its proof."""

    def __str__(self):
        broken = [field.name for field in fields(self) if getattr(self, field.name)]
        return ", ".join(broken) or "the contract"


CONTRACT = Rules()
