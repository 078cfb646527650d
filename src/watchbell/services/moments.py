"""How instants and spans of time leave the house: RFC 3339 in UTC for programs, with the local reading beside it."""

from __future__ import annotations

import re
from typing import Any

from ..core.instants import human_age, human_ago, local_text, to_text
from ..errors import BadInput, BadZone

UTC = "UTC"


def utc(instant: int | None) -> str | None:
    """An instant as RFC 3339 text in UTC; None for none."""
    if instant is None:
        return None
    try:
        return to_text(instant)
    except BadInput:  # outside the years that have a text: a broken row must not hide the others
        return str(instant)


def due(instant: int | None, tz: str = UTC) -> dict[str, Any]:
    """`due_at` in UTC, and the same instant as people in its zone read it."""
    return {"due_at": utc(instant), "local": local(instant, tz), "tz": tz}


def local(instant: int | None, tz: str = UTC) -> str | None:
    """An instant as RFC 3339 text in a zone; in UTC where the zone is not known to this machine."""
    if instant is None:
        return None
    try:
        return local_text(instant, tz)
    except (BadZone, BadInput):
        return utc(instant)


def moment(instant: int | None, tz: str = UTC) -> str:
    """An instant for people, to the second: "2026-11-21 09:00:00 +01:00"; a dash for none."""
    text = local(instant, tz)
    if text is None:
        return "-"
    found = re.fullmatch(r"(\d{4,}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.\d+)?(Z|[+-]\d\d:\d\d.*)", text)
    if found is None:
        return text
    zone = "UTC" if found[3] in ("Z", "+00:00") and tz == UTC else found[3]
    return f"{found[1]} {found[2]} {zone}"


def many(count: int, thing: str) -> str:
    """A number of things: "1 schedule", "1,200 schedules"."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def ago(instant: int, now: int) -> str:
    """How long ago, or in how long, for people."""
    return human_ago(now - instant) if instant <= now else f"in {human_age(instant - now)}"
