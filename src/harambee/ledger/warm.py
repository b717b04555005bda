"""Loading the compiled kernels before the first customer waits for them.

Numba compiles a kernel when it is first called and keeps it on disk: seconds on a new machine, a
fraction of one afterwards.
"""

import numpy as np

from harambee.ledger.kinds import OrderKind
from harambee.ledger.ledger import Ledger
from harambee.ledger.records import OPENING, OPENING_ALIAS, ORDER, AccountKind


def warm_up() -> None:
    """Call every kernel of the ledger once, on a ledger of its own that holds one account."""
    ledger = Ledger(1, ())
    opening = np.zeros(1, OPENING)
    opening["flags"] = AccountKind.ENROLMENT
    ledger.open_accounts(opening, {})
    orders = np.zeros(1, ORDER)
    orders["kind"] = OrderKind.CANCEL
    everyone = np.ones(1, np.bool_)
    ledger.check(orders, everyone, everyone, 0)
    ledger.apply(orders, 0, np.zeros(1, np.uint32))
    orders["kind"] = OrderKind.BULK_PAY_OUT
    ledger.check(orders, everyone, everyone, 0)
    ledger.apply(orders, 0, np.zeros(1, np.uint32))
    ledger.keys_of(orders["payer"])
    ledger.alias(bytes(32))
    ledger.open_alias_rows(np.zeros(1, OPENING_ALIAS))
    ledger.aliases.reserve(len(ledger.aliases.rows))
    ledger.entries_of(0, 1)
    assert ledger.entry_of_slot(0, 0) == 0, "a cancel is final in its slot once it is applied"
    ledger.digest()
    ledger.total_cents()
    ledger.audited_cents(1)
