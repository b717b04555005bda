"""What a super-agent that came back by pages cannot tell: how accounts stand is in them, and not why.

Its statements begin where it came back. Of slots decided before it knows that they are, and not by what; so
it says that it cannot tell, and another super-agent is asked.
"""

from typing import Final

from harambee.ledger.ledger import Ledger
from harambee.node.port import UnavailableError

SENTENCE: Final = (
    "This super-agent came back by the pages of a checkpoint and has not the orders of before; "
    "another one can tell."
)


def refuse_forgotten(ledger: Ledger, payer: int, sequence: int) -> None:
    """UnavailableError where a slot was decided, and nobody can tell here by what."""
    if ledger.is_forgotten(payer, sequence):
        raise UnavailableError(SENTENCE)


def refuse_without_history(ledger: Ledger) -> None:
    """UnavailableError where not all orders since the genesis are known here."""
    if ledger.entries_missing:
        raise UnavailableError(SENTENCE)
