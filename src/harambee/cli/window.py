"""`harambee pay --window`: a payment that can be taken back for a while, for who mistypes a number."""

import re
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import click

from harambee.cli.terminal import FailureError, print_json

if TYPE_CHECKING:
    from harambee.cli.parties import Parties
    from harambee.handset.handset import Balance, Handset, Payment
    from harambee.handset.network_file import KnownNetwork

WINDOWED: Final = ("send", "buy-goods", "pay-bill")
"""What can be held, and so can wait."""
WINDOW_S_MAX: Final = 24 * 3_600
TICK_S: Final = 1.0
_WINDOW: Final = re.compile(r"([0-9]{1,6})([smh])", re.ASCII)
_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600}


def window_seconds(text: str) -> int:
    """Return how many seconds "90s", "10m" or "1h" are; click.UsageError for anything else."""
    found = _WINDOW.fullmatch(text.strip().lower())
    seconds = 0 if found is None else int(found[1]) * _SECONDS[found[2]]
    if not 0 < seconds <= WINDOW_S_MAX:
        raise click.UsageError("--window is so many seconds, minutes or hours up to 24h: 90s, 10m.")
    return seconds


@dataclass(frozen=True)
class Windowed:
    """A payment with a window, by one who waits for it at the terminal."""

    known: "KnownNetwork"
    parties: "Parties"
    payer: str
    payee: str
    name: str | None
    """The payee's, masked, where it was shown."""
    via: str | None
    as_json: bool

    def pay(self, target: int | str, cents: int, account: str | None, window_s: int) -> None:
        """Hold it, wait, and release it; FailureError with what to type where that does not happen."""
        from harambee.cli.handset_use import with_handset
        from harambee.cli.holds import tell_ended
        from harambee.handset.holding import Ended, release
        from harambee.handset.holding import hold as hold_for

        wallet = self.parties.wallet(self.payer)

        async def held(handset: "Handset") -> "tuple[Payment, Balance | None]":
            made = await hold_for(handset, target, cents, account=account)
            return made, await handset.balance_after(made) if made.receipts else None

        payment, balance = with_handset(self.known, wallet, self.via, held)
        self._tell_held(payment, balance)
        self._wait(payment, window_s)

        async def released(handset: "Handset") -> Ended:
            return await release(handset, (payment.payer, payment.sequence))

        ended = with_handset(self.known, wallet, self.via, released)
        tell_ended(ended, self.known, self.parties, as_json=self.as_json)

    def _tell_held(self, payment: "Payment", balance: "Balance | None") -> None:
        from harambee.cli.pay import payment_document
        from harambee.cli.payment_text import payee_shown, payment_text

        if payment.status != "final":
            if self.as_json:
                print_json(payment_document(payment, self.known))
            raise FailureError(payment.sentence)
        if self.as_json:
            return
        names = {row.account: row.name for row in self.parties.demo()}
        known_as = self.name or names.get(payment.payee)
        other = payee_shown(payment.payee, self.payee, known_as)
        free = None if balance is None else balance.available_cents
        click.echo(payment_text(payment, other, free_cents=free))

    def _wait(self, payment: "Payment", window_s: int) -> None:
        """Wait for the window to pass; on Ctrl-C the money stays held, and how to go on is said."""
        from harambee.cli.pay import payment_document

        shows = not self.as_json and sys.stdout.isatty()
        ends = time.monotonic() + window_s
        try:
            while (left := ends - time.monotonic()) > 0:
                if shows:
                    minutes, seconds = divmod(int(left) + 1, 60)
                    click.echo(f"\rSent in {minutes}:{seconds:02d}; Ctrl-C to stop it. ", nl=False)
                time.sleep(min(TICK_S, left))
        except KeyboardInterrupt:
            code, who = payment.receipt_code, self.payer
            sentence = (
                f"Stopped: the money stays held. `harambee void {who} {code}` takes it back, "
                f"`harambee release {who} {code}` sends it after all."
            )
            if self.as_json:
                stopped = {"status": "held", "sentence": sentence}
                print_json(payment_document(payment, self.known) | stopped)
            raise FailureError(sentence) from None
        finally:
            if shows:
                click.echo()
