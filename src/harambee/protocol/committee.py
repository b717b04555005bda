"""Who the super-agents are, and how many of them make a quorum.

The numbers are DESIGN section 1: n super-agents tolerate f that are dead or lying, q = n - f make a
certificate, w = f + 1 contain an honest one. Never 2f + 1: that is wrong whenever n > 3f + 1.
"""

from dataclasses import dataclass
from functools import cached_property


def tolerated(members: int) -> int:
    """Return f: how many of so many super-agents may be dead or lying, in total."""
    return (members - 1) // 3


@dataclass(frozen=True)
class Member:
    """One super-agent as the genesis names it."""

    name: str
    key: bytes
    """Ed25519 public key of its blocks and receipts, 32 bytes."""
    tls_key_digest: bytes
    """SHA-256 of the SubjectPublicKeyInfo of its TLS certificate, 32 bytes."""
    regions: tuple[int, ...]
    """The regions in which it enrols accounts."""


@dataclass(frozen=True)
class Committee:
    """The super-agents of one epoch, in the order that gives each its index."""

    epoch: int
    members: tuple[Member, ...]

    def __post_init__(self) -> None:
        assert self.members, "a network has at least one super-agent"
        assert len({member.key for member in self.members}) == self.n, "keys differ"

    @cached_property
    def n(self) -> int:
        """How many super-agents there are."""
        return len(self.members)

    @cached_property
    def f(self) -> int:
        """How many may be dead or lying, in total."""
        return tolerated(self.n)

    @cached_property
    def q(self) -> int:
        """How many distinct authors make a certificate, and how many acknowledgements make it final."""
        return self.n - self.f

    @cached_property
    def w(self) -> int:
        """How many words a handset needs before it believes one of them."""
        return self.f + 1
