"""Journals of whole networks in one process, for audits: the genesis they began with, and their blocks."""

import hashlib
import itertools

import numpy as np
from tests.protocol.network import (
    NETWORK,
    NEWER_TARIFF,
    START_NS,
    SUPER_AGENT_KEYS,
    TARIFF,
    customers,
    make_committee,
    make_ledger,
    make_order,
)

from harambee.audit.auditing import audit
from harambee.audit.records import JournalRecords
from harambee.audit.workers import here
from harambee.ledger.records import OPENING
from harambee.node.journal import Journal
from harambee.protocol.genesis import (
    FORMAT,
    Genesis,
    GenesisDocument,
    IssuerDocument,
    MemberDocument,
)
from harambee.traffic.written_journals import Chorus

PEOPLE = 12
MEMBERS = 4


def genesis_of(network, committee, openings, tariffs, limits, key_days=0):
    """A genesis of these parts; `network` stands for its digest, as all signatures in a test have it."""
    document = GenesisDocument(
        format=FORMAT,
        name="audited",
        development=True,
        epoch=committee.epoch,
        created="2026-11-28T00:00:00Z",
        super_agents=[
            MemberDocument(m.name, m.key.hex(), m.tls_key_digest.hex(), list(m.regions))
            for m in committee.members
        ],
        tariffs=[tariff.to_document() for tariff in tariffs],
        issuers=[IssuerDocument("bank", number, limit) for number, limit in limits.items()],
        aliases=[],
        openings_count=len(openings),
        openings_digest=hashlib.sha256(openings.tobytes()).hexdigest(),
        key_days=key_days,
    )
    genesis = Genesis(document, openings.tobytes())
    genesis.__dict__["network"] = network
    return genesis


def genesis_of_tests(n=MEMBERS, people=PEOPLE):
    """The genesis with which the networks of `tests.protocol.network` begin."""
    ledger = make_ledger(n, people)
    numbers = np.flatnonzero(ledger.accounts["flags"])
    openings = np.zeros(len(numbers), OPENING)
    openings["number"] = numbers
    records = ledger.records(numbers)
    for name in ("key", "balance", "flags", "next_sequence"):
        openings[name] = records[name]
    committee = make_committee(n)
    return genesis_of(NETWORK, committee, openings, (TARIFF, NEWER_TARIFF), ledger.issuers)


def chorus(n=MEMBERS):
    """The committee of those tests, in which everybody speaks in turn."""
    return Chorus(NETWORK, 0, SUPER_AGENT_KEYS[:n], START_NS // 1_000_000)


def payments(count):
    """One payment after the other, each payer's in the order of her slots."""
    people = customers(PEOPLE)
    turns = itertools.islice(itertools.product(range(count), range(PEOPLE)), count)
    return [make_order(people[i], people[(i + 1) % PEOPLE], 100, turn) for turn, i in turns]


def blocks_of(*groups, voices=None):
    """Blocks with these groups of orders, by one author after the other, and what makes them final."""
    voices = voices or chorus()
    said = [
        voices.say(turn % MEMBERS, np.concatenate(group).tobytes())
        for turn, group in enumerate(groups)
    ]
    return [*said, *voices.make_final()]


def journal_of(folder, genesis, blocks, author=0):
    """A journal with these blocks, open."""
    journal = Journal.open(folder, genesis.network, author, genesis.committee.epoch, 1 << 28)
    journal.append(list(blocks))
    return journal


def audited(journal, genesis, workers=None, **options):
    """What an audit of an open journal says."""
    if workers is not None:
        return audit(genesis, JournalRecords(journal), workers, **options)[0]
    with here() as alone:
        return audit(genesis, JournalRecords(journal), alone, **options)[0]
