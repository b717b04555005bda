"""What a super-agent's log looks like: lines for people, or one JSON object a line for programs.

Both say the same. A log names no customer's number and no secret (docs/threat-model.md).
"""

import json
import logging
import sys
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, Literal

LogFormat = Literal["text", "json"]

TEXT: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, logger, message, super_agent; where it is one, the error."""

    def __init__(self, super_agents: Sequence[str]) -> None:
        """`super_agents` are those of this process."""
        super().__init__()
        self._super_agents = ", ".join(super_agents)

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its end; in ASCII, so that no character in it ends a line."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "super_agent": self._super_agents,
        }
        if record.exc_info and record.exc_info[1] is not None:
            line["error"] = "".join(traceback.format_exception(record.exc_info[1])).rstrip("\n")
        return json.dumps(line)


def begin_log(level: str, log_format: LogFormat, super_agents: Sequence[str]) -> None:
    """Let everything that is logged in this process go to standard error, from this level on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        JsonLines(super_agents) if log_format == "json" else logging.Formatter(TEXT)
    )
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
