"""`harambee pay` for every movement that a person signs, `agent` and `float`; judged by the real rules."""

import json

import numpy as np
import pytest

from harambee.crypto.hashing import digest
from harambee.handset.orders import today
from harambee.ledger import rules
from harambee.ledger.kinds import HOUSE, MOVEMENTS, OrderKind
from harambee.ledger.outcomes import Outcome
from harambee.ledger.records import ORDER, ORDER_BYTES
from harambee.ledger.rules import Account, Books, Order


def books_of(served):
    genesis = served.network.genesis
    return Books(
        accounts={n: Account.of(record[0]) for n, record in served.ledger.accounts.items()},
        tariffs={tariff.version: tariff for tariff in genesis.tariffs},
        issuers={issuer.account: issuer.limit_cents for issuer in genesis.document.issuers},
    )


def paid(served, *words):
    """Pay; the one order that became final by it, which every rule of the ledger must accept."""
    books, before = books_of(served), set(served.ledger.final)
    result = served.run("pay", *words)
    assert result.exit_code == 0, result.stderr
    (slot,) = set(served.ledger.final) - before
    order = Order.of(np.frombuffer(served.ledger.final[slot], ORDER)[0])
    assert rules.judge(order, books, today()) is Outcome.ACCEPTED
    return order


MOVEMENTS_TYPED = {
    OrderKind.SEND: "customer-1 customer-2 500",
    OrderKind.WITHDRAW: "customer-1 agent-1 500",
    OrderKind.DEPOSIT: "agent-1 customer-1 500",
    OrderKind.BUY_GOODS: "customer-1 till:100001 500",
    OrderKind.PAY_BILL: "customer-1 paybill:200001 500 --account INV-7",
    OrderKind.AIRTIME: "customer-1 airtime-1 50 --kind airtime",
    OrderKind.PAY_OUT: "paybill-1 customer-2 500",
    OrderKind.BUSINESS_TRANSFER: "paybill-1 till-1 500",
    OrderKind.BANK_DEPOSIT: "customer-1 bank-1 500",
    OrderKind.BANK_WITHDRAWAL: "bank-1 customer-1 500",
    OrderKind.FLOAT_SALE: "float:amani agent-1 500",
    OrderKind.TREASURY: "float:amani revenue:amani 500 --kind treasury",
    OrderKind.EXCISE_REMITTANCE: "excise:amani bank-1 1",
    OrderKind.JOIN_HEAD_OFFICE: "agent-5 head-office-1 --kind join-head-office",
}


def test_every_movement_that_a_person_signs_is_typed_here():
    by_others = {
        OrderKind.CANCEL,
        OrderKind.ENROL,
        OrderKind.CLAIM,
        OrderKind.DEPOSIT_COMMISSION,  # the super-agent's own doing
        OrderKind.BULK_PAY_OUT,
    }
    assert MOVEMENTS_TYPED.keys() == MOVEMENTS.keys() - HOUSE - by_others


@pytest.mark.parametrize("kind", MOVEMENTS_TYPED)
def test_a_movement_as_it_is_typed_keeps_every_rule(served, kind):
    excise = next(n for n in served.ledger.accounts if n == 4)
    served.ledger.accounts[excise]["balance"] = 5_00
    order = paid(served, *MOVEMENTS_TYPED[kind].split())
    assert order.kind == kind


@pytest.mark.parametrize("mode", [0, 1, 2])
def test_a_bill_says_who_bears_its_charge_as_the_biller_agreed(served, mode):
    order = paid(served, "customer-1", f"paybill-{mode + 1}", "500", "--account", " inv-7 ")
    assert order.options == bytes([mode, 0, 0])
    assert order.fee_cents == [5_00, 0, 2_50][mode]
    biller = order.payee.to_bytes(4, "little")
    assert order.reference == digest(b"harambee bill", biller, b"INV-7")


def test_the_text_says_which_account_or_whose_airtime_was_paid(served):
    bill = served.run("pay", "customer-1", "paybill-1", "500", "--account", "INV-7")
    assert "Ksh500.00 sent to paybill-1 for account INV-7 on " in bill.stdout
    airtime = served.run("pay", "customer-1", "airtime-1", "50", "--for", "0700000002")
    assert " for 0700***002 on " in airtime.stdout


def test_two_bills_of_one_amount_at_one_biller_are_two_payments(served):
    first = paid(served, "customer-1", "paybill-1", "500", "--account", "INV-7")
    second = paid(served, "customer-1", "paybill-1", "500", "--account", "INV-8")
    assert first.reference != second.reference


def test_airtime_for_somebody_else_names_her_by_the_directorys_hash(served):
    order = paid(served, "customer-1", "airtime-1", "50", "--for", "0700000002")
    alias = next(
        row.alias
        for row in served.network.genesis.document.aliases
        if row.account == served.network.demo()[21].account
    )
    assert served.network.demo()[21].name == "customer-2"
    assert order.reference.hex() == alias


def test_a_withdrawal_at_a_shop_names_its_head_office(served):
    paid(served, "agent-1", "head-office-1", "--kind", "join-head-office")
    order = paid(served, "customer-1", "agent:10001", "500")
    office = next(one for one in served.network.demo() if one.name == "head-office-1")
    assert int.from_bytes(order.options, "little") == office.account


@pytest.mark.parametrize("payee", ["till:100001", "Till 100001", "TILL-100001", "till-1"])
def test_a_till_in_any_spelling(served, payee):
    till = next(one for one in served.network.demo() if one.name == "till-1")
    assert paid(served, "customer-1", payee, "10").payee == till.account


@pytest.mark.parametrize(
    ("words", "status", "sentence"),
    [
        ("customer-1 paybill-1 500", 1, "a business: pay-bill or airtime."),
        ("customer-1 paybill-1 500 --kind pay-bill", 1, "names the account at the biller"),
        ("customer-1 paybill-1 500 --kind airtime --account 7", 1, "Only a bill names an account"),
        ("customer-1 paybill-1 500 --for 0700000002 --account 7", 1, "not both"),
        ("customer-1 customer-2 5 --kind deposit", 1, "goes from an agent to a customer; this "),
        ("customer-1 till:1 5", 1, "write it as till 123456"),
        ("customer-1 till:999999 5", 1, "No account is registered under this number."),
        ("customer-1 float:nobody 5", 1, "There is no super-agent called nobody."),
        ("agent-1 customer-1 250000", 1, "float does not cover a deposit of Ksh250,000.00"),
        ("agent-2 head-office-1 --kind join-head-office", 1, "of the same super-agent"),
        ("agent-5 head-office-1 5 --kind join-head-office", 1, "moves no money"),
        ("customer-1 airtime-1 50 --for 0799999999", 1, "No account is registered"),
        ("customer-1 paybill-1 5 --account " + "x" * 41, 1, "has 1 to 40 characters"),
    ],
)  # fmt: skip
def test_what_cannot_be_paid_is_one_sentence_that_teaches(served, words, status, sentence):
    result = served.run("pay", *words.split())
    assert (result.exit_code, sentence in result.stderr) == (status, True), result.stderr
    assert result.stderr.count("\n") == 1


def test_an_agent_joins_one_head_office_once(served):
    paid(served, "agent-5", "head-office-1", "--kind", "join-head-office")
    again = served.run("pay", "agent-5", "operator-1", "--kind", "join-head-office")
    assert (again.exit_code, "has joined a head office already" in again.stderr) == (1, True)


def document_of(served, *words):
    result = served.run(*words, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


def test_an_agents_own_view(served):
    paid(served, "agent-1", "head-office-1", "--kind", "join-head-office")
    paid(served, "agent-9", "head-office-1", "--kind", "join-head-office")
    paid(served, "agent-1", "customer-1", "500")
    seen = document_of(served, "agent", "agent-1", "--cash", "10,000")
    office = next(one for one in served.network.demo() if one.name == "head-office-1")
    nine = next(one for one in served.network.demo() if one.name == "agent-9")
    assert (seen["cash_cents"], seen["head_office"]) == (10_000_00, office.account)
    assert seen["others_of_head_office"] == [nine.account]
    assert seen["today"]["totals"]["deposit"] == {"count": 1, "cents": 500_00}
    assert len(seen["today"]["lines"][0]["receipt_code"]) == 10
    paid(served, "agent-1", "customer-2", "300")
    assert document_of(served, "agent", "agent-1")["cash_cents"] == 10_300_00
    text = served.run("agent", "agent-1").stdout
    assert "Cash              Ksh10,300.00" in text
    assert "head-office-1; with it agent-9" in text
    shops = served.run("agent", "head-office-1", "--shops").stdout
    assert "head-office-1 has 2 shops and operators" in shops


def test_cash_that_nobody_counted_is_not_made_up(served):
    assert document_of(served, "agent", "agent-1")["cash_cents"] is None
    assert "not counted yet" in served.run("agent", "agent-1").stdout
    refused = served.run("agent", "agent-1", "--cash", "a lot")
    assert (refused.exit_code, "is not an amount" in refused.stderr) == (1, True)


def test_a_customer_is_no_agent(served):
    for command, sentence in (("agent", "not an agent's"), ("float", "Only agents")):
        result = served.run(command, "customer-1")
        assert (result.exit_code, sentence in result.stderr) == (1, True), result.stderr


def test_sources_of_float_nearest_first(served):
    found = document_of(served, "float", "agent-1")
    kinds = [row["source"] for row in found["sources"]]
    assert kinds == ["super-agent", "bank", "bank", *["neighbour"] * 5]
    assert found["sources"][0]["name"] == "float:amani"
    neighbours = [row for row in found["sources"] if row["source"] == "neighbour"]
    away = [row["distance_m"] for row in neighbours]
    assert away == sorted(away)
    assert neighbours[0]["name"] == "agent-2", "of another super-agent, which knows where it is"
    far = document_of(served, "float", "agent-1", "--near", "-4.0435,39.6682")
    assert min(r["distance_m"] for r in far["sources"] if r["source"] == "neighbour") > 400_000
    bad = served.run("float", "agent-1", "--near", "here")
    assert (bad.exit_code, "latitude,longitude" in bad.stderr) == (1, True)


def test_sources_are_found_though_a_super_agent_is_dead(served):
    served.stop(1)
    found = document_of(served, "float", "agent-1")
    names = [row["name"] for row in found["sources"] if row["source"] == "neighbour"]
    assert "agent-2" not in names, "only its own super-agent knows that it sells"
    assert len(names) == 5


def test_an_agent_without_float_is_warned_and_told_how_much_to_buy(served):
    agent = next(one for one in served.network.demo() if one.name == "agent-1")
    served.ledger.accounts[agent.account]["balance"] = 0
    text = served.run("agent", "agent-1").stdout
    assert "LOW FLOAT: The float is used up." in text
    assert "harambee float agent-1 shows where float is sold." in text


def test_orders_are_whole(served):
    paid(served, "customer-1", "customer-2", "5")
    assert {len(order) for order in served.ledger.final.values()} == {ORDER_BYTES}
