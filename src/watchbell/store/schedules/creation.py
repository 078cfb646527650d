"""New schedules: the rows that one is, written for one or for ten thousand in one transaction, table by table.

An application that declares ten thousand schedules, and a source that reads them from a table, say nearly the same
thing ten thousand times: what is equal is turned into text once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from ...core.blackout import Blackout
from ...core.definition import canonical
from ...core.policies import Policies, to_json
from ...core.triggers import Trigger
from ..tx import Tx
from .ground import Ground
from .pauses import Doer
from .specs import ScheduleSpec, content_of, tags_text
from .versions import asked_text, first_due, mark_of, rules_of, under, zones_text

FEW = 8
"""So many rows of one table are sent as statements of their own, with the commit."""
_SCHEDULE = (
    "INSERT INTO schedule (id, workspace, name, job, version, tags, about, app, revision, source, source_key, "
    "standing, set_aside, created_at) VALUES (?, 1, ?, ?, 1, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_VERSION = (
    "INSERT INTO schedule_version (schedule, version, effective_from, job, trigger, policies, args, zones, hash, "
    "actor, created_at) VALUES (?, 1, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_CURSOR = "INSERT INTO cursor (schedule, next_due, planned_until, version) VALUES (?, ?, ?, 1)"
_PAUSE = "INSERT INTO pause (schedule, kind, from_at, actor, note) VALUES (?, ?, ?, ?, ?)"
_EVENT = "INSERT INTO audit_event (at, actor, action, subject, detail) VALUES (?, ?, 'schedule.added', ?, ?)"


@dataclass(frozen=True, slots=True)
class _Rule:
    """A trigger as it is stored, once bound to the zone and the instant of creation, with the blackouts of those who
    have it."""

    here: Trigger
    """With the rules that its zones have on this machine, and not in this database."""
    bound: Trigger
    blackouts: tuple[Blackout, ...]
    asked: str
    json: str
    text: str
    zones: str
    first: int | None


@dataclass(frozen=True, slots=True)
class _Saying:
    """What the versions of many say alike. `policies` are those that were asked for, kept so that nothing else takes
    their place in memory."""

    policies: Policies
    rule: _Rule
    text: str
    mark: str


@dataclass(frozen=True, slots=True)
class Made:
    """A new schedule as it was written. `rule` is bound, and `here` with the rules that its zones have on this machine; the
    others are the texts of its row."""

    id: int
    here: Trigger
    rule: Trigger
    blackouts: tuple[Blackout, ...]
    trigger: str
    policies: str
    tags: str
    standing: str
    next_due: int | None


class Creation:
    """Collects new schedules; `write` writes them. Their names must be free. `ground`: what was read for the first."""

    def __init__(self, tx: Tx, doer: Doer, ground: Ground | None = None) -> None:
        self._tx = tx
        self._doer = doer
        self._next = tx.next_id("schedule") if ground is None else ground.schedule
        self._digests = {} if ground is None else ground.digests
        self._sayings: dict[tuple[Trigger, int, str, int], _Saying] = {}
        self._rules: dict[tuple[Trigger, tuple[Blackout, ...]], _Rule] = {}
        self._policies: dict[tuple[Policies, tuple[Blackout, ...]], str] = {}
        self._schedules: list[tuple[Any, ...]] = []
        self._versions: list[tuple[Any, ...]] = []
        self._cursors: list[tuple[Any, ...]] = []
        self._pauses: list[tuple[Any, ...]] = []
        self._events: list[tuple[Any, ...]] = []

    def add(self, spec: ScheduleSpec) -> int:
        """Take one in; returns the id it will have."""
        now, actor, job = self._doer.now, self._doer.actor, spec.job
        schedule, self._next = self._next, self._next + 1
        saying = self._saying(spec)
        rule = saying.rule
        standing = _standing(spec)
        self._schedules.append(
            (schedule, spec.name, job, tags_text(spec.tags), spec.about, spec.app, spec.revision, spec.source,
             spec.source_key, standing, spec.trouble, now)
        )  # fmt: skip
        self._versions.append(
            (schedule, now, job, rule.json, saying.text, spec.args, rule.zones, saying.mark, actor, now)
        )
        self._cursors.append((schedule, rule.first if standing == "on" else None, now))
        if standing != "on":
            self._pauses.append((schedule, standing, now, actor, spec.trouble or ""))
        self._events.append((now, actor, spec.name, rule.text))
        return schedule

    def made(self, schedule: int, spec: ScheduleSpec) -> Made:
        """One of those that were taken in, as it is written."""
        saying, standing = self._saying(spec), _standing(spec)
        rule = saying.rule
        first = rule.first if standing == "on" else None
        return Made(
            schedule,
            rule.here,
            rule.bound,
            rule.blackouts,
            rule.json,
            saying.text,
            tags_text(spec.tags),
            standing,
            first,
        )

    def write(self) -> None:
        """Write all that was added."""
        for sql, rows in (
            (_SCHEDULE, self._schedules),
            (_VERSION, self._versions),
            (_CURSOR, self._cursors),
            (_PAUSE, self._pauses),
            (_EVENT, self._events),
        ):
            if len(rows) < FEW:
                for row in rows:
                    self._tx.later(sql, row)
            else:
                self._tx.many(sql, rows)
            rows.clear()

    def _saying(self, spec: ScheduleSpec) -> _Saying:
        key = (spec.trigger, id(spec.policies), spec.args, spec.job)
        known = self._sayings.get(key)
        if known is None:
            rule = self._rule(spec)
            text = self._policy(spec.policies, rule.blackouts)
            mark = mark_of(rule.asked, text, spec.args, spec.job)
            known = self._sayings[key] = _Saying(spec.policies, rule, text, mark)
        return known

    def _rule(self, spec: ScheduleSpec) -> _Rule:
        key = (spec.trigger, spec.policies.blackouts)
        known = self._rules.get(key)
        if known is None:
            asked = content_of(spec, self._doer, self._doer.now)
            rules = rules_of(self._tx, asked, self._digests)
            content = under(asked, rules)
            bound, blackouts = content.trigger, content.policies.blackouts
            known = self._rules[key] = _Rule(
                asked.trigger,
                bound,
                blackouts,
                asked_text(bound),
                canonical(bound.to_json()),
                bound.to_text(),
                zones_text(rules),
                first_due(bound, self._doer.now, blackouts),
            )
        return known

    def _policy(self, policies: Policies, blackouts: tuple[Blackout, ...]) -> str:
        known = self._policies.get((policies, blackouts))
        if known is None:
            said = replace(policies, blackouts=blackouts) if blackouts else policies
            known = self._policies[policies, blackouts] = canonical(to_json(said))
        return known


def create(tx: Tx, spec: ScheduleSpec, doer: Doer, ground: Ground | None = None) -> Made:
    """Write one new schedule. Its name must be free."""
    creation = Creation(tx, doer, ground)
    made = creation.made(creation.add(spec), spec)
    creation.write()
    return made


def _standing(spec: ScheduleSpec) -> str:
    return "set_aside" if spec.trouble else "on" if spec.enabled else "disabled"
