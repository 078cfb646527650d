"""What a process finds in its environment, and how a command job's arguments reach its program.

The environment is clean unless asked otherwise: the few names a program needs to work, what the job sets, and what
says which run it is. Arguments go into names of their own and into single elements of `argv`; no argument ever
becomes part of a text that a shell reads.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from typing import Any

from ..core.instants import to_text
from .base import Assignment, CommandSpec

KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "USER", "SHELL")
_PLACE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_NOT_A_NAME = re.compile(r"[^A-Z0-9_]")
_FALLBACK_PATH = "/usr/local/bin:/usr/bin:/bin"


def environment(assignment: Assignment, spec: CommandSpec, arguments: bool) -> dict[str, str]:
    """The whole environment of the run's process; `arguments`: with WATCHBELL_ARG_<NAME> for each."""
    env = (
        dict(os.environ)
        if spec.inherit_env
        else {name: os.environ[name] for name in KEPT if name in os.environ}
    )
    env = {name: value for name, value in env.items() if not name.startswith("WATCHBELL_")}
    env.setdefault("PATH", _FALLBACK_PATH)
    env |= spec.env
    if arguments:
        env |= {f"WATCHBELL_ARG_{_name(name)}": text_of(value) for name, value in assignment.args.items()}
    return env | {
        "WATCHBELL_RUN_KEY": assignment.run_key,
        "WATCHBELL_RUN": str(assignment.run),
        "WATCHBELL_JOB": assignment.job,
        "WATCHBELL_SCHEDULE": assignment.schedule or "",
        "WATCHBELL_DUE_AT": to_text(assignment.due_at),
        "WATCHBELL_ATTEMPT": str(assignment.attempt),
        "WATCHBELL_EPOCH": str(assignment.epoch),
        "WATCHBELL_TOKEN": assignment.token,
    }


def mark(assignment: Assignment) -> str:
    """What the spawner finds in the environment of every process of this run (`spawner.MARKS`)."""
    return "\0".join(
        (
            f"WATCHBELL_RUN={assignment.run}",
            f"WATCHBELL_EPOCH={assignment.epoch}",
            f"WATCHBELL_TOKEN={assignment.token}",
        )
    )


def command_line(spec: CommandSpec, args: Mapping[str, Any]) -> tuple[str, ...]:
    """The program and its arguments. `{name}` in an element of `argv` is replaced where the run has an argument of
    that name, once, within that element; other braces stay as they are. A shell text stays as it is."""
    if spec.shell is not None:
        return ("/bin/sh", "-c", spec.shell)

    def put(found: re.Match[str]) -> str:
        return text_of(args[found[1]]) if found[1] in args else found[0]

    return tuple(_PLACE.sub(put, element) for element in spec.argv)


def text_of(value: object) -> str:
    """An argument as text: a string as it stands, None as nothing, everything else as JSON."""
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value)


def _name(name: str) -> str:
    return _NOT_A_NAME.sub("_", name.upper())
