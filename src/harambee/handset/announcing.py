"""Telling a merchant what a payment is for, before it is signed.

An order has only a hash of the account at the biller, so the biller learns the account itself from an
announcement, and may say that there is no such account. That is a service and no rule: whoever cannot
be reached stops nobody from paying.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from harambee.handset.believing import check_network
from harambee.handset.doors import BillVerdict, Door, DoorError
from harambee.handset.payment_requests import Announcement, sign_announcement
from harambee.handset.wallet import Wallet
from harambee.protocol.genesis import Genesis

PATIENCE_S: Final = 12.0
"""A payment waits no longer for its biller, who may take eight seconds."""
GREETING_S: Final = 1.0
"""A door that does not say within this time which network it serves is passed over."""


async def verdict_on(
    genesis: Genesis,
    doors: Sequence[Door],
    wallet: Wallet,
    payee: int,
    amount_cents: int,
    account: str,
    patience_s: float = PATIENCE_S,
) -> BillVerdict | None:
    """Return what the payee says of this payment, by the first door that can tell; None if none can.

    `account` is what the payer typed, whatever it is.
    """
    announcement = Announcement(
        payer=wallet.account,
        payee=payee,
        amount_cents=amount_cents,
        account=account.strip(),
        time_us=time.time_ns() // 1_000,
        msisdn=wallet.telephone,
    )
    signed = sign_announcement(wallet.keypair, genesis.network, announcement)
    try:
        async with asyncio.timeout(patience_s):
            return await _first_verdict(genesis, doors, signed)
    except TimeoutError:
        return None


async def _first_verdict(
    genesis: Genesis, doors: Sequence[Door], signed: bytes
) -> BillVerdict | None:
    for door in doors:
        try:
            async with asyncio.timeout(GREETING_S):
                await check_network(door, genesis)
        except (DoorError, TimeoutError):
            continue
        try:
            return await door.announce(signed)
        except DoorError:
            continue  # it has no such service, or the biller's home cannot be reached from it
    return None
