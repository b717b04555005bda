"""Checkpoints, pages, proofs and blocks over HTTP: what is read and refused, and an observer behind it."""

import asyncio
from types import SimpleNamespace

import numpy as np
import pytest
from tests.gateways.conftest import Client, FakePort
from tests.observer.doors import Town

from harambee.crypto.hashing import digest as hash_of
from harambee.handset.doors import DoorError, DoorProblemError
from harambee.handset.network_file import DoorAddress
from harambee.ledger.pages import digest_of
from harambee.node.history_desk import HistoryDesk
from harambee.observer import sources
from harambee.observer.sources import INDEX_ROW, HttpSource
from harambee.protocol.account_proofs import read_piece
from harambee.protocol.effects import Name
from harambee.protocol.limits import HISTORY_BYTES
from harambee.protocol.wire import REFERENCE


@pytest.fixture
def town(tmp_path):
    town = Town(tmp_path)
    yield town
    town.journal.close()


class StandingReplica:
    """A replica that says how far it is, and no more."""

    def __init__(self, fold):
        self.fold = fold

    def heads(self):
        chains = self.fold.chains
        heads = np.zeros(len(chains.current), REFERENCE)
        heads["author"] = np.arange(len(chains.current))
        heads["height"] = chains.heads[chains.current]
        heads["digest"] = chains.newest(np.array(chains.current))
        return heads


def client_of(town):
    replica = StandingReplica(town.fold())

    async def ask(question):
        return question(replica)

    files = SimpleNamespace(
        genesis=town.genesis, config=SimpleNamespace(checkpoints=town.store.folder)
    )
    port = FakePort(genesis=town.genesis)
    port.history = HistoryDesk(files, town.journal, ask)
    port.fold = replica.fold

    async def digest():
        ledger, chains = replica.fold.ledger, replica.fold.chains
        return {
            "digest": ledger.digest().hex(),
            "total_cents": ledger.total_cents(),
            "entries": ledger.entry_count,
            "heads": chains.heads[chains.current].tolist(),
            "accounts": ledger.account_count,
        }

    async def accounts(numbers):
        return replica.fold.ledger.records(numbers)

    port.digest, port.accounts = digest, accounts
    return Client(port)


class InProcess(HttpSource):
    """Asks the application itself: no socket."""

    def __init__(self, town, index, client):
        name = town.committee.members[index].name
        super().__init__(index, DoorAddress(name, ""), None)
        self.client = client

    async def _send(self, method, path, content, content_type, wait_ms=0, bytes_max=1 << 20):
        path, _, query = path.partition("?")
        answer = await self.client.ask(
            method, path, content or b"", content_type if content else None, query.encode()
        )
        assert len(answer.body) <= bytes_max
        if answer.status >= 400:
            raise self._problem(answer.status, answer.body)
        return answer.body


def ask(client, path, query=b""):
    return asyncio.run(client.ask("GET", path, query=query))


def test_checkpoints_are_listed_with_the_words_that_hold(town):
    client = client_of(town)
    assert ask(client, "/v1/checkpoints").document == {"checkpoints": []}
    stored = town.checkpoint(20, signers=(0, 2, 3))
    (found,) = ask(client, "/v1/checkpoints").document["checkpoints"]
    document = bytes.fromhex(found["document"])
    assert document == stored.checkpoint.to_bytes()
    assert (found["digest"], found["number"]) == (hash_of(document).hex(), 1)
    assert [word["super_agent"] for word in found["words"]] == [0, 2, 3]
    assert (
        bytes.fromhex(found["words"][1]["signature"]) == town.word(stored.checkpoint, 2).signature
    )


def test_index_pages_and_pieces_lead_to_the_roots(town):
    stored = town.checkpoint(20)
    client = client_of(town)
    base = f"/v1/checkpoints/{stored.checkpoint.digest.hex()}"
    rows = np.frombuffer(ask(client, f"{base}/index").body, INDEX_ROW)
    assert (rows["leaf"] == stored.index["leaf"]).all()
    part = np.frombuffer(ask(client, f"{base}/index", b"after=1&limit=2").body, INDEX_ROW)
    assert (part == rows[1:3]).all()
    assert ask(client, f"{base}/index", b"after=99999").body == b""
    for row in rows:
        leaf = row["leaf"]
        page = ask(client, f"{base}/pages/{leaf['section']}/{leaf['page']}").body
        assert len(page) == row["length"]
        assert digest_of(page) == leaf["digest"].tobytes()
    piece = read_piece(ask(client, f"{base}/accounts/17").body)
    assert piece.root(17, stored.checkpoint.ledger_pages) == stored.checkpoint.ledger_root


@pytest.mark.parametrize(
    ("path", "query", "status", "code"),
    [
        ("/v1/checkpoints/" + "00" * 32 + "/index", b"", 404, "CHECKPOINT_UNKNOWN"),
        ("/v1/checkpoints/" + "00" * 32 + "/pages/1/0", b"", 404, "CHECKPOINT_UNKNOWN"),
        ("/v1/checkpoints/" + "00" * 32 + "/pages/9/0", b"", 404, "CHECKPOINT_UNKNOWN"),
        ("/v1/checkpoints/" + "00" * 32 + "/accounts/16", b"", 404, "CHECKPOINT_UNKNOWN"),
        ("/v1/checkpoints/00/index", b"", 400, "HEX_INVALID"),
        ("/v1/checkpoints/" + "zz" * 32 + "/index", b"", 400, "HEX_INVALID"),
        ("/v1/checkpoints/" + "00" * 32 + "/accounts/x", b"", 400, "NUMBER_INVALID"),
        ("/v1/blocks", b"", 400, "QUERY_INVALID"),
        ("/v1/blocks", b"author=4&from=1&to=2", 400, "NUMBER_INVALID"),
        ("/v1/blocks", b"author=0&from=0&to=2", 400, "RANGE_INVALID"),
        ("/v1/blocks", b"author=0&from=3&to=2", 400, "RANGE_INVALID"),
        ("/v1/blocks", b"author=0&from=1&to=99999999999", 400, "NUMBER_INVALID"),
        ("/v1/blocks/0/0/1/" + "00" * 32, b"", 404, "BLOCK_UNKNOWN"),
        ("/v1/blocks/9/0/1/" + "00" * 32, b"", 400, "NUMBER_INVALID"),
        ("/v1/blocks/0/0/1/00", b"", 400, "HEX_INVALID"),
    ],
)
def test_what_is_not_there_or_not_meant_is_refused_in_a_sentence(town, path, query, status, code):
    town.checkpoint(20)
    answer = ask(client_of(town), path, query)
    assert (answer.status, answer.code) == (status, code)
    assert answer.document["detail"].endswith(".")


def test_blocks_come_by_height_and_by_name(town):
    client = client_of(town)
    source = InProcess(town, 0, client)
    heads = asyncio.run(source.heads())
    assert [head.height for head in heads] == town.fold().chains.heads.tolist()
    for author in range(4):
        mine = [data for data in town.blocks if town.parsed(data).author == author]
        assert asyncio.run(source.blocks(author, 0, 1, 10**6)) == mine
        assert asyncio.run(source.blocks(author, 0, 3, 4)) == mine[2:4]
        assert asyncio.run(source.blocks(author, 1, 1, 9)) == []
        block = town.parsed(mine[4])
        name = Name(author, 0, 5, block.digest)
        assert asyncio.run(source.block(name)) == mine[4]
        assert asyncio.run(source.block(name._replace(digest=bytes(32)))) is None


def test_a_damaged_page_is_never_served(town):
    stored = town.checkpoint(20)
    file = stored.folder / "accounts-0000"
    content = bytearray(file.read_bytes())
    content[500] ^= 1
    file.write_bytes(bytes(content))
    answer = ask(client_of(town), f"/v1/checkpoints/{stored.checkpoint.digest.hex()}/pages/1/0")
    assert (answer.status, answer.code) == (503, "UNAVAILABLE")
    assert "ask another" in answer.document["detail"]


def test_a_checkpoint_that_is_taken_away_is_said_to_be_gone(town):
    stored = town.checkpoint(20)
    client = client_of(town)
    path = f"/v1/checkpoints/{stored.checkpoint.digest.hex()}/pages/1/0"
    assert ask(client, path).status == 200
    town.store.remove(stored)
    assert ask(client, path).status == 503
    assert ask(client, path).status == 404


def test_observers_together_are_not_served_without_end(town, monkeypatch):
    client = client_of(town)
    allowance = client.port.history._allowance
    assert ask(client, "/v1/checkpoints").status == 200
    allowance.pay(4 * HISTORY_BYTES.burst)
    answer = ask(client, "/v1/checkpoints")
    assert (answer.status, answer.code) == (503, "UNAVAILABLE")
    monkeypatch.setattr(sources, "PAUSES_S", ())
    with pytest.raises(DoorProblemError, match="ask again in a second"):
        asyncio.run(InProcess(town, 0, client).checkpoints())


@pytest.mark.parametrize("position", [None, 20])
def test_an_observer_follows_four_gateways(town, position):
    if position is not None:
        town.checkpoint(position)

    async def run():
        doors = [InProcess(town, index, client_of(town)) for index in range(4)]
        observer = town.observer(doors, has_openings=position is None)
        try:
            await observer.begin()
            await observer.look()
            await observer.look()
        finally:
            observer.close()
        return observer

    observer = asyncio.run(run())
    assert observer.alarms.new == []
    assert observer.compared_with_all
    assert observer.numbers.digest == town.fold().ledger.digest()


@pytest.mark.parametrize("digest", ["[red]", "\x1b[2J" + "0" * 60, "ab" * 31, "AB" * 32])
def test_a_digest_that_is_none_is_no_answer(town, digest):
    client = client_of(town)

    async def other():
        return {"digest": digest, "total_cents": 0, "accounts": 1, "heads": [0] * 4}

    client.port.digest, client.lies = other, True
    with pytest.raises(DoorError, match="nothing that can be understood"):
        asyncio.run(InProcess(town, 0, client).ledger())
