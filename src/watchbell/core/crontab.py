"""Crontabs, read and written as text: what each line means to cron, and what is different here.

Read as Debian's cron reads them (crontab(5)): blank lines, comments, `NAME = value` lines that hold for what stands below
them, five fields or @daily and its like, in a system crontab the user, then the command. An unescaped `%` in a command is
a line break, and what stands behind the first one is its standard input. `CRON_TZ` is read as cronie reads it.

`read` never fails as a whole: a line that cannot be taken over is a `Refused` with the reason. `Entry.shell` is the text
that /bin/sh is given, with the standard input built in; `line_of` is its exact inverse.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from ..errors import WatchbellError
from .instants import DAY, Instant, local_text
from .triggers import cron
from .triggers.cron_fields import MACROS
from .triggers.cron_trigger import Cron

__all__ = [
    "PATH",
    "SHELL",
    "Crontab",
    "Entry",
    "Refused",
    "home_of",
    "line_of",
    "named",
    "read",
    "warnings_of",
]

SHELL: Final = "/bin/sh"
PATH: Final = "/usr/bin:/bin"
"""What cron itself gives to a command, where the crontab says nothing else."""
_VARIABLE: Final = re.compile(
    r"""\s*(?:(?P<name>[A-Za-z_]\w*)|"(?P<double>[^"]+)"|'(?P<single>[^']+)')\s*=\s*(?P<value>.*?)\s*$"""
)
_FIELDS: Final = re.compile(r"\s*(@\S+|\S+(?:\s+\S+){4})\s+(\S.*)$")
_WITH_USER: Final = re.compile(r"(\S+)\s+(\S.*)$")
_PERCENT: Final = re.compile(r"\\%|%")
_WITH_INPUT: Final = re.compile(r"printf '%s' '((?:[^']|'\\'')*)' \| \{\n(.*)\n\}", re.DOTALL)
_AT_BOOT: Final = "@reboot"
_MOST_LINES: Final = 20_000
_LONGEST: Final = 100_000


@dataclass(frozen=True, slots=True)
class Entry:
    """A line that is a job. `rule` is its cron expression; `env` holds what the lines above it set."""

    number: int
    rule: str
    command: str
    stdin: str | None = None
    user: str | None = None
    zone: str | None = None
    env: tuple[tuple[str, str], ...] = ()
    path: str = ""

    @property
    def shell(self) -> str:
        """The text for the shell, with the standard input built in."""
        if self.stdin is None:
            return self.command
        quoted = self.stdin.replace("'", "'\\''")
        return f"printf '%s' '{quoted}' | {{\n{self.command}\n}}"

    @property
    def program(self) -> str:
        """The shell that carries it out."""
        return dict(self.env).get("SHELL") or SHELL

    @property
    def key(self) -> str:
        """What this line is, whatever its place in the file and the spaces in it: the same line has the same key."""
        parts = (self.rule, self.command, self.stdin, self.user, self.zone, self.env)
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Refused:
    """A line that cannot be taken over, and what to do instead."""

    number: int
    text: str
    why: str
    path: str = ""


@dataclass(frozen=True, slots=True)
class Crontab:
    """What a crontab says: its jobs, what cannot be taken over, and what is to be known of it as a whole."""

    entries: tuple[Entry, ...] = ()
    refused: tuple[Refused, ...] = ()
    notes: tuple[str, ...] = ()

    def __add__(self, other: Crontab) -> Crontab:
        return Crontab(self.entries + other.entries, self.refused + other.refused, self.notes + other.notes)


@dataclass(slots=True)
class _Reading:
    """What has been read so far."""

    path: str
    system: bool
    env: dict[str, str] = field(default_factory=dict)
    zone: str | None = None
    entries: list[Entry] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read(text: str, *, system: bool = False, path: str = "") -> Crontab:
    """A crontab; `system`: with a user in front of each command, as in /etc/crontab and /etc/cron.d."""
    reading = _Reading(path, system)
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if number > _MOST_LINES or len(line) > _LONGEST:
            reading.refused.append(Refused(number, line[:80], "it is too long to be a crontab", path))
            break
        found = _VARIABLE.match(line)
        if found is not None:
            _variable(reading, number, found)
            continue
        entry = _entry(reading, number, line)
        if isinstance(entry, Refused):
            reading.refused.append(entry)
        else:
            reading.entries.append(entry)
    return Crontab(tuple(reading.entries), tuple(reading.refused), tuple(reading.notes))


def _variable(reading: _Reading, number: int, found: re.Match[str]) -> None:
    name = found["name"] or found["double"] or found["single"]
    value = found["value"]
    if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
        value = value[1:-1]
    where = f"{reading.path}, line {number}: " if reading.path else f"line {number}: "
    if name == "CRON_TZ":
        reading.zone = value or None
        reading.notes.append(
            f"{where}CRON_TZ={value} is the zone of the lines below it, as cronie reads it; Debian's cron takes it for a "
            "variable and stays in the machine's zone"
        )
        return
    if name in ("MAILTO", "MAILFROM", "CONTENT_TYPE", "CONTENT_TRANSFER_ENCODING"):
        if name == "MAILTO" and value:
            reading.notes.append(
                f"{where}MAILTO={value}: output is not mailed, it is kept with each run (`watchbell run logs`); to be "
                f"told of failures: `watchbell alert add --tag crontab --email {value}`"
            )
        return
    if name == "RANDOM_DELAY":
        reading.notes.append(
            f"{where}RANDOM_DELAY={value} is not taken over: every line is due at its minute"
        )
        return
    if name == "TZ":
        reading.notes.append(
            f"{where}TZ={value} is what commands see; it does not move when they are due, as in cron"
        )
    reading.env[name] = value


def _entry(reading: _Reading, number: int, line: str) -> Entry | Refused:
    def refuse(why: str) -> Refused:
        return Refused(number, line, why, reading.path)

    found = _FIELDS.match(line)
    if line.split(None, 1)[0].lower() == _AT_BOOT:
        return refuse(
            "@reboot is no time: let the service manager start it at boot, as `watchbell exec -- COMMAND` if it is to be "
            "in the ledger"
        )
    if found is None:
        return refuse("it has neither five fields and a command nor NAME=value")
    rule, rest = " ".join(found[1].split()), found[2].strip()
    rule = rule.removeprefix("-")  # cronie: do not log this one
    if rule.startswith("@"):
        rule = rule.lower()
        if rule not in MACROS:
            return refuse(f"{rule} is not known; write five fields, or one of {', '.join(MACROS)}")
    if "~" in rule:
        return refuse("a random time such as 0~59 is drawn anew by each cron; write the minute that you want")
    user = None
    if reading.system:
        parts = _WITH_USER.match(rest)
        if parts is None:
            return refuse("a line of a system crontab has a user in front of its command")
        user, rest = parts[1], parts[2]
    try:
        cron(rule, tz=reading.zone).bound("UTC", 0)
    except WatchbellError as error:
        return refuse(str(error).rstrip("."))
    command, stdin = _split(rest)
    if not command.strip():
        return refuse("there is no command")
    env = tuple(sorted(reading.env.items()))
    return Entry(number, rule, command, stdin, user, reading.zone, env, reading.path)


def _split(text: str) -> tuple[str, str | None]:
    """The command, and its standard input: every unescaped `%` behind the first is a line break in it."""
    pieces, at = [""], 0
    for found in _PERCENT.finditer(text):
        pieces[-1] += text[at : found.start()]
        at = found.end()
        if found[0] == "%":
            pieces.append("")
        else:
            pieces[-1] += "%"
    pieces[-1] += text[at:]
    if len(pieces) == 1:
        return pieces[0], None
    return pieces[0].rstrip(), "\n".join(pieces[1:]) + "\n"


# --- what differs ---------------------------------------------------------------------------------------------------


def warnings_of(entry: Entry, trigger: Cron, now: Instant) -> list[str]:
    """What somebody should know who moves this line here; `trigger` is its rule in its zone."""
    found = []
    if entry.stdin is not None:
        found.append(
            "everything behind the first % is its standard input, and each further % a line break; \\% is a percent sign"
        )
    if entry.program != SHELL:
        found.append(f"carried out by {entry.program}, as SHELL says")
    words = (MACROS.get(trigger.expression) or trigger.expression).split()
    day, weekday = words[2], words[4]
    if day[0] != "*" and weekday[0] != "*":
        found.append(
            f"day-of-month {day} and day-of-week {weekday} are joined by OR, as in cron: it is {trigger.describe()}"
        )
    elif (day[0] == "*" and day != "*" and weekday != "*") or (
        weekday[0] == "*" and weekday != "*" and day != "*"
    ):
        found.append(
            f"day-of-month {day} and day-of-week {weekday} must both match, as in Debian's cron: it is "
            f"{trigger.describe()}"
        )
    if (change := _differs(words, trigger, now)) is not None:
        found.append(
            "its minutes begin with *, so cron follows the clock: it leaves it out in an hour that the clocks skip and "
            f"repeats it in one that they show twice; here each of its times comes once a day (next difference: {change})"
        )
    return found


def _differs(words: list[str], trigger: Cron, now: Instant) -> str | None:
    """The day, within a year, on which Debian's cron does something else: a `*` in the minutes alone makes it follow the
    clock, where for us the hours decide."""
    if words[0][0] != "*" or trigger.rhythm:
        return None
    clock = Cron(trigger.expression, trigger.tz, "rhythm", trigger.gap, trigger.fold)
    for day in range(400):
        start, end = now + day * DAY, now + (day + 1) * DAY
        if trigger.count(start, end) != clock.count(start, end):
            at = next((one for one in _both(trigger, clock, start, end)), start)
            return local_text(at, trigger.tz or "UTC")[:10]
    return None


def _both(one: Cron, other: Cron, after: Instant, upto: Instant) -> Iterator[Instant]:
    """The instants in (after, upto] at which only one of the two is due."""
    first, second = (set(_instants(rule, after, upto)) for rule in (one, other))
    return iter(sorted(first ^ second))


def _instants(rule: Cron, after: Instant, upto: Instant) -> Iterator[Instant]:
    at = rule.first_in(after, upto)
    while at is not None:
        yield at
        at = rule.first_in(at, upto)


# --- names ----------------------------------------------------------------------------------------------------------

_ASSIGNED: Final = re.compile(r"[A-Za-z_]\w*=\S*")
_UNFIT: Final = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST_NAME: Final = 60
_NO_PROGRAM: Final = re.compile(r"-|\d+[smhd]?$|[A-Za-z_]\w*=")
_ALONE: Final = frozenset(("cd", "test", "[", "umask", "export"))
_WRAPPERS: Final = frozenset(
    (
        "test",
        "[",
        "cd",
        "command",
        "env",
        "exec",
        "export",
        "flock",
        "ionice",
        "nice",
        "nohup",
        "sudo",
        "time",
        "timeout",
        "umask",
        "chronic",
    )
)


def named(entries: Iterable[Entry], taken: Iterable[str] = ()) -> dict[Entry, str]:
    """A name for each, from its command: the program's where only one has it, else with a piece of the entry's key, so
    that the order of the lines has no say in it. None of `taken`. Lines that are the same have the same name."""
    found = {entry: _base(entry.command) for entry in entries}
    counts: dict[str, int] = {}
    for name in {entry.key: name for entry, name in found.items()}.values():
        counts[name] = counts.get(name, 0) + 1
    used = set(taken)
    keys: dict[str, set[str]] = {}
    for entry, name in found.items():
        keys.setdefault(_longer(name, entry), set()).add(entry.key)
    return {
        entry: name
        if counts[name] == 1 and name not in used
        else _longer(name, entry)
        if len(keys[_longer(name, entry)]) == 1 and _longer(name, entry) not in used
        else f"{name}-{entry.key}"  # among thousands of lines two keys begin alike
        for entry, name in found.items()
    }


def _longer(name: str, entry: Entry) -> str:
    return f"{name}-{entry.key[:6]}"


def _base(command: str) -> str:
    """The program that a command is about: behind `cd … &&`, variables and wrappers, without folder and ending."""
    for part in re.split(r"&&|\|\||[;|(){}\n]", command):
        words = [word.strip("'\"") for word in part.split()]
        while words and (_ASSIGNED.fullmatch(words[0]) or words[0] in ("!", ".", "if", "then")):
            words.pop(0)
        if not words:
            continue
        program = words[0].rsplit("/", 1)[-1]
        if program in _WRAPPERS:
            plain = [word for word in words[1:] if not _NO_PROGRAM.match(word)]
            paths = [word for word in plain if "/" in word and not word.startswith(".")]
            if program in _ALONE or not plain:
                continue
            program = (paths[-1] if paths else plain[0]).rsplit("/", 1)[-1]
        elif re.fullmatch(r"(python|php|perl|ruby|node|bash|sh|dash|java)[\d.]*", program):
            scripts = [word for word in words[1:] if not word.startswith("-")]
            program = scripts[0].rsplit("/", 1)[-1] if scripts else program
        name = _UNFIT.sub("-", re.sub(r"\.(sh|py|pl|rb|php|js)$", "", program)).strip("-.")
        if name:
            return name[:_LONGEST_NAME]
    return "crontab"


# --- back to text ---------------------------------------------------------------------------------------------------


def home_of(env: Mapping[str, str], home: str) -> str:
    """Where cron starts a command: HOME, as the crontab or the account says."""
    return env.get("HOME") or home


def line_of(rule: str, shell: str, user: str | None = None) -> str | None:
    """The line of a crontab that gives this rule and this text for the shell; None where no line can: a crontab knows no
    line break in a command, takes blanks at either end for nothing, and a `\\` in front of a `%` for its escape."""
    found = _WITH_INPUT.fullmatch(shell)
    command, stdin = shell, None
    if found is not None:
        stdin = found[1].replace("'\\''", "'")
        command = found[2]
    if "\n" in command or "\r" in command or command != command.strip() or not command:
        return None
    text = command.replace("%", "\\%")
    if stdin is not None:
        if not stdin.endswith("\n") or "\r" in stdin:
            return None
        lines = stdin[:-1].split("\n")
        if lines[-1] != lines[-1].rstrip() or any(part.endswith("\\") for part in (command, *lines[:-1])):
            return None
        text += "%" + "%".join(line.replace("%", "\\%") for line in lines)
    return " ".join(part for part in (rule, user, text) if part)
