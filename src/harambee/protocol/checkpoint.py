"""Checkpoints as super-agents sign them, and whose word there is for which (docs/wire.md section 18).

A document says what the state at a cut is; a **word** is a super-agent's signature over it. Any cut will do,
and different ones never conflict. The same cut has one document: whoever signs another one is wrong, by a lie
or by a flipped bit, and w words decide who that is, for one of w super-agents is honest.
"""

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from harambee.crypto.hashing import TAG_CHECKPOINT, digest, signed_prefix
from harambee.crypto.signatures import Signer, sign, verify
from harambee.protocol.committee import Committee
from harambee.protocol.effects import Name
from harambee.protocol.malformed import Malformed
from harambee.protocol.wire import NO_DIGEST, REFERENCE, SIGNATURE_BYTES

FORMAT: Final = 1
DOCUMENT: Final = np.dtype(
    [
        ("format", "<u2"),
        ("zero", "<u2"),
        ("epoch", "<u4"),
        ("network", "u1", 32),
        ("number", "<u8"),
        ("previous", "u1", 32),
        ("anchor", REFERENCE),
        ("time_ms", "<u8"),
        ("cut", "u1", 32),
        ("blocks", "<u8"),
        ("orders", "<u8"),
        ("accounts", "<u8"),
        ("aliases", "<u8"),
        ("in_circulation", "<u8"),
        ("ledger_pages", "<u4"),
        ("frame_pages", "<u4"),
        ("ledger_root", "u1", 32),
        ("frame_root", "u1", 32),
    ]
)
DOCUMENT_BYTES: Final = 272
assert DOCUMENT.itemsize == DOCUMENT_BYTES
WORDS_EACH: Final = 4
"""So many of one super-agent's words are kept, its newest; an honest one has two that matter."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What is signed: the state at a cut, by its roots."""

    epoch: int
    network: bytes
    number: int
    """From 1."""
    previous: bytes
    """The digest of the checkpoint before it; zero for the first."""
    anchor: Name
    """The cut is this block's past."""
    time_ms: int
    """The anchor's; for display."""
    cut: bytes
    blocks: int
    orders: int
    accounts: int
    aliases: int
    in_circulation: int
    """Cents that issuers owe: all e-money there is."""
    ledger_pages: int
    frame_pages: int
    ledger_root: bytes
    frame_root: bytes

    def to_bytes(self) -> bytes:
        """Return the document as it is signed and travels."""
        row = np.zeros(1, DOCUMENT)
        row["format"] = FORMAT
        for name in _NUMBERS:
            row[name] = getattr(self, name)
        for name in _DIGESTS:
            row[name] = np.frombuffer(getattr(self, name), np.uint8)
        anchor = row["anchor"]
        anchor["author"], anchor["incarnation"] = self.anchor.author, self.anchor.incarnation
        anchor["height"] = self.anchor.height
        anchor["digest"] = np.frombuffer(self.anchor.digest, np.uint8)
        return row.tobytes()

    @property
    def digest(self) -> bytes:
        """What names it, 32 bytes."""
        return digest(self.to_bytes())


_NUMBERS: Final = (
    "epoch",
    "number",
    "time_ms",
    "blocks",
    "orders",
    "accounts",
    "aliases",
    "in_circulation",
    "ledger_pages",
    "frame_pages",
)
_DIGESTS: Final = ("network", "previous", "cut", "ledger_root", "frame_root")


def read_checkpoint(content: bytes, network: bytes, committee: Committee) -> Checkpoint | Malformed:
    """Read a document of this network and epoch, or say why it is none."""
    if len(content) != DOCUMENT_BYTES:
        return Malformed(f"a checkpoint's document has {DOCUMENT_BYTES} bytes, not {len(content)}")
    row = np.frombuffer(content, DOCUMENT)[0]
    anchor = row["anchor"]
    name = Name(
        int(anchor["author"]),
        int(anchor["incarnation"]),
        int(anchor["height"]),
        anchor["digest"].tobytes(),
    )
    fields: dict[str, Any] = {key: int(row[key]) for key in _NUMBERS}
    fields |= {key: row[key].tobytes() for key in _DIGESTS}
    found = Checkpoint(anchor=name, **fields)
    if content != found.to_bytes():
        return Malformed("it is not written as a checkpoint's document is")
    if found.network != network or found.epoch != committee.epoch:
        return Malformed("it is a checkpoint of another network or epoch")
    is_first = found.previous == NO_DIGEST
    if not found.number or is_first != (found.number == 1) or name.author >= committee.n:
        return Malformed("its number, the one before it or its anchor cannot be")
    return found


@dataclass(frozen=True, slots=True)
class Word:
    """One super-agent's signature over a checkpoint."""

    checkpoint: Checkpoint
    signer: int
    signature: bytes

    def to_bytes(self) -> bytes:
        """Return it as it travels: the document, the signer u16, the signature."""
        return self.checkpoint.to_bytes() + self.signer.to_bytes(2, "little") + self.signature


WORD_BYTES: Final = DOCUMENT_BYTES + 2 + SIGNATURE_BYTES


def sign_checkpoint(checkpoint: Checkpoint, signer: int, key: Signer) -> Word:
    """Give one's word for a checkpoint that one has made oneself."""
    return Word(checkpoint, signer, sign(key, _signed(checkpoint)))


def read_word(content: bytes, network: bytes, committee: Committee) -> Word | Malformed:
    """Read a word and check its signature, or say what is wrong with it."""
    if len(content) != WORD_BYTES:
        return Malformed(f"a word for a checkpoint has {WORD_BYTES} bytes, not {len(content)}")
    checkpoint = read_checkpoint(content[:DOCUMENT_BYTES], network, committee)
    if isinstance(checkpoint, Malformed):
        return checkpoint
    signer = int.from_bytes(content[DOCUMENT_BYTES : DOCUMENT_BYTES + 2], "little")
    word = Word(checkpoint, signer, content[DOCUMENT_BYTES + 2 :])
    if signer >= committee.n or not word_holds(word, committee):
        return Malformed("its signature does not hold")
    return word


def word_holds(word: Word, committee: Committee) -> bool:
    """Whether the signer, a member, has signed it."""
    key = committee.members[word.signer].key
    return verify(key, _signed(word.checkpoint), word.signature)


def _signed(checkpoint: Checkpoint) -> bytes:
    prefix = signed_prefix(TAG_CHECKPOINT, checkpoint.network)
    return prefix + checkpoint.epoch.to_bytes(4, "little") + checkpoint.to_bytes()


def same_place(one: Checkpoint, other: Checkpoint) -> bool:
    """Whether two checkpoints are of one step and one cut, and so have to be the same."""
    return (one.number, one.previous, one.anchor) == (other.number, other.previous, other.anchor)


@dataclass(slots=True)
class Words:
    """Whose word there is for which checkpoint. Bounded: a few for each super-agent."""

    members: int
    quorum: int
    enough: int
    """w: so many words include an honest one."""
    _of: dict[int, dict[bytes, Word]] = field(default_factory=dict)
    """By signer, then by the checkpoint's digest, oldest number first."""

    @classmethod
    def of(cls, committee: Committee) -> "Words":
        """There is none yet."""
        return cls(committee.n, committee.q, committee.w)

    def add(self, word: Word) -> bool:
        """Take a word whose signature holds; whether it is news."""
        theirs = self._of.setdefault(word.signer, {})
        name = word.checkpoint.digest
        if name in theirs:
            return False
        if len(theirs) >= WORDS_EACH:
            oldest = min(theirs, key=lambda n: theirs[n].checkpoint.number)
            if theirs[oldest].checkpoint.number > word.checkpoint.number:
                return False
            del theirs[oldest]
        theirs[name] = word
        return True

    def for_(self, name: bytes) -> list[Word]:
        """The words for a checkpoint, by signer."""
        return [theirs[name] for _, theirs in sorted(self._of.items()) if name in theirs]

    def all(self) -> list[Checkpoint]:
        """Every checkpoint that somebody has signed, by number and digest."""
        found = {n: word.checkpoint for theirs in self._of.values() for n, word in theirs.items()}
        return sorted(found.values(), key=lambda checkpoint: (checkpoint.number, checkpoint.digest))

    def is_true(self, name: bytes) -> bool:
        """Whether one of those who signed a checkpoint is honest, so that it is as it says."""
        return len(self.for_(name)) >= self.enough

    def allows_pruning(self, name: bytes) -> bool:
        """Whether q super-agents hold all that a checkpoint covers."""
        return len(self.for_(name)) >= self.quorum

    def against(self, mine: Checkpoint) -> list[Word]:
        """The words for another state of a cut than the one that was found here."""
        return [
            word
            for _, theirs in sorted(self._of.items())
            for word in theirs.values()
            if same_place(word.checkpoint, mine) and word.checkpoint != mine
        ]
