"""What an explanation reads: one schedule at one instant, and where schedules stand now. Reads only."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from ..core.audit.evidence import Present
from ..core.blackout import read_blackouts
from ..core.explain.case import Case, KnownPause, KnownVersion
from ..core.explain.outlook import Outlook
from ..core.explain.words import RunFacts
from ..core.spread import spread_of
from ..core.states import LIVE, RAN, sql_list
from ..core.triggers import Interval, Manual, Trigger, trigger_from_json
from ..core.wallclock import ZoneRules, rules_from_json, zone_rules
from ..errors import NotFound, WatchbellError
from . import rates
from .evidence import job_facts, read_present
from .listing import came_due, newest_by_hand
from .schedules.catalog import spread_in
from .schedules.pending import edit_of, next_with
from .spans import span_around
from .tx import Row, Tx

MOST_HOPS = 20
_RUN = (
    "o.id, o.due_at, o.state, o.origin, o.planned_at, o.start_at, o.reason, o.into_id, o.claimed_at, o.began_at, "
    "o.ended_at, o.ready_at, o.attempt, o.held_by, n.name, o.error, o.exit_code, o.note, o.resolved, o.stands_for, "
    "o.revoke, o.history FROM occurrence o LEFT JOIN node n ON n.id = o.node"
)


def find_any(tx: Tx, name: str) -> int:
    """The schedule of that name; where it has ended, the newest that had it. NotFound."""
    found = tx.value(
        "SELECT id FROM schedule WHERE workspace = 1 AND name = ? ORDER BY ended_at IS NULL DESC, id DESC LIMIT 1",
        (name,),
    )
    if found is None:
        raise NotFound(f"There is no schedule named {name!r}; `watchbell schedule list` shows them all.")
    return int(found)


def read_case(tx: Tx, schedule: int, at: int, now: int) -> Case:
    """Everything about the schedule at the instant."""
    name, created, ended, closed, set_aside, next_due, until = _header(tx, schedule)
    versions = _coming_versions(tx, schedule)
    row = _row_at(tx, schedule, at)
    row = None if row is None else _under_rate(tx, row, now)
    span = None if row is not None else span_around(tx, schedule, at)
    into = row.into_id if row is not None else span.into_id if span is not None else None
    coalesced = (row.state if row is not None else span.ending if span is not None else "") == "coalesced"
    live = _live(tx, schedule)
    other = _follow(tx, into) if coalesced else _run(tx, into)
    if row is not None and row.state == "held" and row.held_by == "overlap" and other is None:
        other = next((each for each in live if each.id != row.id and each.due_at <= row.due_at), None)
    present = read_present(tx, now)
    job, _, handler, lacking = _job(tx, schedule, present)
    return Case(
        name=name,
        tz=_zone(versions, at),
        job=job,
        at=at,
        present=present,
        created_at=created,
        ended_at=ended,
        closed_until=closed,
        set_aside=set_aside,
        next_due=next_due,
        planned_until=until,
        versions=versions,
        pauses=_pauses(tx, schedule),
        row=row,
        span=span,
        other=other,
        live=live,
        handler=handler,
        lacking=lacking,
    )


def last_and_next(tx: Tx, schedule: int, now: int) -> tuple[int | None, int | None]:
    """The last instant at or before `now` at which the schedule was due, and the next one after it."""
    next_due = _header(tx, schedule)[5]
    versions = _coming_versions(tx, schedule)
    row = tx.value(
        "SELECT max(due_at) FROM occurrence WHERE schedule = ? AND origin IN ('scheduled', 'backfill') AND due_at <= ?",
        (schedule, now),
    )
    last = None if row is None else int(row)
    for version in reversed(versions):
        if version.chained:
            continue
        found = version.rule.last_in(
            version.from_at, now if version.to_at is None else min(version.to_at, now)
        )
        if found is not None:
            last = found if last is None else max(last, found)
            break
    following = next_due
    if versions and versions[-1].to_at is None and not versions[-1].chained:
        following = next((at for version in versions if (at := _next_by(version, now)) is not None), None)
    return last, following


def read_outlooks(tx: Tx, schedules: Sequence[int], present: Present) -> dict[int, Outlook]:
    """Where these schedules stand."""
    slots: dict[str, int] = {}
    for node in present.engines:
        if node.is_up(present.now):
            for lane, count in node.slots.items():
                slots[lane] = slots.get(lane, 0) + int(count)
    return {schedule: _outlook(tx, schedule, present, slots) for schedule in schedules}


def _outlook(tx: Tx, schedule: int, present: Present, slots: dict[str, int]) -> Outlook:
    name, created, _, _, set_aside, next_due, _ = _header(tx, schedule)
    versions = _versions(tx, schedule)
    job, lane, handler, lacking = _job(tx, schedule, present)
    live = _first_under_rate(tx, _live(tx, schedule), present.now)
    busy = 0
    if any(row.state == "queued" for row in live):
        busy = int(
            tx.value(
                f"SELECT count(*) FROM occurrence INDEXED BY occurrence_live WHERE state IN ({sql_list(LIVE)}) "
                "AND state IN ('claimed', 'running') AND lane = ?",
                (lane,),
            )
        )
    held = {row.held_by for row in live if row.state == "held" and row.held_by not in (None, "overlap")}
    gates = {
        key: tx.row("SELECT active, lim FROM gate WHERE key = ?", (key,)) for key in sorted(map(str, held))
    }
    still = [pause for pause in _pauses(tx, schedule) if pause.until_at is None]
    last = _last_run(tx, schedule)
    order = ("set_aside", "disabled", "paused")
    return Outlook(
        name=name,
        tz=_zone(versions, present.now),
        trigger=versions[-1].rule,
        created_at=created,
        next_due=next_due if still else next_with(edit_of(tx, schedule), next_due),
        pause=min(still, key=lambda pause: order.index(pause.kind)) if still else None,
        set_aside=set_aside,
        job=job,
        lane=lane,
        handler=handler,
        lacking=lacking,
        live=live,
        last=last,
        by_hand=None if last is not None else _by_hand(tx, schedule),
        came_due=last is not None or came_due(tx, schedule),
        busy=busy,
        slots=slots.get(lane) if present.up_since is not None else None,
        active={key: (row[0], row[1]) for key, row in gates.items() if row is not None},
    )


def _header(tx: Tx, schedule: int) -> Row:
    row = tx.row(
        "SELECT s.name, s.created_at, s.ended_at, s.closed_until, s.set_aside, c.next_due, c.planned_until "
        "FROM schedule s LEFT JOIN cursor c ON c.schedule = s.id WHERE s.id = ?",
        (schedule,),
    )
    if row is None:
        raise NotFound(f"There is no schedule number {schedule}.")
    return row


def _versions(tx: Tx, schedule: int) -> list[KnownVersion]:
    rows = tx.rows(
        "SELECT version, effective_from, effective_to, trigger, zones, policies FROM schedule_version "
        "WHERE schedule = ? ORDER BY effective_from, version",
        (schedule,),
    )
    found = []
    for number, from_at, to_at, text, zones, policies in rows:
        trigger, rules, broken = _trigger(tx, text, zones)
        says = json.loads(policies)
        dark = read_blackouts(says.get("blackouts", ()))
        found.append(
            KnownVersion(
                number=number,
                from_at=from_at,
                to_at=to_at,
                trigger=trigger,
                overlap=says.get("overlap", "skip"),
                catchup=says.get("catchup", "latest"),
                chained=isinstance(trigger, Interval) and trigger.after_completion,
                rules=rules,
                broken=broken,
                blackouts=tuple(one.with_rules(_stored(tx, one.zones(), json.loads(zones))) for one in dark),
                condition=says.get("condition"),
                spread=spread_in(schedule, policies, trigger),
            )
        )
    return found


def _trigger(tx: Tx, text: str, zones: str) -> tuple[Trigger, ZoneRules | None, str | None]:
    """The rule behind a stored text; a manual one, and why, where it cannot be read."""
    try:
        trigger = trigger_from_json(json.loads(text))
        rules = _rules(tx, trigger, json.loads(zones))
        stored = _stored(tx, trigger.zones(), json.loads(zones))
    except (WatchbellError, ValueError) as error:
        return Manual(), None, str(error)
    return trigger.with_rules(stored), rules, None


def _coming_versions(tx: Tx, schedule: int) -> list[KnownVersion]:
    """All versions, with the one that an edit will bring at its instant."""
    versions = _versions(tx, schedule)
    edit = edit_of(tx, schedule)
    if edit is None or not versions:
        return versions
    content, last = edit.content, versions[-1]
    new = KnownVersion(
        number=last.number + 1,
        from_at=edit.at,
        to_at=None,
        trigger=content.trigger,
        overlap=str(content.policies.overlap),
        catchup=str(content.policies.catchup),
        chained=isinstance(content.trigger, Interval) and content.trigger.after_completion,
        blackouts=content.policies.blackouts,
        condition=content.policies.condition,
        spread=spread_of(schedule, content.policies, content.trigger),
    )
    return [*versions[:-1], replace(last, to_at=edit.at), new]


def _next_by(version: KnownVersion, now: int) -> int | None:
    """The next instant that a version implies while it holds."""
    found = None if version.chained else version.rule.next_after(max(now, version.from_at))
    return None if found is None or (version.to_at is not None and found > version.to_at) else found


def _stored(tx: Tx, wanted: Sequence[str], zones: list[list[str]]) -> dict[str, ZoneRules]:
    """The rules that were stored for these zones."""
    sql = "SELECT transitions FROM zone_rules WHERE zone = ? AND digest = ?"
    texts = {name: tx.value(sql, (name, digest)) for name, digest in zones if name in wanted}
    return {name: rules_from_json(json.loads(text)) for name, text in texts.items() if text is not None}


def _rules(tx: Tx, trigger: Trigger, zones: list[list[str]]) -> ZoneRules | None:
    """The rules of the trigger's zone: those that were stored with the version, else today's."""
    for zone in trigger.zones():
        for name, digest in zones:
            if name == zone:
                sql = "SELECT transitions FROM zone_rules WHERE zone = ? AND digest = ?"
                if (text := tx.value(sql, (name, digest))) is not None:
                    return rules_from_json(json.loads(text))
        return zone_rules(zone)
    return None


def _zone(versions: Sequence[KnownVersion], at: int) -> str:
    held = [version for version in versions if version.from_at < at] or list(versions)
    tz = getattr(held[-1].trigger, "tz", None) if held else None
    return str(tz or "UTC")


def _pauses(tx: Tx, schedule: int) -> list[KnownPause]:
    rows = tx.rows(
        "SELECT kind, from_at, until_at, actor, note FROM pause WHERE schedule = ? ORDER BY from_at",
        (schedule,),
    )
    return [KnownPause(*row) for row in rows]


def _job(tx: Tx, schedule: int, present: Present) -> tuple[str, str, bool | None, str | None]:
    """The job's name, its lane, whether a node that is up has its handler (None: it needs none), and which labels none
    has that it asks for."""
    row = tx.row(
        "SELECT j.id, j.name, j.lane, j.aliases, j.options FROM job j JOIN schedule s ON s.job = j.id WHERE s.id = ?",
        (schedule,),
    )
    if row is None:
        return "", "", None, None
    facts = job_facts(row)
    names = facts.handlers
    up = [node for node in present.engines if node.is_up(present.now)]
    known = any(names & node.handlers for node in up) if names else None
    return row[1], row[2], known, present.lacking(facts.on)


def _run(tx: Tx, run: int | None) -> RunFacts | None:
    row = None if run is None else tx.row(f"SELECT {_RUN} WHERE o.id = ?", (run,))
    return None if row is None else RunFacts(*row)


def _follow(tx: Tx, run: int | None) -> RunFacts | None:
    """The row that stands for one that was coalesced, through as many as there are."""
    found = _run(tx, run)
    for _ in range(MOST_HOPS):
        if found is None or found.state != "coalesced" or found.into_id is None:
            break
        found = _run(tx, found.into_id) or found
    return found


def _under_rate(tx: Tx, row: RunFacts, now: int) -> RunFacts:
    """The row with the rate that holds it, if one does."""
    told = rates.told(tx, row.id, row.held_by, now) if row.state == "held" else None
    return row if told is None else replace(row, waits_for=told[0], ready_at=told[1])


def _first_under_rate(tx: Tx, rows: list[RunFacts], now: int) -> list[RunFacts]:
    """The rows, the first of them that is held with the rate that holds it."""
    first = next((place for place, row in enumerate(rows) if row.state == "held"), None)
    if first is not None:
        rows[first] = _under_rate(tx, rows[first], now)
    return rows


def _row_at(tx: Tx, schedule: int, at: int) -> RunFacts | None:
    row = tx.row(
        f"SELECT {_RUN} WHERE o.schedule = ? AND o.origin IN ('scheduled', 'backfill') AND o.due_at = ?",
        (schedule, at),
    )
    return None if row is None else RunFacts(*row)


def _live(tx: Tx, schedule: int) -> list[RunFacts]:
    rows = tx.rows(
        f"SELECT {_RUN} WHERE o.schedule = ? AND o.state IN ({sql_list(LIVE)}) ORDER BY o.due_at, o.id LIMIT 100",
        (schedule,),
    )
    return [RunFacts(*row) for row in rows]


def _last_run(tx: Tx, schedule: int) -> RunFacts | None:
    """The newest row that ran and has ended, looked for among the newest thousand."""
    rows = tx.rows(
        "SELECT id, state FROM occurrence WHERE schedule = ? AND origin IN ('scheduled', 'backfill') "
        "ORDER BY due_at DESC LIMIT 1000",
        (schedule,),
    )
    return _run(tx, next((row[0] for row in rows if row[1] in RAN), None))


def _by_hand(tx: Tx, schedule: int) -> RunFacts | None:
    job = tx.value("SELECT job FROM schedule WHERE id = ?", (schedule,))
    return None if job is None else _run(tx, newest_by_hand(tx, schedule, int(job)))
