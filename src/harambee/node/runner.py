"""Running super-agents: engine, links and gateway of each, in one event loop.

Everything that leaves goes through `_carry_out`, which an engine calls once its blocks are durable.
"""

import asyncio
import contextlib
import logging
import socket
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import uvicorn

from harambee.crypto.device_keys import DeviceKeyError
from harambee.crypto.vault import Vault
from harambee.feature_phones.custody import Custody
from harambee.feature_phones.desk import PhonesDesk
from harambee.feature_phones.messages import Matter as PhoneMatter
from harambee.feature_phones.store import PhoneStore, PhoneStoreError
from harambee.merchants.credentials import Credentials, CredentialsError
from harambee.merchants.desk import MerchantsDesk
from harambee.merchants.files import MerchantFiles, MerchantFilesError
from harambee.merchants.ground import GroundError, Matter
from harambee.merchants.port import Bodies
from harambee.merchants.store import MerchantStore, MerchantStoreError
from harambee.node.checkpoints import CheckpointDesk
from harambee.node.config import ConfigError, NodeConfig
from harambee.node.courier import PAUSE_S as COURIER_PAUSE_S
from harambee.node.courier import Courier, Style
from harambee.node.engine import BlocksGone, Engine, MemoryDamaged, Turn
from harambee.node.frames import FrameError, FrameType
from harambee.node.governance import GovernanceDesk
from harambee.node.history_desk import HistoryDesk
from harambee.node.household import Household
from harambee.node.journal import Journal, JournalError, JournalPruned
from harambee.node.links import Links, LinksError, listen
from harambee.node.logs import begin_log
from harambee.node.merchant_ground import MerchantGround
from harambee.node.merchant_watch import PAUSE_S as WATCH_PAUSE_S
from harambee.node.merchant_watch import MerchantWatch
from harambee.node.names import NameDesk
from harambee.node.network_folder import NetworkFolderError, NodeFiles, load_node
from harambee.node.oversight_desk import OversightDesk
from harambee.node.page_serving import PageServer
from harambee.node.phone_ground import PhoneGround
from harambee.node.port import Port, UnavailableError
from harambee.node.profile_store import ProfileStore, ProfileStoreError, open_vault
from harambee.node.proposals import ProposalStore
from harambee.node.service import Service
from harambee.node.sms.adapters import text_port
from harambee.node.sms.sending import SmsPort
from harambee.node.switches import heed
from harambee.node.texts import TextPort, TextPortError
from harambee.node.tickets import Tickets
from harambee.node.tls import TlsError, server_context
from harambee.node.treasury import Treasury
from harambee.protocol.effects import (
    EVERYONE,
    AskHeads,
    AskIndex,
    AskPages,
    AskWords,
    Fetch,
    FetchNamed,
    Name,
    Outgoing,
    Range,
    SendBlock,
    SendHeads,
    Serve,
    ServeNamed,
)
from harambee.protocol.fold import JournalBroken
from harambee.protocol.limits import (
    FRAME_BYTES,
    SECOND_NS,
    SERVED_BYTES,
    SERVED_BYTES_EACH,
    VAIN_FRAMES,
    Allowance,
)
from harambee.protocol.malformed import Malformed
from harambee.protocol.messages import (
    BlockArrived,
    FetchAsked,
    FetchEnded,
    HeadsArrived,
    HeadsAsked,
    Message,
    NamedAsked,
    PeerDown,
    PeerUp,
    WordArrived,
    WordsTold,
)
from harambee.protocol.page_wire import (
    read_index,
    read_page,
    write_ask_index,
    write_ask_pages,
)
from harambee.protocol.wire import (
    read_fetch,
    read_heads,
    read_named,
    write_fetch,
    write_names,
)

Asgi = Callable[..., Any]

WAITING_BYTES_MAX: Final = 32 << 20
WAITING_BYTES_LOW: Final = 8 << 20
"""Frames of one peer that wait for the engine: beyond the first no more are read, until the second."""
SERVE_AT_ONCE_BYTES: Final = 1 << 20
SERVE_PACE_BYTES: Final = 4 << 20
"""A fetch is answered no faster than the peer takes it."""
SERVE_BYTES_MAX: Final = 64 << 20
SERVE_PAUSE_S: Final = 0.005
SERVES_MAX: Final = 8
"""Fetches of one peer that wait to be answered; what is beyond it, asks again."""
HTTP_CONNECTIONS_MAX: Final = 2_048
HTTP_GOODBYE_S: Final = 2

log: Final = logging.getLogger(__name__)


class NodeError(Exception):
    """A super-agent cannot run, or not go on; the message is one sentence."""


async def serve_nodes(
    configs: Sequence[NodeConfig],
    gateway: Callable[[Port], Asgi],
    bodies: Bodies,
    switches: socket.socket | None = None,
) -> None:
    """Run these super-agents until cancelled; `gateway` makes the ASGI application of each.

    `bodies` makes what merchants' software is sent. Who holds the other end of `switches` may switch each
    of them off and on (`harambee.node.switches`).

    NodeError when one of them cannot open its files, and nobody starts then; and when the last one fails.
    """
    names, levels = [config.name for config in configs], logging.getLevelNamesMapping()
    begin_log(
        min((config.log_level for config in configs), key=lambda level: levels[level.upper()]),
        "json" if any(config.log_format == "json" for config in configs) else "text",
        names,
    )
    house = _House(configs, gateway, bodies)
    listening = asyncio.create_task(heed(switches, house)) if switches is not None else None
    try:
        await house.switch_all_on()
        await house.failed
    finally:
        if listening is not None:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
        await house.stop()


class _House:
    """The super-agents that this process may run, each of them on or off."""

    def __init__(
        self, configs: Sequence[NodeConfig], gateway: Callable[[Port], Asgi], bodies: Bodies
    ) -> None:
        """All are off."""
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Raises NodeError when nobody is left who could go on."""
        self._configs = {config.name: config for config in configs}
        self._gateway = gateway
        self._bodies = bodies
        self._households: dict[bytes, Household] = {}
        self._running: dict[str, tuple[SuperAgent, asyncio.Task[None]]] = {}
        self._changing = asyncio.Lock()

    @property
    def names(self) -> Collection[str]:
        """Of all."""
        return self._configs.keys()

    def is_on(self, name: str) -> bool:
        """Whether a super-agent runs, however it fares."""
        return name in self._running

    async def switch_all_on(self) -> None:
        """Start all. NodeError.

        Each of them opens its files before any of them speaks: what starts among many who speak waits long.
        """
        async with self._changing:
            begin = asyncio.Event()
            for name in self.names:
                await self._open(name, begin)
            begin.set()

    async def switch_on(self, name: str) -> None:
        """Start one that is off; NodeError."""
        async with self._changing:
            begin = asyncio.Event()
            await self._open(name, begin)
            begin.set()

    async def _open(self, name: str, begin: asyncio.Event) -> None:
        """Open a super-agent's files; it starts when told to begin."""
        assert name not in self._running
        opened: asyncio.Future[SuperAgent] = asyncio.get_running_loop().create_future()
        life = asyncio.create_task(self._live(self._configs[name], opened, begin))
        try:
            await asyncio.wait((opened, life), return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            life.cancel()
            await asyncio.gather(life, return_exceptions=True)
            raise
        if not opened.done():
            life.result()
        self._running[name] = opened.result(), life
        life.add_done_callback(lambda life: self._ended(name, life))

    async def switch_off(self, name: str) -> None:
        """End one that is on at once, as if its machine had lost its power; what it answered is on disk."""
        async with self._changing:
            agent, life = self._running.pop(name)
            agent.cut_off()
            life.cancel()
            await asyncio.gather(life, return_exceptions=True)

    async def stop(self) -> None:
        """End all that are on, in order."""
        lives = [life for _, life in self._running.values()]
        self._running.clear()
        for life in lives[::-1]:
            life.cancel()
        await asyncio.gather(*lives, return_exceptions=True)

    async def _live(
        self, config: NodeConfig, opened: "asyncio.Future[SuperAgent]", begin: asyncio.Event
    ) -> None:
        async with _opened(config, self._household, self._bodies) as agent:
            opened.set_result(agent)
            await begin.wait()
            try:
                await agent.start(self._gateway)
                await agent.failed
            except LinksError as error:
                raise NodeError(str(error)) from error
            finally:
                await agent.stop()

    def _household(self, files: NodeFiles) -> Household:
        """Return those of this process that are of one network with a super-agent."""
        network, committee = files.genesis.network, files.genesis.committee
        if network not in self._households:
            members = [i for i, member in enumerate(committee.members) if member.name in self.names]
            self._households[network] = Household(network, committee, members)
        return self._households[network]

    def _ended(self, name: str, life: "asyncio.Task[None]") -> None:
        """One has ended that nobody switched off: the others go on, if there are any."""
        if self._running.get(name, (None, None))[1] is not life:
            return
        del self._running[name]
        failure = life.exception()
        assert failure is not None
        if self._running:
            log.error("%s; the other super-agents of this process go on", failure)
        elif not self.failed.done():
            self.failed.set_exception(failure)


@contextlib.asynccontextmanager
async def _opened(
    config: NodeConfig, household: Callable[[NodeFiles], Household], bodies: Bodies
) -> AsyncIterator["SuperAgent"]:
    """A super-agent with its files, not started; NodeError."""
    try:
        files = load_node(config)
        genesis = files.genesis
        # First what is only read: who has a spoilt key is told so, and nothing was written.
        server_context(config.tls_certificate, config.tls_key, files.certificates)
        journal = Journal.open(
            config.journal, genesis.network, files.index, genesis.committee.epoch
        )
    except (NetworkFolderError, JournalError, TlsError) as error:
        raise NodeError(str(error)) from error
    with journal:
        vault = _open_vault(files)
        with _open_profiles(files, vault) as profiles, _open_phones(files, vault) as phones:
            merchants = _open_merchants(files, vault)
            try:
                agent = SuperAgent(
                    files, journal, profiles, phones, merchants, bodies, household(files)
                )
            except TlsError as error:
                raise NodeError(str(error)) from error
            yield agent


def _open_vault(files: NodeFiles) -> Vault:
    """Return what seals whatever is kept of persons here."""
    try:
        return open_vault(files.config.profile_key, files.config.profiles)
    except ProfileStoreError as error:
        raise NodeError(str(error)) from error


def _open_profiles(files: NodeFiles, vault: Vault) -> ProfileStore:
    config = files.config
    try:
        return ProfileStore.open(config.profiles, files.genesis.network, files.index, vault)
    except ProfileStoreError as error:
        raise NodeError(str(error)) from error


def _open_phones(files: NodeFiles, vault: Vault) -> PhoneStore:
    config = files.config
    try:
        return PhoneStore.open(config.phones, files.genesis.network, files.index, vault)
    except PhoneStoreError as error:
        raise NodeError(str(error)) from error


def _open_merchants(files: NodeFiles, vault: Vault) -> "_Merchants":
    config = files.config
    try:
        return _Merchants(
            MerchantStore.open(config.merchants, files.genesis.network, files.index, vault),
            Credentials.open(config.merchants, config.name),
            MerchantFiles.load(config.file.parent),
        )
    except (
        MerchantStoreError,
        CredentialsError,
        MerchantFilesError,
    ) as error:
        raise NodeError(str(error).rstrip(".")) from error


@dataclass(frozen=True)
class _Merchants:
    """What lies here of merchants."""

    store: MerchantStore
    credentials: Credentials
    files: MerchantFiles


class SuperAgent:
    """One super-agent that runs."""

    def __init__(
        self,
        files: NodeFiles,
        journal: Journal,
        profiles: ProfileStore,
        phones: PhoneStore,
        merchants: _Merchants,
        bodies: Bodies,
        household: Household,
    ) -> None:
        """Make its parts; nothing runs yet. TlsError if its certificates are no good."""
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Raises NodeError when this super-agent cannot go on."""
        self._files = files
        self._journal = journal
        self._loop = asyncio.get_running_loop()
        self._members = files.genesis.committee.n
        self._links = Links.of(
            files, self._on_frame, self._on_up, self._on_down, household=household
        )
        self._tickets = Tickets()
        self._engine = Engine(files, journal, self._deliver, household, self._tickets.is_awaited)
        self.service = Service(files, self._engine, journal, self._links, self._tickets)
        self._names = self.service.names = NameDesk(
            files.genesis.committee,
            files.genesis.network,
            files.index,
            profiles,
            self.service,
            self._links.send,
            files.config.name_checks_daily,
        )
        self._governance = self.service.governance = GovernanceDesk(
            files,
            self.service,
            ProposalStore.open(files.config.governance, files.genesis),
            self._engine.tell,
        )
        self._treasury = Treasury(files, self.service)
        self._oversight = self.service.oversight = OversightDesk(files, self.service)
        self.service.history = HistoryDesk(files, journal, self.service.ask)
        self._checkpoints = self.service.checkpoints = CheckpointDesk(
            files, journal, self.service, self._send_frame
        )
        ground = MerchantGround(self.service, self._names, self._links, files.signing)
        self._merchant_files = merchants.files
        self._merchants = self.service.merchants = MerchantsDesk(
            ground,
            merchants.store,
            merchants.credentials,
            bodies,
            private_too=files.config.callbacks_private,
        )
        self._names.serve_merchants = self._serve_merchants
        phone_ground = PhoneGround(self.service, self._names, self._links)
        self._custody = Custody(phone_ground, phones)
        self.service.phones = PhonesDesk(phone_ground, self._custody)
        self._names.serve_phones = self._serve_phones
        # Who speaks rarely hears of what is final rarely, and of much together.
        self._pause_s = files.config.pace_ms / 1_000
        self._watch = MerchantWatch(
            self.service, self._merchants, lambda: journal.count, max(WATCH_PAUSE_S, self._pause_s)
        )
        self._watch_task: asyncio.Task[None] | None = None
        self._pages = PageServer(
            self._checkpoints.store, self._links.send, self._links.outgoing_bytes, self._members
        )
        self._waiting_bytes = [0] * self._members
        self._paused = [False] * self._members
        self._vain = [Allowance(VAIN_FRAMES) for _ in range(self._members)]
        self._rests: list[asyncio.TimerHandle | None] = [None] * self._members
        """Links from which nothing is read until then: their peers have sent too much that brings nothing."""
        self._served = [Allowance(SERVED_BYTES) for _ in range(self._members)]
        self._serves: list[deque[Serve | ServeNamed]] = [deque() for _ in range(self._members)]
        self._servers: dict[int, asyncio.Task[None]] = {}
        self._text_port: TextPort | None = None
        self._courier = self._make_courier(files)
        self._courier_task: asyncio.Task[None] | None = None
        self._http: _HttpServer | None = None
        self._http_task: asyncio.Task[None] | None = None

    async def start(self, gateway: Callable[[Port], Asgi]) -> None:
        """Listen to customers and peers, and begin to read the journal."""
        address = self._files.config.listen_http
        listener = await listen(address)
        # First what can fail: whose port is taken says that, and nothing of servers.
        try:
            await self._links.start()
        except LinksError:
            listener.close()
            raise
        self._engine.start()
        if self._courier is not None:
            self._courier_task = asyncio.create_task(self._courier.run())
        self._names.start()
        self._governance.start()
        told = self._merchant_files
        await self._merchants.start(told.apps, told.merchants, told.keys, told.initiators)
        self._custody.start()
        self._watch_task = asyncio.create_task(self._watch.run())
        configuration = uvicorn.Config(
            gateway(self.service),
            # h11 bounds what a stranger may send as a head; httptools does not.
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=HTTP_CONNECTIONS_MAX,
            timeout_graceful_shutdown=HTTP_GOODBYE_S,
        )
        self._http = _HttpServer(configuration)
        self._http_task = asyncio.create_task(self._http.serve(sockets=[listener]))
        self._treasury.start()
        self._oversight.start()
        self._checkpoints.start()
        name = self._files.config.name
        log.info("%s listens to customers on %s, to super-agents on %s", name, *self._addresses())

    def _make_courier(self, files: NodeFiles) -> Courier | None:
        """Return who sends this super-agent's texts, or None where its configuration has none sent."""
        config = files.config
        if config.texts == "off":
            return None
        try:
            self._text_port = text_port(config, self._telephones)
        except ConfigError as error:
            raise NodeError(str(error)) from error
        courier = Courier(
            self.service,
            self._text_port,
            config.texts_folder / "cursor.json",
            Style(config.texts_brand, config.texts_language),
            lambda: self._journal.count,
            self._names.parties,
            max(COURIER_PAUSE_S, self._pause_s),
        )
        self.service.text_facts = courier.facts
        return courier

    async def _telephones(self, accounts: Sequence[int]) -> Mapping[int, str]:
        """Return the telephones to which texts go; TextPortError where they cannot be looked up now."""
        try:
            return await self._names.telephones(accounts)
        except (ProfileStoreError, UnavailableError) as error:
            raise TextPortError(f"telephones cannot be looked up: {error}") from error

    def _addresses(self) -> tuple[str, str]:
        return str(self._files.config.listen_http), str(self._links.address)

    def cut_off(self) -> None:
        """Say nothing more to anybody from now on; `stop` is to follow."""
        self.service.is_leaving = True
        self._links.cut_off()
        if self._http is not None:
            self._http.force_exit = True

    async def stop(self) -> None:
        """End in order: no new customers, nothing more said, the journal whole."""
        self.service.is_leaving = True
        if self._http is not None and self._http_task is not None:
            self._http.should_exit = True
            await self._http_task
        for task in (self._courier_task, self._watch_task):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        if isinstance(self._text_port, SmsPort):
            await self._text_port.stop()
        await self._custody.stop()
        await self._merchants.stop()
        await self._treasury.stop()
        await self._governance.stop()
        await self._oversight.stop()
        await self._checkpoints.stop()
        await self._pages.stop()
        await self._names.stop()
        for rest in self._rests:
            if rest is not None:
                rest.cancel()
        for server in self._servers.values():
            server.cancel()
        await asyncio.gather(*self._servers.values(), return_exceptions=True)
        await self._links.stop()
        await asyncio.to_thread(self._engine.stop)

    # -- what comes in ----------------------------------------------------------------------------

    def _on_frame(self, peer: int, kind: int, content: bytes) -> None:
        if kind in (FrameType.ERRAND, FrameType.ERRAND_ANSWER):
            self._names.errands.take(peer, kind, content)
            return
        wrong = None
        match kind:
            case FrameType.WORD:
                # First to whoever fetches pages, so that a forger is named before his link is gone.
                self._tell(peer, WordArrived(peer, content), len(content))
                wrong = self._checkpoints.take(peer, kind, content)
            case FrameType.ASK_WORDS:
                wrong = self._checkpoints.take(peer, kind, content)
                self._links.send(peer, FrameType.WORDS_TOLD, b"")
            case FrameType.ASK_INDEX | FrameType.ASK_PAGES:
                wrong = self._pages.take(peer, kind, content)
            case _:
                self._tell(peer, _message_of(peer, kind, content, self._members), len(content))
        if wrong is not None:
            raise FrameError(wrong)

    def _tell(self, peer: int, message: Message, length: int) -> None:
        """Tell the engine what a peer's frame says; read no more of that peer while too much waits."""
        size = length + FRAME_BYTES
        self._waiting_bytes[peer] += size
        if self._waiting_bytes[peer] > WAITING_BYTES_MAX and not self._paused[peer]:
            self._paused[peer] = True
            self._links.pause_reading(peer)
        self._engine.tell(message, peer, size)

    def _on_up(self, peer: int) -> None:
        self._paused[peer] = False
        if self._rests[peer] is not None:
            self._links.pause_reading(peer)  # who hangs up and comes back has not rested
        self._engine.tell(PeerUp(peer))
        self._names.link_up(peer)
        self._merchants.link_up(peer)
        self._checkpoints.link_up(peer)

    def _on_down(self, peer: int) -> None:
        self._serves[peer].clear()
        self._pages.lost(peer)
        self._engine.tell(PeerDown(peer))
        self._names.errands.lost(peer)

    async def _serve_merchants(self, peer: int, content: bytes) -> bytes:
        """Answer another super-agent's question for merchants; nothing where it is none, or not now."""
        if not content or content[0] not in {matter.value for matter in Matter}:
            return b""
        try:
            return await self._merchants.serve(peer, Matter(content[0]), content[1:])
        except (GroundError, MerchantStoreError) as error:
            log.warning("what others ask for merchants cannot be told: %s", error)
            return b""

    async def _serve_phones(self, peer: int, content: bytes) -> bytes:
        """Answer another super-agent's question for feature phones; nothing where it is none."""
        if not content or content[0] not in {matter.value for matter in PhoneMatter}:
            return b""
        return await self._custody.serve(peer, PhoneMatter(content[0]), content[1:])

    # -- what goes out ----------------------------------------------------------------------------

    def _deliver(self, turn: Turn) -> None:
        """Called in the engine's thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to be told
            self._loop.call_soon_threadsafe(self._carry_out, turn)

    def _carry_out(self, turn: Turn) -> None:
        for answer, result, error in turn.answers:
            if answer.set_running_or_notify_cancel():
                if error is None:
                    answer.set_result(result)
                else:
                    answer.set_exception(error)
        for outgoing in turn.effects.send:
            self._send(outgoing)
        self._tell_settled(turn.effects.settled)
        self._governance.seen(turn.effects.proposed)
        for refused in turn.effects.refused:
            self._tickets.refused(refused)
        self._tickets.skipped(turn.effects.skipped)
        self.service.inbox_orders -= turn.taken_orders
        for peer, count in turn.taken_bytes.items():
            self._waiting_bytes[peer] -= count
            if self._paused[peer] and self._waiting_bytes[peer] < WAITING_BYTES_LOW:
                self._paused[peer] = False
                self._resume(peer)
        for peer, count in turn.vain_frames.items():
            self._vain[peer].pay(count)
            self._let_rest(peer)
        if self._engine.failure is not None and not self.failed.done():
            self.failed.set_exception(_in_a_sentence(self._files, self._engine.failure))

    def _tell_settled(self, settled: Sequence[npt.NDArray[np.void]]) -> None:
        """Orders became final: an ORDER array for each block that made some so."""
        if not settled:
            return
        for orders in settled:
            self._tickets.settled(orders)
            self._treasury.note_final(orders)
            self.service.note_final(orders)
            self._governance.note_final(orders)
        self._watch.wake()
        if self._courier is not None:
            self._courier.wake(sum(map(len, settled)))

    def _let_rest(self, peer: int) -> None:
        """Read nothing more of a peer for a while that sends too much that brings nothing."""
        now = self._now()
        if self._rests[peer] is None and not self._vain[peer].lasts(now):
            pause_s = (self._vain[peer].back_at() - now) / SECOND_NS
            self._rests[peer] = self._loop.call_later(pause_s, self._end_rest, peer)
            self._links.pause_reading(peer)

    def _end_rest(self, peer: int) -> None:
        self._rests[peer] = None
        self._resume(peer)

    def _resume(self, peer: int) -> None:
        if not self._paused[peer] and self._rests[peer] is None:
            self._links.resume_reading(peer)

    def _now(self) -> int:
        """Nanoseconds on the loop's clock, which is never set back."""
        return int(self._loop.time() * SECOND_NS)

    def _send(self, outgoing: Outgoing) -> None:
        match outgoing:
            case SendBlock(peer, data):
                self._send_frame(peer, FrameType.BLOCK, data)
            case SendHeads(peer, heads):
                self._send_frame(peer, FrameType.HEADS, heads.tobytes())
            case AskHeads(peer):
                self._send_frame(peer, FrameType.ASK_HEADS, b"")
            case Fetch(peer, ranges):
                self._send_frame(peer, FrameType.FETCH, write_fetch(ranges))
            case FetchNamed(peer, names):
                self._send_frame(peer, FrameType.FETCH_NAMED, write_names(names))
            case AskWords(peer):
                self._send_frame(peer, FrameType.ASK_WORDS, b"")
            case AskIndex(peer, checkpoint, part):
                self._links.send(peer, FrameType.ASK_INDEX, write_ask_index(checkpoint, part))
            case AskPages(peer, checkpoint, pages):
                self._links.send(peer, FrameType.ASK_PAGES, write_ask_pages(checkpoint, pages))
            case Serve(peer, _) | ServeNamed(peer, _):
                if len(self._serves[peer]) < SERVES_MAX:
                    self._serves[peer].append(outgoing)
                if peer not in self._servers:
                    self._servers[peer] = asyncio.create_task(self._serve(peer))

    def _send_frame(self, peer: int, kind: FrameType, content: bytes) -> None:
        if peer == EVERYONE:
            self._links.broadcast(kind, content)
        else:
            self._links.send(peer, kind, content)

    async def _serve(self, peer: int) -> None:
        """Answer the fetches of a peer one after the other, as fast as it reads."""
        try:
            while self._serves[peer]:
                serve = self._serves[peer].popleft()
                if isinstance(serve, ServeNamed):
                    await self._serve_named(peer, serve.names)
                else:
                    await self._serve_ranges(peer, serve.ranges)
                    self._links.send(peer, FrameType.FETCHED, b"")
        finally:
            del self._servers[peer]

    async def _serve_ranges(self, peer: int, ranges: tuple[Range, ...]) -> None:
        left = SERVE_BYTES_MAX
        for part in ranges:
            first = part.first
            while first <= part.last and left > 0:
                await self._until_allowed(peer)
                blocks = await asyncio.to_thread(
                    self._journal.range_of,
                    part.author,
                    first,
                    part.last,
                    SERVE_AT_ONCE_BYTES,
                    part.incarnation,
                )
                if not blocks:
                    break
                for block in blocks:
                    self._links.send(peer, FrameType.BLOCK, block)
                    self._served[peer].pay(len(block))
                    left -= len(block)
                first += len(blocks)
                await self._until_taken(peer)

    async def _serve_named(self, peer: int, names: tuple[Name, ...]) -> None:
        left = SERVE_BYTES_MAX
        for name in names:
            await self._until_allowed(peer)
            block = await asyncio.to_thread(self._journal.find_digest, name)
            if block is not None and left > 0:
                self._links.send(peer, FrameType.BLOCK, block)
                self._served[peer].pay(len(block))
                left -= len(block)
                await self._until_taken(peer)

    async def _until_allowed(self, peer: int) -> None:
        """Wait while a peer has been served as much as one may; and count one look into the journal."""
        served = self._served[peer]
        while not served.lasts(now := self._now()):  # noqa: ASYNC110 - time is what it waits for
            await asyncio.sleep(max(SERVE_PAUSE_S, (served.back_at() - now) / SECOND_NS))
        served.pay(SERVED_BYTES_EACH)

    async def _until_taken(self, peer: int) -> None:
        """Wait while a peer reads slower than it is served."""
        while self._links.outgoing_bytes(peer) > SERVE_PACE_BYTES:  # noqa: ASYNC110
            await asyncio.sleep(SERVE_PAUSE_S)


class _HttpServer(uvicorn.Server):
    """A server that leaves signals to whoever runs the process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _message_of(peer: int, kind: int, content: bytes, members: int) -> Message:
    """Return what a frame says; FrameError, which ends the link, if it says nothing."""
    message: Message | Malformed
    match kind:
        case FrameType.BLOCK:
            message = BlockArrived(peer, content)
        case FrameType.HEADS:
            heads = read_heads(content, members)
            message = heads if isinstance(heads, Malformed) else HeadsArrived(peer, heads)
        case FrameType.FETCH:
            ranges = read_fetch(content, members)
            message = ranges if isinstance(ranges, Malformed) else FetchAsked(peer, ranges)
        case FrameType.FETCH_NAMED:
            names = read_named(content, members)
            message = names if isinstance(names, Malformed) else NamedAsked(peer, names)
        case FrameType.ASK_HEADS:
            message = HeadsAsked(peer)
        case FrameType.FETCHED:
            message = FetchEnded(peer)
        case FrameType.INDEX:
            message = read_index(peer, content)
        case FrameType.PAGE:
            message = read_page(peer, content)
        case FrameType.WORDS_TOLD:
            message = WordsTold(peer)
        case _:
            message = Malformed(f"a frame of the unknown type {kind}")
    if isinstance(message, Malformed):
        raise FrameError(message.why)
    return message


def _in_a_sentence(files: NodeFiles, failure: BaseException) -> NodeError:
    """Return why an engine ended; what is no expected failure is logged with its traceback."""
    if isinstance(failure, JournalBroken):
        return NodeError(f"{files.config.journal}: {failure}")
    if isinstance(failure, JournalPruned):
        return NodeError(f"{files.config.name} cannot start: {failure}")
    if isinstance(failure, BlocksGone):
        return NodeError(f"{files.config.name} stops: {failure}")
    if isinstance(failure, MemoryDamaged):
        return NodeError(f"{files.config.name} stops, for its memory is damaged: {failure}")
    if isinstance(failure, DeviceKeyError):
        return NodeError(f"{files.config.name} stops, for it cannot sign: {failure}")
    log.error("the engine of %s failed", files.config.name, exc_info=failure)
    return NodeError(f"{files.config.name} failed: {failure!r}; its log has the traceback")
