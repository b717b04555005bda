"""What this protocol promises, claim by claim: the argument, what it rests on, and the tests that show it.

An argument here is meant to be read against the definitions of vote, certificate, acknowledgement, final and
statement (docs/protocol.md, and written out with sets in tests/protocol/test_definition.py). Tests cannot
prove a claim; they are named so that whoever changes a rule knows what must stay true. `h` is an honest
super-agent, q a quorum, and at most f of n lie or have lost their disks.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Claim:
    """One promise."""

    says: str
    because: str
    rests_on: tuple[str, ...] = ()
    """Other claims, by name."""
    shown_by: tuple[str, ...] = ()
    """Tests, as file::function."""


DEFINITION: Final = "tests/protocol/test_definition.py::test_disputes_count_as_the_definition_does"
CHAINS: Final = "tests/protocol/test_counting.py::test_whole_chains_count_as_the_definition_does"
SEEDS: Final = "tests/sim/test_sim.py::test_four_super_agents_one_of_them_lying"
MODEL: Final = "tests/model/test_slot_model.py::test_the_contract_decides_one_thing_and_decides_it"
KILLS: Final = "tests/protocol/test_recovery.py::test_kills_during_recovery_keep_every_promise"
LATE: Final = (
    "tests/protocol/test_replica.py::test_who_votes_late_votes_for_no_rival_of_what_it_has_locked"
)
HISTORY: Final = (
    "tests/protocol/test_evidence.py::"
    "test_who_came_back_is_not_convicted_for_referencing_all_of_history"
)
PROPOSALS: Final = "tests/protocol/test_proposals.py::"
BOUNDED: Final = "tests/protocol/test_bounded_work.py::"
JOINED_LATE: Final = (
    "tests/protocol/test_recovery.py"
    "::test_what_one_alone_has_fenced_is_joined_when_nobody_can_be_missed"
)
WIPED: Final = (
    "tests/protocol/test_recovery.py::test_who_lost_its_disk_comes_back_under_a_new_incarnation"
)

CUTS: Final = (
    "tests/sim/test_frames.py::test_whoever_holds_a_cut_finds_the_same_state_and_goes_on_from_it"
)
DESK: Final = "tests/node/test_checkpoint_desk.py::"
PAGES: Final = "tests/protocol/test_page_catchup.py::"
FETCHING: Final = "tests/node/test_page_fetching.py::"

CLAIMS: Final[dict[str, Claim]] = {
    "quorums meet": Claim(
        says="Two quorums share an honest author, and the honest alone are a quorum.",
        because=(
            "2q - n = n - 2f > f because n > 3f; and n - f = q. It fails for 2f + 1 whenever n > 3f + 1."
        ),
        shown_by=("tests/protocol/test_committee.py::test_quorums_meet_and_the_honest_are_one",),
    ),
    "counting is a function": Claim(
        says="Votes, certificates, acknowledgements, finality and statements depend on blocks alone.",
        because=(
            "Each is defined over a block's past or over a set closed under past. Rows per lane and votes "
            "by lane and height are that definition as arithmetic: a past is a clock, and a vote lies in it "
            "iff its height is not above the clock."
        ),
        shown_by=(CHAINS, DEFINITION),
    ),
    "finality is monotone": Claim(
        says="What is final stays final, whatever blocks, forks and convictions come.",
        because=(
            "Votes and acknowledgements are of blocks, and blocks are only added. A fence takes away later "
            "acknowledgements of its author and no earlier one; a conviction takes away nothing."
        ),
        rests_on=("counting is a function",),
        shown_by=(DEFINITION, SEEDS),
    ),
    "one vote in a view": Claim(
        says="An honest author votes for one value in a slot and view, across restarts.",
        because=(
            "In view 0 it locks one order and refuses others; in higher views it looks for its own vote in "
            "its own chain. Both are read from its own blocks, which are durable before they leave. A block "
            "that was final before one voted on it is no exception: what was not applied from it is judged "
            "or refused when a reference covers it."
        ),
        rests_on=("durable before it leaves",),
        shown_by=("tests/protocol/test_replica.py::test_a_restart_keeps_the_locks", LATE, KILLS),
    ),
    "durable before it leaves": Claim(
        says="Nothing that was seen outside is forgotten by a crash.",
        because=(
            "A shell carries out `persist` before anything else of the same effects, and one's own block is "
            "in `persist`. A disk that breaks its word is noticed before the next word: q authors are asked "
            "for one's own head."
        ),
        shown_by=(
            "tests/protocol/test_replica.py::test_kill_at_any_moment_loses_nothing_that_was_told",
            "tests/protocol/test_recovery.py::test_an_old_disk_is_noticed_and_comes_back_too",
        ),
    ),
    "one certificate in a view": Claim(
        says="No two values have a certificate in one slot and view.",
        because="Their quorums would share an honest author, who voted twice.",
        rests_on=("quorums meet", "one vote in a view"),
        shown_by=(SEEDS,),
    ),
    "a fence tells the truth": Claim(
        says="The statement of an honest fence names every certificate its author acknowledged below it.",
        because=(
            "It acknowledged (u, x) in a block of its chain before the fence, so the certificate lies in the "
            "fence's past; the highest of a lower view is what the statement is. The fencing block itself "
            "acknowledges nothing lower, because its fence takes effect first."
        ),
        rests_on=("counting is a function",),
        shown_by=(DEFINITION,),
    ),
    "later views keep what was final": Claim(
        says="If x is final in view u, nothing else gets a certificate in a view above u.",
        because=(
            "By induction over v > u. A certificate in v needs a proved proposal, whose proof holds q fences "
            "of exactly v; with the q who acknowledged (u, x) they share an honest h. h did so before its "
            "fence, so its statement is in a view from u on, and by induction every certificate there is for "
            "x. The proposal must carry the value of the highest one: x."
        ),
        rests_on=("quorums meet", "one certificate in a view", "a fence tells the truth"),
        shown_by=(
            PROPOSALS + "test_what_is_certified_is_proposed_and_nothing_else",
            SEEDS,
        ),
    ),
    "no two finals": Claim(
        says="At most one value becomes final in a slot, on all replicas together.",
        because=(
            "In one view by the one certificate; across views because a later one must be for the same value."
        ),
        rests_on=("one certificate in a view", "later views keep what was final"),
        shown_by=(
            "tests/protocol/test_replica.py::test_two_orders_for_one_slot_are_never_both_final",
            MODEL,
            SEEDS,
        ),
    ),
    "a lost disk lies to nobody": Claim(
        says="Who re-enters under a new incarnation breaks no promise that it has forgotten.",
        because=(
            "Its forgotten votes are in slots up to next + 1 as q others know it: an order final for it had "
            "q acknowledgers, of whom the q it asked hold all but the newest step. There it abstains, and "
            "the abstention is a fence, which stops acknowledgements as well as votes. It is said before an "
            "order, or what w say of recovery, enters the past of its blocks; and in such a slot it opens, "
            "joins and votes for nothing."
        ),
        rests_on=("quorums meet", "a fence tells the truth"),
        shown_by=(
            WIPED,
            "tests/protocol/test_abstaining.py::test_two_orders_at_its_own_door_make_it_neither_open_nor_vote",
            "tests/protocol/test_abstaining.py::test_it_abstains_where_w_opened_a_slot_without_an_order",
        ),
    ),
    "decided within a few views": Claim(
        says="While q honest reach each other, a slot that an honest one opened is decided.",
        because=(
            "The honest see both orders and fence, or see w fences and join, or see one signed order and one "
            "fence, and fence once view 0 has had its time; so q fences of one view come "
            "together. Leaders take turns, at most f bad ones in a row, and views grow, and last as long as "
            "blocks really take. An honest leader's "
            "proposal is proved; in even views it is a certificate's value or skip, which every honest one "
            "votes for unchecked, beside a lone order once that was waited for."
        ),
        rests_on=("counting is a function",),
        shown_by=(
            "tests/protocol/test_recovery.py::test_two_orders_in_one_slot_are_decided_and_the_payer_pays_on",
            "tests/protocol/test_recovery.py::test_a_dead_leader_costs_a_view_and_no_more",
            JOINED_LATE,
            "tests/protocol/test_recovery.py::test_views_last_as_long_as_blocks_really_take",
        ),
    ),
    "nobody opens an honest slot alone": Claim(
        says="Up to f liars cannot force the recovery of a slot.",
        because=(
            "A fence binds its author alone; others join at w = f + 1 fences, one of them honest. At fewer "
            "they join only what is undecided after the time of a view, and an order that q honest ones "
            "vote for is final long before, without the liars."
        ),
        shown_by=(
            PROPOSALS + "test_a_replica_joins_w_others_and_not_fewer",
            "tests/protocol/test_recovery.py::test_an_honest_order_is_never_skipped",
        ),
    ),
    "a lone order is waited for": Claim(
        says=(
            "Of a slot whose payer signed one order no skip is certified in views 1 to w, and in the 16 "
            "after these only if an honest one finds that the order does not pass."
        ),
        because=(
            "A certificate needs q, at least w of them honest. In views 1 to w an honest one votes for a "
            "free skip only if it has seen two orders that the payer signed. As no skip is certified there, "
            "no proposal is bound to one; and of those who vote in the 16 views after, one at least is "
            "honest and finds that the order does not pass, or has seen none: who opened the slot carried "
            "it. One of w leaders in a row is honest, and proposes the order."
        ),
        rests_on=("quorums meet",),
        shown_by=(
            PROPOSALS + "test_a_lone_order_is_not_skipped_before_it_was_waited_for",
            PROPOSALS + "test_whoever_leads_proposes_the_lone_order",
            MODEL,
        ),
    ),
    "forks stop nobody": Claim(
        says="What honest blocks stand on can be held, whatever its author forked, and is bounded.",
        because=(
            "Branches are lanes and are fetched by digest where a parked block needs them. A block is "
            "invalid that references an author whose fork lies in its past, so each chain brings in one "
            "branch of an author at most."
        ),
        shown_by=(
            "tests/protocol/test_recovery.py::test_a_fork_shown_to_different_peers_stops_nobody",
        ),
    ),
    "evidence convicts liars only": Claim(
        says="A file of evidence convicts its culprit before anyone with the committee's keys.",
        because=(
            "What convicts is signed by the culprit, and an honest one never signs two blocks of one id, nor "
            "two votes in one slot and view: it continues its one chain, or begins a new incarnation and "
            "abstains. In view 0 it refuses by name every order that it may not vote for, and a ballot shows "
            "that no earlier reference had done so. Where a new incarnation first references a chain, which "
            "covers what the old one refused, nothing is held against it."
        ),
        rests_on=("one vote in a view", "a lost disk lies to nobody"),
        shown_by=(
            "tests/protocol/test_evidence.py::test_a_fork_convicts_its_author",
            "tests/protocol/test_evidence.py::test_forged_evidence_convicts_nobody",
            "tests/protocol/test_evidence.py::test_what_is_no_second_vote_convicts_nobody",
            HISTORY,
        ),
    ),
    "work is bounded": Claim(
        says="What f liars make a replica do and keep is bounded, and no limit keeps honest replicas apart.",
        because=(
            "What an author pushes is paid from its own allowance, and what is beyond is deferred, not lost. "
            "A block that w hold was taken by an honest one and is taken without limit; one that another "
            "author stands on costs an eighth, so who is behind gains on who is ahead. What is kept for an "
            "undecided slot is counted by chain, over blocks that are held: who takes blocks in the order of "
            "an honest replica counts no more than that one did."
        ),
        rests_on=("finality is monotone",),
        shown_by=(
            BOUNDED + "test_blocks_beyond_an_authors_limit_are_not_looked_at_and_fetched_later",
            BOUNDED + "test_what_w_hold_is_taken_without_a_limit",
            BOUNDED + "test_what_a_broker_left_undecided_is_taken_up_when_it_is_decided",
        ),
    ),
    "a pay-out has its table": Claim(
        says="Whoever holds a bulk pay-out holds the table of those whom it pays.",
        because=(
            "A block in which such an order lies without the table whose hash is in the order's signed bytes "
            "is malformed, which its own bytes show to everybody alike: nobody takes it, references it or "
            "counts a vote in it. What is final was found in a block that is held, and its table lies there."
        ),
        shown_by=(
            "tests/protocol/test_wire.py::test_a_bulk_pay_out_has_exactly_its_own_table_or_the_block_is_malformed",
            "tests/protocol/test_bulk.py::test_a_block_that_withholds_or_alters_the_table_is_no_block",
            "tests/protocol/test_bulk.py::test_a_fork_with_two_tables_for_one_slot_ends_in_one_of_them_everywhere",
        ),
    ),
    "a hold ends once": Claim(
        says="A hold is released or voided once, whoever of its two sides signs, and only they can.",
        because=(
            "Both ends lie in the hold's own slots, where at most one order becomes final; who has no say in "
            "them makes no second order there. What is captured was held in the payer's slot, so no end "
            "debits what her other orders could have spent."
        ),
        rests_on=("no two finals",),
        shown_by=(
            (
                "tests/protocol/test_holds.py::"
                "test_a_release_by_one_side_and_a_void_by_the_other_at_two_doors_at_once"
            ),
            "tests/protocol/test_holds.py::test_any_one_dies_and_the_hold_ends_through_another",
            "tests/protocol/test_house_attacks.py::test_only_the_two_sides_of_a_hold_open_its_slots",
        ),
    ),
    "governance is q signatures": Claim(
        says="A freeze, a tariff or a new key holds once q super-agents' operators approved it, not before.",
        because=(
            "An honest super-agent votes for such an order only when two of its own operators approved "
            "exactly these bytes; a certificate is q votes, of authors, over all occurrences. Nobody opens a "
            "slot of governance before what it voted for has died of age, so nobody ends one that lives."
        ),
        rests_on=("counting is a function", "no two finals"),
        shown_by=(
            (
                "tests/protocol/test_governance.py::"
                "test_a_freeze_that_too_few_approve_does_nothing_and_with_one_more_holds_everywhere"
            ),
            "tests/protocol/test_governance.py::test_who_was_down_and_all_after_a_crash_hold_the_freeze",
            (
                "tests/protocol/test_house_attacks.py::"
                "test_f_super_agents_alone_freeze_nobody_and_hold_up_nobodys_freeze"
            ),
        ),
    ),
    "no change jams a payer": Claim(
        says="An order in flight over a freeze, a change of tariff or a midnight ends, and so does its slot.",
        because=(
            "An order's tariff and limits are those of its own day, which every voter takes whatever day it "
            "has. A freeze may part the voters: what is certified becomes final, and what is not is decided "
            "by recovery or by the payer's cancel, which no freeze refuses."
        ),
        rests_on=("decided within a few views",),
        shown_by=(
            "tests/protocol/test_governance.py::test_an_order_in_flight_while_a_freeze_becomes_final_ends",
            (
                "tests/protocol/test_governance.py::"
                "test_orders_signed_around_a_change_of_tariff_at_midnight_are_all_paid"
            ),
            "tests/protocol/test_governance.py::test_a_day_that_ends_refuses_no_order_of_it",
        ),
    ),
    "one signature, one answer": Claim(
        says="All replicas find the same signatures valid, alone or in whatever batch.",
        because=(
            "The rule multiplies by the cofactor, so a signature that holds alone holds in every sum. One "
            "that does not is a term of prime order there, which at most one of 2^128 multipliers cancels; "
            "they are hashes of the whole batch, which whoever forges fixes before she knows them. A sum "
            "that fails is taken apart until each is judged. What else the rule says is of one signature."
        ),
        shown_by=(
            "tests/crypto/test_edge_signatures.py::test_torsion_in_key_and_nonce_is_multiplied_away",
            "tests/crypto/test_batch_equation.py::test_errors_that_sum_to_nothing_are_found",
            (
                "tests/crypto/test_batch_equation.py::"
                "test_small_mutations_are_judged_by_the_readable_rule"
            ),
        ),
    ),
    "a changed key signs from then on": Claim(
        says="After a change of key no replica votes for what the old key signed for a later slot.",
        because=(
            "The change occupies a slot of the account. Signatures that were checked before are checked "
            "again where the payer's key has changed since, at the door and in held blocks alike."
        ),
        shown_by=(
            (
                "tests/protocol/test_governance.py::"
                "test_a_key_that_changed_signs_from_then_on_at_every_replica"
            ),
            (
                "tests/protocol/test_house_attacks.py::"
                "test_what_the_old_key_signed_ahead_of_its_change_comes_too_late"
            ),
        ),
    ),
    "a cut has one state": Claim(
        says="Whoever holds a cut finds the same ledger and the same frame for it, to the byte.",
        because=(
            "What is final in a cut is a function of its blocks, and so is what an order does. A frame has "
            "rows, votes and fences, which are functions of blocks too, written in one order; lanes are "
            "numbered by branches in the order of their digests, from one checkpoint to the next."
        ),
        rests_on=("counting is a function", "finality is monotone"),
        shown_by=(CUTS,),
    ),
    "a frame forgets nothing": Claim(
        says="A fold that goes on from a checkpoint ends where one ends that has folded everything.",
        because=(
            "What is decided is in the ledger, and behind its subject's next sequence. Every slot that is "
            "not, stands in the frame with all votes, fences, proposals and statements, and its orders' "
            "blocks whole. Rows are kept for as many blocks as in memory, so that a late branch is placed "
            "as it would have been. An author's own locks are its own votes."
        ),
        rests_on=("a cut has one state", "one vote in a view"),
        shown_by=(CUTS,),
    ),
    "w words are true": Claim(
        says="A checkpoint that w super-agents have signed is the state at its cut.",
        because=(
            "One of w is honest, and an honest one signs what it has computed from its own journal and the "
            "checkpoint before, or from the genesis. Who finds something else than w others is wrong itself, "
            "takes its own away and signs no more; fewer than w others are named and stop nobody."
        ),
        rests_on=("a cut has one state", "a frame forgets nothing"),
        shown_by=(
            DESK + "test_a_false_word_is_named_and_stops_nobody",
            DESK + "test_whoever_finds_what_w_others_do_not_signs_no_more",
        ),
    ),
    "pages are what was signed": Claim(
        says="Whoever begins by pages begins with the state that w super-agents have signed, or not at all.",
        because=(
            "The index has to give both roots of the document and each page its leaf in that index, by "
            "digests; nothing else is kept. Who sends something else is asked nothing more, and who sends "
            "nothing is passed over, so that one honest peer with the pages is enough."
        ),
        rests_on=("w words are true",),
        shown_by=(
            PAGES + "test_without_w_words_nothing_is_believed",
            PAGES + "test_liars_are_named_and_asked_no_more_and_cannot_keep_it",
        ),
    ),
    "pages break no promise": Claim(
        says="Who begins by pages with a journal of its own keeps every promise that this journal records.",
        because=(
            "Promises lie in one's own blocks. Those in the cut are in the frame; those outside of it are "
            "folded behind it, or it does not begin there. A cut with a block of one's own that the journal "
            "lacks shows that the disk is an old one: then it begins there under a new incarnation alone."
        ),
        rests_on=("a frame forgets nothing", "pages are what was signed"),
        shown_by=(
            FETCHING + "test_blocks_of_its_own_journal_outside_of_the_cut_are_folded_behind_it",
            FETCHING
            + "test_an_old_disk_does_not_begin_at_a_frame_with_blocks_of_its_own_that_it_lacks",
        ),
    ),
    "money is conserved": Claim(
        says="No cent is lost or made, and nobody but an issuer is below zero at a closed cut.",
        because=(
            "An order debits one account what it credits to others, is applied once, and waits for what it "
            "needs. A broker includes it only when the past of its block pays for it."
        ),
        rests_on=("no two finals", "a pay-out has its table"),
        shown_by=(
            SEEDS,
            "tests/protocol/test_recovery.py::test_many_crooked_payers_over_a_bad_network",
        ),
    ),
}
