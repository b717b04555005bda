"""The engine: what it looks at for itself, and what waits for a commit."""

import time
from types import SimpleNamespace

import pytest
from tests.protocol.network import (
    NETWORK,
    START_NS,
    SUPER_AGENT_KEYS,
    customers,
    heads_of,
    make_committee,
    make_ledger,
)
from tests.protocol.test_page_catchup import Image

from harambee.node.engine import (
    GATHER_NS_MAX,
    BlocksGone,
    Engine,
    MemoryDamaged,
    Snapshot,
    Turn,
)
from harambee.node.page_fetching import ONLY_PAGES
from harambee.protocol.effects import EVERYONE, Effects, SendBlock, SendHeads
from harambee.protocol.messages import PeerUp, WordArrived
from harambee.protocol.page_catchup import STUCK_NS, Lookout
from harambee.protocol.replica import Replica


def an_engine(journal, pace_ms=20, is_awaited=lambda _: False):
    files = SimpleNamespace(config=SimpleNamespace(name="baraka", pace_ms=pace_ms))
    return Engine(files, journal, lambda _: None, is_awaited=is_awaited)


def a_turn(**effects):
    return Turn(Effects(**{name: list(some) for name, some in effects.items()}), [], 0, {})


def test_balances_that_do_not_add_up_end_it():
    """Its journal makes the ledger anew; a ledger that a bit has flipped in must answer nobody."""
    engine = an_engine(SimpleNamespace(count=0))
    replica = Replica(NETWORK, make_committee(4), 0, SUPER_AGENT_KEYS[0], make_ledger(4, 2))
    engine._look_at(replica, START_NS)
    assert engine.snapshot.total_cents == 0
    replica.ledger.accounts[customers(1)[0]]["balance"] ^= 1 << 20
    with pytest.raises(MemoryDamaged, match="1048576 cents"):
        engine._look_at(replica, START_NS * 2)


HEADS = SendHeads(1, heads_of(4))
OWN = SendBlock(EVERYONE, b"block")


@pytest.mark.parametrize(
    ("turn", "rest_ns", "gathers"),
    [
        (a_turn(persist=[b"theirs"]), 1, True),
        (a_turn(persist=[b"theirs"], send=[HEADS]), GATHER_NS_MAX, True),
        (a_turn(persist=[b"theirs", b"mine"], send=[OWN]), 1, False),
        (a_turn(persist=[b"theirs"]), 0, False),
        (a_turn(persist=[b"theirs"]), GATHER_NS_MAX + 1, False),
        (a_turn(), 1, False),
    ],
    ids=["theirs", "and heads", "mine", "it has rested", "a clock was set back", "nothing"],
)
def test_blocks_of_others_wait_for_the_next_commit(turn, rest_ns, gathers):
    engine = an_engine(None)
    engine._commit_due = START_NS + rest_ns
    assert engine._may_gather(turn, START_NS) is gathers
    engine.ask(lambda _: None)
    assert not engine._may_gather(turn, START_NS), "whoever asks waits for nothing"


@pytest.mark.parametrize(("pace_ms", "gathers"), [(20, True), (1_500, False)])
def test_where_turns_are_rare_what_somebody_waits_for_is_told_at_once(pace_ms, gathers):
    engine = an_engine(None, pace_ms, is_awaited=lambda orders: orders == "hers")
    engine._commit_due = START_NS + 1
    assert engine._may_gather(a_turn(persist=[b"theirs"], settled=["his"]), START_NS)
    told = a_turn(persist=[b"theirs"], settled=["his", "hers"])
    assert engine._may_gather(told, START_NS) is gathers
    told = a_turn(persist=[b"theirs"], skipped=["a slot"])
    assert engine._may_gather(told, START_NS) is gathers


@pytest.mark.parametrize("took_ms", [1, 60])
def test_a_commit_rests_as_long_as_it_took_and_not_for_ever(took_ms):
    engine = an_engine(SimpleNamespace(append=lambda *_: time.sleep(took_ms / 1_000)))
    assert engine._make_durable([b"block"], [])
    ended = time.time_ns()
    assert ended < engine._commit_due + GATHER_NS_MAX
    assert engine._commit_due <= ended + GATHER_NS_MAX


@pytest.mark.parametrize("peers", [1, 2])
def test_who_hears_q_others_and_gets_no_block_of_what_is_missing_stops_and_says_so(tmp_path, peers):
    """With one of three others it may be that one who keeps them back."""
    image = Image()
    files = SimpleNamespace(
        config=SimpleNamespace(name="baraka", pace_ms=20, checkpoints=tmp_path / "c")
    )
    engine = Engine(files, None, lambda _: None)
    committee = make_committee(4)
    replica = Replica(NETWORK, committee, 0, SUPER_AGENT_KEYS[0], make_ledger(4, 2))
    for peer in range(1, peers + 1):
        replica.receive(PeerUp(peer), START_NS)
    engine._lookout = Lookout(NETWORK, committee)
    told = []

    def look_on():
        for now in range(START_NS, START_NS + STUCK_NS + 5 * 10**9, 10**9):
            engine.snapshot = Snapshot(now=now)
            turn = a_turn()
            engine._look_out(replica, turn, now)
            for word in image.words(0, 1) if turn.effects.send else ():
                told.append(word)
                engine._lookout.hear(WordArrived(1, word))

    if peers == 1:
        look_on()
        assert not told
        assert not (tmp_path / "c" / ONLY_PAGES).exists()
    else:
        with pytest.raises(BlocksGone, match="below checkpoint 1 that nobody sends any more"):
            look_on()
        assert (tmp_path / "c" / ONLY_PAGES).exists()
