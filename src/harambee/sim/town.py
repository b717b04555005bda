"""The people of a simulated network: committee, accounts, keys and signed orders, all from the seed."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from harambee.crypto import p256 as curve
from harambee.crypto.hashing import TAG_ORDER, digest, signed_prefix
from harambee.crypto.keys import OwnerKey, PublicKey, public_of, sign
from harambee.crypto.p256 import P256KeyPair
from harambee.crypto.signatures import KeyPair, from_seed
from harambee.ledger.house_rules import AUTHORISATION_BIT, HOLD_DAYS_MAX
from harambee.ledger.kinds import OrderKind
from harambee.ledger.ledger import Ledger
from harambee.ledger.payees import table_digest
from harambee.ledger.records import (
    BODY_BYTES,
    KEY_TYPE_SHIFT,
    NAMED_HOLD,
    OPENING,
    ORDER,
    PAYEE,
    POSITION_ENROLMENT,
    POSITION_EXCISE,
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
DESKS_MAX: Final = 8
"""So many super-agents have a desk that claims phone numbers for people."""
DESKS: Final = tuple(account_number(0, 21 + i) for i in range(DESKS_MAX))
NEWER_KIND: Final = 63
"""A kind of order that only newer software knows: it pays without a fee."""
assert NEWER_KIND not in set(OrderKind)
EXCISE: Final = account_number(0, POSITION_EXCISE)
EMPLOYERS_MAX: Final = 3
EMPLOYERS: Final = tuple(account_number(0, 21 + DESKS_MAX + i) for i in range(EMPLOYERS_MAX))
assert EMPLOYERS[-1] < account_number(0, FIRST_PERSON)
EMPLOYER_SHARE: Final = 100
"""An employer has so many times as much as each of the people."""


@dataclass(frozen=True, slots=True)
class Opening:
    """One account at the beginning."""

    number: int
    cents: int
    kind: AccountKind
    key: OwnerKey


class Town:
    """A network before its first block."""

    def __init__(
        self,
        seed: int,
        super_agents: int,
        people: int,
        opening_cents: int,
        *,
        till: bool = False,
        employers: int = 0,
        regions: int = 1,
        p256: float = 0,
    ) -> None:
        """`people` are customers, the first one a merchant if there is a `till`; each has `opening_cents`.

        They live in `regions`, of as many of the super-agents, in turn. A share `p256` of them have keys of
        that type.

        `employers` are businesses that pay many of them at once, under a tariff that has a price for it.
        """
        self._seed = seed.to_bytes(8, "little")
        self.network = digest(b"harambee sim", self._seed)
        self.keys = [self._key(b"super-agent", i) for i in range(super_agents)]
        self.committee = Committee(
            0,
            tuple(
                Member(f"super-agent-{i}", key.public, bytes(32), (i,) if i < regions else ())
                for i, key in enumerate(self.keys)
            ),
        )
        self.tariff: Tariff = shipped_tariff()
        self.pay_out_tariff: Tariff = shipped_tariff(2)
        self.employers = EMPLOYERS[:employers]
        self.tables: dict[bytes, bytes] = {}
        """The payee tables that employers have signed, by their digests."""
        supply = (people + employers * EMPLOYER_SHARE) * opening_cents
        self.regions = regions
        self.people = [
            account_number(i % regions, FIRST_PERSON + i // regions) for i in range(people)
        ]
        self.openings = [
            *self._accounts_of_regions(),
            Opening(BANK, -supply, AccountKind.BANK, self._key(b"bank", 0)),
            *(
                Opening(desk, 0, AccountKind.ENROLMENT, key)
                for desk, key in zip(DESKS, self.keys, strict=False)
            ),
            *(
                Opening(
                    number,
                    opening_cents,
                    AccountKind.MERCHANT
                    if till and number == self.people[0]
                    else AccountKind.CUSTOMER,
                    self._persons_key(number, p256),
                )
                for number in self.people
            ),
            *(
                Opening(
                    number,
                    EMPLOYER_SHARE * opening_cents,
                    AccountKind.BUSINESS,
                    self._key(b"employer", number),
                )
                for number in self.employers
            ),
        ]
        if employers:
            excise = Opening(EXCISE, 0, AccountKind.EXCISE, self._key(b"excise", 0))
            self.openings.append(excise)
        self._secrets = {opening.number: opening.key for opening in self.openings}
        self._limit = supply

    def _accounts_of_regions(self) -> list[Opening]:
        """What each region has of its super-agent's: enrolment and revenue."""
        found: list[Opening] = []
        for region in range(self.regions):
            enrolment, revenue = (
                account_number(region, position)
                for position in (POSITION_ENROLMENT, POSITION_REVENUE)
            )
            found += [
                Opening(enrolment, 0, AccountKind.ENROLMENT, self.keys[region]),
                Opening(revenue, 0, AccountKind.REVENUE, self._key(b"revenue", region)),
            ]
        return found

    def opening_rows(self) -> npt.NDArray[np.void]:
        """The openings as a genesis has them: an OPENING array."""
        rows = np.zeros(len(self.openings), OPENING)
        for row, opening in zip(rows, self.openings, strict=True):
            row["number"], row["balance"] = opening.number, opening.cents
            form, key = public_of(opening.key)
            row["flags"] = account_flags(opening.kind) | form << KEY_TYPE_SHIFT
            row["key"] = np.frombuffer(key, np.uint8)
        return rows

    def _key(self, role: bytes, number: int) -> KeyPair:
        return from_seed(self._seed_of(role, number))

    def _persons_key(self, number: int, p256: float) -> OwnerKey:
        if int.from_bytes(self._seed_of(b"phone", number)[:4], "big") >= p256 * 2**32:
            return self._key(b"person", number)
        scalar = 1 + int.from_bytes(self._seed_of(b"person", number), "big") % (curve.ORDER - 1)
        return P256KeyPair(scalar.to_bytes(curve.SCALAR_BYTES, "big"))

    def _seed_of(self, role: bytes, number: int) -> bytes:
        return digest(role, self._seed, number.to_bytes(4, "little"))

    def ledger(self, build: int = 0) -> Ledger:
        """A replica's ledger with the openings in it; of a build above 0, it knows the newer kind."""
        ledger = self.empty_ledger(build)
        ledger.open_accounts(self.opening_rows(), {BANK: self._limit})
        return ledger

    def empty_ledger(self, build: int = 0) -> Ledger:
        """The same before anything is opened in it: for the pages of a checkpoint."""
        tariffs = (self.tariff, self.pay_out_tariff) if self.employers else (self.tariff,)
        ledger = Ledger(self.regions, tariffs)
        if build:
            kinds = ledger._kinds.copy()  # noqa: SLF001 - what a release of the software would change
            kinds[NEWER_KIND] = kinds[OrderKind.SEND]
            kinds[NEWER_KIND]["fee_table"] = FeeTable.NONE
            kinds.setflags(write=False)
            ledger._kinds = kinds  # noqa: SLF001
        return ledger

    def key_of(self, account: int) -> PublicKey | None:
        """The public key of an account, or None where there is none."""
        key = self._secrets.get(account)
        return None if key is None else public_of(key)

    def fee_cents(self, amount: int, kind: int = OrderKind.SEND) -> int:
        """What the tariff takes for sending `amount` cents, or for another kind of payment."""
        table = FeeTable.SEND if kind == OrderKind.SEND else FeeTable.NONE
        return self.tariff.fee_cents(table, amount)

    def send(
        self,
        payer: int,
        payee: int,
        amount: int,
        sequence: int,
        day: int,
        kind: int = OrderKind.SEND,
    ) -> Orders:
        """A signed order, ORDER array of shape (1,)."""
        order = np.zeros(1, ORDER)
        order["payer"], order["payee"], order["amount"] = payer, payee, amount
        order["fee"] = self.fee_cents(amount, kind)
        order["sequence"], order["kind"], order["day"] = sequence, kind, day
        return self._signed(order)

    def pay_out(self, payer: int, rows: list[tuple[int, int]], sequence: int, day: int) -> Orders:
        """A signed bulk pay-out to (payee, cents), ORDER array of shape (1,); `tables` has its table."""
        table = np.array(sorted(rows), PAYEE).tobytes()
        name = table_digest(table)
        self.tables[name] = table
        order = np.zeros(1, ORDER)
        order["payer"] = order["payee"] = payer
        order["amount"] = sum(cents for _, cents in rows)
        order["fee"] = self.pay_out_fee_cents(rows)
        order["sequence"], order["kind"], order["day"] = sequence, OrderKind.BULK_PAY_OUT, day
        order["tariff"] = self.pay_out_tariff.version
        order["reference"] = np.frombuffer(name, np.uint8)
        return self.sign(order)

    def pay_out_fee_cents(self, rows: list[tuple[int, int]]) -> int:
        """What the tariff takes for paying (payee, cents) at once."""
        return sum(self.pay_out_tariff.fee_cents(FeeTable.PAY_OUT, cents) for _, cents in rows)

    def tables_of(self, orders: Orders) -> dict[int, bytes]:
        """The payee tables that a handset brings beside these orders, by row."""
        bulk = np.flatnonzero(orders["kind"] == OrderKind.BULK_PAY_OUT).tolist()
        return {row: self.tables[orders[row]["reference"].tobytes()] for row in bulk}

    def rows_of(self, body: bytes) -> list[tuple[int, int]]:
        """The (payee, cents) of a bulk pay-out that was signed here."""
        rows: list[tuple[int, int]] = np.frombuffer(self.tables[body[32:64]], PAYEE).tolist()
        return rows

    def hold(
        self, payer: int, payee: int, amount: int, sequence: int, day: int, *, authorises: bool
    ) -> Orders:
        """A signed hold of something to send, ORDER array of shape (1,)."""
        order = np.zeros(1, ORDER)
        order["payer"], order["payee"], order["amount"] = payer, payee, amount
        order["fee"] = self.fee_cents(amount)
        order["sequence"], order["kind"], order["day"] = sequence, OrderKind.HOLD, day
        terms = AUTHORISATION_BIT if authorises else 0
        order["options"] = OrderKind.SEND, HOLD_DAYS_MAX, terms
        return self._signed(order)

    def ending(
        self, kind: OrderKind, hold: Orders, signer: int, captured: int, sequence: int, day: int
    ) -> Orders:
        """A signed release or void of a hold, ORDER array of shape (1,)."""
        named = np.zeros(1, NAMED_HOLD)
        for name in ("payer", "sequence", "amount", "fee", "day"):
            named[name] = hold[name]
        named["movement"] = hold["options"][0][0]
        order = np.zeros(1, ORDER)
        order["payer"], order["payee"], order["amount"] = signer, hold["payee"], captured
        order["fee"] = self.fee_cents(captured) if captured else 0
        order["sequence"], order["kind"], order["day"] = sequence, kind, day
        order["reference"] = named.view(np.uint8)
        return self._signed(order)

    def governance(self, kind: OrderKind, account: int, sequence: int, day: int) -> Orders:
        """A freeze or its end, proposed by the first super-agent, ORDER array of shape (1,)."""
        order = np.zeros(1, ORDER)
        order["payer"], order["payee"] = account_number(0, POSITION_ENROLMENT), account
        order["sequence"], order["kind"], order["day"] = sequence, kind, day
        return self._signed(order)

    def claim(self, desk: int, owner: int, alias: bytes, sequence: int, day: int) -> Orders:
        """A claim of an alias by the desk of super-agent `desk`, ORDER array of shape (1,)."""
        order = np.zeros(1, ORDER)
        order["payer"], order["payee"], order["sequence"] = DESKS[desk], owner, sequence
        order["kind"], order["day"] = OrderKind.CLAIM, day
        order["reference"] = np.frombuffer(alias, np.uint8)
        return self._signed(order)

    def cancel(self, payer: int, sequence: int, day: int) -> Orders:
        """A signed cancel, ORDER array of shape (1,)."""
        order = np.zeros(1, ORDER)
        order["payer"] = order["payee"] = payer
        order["sequence"], order["kind"], order["day"] = sequence, OrderKind.CANCEL, day
        return self._signed(order)

    def _signed(self, order: Orders) -> Orders:
        order["tariff"] = self.tariff.version
        return self.sign(order)

    def sign(self, order: Orders, tag: bytes = TAG_ORDER, network: bytes | None = None) -> Orders:
        """Let the payer sign an order as it stands; with the tag of another role, or for another network."""
        key = self._secrets[int(order["payer"][0])]
        prefix = signed_prefix(tag, network or self.network)
        signature = sign(key, prefix + order.tobytes()[:BODY_BYTES])
        order["signature"] = np.frombuffer(signature, np.uint8)
        return order

    def secret_of(self, account: int) -> OwnerKey:
        """The key that an account's owner signs with."""
        return self._secrets[account]
