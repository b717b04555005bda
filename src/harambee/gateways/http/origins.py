"""Pages of one super-agent ask the others: what a browser must be told before it lets them.

A wallet believes no super-agent alone, so its page asks several, whichever served it. Everything that
pages of others may read here is public already, or signed by who asks. What a browser keeps of its own
accord for this address, cookies and passwords, is never sent along: there is no permission for that, nor
for the header that merchants' software shows its secret in.
"""

from typing import Final

from harambee.gateways.http.answers import Answer, no_content

OPEN_TO_ALL: Final = "/v1/"
"""The beginning of every path that pages of other addresses may use."""
ALLOWED: Final = (b"access-control-allow-origin", b"*")
PREFLIGHT_S_MAX: Final = 600
"""For so long a browser need not ask again: longer would outlive a change of this software."""


def is_open(path: str) -> bool:
    """Say whether pages of other addresses may use this path."""
    return path.startswith(OPEN_TO_ALL)


def preflight(methods: tuple[str, ...]) -> Answer:
    """Return what a browser is told that asks, by OPTIONS, whether a page may send a request."""
    said = no_content()
    headers = (
        (b"access-control-allow-methods", ", ".join(methods).encode()),
        (b"access-control-allow-headers", b"content-type"),
        (b"access-control-max-age", str(PREFLIGHT_S_MAX).encode()),
    )
    return Answer(said.body, said.content_type, said.status, headers)
