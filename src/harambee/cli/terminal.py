"""What commands share at the terminal: the folder, --json, and failing in one sentence."""

import json
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

if TYPE_CHECKING:
    from harambee.ledger.records import KeyType

DEFAULT_FOLDER: Final = Path("harambee-network")
FOLDER_VARIABLE: Final = "HARAMBEE_NETWORK"

F = TypeVar("F", bound=Callable[..., Any])


class FailureError(click.ClickException):
    """The command could not do its work: one sentence on standard error, exit status 1."""

    exit_code = 1

    def show(self, file: Any = None) -> None:
        """Print the sentence, and nothing around it."""
        click.echo(self.message, file=file or sys.stderr)


def _chosen(ctx: click.Context, _parameter: click.Parameter, value: Path | None) -> Path:
    """Return the folder named here, else before the command, else by the environment."""
    before = ctx.find_root().obj
    if value is None and isinstance(before, Path):
        return before
    return value or Path(os.environ.get(FOLDER_VARIABLE) or DEFAULT_FOLDER)


network_option: Final = click.option(
    "--network",
    "folder",
    type=click.Path(path_type=Path),
    callback=_chosen,
    help="The network's folder; default: $HARAMBEE_NETWORK, or ./harambee-network.",
)
json_option: Final = click.option(
    "--json", "as_json", is_flag=True, help="One JSON object as the last line."
)
seed_option: Final = click.option(
    "--seed", type=click.IntRange(min=0), default=1, show_default=True
)


def _key_type(
    _ctx: click.Context, _parameter: click.Parameter, value: str | None
) -> "KeyType | None":
    """Return the type of key that is named; None where none is."""
    from harambee.ledger.records import KeyType

    return None if value is None else KeyType[value.upper()]


KEY_TYPES: Final = click.Choice(("ed25519", "p256"))
key_type_option: Final = click.option(
    "--key-type",
    type=KEY_TYPES,
    default="ed25519",
    show_default=True,
    callback=_key_type,
    help="Which type of key is made.",
)
new_key_type_option: Final = click.option(
    "--key-type",
    type=KEY_TYPES,
    callback=_key_type,
    help="Which type of key is made; default: that of the key it replaces.",
)


def print_json(document: dict[str, Any]) -> None:
    """Print one JSON object on one line."""
    click.echo(json.dumps(document, ensure_ascii=False))


@contextmanager
def one_sentence(*expected: type[Exception], as_json: bool = False) -> Iterator[None]:
    """Turn the expected errors into a FailureError, and into JSON for programs."""
    try:
        yield
    except expected as error:
        sentence = str(error)
        sentence = f"{sentence[:1].upper()}{sentence[1:].rstrip('.')}."
        if as_json:
            print_json({"status": "error", "sentence": sentence})
        raise FailureError(sentence) from error


def program() -> str:
    """Return how to type this program's name here, so that an example can be pasted."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return "python -m harambee"
    found = shutil.which(called.name)
    if found is not None and Path(found).resolve() == called.resolve():
        return called.name
    here = Path.cwd()
    absolute = called.absolute()
    return shlex.quote(str(absolute.relative_to(here) if absolute.is_relative_to(here) else called))


def network_words(folder: Path) -> str:
    """Return the option that names this folder, with a space before it; nothing for the default."""
    if folder.absolute() == DEFAULT_FOLDER.absolute():
        return ""
    return f" --network {shlex.quote(str(folder))}"
