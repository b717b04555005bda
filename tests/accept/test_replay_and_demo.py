"""The two main demonstrations as a program sees them: small, with the real command and as JSON."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.accept, pytest.mark.alone, pytest.mark.timeout(240)]

HARAMBEE = str(Path(sys.executable).with_name("harambee"))
PAYSIM = Path(__file__).parents[3] / "shared" / "paysim" / "aggregatedTransactions.csv"
"""The table of a whole month; where it is missing, the hour that ships stands in for it."""
CLEAN = {"lost": 0, "lost_cents": 0, "duplicated": 0, "conserved": True, "digests_equal": True}


def told(*words):
    """Run a command with --json; its last line."""
    done = subprocess.run(
        [HARAMBEE, *words, "--json"], capture_output=True, text=True, timeout=230, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_a_small_replay_loses_nothing():
    hour = [str(PAYSIM), "--hour", "18"] if PAYSIM.exists() else []
    report = told("replay", *hour, "--limit", "6000")
    assert report | CLEAN == report
    # The figures that ship make a shorter hour.
    assert report["offered"] == 6_000 if hour else 4_000 < report["offered"] < 6_000
    assert report["unanswered"] == 0
    assert report["final"] + report["rejected"] == report["offered"]
    assert report["final"] > report["offered"] // 2
    assert report["cancelled"] == report["rejected"] == sum(report["reasons"].values())
    assert report["entries"] == report["final"] + report["cancelled"]
    assert (report["super_agents"], report["examined"], report["killed"]) == (4, 4, 0)


def test_a_small_part_of_a_month_closes_its_books():
    month = told("replay", "--percent", "60")
    assert month | CLEAN | {"closes": True, "unanswered": 0, "super_agents": 4} == month
    assert month["transactions"] == 2_969
    assert month["accepted"] + sum(month["refused"].values()) == month["transactions"]
    assert month["final"] + month["rejected"] == month["offered"]
    assert month["entries"] == month["final"] + month["cancelled"]
    assert sum(counts["final"] for counts in month["kinds"].values()) == month["final"]
    assert sum(counts["offered"] for counts in month["kinds"].values()) == month["offered"]
    # Float is short at some agents, and everybody else is paid what is due.
    assert 0 < month["agents_without_float"] <= month["refused"]["balance_insufficient"]
    assert month["deposit_commissions"] == month["kinds"]["deposit"]["final"] > 0
    assert month["remitted_cents"] == month["excise_cents"] > 0
    assert month["head_offices_commission_cents"] > 0
    assert month["kinds"].keys() >= {
        "send",
        "withdraw",
        "deposit",
        "buy_goods",
        "bank_deposit",
        "pay_bill",
        "pay_out",
        "deposit_commission",
        "treasury",
        "excise_remittance",
        "join_head_office",
    }


def test_a_short_outage_loses_nothing_and_makes_no_money():
    story = told("demo", "--seconds", "15", "--rate", "400")
    assert story | CLEAN == story
    assert story["money_made_while_two_were_dead"] is False
    assert story["shillings_lost"] == 0
    assert story["clean"] is True
    assert (story["killed"], story["examined"]) == (3, 4)
    acts = {act["name"]: act for act in story["acts"]}
    assert list(acts) == ["all four", "one dead", "back", "two dead", "restored"]
    assert all(acts[name]["final"] > 0 for name in ("all four", "one dead", "back", "restored"))
    assert acts["two dead"]["final_after_last_words"] == 0
    assert story["failovers"] > 0
    assert story["central_silent_minutes"] > 0
