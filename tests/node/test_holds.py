"""Holds and reversals through the port of four super-agents: what is told while they last and afterwards."""

import asyncio
from dataclasses import replace

import numpy as np
from tests.node.test_courier import Port, all_steps, courier_of
from tests.node.test_runner import WAIT_MS, journey, payment, people, same_digests

from harambee.handset.holds import (
    HoldView,
    hold_options,
    release_of,
    slot_reference,
    void_of,
)
from harambee.handset.orders import OrderBody, order_id, sign_order, today
from harambee.handset.receipt_code import code_of
from harambee.ledger.kinds import OrderKind
from harambee.ledger.outcomes import Outcome
from harambee.ledger.records import ORDER, SEQUENCE_LAST, region_of
from harambee.money.tariff import FeeMode, FeeTable
from harambee.node import originals
from harambee.node.journal import JournalDamaged
from harambee.node.originals import Originals
from harambee.node.port import State

CENTS = 50_000


def signed(folder, person, body):
    return np.frombuffer(sign_order(person.keypair, folder.genesis.network, body), ORDER)


def hold_of(folder, payer, payee, cents=CENTS, sequence=0, authorisation=False):
    """A hold, and how a handset sees it."""
    tariff = folder.genesis.tariffs[-1]
    fee = tariff.fee_cents(FeeTable.SEND, cents)
    options = hold_options(OrderKind.SEND, 1, FeeMode.PAYER, authorisation=authorisation)
    body = OrderBody(
        payer.account,
        payee.account,
        cents,
        fee,
        sequence,
        OrderKind.HOLD,
        tariff.version,
        today(),
        options,
    )
    view = HoldView(
        payer.account,
        sequence,
        payee.account,
        cents,
        fee,
        tariff.version,
        body.day,
        1,
        OrderKind.SEND,
        FeeMode.PAYER,
        authorisation,
    )
    return signed(folder, payer, body), view


async def became(port, order, wait_ms=WAIT_MS):
    told = await port.submit(order, {}, wait_ms)
    return State(told.states[0]), Outcome(told.outcomes[0])


FINAL = State.FINAL, Outcome.ACCEPTED


def test_a_hold_is_told_from_its_beginning_to_its_end(tmp_path):
    async def story(folder, ports):
        ann, ben = people(folder)[:2]
        order, view = hold_of(folder, ann, ben)
        key = ann.account, 0
        assert await ports[0].hold(*key, 0) is None
        assert (await ports[0].ending(key, 0, 0)).state is State.UNKNOWN
        assert await became(ports[0], order) == FINAL
        await same_digests(ports)
        for port in ports:
            facts = await port.hold(*key, 0)
            assert (facts.order, facts.slot, facts.ending) == (order.tobytes(), 0, None)
            for account in (ann.account, ben.account):
                (row,) = await port.holds(account, 9, None)
                assert (row.payer, row.sequence, row.terms.amount_cents) == (*key, CENTS)
            assert await port.holds(ann.account, 9, key) == []
        waiting = asyncio.create_task(ports[3].ending(key, 0, WAIT_MS))
        release = signed(folder, ann, release_of(view, ann.account, CENTS, view.fee_cents, today()))
        assert await became(ports[1], release) == FINAL
        assert (await waiting).order == release.tobytes()
        await same_digests(ports)
        for port in ports:
            facts = await port.hold(*key, 0)
            assert (facts.slot, facts.ending) == (SEQUENCE_LAST, release.tobytes())
            assert await port.holds(ben.account, 9, None) == []
            # Brought again, it is the one that is final; the rival is not.
            assert await became(port, release) == FINAL
            void = signed(folder, ben, void_of(view, ben.account, today()))
            assert await became(port, void) == (State.REFUSED, Outcome.HOLD_UNKNOWN)
            regions = folder.genesis.regions
            assert code_of(facts.ending, regions) == code_of(facts.order, regions)

    journey(tmp_path, story)


def test_the_end_of_one_hold_among_many_between_the_same_two_is_found(tmp_path):
    async def story(folder, ports):
        ann, ben, cyd = people(folder)[:3]
        port = ports[0]
        views, ends = [], []
        for sequence in range(3):
            order, view = hold_of(folder, ann, ben, 10_000 * (sequence + 1), sequence)
            assert await became(port, order) == FINAL
            views.append(view)
        await port.submit(payment(folder, ann, cyd, 10_000, 3), {}, WAIT_MS)
        for view in (views[2], views[0], views[1]):
            void = signed(folder, ben, void_of(view, ben.account, today()))
            assert await became(port, void) == FINAL
            ends.append((view.sequence, void.tobytes()))
        for sequence, void in ends:
            facts = await port.hold(ann.account, sequence, 0)
            assert facts.ending == void
        assert await port.hold(ann.account, 3, 0) is None
        assert (await port.ending((ann.account, 3), 0, 0)).state is State.UNKNOWN

    journey(tmp_path, story)


def test_statements_show_whose_money_it_was_and_texts_tell_both(tmp_path):
    async def story(folder, ports):
        ann, ben = people(folder)[:2]
        order, view = hold_of(folder, ann, ben, authorisation=True)
        assert await became(ports[0], order) == FINAL
        fee = folder.genesis.tariffs[-1].fee_cents(FeeTable.SEND, 20_000)
        captured = signed(folder, ben, release_of(view, ben.account, 20_000, fee, today()))
        assert await became(ports[1], captured) == FINAL
        await same_digests(ports)
        for port in ports:
            newest, oldest = await port.statement(ann.account, 9, None)
            assert (newest.change_cents, newest.charge_cents) == (-20_000 - fee, fee)
            assert (oldest.change_cents, oldest.charge_cents) == (0, 0)
            assert newest.other == oldest.other == ben.account
            newest, oldest = await port.statement(ben.account, 9, None)
            assert (newest.change_cents, oldest.change_cents) == (20_000, 0)
            assert newest.other == ann.account
            revenue = region_of(ann.account) << 20 | 1
            (line,) = await port.statement(revenue, 9, None)
            assert line.other == ann.account
        texts = {}
        for region in {region_of(ann.account), region_of(ben.account)}:
            told = Port()
            await all_steps(courier_of(ports[region], told, tmp_path / f"{region}.json"))
            for text in told.texts:
                texts[text.account, text.kind] = text
        code = code_of(order.tobytes(), folder.genesis.regions)
        assert {text.receipt_code for text in texts.values()} == {code}
        assert set(texts) == {
            (ann.account, "authorised"),
            (ann.account, "sent"),
            (ben.account, "authorised_for"),
            (ben.account, "received"),
        }
        assert "Ksh200.00 sent to account" in texts[ann.account, "sent"].text
        assert "Transaction cost, Ksh7.00." in texts[ann.account, "sent"].text
        assert "You have received Ksh200.00" in texts[ben.account, "received"].text
        assert "Amount you can use now is Ksh" in texts[ann.account, "authorised"].text

    journey(tmp_path, story)


def test_a_reversal_is_told_from_the_asking_to_the_refund(tmp_path):
    async def story(folder, ports):
        ann, ben = people(folder)[:2]
        paid = payment(folder, ann, ben, 10_000, 0)
        key = ann.account, 0
        assert await ports[0].reversal(*key) is None
        assert await became(ports[0], paid) == FINAL
        sequences = {ann.account: 1, ben.account: 0}

        async def say(person, other, kind, cents=0):
            body = OrderBody(
                person.account,
                other.account,
                cents,
                0,
                sequences[person.account],
                kind,
                folder.genesis.tariffs[-1].version,
                today(),
                reference=slot_reference(*key),
            )
            fate = await became(ports[sequences[person.account] % 4], signed(folder, person, body))
            sequences[person.account] += fate == FINAL
            return fate

        assert await say(ann, ben, OrderKind.ASK_REVERSAL, 10_001) == (
            State.REFUSED,
            Outcome.REFUND_ABOVE_ORIGINAL,
        )
        assert await say(ann, ben, OrderKind.ASK_REVERSAL, 10_000) == FINAL
        assert await say(ben, ann, OrderKind.REFUSE_REVERSAL) == FINAL
        assert await say(ann, ben, OrderKind.DISPUTE) == FINAL
        assert await say(ben, ann, OrderKind.REFUND, 4_000) == FINAL
        await same_digests(ports)
        for port in ports:
            facts = await port.reversal(*key)
            assert facts.order == paid.tobytes()
            assert facts.state == (10_000, 4_000, True, True)
            assert await port.reversal(ann.account, 1) is None, "what was asked is no payment"
            line = (await port.statement(ben.account, 1, None))[0]
            assert (line.change_cents, line.other) == (-4_000, ann.account)
        told, port = Port(), ports[region_of(ben.account)]
        await all_steps(courier_of(port, told, tmp_path / "cursor.json"))
        asked = next(text for text in told.texts if text.kind == "reversal_asked_of")
        code = code_of(paid.tobytes(), folder.genesis.regions)
        assert f"to return Ksh100.00 of payment {code}. To agree, refund {code};" in asked.text
        assert asked.receipt_code != code

    journey(tmp_path, story)


def test_who_only_holds_and_voids_has_not_paid_and_who_releases_has(tmp_path):
    async def story(folder, ports):
        ann, ben, cyd = people(folder)[:3]
        port = ports[0]
        for payee, sequence, ends in ((ben, 0, void_of), (cyd, 1, None)):
            order, view = hold_of(folder, ann, payee, sequence=sequence)
            assert await became(port, order) == FINAL
            end = (
                ends(view, ann.account, today())
                if ends
                else release_of(view, ann.account, CENTS, view.fee_cents, today())
            )
            assert await became(port, signed(folder, ann, end)) == FINAL
        assert await port.paid_since(ann.account, 0) == (2, {cyd.account: 1})
        assert await port.paid_since(ann.account, 2) == (2, {})

    journey(tmp_path, story)


# -- originals ------------------------------------------------------------------------------------


class Shelf:
    """A journal of these blocks, of which some are damaged."""

    def __init__(self, blocks, damaged=()):
        self.blocks, self.damaged, self.read_count = blocks, damaged, 0

    def read(self, position):
        self.read_count += 1
        if not 0 <= position < len(self.blocks):
            raise IndexError(position)
        if position in self.damaged:
            raise JournalDamaged("somewhere", position)
        return self.blocks[position]


def test_originals_are_read_from_durable_and_whole_blocks_only(tmp_path, monkeypatch):
    async def story(folder, ports):
        ann, ben = people(folder)[:2]
        for sequence in range(3):
            order = payment(folder, ann, ben, 10_000, sequence)
            assert await became(ports[0], order) == FINAL
        entries = await ports[0].ask(lambda replica: replica.ledger.entries.copy())
        blocks = list(ports[0]._journal.blocks())
        data = [block for _, block in blocks]
        places = [(int(e["position"]), int(e["index"])) for e in entries]
        shelf = Shelf(data)
        found = Originals(shelf, folder.genesis)
        for sequence, place in enumerate(places):
            assert int(found.at(*place)["sequence"]) == sequence
            assert int(found.at(*place)["payer"]) == ann.account
        assert shelf.read_count == len({position for position, _ in places})
        assert found.at(len(data), 0) is None
        assert found.at(places[0][0], 10_000) is None
        spoilt = Originals(Shelf(data, damaged={places[0][0]}), folder.genesis)
        assert spoilt.at(*places[0]) is None
        assert spoilt.at(*places[1]) is not None
        garbage = Originals(Shelf([b"\0" * 300]), folder.genesis)
        assert garbage.at(0, 0) is None
        monkeypatch.setattr(originals, "BLOCKS_REMEMBERED", 1)
        few = Originals(Shelf(data), folder.genesis)
        for place in places * 2:
            assert few.at(*place) is not None
        assert len(few._blocks._recent) == 1

    journey(tmp_path, story)


def test_ids_of_what_ends_a_hold_are_of_its_bytes():
    """Two sides that want the same sign two orders: their receipts are never mixed up."""
    folder_network = bytes(32)
    view = HoldView(
        16, 0, 17, CENTS, 700, 2, 20_000, 1, OrderKind.SEND, FeeMode.PAYER, is_authorisation=False
    )
    ours, theirs = void_of(view, 16, 20_000), void_of(view, 17, 20_000)
    assert order_id(folder_network, ours.to_bytes()) != order_id(folder_network, theirs.to_bytes())
    assert replace(ours, payer=17) == theirs
    assert code_of(ours.to_bytes(), 4) == code_of(theirs.to_bytes(), 4)
