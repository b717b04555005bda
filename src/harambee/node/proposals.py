"""Proposals and approvals as a super-agent keeps them: one small file for each, written whole.

An approval is a wish of two people and no promise: what a super-agent has promised stands in its own
blocks. So a file that is lost costs a second approval and nothing else, and one that cannot be read
is left out and named in the log.

How much is kept is bounded by who proposes: so many open proposals of one super-agent or one bank,
few of them with a document, whatever liars send; and so many that have ended.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec

from harambee.crypto.durable_files import replace_file
from harambee.handset.orders import OrderBody, order_id
from harambee.ledger.payees import TARIFF_BYTES_MAX
from harambee.ledger.records import BODY_BYTES, ORDER_BYTES, POSITION_ENROLMENT, account_number
from harambee.protocol.effects import Name
from harambee.protocol.genesis import Genesis

FORMAT: Final = 1
OPEN_EACH_MAX: Final = 32
"""Open proposals of one super-agent, or of one bank."""
DOCUMENTS_EACH_MAX: Final = 2
"""How many of them may bring a document."""
ENDED_MAX: Final = 512
RECORD_DAYS: Final = 30
"""So long a proposal is kept for the record after its end."""
FILE_BYTES_MAX: Final = 2 * TARIFF_BYTES_MAX + (64 << 10)
SUFFIX: Final = ".json"
UNSIGNED: Final = bytes(ORDER_BYTES - BODY_BYTES)

log: Final = logging.getLogger(__name__)


class ProposalStoreError(Exception):
    """A proposal cannot be kept; the message is one sentence."""


class ProposalState(StrEnum):
    """What became of a proposal."""

    WAITING = "waiting"
    FINAL = "final"
    DEAD = "dead"
    """It was not final in its days, and nobody accepts it any more."""
    REPLACED = "replaced"
    """Another order, or none, became final in its slot."""


@dataclass
class Proposal:
    """An order of governance, who approves it here, and which super-agents have carried it."""

    id: bytes
    order: bytes
    """128 bytes; the signature is UNSIGNED until two operators have approved it where it was made."""
    possession: bytes | None = None
    content: bytes | None = None
    seen_ms: int = 0
    approvals: dict[bytes, bytes] = field(default_factory=dict)
    """The operator's key -> the signature."""
    carried: dict[int, Name] = field(default_factory=dict)
    """Super-agent -> its first block with it: that is its vote."""
    state: ProposalState = ProposalState.WAITING
    ended_day: int = 0

    @property
    def body(self) -> OrderBody:
        """What it orders."""
        return OrderBody.from_bytes(self.order)

    @property
    def is_signed(self) -> bool:
        """Whether its proposer has signed it."""
        return self.order[BODY_BYTES:] != UNSIGNED

    @property
    def dies_after(self) -> int:
        """The last day on which voters accept it."""
        return self.body.day + 1


class _Document(msgspec.Struct, forbid_unknown_fields=True):
    format: int
    network: str
    order: bytes
    possession: bytes | None
    content: bytes | None
    seen_ms: int
    approvals: list[tuple[bytes, bytes]]
    carried: list[tuple[int, int, int, bytes]]
    state: ProposalState
    ended_day: int


class ProposalStore:
    """The proposals of one super-agent, in memory and in a folder. Not thread-safe, but for `write`."""

    def __init__(self, folder: Path, genesis: Genesis, proposals: Mapping[bytes, Proposal]) -> None:
        """For `open`, and for a folder that does not exist yet."""
        self.folder = folder
        self._proposals = dict(proposals)
        self._groups = groups_of(genesis)
        self._network = genesis.network

    @classmethod
    def open(cls, folder: Path, genesis: Genesis) -> "ProposalStore":
        """Read what lies in a folder; files that are damaged are left out and named in the log."""
        found: dict[bytes, Proposal] = {}
        for file in sorted(folder.glob(f"*{SUFFIX}")):
            try:
                proposal = _read(file, genesis.network)
            except (OSError, ValueError) as error:
                log.error("%s cannot be read and is left out: %s", file, error)  # noqa: TRY400 - one line
                continue
            found[proposal.id] = proposal
        return cls(folder, genesis, found)

    def __iter__(self) -> Iterator[Proposal]:
        """Go through all of them, in the order in which they were first kept."""
        return iter(self._proposals.values())

    def get(self, name: bytes) -> Proposal | None:
        """Return the proposal of an order's id."""
        return self._proposals.get(name)

    def waiting(self) -> list[Proposal]:
        """Return those that are open."""
        return [p for p in self._proposals.values() if p.state is ProposalState.WAITING]

    def has_room(self, proposal: Proposal) -> bool:
        """Whether an open proposal may be kept beside those of the same proposer.

        False for whoever can propose nothing, too.
        """
        group = self._groups.get(proposal.body.payer)
        if group is None:
            return False
        same = [p for p in self.waiting() if self._groups.get(p.body.payer) == group]
        if proposal.content is not None:
            return (
                len(same) < OPEN_EACH_MAX
                and sum(p.content is not None for p in same) < DOCUMENTS_EACH_MAX
            )
        return len(same) < OPEN_EACH_MAX

    def may_propose(self, account: int) -> bool:
        """Whether an account is a super-agent's enrolment account, or a bank's."""
        return account in self._groups

    def write(self, proposal: Proposal) -> None:
        """Keep a proposal as it is now, durably; ProposalStoreError where the disk does not take it."""
        document = _Document(
            FORMAT,
            self._network.hex(),
            proposal.order,
            proposal.possession,
            proposal.content,
            proposal.seen_ms,
            sorted(proposal.approvals.items()),
            [
                (author, name.incarnation, name.height, name.digest)
                for author, name in sorted(proposal.carried.items())
            ],
            proposal.state,
            proposal.ended_day,
        )
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = self.folder / f"{proposal.id.hex()}{SUFFIX}"
            replace_file(file, msgspec.json.encode(document))
        except OSError as error:
            raise ProposalStoreError(
                f"a proposal cannot be written into {self.folder}: {error.strerror}"
            ) from error

    def keep(self, proposal: Proposal) -> None:
        """It is written: this is how it is now."""
        self._proposals[proposal.id] = proposal

    def sweep(self, today: int) -> None:
        """Forget what ended long ago, and of very many that ended the oldest."""
        ended = [p for p in self._proposals.values() if p.state is not ProposalState.WAITING]
        ended.sort(key=lambda p: (p.ended_day, p.seen_ms))
        old = [p for p in ended if p.ended_day < today - RECORD_DAYS]
        self._remove(ended[: max(len(ended) - ENDED_MAX, len(old))])

    def _remove(self, proposals: Iterable[Proposal]) -> None:
        for proposal in proposals:
            try:
                (self.folder / f"{proposal.id.hex()}{SUFFIX}").unlink(missing_ok=True)
            except OSError as error:
                raise ProposalStoreError(
                    f"a proposal cannot be removed from {self.folder}: {error.strerror}"
                ) from error
            del self._proposals[proposal.id]


def groups_of(genesis: Genesis) -> dict[int, int]:
    """Return whoever may propose: account -> a number for each super-agent, and for each bank its account.

    A super-agent with many regions has one share, not one for each of them.
    """
    groups = {row.account: row.account for row in genesis.document.issuers}
    for index, member in enumerate(genesis.committee.members):
        for region in member.regions:
            groups[account_number(region, POSITION_ENROLMENT)] = -1 - index
    return groups


def _read(file: Path, network: bytes) -> Proposal:
    """Return the proposal in a file; ValueError or OSError where there is none."""
    if file.stat().st_size > FILE_BYTES_MAX:
        raise ValueError("it is too large")
    document = msgspec.json.decode(file.read_bytes(), type=_Document)
    if document.format != FORMAT or len(document.order) != ORDER_BYTES:
        raise ValueError("it is of another version or damaged")
    OrderBody.from_bytes(document.order)  # of a kind that this version knows
    if document.network != network.hex():
        raise ValueError("it is of another network")
    return Proposal(
        order_id(network, document.order),
        document.order,
        document.possession,
        document.content,
        document.seen_ms,
        dict(document.approvals),
        {
            author: Name(author, incarnation, height, digest)
            for author, incarnation, height, digest in document.carried
        },
        document.state,
        document.ended_day,
    )
