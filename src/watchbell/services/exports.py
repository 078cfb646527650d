"""Schedules as the lines of a crontab: what can be expressed, and as a comment what cannot, with the reason.

A crontab cannot unset a variable, so schedules that need fewer variables stand above those that need more; what would see a
variable that it does not have is left out and says so. Importing the text again gives the same rules.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..core.crontab import PATH, SHELL, line_of
from ..core.triggers import Trigger
from ..core.triggers.cron_fields import MACROS
from ..core.triggers.cron_trigger import Cron
from ..store import listing
from ..store.base import Store
from ..store.listing import ScheduleRow, Sought
from ..store.tx import Tx
from .crontab_files import Accounts
from .previews import read_trigger
from .schedule_views import unknown_schedule

__all__ = ["Exported", "export"]

_PLAIN = re.compile(r"[\d*/,A-Za-z-]+")
_NOT_CRONS = re.compile(r"[#?]|(?<![A-Z])[LWH]|\dL|[A-Z]{3}L")
_LOST = {
    "catchup": "catch-up",
    "catchup_limit": "catch-up",
    "catchup_window_us": "catch-up",
    "overlap": "overlap",
    "overlap_max": "overlap",
    "start_deadline_us": "start deadline",
    "grace_us": "grace",
    "priority": "priority",
    "timeout_us": "timeout",
    "retry": "retry",
}
PAGE = 500


@dataclass(frozen=True, slots=True)
class Exported:
    """A crontab, how many lines it has, and what it has no line for, by name."""

    text: str
    lines: int
    left_out: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        return {"crontab": self.text, "lines": self.lines, "left_out": dict(self.left_out)}


@dataclass(frozen=True, slots=True)
class _Line:
    name: str
    zone: str
    env: dict[str, str]
    text: str
    said: tuple[str, ...]
    stands: bool


def export(
    store: Store, names: Sequence[str], *, zone: str, system: bool = False, accounts: Accounts
) -> Exported:
    """These schedules, or all of them, as a crontab; `zone` is the one that cron is in, `system` writes the user column.
    NotFound."""
    rows = store.read(lambda tx: _rows(tx, names))
    lines, left_out = [], {}
    for row in rows:
        made = _line(row, zone, system, accounts)
        if isinstance(made, str):
            left_out[row.name] = made
        else:
            lines.append(made)
    # cron's own zone first; then by what the lines set, fewest first
    lines.sort(
        key=lambda line: (line.zone != zone, line.zone, len(line.env), sorted(line.env.items()), line.name)
    )
    return _written(lines, left_out, zone)


def _rows(tx: Tx, names: Sequence[str]) -> list[ScheduleRow]:
    if not names:
        found: list[ScheduleRow] = []
        while page := listing.schedules(tx, Sought(after=found[-1].name if found else None), PAGE):
            found += page
        return found
    rows = []
    for name in dict.fromkeys(names):
        row = listing.schedule_by_name(tx, name)
        if row is None:
            raise unknown_schedule(tx, name)
        rows.append(row)
    return rows


def _line(row: ScheduleRow, zone: str, system: bool, accounts: Accounts) -> _Line | str:
    """The line of a schedule, or why there is none."""
    trigger = read_trigger(row.trigger)
    if trigger is None:
        return "its rule cannot be read"
    rule = _rule(trigger)
    if rule is None:
        return f"{trigger.describe()}: a crontab has no such rule"
    if row.lane != "command" or row.command is None:
        return f"it carries out the job {row.job_name}, which is no command"
    command = json.loads(row.command)
    user = command.get("user")
    if user is not None and not system and user != accounts(None).name:
        return f"it runs as {user}: only a system crontab says so (--system)"
    who = accounts(user)
    shell, program = _shell(command)
    text = line_of(rule, shell, (user or who.name) if system else None)
    if text is None:
        return "its command has line breaks, or blanks at its ends, which a crontab does not keep"
    env = _env(command, program, who.home)
    if env is None:
        return "it sets HOME and starts elsewhere; cron starts a command in HOME"
    if any(
        "\n" in value or "\r" in value or value[:1] + value[-1:] in ('""', "''") for value in env.values()
    ):
        return "a variable of its environment has line breaks or quotes, which a crontab does not keep"
    for name, own in (("SHELL", SHELL), ("PATH", PATH), ("LOGNAME", who.name), ("HOME", who.home or "/")):
        if env.get(name) == own:
            del env[name]
    return _Line(
        row.name, getattr(trigger, "tz", None) or "UTC", env, text, _lost(row, command), row.standing == "on"
    )


def _rule(trigger: Trigger) -> str | None:
    """The rule as cron writes it; None where cron has none."""
    if not isinstance(trigger, Cron) or (trigger.gap, trigger.fold) != ("end", "first"):
        return None
    if trigger.dst != "auto" and trigger.rhythm != Cron(trigger.expression).rhythm:
        return None
    if trigger.expression.lower() in MACROS:
        return trigger.expression.lower()
    words = trigger.expression.split()
    if len(words) == 6 and words[0] == "0":
        words = words[1:]
    plain = len(words) == 5 and all(_PLAIN.fullmatch(word) for word in words)
    if not plain or any(_NOT_CRONS.search(word.upper()) for word in words):
        return None
    return None if any(_wraps(word) for word in words) else " ".join(words)


def _wraps(word: str) -> bool:
    """Whether a range of the field goes around its end, or has a name: cron takes 22-2 for an error, and names alone."""
    for term in word.split(","):
        first, dash, last = term.partition("/")[0].partition("-")
        if dash and not (first.isdigit() and last.isdigit() and int(first) <= int(last)):
            return not (first.isalpha() and last.isalpha() and _in_order(first, last))
    return False


def _in_order(first: str, last: str) -> bool:
    from ..core.triggers.cron_fields import DAY_NAMES, MONTH_NAMES

    for names in (DAY_NAMES, MONTH_NAMES):
        if first.upper() in names and last.upper() in names:
            return names.index(first.upper()) <= names.index(last.upper())
    return False


def _shell(command: Mapping[str, Any]) -> tuple[str, str | None]:
    """The text for the shell, and the shell where it is another than cron's own."""
    if "shell" in command:
        return str(command["shell"]), None
    argv = list(command["argv"])
    if len(argv) == 3 and argv[1] == "-c" and argv[0] == command.get("env", {}).get("SHELL"):
        return argv[2], argv[0]
    return shlex.join(argv), None


def _env(command: Mapping[str, Any], program: str | None, home: str | None) -> dict[str, str] | None:
    """What the crontab has to set above the line; None where it cannot."""
    env = dict(command.get("env", {}))
    if program is None:
        env.pop("SHELL", None)  # the text is for /bin/sh, whatever the command sees in SHELL
    folder = command.get("cwd")
    if folder is not None and folder != env.get("HOME", home):
        if "HOME" in env:
            return None
        env["HOME"] = folder
    return env


def _lost(row: ScheduleRow, command: Mapping[str, Any]) -> tuple[str, ...]:
    """What the schedule says and a crontab cannot."""
    policies = [
        _LOST.get(name, name.removesuffix("_us").replace("_", " ")) for name in json.loads(row.policies)
    ]
    found = list(dict.fromkeys(policies))
    if command.get("success_codes"):
        found.append("success codes")
    if command.get("inherit_env"):
        found.append("the environment of the engine")
    if json.loads(row.options):
        found.append("the options of its job")
    return tuple(found)


def _written(lines: Sequence[_Line], left_out: dict[str, str], zone: str) -> Exported:
    out = [f"# Written by `watchbell export crontab`; times are those of {zone}."]
    seen: dict[str, str] = {}
    current, count = zone, 0
    for line in lines:
        alien = sorted(set(seen) - set(line.env))
        if alien:
            left_out[line.name] = (
                f"it would see {alien[0]}, which a line above needs and a crontab cannot unset: export it on its own"
            )
            continue
        out += [
            "",
            f"# {_one_line(line.name)}" + (f" (lost here: {', '.join(line.said)})" if line.said else ""),
        ]
        if line.zone != current:
            out.append(f"CRON_TZ={line.zone}")
            current = line.zone
        for name, value in line.env.items():
            if seen.get(name) != value:
                out.append(f'{name}="{value}"' if value != value.strip() or not value else f"{name}={value}")
        seen.update(line.env)
        out.append(line.text if line.stands else f"# it does not come due: {line.text}")
        count += line.stands
    for name, why in sorted(left_out.items()):
        out += ["", f"# {_one_line(name)} has no line: {_one_line(why)}"]
    return Exported("\n".join(out) + "\n", count, left_out)


def _one_line(text: str) -> str:
    return " ".join(text.split())
