"""Every link of the documentation leads somewhere, and its lists have everything that they list."""

import pytest
from scripts import build_site, decisions
from scripts.build_site import ROOT, SiteError, build, faults, pages
from scripts.http_page import description, http_page

DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, without the pages of the Python modules: only `make docs` has what makes them."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "api").mkdir()
    (folder / "api" / "index.html").touch()
    build(ROOT, folder)
    return folder


def test_every_link_leads_to_something_and_nothing_is_fetched(site):
    assert list(faults(site)) == []


def test_every_page_is_in_the_site(site):
    built = {str(file.relative_to(site)) for file in site.rglob("*.html")}
    assert {str(build_site.address_of(page)) for page in pages()} <= built
    assert "index.html" in built


def test_every_operation_of_the_http_door_has_its_place(site):
    page = (site / "docs" / "operations.html").read_text()
    paths = description()["paths"]
    assert len(paths) > 50
    for path, methods in paths.items():
        for method in methods:
            assert f"<code>{method.upper()} {path}</code>" in page
    assert "](#" not in page, "every type that is named is a link"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[x](b.md)", "a.md leads to b.md"),
        ("![x](c.png)", "a.md leads to c.png"),
        ("[x](../../b.md)", "a.md leads to ../../b.md"),
    ],
)
def test_a_link_to_nothing_ends_the_build(tmp_path, text, said):
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "a.md").write_text(text)
    (tmp_path / "b.md").touch()
    with pytest.raises(SiteError, match=said):
        build(tmp_path / "source", tmp_path / "site")


@pytest.mark.parametrize(
    ("page", "fault"),
    [
        ('<a href="b.html">', "a.html leads to b.html, and there is no such file."),
        ('<a href="#c">', "a.html leads to #c, and nothing there has this name."),
        ('<a href="#c"><p id="c">', None),
        ('<a href="https://example.org/">', None),
        ('<script src="https://example.org/x.js">', "from elsewhere"),
        ('<link rel="stylesheet" href="//example.org/x.css">', "from elsewhere"),
        ('<img src="data:image/png;base64,">', None),
    ],
)
def test_what_is_wrong_with_a_site_is_said(tmp_path, page, fault):
    (tmp_path / "a.html").write_text(page)
    found = list(faults(tmp_path))
    assert len(found) == (fault is not None)
    assert fault is None or fault in found[0]


def test_headings_are_found_as_on_code_hosts():
    taken = set()
    names = [build_site.anchor_of(text, taken) for text in ("The day's close", "A `b`", "A b")]
    assert names == ["the-days-close", "a-b", "a-b-1"]


def test_the_list_of_decisions_has_them_all():
    assert (decisions.FOLDER / "README.md").read_text(encoding="utf-8") == decisions.index(), (
        "python -m scripts.decisions"
    )


def test_the_index_by_reader_has_every_page():
    index = (DOCS / "README.md").read_text(encoding="utf-8")
    listed = [*DOCS.glob("*.md"), *(DOCS / "tutorials").glob("*.md")]
    lacking = [
        name
        for file in listed
        if (name := file.relative_to(DOCS).as_posix()) != "README.md" and f"({name})" not in index
    ]
    assert lacking == []


def test_a_cell_of_a_table_has_one_line_and_no_bar():
    described = description()
    described["paths"] = {
        "/x": {
            "get": {
                "tags": ["x"],
                "summary": "X.",
                "responses": {"200": {"description": "one |\ntwo"}},
            }
        }
    }
    assert "| 200 | one \\| two |" in http_page(described)
