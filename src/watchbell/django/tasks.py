"""`django.tasks` on watchbell: `TASKS = {"default": {"BACKEND": "watchbell.django.tasks.WatchbellBackend"}}`.

Django 6.0 has the framework, earlier ones the package django-tasks; the two have the same names. Each `@task` function is a
job named by its path, declared when its module is imported; what is stored names it, and is never imported (no-pickle.md).
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import re
import threading
from datetime import datetime
from typing import Any

from django.conf import settings

from ..app import Job
from ..core.instants import from_datetime, to_datetime
from ..errors import WatchbellError
from ..executors.context import Run
from ..services.runs import RunPage, show
from .project import the_bell

ROOM = "django.tasks" if importlib.util.find_spec("django.tasks") else "django_tasks"
_declaring = threading.Lock()
_known: dict[str, Any] = {}
_jobs: dict[str, Job[Any, Any]] = {}
_RAISED = re.compile(r"^([\w.]+)(?::|$)")


def _room(name: str = "") -> Any:
    return importlib.import_module(f"{ROOM}{name}")


def _carrier(path: str) -> Any:
    def carry_out(
        args: list[Any], kwargs: dict[str, Any], backend: str, queue: str, priority: int, run: Run
    ) -> Any:
        given = {"args": args, "kwargs": kwargs, "backend": backend, "queue": queue, "priority": priority}
        return _carry_out(path, given, run)

    carry_out.__doc__ = _known[path].func.__doc__
    return carry_out


class WatchbellBackend(_room(".backends.base").BaseTaskBackend):  # type: ignore[misc]  # it is found at run time
    """A backend of django.tasks. `OPTIONS` are those of `@bell.job`: timeout, retry, concurrency, rate … of each function."""

    supports_defer = True
    supports_async_task = True
    supports_get_result = True
    supports_priority = True

    def validate_task(self, task: Any) -> None:
        """Called by Django for every one that is made; from now on this process can carry it out."""
        super().validate_task(task)
        path = task.module_path
        if path in _jobs:
            return
        with _declaring:
            if path not in _known:
                _known[path] = task
                try:
                    _jobs[path] = the_bell().job(name=path, **self.options)(_carrier(path))
                except BaseException:
                    del _known[path]
                    raise

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        """Write the run into the ledger; durable when this returns."""
        self.validate_task(task)
        job, bell = _jobs[task.module_path], the_bell()
        given = {
            "args": list(args), "kwargs": dict(kwargs), "backend": self.alias, "queue": task.queue_name,
            "priority": task.priority,
        }  # fmt: skip
        text = job.signature.to_json(given)
        at = None if task.run_after is None else _instant(task.run_after)
        # There a higher number goes first, here a lower one.
        made = bell._enqueue(job.name, text, at, None, -task.priority)
        result = _result(task.module_path, json.loads(text), str(made), enqueued_at=_when(bell._now()))
        _room(".signals").task_enqueued.send(type(self), task_result=result)
        return result

    def get_result(self, result_id: str) -> Any:
        """What the ledger says of it."""
        bell = the_bell()
        try:
            page = show(bell._open(), result_id, now=bell._now())
        except WatchbellError as error:
            raise _room(".exceptions").TaskResultDoesNotExist(result_id) from error
        if page.run.entry.job_name not in _known:
            raise _room(".exceptions").TaskResultDoesNotExist(result_id)
        return _result_of(page)


# --- in the engine ----------------------------------------------------------------------------------------------------


def _carry_out(path: str, given: dict[str, Any], run: Run) -> Any:
    bell, signals = the_bell(), _room(".signals")
    result = _result_of(show(bell._open(), run.id, now=bell._now()))
    signals.task_started.send(sender=WatchbellBackend, task_result=result)
    ended, value = "FAILED", None
    try:
        first = (_room().TaskContext(task_result=result),) if result.task.takes_context else ()
        value = _known[path].call(*first, *given["args"], **given["kwargs"])
        ended = "SUCCESSFUL"
    finally:
        said = {
            "status": _room().TaskResultStatus[ended],
            "finished_at": _when(bell._now()),
            "_return_value": value,
        }
        for name, what in said.items():
            object.__setattr__(result, name, what)
        signals.task_finished.send(WatchbellBackend, task_result=result)
    return value


# --- results ----------------------------------------------------------------------------------------------------------


def _result(path: str, given: dict[str, Any], name: str, **more: Any) -> Any:
    """A TaskResult; what `more` leaves out is as it is before anything has happened."""
    facts = {
        "status": _room().TaskResultStatus.READY,
        "enqueued_at": None,
        "started_at": None,
        "finished_at": None,
        "last_attempted_at": None,
        "errors": [],
        "worker_ids": [],
    }
    how = {"priority": given["priority"], "queue_name": given["queue"], "backend": given["backend"]}
    return _room(".base").TaskResult(
        task=_known[path].using(**how),
        id=name,
        args=given["args"],
        kwargs=given["kwargs"],
        backend=given["backend"],
        **facts | more,
    )


def _result_of(page: RunPage) -> Any:
    entry, status = page.run.entry, _room().TaskResultStatus
    standing = status.SUCCESSFUL if entry.state == "succeeded" else status.FAILED
    if page.run.live:
        standing = status.RUNNING if entry.state == "running" else status.READY
    errors = [(one.traceback, one.error) for one in page.attempts if one.error]
    if standing is status.FAILED and not page.attempts:
        errors = [(page.details.traceback, entry.error or page.run.sentence)]
    first = min((one.began_at for one in page.attempts if one.began_at), default=entry.began_at)
    found = _result(
        entry.job_name,
        json.loads(entry.args or "{}"),
        page.run.id,
        status=standing,
        enqueued_at=_when(entry.planned_at),
        started_at=_when(first),
        last_attempted_at=_when(entry.began_at),
        finished_at=_when(entry.ended_at),
        errors=[_error(traceback, text) for traceback, text in errors],
        worker_ids=[f"node-{entry.node}"] * entry.attempt,
    )
    if standing is status.SUCCESSFUL and page.details.result is not None:
        object.__setattr__(found, "_return_value", json.loads(page.details.result))
    return found


def _instant(when: datetime) -> int:
    """A naive one, where a project does without time zones (USE_TZ = False), is meant in the project's zone."""
    from django.utils import timezone

    return from_datetime(when if timezone.is_aware(when) else timezone.make_aware(when))


def _when(instant: int | None) -> datetime | None:
    if instant is None:
        return None
    aware = to_datetime(instant)
    return aware if settings.USE_TZ else aware.astimezone().replace(tzinfo=None)


def _error(traceback: str | None, text: str | None) -> Any:
    """The ledger keeps an error as people read it; its class stands at the end of the traceback."""
    names = [found[1] for line in (traceback or "").splitlines() if (found := _RAISED.match(line))]
    path = "watchbell.errors.WatchbellError" if not names else names[-1]
    return _room(".base").TaskError(
        exception_class_path=path if "." in path else f"builtins.{path}", traceback=traceback or text or ""
    )
