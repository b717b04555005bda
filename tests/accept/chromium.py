"""A real headless Chromium, of the distribution, with a driver."""

import base64
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

PHONE: Final = (360, 760)
DESKTOP: Final = (1280, 900)


@contextmanager
def chromium(size: tuple[int, int] = DESKTOP, *, dark: bool = False) -> Iterator[webdriver.Chrome]:
    """A browser with nothing in it, as wide as `size` says."""
    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    for word in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, Service(shutil.which("chromedriver")))
    try:
        look(driver, size, dark=dark)
        yield driver
    finally:
        driver.quit()


def look(driver: webdriver.Chrome, size: tuple[int, int], *, dark: bool = False) -> None:
    """Show pages in a window of that size, light or dark."""
    width, height = size
    driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {
            "width": width,
            "height": height,
            "deviceScaleFactor": 1,
            "mobile": width < 600,
        },
    )
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})


def picture(driver: webdriver.Chrome, file: Path) -> None:
    """Write the whole page as PNG, however long it is."""
    taken: dict[str, Any] = driver.execute_cdp_cmd(
        "Page.captureScreenshot", {"format": "png", "captureBeyondViewport": True}
    )
    file.write_bytes(base64.b64decode(taken["data"]))
