"""What is done to a life, one function for each verb of its steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from watchbell.core.instants import MINUTE, to_datetime
from watchbell.errors import WatchbellError
from watchbell.services import clock

from .plan import HOUR_US, POLICIES, Step
from .states import LIVE
from .zones import other_zone_data

if TYPE_CHECKING:
    from .world import World

Deed = Callable[["World", Step, str], None]
KEYS = 3
SEVERAL = 20


def _run_now(world: World, _step: Step, work: str) -> None:
    world.bell.run_now(work)


def _enqueue(world: World, step: Step, work: str) -> None:
    later = world.clock.wall_us() + step.by_us if step.by_us else None
    if not step.text:
        world.bell._enqueue(work, "{}", later, None)
        return
    before = world.keyed.get((work, step.text))
    handle = world.bell._enqueue(work, "{}", later, step.text)
    world.judge_key(work, step.text, before, handle.id)
    world.keyed[work, step.text] = handle.id


def _cancel(world: World, step: Step, _work: str) -> None:
    live = world.rows(f"SELECT id FROM occurrence WHERE state IN ({LIVE}) ORDER BY id LIMIT 5")
    if live:
        world.bell._run_cancel(live[step.work % len(live)][0])


def _pause(world: World, step: Step, work: str) -> None:
    world.bell.pause(work, drop_waiting=step.text == "drop")


def _resume(world: World, _step: Step, work: str) -> None:
    world.bell.resume(work)


def _catch_up(world: World, _step: Step, work: str) -> None:
    world.bell.resume(work, catchup=True)


def _edit(world: World, step: Step, work: str) -> None:
    world.bell.edit(work, trigger=step.text, drop_waiting=step.by_us == HOUR_US)


def _edit_later(world: World, step: Step, work: str) -> None:
    later = to_datetime(world.clock.wall_us() + HOUR_US + step.by_us)
    world.bell.edit(work, trigger=step.text, apply_from=later)


def _edit_policies(world: World, step: Step, work: str) -> None:
    options = POLICIES[step.by_us]
    every = {name for policies in POLICIES for name in policies} - options.keys()
    world.edited.add(work)
    world.bell.edit(work, default=sorted(every), **options)


def _remove(world: World, step: Step, work: str) -> None:
    world.bell.remove(work, drop_waiting=step.text == "drop")


def _backfill(world: World, step: Step, work: str) -> None:
    now = world.clock.wall_us()
    world.bell.backfill(work, to_datetime(max(0, now - step.by_us)), to_datetime(now), limit=SEVERAL)


def _retry(world: World, step: Step, _work: str) -> None:
    over = world.rows(
        f"SELECT id FROM occurrence WHERE state NOT IN ({LIVE}) ORDER BY id DESC LIMIT 1 OFFSET ?", step.by_us
    )
    if over:
        world.bell.retry(over[0][0])


def _confirm(world: World, _step: Step, _work: str) -> None:
    clock.confirm(world.bell._open(), now=world.clock.wall_us(), actor="a person")


def _repair(world: World, _step: Step, _work: str) -> None:
    store, now = world.bell._open(), world.clock.wall_us()
    said = clock.repair_clock(store, now=now, actor="a person", apply=False)
    done = clock.repair_clock(store, now=now, actor="a person", apply=True)
    if (said.found.rows, said.found.in_spans) != (done.found.rows, done.found.in_spans):
        raise AssertionError(f"a repair did other than it said: {said} {done}")
    world.repaired_at = now


def _future(world: World, step: Step, work: str) -> None:
    """The clock stands in the future for a while and is set right again; then it is repaired."""
    world.clock.step(step.by_us)
    world.advance(45 * MINUTE)
    if step.text == "confirm":
        _confirm(world, step, work)
        world.advance(2 * HOUR_US)
    world.clock.step(-step.by_us)
    world.node.step()
    _repair(world, step, work)


def _slots(world: World, step: Step, _work: str) -> None:
    world.node.set_slots(thread=step.by_us)


def _suspend(world: World, step: Step, _work: str) -> None:
    world.clock.suspend(step.by_us)


def _clock(world: World, step: Step, _work: str) -> None:
    world.clock.step(step.by_us)


def _crash(world: World, step: Step, _work: str) -> None:
    world.node.die()
    world.clock.advance(step.by_us)
    world.come_back()


def _deploy(world: World, step: Step, _work: str) -> None:
    world.node.drain()
    world.clock.advance(step.by_us)
    world.come_back()


def _missing(world: World, step: Step, work: str) -> None:
    """A deploy of code in which the job's function is not there; the next process has it again."""
    world.node.drain()
    world.clock.advance(step.by_us)
    world.come_back(without=work)


def _reboot(world: World, step: Step, _work: str) -> None:
    world.node.die()
    world.clock.reboot(step.by_us)
    world.come_back()


def _zone(world: World, step: Step, _work: str) -> None:
    """A process comes up with other time zone data."""
    world.node.drain()
    other_zone_data(step.by_us, world.clock.wall_us())
    world.come_back()


def _switch(world: World, _step: Step, work: str) -> None:
    """A deploy of code in which the schedule is disabled, or enabled again."""
    world.node.drain()
    wanted = world.bell._declared.wanted
    wanted[work] = replace(wanted[work], enabled=not wanted[work].enabled)
    world.come_back()


def _add(world: World, _step: Step, _work: str) -> None:
    world.declare_again()


DEEDS: dict[str, Deed] = {
    "run_now": _run_now, "enqueue": _enqueue, "cancel": _cancel, "pause": _pause, "resume": _resume, "catch_up": _catch_up,
    "edit": _edit, "edit_later": _edit_later, "edit_policies": _edit_policies, "remove": _remove, "backfill": _backfill,
    "retry": _retry, "confirm": _confirm, "repair": _repair, "future": _future, "slots": _slots, "suspend": _suspend,
    "clock": _clock, "crash": _crash, "deploy": _deploy, "missing": _missing, "reboot": _reboot, "zone": _zone,
    "switch": _switch, "add": _add,
}  # fmt: skip


def do(world: World, step: Step, work: str) -> None:
    """Do one thing; an answer that says no is an answer."""
    if step.verb == "wait":
        return
    try:
        DEEDS[step.verb](world, step, work)
    except WatchbellError:
        pass
