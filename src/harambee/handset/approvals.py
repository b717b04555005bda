"""An operator's approval of what is governed: a signature that counts at one super-agent alone.

It covers the super-agent's index and the order's id, after a tag of its own (docs/wire.md section 1).
So it is worth nothing at another super-agent, on another network, or for another order.
"""

from harambee.crypto.hashing import TAG_APPROVAL, signed_prefix
from harambee.crypto.signatures import KeyPair, sign, verify


def sign_approval(keypair: KeyPair, network: bytes, super_agent: int, order_id: bytes) -> bytes:
    """Return an operator's 64-byte approval of the order of that id, at the super-agent of that index."""
    return sign(keypair, _approved(network, super_agent, order_id))


def approval_holds(
    key: bytes, network: bytes, super_agent: int, order_id: bytes, signature: bytes
) -> bool:
    """Say whether the holder of a key has approved that order at that super-agent."""
    return verify(key, _approved(network, super_agent, order_id), signature)


def _approved(network: bytes, super_agent: int, order_id: bytes) -> bytes:
    prefix = signed_prefix(TAG_APPROVAL, network)
    return prefix + super_agent.to_bytes(2, "little") + order_id
