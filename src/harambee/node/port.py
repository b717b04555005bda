"""The port: what a super-agent offers to its gateways, and nothing else.

Gateways translate; they hold no rule and reach no replica. Every method answers from one consistent state
of the ledger and only with what is durable here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from harambee.node.agent_places import AgentPlace
from harambee.protocol.genesis import Genesis

SKIPPED_KIND: Final = 255
"""The kind, no order has it, by which `Port.slots` says that a slot was closed without an order."""


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


@dataclass(frozen=True, slots=True)
class Slot:
    """What became of one (payer, sequence)."""

    state: State
    order: bytes | None
    """The 128 bytes of the order that is final in the slot, if one is."""


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


class Port(Protocol):
    """Implemented by `harambee.node.service.Service`; tests may bring a fake."""

    @property
    def genesis(self) -> Genesis:
        """The network's genesis."""

    @property
    def index(self) -> int:
        """This super-agent's index in the committee."""

    def today(self) -> int:
        """The day number that this super-agent would put into an order now."""

    def ready(self) -> str | None:
        """None when this super-agent serves; otherwise a sentence that says why not yet."""

    async def submit(
        self, orders: npt.NDArray[np.void], possessions: dict[int, bytes], wait_ms: int
    ) -> Submission:
        """Offer orders (ORDER array (n,)); waits at most `wait_ms` for them all to be decided."""

    async def slot(self, payer: int, sequence: int, wait_ms: int) -> Slot:
        """What is final in a slot; waits for it at most `wait_ms`."""

    async def slots(self, keys: npt.NDArray[np.void]) -> npt.NDArray[np.void]:
        """The ORDER that is final in each (payer u4, sequence u4) slot; all-zero rows where none is.

        A slot that was closed without an order has its payer and sequence, and kind SKIPPED_KIND.
        """

    async def account(self, number: int) -> npt.NDArray[np.void] | None:
        """The ACCOUNT record, shape (1,), or None where there is no such account."""

    async def accounts(self, numbers: npt.NDArray[np.uint32]) -> npt.NDArray[np.void]:
        """ACCOUNT records of many numbers; all-zero rows where there is none."""

    async def statement(self, number: int, limit: int, before: int | None) -> list[StatementLine]:
        """The newest `limit` entries of an account, older than entry `before` if given."""

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

    async def finals(self, after: int, limit: int) -> tuple[npt.NDArray[np.void], int]:
        """Final orders (ORDER array) in this replica's order of applying, from entry `after` on.

        And the entry to go on from.
        """

    async def digest(self) -> dict[str, Any]:
        """Return the digest of the state and where in time it was taken.

        {"digest": hex, "total_cents": int, "entries": int, "heads": [..heights..], "accounts": int}
        """

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


class EnrolmentError(ValueError):
    """An enrolment could not be carried out; the message is one sentence for the customer."""
