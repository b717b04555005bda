"""Rare paths that a run has taken: so that one knows which a thousand seeds have never reached."""

from collections import Counter
from collections.abc import Iterable
from typing import Final

from harambee.protocol.checking import Checking
from harambee.protocol.effects import EVERYONE, FetchNamed, Outgoing, SendBlock
from harambee.protocol.malformed import Malformed
from harambee.protocol.recovery_entries import ABSTAINS, SKIP, Proposal
from harambee.protocol.replica import Replica

SOMETIMES: Final = (
    "a block of a branch was fetched by name",
    "a block was lost on the way",
    "a block arrived twice",
    "a certificate was known to one alone",
    "a checkpoint was signed",
    "a clock was set apart",
    "a convicted super-agent signed on",
    "a crash lost what was not durable",
    "a credit was spent that half had not seen",
    "a damaged block was given up",
    "a damaged block was mended",
    "a damaged block was noticed",
    "a disk forgot what it had promised",
    "a disk was full",
    "a disk was wiped",
    "a flipped bit in memory was noticed",
    "a free order was proposed",
    "a freeze found one approval too few",
    "a hold was released",
    "a hold was voided",
    "a link was cut",
    "a newer order was paid",
    "a newer order was refused",
    "a number was claimed twice",
    "a page server was found lying",
    "a pay-out was paid",
    "a payer signed two orders for one slot",
    "a payment by a P-256 key was final",
    "a proposal carried a certificate",
    "a recovery was joined",
    "a refused order was cancelled",
    "a refused order was paid the next day",
    "a skip was proposed over a certificate",
    "a slot was skipped",
    "a slot went to view 1",
    "a slot went to view 2 or higher",
    "a stray order by a P-256 key was refused",
    "a stray order was refused",
    "a super-agent abstained",
    "a super-agent came back by pages",
    "a super-agent came back under a new incarnation",
    "a super-agent was convicted",
    "a super-agent was convicted of two votes in view 0",
    "a super-agent was upgraded",
    "a table was shown altered",
    "a table was withheld",
    "an account was frozen",
    "an account was unfrozen",
    "an order died of age",
    "an oddly signed order was paid",
    "an order was brought to another door",
    "both branches of a fork were held",
    "midnight passed",
    "two ends of a hold were signed at once",
)


class Marks:
    """How often each rare path was taken."""

    def __init__(self) -> None:
        self._hits: Counter[str] = Counter()

    def hit(self, name: str, times: int = 1) -> None:
        """Note that the path was taken."""
        assert name in SOMETIMES, name
        self._hits[name] += times

    def as_json(self) -> dict[str, int]:
        """Return how often, for every path."""
        return {name: self._hits[name] for name in SOMETIMES}


def never(runs: Iterable[dict[str, int]]) -> list[str]:
    """Return the paths that none of these runs has taken."""
    total: Counter[str] = Counter()
    for run in runs:
        total.update(run)
    return [name for name in SOMETIMES if not total[name]]


def note_recovery(marks: Marks, replica: Replica, checking: Checking, outgoing: Outgoing) -> None:
    """Mark what an honest replica says about recovery, as it leaves."""
    if isinstance(outgoing, FetchNamed):
        marks.hit("a block of a branch was fetched by name")
    if not isinstance(outgoing, SendBlock) or outgoing.peer != EVERYONE:
        return
    block = checking.read(outgoing.data)
    if isinstance(block, Malformed) or not block.recovery:
        return
    for fence in block.recovery.fences:
        if fence.view == ABSTAINS:
            marks.hit("a super-agent abstained")
        elif fence.view == 1 and not len(fence.orders):
            marks.hit("a recovery was joined")
    for proposal in block.recovery.proposals:
        _note_proposal(marks, replica, proposal)


def _note_proposal(marks: Marks, replica: Replica, proposal: Proposal) -> None:
    dispute = replica.disputes.get(proposal.slot)
    if dispute is None:
        return
    found = dispute.proposals.get(proposal.view, ())
    if any(said.forced for said in found if said.lane == replica.lane):
        marks.hit("a proposal carried a certificate")
    elif proposal.value != SKIP:
        marks.hit("a free order was proposed")
    elif dispute.certified(replica.chains):
        marks.hit("a skip was proposed over a certificate")
