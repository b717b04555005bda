"""A disk that changes what it was given: noticed, never served, and repaired from peers."""

import pytest
from tests.node.test_journal import open_
from tests.protocol.network import NETWORK, customers, make_block, make_committee, make_order

from harambee.node.journal import JournalDamaged
from harambee.node.mending import MendingEnded, mend
from harambee.protocol.effects import FetchNamed, Name
from harambee.protocol.messages import BlockArrived, PeerUp
from harambee.protocol.wire import NO_DIGEST

ANN, BEN, CYD = customers(3)
ONE, ONE_NAME = make_block(1, 1, NO_DIGEST, (), make_order(ANN, BEN, 10_000, 0))
TWO, TWO_NAME = make_block(1, 2, ONE_NAME, (), make_order(ANN, BEN, 10_000, 1))
FORK, FORK_NAME = make_block(1, 2, ONE_NAME, (), make_order(ANN, CYD, 10_000, 1))


class TheGenesis:
    network, committee = NETWORK, make_committee(4)


def damage(folder, block, places=(-1, 200, 90)):
    """Flip a bit of a stored block in the file, wherever it lies."""
    file = folder / "data.mdb"
    content = bytearray(file.read_bytes())
    at = content.find(block)
    assert at >= 0
    content[at + places[0] % len(block)] ^= 4
    file.write_bytes(content)


@pytest.mark.parametrize("block", [ONE, TWO, FORK])
def test_a_flipped_bit_is_noticed_and_never_returned(tmp_path, block):
    blocks = [ONE, TWO, FORK]
    with open_(tmp_path) as journal:
        journal.append(blocks)
    damage(tmp_path, block)
    position = blocks.index(block)
    with open_(tmp_path) as journal:
        assert list(journal.damaged()) == [position]
        with pytest.raises(JournalDamaged, match=f"block {position} of the journal"):
            journal.read(position)
        with pytest.raises(JournalDamaged):
            list(journal.blocks())
        assert block not in journal.range_of(1, 1, 2, 1 << 20)
        names = {0: (1, ONE_NAME), 1: (2, TWO_NAME), 2: (2, FORK_NAME)}
        height, digest = names[position]
        assert journal.find_digest(Name(1, 0, height, digest)) is None


def test_a_damaged_block_comes_back_from_a_peer_and_no_other_takes_its_place(tmp_path):
    with open_(tmp_path) as journal:
        journal.append([ONE, TWO, FORK])
    damage(tmp_path, TWO)
    heard = [PeerUp(0), None, BlockArrived(0, FORK), BlockArrived(0, b"x"), BlockArrived(0, TWO)]
    said = []
    with open_(tmp_path) as journal:
        mend(journal, TheGenesis, lambda _: heard.pop(0), said.append)
        assert said == [FetchNamed(0, (Name(1, 0, 2, TWO_NAME),))]
        assert [block for _, block in journal.blocks()] == [ONE, TWO, FORK]
        assert not journal.damaged()


def test_a_block_that_nobody_has_is_given_up_with_all_behind_it(tmp_path):
    with open_(tmp_path) as journal:
        journal.append([ONE, TWO, FORK])
        assert journal.give_up_damaged() == 0
    damage(tmp_path, TWO)
    with open_(tmp_path) as journal:
        assert journal.give_up_damaged() == 2
        assert [block for _, block in journal.blocks()] == [ONE]
        assert not journal.damaged()
        journal.append([FORK])
    with open_(tmp_path) as journal:
        assert [block for _, block in journal.blocks()] == [ONE, FORK]
        assert journal.find_digest(Name(1, 0, 2, TWO_NAME)) is None


def test_mending_ends_when_the_super_agent_is_told_to_stop(tmp_path):
    def stop(_):
        raise MendingEnded

    with open_(tmp_path) as journal:
        journal.append([ONE])
    damage(tmp_path, ONE)
    with open_(tmp_path) as journal, pytest.raises(MendingEnded):
        mend(journal, TheGenesis, stop, lambda _: None)


def test_evidence_and_re_entry_outlast_a_restart(tmp_path):
    with open_(tmp_path) as journal:
        assert not journal.re_entering
        journal.re_entering = True
        journal.keep_evidence(3, b"first")
        journal.keep_evidence(3, b"second")
    with open_(tmp_path) as journal:
        assert journal.re_entering
        assert journal.evidence() == {3: b"first"}
        journal.re_entering = False
    with open_(tmp_path) as journal:
        assert not journal.re_entering
