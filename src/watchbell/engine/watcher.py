"""The watcher: looks every few seconds for what nobody else would notice. Rows that wait past their start deadline or
for a handler that does not come, occurrences that are late, runs that take unusually long, claims of engines that are
gone, and the number of schedules that is planned. What it decides is written through the same guarded writes."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable

from ..core.alert import Happening
from ..core.audit.evidence import Present
from ..core.instants import human_age, human_duration, stored_text, to_text
from ..core.lanes import BY_THEMSELVES
from ..core.rates import held_by_rate
from ..core.states import Reason, State, check
from ..store import alerts, gates, nodes
from ..store.business_keys import expire_keys
from ..store.evidence import read_present
from ..store.planning import LIVE_ROWS
from ..store.schedules.catalog import Catalog
from ..store.schedules.standing import follow_chain
from ..store.tx import Tx
from .house import House
from .logwatch import LogWatch
from .recovery import settle_abandoned
from .zonekeeper import ZoneKeeper

EVERY_US = 5_000_000
HOUR_US = 3_600_000_000
HANDLER_GRACE_US = 60_000_000
LEAST_LONG_US = 60_000_000
USUAL_RUNS = 9
COUNT_US = 60_000_000
LIMIT = 500
_HOWEVER_LATE = '{"grace_us": 3155760000000000}'
"""What holds for a backfilled row: somebody wants it, and knows that it is late."""
_BACKFILLED = "SELECT DISTINCT schedule FROM occurrence WHERE state = 'held' AND held_by = 'overlap' AND origin = 'backfill' LIMIT ?"
"""Schedules whose backfilled rows wait for a moment in which nothing fresh is live."""
_log = logging.getLogger("watchbell.engine")


class Watcher:
    """What one node looks for."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._started = house.clock.wall_us()
        self._zones = ZoneKeeper(house)
        self._late: set[int] = set()
        self._log_watch = LogWatch(house)
        self._long: set[int] = set()
        self._since: dict[int, int] = {}
        """Since when a row of each job has waited, without a look that found none."""
        self._counts: tuple[int, int] | None = None
        self._counted = 0
        self._looked = 0
        self._known: set[str] = set()
        """The names of the handlers that any node has had within the grace."""
        self._present: Present | None = None
        """Who is there, once this look has had to ask."""
        self._catalog = Catalog()
        """What it has read of the jobs."""

    def step(self) -> int:
        """Look once."""
        house = self._house
        now = house.clock.wall_us()
        # What waits is judged by what the clock would show, if it is not believed.
        late, long, since = self._late, self._long, self._since

        def look(tx: Tx) -> None:
            # What was told in a transaction that was undone is told again.
            self._late, self._long, self._since = set(late), set(long), dict(since)
            self._sweep(tx, now - house.doubt_us)

        try:
            house.store.write(look)
        except BaseException:
            self._late, self._long, self._since = late, long, since
            self._catalog.forget()
            raise
        settle_abandoned(house, False)
        self._zones.step()
        self._log_watch.look()
        self._count(now)
        return EVERY_US

    # --- rows that wait too long ------------------------------------------------------------------------------------

    def _sweep(self, tx: Tx, now: int) -> None:
        self._house.fence(tx)
        self._present = None
        self._catalog.refresh(tx)
        self._known = nodes.known_since(tx, self._house.clock.wall_us() - HANDLER_GRACE_US)
        waiting = tx.rows(
            "SELECT o.id, o.state, o.schedule, o.job, o.due_at, o.start_at, o.gates, o.held_by, o.lane, s.name, "
            f"CASE o.origin WHEN 'backfill' THEN '{_HOWEVER_LATE}' ELSE v.policies END, s.tags "
            "FROM occurrence o LEFT JOIN schedule s ON s.id = o.schedule "
            "LEFT JOIN schedule_version v ON v.schedule = o.schedule AND v.version = o.version "
            f"WHERE o.{LIVE_ROWS} AND o.state IN ('waiting', 'queued', 'held') AND o.start_at < ? LIMIT ?",
            (now, LIMIT),
        )
        self._since = self._waits((row[3], row[5]) for row in waiting)
        happened = []
        for run, state, schedule, job, due, start, keys, held_by, lane, name, policies, tags in waiting:
            data = json.loads(policies) if policies else {}
            deadline = data.get("start_deadline_us")
            subject = name or self._job_name(tx, job)
            labels = (*(json.loads(tags) if tags else ()), *self._catalog.job(tx, job).tags)
            about = Happening("missed", 1, subject, labels, run, due)
            if deadline is not None and now > start + deadline:
                self._miss(tx, (run, state, schedule, keys), Reason.START_DEADLINE, now)
                happened.append(_with(about, f"it did not start within {human_duration(deadline)}"))
            elif self._without_handler(tx, job, lane, start, now):
                self._miss(tx, (run, state, schedule, keys), Reason.HANDLER_MISSING, now)
                self._since.pop(job, None)
                happened.append(_with(about, "no engine has the code of its job"))
            elif now - start > data.get("grace_us", 60_000_000) and run not in self._late:
                self._late.add(run)
                rate = held_by_rate(held_by)
                why = f"held by {held_by}" if held_by else "it waits for a free slot"
                why = (self._lacking(tx, job) or why) if rate is None else f"it waits for {rate}"
                _log.warning(
                    "occurrence.overdue: %s is overdue by %s: %s", subject, human_age(now - start), why
                )
                self._house.hooks.tell(
                    "occurrence.overdue", {"schedule": subject, "run": f"run_{run}", "due_at": due}
                )
                happened.append(_with(about, f"overdue by {human_age(now - start)}, {why}", "late"))
        self._late &= {row[0] for row in waiting}
        for (schedule,) in tx.rows(_BACKFILLED, (LIMIT,)):
            gates.admit_held(tx, schedule)
        happened += self._without_another_attempt(tx, now)
        happened += self._running_long(tx, now)
        if happened:
            tx.after_commit(self._house.alerted) if alerts.observe(tx, happened, now) else None

    def _waits(self, waiting: Iterable[tuple[int, int]]) -> dict[int, int]:
        """Since when there has been a row of each job at every look. Where a schedule comes due often, each row takes the
        place of the one before it, and none of them grows old."""
        found: dict[int, int] = {}
        for job, start in waiting:
            found[job] = min(start, found.get(job, start), self._since.get(job, start))
        return found

    def _without_another_attempt(self, tx: Tx, now: int) -> list[Happening]:
        """Runs that wait for an attempt for which the code does not come: they have begun, so that they have failed."""
        rows = tx.rows(
            "SELECT o.id, o.schedule, o.job, o.lane, o.due_at, o.ready_at, o.gates, s.name, s.tags FROM occurrence o "
            f"LEFT JOIN schedule s ON s.id = o.schedule WHERE o.{LIVE_ROWS} AND o.state = 'retrying' AND "
            "o.ready_at < ? LIMIT ?",
            (now - HANDLER_GRACE_US, LIMIT),
        )
        happened = []
        for run, schedule, job, lane, due, ready, keys, name, tags in rows:
            if self._without_handler(tx, job, lane, ready, now):
                self._end(
                    tx, (run, State.RETRYING, schedule, keys), State.FAILED, Reason.HANDLER_MISSING, now
                )
                labels = (*(json.loads(tags) if tags else ()), *self._catalog.job(tx, job).tags)
                about = Happening("failed", 1, name or self._job_name(tx, job), labels, run, due)
                happened.append(_with(about, "no engine has the code for its next attempt", "failed"))
        return happened

    def _without_handler(self, tx: Tx, job: int, lane: str, start: int, now: int) -> bool:
        """Whether the row, or one after the other of its job, has waited long enough for a node that knows the job, with
        this one up all the time and none that knew it there since."""
        since = min(start, self._since.get(job, start))
        if lane in BY_THEMSELVES or now - max(since, self._started) < HANDLER_GRACE_US:
            return False
        found = self._catalog.job(tx, job)
        if found.options.hold_if_missing or not self._known.isdisjoint((found.name, *found.aliases)):
            return False
        return not self._house.handlers.knows(found)

    def _lacking(self, tx: Tx, job: int) -> str | None:
        """The labels that a job asks for and no node has, in words."""
        on = self._catalog.job(tx, job).options.on
        if not on:
            return None
        if self._present is None:
            self._present = read_present(tx, self._house.clock.wall_us())
        return self._present.lacking(on)

    def _miss(self, tx: Tx, row: tuple[int, str, int | None, str | None], reason: Reason, now: int) -> None:
        run, state, schedule, keys = row
        self._end(tx, (run, State(state), schedule, keys), State.MISSED, reason, now)
        _log.warning("occurrence.missed: run_%d: %s", run, reason)

    def _end(
        self, tx: Tx, row: tuple[int, State, int | None, str | None], to: State, reason: Reason, now: int
    ) -> None:
        """A row that nobody holds ends; the places it had are free, and what waited behind it is let in."""
        run, state, schedule, keys = row
        check(state, to)
        tx.run(
            "UPDATE occurrence SET state = ?, reason = ?, ended_at = ?, held_by = NULL, ready_at = NULL WHERE id = ? "
            "AND state = ?",
            (to.value, reason.value, now, run, state.value),
        )
        expire_keys(tx, [run], now)
        if keys and state in (State.QUEUED, State.RETRYING):
            passed = gates.keys_of(keys)
            gates.change(tx, dict.fromkeys(passed, -1))
            gates.let_in(tx, passed)
        if schedule is not None:
            follow_chain(tx, schedule, now)
            gates.admit_held(tx, schedule)

    def _job_name(self, tx: Tx, job: int) -> str:
        return self._catalog.job(tx, job).name

    # --- runs that take long ----------------------------------------------------------------------------------------

    def _running_long(self, tx: Tx, now: int) -> list[Happening]:
        """Runs that go on for over an hour, or for three times as long as usual: told once each."""
        rows = tx.rows(
            "SELECT o.id, o.job, o.began_at, o.due_at, s.name, s.tags, o.schedule FROM occurrence o "
            f"LEFT JOIN schedule s ON s.id = o.schedule WHERE o.{LIVE_ROWS} AND o.state = 'running' AND o.began_at < ? LIMIT ?",
            (now - LEAST_LONG_US, LIMIT),
        )
        happened = []
        for run, job, began, due, name, tags, schedule in rows:
            if run in self._long or now - began < self._unusual(tx, schedule):
                continue
            self._long.add(run)
            subject = name or self._job_name(tx, job)
            text = f"running since {to_text(began)}, for {human_age(now - began)}"
            _log.warning("run.running_long: %s, run_%d: %s", subject, run, text)
            labels = (*(json.loads(tags) if tags else ()), *self._catalog.job(tx, job).tags)
            happened.append(Happening("running_long", 1, subject, labels, run, due, detail=text))
        self._long &= {row[0] for row in rows}
        return happened

    def _unusual(self, tx: Tx, schedule: int | None) -> int:
        """How long a run of this schedule may go on before that is worth a word: three times the middle of its last
        successes, and an hour where there are too few of them or they take that long."""
        rows = tx.rows(
            "SELECT ended_at - began_at FROM occurrence WHERE schedule = ? AND origin IN ('scheduled', 'backfill') AND "
            "state = 'succeeded' ORDER BY due_at DESC LIMIT ?",
            (schedule, USUAL_RUNS),
        ) if schedule is not None else []  # fmt: skip
        if len(rows) < USUAL_RUNS:
            return HOUR_US
        usual = sorted(row[0] for row in rows)[USUAL_RUNS // 2]
        return min(HOUR_US, max(LEAST_LONG_US, 3 * int(usual)))

    # --- how many schedules are planned -------------------------------------------------------------------------------

    def _count(self, now: int) -> None:
        """A line at every change of the number of schedules and hourly; a warning when none of them is planned."""
        if now - self._looked < COUNT_US:
            return
        self._looked = now
        enabled, planned, first = self._house.store.read(_counts)
        if (enabled, planned) == self._counts and now - self._counted < HOUR_US:
            return
        changed = (enabled, planned) != self._counts
        self._counts, self._counted = (enabled, planned), now
        if enabled and not planned and changed and (unplanned := self._house.store.read(_unplanned)):
            self._nothing_scheduled(unplanned, now)
        due = "none" if first is None else stored_text(first)
        _log.info("engine.schedules: %d on, %d scheduled, next due %s", enabled, planned, due)

    def _nothing_scheduled(self, unplanned: int, now: int) -> None:
        _log.warning(
            "engine.nothing_scheduled: %d schedules are on, and none of them has a next due instant",
            unplanned,
        )
        detail = f"{unplanned} schedules are on, and none of them has a next due instant"
        about = Happening("missed", 1, "watchbell", due_at=now, detail=detail)
        if self._house.store.write(lambda tx: alerts.observe(tx, [about], now)):
            self._house.alerted()


def _counts(tx: Tx) -> tuple[int, int, int | None]:
    enabled = tx.value("SELECT count(*) FROM schedule WHERE standing = 'on' AND ended_at IS NULL")
    planned, first = tx.row("SELECT count(*), min(next_due) FROM cursor WHERE next_due IS NOT NULL") or (
        0,
        None,
    )
    return int(enabled), int(planned), first


def _unplanned(tx: Tx) -> int:
    """How many schedules that ought to come due again have no next instant, where none of all schedules has one. One
    that counts from its run's end has none while it runs."""
    if tx.value(f"SELECT 1 FROM occurrence WHERE {LIVE_ROWS} AND schedule IS NOT NULL LIMIT 1"):
        return 0
    return int(
        tx.value(
            "SELECT count(*) FROM schedule s JOIN schedule_version v ON v.schedule = s.id AND v.version = s.version "
            "WHERE s.standing = 'on' AND s.ended_at IS NULL AND v.trigger LIKE '%\"kind\":\"cron\"%' OR "
            "s.standing = 'on' AND s.ended_at IS NULL AND v.trigger LIKE '%\"kind\":\"interval\"%'"
        )
    )


def _with(about: Happening, detail: str, event: str = "missed") -> Happening:
    return Happening(event, about.workspace, about.subject, about.tags, about.run, about.due_at, 1, detail)
