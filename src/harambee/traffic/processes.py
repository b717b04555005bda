"""Processes of this machine: what one has used so far, and who stops those that it started."""

import os
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, all its threads together."""
    # The name in parentheses may hold spaces; what follows it does not.
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_bytes(pid: int) -> int:
    """Memory that a process has in RAM."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


class Leaving:
    """For use in a `with`: leaving it undoes what entering has gathered in `_leave`, the newest first."""

    _leave: ExitStack

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._leave.__exit__(kind, error, trace)
