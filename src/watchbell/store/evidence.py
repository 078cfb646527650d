"""What the audit reads: the stored facts of every schedule, a page at a time, each page from one snapshot.

A page holds whole schedules as long as they are small, and a window of a large one: the rows come in the order of the
identity index (schedule, due_at), so that memory stays the same however long the ledger is. Reads only.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ..core.audit.evidence import LedgerRow, LiveRow, Node, Other, Pause, Present, SpanRow, Version, Window
from ..core.audit.recount import chain_period, transitions_of
from ..core.audit.stuck import JobFacts
from ..core.lanes import BY_THEMSELVES
from ..core.states import LIVE, sql_list
from . import gates
from .clocks.trust import doubt
from .retention.gone import gone_upto
from .schedules.pending import edits_between
from .tx import Row, Tx

ROWS_PER_PAGE = 20_000
SCHEDULES_PER_PAGE = 500
_AT_ONCE = 500
_ALL = 1 << 62
_ROW = (
    "id, due_at, state, reason, origin, into_id, planned_at, version, epoch, claimed_at, began_at, ended_at, "
    "start_at FROM occurrence WHERE schedule = ? AND origin IN ('scheduled', 'backfill') AND due_at > ?"
)
# SQLite takes a partial index only where its own condition is written out, so this stands beside any narrower one.
_IS_LIVE = f"state IN ({sql_list(LIVE)})"


@dataclass(frozen=True, slots=True)
class Ask:
    """What is to be audited: (from_at, to_at] of one schedule or of all, as of `now`."""

    now: int
    from_at: int | None = None
    to_at: int | None = None
    schedule: int | None = None

    @property
    def upto(self) -> int:
        """Where the audit ends."""
        return self.now if self.to_at is None else min(self.to_at, self.now)

    @property
    def to_present(self) -> bool:
        """Whether it reaches the present."""
        return self.to_at is None or self.to_at >= self.now


@dataclass(frozen=True, slots=True)
class Place:
    """Where the next page begins: at this schedule, behind this due instant."""

    schedule: int = 0
    after: int | None = None


@dataclass(slots=True)
class Page:
    """Some windows, the schedules that are set aside now with (name, since, why), and where to go on."""

    windows: list[Window] = field(default_factory=list)
    set_aside: list[tuple[str, int, str]] = field(default_factory=list)
    schedules: int = 0
    next: Place | None = None


@dataclass(slots=True)
class _Schedule:
    id: int
    name: str
    closed_until: int
    planned_until: int | None
    versions: list[Version] = field(default_factory=list)
    pauses: list[Pause] = field(default_factory=list)


def read_present(tx: Tx, now: int) -> Present:
    """The nodes that ever were, and the recorded outages."""
    nodes = {}
    sql = "SELECT id, name, state, started_at, heartbeat_at, lease_until, stopped_at, handlers, slots, labels FROM node"
    for row in tx.rows(sql):
        nodes[row[0]] = replace(
            Node(*row[:7]),
            handlers=frozenset(json.loads(row[7])),
            slots=json.loads(row[8]),
            acts="exec:" not in row[9],
            labels=frozenset(json.loads(row[9])),
        )
    rows = tx.rows("SELECT kind, from_at, to_at FROM outage ORDER BY from_at")
    return Present(now, nodes, [(row[0], row[1], row[2]) for row in rows], doubt(tx))


def read_page(tx: Tx, ask: Ask, place: Place, zones: dict[tuple[str, str], str]) -> Page:
    """The next page. `zones` keeps the rules of time zones between pages."""
    page = Page()
    schedules = _schedules(tx, ask, place, zones)
    budget = ROWS_PER_PAGE
    for number, schedule in enumerate(schedules):
        after = max(schedule.closed_until, ask.from_at or 0)
        if number == 0 and place.after is not None:
            after = place.after
        else:
            page.schedules += 1
            _note_set_aside(tx, schedule, page)
        window = _window(tx, ask, schedule, after, budget)
        page.windows.append(window)
        budget -= len(window.rows)
        if window.upto < ask.upto and not window.last:
            page.next = Place(schedule.id, window.upto)
            return page
        if budget <= 0:
            page.next = Place(schedule.id + 1)
            return page
    if schedules and ask.schedule is None:
        page.next = Place(schedules[-1].id + 1)
    return page


def count_schedules(tx: Tx) -> int:
    """How many schedules there are, ended ones included; for progress."""
    return int(tx.value("SELECT count(*) FROM schedule"))


def _schedules(tx: Tx, ask: Ask, place: Place, zones: dict[tuple[str, str], str]) -> list[_Schedule]:
    only = "=" if ask.schedule is not None else ">="
    rows = tx.rows(
        "SELECT s.id, s.name, s.closed_until, c.planned_until FROM schedule s LEFT JOIN cursor c ON c.schedule = s.id "
        f"WHERE s.id {only} ? ORDER BY s.id LIMIT ?",
        (place.schedule if ask.schedule is None else ask.schedule, SCHEDULES_PER_PAGE),
    )
    found = {row[0]: _Schedule(*row) for row in rows}
    if not found:
        return []
    span = (min(found), max(found))
    for row in tx.rows(
        "SELECT schedule, version, effective_from, effective_to, trigger, zones, policies FROM schedule_version "
        "WHERE schedule BETWEEN ? AND ? ORDER BY schedule, effective_from, version",
        span,
    ):
        rules = _rules(tx, row[4], row[5], zones)
        version = replace(Version(*row[1:5]), transitions=rules, policies=_policies(row[6]))
        if "blackouts" in version.policies:
            version = replace(version, zones=_all_rules(tx, row[5], zones))
        found[row[0]].versions.append(version)
    for schedule, at, trigger, policies in edits_between(tx, span, ask.now):
        known = found[schedule].versions  # nobody has applied it yet, and yet it holds
        known[-1] = replace(known[-1], to_at=at)
        known.append(Version(known[-1].number + 1, at, None, trigger, policies=_policies(policies)))
    for row in tx.rows(
        "SELECT schedule, kind, from_at, until_at FROM pause WHERE schedule BETWEEN ? AND ? ORDER BY schedule, from_at",
        span,
    ):
        found[row[0]].pauses.append(Pause(*row[1:]))
    return list(found.values())


def _policies(text: str) -> Mapping[str, object]:
    return {} if text == "{}" else dict(json.loads(text))


def _rules(tx: Tx, trigger: str, pairs: str, zones: dict[tuple[str, str], str]) -> str | None:
    """The stored rules of the zones that a trigger depends on; None where none were stored with it."""
    if pairs == "[]":
        return None
    try:
        return transitions_of(trigger, _all_rules(tx, pairs, zones))
    except ValueError:  # the audit meets it again and says so
        return None


def _all_rules(tx: Tx, pairs: str, zones: dict[tuple[str, str], str]) -> dict[str, str]:
    """The stored rules of every zone that a version was planned with."""
    found = {}
    for name, digest in json.loads(pairs):
        if (name, digest) not in zones:
            sql = "SELECT transitions FROM zone_rules WHERE zone = ? AND digest = ?"
            zones[name, digest] = str(tx.value(sql, (name, digest)) or "")
        if zones[name, digest]:
            found[name] = zones[name, digest]
    return found


def _note_set_aside(tx: Tx, schedule: _Schedule, page: Page) -> None:
    since = next((p.from_at for p in schedule.pauses if p.kind == "set_aside" and p.until_at is None), None)
    if since is not None:
        why = tx.value("SELECT set_aside FROM schedule WHERE id = ? AND ended_at IS NULL", (schedule.id,))
        page.set_aside.append((schedule.name, since, str(why or "it is set aside")))


def _window(tx: Tx, ask: Ask, schedule: _Schedule, after: int, budget: int) -> Window:
    upto, last = ask.upto, ask.to_present
    behind = (1 << 62) if last else upto
    sql = f"SELECT {_ROW} AND due_at <= ? ORDER BY due_at LIMIT ?"
    found = tx.rows(sql, (schedule.id, after, behind, budget + 1))
    spans = _spans(tx, schedule.id, after, behind)
    if len(found) > budget and found[budget - 1][1] < upto:
        upto, last = found[budget - 1][1], False
        cut = next((span for span in spans if span.from_at < upto < span.to_at), None)
        if cut is not None and cut.from_at > after:
            upto = cut.from_at
        elif cut is not None:
            upto = min(cut.to_at, ask.upto)
            found = tx.rows(sql, (schedule.id, after, upto, _ALL))
        found = [row for row in found if row[1] <= upto]
        spans = [span for span in spans if span.from_at < upto]
    elif len(found) > budget:
        found = tx.rows(sql, (schedule.id, after, behind, _ALL))
    rows = list(map(LedgerRow._make, found))
    chained = any(_is_chain(version.trigger) for version in schedule.versions)
    by_hand, live = _by_hand(tx, schedule.id) if chained else ((), False)
    return Window(
        schedule=schedule.id,
        name=schedule.name,
        after=after,
        upto=upto,
        last=last,
        planned_until=schedule.planned_until,
        versions=schedule.versions,
        pauses=schedule.pauses,
        rows=rows,
        spans=spans,
        others=_others(tx, rows, spans, schedule.id),
        before=_before(tx, schedule.id, after) if chained else None,
        by_hand=by_hand,
        by_hand_live=live,
        retained=_retained(tx, schedule),
    )


def _is_chain(trigger: str) -> bool:
    try:
        return chain_period(trigger) is not None
    except ValueError:
        return False


def _spans(tx: Tx, schedule: int, after: int, upto: int) -> list[SpanRow]:
    rows = tx.rows(
        "SELECT id, from_at, to_at, count, ending, reason, into_id, planned_at, version FROM span "
        "WHERE schedule = ? AND to_at > ? AND from_at < ? ORDER BY from_at, to_at",
        (schedule, after, upto),
    )
    return [SpanRow(*row) for row in rows]


def _before(tx: Tx, schedule: int, after: int) -> LedgerRow | None:
    sql = f"SELECT {_ROW} AND due_at <= ? AND state <> 'superseded' ORDER BY due_at DESC LIMIT 1"
    row = tx.row(sql, (schedule, -1 << 62, after))
    return None if row is None else LedgerRow._make(row)


def _by_hand(tx: Tx, schedule: int) -> tuple[tuple[int, ...], bool]:
    rows = tx.rows(
        "SELECT ended_at FROM occurrence WHERE origin IN ('manual', 'dependency') AND schedule = ? AND job IN "
        "(SELECT job FROM schedule_version WHERE schedule = ?)",
        (schedule, schedule),
    )
    return tuple(row[0] for row in rows if row[0] is not None), any(row[0] is None for row in rows)


def _retained(tx: Tx, schedule: _Schedule) -> int | None:
    """The number from which on retention has removed none; None where it has removed nothing."""
    gone = gone_upto(tx, schedule.id)
    return None if gone is None else gone + 1


def _others(tx: Tx, rows: Sequence[LedgerRow], spans: Sequence[SpanRow], schedule: int) -> dict[int, Other]:
    wanted = {
        row.into_id for row in rows if row.into_id is not None and row.state in ("skipped", "coalesced")
    }
    wanted.update(span.into_id for span in spans if span.into_id is not None)
    if not wanted:
        return {}
    here = {
        row.id: Other(
            row.id, schedule, row.state, row.origin, row.planned_at, row.epoch, row.claimed_at, row.ended_at
        )
        for row in rows
        if row.id in wanted
    }
    missing = sorted(wanted - here.keys())
    for start in range(0, len(missing), _AT_ONCE):
        ids = ", ".join(map(str, missing[start : start + _AT_ONCE]))
        found = tx.rows(
            "SELECT id, schedule, state, origin, planned_at, epoch, claimed_at, ended_at FROM occurrence "
            f"WHERE id IN ({ids})"
        )
        here.update((row[0], Other._make(row)) for row in found)
    return here


@dataclass(frozen=True, slots=True)
class LiveFacts:
    """A live row with what its judgement needs; see `core.audit.stuck.stuck`."""

    row: LiveRow
    schedule: str | None
    job: JobFacts | None
    deadline_us: int | None
    alone_since: int | None


def read_live(tx: Tx, after: int, limit: int = ROWS_PER_PAGE, schedule: int | None = None) -> list[LiveFacts]:
    """The next live rows, by id. A backfilled one has no start deadline: who asked for it knows that it is late."""
    only = "" if schedule is None else f"AND o.schedule = {schedule} "
    rows = tx.rows(
        "SELECT o.id, o.schedule, o.job, o.state, o.due_at, o.start_at, o.ready_at, o.planned_at, o.claimed_at, o.node, "
        "o.version, o.held_by, o.lane, s.name, CASE o.origin WHEN 'backfill' THEN NULL ELSE v.policies END "
        "FROM occurrence o INDEXED BY occurrence_live "
        "LEFT JOIN schedule s ON s.id = o.schedule "
        "LEFT JOIN schedule_version v ON v.schedule = o.schedule AND v.version = o.version "
        f"WHERE o.{_IS_LIVE} AND o.id > ? {only}ORDER BY o.id LIMIT ?",
        (after, limit),
    )
    jobs = _jobs(tx, {row[2] for row in rows})
    alone: dict[int, int | None] = {}
    facts = []
    for row in rows:
        live = LiveRow._make(row[:13])
        since = None
        if live.state == "held" and live.held_by == "overlap" and live.schedule is not None:
            if live.schedule not in alone:
                alone[live.schedule] = _alone_since(tx, live.schedule)
            since = alone[live.schedule]
        deadline = _policies(row[14]).get("start_deadline_us") if row[14] else None
        deadline_us = deadline if isinstance(deadline, int) else None
        facts.append(LiveFacts(live, row[13], jobs.get(live.job), deadline_us, since))
    return facts


def _jobs(tx: Tx, wanted: Iterable[int]) -> dict[int, JobFacts]:
    ids, found = sorted(wanted), dict[int, JobFacts]()
    for start in range(0, len(ids), _AT_ONCE):
        some = ", ".join(map(str, ids[start : start + _AT_ONCE]))
        sql = f"SELECT id, name, lane, aliases, options FROM job WHERE id IN ({some})"
        found |= {row[0]: job_facts(row) for row in tx.rows(sql)}
    return found


def job_facts(row: Row) -> JobFacts:
    """What (id, name, lane, aliases, options) say of where a job can be carried out."""
    names = frozenset() if row[2] in BY_THEMSELVES else frozenset((row[1], *json.loads(row[3])))
    options = json.loads(row[4])
    return JobFacts(row[1], names, bool(options.get("hold_if_missing")), tuple(options.get("on", ())))


def _alone_since(tx: Tx, schedule: int) -> int | None:
    """Since when nothing of the schedule is live but what is held behind it; None while something is."""
    rows = tx.rows(
        f"SELECT 1 FROM occurrence WHERE schedule = ? AND {_IS_LIVE} "
        "AND NOT (state = 'held' AND held_by = 'overlap') AND state <> 'waiting' LIMIT 1",
        (schedule,),
    )
    if rows:
        return None
    ended = tx.value(
        "SELECT max(ended_at) FROM (SELECT ended_at FROM occurrence WHERE schedule = ? "
        "AND origin IN ('scheduled', 'backfill') ORDER BY due_at DESC LIMIT 200) newest",
        (schedule,),
    )
    return int(ended or 0)


def full_lanes(tx: Tx, present: Present) -> frozenset[str]:
    """The lanes in which nothing more can begin at this moment, whoever has a slot."""
    busy: dict[str, int] = dict(
        tx.rows(
            "SELECT lane, count(*) FROM occurrence INDEXED BY occurrence_live "
            f"WHERE {_IS_LIVE} AND state IN ('claimed', 'running') GROUP BY lane"
        )
    )
    nodes = [node for node in present.nodes.values() if node.is_up(present.now)]
    lanes = busy.keys() | {lane for node in nodes for lane in node.slots}
    return frozenset(
        lane for lane in lanes if busy.get(lane, 0) >= sum(node.slots.get(lane, 0) for node in nodes)
    )


def wrong_gates(tx: Tx) -> list[tuple[str, int, int]]:
    """(key, active as stored, active as counted) of every gate whose number is wrong."""
    counted: dict[str, int] = {}
    for keys, count in tx.rows(
        "SELECT gates, count(*) FROM occurrence INDEXED BY occurrence_live "
        f"WHERE {_IS_LIVE} AND state IN ({sql_list(gates.ADMITTED)}) AND gates IS NOT NULL GROUP BY gates"
    ):
        for key in gates.keys_of(keys):
            counted[key] = counted.get(key, 0) + count
    stored = {row[0]: row[1] for row in tx.rows("SELECT key, active FROM gate")}
    return [
        (key, stored.get(key, 0), counted.get(key, 0))
        for key in sorted(stored.keys() | counted.keys())
        if stored.get(key, 0) != counted.get(key, 0)
    ]
