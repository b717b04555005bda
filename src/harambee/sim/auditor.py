"""An auditor who trusts no replica: plain Python over what replicas say is final.

It keeps its own books in dictionaries of whole numbers, from the openings and the orders alone, and knows
nothing of blocks, votes or kernels. Every word of an honest replica is held against every other word that an
honest replica has ever said, before a crash or after it; after everything that a replica says, its accounts
must be what its words make of the openings. It checks every signature itself, with the town's keys.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from harambee.crypto.hashing import TAG_ORDER, signed_prefix
from harambee.crypto.keys import verify
from harambee.ledger.kinds import OrderKind, Space
from harambee.ledger.records import BODY_BYTES, revenue_account
from harambee.protocol.evidence import read_evidence
from harambee.protocol.malformed import Malformed
from harambee.sim.town import BANK, EXCISE, Town

SKIPPED: Final = b"skipped"
MOVE_NOTHING: Final = frozenset(
    {
        OrderKind.CANCEL,
        OrderKind.CLAIM,
        OrderKind.ENROL,
        OrderKind.HOLD,
        OrderKind.VOID,
        OrderKind.FREEZE,
        OrderKind.UNFREEZE,
    }
)
Subject = int | bytes
"""An account's number, an alias, or the space and subject of another slot."""
Slot = tuple[Subject, int]


def slot_of(body: bytes) -> Slot:
    """The slot in which an order lies."""
    sequence = int.from_bytes(body[20:24], "little")
    if body[24] == OrderKind.CLAIM:
        return body[32:BODY_BYTES], sequence
    if body[24] in (OrderKind.RELEASE, OrderKind.VOID):
        return subject_told(Space.HOLD, body[32:40] + bytes(24)), sequence
    if body[24] in (OrderKind.FREEZE, OrderKind.UNFREEZE):
        return subject_told(Space.GOVERNANCE, body[4:8] + bytes(28)), sequence
    return int.from_bytes(body[:4], "little"), sequence


def subject_told(space: int, subject: bytes) -> Subject:
    """The subject of a slot that is no account's, as it is named here."""
    return subject if space == Space.ALIAS else bytes([space]) + subject


def held_by(body: bytes) -> dict[int, int]:
    """What an order does to what is held of a balance, by account; in cents."""
    if body == SKIPPED or body[24] not in (OrderKind.HOLD, OrderKind.RELEASE, OrderKind.VOID):
        return {}
    if body[24] == OrderKind.HOLD:
        cents = int.from_bytes(body[8:16], "little") + int.from_bytes(body[16:20], "little")
        return {int.from_bytes(body[:4], "little"): cents}
    cents = int.from_bytes(body[40:48], "little") + int.from_bytes(body[48:52], "little")
    return {int.from_bytes(body[32:36], "little"): -cents}


def changes_of(body: bytes, town: Town) -> dict[int, int]:
    """What an order does to balances, by account; in cents."""
    if body == SKIPPED or body[24] in MOVE_NOTHING:
        return {}
    payer, payee = (int.from_bytes(body[at : at + 4], "little") for at in (0, 4))
    if body[24] == OrderKind.RELEASE:
        payer = int.from_bytes(body[32:36], "little")
    amount = int.from_bytes(body[8:16], "little")
    fee = int.from_bytes(body[16:20], "little")
    changes = {payer: -amount - fee}
    if body[24] == OrderKind.BULK_PAY_OUT:
        tax = town.pay_out_tariff.excise_cents(fee)
        paid = {revenue_account(payer): fee - tax, EXCISE: tax}
        return changes | dict(town.rows_of(body)) | paid
    for account, cents in ((payee, amount), (revenue_account(payer), fee)):
        changes[account] = changes.get(account, 0) + cents
    return changes


@dataclass
class Auditor:
    """What has been said, and what is wrong with it."""

    town: Town
    decided: dict[Slot, bytes] = field(default_factory=dict)
    """(payer, sequence) -> the body of the order that is final there, or SKIPPED."""
    told: dict[Slot, bytes] = field(default_factory=dict)
    """What customers were told is final, by enough super-agents."""
    contested: set[Slot] = field(default_factory=set)
    """Slots in which more than one order was signed: only these may end without one."""
    forbidden: set[bytes] = field(default_factory=set)
    """Bodies of orders that break a rule whatever happens: none is ever final."""
    violations: list[str] = field(default_factory=list)
    duplicated: int = 0
    skipped_honest: int = 0
    """How many slots with one order were closed without it."""
    _last: dict[tuple[int, Subject], int] = field(default_factory=dict)
    """(machine, payer or alias) -> the highest sequence that it has said is decided."""
    _books: dict[int, dict[int, int]] = field(default_factory=dict)
    """machine -> account -> the balance that its words make of the openings, or of what it restored."""
    _held: dict[int, dict[int, int]] = field(default_factory=dict)
    """machine -> account -> what its words hold of it."""
    _touched: dict[int, dict[int, None]] = field(default_factory=dict)
    """machine -> the accounts that its words have changed since its books were last looked at."""
    _signed: dict[bytes, bool] = field(default_factory=dict)
    _effects: dict[bytes, tuple[Slot, bytes, dict[int, int], dict[int, int]]] = field(
        default_factory=dict
    )
    """An order -> its slot and body, and what it does to balances and to what is held of them."""

    def forbid(self, order: bytes) -> None:
        """An order that none may ever carry out is brought to doors; 128 bytes with its signature."""
        body = order[:BODY_BYTES]
        self.forbidden.add(body)
        if self._is_signed(order):
            self.contested.add(slot_of(body))

    # -- what machines say ------------------------------------------------------------------------

    def settled(self, machine: int, order: bytes) -> None:
        """An honest machine says that an order is final, 128 bytes with its signature."""
        found = self._effects.get(order)
        if found is None:
            body = order[:BODY_BYTES]
            found = slot_of(body), body, changes_of(body, self.town), held_by(body)
            self._effects[order] = found
        slot, body, changes, holds = found
        self._decide(machine, slot, body)
        if not self._is_signed(order):
            self._complain(machine, f"the order in slot {slot} is not signed by its payer")
        if body in self.forbidden:
            self._complain(machine, f"the order in slot {slot} breaks a rule")
        if machine not in self._books:
            self._books[machine] = self._openings()
        book = self._books[machine]
        touched = self._touched.setdefault(machine, {})
        for account, cents in changes.items():
            book[account] = book.get(account, 0) + cents
            touched[account] = None
        held = self._held.setdefault(machine, {})
        for account, cents in holds.items():
            held[account] = held.get(account, 0) + cents
            touched[account] = None

    def skipped(self, machine: int, subject: Subject, sequence: int) -> None:
        """An honest machine says that a slot was closed without an order."""
        slot = subject, sequence
        if slot not in self.decided and slot not in self.contested:
            self.skipped_honest += 1
        self._decide(machine, slot, SKIPPED)

    def looked(self, machine: int, has: Callable[[int], tuple[int, int]]) -> None:
        """Hold the accounts of a machine that has said all it has to say against its words.

        `has` gives (balance, what is held of it) of an account, in cents.
        """
        book, on_hold = self._books.get(machine, {}), self._held.get(machine, {})
        for account in self._touched.pop(machine, ()):
            balance, held = has(account)
            by_words = book[account], on_hold.get(account, 0)
            if (balance, held) != by_words:
                self._complain(
                    machine, f"account {account} has {(balance, held)}, and by its words {by_words}"
                )
            if balance < held and account != BANK:
                self._complain(machine, f"account {account} is below what is held of it")

    def restarted(
        self,
        machine: int,
        accounts: dict[int, tuple[int, int]],
        held: dict[int, int],
        *,
        disk_is_whole: bool,
    ) -> None:
        """A machine begins anew, with these accounts: (balance, next sequence), and what is held of some.

        What it has said before the crash, it must still hold, unless its disk has lost something.
        """
        if sum(balance for balance, _ in accounts.values()):
            self._complain(machine, "money was made or lost by a restart")
        for (who, subject), last in self._last.items():
            if who != machine or not isinstance(subject, int) or not disk_is_whole:
                continue
            if accounts[subject][1] <= last:
                self._complain(machine, f"slot {(subject, last)} was final before a restart")
        self._last = {key: last for key, last in self._last.items() if key[0] != machine}
        for account, (_, following) in accounts.items():
            if following:
                self._last[machine, account] = following - 1
        self._books[machine] = {account: balance for account, (balance, _) in accounts.items()}
        self._held[machine] = held
        self._touched.pop(machine, None)

    def convicted(self, machine: int, culprit: int, evidence: bytes, *, may_be: bool) -> None:
        """An honest machine convicts somebody, who `may_be` guilty, and shows the file that proves it."""
        if not may_be:
            self._complain(machine, f"super-agent {culprit} is honest and was convicted")
        proved = read_evidence(evidence, self.town.network, self.town.committee)
        if isinstance(proved, Malformed):
            self._complain(machine, f"its evidence against {culprit} proves nothing: {proved.why}")
        elif proved.culprit != culprit:
            self._complain(machine, f"its evidence against {culprit} convicts {proved.culprit}")

    def accused(self, machine: int, culprit: int, *, is_honest: bool) -> None:
        """An honest machine says that somebody has served it lies."""
        if is_honest:
            self._complain(machine, f"super-agent {culprit} is honest and was called a liar")

    def _decide(self, machine: int, slot: Slot, body: bytes) -> None:
        known = self.decided.setdefault(slot, body)
        if known != body:
            self.duplicated += 1
            self._complain(machine, f"two orders are final in slot {slot}")
        subject, sequence = slot
        last = self._last.get((machine, subject))
        if last is not None and sequence != last + 1:
            self._complain(machine, f"account {subject!r} went from sequence {last} to {sequence}")
        self._last[machine, subject] = sequence

    def _is_signed(self, order: bytes) -> bool:
        known = self._signed.get(order)
        if known is None:
            key = self.town.key_of(int.from_bytes(order[:4], "little"))
            prefix = signed_prefix(TAG_ORDER, self.town.network)
            known = key is not None and verify(key, prefix + order[:BODY_BYTES], order[BODY_BYTES:])
            self._signed[order] = known
        return known

    def _complain(self, machine: int, what: str) -> None:
        self.violations.append(f"machine {machine}: {what}")

    # -- what people hear -------------------------------------------------------------------------

    def believed(self, order: bytes) -> None:
        """A customer has heard from w super-agents that an order is final."""
        body = order[:BODY_BYTES]
        self.told[slot_of(body)] = body

    def lost(self) -> int:
        """How many orders that a customer was told are final, are not."""
        return sum(self.decided.get(slot) != body for slot, body in self.told.items())

    # -- what must come of it ---------------------------------------------------------------------

    def _openings(self) -> dict[int, int]:
        return {opening.number: opening.cents for opening in self.town.openings}

    def book(self) -> dict[int, tuple[int, int]]:
        """The accounts that the decided slots make of the openings: (balance, next sequence)."""
        balances = self._openings()
        following = dict.fromkeys(balances, 0)
        for (subject, sequence), body in self.decided.items():
            if isinstance(subject, int):
                following[subject] = max(following[subject], sequence + 1)
            changes = changes_of(body, self.town)
            if changes and int.from_bytes(body[16:20], "little") != self._fee_of(body):
                self.violations.append(f"slot {(subject, sequence)} paid a wrong fee")
            for account, cents in changes.items():
                balances[account] += cents
        return {number: (balances[number], following[number]) for number in balances}

    def _fee_of(self, body: bytes) -> int:
        """What the tariff takes for an order that moves money, in cents."""
        if body[24] == OrderKind.BULK_PAY_OUT:
            return self.town.pay_out_fee_cents(self.town.rows_of(body))
        kind = OrderKind.SEND if body[24] == OrderKind.RELEASE else body[24]
        return self.town.fee_cents(int.from_bytes(body[8:16], "little"), kind)

    def owners(self) -> dict[bytes, int]:
        """Whom the decided claims let each alias name."""
        found: dict[bytes, tuple[int, int]] = {}
        for (subject, sequence), body in self.decided.items():
            if isinstance(subject, bytes) and body != SKIPPED and body[24] == OrderKind.CLAIM:
                owner = int.from_bytes(body[4:8], "little")
                found[subject] = max(found.get(subject, (-1, 0)), (sequence, owner))
        return {alias: owner for alias, (_, owner) in found.items()}

    def hold_numbers(self, machine: int, alias: Callable[[bytes], tuple[int, int] | None]) -> None:
        """Hold what a machine says of whose number is whose against the decided claims."""
        for number, owner in self.owners().items():
            said = alias(number)
            if said is None or said[0] != owner:
                self._complain(machine, f"number {number.hex()[:8]} is of {said}, not {owner}")

    def disagreements(self, machine: int, accounts: dict[int, tuple[int, int]]) -> int:
        """How many accounts of a machine are not what the book says; each is a violation."""
        book = self.book()
        wrong = [number for number, held in book.items() if accounts[number] != held]
        self.violations += [
            f"machine {machine}: account {number} is {accounts[number]}, not {book[number]}"
            for number in wrong[:3]
        ]
        return len(wrong)
