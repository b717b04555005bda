"""What a handler of Daraja's calls is given, and what simulates payments in a development network."""

from dataclasses import dataclass
from typing import Protocol

from harambee.gateways.daraja.errors import DarajaError, invalid
from harambee.gateways.daraja.fields import Fields
from harambee.merchants.port import App, Merchant, MerchantsPort


class Simulator(Protocol):
    """Pays as a customer of a development network would."""

    async def pay(self, msisdn: str, short_code: str, amount_cents: int, account: str) -> None:
        """Have the customer of that number pay a merchant; MerchantsError where that cannot be."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call: whose it is, what it says and when."""

    port: MerchantsPort
    app: App
    fields: Fields
    now_ms: int
    simulator: Simulator | None
    rows: tuple[Fields, ...] = ()
    """What it says, where its body is a list."""
    sent_again_as: bytes = b""
    """Where the client marks what it sends again: the same 32 bytes each time, on the same day."""

    def own_short_code(self, name: str) -> str:
        """Return the digits of a merchant for whom the app may act."""
        short_code = self.fields.short_code(name)
        if short_code not in self.app.short_codes:
            raise invalid(name)
        return short_code

    async def merchant(self, short_code: str) -> Merchant:
        """Return a merchant; DarajaError where there is none."""
        merchant = await self.port.merchant(short_code)
        if merchant is None:
            raise DarajaError(500, "500.001.1001", "Merchant does not exist")
        return merchant
