"""Versions of a schedule: what one says, and how the next one comes into force.

A version is a rule of time, policies, arguments and a job, and implies the instants after the one at which it came into
force. It never changes; the rules of every zone that it was planned with are kept beside it, for the audit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ...core.blackout import Blackout, thinned
from ...core.definition import canonical, content_hash
from ...core.policies import Policies, to_json
from ...core.triggers import Interval, Trigger
from ..clocks.zones import asked_by, other_rules, planned_with, rules_for
from ..tx import Tx
from .catalog import policies_of
from .pauses import Doer, stand
from .trigger_texts import trigger_of


@dataclass(frozen=True, slots=True)
class Content:
    """What a version says, bound: no zone and no anchor is left open. `args` is JSON text."""

    job: int
    trigger: Trigger
    policies: Policies
    args: str

    @property
    def mark(self) -> str:
        """Names the content: the same mark means that nothing has to be written. The instant that a wall-clock time
        stands for follows from its zone's rules, and is no part of what was asked for."""
        return content_hash(_as_asked(self.trigger.to_json()), to_json(self.policies), self.args, self.job)


def _as_asked(data: Any) -> Any:
    if isinstance(data, dict):
        given = data.get("wall") is not None
        return {key: _as_asked(value) for key, value in data.items() if not (given and key == "at")}
    return [_as_asked(value) for value in data] if isinstance(data, list) else data


def zone_for(trigger: Trigger, default: str) -> str:
    """The zone in which the blackouts of a schedule are read that name none: its trigger's, else the default."""
    zones = trigger.zones()
    return zones[0] if zones else default


def zones_of(tx: Tx, trigger: Trigger, blackouts: Sequence[Blackout] = ()) -> list[list[str]]:
    """[zone, digest] of every zone that a trigger and its blackouts ask; their rules are kept, for the audit of what they
    planned."""
    zones = []
    for zone in asked_by(trigger, blackouts):
        rules = rules_for(tx, zone)
        zones.append([rules.name, rules.digest])
    return zones


def under(tx: Tx, content: Content) -> Content:
    """The same content, computed with the rules that its time zones have in this database."""
    rules = other_rules(tx, asked_by(content.trigger, content.policies.blackouts))
    if not rules:
        return content
    blackouts = tuple(blackout.with_rules(rules) for blackout in content.policies.blackouts)
    return replace(
        content,
        trigger=content.trigger.with_rules(rules),
        policies=replace(content.policies, blackouts=blackouts),
    )


def first_due(trigger: Trigger, at: int, blackouts: Sequence[Blackout] = ()) -> int | None:
    """The first due instant after `at`, outside of the blackouts; a schedule that counts from its run's end starts one
    period from here."""
    if isinstance(trigger, Interval) and trigger.after_completion:
        return max(at, trigger.start_at or at) + trigger.period_us
    return thinned(trigger, blackouts).next_after(at)


def counts_from_its_end(tx: Tx, schedule: int) -> bool:
    """Whether the version in force counts from the end of each run: what it would have been due for, nobody knows."""
    text = tx.value(
        "SELECT v.trigger FROM schedule_version v JOIN cursor c ON c.schedule = v.schedule AND c.version = v.version "
        "WHERE v.schedule = ?",
        (schedule,),
    )
    return bool(getattr(trigger_of(text), "after_completion", False))


def next_of(tx: Tx, schedule: int, at: int) -> int | None:
    """The first due instant after `at` by the version in force."""
    text, policies, zones = tx.row(  # type: ignore[misc]
        "SELECT v.trigger, v.policies, v.zones FROM schedule_version v JOIN cursor c ON c.schedule = v.schedule AND "
        "c.version = v.version WHERE v.schedule = ?",
        (schedule,),
    )
    trigger, said = planned_with(tx, trigger_of(text), policies_of(policies), zones)
    return first_due(trigger, at, said.blackouts)


def write_version(tx: Tx, place: tuple[int, int, int], content: Content, doer: Doer) -> None:
    """Write a version down: `place` is (schedule, number, in force from)."""
    tx.run(
        "INSERT INTO schedule_version (schedule, version, effective_from, job, trigger, policies, args, zones, hash, "
        "actor, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *place,
            content.job,
            canonical(content.trigger.to_json()),
            canonical(to_json(content.policies)),
            content.args,
            canonical(zones_of(tx, content.trigger, content.policies.blackouts)),
            content.mark,
            doer.actor,
            doer.now,
        ),
    )


def put_in_force(tx: Tx, schedule: int, content: Content, effective: int, doer: Doer) -> int:
    """The next version holds from `effective` on, up to which everything is in the ledger; it mends what was set aside.
    Returns its number."""
    content = under(tx, content)
    version = 1 + int(tx.value("SELECT max(version) FROM schedule_version WHERE schedule = ?", (schedule,)))
    tx.run(
        "UPDATE schedule_version SET effective_to = ? WHERE schedule = ? AND effective_to IS NULL",
        (effective, schedule),
    )
    write_version(tx, (schedule, version, effective), content, doer)
    tx.run(
        "UPDATE schedule SET version = ?, job = ?, set_aside = NULL WHERE id = ?",
        (version, content.job, schedule),
    )
    tx.run(
        "UPDATE pause SET until_at = ? WHERE schedule = ? AND kind = 'set_aside' AND until_at IS NULL",
        (effective, schedule),
    )
    due = None
    if stand(tx, schedule) == "on":
        due = first_due(content.trigger, effective, content.policies.blackouts)
    tx.run(
        "UPDATE cursor SET version = ?, next_due = ?, planned_until = ? WHERE schedule = ?",
        (version, due, effective, schedule),
    )
    return version
