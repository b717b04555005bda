"""Names among four super-agents: who keeps them, who may ask, how often, and what a liar learns.

The links are a fake that delivers at once; stores are real.
"""

import asyncio
import logging
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harambee.crypto.signatures import from_seed
from harambee.crypto.vault import SealingKey, Vault
from harambee.handset.name_checks import Question, sign_question
from harambee.handset.profiles import Profile, sign_profile
from harambee.ledger.records import ACCOUNT, AccountKind, Status, account_flags, account_number
from harambee.node.errands import Errand
from harambee.node.names import CLOCK_US_MAX, NameDesk, read_answer, write_answer
from harambee.node.port import NameAnswer, NameStatus, ProfileStatus
from harambee.node.profile_store import ProfileStore
from harambee.protocol.committee import Committee, Member
from harambee.protocol.holders import co_holders, holders
from harambee.texts.languages import Language
from harambee.texts.parties import Party

NETWORK = b"n" * 32
COMMITTEE = Committee(
    0, tuple(Member(f"member-{i}", bytes([i]) * 32, bytes(32), (i, i + 4)) for i in range(4))
)
LIMIT = 5
DAY_US = 86_400_000_000
NOON_US = 20_781 * DAY_US + 9 * 3_600_000_000
"""Noon in UTC+3."""
MIDNIGHT_US = NOON_US + DAY_US // 2
OWNER, STRANGER = from_seed(b"o" * 32), from_seed(b"s" * 32)
NUMBER = "+254712345678"
PERSON = "Given Middle Family"
ASKER = account_number(0, 16)
PAYEE = account_number(1, 17)
SHOP = account_number(2, 18)
NOBODY = account_number(3, 99)
CROWD = [account_number(place % 4, 100 + place) for place in range(12)]


class Ledger:
    """What all super-agents agree on."""

    def __init__(self):
        self.accounts = {}
        self.numbers = {NUMBER: PAYEE}
        self.paid = {}
        self.next_sequence = 0
        self.behind = None
        for number in (ASKER, PAYEE, *CROWD):
            self.open(number, AccountKind.CUSTOMER)
        self.open(SHOP, AccountKind.MERCHANT)

    def open(self, number, kind, status=Status.ACTIVE):
        record = np.zeros(1, ACCOUNT)
        record["key"] = np.frombuffer(OWNER.public, np.uint8)
        record["flags"] = account_flags(kind, status=status)
        self.accounts[number] = record

    def pay(self, payee):
        self.paid[payee] = self.next_sequence
        self.next_sequence += 1

    def ready(self):
        return self.behind

    async def account(self, number):
        return self.accounts.get(number)

    async def paid_since(self, payer, sequence):
        since = {payee: at for payee, at in self.paid.items() if at >= sequence}
        return self.next_sequence, since if payer == ASKER else {}

    async def alias(self, alias):
        return self.numbers.get(alias.decode())

    def alias_of(self, msisdn):
        return msisdn.encode()


class Scene:
    """Four desks with their stores, over links that can be cut."""

    def __init__(self, folder):
        self.folder = folder
        self.ledger = Ledger()
        self.now_us = NOON_US
        self.cut = set()
        self.frames = []
        self.desks = {}
        self.stores = {}
        self._asked = 0
        self.ask_back_every_s = 600

    def start(self, index):
        vault = Vault(SealingKey(bytes([index]) * 32))
        store = ProfileStore.open(self.folder / str(index), NETWORK, index, vault)
        desk = NameDesk(
            COMMITTEE,
            NETWORK,
            index,
            store,
            self.ledger,
            lambda peer, kind, content: self._send(index, peer, kind, content),
            LIMIT,
            lambda: self.now_us,
            retry_s=0.001,
            ask_back_every_s=self.ask_back_every_s,
        )
        self.stores[index], self.desks[index] = store, desk
        desk.start()
        for other in self.desks.values():
            other.link_up(index)

    async def stop(self, index):
        desk = self.desks.pop(index)
        await desk.stop()
        self.stores.pop(index).close()
        for other in self.desks.values():
            other.errands.lost(index)

    def _send(self, sender, peer, kind, content):
        if peer not in self.desks or self.cut & {(sender, peer), (peer, sender)}:
            return False
        self.frames.append((sender, peer, content))
        receiver = self.desks[peer].errands
        asyncio.get_running_loop().call_soon(receiver.take, sender, kind, content)
        return True

    def signed(self, account=PAYEE, version=1, key=OWNER, **changes):
        fields = {"name": PERSON, "number": NUMBER if account == PAYEE else None} | changes
        return sign_profile(key, NETWORK, Profile(account, version, **fields))

    def question(self, payee=PAYEE, asker=ASKER, key=OWNER, time_us=None):
        self._asked += 1
        at = self.now_us + self._asked if time_us is None else time_us
        return sign_question(key, NETWORK, Question(asker, payee, at))

    async def ask(self, door=3, payee=PAYEE, **changes):
        return await self.desks[door].check_name(self.question(payee, **changes))

    async def settled(self, account=PAYEE, version=1):
        """Return once all three hold this version and nothing is left to be handed over."""
        for holder in holders(COMMITTEE, account):
            while not self.holds(holder, account, version):  # noqa: ASYNC110 - a thread writes it
                await asyncio.sleep(0.001)
        home, *alternates = holders(COMMITTEE, account)
        for peer in alternates:
            while self.stores[home].undelivered(peer, 1):  # noqa: ASYNC110 - the same
                await asyncio.sleep(0.001)

    def holds(self, holder, account, version):
        signed = self.stores[holder].get(account)
        return signed is not None and int.from_bytes(signed[6:10], "little") == version


@pytest.fixture
def scene(tmp_path):
    return Scene(tmp_path)


def play(scene, story):
    async def whole():
        async with asyncio.timeout(30):
            for index in range(4):
                scene.start(index)
            try:
                await story
            finally:
                for index in list(scene.desks):
                    await scene.stop(index)

    asyncio.run(whole())


def test_everybody_computes_who_holds_a_profile():
    assert holders(COMMITTEE, account_number(1, 17)) == (1, 2, 3)
    assert holders(COMMITTEE, account_number(7, 17)) == (3, 0, 1)
    assert holders(COMMITTEE, account_number(8, 17)) == ()
    assert co_holders(COMMITTEE, 0) == {1, 2, 3}
    seven = Committee(0, tuple(Member(str(i), bytes([i]), bytes(32), (i,)) for i in range(7)))
    assert co_holders(seven, 0) == {5, 6, 1, 2}
    two = Committee(0, COMMITTEE.members[:2])
    assert holders(two, account_number(1, 17)) == (1, 0)
    assert holders(Committee(0, COMMITTEE.members[:1]), 17) == (0,)


def test_texts_name_those_whose_profiles_lie_here_in_the_language_they_chose(scene):
    async def story():
        signed = scene.signed(language=Language.SWAHILI)
        assert await scene.desks[0].keep_profile(signed) is ProfileStatus.KEPT
        await scene.settled()
        for index, desk in scene.desks.items():
            known = await desk.parties([PAYEE, ASKER, 99])
            shown = Party(PAYEE, "GIVEN F.", NUMBER, Language.SWAHILI)
            assert known == ({PAYEE: shown} if index in holders(COMMITTEE, PAYEE) else {})
        scene.ledger.numbers[NUMBER] = SHOP
        moved = await scene.desks[holders(COMMITTEE, PAYEE)[0]].parties([PAYEE])
        assert moved[PAYEE].number is None

    play(scene, story())


@pytest.mark.parametrize("door", range(4))
def test_a_profile_comes_to_its_three_holders_whoever_takes_it_in(scene, door):
    async def story():
        signed = scene.signed(language=Language.SWAHILI)
        assert await scene.desks[door].keep_profile(signed) is ProfileStatus.KEPT
        await scene.settled()
        assert [scene.stores[index].get(PAYEE) for index in range(4)] == [None, *[signed] * 3]
        assert await scene.desks[door].keep_profile(signed) is ProfileStatus.SAME

    play(scene, story())


def test_a_profile_reaches_an_alternate_that_was_down_and_a_home_that_was_restarted(scene):
    async def story():
        await scene.stop(2)
        await scene.stop(3)
        assert await scene.desks[1].keep_profile(scene.signed()) is ProfileStatus.KEPT
        assert scene.stores[1].undelivered(2, 9) == [(PAYEE, 1)]
        await scene.stop(1)
        for index in (3, 1, 2):
            scene.start(index)
        await scene.settled()

    play(scene, story())


def test_an_alternate_that_has_yet_to_hear_of_the_account_is_asked_again(scene):
    async def story():
        known = scene.ledger.accounts.pop(PAYEE)
        assert await scene.desks[1].keep_profile(scene.signed()) is ProfileStatus.ACCOUNT_UNKNOWN
        scene.stores[1].put(PAYEE, 1, scene.signed(), (2, 3))
        scene.desks[1].link_up(2)
        scene.desks[1].link_up(3)
        await asyncio.sleep(0.02)
        assert scene.stores[2].get(PAYEE) is None
        scene.ledger.accounts[PAYEE] = known
        await scene.settled()

    play(scene, story())


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"key": STRANGER}, ProfileStatus.UNSIGNED),
        ({"account": NOBODY}, ProfileStatus.ACCOUNT_UNKNOWN),
        ({"account": account_number(9, 1)}, ProfileStatus.ACCOUNT_UNKNOWN),
        ({"number": "+254799999999"}, ProfileStatus.NUMBER_WRONG),
        ({"account": ASKER, "number": NUMBER}, ProfileStatus.NUMBER_WRONG),
    ],
)
def test_only_the_owner_writes_and_only_of_her_own_number(scene, changes, status):
    async def story():
        for desk in scene.desks.values():
            assert await desk.keep_profile(scene.signed(**changes)) is status
        assert all(store.count() == 0 for store in scene.stores.values())

    play(scene, story())


def test_versions_only_go_up_and_a_name_stays(scene):
    async def story():
        home = scene.desks[1]
        assert await home.keep_profile(scene.signed(version=2)) is ProfileStatus.KEPT
        assert await home.keep_profile(scene.signed(version=1)) is ProfileStatus.OLDER
        again = scene.signed(version=2, language=Language.SWAHILI)
        assert await home.keep_profile(again) is ProfileStatus.OLDER
        other = scene.signed(version=3, name="Power Company")
        assert await home.keep_profile(other) is ProfileStatus.NAME_FIXED
        newer = scene.signed(version=3, language=Language.SWAHILI)
        assert await home.keep_profile(newer) is ProfileStatus.KEPT
        await scene.settled(version=3)

    play(scene, story())


def test_a_holder_takes_a_copy_from_those_who_hold_it_too_alone(scene):
    async def story():
        signed, forged = scene.signed(), scene.signed(key=STRANGER)
        second = scene.desks[2]
        assert await second.keep_copy(signed, 0) is ProfileStatus.NOT_HELD_HERE
        assert await scene.desks[0].keep_copy(signed, 1) is ProfileStatus.NOT_HELD_HERE
        assert await second.keep_profile(signed, 1) is ProfileStatus.NOT_HELD_HERE
        for sender in (1, 3):
            assert await second.keep_copy(forged, sender) is ProfileStatus.UNSIGNED
        assert await second.keep_copy(signed, 1) is ProfileStatus.KEPT
        assert await second.keep_copy(signed, 3) is ProfileStatus.SAME
        assert await second.keep_copy(signed[:-1], 1) is ProfileStatus.INVALID
        renamed = scene.signed(version=2, name="Power Company")
        assert await second.keep_copy(renamed, 3) is ProfileStatus.NAME_FIXED
        far = scene.signed(account_number(9, 1))
        assert await second.keep_copy(far, 1) is ProfileStatus.NOT_HELD_HERE

    play(scene, story())


@pytest.mark.parametrize("down", [None, 0, 1, 2, 3])
def test_a_name_is_found_through_every_door_with_any_one_down(scene, down):
    async def story():
        await scene.desks[1].keep_profile(scene.signed())
        await scene.settled()
        if down is not None:
            await scene.stop(down)
        for door in scene.desks:
            answer = await scene.ask(door)
            assert (answer.status, answer.name) == (NameStatus.KNOWN, "GIVEN F.")
            assert answer.number == "0712***678"

    play(scene, story())


def test_with_all_holders_down_a_question_is_not_answered_and_does_not_count(scene):
    async def story():
        await scene.desks[1].keep_profile(scene.signed())
        await scene.settled()
        for index in (1, 2, 3):
            await scene.stop(index)
        assert (await scene.ask(0)).status is NameStatus.UNAVAILABLE
        assert scene.stores[0].checks(20_781, ASKER).payees == ()

    play(scene, story())


def test_a_home_that_lost_its_store_does_not_hide_the_name(scene):
    async def story():
        await scene.desks[1].keep_profile(scene.signed())
        await scene.settled()
        with scene.stores[1]._writing() as transaction:
            transaction.drop(scene.stores[1]._profiles, delete=False)
        assert (await scene.ask()).name == "GIVEN F."

    play(scene, story())


@pytest.mark.parametrize("lost", [1, 2, 3])
def test_who_has_lost_its_store_gets_everything_back_from_the_others(scene, lost):
    scene.ask_back_every_s = 0

    async def story():
        await name_the_crowd(scene)
        await scene.desks[1].keep_profile(scene.signed())
        await scene.settled()
        before = {account: scene.stores[lost].get(account) for account in (*CROWD, PAYEE)}
        assert any(before.values())
        await scene.stop(lost)
        shutil.rmtree(scene.folder / str(lost))
        scene.start(lost)
        while before != {account: scene.stores[lost].get(account) for account in before}:  # noqa: ASYNC110
            await asyncio.sleep(0.001)

    play(scene, story())


def test_everything_is_sent_again_to_one_that_shares_it_and_not_too_often(scene):
    async def story():
        await name_the_crowd(scene)
        for peer in range(3):
            while not scene.stores[peer].has_asked(3):  # noqa: ASYNC110 - a thread writes it
                await asyncio.sleep(0.001)
        again = await scene.desks[0].errands.ask(3, Errand.SEND_PROFILES, b"", 60)
        assert again == bytes([ProfileStatus.UNAVAILABLE])
        assert scene.stores[3].undelivered_count() == 0

    play(scene, story())


def test_a_shop_is_shown_in_whole_and_without_a_number(scene):
    async def story():
        await scene.desks[2].keep_profile(scene.signed(SHOP, name="The Corner Shop"))
        answer = await scene.ask(payee=SHOP)
        assert (answer.name, answer.number) == ("THE CORNER SHOP", None)

    play(scene, story())


def test_a_number_that_went_to_somebody_else_is_not_shown(scene):
    async def story():
        await scene.desks[1].keep_profile(scene.signed())
        scene.ledger.numbers[NUMBER] = SHOP
        answer = await scene.ask()
        assert (answer.name, answer.number) == ("GIVEN F.", None)

    play(scene, story())


def test_who_has_no_name_and_who_is_nobody(scene):
    async def story():
        for _ in range(2 * LIMIT):
            assert (await scene.ask(payee=CROWD[0])).status is NameStatus.NONE
            assert (await scene.ask(payee=NOBODY)).status is NameStatus.PAYEE_UNKNOWN
            far = account_number(9, 1)
            assert (await scene.ask(payee=far)).status is NameStatus.PAYEE_UNKNOWN

    play(scene, story())


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"key": STRANGER}, NameStatus.UNSIGNED),
        ({"asker": NOBODY}, NameStatus.ASKER_UNKNOWN),
        ({"asker": account_number(0, 1)}, NameStatus.ASKER_UNKNOWN),
        ({"asker": CROWD[0]}, NameStatus.ASKER_UNKNOWN),
        ({"time_us": NOON_US + CLOCK_US_MAX + 1}, NameStatus.CLOCK_WRONG),
        ({"time_us": NOON_US - CLOCK_US_MAX - 1}, NameStatus.CLOCK_WRONG),
    ],
)
def test_only_the_owner_of_an_account_may_ask_and_only_now(scene, changes, status):
    async def story():
        scene.ledger.open(account_number(0, 1), AccountKind.REVENUE)
        scene.ledger.open(CROWD[0], AccountKind.CUSTOMER, Status.FROZEN)
        await scene.desks[1].keep_profile(scene.signed())
        for door in scene.desks:
            assert (await scene.ask(door, **changes)).status is status

    play(scene, story())


def test_bytes_that_are_no_question(scene):
    async def story():
        for garbage in (b"", b"x" * 79, b"x" * 81):
            assert (await scene.desks[0].check_name(garbage)).status is NameStatus.UNSIGNED
        assert (await scene.desks[0].check_name(b"\0" * 80)).status is NameStatus.ASKER_UNKNOWN

    play(scene, story())


async def name_the_crowd(scene):
    for account in CROWD:
        home = holders(COMMITTEE, account)[0]
        await scene.desks[home].keep_profile(scene.signed(account, name=f"Number {account}"))
    for account in CROWD:
        await scene.settled(account)


def test_five_unpaid_questions_through_whatever_doors_and_then_a_lock(scene):
    async def story():
        await name_the_crowd(scene)
        for place in range(LIMIT):
            answer = await scene.ask(place % 4, CROWD[place])
            assert answer.status is NameStatus.KNOWN
        for door in range(4):
            assert (await scene.ask(door, CROWD[LIMIT])).status is NameStatus.LOCKED
            assert (await scene.ask(door, CROWD[0])).status is NameStatus.LOCKED
        other = await scene.ask(0, CROWD[0], asker=CROWD[11])
        assert other.status is NameStatus.KNOWN, "nobody else is locked"

    play(scene, story())


def test_questions_that_a_payment_followed_do_not_count(scene):
    async def story():
        await name_the_crowd(scene)
        for account in CROWD:
            assert (await scene.ask(payee=account)).status is NameStatus.KNOWN
            scene.ledger.pay(account)
        unpaid = [(await scene.ask(payee=account)).status for account in CROWD]
        assert unpaid == [NameStatus.KNOWN] * LIMIT + [NameStatus.LOCKED] * (len(CROWD) - LIMIT)

    play(scene, story())


def test_the_count_begins_anew_at_midnight_in_nairobi(scene):
    async def story():
        await name_the_crowd(scene)
        scene.now_us = MIDNIGHT_US - 1_000_000
        for place in range(LIMIT):
            await scene.ask(payee=CROWD[place])
        kept = scene.question(CROWD[0])
        assert (await scene.ask(payee=CROWD[LIMIT])).status is NameStatus.LOCKED
        scene.now_us = MIDNIGHT_US
        late = await scene.desks[3].check_name(kept)
        assert late.status is NameStatus.CLOCK_WRONG, "yesterday's question is not today's"
        for place in range(LIMIT):
            assert (await scene.ask(payee=CROWD[place])).status is NameStatus.KNOWN
        assert (await scene.ask(payee=CROWD[LIMIT])).status is NameStatus.LOCKED

    play(scene, story())


def test_a_question_is_answered_once(scene):
    async def story():
        await scene.desks[1].keep_profile(scene.signed())
        question = scene.question()
        assert (await scene.desks[3].check_name(question)).status is NameStatus.KNOWN
        for desk in scene.desks.values():
            assert (await desk.check_name(question)).status is NameStatus.REPLAYED

    play(scene, story())


def test_while_the_home_is_down_another_counts_and_three_counts_are_the_most(scene):
    async def story():
        await name_the_crowd(scene)
        known = 0
        for down in (None, 0, 1):
            if down is not None:
                await scene.stop(down)
            for account in (account for account in CROWD if 3 in holders(COMMITTEE, account)):
                known += (await scene.ask(2, account)).status is NameStatus.KNOWN
        assert LIMIT < known <= 3 * LIMIT

    play(scene, story())


def test_an_alternate_leaves_the_count_to_the_home_while_it_can_reach_it(scene):
    async def story():
        await name_the_crowd(scene)
        scene.cut = {(0, 3)}
        for place in range(LIMIT):
            assert (await scene.ask(3, CROWD[place])).status is NameStatus.KNOWN
        assert (await scene.ask(3, CROWD[LIMIT])).status is NameStatus.LOCKED
        assert len(scene.stores[0].checks(20_781, ASKER).payees) == LIMIT
        assert scene.stores[1].checks(20_781, ASKER).payees == ()

    play(scene, story())


def test_who_is_behind_leaves_the_count_to_another(scene):
    async def story():
        await scene.desks[1].keep_profile(scene.signed())
        scene.ledger.behind = "It reads what it missed."
        assert (await scene.ask()).status is NameStatus.UNAVAILABLE

    play(scene, story())


def test_a_storm_of_questions_of_one_account_teaches_it_no_more_than_five_names(scene):
    async def story():
        await name_the_crowd(scene)
        questions = [scene.question(CROWD[place % len(CROWD)]) for place in range(1_000)]
        answers = await asyncio.gather(
            *[
                scene.desks[place % 4].check_name(question)
                for place, question in enumerate(questions)
            ]
        )
        names = {answer.name for answer in answers if answer.status is NameStatus.KNOWN}
        assert 1 <= len(names) <= LIMIT
        assert not any(desk._asking or desk._checking for desk in scene.desks.values())
        assert sum(store.rows_of_checks() for store in scene.stores.values()) == 1

    play(scene, story())


def test_a_super_agent_that_does_not_hold_the_askers_profile_is_told_nothing(scene):
    async def story():
        await scene.desks[1].keep_profile(scene.signed())
        await scene.settled()
        question = scene.question()
        for holder in (1, 2):
            # The asker is of region 0, which 0, 1 and 2 count; 3 is a stranger to it.
            said = await scene.desks[3].errands.ask(holder, Errand.TELL_NAME, question, 60)
            assert read_answer(said).status is NameStatus.NOT_HELD_HERE
            said = await scene.desks[0].errands.ask(holder, Errand.TELL_NAME, question, 60)
            assert read_answer(said).name == "GIVEN F."
        forged = scene.question(key=STRANGER)
        said = await scene.desks[0].errands.ask(1, Errand.TELL_NAME, forged, 60)
        assert read_answer(said).status is NameStatus.UNSIGNED
        said = await scene.desks[1].errands.ask(0, Errand.TELL_NAME, question, 60)
        assert read_answer(said).status is NameStatus.NOT_HELD_HERE
        said = await scene.desks[0].errands.ask(3, Errand.CHECK_NAME, question, 60)
        assert read_answer(said).status is NameStatus.NOT_HELD_HERE
        said = await scene.desks[0].errands.ask(1, Errand.TELL_NAME, b"?", 60)
        assert read_answer(said).status is NameStatus.UNSIGNED

    play(scene, story())


def test_a_store_that_fails_is_unavailable_and_no_bug(scene, caplog):
    async def story():
        await scene.desks[1].keep_profile(scene.signed())
        await scene.settled()
        for index in (0, 1):
            scene.stores[index].close()
        answer = await scene.ask(3)
        assert (answer.status, answer.name) == (NameStatus.KNOWN, "GIVEN F.")

    play(scene, story())
    assert "cannot be served" in caplog.text


def test_nothing_of_a_person_is_logged(scene, caplog):
    caplog.set_level(logging.DEBUG)

    async def story():
        await scene.desks[1].keep_profile(scene.signed())
        await scene.desks[1].keep_profile(scene.signed(key=STRANGER))
        await scene.settled()
        forged = scene.signed(version=2, key=STRANGER)
        scene.stores[1].put(PAYEE, 2, forged, (2,))
        scene.desks[1].link_up(2)
        while scene.stores[1].undelivered(2, 1):  # noqa: ASYNC110 - a thread writes it
            await asyncio.sleep(0.001)
        for door in range(4):
            await scene.ask(door)

    play(scene, story())
    assert "refuses a profile" in caplog.text
    for secret in ("given", "family", "712345678", "0712***678"):
        assert secret not in caplog.text.lower()


@given(st.binary(max_size=600))
def test_whatever_a_peer_answers_is_an_answer_that_can_be_shown(content):
    answer = read_answer(content)
    assert (answer.status is NameStatus.KNOWN) == bool(answer.name)
    assert f"{answer.name}{answer.number}".isprintable()


@given(st.sampled_from(NameStatus), st.text(max_size=60), st.text(max_size=12))
def test_an_answer_is_read_as_it_was_written_or_not_at_all(status, name, number):
    answer = NameAnswer(status, name or None, number or None)
    try:
        content = write_answer(answer)
    except UnicodeEncodeError:
        return
    assert read_answer(content) in (answer, NameAnswer(NameStatus.UNAVAILABLE))
