"""What final orders do: payments, cancels, enrolments and claims, told as stories.

A final order is nobody's to refuse: applying looks at no limit, freeze, day or signature.
"""

import pytest
from tests.ledger.town import Town

STORIES = {
    "a payment moves amount and fee, and takes the slot": """
        next customer                                  -> 0
        final send customer neighbour 100.01           -> APPLIED
        balance customer                               -> 892.99
        balance neighbour                              -> 300.01
        balance revenue                                -> 7.00
        next customer                                  -> 1
        next neighbour                                 -> 0
        statement customer                             -> 0
        statement neighbour                            -> 0
        statement revenue                              -> 0
        statement agent                                ->
    """,
    "the fee goes to the payer's region": """
        final withdraw far-customer agent 50.00        -> APPLIED
        balance far-customer                           -> 9,539.00
        balance agent                                  -> 5,050.00
        balance far-revenue                            -> 11.00
        balance revenue                                -> 0.00
    """,
    "without a fee the revenue account is left alone": """
        final buy-goods customer merchant 1,000.00     -> APPLIED
        balance customer                               -> 0.00
        balance revenue                                -> 0.00
        statement revenue                              ->
    """,
    "an order is applied once": """
        final send customer neighbour 1.00             -> APPLIED
        final send customer neighbour 1.00 sequence 0  -> ALREADY
        final send customer neighbour 2.00 sequence 0  -> ALREADY
        final cancel customer self 0 sequence 0        -> ALREADY
        balance neighbour                              -> 201.00
    """,
    "an order waits for the slot before it": """
        final send customer neighbour 2.00 sequence 1  -> WAITING
        balance neighbour                              -> 200.00
        final send customer neighbour 1.00             -> APPLIED
        final send customer neighbour 2.00             -> APPLIED
        balance neighbour                              -> 203.00
    """,
    "a credit waits for its payee": """
        final send customer #24 100.00                 -> WAITING
        balance customer                               -> 1,000.00
        final enrol enrolment new 0 key newcomer       -> APPLIED
        final send customer #24 100.00                 -> APPLIED
        balance customer                               -> 900.00
        statement enrolment                            -> 0
    """,
    "an order waits for its tariff": """
        final send customer neighbour 1.00 tariff 2    -> WAITING
        final send customer neighbour 1.00 tariff 1    -> APPLIED
    """,
    "an order of a kind to come waits for the version that knows it": """
        final 20 customer neighbour 1.00               -> WAITING
        next customer                                  -> 0
    """,
    "nothing is asked of a final order but that it can be done": """
        given customer status FROZEN                                  ->
        given neighbour status CLOSED                                 ->
        final send customer neighbour 5,000.00 fee 42.00 day +300     -> APPLIED
        balance customer                                              -> -4,042.00
        balance neighbour                                             -> 5,200.00
        balance revenue                                               -> 42.00
    """,
    "what nobody could ever own waits for ever": """
        final bank-deposit business bank 1000000000000000c -> APPLIED
        final bank-deposit business bank 1000000000000001c -> WAITING
        final bank-deposit business bank 18446744073709551615c -> WAITING
    """,
    "money may go round and round": """
        final float-sale float agent 50,000.00         -> APPLIED
        final deposit agent customer 49,000.00         -> APPLIED
        final send customer neighbour 40,000.00        -> APPLIED
        final withdraw neighbour agent 40,000.00       -> APPLIED
        final bank-deposit agent bank 46,000.00        -> APPLIED
        balance agent                                  -> 0.00
        balance bank                                   -> -564,300.00
        balance revenue                                -> 386.00
        statement agent                                -> 4 3 1 0
        statement revenue                              -> 3 2
    """,
    "the days of a payer do not run backwards": """
        final send customer neighbour 1.00 day +1      -> APPLIED
        final send customer neighbour 1.00 day -5      -> APPLIED
        send customer neighbour 1.00                   -> DAY_BEFORE_LAST
    """,
    "a cancel burns its slot and nothing else": """
        final cancel customer self 0                   -> APPLIED
        next customer                                  -> 1
        balance customer                               -> 1,000.00
        statement customer                             -> 0
        final send customer neighbour 1.00 sequence 0  -> ALREADY
        balance customer                               -> 1,000.00
    """,
    "an enrolment creates the account of its slot": """
        next enrolment                                 -> 24
        final enrol enrolment new 0 key k              -> APPLIED
        final enrol enrolment new 0 key l              -> APPLIED
        next enrolment                                 -> 26
        send customer #24 1.00                         -> ACCEPTED
        send customer #25 1.00                         -> ACCEPTED
        send customer #26 1.00                         -> PAYEE_UNKNOWN
        send #24 customer 1.00                         -> BALANCE_INSUFFICIENT
        final send customer #24 500.00                 -> APPLIED
        send #24 customer 1.00                         -> ACCEPTED
        statement enrolment                            -> 1 0
    """,
    "enrolments are of their own region, one slot after the other": """
        final enrol far-enrolment new 0 key k          -> APPLIED
        final enrol enrolment new 0 key k sequence +1  -> WAITING
        final enrol enrolment new 0 key k sequence -1  -> ALREADY
        buy-goods customer #1048593 1.00               -> PAYEE_KIND_WRONG
        send customer #1048593 1.00                    -> ACCEPTED
    """,
    "an agent is enrolled as one": """
        final enrol enrolment new 0 key k options 020000 -> APPLIED
        send customer #24 100.00                         -> PAYEE_KIND_WRONG
        withdraw customer #24 100.00                     -> ACCEPTED
    """,
    "an enrolment in a wrong place burns its slot": """
        final enrol enrolment customer 0 key k         -> APPLIED
        next enrolment                                 -> 25
        final enrol enrolment #1048600 0 key k         -> APPLIED
        send customer #1048600 1.00                    -> PAYEE_UNKNOWN
        statement customer                             ->
        statement enrolment                            -> 1 0
        send customer neighbour 1.00                   -> ACCEPTED
    """,
    "the last account of a region, and none of the next": """
        given enrolment next_sequence 1048575          ->
        final enrol enrolment new 0 key k              -> APPLIED
        send customer #1048575 1.00                    -> ACCEPTED
        next far-enrolment                             -> 17
        final enrol enrolment new 0 key k              -> APPLIED
        final enrol enrolment new 0 key k              -> APPLIED
        next enrolment                                 -> 1048578
        next far-enrolment                             -> 17
        send customer #1048578 1.00                    -> PAYEE_UNKNOWN
    """,
    "an alias is claimed by a super-agent and moved by its owner": """
        owner till                                     -> nobody
        final claim enrolment merchant 0 alias till    -> APPLIED
        owner till                                     -> merchant, slot 1
        final claim merchant business 0 alias till     -> APPLIED
        owner till                                     -> business, slot 2
        final claim business #24 0 alias till          -> WAITING
        owner till                                     -> business, slot 2
        next merchant                                  -> 0
        statement merchant                             -> 1 0
        statement business                             -> 1
        statement enrolment                            -> 0
    """,
    "a claim is in its alias's slot and in none of its payer's": """
        final claim enrolment merchant 0 alias till              -> APPLIED
        final claim enrolment customer 0 alias till sequence 0   -> ALREADY
        final claim far-enrolment customer 0 alias till sequence 2 -> WAITING
        owner till                                               -> merchant, slot 1
        next enrolment                                           -> 24
        final claim enrolment customer 0 alias shop              -> APPLIED
        final enrol enrolment new 0 key k                        -> APPLIED
        owner shop                                               -> customer, slot 1
        statement enrolment                                      -> 2 1 0
    """,
}


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_story(story):
    Town().tell(story)
