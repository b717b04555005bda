"""A door that passes everything on to a super-agent, and changes what it should of what comes back."""

import http.client
import json
import shutil
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

Lie = Callable[[str, bytes], bytes]
"""(path, body) -> the body that is passed on."""


class LyingProxy:
    """Listens in threads of this process, as long as the context lasts."""

    def __init__(self, url: str, lie: Lie) -> None:
        """`url` is the honest door's."""
        address = urlsplit(url)

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _pass_on(self) -> None:
                length = int(self.headers.get("content-length", 0))
                body = self.rfile.read(length) if length else None
                connection = http.client.HTTPConnection(
                    str(address.hostname), address.port, timeout=30
                )
                kind = self.headers.get("content-type")
                headers = {"content-type": kind} if kind else {}
                connection.request(self.command, self.path, body, headers)
                answer = connection.getresponse()
                content = lie(self.path, answer.read())
                self.send_response(answer.status)
                self.send_header("content-type", answer.getheader("content-type", ""))
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
                connection.close()

            do_GET = do_POST = _pass_on  # noqa: N815 - the server looks for these names

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def folder_with_door(network: Path, to: Path, name: str, url: str) -> Path:
    """What an observer is given of a network, one super-agent's door in another place."""
    to.mkdir()
    for file in ("genesis.json", "openings.bin"):
        shutil.copy(network / file, to)
    addresses = json.loads((network / "addresses.json").read_bytes())
    for row in addresses:
        if row["name"] == name:
            row["http"] = url
    (to / "addresses.json").write_text(json.dumps(addresses))
    return to
