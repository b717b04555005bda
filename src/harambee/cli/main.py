"""The `harambee` command."""

import click

import harambee


@click.group()
@click.version_option(harambee.__version__, prog_name="harambee")
def main() -> None:
    """Mobile money with no central switch."""
