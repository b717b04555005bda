"""Super-agents that lie: each strategy is a machine, or a replica, with one thing done wrongly.

They hold their own keys and nobody else's, hear everything that is sent to them, and know the protocol.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from harambee.crypto.hashing import digest
from harambee.crypto.signatures import sign
from harambee.ledger.kinds import OrderKind
from harambee.ledger.outcomes import Outcome
from harambee.ledger.records import ORDER, PAYEE
from harambee.protocol.checkpoint import DOCUMENT_BYTES
from harambee.protocol.disputes import Dispute
from harambee.protocol.effects import (
    EVERYONE,
    Effects,
    Outgoing,
    SendBlock,
    SendHeads,
    Serve,
    ServeNamed,
)
from harambee.protocol.evidence import read_evidence, write_evidence
from harambee.protocol.fold import Held
from harambee.protocol.malformed import Malformed
from harambee.protocol.messages import BlockArrived, FetchEnded, Message
from harambee.protocol.page_wire import IndexRows
from harambee.protocol.recovery import Plan
from harambee.protocol.recovery_entries import ABSTAINS, SKIP, Fence, Proposal, Recovery, Vote
from harambee.protocol.replica import Replica
from harambee.protocol.slot import Slot
from harambee.protocol.wire import (
    FORMAT,
    HEAD,
    SIGNATURE_BYTES,
    block_prefix,
    digest_of,
    write_payees,
)
from harambee.sim.machine import Machine
from harambee.sim.odd_signatures import L, bent_of
from harambee.sim.town import DESKS, DESKS_MAX

if TYPE_CHECKING:
    from harambee.sim.world import World

Orders = npt.NDArray[np.void]

LATE_NS: Final = 3_000_000_000
GARBAGE_FRAMES: Final = 3
SLOTS_AT_ONCE: Final = 16
SMUGGLED_AT_ONCE: Final = 64
SMUGGLED_MAX: Final = 512
COPIES_AT_ONCE: Final = 16
"""How many copies of others' orders wait for one block; where hundreds speak there would be no end."""
FORGED_SHARE: Final = 0.7
"""Of each super-agent's blocks a forger makes others of so many, divided by the size of the network."""
HEARD_MAX: Final = 200
CONVICT_AT_HEIGHT: Final = 5
ROBBED_SHARE: Final = 0.5

assert HEAD.fields is not None
AUTHOR_AT, EPOCH_AT, HEIGHT_AT, TIME_AT, NETWORK_AT = (
    HEAD.fields[name][1] for name in ("author", "epoch", "height", "time_ms", "network")
)
BODY_AT, ATTACHMENTS_AT = (HEAD.fields[name][1] for name in ("body_digest", "attachment_bytes"))


class Traitor(Machine):
    """A machine that the auditor does not believe."""

    honest = False

    def settle(self, order: np.void) -> None:
        """What a traitor says is final, counts for nothing."""

    def skip(self, slot: Slot) -> None:
        """What a traitor says was skipped, counts for nothing."""

    def sign_again(self, unsigned: bytes) -> bytes:
        """Sign a block as it stands now, whatever it says."""
        world = self.world
        prefix = block_prefix(world.town.network, world.town.committee.epoch)
        return unsigned + sign(world.town.keys[self.index], prefix + digest_of(unsigned))

    def show(self, data: bytes) -> None:
        """Send bytes as a block to everybody."""
        for peer in range(self.world.story.super_agents):
            if peer != self.index:
                self.world.travel(self.index, peer, BlockArrived(self.index, data))


class Silent(Traitor):
    """Hears everything and says nothing."""

    def send(self, outgoing: Outgoing) -> None:
        """Say nothing."""


class Withholder(Traitor):
    """Shows its blocks, and so the certificates in them, to one peer alone."""

    def send(self, outgoing: Outgoing) -> None:
        """Send blocks to the one peer, everything else to whom it is meant for."""
        if isinstance(outgoing, SendBlock):
            favourite = (self.index + 1) % self.world.story.super_agents
            outgoing = SendBlock(favourite, outgoing.data)
        super().send(outgoing)


class Late(Traitor):
    """Speaks seconds after it should: its certificates surface when recovery is over."""

    def send(self, outgoing: Outgoing) -> None:
        """Send later."""
        self.world.later(self.world.now + LATE_NS, self._really_send, outgoing)

    def _really_send(self, outgoing: Outgoing) -> None:
        super().send(outgoing)


class LyingServer(Traitor):
    """Claims to hold everything, and serves garbage to those who ask for it."""

    def send(self, outgoing: Outgoing) -> None:
        """Spoil what is served and what is claimed."""
        match outgoing:
            case Serve(peer, _) | ServeNamed(peer, _):
                for data in self.disk.newest(GARBAGE_FRAMES):
                    self.world.travel(self.index, peer, BlockArrived(self.index, _spoilt(data)))
                self.world.travel(self.index, peer, FetchEnded(self.index))
            case SendHeads(peer, heads):
                claimed = heads.copy()
                claimed["height"] += 10_000
                super().send(SendHeads(peer, claimed))
            case _:
                super().send(outgoing)


class Flooder(Traitor):
    """Sends garbage, cut and altered blocks beside every block of its own."""

    def send(self, outgoing: Outgoing) -> None:
        """Send it, and rubbish with it."""
        super().send(outgoing)
        if isinstance(outgoing, SendBlock) and outgoing.peer == EVERYONE:
            for rubbish in (_spoilt(outgoing.data), outgoing.data[:-1], b"\0" * 64):
                self.show(rubbish)


class Vanisher(Traitor):
    """A broker that collects votes for the first orders brought to it, and is never heard of again."""

    def send(self, outgoing: Outgoing) -> None:
        """Speak until a block with orders has left."""
        if self.replica.counters.applied and self.replica.height > 1:
            return
        super().send(outgoing)


class _Gullible(Replica):
    """Votes for every order, locks nothing."""

    def _judge(self, held: Held, plan: Plan, today: int) -> npt.NDArray[np.uint8]:
        del plan, today
        return np.zeros(len(held.block.orders), np.uint8)


class YesSayer(Traitor):
    """Votes for both of two rival orders, and for those that nobody may sign."""

    def make_replica(self) -> Replica:
        """A replica without judgement."""
        return self.world.make_replica(self.index, _Gullible)


class _NaySayer(Replica):
    """Refuses every order of others."""

    def _judge(self, held: Held, plan: Plan, today: int) -> npt.NDArray[np.uint8]:
        del plan, today
        return np.full(len(held.block.orders), Outcome.BALANCE_INSUFFICIENT, np.uint8)


class NaySayer(Traitor):
    """Refuses whatever it is shown, so that everything is counted one by one."""

    def make_replica(self) -> Replica:
        """A replica that refuses."""
        return self.world.make_replica(self.index, _NaySayer)


class _Opener(Replica):
    """Fences the slots of honest payers that it sees, for no reason, and wants them skipped."""

    def _plan(self, rescues: list[Slot], now: int) -> Plan:
        plan = super()._plan(rescues, now)
        slots = {
            Slot.of(order): None
            for open_ in self._open
            for held in list(open_.values())[:4]
            for order in held.block.orders[:8]
        }
        fresh = [slot for slot in slots if slot not in plan.fences and not self._own_fence(slot)]
        fences = tuple(Fence(slot, 1, np.zeros(0, ORDER)) for slot in fresh[:64])
        entries = plan.entries
        plan.entries = Recovery(
            (*entries.fences, *fences),
            tuple(replace(proposal, value=SKIP) for proposal in entries.proposals),
            tuple(replace(vote, value=SKIP) for vote in entries.votes),
        )
        plan.fences.update((fence.slot, 1) for fence in fences)
        return plan


class Opener(Traitor):
    """Opens the recovery of slots whose payers are honest, to have them skipped."""

    def make_replica(self) -> Replica:
        """A replica that fences."""
        return self.world.make_replica(self.index, _Opener)


class _MuteLeader(Replica):
    """Never proposes anything."""

    def _passes_in_recovery(self, dispute: Dispute, name: bytes) -> bool:
        del dispute, name
        return False

    def _plan(self, rescues: list[Slot], now: int) -> Plan:
        plan = super()._plan(rescues, now)
        plan.entries = Recovery(plan.entries.fences, (), plan.entries.votes)
        return plan


class MuteLeader(Traitor):
    """Joins every recovery and never leads one."""

    def make_replica(self) -> Replica:
        """A replica without proposals."""
        return self.world.make_replica(self.index, _MuteLeader)


class _Usurper(Replica):
    """Proposes in every view of a slot that it has fenced: unproved, out of turn, and two values in turn."""

    def __init__(self, *rest: Any) -> None:
        super().__init__(*rest)
        self._said: set[tuple[Slot, int, bytes]] = set()

    def _plan(self, rescues: list[Slot], now: int) -> Plan:
        plan, said = super()._plan(rescues, now), self._said
        entries = plan.entries
        proposals = list(entries.proposals)
        for slot in self.disputes.slots()[:SLOTS_AT_ONCE]:
            dispute, view = self.disputes.get(slot), self._own_fence(slot)
            if dispute is None or not 0 < view < ABSTAINS:
                continue
            proved = [p.proof for p in entries.proposals if p.slot == slot]
            for value in (SKIP, *sorted(dispute.orders)):
                if (slot, view, value) not in said:
                    said.add((slot, view, value))
                    proposals.append(Proposal(slot, view, value, proved[0] if proved else ()))
        plan.entries = Recovery(entries.fences, tuple(proposals), entries.votes)
        return plan


class Usurper(Traitor):
    """Proposes what it may not, and when it may not."""

    def make_replica(self) -> Replica:
        """A replica that proposes."""
        return self.world.make_replica(self.index, _Usurper)


class _DoubleVoter(Replica):
    """Votes a second time in a view of recovery, for something else."""

    def __init__(self, *rest: Any) -> None:
        super().__init__(*rest)
        self._said: set[tuple[Slot, int]] = set()

    def _plan(self, rescues: list[Slot], now: int) -> Plan:
        plan, said = super()._plan(rescues, now), self._said
        entries = plan.entries
        votes = list(entries.votes)
        for slot in self.disputes.slots()[:SLOTS_AT_ONCE]:
            dispute, view = self.disputes.get(slot), self._own_fence(slot)
            if dispute is None or not 0 < view < ABSTAINS or (slot, view) in said:
                continue
            value = dispute.vote_of(self.chains, self.lane, view)
            others = [other for other in (SKIP, *sorted(dispute.orders)) if other != value]
            if value is not None and others:
                said.add((slot, view))
                votes.append(Vote(slot, view, others[0]))
        plan.entries = Recovery(entries.fences, entries.proposals, tuple(votes))
        return plan


class DoubleVoter(Traitor):
    """Gives two votes in one slot and view: that is evidence."""

    def make_replica(self) -> Replica:
        """A replica that votes twice."""
        return self.world.make_replica(self.index, _DoubleVoter)


class _Carrier(Replica):
    """Puts orders into its blocks that no check has seen."""

    def __init__(self, *rest: Any) -> None:
        super().__init__(*rest)
        self.smuggled: list[Orders] = []

    def _take_from_door(
        self, now: int, today: int, plan: Plan, effects: Effects
    ) -> tuple[bytes, bytes]:
        orders, attachments = super()._take_from_door(now, today, plan, effects)
        taken = self.smuggled[:SMUGGLED_AT_ONCE]
        self.smuggled = self.smuggled[SMUGGLED_AT_ONCE:SMUGGLED_MAX]
        return orders + b"".join(order.tobytes() for order in taken), attachments


class Carrier(Traitor):
    """A broker that carries whatever is brought to it, unseen: edges, strangers, signatures gone wrong."""

    def make_replica(self) -> Replica:
        """A replica without a door."""
        return self.world.make_replica(self.index, _Carrier)

    def offer(self, ticket: int, orders: Orders) -> None:
        """Take it all."""
        super().offer(ticket, orders)
        self.smuggle(orders)

    def smuggle(self, orders: Orders) -> None:
        """Let the next block carry these orders."""
        assert isinstance(self.replica, _Carrier)
        # A bulk pay-out without its table would make the block none at all: that is another's strategy.
        self.replica.smuggled.append(orders[orders["kind"] != OrderKind.BULK_PAY_OUT])


class Bender(Carrier):
    """Carries orders that others carry, under signatures that it has bent: the id is the same."""

    def receive(self, message: Message) -> None:
        """Bend what comes."""
        super().receive(message)
        for order in self._orders_in(message):
            signature = order["signature"].tobytes()
            bent = order.copy().reshape(1)
            for signed in bent_of(self.world.town.key_of(int(order["payer"])), signature):
                bent["signature"] = np.frombuffer(signed, np.uint8)
                self.smuggle(bent)

    def _orders_in(self, message: Message) -> Orders:
        """Some of the orders in a block that arrives from a door that checks what it carries.

        Two that answer each other's copies with copies would drown everybody, which is no story of theirs.
        """
        assert isinstance(self.replica, _Carrier)
        if isinstance(message, BlockArrived) and len(self.replica.smuggled) < COPIES_AT_ONCE:
            block = self.world.checking.read(message.data)
            if not isinstance(block, Malformed) and self.world.machines[block.author].honest:
                return block.orders[:2]
        return np.zeros(0, ORDER)


class Replayer(Bender):
    """Says again what others said: old blocks, old orders, its own blocks for other networks and epochs."""

    def __init__(self, world: "World", index: int) -> None:
        """Nothing is heard yet."""
        super().__init__(world, index)
        self._heard: list[bytes] = []

    def receive(self, message: Message) -> None:
        """Keep it, and carry its orders once more."""
        Carrier.receive(self, message)
        if isinstance(message, BlockArrived):
            self._heard = [*self._heard[-HEARD_MAX:], message.data]
            for order in self._orders_in(message):
                self.smuggle(order.reshape(1))

    def send(self, outgoing: Outgoing) -> None:
        """Send it, and with it what it is not."""
        super().send(outgoing)
        if not isinstance(outgoing, SendBlock) or outgoing.peer != EVERYONE:
            return
        dice, data = self.world.dice, outgoing.data
        unsigned = data[:-SIGNATURE_BYTES]
        self.show(self.sign_again(_with(unsigned, NETWORK_AT, digest(b"another network"))))
        self.show(self.sign_again(_with(unsigned, EPOCH_AT, (1).to_bytes(4, "little"))))
        if self._heard:
            heard = dice.choice(self._heard)
            self.show(heard)
            self.show(_with(heard, AUTHOR_AT, self.index.to_bytes(2, "little")))
            self.show(unsigned + heard[-SIGNATURE_BYTES:])
            orders = self._orders_in(BlockArrived(self.index, heard))
            if len(orders):
                self.show(unsigned + orders[0]["signature"].tobytes())


class EvidenceForger(Traitor):
    """Shows forks that honest super-agents never made, and files of evidence against them."""

    def __init__(self, world: "World", index: int) -> None:
        """Nothing is heard yet."""
        super().__init__(world, index)
        self._heard: dict[int, bytes] = {}

    def receive(self, message: Message) -> None:
        """Make another block of some that come; not of what other forgers make, or there would be no end."""
        super().receive(message)
        if not isinstance(message, BlockArrived) or not self.world.machines[message.peer].honest:
            return
        data, author = message.data, author_of(message.data)
        if self.world.dice.random() * self.world.story.super_agents >= FORGED_SHARE:
            return
        unsigned, signature = data[:-SIGNATURE_BYTES], data[-SIGNATURE_BYTES:]
        other = _with(unsigned, TIME_AT, bytes(8))
        s = int.from_bytes(signature[32:], "little") + L
        forged = [other + signature, self.sign_again(other)]
        if s < 2**256:
            forged.append(unsigned + signature[:32] + s.to_bytes(32, "little"))
        before = self._heard.get(author)
        if before is not None:
            forged.append(other + before[-SIGNATURE_BYTES:])
        self._heard[author] = data
        for block in forged:
            self.show(block)
            self._accuse(data, block)
            if before is not None:
                self._accuse(before, block)

    def _accuse(self, first: bytes, second: bytes) -> None:
        """Bring a file of two blocks before a stranger."""
        town = self.world.town
        said = read_evidence(
            write_evidence(town.network, first, second), town.network, town.committee
        )
        if not isinstance(said, Malformed):
            culprit = self.world.machines[said.culprit]
            may_be = not culprit.honest or culprit.forgot
            content = write_evidence(town.network, first, second)
            self.world.auditor.convicted(self.index, said.culprit, content, may_be=may_be)


class Convict(Traitor):
    """Signs two blocks of one height for everybody to see, and goes on as if nothing were."""

    def send(self, outgoing: Outgoing) -> None:
        """Send it; once, with another one beside it."""
        super().send(outgoing)
        if not isinstance(outgoing, SendBlock) or outgoing.peer != EVERYONE:
            return
        height = int.from_bytes(outgoing.data[HEIGHT_AT : HEIGHT_AT + 4], "little")
        if height == CONVICT_AT_HEIGHT:
            unsigned = outgoing.data[:-SIGNATURE_BYTES]
            self.show(self.sign_again(_with(unsigned, TIME_AT, bytes(8))))
        elif any(self.index in machine.replica.convicted for machine in self.world.honest):
            self.world.marks.hit("a convicted super-agent signed on")


class Newcomer(Traitor):
    """Runs a version of the software to come, whose blocks nobody understands yet."""

    def send(self, outgoing: Outgoing) -> None:
        """Speak another format."""
        if isinstance(outgoing, SendBlock):
            unsigned = outgoing.data[:-SIGNATURE_BYTES]
            later = self.sign_again((FORMAT + 1).to_bytes(2, "little") + unsigned[2:])
            outgoing = SendBlock(outgoing.peer, later)
        super().send(outgoing)


class Claimer(Carrier):
    """Claims for a friend every phone number that it sees somebody else claim."""

    def receive(self, message: Message) -> None:
        """Claim what is claimed."""
        super().receive(message)
        town = self.world.town
        for order in self._claims_in(message):
            if self.index < DESKS_MAX and int(order["payer"]) != DESKS[self.index]:
                alias, sequence = order["reference"].tobytes(), int(order["sequence"])
                friend = town.people[-1]
                self.smuggle(town.claim(self.index, friend, alias, sequence, self.world.today))

    def _claims_in(self, message: Message) -> Orders:
        if isinstance(message, BlockArrived):
            block = self.world.checking.read(message.data)
            if not isinstance(block, Malformed):
                claims: Orders = block.orders[block.orders["kind"] == OrderKind.CLAIM]
                return claims
        return np.zeros(0, ORDER)


class TableThief(Traitor):
    """Shows half of the others its blocks without their payee tables, or with others than were signed."""

    def send(self, outgoing: Outgoing) -> None:
        """Send a block as it is to some, and under a signature of its own as it is not to others."""
        if not isinstance(outgoing, SendBlock) or outgoing.peer != EVERYONE:
            super().send(outgoing)
            return
        for peer in range(self.world.story.super_agents):
            if peer == self.index:
                continue
            data = outgoing.data
            if self.world.dice.random() < ROBBED_SHARE:
                data = self._robbed(data)
            super().send(SendBlock(peer, data))

    def _robbed(self, data: bytes) -> bytes:
        """The block with other attachments; as it is where it has no order."""
        block = self.world.checking.read(data)
        if isinstance(block, Malformed) or not len(block.orders):
            return data
        tables = self.world.town.tables_of(block.orders)
        if not tables:  # then a table for an order that has none
            return self._with_attachments(data, write_payees(0, bytes(PAYEE.itemsize)))
        altered = b""
        if self.world.dice.random() < ROBBED_SHARE:
            self.world.marks.hit("a table was shown altered")
            altered = b"".join(write_payees(row, _spoilt(table)) for row, table in tables.items())
        else:
            self.world.marks.hit("a table was withheld")
        return self._with_attachments(data, altered)

    def _with_attachments(self, data: bytes, attachments: bytes) -> bytes:
        seen = self.world.checking.glance(data)
        assert not isinstance(seen, Malformed), "it is its own block"
        body = data[seen.parts.orders : seen.parts.attachments] + attachments
        head = _with(data[: seen.parts.orders], BODY_AT, digest(body))
        head = _with(head, ATTACHMENTS_AT, len(attachments).to_bytes(4, "little"))
        return self.sign_again(head + body)


class WrongPages(Traitor):
    """Serves pages of checkpoints as it would like them to be."""

    def page_served(self, name: bytes, place: tuple[int, int]) -> bytes | None:
        """A page with a bit changed, where it has one."""
        content = super().page_served(name, place)
        return _spoilt(content) if content else content


class WrongIndex(Traitor):
    """Serves an index that names a page of its own making."""

    def index_served(self, name: bytes) -> IndexRows | None:
        """The index with one digest changed."""
        rows = super().index_served(name)
        if rows is not None:
            rows = rows.copy()
            rows["leaf"]["digest"][0, 0] ^= 1
        return rows


class WordForger(Traitor):
    """Shows words for a checkpoint that nobody has signed."""

    def words_told(self) -> list[bytes]:
        """Signatures of others under another document than theirs."""
        told = super().words_told()
        at = DOCUMENT_BYTES - 1
        return [_with(word, at, bytes([word[at] ^ 1])) for word in told]


class SilentServer(Traitor):
    """Has every page, tells everybody so, and sends none."""

    def page_served(self, name: bytes, place: tuple[int, int]) -> bytes | None:
        """Nothing at all."""
        del name, place
        return None


class Twins(Traitor):
    """Two replicas with one key, each shown to half of the others: forks, double votes, split orders."""

    def __init__(self, world: "World", index: int) -> None:
        """The other twin is a machine of its own, which the network does not know."""
        super().__init__(world, index)
        self._other = _Twin(world, index)

    def receive(self, message: Message) -> None:
        """Both hear everything that is not the other's."""
        if not self._is_a_twins(message):
            super().receive(message)
            self._other.receive(message)

    def offer(self, ticket: int, orders: np.ndarray) -> None:
        """A handset meets one of them."""
        twin = self if self.world.dice.random() < 0.5 else self._other
        Machine.offer(twin, ticket, orders)

    def _is_a_twins(self, message: Message) -> bool:
        return isinstance(message, BlockArrived) and author_of(message.data) == self.index

    def send(self, outgoing: Outgoing) -> None:
        """Speak to the peers of even index."""
        _send_to_half(self, outgoing, 0)

    def crash(self) -> None:
        """Twins do not crash."""

    def act_at(self, at: int) -> None:
        """Wake both."""
        super().act_at(at)
        other = getattr(self, "_other", None)
        if other is not None and at == self.world.now:
            other.act_at(at)


class _Twin(Traitor):
    def send(self, outgoing: Outgoing) -> None:
        _send_to_half(self, outgoing, 1)

    def receive(self, message: Message) -> None:
        Machine.receive(self, message)


def _send_to_half(machine: Machine, outgoing: Outgoing, half: int) -> None:
    members = machine.world.story.super_agents
    if outgoing.peer != EVERYONE:
        if outgoing.peer % 2 == half or not isinstance(outgoing, SendBlock | SendHeads):
            machine.world.send(machine, outgoing)
        return
    for peer in range(members):
        if peer != machine.index and peer % 2 == half and isinstance(outgoing, SendBlock):
            machine.world.send(machine, SendBlock(peer, outgoing.data))


def author_of(data: bytes) -> int:
    """The author that a block's bytes claim."""
    return int.from_bytes(data[2:4], "little")


def _with(data: bytes, at: int, field: bytes) -> bytes:
    """Bytes with a field of them replaced."""
    return data[:at] + field + data[at + len(field) :]


def _spoilt(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


PAGE_LIARS: Final[dict[str, type[Traitor]]] = {
    "serving wrong pages": WrongPages,
    "serving a wrong index": WrongIndex,
    "forging words": WordForger,
    "silent about pages": SilentServer,
}
"""Those of stories with checkpoints; elsewhere they would have nothing to lie about."""
MAKERS: Final[dict[str, type[Traitor]]] = {
    "silent": Silent,
    "withholding": Withholder,
    "late": Late,
    "lying about what it holds": LyingServer,
    "flooding": Flooder,
    "vanishing": Vanisher,
    "saying yes to everything": YesSayer,
    "refusing everything": NaySayer,
    "opening honest slots": Opener,
    "a mute leader": MuteLeader,
    "twins": Twins,
    "proposing what it may not": Usurper,
    "voting twice": DoubleVoter,
    "carrying anything": Carrier,
    "bending signatures": Bender,
    "replaying": Replayer,
    "forging evidence": EvidenceForger,
    "convicted and signing on": Convict,
    "speaking a later version": Newcomer,
    "claiming numbers": Claimer,
    "stealing tables": TableThief,
    **PAGE_LIARS,
}
STRATEGIES: Final = tuple(name for name in MAKERS if name not in PAGE_LIARS)
