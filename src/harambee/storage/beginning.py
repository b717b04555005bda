"""Where a fold begins: at the genesis, or at a checkpoint that lies on this disk."""

from collections.abc import Iterator

from harambee.crypto.hashing import digest
from harambee.ledger.image import ImageError, load
from harambee.ledger.ledger import Ledger
from harambee.ledger.pages import Section
from harambee.protocol.effects import Name
from harambee.protocol.fold import Fold
from harambee.protocol.frame import FrameBroken, read_frame
from harambee.protocol.genesis import Genesis
from harambee.protocol.opening import open_accounts
from harambee.storage.block_source import BlockSource
from harambee.storage.checkpoint_store import CheckpointDamaged, Stored


def fill(ledger: Ledger, genesis: Genesis, stored: Stored | None) -> None:
    """Fill a new ledger as the genesis opens it, or as it is in a checkpoint, page by page checked.

    CheckpointDamaged where the checkpoint cannot be used.
    """
    if stored is None:
        open_accounts(genesis, ledger)
        return
    try:
        leaves = stored.leaves
        pages = leaves["page"][leaves["section"] == Section.ACCOUNTS]
        ledger.take_large_pages(pages << 10)
        load(ledger, stored.pages(frame=False))
        ledger.know_digests(leaves)
        newest = stored.newest()
        ledger.take_entries(stored.entries(), newest["account"], newest["entry"])
        ledger.entries_missing = stored.checkpoint.orders - stored.local.entries
    except (ImageError, OSError) as error:
        raise CheckpointDamaged(
            f"the checkpoint {stored.folder} cannot be used: {error}"
        ) from error


def begin(fold: Fold, blocks: BlockSource, stored: Stored | None) -> None:
    """Let a fold that has this ledger go on from the checkpoint; CheckpointDamaged where it cannot."""
    if stored is None:
        return

    def position_of(name: Name) -> int:
        position = blocks.position_of(name)
        if position is None:
            raise FrameBroken(f"there is no block {name.height} of super-agent {name.author}")
        return position

    try:
        frame = read_frame(stored.frame(), fold.committee.n, fold.committee.q)
        fold.begin_at(frame, position_of, stored.local.until)
    except (FrameBroken, OSError) as error:
        raise CheckpointDamaged(
            f"the checkpoint {stored.folder} cannot be used: {error}"
        ) from error


def blocks_behind(blocks: BlockSource, stored: Stored) -> Iterator[tuple[int, bytes]]:
    """Yield (position, block) of the blocks that a checkpoint's cut does not cover."""
    for position in stored.local.left:
        yield position, blocks.read(position)
    yield from blocks.blocks(stored.local.until)


def name_of_start(stored: Stored | None) -> tuple[int, bytes]:
    """Return the number of the checkpoint that follows this one, and what it names as the one before."""
    if stored is None:
        return 1, bytes(32)
    return stored.checkpoint.number + 1, digest(stored.checkpoint.to_bytes())
