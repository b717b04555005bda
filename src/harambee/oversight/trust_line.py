"""The trust line: e-money in circulation is what the banks owe, and no bank owes more than it may.

E-money is made and unmade by orders of banks alone, so the two sides are equal by the rules of the
ledger; here they are added up apart, so that whoever looks need not believe it. How much of the
trust money lies in one bank is no rule of the ledger: it stops no payment, and rings.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

WHOLE_BASIS_POINTS: Final = 10_000
SHARE_ALARM_BASIS_POINTS: Final = 2_500
"""A quarter of the trust money in one bank: if it fails, that much of every shilling hangs on it."""


@dataclass(frozen=True, slots=True)
class BankLine:
    """What one bank owes; amounts in cents."""

    account: int
    owed_cents: int
    """Below zero where the bank itself holds e-money."""
    limit_cents: int
    """Up to which it has attested that it may owe; 0 for one that issues nothing."""
    share_basis_points: int
    """Of all that banks owe, rounded down."""

    @property
    def is_within_limit(self) -> bool:
        """Whether it owes no more than it attested."""
        return self.owed_cents <= self.limit_cents

    @property
    def is_concentrated(self) -> bool:
        """Whether so much of the trust money lies in it that it rings."""
        return self.share_basis_points > SHARE_ALARM_BASIS_POINTS


@dataclass(frozen=True, slots=True)
class TrustLine:
    """Both sides of the trust, at one instant of one replica; amounts in cents."""

    circulation_cents: int
    """The sum of all balances but the banks'."""
    banks: tuple[BankLine, ...]
    """Ascending by account."""

    @property
    def owed_cents(self) -> int:
        """What the banks owe together."""
        return sum(bank.owed_cents for bank in self.banks)

    @property
    def holds(self) -> bool:
        """Whether circulation is what the banks owe, and none owes more than it attested."""
        within = all(bank.is_within_limit for bank in self.banks)
        return within and self.circulation_cents == self.owed_cents


def trust_line(circulation_cents: int, banks: Sequence[tuple[int, int, int]]) -> TrustLine:
    """Return the line of (account, balance, limit) of every bank, amounts in cents."""
    all_owed = sum(max(0, -balance) for _, balance, _ in banks)
    return TrustLine(
        circulation_cents,
        tuple(
            BankLine(
                account,
                -balance,
                limit,
                max(0, -balance) * WHOLE_BASIS_POINTS // all_owed if all_owed else 0,
            )
            for account, balance, limit in sorted(banks)
        ),
    )
