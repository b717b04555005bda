"""Draws docs/pictures/wallet-*.png: the wallet's screens as a phone of 360 pixels' width shows them.

    .venv/bin/python scripts/wallet_pictures.py

It starts a network and a browser, plays a short story, and puts its screens side by side. Needs Chromium.
"""

import io
import json
import sys
from pathlib import Path
from random import Random

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.accept.browser import Browser, Page  # noqa: E402 - the line above finds it
from tests.accept.test_wallet import (  # noqa: E402 - the same
    TILL,
    Merchant,
    Street,
    code_on,
    go,
    pay,
    prepare,
    scan,
)

from harambee.traffic.temporary_network import TemporaryNetwork  # noqa: E402 - the same

PICTURES = ROOT / "docs" / "pictures"
GAP = 24
GROUND = "#8b9691"


class Sheet:
    """Screens side by side, in one file."""

    def __init__(self, name: str, scheme: str) -> None:
        self._file = PICTURES / f"wallet-{name}.png"
        self._scheme = scheme
        self._screens: list[Image.Image] = []

    def add(self, page: Page) -> None:
        """Take what the phone shows now."""
        page.colours(self._scheme)
        page.until("document.querySelector('main h1') && !document.querySelector('.loading')")
        self._screens.append(Image.open(io.BytesIO(page.picture())).convert("RGB"))

    def write(self) -> None:
        """Write the file."""
        width, height = self._screens[0].size
        whole = Image.new(
            "RGB",
            (len(self._screens) * (width + GAP) + GAP, height + 2 * GAP),
            GROUND,
        )
        for at, screen in enumerate(self._screens):
            whole.paste(screen, (GAP + at * (width + GAP), GAP))
        whole.quantize(128).save(self._file, optimize=True)
        print(self._file)


def draw(street: Street) -> None:
    """Play the story of two customers, in daylight and in the dark."""
    light, dark = Sheet("light", "light"), Sheet("dark", "dark")
    new = street.phone(0)
    light.add(new)
    amina, number = street.customer(0, "Customer One", 2_500_00)
    brian, brians = street.customer(1, "Customer Two", 800_00)
    till = street.trader(2, f"till-{TILL}", f"till {TILL}")
    pay(amina, f"till {TILL}", "180")
    pay(brian, number, "320")
    go(amina, "home")
    amina.until_says("+Ksh 320.00")
    light.add(amina)
    prepare(amina, brians, "250")
    light.add(amina)
    amina.press("Pay now")
    amina.until_says("have signed that this is final")
    light.add(amina)
    amina.press("Receipt")
    amina.until_says("Genuine")
    light.add(amina)
    light.write()

    Merchant.of(street).ask(number, 150, "INV-7")
    go(amina, "home")
    amina.until_says("asks for Ksh 150.00")
    dark.add(amina)
    go(amina, "receive")
    amina.until("document.querySelector('.qr path')")
    dark.add(amina)
    go(amina, "more")
    amina.press("Kiswahili")
    amina.until_says("Mipangilio")
    go(amina, "pay")
    amina.fill("payee", brians)
    amina.fill("amount", "75")
    amina.press("Endelea")
    amina.until_says("Je, hii ni sahihi?")
    dark.add(amina)
    go(amina, "check")
    amina.fill("proof", "HRB1:ABC")
    amina.press("Kagua")
    amina.until_says("Hii si risiti.")
    dark.add(amina)
    go(amina, "history")
    amina.until("document.querySelector('.lines li')")
    dark.add(amina)
    dark.write()

    draw_desks(street, till, brian)


def draw_desks(street: Street, till: Page, brian: Page) -> None:
    """Play that of who trades, and of who lost her phone."""
    desks = Sheet("desks", "light")
    go(till, "till")
    till.fill("shortcode", TILL)
    till.press("Keep")
    till.until_says("Kept.")
    go(till, "till")
    scan(brian, code_on(till))
    brian.fill("amount", "95")
    brian.press("Next")
    brian.until_says("Is this right?")
    desks.add(brian)
    brian.press("Pay now")
    brian.until_says("have signed that this is final")
    till.until_says("Final: 2 super-agents signed")
    till.run("scrollTo(0, 0)")
    desks.add(till)
    till.run("document.querySelector('.arriving').scrollIntoView({ block: 'center' })")
    desks.add(till)
    demo = json.loads((street.folder / "keys" / "demo.json").read_text())
    row = next(one for one in demo["accounts"] if one["key"].startswith("agent-"))
    agent = street.trader(1, row["key"].removesuffix(".key"), str(row["account"]))
    go(agent, "agent")
    agent.until_says("Float")
    desks.add(agent)
    lost = street.phone(3)
    lost.press("I lost my phone")
    desks.add(lost)
    desks.write()


def main() -> None:
    """Draw all pictures."""
    running = TemporaryNetwork(4, None, customers=4, agents_each=1)
    with running, Browser() as browser:
        draw(Street(running, browser, Random(12)))  # noqa: S311 - telephone numbers, no keys


main()
