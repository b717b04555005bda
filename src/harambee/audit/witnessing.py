"""A ledger that tells of every order that is applied, and by which key its payer had to sign it.

An account's key changes only by orders in slots of its own, and those are applied one after the other. So the
key of a slot is the key that the account has when the order of that slot is applied, on every replica, in
whatever order the rest comes. What is in a slot that is not its signer's (a claim, the end of a hold, what is
governed) may have been signed by any key that the signer ever had: those keys are remembered here.
"""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from harambee.audit.segments import ORDER_SIGNED
from harambee.crypto.keys import PublicKey
from harambee.ledger.kinds import OrderKind
from harambee.ledger.ledger import Ledger
from harambee.ledger.outcomes import Applied
from harambee.ledger.payees import NO_TABLES, Tables
from harambee.ledger.records import KEY_FORM_MASK
from harambee.money.tariff import Tariff

Orders = npt.NDArray[np.void]
Codes = npt.NDArray[np.uint8]
Witness = Callable[[npt.NDArray[np.void]], None]
"""Is told of applied orders of one block, an ORDER_SIGNED array."""

CHANGES_KEY: Final = np.zeros(256, np.bool_)
CHANGES_KEY[[OrderKind.CHANGE_KEY, OrderKind.TAKE_KEY]] = True
"""Of the kind byte: whether the payer of such an order signs with another key after it."""


class WitnessedLedger(Ledger):
    """The ledger of an audit. What it does with orders is what every ledger does."""

    def __init__(
        self, regions: int, tariffs: Sequence[Tariff], key_days: int, witness: Witness
    ) -> None:
        """`witness` is told of what is applied, before `apply` returns."""
        super().__init__(regions, tariffs, key_days)
        self._witness = witness
        self._earlier_keys: dict[int, list[PublicKey]] = {}

    def keys_ever_of(self, number: int) -> list[PublicKey]:
        """Every key that an account has had so far, the oldest first."""
        keys, forms, _ = self.keys_of(np.array([number], np.uint32))
        now = PublicKey(int(forms[0]), keys[0].tobytes())
        return [*self._earlier_keys.get(number, ()), now]

    def apply(
        self,
        orders: Orders,
        position: int,
        indices: npt.NDArray[np.uint32],
        tables: Tables = NO_TABLES,
    ) -> Codes:
        """Apply as `Ledger.apply` does, and tell of it."""
        # Behind an order that changes a key, orders are signed by the new one.
        cuts = np.flatnonzero(CHANGES_KEY[orders["kind"]]) + 1
        if not len(cuts):
            return self._apply_some(orders, position, indices, tables)
        parts = zip(np.split(orders, cuts), np.split(indices, cuts), strict=True)
        return np.concatenate(
            [self._apply_some(some, position, where, tables) for some, where in parts]
        )

    def _apply_some(
        self, orders: Orders, position: int, indices: npt.NDArray[np.uint32], tables: Tables
    ) -> Codes:
        """Apply orders of which only the last may change a key."""
        keys, forms, known = self.keys_of(orders["payer"])
        changes = self.keys_changed
        states = super().apply(orders, position, indices, tables)
        if self.keys_changed != changes:
            assert self.keys_changed == changes + 1, "keys change by orders of these kinds alone"
            last = PublicKey(int(forms[-1]), keys[-1].tobytes())
            self._earlier_keys.setdefault(int(orders[-1]["payer"]), []).append(last)
        new = np.flatnonzero(~known)
        if len(new):  # enrolled by these very orders
            keys[new], forms[new], _ = self.keys_of(orders["payer"][new])
        taking = np.flatnonzero(orders["kind"] == OrderKind.TAKE_KEY)
        keys[taking] = orders["reference"][taking]  # the new key signs for itself
        forms[taking] = orders["options"][taking, 2] & KEY_FORM_MASK
        done = states == Applied.APPLIED
        told = np.zeros(int(done.sum()), ORDER_SIGNED)
        told["position"], told["row"] = position, indices[done]
        told["form"], told["key"], told["order"] = forms[done], keys[done], orders[done]
        if len(told):
            self._witness(told)
        return states
