"""The day's close: what one day's final orders made every party owe, signed by each super-agent.

A document is canonical: whoever holds the same final orders makes the same bytes (docs/wire.md,
section 16). It rests on the day that each order says of itself, on no clock and no order of arrival.
So super-agents need not agree on anything to close a day: they sign, and whoever fetches their words
compares them. q that are equal settle the day.

A file of closes holds all that was fetched, one document after the other with its signatures; the
committee's keys alone prove it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from harambee.crypto.hashing import TAG_DAY_CLOSE, digest, signed_prefix
from harambee.crypto.signatures import Signer, sign, verify
from harambee.oversight.settlement_parties import PARTIES_MAX, Party
from harambee.protocol.committee import Committee

GRACE_DAYS: Final = 2
"""Voters accept an order on the day after its own; from the day after that on, no more."""

_HEAD_BYTES: Final = 32 + 4 + 2 + 8 + 32 + 2 + 2
_CENTS_BYTES: Final = 16
"""Signed, so that no sum of a day can be too large to write down."""
_ROW_BYTES: Final = 4 + 2 * _CENTS_BYTES
_FLOW_BYTES: Final = 2 + 2 + _CENTS_BYTES
_SIGNATURE_BYTES: Final = 64
CLOSE_BYTES_MAX: Final = _HEAD_BYTES + PARTIES_MAX * _ROW_BYTES
FLOWS_BYTES_MAX: Final = 32 << 20
"""1,677,721 pairs of parties: 1,295 parties who all paid each other."""
FILE_MAGIC: Final = b"hrb1:day-closes".ljust(16, b"\0")
FILE_BYTES_MAX: Final = 64 << 20
DOCUMENTS_MAX: Final = 64
"""How many different words on one day a file holds; more are not worth a regulator's time."""

Cells = Mapping[tuple[int, int], int]
"""(row of the paying party, row of the paid one) -> cents, more than none."""


class CloseError(ValueError):
    """These bytes are no close, or no file of them; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class DayClose:
    """What one day's final orders came to, for every party; rows belong together. Amounts in cents."""

    network: bytes
    epoch: int
    day: int
    orders: int
    """How many final orders say that they are of this day, payments or not."""
    flows_digest: bytes
    """Names the flows between all pairs, which travel beside the document."""
    parties: tuple[Party, ...]
    positions_cents: tuple[int, ...]
    """What a party received from others less what it gave them; they add up to zero."""
    balances_cents: tuple[int, ...]
    """What its accounts hold after all orders of this day and the days before it; a bank is below
    zero by what it owes. They add up to zero."""

    @property
    def circulation_cents(self) -> int:
        """E-money in circulation at the end of the day: all that is in no bank's account."""
        return sum(
            cents
            for party, cents in zip(self.parties, self.balances_cents, strict=True)
            if not party.is_bank
        )

    @property
    def owed_cents(self) -> dict[int, int]:
        """What each bank owes at the end of the day, by its account."""
        return {
            party.number: -cents
            for party, cents in zip(self.parties, self.balances_cents, strict=True)
            if party.is_bank
        }

    def to_bytes(self) -> bytes:
        """Return the canonical document, what a super-agent signs."""
        banks = sum(party.is_bank for party in self.parties)
        rows = zip(self.parties, self.positions_cents, self.balances_cents, strict=True)
        return b"".join(
            [
                self.network,
                self.epoch.to_bytes(4, "little"),
                self.day.to_bytes(2, "little"),
                self.orders.to_bytes(8, "little"),
                self.flows_digest,
                (len(self.parties) - banks).to_bytes(2, "little"),
                banks.to_bytes(2, "little"),
                *(
                    party.number.to_bytes(4, "little") + _cents(position) + _cents(balance)
                    for party, position, balance in rows
                ),
            ]
        )


def _cents(cents: int) -> bytes:
    return cents.to_bytes(_CENTS_BYTES, "little", signed=True)


@dataclass(slots=True)
class _Reader:
    """Takes bytes apart; CloseError where they end too early."""

    data: bytes
    at: int = 0

    def take(self, count: int) -> bytes:
        part = self.data[self.at : self.at + count]
        if len(part) != count:
            raise CloseError("the close is cut short")
        self.at += count
        return part

    def number(self, count: int, *, signed: bool = False) -> int:
        return int.from_bytes(self.take(count), "little", signed=signed)

    @property
    def is_at_end(self) -> bool:
        return self.at == len(self.data)


def read_close(data: bytes) -> DayClose:
    """Read a document, whoever sent it; CloseError unless it is one to the last byte."""
    if len(data) > CLOSE_BYTES_MAX:
        raise CloseError("the close is too long")
    reader = _Reader(data)
    network, epoch, day = reader.take(32), reader.number(4), reader.number(2)
    orders, flows_digest = reader.number(8), reader.take(32)
    super_agents, banks = reader.number(2), reader.number(2)
    if super_agents + banks > PARTIES_MAX:
        raise CloseError("the close has more parties than there can be")
    parties, positions, balances = [], [], []
    for row in range(super_agents + banks):
        parties.append(Party(is_bank=row >= super_agents, number=reader.number(4)))
        positions.append(reader.number(_CENTS_BYTES, signed=True))
        balances.append(reader.number(_CENTS_BYTES, signed=True))
    if not reader.is_at_end:
        raise CloseError("something follows the close")
    accounts = [party.number for party in parties[super_agents:]]
    if [party.number for party in parties[:super_agents]] != list(range(super_agents)):
        raise CloseError("the super-agents of the close are not in the committee's order")
    if sorted(set(accounts)) != accounts:
        raise CloseError("the banks of the close are not in ascending order, each once")
    if sum(positions) or sum(balances):
        raise CloseError("the positions or balances of the close do not add up to zero")
    return DayClose(
        network,
        epoch,
        day,
        orders,
        flows_digest,
        tuple(parties),
        tuple(positions),
        tuple(balances),
    )


# -- the flows beside it --------------------------------------------------------------------------


def write_flows(cells: Cells) -> bytes:
    """Return the flows between all pairs of parties, canonical: ascending, without empty ones."""
    return b"".join(
        payer.to_bytes(2, "little") + payee.to_bytes(2, "little") + _cents(cents)
        for (payer, payee), cents in sorted(cells.items())
        if cents
    )


def flows_digest(flows: bytes) -> bytes:
    """Return the 32 bytes by which a close names its flows."""
    return digest(b"harambee day flows", flows)


def read_flows(data: bytes, close: DayClose) -> Cells:
    """Return the flows that this close names, by pairs of its rows; CloseError if they are not they."""
    if len(data) > FLOWS_BYTES_MAX or flows_digest(data) != close.flows_digest:
        raise CloseError("the flows are not those that the close names")
    reader, cells = _Reader(data), {}
    positions = [0] * len(close.parties)
    before = (-1, -1)
    while not reader.is_at_end:
        pair = reader.number(2), reader.number(2)
        cents = reader.number(_CENTS_BYTES, signed=True)
        if pair <= before or pair[0] == pair[1] or cents <= 0 or max(pair) >= len(positions):
            raise CloseError("the flows of the close are not in their one order")
        before = pair
        cells[pair] = cents
        positions[pair[0]] -= cents
        positions[pair[1]] += cents
    if tuple(positions) != close.positions_cents:
        raise CloseError("the flows do not add up to the positions of the close")
    return cells


def net_debts(cells: Cells) -> list[tuple[int, int, int]]:
    """Return who owes whom, and how many cents, after the two directions of a pair are set off."""
    debts = []
    for (payer, payee), cents in sorted(cells.items()):
        net = cents - cells.get((payee, payer), 0)
        if net > 0:
            debts.append((payer, payee, net))
    return debts


# -- signed words ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Word:
    """One super-agent's signed close."""

    super_agent: int
    document: bytes
    signature: bytes

    def holds(self, committee: Committee, network: bytes) -> bool:
        """Whether that super-agent signed this document, for this network and epoch."""
        if not 0 <= self.super_agent < committee.n:
            return False
        key = committee.members[self.super_agent].key
        return verify(key, _signed(network, committee.epoch, self.document), self.signature)


def sign_close(signer: Signer, close: DayClose) -> bytes:
    """Return a super-agent's 64-byte signature under a close."""
    return sign(signer, _signed(close.network, close.epoch, close.to_bytes()))


def _signed(network: bytes, epoch: int, document: bytes) -> bytes:
    return signed_prefix(TAG_DAY_CLOSE, network) + epoch.to_bytes(4, "little") + document


@dataclass(frozen=True, slots=True)
class Statement:
    """One document, and who signed it."""

    close: DayClose
    signatures: Mapping[int, bytes]
    """By super-agent, each checked."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the words on one day say together."""

    day: int
    statements: tuple[Statement, ...]
    """The one with most signatures first."""
    refused: Mapping[int, str] = field(default_factory=dict)
    """Whose word counts for nothing, and why, in one sentence's end."""

    @property
    def agreed(self) -> Statement | None:
        """The document that most super-agents signed, or None where nobody did."""
        return self.statements[0] if self.statements else None

    def is_settled(self, committee: Committee) -> bool:
        """Whether q super-agents signed one and the same document."""
        return self.agreed is not None and len(self.agreed.signatures) >= committee.q


def weigh(committee: Committee, network: bytes, day: int, words: Iterable[Word]) -> Outcome:
    """Check every word with the committee's keys, and sort them by what they say."""
    by_document: dict[bytes, dict[int, bytes]] = {}
    closes: dict[bytes, DayClose] = {}
    refused: dict[int, str] = {}
    for word in words:
        why = None
        if not word.holds(committee, network):
            why = "its signature does not hold"
        else:
            try:
                close = closes.setdefault(word.document, read_close(word.document))
            except CloseError as error:
                why = str(error)
            else:
                why = _why_not(close, committee, network, day)
        if why is not None:
            refused[word.super_agent] = why
        else:
            by_document.setdefault(word.document, {})[word.super_agent] = word.signature
    ranked = sorted(by_document, key=lambda document: (-len(by_document[document]), document))
    statements = tuple(Statement(closes[document], by_document[document]) for document in ranked)
    return Outcome(day, statements, refused)


def _why_not(close: DayClose, committee: Committee, network: bytes, day: int) -> str | None:
    """Why a signed close is none of this day and network; None if it is one."""
    if close.network != network or close.epoch != committee.epoch:
        return "it is of another network or epoch"
    if close.day != day:
        return "it is of another day"
    if sum(not party.is_bank for party in close.parties) != committee.n:
        return "its super-agents are not those of the committee"
    return None


def differences(said: DayClose, other: DayClose, name: Callable[[Party], str]) -> list[str]:
    """Return by what another close differs from what most said, a few words for each difference."""
    found = []
    if other.orders != said.orders:
        found.append(f"{other.orders} orders instead of {said.orders}")
    if other.parties != said.parties:
        return [*found, "other parties"]
    pairs = zip(
        said.parties,
        said.positions_cents,
        other.positions_cents,
        said.balances_cents,
        other.balances_cents,
        strict=True,
    )
    for party, position, others_position, balance, others_balance in pairs:
        if position != others_position:
            more = others_position - position
            found.append(f"{more:+} cents in the position of {name(party)}")
        elif balance != others_balance:
            more = others_balance - balance
            found.append(f"{more:+} cents from earlier days in the balance of {name(party)}")
    if not found and other.flows_digest != said.flows_digest:
        found.append("other flows between the same positions")
    return found


# -- a file of them -------------------------------------------------------------------------------


def write_file(outcome: Outcome, flows: bytes) -> bytes:
    """Return a file of all that was said of a day; `flows` are those of the first document."""
    statements = outcome.statements[:DOCUMENTS_MAX]
    parts = [FILE_MAGIC, len(statements).to_bytes(2, "little")]
    for statement in statements:
        parts.append(_sized(statement.close.to_bytes()))
        parts.append(len(statement.signatures).to_bytes(2, "little"))
        parts += [
            index.to_bytes(2, "little") + signature
            for index, signature in sorted(statement.signatures.items())
        ]
    return b"".join([*parts, _sized(flows)])


def _sized(content: bytes) -> bytes:
    return len(content).to_bytes(4, "little") + content


def read_file(data: bytes, committee: Committee, network: bytes) -> tuple[Outcome, Cells]:
    """Check a file with the committee's keys alone; CloseError where it is none, or proves nothing."""
    if data[: len(FILE_MAGIC)] != FILE_MAGIC:
        raise CloseError("this is no file of a day's close")
    if len(data) > FILE_BYTES_MAX:
        raise CloseError("the file is too long")
    reader = _Reader(data, len(FILE_MAGIC))
    count = reader.number(2)
    if not 0 < count <= DOCUMENTS_MAX:
        raise CloseError("the file has no close, or more than it may")
    words: list[Word] = []
    first: DayClose | None = None
    for _ in range(count):
        document = _read_sized(reader, CLOSE_BYTES_MAX)
        first = first or read_close(document)
        signatures = reader.number(2)
        if signatures > committee.n:
            raise CloseError("a close of the file has more signatures than there are super-agents")
        words += [
            Word(reader.number(2), document, reader.take(_SIGNATURE_BYTES))
            for _ in range(signatures)
        ]
    flows = _read_sized(reader, FLOWS_BYTES_MAX)
    if not reader.is_at_end:
        raise CloseError("something follows the closes of the file")
    assert first is not None, "there is at least one"
    outcome = weigh(committee, network, first.day, words)
    if outcome.agreed is None:
        raise CloseError("no signature of the file holds")
    return outcome, read_flows(flows, outcome.agreed.close)


def _read_sized(reader: _Reader, most: int) -> bytes:
    length = reader.number(4)
    if length > most:
        raise CloseError("a part of the file is longer than it may be")
    return reader.take(length)


def missing(committee: Committee, heard: Sequence[int]) -> list[int]:
    """Return the super-agents of whom nothing was heard."""
    return sorted(set(range(committee.n)) - set(heard))
