"""The application that is measured: one job that does nothing, one that notes when it begins, one that takes its time."""

from __future__ import annotations

import asyncio
import time

from watchbell import Watchbell

NOTHING = "nothing"
HELLO = "hello"
LONG = "long"
LONG_S = 3600.0


def build(url: str, taken: list[tuple[int, int]] | None = None) -> Watchbell:
    """The application. `hello` adds to `taken` when it was sent, and the microseconds since then."""
    bell = Watchbell(url, app="bench", revision=1)

    @bell.job(name=NOTHING)
    async def nothing() -> None:
        pass

    @bell.job(name=HELLO)
    async def hello(sent: int) -> None:
        now = time.time_ns() // 1000
        if taken is not None:
            taken.append((sent, now - sent))

    @bell.job(name=LONG)
    async def long() -> None:
        await asyncio.sleep(LONG_S)

    return bell
