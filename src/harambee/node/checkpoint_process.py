"""Making a checkpoint beside the running super-agent, in a process of its own and from the disk alone.

So payments go on meanwhile, and what is signed was computed once more, from durable blocks and in other
memory.
"""

import os
import sys
from pathlib import Path
from typing import Final

import msgspec

from harambee.node.config import ConfigError, read_config
from harambee.node.journal import JournalError, JournalLacks, JournalReader
from harambee.node.network_folder import NetworkFolderError, genesis_of
from harambee.protocol.cuts import Cut
from harambee.protocol.effects import Name
from harambee.protocol.fold import JournalBroken
from harambee.storage.checkpoint_making import NotMade, make
from harambee.storage.checkpoint_store import CheckpointDamaged, CheckpointStore, Stored

NICENESS: Final = 10


class Request(msgspec.Struct, forbid_unknown_fields=True):
    """What the process is asked for, as JSON on its standard input."""

    config: str
    base: str
    """The digest of the checkpoint to go on from, in hexadecimal; empty for the genesis."""
    anchor: tuple[int, int, int, str]
    tips: list[tuple[int, int, int, str]]

    @classmethod
    def of(cls, config: Path, base: Stored | None, cut: Cut) -> "Request":
        """Ask for the checkpoint of a cut."""
        name = "" if base is None else base.checkpoint.digest.hex()
        return cls(str(config), name, _written(cut.anchor), [_written(tip) for tip in cut.tips])

    def cut(self) -> Cut:
        """Return the cut."""
        return Cut(_read_name(self.anchor), tuple(_read_name(tip) for tip in self.tips))


def _written(name: Name) -> tuple[int, int, int, str]:
    return name.author, name.incarnation, name.height, name.digest.hex()


def _read_name(written: tuple[int, int, int, str]) -> Name:
    author, incarnation, height, name = written
    return Name(author, incarnation, height, bytes.fromhex(name))


class Made(msgspec.Struct):
    """What the process says at its end, as one line of JSON: the digest, or why there is none."""

    digest: str = ""
    why: str = ""


def main(content: bytes) -> Made:
    """Make what is asked for."""
    request = msgspec.json.decode(content, type=Request)
    try:
        config = read_config(Path(request.config))
        genesis = genesis_of(config, with_openings=not request.base)
        store = CheckpointStore(config.checkpoints, genesis.network, genesis.committee)
        base = store.find(bytes.fromhex(request.base)) if request.base else None
        if request.base and base is None:
            return Made(why="the checkpoint before it is not here any more")
        with JournalReader.open_to_read(config.journal) as journal:
            stored = make(genesis, journal, store, base, request.cut(), _say)
        return Made(digest=stored.checkpoint.digest.hex())
    except (
        ConfigError,
        NetworkFolderError,
        JournalError,
        JournalLacks,
        JournalBroken,
        CheckpointDamaged,
        NotMade,
        OSError,
    ) as error:
        return Made(why=str(error))


def _say(what: str, done: int, total: int) -> None:
    sys.stdout.write(f"{what} {done} {total}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    os.nice(NICENESS)
    sys.stdout.buffer.write(msgspec.json.encode(main(sys.stdin.buffer.read())) + b"\n")
