"""A member floods another one over its real link: that costs little, and honest payments go on being final.

What a process uses is read from /proc, and held against the same process at rest, with wide margins.
"""

import itertools
import os
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.accept.quiet_network import QuietNetwork, get, quiet_population, until
from tests.accept.test_bad_peers import MEMBER, VICTIM, client, dialled, frame, hello

from harambee.crypto.signatures import sign
from harambee.node.frames import FrameType
from harambee.node.network_folder import load_node
from harambee.protocol.effects import Name, Range
from harambee.protocol.limits import BLOCKS
from harambee.protocol.wire import (
    NO_DIGEST,
    Draft,
    block_prefix,
    write_block,
    write_fetch,
    write_names,
)
from harambee.traffic.temporary_network import TemporaryNetwork

pytestmark = [pytest.mark.accept, pytest.mark.alone, pytest.mark.timeout(300)]

WATCHED_S = 8
BURST_S = 6
"""So long a flood may use what everybody may use at once."""
SHARE_MAX = 0.4
"""Of one processor, above what it uses at rest. A flood without limits takes more than a whole one."""
GROWTH_BYTES_MAX = 192 << 20
PAYMENTS = 24
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
HONEST = (0, 1, 2)


@pytest.fixture(scope="module")
def quiet():
    """A network in which number 3's key is in other hands, and its process is gone."""
    with TemporaryNetwork(4, quiet_population()) as running:
        network = QuietNetwork(running)
        for door in HONEST:
            network.pay(door, network.customer(), network.customer())
        running.kill(network.names[MEMBER])
        yield network


def used_by(pid):
    """(seconds of processor time, bytes in memory) of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    resident = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return (int(fields[11]) + int(fields[12])) / TICKS, resident * PAGE


def watched(quiet, pid):
    """What the process uses of one processor while honest payments are made, and its bytes in memory."""
    began, before = time.monotonic(), used_by(pid)[0]
    for payment in range(PAYMENTS):
        quiet.pay(HONEST[payment % 3], quiet.customer(), quiet.customer())
    wait(began + WATCHED_S)
    seconds, resident = used_by(pid)
    return (seconds - before) / (time.monotonic() - began), resident


def wait(end):
    until(lambda: time.monotonic() > end, lambda: "the clock stands still")


@contextmanager
def flooded(quiet, frames):
    """Somebody sends these frames to the victim for ever, as fast as it takes them, and reads what comes."""
    config = quiet.running.folder.node(MEMBER)
    context = client()
    context.load_cert_chain(config.tls_certificate, config.tls_key)
    with dialled(quiet, context) as link:
        link.sendall(hello(quiet))
        link.settimeout(None)
        sent = [0]

        def write():
            for piece in frames:
                try:
                    link.sendall(piece)
                except OSError:
                    return
                sent[0] += 1

        def read():
            try:
                while link.recv(1 << 16):
                    pass
            except OSError:
                return

        threads = [threading.Thread(target=work, daemon=True) for work in (write, read)]
        for thread in threads:
            thread.start()
        until(lambda: sent[0] > 10, lambda: "nothing is taken at all")
        yield
    for thread in threads:
        thread.join(10)


def questions(quiet):
    """The same heads and the same blocks, asked for again and again."""
    everything = write_fetch(tuple(Range(author, 1, 512) for author in HONEST))
    nobody = write_names((Name(1, 0, 7, bytes(32)),) * 200)
    told = write_names(tuple(Name(a, 0, 2**32 - 1, bytes(32)) for a in range(4)))
    asked = b"".join(
        (
            frame(FrameType.ASK_HEADS, b""),
            frame(FrameType.FETCH, everything),
            frame(FrameType.FETCH_NAMED, nobody),
            frame(FrameType.HEADS, told),
        )
    )
    return itertools.repeat(asked * 100)


def rubbish(quiet):
    """Blocks in its own name that it has not signed, and bytes that are no blocks."""
    files = load_node(quiet.running.folder.node(MEMBER))
    genesis = files.genesis
    unsigned, _ = write_block(
        Draft(genesis.network, genesis.committee.epoch, MEMBER, 1, bytes(32), 7, ())
    )
    pieces = frame(FrameType.BLOCK, unsigned + bytes(64)) + frame(FrameType.BLOCK, bytes(300))
    return itertools.repeat(pieces * 100)


def signed(quiet):
    """Signed blocks without end, each with a parent that there is not."""
    files = load_node(quiet.running.folder.node(MEMBER))
    genesis = files.genesis
    prefix = block_prefix(genesis.network, genesis.committee.epoch)
    for k in itertools.count(1):
        references = (Name(1, 0, 1, k.to_bytes(32, "big")),)
        height = 10_000 + k % BLOCKS.burst
        unsigned, digest = write_block(
            Draft(
                genesis.network,
                genesis.committee.epoch,
                MEMBER,
                height,
                k.to_bytes(32, "little") if height > 1 else NO_DIGEST,
                7,
                references,
            )
        )
        yield frame(FrameType.BLOCK, unsigned + sign(files.signing, prefix + digest))


@pytest.mark.parametrize("frames", [questions, rubbish, signed], ids=lambda made: made.__name__)
def test_a_flood_costs_little_and_stops_no_payment(quiet, frames):
    pid = quiet.running.pids[quiet.names[VICTIM]]
    at_rest, before = watched(quiet, pid)
    with flooded(quiet, frames(quiet)):
        began = time.monotonic()
        quiet.pay(VICTIM, quiet.customer(), quiet.customer())
        wait(began + BURST_S)
        share, after = watched(quiet, pid)
    print(f"{share:.2f} of a processor, {at_rest:.2f} at rest; {(after - before) >> 20} MiB more")
    assert share < at_rest + SHARE_MAX
    assert after < before + GROWTH_BYTES_MAX
    status = get(quiet.urls[VICTIM], "/v1/status").document
    assert quiet.names[MEMBER] not in [p["name"] for p in status["peers"] if p["convicted"]]
    assert "Traceback" not in quiet.log_of(quiet.names[VICTIM])
