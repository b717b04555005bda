"""A slot: the place in which at most one order ever becomes final (docs/wire.md section 4)."""

from typing import Any, Final, NamedTuple

import numpy as np

from harambee.crypto.hashing import digest
from harambee.ledger.kinds import OrderKind

SPACE_ACCOUNT: Final = 0
SPACE_ALIAS: Final = 1
SUBJECT_BYTES: Final = 32
_CLAIM: Final = int(OrderKind.CLAIM)


class Slot(NamedTuple):
    """(space, subject, sequence): a payer's, or an alias's."""

    space: int
    subject: bytes
    """32 bytes: the alias, or the account number (u32) and zeros."""
    sequence: int

    @classmethod
    def of(cls, order: "np.void | Any") -> "Slot":
        """The slot of one order (a scalar of dtype ORDER)."""
        if order["kind"] == _CLAIM:
            return cls(SPACE_ALIAS, order["reference"].tobytes(), int(order["sequence"]))
        return cls.of_account(int(order["payer"]), int(order["sequence"]))

    @classmethod
    def of_account(cls, payer: int, sequence: int) -> "Slot":
        """The slot of an account."""
        return cls(SPACE_ACCOUNT, payer.to_bytes(SUBJECT_BYTES, "little"), sequence)

    @property
    def payer(self) -> int:
        """The account number; for slots of accounts."""
        assert self.space == SPACE_ACCOUNT
        return int.from_bytes(self.subject, "little")

    def written(self) -> bytes:
        """The 37 bytes of the wire."""
        return bytes([self.space]) + self.subject + self.sequence.to_bytes(4, "little")

    def leader(self, view: int, members: int) -> int:
        """Who leads a view of this slot: the next super-agent in turn at each view."""
        start = int.from_bytes(digest(self.written())[:8], "little")
        return (start + view) % members
