"""What the loops of one node share: the seams to the world, the node's own tables, and a few words they all use."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ..clock import Clock
from ..core.claim import Claim
from ..core.outcome import Ending, Outcome
from ..core.retention import Keep
from ..core.text import storable
from ..errors import EngineReplaced
from ..executors.base import Executor
from ..executors.identity import has_ended
from ..store import nodes
from ..store.base import Store
from ..store.glance import Glance, glance
from ..store.nodes import LEASE_US, Other
from ..store.schedules.catalog import Catalog
from ..store.tx import Tx
from .desk import Desk, Slots
from .handlers import Handlers
from .hooks import Hooks
from .outage import Outage


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
    spool: Path | None = None
    """The folder of the spool, for ends that cannot be written (engine/spool.py); None where there is no place for one."""
    lease_us: int = LEASE_US
    joined_ns: int | None = None
    """What the boot-time clock showed before this incarnation was registered: its lease counts from then."""
    labels: tuple[str, ...] = ()
    """What this node is marked with; a job may ask for some of them."""
    process: str = ""
    """This process, as others on its machine may look for it."""
    skew_us: Callable[[], int | None] = lambda: None
    """By how much the machine's own wall clock is ahead of the store's, where that is another one."""
    process_ended: Callable[[int, str], bool] = has_ended
    """Whether a process of this machine has ended beyond doubt."""
    fenced: EngineReplaced | None = None
    """Why this node may act no more, once one of its loops has learned it."""
    desk: Desk = field(default_factory=Desk)
    catalog: Catalog = field(default_factory=Catalog)
    executors: dict[str, Executor] = field(default_factory=dict)
    outage: Outage = field(init=False)
    """What is said of a database that cannot be reached."""

    def __post_init__(self) -> None:
        self.outage = Outage(self.clock, self.store.where)

    @property
    def renew_us(self) -> int:
        """How often the lease is renewed."""
        return self.lease_us // 3

    def fence(self, tx: Tx) -> None:
        """First statement of every transaction of the engine: EngineReplaced if it may act no more. Whichever loop learns
        it, the engine's own is woken by it."""
        with self._fencing():
            nodes.may_act(tx, self.node, self.epoch)

    def glance(self, tx: Tx) -> Glance:
        """The same for the engine's own loop, together with all else that it looks for at the beginning."""
        seen = glance(tx, self.node)
        with self._fencing():
            nodes.refuse_ended(self.node, self.epoch, seen.epoch, seen.state)
        return seen

    @contextmanager
    def _fencing(self) -> Iterator[None]:
        try:
            yield
        except EngineReplaced as error:
            self.fenced = error
            self.wake()
            raise

    def beat(self, tx: Tx, now: int, boot_us: int | None = None) -> None:
        """Renew the lease."""
        nodes.heartbeat(tx, self.node, now, boot_us, lease_us=self.lease_us, skew_us=self.skew_us())

    def has_ended(self, other: Other) -> bool:
        """Whether another incarnation is proven dead: it ran on this machine, and its process is gone."""
        return other.boot_id == self.clock.boot_id() and self.process_ended(other.pid, other.process)


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
