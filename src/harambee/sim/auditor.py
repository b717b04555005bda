"""An auditor who trusts no replica: plain Python over what replicas say is final.

It keeps its own book in dictionaries of whole numbers, from the openings and the orders alone, and knows
nothing of blocks, votes or kernels. Every word of an honest replica is held against every other word that an
honest replica has ever said, before a crash or after it.
"""

from dataclasses import dataclass, field
from typing import Final

from harambee.ledger.kinds import OrderKind
from harambee.ledger.records import BODY_BYTES
from harambee.sim.town import BANK, REVENUE, Town

SKIPPED: Final = b"skipped"
Slot = tuple[int, int]


@dataclass
class Auditor:
    """What has been said, and what is wrong with it."""

    town: Town
    decided: dict[Slot, bytes] = field(default_factory=dict)
    """(payer, sequence) -> the body of the order that is final there, or SKIPPED."""
    told: dict[Slot, bytes] = field(default_factory=dict)
    """What customers were told is final, by enough super-agents."""
    violations: list[str] = field(default_factory=list)
    duplicated: int = 0
    _last: dict[tuple[int, int], int] = field(default_factory=dict)
    """(machine, payer) -> the highest sequence that it has said is decided since its start."""

    def restarted(self, machine: int) -> None:
        """A machine begins anew: it may say again what it said."""
        self._last = {key: last for key, last in self._last.items() if key[0] != machine}

    def settled(self, machine: int, body: bytes, balance_cents: int) -> None:
        """An honest machine says that an order is final; `balance_cents` is its payer's after it."""
        slot = int.from_bytes(body[:4], "little"), int.from_bytes(body[20:24], "little")
        self._decide(machine, slot, body)
        if balance_cents < 0 and slot[0] != BANK:
            self.violations.append(f"machine {machine}: account {slot[0]} is below zero")

    def skipped(self, machine: int, payer: int, sequence: int) -> None:
        """An honest machine says that a slot was closed without an order."""
        self._decide(machine, (payer, sequence), SKIPPED)

    def _decide(self, machine: int, slot: Slot, body: bytes) -> None:
        known = self.decided.setdefault(slot, body)
        if known != body:
            self.duplicated += 1
            self.violations.append(f"machine {machine}: two orders are final in slot {slot}")
        payer, sequence = slot
        last = self._last.get((machine, payer))
        if last is not None and sequence != last + 1:
            self.violations.append(
                f"machine {machine}: account {payer} went from sequence {last} to {sequence}"
            )
        self._last[machine, payer] = sequence

    def believed(self, order: bytes) -> None:
        """A customer has heard from w super-agents that an order is final."""
        body = order[:BODY_BYTES]
        slot = int.from_bytes(body[:4], "little"), int.from_bytes(body[20:24], "little")
        self.told[slot] = body

    def lost(self) -> int:
        """How many orders that a customer was told are final, are not."""
        return sum(self.decided.get(slot) != body for slot, body in self.told.items())

    def book(self) -> dict[int, tuple[int, int]]:
        """The accounts that the decided slots make of the openings: (balance, next sequence)."""
        balances = {opening.number: opening.cents for opening in self.town.openings}
        following = dict.fromkeys(balances, 0)
        for (payer, sequence), body in sorted(self.decided.items()):
            following[payer] = max(following[payer], sequence + 1)
            if body == SKIPPED or body[24] == OrderKind.CANCEL:
                continue
            payee = int.from_bytes(body[4:8], "little")
            amount = int.from_bytes(body[8:16], "little")
            fee = int.from_bytes(body[16:20], "little")
            if fee != self.town.fee_cents(amount):
                self.violations.append(f"slot {(payer, sequence)} paid a wrong fee")
            balances[payer] -= amount + fee
            balances[payee] += amount
            balances[REVENUE] += fee
        return {number: (balances[number], following[number]) for number in balances}

    def disagreements(self, machine: int, accounts: dict[int, tuple[int, int]]) -> int:
        """How many accounts of a machine are not what the book says; each is a violation."""
        wrong = [number for number, held in self.book().items() if accounts[number] != held]
        self.violations += [
            f"machine {machine}: account {number} is {accounts[number]}, not {self.book()[number]}"
            for number in wrong[:3]
        ]
        return len(wrong)
