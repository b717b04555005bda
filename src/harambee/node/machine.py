"""What the machine says of itself: room on a disk, memory of this process."""

import os
import resource
from pathlib import Path


def free_bytes(place: Path) -> int | None:
    """Return how much room the disk of a file or folder has for us; None where that cannot be told."""
    try:
        disk = os.statvfs(place)
    except OSError:
        return None
    return disk.f_bavail * disk.f_frsize


def resident_bytes() -> int:
    """Return how much memory this process has now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()
