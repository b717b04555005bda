"""An observer that is fed something false says which super-agent lied, and does not show the number."""

import asyncio
import dataclasses

import msgspec
import numpy as np
import pytest
from tests.audit.histories import chorus, payments
from tests.observer.doors import HonestDoor, Town, shown
from tests.protocol.network import SUPER_AGENT_KEYS

from harambee.crypto.hashing import digest as hash_of
from harambee.crypto.signatures import sign
from harambee.handset.doors import DoorError
from harambee.observer.alarms import Alarms
from harambee.observer.block_log import BlockLog, LogError
from harambee.observer.observer import ObserverError
from harambee.observer.sources import LedgerView
from harambee.protocol.checkpoint import Word
from harambee.protocol.evidence import read_evidence
from harambee.protocol.wire import SIGNATURE_BYTES, block_prefix
from harambee.storage.checkpoint_store import CheckpointStore, Writer

LIAR = 0
ORDERS_AT = -SIGNATURE_BYTES - 100
"""Inside the last order of a block without attachments, from its end."""


@pytest.fixture
def town(tmp_path):
    town = Town(tmp_path)
    yield town
    town.journal.close()


def looked(observer, times=2):
    """Begin and look; the observer is closed, and what it says stays."""

    async def run():
        await observer.begin()
        for _ in range(times):
            await observer.look()

    try:
        asyncio.run(run())
    finally:
        observer.close()
    return observer


def sentences(observer):
    return [alarm.sentence for alarm in observer.alarms.new]


def flipped(data, at=ORDERS_AT):
    changed = bytearray(data)
    changed[at] ^= 1
    return bytes(changed)


def resealed(town, data, key):
    """The block with a signature of this key over its digest."""
    block = town.parsed(data)
    prefix = block_prefix(town.genesis.network, town.committee.epoch)
    return data[:-SIGNATURE_BYTES] + sign(key, prefix + block.digest)


# -- honest doors ---------------------------------------------------------------------------------


def test_balances_sums_and_digest_are_the_replicas(town):
    replica = town.fold().ledger
    observer = looked(town.observer(town.doors()))
    numbers = observer.numbers
    assert sentences(observer) == []
    assert numbers.digest == replica.digest()
    assert (numbers.orders, numbers.accounts) == (60, replica.account_count)
    assert numbers.total_cents == 0
    assert numbers.in_circulation_cents == -sum(
        int(replica.accounts["balance"][bank]) for bank in replica.issuers
    )
    assert numbers.blocks == len(town.blocks)
    known = np.flatnonzero(replica.accounts["flags"])
    for account in known.tolist():
        mine, theirs = observer.record(account)[0], replica.records(np.array([account]))[0]
        for field in ("key", "balance", "debited", "credited", "next_sequence"):
            assert (mine[field] == theirs[field]).all(), (account, field)
    assert observer.record(int(known[-1]) + 1) is None
    assert observer.compared_with_all
    assert [seen.agreed for seen in observer.seen] == [2, 2, 2, 2]


def test_it_begins_at_a_checkpoint_and_asks_for_no_block_below(town):
    first = town.checkpoint(20)
    doors = town.doors()
    asked = []
    honest = HonestDoor.blocks

    class Noting(HonestDoor):
        async def blocks(self, author, incarnation, first, last):
            asked.append((author, first))
            return await honest(self, author, incarnation, first, last)

    doors = [Noting(town, index) for index in range(4)]
    observer = looked(town.observer(doors, has_openings=False))
    assert sentences(observer) == []
    assert observer.numbers.digest == town.fold().ledger.digest()
    assert observer.numbers.orders == 60
    assert min(height for _, height in asked) > 1
    fetched = {place for door in doors for place in door.asked}
    assert len(fetched) == len(first.index)


def test_a_beginning_that_was_broken_off_begins_anew(town, monkeypatch):
    """The checkpoint's open blocks lie in the log already, and the checkpoint does not."""
    town.checkpoint(20)
    observer = town.observer(town.doors())

    def full(*_):
        raise OSError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(Writer, "finish", full)
        with pytest.raises(OSError, match="full"):
            looked(observer)
    assert BlockLog.open(observer.folder, town.genesis.network, 4, to_read=True).count
    again = looked(town.observer(town.doors(), observer.folder))
    assert sentences(again) == []
    assert again.checkpoint == 1
    assert again.numbers.digest == town.fold().ledger.digest()


def test_without_openings_and_without_a_checkpoint_it_cannot_begin(town):
    observer = town.observer(town.doors(), has_openings=False)
    with pytest.raises(ObserverError, match="opening accounts"):
        looked(observer)


def test_it_goes_on_where_it_stopped_and_from_newer_checkpoints(town):
    first = town.checkpoint(12)
    doors = town.doors()
    for door in doors:
        door.until = 20
    observer = looked(town.observer(doors))
    assert observer.numbers.digest == town.fold(town.blocks[:20]).ledger.digest()
    second = town.checkpoint(30, base=first)
    again = looked(town.observer(town.doors(), observer.folder), times=3)
    assert sentences(again) == []
    assert again.numbers.digest == town.fold().ledger.digest()
    silent = town.doors()
    for door in silent:
        door.checkpoints = unreachable
        door.ledger = unreachable
    third = looked(town.observer(silent, observer.folder), times=1)
    assert third.following.from_position > 0
    assert third.following.numbers().digest == town.fold().ledger.digest()
    assert third.silent == [door.name for door in silent]
    stored = {folder.name for folder in (observer.folder / "checkpoints").iterdir()}
    assert second.folder.name in stored


async def unreachable(*_):
    raise DoorError("it cannot be reached.")


def test_a_block_that_a_crash_cut_off_is_taken_again(town):
    observer = looked(town.observer(town.doors()))
    (file,) = observer.folder.glob("blocks-*")
    content = file.read_bytes()
    for cut in (1, 40, len(content) // 2):
        file.write_bytes(content[:-cut])
        again = looked(town.observer(town.doors(), observer.folder))
        assert sentences(again) == []
        assert again.numbers.digest == town.fold().ledger.digest()
        assert file.read_bytes() == content


def test_a_flipped_bit_on_its_own_disk_is_found(town):
    observer = looked(town.observer(town.doors()))
    (file,) = observer.folder.glob("blocks-*")
    content = file.read_bytes()
    file.write_bytes(flipped(content, 2_000))
    # What follows the flipped bit was cut off as a crash would have left it, and is taken again.
    again = looked(town.observer(town.doors(), observer.folder))
    assert again.numbers.digest == town.fold().ledger.digest()
    assert file.read_bytes() == content


def test_a_block_that_somebody_put_into_its_folder_is_found_and_nobody_is_accused(town):
    """With a checksum that is right; only the author's signature tells."""
    observer = looked(town.observer(town.doors()))
    forged = resealed(town, town.blocks[-1], SUPER_AGENT_KEYS[0])
    assert town.parsed(town.blocks[-1]).author != 0
    log = BlockLog.open(observer.folder, town.genesis.network, 4)
    content = [data for _, data in log.blocks()]
    log.close()
    (file,) = observer.folder.glob("blocks-*")
    file.unlink()
    log = BlockLog.open(observer.folder, town.genesis.network, 4)
    for data in content:
        log.append(forged if town.parsed(data).digest == town.parsed(forged).digest else data)
    log.close()
    again = town.observer(town.doors(), observer.folder)
    with pytest.raises(LogError, match="was altered there"):
        looked(again)
    assert sentences(again) == []


def test_one_folder_has_one_observer_of_one_network(town, tmp_path):
    observer = town.observer(town.doors(), tmp_path / "one")
    try:
        with pytest.raises(LogError, match="another observer works"):
            town.observer(town.doors(), tmp_path / "one")
        with pytest.raises(LogError, match="another network"):
            BlockLog.open(tmp_path / "one", bytes(32), 4, to_read=True)
    finally:
        observer.close()


# -- doors that lie: blocks -----------------------------------------------------------------------


class FalseBlock(HonestDoor):
    """Serves one block otherwise than it is."""

    def __init__(self, town, index, which, lie):
        super().__init__(town, index)
        self.which, self.lie = which, lie

    async def blocks(self, author, incarnation, first, last):
        found = await super().blocks(author, incarnation, first, last)
        return [self.lie(data) if data == self.which else data for data in found]

    async def block(self, name):
        data = await super().block(name)
        return self.lie(data) if data == self.which else data


BLOCK_LIES = {
    "a bit of an order": lambda _, data: flipped(data),
    "a bit of its signature": lambda _, data: flipped(data, -3),
    "signed by another": lambda town, data: resealed(town, data, SUPER_AGENT_KEYS[3]),
    "another block's signature": lambda town, data: data[:-64] + town.blocks[9][-64:],
    "another block": lambda town, _: town.blocks[9],
    "nothing of a block": lambda _town, _data: b"nothing of a block",
}


@pytest.mark.parametrize("lie", BLOCK_LIES)
def test_a_false_block_names_the_door_and_no_number_comes_of_it(town, lie):
    def how(data):
        return BLOCK_LIES[lie](town, data)

    which = town.blocks[6]
    author = town.committee.members[town.parsed(which).author].name
    # One liar among honest doors: it is named, and the others bring the block.
    doors = [FalseBlock(town, LIAR, which, how), *town.doors()[1:]]
    observer = looked(town.observer(doors))
    (said,) = sentences(observer)
    assert said.startswith(f"{doors[LIAR].name} serves")
    assert author in said
    assert observer.numbers.digest == town.fold().ledger.digest()
    assert observer.alarms.new[0].super_agent == LIAR
    # All doors lie: all are named, and no number is shown.
    doors = [FalseBlock(town, index, which, how) for index in range(4)]
    observer = looked(town.observer(doors))
    assert {alarm.name for alarm in observer.alarms.new} == {door.name for door in doors}
    assert observer.numbers is None
    with pytest.raises(ObserverError, match="serves"):
        observer.record(17)
    assert observer.why_no_numbers in sentences(observer)


def test_an_alarm_is_kept_in_the_folder_once(town):
    doors = [FalseBlock(town, LIAR, town.blocks[6], flipped), *town.doors()[1:]]
    observer = looked(town.observer(doors))
    kept = (observer.folder / "alarms.jsonl").read_bytes()
    assert kept.count(b"\n") == 1
    assert doors[LIAR].name.encode() in kept


def rewritten(town, data, change):
    """A block with another head, signed by its author all the same."""
    changed = bytearray(data)
    change(changed)
    author = town.parsed(data).author
    return resealed(town, bytes(changed), SUPER_AGENT_KEYS[author])


def twin_of(town, data):
    """Another block of the same id: its author's clock says something else."""

    def change(content):
        content[16] ^= 1

    return rewritten(town, data, change)


def child_of(town, data):
    """An empty block of the same author on top of one."""
    block = town.parsed(data)

    def change(content):
        content[8:12] = (block.height + 1).to_bytes(4, "little")
        content[56:88] = block.digest
        content[88:120] = hash_of(b"")
        content[120:] = bytes(40 + SIGNATURE_BYTES)

    return rewritten(town, data, change)


def test_two_blocks_of_one_id_are_evidence_against_their_author(town):
    """One door stands on another branch of one author's chain."""
    voices, orders = chorus(), payments(8)
    town.blocks = [voices.say(k % 4, orders[k].tobytes()) for k in range(8)]
    twin = twin_of(town, town.blocks[-1])
    branch = [*town.blocks[:-1], twin, child_of(town, twin)]

    class OnTheBranch(HonestDoor):
        def history(self):
            return branch

    culprit = town.parsed(twin).author
    name = town.committee.members[culprit].name
    observer = looked(town.observer([*town.doors()[:2], OnTheBranch(town, 2)]))
    (alarm,) = observer.alarms.new
    assert (alarm.kind, alarm.super_agent, alarm.name) == ("fork", culprit, name)
    content = (observer.folder / f"evidence-{name}.bin").read_bytes()
    assert read_evidence(content, town.genesis.network, town.committee).culprit == culprit
    # Who begins with both branches on its disk says so again.
    again = looked(town.observer(town.doors(), observer.folder), times=1)
    assert [alarm.kind for alarm in again.alarms.new] == ["fork"]


def test_an_order_that_its_payer_never_signed_stops_every_number(tmp_path):
    """All super-agents together let it pass; the observer does not."""
    orders = payments(6)
    forged = orders[2].copy()
    forged["signature"][0, 5] ^= 1
    town = Town(tmp_path, groups=[[orders[0]], [orders[1]], [forged], [orders[3]]])
    try:
        observer = looked(town.observer(town.doors()))
        (alarm,) = observer.alarms.new
        carrier = town.committee.members[town.parsed(town.blocks[2]).author].name
        assert (alarm.kind, alarm.name) == ("ledger", carrier)
        assert "not signed by its payer" in alarm.sentence
        assert observer.numbers is None
        # And it stays so in this folder.
        again = looked(town.observer(town.doors(), observer.folder), times=1)
        assert again.numbers is None
        assert again.why_no_numbers == alarm.sentence
    finally:
        town.journal.close()


def test_a_folder_whose_ledger_was_wrong_once_shows_no_number_again(town):
    """Also when it begins behind the order that was wrong."""
    observer = looked(town.observer(town.doors()))
    assert observer.numbers is not None
    Alarms(observer.folder).ring("ledger", 2, "chui", "Order 0 of block 1 of chui was applied.")
    again = looked(town.observer(town.doors(), observer.folder))
    assert again.numbers is None
    assert again.why_no_numbers == "Order 0 of block 1 of chui was applied."


# -- doors that lie: what they say ----------------------------------------------------------------


class FalseView(HonestDoor):
    """Says something else of its ledger."""

    def __init__(self, town, index, **lies):
        super().__init__(town, index)
        self.lies = lies

    async def ledger(self):
        return msgspec.structs.replace(await super().ledger(), **self.lies)


@pytest.mark.parametrize(
    ("lie", "kind", "looks"),
    [
        ({"digest": "00" * 32}, "digest", 3),
        ({"accounts": 1_000}, "digest", 3),
        ({"total_cents": 5}, "total", 1),
    ],
)
def test_a_door_whose_total_or_digest_differs_is_named(town, lie, kind, looks):
    doors = [*town.doors()[:3], FalseView(town, 3, **lie)]
    observer = looked(town.observer(doors), times=looks)
    (alarm,) = observer.alarms.new
    assert (alarm.kind, alarm.super_agent) == (kind, 3)
    assert observer.numbers.digest == town.fold().ledger.digest()


def test_heights_that_one_liar_makes_up_hide_no_number(town):
    class Boasting(HonestDoor):
        async def ledger(self):
            view = await super().ledger()
            return msgspec.structs.replace(view, heads=[9_999_999] * 4, total_cents=1)

    observer = looked(town.observer([Boasting(town, 0), *town.doors()[1:]]))
    assert [alarm.kind for alarm in observer.alarms.new] == ["total"]
    assert observer.behind == 0
    assert observer.numbers.digest == town.fold().ledger.digest()


def test_a_door_of_another_network_is_silent_and_no_liar(town):
    class Elsewhere(HonestDoor):
        async def network(self):
            return "00" * 32

        async def ledger(self):
            return LedgerView("00" * 32, 0, 1, [0] * 4)

    observer = looked(town.observer([Elsewhere(town, 0), *town.doors()[1:]]), times=4)
    assert sentences(observer) == []
    assert observer.silent == [observer.sources[0].name]


def test_a_door_that_is_behind_is_no_liar(town):
    doors = town.doors()
    doors[1].until = 30
    observer = looked(town.observer(doors), times=4)
    assert sentences(observer) == []
    assert observer.seen[1].agreed == 0


def test_a_door_that_tells_another_balance_is_named(town):
    class Generous(HonestDoor):
        async def records(self, numbers):
            found = (await super().records(numbers)).copy()
            found["balance"] += 100
            return found

    observer = looked(town.observer([Generous(town, 0), *town.doors()[1:]]))
    (alarm,) = observer.alarms.new
    assert (alarm.kind, alarm.super_agent) == ("balance", 0)


def test_accounts_that_move_while_a_door_is_asked_are_not_compared(town):
    """A door that goes on in between tells newer balances, and is no liar for it."""

    class Moving(HonestDoor):
        def go_on(self):
            self.until = min(self.until + 4, len(self.town.blocks))

        async def records(self, numbers):
            self.go_on()
            found = await super().records(numbers)
            self.go_on()
            return found

    doors = [Moving(town, index) for index in range(4)]
    for door in doors:
        door.until = 14
    observer = looked(town.observer(doors), times=6)
    assert sentences(observer) == []
    assert observer.numbers.digest == town.fold().ledger.digest()


# -- doors that lie: checkpoints ------------------------------------------------------------------


class FalsePage(HonestDoor):
    """Serves one page of accounts with a flipped bit."""

    async def page(self, digest, section, number):
        content = await super().page(digest, section, number)
        return flipped(content, 50) if section == 1 else content


def test_a_false_page_names_the_door_and_no_number_comes_of_it(town):
    town.checkpoint(20)
    observer = looked(town.observer([FalsePage(town, LIAR), *town.doors()[1:]]))
    (alarm,) = observer.alarms.new
    assert (alarm.kind, alarm.super_agent) == ("page", LIAR)
    assert "section 1" in alarm.sentence
    assert observer.numbers.digest == town.fold().ledger.digest()
    liars = town.observer([FalsePage(town, index) for index in range(4)])
    with pytest.raises(ObserverError, match="all pages"):
        looked(liars)
    assert {alarm.super_agent for alarm in liars.alarms.new} == {0, 1, 2, 3}
    assert liars.numbers is None


def test_a_false_index_names_the_door(town):
    town.checkpoint(20)

    class FalseIndex(HonestDoor):
        async def pages(self, digest, after):
            rows = (await super().pages(digest, after)).copy()
            rows["leaf"]["digest"][0, 0] ^= 1
            return rows

    observer = looked(town.observer([FalseIndex(town, LIAR), *town.doors()[1:]]))
    (alarm,) = observer.alarms.new
    assert (alarm.kind, alarm.super_agent) == ("page", LIAR)
    assert observer.numbers.digest == town.fold().ledger.digest()


def forged_checkpoint(stored):
    """A checkpoint with a hundred shillings more in it."""
    said = stored.checkpoint
    return dataclasses.replace(
        said, in_circulation=said.in_circulation + 100_00, ledger_root=b"x" * 32
    )


class Showing(HonestDoor):
    """Shows these checkpoints beside what all show, or in their place."""

    def __init__(self, town, index, mine):
        super().__init__(town, index)
        self.mine = mine

    async def checkpoints(self):
        return tuple(self.mine)


def test_a_checkpoint_that_too_few_have_signed_is_not_begun_at(town):
    stored = town.checkpoint(20, signers=(1,))
    observer = looked(town.observer(town.doors()))
    assert sentences(observer) == []
    assert observer.following.from_position == 0
    forged = forged_checkpoint(stored)
    word = town.word(forged, LIAR)
    town.shown.clear()
    doors = [Showing(town, LIAR, [shown(forged, [word])]), *town.doors()[1:]]
    observer = looked(town.observer(doors))
    (alarm,) = observer.alarms.new
    assert (alarm.kind, alarm.super_agent) == ("checkpoint", LIAR)
    assert observer.numbers.digest == town.fold().ledger.digest()


def test_it_goes_on_from_a_checkpoint_once_enough_have_signed_what_it_found(town):
    observer = town.observer(town.doors())
    found = []

    async def run():
        await observer.begin()
        await observer.look()
        stored = town.checkpoint(20, signers=(1,))
        for words in ((1,), (1, 2), (1, 2, 3)):
            signed = [town.word(stored.checkpoint, signer) for signer in words]
            town.shown[:] = [shown(stored.checkpoint, signed)]
            await observer.look()
            found.append(observer.checkpoint)

    asyncio.run(run())
    observer.close()
    assert (found, sentences(observer)) == ([0, 1, 1], [])
    store = CheckpointStore(observer.folder / "checkpoints", town.genesis.network, town.committee)
    (kept,) = store.all()
    assert [word.signer for word in kept.words(town.committee)] == [1, 2, 3]


def test_words_that_nobody_gave_name_the_door_that_shows_them(town):
    stored = town.checkpoint(20)
    town.shown.clear()
    forged = forged_checkpoint(stored)
    signature = town.word(forged, 0).signature
    made_up = [
        Word(forged, 0, signature),
        Word(forged, 1, signature),
        Word(forged, 9, signature),
    ]
    doors = [*town.doors()[:3], Showing(town, 3, [shown(forged, made_up)])]
    observer = looked(town.observer(doors))
    kinds = {(alarm.kind, alarm.super_agent) for alarm in observer.alarms.new}
    assert kinds == {("words", 3), ("checkpoint", 0)}
    assert len([alarm for alarm in observer.alarms.new if alarm.kind == "words"]) == 2
    assert observer.following.from_position == 0


@pytest.mark.parametrize(
    "change",
    [
        {"ledger_root": b"x" * 32},
        {"frame_root": b"x" * 32},
        {"in_circulation": 1},
        {"accounts": 1},
        {"orders": 1},
        {"cut": b"x" * 32},
    ],
)
def test_a_signed_word_for_another_state_names_its_signer(town, change):
    stored = town.checkpoint(20)
    forged = dataclasses.replace(stored.checkpoint, **change)
    false = shown(forged, [town.word(forged, 2)])
    town.shown.append(false)
    # Who begins sees that enough have signed another one; who was there before computes it.
    begun = looked(town.observer(town.doors()))
    town.shown.clear()
    following = town.observer(town.doors())

    async def run():
        await following.begin()
        await following.look()
        town.shown.append(false)
        await following.look()

    asyncio.run(run())
    following.close()
    for observer in (begun, following):
        named = {(alarm.kind, alarm.super_agent) for alarm in observer.alarms.new}
        assert named == {("checkpoint", 2)}
        assert observer.numbers.digest == town.fold().ledger.digest()


def test_w_liars_cannot_make_a_following_observer_believe_another_root(town):
    """It computes the cut itself, whoever has signed it."""
    observer = town.observer(town.doors())

    async def run():
        await observer.begin()
        await observer.look()
        forged = forged_checkpoint(town.checkpoint(20))
        town.shown[:] = [shown(forged, [town.word(forged, signer) for signer in (0, 1)])]
        await observer.look()

    asyncio.run(run())
    observer.close()
    assert {alarm.super_agent for alarm in observer.alarms.new} == {0, 1}
    assert not list((observer.folder / "checkpoints").glob("0*"))


def test_a_document_that_is_none_names_the_door(town):
    nonsense = type(shown(town.checkpoint(20).checkpoint, []))(b"x" * 272, ())
    town.shown.clear()
    doors = [Showing(town, LIAR, [nonsense]), *town.doors()[1:]]
    observer = looked(town.observer(doors))
    (alarm,) = observer.alarms.new
    assert (alarm.kind, alarm.super_agent) == ("words", LIAR)
