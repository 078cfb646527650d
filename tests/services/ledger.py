"""Small builders that write ledgers by hand, as nobody but a test does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tests import databases
from watchbell.core.instants import DAY, HOUR, SECOND, Instant, parse_instant
from watchbell.core.states import LIVE
from watchbell.core.triggers import Trigger
from watchbell.core.wallclock import zone_rules
from watchbell.store.base import Store
from watchbell.store.tx import Tx

T0 = parse_instant("2026-11-21T00:00:00Z")


NUMBERED = ("job", "node", "occurrence", "schedule")
WITH_NUMBER = (*NUMBERED, "alert", "alert_rule", "audit_event", "channel", "outage", "pause", "span")


def insert(tx: Tx, table: str, values: Mapping[str, Any]) -> int:
    """Insert one row and give its id back; 0 where it has none."""
    if table in NUMBERED and "id" not in values:
        values = {"id": tx.next_id(table), **values}
    names, marks = ", ".join(values), ", ".join("?" * len(values))
    back = "id" if table in WITH_NUMBER else "0"
    return int(
        tx.value(f"INSERT INTO {table} ({names}) VALUES ({marks}) RETURNING {back}", list(values.values()))
    )


class Ledger:
    """A database in memory, and how to fill it."""

    def __init__(self, now: Instant = T0 + 6 * HOUR, store: Store | None = None) -> None:
        self.now = now
        self.store = store if store is not None else databases.opened(now)

    def add(self, table: str, **values: Any) -> int:
        return self.store.write(lambda tx: insert(tx, table, values))

    def run(self, sql: str, *params: Any) -> int:
        return self.store.write(lambda tx: tx.run(sql, params))

    def node(self, *, up: bool = True, **more: Any) -> int:
        values: dict[str, Any] = {
            "name": "bell", "host": "here", "pid": 1, "boot_id": "b", "version": "0", "state": "up", "started_at": T0 - DAY,
            "heartbeat_at": self.now if up else self.now - HOUR, "engine_epoch": 1, "handlers": json.dumps(["job"]),
            "lease_until": self.now + 15 * SECOND if up else self.now - HOUR, "slots": json.dumps({"thread": 4}),
        }  # fmt: skip
        values |= more
        self.run("UPDATE meta SET value = ? WHERE key = 'engine_epoch'", values["engine_epoch"])
        return self.add("node", **values)

    def job(self, name: str = "job", **more: Any) -> int:
        known = self.store.read(lambda tx: tx.value("SELECT id FROM job WHERE name = ?", (name,)))
        if known is not None:
            return int(known)
        values = {
            "workspace": 1,
            "name": name,
            "lane": "thread",
            "hash": "x",
            "created_at": T0,
            "changed_at": T0,
        }
        return self.add("job", **values | more)

    def schedule(self, trigger: Trigger, name: str = "backup", *, at: Instant = T0, **more: Any) -> int:
        """A schedule with its first version and a cursor planned up to now."""
        policies = more.pop("policies", {})
        job = self.job(more.pop("job", "job"))
        schedule = self.add("schedule", workspace=1, name=name, job=job, version=1, created_at=at, **more)
        self.version(schedule, trigger, at, policies=json.dumps(policies))
        self.add(
            "cursor",
            schedule=schedule,
            next_due=trigger.next_after(self.now),
            planned_until=self.now,
            version=1,
        )
        return schedule

    def version(self, schedule: int, trigger: Trigger, at: Instant, number: int = 1, **more: Any) -> None:
        zones = []
        for zone in trigger.zones():
            rules = zone_rules(zone)
            zones.append([zone, rules.digest])
            self.run(
                "INSERT INTO zone_rules (zone, digest, transitions) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                zone, rules.digest, json.dumps(rules.to_json()),
            )  # fmt: skip
        self.run(
            "UPDATE schedule_version SET effective_to = ? WHERE schedule = ? AND effective_to IS NULL",
            at,
            schedule,
        )
        values = {
            "schedule": schedule, "version": number, "effective_from": at, "job": self.job(), "hash": "x", "actor": "a",
            "trigger": json.dumps(trigger.to_json()), "zones": json.dumps(zones), "created_at": at,
        }  # fmt: skip
        self.add("schedule_version", **values | more)
        self.run("UPDATE schedule SET version = ? WHERE id = ?", number, schedule)
        self.run("UPDATE cursor SET version = ? WHERE schedule = ?", number, schedule)

    def row(self, schedule: int | None, due_at: Instant, state: str = "succeeded", **more: Any) -> int:
        ran = state in ("succeeded", "failed", "timed_out", "cancelled", "lost", "running", "claimed")
        values: dict[str, Any] = {
            "schedule": schedule, "version": 1, "job": self.job(), "origin": "scheduled", "due_at": due_at,
            "start_at": due_at, "state": state, "lane": "thread", "planned_at": due_at, "epoch": int(ran),
            "attempt": int(ran), "claimed_at": due_at if ran else None,
            "began_at": due_at if ran and state != "claimed" else None,
            "ended_at": None if state in LIVE else due_at + SECOND, "node": 1 if ran else None,
        }  # fmt: skip
        return self.add("occurrence", **values | more)

    def pause(
        self, schedule: int, kind: str, from_at: Instant, until_at: Instant | None = None, **more: Any
    ) -> int:
        if until_at is None:
            self.run("UPDATE schedule SET standing = ? WHERE id = ?", kind, schedule)
            self.run(
                "UPDATE cursor SET next_due = NULL, planned_until = ? WHERE schedule = ?", from_at, schedule
            )
        return self.add(
            "pause", schedule=schedule, kind=kind, from_at=from_at, until_at=until_at, actor="anna", **more
        )

    def span(
        self, schedule: int, from_at: Instant, to_at: Instant, count: int, ending: str, **more: Any
    ) -> int:
        values = {
            "schedule": schedule,
            "version": 1,
            "from_at": from_at,
            "to_at": to_at,
            "count": count,
            "ending": ending,
        }
        return self.add("span", **values | {"planned_at": to_at} | more)

    def outage(self, kind: str, from_at: Instant, to_at: Instant, note: str = "") -> int:
        return self.add("outage", kind=kind, from_at=from_at, to_at=to_at, note=note)
