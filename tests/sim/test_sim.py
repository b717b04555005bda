"""The simulator: a seed is a history, stories end well, and the auditor sees what it should."""

import json
import os
import subprocess
import sys
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from tests.crypto import curve

from harambee.crypto import p256
from harambee.crypto.hashing import digest
from harambee.crypto.keys import KeyForm, PublicKey, public_of, verify
from harambee.crypto.p256 import P256KeyPair
from harambee.crypto.signatures import from_seed
from harambee.ledger.kinds import OrderKind
from harambee.ledger.outcomes import Outcome
from harambee.ledger.records import BODY_BYTES, revenue_account
from harambee.sim.auditor import SKIPPED, Auditor
from harambee.sim.books import books_close_in
from harambee.sim.marks import SOMETIMES, never
from harambee.sim.odd_signatures import invalid_variants, valid_variants
from harambee.sim.run import Run
from harambee.sim.story import Story, StoryError, find_story, read_story, shipped
from harambee.sim.strays import KINDS, ODD_SIGNATURES_MAX
from harambee.sim.town import BANK, Town

SMALL = Story(orders=60, seconds=4)
STORIES = {candidate.name: candidate.story for candidate in shipped()}


def assert_clean(verdict):
    told = {key: value for key, value in verdict.items() if key != "marks"}
    assert verdict["clean"], told
    assert verdict["lost"] == verdict["duplicated"] == verdict["stuck"] == 0
    assert verdict["skipped_honest"] == 0
    assert verdict["conserved"]
    assert verdict["digests_equal"]
    assert verdict["final"] + verdict["rejected"] == verdict["offered"]
    assert verdict["final"] > 0


@pytest.mark.parametrize("seed", range(16))
def test_four_super_agents_one_of_them_lying(seed):
    assert_clean(Run(SMALL, seed).tell())


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", range(3))
def test_seven_super_agents_two_of_them_lying(seed):
    story = Story(super_agents=7, traitors=2, orders=50, seconds=3)
    assert_clean(Run(story, seed).tell())


@pytest.mark.soak
@pytest.mark.timeout(6 * 3600)
def test_a_thousand_seeds_and_every_rare_path_is_reached():
    marks = []
    for seed in range(1_000):
        n, traitors = ((4, 1), (7, 2), (10, 3))[seed % 3]
        story = Story(super_agents=n, traitors=traitors, orders=60, seconds=5, skew_hours=seed % 2)
        verdict = Run(story, seed).tell()
        assert_clean(verdict)
        marks.append(verdict["marks"])
    marks += [Run(STORIES[name], 0).tell()["marks"] for name in sorted(STORIES)]
    assert not never(marks), "a path that no seed reaches is a path that nothing tests"


def _marked(name):
    """The stories with more than four super-agents take tens of seconds each."""
    long = STORIES[name].super_agents > 4
    return pytest.param(name, marks=[pytest.mark.accept] if long else [])


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", [_marked(name) for name in sorted(STORIES)])
def test_every_story_ends_well(name):
    story = STORIES[name]
    shorter = story.changed({"orders": min(story.orders, 60), "people": min(story.people, 300)})
    assert_clean(Run(shorter, 5).tell())


@pytest.mark.accept
@pytest.mark.timeout(600)
def test_ten_thousand_pay_one_till_while_it_pays_out():
    verdict = Run(STORIES["ten-thousand-to-one-till"], 5).tell()
    assert_clean(verdict)
    assert verdict["final"] == verdict["offered"] == 10_000


@pytest.mark.soak
@pytest.mark.timeout(3_600)
def test_a_hundred_thousand_slots_time_out_at_once():
    assert_clean(Run(STORIES["congestion"].changed({"orders": 100_000}), 5).tell())


def told(name, orders, seed=5):
    run = Run(STORIES[name].changed({"orders": orders}), seed)
    verdict = run.tell()
    assert_clean(verdict)
    return run, verdict


def test_nobody_refuses_a_credit_that_is_spent_before_half_have_seen_it():
    """A broker carries an order only on a past that covers it, so a voter who lags need not refuse."""
    run, verdict = told("spending-an-unseen-credit", 60)
    assert verdict["marks"]["a credit was spent that half had not seen"] > 10
    reasons = {
        int(outcome)
        for data in run.world.machines[0].disk
        for rejection in run.world.checking.read(data).rejections
        for outcome in rejection.outcomes
    }
    assert not reasons & {Outcome.BALANCE_INSUFFICIENT, Outcome.SEQUENCE_AHEAD}


def test_every_edge_and_bad_signature_is_refused_and_odd_but_valid_ones_are_paid():
    run, verdict = told("edges-and-odd-signatures", 40)
    assert len(run.world.auditor.forbidden) >= len(KINDS)
    assert verdict["marks"]["a stray order was refused"] > len(KINDS)
    assert verdict["marks"]["an oddly signed order was paid"] > 2
    assert verdict["marks"]["a stray order by a P-256 key was refused"] > len(KINDS)
    assert verdict["marks"]["a payment by a P-256 key was final"]


def test_odd_signatures_are_what_their_names_say():
    key, message = from_seed(bytes(range(32))), b"pay"
    accepted, refused = valid_variants(key, message), invalid_variants(key, message)
    for verdict, variants in ((True, accepted), (False, refused)):
        for name, signature in variants.items():
            assert verify(public_of(key), message, signature) is verdict, name
            assert curve.is_valid(key.public, message, signature) is verdict, name


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("strategy", ["bending signatures", "carrying anything", "replaying"])
def test_where_all_keys_lie_in_phones_liars_bend_and_replay_in_vain(strategy, seed):
    story = STORIES["edges-and-odd-signatures"].changed(
        {"p256": 1.0, "strategies": (strategy,), "orders": 40, "strays": 58, "seconds": 3}
    )
    verdict = Run(story, seed).tell()
    assert_clean(verdict)
    assert verdict["marks"]["a payment by a P-256 key was final"] == verdict["final"]


def test_what_is_odd_of_a_p256_signature_is_what_its_name_says():
    """So that each is refused for its own reason: the first holds by the equation, and the last do not."""
    key = P256KeyPair(digest(b"a phone"))
    odd = invalid_variants(key, b"pay")
    assert not any(verify(public_of(key), b"pay", mark) for mark in odd.values())
    assert p256.with_low_s(odd["the higher s"]) == p256.sign(key, b"pay")
    other_side = PublicKey(public_of(key).form ^ KeyForm.P256_EVEN ^ KeyForm.P256_ODD, key.public)
    assert verify(other_side, b"pay", odd["by the key of the same x"])
    soft = from_seed(key.seed)
    assert verify(public_of(soft), b"pay", odd["by an Ed25519 key of the same seed"])
    assert len(odd) == ODD_SIGNATURES_MAX >= len(invalid_variants(soft, b"pay"))
    assert len(set(odd.values())) == len(odd)


def test_people_have_keys_of_both_types_by_the_seed():
    town = Town(7, 4, 200, 100_000, p256=0.25)
    forms = [town.key_of(person).form for person in town.people]
    assert 20 < sum(form != KeyForm.ED25519 for form in forms) < 80
    assert set(forms) == set(KeyForm)
    assert forms == [town.key_of(p).form for p in Town(7, 4, 200, 100_000, p256=0.25).people]
    found, forms_of_ledger, _ = town.ledger().keys_of(np.array(town.people, np.uint32))
    assert forms_of_ledger.tolist() == forms
    assert [key.tobytes() for key in found] == [town.key_of(person).key for person in town.people]


def test_a_refused_order_is_paid_the_next_day_or_dies_of_age():
    _, verdict = told("refused-today-paid-tomorrow", 150)
    assert verdict["marks"]["a refused order was paid the next day"]
    assert verdict["marks"]["an order died of age"]


def test_a_newer_kind_of_order_is_refused_until_enough_are_upgraded():
    _, verdict = told("rolling-upgrade", 100)
    assert verdict["marks"]["a newer order was refused"]
    assert verdict["marks"]["a newer order was paid"]
    assert verdict["marks"]["a super-agent was upgraded"] == 4


def test_damaged_blocks_come_back_from_the_others():
    run, verdict = told("torn-writes-and-damaged-blocks", 60)
    assert verdict["marks"]["a damaged block was noticed"] == 3
    assert verdict["marks"]["a damaged block was mended"] >= 3
    assert not any(machine.damaged for machine in run.world.machines)


def test_a_number_that_two_claim_has_one_owner():
    run, verdict = told("one-number-two-claims", 30)
    assert verdict["claimed"] == STORIES["one-number-two-claims"].claims
    assert len(run.world.auditor.owners()) > verdict["claimed"] >> 1


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("strategy", ["stealing tables", "twins", "bending signatures"])
def test_pay_outs_are_paid_whatever_a_broker_does_with_their_tables(strategy, seed):
    story = STORIES["tables-stolen-and-doubled"].changed(
        {"orders": 20, "pay_outs": 20, "seconds": 3, "strategies": (strategy,)}
    )
    verdict = Run(story, seed).tell()
    assert_clean(verdict)
    assert verdict["marks"]["a pay-out was paid"]


def test_tables_are_withheld_and_altered_and_nobody_is_the_poorer():
    story = STORIES["tables-stolen-and-doubled"]
    verdict = Run(story.changed({"orders": 30, "strategies": ("stealing tables",)}), 6).tell()
    assert_clean(verdict)
    marks = verdict["marks"]
    assert marks["a table was withheld"]
    assert marks["a table was shown altered"]
    assert marks["a pay-out was paid"] > 10


FIRST_STRATEGIES = (
    "silent",
    "withholding",
    "late",
    "lying about what it holds",
    "flooding",
    "vanishing",
    "saying yes to everything",
    "refusing everything",
    "opening honest slots",
    "a mute leader",
    "twins",
)
NEXT_STRATEGIES = (
    *FIRST_STRATEGIES,
    "proposing what it may not",
    "voting twice",
    "carrying anything",
    "bending signatures",
    "replaying",
    "forging evidence",
    "convicted and signing on",
    "speaking a later version",
    "claiming numbers",
)
FOUR = Story(orders=60, seconds=3, strategies=NEXT_STRATEGIES)
SEVEN = Story(super_agents=7, traitors=2, strategies=FIRST_STRATEGIES)

# Seeds that have found something; each stays, with the strategies that there were then.
FOUND = {
    "final orders that waited for others were dropped": (SEVEN.changed({"orders": 150}), 3),
    "a branch grew faster than it was fetched by name": (
        SEVEN.changed({"orders": 60, "seconds": 3}),
        162,
    ),
    "what only some held of a convict's decided a slot for them alone": (
        SEVEN.changed({"orders": 60, "seconds": 3}),
        352,
    ),
    "a copy with a bent signature stood for the order in the books": (FOUR, 53),
    "what an answer left out was never asked for again": (FOUR, 98),
    "a restart forgot whom it had convicted until it acted": (
        SEVEN.changed({"strategies": NEXT_STRATEGIES}),
        80,
    ),
    "a restart forgot the lock in the slot after one that was fought over": (
        Story(super_agents=7, traitors=2),
        339,
    ),
    "who could have voted for a lone order was down while its views ran out": (
        SEVEN.changed({"strategies": (*NEXT_STRATEGIES, "stealing tables")}),
        1530,
    ),
}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", [0, 2, 3, 5])
def test_who_opens_honest_slots_and_leads_them_has_nobody_skipped(seed):
    """In each of these seeds some were, as long as an even view was for the skip alone."""
    strategies = ("opening honest slots",)
    story = SEVEN.changed({"orders": 60, "seconds": 3, "strategies": strategies})
    verdict = Run(story, seed).tell()
    assert_clean(verdict)
    assert verdict["marks"]["a slot went to view 1"] > 0


@pytest.mark.timeout(300)
@pytest.mark.parametrize("what", FOUND)
def test_seeds_that_found_something(what):
    story, seed = FOUND[what]
    assert_clean(Run(story, seed).tell())


def test_the_same_seed_is_the_same_history_whatever_the_hash_seed():
    histories = set()
    for hash_seed in ("1", "2"):
        command = [sys.executable, "-m", "harambee", "sim", "--orders", "30", "--seconds", "2"]
        found = subprocess.run(
            [*command, "--seed", "9", "--json"],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        )
        histories.add(json.loads(found.stdout)["history"])
    assert len(histories) == 1
    other = Run(Story(orders=30, seconds=2), 10).tell()
    assert other["history"] not in histories


def test_more_liars_than_a_third_never_debit_an_honest_payer():
    """They may stop the network or help a crook; honest money stays where it is."""
    story = Story(
        traitors=2,
        strategies=("saying yes to everything", "twins"),
        orders=40,
        seconds=3,
        settle_seconds=10,
        crooks=0,
    )
    for seed in range(3):
        verdict = Run(story, seed).tell()
        assert not verdict["within_bounds"]
        assert verdict["duplicated"] == 0
        assert verdict["conserved"]


# -- the auditor can see ----------------------------------------------------------------------------


DAY = 20_000


def audited():
    town = Town(1, 4, 4, 100_000)
    one, two, three, _ = town.people
    order = town.send(one, two, 20_000, 0, DAY)
    rival = town.send(one, three, 30_000, 0, DAY)
    return town, Auditor(town), order, rival


def held(changes, on_hold=()):
    """What a machine holds whose accounts changed by so much since the opening, and what is on hold."""
    return lambda number: (100_000 + changes.get(number, 0), dict(on_hold).get(number, 0))


def complaints(auditor):
    return [text.partition(": ")[2] for text in auditor.violations]


def test_the_auditor_has_nothing_to_say_of_an_honest_machine():
    town, auditor, order, _ = audited()
    one, two, *_ = town.people
    fee = town.fee_cents(20_000)
    auditor.settled(0, order.tobytes())
    auditor.looked(0, held({one: -20_000 - fee, two: 20_000, revenue_account(one): fee - 100_000}))
    assert auditor.violations == []


def test_the_auditor_sees_two_orders_in_one_slot():
    _, auditor, order, rival = audited()
    auditor.settled(0, order.tobytes())
    auditor.settled(1, rival.tobytes())
    assert auditor.duplicated == 1
    assert auditor.violations


def test_the_auditor_sees_a_skip_beside_an_order():
    town, auditor, order, _ = audited()
    auditor.skipped(0, town.people[0], 0)
    auditor.settled(1, order.tobytes())
    assert auditor.duplicated == 1
    assert auditor.skipped_honest == 1


def test_the_auditor_sees_a_hold_that_ends_twice_and_what_is_held():
    town, auditor, _, _ = audited()
    one, two, *_ = town.people
    hold = town.hold(one, two, 20_000, 0, DAY, authorises=False)
    cents = 20_000 + town.fee_cents(20_000)
    void = town.ending(OrderKind.VOID, hold, one, 0, 0, DAY)
    release = town.ending(OrderKind.RELEASE, hold, two, 20_000, 0, DAY)
    auditor.settled(0, hold.tobytes())
    auditor.looked(0, held({}, {one: cents}))
    assert auditor.violations == []
    auditor.settled(0, void.tobytes())
    auditor.looked(0, held({}, {one: cents}))
    assert complaints(auditor) == [
        f"account {one} has {(100_000, cents)}, and by its words {(100_000, 0)}"
    ]
    auditor.settled(1, hold.tobytes())
    auditor.settled(1, release.tobytes())
    assert auditor.duplicated == 1


def test_the_auditor_sees_a_freeze_that_too_few_approved():
    town, auditor, _, _ = audited()
    freeze = town.governance(OrderKind.FREEZE, town.people[0], 0, DAY)
    auditor.forbidden.add(freeze.tobytes()[:BODY_BYTES])
    auditor.settled(0, freeze.tobytes())
    assert auditor.violations


def test_books_that_differ_or_do_not_add_up_are_violations():
    changes = {"orders": 10, "holds": 2, "freezes": 0, "seconds": 1, "acts": ()}
    run = Run(STORIES["books-close-after-days"].changed(changes), 1)
    assert_clean(run.tell())
    world = run.world
    assert books_close_in(world, world.auditor)
    ledger = world.honest[0].replica.ledger
    for number, cents in ((world.town.people[0], -1), (world.town.people[1], 1)):
        ledger.accounts[number]["balance"] += cents  # two regions, so two parties
    assert not books_close_in(world, world.auditor)
    assert "its parties hold" in world.auditor.violations[-1]


def test_the_auditor_sees_two_owners_of_one_number():
    town, auditor, _, _ = audited()
    alias = bytes(range(32))
    for machine, owner in enumerate(town.people[:2]):  # each at a desk of its own
        claim = town.claim(machine, owner, alias, 0, DAY)
        auditor.settled(machine, claim.tobytes())
    assert auditor.duplicated == 1
    assert auditor.owners() == {alias: town.people[0]}
    auditor.hold_numbers(1, lambda _: (town.people[1], 1))
    assert "number" in complaints(auditor)[-1]


def test_the_auditor_sees_a_balance_below_zero_and_one_that_is_not_explained():
    town, auditor, _, _ = audited()
    one, two, *_ = town.people
    auditor.settled(0, town.send(one, two, 100_000, 0, DAY).tobytes())
    auditor.looked(0, held({one: -100_000 - town.fee_cents(100_000), two: 100_000}))
    assert complaints(auditor)[0] == f"account {one} is below what is held of it"
    auditor.settled(1, town.send(one, two, 100_000, 0, DAY).tobytes())
    auditor.looked(1, held({one: -100_000, two: 100_000}))
    assert any(
        f"account {one} has (0, 0), and by its words" in text for text in complaints(auditor)
    )


def test_the_auditor_sees_a_jump_of_a_sequence():
    town, auditor, order, _ = audited()
    one, two, *_ = town.people
    auditor.settled(0, order.tobytes())
    auditor.settled(0, town.send(one, two, 20_000, 5, DAY).tobytes())
    assert complaints(auditor) == [f"account {one} went from sequence 0 to 5"]


def test_the_auditor_sees_an_order_that_its_payer_has_not_signed():
    town, auditor, order, rival = audited()
    order["signature"] = rival["signature"]
    auditor.settled(0, order.tobytes())
    assert complaints(auditor) == [
        f"the order in slot {(town.people[0], 0)} is not signed by its payer"
    ]
    auditor.settled(0, town.send(town.people[1], BANK, 20_000, 0, DAY).tobytes())
    assert len(auditor.violations) == 1, "her own signature is enough for an auditor"


def test_the_auditor_sees_an_order_that_breaks_a_rule_whatever_happens():
    _, auditor, order, _ = audited()
    auditor.forbidden.add(order.tobytes()[:64])
    auditor.settled(0, order.tobytes())
    assert "breaks a rule" in auditor.violations[0]


def test_the_auditor_sees_what_a_restart_has_lost():
    town, auditor, order, _ = audited()
    one = town.people[0]
    opened = {opening.number: (opening.cents, 0) for opening in town.openings}
    auditor.settled(0, order.tobytes())
    auditor.restarted(0, opened, {}, disk_is_whole=False)
    assert auditor.violations == [], "a disk that has lost something may have lost this"
    auditor.settled(0, order.tobytes())
    auditor.restarted(0, opened, {}, disk_is_whole=True)
    assert complaints(auditor) == [f"slot {(one, 0)} was final before a restart"]
    auditor.restarted(1, opened | {one: (100_001, 0)}, {}, disk_is_whole=True)
    assert complaints(auditor)[1] == "money was made or lost by a restart"
    auditor.restarted(2, opened | {one: (100_000, 3)}, {}, disk_is_whole=True)
    auditor.settled(2, order.tobytes())
    assert complaints(auditor)[2] == f"account {one} went from sequence 2 to 0"


def test_the_auditor_sees_an_innocent_convicted_and_evidence_that_proves_nothing():
    _, auditor, _, _ = audited()
    auditor.convicted(0, 2, b"nothing", may_be=False)
    assert complaints(auditor) == [
        "super-agent 2 is honest and was convicted",
        "its evidence against 2 proves nothing: this is no file of evidence",
    ]


def test_the_auditor_sees_a_lost_payment_and_a_wrong_balance():
    town, auditor, order, _ = audited()
    auditor.believed(order.tobytes())
    assert auditor.lost() == 1
    auditor.settled(0, order.tobytes())
    assert auditor.lost() == 0
    book = auditor.book()
    assert sum(balance for balance, _ in book.values()) == 0
    assert book[town.people[1]] == (120_000, 0)
    assert book[revenue_account(BANK)][0] == town.fee_cents(20_000)
    assert auditor.disagreements(0, book) == 0
    assert auditor.disagreements(0, book | {BANK: (0, 0)}) == 1
    assert auditor.decided != {(town.people[0], 0): SKIPPED}


# -- stories ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("title = 3", "no story"),
        ("nonsense", "no story"),
        ("unknown = 1", "no story"),
        ("traitors = 5", "more traitors"),
        ('strategies = ["kind"]', "no traitor knows"),
        ('acts = [{ at = 1.0, do = "dance" }]', "nothing is called"),
        ('acts = [{ at = 1.0, do = "crash", who = [9] }]', "that there is not"),
        ("delay_ms = [9, 1]", "no range"),
    ],
)
def test_a_bad_story_is_refused_in_a_sentence(text, why):
    with pytest.raises(StoryError, match=why):
        read_story(text)


def test_a_crowd_has_a_second_for_each_thousand_orders_unless_somebody_says_otherwise():
    crowded = Story(super_agents=100, traitors=33, orders=20_000)
    assert crowded.sized().seconds == 20
    assert crowded.changed({"orders": 500}).sized().seconds == crowded.seconds
    assert Story(orders=20_000).sized().seconds == Story().seconds


def test_a_story_that_is_not_there_is_said_so(tmp_path):
    with pytest.raises(StoryError, match="there is no story"):
        find_story(str(tmp_path / "none.toml"))
    file = tmp_path / "own.toml"
    file.write_text('title = "Mine"\n', encoding="utf-8")
    assert find_story(str(file)).title == "Mine"


def test_the_timeline_is_a_picture():
    run = Run(Story(orders=20, seconds=2, crashes=3), 4)
    run.tell()
    picture = ET.fromstring(run.world.timeline.svg("A <title>"))
    marks = list(picture.iter("{http://www.w3.org/2000/svg}circle"))
    assert marks, "a crash is drawn"
    assert len(SOMETIMES) == len(set(SOMETIMES))
