"""The rules of time zones that hold in a database: one set for each zone, raised by the newest node and by nobody else.

A version of a schedule is planned with the rules that are stored beside it, whatever this machine knows: so a node with
older zone data plans the same instants as the newer one before it, and the audit recounts them. What this machine knows
is asked only where the two are the same, which is nearly always, or where the database has no rules for a zone yet.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from ...core.definition import canonical
from ...core.wallclock import ZoneRules, rules_from_json, zone_rules
from ...errors import BadZone
from ..tx import Tx
from .zone_version import zone_data_version

if TYPE_CHECKING:
    from ...core.blackout import Blackout
    from ...core.policies import Policies
    from ...core.triggers import Trigger


def asked_by(trigger: Trigger, blackouts: Sequence[Blackout] = ()) -> list[str]:
    """The zones that a trigger and its blackouts ask."""
    return list(
        dict.fromkeys([*trigger.zones(), *(zone for blackout in blackouts for zone in blackout.zones())])
    )


def rules_for(tx: Tx, zone: str) -> ZoneRules:
    """The rules of a zone in this database; this machine's, from now on, where it has none yet. BadZone where neither
    knows it."""
    row = tx.row("SELECT digest FROM zone_in_force WHERE zone = ?", (zone,))
    if row is None:
        here = zone_rules(zone)
        keep(tx, here)
        tx.run(
            "INSERT INTO zone_in_force (zone, digest, version) VALUES (?, ?, ?)",
            (zone, here.digest, zone_data_version() or ""),
        )
        return here
    return stored(tx, zone, row[0])


def stored(tx: Tx, zone: str, digest: str) -> ZoneRules:
    """The rules of a zone by their digest: this machine's if they are those, else what the database has kept."""
    try:
        here = zone_rules(zone)
    except BadZone:
        here = None
    if here is not None and here.digest == digest:
        return here
    text = tx.value("SELECT transitions FROM zone_rules WHERE zone = ? AND digest = ?", (zone, digest))
    if text is not None:
        return _read(text)
    if here is None:
        raise BadZone(f"the rules of {zone!r} are neither in the database nor on this machine")
    return here


@lru_cache(maxsize=512)
def _read(text: str) -> ZoneRules:
    return rules_from_json(json.loads(text))


def keep(tx: Tx, rules: ZoneRules) -> None:
    """Keep the rules of a zone, for the recount of what they planned."""
    tx.run(
        "INSERT INTO zone_rules (zone, digest, transitions) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        (rules.name, rules.digest, canonical(rules.to_json())),
    )


def rules_of(tx: Tx, zones: Iterable[str], digests: Mapping[str, str] = {}) -> dict[str, ZoneRules]:
    """The rules of those zones in this database; `digests` are those that have been read from it already. BadZone."""
    return {
        zone: stored(tx, zone, digests[zone]) if zone in digests else rules_for(tx, zone) for zone in zones
    }


def others(rules: Mapping[str, ZoneRules]) -> dict[str, ZoneRules]:
    """Those of the rules that are others in this database than on this machine; mostly none."""
    return {zone: one for zone, one in rules.items() if _differs(one)}


def planned_with(tx: Tx, trigger: Trigger, policies: Policies, pairs: str) -> tuple[Trigger, Policies]:
    """A version's trigger and policies, computed with the rules that are stored beside it (`pairs`: JSON)."""
    if pairs == "[]":
        return trigger, policies
    rules = {}
    for zone, digest in _pairs(pairs):
        found = stored(tx, zone, digest)
        if _differs(found):
            rules[zone] = found
    if not rules:
        return trigger, policies
    if policies.blackouts:
        policies = replace(
            policies, blackouts=tuple(blackout.with_rules(rules) for blackout in policies.blackouts)
        )
    return trigger.with_rules(rules), policies


@lru_cache(maxsize=4096)
def _pairs(text: str) -> tuple[tuple[str, str], ...]:
    return tuple((zone, digest) for zone, digest in json.loads(text))


def _differs(rules: ZoneRules) -> bool:
    try:
        return zone_rules(rules.name).digest != rules.digest
    except BadZone:
        return True


def version_of(tx: Tx) -> str | None:
    """The newest version of the zone data that rules in this database are of."""
    known = [row[0] for row in tx.rows("SELECT DISTINCT version FROM zone_in_force")]
    return max(known, key=_age, default=None) or None


def newer(one: str, other: str) -> bool:
    """Whether a version of the zone data is newer than another.

    >>> newer("2026b", "2026a"), newer("2027a", "2026z"), newer("2026a", ""), newer("", "2026a"), newer("2026a", "2026a")
    (True, True, True, False, False)
    """
    return _age(one) > _age(other)


def _age(version: str) -> tuple[int, int, str]:
    found = re.fullmatch(r"(\d{4})([a-z]+)", version)
    return (0, 0, "") if found is None else (int(found[1]), len(found[2]), found[2])
