"""An audit: the ledger computed anew from a journal, every signature checked, and what both found.

    Recomputing   one pass in one process: blocks -> the ledger, and what is to be checked (recomputing.py)
    Workers       many processes or machines: what is to be checked -> what does not hold   (workers.py)
    Audit         both together, in sentences and for programs

The answer depends on the journal alone, and not on who checked which part of it.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from harambee.audit.findings import FINDINGS_MAX, OF_NO_BLOCK, Finding, Findings
from harambee.audit.recomputing import Recomputing
from harambee.audit.records import Records
from harambee.audit.workers import Workers
from harambee.protocol.genesis import Genesis
from harambee.protocol.warm import warm_up

Progress = Callable[[int], None]
"""Is told how many blocks have been read."""


@dataclass(frozen=True, slots=True)
class Audit:
    """What an audit says."""

    genesis: Genesis
    blocks: int
    orders: int
    """In blocks, each as often as it lies there."""
    applied: int
    """Final, and brought to the ledger."""
    undecided: int
    """Not final yet where the journal ends."""
    signatures_checked: int
    unreached_blocks: int
    """Blocks that could not be folded, because they stand on what is damaged."""
    first_unreached: int | None
    """The position of the first of them."""
    accounts: int
    digest: bytes
    """The ledger's, 32 bytes."""
    total_cents: int
    heights: tuple[int, ...]
    """How far each super-agent's newest chain goes, in the committee's order."""
    findings: tuple[Finding, ...]
    """By where they are; at most FINDINGS_MAX."""
    findings_more: int
    """How many more there are."""
    seconds: float
    workers: int

    @property
    def refused(self) -> int:
        """Orders in blocks that came to nothing there: refused, or applied from another block."""
        return self.orders - self.applied - self.undecided

    @property
    def ok(self) -> bool:
        """Whether nothing at all is wrong."""
        return not self.findings and not self.unreached_blocks

    @property
    def orders_per_second(self) -> float:
        """Orders in blocks, by all the time that the audit took."""
        return self.orders / self.seconds if self.seconds else 0.0

    @property
    def sentences(self) -> list[str]:
        """Every finding as a sentence, and how far the ledger goes if not to the end."""
        committee = self.genesis.committee
        said = [finding.sentence(committee) for finding in self.findings]
        if self.findings_more:
            said.append(f"There are {self.findings_more:,} more findings.")
        if self.unreached_blocks:
            said.append(
                f"{self.unreached_blocks:,} blocks, the first at journal position {self.first_unreached}, "
                "stand on a block that is damaged or missing: the ledger here lacks what is in them."
            )
        return said

    def as_json(self) -> dict[str, Any]:
        """All of it, for programs."""
        committee = self.genesis.committee
        heights = zip(committee.members, self.heights, strict=True)
        return {
            "ok": self.ok,
            "blocks": self.blocks,
            "orders": self.orders,
            "applied": self.applied,
            "refused": self.refused,
            "undecided": self.undecided,
            "signatures_checked": self.signatures_checked,
            "accounts": self.accounts,
            "digest": self.digest.hex(),
            "total_cents": self.total_cents,
            "heights": {member.name: height for member, height in heights},
            "findings": [finding.as_json(committee) for finding in self.findings],
            "findings_more": self.findings_more,
            "unreached_blocks": self.unreached_blocks,
            "first_unreached": self.first_unreached,
            "seconds": round(self.seconds, 3),
            "orders_per_second": round(self.orders_per_second, 1),
            "workers": self.workers,
        }


def audit(
    genesis: Genesis,
    records: Records,
    workers: Workers,
    *,
    convicted: Iterable[int] = (),
    expected: bytes | None = None,
    progress: Progress | None = None,
    note_applied: bool = False,
) -> tuple[Audit, Recomputing]:
    """Audit all blocks of `records`; what was found, and what was computed for it.

    `convicted` are the super-agents against whom evidence is kept. `expected` is a digest that the ledger
    should have. LedgerError where the genesis opens no ledger, WorkersError where workers fail.
    """
    warm_up()
    began = time.perf_counter()
    work = Recomputing(genesis, records, note_applied=note_applied)
    for report in workers.check(work.segments(convicted)):
        work.note(report)
        if progress is not None:
            progress(work.counts.blocks)
    work.conclude()
    ledger, counts = work.ledger, work.counts
    digest = ledger.digest()
    if expected is not None and digest != expected:
        what = f"the ledger's digest is {digest.hex()}, and {expected.hex()} was expected"
        work.findings.add(OF_NO_BLOCK, None, what)
    listed, more = _listed(work.findings)
    return Audit(
        genesis=genesis,
        blocks=counts.blocks,
        orders=counts.orders,
        applied=counts.applied,
        undecided=work.fold.undecided_orders(),
        signatures_checked=counts.signatures,
        unreached_blocks=counts.unreached,
        first_unreached=counts.first_unreached,
        accounts=ledger.account_count,
        digest=digest,
        total_cents=ledger.total_cents(),
        heights=tuple(work.fold.heights()),
        findings=listed,
        findings_more=more,
        seconds=time.perf_counter() - began,
        workers=workers.count,
    ), work


def _listed(findings: Findings) -> tuple[tuple[Finding, ...], int]:
    """The findings by where they are, and how many are not among them."""
    listed = sorted(findings.listed, key=lambda finding: finding.place)[:FINDINGS_MAX]
    return tuple(listed), findings.count - len(listed)
