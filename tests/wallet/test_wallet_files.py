"""The wallet's files, without a browser: small, complete, in two languages, and readable by everyone."""

import json
import re
from importlib.resources import files
from pathlib import Path

import pytest
from PIL import Image

from harambee.gateways.http.pages import Pages
from harambee.handset.settlement import NOT_YET
from harambee.ledger.kinds import MOVEMENTS, OrderKind
from harambee.ledger.records import ACCOUNT

FOLDER = Path(str(files("harambee.wallet")))
MODULES = {file.name: file.read_text(encoding="utf-8") for file in FOLDER.glob("*.js")}
SERVED = {file.name for file in FOLDER.iterdir() if file.suffix not in (".py", "")}
WHOLE_BYTES_MAX = 200_000
CONTRAST_MIN = 4.5
"""WCAG 2.2, success criterion 1.4.3."""

TEXTS = {
    match[1]: json.loads(match[2])
    for match in re.finditer(r"^  (\w+): (\[\".*\"\]),$", MODULES["texts.js"], re.MULTILINE)
}
EVERYTHING = "\n".join(text for name, text in MODULES.items() if name != "texts.js")


def test_every_sentence_has_both_languages_and_the_same_gaps():
    lines = re.findall(r"^  \w+: .*$", MODULES["texts.js"], re.MULTILINE)
    assert len(TEXTS) == len(lines) > 150
    for key, both in TEXTS.items():
        assert len(both) == 2, key
        assert all(text.strip() == text != "" for text in both), key
        english, swahili = (sorted(re.findall(r"\{\w+\}", text)) for text in both)
        assert english == swahili, key


def test_every_sentence_that_is_shown_exists_and_no_other():
    shown = set(re.findall(r"\bt\(\s*\"(\w+)\"", EVERYTHING))
    shown |= set(re.findall(r"(?:HandsetError|BeliefError|ProofError)\(\s*\"(\w+)\"", EVERYTHING))
    # Names that are chosen from two, or put together of a word and a code.
    shown |= set(re.findall(r"\"(\w+(?:Desk|est|agree|reachable))\"", EVERYTHING)) & TEXTS.keys()
    shown |= set(re.findall(r"[?:] t?\(?\"(\w+)\"", EVERYTHING)) & TEXTS.keys()
    tabs = re.search(r"const TABS = \[(.*?)\]", MODULES["app.js"])
    assert tabs is not None
    shown |= set(re.findall(r'"(\w+)"', tabs[1]))
    put_together = ("status_", "say_", "outcome_", "movement_", "kind_", "keyType_")
    assert shown <= TEXTS.keys(), shown - TEXTS.keys()
    unused = {key for key in TEXTS.keys() - shown if not key.startswith(put_together)}
    assert unused == set()
    movements = {kind.name.lower() for kind in OrderKind}
    assert {key.removeprefix("movement_") for key in TEXTS if key.startswith("movement_")} <= (
        movements
    )


def test_the_keeper_keeps_every_file_and_the_page_names_every_module():
    listed = re.search(r"const FILES = \[(.*?)\];", MODULES["sw.js"], re.DOTALL)
    assert listed is not None
    kept = set(re.findall(r'"([^"]+)"', listed[1]))
    assert kept == SERVED - {"sw.js", "index.html"} | {"./"}
    page = (FOLDER / "index.html").read_text(encoding="utf-8")
    preloaded = set(re.findall(r'rel="modulepreload" href="([^"]+)"', page))
    assert preloaded == MODULES.keys() - {"sw.js", "app.js"}
    referenced = set(re.findall(r'(?:href|src)="([^"#]+)"', page))
    manifest = json.loads((FOLDER / "manifest.webmanifest").read_text(encoding="utf-8"))
    referenced |= {icon["src"] for icon in manifest["icons"]}
    assert SERVED - referenced == {"sw.js", "index.html"}
    assert referenced <= SERVED


def test_modules_import_what_there_is():
    for name, text in MODULES.items():
        for imported, source in re.findall(
            r"import (?:\* as \w+|\{([^}]*)\}) from \"\./([\w.]+)\"", text
        ):
            exported = MODULES[source]
            for one in filter(None, (word.strip() for word in imported.split(","))):
                assert re.search(
                    rf"export (?:async )?(?:function|const|class) {one}\b", exported
                ), f"{name} imports {one} from {source}"


def test_nothing_comes_from_elsewhere_and_no_text_becomes_markup():
    for name, text in MODULES.items():
        assert not re.search(r"innerHTML|outerHTML|insertAdjacent|\beval\(|new Function", text), (
            name
        )
        assert "http://" not in text.replace("http://www.w3.org/2000/svg", ""), name
        assert "https://" not in text, name


def test_lines_fit_beside_each_other():
    style = (FOLDER / "app.css").read_text(encoding="utf-8")
    for name, text in MODULES.items() | {("app.css", style)}:
        for number, line in enumerate(text.splitlines(), 1):
            is_text = name == "texts.js" or "data:image" in line
            assert is_text or len(line) <= 120, f"{name}, line {number}"


def test_the_whole_wallet_is_smaller_than_its_first_load_may_be():
    pages = Pages({"wallet": files("harambee.wallet")})
    sent = 0
    for name in SERVED:
        answer = pages.answer(f"/wallet/{name}", "GET", [(b"accept-encoding", b"gzip")])
        assert answer.status == 200
        sent += len(answer.body)
    assert 10_000 < sent < WHOLE_BYTES_MAX


def test_codes_are_those_of_the_ledger():
    table = re.search(r"export const KIND = \{(.*?)\};", MODULES["wire.js"], re.DOTALL)
    assert table is not None
    codes = {name: int(code) for name, code in re.findall(r"(\w+): (\d+)", table[1])}
    assert codes == {kind.name.lower(): int(kind) for kind in OrderKind}
    free = re.search(r"MOVES_NO_MONEY = new Set\(\[(.*?)\]", MODULES["wire.js"], re.DOTALL)
    assert free is not None
    assert set(re.findall(r'"(\w+)"', free[1])) == {
        kind.name.lower() for kind, row in MOVEMENTS.items() if not row.moves_money
    }
    later = re.search(r"NOT_YET = new Set\(\[([\d, ]+)\]", MODULES["wire.js"])
    assert later is not None
    assert {int(code) for code in later[1].split(",")} == {int(outcome) for outcome in NOT_YET}
    assert f"ACCOUNT_BYTES = {ACCOUNT.itemsize};" in MODULES["doors.js"]
    assert ACCOUNT.fields is not None
    assert f"ACCOUNT_BYTES + {ACCOUNT.fields['flags'][1]}]" in MODULES["doors.js"]


def test_movements_are_those_that_the_ledger_has():
    table = re.search(r"const MOVEMENTS = \{(.*?)\n\};", MODULES["finding.js"], re.DOTALL)
    assert table is not None
    rows = re.findall(r"(\w+): \{(.*?)\}", table[1], re.DOTALL)
    assert [payer for payer, _ in rows] == ["customer", "agent", "merchant"]
    for payer, between in rows:
        for payee, movement in re.findall(r'(\w+): "(\w+)"', between):
            row = MOVEMENTS[OrderKind[movement.upper()]]
            assert payer in {kind.name.lower() for kind in row.payers}, (payer, movement)
            assert payee in {kind.name.lower() for kind in row.payees}, (payee, movement)


@pytest.mark.parametrize("size", [192, 512])
def test_icons_have_the_size_that_they_say(size):
    with Image.open(FOLDER / f"icon-{size}.png") as icon:
        assert icon.size == (size, size)


PAIRS = [
    *(("ink", "paper"), ("ink", "card"), ("soft", "paper"), ("soft", "card"), ("green", "card")),
    *(("green", "paper"), ("on-green", "green"), ("good", "good-paper"), ("good", "card")),
    *(("bad", "bad-paper"), ("bad", "paper"), ("bad", "card")),
]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_colour_can_be_read_on_its_ground(scheme):
    style = (FOLDER / "app.css").read_text(encoding="utf-8")
    light, dark = (
        dict(re.findall(r"--([\w-]+): #([0-9a-f]{6});", block))
        for block in re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    )
    colours = light if scheme == "light" else light | dark
    for ink, ground in PAIRS:
        found = contrast(colours[ink], colours[ground])
        assert found >= CONTRAST_MIN, f"{ink} on {ground} in {scheme}: {found:.2f}"
    for ink, ground in (("2b2000", colours["gold"]), ("ffffff", "0b5d46"), ("d6ebe2", "0b5d46")):
        assert contrast(ink, ground) >= CONTRAST_MIN


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
