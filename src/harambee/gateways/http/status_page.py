"""GET /: what an operator looks at, one page that loads nothing from elsewhere."""

import base64
import hashlib
import re
from functools import cache
from importlib.resources import files

from harambee.gateways.http.answers import Answer
from harambee.gateways.http.requests import Request
from harambee.node.port import Port


async def page(port: Port, request: Request) -> Answer:
    """GET /: the status page, for people."""
    del port, request
    return _page()


@cache
def _page() -> Answer:
    """Return the page, allowed its own script and style and nothing from elsewhere."""
    content = files(__package__).joinpath("status_page.html").read_bytes()

    def allowed(tag: bytes) -> str:
        found = re.search(rb"<%s>(.*?)</%s>" % (tag, tag), content, re.DOTALL)
        assert found is not None, "the page has one script and one style, both inside it"
        return "'sha256-" + base64.b64encode(hashlib.sha256(found[1]).digest()).decode() + "'"

    policy = (
        f"default-src 'none'; connect-src 'self'; script-src {allowed(b'script')}; "
        f"style-src {allowed(b'style')}; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    headers = ((b"content-security-policy", policy.encode()), (b"referrer-policy", b"no-referrer"))
    return Answer(content, b"text/html; charset=utf-8", 200, headers)
