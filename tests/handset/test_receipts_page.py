"""The example on docs/receipts.md, run as it stands there."""

import re
from pathlib import Path

import msgspec
import pytest
from tests.handset.proof_cases import SHOP, network_of, order_of, proof_of

from harambee.handset.proofs import ProofError
from harambee.handset.receipt_code import receipt_code

PAGE = Path(__file__).parents[2] / "docs" / "receipts.md"


def run_example(folder, text, till):
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    names = {"folder": folder, "text": text, "till": till}
    exec(compile(example, str(PAGE), "exec"), names)
    return names["proven"]


def test_the_example_for_a_merchants_app_runs(tmp_path):
    genesis = network_of(4)
    (tmp_path / "genesis.json").write_bytes(msgspec.json.encode(genesis.document))
    text = proof_of(genesis, order_of()).to_text()
    proven = run_example(tmp_path, text, SHOP)
    assert proven.receipt_code == receipt_code(proven.payer, 3, 20_781, 4)
    for wrong in (text[:-1], text.replace("HRB1:", "")):
        with pytest.raises(ProofError):
            run_example(tmp_path, wrong, SHOP)
    with pytest.raises(ProofError, match="not account 99"):
        run_example(tmp_path, text, 99)
    little = proof_of(genesis, order_of(amount_cents=249_99)).to_text()
    with pytest.raises(ProofError, match="less than"):
        run_example(tmp_path, little, SHOP)


def test_the_page_names_only_what_there_is():
    page = PAGE.read_text(encoding="utf-8")
    for module, name in re.findall(r"`(harambee(?:\.[a-z_]+)+)\.([a-z_]+)`", page):
        assert hasattr(__import__(module, fromlist=[name]), name)
