"""The Django app: finds the jobs of all apps, and has the engine begin where the project is served."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig

BACKEND = "watchbell.django.tasks.WatchbellBackend"


class WatchbellConfig(AppConfig):
    """`"watchbell.django"` in INSTALLED_APPS."""

    name = "watchbell.django"
    label = "watchbell"
    verbose_name = "watchbell"

    def ready(self) -> None:
        """All apps are there: import the `jobs.py` of each, declare what django.tasks needs, and wait for a server."""
        from django.core.signals import request_started
        from django.utils.module_loading import autodiscover_modules

        from . import project

        bell = project.the_bell()
        autodiscover_modules("jobs")
        if _runs_tasks():
            autodiscover_modules("tasks")
        if project.enabled() and project.may_serve():
            request_started.connect(_asked, dispatch_uid="watchbell")
            bell._embedding.arm()


def _runs_tasks() -> bool:
    """Whether a backend of django.tasks is ours: then its functions are declared, before anybody has enqueued one."""
    from django.conf import settings

    given = getattr(settings, "TASKS", None) or {}
    return any(params.get("BACKEND") == BACKEND for params in given.values())


def _asked(**_: Any) -> None:
    from .project import the_bell

    the_bell()._embedding.asked()
