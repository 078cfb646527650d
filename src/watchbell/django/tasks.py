"""`django.tasks` on watchbell: `TASKS = {"default": {"BACKEND": "watchbell.django.tasks.WatchbellBackend"}}`.

Django 6.0 has the framework, earlier ones the package django-tasks; the two have the same names. Each queue is one job,
whose arguments name the function: an engine imports it when its turn comes.
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
from django.utils.module_loading import import_string

from ..app import Job
from ..core.instants import from_datetime, to_datetime
from ..errors import WatchbellError
from ..executors.context import Run
from ..services.runs import RunPage, show
from .project import the_bell

ROOM = "django.tasks" if importlib.util.find_spec("django.tasks") else "django_tasks"
_declaring = threading.Lock()
_declared: dict[str, Job[Any, Any]] = {}
_RAISED = re.compile(r"^([\w.]+)(?::|$)")


def _room(name: str = "") -> Any:
    return importlib.import_module(f"{ROOM}{name}")


def declare(aliases: list[str]) -> None:
    """Declare the jobs of these backends: an engine must know them before a web process has enqueued anything."""
    for alias in aliases:
        _room().task_backends[alias]


def _carrier(alias: str) -> Any:
    def carry_out(
        task: str, args: list[Any], kwargs: dict[str, Any], queue: str, priority: int, run: Run
    ) -> Any:
        """A function of django.tasks."""
        given = {"task": task, "args": args, "kwargs": kwargs, "queue": queue, "priority": priority}
        return _room().task_backends[alias]._carry_out(given, run)

    return carry_out


class WatchbellBackend(_room(".backends.base").BaseTaskBackend):  # type: ignore[misc]  # it is found at run time
    """A backend of django.tasks. `OPTIONS` are those of `@bell.job`: timeout, retry, concurrency, rate … of each queue."""

    supports_defer = True
    supports_async_task = True
    supports_get_result = True
    supports_priority = True

    def __init__(self, alias: str, params: dict[str, Any]) -> None:
        super().__init__(alias, params)
        self._jobs: dict[str, Job[Any, Any]] = {queue: self._declare(queue) for queue in sorted(self.queues)}

    def _declare(self, queue: str) -> Job[Any, Any]:
        """The job of a queue. Django makes a backend for each thread, and all of them share it."""
        name = f"tasks:{queue}" if self.alias == "default" else f"tasks:{self.alias}:{queue}"
        with _declaring:
            if name not in _declared:
                _declared[name] = the_bell().job(name=name, **self.options)(_carrier(self.alias))
            return _declared[name]

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        """Write the run into the ledger; durable when this returns."""
        self.validate_task(task)
        if (job := self._jobs.get(task.queue_name)) is None:
            job = self._jobs[task.queue_name] = self._declare(task.queue_name)
        bell = job._bell
        given = {
            "task": task.module_path, "args": list(args), "kwargs": dict(kwargs), "queue": task.queue_name,
            "priority": task.priority,
        }  # fmt: skip
        text = job.signature.to_json(given)
        at = None if task.run_after is None else _instant(task.run_after)
        # There a higher number goes first, here a lower one.
        made = bell._enqueue(job.name, text, at, None, -task.priority)
        result = self._result(json.loads(text), str(made), enqueued_at=_when(bell._now()))
        _room(".signals").task_enqueued.send(type(self), task_result=result)
        return result

    def get_result(self, result_id: str) -> Any:
        """What the ledger says of it."""
        bell = the_bell()
        try:
            page = show(bell._open(), result_id, now=bell._now())
        except WatchbellError as error:
            raise _room(".exceptions").TaskResultDoesNotExist(result_id) from error
        if page.run.entry.job_name not in {job.name for job in self._jobs.values()}:
            raise _room(".exceptions").TaskResultDoesNotExist(result_id)
        return self._result_of(page)

    # --- in the engine ------------------------------------------------------------------------------------------------

    def _carry_out(self, given: dict[str, Any], run: Run) -> Any:
        signals = _room(".signals")
        result = self._result_of(show(the_bell()._open(), run.id, now=the_bell()._now()))
        signals.task_started.send(sender=type(self), task_result=result)
        ended, value = "FAILED", None
        try:
            first = (_room().TaskContext(task_result=result),) if result.task.takes_context else ()
            value = result.task.call(*first, *given["args"], **given["kwargs"])
            ended = "SUCCESSFUL"
        finally:
            self._end(result, ended, value)
            signals.task_finished.send(type(self), task_result=result)
        return value

    def _end(self, result: Any, ended: str, value: Any) -> None:
        now = _when(the_bell()._now())
        for name, said in (
            ("status", _room().TaskResultStatus[ended]),
            ("finished_at", now),
            ("_return_value", value),
        ):
            object.__setattr__(result, name, said)

    # --- results ------------------------------------------------------------------------------------------------------

    def _result(self, given: dict[str, Any], name: str, **more: Any) -> Any:
        """A TaskResult; what `more` leaves out is as it is before anything has happened."""
        function = import_string(given["task"])
        facts = {
            "status": _room().TaskResultStatus.READY,
            "enqueued_at": None,
            "started_at": None,
            "finished_at": None,
            "last_attempted_at": None,
            "errors": [],
            "worker_ids": [],
        }
        return _room(".base").TaskResult(
            task=function.using(priority=given["priority"], queue_name=given["queue"], backend=self.alias),
            id=name,
            args=given["args"],
            kwargs=given["kwargs"],
            backend=self.alias,
            **facts | more,
        )

    def _result_of(self, page: RunPage) -> Any:
        entry, status = page.run.entry, _room().TaskResultStatus
        standing = status.SUCCESSFUL if entry.state == "succeeded" else status.FAILED
        if page.run.live:
            standing = status.RUNNING if entry.state == "running" else status.READY
        errors = [(one.traceback, one.error) for one in page.attempts if one.error]
        if standing is status.FAILED and not page.attempts:
            errors = [(page.details.traceback, entry.error or page.run.sentence)]
        first = min((one.began_at for one in page.attempts if one.began_at), default=entry.began_at)
        found = self._result(
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
