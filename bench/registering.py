"""The ways in which schedules come into the ledger, timed in a process that does nothing else.

`declared`: `add_schedule` for each and one declaration, which is one transaction. `source`: one reading of a source.
`single`: the service behind `schedule add`, a durable transaction for each.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from watchbell import Declared, every
from watchbell.services.schedules import add_schedule
from watchbell.store.open import open_store

from .application import NOTHING, build
from .stock import now_us, prepare


def register(url: str, way: str, count: int) -> dict[str, float]:
    """Schedules per second, and how the time divides where there are two parts."""
    prepare(url)
    return {"declared": _declared, "source": _source, "single": _single}[way](url, count)


def _declared(url: str, count: int) -> dict[str, float]:
    bell = build(url)
    job = bell.job(name="declared")(_nothing)
    bell.schedules(limit=1)
    began = time.perf_counter()
    for number in range(count):
        bell.add_schedule(f"schedule {number}", job, every("1h"))
    known = time.perf_counter()
    bell.schedules(limit=1)
    ended = time.perf_counter()
    return {"per_s": count / (ended - began), "adding_s": known - began, "writing_s": ended - known}


def _source(url: str, count: int) -> dict[str, float]:
    bell = build(url)

    @bell.source("table", every="1h")
    def rows() -> Iterator[Declared]:
        for number in range(count):
            yield Declared(str(number), NOTHING, every("1h"))

    bell.schedules(limit=1)
    began = time.perf_counter()
    bell.reload()
    return {"per_s": count / (time.perf_counter() - began)}


def _single(url: str, count: int) -> dict[str, float]:
    store = open_store(url, now_us())
    began = time.perf_counter()
    for number in range(count):
        add_schedule(store, f"schedule {number}", NOTHING, every("1h"), now=now_us(), actor="bench")
    ended = time.perf_counter()
    store.close()
    return {"per_s": count / (ended - began)}


async def _nothing() -> None:
    pass
