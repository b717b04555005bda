"""Making what super-agents approve: the order, as whoever proposes it writes it.

An order of governance is proposed by one super-agent, in the next slot of what it is about. Everything
in it can be read off the network, so a telephone that asks for a new key writes the very bytes that
its super-agent will sign, and the new key signs them for itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from harambee.crypto.keys import OwnerKey, public_of
from harambee.handset.agreement import DisagreementError
from harambee.handset.believing import HandsetError, believed
from harambee.handset.doors import Door, GovernedView
from harambee.handset.orders import (
    NO_OPTIONS,
    NO_REFERENCE,
    OrderBody,
    sign_possession,
    today,
)
from harambee.ledger.kinds import OrderKind
from harambee.ledger.payees import document_digest
from harambee.ledger.records import (
    BODY_BYTES,
    POSITION_ENROLMENT,
    account_number,
    region_of,
)
from harambee.money.tariff import Tariff
from harambee.protocol.genesis import Genesis

POSSESSION_BYTES: Final = 64
REQUEST_TAG: Final = "HRBK1:"
"""How the text begins that a new phone shows to its super-agent."""


@dataclass(frozen=True, slots=True)
class Act:
    """What is to be done to an account."""

    kind: OrderKind
    account: int
    amount_cents: int = 0
    """Of a freeze or an unfreeze; 0 for the whole account. Of an attestation: what is held in trust."""
    tier: int = 0


async def governed_now(genesis: Genesis, doors: Sequence[Door], account: int) -> GovernedView:
    """Return what of an account is governed, as w super-agents say; HandsetError if there is none."""
    try:
        found = await believed(genesis, doors, lambda door: door.governed(account))
    except DisagreementError as error:
        raise HandsetError(str(error)) from error
    if found is None:
        raise HandsetError("The network has no account of this number.")
    return found


async def body_of(
    genesis: Genesis, doors: Sequence[Door], act: Act, super_agent: int | None = None
) -> OrderBody:
    """Return the order that proposes an act; by the super-agent of that index, else the account's own."""
    view = await governed_now(genesis, doors, act.account)
    payer = view.enrolment_account
    if act.kind is OrderKind.ATTEST:
        payer = act.account
    elif super_agent is not None:
        payer = enrolment_of(genesis, super_agent, act.account)
    return OrderBody(
        payer=payer,
        payee=act.account,
        amount_cents=act.amount_cents,
        fee_cents=0,
        sequence=view.next_slot,
        kind=act.kind,
        tariff=genesis.tariffs[0].version,
        day=today(),
        options=bytes([act.tier, 0, 0]) if act.kind is OrderKind.SET_TIER else NO_OPTIONS,
        reference=NO_REFERENCE,
    )


async def tariff_body(
    genesis: Genesis, doors: Sequence[Door], tariff: Tariff, first_day: int, super_agent: int
) -> OrderBody:
    """Return the order that proposes a new tariff from a day on; its document goes beside it."""
    try:
        sequence = await believed(genesis, doors, lambda door: door.tariff_slot())
    except DisagreementError as error:
        raise HandsetError(str(error)) from error
    payer = enrolment_of(genesis, super_agent, None)
    return OrderBody(
        payer=payer,
        payee=payer,
        amount_cents=0,
        fee_cents=0,
        sequence=sequence,
        kind=OrderKind.NEW_TARIFF,
        tariff=tariff.version,
        day=today(),
        options=first_day.to_bytes(2, "little") + b"\0",
        reference=document_digest(tariff.to_bytes()),
    )


def enrolment_of(genesis: Genesis, super_agent: int, account: int | None) -> int:
    """Return a super-agent's enrolment account: of the account's region if it is its own, or its first."""
    regions = genesis.committee.members[super_agent].regions
    if not regions:
        raise HandsetError("This super-agent has no region, and proposes nothing.")
    region = (
        regions[0] if account is None or region_of(account) not in regions else region_of(account)
    )
    return account_number(region, POSITION_ENROLMENT)


@dataclass(frozen=True, slots=True)
class KeyRequestText:
    """What a new phone hands to its super-agent: the order, and what the new key signed of it."""

    body: bytes
    possession: bytes

    def to_text(self) -> str:
        """Return it as it is shown, sent or typed."""
        return REQUEST_TAG + (self.body + self.possession).hex()

    @classmethod
    def from_text(cls, text: str) -> "KeyRequestText":
        """Return what such a text says; HandsetError, one sentence, if it is none."""
        bare = text.strip()
        hexadecimal = bare.removeprefix(REQUEST_TAG)
        wanted = 2 * (BODY_BYTES + POSSESSION_BYTES)
        try:
            content = bytes.fromhex(hexadecimal) if len(hexadecimal) == wanted else b""
            whole = OrderBody.from_bytes(content) if content else None
        except ValueError:
            whole = None
        if bare == hexadecimal or whole is None or whole.kind is not OrderKind.REQUEST_KEY:
            raise HandsetError("This is not what a new phone shows; copy the whole of it.")
        return cls(content[:BODY_BYTES], content[BODY_BYTES:])


def key_options(keypair: OwnerKey) -> bytes:
    """Return the option bytes of an order that brings this key: its type and the sign of y."""
    return bytes([0, public_of(keypair).form, 0])


async def ask_for_key(
    genesis: Genesis, doors: Sequence[Door], account: int, keypair: OwnerKey
) -> KeyRequestText:
    """Return the request for a new key, written and signed on the phone that holds it."""
    view = await governed_now(genesis, doors, account)
    body = OrderBody(
        payer=view.enrolment_account,
        payee=account,
        amount_cents=0,
        fee_cents=0,
        sequence=view.next_slot,
        kind=OrderKind.REQUEST_KEY,
        tariff=genesis.tariffs[0].version,
        day=today(),
        options=key_options(keypair),
        reference=keypair.public,
    )
    return KeyRequestText(body.to_bytes(), sign_possession(keypair, genesis.network, body))
