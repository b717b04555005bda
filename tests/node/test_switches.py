"""Switching super-agents of one process off and on, over a socket."""

import asyncio
import json
import socket

import uvloop

from harambee.node.switches import heed


class House:
    names = ("amani", "baraka")

    def __init__(self):
        self.on = set(self.names)

    def is_on(self, name):
        return name in self.on

    async def switch_on(self, name):
        if name == "baraka":
            raise RuntimeError("its journal is spoilt")
        self.on.add(name)

    async def switch_off(self, name):
        self.on.discard(name)


def answers(*lines):
    """What is answered to each line, and who is on in the end."""
    house = House()

    async def talk():
        mine, theirs = socket.socketpair()
        listening = asyncio.create_task(heed(theirs, house))
        reader, writer = await asyncio.open_connection(sock=mine)
        found = []
        for line in lines:
            writer.write(line + b"\n")
            found.append(json.loads(await reader.readline()))
        writer.close()
        async with asyncio.timeout(5):
            await listening
        return found

    return uvloop.run(talk()), house.on


def ask(name, on):
    return json.dumps({"super_agent": name, "on": on}).encode()


def test_one_is_switched_off_and_on_again():
    said, on = answers(ask("amani", on=False))
    assert said == [{"done": True}]
    assert on == {"baraka"}
    said, on = answers(ask("amani", on=False), ask("amani", on=True))
    assert said == [{"done": True}] * 2
    assert on == {"amani", "baraka"}


def test_what_cannot_be_done_is_said_and_the_others_go_on():
    said, on = answers(
        ask("amani", on=True),
        ask("chapa", on=False),
        ask("baraka", on=False),
        ask("baraka", on=True),
        b"no JSON",
        b"[]",
        ask("amani", on=False),
    )
    assert [answer.get("detail") for answer in said[:4]] == [
        "amani is on already.",
        "there is no such switch",
        None,
        "its journal is spoilt",
    ]
    assert "detail" in said[4]
    assert said[5] == {"detail": "there is no such switch"}
    assert said[6] == {"done": True}
    assert on == set()
