"""PostgreSQL with synchronous standbys, in a folder that is thrown away.

Three servers of this machine: a primary, and two standbys whose disks every commit must have
reached before it is answered (`synchronous_standby_names = 'ANY 2 (...)'`). They talk over Unix
sockets only. Whatever happens in between, none of them outlives the `with`.
"""

import asyncio
import os
import pwd
import shutil
import signal
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, Self

import asyncpg

from harambee.traffic.processes import Leaving

PRIMARY: Final = "primary"
STANDBYS: Final = ("standby-1", "standby-2")
NAMES: Final = (PRIMARY, *STANDBYS)
USER: Final = "postgres"
DATABASE: Final = "postgres"
CONNECTIONS: Final = 128
READY_S: Final = 60
STOP_S: Final = 20
POLL_S: Final = 0.05
DEBIAN: Final = Path("/usr/lib/postgresql")
SHARED_MEMORY_LINE: Final = 6
"""Of postmaster.pid: the key and the number of the segment that keeps a second server away."""

SETTINGS: Final = f"""
listen_addresses = ''
max_connections = {CONNECTIONS}
# Everything is on that guards a committed payment. "on" waits for the disks of both standbys.
# "remote_write" would wait for their memory only; "remote_apply" also until they could show it,
# which nobody asks of them here.
fsync = on
full_page_writes = on
synchronous_commit = on
wal_level = replica
max_wal_senders = 8
hot_standby = on
# Memory for all accounts; a log that fits a run, so that no checkpoint falls into one by its size.
shared_buffers = 512MB
wal_buffers = 64MB
min_wal_size = 1GB
max_wal_size = 8GB
checkpoint_timeout = 15min
wal_compression = lz4
huge_pages = try
# The functions' statements are planned once; there is one good plan for each of them.
plan_cache_mode = force_generic_plan
jit = off
max_parallel_workers_per_gather = 0
log_min_messages = warning
"""


class PostgresError(Exception):
    """PostgreSQL is not here, or a server does not start; the message is one sentence."""


def program(name: str) -> str:
    """Return the path of a program of PostgreSQL, of the newest version that is here; PostgresError."""
    found = shutil.which(name)
    if found is not None:
        return found
    versions = sorted(DEBIAN.glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    if not versions:
        raise PostgresError(
            f"{name} of PostgreSQL is not here (Debian: apt-get install postgresql)"
        )
    return str(versions[-1])


class Cluster(Leaving):
    """A primary and its standbys. Use it in a `with`; PostgresError if a server does not come up."""

    def __init__(self, folder: Path) -> None:
        """`folder` exists and is empty; the servers' files go there."""
        self.folder = folder
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._leave = ExitStack()
        # A server refuses to run as root.
        self._as: dict[str, Any] = {}
        if os.geteuid() == 0:
            who = _unprivileged()
            self._as = {"user": who.pw_uid, "group": who.pw_gid, "extra_groups": []}
            os.chown(folder, who.pw_uid, who.pw_gid)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.callback(self._stop_all)
            self._create_primary()
            self._leave = stack.pop_all()
        return self

    def socket(self, name: str) -> str:
        """The folder of a server's socket, which is its address."""
        return str(self.folder / f"{name}.socket")

    @property
    def pids(self) -> dict[str, list[int]]:
        """The processes of each server that runs: the postmaster, then its children."""
        return {
            name: [process.pid, *_children(process.pid)]
            for name, process in self._processes.items()
            if process.poll() is None
        }

    async def connect(self, name: str = PRIMARY) -> "asyncpg.Connection":
        """Open a connection to a server."""
        return await asyncpg.connect(host=self.socket(name), user=USER, database=DATABASE)

    async def add_standbys(self) -> None:
        """Copy the primary as it is now, and let every commit wait for the copies; PostgresError."""
        for name in STANDBYS:
            source = f"host={self.socket(PRIMARY)} user={USER} application_name={name}"
            data = str(self.folder / name)
            self._call(program("pg_basebackup"), "-d", source, "-D", data, "-R", "-c", "fast")
            self._start(name)
        primary = await self.connect()
        try:
            names = ", ".join(f'"{name}"' for name in STANDBYS)
            await primary.execute(
                f"ALTER SYSTEM SET synchronous_standby_names = 'ANY {len(STANDBYS)} ({names})'"
            )
            await primary.execute("SELECT pg_reload_conf()")
            end = time.monotonic() + READY_S
            while await primary.fetchval(
                "SELECT count(*) FROM pg_stat_replication"
                " WHERE state = 'streaming' AND sync_state = 'quorum'"
            ) != len(STANDBYS):
                if time.monotonic() > end:
                    raise PostgresError("the standbys do not follow the primary")
                await asyncio.sleep(POLL_S)
        finally:
            await primary.close()

    def kill(self, name: str) -> None:
        """`kill -9` of a server with all its processes: as if its machine had lost power."""
        process = self._processes.pop(name)
        # Children outlive a killed postmaster for a moment, and could still answer.
        for pid in [process.pid, *_children(process.pid)]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        process.wait()
        self._release_memory(name)

    def promote(self, name: str) -> None:
        """Make a standby a primary of its own, once it has replayed all that it received."""
        control = (program("pg_ctl"), "promote", "-w", "-t", str(READY_S))
        self._call(*control, "-D", str(self.folder / name))

    def _create_primary(self) -> None:
        data = str(self.folder / PRIMARY)
        self._call(program("initdb"), "-D", data, "-U", USER, "-A", "trust", "-E", "UTF8", "-N")
        with (self.folder / PRIMARY / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.write(SETTINGS)
        self._start(PRIMARY)

    def _start(self, name: str) -> None:
        sockets = Path(self.socket(name))
        sockets.mkdir()
        if self._as:
            os.chown(sockets, self._as["user"], self._as["group"])
        arguments = ("-D", str(self.folder / name), "-c", f"unix_socket_directories={sockets}")
        with (self.folder / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [program("postgres"), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C is for us alone: we stop them in order.
                process_group=0,
                **self._as,
            )
        self._wait_ready(name)

    def _wait_ready(self, name: str) -> None:
        end = time.monotonic() + READY_S
        ready = [program("pg_isready"), "-q", "-h", self.socket(name)]
        while subprocess.run(ready, check=False).returncode != 0:
            if self._processes[name].poll() is not None or time.monotonic() > end:
                text = (self.folder / f"{name}.log").read_text(encoding="utf-8", errors="replace")
                last = " / ".join(text.splitlines()[-5:]) or "it wrote nothing"
                raise PostgresError(f"the {name} of PostgreSQL does not start: {last}")
            time.sleep(POLL_S)

    def _stop_all(self) -> None:
        # The primary first: it would wait for standbys that are gone.
        for name, process in list(self._processes.items()):
            process.send_signal(signal.SIGQUIT)  # at once: nothing here is kept
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self.kill(name)
        self._processes.clear()

    def _release_memory(self, name: str) -> None:
        """Remove the one piece of shared memory that outlives a killed server."""
        lines = (self.folder / name / "postmaster.pid").read_text(encoding="ascii").splitlines()
        segment = lines[SHARED_MEMORY_LINE].split()[1]
        subprocess.run(["ipcrm", "-m", segment], check=False, capture_output=True)  # noqa: S607

    def _call(self, *command: str) -> None:
        done = subprocess.run(
            command, check=False, capture_output=True, cwd=self.folder, **self._as
        )
        if done.returncode != 0:
            said = done.stderr.decode(errors="replace").strip().replace("\n", " / ")
            raise PostgresError(f"{Path(command[0]).name} failed: {said}")


def _unprivileged() -> pwd.struct_passwd:
    """Who runs the servers when root starts them."""
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise PostgresError("PostgreSQL does not run as root, and there is no other user here")


def _children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return [int(child) for child in listed.split()]
