"""`harambee bench receipts`: what it measures is there, whatever the figures are on this machine."""

import json

from click.testing import CliRunner

from harambee.cli.main import main
from harambee.handset.proofs import QR_CHARACTERS_MAX


def test_small_and_large_networks_are_measured_from_text_and_picture():
    result = CliRunner().invoke(main, ["bench", "receipts", "--rounds", "1", "--json"])
    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout.splitlines()[-1])
    assert {n: figures[f"signatures_{n}"] for n in (4, 100)} == {4: 2, 100: 34}
    for super_agents in (4, 100):
        assert figures[f"text_ms_{super_agents}"] > 0
        assert figures[f"picture_ms_{super_agents}"] > 0
        assert figures[f"characters_{super_agents}"] <= QR_CHARACTERS_MAX
        assert 1 <= figures[f"qr_version_{super_agents}"] <= 40
