"""The pictures of docs/protocol.md are what the simulator's blocks say."""

from pathlib import Path

import pytest
from benches.protocol_pictures import PICTURES, draw, tell

FOLDER = Path(__file__).parents[2] / "docs" / "pictures"


@pytest.mark.parametrize("name", PICTURES)
def test_the_picture_that_ships_is_drawn_again(name):
    story, seed = PICTURES[name]
    drawn = draw(tell(story, seed))
    assert drawn == (FOLDER / f"{name}.svg").read_text(encoding="utf-8"), (
        "python -m benches.protocol_pictures"
    )


def test_what_a_payment_goes_through_stands_in_its_order():
    telling = tell(*PICTURES["payment"])
    assert [step.says[0].split()[0] for step in telling.steps[:4]] == ["carries", *["votes"] * 3]
    assert {step.says[0].split()[0] for step in telling.steps[4:]} == {"acknowledges"}
    (certificate, said), (final, last) = telling.moments
    assert certificate < final
    assert (said.split(":")[0], last.split(":")[0]) == ("certificate", "final")


@pytest.mark.parametrize("seed", range(1, 9))
def test_whatever_is_decided_is_decided_by_q_acknowledgements(seed):
    """`tell` asserts it: plain sets over the blocks find what the replicas have decided."""
    telling = tell(PICTURES["recovery"][0], seed)
    assert telling.moments[-1][1].startswith("final: 3 acknowledge")
