"""What lies on the disk: journal, archive, checkpoints, merchants, texts, places."""

import time
from collections.abc import Iterator

from harambee.merchants.files import MerchantFiles, MerchantFilesError
from harambee.node.agent_places import AgentPlacesError, read_agent_places
from harambee.node.config import NodeConfig
from harambee.node.doctor.findings import Finding, as_sentence, fine, look, wrong
from harambee.node.journal import (
    DATA_NAME,
    FORMAT,
    JournalError,
    JournalLacks,
    JournalReader,
)
from harambee.node.text_cursor import CursorError, TextCursor
from harambee.protocol.genesis import Genesis
from harambee.storage.checkpoint_store import CheckpointDamaged, CheckpointStore, Stored

JOURNAL = "journal"
CHECKPOINTS = "checkpoints"
MERCHANTS = "merchants"
TEXTS = "texts"
PLACES = "agents' places"

OVERDUE_TIMES = 3
"""So many intervals without a new checkpoint are too many."""


def journal(config: NodeConfig, genesis: Genesis, index: int) -> Iterator[Finding]:
    """Look whether the journal is ours, of a format that is read, and whole at both ends."""
    if not (config.journal / DATA_NAME).exists():
        yield look(
            JOURNAL,
            f"There is no journal in {config.journal} yet.",
            "nothing, if it has never run; otherwise see `harambee restore` and `harambee rejoin`",
        )
        return
    try:
        with JournalReader.open_to_read(config.journal) as opened:
            findings = list(_of_journal(opened, genesis, index))
            said = f"The journal has {opened.count:,} blocks, {opened.pruned:,} of them in the archive."
    except JournalError as error:
        findings, said = [wrong(JOURNAL, as_sentence(error), "see docs/operating.md")], ""
    yield from findings or [fine(JOURNAL, said)]


def _of_journal(opened: JournalReader, genesis: Genesis, index: int) -> Iterator[Finding]:
    whose = (opened.network, opened.author, opened.epoch)
    if whose != (genesis.network, index, genesis.committee.epoch):
        yield wrong(
            JOURNAL,
            f"The journal {opened.folder} belongs to another network, super-agent or epoch.",
            "put the right folder in its place, or mend journal in node.toml",
        )
        return
    if opened.format != FORMAT:
        yield look(
            JOURNAL,
            f"The journal has format {opened.format}; the next start brings it to {FORMAT}.",
            "nothing; the version before will not read it any more",
        )
    if opened.re_entering:
        yield look(
            JOURNAL,
            "It is marked as a lost or an old disk: it comes back under a new incarnation.",
            "start it, and see that q others are up",
        )
    for position in {0, opened.count - 1} if opened.count else ():
        try:
            opened.read(position)
        except JournalLacks as lack:
            yield look(
                JOURNAL,
                as_sentence(lack),
                "bring files of the archive back; a damaged disk should be replaced",
            )


def checkpoints(config: NodeConfig, genesis: Genesis, *, runs: bool) -> Iterator[Finding]:
    """Look whether the newest checkpoint is whole and, while it runs, not too old."""
    if not config.checkpoint_minutes:
        yield look(
            CHECKPOINTS,
            "This super-agent makes no checkpoints: its journal grows without end.",
            "set checkpoint_minutes in node.toml",
        )
        return
    stored = CheckpointStore(config.checkpoints, genesis.network, genesis.committee).all()
    if not stored:
        yield fine(CHECKPOINTS, "There is no checkpoint yet.")
        return
    newest = max(stored, key=lambda one: one.checkpoint.number)
    findings = list(_of_newest(newest, config.checkpoint_minutes if runs else None))
    yield from findings or [
        fine(CHECKPOINTS, f"Checkpoint {newest.checkpoint.number} is the newest of {len(stored)}.")
    ]


def _of_newest(newest: Stored, minutes: float | None) -> Iterator[Finding]:
    try:
        assert len(newest.index)
    except (CheckpointDamaged, OSError) as error:
        yield wrong(
            CHECKPOINTS,
            as_sentence(error),
            "`harambee checkpoint verify` reads all of it; replace the disk, and the start goes on "
            "from the one before",
        )
    age_s = time.time() - newest.folder.stat().st_mtime
    if minutes is not None and age_s > OVERDUE_TIMES * minutes * 60:
        yield look(
            CHECKPOINTS,
            f"The newest checkpoint is {age_s / 60:,.0f} minutes old, and one is due every {minutes:g}.",
            "checkpoint_alarms in /v1/status says why none forms; payments go on",
        )


def merchants(config: NodeConfig, genesis: Genesis) -> Iterator[Finding]:
    """Look whether the files about merchants can be read, and name homes that there are."""
    try:
        told = MerchantFiles.load(config.file.resolve().parent)
    except MerchantFilesError as error:
        yield wrong(MERCHANTS, as_sentence(error), "mend the file; it does not start with this one")
        return
    strays = [one for one in told.merchants if one.home >= genesis.committee.n]
    for one in strays:
        yield wrong(
            MERCHANTS,
            f"The home of {one.trade} {one.short_code} is super-agent {one.home}, which is none.",
            "mend home in merchants.json, at every super-agent",
        )
    if not strays:
        yield fine(
            MERCHANTS, f"{len(told.merchants):,} merchants and {len(told.apps):,} apps are known."
        )


def texts(config: NodeConfig) -> Iterator[Finding]:
    """Look whether the note of how far texts were sent can be read."""
    if config.texts == "off":
        yield fine(TEXTS, "It sends no texts.")
        return
    try:
        TextCursor.read(config.texts_folder / "cursor.json", 0, 0, 0)
    except CursorError as error:
        yield wrong(
            TEXTS,
            as_sentence(error),
            "delete it: texts then begin with what becomes final from there on",
        )
    else:
        yield fine(TEXTS, f"Texts go to {config.texts_folder}.")


def places(config: NodeConfig) -> Iterator[Finding]:
    """Look whether the file of agents' places can be read."""
    if config.agent_places is None:
        return
    try:
        rows = read_agent_places(config.agent_places)
    except AgentPlacesError as error:
        yield look(PLACES, as_sentence(error), "mend the line; what was read before is used")
    else:
        yield fine(PLACES, f"{len(rows):,} agents have a place.")
