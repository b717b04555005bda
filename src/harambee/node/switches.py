"""Switches: whoever started a process of several super-agents may switch each of them off and on.

The other end of a socket pair, which only the parent has, sends one line of JSON for each request,

    {"super_agent": "amani", "on": false}

and is answered by one line: {"done": true}, or {"detail": "why not"}. It is as good as the power of that one
machine: what is switched off is cut off in the middle of whatever it does, and comes back from its journal.
"""

import asyncio
import json
import socket
from collections.abc import Collection
from typing import Final, Protocol

LINE_BYTES_MAX: Final = 4_096


class SwitchError(Exception):
    """What is asked for cannot be done; the message is one sentence."""


class House(Protocol):
    """What has super-agents that can be switched off and on."""

    @property
    def names(self) -> Collection[str]:
        """Of all of them."""

    def is_on(self, name: str) -> bool:
        """Whether one runs."""

    async def switch_on(self, name: str) -> None:
        """Start one that is off."""

    async def switch_off(self, name: str) -> None:
        """End one that is on."""


async def heed(switches: socket.socket, house: House) -> None:
    """Do what comes through the socket, until its other end is closed."""
    reader, writer = await asyncio.open_connection(sock=switches, limit=LINE_BYTES_MAX)
    try:
        while line := await reader.readline():
            answer: dict[str, object] = {"done": True}
            try:
                await _switch(line, house)
            except Exception as error:  # noqa: BLE001 - told to who asked; the others are not to suffer
                answer = {"detail": str(error) or repr(error)}
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
    finally:
        writer.close()


async def _switch(line: bytes, house: House) -> None:
    match json.loads(line):
        case {"super_agent": str(name), "on": bool(on)} if name in house.names:
            if house.is_on(name) == on:
                raise SwitchError(f"{name} is {'on' if on else 'off'} already.")
            await (house.switch_on if on else house.switch_off)(name)
        case _:
            raise SwitchError("there is no such switch")
