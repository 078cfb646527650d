"""Jobs and schedules as somebody wants them: the wishes that are written, and what became of one."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from ...core.blackout import refuse_endless
from ...core.policies import JobOptions, Policies
from ...core.triggers import Trigger
from .pauses import Doer
from .versions import Content, zone_for


@dataclass(frozen=True, slots=True)
class JobSpec:
    """A job as somebody wants it. `command` is JSON text."""

    name: str
    lane: str
    target: str | None = None
    command: str | None = None
    options: JobOptions = field(default_factory=JobOptions)
    parameters: str | None = None
    aliases: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    about: str = ""
    app: str | None = None
    revision: int = 0


@dataclass(frozen=True, slots=True)
class ScheduleSpec:
    """A schedule as somebody wants it. `args` is JSON text; `trouble` says why it cannot be scheduled (set aside)."""

    name: str
    job: int
    trigger: Trigger
    policies: Policies = field(default_factory=Policies)
    args: str = "{}"
    tags: tuple[str, ...] = ()
    about: str = ""
    enabled: bool = True
    app: str | None = None
    revision: int = 0
    source: str | None = None
    source_key: str | None = None
    trouble: str | None = None


@dataclass(frozen=True, slots=True)
class Put:
    """What became of a wish: added, changed, unchanged, or older (a newer revision has declared it already)."""

    id: int
    change: str


def tags_text(tags: tuple[str, ...]) -> str:
    """Tags as they are stored."""
    return json.dumps(tags) if tags else "[]"


def content_of(spec: ScheduleSpec, doer: Doer, anchor: int) -> Content:
    """What a version of this wish says, counted from `anchor`. BadPolicy if its blackouts leave it nothing."""
    trigger = spec.trigger.bound(doer.zone, anchor)
    policies = spec.policies
    if policies.blackouts:
        policies = policies.bound(zone_for(trigger, doer.zone))
        if spec.trouble is None and spec.source is None:  # a source is not stopped by one of its rows
            refuse_endless(trigger, policies.blackouts, doer.now)
    return Content(spec.job, trigger, policies, spec.args)
