"""The numbered files that make up a schema, one folder of them beside the code of each database. A released file is never
edited."""

from __future__ import annotations

import re
from importlib import resources

_NAME = re.compile(r"^(\d{4})_[a-z0-9_]+\.sql$")


def in_order(package: str) -> list[tuple[int, str, str]]:
    """(number, file name, SQL) of every file in the folder `migrations` of a package."""
    found = []
    for file in (resources.files(package) / "migrations").iterdir():
        if match := _NAME.match(file.name):
            found.append((int(match[1]), file.name, file.read_text(encoding="utf-8")))
    return sorted(found)
