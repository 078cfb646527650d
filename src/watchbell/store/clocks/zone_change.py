"""New time zone data: the schedules whose future they change get a new version, planned with the new rules from now on.

A recorded act of a node whose data are newer than those of the database; one with older data plans with what the database
has (`zones`). It goes on in batches over restarts: `meta.zone_change` says what is being changed and how far that is. The
past stays as it was planned: the versions before keep the rules they had.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from ...core.triggers import Trigger
from ...core.wallclock import rules_from_json, same_from, zone_rules
from ...errors import BadZone
from ..journal import record
from ..schedules.catalog import Catalog, policies_of
from ..schedules.pauses import Doer
from ..schedules.standing import bring_up_to
from ..schedules.trigger_texts import trigger_of
from ..schedules.versions import Content, put_in_force
from ..tx import Tx
from .zone_version import zone_data_version
from .zones import keep, newer, version_of

BATCH = 500
_KEY = "zone_change"


@dataclass(frozen=True, slots=True)
class Change:
    """A change of zone data under way: of these zones, up to which schedule it has come, and how many were planned anew."""

    before: str
    after: str
    zones: tuple[str, ...] = ()
    reached: int = 0
    schedules: int = 0

    @property
    def sentence(self) -> str:
        """What was done, for people."""
        many = f"{self.schedules:,} schedule{'' if self.schedules == 1 else 's'} re-planned"
        where = f" ({', '.join(self.zones[:10])}{' …' if len(self.zones) > 10 else ''})" if self.zones else ""
        return f"tz data {self.before or 'unknown'} → {self.after or 'unknown'}: {many}{where}"


def to_compare(tx: Tx) -> list[tuple[str, str]]:
    """(zone, digest) of the rules that are of older data than this machine's: mostly none."""
    here = zone_data_version() or ""
    rows = tx.rows(
        "SELECT zone, digest, version FROM zone_in_force WHERE version <> ? OR ? = ''", (here, here)
    )
    return [(row[0], row[1]) for row in rows if newer(here, row[2]) or here == row[2] == ""]


def begin(tx: Tx, now: int) -> bool:
    """Compare the rules of the database with this machine's, zone by zone, where this machine has newer data; True if a
    change is under way. Costs one small query where the versions are the same."""
    here = zone_data_version() or ""
    before = version_of(tx) or ""
    changed = []
    for zone, digest in to_compare(tx):
        try:
            rules = zone_rules(zone)
        except BadZone:  # the newer data have dropped it: what the database knows stays
            continue
        if rules.digest != digest:
            text = tx.value(
                "SELECT transitions FROM zone_rules WHERE zone = ? AND digest = ?", (zone, digest)
            )
            keep(tx, rules)
            if text is None or not same_from(now, rules_from_json(json.loads(text)), rules):
                changed.append(zone)
        tx.run("UPDATE zone_in_force SET digest = ?, version = ? WHERE zone = ?", (rules.digest, here, zone))
    under_way = _read(tx)
    if changed:
        zones = sorted({*changed, *(under_way.zones if under_way else ())})
        first = under_way.before if under_way else before
        _write(tx, Change(first, here, tuple(zones), 0, under_way.schedules if under_way else 0))
    return bool(changed) or under_way is not None


def go_on(tx: Tx, catalog: Catalog, now: int, actor: str) -> Change | None:
    """Plan the next batch of schedules anew; what was done, once all of it is."""
    change = _read(tx)
    if change is None:
        return None
    rows = tx.rows(
        "SELECT s.id, s.standing, v.job, v.trigger, v.policies, v.args, v.zones, c.next_due FROM schedule s JOIN "
        "schedule_version v ON v.schedule = s.id AND v.version = s.version JOIN cursor c ON c.schedule = s.id "
        "WHERE s.id > ? AND s.ended_at IS NULL ORDER BY s.id LIMIT ?",
        (change.reached, BATCH),
    )
    in_force: dict[str, str] = dict(tx.rows("SELECT zone, digest FROM zone_in_force"))
    doer = Doer(f"{actor}, tz data {change.before or 'unknown'} → {change.after or 'unknown'}", now)
    done = change.schedules
    for schedule, standing, job, trigger, policies, args, zones, next_due in rows:
        if zones == "[]" or standing == "set_aside" or (standing == "on" and next_due is None):
            continue
        pairs = json.loads(zones)
        if all(zone not in change.zones or in_force.get(zone) == digest for zone, digest in pairs):
            continue
        effective = bring_up_to(tx, catalog, schedule, doer)
        content = Content(job, _anew(trigger), policies_of(policies), args)
        put_in_force(tx, schedule, content, effective, doer)
        done += 1
    reached = rows[-1][0] if rows else change.reached
    change = Change(change.before, change.after, change.zones, reached, done)
    if len(rows) == BATCH:
        _write(tx, change)
        return None
    tx.run("DELETE FROM meta WHERE key = ?", (_KEY,))
    record(tx, now, actor, "zone_data.changed", "time zones", change.sentence)
    return change


def _anew(text: str) -> Trigger:
    """The trigger as this machine computes it; an instant that was given as a wall-clock time moves with its zone."""
    trigger = trigger_of(text)
    rules = {zone: zone_rules(zone) for zone in trigger.zones()}
    return trigger.with_rules(rules) if rules else trigger


def _read(tx: Tx) -> Change | None:
    text = tx.value("SELECT value FROM meta WHERE key = ?", (_KEY,))
    if text is None:
        return None
    data = json.loads(text)
    return Change(data["before"], data["after"], tuple(data["zones"]), data["reached"], data["schedules"])


def _write(tx: Tx, change: Change) -> None:
    data = {
        "before": change.before,
        "after": change.after,
        "zones": change.zones,
        "reached": change.reached,
        "schedules": change.schedules,
    }
    tx.run(
        "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        (_KEY, json.dumps(data)),
    )
