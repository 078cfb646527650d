"""Time zone data of a life: its own from the first step on, so that a change of them is a step like any other."""

from __future__ import annotations

from watchbell.core.wallclock import ZoneData, ZoneRules, put_zone_data, rules_from_json, zone_rules
from watchbell.store.schedules import catalog, trigger_texts

FIRST = "2026a"
CHANGED = ("Europe/Berlin", "America/New_York", "Africa/Cairo")


def own_zone_data() -> None:
    """The data that every life begins with."""
    _put(ZoneData(FIRST))


def machines_zone_data() -> None:
    """Those of this machine again."""
    _put(None)


def other_zone_data(number: int, now: int) -> None:
    """Data in which some zones do not change their clocks any more from `now` on; the higher number is the newer."""
    put_zone_data(None)
    changed = {name: _still_from(zone_rules(name), now) for name in CHANGED[: 1 + number % len(CHANGED)]}
    _put(ZoneData(f"2026{chr(ord('a') + number)}", changed))


def _put(data: ZoneData | None) -> None:
    put_zone_data(data)
    for cache in (trigger_texts.trigger_of, catalog.policies_of):
        cache.cache_clear()


def _still_from(rules: ZoneRules, now: int) -> ZoneRules:
    told = rules.to_json()
    told["transitions"] = [move for move in told["transitions"] if move[0] * 1_000_000 <= now]
    return rules_from_json(told)
