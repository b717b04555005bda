"""A slot: the place in which at most one order ever becomes final (docs/wire.md section 4)."""

from typing import Any, Final, NamedTuple

import numpy as np

from harambee.crypto.hashing import digest
from harambee.ledger.kinds import IS_ELSEWHERE, Space
from harambee.ledger.ledger import slot_of
from harambee.ledger.side_tables import SUBJECT_BYTES, subject_of_account

_SUBJECT_USED: Final = {Space.ACCOUNT: 4, Space.HOLD: 8}
"""How many bytes of a subject say something; in other spaces all."""


class Slot(NamedTuple):
    """(space, subject, sequence): a payer's, an alias's, a hold's, or that of what is governed."""

    space: int
    subject: bytes
    """32 bytes: the alias, or what the space says, and zeros."""
    sequence: int

    @classmethod
    def of(cls, order: "np.void | Any") -> "Slot":
        """The slot of one order (a scalar of dtype ORDER)."""
        if not IS_ELSEWHERE[order["kind"]]:
            return cls.of_account(int(order["payer"]), int(order["sequence"]))
        space, subject, sequence = slot_of(order)
        return cls(int(space), subject, sequence)

    @classmethod
    def of_account(cls, payer: int, sequence: int) -> "Slot":
        """The slot of an account."""
        return cls(int(Space.ACCOUNT), subject_of_account(payer), sequence)

    @property
    def is_of_account(self) -> bool:
        """Whether it is a payer's."""
        return self.space == Space.ACCOUNT

    @property
    def is_well_formed(self) -> bool:
        """Whether there could be such a slot."""
        if self.space not in set(Space) or len(self.subject) != SUBJECT_BYTES:
            return False
        return not any(self.subject[_SUBJECT_USED.get(Space(self.space), SUBJECT_BYTES) :])

    @property
    def payer(self) -> int:
        """The account number; for slots of accounts."""
        assert self.is_of_account
        return int.from_bytes(self.subject, "little")

    def written(self) -> bytes:
        """The 37 bytes of the wire."""
        return bytes([self.space]) + self.subject + self.sequence.to_bytes(4, "little")

    def leader(self, view: int, members: int) -> int:
        """Who leads a view of this slot: the next super-agent in turn at each view."""
        start = int.from_bytes(digest(self.written())[:8], "little")
        return (start + view) % members
