"""watchbell in a Django project: `INSTALLED_APPS = [..., "watchbell.django"]`, and in the `jobs.py` of any app

    from watchbell.django import bell

    @bell.schedule("every 15m")
    @bell.job
    def export_orders() -> None: ...

The engine begins in the processes that serve the project, one of which acts; `manage.py watchbell serve` runs it beside
them. What `settings.WATCHBELL` may say: hosts.KEYS.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..app import Job, RunHandle, Watchbell

    bell: Watchbell

__all__ = ["bell", "on_commit"]


def __getattr__(name: str) -> Any:
    """`bell`, made as the settings say when somebody first asks for it; nothing of Django can be touched before that."""
    if name != "bell":
        raise AttributeError(f"watchbell.django has no {name!r}; it has {', '.join(__all__)}")
    from .project import the_bell

    return the_bell()


def on_commit(
    job: Job[Any, Any],
    *args: Any,
    using: str | None = None,
    key: str | None = None,
    priority: int | None = None,
    **kwargs: Any,
) -> None:
    """Enqueue a job once the transaction that is open (of the database `using`) has committed; at once where none is.

    Arguments that do not fit are refused here, where they are written. A process that dies between the commit and the
    enqueueing leaves no run: what must not be lost that way is a row of your own that a source reads (`bell.source`).
    Raises BadArguments.
    """
    from django.db import transaction

    job.signature.to_json(job.signature.bind(args, kwargs))

    def enqueue() -> RunHandle:
        return job.enqueue(*args, key=key, priority=priority, **kwargs)

    transaction.on_commit(enqueue, using=using)
