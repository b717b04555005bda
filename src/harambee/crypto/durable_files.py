"""Files that are there after a crash: whole, or as they were before."""

import os
from pathlib import Path


def replace_file(file: Path, content: bytes) -> None:
    """Write aside, for the owner's eyes alone, sync, rename, sync the folder; OSError.

    After a crash the file has the old content or the new one, never half.
    """
    aside = file.with_name(f".{file.name}.new")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(content)
        opened.flush()
        os.fsync(descriptor)
    aside.replace(file)
    sync_folder(file.parent)


def sync_folder(folder: Path) -> None:
    """Make the folder's entries durable: a synced file whose name is lost is lost; OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
