"""Which version of the time zone data this machine has; the data themselves are read in `core.wallclock`."""

from __future__ import annotations

import re
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from zoneinfo import TZPATH

from ...core.wallclock import zone_data_in_place


def zone_data_version() -> str | None:
    """The version of this machine's time zone data, such as "2026a"; None where they do not say."""
    in_place = zone_data_in_place()
    return _here() if in_place is None else in_place.version


@lru_cache(maxsize=1)
def _here() -> str | None:
    """Zones are looked for in the system's folders first, then in the package tzdata."""
    for folder in map(Path, TZPATH):
        if (folder / "UTC").exists():
            return _version_in(folder / "tzdata.zi") or _version_in(folder / "+VERSION")
    try:
        return str(import_module("tzdata").IANA_VERSION)
    except (ImportError, AttributeError):
        return None


def _version_in(path: Path) -> str | None:
    try:
        with path.open(encoding="ascii", errors="replace") as file:
            found = re.search(r"\b\d{4}[a-z]+\b", file.readline(100))
    except OSError:
        return None
    return None if found is None else found[0]
