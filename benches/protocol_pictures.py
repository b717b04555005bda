"""Draw one payment, and one recovery, from the blocks that a simulated network of four has made.

    python -m benches.protocol_pictures

Writes docs/pictures/payment.svg and docs/pictures/recovery.svg. The simulator runs the replicas that ship
and is the same to the byte for one seed, so a test holds the files to what is drawn here.

What a block says of a slot is read off the blocks with plain sets, as docs/protocol.md defines it: who
votes, what is certified in whose past, who acknowledges. What comes out must be what the replicas decided, or
nothing is drawn.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple
from xml.sax.saxutils import escape

import click

from harambee.handset.orders import order_id
from harambee.protocol.recovery_entries import SKIP
from harambee.protocol.slot import Slot
from harambee.protocol.wire import Block
from harambee.sim.run import Run
from harambee.sim.story import Story

FOLDER: Final = Path("docs/pictures")
NAMES: Final = ("amani", "baraka", "chapa", "daima")
CALM: Final = Story(
    title="One payment",
    traitors=0,
    people=2,
    crooks=0,
    p256=0,
    orders=1,
    seconds=0.25,
    crashes=0,
    partitions=0,
    loss=0,
    doubled=0,
    delay_ms=(8, 24),
)
PAYMENT_SEED: Final = 3
RIVALS: Final = CALM.changed({"title": "A payer signs two orders for one slot", "crooks": 1})
RECOVERY_SEED: Final = 8

LEFT_PX: Final = 92
WIDTH_PX: Final = 1_080
LANE_PX: Final = 104
TOP_PX: Final = 66
LETTER_PX: Final = 6.4
LINE_PX: Final = 15
COLOURS: Final = {
    "carries": "#0b6e99",
    "votes": "#3f6212",
    "refuses": "#c2410c",
    "fences": "#7b2cbf",
    "proposes": "#0b6e99",
    "acknowledges": "#b8860b",
}
"""By the first word of what a block says."""


class BlockName(NamedTuple):
    """Which block: nobody forks and nobody loses a disk here, so this is enough."""

    author: int
    height: int


class Value(NamedTuple):
    """What can become final in a slot, and the view in which it is voted for."""

    view: int
    order: bytes
    """The order's bytes, or its id in a view above 0, or SKIP."""


@dataclass
class Step:
    """What one block says of the slot."""

    block: BlockName
    time_ms: int
    says: list[str] = field(default_factory=list)


@dataclass
class Telling:
    """What is drawn: steps by time, and the moments at which something was complete."""

    title: str
    steps: list[Step]
    moments: list[tuple[int, str]]
    arrows: list[tuple[BlockName, BlockName]]


class Reading:
    """The blocks of a run, and what they say of one slot."""

    def __init__(self, run: Run, slot: Slot) -> None:
        """`run` has been told; `slot` is the one that everybody paid in."""
        self.run, self.slot = run, slot
        self.quorum = run.world.town.committee.q
        machine = run.world.machines[0]
        self.blocks = {
            BlockName(block.author, block.height): block
            for block in map(run.world.checking.read, machine.disk)
            if isinstance(block, Block)
        }
        self._pasts: dict[BlockName, frozenset[BlockName]] = {}
        self.letters: dict[bytes, str] = {}
        """A letter for each order of the slot, by its bytes."""
        self.places: dict[tuple[BlockName, int], bytes] = {}
        """The slot's orders, where they lie."""
        for name, block in self.by_time():
            for row, order in enumerate(block.orders):
                if Slot.of(order) == slot:
                    data = order.tobytes()
                    self.letters.setdefault(data, "ABC"[len(self.letters)])
                    self.places[name, row] = data

    def by_time(self) -> list[tuple[BlockName, Block]]:
        """All blocks, oldest first."""
        return sorted(self.blocks.items(), key=lambda item: (item[1].time_ms, item[0]))

    def past(self, name: BlockName) -> frozenset[BlockName]:
        """The block and everything that leads to it."""
        known = self._pasts.get(name)
        if known is None:
            below = [BlockName(one.author, one.height) for one in self.blocks[name].references]
            if name.height > 1:
                below.append(BlockName(name.author, name.height - 1))
            known = frozenset([name]).union(*(self.past(one) for one in below))
            self._pasts[name] = known
        return known

    def chain(self, author: int) -> Iterator[BlockName]:
        """An author's blocks, lowest first."""
        return iter(sorted(name for name in self.blocks if name.author == author))

    def view_of(self, name: BlockName) -> int:
        """The highest view of the slot that this block or one below it fences."""
        return max(
            (
                fence.view
                for below in self.chain(name.author)
                if below.height <= name.height
                for fence in self.blocks[below].recovery.fences
                if fence.slot == self.slot
            ),
            default=0,
        )

    def votes(self) -> dict[Value, dict[int, BlockName]]:
        """For every value the block by which each author first votes for it."""
        found: dict[Value, dict[int, BlockName]] = {}
        for (place, row), order in self.places.items():
            for author in range(len(NAMES)):
                first = next((one for one in self.chain(author) if place in self.past(one)), None)
                if first is None or self.refuses(first, place, row) or self.view_of(first):
                    continue
                cast = found.setdefault(Value(0, order), {})
                cast[author] = min(first, cast.get(author, first))
        for name, block in self.blocks.items():
            for vote in block.recovery.votes:
                if vote.slot == self.slot:
                    found.setdefault(Value(vote.view, vote.value), {})[name.author] = name
        return found

    def refuses(self, voter: BlockName, place: BlockName, row: int) -> bool:
        """Whether one block refuses an order of another."""
        return any(
            (one.author, one.height) == place and row in one.rows
            for one in self.blocks[voter].rejections
        )

    def acknowledgements(self, value: Value, votes: dict[int, BlockName]) -> dict[int, BlockName]:
        """The block by which each author first has q votes in its past, and has not fenced more."""
        found = {}
        for author in range(len(NAMES)):
            for name in self.chain(author):
                if sum(vote in self.past(name) for vote in votes.values()) >= self.quorum:
                    if self.view_of(name) <= value.view:
                        found[author] = name
                    break
        return found

    def time_ms(self, name: BlockName) -> int:
        """When a block was made."""
        return self.blocks[name].time_ms

    def complete_ms(self, names: Iterable[BlockName]) -> int | None:
        """When the q-th of these blocks was made; None where there are fewer."""
        times = sorted(self.time_ms(name) for name in names)
        return times[self.quorum - 1] if len(times) >= self.quorum else None


def tell(story: Story, seed: int) -> Telling:
    """Let a story with one payer happen; what its blocks say of her slot."""
    run = Run(story, seed)
    verdict = run.tell()
    assert verdict["clean"], "the story ends well, or its picture would show a mistake"
    ((payer, sequence),) = run.world.auditor.decided
    assert isinstance(payer, int)
    reading = Reading(run, Slot.of_account(payer, sequence))
    decided = run.world.auditor.decided[payer, sequence]
    return _told(reading, decided, story.title)


def _told(reading: Reading, decided: bytes, title: str) -> Telling:
    steps: dict[BlockName, Step] = {}
    arrows: list[tuple[BlockName, BlockName]] = []

    def say(name: BlockName, what: str) -> None:
        step = steps.setdefault(name, Step(name, reading.time_ms(name)))
        if what not in step.says:
            step.says.append(what)

    _say_entries(reading, say)
    moments = []
    final = None
    votes = reading.votes()
    for value, cast in sorted(votes.items()):
        what = _named(reading, value)
        for name in cast.values():
            carries = [
                place for (place, _), order in reading.places.items() if order == value.order
            ]
            if name not in carries:
                say(name, f"votes for {what}")
                arrows += [(place, name) for place in carries if place in reading.past(name)]
        certified_ms = reading.complete_ms(cast.values())
        if certified_ms is None:
            continue
        moments.append((certified_ms, f"certificate: {reading.quorum} votes for {what}"))
        acknowledged = reading.acknowledgements(value, cast)
        for name in acknowledged.values():
            say(name, f"acknowledges {what}")
            arrows += [(vote, name) for vote in cast.values() if vote in reading.past(name)]
        final_ms = reading.complete_ms(acknowledged.values())
        if final_ms is not None:
            final = value
            moments.append((final_ms, f"final: {reading.quorum} acknowledge {what}"))
    assert final is not None, "something was decided, so q acknowledge it"
    assert (decided == b"skipped") == (final.order == SKIP), "the replicas decided the same"
    last = max(at for at, _ in moments)
    told = sorted((step for step in steps.values()), key=lambda step: (step.time_ms, step.block))
    return Telling(title, [step for step in told if step.time_ms <= last + 60], moments, arrows)


def _say_entries(reading: Reading, say: Callable[[BlockName, str], None]) -> None:
    """Say what stands in blocks: orders, refusals, fences and proposals."""
    for (place, row), order in reading.places.items():
        say(place, f"carries order {reading.letters[order]}")
        for name in reading.blocks:
            if reading.refuses(name, place, row):
                say(name, f"refuses order {reading.letters[order]}")
    for name, block in reading.blocks.items():
        for fence in block.recovery.fences:
            if fence.slot == reading.slot:
                say(name, f"fences view {fence.view}")
        for proposal in block.recovery.proposals:
            if proposal.slot == reading.slot:
                say(name, f"proposes {_named(reading, Value(proposal.view, proposal.value))}")


def _named(reading: Reading, value: Value) -> str:
    """Return a value as a reader is told it."""
    at = f", view {value.view}" if value.view else ""
    if value.order == SKIP:
        return f"skip{at}"
    network = reading.run.world.town.network
    letters = reading.letters | {
        order_id(network, order): letter for order, letter in reading.letters.items()
    }
    return f"order {letters[value.order]}{at}"


# -- drawing ----------------------------------------------------------------------------------------


def draw(telling: Telling) -> str:
    """Return the picture: a line for each super-agent, time from left to right."""
    began = min(step.time_ms for step in telling.steps)
    ended = max([at for at, _ in telling.moments] + [step.time_ms for step in telling.steps])
    scale = (WIDTH_PX - LEFT_PX - 190) / max(ended - began, 1)
    height = TOP_PX + LANE_PX * len(NAMES) + LINE_PX * (len(telling.moments) + 3)

    def x(time_ms: int) -> float:
        return LEFT_PX + 20 + (time_ms - began) * scale

    def y(name: BlockName) -> int:
        return TOP_PX + LANE_PX * name.author + LANE_PX // 2

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH_PX} {height}" role="img">',
        f"<title>{escape(telling.title)}</title>",
        "<style>text { font: 12px sans-serif; fill: #222222 } .small { font-size: 11px }</style>",
        f'<rect width="{WIDTH_PX}" height="{height}" fill="#ffffff"/>',
        f'<text x="10" y="24" style="font-size:16px">{escape(telling.title)}</text>',
    ]
    parts += [
        f'<text x="10" y="{y(BlockName(author, 0)) + 4}">{name}</text>'
        f'<line x1="{LEFT_PX}" y1="{y(BlockName(author, 0))}" x2="{WIDTH_PX}" '
        f'y2="{y(BlockName(author, 0))}" stroke="#dddddd"/>'
        for author, name in enumerate(NAMES)
    ]
    parts += _moments(telling, began, x, height)
    times = {step.block: step.time_ms for step in telling.steps}
    parts += [
        f'<line x1="{x(times[one]):.1f}" y1="{y(one)}" x2="{x(times[other]):.1f}" y2="{y(other)}" '
        'stroke="#9db4c0"/>'
        for one, other in sorted(set(telling.arrows))
        if one in times and other in times and one.author != other.author
    ]
    free = [[0.0] * 4 for _ in NAMES]
    for step in telling.steps:
        parts += _step(step, x(step.time_ms), y(step.block), free[step.block.author])
    return "\n".join([*parts, "</svg>\n"])


def _moments(telling: Telling, began: int, x: Callable[[int], float], height: int) -> Iterator[str]:
    """Yield an upright line for each moment, with a number, and below what the numbers mean."""
    bottom = TOP_PX + LANE_PX * len(NAMES)
    for number, (at, what) in enumerate(sorted(telling.moments), start=1):
        yield (
            f'<line x1="{x(at):.1f}" y1="{TOP_PX - 12}" x2="{x(at):.1f}" y2="{bottom}" '
            'stroke="#2a9d4a" stroke-dasharray="5 4"/>'
            f'<text x="{x(at) - 4:.1f}" y="{TOP_PX - 18}">{number}</text>'
            f'<text x="10" y="{bottom + LINE_PX * (number + 1)}">'
            f"{number}  after {at - began} ms: {escape(what)}</text>"
        )
    yield (
        f'<text class="small" x="10" y="{height - 6}">'
        "A point is a block; a line leads from what is voted for or counted to the block that does so.</text>"
    )


def _step(step: Step, x: float, y: int, free: list[float]) -> Iterator[str]:
    """Yield a block and what it says, in whichever of the rows above and below its line is free."""
    colour = COLOURS[step.says[0].split()[0]]
    yield f'<circle cx="{x:.1f}" cy="{y}" r="5" fill="{colour}"/>'
    for line in step.says:
        ink = COLOURS[line.split()[0]]
        row = min(
            range(len(free)), key=lambda one: (free[one] > x, free[one] if free[one] > x else one)
        )
        free[row] = x + len(line) * LETTER_PX + 8
        drop = (-12, 22, -28, 38)[row]
        yield (
            f'<text class="small" x="{x - 4:.1f}" y="{y + drop}" style="fill:{ink}">'
            f"{escape(line)}</text>"
        )


PICTURES: Final = {"payment": (CALM, PAYMENT_SEED), "recovery": (RIVALS, RECOVERY_SEED)}


@click.command()
@click.option("--seed", type=int, help="Another seed than those whose pictures ship; for both.")
def main(seed: int | None) -> None:
    """Draw the pictures of docs/protocol.md."""
    for name, (story, shipped) in PICTURES.items():
        picture = draw(tell(story, shipped if seed is None else seed))
        (FOLDER / f"{name}.svg").write_text(picture, encoding="utf-8")
        print(FOLDER / f"{name}.svg")


if __name__ == "__main__":
    main()
