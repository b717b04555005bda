"""Orders that break a rule whatever happens: all super-agents refuse them alike, and no block dies of them.

Each is made of a good order for the payer's next slot, with one thing changed, and signed by its payer, or
not quite. A lying broker carries them (`traitors.Carrier`); the auditor knows that none may be final.
"""

from collections.abc import Callable
from typing import Final

import numpy as np

from harambee.crypto.hashing import TAG_BLOCK, TAG_ORDER, TAG_POSSESSION, digest, signed_prefix
from harambee.crypto.keys import OwnerKey
from harambee.ledger.records import BODY_BYTES, SEQUENCE_LAST
from harambee.sim.odd_signatures import invalid_variants, valid_variants
from harambee.sim.town import BANK, Orders, Town

U64_MAX: Final = 2**64 - 1
U32_MAX: Final = 2**32 - 1


def _with(**fields: int) -> Callable[[Town, Orders], None]:
    """Change these fields, and sign that."""

    def change(town: Town, order: Orders) -> None:
        for name, value in fields.items():
            order[name] = value
        town.sign(order)

    return change


Variants = Callable[[OwnerKey, bytes], dict[str, bytes]]


def _sign_oddly(town: Town, order: Orders, variants: Variants, which: int) -> bool:
    message = signed_prefix(TAG_ORDER, town.network) + order.tobytes()[:BODY_BYTES]
    found = list(variants(town.secret_of(int(order["payer"][0])), message).values())
    if found:
        order["signature"] = np.frombuffer(found[which % len(found)], np.uint8)
    return bool(found)


def sign_oddly(town: Town, order: Orders, which: int) -> bool:
    """Let the payer sign an order in a way that is valid and that not every verifier would accept.

    False where her key has no such way: the order stays as it was signed.
    """
    return _sign_oddly(town, order, valid_variants, which)


def _oddly_signed(which: int) -> Callable[[Town, Orders], None]:
    def change(town: Town, order: Orders) -> None:
        assert _sign_oddly(town, order, invalid_variants, which)

    return change


def _signed_as(tag: bytes) -> Callable[[Town, Orders], None]:
    def change(town: Town, order: Orders) -> None:
        town.sign(order, tag)

    return change


def _signed_elsewhere(town: Town, order: Orders) -> None:
    town.sign(order, network=digest(b"another network"))


EDGES: Final[tuple[Callable[[Town, Orders], None], ...]] = (
    _with(amount=0),
    _with(amount=U64_MAX),
    _with(amount=U64_MAX - 2**32 + 1),
    _with(amount=2**63),
    _with(amount=2**63 - 1),
    _with(fee=0),
    _with(fee=U32_MAX),
    _with(payee=U32_MAX),
    _with(payee=BANK),
    _with(sequence=SEQUENCE_LAST - 1),
    _with(sequence=SEQUENCE_LAST),
    _with(kind=0),
    _with(kind=255),
    _with(tariff=0),
    _with(tariff=65_535),
    _with(day=0),
    _with(day=65_535),
)
STRANGERS: Final[tuple[Callable[[Town, Orders], None], ...]] = (
    _signed_elsewhere,
    _signed_as(TAG_POSSESSION),
    _signed_as(TAG_BLOCK),
)
ODD_SIGNATURES_MAX: Final = 9
"""Of the type of key that has more of them."""
KINDS: Final = (*EDGES, *STRANGERS, *map(_oddly_signed, range(ODD_SIGNATURES_MAX)))


def stray(town: Town, which: int, good: Orders) -> Orders:
    """The stray of this kind that a good order becomes."""
    order = good.copy()
    KINDS[which % len(KINDS)](town, order)
    return order
