"""Who checks the segments: this process, others on this machine, or a Ray cluster.

All three call one function, `check_segment`, and give its reports in the order of the segments. At no time
are more than a few segments on the way for each worker, so whoever makes segments is held back by those who
check them, and memory stays bounded however long the journal is.
"""

import multiprocessing
import os
import socket
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final, TypeVar

from harambee.audit.segments import Segment, SegmentReport, check_segment
from harambee.crypto.warm import warm_up as load_kernels

Check = Callable[[Iterator[Segment]], Iterator[SegmentReport]]
T = TypeVar("T")

IN_FLIGHT_EACH: Final = 3
"""Segments on the way for each worker: one being checked, one waiting, one being sent."""
RETRIES: Final = 3
USAGE_STATS_VARIABLE: Final = "RAY_USAGE_STATS_ENABLED"
CLUSTER_VARIABLE: Final = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
"""Where it is 0, Ray takes a loopback address for what it says, and listens on no other."""
LOOPBACK: Final = ("127.0.0.1", "localhost")
RAY_CLIENT: Final = "ray://"
ANSWER_S: Final = 5
"""Ray itself would try for minutes to reach who is not there."""


class WorkersError(Exception):
    """The segments cannot be checked there; the message is one sentence."""


def in_order(
    segments: Iterator[Segment],
    send: Callable[[Segment], T],
    receive: Callable[[T], SegmentReport],
    in_flight: int,
) -> Iterator[SegmentReport]:
    """Send each segment, and yield the reports in their order, with at most so many on the way."""
    sent: deque[T] = deque()
    for segment in segments:
        sent.append(send(segment))
        if len(sent) >= in_flight:
            yield receive(sent.popleft())
    while sent:
        yield receive(sent.popleft())


@dataclass(frozen=True, slots=True)
class Workers:
    """Somebody who checks segments."""

    count: int
    """How many at a time."""
    check: Check


@contextmanager
def here() -> Iterator[Workers]:
    """This process: one segment after the other."""
    warm_up()
    yield Workers(1, lambda segments: map(check_segment, segments))


@contextmanager
def in_processes(count: int) -> Iterator[Workers]:
    """So many processes beside this one; their kernels are compiled already, or are now, once."""
    warm_up()
    # Forked children would share the memory of a ledger that goes on changing, and its locks.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(count, context, warm_up) as pool:

        def send(segment: Segment) -> "Future[SegmentReport]":
            return pool.submit(check_segment, segment)

        def check(segments: Iterator[Segment]) -> Iterator[SegmentReport]:
            try:
                yield from in_order(segments, send, Future.result, IN_FLIGHT_EACH * count)
            except BrokenProcessPool as error:
                raise WorkersError("a worker process ended before its work was done") from error

        try:
            yield Workers(count, check)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


@contextmanager
def on_ray(address: str) -> Iterator[Workers]:
    """A Ray cluster: "auto", its address, or ray://HOST:PORT. WorkersError without one, or without Ray.

    harambee must be installed on each node, of this version; it needs no file there.
    """
    _prepare(address)
    try:
        ray: Any = import_module("ray")
    except ImportError as error:
        raise WorkersError(
            "a Ray cluster needs the package ray: install it with `pip install 'harambee[ray]'`"
        ) from error
    try:
        ray.init(address=address, log_to_driver=False, logging_level="error")
    except (ConnectionError, ValueError, RuntimeError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise WorkersError(f"no Ray cluster answers at {address}: {reason}") from error
    try:
        # What is pure may be computed again, should a node be lost.
        remote = ray.remote(num_cpus=1, max_retries=RETRIES)(check_segment)
        count = max(1, int(ray.cluster_resources().get("CPU", 1)))

        def check(segments: Iterator[Segment]) -> Iterator[SegmentReport]:
            try:
                yield from in_order(segments, remote.remote, ray.get, IN_FLIGHT_EACH * count)
            except ray.exceptions.RayError as error:
                reason = str(error).strip().rpartition("\n")[2]
                raise WorkersError(f"the Ray cluster fails: {reason}") from error

        yield Workers(count, check)
    finally:
        ray.shutdown()


def _prepare(address: str) -> None:
    """Before Ray is imported: keep it to itself, and see whether anybody answers; WorkersError."""
    os.environ[USAGE_STATS_VARIABLE] = "0"  # nobody is told that an audit takes place
    host, _, port = address.removeprefix(RAY_CLIENT).rpartition(":")
    if not port.isdecimal():
        return  # "auto": Ray knows soon itself
    if host in LOOPBACK:
        os.environ[CLUSTER_VARIABLE] = "0"
    try:
        socket.create_connection((host, int(port)), ANSWER_S).close()
    except OSError as error:
        raise WorkersError(f"no Ray cluster answers at {address}: {error.strerror}") from error


def warm_up() -> None:
    """Load the kernels of signatures, before the first segment comes."""
    load_kernels()


def chosen(count: int, ray: str | None) -> AbstractContextManager[Workers]:
    """So many workers of this machine, or a Ray cluster, as somebody asked for."""
    if ray is not None:
        return on_ray(ray)
    return here() if count == 1 else in_processes(count)
