"""One story for each outcome: what the ledger refuses, and the nearest thing that it does not."""

import pytest
from tests.ledger.town import Town

from harambee.ledger import house_rules, rules
from harambee.ledger.outcomes import Outcome

STORIES = {
    "every kind of payment": """
        send            customer neighbour  100.00     -> ACCEPTED
        send            customer last       100.00     -> ACCEPTED
        withdraw        customer agent      50.00      -> ACCEPTED
        deposit         agent customer      5,000.00   -> ACCEPTED
        buy-goods       customer merchant   1,000.00   -> ACCEPTED
        bank-deposit    business bank       400,000.00 -> ACCEPTED
        bank-deposit    customer branch     1,000.00   -> ACCEPTED
        float-sale      float agent         50,000.00  -> ACCEPTED
        float-sale      agent float         5,000.00   -> ACCEPTED
        float-sale      bank float          1.00       -> ACCEPTED
        bank-withdrawal bank customer       1.00       -> ACCEPTED
        bank-withdrawal bank business       1.00       -> ACCEPTED
    """,
    "everything that is no payment": """
        cancel customer self 0                         -> ACCEPTED
        cancel bank     self 0                         -> ACCEPTED
        enrol  enrolment new 0 key newcomer            -> ACCEPTED
        enrol  far-enrolment new 0 key newcomer        -> ACCEPTED
        claim  enrolment merchant 0 alias till         -> ACCEPTED
    """,
    "a kind of order that is not known": """
        0   customer neighbour 1.00                    -> KIND_UNKNOWN
        31  customer neighbour 1.00                    -> KIND_UNKNOWN
        63  customer neighbour 1.00                    -> KIND_UNKNOWN
        71  customer neighbour 1.00                    -> KIND_UNKNOWN
        255 customer neighbour 1.00                    -> KIND_UNKNOWN
        255 #99      #99       0c unsigned             -> KIND_UNKNOWN
    """,
    "options of a payment": """
        send customer neighbour 1.00 options 010000    -> OPTIONS_INVALID
        send customer neighbour 1.00 options 000100    -> OPTIONS_INVALID
        send customer neighbour 1.00 options 000001    -> OPTIONS_INVALID
        send customer neighbour 1.00 alias rent        -> ACCEPTED
    """,
    "a cancel carries nothing": """
        cancel customer self 0 options 000001          -> OPTIONS_INVALID
        cancel customer self 0 alias rent              -> OPTIONS_INVALID
        cancel customer neighbour 0                    -> OPTIONS_INVALID
    """,
    "options of an enrolment": """
        enrol enrolment new 0 key k options 000000     -> OPTIONS_INVALID
        enrol enrolment new 0 key k options 010000     -> ACCEPTED
        enrol enrolment new 0 key k options 040000     -> ACCEPTED
        enrol enrolment new 0 key k options 050000     -> OPTIONS_INVALID
        enrol enrolment new 0 key k options 0b0000     -> ACCEPTED
        enrol enrolment new 0 key k options 0c0000     -> OPTIONS_INVALID
        enrol enrolment new 0 key k options 140000     -> ACCEPTED
        enrol enrolment new 0 key k options 240000     -> ACCEPTED
        enrol enrolment new 0 key k options 340000     -> OPTIONS_INVALID
        enrol enrolment new 0 key k options 110000     -> OPTIONS_INVALID
        enrol enrolment new 0 key k options 010800     -> ACCEPTED
        enrol enrolment new 0 key k options 011000     -> OPTIONS_INVALID
        enrol enrolment new 0 key k options 01000f     -> ACCEPTED
        enrol enrolment new 0 key k options 010010     -> OPTIONS_INVALID
        enrol enrolment new 0 key k options 010400     -> OPTIONS_INVALID
    """,
    "a payer that is no account": """
        send #24         neighbour 1.00                -> PAYER_UNKNOWN
        send #2097152    neighbour 1.00                -> PAYER_UNKNOWN
        send #4294967295 neighbour 1.00                -> PAYER_UNKNOWN
        send #24         neighbour 1.00 unsigned       -> PAYER_UNKNOWN
    """,
    "a signature that does not hold": """
        send customer neighbour 1.00 unsigned             -> SIGNATURE_INVALID
        send customer neighbour 1.00 unsigned sequence +1 -> SIGNATURE_INVALID
    """,
    "a slot that is past": """
        final send customer neighbour 1.00             -> APPLIED
        send customer neighbour 1.00 sequence 0        -> SEQUENCE_STALE
        send customer neighbour 1.00 sequence 1        -> ACCEPTED
        cancel customer self 0 sequence 0              -> SEQUENCE_STALE
    """,
    "the last sequence of all is never used": """
        given customer next_sequence 4294967294                  ->
        send customer neighbour 1.00                             -> ACCEPTED
        final cancel customer self 0                             -> APPLIED
        next customer                                            -> 4294967295
        send customer neighbour 1.00                             -> SEQUENCE_STALE
        final send customer neighbour 1.00                       -> WAITING
        next customer                                            -> 4294967295
    """,
    "a slot that is not yet": """
        send customer neighbour 1.00 sequence +1          -> SEQUENCE_AHEAD
        send customer neighbour 1.00 sequence 4294967294  -> SEQUENCE_AHEAD
        send customer neighbour 1.00 sequence 4294967295  -> SEQUENCE_STALE
    """,
    "paying oneself": """
        send  customer customer 1.00                   -> PAYER_IS_PAYEE
        claim enrolment enrolment 0 alias till         -> PAYER_IS_PAYEE
        enrol enrolment enrolment 0 key k              -> PAYER_IS_PAYEE
    """,
    "a payee that is no account": """
        send customer #24         1.00                 -> PAYEE_UNKNOWN
        send customer #2097152    1.00                 -> PAYEE_UNKNOWN
        send customer #4294967295 1.00                 -> PAYEE_UNKNOWN
        claim enrolment #24 0 alias till               -> PAYEE_UNKNOWN
    """,
    "a payer of the wrong kind": """
        send            agent customer    1.00         -> PAYER_KIND_WRONG
        withdraw        merchant agent    1.00         -> PAYER_KIND_WRONG
        deposit         customer agent    1.00         -> PAYER_KIND_WRONG
        bank-deposit    float bank        1.00         -> PAYER_KIND_WRONG
        bank-withdrawal customer agent    1.00         -> PAYER_KIND_WRONG
        float-sale      revenue agent     1.00         -> PAYER_KIND_WRONG
        enrol           customer new      0 key k      -> PAYER_KIND_WRONG
    """,
    "a payee of the wrong kind": """
        send            customer agent    1.00         -> PAYEE_KIND_WRONG
        send            customer revenue  1.00         -> PAYEE_KIND_WRONG
        withdraw        customer neighbour 1.00        -> PAYEE_KIND_WRONG
        deposit         agent merchant    1.00         -> PAYEE_KIND_WRONG
        buy-goods       customer agent    1.00         -> PAYEE_KIND_WRONG
        bank-deposit    customer float    1.00         -> PAYEE_KIND_WRONG
        bank-withdrawal bank float        1.00         -> PAYEE_KIND_WRONG
        float-sale      float customer    1.00         -> PAYEE_KIND_WRONG
    """,
    "an amount of zero": """
        send customer neighbour 0.00                   -> AMOUNT_ZERO
        send customer neighbour 0.01                   -> ACCEPTED
    """,
    "an amount where none belongs": """
        cancel customer self 0.01                      -> AMOUNT_NOT_ZERO
        cancel customer self 0 fee 0.01                -> AMOUNT_NOT_ZERO
        enrol enrolment new 0.01 key k                 -> AMOUNT_NOT_ZERO
        enrol enrolment new 0 fee 0.01 key k           -> AMOUNT_NOT_ZERO
        claim enrolment merchant 0.01 alias till       -> AMOUNT_NOT_ZERO
        claim enrolment merchant 0 fee 0.01 alias till -> AMOUNT_NOT_ZERO
        cancel customer self 18446744073709551615c     -> AMOUNT_NOT_ZERO
    """,
    "an amount above the limit of a customer's transaction": """
        given rich balance 300,000.00                  ->
        send rich neighbour 250,000.00                 -> ACCEPTED
        send rich neighbour 250,000.01                 -> AMOUNT_ABOVE_LIMIT
        bank-withdrawal bank business 250,000.01       -> ACCEPTED
    """,
    "an amount beyond all sense, or one that looks negative": """
        bank-deposit business bank 10,000,000,000,000.00 -> BALANCE_INSUFFICIENT
        bank-deposit business bank 1000000000000001c     -> AMOUNT_ABOVE_LIMIT
        bank-deposit business bank 9223372036854775807c  -> AMOUNT_ABOVE_LIMIT
        bank-deposit business bank 9223372036854775808c  -> AMOUNT_ABOVE_LIMIT
        bank-deposit business bank 18446744073709551516c -> AMOUNT_ABOVE_LIMIT
        bank-deposit business bank 18446744073709551615c -> AMOUNT_ABOVE_LIMIT
        send customer neighbour 18446744073709551615c    -> AMOUNT_ABOVE_LIMIT
        send customer neighbour 18446744073709551615c tariff 9 -> AMOUNT_ABOVE_LIMIT
    """,
    "a tariff that is not in force": """
        send customer neighbour 1.00 tariff 0          -> TARIFF_UNKNOWN
        send customer neighbour 1.00 tariff 2          -> TARIFF_UNKNOWN
        send customer neighbour 1.00 tariff 65535      -> TARIFF_UNKNOWN
        deposit agent customer 1.00 tariff 2           -> TARIFF_UNKNOWN
        cancel customer self 0 tariff 2                -> ACCEPTED
    """,
    "an amount that the tariff has no price for": """
        withdraw customer agent 49.99                  -> AMOUNT_WITHOUT_TARIFF
        withdraw customer agent 50.00                  -> ACCEPTED
        withdraw customer agent 0.01                   -> AMOUNT_WITHOUT_TARIFF
    """,
    "a fee that is not the tariff's": """
        send customer neighbour 100.00 fee 0.00        -> ACCEPTED
        send customer neighbour 100.00 fee 0.01        -> FEE_WRONG
        send customer neighbour 100.01 fee 6.99        -> FEE_WRONG
        send customer neighbour 100.01 fee 7.00        -> ACCEPTED
        send customer neighbour 100.01 fee 7.01        -> FEE_WRONG
        send customer neighbour 100.01 fee 4294967295c -> FEE_WRONG
        deposit agent customer 100.00 fee 0.01         -> FEE_WRONG
    """,
    "an order of another day": """
        send customer neighbour 1.00 day -1            -> ACCEPTED
        send customer neighbour 1.00 day +1            -> ACCEPTED
        send customer neighbour 1.00 day -2            -> DAY_WRONG
        send customer neighbour 1.00 day +2            -> DAY_WRONG
        send customer neighbour 1.00 day 0             -> DAY_WRONG
        send customer neighbour 1.00 day 65535         -> DAY_WRONG
        cancel customer self 0 day -2                  -> DAY_WRONG
        enrol enrolment new 0 key k day +2             -> DAY_WRONG
        claim enrolment merchant 0 alias till day +2   -> DAY_WRONG
    """,
    "a day before the payer's last": """
        final send customer neighbour 1.00 day +1      -> APPLIED
        send customer neighbour 1.00 day +0            -> DAY_BEFORE_LAST
        send customer neighbour 1.00 day +1            -> ACCEPTED
        cancel customer self 0 day +0                  -> DAY_BEFORE_LAST
        deposit agent customer 1.00 day +0             -> ACCEPTED
    """,
    "a payer that is frozen": """
        given customer status FROZEN                   ->
        send customer neighbour 1.00                   -> PAYER_NOT_ACTIVE
        cancel customer self 0                         -> ACCEPTED
        given customer status CLOSED                   ->
        send customer neighbour 1.00                   -> PAYER_NOT_ACTIVE
        cancel customer self 0                         -> ACCEPTED
        given enrolment status FROZEN                  ->
        enrol enrolment new 0 key k                    -> PAYER_NOT_ACTIVE
        claim enrolment merchant 0 alias till          -> PAYER_NOT_ACTIVE
    """,
    "a payee that is frozen": """
        given neighbour status FROZEN                  ->
        send customer neighbour 1.00                   -> PAYEE_NOT_ACTIVE
        given neighbour status CLOSED                  ->
        send customer neighbour 1.00                   -> PAYEE_NOT_ACTIVE
        claim enrolment neighbour 0 alias till         -> PAYEE_NOT_ACTIVE
        final send customer neighbour 1.00             -> APPLIED
        balance neighbour                              -> 201.00
    """,
    "a customer's limit for the day": """
        given rich balance 499,000.00                  ->
        final bank-deposit rich bank 249,000.00        -> APPLIED
        final bank-deposit rich bank 249,000.00        -> APPLIED
        given rich balance 400,000.00                  ->
        bank-deposit rich bank 2,000.00                -> ACCEPTED
        bank-deposit rich bank 2,000.01                -> DAILY_LIMIT_EXCEEDED
        bank-deposit rich bank 250,000.00 day +1       -> ACCEPTED
        bank-deposit rich bank 2,000.00 day -1         -> DAY_BEFORE_LAST
    """,
    "parties other than customers have no limit for the day": """
        final bank-deposit business bank 250,000.00    -> APPLIED
        final bank-deposit business bank 149,000.00    -> APPLIED
        final bank-withdrawal bank business 600,000.00 -> APPLIED
        bank-deposit business bank 601,000.00          -> ACCEPTED
    """,
    "the field of the day's spending never overflows": """
        given rich spent_today 42,949,672.95           ->
        given rich day +0                              ->
        given rich balance 300,000.00                  ->
        send rich neighbour 0.01                       -> DAILY_LIMIT_EXCEEDED
        final send rich neighbour 100.00               -> APPLIED
        send rich neighbour 0.01                       -> DAILY_LIMIT_EXCEEDED
        send rich neighbour 0.01 day +1                -> ACCEPTED
    """,
    "a customer's balance has a limit": """
        deposit agent rich 5,000.00                    -> ACCEPTED
        given rich balance 499,999.99                  ->
        deposit agent rich 0.01                        -> ACCEPTED
        deposit agent rich 0.02                        -> PAYEE_BALANCE_ABOVE_LIMIT
        final deposit agent rich 0.02                  -> APPLIED
        balance rich                                   -> 500,000.01
    """,
    "a balance that does not cover amount and fee": """
        send neighbour customer 193.00                 -> ACCEPTED
        send neighbour customer 193.01                 -> BALANCE_INSUFFICIENT
        send neighbour customer 200.00                 -> BALANCE_INSUFFICIENT
        buy-goods neighbour merchant 200.00            -> ACCEPTED
        buy-goods neighbour merchant 200.01            -> BALANCE_INSUFFICIENT
        float-sale float agent 50,000.01               -> BALANCE_INSUFFICIENT
    """,
    "what is held or frozen is not free": """
        given neighbour held 50.00                     ->
        buy-goods neighbour merchant 150.00            -> ACCEPTED
        buy-goods neighbour merchant 150.01            -> BALANCE_INSUFFICIENT
        given neighbour frozen 50.00                   ->
        buy-goods neighbour merchant 100.00            -> ACCEPTED
        buy-goods neighbour merchant 100.01            -> BALANCE_INSUFFICIENT
        given neighbour held 18446744073709551615c     ->
        buy-goods neighbour merchant 0.01              -> BALANCE_INSUFFICIENT
        given neighbour held 0.00                      ->
        given neighbour frozen 9223372036854775808c    ->
        buy-goods neighbour merchant 0.01              -> BALANCE_INSUFFICIENT
    """,
    "a bank issues up to its limit": """
        balance bank                                   -> -610,300.00
        bank-withdrawal bank business 389,700.00       -> ACCEPTED
        bank-withdrawal bank business 389,700.01       -> BALANCE_INSUFFICIENT
        bank-withdrawal branch business 0.01           -> BALANCE_INSUFFICIENT
    """,
    "an enrolment whose new key has not signed": """
        enrol enrolment new 0 key k unproven           -> POSSESSION_UNPROVEN
        enrol enrolment new 0 key k                    -> ACCEPTED
        send customer neighbour 1.00 unproven          -> ACCEPTED
    """,
    "a place that is not the enrolment's": """
        enrol enrolment #25     0 key k                -> POSITION_TAKEN
        enrol enrolment customer 0 key k               -> POSITION_TAKEN
        enrol enrolment #4294967295 0 key k            -> POSITION_TAKEN
        enrol enrolment #1048600 0 key k               -> POSITION_TAKEN
        given enrolment next_sequence 16               ->
        enrol enrolment new 0 key k                    -> POSITION_TAKEN
        given enrolment next_sequence 1                ->
        enrol enrolment new 0 key k                    -> POSITION_TAKEN
        given enrolment next_sequence 15               ->
        enrol enrolment new 0 key k                    -> POSITION_TAKEN
    """,
    "a region that is full": """
        given enrolment next_sequence 1048575          ->
        enrol enrolment new 0 key k                    -> ACCEPTED
        given enrolment next_sequence 1048576          ->
        enrol enrolment new 0 key k                    -> POSITION_TAKEN
        given far-enrolment next_sequence 1048575      ->
        enrol far-enrolment new 0 key k                -> POSITION_TAKEN
    """,
    "a key that is not accepted": """
        enrol enrolment new 0 key zero                          -> KEY_REFUSED
        enrol enrolment new 0 key zero options 010100           -> KEY_REFUSED
        enrol enrolment new 0 key point options 010200          -> KEY_REFUSED
        enrol enrolment new 0 key point options 010700          -> KEY_REFUSED
        enrol enrolment new 0 key point options 010200 unproven -> KEY_REFUSED
        enrol enrolment new 0 key no-point options 010300       -> KEY_REFUSED
    """,
    "a key of a phone's own hardware": """
        enrol enrolment new 0 key point options 010100           -> ACCEPTED
        enrol enrolment new 0 key point options 010500           -> ACCEPTED
        enrol enrolment new 0 key point options 010900           -> ACCEPTED
        enrol enrolment new 0 key point options 010d00           -> ACCEPTED
        enrol enrolment new 0 key point options 011100           -> OPTIONS_INVALID
        enrol enrolment new 0 key point options 010100 unproven  -> POSSESSION_UNPROVEN
        enrol enrolment new 0 key point options 010500 unproven  -> POSSESSION_UNPROVEN
    """,
    "an alias that has moved": """
        claim enrolment merchant 0 alias till sequence 1          -> ALIAS_SEQUENCE_WRONG
        claim enrolment merchant 0 alias till sequence 4294967295 -> ALIAS_SEQUENCE_WRONG
        final claim enrolment merchant 0 alias till               -> APPLIED
        claim merchant business 0 alias till sequence 0           -> ALIAS_SEQUENCE_WRONG
        claim merchant business 0 alias till sequence 1           -> ACCEPTED
        claim merchant business 0 alias till sequence 2           -> ALIAS_SEQUENCE_WRONG
    """,
    "an alias of somebody else": """
        claim merchant business 0 alias till           -> ALIAS_NOT_OWNED
        final claim enrolment merchant 0 alias till    -> APPLIED
        claim merchant business 0 alias till           -> ACCEPTED
        claim business customer 0 alias till           -> ALIAS_NOT_OWNED
        claim enrolment customer 0 alias till          -> ALIAS_NOT_OWNED
        claim far-enrolment customer 0 alias other     -> ACCEPTED
    """,
}


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_story(story):
    Town().tell(story)


def test_a_key_that_is_no_point_of_its_curve_is_refused_as_such():
    """A later outcome, which stands before the proof of possession: nobody can have such a key."""
    Town().tell("""
        enrol enrolment new 0 key no-point options 010100 unproven            -> KEY_NOT_A_POINT
        enrol enrolment new 0 key no-point options 010500 unproven            -> KEY_NOT_A_POINT
        enrol enrolment new 0 key beyond options 010100 unproven              -> KEY_NOT_A_POINT
        enrol enrolment new 0 key no-point options 010100 unproven unsigned   -> SIGNATURE_INVALID
        enrol enrolment new 0 key no-point options 010100 unproven day -9     -> DAY_WRONG
        enrol enrolment rich 0 key no-point options 010100 unproven           -> KEY_NOT_A_POINT
        enrol enrolment new 0 key no-point options 010000 unproven            -> POSSESSION_UNPROVEN
    """)


def test_every_outcome_has_its_story():
    told = "\n".join(STORIES.values())
    first = {o for o in (Outcome.ACCEPTED, *rules.RULES) if o <= rules.LAST_IN_ORDER}
    assert first == {outcome for outcome in Outcome if f"-> {outcome.name}\n" in told}


def test_the_order_of_the_rules_is_the_order_of_their_codes_but_for_later_ones():
    first = [outcome for outcome in rules.RULES if outcome <= rules.LAST_IN_ORDER]
    assert first == sorted(first)


def test_rules_that_are_no_matter_of_the_books_are_judged_elsewhere():
    of_the_house = {outcome for asked in house_rules.HOUSE_RULES.values() for outcome, _ in asked}
    of_the_house |= {outcome for outcome, _ in house_rules.SETTLING_RULES}
    judged = {Outcome.ACCEPTED, *rules.RULES} | of_the_house
    assert set(Outcome) - judged == rules.JUDGED_ELSEWHERE
