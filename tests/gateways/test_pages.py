"""Files of packages over HTTP: what is served, how often it travels, and that nothing else is reached."""

import asyncio
import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.gateways.conftest import Client

from harambee.gateways.http.app import HttpGateway
from harambee.gateways.http.pages import FILE_BYTES_MAX, Pages
from harambee.gateways.http.problems import ProblemError

SCRIPT = b"export const answer = 42;\n" * 100
FILES = {
    "index.html": b"<!doctype html><title>Here</title>",
    "app.js": SCRIPT,
    "app.css": b"body { margin: 0 }",
    "icon.svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "dot.png": b"\x89PNG" + bytes(2_000),
    "about.webmanifest": b"{}",
    "deep/words.json": b"{}",
    "__init__.py": b'"""A package."""',
    "_draft.html": b"not yet",
    ".hidden.html": b"nor this",
    "notes.md": b"nor that",
}
SECRET = b"what nobody may read"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("package")
    (place / "secret.html").write_bytes(SECRET)
    for name, content in FILES.items():
        file = place / "here" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return place / "here"


@pytest.fixture
def client(port, folder):
    found = Client(port)
    found.application = HttpGateway(port, "1.2.3", pages={"here": folder})
    return found


def ask(client, path, method="GET", **sent):
    named = [(name.replace("_", "-"), value) for name, value in sent.items()]
    return asyncio.run(client.ask(method, path, sent=named))


@pytest.mark.parametrize(
    ("path", "content", "content_type"),
    [
        ("/here/", FILES["index.html"], "text/html; charset=utf-8"),
        ("/here/index.html", FILES["index.html"], "text/html; charset=utf-8"),
        ("/here/app.js", SCRIPT, "text/javascript; charset=utf-8"),
        ("/here/app.css", FILES["app.css"], "text/css; charset=utf-8"),
        ("/here/icon.svg", FILES["icon.svg"], "image/svg+xml"),
        ("/here/dot.png", FILES["dot.png"], "image/png"),
        ("/here/about.webmanifest", b"{}", "application/manifest+json"),
        ("/here/deep/words.json", b"{}", "application/json"),
    ],
)
def test_a_file_comes_with_its_type_and_the_policy(client, path, content, content_type):
    reply = ask(client, path)
    assert (reply.status, reply.body) == (200, content)
    assert reply.headers["content-type"] == content_type
    assert reply.headers["content-length"] == str(len(content))
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["cache-control"] == "no-cache"
    assert reply.headers["vary"] == "accept-encoding"
    policy = reply.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; ")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy


def test_what_the_browser_has_does_not_travel_again(client):
    tag = ask(client, "/here/app.js").headers["etag"]
    for said in (tag, f'"other", {tag}', f"W/{tag}"):
        again = ask(client, "/here/app.js", if_none_match=said)
        assert (again.status, again.body) == (304, b"")
        assert again.headers["etag"] == tag
        assert "content-length" not in again.headers
    assert ask(client, "/here/app.js", if_none_match='"other"').status == 200


def test_a_long_text_is_compressed_for_who_can_read_that(client):
    reply = ask(client, "/here/app.js", accept_encoding="br, gzip")
    assert reply.headers["content-encoding"] == "gzip"
    assert gzip.decompress(reply.body) == SCRIPT
    assert len(reply.body) < len(SCRIPT)
    assert "content-encoding" not in ask(client, "/here/app.js").headers
    short = ask(client, "/here/app.css", accept_encoding="gzip")
    assert (short.body, "content-encoding" in short.headers) == (FILES["app.css"], False)
    assert "content-encoding" not in ask(client, "/here/dot.png", accept_encoding="gzip").headers


def test_head_has_everything_but_the_body(client):
    head, whole = ask(client, "/here/app.js", "HEAD"), ask(client, "/here/app.js")
    assert (head.status, head.body, head.headers) == (200, b"", whole.headers)


def test_a_folder_without_its_slash_is_the_folder(client):
    reply = ask(client, "/here")
    assert (reply.status, reply.headers["location"]) == (308, "/here/")


@pytest.mark.parametrize(
    "path",
    [
        "/here/nothing.html",
        "/here/deep",
        "/here/deep/",
        "/here/__init__.py",
        "/here/_draft.html",
        "/here/.hidden.html",
        "/here/notes.md",
        "/here/../secret.html",
        "/here/deep/../../secret.html",
        "/here/./app.js",
        "/here//app.js",
        "/here/%2e%2e/secret.html",
        "/here/..\\secret.html",
        "/here/app.js\0",
        "/here/app.js/",
        "/there/app.js",
    ],
)
def test_what_is_no_page_is_not_there(client, path):
    reply = ask(client, path)
    assert (reply.status, reply.code) == (404, "RESOURCE_UNKNOWN")
    assert SECRET not in reply.body


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"])
def test_pages_are_only_read(client, method):
    reply = ask(client, "/here/app.js", method)
    assert (reply.status, reply.code, reply.headers["allow"]) == (405, "METHOD_UNKNOWN", "GET")


PARTS = st.sampled_from(["here", "deep", "..", ".", "", "app.js", "secret.html", "%2e%2e", "\\"])
PATHS = st.lists(PARTS | st.text(max_size=8), max_size=7).map(lambda parts: "/" + "/".join(parts))


@given(PATHS, st.binary(max_size=40), st.binary(max_size=40))
def test_no_address_reaches_another_file(folder, path, tag, encoding):
    pages = Pages({"here": folder})
    if not pages.serves(path):
        assert path.split("/")[1] != "here"
        return
    asked = [(b"if-none-match", tag), (b"accept-encoding", encoding)]
    try:
        answer = pages.answer(path, "GET", asked)
    except ProblemError:
        return
    known = [*FILES.values(), b""]
    body = answer.body
    if (b"content-encoding", b"gzip") in answer.headers:
        body = gzip.decompress(body)
    assert body in known
    assert body != SECRET


def test_pages_are_small(tmp_path):
    (tmp_path / "index.html").write_bytes(bytes(FILE_BYTES_MAX + 1))
    with pytest.raises(AssertionError, match="pages are small"):
        Pages({"here": tmp_path})
