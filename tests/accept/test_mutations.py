"""The tests of the tests: a core with one rule broken is found out by a named test, within a minute each.

Each mutation changes one line of a copy of the source. A mutation that no test finds would mean that the rule
is nowhere shown.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEFINITION = "tests/protocol/test_definition.py"
RECOVERY = "tests/protocol/test_recovery.py"
ABSTAINING = "tests/protocol/test_abstaining.py"
BOUNDED = "tests/protocol/test_bounded_work.py"
EVIDENCE = "tests/protocol/test_evidence.py"
REPLICA = "tests/protocol/test_replica.py"

pytestmark = [pytest.mark.accept, pytest.mark.timeout(300)]


@dataclass(frozen=True)
class Mutation:
    file: str
    right: str
    wrong: str
    found_by: str


MUTATIONS = {
    "no fence stops an acknowledgement": Mutation(
        "disputes", "        if fence is None:\n", "        if True:\n", DEFINITION
    ),
    "who refuses an order votes for it": Mutation(
        "doubts", "self.refusers[row] |= bit", "self.refusers[row] |= 0", DEFINITION
    ),
    "the fencing block itself acknowledges": Mutation(
        "chains",
        "self.row(lane, height - 1)[CLOCK]",
        "self.row(lane, height)[CLOCK]",
        DEFINITION,
    ),
    "who abstains acknowledges on": Mutation(
        "doubts", "        group.mend(seen[k])\n", "        pass\n", DEFINITION
    ),
    "who abstains votes on": Mutation(
        "doubts",
        "            if lane in group.silenced:\n",
        "            if lane is None:\n",
        DEFINITION,
    ),
    "what was acknowledged before an abstention is forgotten": Mutation(
        "doubts",
        "seen[lane] = self.acknowledging >> lane & 1",
        "seen[lane] = False",
        DEFINITION,
    ),
    "who abstains opens the slot itself": Mutation(
        "recovery", "if own != ABSTAINS and not self._abstains(slot):", "if True:", ABSTAINING
    ),
    "a skip where one must abstain is acknowledged": Mutation(
        "replica", "self._note_abstentions_in(block.recovery.slots())", "pass", ABSTAINING
    ),
    "who abstains is waited for": Mutation(
        "replica", " and self.lane not in group.silenced:", ":", ABSTAINING
    ),
    "a fence does not stop votes in view 0": Mutation(
        "disputes",
        "and not (dispute.fences and dispute.fence(chains, lane, height))",
        "",
        DEFINITION,
    ),
    "a vote counts in any view": Mutation(
        "disputes",
        "if dispute is None or dispute.fence(chains, lane, height) != vote.view:",
        "if dispute is None:",
        DEFINITION,
    ),
    "branches are counted, not authors": Mutation(
        "chains",
        "return len(set(self.author_of[lanes].tolist())) >= self.quorum",
        "return len(lanes) >= self.quorum",
        DEFINITION,
    ),
    "the votes of those who fork are not counted": Mutation(
        "chains",
        "lanes = np.flatnonzero(voting)",
        "lanes = np.flatnonzero(voting[: self.members])",
        DEFINITION,
    ),
    "the lowest certificate is stated": Mutation(
        "disputes",
        "return max(certified, default=None)",
        "return min(certified, default=None)",
        "tests/protocol/test_proposals.py",
    ),
    "a certificate is final": Mutation(
        "fold", "if len(authors) >= self.committee.q:", "if True:", DEFINITION
    ),
    "nothing is stated": Mutation(
        "disputes",
        "return max(certified, default=None)",
        "return None",
        DEFINITION,
    ),
    "a quorum is 2f + 1": Mutation(
        "committee",
        "return self.n - self.f",
        "return 2 * self.f + 1",
        "tests/protocol/test_committee.py",
    ),
    "locks are forgotten at a restart": Mutation(
        "replica",
        "            if self._restoring:\n",
        "            if False:\n",
        REPLICA + "::test_a_restart_keeps_the_locks",
    ),
    "who votes late votes for what it never looked at": Mutation(
        "replica",
        "        refuse[apart] = True\n",
        "        refuse[apart] = False\n",
        REPLICA + "::test_who_votes_late_votes_for_no_rival_of_what_it_has_locked",
    ),
    "a vote leaves before it is durable": Mutation(
        "replica",
        "        if not self._restoring:\n            effects.persist.append(held.block.data)",
        "        if not self._restoring and lane != self.lane:\n"
        "            effects.persist.append(held.block.data)",
        REPLICA + "::test_a_restart_keeps_the_locks",
    ),
    "who lost its disk abstains from nothing": Mutation(
        "reentry",
        "if self.phase != Phase.ABSTAINING:",
        "if True:",
        RECOVERY + "::test_who_lost_its_disk_comes_back_under_a_new_incarnation",
    ),
    "who lost its disk goes on as if nothing were": Mutation(
        "replica",
        "if seen.author == self.index and not self._may_be_told_of(seen):",
        "if False:",
        REPLICA + "::test_a_replica_that_lost_its_disk_stops_speaking",
    ),
    "a slot is never opened": Mutation(
        "recovery",
        "return 1 if case.opening else 0",
        "return 0",
        RECOVERY + "::test_a_cancel_beside_an_order_frees_the_slot",
    ),
    "a dead leader is waited for": Mutation(
        "recovery",
        "                    return own + 1\n",
        "                    return own\n",
        RECOVERY + "::test_a_dead_leader_costs_a_view_and_no_more",
    ),
    "one who joins does not join": Mutation(
        "recovery",
        "if joined > own:",
        "if False:",
        "tests/protocol/test_proposals.py",
    ),
    "a proposal needs no proof": Mutation(
        "disputes",
        "if len(authors) < chains.quorum:\n            return False",
        "if False:\n            return False",
        "tests/protocol/test_proposals.py",
    ),
    "a proposal may pass over a certificate": Mutation(
        "disputes",
        "if proposal.value not in allowed:",
        "if False:",
        "tests/protocol/test_proposals.py",
    ),
    "anybody leads": Mutation(
        "disputes",
        "if dispute is None or chains.lanes[lane].author != leader:",
        "if dispute is None:",
        "tests/protocol/test_proposals.py",
    ),
    "one may vote twice in a view": Mutation(
        "recovery",
        "if dispute.vote_of(self._chains, lane, view) is not None:",
        "if False:",
        "tests/protocol/test_proposals.py",
    ),
    "a slot that is about to be final is opened": Mutation(
        "recovery",
        "if dispute is not None and dispute.comes_by_itself(self._chains, self._sees):",
        "if False:",
        RECOVERY + "::test_what_is_certified_where_nobody_fenced_is_waited_for",
    ),
    "a certificate that nobody will acknowledge is waited for": Mutation(
        "recovery",
        "dispute.comes_by_itself(self._chains, self._sees):",
        "dispute.comes_by_itself(self._chains, lambda: self._chains.heads):",
        "tests/protocol/test_evidence.py"
        "::test_a_certificate_that_needs_a_vote_which_nobody_references_keeps_no_slot_shut",
    ),
    "patience runs out while too few can be reached": Mutation(
        "replica",
        "able = self.peers_up | {self.index}",
        "able = set(range(self.committee.n))",
        RECOVERY + "::test_nothing_is_opened_while_too_few_can_be_reached",
    ),
    "who abstains is counted on": Mutation(
        "replica",
        "able = able - dispute.abstaining(self.chains)",
        "able = able | self.peers_up",
        RECOVERY + "::test_who_abstains_in_a_slot_is_not_counted_on_there",
    ),
    "a free order is voted for unchecked": Mutation(
        "recovery",
        "return self._passes(dispute, value)",
        "return True",
        "tests/protocol/test_proposals.py",
    ),
    "a lone order is skipped by whoever leads its first views": Mutation(
        "recovery",
        "return len(self._signed(dispute)) > 1",
        "return True",
        "tests/protocol/test_proposals.py",
    ),
    "a lone order that does not pass is waited for": Mutation(
        "recovery",
        "return signed[0] if view <= w or self._passes(dispute, signed[0]) else None",
        "return signed[0]",
        "tests/protocol/test_proposals.py",
    ),
    "a lone order is waited for without end": Mutation(
        "recovery",
        "if view > w + LONE_VIEWS:",
        "if False:",
        "tests/protocol/test_proposals.py",
    ),
    "a leader takes its own word for a certificate": Mutation(
        "recovery",
        "own = [] if led is None else [(led[0].value, led[1])]",
        "own = [] if led is None else [(led[0].value, True)]",
        "tests/protocol/test_proposals.py",
    ),
    "a fence leaves an order to a block that nobody references": Mutation(
        "recovery",
        "if dispute is None or not self._will_see(dispute, name):",
        "if dispute is None or name not in dispute.orders:",
        "tests/protocol/test_proposals.py",
    ),
    "a balance is clamped at zero": Mutation(
        "../ledger/kernels",
        'accounts[payer]["balance"] -= debit',
        'accounts[payer]["balance"] = max(np.int64(accounts[payer]["balance"]) - np.int64(debit), 0)',
        "tests/ledger/test_applying.py",
    ),
    "an author's blocks cost it nothing": Mutation(
        "replica",
        "            self._limits.allowances[block.author].pay(*cost_of(block, vouched=vouched))\n",
        "            pass\n",
        BOUNDED + "::test_blocks_beyond_an_authors_limit_are_not_looked_at_and_fetched_later",
    ),
    "a fork in a later life is forgotten by a restart": Mutation(
        "fold",
        "if sum(other.incarnation == about.incarnation for other in lanes) > 1:",
        "if not about.incarnation and len(self.chains.lanes_of[about.author]) > 1:",
        BOUNDED + "::test_a_liar_who_comes_back_and_then_forks_stops_nobody",
    ),
    "who is behind is held back by the limits": Mutation(
        "replica",
        "return int(np.count_nonzero(holders)) >= self.committee.w",
        "return False",
        BOUNDED + "::test_what_w_hold_is_taken_without_a_limit",
    ),
    "what one alone has fenced is never joined": Mutation(
        "recovery",
        "(len(dispute.orders) > 1 or dispute.fenced_by(1))",
        "len(dispute.orders) > 1",
        "tests/protocol/test_recovery.py"
        "::test_what_one_alone_has_fenced_is_joined_when_nobody_can_be_missed",
    ),
    "blocks wait for their past without end": Mutation(
        "parking",
        "len(room.parked) >= room.blocks_max\n",
        "False\n",
        BOUNDED
        + "::test_a_few_parentless_blocks_wait_and_their_parents_are_asked_of_their_sender_alone",
    ),
    "undecided orders are kept without end": Mutation(
        "replica",
        "if seen.orders and self._kept_in(lane) >= self._limits.kept_orders_max:",
        "if False:",
        BOUNDED + "::test_a_crooked_payer_and_a_broker_fill_no_memory_with_orders_of_one_slot",
    ),
    "what a convict says is a reason to speak for ever": Mutation(
        "replica",
        "            self._owed.in_vain = set(self._owed.items)\n",
        "            self._owed.in_vain = set()\n",
        BOUNDED + "::test_what_rests_on_the_word_of_a_convict_is_no_reason_to_speak",
    ),
    "who refused a block before is taken to vote for it": Mutation(
        "evidence",
        "            if (before.incarnation, before.height) < (block.incarnation, block.height):\n",
        "            if True:\n",
        EVIDENCE + "::test_what_is_no_second_vote_convicts_nobody",
    ),
    "who comes back is convicted of all of history": Mutation(
        "evidence",
        "    first_life = not voter.incarnation\n",
        "    first_life = True\n",
        EVIDENCE + "::test_who_came_back_is_not_convicted_for_referencing_all_of_history",
    ),
    "final orders that wait are dropped": Mutation(
        "applying",
        "self._waiting.append((orders[waits], where, indices[waits]))",
        "self._waiting = [(orders[waits], where, indices[waits])]",
        "tests/protocol/test_applying.py",
    ),
    "a restart forgets the lock after a slot that was fought over": Mutation(
        "slots",
        ' or pool[entry]["sequence"] < orders[i]["sequence"]',
        "",
        RECOVERY + "::test_a_restart_keeps_a_lock_in_the_slot_after_one_that_was_fought_over",
    ),
    "a bulk pay-out may come without its table": Mutation(
        "wire",
        "    if len(tabled) != len(naming):\n",
        "    if False:\n",
        "tests/protocol/test_bulk.py",
    ),
    "a table need not be the one that its order names": Mutation(
        "wire",
        " or named != name:",
        ":",
        "tests/protocol/test_bulk.py",
    ),
    "a table that waits with its order is forgotten": Mutation(
        "applying",
        "            self._keep_tables(orders[waits], tables)\n",
        "",
        "tests/protocol/test_bulk.py",
    ),
}


@pytest.mark.parametrize("what", MUTATIONS)
def test_a_broken_rule_is_found(what, tmp_path):
    mutation = MUTATIONS[what]
    # With times as they are, so that compiled kernels of what is not changed are found again.
    shutil.copytree(ROOT / "src", tmp_path / "src", copy_function=shutil.copy2)
    file = tmp_path / "src" / "harambee" / "protocol" / f"{mutation.file}.py"
    text = file.read_text(encoding="utf-8")
    assert text.count(mutation.right) == 1, "the rule stands in one place"
    file.write_text(text.replace(mutation.right, mutation.wrong), encoding="utf-8")
    found = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", mutation.found_by],
        cwd=ROOT,
        env={
            **os.environ,
            "PYTHONPATH": str(tmp_path / "src"),
            "HYPOTHESIS_PROFILE": "any",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert found.returncode == 1, found.stdout[-2_000:]
    assert " failed" in found.stdout
