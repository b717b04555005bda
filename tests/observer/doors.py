"""Super-agents' doors in one process: a fold of their blocks, what they show of it, and every way to lie."""

import itertools

import numpy as np
from tests.audit.histories import MEMBERS, blocks_of, genesis_of_tests, journal_of, payments
from tests.protocol.network import SUPER_AGENT_KEYS

from harambee.handset.doors import DoorError
from harambee.ledger.ledger import Ledger
from harambee.observer.alarms import Alarms
from harambee.observer.observer import Observer
from harambee.observer.sources import INDEX_ROW, LedgerView, Shown
from harambee.protocol.checkpoint import sign_checkpoint
from harambee.protocol.cuts import cut_below
from harambee.protocol.effects import Name
from harambee.protocol.fold import Fold
from harambee.protocol.wire import read_block
from harambee.storage.beginning import fill
from harambee.storage.checkpoint_making import make
from harambee.storage.checkpoint_store import CheckpointStore


def quiet(_what, _done, _total):
    pass


class Town:
    """A network's history: forty blocks with sixty payments, a journal of them, and its checkpoints."""

    def __init__(self, folder, groups=None):
        self.genesis = genesis_of_tests()
        self.committee = self.genesis.committee
        orders = payments(60)
        groups = groups or [[orders[k], orders[k + 1]] for k in range(0, 60, 2)]
        self.blocks = blocks_of(*groups)
        self.journal = journal_of(folder / "journal", self.genesis, self.blocks)
        self.store = CheckpointStore(
            folder / "town-checkpoints", self.genesis.network, self.committee
        )
        self.shown = []
        """(document, words as (signer, signature)) that every door shows."""
        self.folder = folder
        self._runs = itertools.count()

    def parsed(self, data):
        return read_block(data, self.genesis.network, MEMBERS)

    def fold(self, blocks=None):
        ledger = Ledger(self.genesis.regions, self.genesis.tariffs, self.genesis.key_days)
        fill(ledger, self.genesis, None)
        fold = Fold(self.genesis.network, self.committee, ledger)
        for _ in fold.fold(enumerate(self.blocks if blocks is None else blocks)):
            pass
        return fold

    def checkpoint(self, position, signers=(0, 1, 2, 3), base=None):
        """Make the checkpoint below a block, and let these sign it."""
        block = self.parsed(self.blocks[position])
        name = Name(block.author, block.incarnation, block.height, block.digest)
        cut = cut_below(self.fold().chains, name)
        stored = make(self.genesis, self.journal, self.store, base, cut, quiet)
        words = [self.word(stored.checkpoint, signer) for signer in signers]
        stored.keep_words(words)
        self.shown.append(shown(stored.checkpoint, words))
        return stored

    def word(self, checkpoint, signer):
        return sign_checkpoint(checkpoint, signer, SUPER_AGENT_KEYS[signer])

    def doors(self, count=MEMBERS):
        return [HonestDoor(self, index) for index in range(count)]

    def observer(self, doors, folder=None, **options):
        folder = folder or self.folder / f"observer-{next(self._runs)}"
        return Observer(self.genesis, doors, folder, Alarms(folder), **options)


def shown(checkpoint, words):
    return Shown(checkpoint.to_bytes(), tuple((word.signer, word.signature) for word in words))


class HonestDoor:
    """Shows what there is."""

    def __init__(self, town, index):
        self.town, self.index = town, index
        self.name = town.committee.members[index].name
        self.until = len(town.blocks)
        """So many blocks it has."""
        self.asked = []
        self._folds = {}

    def history(self):
        """The blocks that it has, in its order."""
        return self.town.blocks[: self.until]

    def fold(self):
        if self.until not in self._folds:
            self._folds[self.until] = self.town.fold(self.history())
        return self._folds[self.until]

    async def network(self):
        return self.town.genesis.network.hex()

    async def checkpoints(self):
        return tuple(self.town.shown)

    def stored(self, digest):
        return self.town.store.find(digest)

    async def pages(self, digest, after):
        stored = self.stored(digest)
        if stored is None:
            raise DoorError(f"{self.name} has none")
        rows = np.zeros(len(stored.index[after:]), INDEX_ROW)
        rows["leaf"] = stored.index["leaf"][after:]
        rows["length"] = stored.index["length"][after:]
        return rows

    async def page(self, digest, section, number):
        self.asked.append((section, number))
        stored = self.stored(digest)
        return None if stored is None else stored.page(section, number)

    async def piece(self, digest, account):
        stored = self.stored(digest)
        found = None if stored is None else stored.piece(account)
        return None if found is None else found.to_bytes()

    async def heads(self):
        chains = self.fold().chains
        lanes = [chains.lanes[k] for k in chains.current]
        heights = chains.heads[chains.current].tolist()
        return tuple(
            Name(lane.author, lane.incarnation, height, chains.digest_at(k, height) or bytes(32))
            for lane, k, height in zip(lanes, chains.current, heights, strict=True)
        )

    def here(self):
        found = {}
        for data in self.history():
            block = self.town.parsed(data)
            found[block.author, block.incarnation, block.height] = data
        return found

    async def blocks(self, author, incarnation, first, last):
        here = self.here()
        found = []
        for height in range(first, last + 1):
            data = here.get((author, incarnation, height))
            if data is None:
                break
            found.append(data)
        return found

    async def block(self, name):
        for data in self.history():
            if self.town.parsed(data).digest == name.digest:
                return data
        return None

    async def ledger(self):
        fold = self.fold()
        heads = fold.chains.heads[fold.chains.current].tolist()
        ledger = fold.ledger
        return LedgerView(ledger.digest().hex(), ledger.total_cents(), ledger.account_count, heads)

    async def records(self, numbers):
        return self.fold().ledger.records(np.array(numbers, np.uint32))
