"""Journals that are written and not lived: the blocks that a committee would have made for given orders.

All super-agents of a network's folder speak in turn, each about everything that was said before. So every
order that lies in one of their blocks is voted for, certified, acknowledged and final, as in a network that
runs; there is only nobody who checks anything, and no link, clock or customer.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from harambee.crypto.key_places import read_key_pair
from harambee.crypto.signatures import KeyPair, sign
from harambee.node.journal import Journal
from harambee.node.network_folder import KIND_SIGNING, NetworkFolder
from harambee.protocol.wire import REFERENCE, Draft, block_prefix, names_in, write_block

ROUNDS_UNTIL_FINAL: Final = 3
"""After so many rounds in which everybody speaks, what was said before them is final."""
APPENDED_AT_ONCE: Final = 64
"""Blocks of one commit."""
STEP_MS: Final = 10
"""Between two blocks."""


class Chorus:
    """A committee in which everybody says in turn what it is told to say."""

    def __init__(self, network: bytes, epoch: int, keys: list[KeyPair], began_ms: int) -> None:
        """Nobody has said anything; `keys` are the committee's, in its order."""
        self._network, self._epoch, self._keys = network, epoch, keys
        self._prefix = block_prefix(network, epoch)
        self._time_ms = began_ms
        self._heads = np.zeros(len(keys), REFERENCE)
        self._heads["author"] = np.arange(len(keys))
        self._referenced = np.zeros((len(keys), len(keys)), np.uint32)
        """(author, of whom): up to which height its newest block goes."""

    def say(self, author: int, orders: bytes = b"", attachments: bytes = b"") -> bytes:
        """The author's next block, signed: with these orders, and references to all that is newer."""
        newer = self._heads["height"] > self._referenced[author]
        newer[author] = False
        mine = self._heads[author : author + 1]
        self._time_ms += STEP_MS
        unsigned, name = write_block(
            Draft(
                network=self._network,
                epoch=self._epoch,
                author=author,
                height=int(mine["height"][0]) + 1,
                previous=mine["digest"][0].tobytes(),
                time_ms=self._time_ms,
                references=names_in(self._heads[newer]),
                orders=orders,
                attachments=attachments,
            )
        )
        self._referenced[author] = self._heads["height"]
        mine["height"] += 1
        mine["digest"] = np.frombuffer(name, np.uint8)
        return unsigned + sign(self._keys[author], self._prefix + name)

    def make_final(self) -> Iterator[bytes]:
        """The blocks after which everything that was said is final."""
        for _ in range(ROUNDS_UNTIL_FINAL):
            for author in range(len(self._keys)):
                yield self.say(author)


def chorus_of(folder: NetworkFolder, began_ms: int) -> Chorus:
    """The committee of a development network, whose keys lie in its folder."""
    keys = [read_key_pair(folder.node(name).signing_key, KIND_SIGNING) for name in folder.names]
    genesis = folder.genesis
    return Chorus(genesis.network, genesis.committee.epoch, keys, began_ms)


def write_journal(
    journal: Journal, chorus: Chorus, orders: npt.NDArray[np.void], members: int, orders_each: int
) -> None:
    """Append blocks of so many orders each, by one author after the other, until all are final."""
    waiting: list[bytes] = []
    for turn, start in enumerate(range(0, len(orders), orders_each)):
        said = orders[start : start + orders_each].tobytes()
        waiting.append(chorus.say(turn % members, said))
        if len(waiting) >= APPENDED_AT_ONCE:
            journal.append(waiting)
            waiting = []
    journal.append([*waiting, *chorus.make_final()])
