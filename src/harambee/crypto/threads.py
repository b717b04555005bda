"""Splits a batch over threads, for kernels that leave the GIL free.

One pool for the process, made when first needed and never in a process that only ever asks for one
thread. A child made by fork starts without one, because threads do not survive a fork.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

# A share below this many signatures (about a millisecond) costs more to hand over than it saves.
SMALLEST_SHARE = 16

_pool: ThreadPoolExecutor | None = None


def _forget_pool() -> None:
    """Drop the pool without waiting for it: its threads live in the parent of this process."""
    global _pool  # noqa: PLW0603 - one lazily made pool for the process is the point of this file
    _pool = None


os.register_at_fork(after_in_child=_forget_pool)


def _the_pool() -> ThreadPoolExecutor:
    """Return the process's pool, made on first use with one thread for each core."""
    global _pool  # noqa: PLW0603 - see above
    if _pool is None:
        _pool = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="harambee-crypto")
    return _pool


def shares(count: int, threads: int) -> list[tuple[int, int]]:
    """Return at most `threads` contiguous ranges (start, stop) that together cover `count` rows.

    They differ by at most one row in length. No row, no range. ValueError if threads < 1.
    """
    if threads < 1:
        message = f"threads must be at least 1, not {threads}"
        raise ValueError(message)
    parts = min(threads, -(-count // SMALLEST_SHARE))
    return [(count * part // parts, count * (part + 1) // parts) for part in range(parts)]


def over_threads(work: Callable[[int, int], None], count: int, threads: int) -> None:
    """Call `work(start, stop)` over ranges that cover `count` rows, in up to `threads` threads.

    The caller's own thread does the first range. Returns when all are done; an error in any of them
    is raised here.
    """
    first, *others = shares(count, threads) or [(0, 0)]
    waiting = [_the_pool().submit(work, start, stop) for start, stop in others]
    work(*first)
    for share in waiting:
        share.result()
