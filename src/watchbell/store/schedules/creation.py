"""Many new schedules in one transaction: the same rows that creating them one by one would write, table by table.

An application that declares ten thousand schedules, and a source that reads them from a table, say nearly the same
thing ten thousand times: what is equal is turned into text once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from ...core.blackout import Blackout
from ...core.definition import canonical
from ...core.policies import Policies, to_json
from ...core.triggers import Trigger
from ..tx import Tx
from .pauses import Doer
from .put import ScheduleSpec, content_of
from .versions import Content, first_due, under, zones_of

ASKED_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class _Rule:
    """A trigger as it is stored, once bound to the zone and the instant of creation, with the blackouts of those who
    have it."""

    bound: Trigger
    blackouts: tuple[Blackout, ...]
    json: str
    text: str
    zones: str
    first: int | None


class Creation:
    """Collects new schedules; `write` writes them. Their names must be free."""

    def __init__(self, tx: Tx, doer: Doer) -> None:
        self._tx = tx
        self._doer = doer
        self._next = tx.next_id("schedule")
        self._rules: dict[tuple[Trigger, tuple[Blackout, ...]], _Rule] = {}
        self._policies: dict[Policies, str] = {}
        self._marks: dict[tuple[Any, ...], str] = {}
        self._schedules: list[tuple[Any, ...]] = []
        self._versions: list[tuple[Any, ...]] = []
        self._cursors: list[tuple[Any, ...]] = []
        self._pauses: list[tuple[Any, ...]] = []
        self._events: list[tuple[Any, ...]] = []

    def add(self, spec: ScheduleSpec) -> int:
        """Take one in; returns the id it will have."""
        now, actor = self._doer.now, self._doer.actor
        schedule, self._next = self._next, self._next + 1
        rule = self._rule(spec)
        policies = spec.policies
        if policies.blackouts:
            policies = replace(policies, blackouts=rule.blackouts)
        standing = "set_aside" if spec.trouble else "on" if spec.enabled else "disabled"
        tags = "[]" if not spec.tags else json.dumps(spec.tags)
        self._schedules.append(
            (schedule, spec.name, spec.job, tags, spec.about, spec.app, spec.revision, spec.source, spec.source_key,
             standing, spec.trouble, now)
        )  # fmt: skip
        self._versions.append(
            (schedule, now, spec.job, rule.json, self._policy(policies), spec.args, rule.zones,
             self._mark(spec, policies, rule), actor, now)
        )  # fmt: skip
        self._cursors.append((schedule, rule.first if standing == "on" else None, now))
        if standing != "on":
            self._pauses.append((schedule, standing, now, actor, spec.trouble or ""))
        self._events.append((now, actor, spec.name, rule.text))
        return schedule

    def write(self) -> None:
        """Write all that was added."""
        tx = self._tx
        tx.many(
            "INSERT INTO schedule (id, workspace, name, job, version, tags, about, app, revision, source, source_key, "
            "standing, set_aside, created_at) VALUES (?, 1, ?, ?, 1, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            self._schedules,
        )
        tx.many(
            "INSERT INTO schedule_version (schedule, version, effective_from, job, trigger, policies, args, zones, hash, "
            "actor, created_at) VALUES (?, 1, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            self._versions,
        )
        tx.many(
            "INSERT INTO cursor (schedule, next_due, planned_until, version) VALUES (?, ?, ?, 1)",
            self._cursors,
        )
        tx.many(
            "INSERT INTO pause (schedule, kind, from_at, actor, note) VALUES (?, ?, ?, ?, ?)", self._pauses
        )
        tx.many(
            "INSERT INTO audit_event (at, actor, action, subject, detail) VALUES (?, ?, 'schedule.added', ?, ?)",
            self._events,
        )
        for rows in (self._schedules, self._versions, self._cursors, self._pauses, self._events):
            rows.clear()

    def _rule(self, spec: ScheduleSpec) -> _Rule:
        key = (spec.trigger, spec.policies.blackouts)
        known = self._rules.get(key)
        if known is None:
            content = under(self._tx, content_of(spec, self._doer, self._doer.now))
            bound, blackouts = content.trigger, content.policies.blackouts
            known = _Rule(
                bound,
                blackouts,
                canonical(bound.to_json()),
                bound.to_text(),
                canonical(zones_of(self._tx, bound, blackouts)),
                first_due(bound, self._doer.now, blackouts),
            )
            self._rules[key] = known
        return known

    def _policy(self, policies: Policies) -> str:
        known = self._policies.get(policies)
        if known is None:
            known = self._policies[policies] = canonical(to_json(policies))
        return known

    def _mark(self, spec: ScheduleSpec, policies: Policies, rule: _Rule) -> str:
        key = (rule.json, policies, spec.args, spec.job)
        known = self._marks.get(key)
        if known is None:
            known = self._marks[key] = Content(spec.job, rule.bound, policies, spec.args).mark
        return known


def taken(tx: Tx, names: Iterable[str]) -> set[str]:
    """Which of these names a schedule has already."""
    wanted = list(names)
    found: set[str] = set()
    for place in range(0, len(wanted), ASKED_AT_ONCE):
        part = wanted[place : place + ASKED_AT_ONCE]
        marks = ", ".join("?" * len(part))
        rows = tx.rows(
            f"SELECT name FROM schedule WHERE workspace = 1 AND ended_at IS NULL AND name IN ({marks})", part
        )
        found.update(row[0] for row in rows)
    return found
