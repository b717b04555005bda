"""The payee tables of bulk pay-outs: whom one signature pays, and how much each.

A table travels beside its order, which names it by its digest: so the payer has signed every row,
and a table that is not the one named counts as none.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

import numpy as np
import numpy.typing as npt

from harambee.crypto.hashing import digest
from harambee.ledger.records import PAYEE, PAYEES_MAX

PayeeTable = npt.NDArray[np.void]
"""A PAYEE array, (k,)."""

Tables = Mapping[bytes, PayeeTable]
"""Payee tables by their digests, as orders name them."""

TABLE_BYTES_MAX: Final = PAYEES_MAX * PAYEE.itemsize
"""120,000: so eight whole tables fit into the attachments of a block."""

NO_TABLES: Final[Tables] = MappingProxyType({})


def table_digest(content: bytes) -> bytes:
    """Return the 32 bytes by which an order names a table of these bytes."""
    return digest(b"harambee payees", content)


def tables_of(contents: Iterable[bytes]) -> Tables:
    """Return tables under their digests; bytes that are no rows at all are left out."""
    return {
        table_digest(content): np.frombuffer(content, PAYEE)
        for content in contents
        if len(content) % PAYEE.itemsize == 0
    }
