"""Whose an LMDB folder is: format, network and super-agent, noted in it when it is made."""

import struct
from typing import Any, Final

_FORMAT: Final = struct.Struct("<I")


def claim(transaction: Any, format_: int, network: bytes, author: int) -> str | None:
    """Note in an open write transaction of the table `meta` whose the folder is.

    None where it is this one's now, or was before; otherwise what it has another one of: "format",
    "network" or "author".
    """
    wanted = {
        b"format": _FORMAT.pack(format_),
        b"network": network,
        b"author": author.to_bytes(2, "little"),
    }
    for name, value in wanted.items():
        found = transaction.get(name)
        if found is None:
            transaction.put(name, value)
        elif found != value:
            return name.decode()
    return None
