"""Moving cursors back after the clock had stood in the future, over what was planned there and never ran.

A cursor never goes back over anything that ran, over a row or a span that something before it points at, or behind the
instant at which its version came into force: what ran is never repeated, and the audit's two sides stay equal. What is
taken out are rows and spans of instants that have not come yet; the audit trail says how many they were.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ...core.states import State, sql_list
from .. import gates
from ..journal import record
from ..schedules.catalog import Catalog
from ..schedules.versions import next_of
from ..tx import Tx, never_again

AHEAD_US = 1_000_000
"""A cursor this little ahead of now is what claiming ahead leaves behind."""
BATCH = 200
NEVER_RAN = frozenset(
    {
        State.WAITING,
        State.QUEUED,
        State.HELD,
        State.MISSED,
        State.SKIPPED,
        State.COALESCED,
        State.SUPERSEDED,
    }
)
_SCHEDULED = "origin IN ('scheduled', 'backfill')"
_KEPT = f"(attempt > 0 OR origin = 'backfill' OR state NOT IN ({sql_list(NEVER_RAN)}))"


@dataclass(frozen=True, slots=True)
class Moved:
    """One cursor: from where to where, how many rows and how many occurrences in spans lie between; `stays` are cursors
    that are ahead too and cannot be moved."""

    schedule: int
    name: str
    before: int
    to: int
    rows: int
    in_spans: int


@dataclass(slots=True)
class Repair:
    """What a repair moves, or has moved."""

    moved: list[Moved] = field(default_factory=list)
    stays: int = 0

    @property
    def rows(self) -> int:
        """How many rows are taken out."""
        return sum(item.rows for item in self.moved)

    @property
    def in_spans(self) -> int:
        """How many occurrences in spans are taken out."""
        return sum(item.in_spans for item in self.moved)


def ahead(tx: Tx, now: int) -> list[int]:
    """The schedules whose cursor stands in the future."""
    return [
        row[0]
        for row in tx.rows(
            "SELECT schedule FROM cursor WHERE planned_until > ? ORDER BY schedule", (now + AHEAD_US,)
        )
    ]


def look(tx: Tx, catalog: Catalog, schedules: Iterable[int], now: int) -> Repair:
    """What a repair of these schedules would do; changes nothing."""
    found = Repair()
    for schedule in schedules:
        item = _look_at(tx, catalog, schedule, now)
        if item is None:
            found.stays += 1
        else:
            found.moved.append(item)
    return found


def carry_out(tx: Tx, catalog: Catalog, schedules: Iterable[int], now: int) -> Repair:
    """Repair these schedules, as they are in this transaction."""
    found = look(tx, catalog, schedules, now)
    for item in found.moved:
        _move(tx, catalog, item)
    return found


def note(tx: Tx, now: int, actor: str, done: Repair) -> None:
    """Leave a word of it in the audit trail."""
    text = (
        f"{len(done.moved)} schedules planned anew from now on; {done.rows} rows and {done.in_spans} occurrences in "
        "spans, of instants that have not come and that never ran, were taken out"
    )
    record(tx, now, actor, "clock.repaired", "clock", text)


def _look_at(tx: Tx, catalog: Catalog, schedule: int, now: int) -> Moved | None:
    row = tx.row(
        "SELECT s.name, c.planned_until, c.version, v.effective_from, s.closed_until FROM cursor c JOIN schedule s ON "
        "s.id = c.schedule JOIN schedule_version v ON v.schedule = c.schedule AND v.version = c.version "
        "WHERE c.schedule = ? AND c.planned_until > ?",
        (schedule, now + AHEAD_US),
    )
    if row is None:
        return None
    name, until, version, effective, closed = row
    known, _ = catalog.definitions(tx, [(schedule, version)])
    definition = known.get((schedule, version))
    if definition is None or definition.chain_us is not None:  # a chain follows from an end that is a fact
        return None
    still = tx.value(
        "SELECT max(max(from_at, coalesce(until_at, from_at))) FROM pause WHERE schedule = ?", (schedule,)
    )
    to = _not_over_what_ran(tx, schedule, max(now, effective, closed, still or 0))
    if to + AHEAD_US >= until:
        return None
    rows = tx.value(
        f"SELECT count(*) FROM occurrence WHERE schedule = ? AND {_SCHEDULED} AND due_at > ?", (schedule, to)
    )
    spans = 0
    for after, count in tx.rows(
        "SELECT from_at, count FROM span WHERE schedule = ? AND to_at > ?", (schedule, to)
    ):
        kept = definition.trigger.count(after, to) if after < to else 0
        spans += int(count) - kept
    return Moved(schedule, name, until, to, int(rows), spans)


def _not_over_what_ran(tx: Tx, schedule: int, to: int) -> int:
    """How far back the cursor may go: not over anything that ran, nor over what something kept points at. Everything up
    to the answer is kept, so that what is kept may keep more."""
    while True:
        found = [
            tx.value(
                f"SELECT max(due_at) FROM occurrence WHERE schedule = ? AND {_SCHEDULED} AND due_at > ? AND {_KEPT}",
                (schedule, to),
            ),
            tx.value(
                "SELECT max(o.due_at) FROM occurrence p JOIN occurrence o ON o.id = p.into_id WHERE p.schedule = ? AND "
                "p.due_at <= ? AND o.schedule = p.schedule AND o.due_at > ?",
                (schedule, to, to),
            ),
            tx.value(
                "SELECT max(o.due_at) FROM span p JOIN occurrence o ON o.id = p.into_id WHERE p.schedule = ? AND "
                "p.from_at < ? AND o.due_at > ?",
                (schedule, to, to),
            ),
            tx.value(
                "SELECT max(to_at) FROM span WHERE schedule = ? AND ending <> 'held' AND from_at < ? AND to_at > ?",
                (schedule, to, to),
            ),
        ]
        further = max((int(at) for at in found if at is not None), default=to)
        if further <= to:
            return to
        to = further


def _move(tx: Tx, catalog: Catalog, item: Moved) -> None:
    schedule, to = item.schedule, item.to
    gone = tx.rows(
        f"SELECT id, state, gates FROM occurrence WHERE schedule = ? AND {_SCHEDULED} AND due_at > ?",
        (schedule, to),
    )
    never_again(tx, "occurrence")
    tx.many("DELETE FROM occurrence WHERE id = ?", [(row[0],) for row in gone])
    for _, state, keys in gone:
        if keys and state == State.QUEUED:
            passed = gates.keys_of(keys)
            gates.change(tx, dict.fromkeys(passed, -1))
            gates.let_in(tx, passed)
    tx.run("DELETE FROM span WHERE schedule = ? AND from_at >= ?", (schedule, to))
    for span, after, version in tx.rows(
        "SELECT id, from_at, version FROM span WHERE schedule = ? AND ending = 'held' AND to_at > ?",
        (schedule, to),
    ):
        known, _ = catalog.definitions(tx, [(schedule, version)])
        count = known[schedule, version].trigger.count(after, to)
        tx.run("UPDATE span SET to_at = ?, count = ? WHERE id = ?", (to, count, span))
        tx.run("DELETE FROM span WHERE id = ? AND count = 0", (span,))
    standing = tx.value("SELECT standing FROM schedule WHERE id = ?", (schedule,))
    due = next_of(tx, schedule, to) if standing == "on" else None
    tx.run(
        "UPDATE cursor SET planned_until = ?, next_due = ? WHERE schedule = ?",
        (to, due, schedule),
    )
    gates.admit_held(tx, schedule)
