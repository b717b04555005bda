"""A story: what happens to a simulated network, read from a TOML file or from the command line."""

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Final

import msgspec

from harambee.sim.town import EMPLOYERS_MAX
from harambee.sim.traitors import MAKERS, STRATEGIES

SUPER_AGENTS_MAX: Final = 100
CROWDED: Final = 16
"""More super-agents than this speak more rarely."""
CROWDED_ORDERS: Final = 1_000
"""How many orders a second people bring to them at most, where nobody says for how long."""
PEOPLE_MAX: Final = 100_000
ACTS: Final = (
    "crash",
    "restart",
    "wipe",
    "forget",
    "cut",
    "heal",
    "part",
    "fill",
    "room",
    "skew",
    "pause",
    "tear",
    "rot",
    "flip",
    "upgrade",
    "night",
)
"""What can be done to super-agents; `docs/simulation.md` says what each is."""

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=3_600)]


class StoryError(ValueError):
    """The story cannot be read or told; one sentence."""


class Act(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One thing that happens at one moment."""

    at: Seconds
    do: str
    who: tuple[int, ...] = ()
    """Super-agents; for `cut` every link from them is cut, for `part` they are cut off together."""
    to: tuple[int, ...] = ()
    """For `cut`: only the links to these."""
    blocks: int = 5
    """For `forget`: how many of the newest blocks the disk loses; for `rot`: how many it damages."""
    own: bool = False
    """For `tear`: it is its newest block of its own that is torn, which maybe nobody else has."""
    hours: float = 0
    """For `skew`: how far the clock is set; for `night`: how long it is."""
    seconds: Seconds = 1
    """For `pause` and `upgrade`: how long."""


class Story(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything that a run is made of, but the seed."""

    title: str = "An ordinary day, with liars and bad luck"
    super_agents: Annotated[int, msgspec.Meta(ge=1, le=SUPER_AGENTS_MAX)] = 4
    traitors: Annotated[int, msgspec.Meta(ge=0, le=SUPER_AGENTS_MAX)] = 1
    traitors_at: tuple[int, ...] = ()
    """Which super-agents they are; by the seed, where this is empty."""
    strategies: tuple[str, ...] = STRATEGIES
    """What traitors do; each takes one of them, by the seed."""
    regions: Annotated[int, msgspec.Meta(ge=1, le=SUPER_AGENTS_MAX)] = 1
    """In how many super-agents' regions people live; with more than one the books are closed at the end."""
    people: Annotated[int, msgspec.Meta(ge=2, le=PEOPLE_MAX)] = 40
    crooks: Share = 0.1
    """The share of people who sign two orders for one slot."""
    p256: Share = 0.25
    """The share of people whose keys lie in the hardware of a phone: P-256, not Ed25519."""
    to_one_till: bool = False
    """Everybody pays the first person, who pays out all the time."""
    doors_at_once: Annotated[int, msgspec.Meta(ge=1, le=SUPER_AGENTS_MAX)] = 1
    """To how many doors an honest payer brings her order at once."""
    spenders: Share = 0
    """The share of people who spend what they receive at the first door that says it is theirs."""
    patient: Share = 0
    """The share of people who do not cancel a refused order before the day after."""
    news: Share = 0
    """The share of payments of a kind that only newer software knows."""
    strays: int = 0
    """How many orders are brought that break a rule, whatever happens."""
    employers: Annotated[int, msgspec.Meta(ge=0, le=EMPLOYERS_MAX)] = 0
    """How many businesses there are beside the people."""
    pay_outs: int = 0
    """How many times one of them pays some people at once; in a share of `crooks`, by two orders."""
    holds: int = 0
    """How many times money is held and the hold ended; in half of them by both sides at once."""
    freezes: int = 0
    """How many accounts operators are asked to freeze, and then to unfreeze; some find too few approvals."""
    claims: int = 0
    """How many phone numbers two super-agents claim for two people at once."""
    orders: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 200
    seconds: Seconds = 8
    """For how long orders are brought."""
    settle_seconds: Seconds = 90
    """How long the network may take to come to rest after that."""
    opening_cents: Annotated[int, msgspec.Meta(ge=0, le=10**11)] = 1_000_000
    most_cents: Annotated[int, msgspec.Meta(ge=10_000, le=10**11)] = 300_000
    """The largest amount that is sent."""
    pace_ms: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 20
    turn_ms: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 1
    """How long a super-agent gathers messages before it acts on them, as one does that is busy."""
    heartbeat_ms: Annotated[int, msgspec.Meta(ge=1, le=60_000)] = 500
    delay_ms: tuple[float, float] = (1, 40)
    loss: Share = 0.01
    doubled: Share = 0.01
    fsync_ms: tuple[float, float] = (0.5, 8)
    crashes: float = 0.3
    """How many honest super-agents crash in a second, for a moment each."""
    forgetful: Share = 0.1
    """The share of crashes after which a disk has lost what it had promised to keep."""
    partitions: float = 0.1
    """How many times in a second some are cut off, for a moment."""
    skew_hours: float = 0
    """How far the clocks of super-agents may be apart."""
    checkpoints_every: Seconds = 0
    """How many seconds after one checkpoint the next is made; none where it is 0. Who begins with an empty
    disk then asks for pages first."""
    midnight_at: Seconds | None = None
    """When midnight passes; the story else happens at noon or so."""
    acts: tuple[Act, ...] = ()

    def checked(self) -> "Story":
        """Return itself; StoryError if it cannot be told."""
        if self.traitors > self.super_agents:
            raise StoryError("there are more traitors than super-agents")
        if self.traitors_at and len(set(self.traitors_at)) != self.traitors:
            raise StoryError("traitors_at does not name as many as there are traitors")
        if any(not 0 <= who < self.super_agents for who in self.traitors_at):
            raise StoryError("traitors_at names a super-agent that there is not")
        if self.regions > self.super_agents:
            raise StoryError("there are more regions than super-agents")
        for name in self.strategies:
            if name not in MAKERS:
                known = ", ".join(MAKERS)
                raise StoryError(f"no traitor knows how to be {name!r}; they know: {known}")
        for act in self.acts:
            if act.do not in ACTS:
                raise StoryError(f"nothing is called {act.do!r}; there are: {', '.join(ACTS)}")
            if any(not 0 <= who < self.super_agents for who in (*act.who, *act.to)):
                raise StoryError(f"{act.do!r} at {act.at} s names a super-agent that there is not")
        self._check_people()
        for name, (low, high) in (("delay_ms", self.delay_ms), ("fsync_ms", self.fsync_ms)):
            if not 0 <= low <= high:
                raise StoryError(f"{name} is no range")
        return self

    def _check_people(self) -> None:
        if self.pay_outs and not self.employers:
            raise StoryError("there are pay-outs and no employers")

    def sized(self) -> "Story":
        """Return the story paced for its size, as a network of so many would be run.

        With more than sixteen super-agents everybody hears hundreds of blocks a second, so they are fewer and
        larger; there are enough people that each order finds a payer who has none in flight, and a second for
        each thousand orders. What happens by chance is as rare in the whole network as in a small one: one
        person in five hundred is a crook, who brings rival orders to every door at once. Where a third lies
        already, nobody crashes and nothing parts by chance: either would stop everything until it is over,
        and acts can still say so.
        """
        if self.super_agents <= CROWDED:
            return self
        spare = self.traitors < (self.super_agents - 1) // 3
        people = min(PEOPLE_MAX, max(self.people, self.orders // 4))
        return self.changed(
            {
                "pace_ms": 500,
                "heartbeat_ms": 2_000,
                "turn_ms": 100,
                "people": people,
                "seconds": max(self.seconds, self.orders / CROWDED_ORDERS),
                "crooks": min(self.crooks, 0.002),
                "crashes": min(self.crashes, 0.1) if spare else 0.0,
                "partitions": min(self.partitions, 0.05) if spare else 0.0,
                "loss": min(self.loss, 0.001),
            }
        )

    def changed(self, changes: dict[str, object]) -> "Story":
        """Return the story with some fields changed; StoryError if it cannot be told."""
        return msgspec.structs.replace(self, **changes).checked()


@dataclass(frozen=True, slots=True)
class Shipped:
    """A story that ships with the software."""

    name: str
    story: Story


def read_story(text: str) -> Story:
    """Return the story in a TOML document; StoryError if there is none in it."""
    try:
        return msgspec.convert(tomllib.loads(text), Story, strict=True).checked()
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise StoryError(f"this is no story: {error}") from error


def shipped() -> list[Shipped]:
    """Return the stories that ship, by name."""
    found: Iterable[Traversable] = files(__package__).joinpath("stories").iterdir()
    names = sorted((entry.name, entry) for entry in found if entry.name.endswith(".toml"))
    return [
        Shipped(name.removesuffix(".toml"), read_story(entry.read_text(encoding="utf-8")))
        for name, entry in names
    ]


def find_story(name: str) -> Story:
    """Return a story that ships, or the one in a file; StoryError if there is neither."""
    for candidate in shipped():
        if candidate.name == name:
            return candidate.story
    try:
        return read_story(Path(name).read_text(encoding="utf-8"))
    except OSError as error:
        raise StoryError(f"there is no story {name}: see `harambee sim --list`") from error
