"""HTTP requests as an application declares them: what of the options is the request, what its job's, what the schedule's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from ..core.http_request import HttpRequest, checked, needed, refuse_forbidden
from ..core.policies import JobOptions, Policies
from ..errors import BadArguments, BadDeclaration, BadPolicy
from . import checks
from .options import job_options, policies

_REQUEST = frozenset(field.name for field in fields(HttpRequest)) - {"url"}
_SCHEDULE = frozenset(field.name.removesuffix("_us") for field in fields(Policies)) - {"condition"}
_JOB = frozenset(field.name.removesuffix("_us") for field in fields(JobOptions)) - {
    "memory",
    "hold_if_missing",
}


def request_and_options(
    url: str, options: Mapping[str, Any]
) -> tuple[HttpRequest, dict[str, Any], JobOptions]:
    """The request, the schedule's options and its job's. Raises BadDeclaration, BadPolicy."""
    given = checks.options(options)
    known = _REQUEST | _SCHEDULE | _JOB
    if strange := [name for name in given if name not in known]:
        raise BadPolicy(
            f"A request has no option {checks.shown(strange[0])}; it has {', '.join(sorted(known))}."
        )
    said = {name: value for name, value in given.items() if name in _REQUEST and value is not None}
    for name in ("headers", "expect_json"):
        if not isinstance(said.get(name, {}), Mapping):
            raise BadDeclaration(f"{name} are given by name, not as {checks.shown(said[name])}.")
    body = said.get("body")
    request = checked(HttpRequest(url, **{"method": "GET" if body is None else "POST", **said}))
    refuse_forbidden(request)
    of_schedule = {name: value for name, value in given.items() if name in _SCHEDULE}
    policies(of_schedule)
    of_job = {name: value for name, value in given.items() if name in _JOB - _SCHEDULE}
    return request, of_schedule, job_options(of_job)


def refuse_unfilled(request: HttpRequest, args: Mapping[str, Any], by_itself: bool) -> None:
    """What comes due by itself has every argument that stands in it. BadArguments."""
    missing = [name for name in needed(request) if name not in args]
    if missing and by_itself:
        raise BadArguments(
            f"The request needs the argument {missing[0]!r}, as {{{missing[0]}}} stands in it: write "
            f"args={{{missing[0]!r}: …}}."
        )
