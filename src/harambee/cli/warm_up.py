"""`harambee warm-up`: the compiled kernels, made and kept before anybody waits for them."""

import click


@click.command("warm-up")
def warm_up() -> None:
    """Compile the kernels and keep them on disk; `make setup` does it once.

    Without it the first super-agent to start on a machine takes about a minute longer.

    \b
    Example:
      harambee warm-up
    """  # noqa: D301 - click's sign for lines to keep
    from harambee.protocol.warm import warm_up as compile_kernels

    compile_kernels()
