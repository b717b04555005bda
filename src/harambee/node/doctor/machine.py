"""The machine: its ports, room on its disks, memory against accounts, open files."""

import errno
import resource
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from harambee.node.config import Address, NodeConfig
from harambee.node.doctor.findings import Finding, fine, look, wrong
from harambee.node.machine import free_bytes

PORTS = "ports"
DISK = "disk"
MEMORY = "memory"
FILES = "open files"

GIB: Final = 1 << 30
FREE_LEAST_BYTES: Final = GIB
FREE_GOOD_BYTES: Final = 5 * GIB
PROCESS_BYTES: Final = 250_000_000
"""Of a process without any accounts (docs/performance.md)."""
ACCOUNT_BYTES: Final = 110
"""For each account, with what stands beside it; 100 million are 10.9 GB."""
FILES_LEAST: Final = 4_096
"""Twice the connections that a door takes."""


def ports(config: NodeConfig, *, runs: bool) -> Iterator[Finding]:
    """Look whether it can listen where it should; while it runs, its own listening is no finding."""
    findings = [
        found
        for name, address in (
            ("listen_http", config.listen_http),
            ("listen_peer", config.listen_peer),
        )
        if not runs
        for found in _of_port(name, address)
    ]
    if config.listen_http == config.listen_peer:
        findings.append(
            wrong(
                PORTS,
                f"Handsets and super-agents have one port, {config.listen_http}.",
                "give listen_peer another port",
            )
        )
    said = "It listens itself." if runs else "Both ports are free."
    yield from findings or [fine(PORTS, said)]


def _of_port(name: str, address: Address) -> Iterator[Finding]:
    try:
        found = socket.getaddrinfo(*address, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, place = found[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        why = "something else listens there" if taken else (error.strerror or str(error))
        yield wrong(
            PORTS,
            f"It cannot listen on {address}: {why}.",
            f"`ss -ltnp` shows who listens; otherwise change {name} in node.toml",
        )


def disk(config: NodeConfig) -> Iterator[Finding]:
    """Look whether there is room for what grows."""
    seen: dict[int, Finding] = {}
    for folder in (config.journal, config.checkpoints, config.profiles):
        there = _first_there(folder)
        room = free_bytes(there)
        if room is None:
            yield look(DISK, f"The room on the disk of {there} cannot be told.", f"df {there}")
            continue
        seen.setdefault(there.stat().st_dev, _of_room(there, room))
    yield from seen.values()


def _of_room(there: Path, room: int) -> Finding:
    said = f"The disk of {there} has {room / GIB:,.1f} GiB of room."
    remedy = "make room; docs/operating.md says what may be moved"
    if room < FREE_LEAST_BYTES:
        return wrong(DISK, said, remedy)
    return look(DISK, said, remedy) if room < FREE_GOOD_BYTES else fine(DISK, said)


def _first_there(folder: Path) -> Path:
    """Return the folder, or the first above it that exists."""
    return next(place for place in (folder, *folder.parents) if place.exists())


def memory(accounts: int, has_bytes: int | None = None) -> Iterator[Finding]:
    """Look whether so many accounts fit into what this machine, or its container, has."""
    has = memory_bytes() if has_bytes is None else has_bytes
    needs = PROCESS_BYTES + accounts * ACCOUNT_BYTES
    said = f"{accounts:,} accounts need about {needs / 1e9:,.1f} GB of memory; here are {has / 1e9:,.1f}."
    remedy = "a machine with more memory; two and a half times what is needed is comfortable"
    if needs > has:
        yield wrong(MEMORY, said, remedy)
    elif 10 * needs > 7 * has:
        yield look(MEMORY, said, remedy)
    else:
        yield fine(MEMORY, said)


def memory_bytes() -> int:
    """Return what memory this machine has, or the container that this runs in, whichever is less."""
    table = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    total = next(int(line.split()[1]) * 1024 for line in table if line.startswith("MemTotal:"))
    limit = Path("/sys/fs/cgroup/memory.max")
    text = limit.read_text(encoding="ascii").strip() if limit.exists() else "max"
    return min(total, int(text)) if text.isdigit() else total


def open_files(most: int | None = None) -> Iterator[Finding]:
    """Look how many files and connections a process of this user may have open."""
    found = resource.getrlimit(resource.RLIMIT_NOFILE)[0] if most is None else most
    if 0 <= found < FILES_LEAST:
        yield look(
            FILES,
            f"A process may have {found:,} files and connections open; a busy door needs {FILES_LEAST:,}.",
            f"LimitNOFILE={FILES_LEAST} in its unit, or ulimit -n {FILES_LEAST}",
        )
    else:
        yield fine(FILES, f"A process may have {found:,} files and connections open.")
