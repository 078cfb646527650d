"""What the tests of the services share: a database, an instant, and short ways to fill it."""

from __future__ import annotations

from typing import Any

from watchbell.core.instants import SECOND, parse_instant
from watchbell.core.plan import Capacity
from watchbell.core.triggers import Trigger, every
from watchbell.services.schedules import Command, Details, ScheduleView, add_command_schedule
from watchbell.store.base import Store
from watchbell.store.planning import Planner, plan_due
from watchbell.store.schedules.catalog import Catalog
from watchbell.store.schedules.put import Doer, JobSpec, put_job

NOW = parse_instant("2026-11-21T08:00:00Z")
WHO = "alice"
TRUE = Command(argv=("true",))


def add(store: Store, name: str, trigger: Trigger | None = None, **details: Any) -> ScheduleView:
    """A schedule of the command `true`, by default every 10 s."""
    return add_command_schedule(
        store, name, trigger or every("10s"), TRUE, details=Details(**details), now=NOW, actor=WHO
    )


def function_job(store: Store, name: str, parameters: str | None = None) -> int:
    """A job that an application has declared."""
    spec = JobSpec(name=name, lane="thread", parameters=parameters, app="shop")
    return store.write(lambda tx: put_job(tx, spec, Doer("app shop", NOW)).id)


def plan(store: Store, now: int, slots: int = 0) -> int:
    """Plan what is due at `now`, as an engine would; without slots it is all queued. Returns how many rows it wrote."""
    capacity = Capacity({"command": slots, "thread": slots}, slots)
    return store.write(lambda tx: plan_due(tx, Planner(Catalog()), capacity, now, 0).rows)


def end(store: Store, run: int, state: str = "succeeded", **columns: Any) -> None:
    """Write how a run ended, without carrying it out."""
    values = {
        "state": state,
        "claimed_at": NOW,
        "began_at": NOW + SECOND,
        "ended_at": NOW + 3 * SECOND,
        **columns,
    }
    names = ", ".join(f"{name} = ?" for name in values)
    store.write(lambda tx: tx.run(f"UPDATE occurrence SET {names} WHERE id = ?", (*values.values(), run)))
