"""What an application declares: jobs, schedules, sources and hooks. Nothing is written until the database is used."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any, ParamSpec, TypeVar, overload

from ..core.instants import parse_duration
from ..core.policies import OnLost, Policies
from ..core.triggers import Trigger, every
from ..engine.hooks import Hooks
from ..errors import BadDeclaration, BadPolicy
from . import checks
from .conditions import know_condition
from .declarations import Declarations, Declared, Wanted
from .job import Job
from .options import job_options, policies_over

P = ParamSpec("P")
R = TypeVar("R")
Declares = Callable[[], "Iterable[Declared]"]


class Declaring:
    """The part of `Watchbell` that declares."""

    _declared: Declarations
    _hooks: Hooks

    @overload
    def job(self, function: Callable[P, R], /) -> Job[P, R]: ...

    @overload
    def job(
        self,
        *,
        name: str | None = None,
        aliases: Iterable[str] = (),
        tags: Iterable[str] = (),
        isolated: bool = False,
        **options: Any,
    ) -> Callable[[Callable[P, R]], Job[P, R]]: ...

    def job(
        self,
        function: Callable[..., Any] | None = None,
        *,
        name: str | None = None,
        aliases: Iterable[str] = (),
        tags: Iterable[str] = (),
        isolated: bool = False,
        **options: Any,
    ) -> Any:
        """Make a function a job.

        An async function runs on the job loop, another on a thread, and with `isolated=True` in a process of its own
        that can be killed. Options: timeout, retry, kill_grace, concurrency, limits ({key: n}), rate ("10/1m"), rates
        ({key: "100/1h"}), priority (lower runs first), on_lost ("skip" or "rerun"), may_overlap, hold_if_missing.
        Raises BadDeclaration, BadPolicy.
        """

        def declare(found: Callable[..., Any]) -> Job[Any, Any]:
            checks.function(found, "A job")
            if isinstance(found, Job):
                return found
            settled = job_options(options)
            lane = "process" if isolated else "async" if inspect.iscoroutinefunction(found) else "thread"
            if lane == "thread" and settled.on_lost is OnLost.RERUN and not settled.may_overlap:
                raise BadPolicy(
                    "A thread cannot be killed, so a rerun after its node was lost may overlap with it: "
                    'say may_overlap=True as well, or isolated=True, with on_lost="rerun".'
                )
            job: Job[Any, Any] = Job(
                self,  # type: ignore[arg-type]  # Watchbell is the only one
                found,
                checks.name(getattr(found, "__name__", "job") if name is None else name, "The name of a job"),
                lane,
                settled,
                checks.names(aliases, "aliases"),
                checks.names(tags, "tags"),
            )
            self._declared.add_job(job)
            self._declared_more()
            return job

        return declare if function is None else declare(function)

    def schedule(
        self,
        trigger: Trigger | str,
        *,
        name: str | None = None,
        args: Mapping[str, Any] | None = None,
        tags: Iterable[str] = (),
        enabled: bool = True,
        **options: Any,
    ) -> Callable[[Job[P, R] | Callable[P, R]], Job[P, R]]:
        """Put a job (or a function, which becomes one) on a schedule named like it, or `name`.

        Options: catchup, catchup_limit, catchup_window, catchup_order, catchup_rate, spread, jitter, overlap, overlap_max,
        start_deadline, grace, priority, timeout, retry, blackouts (["cron 0 22 * * fri for 8h"]), condition (a function
        that says whether an occurrence should run at all), pause_after_failures. Raises BadDeclaration, BadTrigger, BadPolicy, BadArguments.
        """

        def declare(found: Job[P, R] | Callable[P, R]) -> Job[P, R]:
            job: Job[P, R] = found if isinstance(found, Job) else self.job(found)
            self.add_schedule(
                job.name if name is None else name,
                job,
                trigger,
                args=args,
                tags=tags,
                enabled=enabled,
                **options,
            )
            return job

        return declare

    def add_schedule(
        self,
        name: str,
        job: Job[Any, Any] | Callable[..., Any],
        trigger: Trigger | str,
        *,
        args: Mapping[str, Any] | None = None,
        tags: Iterable[str] = (),
        enabled: bool = True,
        **options: Any,
    ) -> None:
        """Declare a schedule; options as for `schedule`."""
        checks.name(name, "The name of a schedule")
        rule = checks.trigger(trigger)
        known = job if isinstance(job, Job) else self.job(checks.function(job, "A schedule's job"))
        said = self._declared.policies(options)
        checks.bindable(rule)
        given = known.signature.to_json(checks.arguments(args))
        labels, on = checks.names(tags, "tags"), checks.flag(enabled, "enabled")
        self._declared.add_schedule(
            Wanted(name, known.name, rule, given, options, said, labels, on, known.place)
        )
        self._declared_more()

    def add_http_schedule(
        self,
        name: str,
        trigger: Trigger | str,
        url: str,
        *,
        args: Mapping[str, Any] | None = None,
        tags: Iterable[str] = (),
        enabled: bool = True,
        **options: Any,
    ) -> None:
        """Declare a schedule that sends a request; its job has the same name.

        Options: method, headers, body, expect_status ("200-299,304"), expect_body, expect_json ({path: value}),
        allow_private; and those of a schedule and of a job. `{name}` in the path, the query and the body is an argument.
        Raises BadDeclaration, BadTrigger, BadPolicy, BadArguments.
        """
        from .requests import refuse_unfilled, request_and_options

        checks.name(name, "The name of a schedule")
        rule = checks.bindable(checks.trigger(trigger))
        request, of_schedule, of_job = request_and_options(url, options)
        given = checks.arguments(args)
        text = checks.as_json(given)
        refuse_unfilled(request, given, rule.kind != "manual")
        labels, on = checks.names(tags, "tags"), checks.flag(enabled, "enabled")
        place = f"the request to {url[:60]}"
        self._declared.add_schedule(
            Wanted(
                name,
                name,
                rule,
                text,
                of_schedule,
                self._declared.policies(of_schedule),
                labels,
                on,
                place,
                request,
                of_job,
            )
        )
        self._declared_more()

    def add_job(
        self,
        name: str,
        interval_seconds: float | timedelta,
        func: Callable[..., Any],
        is_async: bool | None = None,
    ) -> Job[Any, Any]:
        """Declare a job and its schedule at once: `func` every `interval_seconds`."""
        if is_async is not None and is_async != inspect.iscoroutinefunction(func):
            kind = "an async" if inspect.iscoroutinefunction(func) else "a plain"
            raise BadDeclaration(
                f"{name!r} is {kind} function, but is_async={is_async} was given; leave it out."
            )
        job: Job[Any, Any] = self.job(name=name)(func)
        self.add_schedule(name, job, every(interval_seconds))
        return job

    def source(
        self, name: str, *, every: str | float | timedelta = "60s", max_consecutive_errors: int | None = None
    ) -> Callable[[Declares], Declares]:
        """A function that yields `Declared` rows from the application's own table; read `every` so often and at
        `reload()`, reconciled by key in one transaction."""
        period = parse_duration(every)
        checks.name(name, "The name of a source")
        if max_consecutive_errors is not None:
            checks.whole(max_consecutive_errors, "max_consecutive_errors", 1, refusal=BadDeclaration)

        def declare(function: Declares) -> Declares:
            checks.function(function, "A source")
            self._add_source(name, period, max_consecutive_errors, function)
            return function

        return declare

    def _policies_over(
        self, options: Mapping[str, Any], default: Iterable[str] | str
    ) -> Callable[[Policies], Policies]:
        """What an edit makes of a schedule's policies, with the condition among them known to this process."""
        over = policies_over(options, default)
        know_condition(self._declared.handlers, options, None)
        return over

    def _declared_more(self) -> None:
        raise AssertionError("Watchbell has it")

    def _add_source(self, name: str, period: int, max_errors: int | None, function: Declares) -> None:
        raise AssertionError("Watchbell has it")

    def on(
        self, event: str
    ) -> Callable[[Callable[[Mapping[str, Any]], None]], Callable[[Mapping[str, Any]], None]]:
        """Call a function with a mapping whenever `event` happens; it cannot disturb the engine."""

        def declare(function: Callable[[Mapping[str, Any]], None]) -> Callable[[Mapping[str, Any]], None]:
            self._hooks.add(event, checks.function(function, "A hook"))
            return function

        return declare
