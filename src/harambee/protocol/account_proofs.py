"""One account, proved by words for a checkpoint: its piece of a page, and the way up to the root.

Whoever holds the committee's keys can check it, and asks nobody (docs/wire.md section 19).
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from harambee.crypto.merkle import DIGEST_BYTES, leaf_of, path_of, root_by_path
from harambee.ledger.pages import (
    PAGE_ACCOUNTS,
    PAGE_LEAF,
    PIECE_BYTES,
    PIECES,
    Leaves,
    Section,
    piece_leaves,
    rows_of_leaves,
)
from harambee.ledger.records import ACCOUNT, ACCOUNT_DIGESTED_BYTES
from harambee.protocol.checkpoint import (
    DOCUMENT_BYTES,
    Checkpoint,
    Word,
    read_checkpoint,
    word_holds,
)
from harambee.protocol.committee import Committee
from harambee.protocol.malformed import Malformed
from harambee.protocol.wire import SIGNATURE_BYTES

MAGIC: Final = b"hrb1:account".ljust(16, b"\0")
PIECE_ACCOUNTS: Final = PIECE_BYTES // ACCOUNT_DIGESTED_BYTES
LEVELS_MAX: Final = 32
"""A tree of more than 2³² pages there is not."""
_PIECE: Final = struct.Struct("<IBBH")
_HEAD: Final = struct.Struct("<16sIHH")
_WORD: Final = struct.Struct(f"<H{SIGNATURE_BYTES}s")
PIECE_PROOF_BYTES_MAX: Final = _PIECE.size + 2 * LEVELS_MAX * DIGEST_BYTES + PIECE_BYTES


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a page of accounts, and the digests beside the way from it up to a ledger's root."""

    leaf: int
    """The page's index among all pages of the ledger."""
    inside: tuple[bytes, ...]
    """Beside the way inside the page, from below."""
    above: tuple[bytes, ...]
    """Beside the way from the page up."""
    content: bytes
    """16 accounts, 90 bytes each."""

    def to_bytes(self) -> bytes:
        """Return it as doors send it."""
        head = _PIECE.pack(self.leaf, len(self.inside), len(self.above), 0)
        return head + b"".join((*self.inside, *self.above)) + self.content

    def root(self, account: int, pages: int) -> bytes | None:
        """The root that this leads to as the piece of an account, of so many pages; None if to none."""
        page, position = divmod(account, PAGE_ACCOUNTS)
        if len(self.content) != PIECE_BYTES:
            return None
        index = position // PIECE_ACCOUNTS
        digest = root_by_path(leaf_of(self.content), index, PIECES, self.inside)
        if digest is None:
            return None
        leaf = np.zeros(1, PAGE_LEAF)
        leaf["section"], leaf["page"] = int(Section.ACCOUNTS), page
        leaf["digest"] = np.frombuffer(digest, np.uint8)
        return root_by_path(leaf_of(leaf.tobytes()), self.leaf, pages, self.above)

    def record(self, account: int) -> np.void | None:
        """The ACCOUNT in it, without its last entry; None where nobody has this number."""
        at = account % PIECE_ACCOUNTS * ACCOUNT_DIGESTED_BYTES
        content = self.content[at : at + ACCOUNT_DIGESTED_BYTES].ljust(ACCOUNT.itemsize, b"\0")
        record: np.void = np.frombuffer(content, ACCOUNT)[0]
        return record if record["flags"] else None


def piece_of(account: int, content: bytes, leaves: Leaves) -> Piece | None:
    """Return an account's piece; `content` is its page, `leaves` those of all pages of the ledger.

    None where there is no such page.
    """
    page, position = divmod(account, PAGE_ACCOUNTS)
    found = np.flatnonzero((leaves["section"] == Section.ACCOUNTS) & (leaves["page"] == page))
    if not len(found):
        return None
    leaf, index = int(found[0]), position // PIECE_ACCOUNTS
    inside = path_of(piece_leaves(content), index)
    above = path_of(rows_of_leaves(leaves), leaf)
    piece = content[index * PIECE_BYTES : (index + 1) * PIECE_BYTES]
    return Piece(leaf, tuple(inside), tuple(above), piece)


def read_piece(content: bytes) -> Piece | Malformed:
    """Read what a door sent; nothing is checked yet but its form."""
    if len(content) < _PIECE.size:
        return Malformed("it is cut short")
    leaf, inside, above, zero = _PIECE.unpack_from(content)
    digests = inside + above
    size = _PIECE.size + digests * DIGEST_BYTES + PIECE_BYTES
    if zero or max(inside, above) > LEVELS_MAX or len(content) != size:
        return Malformed("it has another length than it says")
    beside = [
        content[at : at + DIGEST_BYTES]
        for at in range(_PIECE.size, _PIECE.size + digests * DIGEST_BYTES, DIGEST_BYTES)
    ]
    return Piece(leaf, tuple(beside[:inside]), tuple(beside[inside:]), content[-PIECE_BYTES:])


@dataclass(frozen=True, slots=True)
class AccountProof:
    """What an account was at a checkpoint, and who has signed that."""

    account: int
    checkpoint: Checkpoint
    words: tuple[Word, ...]
    """By signer, each once."""
    piece: Piece

    def to_bytes(self) -> bytes:
        """Return the file."""
        head = _HEAD.pack(MAGIC, self.account, len(self.words), 0)
        words = (_WORD.pack(word.signer, word.signature) for word in self.words)
        return head + self.checkpoint.to_bytes() + b"".join(words) + self.piece.to_bytes()


def make_account_proof(
    account: int, words: Sequence[Word], piece: Piece, enough: int
) -> AccountProof:
    """Return the proof by the first `enough` of these words, which are for one checkpoint."""
    assert len(words) >= enough > 0
    chosen = sorted(words, key=lambda word: word.signer)[:enough]
    return AccountProof(account, chosen[0].checkpoint, tuple(chosen), piece)


def read_account_proof(
    content: bytes, network: bytes, committee: Committee
) -> AccountProof | Malformed:
    """Read a file; nothing is checked yet but its form. `flaw_of_account` says whether it holds."""
    if content[: len(MAGIC)] != MAGIC or len(content) < _HEAD.size + DOCUMENT_BYTES:
        return Malformed("this is no proof of an account")
    _, account, count, zero = _HEAD.unpack_from(content)
    at = _HEAD.size + DOCUMENT_BYTES
    end = at + count * _WORD.size
    if zero or count > committee.n or len(content) < end:
        return Malformed("it has not as many signatures as it says")
    checkpoint = read_checkpoint(content[_HEAD.size : at], network, committee)
    if isinstance(checkpoint, Malformed):
        return checkpoint
    words = tuple(
        Word(checkpoint, signer, signature)
        for signer, signature in _WORD.iter_unpack(content[at:end])
    )
    piece = read_piece(content[end:])
    if isinstance(piece, Malformed):
        return piece
    return AccountProof(account, checkpoint, words, piece)


def flaw_of_words(words: Sequence[Word], committee: Committee) -> str | None:
    """What is wrong with words for one checkpoint as proof of it, without its stop; None if they prove it."""
    signers = [word.signer for word in words]
    if len(set(signers)) != len(signers):
        return "a super-agent's signature stands there twice"
    for word in words:
        if word.signer >= committee.n:
            return f"it is signed by super-agent {word.signer}, whom this network does not have"
        if not word_holds(word, committee):
            return f"{committee.members[word.signer].name} has not signed it"
    if len(words) < committee.w:
        return f"{len(words)} super-agents have signed it, and it takes {committee.w}"
    return None


def flaw_of_account(proof: AccountProof, committee: Committee) -> str | None:
    """What is wrong with a proof, without its stop; None if the account is proved."""
    flaw = flaw_of_words(proof.words, committee)
    if flaw is not None:
        return flaw
    said = proof.checkpoint
    if proof.piece.root(proof.account, said.ledger_pages) != said.ledger_root:
        return "what it says of the account does not lead to the root that is signed"
    return None
