"""The applications that a Watchbell can be put into: Flask, Starlette and FastAPI. (Django has a room of its own.)

None of them is imported here; each is known by what it has.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..core.definition import Job as Definition
from ..core.instants import parse_duration
from ..core.wallclock import zone_info
from ..engine.handlers import Handler, Handlers
from ..errors import BadConfiguration, BadDeclaration, Conflict, WatchbellError
from . import checks
from .engine_options import EngineOptions, checked_slots
from .keeping import keep_of

if TYPE_CHECKING:
    from . import Watchbell

Around = Callable[[Callable[..., Any]], Callable[..., Any]]
"""What is put around a function of the application before it is called: its context."""


def attach(bell: Watchbell, app: Any) -> None:
    """Put `bell` into an application. Raises BadDeclaration for one that is not known, BadConfiguration for what stands
    in the application's own configuration."""
    if is_flask(app):
        _into_flask(bell, app)
    elif is_starlette(app):
        _into_starlette(bell, app)
    else:
        raise BadDeclaration(
            f"{checks.shown(app)} is no Flask, Starlette or FastAPI application. In Django it is "
            'INSTALLED_APPS = [..., "watchbell.django"]; anywhere else call bell.start() where requests are served, '
            "after any fork, and bell.stop() at the end."
        )


def is_flask(app: object) -> bool:
    """Whether it looks like a Flask application."""
    return (
        all(hasattr(app, name) for name in ("extensions", "before_request", "app_context", "wsgi_app"))
        and isinstance(getattr(app, "config", None), Mapping)
        and not hasattr(app, "while_serving")
    )


def is_starlette(app: object) -> bool:
    """Whether it looks like a Starlette or FastAPI application."""
    return hasattr(getattr(app, "router", None), "lifespan_context")


# --- Flask ------------------------------------------------------------------------------------------------------------


def _into_flask(bell: Watchbell, app: Any) -> None:
    if app.extensions.get("watchbell", bell) is not bell:
        raise Conflict("This Flask application has a Watchbell already: app.extensions['watchbell'].")
    given = {
        key.removeprefix("WATCHBELL_"): value
        for key, value in app.config.items()
        if key.startswith("WATCHBELL_")
    }
    enabled = configure(bell, given, "app.config['WATCHBELL_{}']")
    app.extensions["watchbell"] = bell
    surround(bell, functools.partial(_in_app_context, app))
    if enabled:
        bell._embedding.allowed = lambda: not app.testing
        app.before_request(bell._embedding.asked)
        bell._embedding.arm()


def _in_app_context(app: Any, function: Callable[..., Any]) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def call(*args: Any, **kwargs: Any) -> Any:
            with app.app_context():
                return await function(*args, **kwargs)
    else:

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            with app.app_context():
                return function(*args, **kwargs)

    return call


# --- Starlette, FastAPI -----------------------------------------------------------------------------------------------


def _into_starlette(bell: Watchbell, app: Any) -> None:
    """Inside of the lifespan that the application has: its own things are there before the first job and go after the
    last one."""
    inner = app.router.lifespan_context

    @contextlib.asynccontextmanager
    async def lifespan(scope_app: Any) -> AsyncIterator[Any]:
        async with inner(scope_app) as state, bell.lifespan(scope_app):
            yield state

    app.router.lifespan_context = lifespan


# --- what an application's configuration says -------------------------------------------------------------------------

KEYS = ("DATABASE_URL", "APP", "TZ", "SLOTS", "SHUTDOWN_GRACE", "KEEP", "ENABLED", "STARTUP_DELAY", "CHECK_INTERVAL")  # fmt: skip


def configure(bell: Watchbell, given: Mapping[str, Any], where: str) -> bool:
    """Let the application's own configuration count over what Watchbell(…) was made with. Returns whether an engine
    may begin. Raises BadConfiguration, which names the place by `where`; Conflict if the database is open already."""
    if bell._store is not None:
        raise Conflict("This Watchbell is in use already: put it into its application before anything else.")
    for key, value in given.items():
        place = where.format(key)
        if key not in KEYS:
            raise BadConfiguration(f"{place} means nothing; there are {', '.join(KEYS)}.")
        try:
            _take(bell, key, value)
        except BadConfiguration as error:
            raise BadConfiguration(f"{place}: {error}") from error
        except (WatchbellError, TypeError, ValueError) as error:
            raise BadConfiguration(f"{place}: {error}") from error
    return bool(given.get("ENABLED", True))


def _take(bell: Watchbell, key: str, value: Any) -> None:
    if key in ("DATABASE_URL", "APP", "TZ"):
        if not isinstance(value, str):
            raise BadConfiguration(f"It is a text, not {checks.shown(value)}.")
        if key == "DATABASE_URL":
            bell._url = value
        elif key == "APP":
            bell._declared.app = value
        else:
            zone_info(value)
            bell._tz = bell._sources._zone = value
    elif key == "ENABLED":
        checks.flag(value, "It")
    elif key == "SLOTS":
        bell._slots = checked_slots(value)
    elif key == "SHUTDOWN_GRACE":
        bell._grace_us = parse_duration(value)
    else:
        engine = bell._engine
        bell._engine = EngineOptions(
            parse_duration(value) if key == "STARTUP_DELAY" else engine.startup_delay_us,
            parse_duration(value) if key == "CHECK_INTERVAL" else engine.look_us,
            keep_of(value) if key == "KEEP" else engine.keep,
        )


# --- what is put around jobs ------------------------------------------------------------------------------------------


def surround(bell: Watchbell, around: Around) -> None:
    """Put `around` about every job, condition and source of this Watchbell, those declared later too. A job in a process
    of its own (`isolated=True`) is called as it is."""
    bell._declared.around = around
    bell._declared.handlers = _Surrounded(bell._declared.handlers, around)


class _Surrounded(Handlers):
    """The same handlers, each called within what its application puts around it."""

    def __init__(self, known: Handlers, around: Around) -> None:
        super().__init__()
        self._by_name = known._by_name
        self._conditions = known._conditions
        self._around = functools.lru_cache(maxsize=None)(around)

    def find(self, job: Definition) -> Handler | None:
        found = super().find(job)
        return None if found is None else replace(found, function=self._around(found.function))

    def condition(self, name: str) -> Callable[..., Any] | None:
        found = super().condition(name)
        return None if found is None else self._around(found)
