"""Receipts that prove themselves: one order and the words of w super-agents, small enough for a QR code.

Of w = f + 1 super-agents that sign "this order is final" one is honest, so whoever holds their keys
believes it and asks nobody: `verify_proof` needs no network, no clock and no file but the genesis.
It says that the order is final and what stands in it. It does not say that this is the first time
that somebody shows it: whoever hands goods over for it takes each receipt code once.

`docs/wire.md` section 15 is the layout. A proof has one form only, with exactly w signatures in
ascending order of their signers, and every byte of it is either signed or checked.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from typing import Final

import numpy as np

from harambee.handset.base45 import Base45Error, decode, encode, text_length
from harambee.handset.holds import slot_named
from harambee.handset.orders import OrderBody, order_id
from harambee.handset.receipt_code import code_of
from harambee.handset.receipts import Receipt
from harambee.ledger.kinds import ENDINGS, MOVEMENTS, OrderKind
from harambee.ledger.records import BODY_BYTES, ORDER, ORDER_BYTES
from harambee.ledger.rules import Order
from harambee.money.amounts import format_cents
from harambee.protocol.genesis import Genesis

BEGINS: Final = "HRB1:"
VERSION: Final = 1
_HEAD: Final = struct.Struct(f"<BI{BODY_BYTES}sH")
_WORD: Final = struct.Struct("<H64s")
HEAD_BYTES: Final = 71
WORD_BYTES: Final = 66
assert _HEAD.size == HEAD_BYTES
assert _WORD.size == WORD_BYTES
SIGNERS_MAX: Final = 1_024
"""More than any committee needs: of a longer text nothing is read."""


def proof_characters(signers: int) -> int:
    """Return how long the text of a proof is."""
    return len(BEGINS) + text_length(HEAD_BYTES + signers * WORD_BYTES)


CHARACTERS_MAX: Final = proof_characters(SIGNERS_MAX)
QR_CHARACTERS_MAX: Final = 4_296
"""What a QR code of version 40 and error correction L holds of base45's characters."""
assert proof_characters(34) <= QR_CHARACTERS_MAX, "a hundred super-agents fit"

_EPOCH: Final = date(1970, 1, 1)


class ProofError(Exception):
    """A text proves nothing, or not what was asked; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What a text claims; nothing of it is checked but its form."""

    epoch: int
    body: bytes
    """The order without its signature, 64 bytes."""
    receipts: tuple[Receipt, ...]

    def to_bytes(self) -> bytes:
        """Return the bytes, for one who has another carrier than text."""
        head = _HEAD.pack(VERSION, self.epoch, self.body, len(self.receipts))
        words = (_WORD.pack(word.super_agent, word.signature) for word in self.receipts)
        return head + b"".join(words)

    def to_text(self) -> str:
        """Return the text, all of it in the characters that a QR code packs best."""
        return BEGINS + encode(self.to_bytes())


@dataclass(frozen=True, slots=True)
class Proven:
    """What w super-agents have signed: this order is final. Amounts in cents."""

    payer: int
    """Whose money it is about: of what ends a hold the hold's payer, whoever of the two signed."""
    payee: int
    amount_cents: int
    fee_cents: int
    sequence: int
    """Of the payer's: of what ends a hold, that of the hold."""
    kind: OrderKind
    day: date
    """That of the order; it became final on that day, or on the one before or after it."""
    reference: bytes
    order: Order
    """As the ledger's rules read it."""
    receipt_code: str
    order_id: bytes
    signers: tuple[str, ...]
    """The names of the super-agents that signed."""

    @property
    def moves_money(self) -> bool:
        """Whether money moved by it: a cancel is final too, and moves none."""
        return MOVEMENTS[self.kind].moves_money

    @property
    def is_bulk(self) -> bool:
        """Whether payees and amounts stand in a table, which the order names by its hash alone."""
        return MOVEMENTS[self.kind].by_table

    def check_payment(self, payee: int | None = None, amount_cents: int = 0) -> None:
        """Raise ProofError unless this account was paid at least so much by this order."""
        if not self.moves_money:
            raise ProofError(f"No money moved by this order: it is {_spoken(self.kind)}.")
        if self.is_bulk:
            raise ProofError("This is a bulk pay-out, and its proof does not say who was paid.")
        if payee is not None and payee != self.payee:
            raise ProofError(f"This paid account {self.payee}, not account {payee}.")
        if self.amount_cents < amount_cents:
            raise ProofError(
                f"This paid {format_cents(self.amount_cents)}, "
                f"which is less than {format_cents(amount_cents)}."
            )

    @property
    def sentence(self) -> str:
        """Everything of it in one sentence, for people."""
        kind = self.kind.name.lower().replace("_", " ")
        parties = f"from account {self.payer} to account {self.payee}"
        if self.payer == self.payee:
            parties = f"by account {self.payer}"
        return (
            f"{self.receipt_code} is final: {kind}, {format_cents(self.amount_cents)} {parties}, "
            f"fee {format_cents(self.fee_cents)}, order of {self.day.isoformat()}."
        )


def make_proof(genesis: Genesis, body: bytes, receipts: Iterable[Receipt]) -> Proof:
    """Return the proof that an order is final, of w of these receipts; ProofError if too few hold.

    `body` is the order's 64 bytes, or its 128. Receipts that do not hold, and a second one of one
    super-agent, are left out.
    """
    committee = genesis.committee
    body = body[:BODY_BYTES]
    name = order_id(genesis.network, body)
    held = {word.super_agent: word for word in receipts if word.holds(genesis, name)}
    if len(held) < committee.w:
        raise ProofError(
            f"A proof needs the receipts of {committee.w} super-agents, and there are {len(held)}."
        )
    chosen = sorted(held)[: committee.w]
    return Proof(committee.epoch, body, tuple(held[index] for index in chosen))


def read_proof(text: str) -> Proof:
    """Return what a text claims, unchecked; ProofError for a text that is no proof.

    White space around it does not matter. Whatever the text is, nothing else is raised.
    """
    if len(text) > CHARACTERS_MAX:
        raise ProofError("This is no proof: it is longer than any.")
    text = text.strip()
    if not text.startswith(BEGINS):
        raise ProofError(f"This is no proof: one begins with {BEGINS}")
    try:
        content = decode(text[len(BEGINS) :])
    except Base45Error as error:
        raise ProofError(f"This is no proof: {_lowered(str(error))}") from error
    if content and content[0] != VERSION:
        raise ProofError(f"The proof has version {content[0]}; this software reads {VERSION}.")
    if len(content) < HEAD_BYTES:
        raise ProofError("This is no proof: it is cut short.")
    _, epoch, body, count = _HEAD.unpack_from(content)
    if len(content) != HEAD_BYTES + count * WORD_BYTES:
        raise ProofError("This is no proof: it has not as many signatures as it says.")
    words = _WORD.iter_unpack(content[HEAD_BYTES:])
    return Proof(epoch, body, tuple(Receipt(index, signature) for index, signature in words))


def verify_proof(text: str, genesis: Genesis) -> Proven:
    """Return what a proof proves, by the committee's keys alone; ProofError with one sentence if not.

    Asks nobody, and raises nothing else whatever the text is. Of the genesis it takes the network's
    id, the super-agents' keys and the number of regions, never an account.
    """
    proof = read_proof(text)
    committee = genesis.committee
    if proof.epoch != committee.epoch:
        raise ProofError(
            f"The proof is of the committee of epoch {proof.epoch}, not of epoch {committee.epoch}."
        )
    signers = [word.super_agent for word in proof.receipts]
    if len(signers) != committee.w:
        raise ProofError(
            f"A proof has the signatures of {committee.w} super-agents, and this has {len(signers)}."
        )
    if any(first >= second for first, second in pairwise(signers)):
        raise ProofError("The signers of the proof do not stand in order, each once.")
    if signers[-1] >= committee.n:
        raise ProofError("The proof is signed by a super-agent that this network does not have.")
    name = order_id(genesis.network, proof.body)
    for word in proof.receipts:
        if not word.holds(genesis, name):
            signer = committee.members[word.super_agent].name
            raise ProofError(
                f"The signature of {signer} does not hold: the proof is forged, was altered, or is "
                "of another network."
            )
    try:
        body = OrderBody.from_bytes(proof.body)
    except ValueError as error:
        raise ProofError("The proof is of a kind of order that this software does not know.") from (
            error
        )
    return _proven(genesis, body, name, tuple(committee.members[s].name for s in signers))


def _proven(genesis: Genesis, body: OrderBody, name: bytes, signers: tuple[str, ...]) -> Proven:
    payer, sequence = body.payer, body.sequence
    if body.kind in ENDINGS:
        payer, sequence = slot_named(body)
    return Proven(
        payer=payer,
        payee=body.payee,
        amount_cents=body.amount_cents,
        fee_cents=body.fee_cents,
        sequence=sequence,
        kind=body.kind,
        day=_EPOCH + timedelta(days=body.day),
        reference=body.reference,
        order=Order.of(np.frombuffer(body.to_bytes().ljust(ORDER_BYTES, b"\0"), ORDER)[0]),
        receipt_code=code_of(body.to_bytes(), genesis.regions),
        order_id=name,
        signers=signers,
    )


def _lowered(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]


def _spoken(kind: OrderKind) -> str:
    name = kind.name.lower().replace("_", " ")
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"
