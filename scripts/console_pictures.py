"""Writes docs/pictures/console-*.png: every page of the console, light and dark, on a phone and on a desk.

`make console-pictures` starts a network of its own, lets its customers pay, kills a super-agent by the console's
button, and looks.
"""

import tempfile
from pathlib import Path
from typing import Final

from PIL import Image
from selenium import webdriver
from selenium.webdriver.common.by import By
from tests.accept.chromium import DESKTOP, PHONE, chromium, look, picture
from tests.accept.console_stage import Payments, Stage, stage
from tests.accept.quiet_network import until

PICTURES: Final = Path(__file__).parents[1] / "docs" / "pictures"
COLOURS: Final = 128
FILLED_S: Final = 60
PAID: Final = 40


def main() -> None:
    """Write all pictures."""
    with tempfile.TemporaryDirectory() as place, stage(Path(place)) as network:
        with Payments(network) as payments, chromium() as driver:
            driver.get(network.console)
            until(lambda: payments.final > PAID, lambda: "nobody pays", FILLED_S)
            _take(driver, "network", "#members tr")
            _kill(driver, network)
            _take(driver, "one-down", "#members .is-down")
            receipt = driver.find_element(By.CSS_SELECTOR, "#newest a").get_attribute("href")
            _go(driver, str(receipt).partition("#")[2])
            _take(driver, "order", "#path svg")
            _go(driver, "/money")
            _take(driver, "money", "#banks tr")
            _go(driver, "/super-agent")
            _take(driver, "super-agent", "#agent-peers tr")
    print(f"written to {PICTURES}")


def _go(driver: webdriver.Chrome, page: str) -> None:
    driver.execute_script("location.hash = arguments[0]", page)


def _kill(driver: webdriver.Chrome, network: Stage) -> None:
    button = f"button[aria-label='Kill {network.names[-1]}']"
    driver.execute_script("document.querySelector(arguments[0]).click()", button)


def _take(driver: webdriver.Chrome, name: str, awaited: str) -> None:
    """Take one page in all four ways, once the element that is awaited is there."""
    until(
        lambda: bool(driver.find_elements(By.CSS_SELECTOR, awaited)),
        lambda: f"{name} does not show {awaited}",
        FILLED_S,
    )
    for shape, size in (("desktop", DESKTOP), ("phone", PHONE)):
        for scheme in ("light", "dark"):
            look(driver, size, dark=scheme == "dark")
            # Charts are drawn anew twice a second, in the width that there is then.
            driver.execute_async_script("setTimeout(arguments[0], 1200)")
            file = PICTURES / f"console-{name}-{shape}-{scheme}.png"
            picture(driver, file)
            with Image.open(file) as taken:
                small = taken.convert("RGB").quantize(COLOURS)
            small.save(file, optimize=True)
    look(driver, DESKTOP)


if __name__ == "__main__":
    main()
