"""The application that is measured: one job that does nothing, and one that notes when it begins."""

from __future__ import annotations

import time
from pathlib import Path

from watchbell import Watchbell

NOTHING = "nothing"
HELLO = "hello"


def url_of(database: Path) -> str:
    """The URL of a database file."""
    return f"sqlite:///{database}"


def build(database: Path, taken: list[int] | None = None) -> Watchbell:
    """The application. `hello` adds to `taken` the microseconds since it was sent."""
    bell = Watchbell(url_of(database), app="bench", revision=1)

    @bell.job(name=NOTHING)
    async def nothing() -> None:
        pass

    @bell.job(name=HELLO)
    async def hello(sent: int) -> None:
        now = time.time_ns() // 1000
        if taken is not None:
            taken.append(now - sent)

    return bell
