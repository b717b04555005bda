"""One slot, searched: the contract stays safe and live, and every wrong design that was thought of is found.

Where the dice would need too long, a story tells the history step by step: with seven super-agents and no
fence, with the lowest certificate instead of the highest, with a voter whose disk was lost.
"""

from dataclasses import fields

import pytest
from tests.model import stories
from tests.model.adversary import Trace
from tests.model.definitions import acknowledged, certificates, final, past, statement, votes
from tests.model.rules import CONTRACT, Rules

SEEDS = 60
SOAK_SEEDS = 20_000
STORIES = {
    told: getattr(stories, told)
    for told in (
        "a_certificate_kept_secret",
        "a_vote_behind_the_fence",
        "an_older_certificate",
        "a_disk_lost_between_two_votes",
        "a_fork_after_the_fact",
    )
}
FOUND_BY_DICE = {
    "certificate_is_final": (7, 0),
    "fenced_acknowledge": (7, 0),
    "fenced_vote": (7, 5),
    "fence_starts_after_its_block": (4, 28),
    "statements_are_ignored": (4, 9),
    "lowest_certificate": (4, 158),
    "most_voted": (4, 71),
    "every_block_is_a_ballot": (4, 39),
    "small_quorum": (6, 17),
    "conviction_uncounts": (5, 36),
    "free_timers": (4, 11),
    "stops_once_decided": (5, 88),
    "orders_in_every_view": (4, 40),
    "skips_the_only_order": (7, 6),
    "restart_forgets": (7, 95),
    "wiped_votes_on": (4, 3_860),
    "proposals_unchecked": (4, 18),
}
"""Of each wrong design a size and the first seed that breaks it there."""
FOUND_BY_STORY = {
    "fenced_acknowledge": "a_certificate_kept_secret",
    "fenced_vote": "a_vote_behind_the_fence",
    "lowest_certificate": "an_older_certificate",
    "any_certificate": "an_older_certificate",
    "wiped_votes_on": "a_disk_lost_between_two_votes",
    "conviction_uncounts": "a_fork_after_the_fact",
}


def broken(n, seed, rules):
    """What goes wrong in a history: two outcomes, none after the network healed, or a lone order skipped."""
    trace = Trace(n, seed, rules).run()
    if len(trace.world.finals) > 1:
        return "unsafe"
    if trace.skipped_the_only_order():
        return "skipped"
    if not trace.may_stall and not trace.heals():
        return "stuck"
    return "unsafe" if len(trace.world.finals) > 1 else None


@pytest.mark.parametrize("n", [4, 5, 6, 7])
def test_the_contract_decides_one_thing_and_decides_it(n):
    assert [seed for seed in range(SEEDS) if broken(n, seed, CONTRACT)] == []


@pytest.mark.soak
@pytest.mark.timeout(6 * 3_600)
@pytest.mark.parametrize("n", [4, 5, 6, 7, 10])
def test_the_contract_holds_for_a_night(n):
    assert [seed for seed in range(SOAK_SEEDS) if broken(n, seed, CONTRACT)] == []


def test_every_wrong_design_is_found_by_something():
    assert {field.name for field in fields(Rules)} == FOUND_BY_DICE.keys() | FOUND_BY_STORY.keys()


@pytest.mark.parametrize("wrong", FOUND_BY_DICE)
def test_the_dice_find_a_wrong_design(wrong):
    n, seed = FOUND_BY_DICE[wrong]
    assert broken(n, seed, Rules(**{wrong: True})) is not None
    assert broken(n, seed, CONTRACT) is None


@pytest.mark.parametrize("wrong", FOUND_BY_STORY)
def test_a_story_breaks_a_wrong_design(wrong):
    tell = STORIES[FOUND_BY_STORY[wrong]]
    assert tell(Rules(**{wrong: True})).finals == {stories.UNGA, stories.CHAI}


@pytest.mark.parametrize("told", STORIES)
def test_in_a_story_the_contract_decides_one_thing(told):
    assert len(STORIES[told](CONTRACT).finals) == 1


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("n", [4, 7])
def test_what_the_model_computes_is_what_the_contract_defines(n, seed):
    world = Trace(n, seed).run().world
    for block in world.blocks:
        held = past(block)
        assert {b for b in world.blocks if block.past >> b.number & 1} == held
        assert set(world.quorums(block.ballots, block.past)) == certificates(world, held)
        if block.author.incarnation == 0:
            mine = 1 << block.author.member
            for vote in acknowledged(world, block):
                assert block.receipts[vote] & mine
            for vote in votes(block):
                assert block.ballots[vote] & mine
        assert {v for _, v in world.quorums(block.receipts, block.past)} == final(world, held)
        if block.fence:
            assert block.statement == statement(world, block)
