"""`harambee reference`: pages of the documentation that are written from the code."""

import click

WHAT = ("configuration", "metrics")

CONFIGURATION = """\
# node.toml

What `harambee node --config node.toml` reads: one flat table. Paths are relative to the file. This page is
written from the code by `harambee reference configuration`; a test keeps it so. A field that is not known, is
missing or wrong is refused in one sentence that names file and field.

`env:NAME` says that a key is not in a file but in the environment's variable NAME: the 64 hexadecimal digits
of its seed (of the directory key: of the key), which is the field `seed` of a key file. Such a key is in no
backup. Whoever may read the process's environment has it. `pkcs11:...` names a key that never leaves its
device: [operating.md](operating.md#keys-in-a-device).

"""

METRICS = """\
# Metrics

`GET /metrics` of every super-agent, in Prometheus's text format. This page is written from the code by
`harambee reference metrics`; a test keeps it so. No label and no value names a customer, an account or an
order. Amounts are in cents, times in seconds. Counters begin anew with the process, but for those of the
ledger and the journal.

[alerts.yml](../deploy/prometheus/alerts.yml) has the alert rules, each with its part of
[operating.md](operating.md#when-an-alert-rings); [harambee.json](../deploy/grafana/harambee.json) is a
dashboard.
`harambee_order_latency_seconds` is a histogram: of all super-agents together, 99 of 100 payments were final
within

    histogram_quantile(0.99, sum by (le) (rate(harambee_order_latency_seconds_bucket[5m])))

"""


@click.command()
@click.argument("what", type=click.Choice(WHAT))
def reference(what: str) -> None:
    """Print a page of docs/ that is written from the code, as Markdown.

    \b
    Example:
      harambee reference metrics > docs/metrics.md
    """  # noqa: D301 - click's sign for lines to keep
    click.echo(page(what), nl=False)


def page(what: str) -> str:
    """Return a page, one of `WHAT`."""
    from harambee.gateways.http import metrics
    from harambee.node import config_reference

    assert what in WHAT
    if what == "metrics":
        head, lines = METRICS, list(metrics.reference())
    else:
        head, lines = CONFIGURATION, list(config_reference.reference())
    return head + "\n".join(lines).rstrip("\n") + "\n"
