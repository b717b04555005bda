"""Evidence: two signed blocks that no honest author makes both, as one file that a stranger can check.

There are two kinds. A **fork**: two blocks with one id (author, incarnation, height) and different digests.
A **double vote**: two blocks of one author that vote, in one slot and view above 0, for different values. An
honest author makes neither, whatever it loses: a restart continues its own chain, a lost disk begins a new
incarnation and abstains. So the two blocks and the committee's keys prove it, and nothing else is needed.

The file: `hrb1:evidence` in 16 bytes, the network id in 32, then each block as length u32 and bytes.
"""

from dataclasses import dataclass
from typing import Final

from harambee.crypto.signatures import verify
from harambee.protocol.committee import Committee
from harambee.protocol.malformed import Malformed
from harambee.protocol.wire import BLOCK_BYTES_MAX, Block, block_prefix, read_block

MAGIC: Final = b"hrb1:evidence".ljust(16, b"\0")
_NETWORK_BYTES: Final = 32
_LENGTH_BYTES: Final = 4


@dataclass(frozen=True, slots=True)
class Conviction:
    """What a piece of evidence proves."""

    culprit: int
    why: str
    """One sentence, without the culprit's name."""


def write_evidence(network: bytes, first: bytes, second: bytes) -> bytes:
    """The file of two blocks."""
    parts = (len(data).to_bytes(_LENGTH_BYTES, "little") + data for data in (first, second))
    return MAGIC + network + b"".join(parts)


def read_evidence(data: bytes, network: bytes, committee: Committee) -> Conviction | Malformed:
    """Check a file with the committee's keys alone: whom it convicts, or why nobody."""
    if data[: len(MAGIC)] != MAGIC:
        return Malformed("this is no file of evidence")
    at = len(MAGIC) + _NETWORK_BYTES
    if data[len(MAGIC) : at] != network:
        return Malformed("the evidence is of another network")
    blocks: list[Block] = []
    for _ in range(2):
        length = int.from_bytes(data[at : at + _LENGTH_BYTES], "little")
        content = data[at + _LENGTH_BYTES : at + _LENGTH_BYTES + length]
        if length > BLOCK_BYTES_MAX or len(content) != length:
            return Malformed("the evidence is cut short")
        block = read_block(content, network, committee.n)
        if isinstance(block, Malformed):
            return block
        if block.epoch != committee.epoch or not verify(
            committee.members[block.author].key,
            block_prefix(network, committee.epoch) + block.digest,
            block.signature,
        ):
            return Malformed("a block of the evidence is not signed by its author")
        blocks.append(block)
        at += _LENGTH_BYTES + length
    if at != len(data):
        return Malformed("something follows the evidence")
    return convict(*blocks)


def convict(first: Block, second: Block) -> Conviction | Malformed:
    """What two blocks prove together whose signatures hold."""
    if first.author != second.author:
        return Malformed("the two blocks have different authors")
    if first.digest == second.digest:
        return Malformed("the two blocks are one")
    if (first.incarnation, first.height) == (second.incarnation, second.height):
        return Conviction(first.author, f"signed two different blocks of height {first.height}")
    said = {(vote.slot, vote.view): vote.value for vote in first.recovery.votes}
    for vote in second.recovery.votes:
        if said.get((vote.slot, vote.view), vote.value) != vote.value:
            return Conviction(
                first.author, f"voted for two different values in one slot and view {vote.view}"
            )
    return Malformed("an honest author may have made both blocks")
