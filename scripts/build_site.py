"""Build a site of the documentation under build/site, for any browser, from files alone.

    python -m scripts.build_site

Every page of docs/ with the pages beside README.md, the HTTP door's operations from its own description, and
the Python modules that others import from their docstrings (pdoc). Nothing is fetched, neither now nor by
whoever reads: no page has a font, a script or a picture from elsewhere. A link that leads nowhere ends the
build.
"""

import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from markdown_it import MarkdownIt
from markdown_it.token import Token
from scripts.http_page import description, http_page

ROOT: Final = Path(__file__).parents[1]
SITE: Final = ROOT / "build" / "site"
SOURCES: Final = ("*.md", "docs/**/*.md")
MODULES: Final = ("harambee.handset", "harambee.gateways.http")
"""What others' programs import, with all modules in them."""
HTTP_PAGE: Final = Path("docs/operations.md")
"""Where the description of the HTTP door stands in the site; in the repository there is no such file."""
FRONT: Final = Path("README.md")
NAVIGATION: Final = {
    "Harambee": "index.html",
    "All pages": "docs/README.html",
    "Tutorials": "docs/tutorials/README.html",
    "HTTP": "docs/operations.html",
    "Python": "api/index.html",
}
FETCHING: Final = {"link": "href", "script": "src", "img": "src", "iframe": "src", "source": "src"}
"""Where a page names what a browser fetches to show it, by element."""

STYLE: Final = """
:root {
  color-scheme: light dark;
  --ink: #1c1c1c; --paper: #ffffff; --soft: #f1f3f5; --line: #d0d7de; --link: #0b5c8a
}
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e6e6; --paper: #14171a; --soft: #22272e; --line: #444c56; --link: #79b8ff }
}
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, sans-serif }
nav { display: flex; flex-wrap: wrap; gap: .4em 1.4em; padding: .8em 1.2em }
nav { border-bottom: 1px solid var(--line) }
main { max-width: 56em; margin: 0 auto; padding: 0 1.2em 4em }
a { color: var(--link) }
pre, code { font: 14px/1.45 ui-monospace, monospace; background: var(--soft) }
code { padding: .1em .3em; border-radius: 3px; overflow-wrap: anywhere }
pre { padding: .8em 1em; overflow-x: auto; border-radius: 6px }
pre code { padding: 0; overflow-wrap: normal }
table { border-collapse: collapse; display: block; overflow-x: auto }
th, td { border: 1px solid var(--line); padding: .35em .6em; text-align: left; vertical-align: top }
img { max-width: 100%; background: #ffffff }
"""


class SiteError(Exception):
    """A page cannot be built as it is; one sentence for each reason."""


def pages(root: Path = ROOT) -> list[Path]:
    """Return every page of the documentation, relative to `root`."""
    return sorted({file.relative_to(root) for glob in SOURCES for file in root.glob(glob)})


def address_of(page: Path) -> Path:
    """Return where a page stands in the site."""
    return Path("index.html") if page == FRONT else page.with_suffix(".html")


class Shelf:
    """The pages that are built, and the other files that they lead to."""

    def __init__(self, root: Path, known: Sequence[Path]) -> None:
        """`known` are the pages; a link to any other file of `root` has it copied."""
        self.root = root
        self.copied: set[Path] = set()
        self.wrong: list[str] = []
        self._known = frozenset(known)

    def link(self, page: Path, target: str) -> str:
        """Return a page's link as it must be in the site; notes what leads nowhere."""
        parts = urlsplit(target)
        if parts.scheme or parts.netloc or not parts.path:
            return target
        place = (self.root / page.parent / unquote(parts.path)).resolve()
        if (place / "README.md").is_file():
            place /= "README.md"
        found = place.relative_to(self.root) if place.is_relative_to(self.root) else None
        if found is None or not (found in self._known or place.exists()):
            self.wrong.append(f"{page} leads to {target}, and there is no such file.")
            return target
        if found not in self._known:
            self.copied.add(found)
        there = address_of(found) if found in self._known else found
        return _from(page, there) + (f"#{parts.fragment}" if parts.fragment else "")


def _from(page: Path, there: Path) -> str:
    """Return how one gets from a page to another place of the site."""
    return "../" * len(address_of(page).parent.parts) + there.as_posix()


def anchor_of(heading: str, taken: set[str]) -> str:
    """Return the name by which links find a heading, as code hosts make it; adds it to `taken`."""
    letters = (
        letter if letter.isalnum() or letter in "-_" else "-" if letter == " " else ""
        for letter in heading.lower().replace("`", "")
    )
    name = plain = "".join(letters)
    number = 0
    while name in taken:
        number += 1
        name = f"{plain}-{number}"
    taken.add(name)
    return name


def page_html(page: Path, text: str, shelf: Shelf) -> str:
    """Return a page of the site."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(text)
    taken: set[str] = set()
    title = page.name
    for token, after in zip(tokens, [*tokens[1:], None], strict=True):
        if token.type == "heading_open" and after is not None:
            token.attrSet("id", anchor_of(_words(after), taken))
            title = _words(after) if token.tag == "h1" else title
        for child in token.children or ():
            _relocate(child, page, shelf)
    body = parser.renderer.render(tokens, parser.options, {})
    links = "".join(
        f'<a href="{_from(page, Path(there))}">{name}</a>' for name, there in NAVIGATION.items()
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n"
        f"<body><nav>{links}</nav>\n<main>\n{body}</main></body>\n</html>\n"
    )


def _words(inline: Token) -> str:
    return "".join(child.content for child in inline.children or ())


def _relocate(token: Token, page: Path, shelf: Shelf) -> None:
    for element, attribute in (("link_open", "href"), ("image", "src")):
        if token.type == element:
            token.attrSet(attribute, shelf.link(page, str(token.attrGet(attribute))))


# -- the site as it stands --------------------------------------------------------------------------


class _Seen(HTMLParser):
    """What a page has and names."""

    def __init__(self) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.fetched: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        has = dict(attrs)
        self.anchors.update(value for name in ("id", "name") if (value := has.get(name)))
        if tag == "a" and (href := has.get("href")):
            self.links.append(href)
        if tag in FETCHING and (source := has.get(FETCHING[tag])):
            self.fetched.append(source)


def faults(site: Path) -> Iterator[str]:
    """Yield a sentence for each link of a site that leads nowhere, and for each thing that is fetched."""
    seen: dict[Path, _Seen] = {}
    for file in sorted(site.rglob("*.html")):
        seen[file] = _Seen()
        seen[file].feed(file.read_text(encoding="utf-8"))
    for file, page in seen.items():
        name = file.relative_to(site)
        for source in page.fetched:
            if urlsplit(source).netloc or urlsplit(source).scheme not in ("", "data"):
                yield f"{name} fetches {source} from elsewhere."
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            there = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            if not there.exists():
                yield f"{name} leads to {link}, and there is no such file."
            elif (
                parts.fragment
                and there in seen
                and unquote(parts.fragment) not in seen[there].anchors
            ):
                yield f"{name} leads to {link}, and nothing there has this name."


def build(root: Path, site: Path) -> None:
    """Write the pages, and what they lead to; SiteError if a link leads nowhere."""
    texts = {page: (root / page).read_text(encoding="utf-8") for page in pages(root)}
    texts[HTTP_PAGE] = http_page(description())
    shelf = Shelf(root, list(texts))
    for page, text in texts.items():
        place = site / address_of(page)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(page_html(page, text, shelf), encoding="utf-8")
    for file in sorted(shelf.copied):
        (site / file).parent.mkdir(parents=True, exist_ok=True)
        if (root / file).is_dir():
            shutil.copytree(root / file, site / file, dirs_exist_ok=True)
        else:
            shutil.copyfile(root / file, site / file)
    if shelf.wrong:
        raise SiteError("\n".join(shelf.wrong))
    (site / "openapi.json").write_text(json.dumps(description(), indent=2), encoding="utf-8")


def build_modules(site: Path) -> None:
    """Write the pages of the Python modules."""
    import pdoc  # noqa: PLC0415 - only `make docs` has it, and tests of the rest do without
    import pdoc.render  # noqa: PLC0415

    pdoc.render.configure(docformat="markdown", show_source=False, search=True)
    pdoc.pdoc(*MODULES, output_directory=site / "api")


def main() -> int:
    """Build it; the exit status."""
    shutil.rmtree(SITE, ignore_errors=True)
    try:
        build(ROOT, SITE)
    except SiteError as error:
        print(error, file=sys.stderr)
        return 1
    build_modules(SITE)
    wrong = list(faults(SITE))
    print(
        "\n".join([*wrong, f"{sum(1 for _ in SITE.rglob('*.html'))} pages: {SITE / 'index.html'}"])
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
