"""Rates in the database: which starts they have counted, what they still allow, and who waits for them.

A start is counted by the write that claims the attempt, at the last instant at which that claim may begin, so that no span
of time ever sees more than the rate allows; a claim that is given back before it began gives its start back. What is
over a rate is held by it and costs nothing until a start is free: then the first of those held are let in, in the order
of priority and due time, and nobody looks at the others.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from ..core.rates import PREFIX, Rate, allowed_at, held_by_rate, parse_rate, schedule_of
from .tx import Tx

_AFTER = PREFIX[:-1] + chr(ord(PREFIX[-1]) + 1)
LATEST_SLACK_US = 1_000_000


def declare(tx: Tx, rates: Iterable[tuple[str, Rate]]) -> None:
    """Set the rates by their keys. What was counted stays: a new number holds for what has started as well."""
    tx.many(
        "INSERT INTO rate (key, starts, per_us) VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET "
        "starts = excluded.starts, per_us = excluded.per_us",
        [(key, rate.starts, rate.per_us) for key, rate in rates],
    )


def look_again(tx: Tx, job: int) -> None:
    """The rates of a job have changed: what is held by one of them is judged anew in the next claim step."""
    tx.run(
        "UPDATE occurrence SET held_by = ? WHERE state = 'held' AND held_by >= ? AND held_by < ? AND job = ?",
        (f"{PREFIX}changed", PREFIX, _AFTER, job),
    )


def waiting_keys(tx: Tx) -> list[str]:
    """The rates that something is held by: one look into the index for each."""
    found: list[str] = []
    sql = "SELECT min(held_by) FROM occurrence WHERE state = 'held' AND held_by < ? AND held_by "
    at = tx.value(f"{sql} >= ?", (_AFTER, PREFIX))
    while at is not None:
        found.append(at.removeprefix(PREFIX))
        at = tx.value(f"{sql} > ?", (_AFTER, at))
    return found


def rate_of(tx: Tx, key: str) -> Rate | None:
    """The rate of a key, if it has one; a backlog's is that of its schedule as it stands."""
    if (schedule := schedule_of(key)) is not None:
        text = tx.value(
            "SELECT v.policies FROM schedule_version v JOIN schedule s ON s.id = v.schedule AND s.version = v.version "
            "WHERE s.id = ?",
            (schedule,),
        )
        said = json.loads(text).get("catchup_rate") if text else None
        return None if said is None else parse_rate(said)
    row = tx.row("SELECT starts, per_us FROM rate WHERE key = ?", (key,))
    return None if row is None else Rate(row[0], row[1])


def next_room(tx: Tx, now: int) -> int | None:
    """When the next start is free of a rate that something is held by; what could start now waits for a slot."""
    book = Book(tx, now)
    found = [book.free_at(key) for key in waiting_keys(tx)]
    return min((at for at in found if at > now), default=None)


def free_at(tx: Tx, key: str, now: int, place: int = 0) -> int:
    """When the start number `place` of those that wait for a rate is allowed at the earliest."""
    return Book(tx, now, reading=True).free_at(key, place)


def told(tx: Tx, run: int, held_by: str | None, now: int) -> tuple[str, int] | None:
    """What a held row waits for, in words, and when it may start at the earliest; None where that is no rate."""
    what = held_by_rate(held_by)
    if what is None or held_by is None:
        return None
    key = held_by.removeprefix(PREFIX)
    rate = rate_of(tx, key)
    if rate is None:
        return "its turn", now
    place = int(
        tx.value(
            "SELECT count(*) FROM occurrence a JOIN occurrence b ON b.id = ? WHERE a.state = 'held' AND "
            "a.held_by = ? AND (a.priority, a.due_at, a.id) < (b.priority, b.due_at, b.id)",
            (run, held_by),
        )
    )
    return f"{what}: {rate.describe()}", free_at(tx, key, now, place)


def shift(tx: Tx, by_us: int) -> None:
    """The clock was set by so much: what was counted lies as long ago as before."""
    tx.run("UPDATE rate_start SET at = at + ?", (by_us,))


def give_back(tx: Tx, starts: Sequence[tuple[str, int, int]]) -> None:
    """These starts have not been and never will be: (key, run, epoch)."""
    tx.many("DELETE FROM rate_start WHERE key = ? AND run = ? AND epoch = ?", starts)


class Book:
    """What the rates allow at one instant, within one transaction; `reading`: one that writes nothing."""

    def __init__(self, tx: Tx, now: int, reading: bool = False) -> None:
        self._tx = tx
        self._reading = reading
        self._now = now
        self._rates: dict[str, Rate | None] = {}
        self._starts: dict[str, list[int]] = {}
        self._pushed: dict[str, int] = {}
        self._new: list[tuple[str, int, int, int]] = []

    def room(self, key: str) -> int | None:
        """How many more may start now; None: as many as like."""
        rate = self._rate(key)
        return None if rate is None else max(0, rate.starts - len(self._counted(key, rate)))

    def blocked(self, keys: Sequence[str]) -> str | None:
        """The first of these rates that allows nothing more now."""
        return next((key for key in keys if self.room(key) == 0), None)

    def take(self, keys: Sequence[str], run: int, epoch: int) -> int | None:
        """Count a start; returns the instant up to which it may begin."""
        latest = None
        for key in keys:
            rate = self._rate(key)
            if rate is not None:
                at = self._now + rate.slack_us
                self._counted(key, rate).append(at)
                self._new.append((key, at, run, epoch))
                latest = at if latest is None else min(latest, at)
        return latest

    def free_at(self, key: str, place: int = 0) -> int:
        """When start number `place` from now is allowed at the earliest."""
        rate = self._rate(key)
        return self._now if rate is None else allowed_at(rate, self._counted(key, rate), self._now, place)

    def push(self, key: str) -> int:
        """A place further back for one that is ready and cannot start: each one who asks in this step gets the next."""
        place = self._pushed[key] = self._pushed.get(key, -1) + 1
        return self.free_at(key, place)

    def write(self) -> None:
        """Write down what was taken, and forget what is too old to count."""
        if not self._new:
            return
        self._tx.many("INSERT INTO rate_start (key, at, run, epoch) VALUES (?, ?, ?, ?)", self._new)
        for key in sorted({start[0] for start in self._new}):
            rate = self._rate(key)
            assert rate is not None
            self._tx.run("DELETE FROM rate_start WHERE key = ? AND at <= ?", (key, self._now - rate.per_us))
        self._new.clear()

    def _rate(self, key: str) -> Rate | None:
        if key not in self._rates:
            self._rates[key] = rate_of(self._tx, key)
        return self._rates[key]

    def _counted(self, key: str, rate: Rate) -> list[int]:
        """The starts of the last span, in order. One that lies ahead was counted before the clock was set back: it is
        taken to be now, so that it is in the way for one span and no longer."""
        if key not in self._starts:
            latest = self._now + LATEST_SLACK_US
            if not self._reading:
                self._tx.run("UPDATE rate_start SET at = ? WHERE key = ? AND at > ?", (latest, key, latest))
            rows = self._tx.rows(
                "SELECT at FROM rate_start WHERE key = ? AND at > ? ORDER BY at",
                (key, self._now - rate.per_us),
            )
            self._starts[key] = [min(row[0], latest) for row in rows]
        return self._starts[key]
