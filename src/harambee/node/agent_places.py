"""Where a super-agent's agents are, and who of them sells float to neighbours: an operator's file.

Nothing in the ledger says where anybody is. A super-agent knows its agents' shops from their
contracts, and keeps them in a CSV file that it names in its configuration (`agent_places`):

    account,latitude,longitude,sells_above
    17,-1.2864,36.8172,50000
    18,-1.2921,36.8219,

`sells_above` is the agent's consent: in whole shillings, what he keeps for himself and above which
he sells float to neighbours. Where it is empty nobody is told of him as a source of float. The file
is read again when it changes; a file that cannot be read leaves what was read before in place.
"""

import csv
import io
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from harambee.handset.places import Place, PlaceError, parse_place
from harambee.money.amounts import AmountError, parse_cents

HEADER: Final = ("account", "latitude", "longitude", "sells_above")
FILE_BYTES_MAX: Final = 4 << 20
ROWS_MAX: Final = 50_000
ACCOUNT_MAX: Final = 2**32 - 1

log: Final = logging.getLogger(__name__)


class AgentPlacesError(Exception):
    """The file cannot be used; the message is one sentence that names file and line."""


class AgentPlace(NamedTuple):
    """One agent's row."""

    account: int
    place: Place
    sells_above_cents: int | None
    """None where he does not sell."""


def read_agent_places(file: Path) -> dict[int, AgentPlace]:
    """Return the rows of a file by account; AgentPlacesError."""
    try:
        with file.open("rb") as opened:
            content = opened.read(FILE_BYTES_MAX + 1)
        text = content.decode("utf-8")
    except OSError as error:
        raise AgentPlacesError(f"cannot read {file}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise AgentPlacesError(f"{file} is not UTF-8 text") from None
    if len(content) > FILE_BYTES_MAX:
        raise AgentPlacesError(f"{file} is larger than {FILE_BYTES_MAX} bytes")
    found: dict[int, AgentPlace] = {}
    rows = csv.reader(io.StringIO(text), strict=True)
    try:
        for row in rows:
            if rows.line_num == 1:
                if tuple(row) != HEADER:
                    raise AgentPlacesError(f"{file} does not begin with {','.join(HEADER)}")
            elif row:
                _enter(found, row)
    except (csv.Error, PlaceError, AmountError, ValueError) as error:
        raise AgentPlacesError(f"{file}, line {rows.line_num}: {error}") from error
    return found


def _enter(found: dict[int, AgentPlace], row: list[str]) -> None:
    """Read one row; ValueError if it is none."""
    if len(row) != len(HEADER):
        raise ValueError(f"there are {len(row)} fields, not {len(HEADER)}")
    number, latitude, longitude, sells_above = (field.strip() for field in row)
    if not (number.isascii() and number.isdigit()) or int(number[:11]) > ACCOUNT_MAX:
        raise ValueError("the first field is not an account number")
    if int(number) in found:
        raise ValueError(f"account {number} stands here twice")
    if len(found) == ROWS_MAX:
        raise ValueError(f"there are more than {ROWS_MAX} agents")
    above = parse_cents(sells_above) if sells_above else None
    found[int(number)] = AgentPlace(int(number), parse_place(latitude, longitude), above)


@dataclass
class AgentPlaces:
    """The file of one super-agent, as it is now."""

    file: Path | None
    _rows: Mapping[int, AgentPlace] = field(default_factory=dict)
    _seen: tuple[int, int] | None = None

    def rows(self) -> Mapping[int, AgentPlace]:
        """Return every agent's row by account; empty where there is no file."""
        if self.file is None:
            return self._rows
        try:
            facts = self.file.stat()
            seen = facts.st_mtime_ns, facts.st_size
        except OSError:
            seen = (0, 0)
        if seen != self._seen:
            self._seen = seen
            try:
                self._rows = read_agent_places(self.file)
            except AgentPlacesError as error:
                log.warning("%s; what was read before stays", error)
        return self._rows
