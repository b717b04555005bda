"""A super-agent's ledger where its fold begins."""

from harambee.ledger.ledger import Ledger
from harambee.node.journal import JournalReader
from harambee.node.originals import Originals
from harambee.protocol.genesis import Genesis
from harambee.storage.beginning import fill
from harambee.storage.checkpoint_store import Stored


def make_ledger(genesis: Genesis, journal: JournalReader, stored: Stored | None) -> Ledger:
    """Return the ledger as the genesis opens it, or as it is in a checkpoint, page by page checked.

    CheckpointDamaged where the checkpoint cannot be used.
    """
    ledger = Ledger(genesis.regions, genesis.tariffs, genesis.key_days)
    ledger.original_at = Originals(journal, genesis).at
    fill(ledger, genesis, stored)
    return ledger
