"""Blocks beside the lanes that are followed here, of which peers say that they hold them.

Catch-up by heights brings each author's followed chain, and parked blocks name what they stand on. A third
kind of block matters too: one that only some hold, because its author was convicted before any honest block
could reference it. What is final at those who hold it, may rest on its word; and who has seen a slot decided
helps in it no more. So a peer's heads may name such blocks, they are fetched by name, and where a dispute
goes on and on, the others are asked for their heads.

A liar's forks have no end, so what may come this way is bounded: of each peer one block of each author, and
the next one twice as long after it as the one before.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Final

from harambee.protocol.effects import Name
from harambee.protocol.slot import Slot

HEADS_AGAIN_NS: Final = 2_000_000_000
"""A slot that is disputed for so long may hang on a block that only some hold; later ever more rarely."""
FIRST_WAIT_NS: Final = 1_000_000_000
WAIT_NS_MAX: Final = 1 << 62


class Offers:
    """What peers were asked for because they offered it. Not thread-safe; belongs to one replica."""

    def __init__(self) -> None:
        """Nothing was offered yet."""
        self._taken: dict[tuple[int, int], tuple[bytes, int, int]] = {}
        """By peer and author: the newest one taken, when (nanoseconds), and how long until the next."""
        self._askers: Counter[bytes] = Counter()
        """Of how many peers each of these newest ones was taken."""
        self._oldest: Slot | None = None
        self._since, self._ask_at = 0, 0

    def are_due(self, oldest: Slot | None, now: int) -> bool:
        """Whether to ask the others for their heads; `oldest` is the slot that is disputed longest."""
        if oldest is None or oldest != self._oldest or now < self._since:
            self._oldest, self._since, self._ask_at = oldest, now, now + HEADS_AGAIN_NS
            return False
        if now < self._ask_at:
            return False
        self._ask_at = now + (now - self._since)
        return True

    def take(self, peer: int, names: Iterable[Name], now: int) -> tuple[Name, ...]:
        """Which of the blocks that `peer` offers to ask it for."""
        taken = []
        for name in names:
            key = peer, name.author
            digest, at, wait = self._taken.get(key, (b"", now, 0))
            if digest != name.digest:
                if 0 <= now - at < wait:
                    continue
                self._taken[key] = name.digest, now, min(max(FIRST_WAIT_NS, 2 * wait), WAIT_NS_MAX)
                self._askers[name.digest] += 1
                self._askers[digest] -= 1
                if self._askers[digest] <= 0:
                    del self._askers[digest]
            taken.append(name)
        return tuple(taken)

    def __contains__(self, digest: bytes) -> bool:
        """Whether a peer was asked for this block."""
        return digest in self._askers
