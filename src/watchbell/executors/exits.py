"""How the end of a process becomes an `Outcome`, and the sentences for it."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Sequence

from ..core.outcome import Ending, Outcome
from .child_process import Exit, Launch

_BEGUN = "The process that starts all others died, and this one with it; how far it came is not known."
_UNKNOWN = "The process that starts all others died before it said whether this one had begun."


def outcome_of(told: Exit, began_at: int | None, now_us: int, good: Sequence[int], begun: bool) -> Outcome:
    """The account of a process that was not asked to end. `good`: the exit codes that mean success; `begun`: it is
    known to have been started."""
    if told.lost:
        reason, note = ("begun", _BEGUN) if begun else ("begin_unknown", _UNKNOWN)
        return Outcome(Ending.LOST, began_at, now_us, reason=reason, note=note)
    error = exit_sentence(told.code, good)
    return Outcome(
        Ending.SUCCEEDED if error is None else Ending.FAILED,
        began_at,
        now_us,
        error=error,
        exit_code=told.code,
        peak_memory=told.peak,
        cpu_us=told.cpu_us,
    )


def exit_sentence(code: int | None, good: Sequence[int]) -> str | None:
    """What is wrong with this exit code, or None. Negative: the number of the signal that killed it."""
    if code in good:
        return None
    if code is None or code >= 0:
        return f"The program ended with exit code {code}."
    try:
        name = f" ({signal.Signals(-code).name})"
    except ValueError:
        name = ""
    hint = (
        "; watchbell did not send it, the system may have been out of memory"
        if code == -signal.SIGKILL
        else ""
    )
    return f"The program was killed by signal {-code}{name}{hint}."


def not_started(told: Exit, launch: Launch, began_at: int | None, now_us: int) -> Outcome:
    """The account of a process that could not be started."""
    number = told.number or 0
    kind = type(OSError(number, "")) if number else OSError
    names = tuple(cls.__name__ for cls in kind.__mro__ if cls is not object)
    return Outcome(
        Ending.FAILED,
        began_at,
        now_us,
        error=_start_sentence(told.stage or "", number, launch),
        error_type=("SpawnError", *names),
    )


def _start_sentence(stage: str, number: int, launch: Launch) -> str:
    why = os.strerror(number) if number else "it gave no reason"
    program = launch.argv[0]
    known = {
        ("cwd", errno.ENOENT): f"The working folder {launch.cwd!r} does not exist.",
        ("cwd", errno.ENOTDIR): f"The working folder {launch.cwd!r} is not a folder.",
        ("cwd", errno.EACCES): f"The working folder {launch.cwd!r} may not be entered.",
        ("user", errno.ESRCH): f"There is no user {launch.user!r} on this machine.",
        ("user", errno.EPERM): f"Only root can run a program as another user, here {launch.user!r}.",
        ("exec", errno.ENOEXEC): (
            f"The program {program!r} is in no form this machine can run; a script needs a first line such as "
            "#!/bin/sh."
        ),
        ("exec", errno.E2BIG): "The arguments and the environment are too long for the system.",
    }
    if (stage, number) in known:
        return known[stage, number]
    if stage == "exec" and number in (errno.ENOENT, errno.ENOTDIR, errno.EACCES):
        return _not_found(launch, number)
    if number == errno.EAGAIN:
        return f"The system has no room for another process ({why}); the limit of processes or memory is reached."
    if number in (errno.EMFILE, errno.ENFILE):
        return f"The program {program!r} could not be started: there are no file descriptors left ({why})."
    if stage == "spawner":
        return f"The process that starts all others could not be started: {why}."
    return f"The program {program!r} could not be started: {why}."


def _not_found(launch: Launch, number: int) -> str:
    """The program is not there, or not allowed. The system says "no permission" also of a name that it looked for in
    a folder of PATH that may not be entered, and of one below such a folder, so it is looked at once more."""
    program, search = launch.argv[0], launch.env.get("PATH", "")
    folders = [""] if "/" in program else search.split(os.pathsep)
    places = [os.path.join(launch.cwd or "", folder, program) for folder in folders]
    if number == errno.EACCES and any(map(_may_be_there if "/" in program else os.path.exists, places)):
        return f"The program {program!r} may not be executed: it has no permission for that."
    if "/" not in program:
        return f"The program {program!r} was not found in PATH ({search})."
    if os.path.exists(places[0]):
        return f"The program {program!r} is there, but not the interpreter that its first line names."
    return f"The program {program!r} does not exist."


def _may_be_there(path: str) -> bool:
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True  # in a folder that may not be entered
    return True
