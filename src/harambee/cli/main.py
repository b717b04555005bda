"""The `harambee` command: what there is, and where each part of it lies.

A command's module is imported when the command runs, so that `harambee --help` and `harambee pay`
are quick: a super-agent's compiled kernels are none of theirs.
"""

from importlib import import_module
from pathlib import Path
from typing import Final

import click

import harambee

# Command -> the module under harambee.cli that has a click command of that name, and its summary.
COMMANDS: Final = {
    "up": ("up", "Start a network of super-agents on this machine."),
    "pay": ("pay", "Pay somebody; final within a second or so."),
    "hold": ("holds", "Set money aside for somebody, to be released or voided."),
    "release": ("holds", "Let held money, or a part of it, be paid."),
    "void": ("holds", "Give held money back."),
    "holds": ("holds", "Show what is held of an account, and for it."),
    "refund": ("reversals", "Give a payment back to who made it."),
    "reversal": ("reversals", "Ask for a payment back, refuse, or dispute."),
    "requests": ("merchant_requests", "Show what merchants ask you to pay."),
    "accept": ("merchant_requests", "Pay what a merchant asks for."),
    "decline": ("merchant_requests", "Tell a merchant that you do not pay."),
    "standing-orders": ("merchant_requests", "Show the standing orders that you agreed to."),
    "handset": ("merchant_requests", "Be a handset that pays by itself what it is asked."),
    "pay-out": ("pay_out", "Pay everybody in a file."),
    "balance": ("accounts", "Show what an account holds."),
    "statement": ("accounts", "Show what moved an account, newest first."),
    "receipt": ("receipt", "Show the proof that a payment is final."),
    "qr": ("qr", "Write the QR code of a till, a bill or a telephone, or read one."),
    "verify": ("verify", "Check such a proof, without any network."),
    "texts": ("texts", "Show what was texted to customers."),
    "agent": ("agent", "Show an agent's float, cash, commission and book."),
    "float": ("float_sources", "Show how long float lasts, and who sells it nearby."),
    "register": ("register", "Open an account of your own."),
    "dial": ("dial", "Be a feature phone and dial *334#."),
    "unlock-pin": ("feature_phones", "Let a feature phone's locked PIN be tried again."),
    "name": ("name", "Show whose number it is, before you pay."),
    "cancel": ("pay", "Cancel a payment that is still open."),
    "key": ("key", "Change an account's key, or let a new phone's take over."),
    "propose": ("propose", "Propose a freeze, a new key, a new tariff."),
    "proposals": ("proposals", "Show what is proposed, and who approved it."),
    "approve": ("proposals", "Approve a proposal as an operator."),
    "attest": ("attestation", "Attest how much money a bank holds in trust."),
    "adopt-limit": ("attestation", "Make what a bank attested its limit."),
    "init": ("init", "Make a network's folder without starting it."),
    "node": ("node", "Run one super-agent from its configuration."),
    "doctor": ("doctor", "Say what is wrong with a super-agent, in sentences."),
    "backup": ("backup", "Copy a super-agent's folder, also while it runs."),
    "restore": ("backup", "Put such a copy back, as the old disk that it is."),
    "rejoin": ("rejoin", "Let a super-agent come back after it lost its disk."),
    "evidence": ("evidence", "Show who signed what no honest super-agent signs."),
    "close-day": ("close_day", "Close a day: who owes whom, signed by every super-agent."),
    "trust": ("trust", "Show that e-money in circulation is what the banks owe."),
    "flags": ("flags", "Show what looks odd among a day's payments."),
    "export": ("export", "Write a day's orders, positions or flags to a CSV or Parquet file."),
    "checkpoint": ("checkpoint", "List and verify checkpoints: the ledger at a moment, signed."),
    "observe": ("observe", "Keep every balance yourself, check everything, and see who lies."),
    "audit": ("audit", "Compute the ledger anew from a journal, and check every signature."),
    "replay": ("replay", "Send an hour of real mobile-money traffic."),
    "demo": ("demo", "Kill super-agents under load, and count what was lost."),
    "outage": ("outage", "Set an evening's outage beside that of a central switch."),
    "sim": ("sim", "Simulate a network with liars and bad luck, from a seed."),
    "bench": ("bench", "Measure how fast it is."),
    "openapi": ("openapi", "Print what the HTTP door offers, for programs that write clients."),
    "reference": ("reference", "Print pages of the documentation that are written from the code."),
    "warm-up": ("warm_up", "Compile now what the first super-agent would compile at its start."),
}


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports only the one that runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order in which a newcomer needs them."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command; None if there is none of that name."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module, _ = COMMANDS[cmd_name]
        command = getattr(import_module(f"harambee.cli.{module}"), cmd_name.replace("-", "_"))
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands from the table above, importing none of them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(harambee.__version__, prog_name="harambee")
@click.option(
    "--network",
    "network",
    type=click.Path(path_type=Path),
    help="The network's folder; default: $HARAMBEE_NETWORK, or ./harambee-network.",
)
@click.pass_context
def main(ctx: click.Context, network: Path | None) -> None:
    """Mobile money with no central switch: every super-agent holds the whole ledger.

    \b
    From nothing to a payment, in two terminals:
      harambee up
      harambee pay customer-1 customer-2 100
      harambee balance customer-2

    Any super-agent serves any handset; `harambee COMMAND --help` says more about each command.
    """  # noqa: D301 - click's sign for lines to keep
    ctx.obj = network
