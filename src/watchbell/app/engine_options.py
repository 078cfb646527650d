"""What the configuration of a process says about the engine in it, and an application does not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypedDict

from ..core.retention import Keep
from ..errors import BadConfiguration, BadPolicy
from . import checks

DEFAULT_SLOTS = {"async": 1000, "thread": 32, "process": 4, "command": 16, "http": 32}


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """`startup_delay_us`: how long a new engine stands by before it acts. `look_us`: how often it looks by itself, behind
    wake-ups. `keep`: how long what is kept. `labels`: what this node is marked with. `state`: the folder for state, where the
    configuration names one."""

    startup_delay_us: int = 0
    look_us: int = 250_000
    keep: Keep = field(default_factory=Keep)
    labels: tuple[str, ...] = ()
    state: str | None = None


class NodeOptions(TypedDict, total=False):
    """What an application may say of the nodes that it makes: `labels` mark them, for jobs that ask for some with `on`."""

    labels: Sequence[str]


def labels_of(given: Mapping[str, Any]) -> tuple[str, ...]:
    """The labels among the options of a node. BadConfiguration for what is none, or no option."""
    from .options import labels

    if strange := sorted(given.keys() - NodeOptions.__annotations__.keys()):
        raise BadConfiguration(f"Watchbell has no option {checks.shown(strange[0])}.")
    try:
        return labels(given.get("labels", ()), "labels")
    except BadPolicy as error:
        raise BadConfiguration(str(error)) from None


def checked_slots(given: dict[str, int] | None) -> dict[str, int]:
    """How many runs of each lane go on at once, with the defaults for those that are left out. BadConfiguration."""
    slots = dict(DEFAULT_SLOTS)
    if given is not None:
        checks.kind(given, dict, "slots")
    for lane, count in (given or {}).items():
        if lane not in slots:
            raise BadConfiguration(
                f"There is no lane {checks.shown(lane)}; slots are given for {', '.join(slots)}."
            )
        if type(count) is not int or count < 0:
            raise BadConfiguration(
                f"A lane cannot have {checks.shown(count)} slots; write 0 to run nothing of {lane!r} here."
            )
        slots[lane] = count
    return slots
