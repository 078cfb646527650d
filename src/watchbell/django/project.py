"""The one Watchbell of a Django project, as `settings.WATCHBELL` says; and where its engine may begin."""

from __future__ import annotations

import functools
import inspect
import os
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..app import Watchbell
from ..app.hosts import configure, surround
from ..app.serving import within
from ..errors import BadConfiguration, WatchbellError

_making = threading.RLock()
_made: list[tuple[Watchbell, bool]] = []


def the_bell() -> Watchbell:
    """The project's Watchbell; made, and Django set up where nobody has done so, when it is first asked for. Raises
    ImproperlyConfigured."""
    with _making:
        if not _made:
            _set_up()
        if not _made:
            _made.append(_make())
        return _made[0][0]


def enabled() -> bool:
    """Whether the settings let an engine begin in the processes that serve."""
    the_bell()
    return _made[0][1]


def may_serve() -> bool:
    """Whether this process can turn out to be one that serves: not for a command of manage.py but `runserver`, and not in
    the parent of its reloader."""
    if not within("django.core.management", "execute"):
        return True
    words = sys.argv[1:]
    if not words or not words[0].startswith("runserver"):
        return False
    return "--noreload" in words or os.environ.get("RUN_MAIN") == "true"


def in_tests() -> bool:
    """Whether Django's test runner has set up its environment in this process."""
    from django.core import mail

    return hasattr(mail, "outbox")


def _set_up() -> None:
    """A process of its own for one job (`isolated=True`) begins with the module of that job, and not with Django."""
    import django
    from django.apps import apps

    if not apps.ready and not getattr(apps, "loading", False):
        django.setup()


def _make() -> tuple[Watchbell, bool]:
    from django.conf import settings
    from django.core.exceptions import ImproperlyConfigured

    given = getattr(settings, "WATCHBELL", {})
    try:
        if not isinstance(given, Mapping):
            raise BadConfiguration(f"settings.WATCHBELL is a dict, not {given!r}.")
        bell = Watchbell(_database(settings), app=_name(settings), tz=settings.TIME_ZONE or "UTC")
        allowed = configure(bell, given, "settings.WATCHBELL['{}']")
    except WatchbellError as error:
        raise ImproperlyConfigured(str(error)) from error
    surround(bell, with_connections)
    bell._embedding.allowed = lambda: not in_tests()
    return bell, allowed


def _database(settings: Any) -> str:
    found = os.environ.get("WATCHBELL_DATABASE_URL")
    return found or str(Path(getattr(settings, "BASE_DIR", ".")) / "watchbell.db")


def _name(settings: Any) -> str:
    return str(settings.ROOT_URLCONF or "django").partition(".")[0] or "django"


def with_connections(function: Callable[..., Any]) -> Callable[..., Any]:
    """What a request has around it, a job has too: database connections that are too old or broken are closed before and
    after it."""
    from django.db import close_old_connections

    if inspect.iscoroutinefunction(function):
        from asgiref.sync import sync_to_async

        @functools.wraps(function)
        async def call(*args: Any, **kwargs: Any) -> Any:
            await sync_to_async(close_old_connections)()
            try:
                return await function(*args, **kwargs)
            finally:
                await sync_to_async(close_old_connections)()
    else:

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            close_old_connections()
            try:
                return function(*args, **kwargs)
            finally:
                close_old_connections()

    return call
