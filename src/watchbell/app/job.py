"""A job as the application holds it: the function itself, which a plain call still calls, and the verbs to enqueue it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar

from ..core.instants import parse_duration
from ..core.policies import LARGEST, JobOptions
from ..errors import BadArguments
from . import checks
from .control import aside
from .signature import Signature

if TYPE_CHECKING:
    from . import Watchbell

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class RunHandle:
    """A run that was asked for: its id, and whether this call made it (False: its key had one already)."""

    id: int
    new: bool
    _bell: Watchbell

    def __str__(self) -> str:
        return f"run_{self.id}"

    def state(self) -> str:
        """The run's state in the ledger at this moment."""
        return self._bell._run_state(self.id)

    def wait(self, timeout: str | float | timedelta = "1m") -> str:
        """Wait until the run has ended, and return how. Raises WaitedTooLong."""
        return self._bell._run_wait(self.id, parse_duration(timeout))

    async def await_end(self, timeout: str | float | timedelta = "1m") -> str:
        """`wait`, for async code."""
        return await aside(lambda: self.wait(timeout))

    def cancel(self) -> str:
        """Ask the run to end: `cancelled` if it had not begun, else `asked`. Raises Conflict if it has ended."""
        return self._bell._run_cancel(self.id)


class Job(Generic[P, R]):
    """A function that is a job. Calling it calls the function, and nothing else."""

    def __init__(
        self,
        bell: Watchbell,
        function: Callable[P, R],
        name: str,
        lane: str,
        options: JobOptions,
        aliases: tuple[str, ...] = (),
        tags: tuple[str, ...] = (),
    ) -> None:
        self._bell = bell
        self.function = function
        self.name = name
        self.lane = lane
        self.options = options
        self.aliases = aliases
        self.tags = tags
        self.signature = Signature(function, name)
        self.place = place_of(function)
        self.about = (
            (function.__doc__ or "").strip().splitlines()[0] if (function.__doc__ or "").strip() else ""
        )
        self.__name__ = getattr(function, "__name__", name)
        self.__doc__ = function.__doc__
        self.__wrapped__ = function
        self.__module__ = getattr(function, "__module__", __name__)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<Job {self.name!r}>"

    def enqueue(
        self,
        *args: Any,
        key: str | None = None,
        priority: int | None = None,
        tx: Any = None,
        **kwargs: Any,
    ) -> RunHandle:
        """Run it as soon as an engine has a slot; durable when this returns. With a `priority` of its own it goes before
        or behind others: lower runs first, else it is the job's.

        With a business `key` it is done once: the same key and arguments give the first run back, other arguments
        raise KeyTaken (the key is kept while its run is live and 30 days after).

        With `tx`, on PostgreSQL, it is part of that transaction of yours: a connection or cursor of psycopg, a Session or
        Connection of SQLAlchemy, a connection of Django or its alias. Raises BadArguments.
        """
        return self._enqueue((None, key, priority), tx, args, kwargs)

    async def aenqueue(
        self, *args: Any, key: str | None = None, priority: int | None = None, **kwargs: Any
    ) -> RunHandle:
        """`enqueue`, for async code."""
        return await aside(lambda: self.enqueue(*args, key=key, priority=priority, **kwargs))

    def enqueue_in(
        self,
        delay: str | float | timedelta,
        *args: Any,
        key: str | None = None,
        priority: int | None = None,
        tx: Any = None,
        **kwargs: Any,
    ) -> RunHandle:
        """Run it after `delay`."""
        at = self._bell._now() + parse_duration(delay)
        return self._enqueue((at, key, priority), tx, args, kwargs)

    def enqueue_at(
        self,
        at: datetime,
        *args: Any,
        key: str | None = None,
        priority: int | None = None,
        tx: Any = None,
        **kwargs: Any,
    ) -> RunHandle:
        """Run it at an instant (aware). Raises NaiveTime."""
        return self._enqueue((checks.instant(at, "at"), key, priority), tx, args, kwargs)

    def _enqueue(
        self,
        how: tuple[int | None, str | None, int | None],
        tx: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> RunHandle:
        """`how`: (at, key, priority)."""
        at, key, priority = how
        if key is not None:
            checks.name(key, "The key", BadArguments)
        if priority is not None:
            checks.whole(priority, "priority", -LARGEST, LARGEST, BadArguments)
        text = self.signature.to_json(self.signature.bind(args, kwargs))
        return self._bell._enqueue(self.name, text, at, key, priority, tx)


def place_of(function: Callable[..., Any]) -> str:
    """Where a function is written, for people."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    where = f"{code.co_filename}:{code.co_firstlineno}" if code is not None else "an object"
    return f"{getattr(function, '__module__', '?')}.{getattr(function, '__qualname__', '?')} ({where})"
