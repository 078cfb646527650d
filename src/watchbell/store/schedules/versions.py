"""Versions of a schedule: what one says, and how the next one comes into force.

A version is a rule of time, policies, arguments and a job, and implies the instants after the one at which it came into
force. It never changes; the rules of every zone that it was planned with are kept beside it, for the audit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ...core.blackout import Blackout, thinned
from ...core.definition import canonical, text_hash
from ...core.policies import Policies, to_json
from ...core.triggers import Interval, Trigger
from ...core.wallclock import ZoneRules
from ..clocks import zones
from ..tx import Tx
from .catalog import policies_of
from .pauses import Doer, stand_later
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
        return mark_of(asked_text(self.trigger), canonical(to_json(self.policies)), self.args, self.job)


def mark_of(asked: str, policies: str, args: str, job: int) -> str:
    """The mark of a content, from the texts of its parts: the content's hash, without writing what is known again."""
    return text_hash(f"[{asked},{policies},{canonical(args)},{job}]")


def asked_text(trigger: Trigger) -> str:
    """What of a trigger was asked for, as JSON text."""
    return canonical(_as_asked(trigger.to_json()))


def _as_asked(data: Any) -> Any:
    if isinstance(data, dict):
        given = data.get("wall") is not None
        return {key: _as_asked(value) for key, value in data.items() if not (given and key == "at")}
    return [_as_asked(value) for value in data] if isinstance(data, list) else data


def zone_for(trigger: Trigger, default: str) -> str:
    """The zone in which the blackouts of a schedule are read that name none: its trigger's, else the default."""
    named = trigger.zones()
    return named[0] if named else default


def rules_of(tx: Tx, content: Content, digests: Mapping[str, str] = {}) -> dict[str, ZoneRules]:
    """The rules of every zone that a content asks, as they are in this database; they are kept, for the audit of what they
    planned. `digests` are those that have been read already."""
    return zones.rules_of(tx, zones.asked_by(content.trigger, content.policies.blackouts), digests)


def zones_text(rules: Mapping[str, ZoneRules]) -> str:
    """[zone, digest] of each, as the JSON text that is stored beside a version."""
    return canonical([[one.name, one.digest] for one in rules.values()])


def under(content: Content, rules: Mapping[str, ZoneRules]) -> Content:
    """The same content, computed with the rules that its time zones have in this database."""
    rules = zones.others(rules)
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
    text, policies, digests = tx.row(  # type: ignore[misc]
        "SELECT v.trigger, v.policies, v.zones FROM schedule_version v JOIN cursor c ON c.schedule = v.schedule AND "
        "c.version = v.version WHERE v.schedule = ?",
        (schedule,),
    )
    trigger, said = zones.planned_with(tx, trigger_of(text), policies_of(policies), digests)
    return first_due(trigger, at, said.blackouts)


def _write(tx: Tx, place: tuple[int, int, int], content: Content, zone_digests: str, doer: Doer) -> None:
    """Write a version down: `place` is (schedule, number, in force from)."""
    tx.later(
        "INSERT INTO schedule_version (schedule, version, effective_from, job, trigger, policies, args, zones, hash, "
        "actor, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *place,
            content.job,
            canonical(content.trigger.to_json()),
            canonical(to_json(content.policies)),
            content.args,
            zone_digests,
            content.mark,
            doer.actor,
            doer.now,
        ),
    )


def put_in_force(tx: Tx, schedule: int, content: Content, effective: int, doer: Doer) -> int:
    """The next version holds from `effective` on, up to which everything is in the ledger; it mends what was set aside.
    Returns its number."""
    rules = rules_of(tx, content)
    content = under(content, rules)
    version = 1 + int(tx.value("SELECT max(version) FROM schedule_version WHERE schedule = ?", (schedule,)))
    tx.later(
        "UPDATE schedule_version SET effective_to = ? WHERE schedule = ? AND effective_to IS NULL",
        (effective, schedule),
    )
    _write(tx, (schedule, version, effective), content, zones_text(rules), doer)
    tx.later(
        "UPDATE schedule SET version = ?, job = ?, set_aside = NULL WHERE id = ?",
        (version, content.job, schedule),
    )
    tx.later(
        "UPDATE pause SET until_at = ? WHERE schedule = ? AND kind = 'set_aside' AND until_at IS NULL",
        (effective, schedule),
    )
    stand_later(tx, schedule)
    due = first_due(content.trigger, effective, content.policies.blackouts)
    tx.later(
        "UPDATE cursor SET version = ?, next_due = CASE (SELECT standing FROM schedule WHERE id = ?) WHEN 'on' THEN "
        "CAST(? AS BIGINT) END, planned_until = ? WHERE schedule = ?",
        (version, schedule, due, effective, schedule),
    )
    return version
