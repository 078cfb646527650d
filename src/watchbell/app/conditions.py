"""Conditions as an application writes them: a function that says whether an occurrence should run at all."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from ..engine.handlers import Handlers
from ..errors import BadDeclaration, BadPolicy
from ..executors.context import find_run_parameter
from . import checks


def condition_name(value: object) -> str:
    """The name by which a condition is stored: a text as it stands, a function as `module:qualname`. Raises BadPolicy."""
    if isinstance(value, str):
        return value
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if not callable(value) or module is None or name is None:
        raise BadPolicy(
            f"A condition is a function with a name of its own, or that name as 'module:function', not {checks.shown(value)}."
        )
    return f"{module}:{name}"


def know_condition(handlers: Handlers, options: Mapping[str, Any], lane: str | None) -> None:
    """Let this process find the condition among a schedule's options, and refuse one that could not be asked in the lane
    of its job (None: not known here). Raises BadPolicy, BadDeclaration."""
    function = options.get("condition")
    if function is None or isinstance(function, str):
        return
    name = condition_name(function)
    check_function(function, name)
    if lane == "thread" and inspect.iscoroutinefunction(function):
        raise BadPolicy(
            f"The condition {name} is an async function, and its job runs on a thread: write a plain one, or an async job."
        )
    if lane == "process":
        from ..executors.process import process_target

        process_target(function)
    if lane == "command":
        raise BadPolicy("The condition of a command is a text for /bin/sh, whose exit code 0 lets it run.")
    if handlers.add_condition(name, function) is not function:
        raise BadDeclaration(
            f"Two conditions are named {name}: give each a function with a name of its own (def, not lambda)."
        )


def check_function(function: Callable[..., Any], name: str) -> None:
    """It is called with the run, or with nothing."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return
    own = find_run_parameter(function)
    needed = [
        p.name
        for p in parameters
        if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD) and p.name != own
    ]
    if needed:
        raise BadPolicy(
            f"The condition {name} wants {needed[0]!r}, and nobody would give it: it takes the run (a parameter `run`) or "
            "nothing."
        )
