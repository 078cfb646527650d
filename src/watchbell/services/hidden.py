"""Other schedulers that hide in a code base, found by reading it (never by importing it): libraries that run things by time,
and loops that sleep. What they run is in no ledger; what to write instead stands beside each finding."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import NotFound

__all__ = ["Found", "Hidden", "find", "look"]

PASSED_OVER = frozenset(
    (
        ".git",
        ".hg",
        ".venv",
        "venv",
        "env",
        "node_modules",
        "site-packages",
        "__pycache__",
        ".tox",
        ".nox",
        "build",
        "dist",
    )
)
MOST_FILES = 20_000
LARGEST = 2_000_000
_SHOWN = 80

_EVERY = 'a function with @bell.schedule(every("1h"))'
_CRON = 'a function with @bell.schedule(cron("30 2 * * *", tz=…))'
LIBRARIES = {
    "apscheduler": ("APScheduler", _CRON),
    "flask_apscheduler": ("Flask-APScheduler", _CRON),
    "django_apscheduler": ("django-apscheduler", _CRON),
    "schedule": ("schedule", _EVERY),
    "aioschedule": ("aioschedule", _EVERY),
    "rocketry": ("Rocketry", _CRON),
    "aiocron": ("aiocron", _CRON),
    "rq_scheduler": ("rq-scheduler", _CRON),
    "django_cron": ("django-cron", _CRON),
    "django_celery_beat": ("django-celery-beat", _CRON),
    "celerybeat_mongo": ("Celery beat", _CRON),
    "redbeat": ("RedBeat", _CRON),
    "periodiq": ("periodiq", _CRON),
    "timeloop": ("Timeloop", _EVERY),
    "fastapi_utils.tasks": ("fastapi-utils", _EVERY),
    "fastapi_restful.tasks": ("fastapi-restful", _EVERY),
    "huey.crontab": ("Huey", _CRON),
    "celery.schedules": ("Celery beat", _CRON),
    "sched": ("sched", "job.enqueue_in(…)"),
}
"""Modules that are imported for nothing else than running things by time."""
CALLS = {
    "add_periodic_task": ("Celery beat", _EVERY),
    "repeat_every": ("a repeated task", _EVERY),
    "periodic_task": ("a periodic task", _CRON),
    "scheduled_job": ("APScheduler", _CRON),
    "run_repeating": ("a job queue", _EVERY),
    "run_daily": ("a job queue", _CRON),
    "setInterval": ("a timer", _EVERY),
}
SETTINGS = {
    "beat_schedule": ("Celery beat", _CRON),
    "CELERY_BEAT_SCHEDULE": ("Celery beat", _CRON),
    "CELERYBEAT_SCHEDULE": ("Celery beat", _CRON),
    "CRONJOBS": ("django-crontab", _CRON),
    "CRON_CLASSES": ("django-cron", _CRON),
    "SCHEDULER_API_ENABLED": ("Flask-APScheduler", _CRON),
}
_SLEEPS = frozenset(
    ("time.sleep", "sleep", "asyncio.sleep", "anyio.sleep", "trio.sleep", "gevent.sleep", "eventlet.sleep")
)


@dataclass(frozen=True, slots=True)
class Hidden:
    """One finding."""

    file: str
    line: int
    kind: str
    text: str
    instead: str

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        return {
            "file": self.file,
            "line": self.line,
            "kind": self.kind,
            "code": self.text,
            "instead": self.instead,
        }


@dataclass(frozen=True, slots=True)
class Found:
    """What was found in a code base, and what could not be read."""

    items: tuple[Hidden, ...]
    unread: tuple[tuple[str, str], ...]
    files: int

    @property
    def sentence(self) -> str:
        """For people."""
        one = len(self.items) == 1
        said = (
            f"{len(self.items):,} place{'' if one else 's'} where something else schedules"
            if self.items
            else "nothing"
        )
        return f"{self.files:,} file{' was' if self.files == 1 else 's were'} read: {said}."

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        return {
            "items": [one.to_json() for one in self.items],
            "unread": [{"file": file, "why": why} for file, why in self.unread],
            "files": self.files,
        }


def look(place: Path) -> Found:
    """Read every Python file in a folder, or one file. NotFound."""
    if not place.exists():
        raise NotFound(f"There is no file or folder {place}.")
    items: list[Hidden] = []
    unread: list[tuple[str, str]] = []
    count = 0
    for path in _files(place):
        if count == MOST_FILES:
            unread.append((str(place), f"it holds more than {MOST_FILES:,} files; the others were left out"))
            break
        count += 1
        try:
            if path.stat().st_size > LARGEST:
                raise ValueError("it is too large")
            items += find(path.read_bytes(), str(path))
        except (OSError, SyntaxError, ValueError, RecursionError, MemoryError) as error:
            unread.append((str(path), str(error).splitlines()[0] if str(error) else type(error).__name__))
    return Found(tuple(items), tuple(unread), count)


def _files(place: Path) -> Iterator[Path]:
    if place.is_file():
        yield place
        return
    for folder, folders, names in os.walk(place):
        folders[:] = sorted(
            name for name in folders if name not in PASSED_OVER and not name.endswith(".egg-info")
        )
        for name in sorted(names):
            if name.endswith(".py"):
                yield Path(folder) / name


def find(source: str | bytes, file: str = "") -> list[Hidden]:
    """What schedules in this text, by line. SyntaxError, ValueError where it is no Python."""
    tree = ast.parse(source)
    names: dict[str, str] = {}
    found = []
    lines = (source if isinstance(source, str) else source.decode("utf-8", "replace")).splitlines()
    for node in ast.walk(tree):
        for kind, instead in _kinds(node, names):
            line = getattr(node, "lineno", 1)
            text = lines[line - 1].strip() if line <= len(lines) else ""
            found.append(Hidden(file, line, kind, text[:_SHOWN], instead))
    return sorted(dict.fromkeys(found), key=lambda one: (one.line, one.kind))


def _kinds(node: ast.AST, names: dict[str, str]) -> Iterator[tuple[str, str]]:
    if isinstance(node, ast.Import | ast.ImportFrom):
        for module in _modules(node, names):
            if (known := _library(module)) is not None:
                yield known
                return
    elif isinstance(node, ast.Call):
        name = _dotted(node.func, names)
        if (known := CALLS.get(name.rpartition(".")[2])) is not None:
            yield known
    elif isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        for target in targets:
            name = _dotted(target, {})
            if (known := SETTINGS.get(name.rpartition(".")[2])) is not None:
                yield known
    elif isinstance(node, ast.keyword):
        if node.arg is not None and (known := SETTINGS.get(node.arg)) is not None:
            yield known
    elif isinstance(node, ast.While) and _is_endless(node):
        for span in _sleeps(node, names):
            yield "a loop that sleeps", f"a function with @bell.schedule(every({span}))"
            return
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _rearms(node, names):
        yield "a timer that sets itself again", _EVERY


def _modules(node: ast.Import | ast.ImportFrom, names: dict[str, str]) -> list[str]:
    """The modules that an import brings, and what its names stand for from here on."""
    if isinstance(node, ast.Import):
        names.update({one.asname or one.name: one.name for one in node.names})
        return [one.name for one in node.names]
    if node.level or not node.module:
        return []
    names.update({one.asname or one.name: f"{node.module}.{one.name}" for one in node.names})
    return [node.module, *(f"{node.module}.{one.name}" for one in node.names)]


def _library(module: str) -> tuple[str, str] | None:
    for name, known in LIBRARIES.items():
        if module == name or module.startswith(f"{name}."):
            return known
    return None


def _dotted(node: ast.AST, names: dict[str, str]) -> str:
    if isinstance(node, ast.Name):
        return names.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value, names)}.{node.attr}"
    return ""


def _is_endless(node: ast.While) -> bool:
    """`while True`, and `while not stopped` and its like: a loop that goes on until somebody stops it."""
    test = node.test
    if isinstance(test, ast.Constant):
        return bool(test.value)
    return isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not)


def _sleeps(loop: ast.While, names: dict[str, str]) -> Iterator[str]:
    """The spans that a loop sleeps for, as one writes them; a wait for an event with a limit is a sleep too."""
    for node in _own(loop):
        if not isinstance(node, ast.Call):
            continue
        name = _dotted(node.func, names)
        if (name in _SLEEPS and node.args) or (
            name.endswith((".wait", ".sleep"))
            and len(node.args) == 1
            and isinstance(node.args[0], ast.Constant)
        ):
            yield _span(node.args[0])


def _own(loop: ast.While) -> Iterator[ast.AST]:
    """What belongs to the loop and to no function or loop inside of it."""
    todo: list[ast.AST] = list(loop.body)
    while todo:
        node = todo.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.While):
            todo += ast.iter_child_nodes(node)


def _span(node: ast.AST) -> str:
    if (
        isinstance(node, ast.Constant)
        and isinstance(node.value, int | float)
        and not isinstance(node.value, bool)
    ):
        return f'"{node.value}s"' if node.value else "…"
    text = ast.unparse(node)
    return text if len(text) <= 40 else "…"


def _rearms(node: ast.FunctionDef | ast.AsyncFunctionDef, names: dict[str, str]) -> bool:
    """A function that gives itself to a timer."""
    for call in ast.walk(node):
        if isinstance(call, ast.Call) and _dotted(call.func, names).rpartition(".")[2] in (
            "Timer",
            "call_later",
        ):
            given = [_dotted(argument, {}).rpartition(".")[2] for argument in call.args]
            if node.name in given:
                return True
    return False
