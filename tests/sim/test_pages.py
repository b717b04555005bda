"""Catch-up by pages in the simulator: from nothing, and after a lost disk, under load, served by liars."""

import pytest
from tests.sim.test_sim import STORIES, assert_clean

from harambee.sim.run import Run
from harambee.sim.traitors import PAGE_LIARS

STORY = STORIES["from-nothing-by-pages"]


def told(changes, seed):
    run = Run(STORY.changed(changes), seed)
    verdict = run.tell()
    assert_clean(verdict)
    assert verdict["marks"]["a super-agent came back by pages"]
    return run, verdict


@pytest.mark.parametrize("strategy", sorted(PAGE_LIARS))
def test_one_begins_from_nothing_whatever_a_page_server_does(strategy):
    run, verdict = told({"strategies": (strategy,)}, 1)
    lies = strategy != "silent about pages"
    assert verdict["marks"]["a page server was found lying"] == lies
    back = run.world.machines[3]
    began = back.checkpoints.began_at
    assert began is not None
    ledger = back.replica.ledger
    assert ledger.entries_missing == began.checkpoint.orders > 0
    assert ledger.entry_count < run.world.machines[1].replica.ledger.entry_count
    assert len(back.disk) < len(run.world.machines[1].disk), "bodies below the cut never came"


def test_the_same_seed_is_the_same_history():
    histories = {told({}, 2)[1]["history"] for _ in range(2)}
    assert len(histories) == 1


def test_who_came_back_by_pages_makes_the_next_checkpoints_as_the_others_do():
    run, _ = told({"seconds": 12}, 3)
    back = run.world.machines[3]
    began = back.checkpoints.began_at.checkpoint.number
    signed = [c.number for c in back.checkpoints.words.all() if c.digest in back.checkpoints.kept]
    own = [
        number
        for number in signed
        for checkpoint in back.checkpoints.words.all()
        if checkpoint.number == number
        and 3 in {word.signer for word in back.checkpoints.words.for_(checkpoint.digest)}
    ]
    assert any(number > began for number in own)


@pytest.mark.accept
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", range(4))
def test_with_seven_two_of_them_lying_one_begins_from_nothing(seed):
    _, verdict = told({"super_agents": 7, "traitors": 2, "traitors_at": (0, 1)}, seed)
    assert verdict["within_bounds"]


@pytest.mark.accept
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", range(4))
def test_with_seven_one_lying_one_whose_disk_is_lost_comes_back_by_pages(seed):
    wipe = {"at": 6.0, "do": "wipe", "who": (3,)}
    run, verdict = told({"super_agents": 7, "acts": (type(STORY.acts[0])(**wipe),)}, seed)
    assert verdict["marks"]["a super-agent came back under a new incarnation"]
    assert run.world.machines[3].is_back
