"""Programs, each in a process group of its own."""

from __future__ import annotations

from dataclasses import replace

from ..core.outcome import Ending, Outcome
from .base import CommandSpec
from .child_process import Exit, Launch
from .condition import CANNOT_RUN, not_met
from .environment import command_line, environment
from .exits import outcome_of
from .holding import Live, after_asking, over_time
from .lane import ProcessLane


class CommandExecutor(ProcessLane):
    """The lane `command`: a program given by its `argv`, or a text for /bin/sh."""

    lane = "command"

    def _launch(self, live: Live) -> Launch:
        spec = live.assignment.command
        if spec is None or (spec.shell is None and not spec.argv):
            raise ValueError("The job names no program: give `argv` or `shell`.")
        condition = live.assignment.condition
        if live.asking and condition is not None:
            spec = replace(spec, argv=(), shell=condition.shell)
        argv = command_line(spec, live.assignment.args)
        return launch_of(argv, environment(live.assignment, spec, arguments=True), spec)

    def _exited(self, live: Live, launch: Launch, told: Exit) -> None:
        """At the end of its condition's process, that of the program itself."""
        condition = live.assignment.condition
        plain = not live.asking or live.asked is not None or told.stage is not None or told.lost
        if condition is None or plain or told.code is None or told.code < 0 or told.code in CANNOT_RUN:
            super()._exited(live, launch, told)
        elif told.code:
            self._end(live, not_met(condition, self._clock.wall_us()))
        else:
            self._passed(live)
            self._begin(live)

    def _account(self, live: Live, told: Exit, now_us: int) -> Outcome:
        spec = live.assignment.command or CommandSpec()
        good = (0,) if live.asking else spec.success_codes
        own = outcome_of(told, live.began_at, now_us, good, begun=live.handle.pid is not None)
        return without_own_error(live, after_asking(live, own))


def launch_of(argv: tuple[str, ...], env: dict[str, str], spec: CommandSpec) -> Launch:
    """The launch, if the system can take it. Raises ValueError with a sentence otherwise."""
    if any("\0" in text for text in (*argv, *env, *env.values(), spec.cwd or "")):
        raise ValueError(
            "An argument or a value of the environment holds a NUL character, which no program can take."
        )
    if not argv[0]:
        raise ValueError("The name of the program is empty.")
    if any(not name or "=" in name for name in env):
        raise ValueError("A name in the environment is empty or holds '='.")
    return Launch(argv, env, spec.cwd, spec.user, tuple(spec.env))


def without_own_error(live: Live, outcome: Outcome) -> Outcome:
    """That a process was killed, or left with a code of its own, is no error when it was asked to end."""
    if outcome.ending is Ending.TIMED_OUT:
        return replace(outcome, error=over_time(live.assignment))
    return replace(outcome, error=None) if outcome.ending is Ending.CANCELLED else outcome
