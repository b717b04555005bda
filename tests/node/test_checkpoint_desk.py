"""Checkpoints among super-agents: whose word counts for what, who is named, what stops no payment."""

import asyncio
from dataclasses import replace
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest
from tests.node.test_checkpoint_making import Place, quiet
from tests.protocol.network import SUPER_AGENT_KEYS

from harambee.node.checkpoint_process import Made
from harambee.node.checkpoints import CheckpointDesk
from harambee.node.frames import FrameType
from harambee.node.port import UnavailableError
from harambee.protocol.checkpoint import Word, Words, read_word, sign_checkpoint
from harambee.protocol.cuts import cut_below
from harambee.protocol.effects import EVERYONE, Name
from harambee.protocol.malformed import Malformed
from harambee.protocol.wire import read_block
from harambee.storage.checkpoint_making import make


class Office(CheckpointDesk):
    """A desk whose checkpoints are made in this process, and whose replica is a fold that stands still."""

    def __init__(self, place, index, minutes=10.0):
        self.place, self.fold, self.sent, self.is_ready = place, place.whole(), [], True
        config = SimpleNamespace(
            checkpoint_minutes=minutes, checkpoints=place.store.folder, file="node.toml"
        )
        files = SimpleNamespace(
            genesis=place.genesis, config=config, index=index, signing=SUPER_AGENT_KEYS[index]
        )
        service = SimpleNamespace(
            ready=lambda: None if self.is_ready else "It is not.", ask=self.ask
        )
        super().__init__(files, place.journal, service, lambda *sent: self.sent.append(sent))

    async def ask(self, question):
        if not self.is_ready:
            raise UnavailableError("It is not.")
        lane = self._files.index
        chains = self.fold.chains
        height = int(chains.heads[lane])
        head = Name(lane, 0, height, chains.digest_at(lane, height))
        return question(SimpleNamespace(chains=chains, speaking=True, height=height, own_head=head))

    async def _run_process(self, request):
        request = msgspec.json.decode(msgspec.json.encode(request), type=type(request))
        base = self.store.find(bytes.fromhex(request.base)) if request.base else None
        stored = make(
            self.place.genesis, self.place.journal, self.store, base, request.cut(), quiet
        )
        return Made(digest=stored.checkpoint.digest.hex())


@pytest.fixture
def place(tmp_path):
    place = Place(tmp_path)
    yield place
    place.journal.close()


def made_by_another(place, position=-1):
    """The checkpoint of a block's past, as another super-agent makes it."""
    block = read_block(place.blocks[position], place.genesis.network, place.committee.n)
    anchor = Name(block.author, block.incarnation, block.height, block.digest)
    cut = cut_below(place.whole().chains, anchor)
    stored = make(place.genesis, place.journal, place.store, None, cut, quiet)
    checkpoint = stored.checkpoint
    place.store.remove(stored)
    return checkpoint


def turns(office, count=1, late=False):
    async def run():
        office._moved_at = office._now() - (1e6 if late else 0.0)
        for _ in range(count):
            await office._turn()
        return office.facts()

    return asyncio.run(run())


def give(office, *words):
    async def run():
        return [office.take(word.signer, FrameType.WORD, word.to_bytes()) for word in words]

    return asyncio.run(run())


def words_sent(office):
    return [content for peer, kind, content in office.sent if kind == FrameType.WORD]


def test_whose_turn_it_is_makes_one_and_gives_its_word(place):
    office = Office(place, 0)
    assert turns(office)["checkpoint"] == 0, "it is not due yet"
    assert not words_sent(office)
    turns(office, late=True)
    [content] = words_sent(office)
    word = read_word(content, place.genesis.network, place.committee)
    assert word.signer == 0
    assert word.checkpoint.number == 1
    assert office.sent[-1][0] == EVERYONE
    assert [s.checkpoint for s in place.store.all()] == [word.checkpoint]


def test_who_hears_of_one_makes_the_same_and_signs_it(place):
    theirs = made_by_another(place)
    office = Office(place, 1)
    assert give(office, sign_checkpoint(theirs, 3, SUPER_AGENT_KEYS[3])) == [None]
    assert turns(office)["checkpoint_signed_by"] == 0, "one alone, and too early"
    facts = turns(office, late=True)
    [content] = words_sent(office)
    assert read_word(content, place.genesis.network, place.committee).checkpoint == theirs
    assert (facts["checkpoint"], facts["checkpoint_signed_by"]) == (1, 2)
    turns(office)
    assert len(place.store.find(theirs.digest).words(place.committee)) == 2


def test_a_false_word_is_named_and_stops_nobody(place):
    theirs = made_by_another(place)
    false = replace(theirs, ledger_root=bytes(32))
    office = Office(place, 1)
    give(office, sign_checkpoint(false, 3, SUPER_AGENT_KEYS[3]))
    facts = turns(office, late=True)
    name = place.committee.members[3].name
    assert any(f"{name} signed another state" in alarm for alarm in facts["checkpoint_alarms"])
    [content] = words_sent(office)
    assert read_word(content, place.genesis.network, place.committee).checkpoint == theirs


def test_whoever_finds_what_w_others_do_not_signs_no_more(place):
    theirs = made_by_another(place)
    false = replace(theirs, ledger_root=bytes(32))
    office = Office(place, 1)
    give(office, *(sign_checkpoint(false, k, SUPER_AGENT_KEYS[k]) for k in (0, 3)))
    facts = turns(office, late=True)
    assert any("signs no more checkpoints" in alarm for alarm in facts["checkpoint_alarms"])
    assert not words_sent(office)
    assert place.store.all() == []
    turns(office, 2, late=True)
    assert not words_sent(office)


def test_a_cut_that_is_none_is_named_and_not_made(place):
    theirs = made_by_another(place)
    office = Office(place, 1)
    give(office, sign_checkpoint(replace(theirs, cut=bytes(32)), 2, SUPER_AGENT_KEYS[2]))
    facts = turns(office, late=True)
    name = place.committee.members[2].name
    assert any(f"{name} signed checkpoint 1 of a cut" in a for a in facts["checkpoint_alarms"])


def test_an_alarm_rings_when_none_forms_and_is_over_when_one_does(place):
    office = Office(place, 2)
    office.is_ready = False
    facts = turns(office, late=True)
    assert any("no checkpoint has been signed" in alarm for alarm in facts["checkpoint_alarms"])
    assert facts["checkpoint_alarms_count"] == 1
    theirs = made_by_another(place)
    give(office, *(sign_checkpoint(theirs, k, SUPER_AGENT_KEYS[k]) for k in (0, 1)))
    assert turns(office)["checkpoint_alarms"] == []


@pytest.mark.parametrize("kind", [FrameType.WORD, FrameType.ASK_WORDS])
def test_garbage_ends_the_link_and_a_flood_is_let_go_by(place, kind):
    office = Office(place, 1)

    async def run():
        first = office.take(0, kind, b"garbage")
        for _ in range(400):
            office.take(0, kind, b"garbage")
        return first, office.take(0, kind, b"garbage")

    first, last = asyncio.run(run())
    assert first is not None
    assert last is None, "it is not even looked at"


def test_words_are_told_to_who_asks(place):
    theirs = made_by_another(place)
    office = Office(place, 1)
    given = [sign_checkpoint(theirs, k, SUPER_AGENT_KEYS[k]) for k in (0, 2)]
    give(office, *given)
    office.sent.clear()

    async def ask():
        return office.take(3, FrameType.ASK_WORDS, b"")

    assert asyncio.run(ask()) is None
    assert [(peer, kind) for peer, kind, _ in office.sent] == [(3, FrameType.WORD)] * 2
    assert words_sent(office) == [word.to_bytes() for word in given]


def test_blocks_behind_the_last_but_one_that_q_signed_move_to_the_archive(place):
    office = Office(place, 0)
    for number in (1, 2):
        turns(office, late=True)
        [*_, newest] = place.store.all()
        assert newest.checkpoint.number == number
        others = (sign_checkpoint(newest.checkpoint, k, SUPER_AGENT_KEYS[k]) for k in (1, 2))
        give(office, *others)
    turns(office)
    first = place.store.all()[0]
    assert place.journal.pruned == first.local.until - len(first.local.left) > 0
    assert [place.journal.read(k) for k in range(len(place.blocks))] == place.blocks
    fold = place.whole(place.store.all()[-1])
    assert fold.ledger.digest() == place.whole().ledger.digest()


@pytest.mark.parametrize("seed", range(40))
def test_no_bytes_but_a_signed_word_are_one(place, seed):
    theirs = made_by_another(place)
    content = bytearray(sign_checkpoint(theirs, 1, SUPER_AGENT_KEYS[1]).to_bytes())
    dice = np.random.default_rng(seed)
    content[dice.integers(len(content))] ^= 1 << dice.integers(8)
    found = read_word(bytes(content), place.genesis.network, place.committee)
    assert isinstance(found, Malformed)
    assert isinstance(
        read_word(bytes(content)[: seed * 8], place.genesis.network, place.committee), Malformed
    )


def test_few_words_of_each_are_kept(place):
    theirs = made_by_another(place)
    words = Words.of(place.committee)
    for number in range(2, 40):
        later = replace(theirs, number=number, previous=bytes([number]) * 32)
        words.add(Word(later, 1, bytes(64)))
    assert [c.number for c in words.all()] == [36, 37, 38, 39]
    old = replace(theirs, number=2, previous=b"x" * 32)
    assert not words.add(Word(old, 1, bytes(64)))
