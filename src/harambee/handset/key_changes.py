"""Keys that change: the owner's own wish, a lost phone's new key taking over, and the old key's no.

Two keys lie on disk from before an order is signed until it is final: a crash in between loses neither,
and the same command goes on where it was.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harambee.crypto.keys import OwnerKey, public_of
from harambee.handset.believing import HandsetError
from harambee.handset.doors import Door, GovernedView
from harambee.handset.governed_words import day_shown
from harambee.handset.governing import governed_now, key_options
from harambee.handset.handset import PATIENCE_S, Handset, Payment, lasting_account
from harambee.handset.orders import OrderBody, order_id, sign_order, today
from harambee.handset.settlement import Settlement, SlotOfOrders
from harambee.handset.wallet import KeyWanted, Wallet, finish_wallet, wanted_key
from harambee.ledger.kinds import OrderKind
from harambee.ledger.outcomes import SENTENCES
from harambee.ledger.records import KEY_FORM_MASK, KeyType
from harambee.protocol.genesis import Genesis

TRIES: Final = 5
PAUSE_S: Final = 0.5
"""Between two tries: another order of the account may have come first."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A new key that took over."""

    wallet: Wallet
    order: bytes


async def change_key(handset: Handset, key_type: KeyType | None = None) -> Payment:
    """Give the account a new key, made on this device; the old one is replaced once that is final.

    It is of the old one's type, unless another is wished.
    """
    new = handset.wallet.new_key(key_type)
    return await handset.bring(
        OrderKind.CHANGE_KEY, options=key_options(new), reference=new.public, new_key=new
    )


async def refuse_key(handset: Handset) -> Payment:
    """Refuse, with the key that the account has, the new key that was asked for."""
    wanted = await governed_now(handset.genesis, handset.doors, handset.wallet.account)
    if wanted.new_key is None:
        raise HandsetError("No new key was asked for, or it has taken over or was refused already.")
    options = wanted.new_key_slot.to_bytes(2, "little") + b"\0"
    return await handset.bring(OrderKind.REFUSE_KEY, options=options, reference=wanted.new_key)


async def take_key(genesis: Genesis, doors: Sequence[Door], folder: Path) -> Taken:
    """Let the key that waits in a folder take over its account; the folder is a wallet then.

    HandsetError says what is missing: approvals, days, or super-agents that answer.
    """
    wanted = wanted_key(folder, genesis.network)
    for _ in range(TRIES):
        own = await lasting_account(genesis, doors, wanted.account)
        if own.public == public_of(wanted.keypair):
            # An earlier run was stopped after its order was final.
            return Taken(finish_wallet(folder, wanted.account, genesis.network), b"")
        view = await governed_now(genesis, doors, wanted.account)
        _check_waits(view, wanted)
        order = _order(genesis, wanted.keypair, wanted.account, view, own.next_sequence)
        orders = {order_id(genesis.network, order): order}
        slot = SlotOfOrders(wanted.account, own.next_sequence, orders)
        decision = await Settlement(genesis, doors, slot).decide(PATIENCE_S)
        if decision.final_id is not None:
            return Taken(finish_wallet(folder, wanted.account, genesis.network), order)
        if decision.refused_by is not None:
            raise HandsetError(SENTENCES[decision.refused_by])
        if not (decision.foreign or decision.skipped):
            raise HandsetError("It is not final yet; run the same command again to go on.")
        await asyncio.sleep(PAUSE_S)
    raise HandsetError("The account is in use all the time; run the same command again.")


def _check_waits(view: GovernedView, wanted: KeyWanted) -> None:
    """Raise HandsetError unless exactly this key may take over today."""
    mine = public_of(wanted.keypair)
    if view.new_key != mine.key or view.new_key_options & KEY_FORM_MASK != mine.form:
        raise HandsetError(
            "This key is not approved yet, or it was refused: ask the super-agent that opened the account."
        )
    if today() < view.new_key_day:
        raise HandsetError(
            f"The new key may take over from {day_shown(view.new_key_day)} on: until then its owner may "
            "refuse it."
        )


def _order(
    genesis: Genesis, keypair: OwnerKey, account: int, view: GovernedView, sequence: int
) -> bytes:
    body = OrderBody(
        payer=account,
        payee=account,
        amount_cents=0,
        fee_cents=0,
        sequence=sequence,
        kind=OrderKind.TAKE_KEY,
        tariff=genesis.tariffs[0].version,
        day=today(),
        options=view.new_key_slot.to_bytes(2, "little") + bytes([view.new_key_options]),
        reference=keypair.public,
    )
    return sign_order(keypair, genesis.network, body)
