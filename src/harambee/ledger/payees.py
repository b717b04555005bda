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
"""What travels beside orders by its digest, as they name it: payee tables; documents as DOCUMENT rows."""

DOCUMENT: Final = np.dtype([("byte", "u1")])
"""A document, byte by byte."""

TABLE_BYTES_MAX: Final = PAYEES_MAX * PAYEE.itemsize
"""120,000: so eight whole tables fit into the attachments of a block."""

TARIFF_BYTES_MAX: Final = 1 << 16
"""How long the document of a tariff is at most."""

NO_TABLES: Final[Tables] = MappingProxyType({})


def table_digest(content: bytes) -> bytes:
    """Return the 32 bytes by which an order names a table of these bytes."""
    return digest(b"harambee payees", content)


def document_digest(content: bytes) -> bytes:
    """Return the 32 bytes by which an order names the document of a tariff."""
    return digest(b"harambee tariff", content)


def tables_of(contents: Iterable[bytes]) -> Tables:
    """Return what came beside orders under the digests that may name it.

    Nothing is both a table and a document to anybody: their digests are not taken alike.
    """
    found: dict[bytes, PayeeTable] = {}
    for content in contents:
        found[document_digest(content)] = np.frombuffer(content, DOCUMENT)
        if len(content) % PAYEE.itemsize == 0:
            found[table_digest(content)] = np.frombuffer(content, PAYEE)
    return found
