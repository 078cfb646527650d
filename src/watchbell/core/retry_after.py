"""How long the other side of an HTTP request asks to wait."""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from .instants import HOUR, SECOND

LONGEST_REST_US = HOUR


def retry_after_us(headers: Mapping[str, str]) -> int | None:
    """How long `Retry-After` asks to wait, at most an hour. A date counts from the answer's own date: the other side's
    clock is not ours.

    >>> retry_after_us({"retry-after": "120"})
    120000000
    >>> retry_after_us({"retry-after": "Sat, 21 Nov 2026 10:00:30 GMT", "date": "Sat, 21 Nov 2026 10:00:00 GMT"})
    30000000
    """
    wanted = headers.get("retry-after", "").strip()
    if re.fullmatch("[0-9]{1,12}", wanted):
        return min(int(wanted) * SECOND, LONGEST_REST_US)
    try:
        wait = parsedate_to_datetime(wanted) - parsedate_to_datetime(headers["date"])
    except (KeyError, ValueError, TypeError):
        return None
    return max(0, min(int(wait.total_seconds()) * SECOND, LONGEST_REST_US))
