"""Handlers: the functions that jobs' names stand for in this process."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ..core import http_request
from ..core.claim import Claim
from ..core.definition import Job
from ..core.lanes import BY_THEMSELVES
from ..errors import BadDeclaration
from ..executors.base import Assignment, CommandSpec, Condition


@dataclass(frozen=True, slots=True)
class Handler:
    """A function and how it is carried out."""

    name: str
    lane: str
    function: Callable[..., Any]
    run_parameter: str | None = None
    target: str | None = None
    aliases: tuple[str, ...] = ()
    decoder: Callable[[], Callable[[Mapping[str, Any]], dict[str, Any]] | None] | None = None


class Handlers:
    """All handlers of this process, by name and alias."""

    def __init__(self) -> None:
        self._by_name: dict[str, Handler] = {}
        self._conditions: dict[str, Callable[..., Any]] = {}

    def add(self, handler: Handler) -> None:
        """Know a handler by its name and its aliases."""
        for name in (handler.name, *handler.aliases):
            self._by_name[name] = handler

    def add_condition(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Know a condition by its name; returns the function that has it, which is the one that came first."""
        return self._conditions.setdefault(name, function)

    def condition(self, name: str) -> Callable[..., Any] | None:
        """The function of a condition, if this process has declared it."""
        return self._conditions.get(name)

    def find(self, job: Job) -> Handler | None:
        """The handler of a job, under any of the names that the job has had."""
        for name in (job.name, *job.aliases):
            if (found := self._by_name.get(name)) is not None:
                return found
        return None

    def target(self, name: str) -> str | None:
        """The `module:qualname` of an isolated job's function."""
        found = self._by_name.get(name)
        return None if found is None else found.target

    def knows(self, job: Job) -> bool:
        """Whether this process can carry the job out. A function of another kind than the job's (`def`, `async def`) is that
        of older or newer code."""
        if job.lane in BY_THEMSELVES:
            return True
        found = self.find(job)
        return found is not None and found.lane == job.lane

    def names(self) -> tuple[str, ...]:
        """Every name, for the node's row."""
        return tuple(sorted(self._by_name))


HTTP_TIMEOUT_US = 60_000_000
"""The whole time of a request that has no timeout of its own."""
_NO_ARGS: Mapping[str, Any] = {}


def assignment_of(
    claim: Claim, job: Job, handlers: Handlers, schedule: str | None, database: str
) -> Assignment | None:
    """What an executor needs to carry out a claim; None if this process has no handler for it."""
    command = None
    handler = None
    http = None
    if job.lane == "http":
        http = asdict(http_request.from_text(job.command or "{}"))
    elif job.lane == "command":
        command = command_of(job.command or "{}")
    elif (handler := handlers.find(job)) is None:
        return None
    # A run by hand has no part in its schedule's identities: its due instant is merely when somebody asked.
    by_itself = claim.by_hand or claim.schedule is None
    place = f"r{claim.run}" if by_itself else f"s{claim.schedule}-{claim.due_at}"
    return Assignment(
        run=claim.run,
        epoch=claim.epoch,
        lane=claim.lane,
        job=job.name,
        run_key=f"{database}-{place}",
        token=claim.token,
        due_at=claim.due_at,
        attempt=claim.attempt,
        schedule=schedule,
        args=_arguments(claim.args, handler),
        function=None if handler is None else handler.function,
        run_parameter=None if handler is None else handler.run_parameter,
        target=None if handler is None else handler.target,
        command=command,
        timeout_us=claim.timeout_us if http is None else claim.timeout_us or HTTP_TIMEOUT_US,
        kill_grace_us=claim.kill_grace_us,
        memory=job.options.memory,
        http=http,
        condition=_condition(claim, job, handlers),
    )


_ASKING = ("async", "thread", "process", "command")


def _condition(claim: Claim, job: Job, handlers: Handlers) -> Condition | None:
    """What is to be asked before this attempt begins: of the first one of what came due by itself. A later attempt goes on
    with what the first has begun."""
    text = claim.condition
    if text is None or claim.attempt > 1 or claim.by_hand:
        return None
    if job.lane not in _ASKING:
        raise BadDeclaration(f"{job.name} is a {job.lane} job, of which no condition can be asked.")
    if job.lane == "command":
        return Condition(text, shell=text)
    return Condition(text, None if job.lane == "process" else handlers.condition(text))


def _arguments(text: str | None, handler: Handler | None) -> Mapping[str, Any]:
    if text is None or text == "{}":
        return _NO_ARGS
    stored: Mapping[str, Any] = json.loads(text)
    decode = handler.decoder() if handler is not None and handler.decoder is not None else None
    return stored if decode is None else decode(stored)


def command_of(text: str) -> CommandSpec:
    """The command that a job's JSON text says."""
    data = json.loads(text)
    return CommandSpec(
        argv=tuple(data.get("argv", ())),
        shell=data.get("shell"),
        cwd=data.get("cwd"),
        env=data.get("env", {}),
        inherit_env=bool(data.get("inherit_env", False)),
        user=data.get("user"),
        success_codes=tuple(data.get("success_codes", (0,))),
    )
