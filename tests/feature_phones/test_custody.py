"""Home and alternates: who signs, who may not, and that three wrong PINs are three wherever they come."""

import asyncio

import pytest
from tests.feature_phones.village import (
    BEN,
    NUMBER,
    PIN,
    SHOP,
    SMART,
    Village,
    village_of,
)

from harambee.feature_phones.messages import Act, Deed, Done, Fate, Matter, OfAccount, write
from harambee.feature_phones.port import NewPhone, Obstacle, PhonesError
from harambee.handset.orders import OrderBody, fee_of
from harambee.ledger.kinds import OrderKind
from harambee.ledger.outcomes import Outcome
from harambee.ledger.records import CUSTODIAL_BIT
from harambee.texts.languages import Language

WRONG = "1357"
HOME, FIRST, SECOND, STRANGER = range(4)


def pay(village, cents=10_000, pin=PIN, first=0, payee=BEN, kind=OrderKind.SEND, **more):
    fee = more.pop("fee", None)
    return Act(
        village.account,
        Deed.PAY,
        pin,
        first_sequence=first,
        kind=int(kind),
        payee=payee,
        amount_cents=cents,
        fee_cents=fee_of(village.tariff, kind, cents) if fee is None else fee,
        **more,
    )


def balance(village, pin=PIN):
    return Act(village.account, Deed.BALANCE, pin)


def story(tmp_path, tell, **more):
    async def run():
        async with village_of(tmp_path, **more) as village:
            await tell(village)

    asyncio.run(run())


def test_a_phone_is_registered_with_a_custodial_key_that_three_hold(tmp_path):
    async def tell(village: Village):
        account = village.accounts[village.account]
        assert account.flags & CUSTODIAL_BIT
        keys = [village.desks[i].custody.store.keys(village.account) for i in range(4)]
        assert keys[HOME] == keys[FIRST] == keys[SECOND]
        assert [row.maker for row in keys[HOME]] == [HOME]
        assert keys[HOME][0].keypair.public == account.key
        assert keys[STRANGER] == []
        assert len(village.profiles) == 1

    story(tmp_path, tell)


def test_the_home_pays_through_any_door(tmp_path):
    async def tell(village):
        first = village.accounts[village.account].next_sequence
        done = await village.desks[STRANGER].act(pay(village, first=first))
        assert (done.fate, len(done.code)) == (Fate.DONE, 10)
        assert village.accounts[BEN].balance_cents == 1_010_000
        assert [index for index, _ in village.offered] == [HOME]

    story(tmp_path, tell)


def test_the_same_payment_since_she_began_is_one_payment(tmp_path):
    async def tell(village):
        for door in (STRANGER, HOME, STRANGER):
            done = await village.desks[door].act(pay(village))
            assert done.fate is Fate.DONE
        assert village.accounts[BEN].balance_cents == 1_010_000
        # Another payment since then: what she was shown is not true any more.
        assert (await village.desks[HOME].act(pay(village, 5_000))).fate is Fate.STALE

    story(tmp_path, tell)


def test_three_wrong_pins_lock_over_home_and_alternates_together(tmp_path):
    async def tell(village):
        desks = village.desks
        assert await desks[STRANGER].act(balance(village, WRONG)) == Done(
            Fate.WRONG_PIN, tries_left=2
        )
        village.stop(HOME)
        assert await desks[STRANGER].act(balance(village, WRONG)) == Done(
            Fate.WRONG_PIN, tries_left=1
        )
        village.start(HOME)
        village.stop(FIRST)
        assert await desks[STRANGER].act(balance(village, WRONG)) == Done(Fate.LOCKED)
        for absent in (HOME, SECOND, FIRST):
            for index in range(3):
                if index not in desks:
                    village.start(index)
            village.stop(absent)
            assert await desks[STRANGER].act(balance(village)) == Done(Fate.LOCKED)
            assert (await desks[STRANGER].act(pay(village))).fate is Fate.LOCKED
        assert village.offered == []

    story(tmp_path, tell)


def test_a_right_pin_forgets_the_wrong_ones_before_it_and_an_operator_unlocks(tmp_path):
    async def tell(village):
        desk = village.desks[HOME]
        for _ in range(2):
            for left in (2, 1):
                done = await desk.act(balance(village, WRONG))
                assert (done.fate, done.tries_left) == (Fate.WRONG_PIN, left)
            assert (await desk.act(balance(village))).fate is Fate.DONE
        for _ in range(3):
            await desk.act(balance(village, WRONG))
        assert (await desk.act(balance(village))).fate is Fate.LOCKED
        with pytest.raises(PhonesError, match="agent-0, agent-1, agent-2"):
            await village.desks[STRANGER].unlock(NUMBER)
        assert await village.desks[FIRST].unlock(NUMBER) == village.account
        assert (await desk.act(balance(village))).fate is Fate.DONE

    story(tmp_path, tell)


def test_with_one_holder_left_no_pin_is_looked_at(tmp_path):
    async def tell(village):
        village.stop(HOME)
        village.stop(FIRST)
        for pin in (PIN, WRONG):
            done = await village.desks[STRANGER].act(balance(village, pin))
            assert done.fate is Fate.UNAVAILABLE
        village.start(FIRST)
        assert (await village.desks[STRANGER].act(balance(village))).fate is Fate.DONE
        village.stop(FIRST)
        with pytest.raises(PhonesError):
            await village.desks[SECOND].unlock(NUMBER)

    story(tmp_path, tell)


def test_home_down_the_alternate_takes_over_by_a_final_order_and_pays(tmp_path):
    async def tell(village):
        village.stop(HOME)
        done = await village.desks[STRANGER].act(pay(village))
        assert done.fate is Fate.DONE
        assert [(who, body.kind) for who, body in village.offered] == [
            (FIRST, OrderKind.CHANGE_KEY),
            (FIRST, OrderKind.SEND),
        ]
        assert village.accounts[village.account].flags & CUSTODIAL_BIT
        # The account stays with the alternate while the home is away, and no second change is needed.
        assert (await village.desks[SECOND].act(pay(village, 20_000, first=2))).fate is Fate.DONE
        assert len(village.finals(village.account, OrderKind.CHANGE_KEY)) == 1

    story(tmp_path, tell)


def test_the_home_that_comes_back_signs_nothing_before_the_account_is_its_again(tmp_path):
    async def tell(village):
        old = village.accounts[village.account].key
        village.stop(HOME)
        assert (await village.desks[STRANGER].act(pay(village))).fate is Fate.DONE
        village.start(HOME)
        village.offered.clear()
        # Its key is not the account's: with the alternate's it signs one change, and then with its own.
        assert (await village.desks[STRANGER].act(pay(village, 20_000, first=2))).fate is Fate.DONE
        assert [(who, body.kind) for who, body in village.offered] == [
            (HOME, OrderKind.CHANGE_KEY),
            (HOME, OrderKind.SEND),
        ]
        assert village.accounts[village.account].key == old
        assert (await village.desks[FIRST].act(pay(village, 5_000, first=4))).fate is Fate.DONE
        assert village.offered[-1][0] == HOME
        assert len(village.offered) == 3

    story(tmp_path, tell)


def test_an_alternate_does_nothing_while_the_home_serves_whatever_a_door_says(tmp_path):
    async def tell(village):
        village.cut = {(STRANGER, HOME)}
        assert (await village.desks[STRANGER].act(pay(village))).fate is Fate.BUSY
        assert village.offered == []

    story(tmp_path, tell)


def test_what_the_home_had_signed_and_told_nobody_is_paid_once(tmp_path):
    async def tell(village):
        village.mute = {HOME}
        assert (await village.desks[STRANGER].act(pay(village))).fate is Fate.SENT
        village.stop(HOME)
        # She dials the same again: the alternate takes over in the very slot, and pays behind it.
        assert (await village.desks[STRANGER].act(pay(village))).fate is Fate.DONE
        # The home's order comes late, and is dead.
        assert set(village.let_out()) <= {Outcome.SEQUENCE_STALE, Outcome.SIGNATURE_INVALID}
        village.mute = set()
        village.start(HOME)
        await village.finished(HOME)
        assert village.desks[HOME].custody.store.all_pending() == []
        assert village.accounts[BEN].balance_cents == 1_010_000
        assert len(village.finals(village.account, OrderKind.SEND)) == 1

    story(tmp_path, tell)


def test_what_the_home_had_signed_and_is_final_is_not_paid_again(tmp_path):
    async def tell(village):
        village.mute = {HOME}
        assert (await village.desks[STRANGER].act(pay(village))).fate is Fate.SENT
        village.stop(HOME)
        assert village.let_out() == [Outcome.ACCEPTED]
        assert (await village.desks[STRANGER].act(pay(village))).fate is Fate.DONE
        assert len(village.finals(village.account, OrderKind.SEND)) == 1

    story(tmp_path, tell)


def test_who_is_asked_to_let_go_and_has_an_order_on_its_way_does_not(tmp_path):
    async def tell(village):
        village.stop(HOME)
        assert (await village.desks[STRANGER].act(pay(village))).fate is Fate.DONE
        village.mute = {FIRST}
        assert (await village.desks[STRANGER].act(pay(village, 5_000, first=2))).fate is Fate.SENT
        village.start(HOME)
        assert (await village.desks[STRANGER].act(pay(village, 20_000, first=2))).fate is Fate.BUSY
        village.mute = set()
        await village.finished(FIRST)
        done = await village.desks[STRANGER].act(pay(village, 20_000, first=3))
        assert done.fate is Fate.DONE
        assert village.offered[-1][0] == HOME

    story(tmp_path, tell)


def test_a_holder_that_let_go_signs_nothing_for_a_while(tmp_path):
    async def tell(village):
        home = village.desks[HOME].custody
        let_go = await home.serve(FIRST, Matter.RELEASE, write(OfAccount(village.account)))
        assert let_go == b"\1"
        assert (await village.desks[HOME].act(pay(village))).fate is Fate.BUSY

    story(tmp_path, tell)


def test_an_alternate_that_missed_everything_is_told_by_the_others(tmp_path):
    async def tell(village):
        village.stop(SECOND)
        village.account = await village.desks[HOME].register(
            NewPhone("+254712000009", "Customer Two", PIN, Language.SWAHILI)
        )
        village.credit(village.account, 100_000)
        village.start(SECOND)
        village.stop(HOME)
        village.cut = {(STRANGER, FIRST)}
        # The first alternate can be reached by the second, which therefore leaves it to that one.
        assert (await village.desks[STRANGER].act(balance(village))).fate is Fate.BUSY
        village.cut = set()
        assert (await village.desks[STRANGER].act(balance(village))).fate is Fate.DONE
        assert village.desks[SECOND].custody.store.pin(village.account) is not None
        caller = await village.desks[SECOND].caller("+254712000009")
        assert caller.language is Language.SWAHILI

    story(tmp_path, tell)


def test_a_new_pin_counts_at_all_three_also_where_it_was_missed(tmp_path):
    async def tell(village):
        village.stop(SECOND)
        changed = Act(village.account, Deed.NEW_PIN, PIN, new_pin="8642")
        assert (await village.desks[HOME].act(changed)).fate is Fate.DONE
        weak = Act(village.account, Deed.NEW_PIN, "8642", new_pin="1111")
        assert (await village.desks[HOME].act(weak)).fate is Fate.WEAK_PIN
        village.start(SECOND)
        village.stop(HOME)
        village.desks[FIRST].custody.ground.ready = lambda: "it reads its journal"
        # The second alternate acts; it has missed the change, and learns of it before it looks.
        assert village.desks[SECOND].custody.store.pin(village.account).version == 1
        assert await village.desks[STRANGER].act(balance(village)) == Done(
            Fate.WRONG_PIN, tries_left=2
        )
        assert village.desks[SECOND].custody.store.pin(village.account).version == 2
        assert (await village.desks[STRANGER].act(balance(village, "8642"))).fate is Fate.DONE

    story(tmp_path, tell)


def test_too_little_money_a_wrong_price_and_limits_sign_nothing(tmp_path):
    async def tell(village):
        desk = village.desks[STRANGER]
        village.credit(village.account, 9_999)
        done = await desk.act(pay(village))
        assert (done.fate, done.available_cents) == (Fate.FUNDS, 9_999)
        assert (await desk.act(pay(village, fee=1))).fate is Fate.STALE
        done = await desk.act(pay(village, payee=village.account))
        assert (done.fate, done.outcome) == (Fate.REFUSED, Outcome.PAYEE_UNKNOWN)
        done = await desk.act(pay(village, payee=SHOP))
        assert done.fate is Fate.REFUSED
        assert village.offered == []

    story(tmp_path, tell)


def test_a_refused_order_is_cancelled_and_the_next_one_goes(tmp_path):
    async def tell(village):
        account = village.account
        village.desks[HOME].custody.ground.today = lambda: 20_778  # its clock is three days behind
        done = await village.desks[HOME].act(pay(village))
        assert done.fate in (Fate.SENT, Fate.REFUSED)
        del village.desks[HOME].custody.ground.today
        await village.finished(HOME)
        assert [body.kind for body in village.finals(account)] == [OrderKind.CANCEL]
        assert (await village.desks[HOME].act(pay(village))).fate is Fate.DONE
        assert village.accounts[BEN].balance_cents == 1_010_000

    story(tmp_path, tell)


def test_only_holders_are_told_what_is_kept(tmp_path):
    async def tell(village):
        home = village.desks[HOME].custody
        asked = write(OfAccount(village.account))
        for matter in (Matter.ROWS, Matter.TRIES):
            assert await home.serve(STRANGER, matter, asked) == b""
            assert await home.serve(FIRST, matter, asked)
        assert await home.serve(STRANGER, Matter.RELEASE, asked) == b"\0"
        assert await home.serve(FIRST, Matter.ACT, b"\x91") == b""

    story(tmp_path, tell)


def test_who_has_a_key_of_her_own_is_nobodys_to_sign_for(tmp_path):
    async def tell(village):
        assert await village.desks[HOME].caller("+254733000001") is Obstacle.OWN_KEY
        act = Act(SMART, Deed.BALANCE, PIN)
        assert (await village.desks[HOME].act(act)).fate is Fate.NOT_HERE

    story(tmp_path, tell)


def test_no_text_of_what_is_kept_shows_a_secret(tmp_path):
    async def tell(village):
        rows = await village.desks[HOME].custody.holding.rows(village.account)
        shown = repr(rows) + repr(pay(village)) + repr(NewPhone(NUMBER, "A", PIN, Language.ENGLISH))
        assert PIN not in shown
        assert repr(rows.keys[0].seed) not in shown
        assert repr(rows.pin.verifier) not in shown
        raw = b"".join(
            file.read_bytes() for file in (tmp_path / "0").iterdir() if file.name == "data.mdb"
        )
        assert rows.keys[0].seed not in raw
        assert rows.pin.verifier not in raw

    story(tmp_path, tell)


def test_the_body_of_a_change_says_that_the_key_is_kept_for_her(tmp_path):
    async def tell(village):
        village.stop(HOME)
        await village.desks[STRANGER].act(pay(village))
        (change,) = village.finals(village.account, OrderKind.CHANGE_KEY)
        assert isinstance(change, OrderBody)
        assert (change.amount_cents, change.fee_cents, change.options[1] & 8) == (0, 0, 8)

    story(tmp_path, tell)
