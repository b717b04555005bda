"""Writes docs/pictures/console-*.png: every page of the console, light and dark, on a phone and on a desk.

`make console-pictures` starts a network of its own, lets its customers pay, kills a super-agent by the
console's button, and looks.
"""

import io
import tempfile
import time
from pathlib import Path
from typing import Final

from PIL import Image
from tests.accept.browser import Browser, Page
from tests.accept.console_stage import SIZES, Payments, resized, stage
from tests.accept.quiet_network import until

PICTURES: Final = Path(__file__).parents[1] / "docs" / "pictures"
COLOURS: Final = 255
DRAWN_S: Final = 1.2
"""Charts are drawn anew twice a second, in the width that there is then."""
FILLED_S: Final = 60
PAID: Final = 200


def main() -> None:
    """Write all pictures."""
    with (
        tempfile.TemporaryDirectory() as place,
        stage(Path(place)) as network,
        Payments(network) as payments,
        Browser() as browser,
    ):
        page = browser.phone()
        resized(page, "desktop")
        page.goto(network.console)
        until(lambda: payments.final > PAID, lambda: "nobody pays", FILLED_S)
        _take(page, "network", "#members tr")
        page.run(f"document.querySelector('[aria-label=\"Kill {network.names[-1]}\"]').click()")
        _take(page, "one-down", "#members .is-down")
        page.run("document.querySelector('#newest a').click()")
        _take(page, "order", "#path svg")
        page.run("location.hash = '/money'")
        _take(page, "money", "#banks tr")
        page.run("location.hash = '/super-agent'")
        _take(page, "super-agent", "#agent-peers tr")
    print(f"written to {PICTURES}")


def _take(page: Page, name: str, awaited: str) -> None:
    """Take one page in all four ways, once the element that is awaited is there."""
    page.until(f"document.querySelector('{awaited}')", FILLED_S)
    for shape in SIZES:
        for scheme in ("light", "dark"):
            resized(page, shape)
            page.colours(scheme)
            time.sleep(DRAWN_S)
            with Image.open(io.BytesIO(page.picture(whole=True))) as taken:
                small = taken.convert("RGB").quantize(
                    COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE
                )
            small.save(PICTURES / f"console-{name}-{shape}-{scheme}.png", optimize=True)
    resized(page, "desktop")
    page.colours("light")


if __name__ == "__main__":
    main()
