"""Gates: the limits that more than one schedule shares; and the way in for what was held.

A row is *admitted* (queued or active) only with a place behind each of its gates; otherwise it is held by the first
that is full. `gate.active` counts the admitted. Places are taken and given back in the transaction that admits or
ends the row, gate rows locked in the order of their keys (PROTOCOL §5).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from ..core.states import ACTIVE, LIVE, State, sql_list
from .tx import Row, Tx

ADMITTED = ACTIVE | {State.QUEUED}


def read(stored: object) -> list[str] | None:
    """The keys of the gates a row passes, as they are stored in it; None where that cannot be read."""
    if stored is None or stored == "":
        return []
    try:
        keys = json.loads(stored)  # type: ignore[arg-type]  # whatever somebody has written there
    except (ValueError, TypeError, RecursionError):
        return None
    return keys if isinstance(keys, list) and all(isinstance(key, str) for key in keys) else None


def keys_of(stored: object) -> list[str]:
    """The same for those who count and give back: what cannot be read has no place to give back. A row of which that holds
    is put away by whoever is about to claim it."""
    return read(stored) or []


def declare(tx: Tx, gates: Iterable[tuple[str, int]]) -> None:
    """Set the limits; a lower one lets what is active end."""
    tx.many(
        "INSERT INTO gate (key, lim) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET lim = excluded.lim",
        sorted(gates),
    )


def room(tx: Tx, keys: Iterable[str]) -> dict[str, int]:
    """How many more each gate admits."""
    found = {}
    for key in sorted(set(keys)):
        row = tx.row("SELECT lim, active FROM gate WHERE key = ?", (key,))
        found[key] = 0 if row is None else max(0, row[0] - row[1])
    return found


def change(tx: Tx, changes: Mapping[str, int]) -> None:
    """Take (positive) or give back (negative) places; taking more than there are is a bug and raises."""
    for key, by in sorted(changes.items()):
        if by > 0:
            done = tx.run(
                "UPDATE gate SET active = active + ? WHERE key = ? AND active + ? <= lim", (by, key, by)
            )
            assert done == 1, f"gate {key} was passed by more than its limit"
        elif by < 0:
            tx.run("UPDATE gate SET active = max(0, active + ?) WHERE key = ?", (by, key))


def recount(tx: Tx) -> list[tuple[str, int, int]]:
    """Set every gate to what the ledger says; returns (key, was, is) of those that were wrong."""
    counted: dict[str, int] = {}
    for (keys,) in tx.rows(
        f"SELECT gates FROM occurrence WHERE state IN ({sql_list(ADMITTED)}) AND gates IS NOT NULL"
    ):
        for key in keys_of(keys):
            counted[key] = counted.get(key, 0) + 1
    wrong = []
    for key, active in tx.rows("SELECT key, active FROM gate"):
        real = counted.get(key, 0)
        if real != active:
            wrong.append((key, active, real))
            tx.run("UPDATE gate SET active = ? WHERE key = ?", (real, key))
    return wrong


def let_in(tx: Tx, keys: Iterable[str]) -> list[int]:
    """Admit the first held rows of each gate that has room, in order of priority and due time."""
    admitted = []
    for key in sorted(set(keys)):
        free = room(tx, [key])[key]
        while free > 0:
            rows = tx.rows(
                "SELECT id, gates FROM occurrence WHERE state = 'held' AND held_by = ? "
                "ORDER BY priority, due_at, id LIMIT ?",
                (key, free),
            )
            if not rows:
                break
            for run, gates in rows:
                passed = keys_of(gates)
                blocked = next((k for k, n in room(tx, passed).items() if n <= 0), None)
                if blocked is None:
                    change(tx, dict.fromkeys(passed, 1))
                    tx.run(
                        "UPDATE occurrence SET state = 'queued', held_by = NULL WHERE id = ? AND state = 'held'",
                        (run,),
                    )
                    admitted.append(run)
                else:
                    tx.run(
                        "UPDATE occurrence SET held_by = ? WHERE id = ? AND state = 'held'", (blocked, run)
                    )
            free = room(tx, [key])[key]
    return admitted


def holds_any(tx: Tx) -> bool:
    """Whether any occurrence is held behind an earlier one of its schedule."""
    return bool(tx.rows("SELECT 1 FROM occurrence WHERE state = 'held' AND held_by = 'overlap' LIMIT 1"))


def admit_held(tx: Tx, schedule: int) -> int:
    """Admit the first occurrence that was held behind an earlier one of its schedule, once none is in its way."""
    rows = tx.rows(
        f"SELECT id, state, held_by, gates, catchup, due_at, version, origin FROM occurrence WHERE schedule = ? "
        f"AND state IN ({sql_list(LIVE)}) AND state <> 'waiting' ORDER BY due_at, id",
        (schedule,),
    )
    if any(row[1] != State.HELD or row[2] != "overlap" for row in rows):
        return 0
    if not rows:
        return 0
    rows = [
        row for row in rows if row[7] != "backfill"
    ] or rows  # what was asked for again comes behind what is fresh
    first = _newest_first(tx, schedule, rows) if len(rows) > 1 and any(row[4] for row in rows) else rows[0]
    run, keys = first[0], keys_of(first[3])
    blocked = next((key for key, n in room(tx, keys).items() if n <= 0), None)
    if blocked is not None:
        tx.run("UPDATE occurrence SET held_by = ? WHERE id = ? AND state = 'held'", (blocked, run))
        return 0
    change(tx, dict.fromkeys(keys, 1))
    return tx.run(
        "UPDATE occurrence SET state = 'queued', held_by = NULL WHERE id = ? AND state = 'held'", (run,)
    )


def _newest_first(tx: Tx, schedule: int, rows: list[Row]) -> Row:
    """Of a backlog that is caught up from its newest on, what is fresh comes first, then the newest missed one."""
    sql = "SELECT policies FROM schedule_version WHERE schedule = ? AND version = ?"
    late = next(row for row in rows if row[4])
    if json.loads(tx.value(sql, (schedule, late[6])) or "{}").get("catchup_order") != "newest":
        return rows[0]
    return next((row for row in rows if not row[4]), [row for row in rows if row[4]][-1])
