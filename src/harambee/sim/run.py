"""Telling a story: build the world, let it happen, let it come to rest, and judge."""

import gc
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from harambee.ledger.memory import GARBAGE_THRESHOLDS
from harambee.protocol.slot import Slot
from harambee.sim.books import books_close_in
from harambee.sim.customers import Crowd
from harambee.sim.story import Story
from harambee.sim.world import SECOND, START_NS, World

STEP_S: Final = 0.25
REST_STEPS: Final = 8
"""For how many steps everything must have been at rest."""
AGREED_STEPS: Final = 24
"""For how many all must have agreed, where orders that nobody will ever accept keep slots open."""


class Run:
    """One story with one seed."""

    def __init__(self, story: Story, seed: int) -> None:
        """Nothing happens yet."""
        # The world of the run before is a web of references with large arrays, which its collector does not
        # weigh: a night of seeds would fill the memory before it looks.
        gc.collect()
        self.story = story.checked()
        self.seed = seed
        self.world = World(story, seed)
        self.crowd = Crowd(self.world)

    def tell(self, progress: Callable[[float, int], None] | None = None) -> dict[str, Any]:
        """Let it happen; returns what came of it. `progress` hears simulated seconds and finals."""
        world, crowd = self.world, self.crowd
        began = time.perf_counter()
        with collecting_seldom():
            world.plan()
            crowd.plan()
            self._go_on(self.story.seconds, progress)
            world.calm_down()
            self._come_to_rest(progress)
            return self._verdict(time.perf_counter() - began)

    def _go_on(self, seconds: float, progress: Callable[[float, int], None] | None) -> None:
        end = self.world.now + int(seconds * SECOND)
        while self.world.now < end:
            self.world.run_until(min(end, self.world.now + int(STEP_S * SECOND)))
            self._note_views()
            if progress is not None:
                progress((self.world.now - START_NS) / SECOND, self.crowd.final)

    def _note_views(self) -> None:
        certified: dict[Slot, int] = {}
        for machine in self.world.honest:
            for slot in machine.replica.disputes.slots()[:64]:
                dispute = machine.replica.disputes.get(slot)
                view = 0 if dispute is None else dispute.fenced_by(1)
                if dispute is not None and view and dispute.certified(machine.replica.chains):
                    certified[slot] = certified.get(slot, 0) + 1
                if view == 1:
                    self.world.marks.hit("a slot went to view 1")
                elif view > 1:
                    self.world.marks.hit("a slot went to view 2 or higher")
        if 1 in certified.values():
            self.world.marks.hit("a certificate was known to one alone")

    def _come_to_rest(self, progress: Callable[[float, int], None] | None) -> None:
        world = self.world
        end = world.now + int(self.story.settle_seconds * SECOND)
        still = agreed = 0
        while world.now < end and still < REST_STEPS and agreed < AGREED_STEPS:
            self._go_on(STEP_S, progress)
            serve = all(machine.is_back for machine in world.honest)
            agreed = agreed + 1 if serve and not self.crowd.open and self._agree() else 0
            rests = agreed and all(machine.at_rest for machine in world.honest)
            still = still + 1 if rests else 0

    def _agree(self) -> bool:
        return len({machine.replica.ledger.digest() for machine in self.world.honest}) <= 1

    def _verdict(self, seconds: float) -> dict[str, Any]:
        world, crowd, auditor = self.world, self.crowd, self.world.auditor
        within = self.story.traitors <= world.town.committee.f
        conserved, agree = True, self._agree()
        for machine in world.honest:
            conserved &= machine.replica.ledger.total_cents() == 0
            if agree:
                conserved &= not auditor.disagreements(machine.index, machine.accounts())
                auditor.hold_numbers(machine.index, machine.replica.ledger.alias)
        books_close = self.story.regions == 1 or books_close_in(world, auditor)
        latencies = sorted(crowd.latencies_ms)
        simulated = (world.now - START_NS) / SECOND
        world.remember("ends", auditor.decided, auditor.violations)
        verdict: dict[str, Any] = {
            "title": self.story.title,
            "offered": crowd.offered,
            "final": crowd.final,
            "rejected": crowd.rejected,
            "lost": auditor.lost(),
            "duplicated": auditor.duplicated,
            "conserved": conserved,
            "digests_equal": agree,
            "books_close": books_close,
            "stuck": crowd.stuck,
            "undecided": crowd.open,
            "claimed": crowd.claimed,
            "skipped_honest": auditor.skipped_honest,
            "violations": auditor.violations[:20],
            "within_bounds": within,
            "seconds": round(seconds, 3),
            "simulated_seconds": simulated,
            "final_per_second": round(crowd.final / max(self.story.seconds, STEP_S), 1),
            "latency_ms_p50": round(statistics.median(latencies), 1) if latencies else 0.0,
            "latency_ms_p99": _share(latencies, 0.99),
            "super_agents": self.story.super_agents,
            "traitors": self.story.traitors,
            "killed": world.killed,
            "seed": self.seed,
            "marks": world.marks.as_json(),
            "history": world.history(),
        }
        verdict["clean"] = (
            not verdict["lost"]
            and not verdict["duplicated"]
            and conserved
            and verdict["digests_equal"]
            and books_close
            and not verdict["undecided"]
            and not auditor.violations
        )
        return verdict


@contextmanager
def collecting_seldom() -> Iterator[None]:
    """Let the garbage collector look rarely: a world is millions of objects that live until its end.

    To look through them all every few seconds was a fifth of the work of a run of a hundred super-agents.
    """
    thresholds = gc.get_threshold()
    gc.set_threshold(*GARBAGE_THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)


def _share(ascending: list[float], share: float) -> float:
    if not ascending:
        return 0.0
    return round(ascending[min(len(ascending) - 1, int(share * len(ascending)))], 1)
