"""`harambee openapi`: what the HTTP door offers, for programs that write clients."""

import click


@click.command()
def openapi() -> None:
    """Print the description of the HTTP door, as OpenAPI 3.1 in JSON.

    It is the one that every super-agent serves at /v1/openapi.json. No network is needed.

    \b
    Examples:
      harambee openapi > harambee.json
      curl http://127.0.0.1:8401/v1/openapi.json
    """  # noqa: D301 - click's sign for lines to keep
    import msgspec

    from harambee import __version__
    from harambee.gateways.http.openapi import document
    from harambee.gateways.http.operations import operations

    described = msgspec.json.encode(document(operations(__version__), __version__))
    click.echo(msgspec.json.format(described, indent=2).decode())
