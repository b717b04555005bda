"""What an audit finds wrong, each as one sentence that names the block."""

from dataclasses import dataclass
from typing import Any, Final

from harambee.protocol.committee import Committee
from harambee.protocol.effects import Name

FINDINGS_MAX: Final = 1_000
"""So many are listed; the rest is counted."""
DIGEST_SHOWN: Final = 12
"""So many hexadecimal digits of a digest are in a sentence."""
OF_NO_BLOCK: Final = -1


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong."""

    position: int
    """Of the block in the journal; OF_NO_BLOCK where it is about the whole."""
    name: Name | None
    """The block's, as far as it is known."""
    row: int | None
    """The order's in the block, where it is about one."""
    what: str
    """What is wrong: the end of a sentence that begins with the block."""

    @property
    def place(self) -> tuple[int, int, str]:
        """By which findings are sorted."""
        return self.position, -1 if self.row is None else self.row, self.what

    def sentence(self, committee: Committee) -> str:
        """Say it all, for people."""
        if self.position == OF_NO_BLOCK:
            return f"{self.what[:1].upper()}{self.what[1:]}."
        if self.name is None:
            return f"The block at journal position {self.position}: {self.what}."
        name = self.name
        return (
            f"Block {name.height} of {_super_agent(name, committee)} (incarnation {name.incarnation}, "
            f"journal position {self.position}, digest {name.digest.hex()[:DIGEST_SHOWN]}): {self.what}."
        )

    def as_json(self, committee: Committee) -> dict[str, Any]:
        """The same for programs; what is not known is null."""
        name = self.name
        return {
            "super_agent": None if name is None else _super_agent(name, committee),
            "incarnation": None if name is None else name.incarnation,
            "height": None if name is None else name.height,
            "position": None if self.position == OF_NO_BLOCK else self.position,
            "digest": None if name is None else name.digest.hex(),
            "row": self.row,
            "sentence": self.sentence(committee),
        }


def _super_agent(name: Name, committee: Committee) -> str:
    known = 0 <= name.author < committee.n
    return committee.members[name.author].name if known else f"super-agent {name.author}"


class Findings:
    """The first of the findings, and how many there are."""

    def __init__(self) -> None:
        """None yet."""
        self.listed: list[Finding] = []
        self.count = 0

    def add(self, position: int, name: Name | None, what: str, row: int | None = None) -> None:
        """One more."""
        self.count += 1
        if len(self.listed) < FINDINGS_MAX:
            self.listed.append(Finding(position, name, row, what))
