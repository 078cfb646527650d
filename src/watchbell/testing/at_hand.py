"""What the pytest fixtures are made of; it knows nothing of pytest and can be used without it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ..app import Job, Watchbell
from ..clock import Clock, ManualClock
from ..core.instants import from_datetime, human_duration, parse_duration, parse_instant, to_datetime, to_text
from ..errors import BadInput, Conflict, NotFound
from ..services.schedule_views import unknown_schedule
from ..store import listing
from ..store.schedules.trigger_texts import trigger_of
from ..store.tx import Tx
from .stepnode import StepNode

BEGINNING = "2026-01-01T00:00:00Z"
"""When the clock of a test begins, where nothing else is said."""
MOST = 100_000
When = str | datetime


class BellClock(ManualClock):
    """The clock of a test. It stands still until it is moved; where the test has a node, what is due meanwhile is carried
    out at its instant."""

    def __init__(self, wall_us: int, bell: Callable[[], Watchbell]) -> None:
        super().__init__(wall_us)
        self._begun_at = wall_us
        self._of = bell
        self._node: StepNode | None = None

    @property
    def now(self) -> datetime:
        """Where the clock stands, aware, in UTC."""
        return to_datetime(self.wall_us(), "UTC")

    def move_to(self, when: When, tz: str | None = None) -> None:
        """Let time pass until an instant: an aware datetime, or a text such as "2026-10-25T00:00:00Z", or one without an
        offset that is read in `tz`. Raises BadInput for an instant behind the clock, NaiveTime, BadTrigger."""
        self._pass_until(self._instant(when, tz))

    def advance(self, by: str | timedelta | int) -> None:
        """Let time pass: "24h" or a timedelta; a number is microseconds, as for ManualClock. Raises BadDuration."""
        if isinstance(by, int):
            super().advance(
                by
            )  # so the node itself moves time; whoever counts microseconds wants nothing else done
        else:
            self._pass_until(self.wall_us() + parse_duration(by))

    def occurrences(
        self, schedule: str | Job[Any, Any], between: tuple[When, When] | None = None
    ) -> list[datetime]:
        """When a schedule is due by its rule: after the first instant of `between` up to and with the second; else since
        the test began. Aware, in the rule's zone. What became of each is in the ledger: `bell_node.occurrences(name)`.
        Raises NotFound, BadInput beyond 100,000 of them."""
        bell = self._of()
        name = schedule.name if isinstance(schedule, Job) else schedule
        trigger = trigger_of(bell._open().read(lambda tx: _rule_of(tx, name)))
        zone = (*trigger.zones(), "UTC")[0]
        after, upto = self._begun_at, self.wall_us()
        if between is not None:
            after, upto = (self._instant(when, zone) for when in between)
        found: list[datetime] = []
        at = trigger.next_after(after)
        while at is not None and at <= upto:
            if len(found) == MOST:
                raise BadInput(f"{name} is due more than {MOST:,} times in that span; ask for a shorter one.")
            found.append(to_datetime(at, zone))
            at = trigger.next_after(at)
        return found

    def carry_out_with(self, node: StepNode | None) -> None:
        """From now on, what falls due while time passes is carried out by this node; None: by nobody."""
        self._node = node

    def _instant(self, when: When, tz: str | None) -> int:
        return from_datetime(when) if isinstance(when, datetime) else parse_instant(when, tz, self.wall_us())

    def _pass_until(self, at: int) -> None:
        behind = self.wall_us() - at
        if behind > 0:
            raise BadInput(
                f"{to_text(at)} is {human_duration(behind)} behind the clock of this test, which stands at "
                f"{to_text(self.wall_us())}: time passes forward. clock.step(…) sets the wall clock back."
            )
        if self._node is None or self._node.stopped:
            super().advance(at - self.wall_us())
        else:
            self._node.run_until(at)


def _rule_of(tx: Tx, name: str) -> str:
    row = listing.schedule_by_name(tx, name)
    if row is None:
        raise unknown_schedule(tx, name)
    return row.trigger


@contextmanager
def in_memory(bell: Watchbell, clock: Clock) -> Iterator[Watchbell]:
    """An application's own Watchbell, with everything declared on it, on an empty database in memory and under another
    clock; as it was, afterwards. Raises Conflict while its engine runs."""
    if bell._node is not None and bell._node.alive():
        raise Conflict("The engine of this Watchbell runs: stop() it before it is put under a test's clock.")
    before = bell._url, bell._clock, bell._store, bell._pid
    bell._url, bell._clock, bell._store, bell._pid = "sqlite://", clock, None, os.getpid()
    bell._sources._clock = clock
    bell._declared.begin_anew()
    try:
        yield bell
    finally:
        close(bell)
        bell._url, bell._clock, bell._store, bell._pid = before
        bell._sources._clock = before[1]
        bell._declared.begin_anew()


def close(bell: Watchbell) -> None:
    """Close the database, if it was opened."""
    if bell._store is not None:
        bell._store.close()
        bell._store = None


@dataclass(frozen=True, slots=True)
class Enqueued:
    """A run that somebody asked for."""

    run: int
    job: str
    args: dict[str, Any]
    at: int

    def __str__(self) -> str:
        return (
            f"{self.job}({json.dumps(self.args, ensure_ascii=False)}) for {to_text(self.at)}, run_{self.run}"
        )


class AssertEnqueued:
    """Callable: fails the test unless runs of a job were asked for, by `enqueue`, `run_now` and their like."""

    def __init__(self, bell: Watchbell) -> None:
        self._bell = bell

    def __call__(
        self, job: str | Job[Any, Any], args: Mapping[str, Any] | None = None, count: int | None = None
    ) -> None:
        """Fail unless there are `count` such runs (None: at least one; 0: none), whatever became of them. Each of `args`
        must be among their arguments with that value. NotFound for a job that nobody has declared."""
        __tracebackhide__ = True
        name = job.name if isinstance(job, Job) else job
        asked = self._asked(name)
        wanted = dict(args or {})
        fit = [one for one in asked if all(one.args.get(key, ...) == value for key, value in wanted.items())]
        if bool(fit) if count is None else len(fit) == count:
            return
        said = "at least one run" if count is None else f"{count} run{'' if count == 1 else 's'}"
        such = f"{name}({json.dumps(wanted, ensure_ascii=False)})" if wanted else name
        others = "".join(f"\n  {one}" for one in asked) or " none"
        raise AssertionError(
            f"{said} of {such} should have been enqueued; it was {len(fit)}. Enqueued of {name}:{others}"
        )

    def _asked(self, name: str) -> list[Enqueued]:
        store = self._bell._open()
        if store.read(lambda tx: tx.value("SELECT 1 FROM job WHERE name = ? LIMIT 1", (name,))) is None:
            raise NotFound(f"There is no job named {name!r} on this Watchbell.")
        rows = store.read(
            lambda tx: tx.rows(
                "SELECT o.id, j.name, coalesce(o.args, v.args, '{}'), o.start_at FROM occurrence o JOIN job j ON "
                "j.id = o.job LEFT JOIN schedule_version v ON v.schedule = o.schedule AND v.version = o.version "
                "WHERE o.origin = 'manual' AND j.name = ? ORDER BY o.id",
                (name,),
            )
        )
        return [Enqueued(row[0], row[1], json.loads(row[2]), row[3]) for row in rows]
