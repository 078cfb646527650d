"""Whether an occurrence should run at all: asked in the lane of its job, before anything of the job's code.

While a condition is being asked the run has not begun: it is in no list of what is in progress, and the row stays
*claimed*. Only when it is met does the run begin (`Live.passed`). Every other end here says so: the condition was not
met (skipped), failed or took too long (failed, in its name), or somebody asked the run to end.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from ..core.outcome import Ending, Outcome
from ..core.states import Reason
from .base import Condition
from .context import Run, find_run_parameter

LIMIT_US = 30_000_000
"""A condition that has not answered by then has failed."""
CANNOT_RUN = (126, 127)
"""The exit codes with which a shell says that there was nothing it could run."""


def ask(condition: Condition, run: Run) -> Any:
    """Call a condition's function. What it returns may have to be awaited."""
    return call(condition.function or found(condition.name), run)


def call(function: Callable[..., Any], run: Run) -> Any:
    """Call a condition's function; it takes the run, or nothing."""
    parameter = find_run_parameter(function)
    return function() if parameter is None else function(**{parameter: run})


def found(target: str) -> Callable[..., Any]:
    """The function of that name. Raises LookupError where there is none, TypeError where it is something else."""
    module, colon, name = target.partition(":")
    try:
        if not colon:
            raise ImportError("it names no module")
        here: Any = importlib.import_module(module)
        for part in name.split("."):
            here = getattr(here, part)
    except (ImportError, AttributeError, ValueError) as error:
        raise LookupError(f"no function is named {target!r} here: {error}") from error
    if not callable(here):
        raise TypeError(f"{target!r} is no function")
    result: Callable[..., Any] = here
    return result


def answered(value: Any) -> bool:
    """The answer of a condition that cannot be awaited where it was asked. Raises TypeError if it has to be."""
    if inspect.isawaitable(value):
        if inspect.iscoroutine(value):
            value.close()
        raise TypeError("it is an async function, and its job runs on a thread; write a plain one")
    return bool(value)


async def awaited(value: Any) -> bool:
    """The answer of a condition, awaited where that is needed."""
    if inspect.isawaitable(value):
        waits: Awaitable[Any] = value
        value = await waits
    return bool(value)


def not_met(condition: Condition, now_us: int) -> Outcome:
    """The outcome of a run whose condition says that it should not be."""
    note = f"Its condition {condition.name} was not met."
    return Outcome(Ending.SKIPPED, None, now_us, reason=str(Reason.CONDITION), note=note)


def in_its_name(condition: Condition, outcome: Outcome) -> Outcome | None:
    """What an end means that came while the condition was being asked, when the job had not begun. None: it goes back,
    as nothing of it has begun and the engine stops."""
    if outcome.ending is Ending.CANCELLED:
        return None if outcome.reason == Reason.SHUTDOWN else replace(outcome, began_at=None)
    if outcome.ending is Ending.LOST:
        return replace(outcome, began_at=None, reason=str(Reason.BEGIN_UNKNOWN))
    if outcome.ending is Ending.TIMED_OUT:
        error = f"Its condition {condition.name} had not answered after {LIMIT_US / 1e6:g} s."
    elif outcome.ending is Ending.FAILED:
        error = f"Its condition {condition.name} failed: {outcome.error}"
    else:
        return outcome
    return replace(
        outcome,
        ending=Ending.FAILED,
        began_at=None,
        error=error,
        reason=str(Reason.CONDITION),
        exit_code=None,
    )
