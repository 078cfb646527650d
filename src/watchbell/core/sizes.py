"""Amounts of bytes as people write them: "512M", "512 MiB", "1G"; always in steps of 1024."""

from __future__ import annotations

import re

from ..errors import BadInput

LARGEST = 1 << 50
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_SIZE = re.compile(r"\s*([0-9]{1,15}(?:\.[0-9]{1,3})?)\s*([kmgt]?)(?:i?b)?\s*", re.IGNORECASE)


def parse_size(value: object, what: str = "A size") -> int:
    """An amount in bytes. BadInput says how to write it.

    >>> parse_size("512M") == parse_size("0.5 GiB") == 512 * 1024 * 1024
    True
    """
    if isinstance(value, int) and not isinstance(value, bool):
        found = value
    else:
        match = _SIZE.fullmatch(value) if isinstance(value, str) else None
        if match is None:
            raise BadInput(f"{what} is written like 512M, 64 KiB or 1.5G, not {str(value)[:40]!r}.")
        found = int(float(match[1]) * _UNITS[match[2].lower()])
    if not 0 <= found <= LARGEST:
        raise BadInput(f"{what} is at most 1,024 TiB and never negative, not {found:,} bytes.")
    return found


def size_text(size: int) -> str:
    """An amount for people, in the largest unit of which there is at least one.

    >>> size_text(512 << 20), size_text(1536), size_text(10)
    ('512 MiB', '1.5 KiB', '10 bytes')
    """
    for unit, name in ((1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if size >= unit:
            return f"{round(size / unit, 1):g} {name}"
    return "1 byte" if size == 1 else f"{size} bytes"
