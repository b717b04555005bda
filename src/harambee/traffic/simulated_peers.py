"""All super-agents of a nation but one, in one process: what a single real replica hears from them.

Each has its own key, its own TLS link to the real one and its own chain of blocks, signed at the moment it
speaks. It references the newest block of everybody, the real one's too, as soon as it is there: so it votes
for, certifies and acknowledges what the real one says, and what the real one says becomes final.

They differ from real super-agents in what nobody outside can see: they check nothing, keep nothing on a disk
and hear each other at once, without a link. What they say is what a hundred real ones would say whose
customers pay at the same time.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from harambee.crypto.key_places import read_key_pair
from harambee.crypto.signatures import KeyPair, sign
from harambee.ledger.records import ORDER_BYTES
from harambee.node.config import Address, NodeConfig
from harambee.node.frames import FrameType
from harambee.node.links import Links
from harambee.node.network_folder import KIND_SIGNING, NetworkFolder
from harambee.protocol.checkpoint import Checkpoint, sign_checkpoint
from harambee.protocol.cuts import Cut
from harambee.protocol.malformed import Malformed
from harambee.protocol.wire import (
    HEAD,
    REFERENCE,
    Draft,
    block_prefix,
    digest_of,
    names_in,
    read_fetch,
    read_named,
    write_block,
)

REAL: Final = 0
"""The index of the super-agent that is not simulated: everybody dials the lowest."""
DIAL_S: Final = 0.02
"""Between two who dial: who is in the middle of a handshake with too many others is turned away."""

Source = Callable[[int], bytes]
"""Gives the orders, as bytes, that the super-agent of this index puts into its next block."""


@dataclass(slots=True)
class _Peer:
    """One super-agent that is simulated."""

    index: int
    key: KeyPair
    links: Links
    referenced: npt.NDArray[np.uint32]
    """Up to which height of everybody its newest block goes, (n,)."""
    blocks: list[bytes] = field(default_factory=list)
    """Its chain, for who asks: height h is at h - 1."""


@dataclass(slots=True)
class Said:
    """What they have said so far."""

    blocks: int = 0
    orders: int = 0
    bytes: int = 0
    latest_s: float = 0.0
    """How late the latest block left."""


class SimulatedPeers:
    """Everybody but the super-agent REAL of a network's folder. Belongs to one event loop."""

    def __init__(self, folder: NetworkFolder, pace_s: float, source: Source) -> None:
        """Each speaks every `pace_s` seconds, one after the other in equal steps."""
        genesis = folder.genesis
        self._network, self._epoch = genesis.network, genesis.committee.epoch
        self._n = genesis.committee.n
        self._prefix = block_prefix(genesis.network, genesis.committee.epoch)
        self._pace_s = pace_s
        self._source = source
        self.said = Said()
        self.served = 0
        """How many blocks the real one was sent because it asked for them."""
        self.links_up = 0
        self._heads = np.zeros(self._n, REFERENCE)
        self._heads["author"] = np.arange(self._n)
        certificates = [
            (folder.folder / "certificates" / f"{name}.crt").read_bytes() for name in folder.names
        ]
        addresses = [address.peer for address in folder.addresses]
        self._peers = [
            self._peer(folder, folder.node(index), index, certificates, addresses)
            for index in range(self._n)
            if index != REAL
        ]

    def _peer(
        self,
        folder: NetworkFolder,
        config: NodeConfig,
        index: int,
        certificates: list[bytes],
        addresses: list[Address],
    ) -> _Peer:
        links = Links(
            folder.genesis.committee,
            self._network,
            index,
            certificate=config.tls_certificate,
            key=config.tls_key,
            certificates=certificates,
            addresses=addresses,
            listen=config.listen_peer,
            on_frame=lambda _, kind, content: self._on_frame(index, kind, content),
            on_up=lambda _: self._on_up(1),
            on_down=lambda _: self._on_up(-1),
        )
        key = read_key_pair(config.signing_key, KIND_SIGNING)
        return _Peer(index, key, links, np.zeros(self._n, np.uint32))

    @contextlib.asynccontextmanager
    async def linked(self) -> AsyncIterator[None]:
        """Link everybody to the real super-agent until this is left; nobody has said anything yet."""
        try:
            for peer in self._peers:
                peer.links.dial(REAL)
                await asyncio.sleep(DIAL_S)
            yield
        finally:
            await asyncio.gather(*(peer.links.stop() for peer in self._peers))

    @contextlib.asynccontextmanager
    async def speaking(self) -> AsyncIterator[None]:
        """Let everybody speak until this is left."""
        speaking = asyncio.create_task(self._speak())
        try:
            yield
        finally:
            speaking.cancel()
            await asyncio.gather(speaking, return_exceptions=True)

    def say_all(self) -> None:
        """Let everybody speak once, as if the time for it had passed."""
        for peer in self._peers:
            self._say(peer)

    def call_for_checkpoint(self) -> None:
        """Let one speak, and give its word for a checkpoint of that block's past.

        The cut is right and the state is not, for it knows none: the real one makes the checkpoint all the
        same, to see who is wrong.
        """
        peer = self._peers[0]
        self._say(peer)
        tips = tuple(sorted(names_in(self._heads[self._heads["height"] > 0])))
        anchor = next(tip for tip in tips if tip.author == peer.index)
        nothing = bytes(32)
        called = Checkpoint(
            epoch=self._epoch,
            network=self._network,
            number=1,
            previous=nothing,
            anchor=anchor,
            time_ms=0,
            cut=Cut(anchor, tips).digest(),
            blocks=0,
            orders=0,
            accounts=0,
            aliases=0,
            in_circulation=0,
            ledger_pages=0,
            frame_pages=0,
            ledger_root=nothing,
            frame_root=nothing,
        )
        word = sign_checkpoint(called, peer.index, peer.key)
        peer.links.send(REAL, FrameType.WORD, word.to_bytes())

    def _on_up(self, change: int) -> None:
        self.links_up += change

    async def _speak(self) -> None:
        """Let one after the other speak, each in its turn."""
        step = self._pace_s / len(self._peers)
        began, turn = time.perf_counter(), 0
        while True:
            late = time.perf_counter() - began - turn * step
            if late < 0:
                await asyncio.sleep(-late)
                continue
            self.said.latest_s = max(self.said.latest_s, late)
            self._say(self._peers[turn % len(self._peers)])
            turn += 1
            if late > step:
                await asyncio.sleep(0)  # what has come is heard all the same

    def _say(self, peer: _Peer) -> None:
        """Make a peer's next block, and send it to the real super-agent."""
        orders = self._source(peer.index)
        newer = self._heads["height"] > peer.referenced
        newer[peer.index] = False
        mine = self._heads[peer.index : peer.index + 1]
        unsigned, name = write_block(
            Draft(
                network=self._network,
                epoch=self._epoch,
                author=peer.index,
                height=int(mine["height"][0]) + 1,
                previous=mine["digest"][0].tobytes(),
                time_ms=time.time_ns() // 1_000_000,
                references=names_in(self._heads[newer]),
                orders=orders,
            )
        )
        block = unsigned + sign(peer.key, self._prefix + name)
        peer.referenced[:] = self._heads["height"]
        mine["height"] += 1
        mine["digest"] = np.frombuffer(name, np.uint8)
        peer.blocks.append(block)
        peer.links.send(REAL, FrameType.BLOCK, block)
        self.said.blocks += 1
        self.said.orders += len(orders) // ORDER_BYTES
        self.said.bytes += len(block)

    # -- what the real one says -------------------------------------------------------------------

    def _on_frame(self, index: int, kind: int, content: bytes) -> None:
        peer = self._peers[index - 1]
        match kind:
            case FrameType.BLOCK:
                self._hear(content)
            case FrameType.ASK_HEADS:
                peer.links.send(REAL, FrameType.HEADS, self._heads.tobytes())
            case FrameType.ASK_WORDS:
                peer.links.send(REAL, FrameType.WORDS_TOLD, b"")
            case FrameType.FETCH:
                ranges = read_fetch(content, self._n)
                assert not isinstance(ranges, Malformed), "the real one is honest"
                for part in ranges:
                    if part.author != REAL:
                        said = self._peers[part.author - 1].blocks
                        self._serve(peer, said[part.first - 1 : part.last])
                peer.links.send(REAL, FrameType.FETCHED, b"")
            case FrameType.FETCH_NAMED:
                names = read_named(content, self._n)
                assert not isinstance(names, Malformed), "the real one is honest"
                for name in names:
                    if name.author != REAL:
                        said = self._peers[name.author - 1].blocks
                        self._serve(peer, said[name.height - 1 : name.height])

    def _hear(self, block: bytes) -> None:
        """Note the real one's newest block; it sends it to everybody."""
        height = np.frombuffer(block, HEAD, 1)["height"][0]
        real = self._heads[REAL : REAL + 1]
        if height > real["height"][0]:
            real["height"] = height
            real["digest"] = np.frombuffer(digest_of(block), np.uint8)

    def _serve(self, peer: _Peer, blocks: list[bytes]) -> None:
        self.served += len(blocks)
        for block in blocks:
            peer.links.send(REAL, FrameType.BLOCK, block)
