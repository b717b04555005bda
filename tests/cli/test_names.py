"""Names at the terminal: shown before the money goes, given when an account is opened."""

import json

import pytest
from click.testing import CliRunner

from harambee.cli import pay as paying
from harambee.cli.main import main
from harambee.node.port import NameAnswer, NameStatus, ProfileStatus
from harambee.texts.languages import Language

KNOWN = NameAnswer(NameStatus.KNOWN, "GIVEN F.", "0700***002")
LOCKED = "Too many names were checked today without a payment; checking is locked until tomorrow.\n"


@pytest.fixture
def account(served):
    """A place for the account of a demo customer."""
    demo = {person.name: person.account for person in served.network.demo()}
    return lambda name: demo[name]


@pytest.fixture
def terminal(served, monkeypatch):
    """Run a command as somebody at a terminal, who types these lines."""
    monkeypatch.setattr(paying, "_is_terminal", lambda: True)

    def run(*words, typed=""):
        return CliRunner().invoke(main, ["--network", str(served.folder), *words], input=typed)

    return run


def last_json(result):
    return json.loads(result.stdout.splitlines()[-1])


PAYMENT = ("pay", "customer-1", "0700000002", "100")


@pytest.mark.parametrize("typed", ["y\n", "Y\n", "yes\n"])
def test_yes_sends(served, terminal, account, typed):
    served.ledger.names[account("customer-2")] = KNOWN
    result = terminal(*PAYMENT, typed=typed)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("Send Ksh100.00 to GIVEN F. 0700***002? [y/N]: ")
    assert "Confirmed" in result.stdout
    assert [asked.payee for asked in served.ledger.asked] == [account("customer-2")]


@pytest.mark.parametrize("typed", ["n\n", "\n", "no\n"])
def test_anything_else_sends_nothing(served, terminal, account, typed):
    served.ledger.names[account("customer-2")] = KNOWN
    result = terminal(*PAYMENT, typed=typed)
    assert (result.exit_code, result.stderr) == (1, "Nothing was sent.\n")
    assert served.ledger.final == {}


def test_no_answer_at_all_sends_nothing(served, terminal, account):
    served.ledger.names[account("customer-2")] = KNOWN
    assert terminal(*PAYMENT).exit_code == 1
    assert served.ledger.final == {}


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (NameStatus.NONE, "The owner of this account has given no name.\n"),
        (NameStatus.LOCKED, LOCKED),
    ],
)
def test_where_no_name_can_be_shown_the_payment_says_so_and_goes_on(
    served, terminal, account, status, sentence
):
    served.ledger.names[account("customer-2")] = NameAnswer(status)
    result = terminal(*PAYMENT)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith(f"No name can be shown: {sentence}")
    assert "Confirmed" in result.stdout


def test_who_says_yes_before_is_not_asked(served, terminal, account):
    served.ledger.names[account("customer-2")] = KNOWN
    result = terminal(*PAYMENT, "--yes")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("Final after ")
    assert served.ledger.asked == []


def test_where_nobody_sits_nobody_is_asked(served, account):
    served.ledger.names[account("customer-2")] = KNOWN
    result = served.run(*PAYMENT)
    assert result.exit_code == 0, result.stderr
    assert "?" not in result.stdout
    assert served.ledger.asked == []


def test_a_program_gets_the_name_without_a_question(served, terminal, account):
    served.ledger.names[account("customer-2")] = KNOWN
    document = last_json(terminal(*PAYMENT, "--json"))
    assert (document["status"], document["payee_name"]) == ("final", "GIVEN F.")
    assert document["payee_number"] == "0700***002"
    unnamed = last_json(terminal("pay", "customer-1", "customer-3", "100", "--json"))
    assert (unnamed["status"], unnamed["payee_name"]) == ("final", None)


@pytest.mark.parametrize(
    ("kind", "question"),
    [
        ("withdraw", "Withdraw Ksh100.00 from THE SHOP?"),
        ("buy-goods", "Pay Ksh100.00 to THE SHOP?"),
        (None, "Send Ksh100.00 to THE SHOP?"),
    ],
)
def test_the_question_says_what_is_done(served, terminal, account, kind, question):
    served.ledger.names[account("agent-1")] = NameAnswer(NameStatus.KNOWN, "THE SHOP")
    words = () if kind is None else ("--kind", kind)
    result = terminal("pay", "customer-1", "agent-1", "100", *words, typed="n\n")
    assert result.stdout.startswith(question)


def test_a_name_is_looked_up_by_itself(served, account):
    served.ledger.names[account("customer-2")] = KNOWN
    number = account("customer-2")
    result = served.run("name", "0700000002")
    assert result.stdout == f"GIVEN F. 0700***002, account {number}.\n"
    assert served.ledger.asked[-1].asker == account("customer-1"), "the first demo customer asks"
    by_name = served.run("name", "customer-2", "--from", "customer-3", "--json")
    assert last_json(by_name) == {"account": number, "name": "GIVEN F.", "number": "0700***002"}
    assert served.ledger.asked[-1].asker == account("customer-3")


def test_a_lock_is_said_in_one_sentence(served, account):
    served.ledger.names[account("customer-2")] = NameAnswer(NameStatus.LOCKED)
    result = served.run("name", "customer-2")
    assert (result.exit_code, result.stderr, result.stdout) == (1, LOCKED, "")


def test_a_name_is_found_while_one_super_agent_is_dead(served, account):
    served.ledger.names[account("customer-2")] = KNOWN
    served.stop(0)
    assert served.run("name", "0700000002").exit_code == 0


def test_the_only_registered_account_asks(served, account):
    served.ledger.names[account("customer-2")] = KNOWN
    opened = last_json(served.run("register", "wanjiku", "--json"))
    assert served.run("name", "customer-2").exit_code == 0
    assert served.ledger.asked[-1].asker == opened["account"]
    served.run("register", "another")
    result = served.run("name", "customer-2")
    assert (result.exit_code, result.stderr) == (1, "Say whose key signs here: --from NAME.\n")


def test_an_account_is_opened_with_its_owners_name_and_documents(served, tmp_path):
    scan = tmp_path / "scan.txt"
    scan.write_bytes(b"a picture")
    words = ("--telephone", "0712345678", "--name", "Given Family", "--language", "sw")
    result = served.run("register", "wanjiku", *words, "--document", str(scan))
    assert result.exit_code == 0, result.stderr
    (profile,) = served.ledger.profiles
    assert (profile.name, profile.number) == ("Given Family", "+254712345678")
    assert (profile.version, profile.language) == (1, Language.SWAHILI)
    (document,) = profile.documents
    assert (document.label, document.content) == ("scan.txt", b"a picture")


def test_a_name_can_be_given_later_but_no_account_is_opened_twice(served):
    opened = last_json(served.run("register", "wanjiku", "--json"))
    named = last_json(served.run("register", "wanjiku", "--name", "Given Family", "--json"))
    assert named == opened
    assert [profile.account for profile in served.ledger.profiles] == [opened["account"]]
    again = served.run("register", "wanjiku")
    assert (again.exit_code, "already" in again.stderr) == (1, True)
    demo = served.run("register", "customer-1", "--name", "Given Family")
    assert (demo.exit_code, "already" in demo.stderr) == (1, True)


def test_a_name_that_is_refused_says_that_the_account_is_open(served):
    served.ledger.profile_status = ProfileStatus.NAME_FIXED
    result = served.run("register", "wanjiku", "--name", "Given Family")
    assert result.exit_code == 1
    assert "is open, but its name is not kept yet: This account has a name" in result.stderr
    assert served.run("balance", "wanjiku").exit_code == 0


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--name", "Given\x1bFamily"), "letters, digits, spaces"),
        (("--name", "x" * 61), "at most 60 characters"),
        (("--name", ""), "one or more words"),
        (("--name", "Given", "--telephone", "12"), "not a mobile number"),
    ],
)
def test_what_is_no_name_opens_no_account(served, words, sentence):
    result = served.run("register", "wanjiku", *words)
    assert result.exit_code == 1
    assert sentence in result.stderr
    assert served.run("balance", "wanjiku").exit_code == 1


def test_documents_are_a_persons_and_bounded(served, tmp_path):
    large = tmp_path / "large"
    large.write_bytes(bytes(200 << 10))
    alone = served.run("register", "wanjiku", "--document", str(large))
    assert alone.exit_code == 2
    too_large = served.run("register", "wanjiku", "--name", "Given", "--document", str(large))
    assert (too_large.exit_code, "128 KiB" in too_large.stderr) == (1, True)
    missing = served.run(
        "register", "wanjiku", "--name", "Given", "--document", str(tmp_path / "no")
    )
    assert (missing.exit_code, "Cannot read" in missing.stderr) == (1, True)
    assert served.run("balance", "wanjiku").exit_code == 1
