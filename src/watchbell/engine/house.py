"""What the loops of one node share: the seams to the world, the node's own tables, and a few words they all use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ..clock import Clock
from ..core.claim import Claim
from ..core.outcome import Ending, Outcome
from ..core.retention import Keep
from ..core.text import storable
from ..executors.base import Executor
from ..store.base import Store
from ..store.schedules.catalog import Catalog
from ..store.tx import Tx
from .desk import Desk, Slots
from .handlers import Handlers
from .hooks import Hooks


@dataclass(slots=True)
class House:
    """What the loops of one node share: the seams to the world and the node's own tables."""

    clock: Clock
    store: Store
    handlers: Handlers
    hooks: Hooks
    slots: Slots
    randomness: Callable[[int], bytes]
    draw: Callable[[], float]
    wake: Callable[[], None]
    alerted: Callable[[], None] = lambda: None
    rest: Callable[[int], None] = lambda _us: None
    renewed: Callable[[int], None] = lambda _at: None
    granted: Callable[[Claim], None] = lambda _claim: None
    doubt_us: int = 0
    """How far the clock stands ahead of where it would be, while it is not believed."""
    certain: bool = False
    """Whether the clock is beyond all doubt: it is believed, and no backlog waits for a person to confirm it."""
    zone: str = "UTC"
    keep: Keep = field(default_factory=Keep)
    node: int = 0
    epoch: int = 0
    database: str = ""
    desk: Desk = field(default_factory=Desk)
    catalog: Catalog = field(default_factory=Catalog)
    executors: dict[str, Executor] = field(default_factory=dict)


def write_progress(tx: Tx, progress: Sequence[tuple[int, float, float | None, str | None, int]]) -> None:
    """Keep the latest progress of runs."""
    tx.many(
        "INSERT INTO run_progress (run, done, of, message, at) VALUES (?, ?, ?, ?, ?) ON CONFLICT (run) DO UPDATE "
        "SET done = excluded.done, of = excluded.of, message = excluded.message, at = excluded.at",
        [(run, done, of, storable(message), at) for run, done, of, message, at in progress],
    )


def unfit(error: Exception, now: int) -> Outcome:
    """The outcome of a run whose stored arguments its function can take no more."""
    text = f"The arguments that were stored for this run do not fit its function any more: {error}"
    return Outcome(Ending.FAILED, None, now, error=text, error_type=(type(error).__name__, "Exception"))


def cancelled_before(now: int) -> Outcome:
    """The outcome of a run that was asked to end before its user code began."""
    return Outcome(Ending.CANCELLED, None, now, reason="by_request", note="It had not begun.")
