"""Databases full of schedules, written by SQL in large transactions: what is measured is the engine and not the way in."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

from watchbell.core.definition import canonical
from watchbell.core.policies import Policies, to_json
from watchbell.core.triggers import Trigger, every
from watchbell.store.base import Store
from watchbell.store.open import open_store
from watchbell.store.runs import enqueue_many
from watchbell.store.schedules.catalog import Catalog
from watchbell.store.schedules.put import Doer, find_job
from watchbell.store.tx import Tx

from .application import NOTHING, build
from .database import POSTGRES, SQLITE

PART = 100_000
SECOND = 1_000_000


@dataclass(frozen=True, slots=True)
class Group:
    """`count` schedules with one trigger, next due at `due_at`."""

    trigger: Trigger
    due_at: int
    count: int


def each(period_s: int, first_due: int, count: int) -> Group:
    """`count` schedules on an interval. The anchor of an interval is no occurrence: the first is one period later."""
    return Group(every(period_s).bound("UTC", first_due - period_s * SECOND), first_due, count)


def now_us() -> int:
    """The present instant."""
    return time.time_ns() // 1000


def prepare(url: str) -> None:
    """An empty database that knows the application's jobs."""
    bell = build(url)
    bell.schedules(limit=1)
    bell.stop()


def fill(url: str, groups: Iterable[Group]) -> None:
    """Add schedules of the job that does nothing."""
    store = open_store(url, now_us())
    try:
        part: list[Group] = []
        for group in _cut(groups):
            part.append(group)
            if sum(one.count for one in part) >= PART:
                _write(store, part)
                part = []
        if part:
            _write(store, part)
        store.checkpoint()
        store.poke()
    finally:
        store.close()


def enqueue(url: str, count: int, due_at: int, job: str = NOTHING) -> None:
    """Add runs of a job, all for one instant."""
    store = open_store(url, now_us())
    doer = Doer("bench", now_us())

    def write(tx: Tx) -> None:
        enqueue_many(tx, Catalog().job(tx, _job(tx, job)), [("{}", due_at)] * count, doer)

    try:
        store.write(write)
        store.checkpoint()
        store.poke()
    finally:
        store.close()


def _cut(groups: Iterable[Group]) -> Iterable[Group]:
    for group in groups:
        for begun in range(0, group.count, PART):
            yield Group(group.trigger, group.due_at, min(PART, group.count - begun))


def _job(tx: Tx, name: str = NOTHING) -> int:
    found = find_job(tx, name)
    assert found is not None
    return found


# The whole numbers from the first parameter up to the one before the second.
_NUMBERS = {
    SQLITE: "WITH RECURSIVE n (i) AS (SELECT ? UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?) ",
    POSTGRES: "WITH n (i) AS (SELECT generate_series(?::bigint, ?::bigint - 1)) ",
}
_SCHEDULE = (
    "INSERT INTO schedule (id, workspace, name, job, version, created_at) ",
    "SELECT i, 1, 'schedule ' || i, ?, 1, ? FROM n",
)
_VERSION = (
    "INSERT INTO schedule_version (schedule, version, effective_from, job, trigger, policies, hash, actor, created_at) ",
    "SELECT i, 1, ?, ?, ?, ?, 'bench', 'bench', ? FROM n",
)
_CURSOR = (
    "INSERT INTO cursor (schedule, next_due, planned_until, version) ",
    "SELECT i, ?, ?, 1 FROM n",
)


def _write(store: Store, groups: list[Group]) -> None:
    now = now_us()
    rules = canonical(to_json(Policies()))
    numbers = _NUMBERS[store.dialect]

    def write(tx: Tx) -> None:
        job = _job(tx)
        first = tx.next_id("schedule")
        for group in groups:
            last = first + group.count
            text = canonical(group.trigger.to_json())
            tx.run(numbers.join(_SCHEDULE), (first, last, job, now))
            tx.run(numbers.join(_VERSION), (first, last, now, job, text, rules, now))
            tx.run(numbers.join(_CURSOR), (first, last, group.due_at, now))
            first = last

    store.write(write)
