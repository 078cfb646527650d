"""To live a life, and to find the smallest that breaks the same rule."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass

from .plan import Life, Step
from .rules import Rules
from .world import Broken, World


@dataclass(frozen=True, slots=True)
class Lived:
    """What came of a life: its trace, or the rule that was broken."""

    trace: str
    rows: int
    days: float
    broken: Broken | None = None
    after: int | None = None
    """The number of the step after which it was broken; None at rest."""


def live(life: Life, to_rest: bool = True) -> Lived:
    """Carry out a life and judge it after every step, and at the end when everything has come to rest."""
    with _in_silence():
        return _lived(life, to_rest)


@contextlib.contextmanager
def _in_silence() -> Iterator[None]:
    logger = logging.getLogger("watchbell")
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(before)


def _lived(life: Life, to_rest: bool) -> Lived:
    world = World(life)
    rules = Rules(world)
    broken: Broken | None = None
    after: int | None = None
    try:
        for number, step in enumerate(life.steps):
            after = number
            world.carry_out(step)
            rules.after_step()
        after = None
        if to_rest:
            rules.at_rest()
    except Broken as found:
        broken = found
    except Exception as error:
        broken = Broken("raised", f"{type(error).__name__}: {error}")
        broken.__cause__ = error
    rows = int(world.rows("SELECT count(*) FROM occurrence")[0][0])
    lived = Lived(world.trace(), rows, life.days, broken, after)
    world.close()
    return lived


def shrink(life: Life, rule: str, lives: int = 400) -> Life:
    """A life with as few steps as can be found in so many lives, in which the same rule is broken."""
    first = live(life)
    steps = list(life.steps if first.after is None else life.steps[: first.after + 1])
    size = max(1, len(steps) // 2)
    while size >= 1 and lives > 0:
        place, smaller = 0, False
        while place < len(steps) and lives > 0:
            fewer = _without(steps, place, size)
            lived = live(life.with_steps(tuple(fewer)), to_rest=first.after is None)
            lives -= 1
            if lived.broken is not None and lived.broken.rule == rule:
                steps, smaller = fewer if lived.after is None else fewer[: lived.after + 1], True
            else:
                place += size
        if not smaller or size > 1:
            size //= 2
    return life.with_steps(tuple(steps))


def _without(steps: list[Step], place: int, size: int) -> list[Step]:
    return [*steps[:place], *steps[place + size :]]
