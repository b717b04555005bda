"""Repairing a journal whose disk has damaged blocks: the same blocks, from peers that still hold them.

While it goes on, this super-agent says nothing and serves nothing: a damaged block may be the record of its
own promises. A block that nobody else holds (one's own newest, perhaps) cannot be repaired; then the operator
is told, and `harambee rejoin` is the way.
"""

import logging
import time
from collections.abc import Callable
from typing import Final

from harambee.crypto.signatures import verify
from harambee.node.journal import Journal
from harambee.protocol.effects import FetchNamed, Name, Outgoing
from harambee.protocol.genesis import Genesis
from harambee.protocol.malformed import Malformed
from harambee.protocol.messages import BlockArrived, Message, PeerDown, PeerUp
from harambee.protocol.wire import block_prefix, read_block

ASK_S: Final = 1.0
NAMES_AT_ONCE: Final = 64
TOLD_AFTER_ROUNDS: Final = 30

log: Final = logging.getLogger(__name__)


class MendingEnded(Exception):  # noqa: N818 - what has happened
    """The super-agent was told to stop before its journal was whole."""


def mend(
    journal: Journal,
    genesis: Genesis,
    hear: Callable[[float], Message | None],
    say: Callable[[Outgoing], None],
) -> None:
    """Ask one peer after another for the damaged blocks until all are repaired.

    `hear` waits so many seconds for a message, and raises MendingEnded when it is time to stop. Raises
    JournalDamaged where not even the name of a damaged block is left.
    """
    wanted = {name.digest: (position, name) for position, name in journal.damaged().items()}
    up: list[int] = []
    ask_at, rounds = 0.0, 0
    while wanted:
        if up and time.monotonic() >= ask_at:
            names = [name for _, name in list(wanted.values())[:NAMES_AT_ONCE]]
            say(FetchNamed(up[rounds % len(up)], tuple(names)))
            rounds += 1
            ask_at = time.monotonic() + ASK_S
            if rounds == TOLD_AFTER_ROUNDS:
                log.error("nobody has %d damaged blocks: see `harambee rejoin`", len(wanted))
        message = hear(ASK_S)
        match message:
            case PeerUp(peer):
                up.append(peer)
                ask_at = 0.0
            case PeerDown(peer) if peer in up:
                up.remove(peer)
            case BlockArrived(_, data):
                _take(journal, genesis, wanted, data)
    log.warning("the journal is whole again")


def _take(
    journal: Journal, genesis: Genesis, wanted: dict[bytes, tuple[int, Name]], data: bytes
) -> None:
    block = read_block(data, genesis.network, genesis.committee.n)
    if isinstance(block, Malformed) or block.digest not in wanted:
        return
    prefix = block_prefix(genesis.network, genesis.committee.epoch)
    if not verify(
        genesis.committee.members[block.author].key, prefix + block.digest, block.signature
    ):
        return
    position, name = wanted[block.digest]
    if journal.repair(position, name, data):
        del wanted[block.digest]
