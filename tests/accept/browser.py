"""A headless Chromium that tests drive: pages in contexts of their own, through its debugging pipe.

It speaks the DevTools protocol over two file descriptors, JSON with a zero byte behind each message, so
nothing but the browser itself is needed. Each `BrowserContext` is a person's phone: what a page keeps in one
of them, no other sees.
"""

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

ANSWER_S: Final = 60
POLL_S: Final = 0.05
READ_BYTES: Final = 1 << 16
BECOME: Final = """
import os, sys
reads, writes = (os.dup2(int(one), high) for one, high in zip(sys.argv[1:3], (100, 101)))
os.dup2(reads, 3)
os.dup2(writes, 4)
os.execvp(sys.argv[3], sys.argv[3:])
"""
"""A process that becomes the browser, which reads from descriptor 3 and writes to 4, whatever ours are."""
PHONE: Final = {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}


class PageError(Exception):
    """What a page threw, or what it did not do in time."""


class Browser:
    """One Chromium process; use it in a `with`."""

    def __enter__(self) -> Self:
        self._folder = tempfile.mkdtemp(prefix="harambee-browser-")
        reads, self._out = os.pipe()
        self._in, writes = os.pipe()
        words = [
            "chromium",
            "--headless=new",
            "--remote-debugging-pipe",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--lang=en",
            f"--user-data-dir={self._folder}",
        ]
        self._process = subprocess.Popen(
            [sys.executable, "-c", BECOME, str(reads), str(writes), *words],
            pass_fds=(reads, writes),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(reads)
        os.close(writes)
        self._calls = 0
        self._buffer = b""
        self.events: deque[dict[str, Any]] = deque(maxlen=10_000)
        return self

    def __exit__(self, *exc_info: object) -> None:
        with suppress(OSError, PageError):
            self.call("Browser.close")
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._in)
        os.close(self._out)
        shutil.rmtree(self._folder, ignore_errors=True)

    def call(
        self, method: str, parameters: dict[str, Any] | None = None, session: str | None = None
    ) -> dict[str, Any]:
        """Send one command and return its result; PageError with what the browser says against it."""
        self._calls += 1
        message = {"id": self._calls, "method": method, "params": parameters or {}}
        if session is not None:
            message["sessionId"] = session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + ANSWER_S
        while True:
            answer = self._next(end - time.monotonic())
            if answer.get("id") != self._calls:
                self.events.append(answer)
            elif "error" in answer:
                raise PageError(f"{method}: {answer['error']}")
            else:
                result: dict[str, Any] = answer["result"]
                return result

    def _next(self, patience_s: float) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._in], [], [], max(0.0, patience_s))
            piece = os.read(self._in, READ_BYTES) if ready else b""
            if not piece:
                raise PageError("the browser does not answer")
            self._buffer += piece
        message, _, self._buffer = self._buffer.partition(b"\0")
        document: dict[str, Any] = json.loads(message)
        return document

    def phone(self) -> "Page":
        """Return a page of a context of its own, of a phone's size."""
        context = self.call("Target.createBrowserContext")["browserContextId"]
        return self.page_in(context)

    def page_in(self, context: str) -> "Page":
        """Return a new page of a context: the same phone, opened again."""
        made = self.call("Target.createTarget", {"url": "about:blank", "browserContextId": context})
        attached = self.call(
            "Target.attachToTarget", {"targetId": made["targetId"], "flatten": True}
        )
        page = Page(self, context, made["targetId"], attached["sessionId"])
        for domain in ("Page", "Runtime", "Network"):
            page.call(f"{domain}.enable")
        page.call("Emulation.setDeviceMetricsOverride", PHONE)
        return page


@dataclass(frozen=True)
class Page:
    """One tab, as somebody with a phone uses it."""

    browser: Browser
    context: str
    target: str
    session: str

    def call(self, method: str, parameters: dict[str, Any] | None = None) -> dict[str, Any]:
        return self.browser.call(method, parameters, self.session)

    def goto(self, url: str) -> None:
        self.call("Page.navigate", {"url": url})

    def reload(self) -> None:
        self.call("Page.reload")

    def close(self) -> None:
        self.browser.call("Target.closeTarget", {"targetId": self.target})

    def run(self, script: str) -> Any:
        """Return the value of an expression, awaited; PageError with what it throws."""
        answer = self.call(
            "Runtime.evaluate",
            {
                "expression": script,
                "awaitPromise": True,
                "returnByValue": True,
                "userGesture": True,
            },
        )
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise PageError(str(details.get("exception", details).get("description", details)))
        return answer["result"].get("value")

    @property
    def text(self) -> str:
        """What can be read on the page."""
        return str(self.run("document.body?.innerText ?? ''"))

    def until(self, condition: str, deadline_s: float = 30) -> None:
        """Wait until an expression is true; PageError shows what stands on the page instead."""
        end = time.monotonic() + deadline_s
        while True:
            # In the moment of a navigation there is no document to ask.
            with suppress(PageError):
                if self.run(f"(async () => Boolean(await ({condition})))()"):
                    return
            if time.monotonic() > end:
                said = f"{self.text}\nand complains: {self.console()}"
                raise PageError(f"not {condition} in time; the page says: {said}")
            time.sleep(POLL_S)

    def until_says(self, text: str, deadline_s: float = 30) -> None:
        self.until(f"document.body?.innerText.includes({json.dumps(text)})", deadline_s)

    def fill(self, name: str, text: str) -> None:
        """Type into the field of that name."""
        field = json.dumps(f'[name="{name}"]')
        self.until(f"document.querySelector({field})")
        self.run(
            f"""(() => {{
                const at = document.querySelector({field});
                at.focus();
                at.value = {json.dumps(text)};
                at.dispatchEvent(new Event("input", {{ bubbles: true }}));
            }})()"""
        )

    def press(self, label: str) -> None:
        """Press the button, or follow the link, that says just this."""
        found = (
            "[...document.querySelectorAll('button, a, summary')].find((one) => "
            f"one.innerText.trim() === {json.dumps(label)} && one.offsetParent !== null)"
        )
        self.until(found)
        self.run(f"{found}.click()")

    def choose_file(self, name: str, file: Path) -> None:
        """Choose a file of this machine in the field of that name."""
        self.until(f"document.querySelector('[name={name}]')")
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", {"nodeId": root, "selector": f'[name="{name}"]'})
        self.call("DOM.setFileInputFiles", {"nodeId": node["nodeId"], "files": [str(file)]})

    def picture(self, *, whole: bool = False) -> bytes:
        """Return what is on the screen as PNG; the `whole` page or what fits the phone."""
        shown = {"format": "png", "captureBeyondViewport": whole}
        return base64.b64decode(self.call("Page.captureScreenshot", shown)["data"])

    def colours(self, scheme: str) -> None:
        """Have the page "light" or "dark"."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", {"features": features})

    def cut_network(self, *, off: bool = True) -> None:
        conditions = {
            "offline": off,
            "latency": 0,
            "downloadThroughput": -1,
            "uploadThroughput": -1,
        }
        self.call("Network.emulateNetworkConditions", conditions)

    def console(self) -> list[str]:
        """Return what this page has complained of so far."""
        complaints = []
        for event in self.browser.events:
            if event.get("sessionId") != self.session:
                continue
            if event["method"] == "Runtime.exceptionThrown":
                complaints.append(str(event["params"]["exceptionDetails"]))
            elif (
                event["method"] == "Runtime.consoleAPICalled" and event["params"]["type"] == "error"
            ):
                complaints.append(str(event["params"]["args"]))
        return complaints
