"""The clock by which days begin and times are shown: East Africa's, which knows no summer time."""

from datetime import timedelta, timezone
from typing import Final

EAST_AFRICA: Final = timezone(timedelta(hours=3), "EAT")
