"""The console's files: few, small, each used, and nothing from elsewhere."""

import re
from importlib.resources import files

import pytest

from harambee.gateways.http.pages import Pages

CONSOLE = files("harambee.console")
SERVED = sorted(
    file.name for file in CONSOLE.iterdir() if file.name.endswith((".html", ".css", ".js", ".svg"))
)
BYTES_MAX = 300_000


def text_of(name):
    return CONSOLE.joinpath(name).read_text(encoding="utf-8")


def named_by(name):
    """The files of the console that one of them loads."""
    text = text_of(name)
    found = re.findall(r'(?:src|href)="([^"#]+)"|from "\./([^"]+)"', text)
    return {one or other for one, other in found}


def test_all_of_it_is_small():
    assert sum(len(text_of(name).encode()) for name in SERVED) < BYTES_MAX


def test_every_file_is_loaded_and_every_file_that_is_loaded_is_there():
    loaded, left = set(), ["index.html"]
    while left:
        name = left.pop()
        if name not in loaded:
            loaded.add(name)
            left += named_by(name)
    assert sorted(loaded) == SERVED


@pytest.mark.parametrize("name", SERVED)
def test_nothing_comes_from_elsewhere(name):
    text = text_of(name).replace("http://www.w3.org/2000/svg", "")
    text = text.replace("http://127.0.0.1:${port}", "")
    assert not re.search(r"https?://|//cdn|@import|url\(", text)


def test_the_policy_forbids_nothing_that_the_page_needs():
    page = text_of("index.html")
    assert "<style" not in page
    assert "style=" not in page
    assert re.findall(r"<script[^>]*>", page) == ['<script type="module" src="app.js">']
    assert not re.search(r"\bon[a-z]+=", page)
    for name in SERVED:
        assert "eval(" not in text_of(name)
        assert "innerHTML" not in text_of(name), "what a super-agent says is text and never markup"


@pytest.mark.parametrize("name", [name for name in SERVED if name.endswith(".js")])
def test_every_element_that_a_script_looks_for_is_on_the_page(name):
    ids = set(re.findall(r'\bid="([^"]+)"', text_of("index.html")))
    assert set(re.findall(r'\bat\("([^"]+)"\)', text_of(name))) <= ids


def test_every_field_and_part_has_a_name():
    page = text_of("index.html")
    for name in re.findall(r'<input[^>]*id="([^"]+)"', page):
        assert f'<label for="{name}"' in page
    assert page.count("<section") == len(re.findall(r"<section [^>]*aria-label=", page))
    assert page.count("<img") == len(re.findall(r"<img [^>]*alt=", page))


def test_a_super_agent_serves_it():
    pages = Pages({"console": CONSOLE})
    assert all(pages.answer(f"/console/{name}", "GET", []).status == 200 for name in SERVED)
    assert pages.answer("/console/", "GET", []).body == text_of("index.html").encode()
