"""Payments that nobody's finger makes: a development network's customers, asked by a super-agent.

No super-agent has a customer's key, in a development network neither. What is simulated is the wish: the
biller is asked whether he takes the payment, then the customer's handset is asked to pay, as by any merchant;
the sandbox's handsets answer by themselves.
"""

import secrets
from dataclasses import dataclass
from typing import Final

from harambee.merchants.port import Ask, MerchantsPort

SIMULATION: Final = "simulation"
"""The consumer key of requests that no merchant's software made."""


@dataclass(frozen=True)
class AskedPayments:
    """Implements `harambee.gateways.daraja.calls.Simulator`."""

    merchants: MerchantsPort

    async def pay(self, msisdn: str, short_code: str, amount_cents: int, account: str) -> None:
        """Have the customer of that number pay a merchant; MerchantsError where that cannot be."""
        verdict = await self.merchants.judge(short_code, msisdn, amount_cents, account)
        if not verdict.accepted:
            return
        await self.merchants.ask_payment(
            Ask(
                consumer_key=SIMULATION,
                short_code=short_code,
                msisdn=msisdn,
                amount_cents=amount_cents,
                name=f"{SIMULATION}-{secrets.token_hex(8)}",
                account=account,
                fresh=True,
            )
        )
