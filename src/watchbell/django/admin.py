"""The page of schedules in Django's admin: what there is, when it is due, how it last went. It changes nothing."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from ..errors import WatchbellError
from ..services.moments import utc
from ..services.schedule_views import ScheduleView
from .models import Schedule
from .project import the_bell

SHOWN = 1000


@admin.register(Schedule)
class ScheduleAdmin(admin.ModelAdmin):
    """Every member of the staff may look; nobody can add, change or delete anything here."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_active and request.user.is_staff)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_module_permission(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """The whole page."""
        context = {**self.admin_site.each_context(request), "title": "Schedules", "opts": self.model._meta}
        return TemplateResponse(
            request, "watchbell/schedules.html", context | _found() | (extra_context or {})
        )


def _found() -> dict[str, Any]:
    bell = the_bell()
    try:
        status, page = bell.status(), bell.schedules(limit=SHOWN)
    except WatchbellError as error:
        return {"trouble": str(error)}
    return {
        "engine": status.engine.sentence,
        "running": status.running,
        "overdue": [(one.name, one.sentence) for one in status.overdue],
        "rows": [_row(view) for view in page.items],
        "more": page.next is not None,
    }


def _row(view: ScheduleView) -> dict[str, Any]:
    last = view.last
    return {
        "name": view.name,
        "about": view.about,
        "rule": view.rule,
        "standing": view.standing,
        "due": utc(view.next_due_at) or "",
        "last": ""
        if last is None
        else f"{last.state.replace('_', ' ')}, {utc(last.ended_at or last.due_at)}",
        "sentence": view.sentence,
    }
