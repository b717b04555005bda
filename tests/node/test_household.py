"""Links between super-agents of one process."""

import asyncio
from dataclasses import dataclass, field

import pytest
import uvloop

from harambee.node.frames import Frame, FrameError
from harambee.node.household import HANDED_AT_ONCE, Household, IndoorLink
from harambee.node.journal import HEAD_BYTES, written
from harambee.protocol.committee import Committee, Member

NETWORK = b"n" * 32


def committee(count=4):
    return Committee(
        0, tuple(Member(f"m{i}", bytes([i]) * 32, bytes([i]) * 32, (i,)) for i in range(count))
    )


@dataclass
class Mate:
    """What a super-agent's links are to the others of its process: everything is written down."""

    index: int
    outgoing_bytes_max: int = 1_000
    heard: list[tuple[int, int, bytes]] = field(default_factory=list)
    gone: list[tuple[int, str]] = field(default_factory=list)
    links: list[IndoorLink] = field(default_factory=list)
    refuses: bool = False

    def meet(self, link):
        self.links.append(link)

    def received(self, link, kind, content):
        if self.refuses:
            raise FrameError("it may not say that")
        self.heard.append((link.peer, kind, content))

    def ended(self, link, reason):
        self.gone.append((link.peer, reason))

    def count(self, peer, *, bytes_in=0, bytes_out=0):
        assert bytes_in >= 0
        assert bytes_out >= 0


def run(story):
    async def tell():
        home = Household(NETWORK, committee(), (0, 1, 2))
        mates = [Mate(i) for i in range(3)]
        for mate in mates:
            home.arrives(mate)
        await story(home, mates)

    uvloop.run(tell())


async def turns(count=5):
    for _ in range(count):
        await asyncio.sleep(0)


def test_frames_arrive_in_order_and_never_within_the_call_that_sends_them():
    async def story(home, mates):
        link = home.connect(mates[1], 0)
        assert [mate.links[0].peer for mate in mates[:2]] == [1, 0]
        sent = [Frame(2, bytes([i])) for i in range(3 * HANDED_AT_ONCE)]
        mates[1].outgoing_bytes_max = 10_000
        assert all(link.send(frame) for frame in sent)
        assert mates[0].heard == []
        await turns()
        assert mates[0].heard == [(1, frame.kind, frame.content) for frame in sent]
        assert link.outgoing_bytes() == 0

    run(story)


def test_a_content_is_handed_over_and_not_copied():
    async def story(home, mates):
        content = b"a block"
        home.connect(mates[1], 0).send(Frame(2, content))
        await turns()
        assert mates[0].heard[0][2] is content

    run(story)


def test_who_reads_too_slowly_is_dropped():
    async def story(home, mates):
        link = home.connect(mates[1], 0)
        (theirs,) = mates[0].links
        theirs.pause_reading()
        assert link.send(Frame(2, bytes(900)))
        await turns()
        assert mates[0].heard == []
        assert link.outgoing_bytes() == 905
        assert not link.send(Frame(2, bytes(900)))
        await turns()
        assert mates[1].gone == [(0, "it is too slow: 905 bytes wait for it")]
        assert mates[0].gone == [(1, "it hung up")]
        assert link.lost.done()
        assert mates[0].heard == []

    run(story)


def test_a_paused_end_gets_what_waited_when_it_reads_again():
    async def story(home, mates):
        link = home.connect(mates[1], 0)
        (theirs,) = mates[0].links
        theirs.pause_reading()
        link.send(Frame(2, b"first"))
        link.send(Frame(3, b"second"))
        await turns()
        theirs.resume_reading()
        await turns()
        assert mates[0].heard == [(1, 2, b"first"), (1, 3, b"second")]

    run(story)


def test_who_breaks_the_rules_loses_the_link_and_nothing_else():
    async def story(home, mates):
        mates[0].refuses = True
        home.connect(mates[1], 0).send(Frame(99, b""))
        home.connect(mates[2], 1).send(Frame(2, b"fine"))
        await turns()
        assert mates[0].gone == [(1, "it may not say that")]
        assert mates[1].gone == [(0, "it hung up")]
        assert mates[1].heard == [(2, 2, b"fine")]
        assert mates[2].gone == []

    run(story)


def test_what_waits_is_handed_over_before_a_link_is_closed():
    async def story(home, mates):
        link = home.connect(mates[1], 0)
        link.send(Frame(2, b"last words"))
        link.close()
        await turns()
        assert mates[0].heard == [(1, 2, b"last words")]
        assert mates[0].gone == [(1, "it hung up")]

    run(story)


def test_who_is_switched_off_is_not_at_home():
    async def story(home, mates):
        home.leaves(mates[0])
        with pytest.raises(ConnectionRefusedError, match="it is switched off"):
            home.connect(mates[1], 0)
        home.arrives(mates[0])
        assert home.connect(mates[1], 0).peer == 0

    run(story)


def test_what_one_has_checked_the_others_of_the_process_need_not():
    assert Household(NETWORK, committee(), (0, 1)).checking is not None
    assert Household(NETWORK, committee(), (0,)).checking is None


def test_a_block_is_made_ready_for_their_journals_once():
    block = bytes(HEAD_BYTES)
    home = Household(NETWORK, committee(), (0, 1))
    assert home.written(block) == written(block)
    assert home.written(bytes(HEAD_BYTES)) is home.written(block)
    alone = Household(NETWORK, committee(), (0,))
    assert alone.written(block) is not alone.written(block), "nobody else would ask"
