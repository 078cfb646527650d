"""The unit of time of the whole house: integers of microseconds, and the names for the longer ones.

A room of its own so that `wallclock` and `instants` can both use it; everybody else takes these from
`instants`.
"""

from __future__ import annotations

from typing import Final, TypeAlias

Instant: TypeAlias = int
"""Microseconds since 1970-01-01T00:00:00Z, UTC, leap seconds not counted."""

US: Final = 1
MILLISECOND: Final = 1_000
SECOND: Final = 1_000_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
WEEK: Final = 7 * DAY

FIRST_DAY: Final = -719_162
"""0001-01-01 as days since 1970-01-01: the first date that Python's calendar knows."""
LAST_DAY: Final = 2_932_896
"""9999-12-31 as days since 1970-01-01: the last date that Python's calendar knows."""
EARLIEST: Final = FIRST_DAY * DAY
LATEST: Final = (LAST_DAY + 1) * DAY - 1
