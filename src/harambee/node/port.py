"""The port: what a super-agent offers to its gateways, and nothing else.

Gateways translate; they hold no rule and reach no replica. Every method answers from one consistent state
of the ledger and only with what is durable here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from types import MappingProxyType
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from harambee.feature_phones.port import PhonesPort, UssdSettings
from harambee.handset.network_file import DoorAddress
from harambee.ledger.outcomes import Outcome
from harambee.ledger.records import ORDER_BYTES
from harambee.ledger.side_tables import Attestation, Hold, KeyRequest, Reversal, SlotKey
from harambee.merchants.port import MerchantsPort
from harambee.money.tariff import Tariff
from harambee.node.agent_places import AgentPlace
from harambee.oversight.trust_line import TrustLine
from harambee.protocol.account_proofs import Piece
from harambee.protocol.checkpoint import Checkpoint, Word
from harambee.protocol.effects import Name
from harambee.protocol.genesis import Genesis

SKIPPED_KIND: Final = 255
"""The kind, no order has it, by which `Port.slots` says that a slot was closed without an order."""


NO_TABLES: Final[Mapping[int, bytes]] = MappingProxyType({})


class State(IntEnum):
    """What this super-agent can say of an order."""

    UNKNOWN = 0
    PENDING = 1
    FINAL = 2
    REFUSED = 3
    SKIPPED = 4
    """Of a slot: closed without an order."""


@dataclass(frozen=True, slots=True)
class Submission:
    """The answer to `Port.submit`, one element for each order."""

    states: npt.NDArray[np.uint8]
    """State, PENDING where the wait ended first."""
    outcomes: npt.NDArray[np.uint8]
    """The Outcome where REFUSED, else 0."""

    def outcome_of(self, row: int) -> Outcome | None:
        """Return what became of one order: ACCEPTED if it is final, None where that is not decided."""
        match State(self.states[row]):
            case State.FINAL:
                return Outcome.ACCEPTED
            case State.REFUSED:
                return Outcome(self.outcomes[row])
            case _:
                return None


@dataclass(frozen=True, slots=True)
class Slot:
    """What became of one (payer, sequence)."""

    state: State
    order: bytes | None
    """The 128 bytes of the order that is final in the slot, if one is."""


@dataclass(frozen=True, slots=True)
class PathStep:
    """A block on the way of one order."""

    author: int
    incarnation: int
    height: int
    time_ms: int
    """Its author's clock, milliseconds since 1970; for display."""
    outcome: int = 0
    """The Outcome by which it refused the order, 0 where it did not."""


@dataclass(frozen=True, slots=True)
class OrderPath:
    """How one order became final, or how far it is, as the blocks say that lie at this super-agent.

    Steps ascend by author; an author has one vote or refusal and one acknowledgement at most.
    """

    state: State
    order: bytes | None = None
    """Its 128 bytes."""
    block: PathStep | None = None
    """The block in which it lies."""
    votes: tuple[PathStep, ...] = ()
    refusals: tuple[PathStep, ...] = ()
    acknowledgements: tuple[PathStep, ...] = ()
    is_known: bool = True
    """False where the heights of so long ago are not kept any more."""


@dataclass(frozen=True, slots=True)
class NewFinal:
    """An order that became final lately."""

    order: bytes
    author: int
    """Index of the super-agent in whose block it lies."""
    time_ms: int
    """That author's clock; for display."""


@dataclass(frozen=True, slots=True)
class OpenHold:
    """A hold that nobody has ended yet, by its slot."""

    payer: int
    sequence: int
    terms: Hold


@dataclass(frozen=True, slots=True)
class HoldFacts:
    """A hold, open or not."""

    order: bytes
    """The 128 bytes of the hold."""
    slot: int
    """Which of the hold's own slots its end will be in; SEQUENCE_LAST once it has ended."""
    ending: bytes | None
    """The 128 bytes of the order that released or voided it."""


@dataclass(frozen=True, slots=True)
class ReversalFacts:
    """A payment, and what became of the wish to have it back."""

    order: bytes
    """The 128 bytes of the payment."""
    state: Reversal


@dataclass(frozen=True, slots=True)
class StatementLine:
    """One final order as it touched an account, newest first in a statement."""

    entry: int
    order: bytes
    author: int
    """Index of the super-agent in whose block it lies."""
    time_ms: int
    """That author's clock; for display."""
    change_cents: int
    balance_cents: int
    """Running balance after the order."""
    other: int | None = None
    """Whom the line is about: the account on the other side, if there is one."""
    charge_cents: int = 0
    """What the account bore of the charge, inside the change."""
    commission_cents: int = 0
    """What the account earned, inside the change."""


class ProfileStatus(IntEnum):
    """What became of a profile; codes travel between super-agents."""

    KEPT = 0
    SAME = 1
    """It is kept already."""
    OLDER = 2
    """Another one of this or a higher version is kept."""
    INVALID = 3
    UNSIGNED = 4
    NUMBER_WRONG = 5
    NAME_FIXED = 6
    ACCOUNT_UNKNOWN = 7
    """There is no such account, or not yet at this super-agent."""
    UNAVAILABLE = 8
    NOT_HELD_HERE = 9


class NameStatus(IntEnum):
    """What became of a question for a name; codes travel between super-agents."""

    KNOWN = 0
    NONE = 1
    """The payee has given no name."""
    LOCKED = 2
    REPLAYED = 3
    CLOCK_WRONG = 4
    UNSIGNED = 5
    ASKER_UNKNOWN = 6
    PAYEE_UNKNOWN = 7
    BUSY = 8
    UNAVAILABLE = 9
    NOT_HELD_HERE = 10


@dataclass(frozen=True, slots=True)
class NameAnswer:
    """What an asker is told of a payee. Its text never shows the person."""

    status: NameStatus
    name: str | None = field(default=None, repr=False)
    """Masked, where the status is KNOWN."""
    number: str | None = field(default=None, repr=False)
    """Masked; None where there is none, and for whoever trades."""


@dataclass(frozen=True, slots=True)
class Governed:
    """What of one account is governed."""

    next_slot: int
    """Its next governance slot."""
    key_request: KeyRequest | None
    """The new key that waits to take over."""
    attestation: Attestation | None
    """A bank's newest figure of what it holds in trust."""
    limit_cents: int | None
    """How far a bank may go below zero."""


@dataclass(frozen=True, slots=True)
class ProposalView:
    """A proposal as operators see it at one super-agent."""

    id: bytes
    order: bytes
    possession: bytes | None
    content: bytes | None
    seen_ms: int
    dies_after: int
    """The last day, as a number, on which voters accept it."""
    approvals: tuple[str, ...]
    """The operators of this super-agent who approve it."""
    carried: tuple[int, ...]
    """The super-agents in whose blocks it lies: each has voted for it."""
    state: str
    """"waiting", "final", "dead" or "replaced"."""
    outcome: Outcome | None
    """What the rules say of it now, where it is waiting."""


FINAL_ROW: Final = np.dtype([("order", "u1", ORDER_BYTES), ("author", "<u2"), ("time_ms", "<u8")])
"""One final order as a day's pages have it: its bytes, and whose block it was found in, and when that
author's clock was; both are this super-agent's word, for display."""
assert FINAL_ROW.itemsize == 138


@dataclass(frozen=True, slots=True)
class CloseAnswer:
    """A day's close as a super-agent knows it."""

    document: bytes
    """As `harambee.oversight.day_close` reads it."""
    signature: bytes | None
    """None while voters may still accept an order of the day."""


@dataclass(frozen=True, slots=True)
class DayPage:
    """A part of a day's final orders."""

    rows: npt.NDArray[np.void]
    """FINAL_ROW (n,); there may be none although more follow."""
    following: int
    """The entry to go on from."""
    end: int
    """Where the day ends, as far as this super-agent has read; nothing follows from there on."""


class OversightPort(Protocol):
    """What is told to those who watch: implemented by `harambee.node.oversight_desk.OversightDesk`."""

    async def close(self, day: int) -> CloseAnswer:
        """A day's close; UnavailableError while this super-agent does not hold everything."""

    async def flows(self, day: int) -> bytes:
        """A day's flows between parties, as its close names them."""

    async def orders(self, day: int, after: int, limit: int) -> DayPage:
        """Final orders of a day from entry `after` on; looks at `limit` entries at most."""

    async def trust(self) -> TrustLine:
        """E-money in circulation, and what each bank owes."""


class HistoryPort(Protocol):
    """What observers are told: implemented by `harambee.node.history_desk.HistoryDesk`.

    Everything that it tells can be checked by who asks. UnavailableError where it has told so much that
    customers would wait.
    """

    async def checkpoints(self) -> list[tuple[Checkpoint, list[Word]]]:
        """The checkpoints that lie here, oldest first, and who has signed each."""

    async def index(self, digest: bytes, start: int, limit: int) -> npt.NDArray[np.void] | None:
        """Some rows of a checkpoint's index (INDEX); None where the checkpoint does not lie here."""

    async def page(self, digest: bytes, section: int, number: int) -> bytes | None:
        """A page of a checkpoint; None where it does not lie here."""

    async def piece(self, digest: bytes, account: int) -> Piece | None:
        """An account in a checkpoint, and its way to the root; None where it does not lie here."""

    async def heads(self) -> npt.NDArray[np.void]:
        """Each author's newest block here, then loose ends: a REFERENCE array."""

    async def blocks(self, author: int, incarnation: int, first: int, last: int) -> list[bytes]:
        """An author's blocks of these heights, as many from the first on as one answer takes."""

    async def block(self, name: Name) -> bytes | None:
        """Exactly this block; None where it is not here."""


class Port(Protocol):
    """Implemented by `harambee.node.service.Service`; tests may bring a fake."""

    @property
    def genesis(self) -> Genesis:
        """The network's genesis."""

    @property
    def index(self) -> int:
        """This super-agent's index in the committee."""

    @property
    def doors(self) -> Sequence[DoorAddress]:
        """Where each super-agent serves handsets, in the committee's order, as this one is told."""

    def today(self) -> int:
        """The day number that this super-agent would put into an order now."""

    def ready(self) -> str | None:
        """None when this super-agent serves; otherwise a sentence that says why not yet."""

    @property
    def is_leaving(self) -> bool:
        """Whether it is about to end: whoever listens to it is let go."""

    async def submit(
        self,
        orders: npt.NDArray[np.void],
        possessions: dict[int, bytes],
        wait_ms: int,
        tables: Mapping[int, bytes] = NO_TABLES,
    ) -> Submission:
        """Offer orders (ORDER array (n,)); waits at most `wait_ms` for them all to be decided.

        `possessions` are what enrolments bring along, and `tables` the PAYEE rows of bulk pay-outs,
        each by the index of its order.
        """

    async def slot(self, payer: int, sequence: int, wait_ms: int) -> Slot:
        """What is final in a slot; waits for it at most `wait_ms`."""

    async def slots(self, keys: npt.NDArray[np.void]) -> npt.NDArray[np.void]:
        """The ORDER that is final in each (payer u4, sequence u4) slot; all-zero rows where none is.

        A slot that was closed without an order has its payer and sequence, and kind SKIPPED_KIND.
        """

    async def path(self, payer: int, sequence: int) -> OrderPath:
        """How the order in a slot became final, or how far it is."""

    async def newest(self, limit: int) -> list[NewFinal]:
        """The newest final orders, the newest first; `limit` entries at most are looked at."""

    async def payees(self, payer: int, sequence: int) -> npt.NDArray[np.void] | None:
        """The PAYEE table of the bulk pay-out that is final in a slot; None where none is."""

    async def hold(self, payer: int, sequence: int, wait_ms: int) -> HoldFacts | None:
        """The hold that is final in a slot, and how it ended; waits for the hold at most `wait_ms`.

        None where no hold is final there.
        """

    async def ending(self, key: SlotKey, number: int, wait_ms: int) -> Slot:
        """What has ended the hold of a slot; waits for it at most `wait_ms`.

        `number` is which of the hold's own slots is asked for; SKIPPED where it was closed without an order.
        """

    async def holds(self, account: int, limit: int, after: SlotKey | None) -> list[OpenHold]:
        """The first open holds of an account, as payer and as payee, behind one; ascending by slot."""

    async def reversal(self, payer: int, sequence: int) -> ReversalFacts | None:
        """What became of the wish to have a payment back; None where no such payment is final."""

    async def account(self, number: int) -> npt.NDArray[np.void] | None:
        """The ACCOUNT record, shape (1,), or None where there is no such account."""

    async def accounts(self, numbers: npt.NDArray[np.uint32]) -> npt.NDArray[np.void]:
        """ACCOUNT records of many numbers; all-zero rows where there is none."""

    async def statement(self, number: int, limit: int, before: int | None) -> list[StatementLine]:
        """The newest `limit` entries of an account, older than entry `before` if given.

        Entries are this super-agent's own: `before` is what it told itself since it was started.
        """

    async def shops(self, head_office: int) -> npt.NDArray[np.uint32]:
        """The accounts whose head office is this one, ascending."""

    def agent_places(self) -> Mapping[int, AgentPlace]:
        """Where this super-agent's agents are, by account, as its operator says."""

    async def alias(self, alias: bytes) -> int | None:
        """The account that a keyed hash names."""

    def alias_of(self, msisdn: str) -> bytes:
        """The keyed hash of a telephone number in the +2547... form (the key is the committee's)."""

    async def next_enrolment(self) -> tuple[int, int]:
        """(enrolment account, next sequence) of this super-agent's region: the number a new account gets."""

    async def enrol(
        self, order_body: bytes, possession: bytes, msisdn: str | None, wait_ms: int
    ) -> int:
        """Sign and submit an enrolment whose body the new key has signed, then claim its number.

        Returns the account number. Raises EnrolmentError with one sentence.
        """

    async def keep_profile(self, signed: bytes) -> ProfileStatus:
        """Keep a signed profile at the super-agents that hold it (`harambee.handset.profiles`)."""

    async def check_name(self, question: bytes) -> NameAnswer:
        """Answer a signed question for a payee's name (`harambee.handset.name_checks`)."""

    async def proposals(self) -> list[ProposalView]:
        """What is proposed in governance, and was lately: the newest first."""

    async def proposal(self, name: bytes) -> ProposalView:
        """One proposal by its order's id, judged as the rules are now; GovernanceError if it is unknown."""

    async def propose(
        self,
        order: bytes,
        possession: bytes | None,
        content: bytes | None,
        operator: str | None,
        approval: bytes | None,
    ) -> ProposalView:
        """Keep a proposal, an order of 128 bytes; GovernanceError says why it is not kept.

        This super-agent's own comes unsigned, with the approval of the operator who makes it.
        """

    async def approve(self, name: bytes, operator: str, approval: bytes) -> ProposalView:
        """Count an operator's 64-byte approval; GovernanceError says why it does not count."""

    async def governed(self, account: int) -> Governed | None:
        """What of an account is governed, or None where there is no such account."""

    async def tariff_slot(self) -> int:
        """The next governance slot of the tariff."""

    async def tariffs(self) -> list[tuple[int, Tariff]]:
        """Every version of the tariff with the number of its first day, ascending by version."""

    async def finals(self, after: int, limit: int) -> tuple[npt.NDArray[np.void], int]:
        """Final orders (ORDER array) in this replica's order of applying, from entry `after` on.

        And the entry to go on from.
        """

    async def digest(self) -> dict[str, Any]:
        """Return the digest of the state and where in time it was taken.

        {"digest": hex, "total_cents": int, "entries": int, "heads": [..heights..], "accounts": int}
        """

    @property
    def oversight(self) -> OversightPort:
        """What it tells those who watch over the network."""

    @property
    def merchants(self) -> MerchantsPort:
        """What it offers to the doors of merchants' software."""

    @property
    def phones(self) -> PhonesPort:
        """What it offers to those of feature phones."""

    @property
    def ussd(self) -> UssdSettings:
        """What its configuration says of USSD."""

    @property
    def operators(self) -> Mapping[str, bytes]:
        """The Ed25519 public keys of its own operators, by name."""

    @property
    def history(self) -> HistoryPort:
        """What it tells those who compute the ledger themselves."""

    def receipt(self, order_id: bytes) -> bytes:
        """This super-agent's 64-byte signature that the order is final; the caller has checked that it is."""

    def refusal(self, order_id: bytes, outcome: int, day: int) -> bytes:
        """This super-agent's 64-byte signature that it refused the order on that day."""

    async def evidence(self) -> dict[int, bytes]:
        """The evidence that this super-agent keeps, by culprit: files as `protocol.evidence` reads them."""

    def status(self) -> dict[str, Any]:
        """Live facts for the status page and metrics: see docs/operating.md."""


class UnavailableError(Exception):
    """This super-agent cannot answer now; the message is one sentence."""


class GovernanceError(ValueError):
    """A proposal or an approval does not count; the message is one sentence for the operator."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
        """Stable, for programs."""


class EnrolmentError(ValueError):
    """An enrolment could not be carried out; the message is one sentence for the customer."""
