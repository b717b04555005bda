"""The outage played against a network in this process: what it sees, and what it must not miss."""

import asyncio
from types import SimpleNamespace

import numpy as np
import pytest
from tests.traffic.fake_network import NETWORK, PENDING, FakeDoor, FakeNetwork
from tests.traffic.test_generator import orders_in_turn

from harambee.traffic import outage as outage_module
from harambee.traffic.book import Book
from harambee.traffic.generator import Generator, Pace
from harambee.traffic.outage import BACK, CALM, ONE_DEAD, RESTORED, TWO_DEAD, Outage
from harambee.traffic.verdict import Openings, judge

NAMES = ("amani", "baraka", "chapa", "dada")


class FakeProcesses:
    """Kills and restarts the doors of a fake network, which needs three of four."""

    def __init__(self, fakes, *, needs=3):
        self.fakes = {fake.name: fake for fake in fakes}
        self.network = SimpleNamespace(super_agents=4)
        self.folder = SimpleNamespace(names=NAMES)
        self.needs = needs
        self.killed = []
        for fake in fakes:
            fake.judge = self.decide

    def decide(self, _order, _times):
        alive = sum(not fake.dead for fake in self.fakes.values())
        return None if alive >= self.needs else PENDING

    def kill(self, name):
        self.fakes[name].dead = True
        self.killed.append(name)

    def restart(self, name):
        self.fakes[name].dead = False

    def wait_ready(self, names):
        assert not any(self.fakes[name].dead for name in names)


def play(*, needs=3):
    network = FakeNetwork([FakeDoor(name) for name in NAMES], people=60)
    processes = FakeProcesses(network.fakes, needs=needs)
    book = Book(orders_in_turn(network, 12_000, amount=1))
    told = []

    async def story():
        async with network.open():
            payers = (network.numbers, network.secrets)
            pace = Pace(rate=1_000, batch=16, wait_ms=20)
            load = Generator(book, network.doors, NETWORK, payers, 3, pace)
            outage = Outage(processes, load, seconds=2, tell=told.append)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(outage_module, "LAST_WORDS_S", 0.05)
                patch.setattr(outage_module, "LAST_WORDS_MAX_S", 0.3)
                await outage.play()
            openings = Openings(
                network.numbers,
                network.openings["balance"].astype(np.int64),
                network.openings["next_sequence"].astype(np.uint32),
            )
            return outage, await judge(book, network.doors, openings, deadline_s=1)

    outage, verdict = asyncio.run(story())
    return outage, verdict, book.tally(), processes, told


@pytest.fixture(scope="module")
def honest():
    return play()


def test_five_acts_of_an_honest_network(honest):
    outage, verdict, tally, processes, told = honest
    assert list(outage.acts) == [CALM, ONE_DEAD, BACK, TWO_DEAD, RESTORED]
    assert processes.killed == ["baraka", "chapa", "dada"]
    assert outage.acts[CALM].final > 0
    assert outage.acts[ONE_DEAD].final > 0
    assert outage.acts[TWO_DEAD].facts["final_after_last_words"] == 0
    assert outage.acts[RESTORED].final > 0
    assert not outage.money_made
    assert verdict.clean
    assert tally.unanswered == 0
    assert "Four super-agents serve" in told[0]


def test_the_figures_of_a_centre_follow_from_the_time_that_one_was_away(honest):
    outage, *_ = honest
    away = outage.acts[ONE_DEAD].seconds + outage.acts[BACK].facts["caught_up_after_s"]
    assert outage.silent_with_centre_s == away
    assert outage.shillings_delayed_with_centre == round(away * 679_300_000 / 3_600)


def test_every_act_has_its_figures_for_programs(honest):
    fields = {"name", "starts_s", "ends_s", "final", "final_per_second", "longest_silence_s"}
    assert all(fields <= set(act.as_json()) for act in honest[0].acts.values())


def test_a_network_that_pays_on_with_two_of_four_is_caught():
    outage, *_ = play(needs=2)
    assert outage.acts[TWO_DEAD].facts["final_after_last_words"] > 0
    assert outage.money_made
