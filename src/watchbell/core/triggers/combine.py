"""What every trigger has in common: the operators (`a | b` is any of both, `a - b` is a without the instants or the days of
b), and the words that all of them use. Of the kinds it knows none before somebody combines two."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeAlias

from watchbell.core.units import Instant
from watchbell.core.wallclock import ZoneRules

if TYPE_CHECKING:
    from . import Trigger
    from .compound import AnyOf, Except

RulesByZone: TypeAlias = Mapping[str, ZoneRules]


class Combines:
    """What every trigger has in common: it can be joined with others."""

    __slots__ = ()

    def __or__(self, other: Trigger) -> AnyOf:
        """Any of both; an instant that both give is one occurrence."""
        from .compound import any_of

        return any_of(self, other)  # type: ignore[arg-type]  # whoever inherits this is a trigger

    def __sub__(self, other: Trigger | str) -> Except:
        """This one, without the instants of another, or without a calendar day ("2026-12-25")."""
        from .compound import except_for

        return except_for(self, other)  # type: ignore[arg-type]  # whoever inherits this is a trigger


def not_later(found: Instant | None, upto: Instant) -> Instant | None:
    """What was found, unless it is after `upto`."""
    return found if found is not None and found <= upto else None
