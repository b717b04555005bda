"""A network in one process: seeded clock, links and disks around real replicas.

Every delay, loss and crash comes from one seeded generator, so a seed is a bug report. A replica's disk is a
list of blocks; what it had not handed over as durable is gone after a crash, exactly as with a journal.
"""

import heapq
import itertools
import random
from dataclasses import dataclass, field

import numpy as np

from harambee.crypto.hashing import TAG_ORDER, digest, signed_prefix
from harambee.crypto.keys import sign
from harambee.crypto.signatures import from_seed
from harambee.ledger.kinds import OrderKind
from harambee.ledger.ledger import Ledger
from harambee.ledger.outcomes import Outcome
from harambee.ledger.records import (
    BODY_BYTES,
    OPENING,
    ORDER,
    ORDER_BYTES,
    POSITION_ENROLMENT,
    POSITION_REVENUE,
    AccountKind,
    account_flags,
    account_number,
)
from harambee.money.tariff import FeeTable, shipped_tariff
from harambee.protocol.checking import Checking
from harambee.protocol.committee import Committee, Member
from harambee.protocol.effects import (
    EVERYONE,
    AskHeads,
    Fetch,
    FetchNamed,
    Name,
    SendBlock,
    SendHeads,
    Serve,
    ServeNamed,
)
from harambee.protocol.messages import (
    BlockArrived,
    FetchAsked,
    FetchEnded,
    HeadsArrived,
    HeadsAsked,
    NamedAsked,
    OrdersOffered,
    PeerDown,
    PeerUp,
)
from harambee.protocol.replica import Pace, Replica, day_of
from harambee.protocol.slot import Slot
from harambee.protocol.wire import (
    NO_DIGEST,
    REFERENCE,
    Draft,
    block_prefix,
    read_block,
    write_block,
    write_names,
)

NETWORK = digest(b"the network of the protocol's tests")
START_NS = 1_790_000_000_000_000_000
MS = 1_000_000
SECOND = 1_000 * MS
TODAY = day_of(START_NS)
BANK = account_number(0, 20)
FIRST_CUSTOMER = 32
OPENING_CENTS = 1_000_000
TARIFF = shipped_tariff()
NEWER_TARIFF = shipped_tariff(2)
SUPER_AGENT_KEYS = [from_seed(digest(b"super-agent", bytes([i]))) for i in range(16)]


def customer_key(number):
    return from_seed(digest(b"customer", number.to_bytes(4, "little")))


def make_committee(n):
    members = tuple(
        Member(f"super-agent-{i}", SUPER_AGENT_KEYS[i].public, bytes(32), (i,)) for i in range(n)
    )
    return Committee(0, members)


def customers(count):
    return [account_number(0, FIRST_CUSTOMER + i) for i in range(count)]


def make_ledger(n, people, opening_cents=OPENING_CENTS):
    del n  # one region is enough for every test here, whoever enrols in it
    ledger = Ledger(1, (TARIFF, NEWER_TARIFF))
    rows = [
        (account_number(0, POSITION_ENROLMENT), 0, AccountKind.ENROLMENT),
        (account_number(0, POSITION_REVENUE), 0, AccountKind.REVENUE),
        (BANK, -people * opening_cents, AccountKind.BANK),
        *((number, opening_cents, AccountKind.CUSTOMER) for number in customers(people)),
    ]
    openings = np.zeros(len(rows), OPENING)
    for row, (number, balance, kind) in zip(openings, rows, strict=True):
        row["number"], row["balance"], row["flags"] = number, balance, account_flags(kind)
        row["key"] = np.frombuffer(customer_key(number).public, np.uint8)
    ledger.open_accounts(openings, {BANK: people * opening_cents})
    return ledger


def make_order(
    payer, payee, amount, sequence, *, kind=OrderKind.SEND, key=None, day=TODAY, reference=None
):
    order = np.zeros(1, ORDER)
    order["payer"], order["payee"], order["amount"] = payer, payee, amount
    order["sequence"], order["kind"], order["day"] = sequence, kind, day
    order["tariff"] = TARIFF.version
    if reference is not None:
        order["reference"] = reference
    if kind == OrderKind.SEND:
        order["fee"] = TARIFF.fee_cents(FeeTable.SEND, amount)
    return sign_again(order, key)


def sign_again(order, key=None):
    """The order with its payer's signature over what stands in it now."""
    prefix = signed_prefix(TAG_ORDER, NETWORK)
    signature = sign(
        key or customer_key(int(order["payer"][0])), prefix + order.tobytes()[:BODY_BYTES]
    )
    order["signature"] = np.frombuffer(signature, np.uint8)
    return order


def make_block(author, height, previous, references=(), orders=None, rejections=b"", recovery=b""):
    """A block as anybody with the author's key could sign it, (bytes, digest).

    `references` are (author, height, digest).
    """
    data = b"" if orders is None else orders.tobytes()
    names = tuple(Name(to, 0, at, digest_) for to, at, digest_ in references)
    unsigned, name = write_block(
        Draft(NETWORK, 0, author, height, previous, 0, names, rejections, recovery, data)
    )
    return unsigned + sign(SUPER_AGENT_KEYS[author], block_prefix(NETWORK, 0) + name), name


class CountingChecking(Checking):
    """Counts what costs: blocks parsed, and signatures of blocks checked."""

    parsed = signatures = 0

    def read(self, data, seen=None):
        self.parsed += 1
        return super().read(data, seen)

    def block_holds(self, block):
        self.signatures += 1
        return super().block_holds(block)


def heads_of(n, **heights):
    """What a peer says it holds: `of_3=9` is height 9 of author 3."""
    names = (Name(author, 0, heights.get(f"of_{author}", 0), NO_DIGEST) for author in range(n))
    return np.frombuffer(write_names(tuple(names)), REFERENCE)


class Listener:
    """Replica 0 alone, linked to peers that say exactly what a test lets them say."""

    def __init__(self, n=4, people=12):
        self.n, self.now = n, START_NS
        self.checking = CountingChecking(NETWORK, make_committee(n))
        self.replica = Replica(
            NETWORK,
            make_committee(n),
            0,
            SUPER_AGENT_KEYS[0],
            make_ledger(n, people),
            checking=self.checking,
        )
        self.evidence = []
        self.sent = []
        """What was sent since the last look at it."""
        self.journal = []
        nothing = heads_of(n)
        for peer in range(1, n):
            self.hear(PeerUp(peer), HeadsArrived(peer, nothing))

    def hear(self, *messages):
        for message in messages:
            self._note(self.replica.receive(message, self.now))

    def hear_blocks(self, *blocks, peer=None):
        """Blocks as bytes, each from its author, or all from one peer."""
        for data in blocks:
            author = int.from_bytes(data[2:4], "little")
            self.hear(BlockArrived(author if peer is None else peer, data))

    def speak(self, after_ms=100):
        """Let so much time pass; the blocks that the replica makes then."""
        self.now += after_ms * MS
        effects = self.replica.act(self.now)
        self._note(effects)
        sent = [out.data for out in effects.send if isinstance(out, SendBlock)]
        return [read_block(data, NETWORK, self.n) for data in sent]

    def _note(self, effects):
        self.sent += effects.send
        self.journal += effects.persist
        self.evidence += effects.evidence


@dataclass
class Node:
    replica: Replica
    disk: list[bytes] = field(default_factory=list)
    settled: list[bytes] = field(default_factory=list)
    """Bodies of final orders in the order in which they were told."""
    refused: dict[tuple[int, int], Outcome] = field(default_factory=dict)
    evidence: list[object] = field(default_factory=list)
    up: bool = True
    wake_at: int = 0
    life: int = 0


class Network:
    def __init__(self, n=4, people=8, seed=1, loss=0.0, delay_ms=(1, 20), opening=OPENING_CENTS):
        self.n, self.people, self.opening = n, people, opening
        self.dice = random.Random(seed)
        self.loss, self.delay_ms = loss, delay_ms
        self.now = START_NS
        self.committee = make_committee(n)
        self.nodes = [Node(self._replica(i)) for i in range(n)]
        self._events = []
        self._count = itertools.count()
        self.cut = set()
        """(from, to) pairs that lose everything."""
        for a in range(n):
            for b in range(n):
                if a != b:
                    self._later(0, b, PeerUp(a))

    def _replica(self, index):
        ledger = make_ledger(self.n, self.people, self.opening)
        ledger.original_at = lambda position, at: self.order_at(index, position, at)
        pace = Pace(20 * MS, 200 * MS)
        return Replica(NETWORK, self.committee, index, SUPER_AGENT_KEYS[index], ledger, pace)

    def order_at(self, index, position, at):
        """An order on a node's disk, as far as it is durable there."""
        disk = self.nodes[index].disk
        return None if position >= len(disk) else self.orders_in(disk[position])[at]

    def orders_in(self, data):
        return read_block(data, NETWORK, self.n).orders

    def _later(self, delay, to, message):
        life = self.nodes[to].life
        heapq.heappush(self._events, (self.now + delay, next(self._count), to, life, message))

    def _travel(self, sender, to, message):
        if (sender, to) in self.cut or self.dice.random() < self.loss:
            return
        self._later(int(self.dice.uniform(*self.delay_ms) * MS), to, message)

    def offer(self, to, *orders, ticket=0):
        joined = np.concatenate(orders)
        self._later(0, to, OrdersOffered(ticket, joined))

    def run(self, seconds):
        end = self.now + int(seconds * SECOND)
        while True:
            due = min((node.wake_at for node in self.nodes if node.up), default=end)
            at = min(due, self._events[0][0] if self._events else end)
            if at > end:
                self.now = end
                return
            self.now = max(self.now, at)
            touched = set()
            while self._events and self._events[0][0] <= self.now:
                _, _, to, life, message = heapq.heappop(self._events)
                node = self.nodes[to]
                if node.up and life == node.life:
                    self._carry_out(to, node.replica.receive(message, self.now))
                    touched.add(to)
            for index, node in enumerate(self.nodes):
                if node.up and (index in touched or node.wake_at <= self.now):
                    effects = node.replica.act(self.now)
                    node.wake_at = max(effects.wake_at, self.now + 1)
                    self._carry_out(index, effects)
            if at == end:
                return

    def pay(self, to, order):
        """Offer an order as a handset does: again, if it was refused or takes long, until it is final."""
        for _ in range(10):
            self.offer(to, order)
            end = self.now + 3 * SECOND
            while self.now < end:
                self.run(0.05)
                if self.is_final(order, to):
                    return
        raise AssertionError("it never became final")

    def until(self, holds, seconds=20):
        end = self.now + seconds * SECOND
        while not holds():
            assert self.now < end, "it never came true"
            self.run(0.05)

    def _carry_out(self, index, effects):
        node = self.nodes[index]
        node.disk += effects.persist
        for orders in effects.settled:
            node.settled += [order.tobytes()[:BODY_BYTES] for order in orders]
        node.evidence += effects.evidence
        for refused in effects.refused:
            for order, outcome in zip(refused.indices, refused.outcomes, strict=True):
                node.refused[refused.ticket, int(order)] = Outcome(outcome)
        for outgoing in effects.send:
            self._send(index, outgoing)

    def _send(self, index, outgoing):
        peers = [p for p in range(self.n) if p != index]
        to = peers if outgoing.peer == EVERYONE else [outgoing.peer]
        for peer in to:
            match outgoing:
                case SendBlock(_, data):
                    self._travel(index, peer, BlockArrived(index, data))
                case SendHeads(_, heads):
                    self._travel(index, peer, HeadsArrived(index, heads))
                case AskHeads():
                    self._travel(index, peer, HeadsAsked(index))
                case Fetch(_, ranges):
                    self._travel(index, peer, FetchAsked(index, ranges))
                case Serve(_, ranges):
                    self._serve(index, peer, ranges)
                case FetchNamed(_, names):
                    self._travel(index, peer, NamedAsked(index, names))
                case ServeNamed(_, names):
                    wanted = {name.digest for name in names}
                    for data in self.nodes[index].disk:
                        if read_block(data, NETWORK, self.n).digest in wanted:
                            self._travel(index, peer, BlockArrived(index, data))

    def _serve(self, index, peer, ranges):
        held = self.nodes[index].disk
        for part in ranges:
            for data in held:
                author = int.from_bytes(data[2:4], "little")
                height = int.from_bytes(data[8:12], "little")
                if author == part.author and part.first <= height <= part.last:
                    self._travel(index, peer, BlockArrived(index, data))
        self._travel(index, peer, FetchEnded(index))

    def kill(self, index):
        node = self.nodes[index]
        node.up = False
        node.life += 1
        for peer in range(self.n):
            if peer != index and self.nodes[peer].up:
                self._later(0, peer, PeerDown(index))

    def restart(self, index, *, re_enter=False):
        node = self.nodes[index]
        node.replica = self._replica(index)
        node.replica.restore(enumerate(node.disk))
        if re_enter:
            node.replica.re_enter()
        node.up, node.wake_at = True, self.now
        for peer in range(self.n):
            if peer != index and self.nodes[peer].up:
                self._later(0, peer, PeerUp(index))
                self._later(0, index, PeerUp(peer))

    # -- what must hold -------------------------------------------------------------------------

    def balance(self, index, number):
        return int(self.nodes[index].replica.ledger.accounts[number]["balance"])

    def is_final(self, order, index=None):
        body = order.tobytes()[:BODY_BYTES]
        chosen = [n for n in self.nodes if n.up] if index is None else [self.nodes[index]]
        return all(self.final_in_slot(node, order) == body for node in chosen)

    def final_in_slot(self, node, order):
        """The body of what is final in this order's slot on a node, or None."""
        ledger = node.replica.ledger
        entry = ledger.entry_of_slot(int(order["payer"][0]), int(order["sequence"][0]))
        if entry is None:
            return None
        place = ledger.entries[entry]
        block = read_block(node.disk[int(place["position"])], NETWORK, self.n)
        return block.orders[int(place["index"])].tobytes()[:BODY_BYTES]

    def assert_sound(self):
        """No cent made or lost, no slot told twice, nobody contradicts anybody."""
        told = {}
        for node in self.nodes:
            assert node.replica.ledger.total_cents() == 0
            for body in node.settled:
                slot = Slot.of(np.frombuffer(body.ljust(ORDER_BYTES, b"\0"), ORDER)[0])
                assert told.setdefault(slot, body) == body, "two orders are final in one slot"

    def assert_same(self):
        """Those who are up hold the same ledger."""
        assert len({node.replica.ledger.digest() for node in self.nodes if node.up}) == 1
