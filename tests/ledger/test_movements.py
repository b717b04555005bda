"""One table for each movement: what is accepted, what it does, and every way to be refused.

All pay by the schedule of all services, version 2. What refuses every kind alike, such as a wrong
signature, a slot that is past or a frozen account, is told in test_outcomes.py; here are the ways
that each kind has of its own.
"""

from dataclasses import replace

import pytest
from tests.ledger.town import (
    ALL_SERVICES,
    NUMBERS,
    TODAY,
    Town,
    apply_all,
    check_all,
    fee_for,
    table_bytes,
)

from harambee.ledger import rules
from harambee.ledger.kinds import MOVEMENTS, OrderKind
from harambee.ledger.outcomes import Applied, Outcome
from harambee.ledger.payees import table_digest
from harambee.ledger.records import PAYEES_MAX, AccountKind
from harambee.ledger.rules import Order
from harambee.money.tariff import FeeTable

STORIES = {
    "send": """
        send customer neighbour 100.01                   -> ACCEPTED
        send customer pochi     100.01                   -> ACCEPTED
        send pochi    customer  100.00                   -> ACCEPTED
        send customer neighbour 100.01 fee 6.99          -> FEE_WRONG
        send customer business  100.01                   -> PAYEE_KIND_WRONG
        send business customer  100.01                   -> PAYER_KIND_WRONG
        send customer neighbour 994.00                   -> BALANCE_INSUFFICIENT
        final send customer neighbour 100.01             -> APPLIED
        balance customer                                 -> 892.99
        balance neighbour                                -> 300.01
        balance excise                                   -> 0.91
        balance revenue                                  -> 6.09
        statement excise                                 -> 0
        statement revenue                                -> 0
    """,
    "the excise goes to the payer's region": """
        final send far-customer neighbour 1,000.00       -> APPLIED
        balance far-excise                               -> 1.69
        balance far-revenue                              -> 11.31
        balance excise                                   -> 0.00
        statement far-excise                             -> 0
    """,
    "withdraw": """
        withdraw customer agent 500.00                   -> ACCEPTED
        withdraw pochi    agent 400.00                   -> ACCEPTED
        withdraw customer shop  500.00                   -> ACCEPTED
        withdraw customer agent 49.99                    -> AMOUNT_WITHOUT_TARIFF
        withdraw customer agent 500.00 fee 28.00         -> FEE_WRONG
        withdraw merchant agent 500.00                   -> PAYER_KIND_WRONG
        withdraw customer merchant 500.00                -> PAYEE_KIND_WRONG
        withdraw neighbour agent 171.01                  -> BALANCE_INSUFFICIENT
        final withdraw customer agent 500.00             -> APPLIED
        balance customer                                 -> 471.00
        balance agent                                    -> 5,508.00
        balance excise                                   -> 3.78
        balance revenue                                  -> 17.22
    """,
    "the commission of a withdrawal is split with the head office": """
        final withdraw customer shop 500.00              -> APPLIED
        balance customer                                 -> 471.00
        balance shop                                     -> 80,506.40
        balance chain                                    -> 1.60
        balance excise                                   -> 3.78
        balance revenue                                  -> 17.22
        statement shop                                   -> 0
        statement chain                                  -> 0
    """,
    "a withdrawal names the agent's own head office": """
        withdraw customer shop  500.00 options 000000    -> HEAD_OFFICE_WRONG
        withdraw customer agent 500.00 head-office chain -> HEAD_OFFICE_WRONG
        withdraw customer shop  500.00 head-office agent -> HEAD_OFFICE_WRONG
        withdraw customer shop  500.00 options 650000    -> ACCEPTED
        withdraw customer shop  500.00 options 0f0000    -> OPTIONS_INVALID
        withdraw customer shop  500.00 options 650010    -> OPTIONS_INVALID
        final withdraw customer shop 100.00 head-office agent -> APPLIED
        balance agent                                    -> 5,001.00
    """,
    "a commission waits for its head office, and none is paid out of nothing": """
        final withdraw customer agent 500.00 options 2a0000          -> WAITING
        final withdraw customer agent 500.00 options 0f0000          -> WAITING
        final withdraw customer agent 500.00 fee 9.00                -> WAITING
        final withdraw customer agent 500.00 fee 9.20                -> APPLIED
        balance agent                                                -> 5,508.00
        balance revenue                                              -> 0.00
        balance excise                                               -> 1.20
    """,
    "under the first tariff a withdrawal does what it did": """
        final withdraw customer shop 500.00 tariff 1 options 000000  -> APPLIED
        balance shop                                                 -> 80,500.00
        balance chain                                                -> 0.00
        balance revenue                                              -> 29.00
        balance excise                                               -> 0.00
    """,
    "deposit": """
        deposit agent customer 5,000.00                  -> ACCEPTED
        deposit agent customer 0.01                      -> ACCEPTED
        deposit agent customer 5,000.01                  -> BALANCE_INSUFFICIENT
        deposit agent customer 1.00 fee 1.00             -> FEE_WRONG
        deposit agent pochi    1.00                      -> PAYEE_KIND_WRONG
        deposit float customer 1.00                      -> PAYER_KIND_WRONG
        given agent balance 300,000.00                   ->
        deposit agent customer 250,000.00                -> ACCEPTED
        deposit agent customer 250,000.01                -> AMOUNT_WITHOUT_TARIFF
        final deposit agent customer 300.00              -> APPLIED
        balance customer                                 -> 1,300.00
        balance revenue                                  -> 0.00
    """,
    "an agent without float refuses": """
        given agent balance 100.00                       ->
        deposit agent customer 100.01                    -> BALANCE_INSUFFICIENT
        deposit agent customer 100.00                    -> ACCEPTED
        final float-sale float agent 400.00              -> APPLIED
        deposit agent customer 500.00                    -> ACCEPTED
    """,
    "deposit commission": """
        deposit-commission commission agent 8.00         -> ACCEPTED
        deposit-commission commission shop  190.00       -> ACCEPTED
        deposit-commission commission agent 8.01         -> AMOUNT_WITHOUT_TARIFF
        deposit-commission commission agent 5.00         -> AMOUNT_WITHOUT_TARIFF
        deposit-commission commission agent 0.00         -> AMOUNT_ZERO
        deposit-commission commission agent 8.00 fee 0.01 -> FEE_WRONG
        deposit-commission commission agent 8.00 tariff 1 -> AMOUNT_WITHOUT_TARIFF
        deposit-commission commission agent 8.00 for zero -> REFERENCE_MISSING
        deposit-commission commission shop  8.00 options 000000 -> HEAD_OFFICE_WRONG
        deposit-commission commission agent 8.00 options 010000 -> OPTIONS_INVALID
        deposit-commission revenue agent 8.00            -> PAYER_KIND_WRONG
        deposit-commission commission customer 8.00      -> PAYEE_KIND_WRONG
        final deposit-commission commission shop 4.00    -> APPLIED
        balance commission                               -> 1,996.00
        balance shop                                     -> 80,003.20
        balance chain                                    -> 0.80
        final deposit-commission commission agent 4.00   -> APPLIED
        balance agent                                    -> 5,004.00
        balance revenue                                  -> 0.00
        final treasury commission revenue 1,992.00       -> APPLIED
        deposit-commission commission agent 4.00         -> BALANCE_INSUFFICIENT
    """,
    "buy goods": """
        buy-goods customer merchant 1,000.00             -> ACCEPTED
        buy-goods pochi    merchant 500.00               -> ACCEPTED
        buy-goods customer merchant 1,000.00 fee 5.50    -> FEE_WRONG
        buy-goods customer business 100.00               -> PAYEE_KIND_WRONG
        buy-goods agent merchant 100.00                  -> PAYER_KIND_WRONG
        buy-goods customer merchant 1,000.01             -> BALANCE_INSUFFICIENT
        final buy-goods customer merchant 1,000.00       -> APPLIED
        balance customer                                 -> 0.00
        balance merchant                                 -> 994.50
        balance excise                                   -> 0.71
        balance revenue                                  -> 4.79
        final buy-goods pochi merchant 200.00            -> APPLIED
        balance merchant                                 -> 1,194.50
        final buy-goods pochi merchant 200.00 tariff 1   -> APPLIED
        balance merchant                                 -> 1,394.50
    """,
    "pay bill, the customer pays": """
        pay-bill customer business 500.00                -> ACCEPTED
        pay-bill pochi    business 450.00                -> ACCEPTED
        pay-bill customer business 500.00 fee 0.00       -> FEE_WRONG
        pay-bill customer business 500.00 for zero       -> REFERENCE_MISSING
        pay-bill customer business 500.00 options 010000 -> FEE_MODE_WRONG
        pay-bill customer business 500.00 options 030000 -> OPTIONS_INVALID
        pay-bill customer business 500.00 options 000001 -> OPTIONS_INVALID
        pay-bill customer merchant 500.00                -> PAYEE_KIND_WRONG
        pay-bill merchant business 500.00                -> PAYER_KIND_WRONG
        pay-bill customer business 500.00 tariff 1       -> AMOUNT_WITHOUT_TARIFF
        pay-bill customer business 991.00                -> BALANCE_INSUFFICIENT
        final pay-bill customer business 500.00          -> APPLIED
        balance customer                                 -> 495.00
        balance business                                 -> 400,500.00
        balance excise                                   -> 0.65
        balance revenue                                  -> 4.35
    """,
    "pay bill, the business pays": """
        pay-bill customer utility 500.00                 -> ACCEPTED
        pay-bill customer utility 1,000.00               -> ACCEPTED
        pay-bill customer utility 500.00 fee 5.00        -> FEE_WRONG
        pay-bill customer utility 500.00 options 000000  -> FEE_MODE_WRONG
        final pay-bill customer utility 500.00           -> APPLIED
        balance customer                                 -> 500.00
        balance utility                                  -> 495.00
        balance excise                                   -> 0.65
        balance revenue                                  -> 4.35
    """,
    "pay bill, they share": """
        pay-bill customer school 500.00                  -> ACCEPTED
        pay-bill customer school 500.00 fee 5.00         -> FEE_WRONG
        pay-bill customer school 500.00 options 010000   -> FEE_MODE_WRONG
        final pay-bill customer school 500.00            -> APPLIED
        balance customer                                 -> 497.50
        balance school                                   -> 497.50
        balance excise                                   -> 0.65
        balance revenue                                  -> 4.35
    """,
    "a bill without a price waits": """
        final pay-bill customer utility 500.00 tariff 1  -> WAITING
        final pay-bill customer school 500.00 options 030000 -> WAITING
        next customer                                    -> 0
    """,
    "airtime": """
        airtime customer business 50.00                  -> ACCEPTED
        airtime customer business 50.00 alias other      -> ACCEPTED
        airtime agent    business 50.00                  -> ACCEPTED
        airtime customer business 50.00 fee 0.01         -> FEE_WRONG
        airtime customer business 50.00 options 010000   -> OPTIONS_INVALID
        airtime customer merchant 50.00                  -> PAYEE_KIND_WRONG
        airtime merchant business 50.00                  -> PAYER_KIND_WRONG
        airtime customer business 50.00 tariff 1         -> AMOUNT_WITHOUT_TARIFF
        airtime customer business 1,000.01               -> BALANCE_INSUFFICIENT
        final airtime customer business 50.00            -> APPLIED
        balance customer                                 -> 950.00
        balance business                                 -> 400,050.00
        balance revenue                                  -> 0.00
    """,
    "pay out, from a business to a customer": """
        pay-out business customer 1,000.00               -> ACCEPTED
        pay-out business pochi    1,000.00               -> ACCEPTED
        pay-out merchant customer 1.00                   -> BALANCE_INSUFFICIENT
        pay-out business customer 1,000.00 fee 0.00      -> FEE_WRONG
        pay-out customer neighbour 10.00                 -> PAYER_KIND_WRONG
        pay-out business agent    10.00                  -> PAYEE_KIND_WRONG
        pay-out business customer 250,000.00             -> ACCEPTED
        pay-out business customer 250,000.01             -> AMOUNT_WITHOUT_TARIFF
        pay-out business newcomer 40,000.00              -> ACCEPTED
        pay-out business newcomer 40,000.01              -> PAYEE_BALANCE_ABOVE_LIMIT
        final pay-out business customer 1,000.00         -> APPLIED
        balance business                                 -> 398,995.00
        balance customer                                 -> 2,000.00
        balance excise                                   -> 0.65
        balance revenue                                  -> 4.35
    """,
    "bulk pay-out": """
        bulk-pay-out business self 1,150.00 to customer=1,000.00+neighbour=150.00 -> ACCEPTED
        bulk-pay-out business self 1.00 to pochi=1.00                   -> ACCEPTED
        final bulk-pay-out business self 1,150.00 to customer=1,000.00+neighbour=150.00 -> APPLIED
        balance business                                                -> 398,840.00
        balance customer                                                -> 2,000.00
        balance neighbour                                               -> 350.00
        balance excise                                                  -> 1.30
        balance revenue                                                 -> 8.70
        statement business                                              -> 0
        statement customer                                              -> 1
        statement neighbour                                             -> 2
        statement revenue                                               -> 0
        next business                                                   -> 1
        next customer                                                   -> 0
    """,
    "all payees are valid or none is paid": """
        bulk-pay-out business self 2.00 to customer=1.00+#24=1.00       -> PAYEE_UNKNOWN
        bulk-pay-out business self 2.00 to customer=1.00+agent=1.00     -> PAYEE_KIND_WRONG
        bulk-pay-out business self 2.00 to customer=1.00+business=1.00  -> PAYER_IS_PAYEE
        bulk-pay-out business self 1.00 to customer=1.00+neighbour=0.00 -> AMOUNT_ZERO
        bulk-pay-out business self 250,001.01 to customer=250,000.01+neighbour=1.00 -> AMOUNT_WITHOUT_TARIFF
        bulk-pay-out business self 40,001.01 to customer=1.00+newcomer=40,000.01 -> PAYEE_BALANCE_ABOVE_LIMIT
        given neighbour status FROZEN                                   ->
        bulk-pay-out business self 2.00 to customer=1.00+neighbour=1.00 -> PAYEE_NOT_ACTIVE
        bulk-pay-out business self 2.00 to customer=1.00+pochi=1.00     -> ACCEPTED
    """,
    "a table of payees comes along, is in order, and adds up": """
        bulk-pay-out business self 1.00 to customer=1.00 without-table  -> PAYEE_TABLE_MISSING
        bulk-pay-out business self 1.00                                 -> PAYEE_TABLE_MISSING
        bulk-pay-out business self 2.00 to neighbour=1.00+customer=1.00 -> PAYEE_TABLE_INVALID
        bulk-pay-out business self 2.00 to customer=1.00+customer=1.00  -> PAYEE_TABLE_INVALID
        bulk-pay-out business self 2.01 to customer=1.00+neighbour=1.00 -> PAYEE_TABLE_INVALID
        bulk-pay-out business self 1.99 to customer=1.00+neighbour=1.00 -> PAYEE_TABLE_INVALID
        bulk-pay-out business self 0.00 to customer=18446744073709551615c+neighbour=1c -> PAYEE_TABLE_INVALID
        bulk-pay-out business customer 1.00 to customer=1.00            -> OPTIONS_INVALID
        bulk-pay-out business self 1.00 to customer=1.00 options 010000 -> OPTIONS_INVALID
    """,
    "what else a bulk pay-out is refused for": """
        bulk-pay-out business self 1,000.00 to customer=1,000.00 fee 4.99 -> FEE_WRONG
        bulk-pay-out merchant self 1.00 to customer=1.00                  -> PAYER_KIND_WRONG
        bulk-pay-out #24      self 1.00 to customer=1.00                  -> PAYER_UNKNOWN
        bulk-pay-out business self 1.00 to customer=1.00 unsigned         -> SIGNATURE_INVALID
        bulk-pay-out business self 1.00 to customer=1.00 sequence +1      -> SEQUENCE_AHEAD
        bulk-pay-out business self 1.00 to customer=1.00 day +2           -> DAY_WRONG
        bulk-pay-out business self 1.00 to customer=1.00 tariff 9         -> TARIFF_UNKNOWN
        bulk-pay-out business self 1.00 to customer=1.00 tariff 1         -> AMOUNT_WITHOUT_TARIFF
        bulk-pay-out business self 1000000000000001c to customer=1000000000000001c -> AMOUNT_ABOVE_LIMIT
        given business balance 1,005.00                                   ->
        bulk-pay-out business self 1,000.00 to customer=1,000.00          -> ACCEPTED
        bulk-pay-out business self 1,000.01 to customer=1,000.01          -> BALANCE_INSUFFICIENT
        final cancel business self 0                                      -> APPLIED
        bulk-pay-out business self 1.00 to customer=1.00 sequence 0       -> SEQUENCE_STALE
        given business status FROZEN                                      ->
        bulk-pay-out business self 1.00 to customer=1.00                  -> PAYER_NOT_ACTIVE
        given business day +1                                             ->
        bulk-pay-out business self 1.00 to customer=1.00                  -> DAY_BEFORE_LAST
    """,
    "a bulk pay-out waits for its table, its tariff and its payees": """
        final bulk-pay-out business self 1.00 to customer=1.00 without-table -> WAITING
        final bulk-pay-out business self 1.00 to customer=1.00 tariff 9      -> WAITING
        final bulk-pay-out business self 2.00 to customer=1.00               -> WAITING
        final bulk-pay-out business self 2.00 to customer=1.00+#24=1.00      -> WAITING
        balance customer                                                     -> 1,000.00
        final enrol enrolment new 0 key newcomer                             -> APPLIED
        final bulk-pay-out business self 2.00 to customer=1.00+#24=1.00      -> APPLIED
        balance customer                                                     -> 1,001.00
        balance #24                                                          -> 1.00
        statement #24                                                        -> 3 0
        final bulk-pay-out business self 2.00 to customer=1.00+#24=1.00 sequence 0 -> ALREADY
        balance customer                                                     -> 1,001.00
    """,
    "business transfer": """
        business-transfer business merchant 1,000,000.00 -> BALANCE_INSUFFICIENT
        business-transfer business merchant 400,000.00   -> ACCEPTED
        business-transfer business utility  300,000.00   -> ACCEPTED
        business-transfer merchant business 0.01         -> BALANCE_INSUFFICIENT
        business-transfer business customer 1.00         -> PAYEE_KIND_WRONG
        business-transfer customer business 1.00         -> PAYER_KIND_WRONG
        business-transfer business merchant 1.00 fee 1.00 -> FEE_WRONG
        business-transfer business merchant 1.00 tariff 1 -> AMOUNT_WITHOUT_TARIFF
        final business-transfer business merchant 400,000.00 -> APPLIED
        balance business                                 -> 0.00
        balance merchant                                 -> 400,000.00
    """,
    "bank to wallet": """
        bank-withdrawal bank customer 200,000.00         -> ACCEPTED
        bank-withdrawal bank pochi    1.00               -> ACCEPTED
        bank-withdrawal bank merchant 1.00               -> ACCEPTED
        bank-withdrawal bank customer 1.00 fee 1.00      -> FEE_WRONG
        bank-withdrawal bank customer 499,000.01         -> PAYEE_BALANCE_ABOVE_LIMIT
        bank-withdrawal bank float 1.00                  -> PAYEE_KIND_WRONG
        bank-withdrawal customer neighbour 1.00          -> PAYER_KIND_WRONG
        bank-withdrawal branch customer 1.00             -> BALANCE_INSUFFICIENT
        final bank-withdrawal bank customer 1,000.00     -> APPLIED
        balance bank                                     -> -611,300.00
        balance customer                                 -> 2,000.00
    """,
    "wallet to bank": """
        bank-deposit customer bank 1,000.00              -> ACCEPTED
        bank-deposit pochi    bank 500.00                -> ACCEPTED
        bank-deposit customer bank 1,000.01              -> BALANCE_INSUFFICIENT
        bank-deposit customer bank 1.00 fee 1.00         -> FEE_WRONG
        bank-deposit revenue  bank 1.00                  -> PAYER_KIND_WRONG
        bank-deposit customer business 1.00              -> PAYEE_KIND_WRONG
        final bank-deposit customer bank 1,000.00        -> APPLIED
        balance bank                                     -> -609,300.00
    """,
    "float sale, by a super-agent and between neighbours": """
        float-sale float agent 50,000.00                 -> ACCEPTED
        float-sale agent float 5,000.00                  -> ACCEPTED
        float-sale agent shop 5,000.00                   -> ACCEPTED
        float-sale shop agent 80,000.00                  -> ACCEPTED
        float-sale bank float 1.00                       -> ACCEPTED
        float-sale agent shop 5,000.01                   -> BALANCE_INSUFFICIENT
        float-sale agent shop 1.00 fee 1.00              -> FEE_WRONG
        float-sale customer agent 1.00                   -> PAYER_KIND_WRONG
        float-sale agent customer 1.00                   -> PAYEE_KIND_WRONG
        final float-sale agent shop 5,000.00             -> APPLIED
        balance shop                                     -> 85,000.00
    """,
    "the treasury of a super-agent": """
        treasury commission float 2,000.00               -> ACCEPTED
        treasury commission bank  2,000.00               -> ACCEPTED
        treasury float commission 50,000.00              -> ACCEPTED
        treasury commission float 2,000.01               -> BALANCE_INSUFFICIENT
        treasury revenue float 0.01                      -> BALANCE_INSUFFICIENT
        treasury commission float 1.00 fee 0.01          -> FEE_WRONG
        treasury excise float 1.00                       -> PAYER_KIND_WRONG
        treasury commission customer 1.00                -> PAYEE_KIND_WRONG
        treasury commission excise 1.00                  -> PAYEE_KIND_WRONG
        final send customer neighbour 100.01             -> APPLIED
        final treasury revenue commission 6.09           -> APPLIED
        balance commission                               -> 2,006.09
        balance revenue                                  -> 0.00
    """,
    "excise is remitted": """
        excise-remittance excise business 0.01           -> BALANCE_INSUFFICIENT
        final send customer neighbour 100.01             -> APPLIED
        excise-remittance excise business 0.91           -> ACCEPTED
        excise-remittance excise bank 0.91               -> ACCEPTED
        excise-remittance excise business 0.91 fee 0.01  -> FEE_WRONG
        excise-remittance excise revenue 0.91            -> PAYEE_KIND_WRONG
        excise-remittance revenue business 0.91          -> PAYER_KIND_WRONG
        final excise-remittance excise business 0.91     -> APPLIED
        balance excise                                   -> 0.00
    """,
    "an agent joins its head office, once": """
        join-head-office agent chain 0                   -> ACCEPTED
        join-head-office agent business 0                -> ACCEPTED
        join-head-office agent chain 0 options 010000    -> OPTIONS_INVALID
        join-head-office agent chain 0 alias note        -> OPTIONS_INVALID
        join-head-office agent chain 0.01                -> AMOUNT_NOT_ZERO
        join-head-office agent chain 0 day -2            -> DAY_WRONG
        join-head-office agent agent 0                   -> PAYER_IS_PAYEE
        join-head-office agent customer 0                -> PAYEE_KIND_WRONG
        join-head-office customer chain 0                -> PAYER_KIND_WRONG
        join-head-office far-agent chain 0               -> HEAD_OFFICE_WRONG
        join-head-office shop agent 0                    -> HEAD_OFFICE_WRONG
        head-office agent                                -> none
        final join-head-office agent chain 0             -> APPLIED
        head-office agent                                -> chain
        statement chain                                  -> 0
        join-head-office agent business 0                -> HEAD_OFFICE_WRONG
        withdraw customer agent 500.00                   -> ACCEPTED
        withdraw customer agent 500.00 options 000000    -> HEAD_OFFICE_WRONG
        given chain status FROZEN                        ->
        join-head-office far-agent chain 0               -> HEAD_OFFICE_WRONG
    """,
    "tiers": """
        send newcomer neighbour 30,000.00                -> ACCEPTED
        send newcomer neighbour 30,000.01                -> AMOUNT_ABOVE_LIMIT
        final send newcomer neighbour 30,000.00          -> APPLIED
        given newcomer balance 100,000.00                ->
        final send newcomer neighbour 30,000.00          -> APPLIED
        send newcomer neighbour 10,000.00                -> ACCEPTED
        send newcomer neighbour 10,000.01                -> DAILY_LIMIT_EXCEEDED
        send newcomer neighbour 10,000.01 day +1         -> ACCEPTED
        given newcomer balance 99,000.00                 ->
        send customer newcomer 987.00                    -> ACCEPTED
        deposit agent newcomer 1,000.00                  -> ACCEPTED
        deposit agent newcomer 1,000.01                  -> PAYEE_BALANCE_ABOVE_LIMIT
        deposit agent newcomer 1,000.01 tariff 1         -> ACCEPTED
    """,
    "a customer of a tier without limits does nothing yet": """
        send nameless customer 0.01                      -> AMOUNT_ABOVE_LIMIT
        send customer nameless 0.01                      -> PAYEE_BALANCE_ABOVE_LIMIT
        cancel nameless self 0                           -> ACCEPTED
    """,
    "a pochi has a customer's limits": """
        given pochi balance 300,000.00                   ->
        send pochi customer 250,000.00                   -> ACCEPTED
        send pochi customer 250,000.01                   -> AMOUNT_ABOVE_LIMIT
        final bank-deposit pochi bank 250,000.00         -> APPLIED
        final bank-deposit pochi bank 40,000.00          -> APPLIED
        given pochi balance 400,000.00                   ->
        bank-deposit pochi bank 210,000.01               -> DAILY_LIMIT_EXCEEDED
        given pochi balance 499,999.00                   ->
        send customer pochi 1.00                         -> ACCEPTED
        send customer pochi 1.01                         -> PAYEE_BALANCE_ABOVE_LIMIT
    """,
    "enrolled with a tier and with an agreement on fees": """
        final enrol enrolment new 0 key k options 010001 -> APPLIED
        given #24 balance 40,000.00                      ->
        send #24 customer 30,000.01                      -> AMOUNT_ABOVE_LIMIT
        final enrol enrolment new 0 key k options 240000 -> APPLIED
        pay-bill customer #25 500.00 options 020000 fee 2.50 -> ACCEPTED
        pay-bill customer #25 500.00 options 000000      -> FEE_MODE_WRONG
    """,
}


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_story(story):
    Town(ALL_SERVICES).tell(story)


def test_every_later_outcome_has_its_story():
    told = "\n".join(STORIES.values())
    later = {outcome for outcome in rules.RULES if outcome > rules.LAST_IN_ORDER}
    # No town has a later tariff but in test_house_rules.py, and keys are told of in test_outcomes.py.
    later -= {Outcome.TARIFF_NOT_IN_FORCE, Outcome.KEY_NOT_A_POINT}
    assert later == {
        outcome
        for outcome in Outcome
        if outcome > rules.LAST_IN_ORDER and f"-> {outcome.name}\n" in told
    }


def test_every_movement_has_a_story_in_which_it_is_accepted_and_applied():
    lines = [line.split() for story in STORIES.values() for line in story.splitlines() if line]
    named = {
        (final, words[0 if final == "ACCEPTED" else 1])
        for words in lines
        for final in ("ACCEPTED", "APPLIED")
        if words and words[-1] == final
    }
    for kind, movement in MOVEMENTS.items():
        if movement.moves_money and not movement.house:
            word = kind.name.lower().replace("_", "-")
            assert ("ACCEPTED", word) in named, word
            assert ("APPLIED", word) in named, word


# -- to the cent at every edge of every band ------------------------------------------------------

PRICED = {
    OrderKind.SEND: ("rich", ["neighbour", "pochi"]),
    OrderKind.WITHDRAW: ("rich", ["agent", "shop"]),
    OrderKind.BUY_GOODS: ("rich", ["merchant"]),
    OrderKind.PAY_BILL: ("rich", ["business", "utility", "school"]),
    OrderKind.PAY_OUT: ("business", ["rich"]),
}


def edges_of(kind):
    """Amounts at each edge that changes what such an order costs or pays, and a cent beside it."""
    tables = [MOVEMENTS[kind].fee_table]
    if kind is OrderKind.WITHDRAW:
        tables.append(FeeTable.WITHDRAW_COMMISSION)
    uppers = {price.upper_cents for table in tables for price in ALL_SERVICES.prices(table)}
    near = {upper + step for upper in uppers for step in (-1, 0, 1)}
    return sorted(amount for amount in near if 0 < amount <= 250_000_00)


def payment(town, kind, payer, payee, amount):
    """Return the order that is right in everything, if there is a price for its amount."""
    account = town.ledger.account(NUMBERS[payee])
    options, mode = bytes(3), int(account["flags"]) >> 16 & 3
    if kind is OrderKind.PAY_BILL:
        options = bytes([mode, 0, 0])
    if kind is OrderKind.WITHDRAW:
        options = (int(account["head_office"]) & 0xFFFFF).to_bytes(3, "little")
    return Order(
        kind=int(kind),
        payer=NUMBERS[payer],
        payee=NUMBERS[payee],
        amount_cents=amount,
        fee_cents=fee_for(ALL_SERVICES, kind, amount, mode),
        sequence=town.ledger.next_sequence(NUMBERS[payer]),
        tariff=ALL_SERVICES.version,
        day=TODAY,
        options=options,
        reference=b"\1" * 32,
    )


CASES = [(kind, payer, payee) for kind, (payer, payees) in PRICED.items() for payee in payees]


@pytest.mark.parametrize(("kind", "payer", "payee"), CASES)
def test_fees_commissions_and_excise_are_paid_to_the_cent(kind, payer, payee):
    town = Town(ALL_SERVICES)
    shown = ["revenue", "excise", "chain"]
    names = [payee, *shown]
    for amount in edges_of(kind):
        town.give(payer, "balance", "300,000.00")
        if payee in {"rich", "pochi", "neighbour"}:
            town.give(payee, "balance", "0.00")
        town.give(payer, "spent_today", "0.00")
        before = {name: int(town.record(name)["balance"]) for name in (payer, *names)}
        order = payment(town, kind, payer, payee, amount)
        charge, earned, office = expected(kind, payee, amount)
        if charge is None:
            assert check_all(town.ledger, [order]) == [Outcome.AMOUNT_WITHOUT_TARIFF]
            continue
        payers_part = order.fee_cents
        assert payers_part == {"utility": 0, "school": charge // 2, "merchant": 0}.get(
            payee, charge
        )
        assert check_all(town.ledger, [order]) == [Outcome.ACCEPTED], amount
        for wrong_cents in {max(payers_part - 1, 0), payers_part + 1} - {payers_part}:
            wrong = replace(order, fee_cents=wrong_cents)
            assert check_all(town.ledger, [wrong]) == [Outcome.FEE_WRONG], amount
        assert apply_all(town.ledger, [order]) == [Applied.APPLIED]
        change = {name: int(town.record(name)["balance"]) - before[name] for name in before}
        tax = charge * 15 // 115
        assert change == {
            payer: -(amount + payers_part),
            payee: amount - (charge - payers_part) + earned - office,
            "chain": office,
            "excise": tax,
            "revenue": charge - tax - earned,
        }, amount
        assert town.ledger.total_cents() == 0


def expected(kind, payee, amount):
    """Return charge, commission and the head office's part of it, from the published columns."""
    table = ALL_SERVICES.prices(MOVEMENTS[kind].fee_table)
    price = next((price for price in table if amount <= price.upper_cents), None)
    if price is None or price.fee_cents is None:
        return None, 0, 0
    charge = price.fee_cents + amount * price.basis_points // 10_000
    if kind is not OrderKind.WITHDRAW:
        return charge, 0, 0
    bands = ALL_SERVICES.commissions.bands
    earned = next(band.withdraw_cents for band in bands if amount <= band.upper_cents)
    return charge, earned, earned // 5 if payee == "shop" else 0


def test_deposit_commissions_are_paid_to_the_cent():
    earned = sorted({band.deposit_cents for band in ALL_SERVICES.commissions.bands} - {0})
    assert len(earned) == 18
    for payee, fifth in (("agent", 0), ("shop", 5)):
        for cents in earned:
            town = Town(ALL_SERVICES)
            before = int(town.record(payee)["balance"])
            order = town.order(["deposit-commission", "commission", payee, f"{cents}c"])[0]
            near = [replace(order, amount_cents=cents + step) for step in (-1, 1)]
            assert check_all(town.ledger, [order, *near]) == [
                Outcome.ACCEPTED,
                Outcome.AMOUNT_WITHOUT_TARIFF,
                Outcome.AMOUNT_WITHOUT_TARIFF,
            ]
            assert apply_all(town.ledger, [order]) == [Applied.APPLIED]
            office = cents // fifth if fifth else 0
            assert int(town.record("chain")["balance"]) == office
            assert int(town.record(payee)["balance"]) == before + cents - office


# -- many payees ----------------------------------------------------------------------------------


def town_of(payees):
    """Return a town in whose second region so many customers live, and their numbers."""
    town = Town(ALL_SERVICES)
    numbers = [2**20 + 300 + place for place in range(payees)]
    town.ledger.accounts["flags"][numbers] = AccountKind.CUSTOMER
    return town, numbers


def bulk_order(town, table, cents, fee_cents):
    return Order(
        kind=int(OrderKind.BULK_PAY_OUT),
        payer=NUMBERS["business"],
        payee=NUMBERS["business"],
        amount_cents=cents,
        fee_cents=fee_cents,
        sequence=town.ledger.next_sequence(NUMBERS["business"]),
        tariff=ALL_SERVICES.version,
        day=TODAY,
        reference=table_digest(table),
    )


def test_ten_thousand_are_paid_by_one_signature():
    town, numbers = town_of(PAYEES_MAX)
    table = table_bytes(*((number, 20_00) for number in numbers))
    order = bulk_order(town, table, PAYEES_MAX * 20_00, 0)
    town.give("business", "balance", "200,000.00")
    assert check_all(town.ledger, [order], tables=[table]) == [Outcome.ACCEPTED]
    assert apply_all(town.ledger, [order], tables=[table]) == [Applied.APPLIED]
    assert set(town.ledger.accounts["balance"][numbers].tolist()) == {20_00}
    assert int(town.record("business")["balance"]) == 0
    assert town.ledger.entry_count == 1 + PAYEES_MAX
    assert [town.ledger.entries_of(n, 9).tolist() for n in (numbers[0], numbers[-1])] == [
        [1],
        [PAYEES_MAX],
    ]


def test_one_more_is_one_too_many():
    town, numbers = town_of(PAYEES_MAX + 1)
    table = table_bytes(*((number, 1_00) for number in numbers))
    order = bulk_order(town, table, (PAYEES_MAX + 1) * 1_00, 0)
    assert check_all(town.ledger, [order], tables=[table]) == [Outcome.PAYEE_TABLE_INVALID]
    assert apply_all(town.ledger, [order], tables=[table]) == [Applied.WAITING]


def test_a_table_that_is_not_the_one_named_counts_as_none():
    town, _ = town_of(1)
    table, other = (table_bytes((NUMBERS["customer"], cents)) for cents in (1_00, 2_00))
    order = bulk_order(town, table, 1_00, 0)
    assert check_all(town.ledger, [order], tables=[other, table[:-1]]) == [
        Outcome.PAYEE_TABLE_MISSING
    ]
    assert check_all(town.ledger, [order], tables=[other, table]) == [Outcome.ACCEPTED]


def test_bulk_and_other_orders_are_applied_in_the_order_of_the_array():
    town, _ = town_of(1)
    table = table_bytes((NUMBERS["customer"], 500_00))
    first = bulk_order(town, table, 500_00, 5_00)
    spends = town.order(["buy-goods", "customer", "merchant", "1,500.00"])[0]
    second = replace(first, sequence=1)
    cancel = town.order(["cancel", "business", "self", "0", "sequence", "+2"])[0]
    orders = [first, spends, second, cancel, first]
    assert apply_all(town.ledger, orders, tables=[table]) == [Applied.APPLIED] * 4 + [
        Applied.ALREADY
    ]
    assert int(town.record("customer")["balance"]) == 500_00
    assert town.ledger.entries_of(NUMBERS["customer"], 9).tolist() == [4, 2, 1]
    business = NUMBERS["business"]
    assert town.ledger.entries_of(business, 9).tolist() == [5, 3, 0]
    older = [town.ledger.entries_of(business, 9, before).tolist() for before in range(7)]
    assert older == [[], [0], [0], [0], [3, 0], [3, 0], [5, 3, 0]], "rows are its payees' entries"
    assert town.ledger.total_cents() == 0
