"""Write the list of all decisions into docs/decisions/README.md; a test holds the page to it.

python -m scripts.decisions
"""

from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parents[1] / "docs" / "decisions"
HEAD: Final = """# Decisions

Choices that someone could question, one paragraph or page each: what was chosen, against what, and why. A
decision that is overturned stays and says by which one. The list is written by `python -m scripts.decisions`.
"""


def index(folder: Path = FOLDER) -> str:
    """Return the page: what decisions are, and each of them by its number."""
    lines = [HEAD]
    for file in sorted(folder.glob("[0-9][0-9][0-9][0-9]-*.md")):
        title = file.read_text(encoding="utf-8").splitlines()[0]
        number, _, name = title.removeprefix("# ").partition(". ")
        assert number.isdigit(), f"{file.name} begins with its number and its name"
        assert file.name.startswith(f"{int(number):04d}-"), f"{file.name} says another number"
        lines.append(f"- {number}. [{name}]({file.name})")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    (FOLDER / "README.md").write_text(index(), encoding="utf-8")
