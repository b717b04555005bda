"""What commands of those who watch share: days as people write them, names, whom to ask."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from harambee.cli.terminal import FailureError, one_sentence
from harambee.handset.network_file import KnownNetwork, NetworkFileError, read_network
from harambee.handset.orders import today
from harambee.ledger.records import region_of
from harambee.oversight.inquiry import Inquirer, NoAnswerError, inquirers
from harambee.oversight.settlement_parties import Party

FIRST_DAY: Final = date(1970, 1, 1)
DAY_MAX: Final = (1 << 16) - 1

T = TypeVar("T")


class DayType(click.ParamType[int]):
    """A day as it is typed, 2026-11-27, or its number in orders; the number comes out."""

    name = "day"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the day's number; wrong usage for anything else."""
        if isinstance(value, int):
            return value
        text = str(value)
        try:
            day = (
                int(text)
                if text.isascii() and text.isdecimal() and len(text) <= 5
                else (date.fromisoformat(text) - FIRST_DAY).days
            )
        except ValueError:
            self.fail(f"{text} is no day: write it as 2026-11-27.", param, ctx)
        if not 0 <= day <= DAY_MAX:
            self.fail(f"{text} is no day that an order can have.", param, ctx)
        return day


DAY: Final = DayType()


def day_text(day: int) -> str:
    """Return a day as people write it."""
    return (FIRST_DAY + timedelta(days=day)).isoformat()


def days_ago(count: int) -> int:
    """Return the number of the day so many days ago, in East Africa."""
    return today() - count


@dataclass(frozen=True)
class Watched:
    """A network that is watched from outside."""

    known: KnownNetwork

    def super_agent(self, index: int) -> str:
        """Return a super-agent's name."""
        return self.known.genesis.committee.members[index].name

    def party(self, party: Party) -> str:
        """Return the name of a super-agent, or of a bank as far as the genesis has one."""
        return self.bank(party.number) if party.is_bank else self.super_agent(party.number)

    def bank(self, account: int) -> str:
        """Return the name of a bank's account."""
        issuers = self.known.genesis.document.issuers
        return next((i.name for i in issuers if i.account == account), f"bank {account}")

    def home(self, account: int) -> str:
        """Return the name of the super-agent whose account it is; empty where nobody's."""
        return self._homes.get(region_of(account), "")

    @cached_property
    def _homes(self) -> dict[int, str]:
        members = self.known.genesis.committee.members
        return {region: member.name for member in members for region in member.regions}

    def ask(self, use: Callable[[list[Inquirer]], Awaitable[T]]) -> T:
        """Run `use` with everybody who can be asked."""

        async def run() -> T:
            async with inquirers(self.known.doors) as asked:
                return await use(asked)

        return asyncio.run(run())

    def ask_one(self, via: str | None, use: Callable[[Inquirer], Awaitable[T]]) -> T:
        """Run `use` with the super-agent named `via`, or with the first that serves this network.

        FailureError where there is none; NoAnswerError where it stops to answer.
        """
        names = [door.name for door in self.known.doors]
        if via is not None and via not in names:
            raise FailureError(f"There is no super-agent {via}; there are {', '.join(names)}.")
        network = self.known.genesis.network.hex()

        async def chosen(asked: list[Inquirer]) -> T:
            why = ""
            for inquirer in asked:
                if via not in (None, inquirer.name):
                    continue
                try:
                    served, _ = await inquirer.network()
                except NoAnswerError as error:
                    why = f"{error}."
                    continue
                if served == network:
                    return await use(inquirer)
                why = f"{inquirer.name} serves another network."
            raise FailureError(why if via is not None else f"No super-agent answers: {why}")

        return self.ask(chosen)


def watched(folder: Path, *, as_json: bool) -> Watched:
    """Return the network in `folder`; one sentence where there is none."""
    with one_sentence(NetworkFileError, as_json=as_json):
        return Watched(read_network(folder))
