"""Sources: schedules that an application's own table declares, reconciled by key in one transaction."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ...core.triggers import Manual
from ..journal import record
from ..revision import raise_catalog
from ..tx import Tx
from .catalog import Catalog
from .creation import Creation
from .put import (
    Doer,
    Putting,
    ScheduleSpec,
    Stands,
    all_named,
    all_of_source,
    remove,
    spec_of,
    stands,
)


@dataclass(slots=True)
class Reconciled:
    """What a reading of a source has changed: counts, and a sentence for each key that could not be scheduled."""

    added: int = 0
    changed: int = 0
    ended: int = 0
    unchanged: int = 0
    errors: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The counts and the errors by key."""
        return {
            "added": self.added,
            "changed": self.changed,
            "ended": self.ended,
            "unchanged": self.unchanged,
            "errors": dict(self.errors),
        }


def reconcile(
    tx: Tx, catalog: Catalog, source: str, declared: Sequence[tuple[str, ScheduleSpec | str, int]], doer: Doer
) -> Reconciled:
    """Make the source's schedules what `declared` says: (key, the wish or why it cannot be scheduled, job).

    What cannot be scheduled is kept as set aside, with its sentence, and can be run by hand; the others go on.
    """
    result = Reconciled()
    before = all_of_source(tx, source)
    putting = Putting(tx, catalog, doer)
    seen: set[str] = set()
    held = set(
        all_named(
            tx,
            [wish.name for key, wish, _ in declared if isinstance(wish, ScheduleSpec) and key not in before],
        )
    )
    new: dict[str, ScheduleSpec] = {}
    for key, wish, job in declared:
        if key in seen:
            result.errors[key] = f"The key {key!r} was given more than once; the first of them counts."
            continue
        seen.add(key)
        known = before.pop(key, None)
        if isinstance(wish, ScheduleSpec) and (known is not None or wish.name in held or wish.name in new):
            wish = _taken_sentence(wish.name) if wish.name in new else _named(tx, wish, known, doer)
        if isinstance(wish, str):
            result.errors[key] = wish
            wish = _troubled(f"{source}:{key}", job, known, wish)
            if known is None and (wish.name in new or stands(tx, wish.name) is not None):
                continue  # its name is another's, which is not to be set aside for it
        wish = _of(source, key, wish)
        if known is None:
            new[wish.name] = wish
            continue
        held.add(wish.name)
        change = putting.put(wish, known).change
        change = "unchanged" if change == "older" else change
        setattr(result, change, getattr(result, change) + 1)
    creation = Creation(tx, doer)
    for spec in new.values():
        creation.add(spec)
    creation.write()
    result.added += len(new)
    for gone in before.values():
        remove(tx, catalog, gone.id, doer)
        result.ended += 1
    if result.added or result.changed or result.ended:
        detail = json.dumps({k: v for k, v in result.to_json().items() if k != "errors"})
        record(tx, doer.now, doer.actor, "source.reconciled", source, detail)
    return result


def _of(source: str, key: str, wish: ScheduleSpec) -> ScheduleSpec:
    """The wish as this source's; whoever has made it for the source has said so already."""
    if wish.source == source and wish.source_key == key:
        return wish
    return replace(wish, source=source, source_key=key)


def _named(tx: Tx, wish: ScheduleSpec, known: Stands | None, doer: Doer) -> ScheduleSpec | str:
    """A key is the same schedule under whatever name: the one that has it is renamed. A name that another schedule has
    is refused."""
    if known is not None and known.name == wish.name:
        return wish
    if tx.value("SELECT 1 FROM schedule WHERE workspace = 1 AND name = ? AND ended_at IS NULL", (wish.name,)):
        return _taken_sentence(wish.name)
    if known is not None:
        record(tx, doer.now, doer.actor, "schedule.renamed", wish.name, known.name)
        tx.later("UPDATE schedule SET name = ? WHERE id = ?", (wish.name, known.id))
        raise_catalog(tx)
    return wish


def _taken_sentence(name: str) -> str:
    return f"There is another schedule named {name!r}; give it another name=."


def _troubled(name: str, job: int, known: Stands | None, trouble: str) -> ScheduleSpec:
    """What cannot be scheduled is set aside as it was, so that it goes on as it was once it is mended."""
    if known is None:
        return ScheduleSpec(name=name, job=job, trigger=Manual(), trouble=trouble)
    return replace(spec_of(known), trouble=trouble)


def note_success(tx: Tx, name: str, every_us: int, max_errors: int, result: Reconciled, now: int) -> int:
    """Write down that a source was read; returns how many consecutive errors came before."""
    errors = tx.value("SELECT errors FROM source WHERE name = ?", (name,)) or 0
    tx.later(
        "INSERT INTO source (name, every_us, max_errors, read_at, good_at, counts) VALUES (?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (name) DO UPDATE SET every_us = excluded.every_us, max_errors = excluded.max_errors, errors = 0, "
        "last_error = NULL, read_at = excluded.read_at, good_at = excluded.good_at, counts = excluded.counts",
        (name, every_us, max_errors, now, now, json.dumps(result.to_json())),
    )
    return int(errors)


def note_failure(tx: Tx, name: str, every_us: int, max_errors: int, error: str, now: int) -> int:
    """Write down that a source raised; returns how many times in a row it has."""
    tx.later(
        "INSERT INTO source (name, every_us, max_errors, errors, last_error, read_at) VALUES (?, ?, ?, 1, ?, ?) "
        "ON CONFLICT (name) DO UPDATE SET every_us = excluded.every_us, max_errors = excluded.max_errors, "
        "errors = source.errors + 1, last_error = excluded.last_error, read_at = excluded.read_at",
        (name, every_us, max_errors, error, now),
    )
    return int(tx.value("SELECT errors FROM source WHERE name = ?", (name,)))
