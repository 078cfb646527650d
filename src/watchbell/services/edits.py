"""An edit before it is made: how the schedule stands, how it would stand, and what of it would differ."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..core.blackout import blackout_from_json, thinned
from ..core.instants import DAY, LATEST, duration_text, to_text
from ..core.policies import Policies, policies_from_json, to_json
from ..core.triggers import Interval, Trigger
from ..errors import NeverMatches
from ..store import listing
from ..store.base import Store
from ..store.schedules.put import ScheduleSpec
from ..store.tx import Tx
from .moments import UTC, due
from .previews import read_trigger
from .schedule_views import returns, unknown_schedule
from .schedules import Change, wish_of

__all__ = ["Difference", "Look", "Present", "Side", "look", "present"]

SHOWN = 3
UNREADABLE = "cannot be read"
FAR_US = 400 * 366 * DAY


@dataclass(frozen=True, slots=True)
class Present:
    """What an edit starts from. `trigger` is None where the stored rule cannot be read."""

    trigger: Trigger | None
    policies: Policies
    args: Mapping[str, Any]
    job: str
    lane: str

    @property
    def zone(self) -> str | None:
        """The zone of its rule, where that has one."""
        zones = () if self.trigger is None else self.trigger.zones()
        return zones[0] if zones else None


@dataclass(frozen=True, slots=True)
class Side:
    """A schedule as it stands, or as it would."""

    trigger: str
    rule: str
    zone: str
    instants: tuple[int, ...]

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        return {
            "trigger": self.trigger,
            "rule": self.rule,
            "next": [due(at, self.zone) for at in self.instants],
        }


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that would be another; None is *not there*, which for a policy is its default."""

    what: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Look:
    """An edit as it would be. The instants of both sides are those behind `at`, when it takes effect."""

    name: str
    at: int
    before: Side
    after: Side
    differences: tuple[Difference, ...]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        return {
            "name": self.name,
            "before": self.before.to_json(),
            "after": self.after.to_json(),
            "differences": [
                {"what": one.what, "before": one.before, "after": one.after} for one in self.differences
            ],
            "notes": list(self.notes),
        }


def present(store: Store, name: str) -> Present:
    """How a schedule stands. NotFound with the nearest names."""

    def work(tx: Tx) -> Present:
        row = listing.schedule_by_name(tx, name)
        if row is None:
            raise unknown_schedule(tx, name)
        policies = policies_from_json(json.loads(row.policies))
        return Present(read_trigger(row.trigger), policies, json.loads(row.args), row.job_name, row.lane)

    return store.read(work)


def look(store: Store, name: str, change: Change, *, now: int) -> Look:
    """What an edit would do; writes nothing, and raises what the edit would raise: NotFound, BadTrigger, BadPolicy …"""

    def work(tx: Tx) -> Look:
        _, before, wish = wish_of(tx, name, change)
        row = listing.schedule_by_name(tx, name)
        assert row is not None
        stored = read_trigger(row.trigger)
        at = now if change.apply_from is None else change.apply_from
        anchor = stored.start_at if isinstance(stored, Interval) and stored.start_at is not None else at
        after = wish.trigger.bound(change.zone, anchor)
        if row.standing == "on" and after.next_after(at) is None and after.kind != "manual":
            raise NeverMatches(f"{after.describe()} is not due any more behind {to_text(at)}")
        jobs = {row.job: row.job_name}
        if wish.job != row.job:
            jobs[wish.job] = change.job or ""
        return Look(
            name,
            at,
            Side(row.trigger, UNREADABLE, UTC, ()) if stored is None else _side(stored, before.policies, at),
            _side(after, wish.policies, at),
            tuple(_differences(before, wish, jobs)),
            tuple(_notes(row, change)),
        )

    return store.read(work)


def _side(trigger: Trigger, policies: Policies, after: int) -> Side:
    zone = trigger.zones()[0] if trigger.zones() else UTC
    rule = thinned(trigger, policies.bound(zone).blackouts)
    found: list[int] = []
    at = rule.first_in(after, LATEST)
    while at is not None and len(found) < SHOWN:
        found.append(at)
        at = rule.first_in(at, LATEST)
    return Side(trigger.to_text(), trigger.describe(), zone, tuple(found))


def _differences(before: ScheduleSpec, after: ScheduleSpec, jobs: Mapping[int, str]) -> list[Difference]:
    """What else would be another than the rule."""
    old, new = to_json(before.policies), to_json(after.policies)
    found = [
        Difference(_words(name), _told(name, old.get(name)), _told(name, new.get(name)))
        for name in sorted(set(old) | set(new))
        if old.get(name) != new.get(name)
    ]
    if before.job != after.job:
        found.append(Difference("job", jobs[before.job], jobs[after.job]))
    first, second = json.loads(before.args), json.loads(after.args)
    found += [
        Difference(f"argument {name}", _as_json(first.get(name)), _as_json(second.get(name)))
        for name in sorted(set(first) | set(second))
        if first.get(name) != second.get(name)
    ]
    if before.tags != after.tags:
        found.append(Difference("tags", ", ".join(before.tags) or None, ", ".join(after.tags) or None))
    if before.about != after.about:
        found.append(Difference("about", before.about or None, after.about or None))
    return found


def _words(name: str) -> str:
    return name.removesuffix("_us").replace("_", " ")


def _told(name: str, value: Any) -> str | None:
    if value is None:
        return None
    if name.endswith("_us") and isinstance(value, int):
        return duration_text(value)
    if name == "blackouts":
        return "; ".join(blackout_from_json(one).to_text() for one in value)
    if isinstance(value, Mapping):
        return ", ".join(
            f"{_words(key)} {_told(key, one)}" for key, one in value.items() if one not in ([], None)
        )
    return value if isinstance(value, str) else _as_json(value)


def _as_json(value: Any) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False)


def _notes(row: listing.ScheduleRow, change: Change) -> list[str]:
    """What to know before it is done."""
    found = []
    if row.source is not None:
        found.append(returns(row.source).strip().rstrip("."))
    elif row.app is not None:
        found.append(
            f"it is declared by the application {row.app!r}, whose next start brings back what its code says"
        )
    if row.standing == "paused" and change.trigger is not None:
        found.append("it is paused, and stays so: `watchbell schedule resume` lets it come due")
    return found
