"""Web pages that a super-agent serves: files of a package, whole in memory, and nothing else.

What is served is decided when the gateway is made, so no address a stranger can write reaches a file.
Pages get everything from the super-agent that sent them: scripts, pictures and data, and nothing from
anywhere else.
"""

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from typing import Final

from harambee.gateways.http.answers import Answer
from harambee.gateways.http.problems import ProblemError, not_found

FILE_BYTES_MAX: Final = 1 << 20
FILES_MAX: Final = 256
INDEX: Final = "index.html"
WORTH_COMPRESSING: Final = 1_024

_TYPES: Final = {
    ".html": b"text/html; charset=utf-8",
    ".css": b"text/css; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".json": b"application/json",
    ".webmanifest": b"application/manifest+json",
    ".svg": b"image/svg+xml",
    ".png": b"image/png",
    ".woff2": b"font/woff2",
    ".txt": b"text/plain; charset=utf-8",
}
_COMPRESSED: Final = frozenset({".png", ".woff2"})
"""What is compressed already."""
_POLICY: Final = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    b"font-src 'self'; connect-src 'self' http: https:; manifest-src 'self'; worker-src 'self'; "
    b"media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""A wallet asks other super-agents, too: whoever its page comes from, it believes none of them alone."""
_HEADERS: Final = (
    (b"content-security-policy", _POLICY),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"vary", b"accept-encoding"),
)


@dataclass(frozen=True, slots=True)
class Page:
    """One file, as it is sent."""

    content: bytes
    compressed: bytes | None
    """With gzip, where that is shorter."""
    content_type: bytes
    tag: bytes
    """Its ETag."""


class Pages:
    """The files of some folders, each under its name: "console" is at /console/."""

    def __init__(self, folders: Mapping[str, Traversable]) -> None:
        self._pages: dict[str, Page] = {}
        self._names = frozenset(folders)
        for name, folder in folders.items():
            self._take(f"/{name}/", folder)

    def serves(self, path: str) -> bool:
        """Say whether an address is one of these folders', or beneath it."""
        return path.split("/", 2)[1] in self._names if path.startswith("/") else False

    def answer(self, path: str, method: str, headers: list[tuple[bytes, bytes]]) -> Answer:
        """Return the file at an address; ProblemError."""
        if method not in ("GET", "HEAD"):
            sentence = "This resource takes GET only."
            raise ProblemError(405, "METHOD_UNKNOWN", sentence, allow="GET")
        if path.count("/") == 1:
            return Answer(b"", _TYPES[".txt"], 308, ((b"location", f"{path}/".encode()),))
        page = self._pages.get(f"{path}{INDEX}" if path.endswith("/") else path)
        if page is None:
            raise not_found("RESOURCE_UNKNOWN", "There is nothing under this address.")
        asked = dict(headers)
        standing = (*_HEADERS, (b"etag", page.tag), (b"cache-control", b"no-cache"))
        if page.tag in asked.get(b"if-none-match", b""):
            return Answer(b"", page.content_type, 304, standing)
        if page.compressed is not None and b"gzip" in asked.get(b"accept-encoding", b""):
            encoding = ((b"content-encoding", b"gzip"),)
            return Answer(page.compressed, page.content_type, 200, standing + encoding)
        return Answer(page.content, page.content_type, 200, standing)

    def _take(self, prefix: str, folder: Traversable) -> None:
        for entry in folder.iterdir():
            suffix = "." + entry.name.rpartition(".")[2]
            if entry.is_dir():
                self._take(f"{prefix}{entry.name}/", entry)
            elif suffix in _TYPES and not entry.name.startswith((".", "_")):
                self._pages[prefix + entry.name] = _page(entry.read_bytes(), suffix)
        assert len(self._pages) <= FILES_MAX, "pages are few"


def _page(content: bytes, suffix: str) -> Page:
    assert len(content) <= FILE_BYTES_MAX, "pages are small"
    compressed = None
    if suffix not in _COMPRESSED and len(content) >= WORTH_COMPRESSING:
        compressed = gzip.compress(content, 9, mtime=0)
    tag = b'"' + hashlib.sha256(content).hexdigest()[:32].encode() + b'"'
    return Page(content, compressed, _TYPES[suffix], tag)
