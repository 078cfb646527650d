"""What a function sees of its own run: its identity, its words, and whether it was asked to end.

A function that has a parameter for it is given a `Run`; every other function, and whatever it calls, finds the same
object in `current_run`. The object is made for every attempt on the hottest path there is, so it holds four
references and computes the rest when asked.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import Any

from ..core.keys import check_key
from ..errors import Cancelled
from .base import Assignment, Sink

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAMED_RUN = re.compile(r"(?:\w+\.)*Run")
_OPTIONAL = re.compile(r"^(?:typing\.)?Optional\[(.*)\]$|\s*\|\s*None$")


class Run:
    """The run that is being carried out. Its methods may be called from any thread."""

    __slots__ = ("__weakref__", "_asked", "_assignment", "_noticed", "_sink")

    def __init__(self, assignment: Assignment, sink: Sink) -> None:
        self._assignment = assignment
        self._sink = sink
        self._asked: str | None = None
        self._noticed = False

    @property
    def id(self) -> int:
        """The number of the run in the ledger."""
        return self._assignment.run

    @property
    def job(self) -> str:
        return self._assignment.job

    @property
    def schedule(self) -> str | None:
        """The schedule whose occurrence this is; None for a run that no schedule asked for."""
        return self._assignment.schedule

    @property
    def due_at(self) -> datetime:
        """The instant the occurrence fell due (aware, UTC), however late it begins."""
        return _EPOCH + timedelta(microseconds=self._assignment.due_at)

    @property
    def run_key(self) -> str:
        """The same for every attempt of one occurrence: hand it to whatever must not act twice."""
        return self._assignment.run_key

    @property
    def attempt(self) -> int:
        """Counted from 1."""
        return self._assignment.attempt

    @property
    def epoch(self) -> int:
        """Grows with every claim; a resource that remembers the highest can refuse a late one."""
        return self._assignment.epoch

    @property
    def token(self) -> str:
        """The secret of this claim."""
        return self._assignment.token

    @property
    def cancelled(self) -> bool:
        """True once the run was asked to end: cancelled by a person, out of time, or at shutdown."""
        if self._asked is None:
            return False
        self._noticed = True
        return True

    def raise_if_cancelled(self) -> None:
        """Raise `errors.Cancelled` if the run was asked to end."""
        if self.cancelled:
            raise Cancelled(f"The run was asked to end: {self._asked}.")

    def log(self, message: object, *args: object, level: str = "info") -> None:
        """Write a line to the log of the run; `args` as in `logging`."""
        text = str(message)
        if args:
            try:
                text = text % args
            except (TypeError, ValueError):
                text = f"{text} {args!r}"
        self._sink.log(self._assignment.run, self._assignment.epoch, "log", level, text)

    def progress(self, done: float, of: float | None = None, message: str | None = None) -> None:
        """Say how far the run is: `done` of `of`, in any unit, with a few words."""
        self._sink.progress(self._assignment.run, self._assignment.epoch, done, of, message)

    def once(self, name: str) -> bool:
        """True the first time `name` is asked for in this occurrence, whatever the attempt; it returns after a
        durable write. It guards a step that must not be repeated by a retry. BadInput for a name of more than 200
        characters."""
        check_key(name, "The name of a step")
        return self._sink.once(self._assignment.run, self._assignment.epoch, name)

    def __repr__(self) -> str:
        a = self._assignment
        return f"<Run {a.run} of {a.job!r}, attempt {a.attempt}>"


current_run: ContextVar[Run | None] = ContextVar("watchbell_current_run", default=None)


def find_run_parameter(function: Callable[..., Any]) -> str | None:
    """The name of the parameter that takes the `Run`, or None.

    It is the one annotated `Run` (also as text, also optional), else the one named `run`; it may stand anywhere but
    before a `/`, and it never counts as an argument of the job.
    """
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    names = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    space = getattr(inspect.unwrap(function), "__globals__", {})
    for parameter in names:
        if _means_run(parameter.annotation, space):
            return parameter.name
    return next((p.name for p in names if p.name == "run"), None)


def _means_run(annotation: object, space: dict[str, Any]) -> bool:
    if not isinstance(annotation, str):
        return annotation is Run or Run in getattr(annotation, "__args__", ())
    text = annotation.strip().strip("'\"")
    text = _OPTIONAL.sub(lambda found: found.group(1) or "", text).strip().strip("'\"")
    if text.split(".")[-1] == "Run" and _NAMED_RUN.fullmatch(text) is None:
        return False
    return _looked_up(text, space)


def _looked_up(text: str, space: dict[str, Any]) -> bool:
    """Whether a dotted name means our `Run`. A name that is imported for type checkers only cannot be found at run
    time; then its spelling decides."""
    first, *rest = text.split(".")
    if first not in space:
        return _NAMED_RUN.fullmatch(text) is not None
    value = space[first]
    for name in rest:
        value = getattr(value, name, None)
    return value is Run
