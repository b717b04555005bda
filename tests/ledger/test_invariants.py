"""Each invariant finds the one thing that it is there to find."""

import pytest
from tests.ledger.town import NUMBERS, Town

from harambee.crypto.hashing import digest
from harambee.ledger import invariants
from harambee.ledger.invariants import InvariantError, Snapshot
from harambee.ledger.records import KEY_TYPE_SHIFT, NO_ACCOUNT_SLOT, P256_SIGN_BIT, KeyType
from harambee.ledger.side_tables import subject_of_account

TILL = digest(b"till")


def change(name, field, by):
    def meddle(town):
        town.record(name)[field] = int(town.record(name)[field]) + by

    return meddle


def move(field, by, other):
    """Change a field of the customer, and the other way round of another account."""

    def meddle(town):
        town.record("customer")[field] += by
        town.record(other)[field] -= by

    return meddle


def cancel_without_entry(town):
    town.record("customer")["next_sequence"] += 1


def forget_entries(town):
    town.ledger._log.count -= 1


def alias_to(owner, following):
    def meddle(town):
        town.ledger.aliases.put(TILL, owner, following)

    return meddle


def money_nowhere(town):
    town.record("customer")["balance"] -= 1
    town.ledger.accounts[30]["balance"] += 1


def higher_limit(town):
    town.ledger.issuers[NUMBERS["bank"]] += 1


def key_of_another_type_in_a_governed_slot(town):
    """Operators may freeze an account; the key is its owner's alone to change."""
    town.ledger.side.governed[subject_of_account(NUMBERS["customer"])] = 1
    town.record("customer")["flags"] ^= P256_SIGN_BIT | KeyType.P256 << KEY_TYPE_SHIFT


def new_key(town):
    town.ledger.identities[NUMBERS["customer"]]["key"][5] ^= 1


def head_office_of(agent, office):
    def meddle(town):
        number = 0 if office is None else NUMBERS[office]
        town.ledger.identities[NUMBERS[agent]]["head_office"] = number

    return meddle


def lost_alias(town):
    town.ledger.aliases.rows[:] = 0


def entry_of_a_claim_taken_for_a_slot(town):
    entries = town.ledger._log._rows[: town.ledger.entry_count]
    entries["revenue_previous"][entries["revenue_previous"] == NO_ACCOUNT_SLOT] = 0


MEDDLING = [
    (invariants.balances_add_up_to_zero, change("customer", "balance", 1)),
    (invariants.balances_add_up_to_zero, change("last", "balance", -1)),
    (invariants.credits_equal_debits, change("customer", "credited", 1)),
    (invariants.nobody_but_issuers_is_below_zero, move("balance", -1_000_01, "business")),
    (invariants.nobody_but_issuers_is_below_zero, move("balance", 389_700_01, "bank")),
    (invariants.nobody_but_issuers_is_below_zero, move("balance", 1, "branch")),
    (invariants.no_money_lies_where_no_account_is, money_nowhere),
    (invariants.what_is_held_is_held_by_holds, change("customer", "held", 1)),
    (invariants.what_is_held_is_covered, change("customer", "held", 1_000_00)),
    (invariants.aliases_name_accounts, alias_to(24, 3)),
    (invariants.chains_end_within_the_log, change("customer", "last_entry", 1_000)),
    (invariants.every_change_of_a_balance_is_explained, move("balance", -1, "business")),
    (invariants.every_change_of_a_balance_is_explained, change("customer", "debited", 5)),
    (invariants.totals_and_sequences_never_fall, change("customer", "debited", -1)),
    (invariants.totals_and_sequences_never_fall, change("customer", "day", -1)),
    (invariants.totals_and_sequences_never_fall, change("customer", "next_sequence", -1)),
    (invariants.every_slot_passed_has_its_entry, cancel_without_entry),
    (invariants.every_slot_passed_has_its_entry, forget_entries),
    (invariants.every_slot_passed_has_its_entry, entry_of_a_claim_taken_for_a_slot),
    (invariants.accounts_stay_who_they_are, new_key),
    (invariants.accounts_stay_who_they_are, key_of_another_type_in_a_governed_slot),
    (invariants.accounts_stay_who_they_are, change("customer", "flags", 16)),
    (invariants.accounts_stay_who_they_are, change("customer", "flags", -1)),
    (invariants.a_head_office_is_joined_once, head_office_of("shop", "agent")),
    (invariants.a_head_office_is_joined_once, head_office_of("shop", None)),
    (invariants.aliases_only_move_on, alias_to(NUMBERS["customer"], 1)),
    (invariants.aliases_only_move_on, lost_alias),
    (invariants.limits_change_in_slots_of_their_banks, higher_limit),
    (invariants.entries_are_only_appended, forget_entries),
]


@pytest.fixture
def town():
    town = Town()
    town.tell("""
        final send customer neighbour 1.00             -> APPLIED
        final claim enrolment merchant 0 alias till    -> APPLIED
        final send neighbour agent 100.01              -> APPLIED
    """)
    return town


@pytest.mark.parametrize(("invariant", "meddle"), MEDDLING)
def test_meddling_is_found(town, invariant, meddle):
    before = invariants.check(town.ledger)
    meddle(town)
    with pytest.raises(InvariantError, match=f"^{invariant.__name__}: |\n{invariant.__name__}: "):
        invariants.check(town.ledger, before)


def test_every_invariant_is_shown_to_find_something():
    assert {invariant for invariant, _ in MEDDLING} == {
        *invariants.OF_MOMENTS,
        *invariants.OF_HISTORIES,
    }


def test_an_invariant_may_be_left_out(town):
    before = Snapshot.of(town.ledger)
    town.record("branch")["balance"] -= 1
    town.record("branch")["debited"] += 1
    town.record("customer")["balance"] += 1
    town.record("customer")["credited"] += 1
    with pytest.raises(InvariantError):
        invariants.check(town.ledger, before)
    invariants.check(town.ledger, before, leave_out=invariants.RESTING_ON_VOTERS)


def test_a_snapshot_is_not_reached_by_what_comes_later(town):
    before = Snapshot.of(town.ledger)
    opened = before.records.tobytes()
    town.tell("final send customer neighbour 1.00 -> APPLIED")
    assert before.records.tobytes() == opened
    assert before.entry_count == 3
