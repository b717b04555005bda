"""Payments made up in a development network, where customers' handsets pay whatever they are asked."""

import secrets

from harambee.merchants.port import Ask
from harambee.node.port import Port


class AskingSimulator:
    """Implements `harambee.gateways.daraja.calls.Simulator`: asks, and has nobody told of the request.

    What the customer pays is confirmed to the merchant as any payment is. Not for networks with real money:
    there a merchant asks in his own name.
    """

    def __init__(self, port: Port) -> None:
        assert port.genesis.document.development, "real money is not simulated"
        self._port = port

    async def pay(self, msisdn: str, short_code: str, amount_cents: int, account: str) -> None:
        """Have the customer asked, whose handset pays a moment later; MerchantsError.

        Nobody is asked where the biller does not want the payment, as nobody would be who pays by herself.
        """
        verdict = await self._port.merchants.judge(short_code, msisdn, amount_cents, account)
        if not verdict.accepted:
            return
        await self._port.merchants.ask_payment(
            Ask(
                consumer_key="",
                short_code=short_code,
                msisdn=msisdn,
                amount_cents=amount_cents,
                name=f"simulated_{secrets.token_hex(12)}",
                account=account,
                fresh=True,
            )
        )
