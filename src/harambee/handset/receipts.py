"""Words of super-agents that a handset can check: receipts ("it is final") and refusals.

Only the committee's keys of the handset's own genesis count (docs/wire.md section 8).
"""

from dataclasses import dataclass

from harambee.crypto.hashing import TAG_RECEIPT, TAG_REFUSAL, signed_prefix
from harambee.crypto.signatures import verify
from harambee.ledger.outcomes import Outcome
from harambee.protocol.genesis import Genesis


@dataclass(frozen=True, slots=True)
class Receipt:
    """One super-agent says that an order is final."""

    super_agent: int
    signature: bytes

    def holds(self, genesis: Genesis, order_id: bytes) -> bool:
        """Say whether that super-agent signed this about that order."""
        said = order_id + bytes([Outcome.ACCEPTED])
        return _signed_by(genesis, self.super_agent, TAG_RECEIPT, said, self.signature)


@dataclass(frozen=True, slots=True)
class Refusal:
    """One super-agent says that it refused an order, on that day, by that rule."""

    super_agent: int
    outcome: Outcome
    day: int
    signature: bytes

    def holds(self, genesis: Genesis, order_id: bytes) -> bool:
        """Say whether that super-agent signed this about that order."""
        said = order_id + bytes([self.outcome]) + self.day.to_bytes(2, "little")
        return _signed_by(genesis, self.super_agent, TAG_REFUSAL, said, self.signature)


def _signed_by(genesis: Genesis, index: int, tag: bytes, said: bytes, signature: bytes) -> bool:
    committee = genesis.committee
    if not 0 <= index < committee.n:
        return False
    prefix = signed_prefix(tag, genesis.network) + committee.epoch.to_bytes(4, "little")
    return verify(committee.members[index].key, prefix + said, signature)
