"""Which tariff an order pays by: that of its own day, of all that the network has accepted.

The genesis has those of the beginning. What came since is told by doors, and believed when w of them
say the same: each version with its first day and its digest. The document itself may then come from any
door, for it must have that digest.
"""

from collections.abc import Sequence

from harambee.handset.agreement import DisagreementError
from harambee.handset.believing import HandsetError, believed
from harambee.handset.doors import Door, DoorError, TariffRow
from harambee.ledger.payees import document_digest
from harambee.money.tariff import Tariff, TariffError
from harambee.protocol.genesis import Genesis


def in_force(rows: Sequence[tuple[int, Tariff]], day: int) -> Tariff:
    """Return the tariff of a day: of those that have begun by then, the newest.

    `rows` are (first day, tariff), of which at least one has begun.
    """
    begun = [(first, tariff.version, tariff) for first, tariff in rows if first <= day]
    return max(begun, key=lambda row: row[:2])[2]


async def tariff_of_day(genesis: Genesis, doors: Sequence[Door], day: int) -> Tariff:
    """Return the tariff that orders of a day pay by, as w super-agents say.

    HandsetError if too few answer, or nobody has the document that they name.
    """
    begun = [row for row in await _rows(genesis, doors) if row.first_day <= day]
    if not begun:
        raise HandsetError("The super-agents name no tariff of this day.")
    newest = max(begun, key=lambda row: (row.first_day, row.version))
    return await _shown(genesis, doors, newest)


async def tariff_of_version(genesis: Genesis, doors: Sequence[Door], version: int) -> Tariff:
    """Return a version of the tariff, as w super-agents say: what an order of another day pays by.

    HandsetError if too few answer, or there is no such version.
    """
    for row in await _rows(genesis, doors):
        if row.version == version:
            return await _shown(genesis, doors, row)
    raise HandsetError(f"The super-agents name no tariff of version {version}.")


async def _rows(genesis: Genesis, doors: Sequence[Door]) -> tuple[TariffRow, ...]:
    try:
        return await believed(genesis, doors, lambda door: door.tariffs())
    except DisagreementError as error:
        raise HandsetError(str(error)) from error


async def _shown(genesis: Genesis, doors: Sequence[Door], row: TariffRow) -> Tariff:
    known = {document_digest(tariff.to_bytes()): tariff for tariff in genesis.tariffs}
    return known.get(row.digest) or await _fetched(doors, row.version, row.digest)


async def _fetched(doors: Sequence[Door], version: int, digest: bytes) -> Tariff:
    for door in doors:
        try:
            content = await door.tariff(version)
            if document_digest(content) == digest:
                return Tariff.from_bytes(content)
        except (DoorError, TariffError):
            continue
    raise HandsetError(f"No super-agent shows the document of tariff version {version}.")
