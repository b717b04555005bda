"""The description of the HTTP door at the terminal."""

import json

from click.testing import CliRunner
from tests.gateways.description import described

from harambee import __version__
from harambee.cli.main import main


def test_the_description_is_printed_as_it_is_served():
    result = CliRunner().invoke(main, ["openapi"])
    assert result.exit_code == 0
    printed = json.loads(result.stdout)
    assert printed["info"].pop("version") == __version__
    served = json.loads(json.dumps(described()))
    del served["info"]["version"]
    assert printed == served
