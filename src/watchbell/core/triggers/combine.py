"""The operators of triggers: `a | b` is any of both, `a - b` is a without the instants or the days of b."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from . import Trigger
    from .compound import AnyOf, Except


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
