"""`harambee attest` and `harambee adopt-limit`: how much money a bank holds in trust."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from harambee.cli.terminal import FailureError, json_option, network_option, print_json

if TYPE_CHECKING:
    from harambee.handset.doors import Door, ProposalSeen


@click.command()
@click.argument("bank", metavar="BANK")
@click.argument("amount", metavar="SHILLINGS")
@network_option
@json_option
def attest(bank: str, amount: str, folder: Path, as_json: bool) -> None:
    """Let a bank attest how much money it holds in trust; super-agents' operators then approve.

    The bank's key signs it here, and it is brought to every super-agent that answers. Once it is final,
    `harambee adopt-limit` makes it the bank's limit.

    \b
    Example:
      harambee attest bank-1 5000000
    """  # noqa: D301 - click's sign for lines to keep
    from harambee.cli.governance_use import governance_errors, proposal_document
    from harambee.cli.handset_use import read_parties, with_doors
    from harambee.cli.propose import cents_of
    from harambee.handset.doors import DoorError, DoorProblemError
    from harambee.handset.governing import Act, body_of
    from harambee.handset.orders import sign_order
    from harambee.ledger.kinds import OrderKind

    with governance_errors(as_json=as_json):
        known, parties = read_parties(folder)
        wallet = parties.wallet(bank)
        act = Act(OrderKind.ATTEST, wallet.account, cents_of(amount))

        async def bring(doors: "list[Door]") -> "tuple[ProposalSeen, list[str]]":
            body = await body_of(known.genesis, doors, act)
            order = sign_order(wallet.keypair, known.genesis.network, body)
            seen: ProposalSeen | None = None
            brought: list[str] = []
            said: DoorError = DoorError("No super-agent can be reached.")
            for door in doors:
                try:
                    seen = await door.propose({"order": {"bytes": order.hex()}})
                    brought.append(door.name)
                except DoorProblemError as problem:
                    said = problem
                except DoorError as error:
                    said = said if isinstance(said, DoorProblemError) else error
            if seen is None:
                raise said
            return seen, brought

        proposal, brought = with_doors(known, None, bring)
    if as_json:
        print_json(proposal_document(proposal) | {"brought_to": brought})
        return
    click.echo(f"{proposal.id[:12]}  {proposal.what}")
    click.echo(f"  Brought to {', '.join(brought)}; it dies after {proposal.dies_after}.")


@click.command("adopt-limit")
@click.argument("bank", metavar="BANK")
@network_option
@json_option
def adopt_limit(bank: str, folder: Path, as_json: bool) -> None:
    """Make what a bank attested last its limit: how far its account may go below zero.

    \b
    Example:
      harambee adopt-limit bank-1
    """  # noqa: D301 - click's sign for lines to keep
    from harambee.cli.governance_use import governance_errors
    from harambee.cli.handset_use import read_parties, with_handset
    from harambee.handset.governing import governed_now
    from harambee.handset.handset import Handset, HandsetError, Payment, PaymentStatus
    from harambee.ledger.kinds import OrderKind
    from harambee.money.amounts import format_cents

    async def adopt(handset: Handset) -> Payment:
        number = handset.wallet.account
        seen = await governed_now(handset.genesis, handset.doors, number)
        if seen.attested_cents is None:
            raise HandsetError("This bank has attested nothing yet, or it is not final.")
        reference = seen.attested_slot.to_bytes(4, "little") + bytes(28)
        cents = seen.attested_cents
        return await handset.bring(OrderKind.ADOPT_LIMIT, cents, reference=reference)

    with governance_errors(as_json=as_json):
        known, parties = read_parties(folder)
        payment = with_handset(known, parties.wallet(bank), None, adopt)
    if as_json:
        print_json(
            {
                "status": str(payment.status),
                "sentence": payment.sentence,
                "account": payment.payer,
                "limit_cents": payment.amount_cents,
            }
        )
    if payment.status is not PaymentStatus.FINAL:
        raise FailureError(payment.sentence)
    if not as_json:
        click.echo(
            f"{bank} may issue {format_cents(payment.amount_cents)}: what it holds in trust."
        )
