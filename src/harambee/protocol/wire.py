"""Blocks and frames as bytes: the only place that reads or writes them (docs/wire.md sections 5 to 7, 10).

`read_block` is the parser that faces liars. It allocates nothing that the sender sized before the size
has been checked, keeps the orders as one view into the received bytes, and answers a `Malformed` value
rather than raising: a bad block is an event, not a bug.
"""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from harambee.crypto.hashing import TAG_BLOCK, digest, signed_prefix
from harambee.ledger.kinds import HAS_CONTENT, OrderKind
from harambee.ledger.payees import (
    DOCUMENT,
    NO_TABLES,
    TARIFF_BYTES_MAX,
    PayeeTable,
    Tables,
    document_digest,
    table_digest,
)
from harambee.ledger.records import ORDER, ORDER_BYTES, PAYEE, PAYEES_MAX
from harambee.protocol.effects import Name, Range
from harambee.protocol.malformed import Malformed
from harambee.protocol.recovery_entries import Recovery, read_recovery

FORMAT: Final = 1
BLOCK_BYTES_MAX: Final = 4 << 20
BLOCK_ORDERS_MAX: Final = 16_384
REJECTION_BYTES_MAX: Final = 1 << 20
RECOVERY_BYTES_MAX: Final = 1 << 20
ATTACHMENT_BYTES_MAX: Final = 1 << 20
MEMBERS_MAX: Final = 1_024
INCARNATIONS_MAX: Final = 8
"""How often an author may begin a chain in one epoch: everybody keeps rows for each of them."""
SIGNATURE_BYTES: Final = 64
NO_DIGEST: Final = bytes(32)

HEAD: Final = np.dtype(
    [
        ("format", "<u2"),
        ("author", "<u2"),
        ("epoch", "<u4"),
        ("height", "<u4"),
        ("incarnation", "<u2"),
        ("zero", "<u2"),
        ("time_ms", "<u8"),
        ("network", "u1", 32),
        ("previous", "u1", 32),
        ("body_digest", "u1", 32),
        ("references", "<u4"),
        ("rejection_bytes", "<u4"),
        ("recovery_bytes", "<u4"),
        ("orders", "<u4"),
        ("attachment_bytes", "<u4"),
        ("zeros", "u1", 20),
    ]
)
HEAD_BYTES: Final = 160
assert HEAD.itemsize == HEAD_BYTES

REFERENCE: Final = np.dtype(
    [("author", "<u2"), ("incarnation", "<u2"), ("height", "<u4"), ("digest", "u1", 32)]
)
REFERENCE_BYTES: Final = 40
assert REFERENCE.itemsize == REFERENCE_BYTES

REJECTION_HEAD: Final = np.dtype(
    [
        ("author", "<u2"),
        ("incarnation", "<u2"),
        ("height", "<u4"),
        ("orders", "<u4"),
        ("refused", "<u4"),
    ]
)
assert REJECTION_HEAD.itemsize == 16

ATTACHMENT_HEAD: Final = np.dtype([("type", "u1"), ("zero", "u1", 3), ("length", "<u4")])
assert ATTACHMENT_HEAD.itemsize == 8
ATTACHMENT_POSSESSION: Final = 1
ATTACHMENT_PAYEES: Final = 2
ATTACHMENT_TARIFF: Final = 3
INDEX_BYTES: Final = 4
"""The content of an attachment begins with the index of its order."""
_CONTENT_OF: Final = {
    int(OrderKind.BULK_PAY_OUT): ATTACHMENT_PAYEES,
    int(OrderKind.NEW_TARIFF): ATTACHMENT_TARIFF,
}
"""Kind of an order that names something by its digest -> the type of the attachment that this is."""
assert _CONTENT_OF.keys() == set(np.flatnonzero(HAS_CONTENT).tolist())

FETCH: Final = np.dtype(
    [("author", "<u2"), ("incarnation", "<u2"), ("first", "<u4"), ("last", "<u4")]
)
assert FETCH.itemsize == 12
LOOSE_ENDS_MAX: Final = 64
FETCH_RANGES_MAX: Final = 256


@dataclass(frozen=True, slots=True)
class Rejection:
    """The refusals of one referenced block: which of its orders, and why."""

    author: int
    incarnation: int
    height: int
    orders: int
    """How many orders that block has."""
    indices: npt.NDArray[np.intp]
    outcomes: npt.NDArray[np.uint8]
    rows: frozenset[int]
    """`indices`, to look one up."""


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """A block that is well formed; nothing is said yet of its signature, its past or its orders."""

    author: int
    epoch: int
    height: int
    incarnation: int
    time_ms: int
    network: bytes
    previous: bytes
    digest: bytes
    names: npt.NDArray[np.void]
    """The references as a REFERENCE array, ascending by author, one for each at most: a view into `data`."""
    rejections: tuple[Rejection, ...]
    rejected_under: tuple[int, ...]
    """For each rejection the reference to that chain, as a row of `names`; -1 where there is none."""
    recovery: Recovery
    orders: npt.NDArray[np.void]
    """ORDER array, a read-only view into `data`."""
    possessions: dict[int, bytes]
    """Possession signatures by order index."""
    data: bytes
    """The whole block as it travels and is kept."""
    tables: Tables = field(default_factory=lambda: NO_TABLES)
    """What its orders name by digests, payee tables and documents: read-only views into `data`."""
    table_rows: int = 0
    """How many rows they have together; a table that two orders name counts twice, and is there twice."""

    @property
    def references(self) -> tuple[Name, ...]:
        """The blocks that it references."""
        return names_in(self.names)

    @property
    def signature(self) -> bytes:
        """The author's, over `block_prefix` and the digest."""
        return self.data[-SIGNATURE_BYTES:]


def block_prefix(network: bytes, epoch: int) -> bytes:
    """What a block's signature covers before the digest."""
    return signed_prefix(TAG_BLOCK, network) + epoch.to_bytes(4, "little")


@dataclass(frozen=True, slots=True)
class _Parts:
    """Where the parts of a block begin; the sizes are within their limits and add up."""

    rejections: int
    recovery: int
    orders: int
    attachments: int
    end: int


def _measure(
    data: bytes, least: int, network: bytes, members: int
) -> tuple[np.void, _Parts] | Malformed:
    """A block's fixed head, and where the parts begin of which it tells; `least` is how long it must be."""
    if len(data) < least:
        return Malformed("the block is shorter than its head")
    head = np.frombuffer(data, HEAD, 1)[0]
    if head["format"] != FORMAT:
        return Malformed(f"block format {head['format']} is not known")
    if bytes(head["network"]) != network:
        return Malformed("the block is of another network")
    if head["zero"] or head["zeros"].any():
        return Malformed("reserved bytes are not zero")
    if head["author"] >= members or head["height"] == 0:
        return Malformed("no such author or height")
    if head["incarnation"] >= INCARNATIONS_MAX:
        return Malformed("no author has so many lives in one epoch")
    references, orders = int(head["references"]), int(head["orders"])
    rejection_bytes, recovery_bytes = int(head["rejection_bytes"]), int(head["recovery_bytes"])
    attachment_bytes = int(head["attachment_bytes"])
    if (
        references >= members
        or orders > BLOCK_ORDERS_MAX
        or rejection_bytes > REJECTION_BYTES_MAX
        or recovery_bytes > RECOVERY_BYTES_MAX
        or attachment_bytes > ATTACHMENT_BYTES_MAX
    ):
        return Malformed("a part of the block is above its limit")
    at_rejections = HEAD_BYTES + references * REFERENCE_BYTES
    at_recovery = at_rejections + rejection_bytes
    at_orders = at_recovery + recovery_bytes
    at_attachments = at_orders + orders * ORDER_BYTES
    end = at_attachments + attachment_bytes
    return head, _Parts(at_rejections, at_recovery, at_orders, at_attachments, end)


@dataclass(frozen=True, slots=True)
class Glance:
    """What the fixed head of a block says, before anything that takes longer is looked at."""

    author: int
    epoch: int
    height: int
    incarnation: int
    previous: bytes
    digest: bytes
    orders: int
    """How many."""
    recovery_bytes: int
    parts: _Parts
    data: bytes

    @property
    def signature(self) -> bytes:
        """The author's, over `block_prefix` and the digest."""
        return self.data[-SIGNATURE_BYTES:]


def glance(data: bytes, network: bytes, members: int) -> Glance | Malformed:
    """The cheap part of `read_block`: enough to know whose block it is, and to check its signature."""
    if len(data) > BLOCK_BYTES_MAX:
        return Malformed("the block is longer than 4 MiB")
    measured = _measure(data, HEAD_BYTES + SIGNATURE_BYTES, network, members)
    if isinstance(measured, Malformed):
        return measured
    head, parts = measured
    if parts.end + SIGNATURE_BYTES != len(data):
        return Malformed("the parts of the block do not add up to its length")
    return Glance(
        author=int(head["author"]),
        epoch=int(head["epoch"]),
        height=int(head["height"]),
        incarnation=int(head["incarnation"]),
        previous=bytes(head["previous"]),
        digest=digest(data[: parts.orders]),
        orders=int(head["orders"]),
        recovery_bytes=int(head["recovery_bytes"]),
        parts=parts,
        data=data,
    )


@dataclass(frozen=True, slots=True)
class Head:
    """A block as far as its digest covers it: what proves votes after bodies are pruned."""

    author: int
    epoch: int
    height: int
    incarnation: int
    previous: bytes
    digest: bytes
    references: tuple[Name, ...]
    rejections: tuple[Rejection, ...]
    recovery: Recovery


def head_bytes(data: bytes) -> bytes:
    """The head of a block that is well formed."""
    head = np.frombuffer(data, HEAD, 1)[0]
    references = int(head["references"]) * REFERENCE_BYTES
    return data[
        : HEAD_BYTES + references + int(head["rejection_bytes"]) + int(head["recovery_bytes"])
    ]


def read_head(data: bytes, network: bytes, members: int) -> Head | Malformed:
    """Parse a block's head that stands alone."""
    measured = _measure(data, HEAD_BYTES, network, members)
    if isinstance(measured, Malformed):
        return measured
    head, parts = measured
    if parts.orders != len(data):
        return Malformed("the parts of the head do not add up to its length")
    refs = _read_references(data[HEAD_BYTES : parts.rejections], int(head["author"]), members)
    rejections = _read_rejections(data[parts.rejections : parts.recovery])
    recovery = read_recovery(data[parts.recovery :], members)
    for part in (refs, rejections, recovery):
        if isinstance(part, Malformed):
            return part
    assert not isinstance(refs, Malformed)
    assert not isinstance(rejections, Malformed)
    assert not isinstance(recovery, Malformed)
    return Head(
        author=int(head["author"]),
        epoch=int(head["epoch"]),
        height=int(head["height"]),
        incarnation=int(head["incarnation"]),
        previous=bytes(head["previous"]),
        digest=digest(data),
        references=names_in(refs),
        rejections=rejections,
        recovery=recovery,
    )


def read_block(data: bytes, network: bytes, members: int) -> Block | Malformed:
    """Parse `data`; `members` is the size of the committee, which bounds authors and references."""
    seen = glance(data, network, members)
    return seen if isinstance(seen, Malformed) else read_on(seen, network, members)


def read_on(seen: Glance, network: bytes, members: int) -> Block | Malformed:
    """Parse a block beyond its fixed head, which is well formed."""
    data = seen.data
    head, parts = np.frombuffer(data, HEAD, 1)[0], seen.parts
    if digest(data[parts.orders : parts.end]) != bytes(head["body_digest"]):
        return Malformed("the body is not the one that the head names")
    refs = _read_references(data[HEAD_BYTES : parts.rejections], seen.author, members)
    rejections = _read_rejections(data[parts.rejections : parts.recovery])
    recovery = read_recovery(data[parts.recovery : parts.orders], members)
    orders = np.frombuffer(data, ORDER, seen.orders, parts.orders)
    attached = _read_attachments(data, parts, orders)
    for part in (refs, rejections, recovery, attached):
        if isinstance(part, Malformed):
            return part
    assert not isinstance(refs, Malformed)
    assert not isinstance(rejections, Malformed)
    assert not isinstance(recovery, Malformed)
    assert not isinstance(attached, Malformed)
    return Block(
        author=seen.author,
        epoch=seen.epoch,
        height=seen.height,
        incarnation=seen.incarnation,
        time_ms=int(head["time_ms"]),
        network=network,
        previous=seen.previous,
        digest=seen.digest,
        names=refs,
        rejections=rejections,
        rejected_under=_rejected_under(rejections, refs),
        recovery=recovery,
        orders=orders,
        possessions=attached.possessions,
        data=data,
        tables=attached.tables,
        table_rows=attached.table_rows,
    )


def digest_of(data: bytes) -> bytes:
    """The digest of a block that is well formed."""
    return digest(head_bytes(data))


def _read_references(part: bytes, author: int, members: int) -> npt.NDArray[np.void] | Malformed:
    rows = np.frombuffer(part, REFERENCE)
    authors = rows["author"]
    if (authors[1:] <= authors[:-1]).any():
        return Malformed("the references are not in ascending order of author")
    if (authors >= members).any() or (authors == author).any() or (rows["height"] == 0).any():
        return Malformed("a reference names nobody, or its own author")
    return rows


def names_in(rows: npt.NDArray[np.void]) -> tuple[Name, ...]:
    """Return the blocks that a REFERENCE array (k,) names."""
    part = rows.tobytes()
    return tuple(
        Name(a, i, h, part[at + 8 : at + REFERENCE_BYTES])
        for a, i, h, at in zip(
            rows["author"].tolist(),
            rows["incarnation"].tolist(),
            rows["height"].tolist(),
            range(0, len(part), REFERENCE_BYTES),
            strict=True,
        )
    )


def _read_rejections(part: bytes) -> tuple[Rejection, ...] | Malformed:
    entries: list[Rejection] = []
    at, last = 0, (-1, -1, -1)
    while at < len(part):
        if len(part) - at < REJECTION_HEAD.itemsize:
            return Malformed("a rejection is cut short")
        head = np.frombuffer(part, REJECTION_HEAD, 1, at)[0]
        orders, refused = int(head["orders"]), int(head["refused"])
        key = (int(head["author"]), int(head["incarnation"]), int(head["height"]))
        bitmap = -(-orders >> 3) if orders == 0 else (orders + 7) >> 3
        size = REJECTION_HEAD.itemsize + bitmap + refused
        if orders > BLOCK_ORDERS_MAX or not 0 < refused <= orders or len(part) - at < size:
            return Malformed("a rejection's counts are wrong")
        if key <= last:
            return Malformed("the rejections are not in ascending order")
        at += REJECTION_HEAD.itemsize
        bits = np.unpackbits(np.frombuffer(part, np.uint8, bitmap, at), bitorder="little")
        indices = np.flatnonzero(bits)
        outcomes = np.frombuffer(part, np.uint8, refused, at + bitmap)
        if len(indices) != refused or (refused and indices[-1] >= orders) or not outcomes.all():
            return Malformed("a rejection's bitmap does not fit its counts")
        rows = frozenset(indices.tolist())
        entries.append(Rejection(*key, orders, indices, outcomes, rows))
        at += bitmap + refused
        last = key
    return tuple(entries)


def _rejected_under(
    rejections: tuple[Rejection, ...], names: npt.NDArray[np.void]
) -> tuple[int, ...]:
    if not rejections:
        return ()
    chains = zip(names["author"].tolist(), names["incarnation"].tolist(), strict=True)
    rows = {chain: row for row, chain in enumerate(chains)}
    return tuple(rows.get((r.author, r.incarnation), -1) for r in rejections)


@dataclass(frozen=True, slots=True)
class _Attachments:
    """What travels beside the orders of a block."""

    possessions: dict[int, bytes]
    tables: dict[bytes, PayeeTable]
    table_rows: int


def _read_attachments(
    data: bytes, parts: _Parts, orders: npt.NDArray[np.void]
) -> _Attachments | Malformed:
    """Parse the attachments of a block; whether each order has what it names belongs to it.

    So where a bulk pay-out lies, there its payees are found, and nobody ever looks for them elsewhere.
    """
    possessions: dict[int, bytes] = {}
    tabled: dict[int, bytes] = {}
    tables: dict[bytes, PayeeTable] = {}
    table_rows = 0
    naming = frozenset(np.flatnonzero(HAS_CONTENT[orders["kind"]]).tolist())
    at = parts.attachments
    while at < parts.end:
        if parts.end - at < ATTACHMENT_HEAD.itemsize + INDEX_BYTES:
            return Malformed("an attachment is cut short")
        head = np.frombuffer(data, ATTACHMENT_HEAD, 1, at)[0]
        kind, length = int(head["type"]), int(head["length"])
        at += ATTACHMENT_HEAD.itemsize
        if not ATTACHMENT_POSSESSION <= kind <= ATTACHMENT_TARIFF or head["zero"].any():
            return Malformed("an attachment is of a type that is not known")
        size = length - INDEX_BYTES
        if not _is_size_of(kind, size) or parts.end - at < length:
            return Malformed("an attachment has not the length of its type, or is cut short")
        index = int.from_bytes(data[at : at + INDEX_BYTES], "little")
        content = data[at + INDEX_BYTES : at + length]
        if index >= len(orders) or index in (
            possessions if kind == ATTACHMENT_POSSESSION else tabled
        ):
            return Malformed("an attachment belongs to no order, or to one that has its own")
        if kind == ATTACHMENT_POSSESSION:
            possessions[index] = content
        else:
            name = _DIGEST_OF[kind](content)
            named = orders[index]["reference"].tobytes()
            if _CONTENT_OF.get(int(orders[index]["kind"])) != kind or named != name:
                return Malformed("a payee table or a tariff is not the one that its order names")
            tabled[index] = name
            row = PAYEE if kind == ATTACHMENT_PAYEES else DOCUMENT
            tables[name] = np.frombuffer(data, row, size // row.itemsize, at + INDEX_BYTES)
            table_rows += -(-size // PAYEE.itemsize)
        at += length
    if len(tabled) != len(naming):
        return Malformed("an order came without the payee table or the tariff that it names")
    return _Attachments(possessions, tables, table_rows)


_DIGEST_OF: Final = {ATTACHMENT_PAYEES: table_digest, ATTACHMENT_TARIFF: document_digest}


def _is_size_of(kind: int, size: int) -> bool:
    """Whether an attachment of this type may have so many bytes after its index."""
    if kind == ATTACHMENT_POSSESSION:
        return size == SIGNATURE_BYTES
    if kind == ATTACHMENT_TARIFF:
        return 0 < size <= TARIFF_BYTES_MAX
    rows, rest = divmod(size, PAYEE.itemsize)
    return rest == 0 and 0 < rows <= PAYEES_MAX


def write_rejection(
    author: int,
    incarnation: int,
    height: int,
    orders: int,
    indices: npt.NDArray[np.intp],
    outcomes: npt.NDArray[np.uint8],
) -> bytes:
    """One rejection entry; `indices` ascending, `outcomes` as long, neither empty."""
    head = np.zeros(1, REJECTION_HEAD)
    head["author"], head["incarnation"], head["height"] = author, incarnation, height
    head["orders"], head["refused"] = orders, len(indices)
    bits = np.zeros(orders, np.uint8)
    bits[indices] = 1
    return head.tobytes() + np.packbits(bits, bitorder="little").tobytes() + outcomes.tobytes()


def write_possession(index: int, signature: bytes) -> bytes:
    """The attachment that proves that the key of an enrolment signed it."""
    return _written(ATTACHMENT_POSSESSION, index, signature)


def write_payees(index: int, table: bytes) -> bytes:
    """The attachment that says whom a bulk pay-out pays: PAYEE rows as bytes."""
    return _written(ATTACHMENT_PAYEES, index, table)


def write_tariff(index: int, document: bytes) -> bytes:
    """The attachment that brings a new tariff, in its canonical form."""
    return _written(ATTACHMENT_TARIFF, index, document)


def write_content(index: int, kind: int, content: bytes) -> bytes:
    """The attachment that an order of this kind names by its digest."""
    write = write_payees if kind == OrderKind.BULK_PAY_OUT else write_tariff
    return write(index, content)


def attached_bytes(content: bytes) -> int:
    """How many bytes of a block's attachments this content takes."""
    return ATTACHMENT_HEAD.itemsize + INDEX_BYTES + len(content)


def _written(kind: int, index: int, content: bytes) -> bytes:
    head = np.zeros(1, ATTACHMENT_HEAD)
    head["type"], head["length"] = kind, INDEX_BYTES + len(content)
    return head.tobytes() + index.to_bytes(INDEX_BYTES, "little") + content


@dataclass(frozen=True, slots=True)
class Draft:
    """What an author wants to say; `write_block` makes the bytes that it will sign."""

    network: bytes
    epoch: int
    author: int
    height: int
    previous: bytes
    time_ms: int
    references: tuple[Name, ...]
    rejections: bytes = b""
    recovery: bytes = b""
    orders: bytes = b""
    attachments: bytes = b""
    incarnation: int = 0


def write_block(draft: Draft) -> tuple[bytes, bytes]:
    """(the block without its signature, its digest)."""
    head = np.zeros(1, HEAD)
    head["format"], head["author"], head["epoch"] = FORMAT, draft.author, draft.epoch
    head["height"], head["time_ms"] = draft.height, draft.time_ms
    head["incarnation"], head["recovery_bytes"] = draft.incarnation, len(draft.recovery)
    head["network"] = np.frombuffer(draft.network, np.uint8)
    head["previous"] = np.frombuffer(draft.previous, np.uint8)
    body = draft.orders + draft.attachments
    head["body_digest"] = np.frombuffer(digest(body), np.uint8)
    head["references"], head["rejection_bytes"] = len(draft.references), len(draft.rejections)
    head["orders"], head["attachment_bytes"] = (
        len(draft.orders) // ORDER_BYTES,
        len(draft.attachments),
    )
    kept = head.tobytes() + write_names(draft.references) + draft.rejections + draft.recovery
    return kept + body, digest(kept)


def write_names(names: tuple[Name, ...]) -> bytes:
    """Return blocks' names as they stand in references, heads, proofs and fetches by name."""
    return b"".join(
        name.author.to_bytes(2, "little")
        + name.incarnation.to_bytes(2, "little")
        + name.height.to_bytes(4, "little")
        + name.digest
        for name in names
    )


def read_heads(content: bytes, members: int) -> npt.NDArray[np.void] | Malformed:
    """Return a frame of heads as a REFERENCE array, or why it is none.

    The newest block of each author, in their order, and then loose ends.
    """
    count, rest = divmod(len(content), REFERENCE_BYTES)
    if rest or not members <= count <= members + LOOSE_ENDS_MAX:
        return Malformed("heads are not as many as the super-agents")
    rows = np.frombuffer(content, REFERENCE)
    if (rows["author"][:members] != np.arange(members)).any():
        return Malformed("heads are not in the order of the super-agents")
    if (rows["author"] >= members).any():
        return Malformed("a loose end is nobody's")
    return rows


def read_named(content: bytes, members: int) -> tuple[Name, ...] | Malformed:
    """Return the blocks that a frame asks for by name, or why it asks for nothing."""
    count, rest = divmod(len(content), REFERENCE_BYTES)
    if rest or not 0 < count <= FETCH_RANGES_MAX:
        return Malformed("a fetch by name has not 1 to 256 names")
    rows = np.frombuffer(content, REFERENCE)
    if (rows["author"] >= members).any() or (rows["height"] == 0).any():
        return Malformed("a fetch names nobody")
    return names_in(rows)


def write_fetch(ranges: tuple[Range, ...]) -> bytes:
    """Return the content of a frame that asks for these heights."""
    rows = np.zeros(len(ranges), FETCH)
    rows["author"] = [part.author for part in ranges]
    rows["incarnation"] = [part.incarnation for part in ranges]
    rows["first"] = [part.first for part in ranges]
    rows["last"] = [part.last for part in ranges]
    return rows.tobytes()


def read_fetch(content: bytes, members: int) -> tuple[Range, ...] | Malformed:
    """Return the heights that a frame asks for, or why it asks for nothing."""
    count, rest = divmod(len(content), FETCH.itemsize)
    if rest or not 0 < count <= FETCH_RANGES_MAX:
        return Malformed("a fetch is not a list of 1 to 256 ranges")
    rows = np.frombuffer(content, FETCH)
    if (rows["author"] >= members).any():
        return Malformed("a fetch names nobody")
    if (rows["first"] == 0).any() or (rows["first"] > rows["last"]).any():
        return Malformed("a fetch has an empty range")
    return tuple(Range(*row) for row in rows[["author", "first", "last", "incarnation"]].tolist())
