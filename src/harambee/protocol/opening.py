"""The ledger as the genesis opens it: where every replica begins, and everybody who folds blocks."""

import numpy as np

from harambee.ledger.ledger import Ledger
from harambee.ledger.records import OPENING, OPENING_ALIAS
from harambee.protocol.genesis import Genesis


def open_accounts(genesis: Genesis, ledger: Ledger) -> None:
    """Open accounts, issuers and aliases in an empty ledger; LedgerError where that cannot be."""
    document = genesis.document
    limits = {row.account: row.limit_cents for row in document.issuers}
    ledger.open_accounts(np.frombuffer(genesis.openings, OPENING), limits)
    ledger.open_aliases({bytes.fromhex(row.alias): row.account for row in document.aliases})
    ledger.open_alias_rows(np.frombuffer(genesis.aliases, OPENING_ALIAS))
    genesis.rest()
