"""What a simulated super-agent has made durable: blocks in the order of its journal, found by name."""

from collections.abc import Callable, Iterable, Iterator

from harambee.protocol.malformed import Malformed
from harambee.protocol.wire import Block


class Disk:
    """Blocks as bytes, as the disk gives them back; one that cannot be read is there, but not found."""

    def __init__(self, read: Callable[[bytes], Block | Malformed]) -> None:
        """`read` parses a block."""
        self._read = read
        self._blocks: list[bytes] = []
        self._by_digest: dict[bytes, int] = {}
        self._by_height: dict[tuple[int, int], dict[int, list[int]]] = {}
        """(author, incarnation) -> height -> positions; a fork has several."""

    def __len__(self) -> int:
        return len(self._blocks)

    def __getitem__(self, position: int) -> bytes:
        return self._blocks[position]

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._blocks)

    def newest(self, count: int) -> list[bytes]:
        """The last so many, or all."""
        return self._blocks[-count:]

    def extend(self, blocks: Iterable[bytes]) -> None:
        """Blocks have become durable."""
        for data in blocks:
            self._blocks.append(data)
            self._find_by_name(len(self._blocks) - 1)

    def truncate(self, length: int) -> None:
        """Only the first so many are left."""
        for position in range(length, len(self._blocks)):
            self._lose_name(position)
        del self._blocks[length:]

    def replace(self, position: int, data: bytes) -> None:
        """The disk gives something else back there from now on."""
        self._lose_name(position)
        self._blocks[position] = data
        self._find_by_name(position)

    def with_digest(self, digest: bytes) -> int | None:
        """Where the block with this digest stands."""
        return self._by_digest.get(digest)

    def in_range(self, author: int, incarnation: int, first: int, last: int) -> list[int]:
        """Where the blocks of an author's incarnation with heights first..last stand."""
        heights = self._by_height.get((author, incarnation), {})
        last = min(last, max(heights, default=0))
        return [at for height in range(first, last + 1) for at in heights.get(height, ())]

    def forked(self) -> set[int]:
        """The authors of whom several blocks with one id are here."""
        return {
            author
            for (author, _), heights in self._by_height.items()
            if any(len(positions) > 1 for positions in heights.values())
        }

    def _find_by_name(self, position: int) -> None:
        block = self._read(self._blocks[position])
        if isinstance(block, Block):
            self._by_digest.setdefault(block.digest, position)
            heights = self._by_height.setdefault((block.author, block.incarnation), {})
            heights.setdefault(block.height, []).append(position)

    def _lose_name(self, position: int) -> None:
        block = self._read(self._blocks[position])
        if isinstance(block, Block):
            if self._by_digest.get(block.digest) == position:
                del self._by_digest[block.digest]
            heights = self._by_height[block.author, block.incarnation]
            heights[block.height].remove(position)
            if not heights[block.height]:
                del heights[block.height]
