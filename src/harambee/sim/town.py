"""The people of a simulated network: committee, accounts, keys and signed orders, all from the seed."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from harambee.crypto.hashing import TAG_ORDER, digest, signed_prefix
from harambee.crypto.signatures import KeyPair, from_seed, sign
from harambee.ledger.kinds import OrderKind
from harambee.ledger.ledger import Ledger
from harambee.ledger.records import (
    BODY_BYTES,
    OPENING,
    ORDER,
    POSITION_ENROLMENT,
    POSITION_REVENUE,
    AccountKind,
    account_flags,
    account_number,
)
from harambee.money.tariff import FeeTable, Tariff, shipped_tariff
from harambee.protocol.committee import Committee, Member

Orders = npt.NDArray[np.void]

FIRST_PERSON: Final = 32
BANK: Final = account_number(0, 20)
REVENUE: Final = account_number(0, POSITION_REVENUE)


@dataclass(frozen=True, slots=True)
class Opening:
    """One account at the beginning."""

    number: int
    cents: int
    kind: AccountKind
    key: KeyPair


class Town:
    """A network before its first block."""

    def __init__(self, seed: int, super_agents: int, people: int, opening_cents: int) -> None:
        """`people` are customers; each begins with `opening_cents`."""
        self._seed = seed.to_bytes(8, "little")
        self.network = digest(b"harambee sim", self._seed)
        self.keys = [self._key(b"super-agent", i) for i in range(super_agents)]
        self.committee = Committee(
            0,
            tuple(
                Member(f"super-agent-{i}", key.public, bytes(32), (0,) if i == 0 else ())
                for i, key in enumerate(self.keys)
            ),
        )
        self.tariff: Tariff = shipped_tariff()
        self.people = [account_number(0, FIRST_PERSON + i) for i in range(people)]
        self.openings = [
            Opening(account_number(0, POSITION_ENROLMENT), 0, AccountKind.ENROLMENT, self.keys[0]),
            Opening(REVENUE, 0, AccountKind.REVENUE, self._key(b"revenue", 0)),
            Opening(BANK, -people * opening_cents, AccountKind.BANK, self._key(b"bank", 0)),
            *(
                Opening(number, opening_cents, AccountKind.CUSTOMER, self._key(b"person", number))
                for number in self.people
            ),
        ]
        self._secrets = {opening.number: opening.key for opening in self.openings}
        self._limit = people * opening_cents

    def _key(self, role: bytes, number: int) -> KeyPair:
        return from_seed(digest(role, self._seed, number.to_bytes(4, "little")))

    def ledger(self) -> Ledger:
        """A replica's ledger with the openings in it."""
        ledger = Ledger(1, (self.tariff,))
        rows = np.zeros(len(self.openings), OPENING)
        for row, opening in zip(rows, self.openings, strict=True):
            row["number"], row["balance"] = opening.number, opening.cents
            row["flags"] = account_flags(opening.kind)
            row["key"] = np.frombuffer(opening.key.public, np.uint8)
        ledger.open_accounts(rows, {BANK: self._limit})
        return ledger

    def fee_cents(self, amount: int) -> int:
        """What the tariff takes for sending `amount` cents."""
        return self.tariff.fee_cents(FeeTable.SEND, amount)

    def send(self, payer: int, payee: int, amount: int, sequence: int, day: int) -> Orders:
        """A signed order, ORDER array of shape (1,)."""
        order = np.zeros(1, ORDER)
        order["payer"], order["payee"], order["amount"] = payer, payee, amount
        order["fee"] = self.fee_cents(amount)
        order["sequence"], order["kind"], order["day"] = sequence, OrderKind.SEND, day
        return self._signed(order)

    def cancel(self, payer: int, sequence: int, day: int) -> Orders:
        """A signed cancel, ORDER array of shape (1,)."""
        order = np.zeros(1, ORDER)
        order["payer"] = order["payee"] = payer
        order["sequence"], order["kind"], order["day"] = sequence, OrderKind.CANCEL, day
        return self._signed(order)

    def _signed(self, order: Orders) -> Orders:
        order["tariff"] = self.tariff.version
        key = self._secrets[int(order["payer"][0])]
        prefix = signed_prefix(TAG_ORDER, self.network)
        signature = sign(key, prefix + order.tobytes()[:BODY_BYTES])
        order["signature"] = np.frombuffer(signature, np.uint8)
        return order
