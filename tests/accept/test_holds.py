"""Holds, refunds and reversals with real processes: killed brokers, both sides at once, people."""

import asyncio
import os
import signal
import subprocess

import pytest
from tests.accept.cast import at_once
from tests.accept.quiet_network import OPENING_CENTS, get, until
from tests.accept.test_up_and_pay import HARAMBEE, document_of, harambee, up

from harambee.handset import holding, reversing
from harambee.handset.doors import open_doors
from harambee.handset.handset import Handset, HandsetError, PaymentStatus
from harambee.handset.network_file import DoorAddress
from harambee.handset.wallet import Wallet
from harambee.traffic.temporary_network import free_ports

pytestmark = [pytest.mark.accept, pytest.mark.timeout(300)]

CENTS = 500_00
FEE_CENTS = 7_00
RACES = 12


class Person:
    """A customer of the quiet network with a telephone."""

    def __init__(self, quiet, folder):
        self.quiet, self.customer = quiet, quiet.customer()
        self.account = self.customer.account
        self.wallet = Wallet(folder / str(self.account), self.account, self.customer.keypair)

    def do(self, use, first=0):
        """Use the telephone: its doors in their order, beginning with one of them."""

        async def run():
            names, urls = self.quiet.names, self.quiet.urls
            addresses = [DoorAddress(name, url) for name, url in zip(names, urls, strict=True)]
            async with open_doors(addresses) as opened:
                doors = opened[first:] + opened[:first]
                genesis = self.quiet.running.folder.genesis
                return await use(Handset(genesis, doors, self.wallet, patience_s=30))

        return asyncio.run(run())

    def holds(self, payee, first=0, **terms):
        made = self.do(lambda h: holding.hold(h, payee.account, CENTS, **terms), first)
        assert made.status is PaymentStatus.FINAL, made.sentence
        return made.payer, made.sequence

    def view(self, door, key):
        return get(self.quiet.urls[door], f"/v1/holds/{key[0]}/{key[1]}?wait_ms=10000").document


@pytest.fixture
def person(quiet, tmp_path):
    return lambda: Person(quiet, tmp_path)


def balances(quiet, *people):
    """What each holds, as all four say alike."""
    quiet.state()
    told = {tuple(quiet.balance(door, one.account) for one in people) for door in range(4)}
    assert len(told) == 1, told
    return told.pop()


@pytest.mark.parametrize("broker", range(4), ids=lambda broker: f"broker {broker + 1}")
def test_a_hold_through_one_that_is_killed_is_released_through_another(quiet, person, broker):
    ann, ben = person(), person()
    key = ann.holds(ben, first=broker)
    name = quiet.names[broker]
    quiet.running.kill(name)
    try:
        ended = ann.do(lambda h: holding.release(h, key), (broker + 1) % 4)
        assert ended.payment.status is PaymentStatus.FINAL
        for door in {0, 1, 2, 3} - {broker}:
            until(
                lambda door=door: ann.view(door, key)["state"] == "released",
                lambda: "it is not told as released",
            )
    finally:
        quiet.running.restart(name)
        quiet.running.wait_ready((name,))
    paid = OPENING_CENTS - CENTS - FEE_CENTS, OPENING_CENTS + CENTS
    assert balances(quiet, ann, ben) == paid
    view = ann.view(broker, key)
    assert (view["state"], view["ended_by"]) == ("released", ann.account)


def test_a_release_and_a_void_at_two_doors_at_once_are_one_end(quiet, person):
    """The payer releases and the payee voids at one moment: one is final, the other is told which."""
    wins = {"released": 0, "voided": 0}
    for turn in range(RACES):
        ann, ben = person(), person()
        key = ann.holds(ben)

        def release(ann=ann, key=key, turn=turn):
            return ann.do(lambda h: holding.release(h, key), turn % 4)

        def void(ben=ben, key=key, turn=turn):
            return ben.do(lambda h: holding.void(h, key), (turn + 1) % 4)

        told = at_once([lambda r=release: tried(r), lambda v=void: tried(v)])
        quiet.state()
        view = ann.view(0, key)
        won, lost = told if view["state"] == "released" else told[::-1]
        wins[view["state"]] += 1
        assert won.payment.status is PaymentStatus.FINAL
        sentence = lost if isinstance(lost, str) else lost.payment.sentence
        assert f"account {view['ended_by']} {view['state']} it" in sentence
        expected = (
            (OPENING_CENTS - CENTS - FEE_CENTS, OPENING_CENTS + CENTS)
            if view["state"] == "released"
            else (OPENING_CENTS, OPENING_CENTS)
        )
        assert balances(quiet, ann, ben) == expected
        assert not ann.wallet.state().orders
        assert not ben.wallet.state().orders
    assert sum(wins.values()) == RACES


def tried(end):
    """What became of it; the sentence where the hold had ended before anything was signed."""
    try:
        return end()
    except HandsetError as error:
        return str(error)


def test_an_authorisation_is_captured_in_part_and_the_rest_is_free(quiet, person):
    ann, ben = person(), person()
    key = ann.holds(ben, authorisation=True, days=7)
    early = ann.do(lambda h: holding.void(h, key))
    assert early.payment.status is PaymentStatus.REFUSED
    assert early.payment.sentence.startswith("Until the day named")
    ended = ben.do(lambda h: holding.release(h, key, 200_00), 2)
    assert ended.payment.status is PaymentStatus.FINAL
    fee = ended.payment.fee_cents
    assert balances(quiet, ann, ben) == (OPENING_CENTS - 200_00 - fee, OPENING_CENTS + 200_00)
    for url in quiet.urls:
        account = get(url, f"/v1/accounts/{ann.account}").document
        assert account["held_cents"] == 0
        assert account["available_cents"] == account["balance_cents"]
    back = ben.do(lambda h: reversing.refund(h, f"{key[0]}/{key[1]}"))
    assert (back.status, back.amount_cents) == (PaymentStatus.FINAL, 200_00)
    assert balances(quiet, ann, ben) == (OPENING_CENTS - fee, OPENING_CENTS)


def test_a_reversal_from_the_asking_to_the_dispute_while_one_restarts(quiet, person):
    ann, ben = person(), person()
    paid = ann.do(lambda h: h.pay(ben.account, CENTS))
    code = paid.receipt_code
    name = quiet.names[1]
    quiet.running.kill(name)
    try:
        asked = ann.do(lambda h: reversing.ask(h, code))
        refused = ben.do(lambda h: reversing.refuse(h, code), 2)
    finally:
        quiet.running.restart(name)
        quiet.running.wait_ready((name,))
    disputed = ann.do(lambda h: reversing.dispute(h, code), 1)
    back = ben.do(lambda h: reversing.refund(h, code, 100_00), 3)
    fates = [payment.status for payment in (asked, refused, disputed, back)]
    assert fates == [PaymentStatus.FINAL] * 4
    quiet.state()
    for url in quiet.urls:
        told = get(url, f"/v1/reversals/{ann.account}/0").document
        assert (told["asked_cents"], told["refunded_cents"]) == (CENTS, 100_00)
        assert told["refused"]
        assert told["disputed"]
    assert balances(quiet, ann, ben) == (
        OPENING_CENTS - CENTS - FEE_CENTS + 100_00,
        OPENING_CENTS + CENTS - 100_00,
    )


# -- people at terminals ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    """A demonstration network that runs."""
    folder = tmp_path_factory.mktemp("town") / "network"
    base = free_ports(8)
    made = harambee(folder, "init", "--http-port", str(base), "--peer-port", str(base + 4))
    assert made.returncode == 0, made.stderr
    with up(folder, folder.parent / "up.log"):
        yield folder


def balance_of(town, who):
    return document_of(town, "balance", who)


def test_a_window_passes_and_the_money_is_sent(town):
    before = balance_of(town, "customer-5")["balance_cents"]
    told = document_of(town, "pay", "customer-4", "customer-5", "100", "--window", "2s")
    assert told["status"] == "final"
    assert told["hold"]["state"] == "held"
    after = balance_of(town, "customer-5")
    assert (after["balance_cents"], after["held_cents"]) == (before + 100_00, 0)


def test_ctrl_c_in_the_window_leaves_it_held_and_says_how_to_go_on(town):
    # A shell that runs this in the background ignores Ctrl-C for all that it starts.
    command = ["env", "--default-signal=INT", HARAMBEE, "--network", str(town)]
    process = subprocess.Popen(
        [*command, "pay", "customer-6", "customer-7", "300", "--window", "10m", "--yes"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    said = process.stdout.readline()
    assert "Ksh300.00 is held for customer-7" in said
    assert "You can take it back before" in said
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=30)
    assert process.returncode == 1
    code = said.split()[0]
    assert f"`harambee void customer-6 {code}` takes it back" in error
    shown = harambee(town, "balance", "customer-6").stdout
    assert "Of it Ksh307.00 is held; Ksh4,693.00 is available." in shown
    listed = harambee(town, "holds", "customer-6").stdout
    assert listed.startswith(f"{code}  ")
    assert "for customer-7" in listed
    void = harambee(town, "void", "customer-6", code)
    assert f"{code} Confirmed. Ksh300.00 that was held for customer-7 is customer-6's again." in (
        void.stdout
    )
    late = harambee(town, "release", "customer-6", code)
    assert (late.returncode, late.stderr) == (1, "This hold has ended already: you voided it.\n")
    assert harambee(town, "holds", "customer-6").stdout == (
        "Nothing is held of this account or for it.\n"
    )
    balance = balance_of(town, "customer-6")
    assert (balance["available_cents"], balance["held_cents"]) == (5_000_00, 0)


def test_a_deposit_at_a_till_is_taken_in_part_refunded_and_proven(town):
    made = document_of(
        town, "hold", "customer-8", "till:100001", "2,000", "--authorise", "--days", "3"
    )
    code = made["receipt_code"]
    (row,) = document_of(town, "holds", "till:100001")["holds"]
    assert (row["authorisation"], row["amount_cents"]) == (True, 2_000_00)
    assert row["receipt_code"] == code
    taken = harambee(town, "release", "till:100001", code, "1,500")
    assert "Ksh1,500.00 of customer-8's is paid to till-1." in taken.stdout
    assert "Ksh500.00 of it is free again." in taken.stdout
    proof = document_of(town, "receipt", "customer-8", code)
    assert (proof["kind"], proof["amount_cents"]) == ("release", 1_500_00)
    back = document_of(town, "refund", "till:100001", code, "400")
    assert (back["status"], back["about"]) == ("final", code)
    more = harambee(town, "refund", "till:100001", code, "1,200")
    assert more.returncode == 1
    assert more.stderr == "More would be given back than was paid.\n"
    statement = harambee(town, "statement", "customer-8", "--format", "text").stdout
    assert "Held Funds Released to till-1" in statement
    assert "Refund from till-1" in statement


def test_a_reversal_at_the_terminal(town):
    paid = document_of(town, "pay", "customer-9", "customer-10", "250")
    code = paid["receipt_code"]
    asked = harambee(town, "reversal", "ask", "customer-9", code)
    assert f"for Ksh250.00 of payment {code} back" in asked.stdout
    refused = harambee(town, "reversal", "refuse", "customer-10", code)
    assert f"You have refused to return payment {code}" in refused.stdout
    disputed = harambee(town, "reversal", "dispute", "customer-9", code)
    assert f"You have disputed payment {code}" in disputed.stdout
    told = document_of(town, "reversal", "show", "customer-10", code)
    assert (told["asked_cents"], told["refused"], told["disputed"]) == (250_00, True, True)
    sentence = f"To agree, refund {code}; to keep it, refuse."
    until(
        lambda: sentence in harambee(town, "texts", "customer-10").stdout,
        lambda: "customer-10 was told nothing",
    )


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("pay", "customer-4", "customer-5", "1", "--window", "soon"), "--window is so many"),
        (("pay", "customer-4", "customer-5", "1", "--window", "25h"), "--window is so many"),
        (
            ("pay", "customer-4", "agent-1", "500", "--kind", "withdraw", "--window", "1m"),
            "--window is for send, buy-goods, pay-bill",
        ),
        (("hold", "customer-4", "customer-5", "100", "--days", "31"), "--days"),
    ],
)
def test_wrong_usage_is_said_and_signs_nothing(town, words, sentence):
    done = harambee(town, *words)
    assert done.returncode == 2
    assert sentence in done.stderr


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("hold", "customer-4", "agent-1", "500"), "not for a withdraw"),
        (("release", "customer-4", "NONSENSE"), "no receipt code of this network"),
        (("void", "customer-4", "1/2/3"), "as PAYER/SEQUENCE"),
        (("refund", "customer-4", "21/999"), "with sequence 999 is final"),
    ],
)
def test_what_cannot_be_is_one_sentence(town, words, sentence):
    done = harambee(town, *words)
    assert done.returncode == 1
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
