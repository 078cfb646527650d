"""What an executor is: it carries out attempts and reports how each ended. It knows nothing of the store.

An executor is given `Assignment`s that may begin now. For each it reports exactly one `Report`, whatever happens: the
function returned, raised, was cancelled, ran out of time, its process died. `begun` is decided here and nowhere else:
`withdraw` answers True only if user code has not begun and now never will, which is what makes a hand-back safe
(PROTOCOL §4). A soft cancel asks; after `kill_grace_us` it kills, where the kind of work can be killed at all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from ..core.outcome import Outcome


@dataclass(frozen=True, slots=True)
class Condition:
    """What is asked before a run begins. `name` is what people know it by: a function's `module:qualname`, or the text of
    `shell`. A function that this process has not been given is looked up by its name."""

    name: str
    function: Callable[..., Any] | None = None
    shell: str | None = None


@dataclass(frozen=True, slots=True)
class CommandSpec:
    """A program to run. `argv` is given as it stands; `shell` is one text for /bin/sh, in which nothing is ever
    interpolated: arguments reach it as environment variables only."""

    argv: tuple[str, ...] = ()
    shell: str | None = None
    cwd: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    inherit_env: bool = False
    user: str | None = None
    success_codes: tuple[int, ...] = (0,)


@dataclass(slots=True)  # frozen, it takes four times as long to make
class Assignment:
    """One attempt to carry out; never changed. `lane` names the kind of executor: async, thread, process or command."""

    run: int
    epoch: int
    lane: str
    job: str
    run_key: str
    token: str
    due_at: int
    attempt: int = 1
    schedule: str | None = None
    args: Mapping[str, Any] = field(default_factory=dict)
    function: Callable[..., Any] | None = None
    run_parameter: str | None = None
    target: str | None = None
    command: CommandSpec | None = None
    timeout_us: int | None = None
    kill_grace_us: int = 5_000_000
    memory: int | None = None
    http: Mapping[str, Any] | None = None
    condition: Condition | None = None


class Report(NamedTuple):
    """How one attempt ended, or that it was handed back before it began (`outcome is None`)."""

    run: int
    epoch: int
    outcome: Outcome | None


@dataclass(frozen=True, slots=True)
class Blocked:
    """A run whose code kept every other run of its lane from going on, for so long. `where` is the place in its code,
    as a traceback reads. `run` is None where the code belongs to no run that is held."""

    run: int | None
    epoch: int
    for_us: int
    where: str | None


class Sink(Protocol):
    """Where an attempt's words go while it runs. Every method may be called from any thread; none may block for
    long but `once`, which returns after a durable write."""

    def began(self, run: int, epoch: int, began_at: int, pid: int | None, pid_started: int | None) -> None:
        """The run has a process of its own. `pid` is also its process group and session; `pid_started`, in clock ticks
        since boot, tells it from a later process of the same number. Lanes without processes do not call this: what they
        carry out is in `in_progress`."""

    def log(self, run: int, epoch: int, stream: str, level: str, text: str) -> None: ...
    def progress(self, run: int, epoch: int, done: float, of: float | None, message: str | None) -> None: ...
    def once(self, run: int, epoch: int, name: str) -> bool: ...


class Executor(Protocol):
    """One lane of work. Thread-safe. `report` (given at construction) is called with batches, from any thread."""

    lane: str

    def start(self, assignments: Sequence[Assignment]) -> None:
        """Begin each at once. Never raises for one assignment: what cannot begin is reported as failed."""

    def withdraw(self, run: int, epoch: int) -> bool:
        """True if user code has not begun and now never will. Nothing is reported for it any more."""
        ...

    def cancel(self, run: int, epoch: int, reason: str, hard: bool = False) -> None:
        """Ask the work to end (`hard`: kill it at once). It is reported when it really has."""

    def in_progress(self) -> dict[tuple[int, int], int]:
        """(run, epoch) → began_at of all that has begun and has not been reported."""
        ...

    def lost_slots(self) -> int:
        """How many slots are held by work that would not stop (a thread that ignores its timeout)."""
        ...

    def unblock(self, limit_us: int) -> Blocked | None:
        """Asked every so often: if the code of one run keeps all others from going on for longer than the limit, let
        further runs go on without it, and say which it is. None where all is well."""
        ...

    def stop(self, within_us: int) -> None:
        """Cancel what still runs, kill what outlives `within_us`, report all of it, end the threads."""
