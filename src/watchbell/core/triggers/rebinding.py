"""A rule that is declared again takes over what its stored twin was given at creation: the start that it leaves open."""

from __future__ import annotations

from dataclasses import replace

from watchbell.core.triggers import Interval, Trigger


def filled_like(trigger: Trigger, before: Trigger) -> Trigger:
    """`trigger` with the starts of `before` where it has none of its own; part by part where both are combined alike.

    The parts of a union are matched by their kind, in order: what was counted from one instant still is, whatever else
    has been added.
    """
    if trigger.kind != before.kind:
        return trigger
    if trigger.kind in ("any", "except"):
        return _combined_like(trigger, before)
    if isinstance(trigger, Interval) and isinstance(before, Interval) and trigger.start_at is None:
        return replace(trigger, start_at=before.start_at)
    if trigger.kind in ("rrule", "calendar"):
        return _begun_like(trigger, before)
    return trigger


def _combined_like(trigger: Trigger, before: Trigger) -> Trigger:
    from watchbell.core.triggers.compound import AnyOf, Except  # read where two were combined, and not before

    if isinstance(trigger, AnyOf) and isinstance(before, AnyOf):
        left = list(before.parts)
        parts = []
        for part in trigger.parts:
            twin = next((each for each in left if filled_like(part, each) == each), None)
            twin = twin or next((each for each in left if each.kind == part.kind), None)
            if twin is not None:
                left.remove(twin)
            parts.append(part if twin is None else filled_like(part, twin))
        return AnyOf(tuple(parts))
    if isinstance(trigger, Except) and isinstance(before, Except):
        other = trigger.other
        if other is not None and before.other is not None:
            other = filled_like(other, before.other)
        return replace(trigger, base=filled_like(trigger.base, before.base), other=other)
    return trigger


def _begun_like(trigger: Trigger, before: Trigger) -> Trigger:
    from watchbell.core.triggers.calendar_trigger import Calendar
    from watchbell.core.triggers.rrule_trigger import RRule

    if isinstance(trigger, RRule) and isinstance(before, RRule) and trigger.start is None:
        return replace(trigger, start=before.start)
    if isinstance(trigger, Calendar) and isinstance(before, Calendar) and trigger.start is None:
        return replace(trigger, start=before.start)
    return trigger
