"""Reading sources: each is a function of the application that says which schedules its own table wants. It is called
every so often and at `reload`; one that raises changes nothing, is tried again with backoff, and alerts after
`max_consecutive_errors`."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ..clock import Clock
from ..core.alert import Happening
from ..errors import Conflict, StoreError
from ..store import alerts
from ..store.base import Store
from ..store.schedules.catalog import Catalog
from ..store.schedules.put import Doer, ScheduleSpec
from ..store.schedules.sources import Reconciled, note_failure, note_success, reconcile
from ..store.tx import Tx
from .hooks import Hooks

LONGEST_BACKOFF_US = 600_000_000
MAX_ERRORS = 5
_log = logging.getLogger("watchbell.sources")

Reading = Callable[[Tx], list[tuple[str, ScheduleSpec | str, int]]]


@dataclass(frozen=True, slots=True)
class Source:
    """A source; `max_errors` None: as the configuration says. `read()` calls the application's function and returns what turns its answer into wishes, inside the
    transaction that reconciles them."""

    name: str
    every_us: int
    max_errors: int | None
    read: Callable[[], Reading]


class Sources:
    """All sources of one application."""

    def __init__(self, clock: Clock, hooks: Hooks, zone: str = "UTC") -> None:
        self._clock = clock
        self._hooks = hooks
        self._zone = zone
        self._sources: list[Source] = []
        self.max_errors = MAX_ERRORS
        self._next: dict[str, int] = {}
        self._errors: dict[str, int] = {}
        self._busy = threading.Lock()
        self._catalog = Catalog()
        self._changed: Callable[[], None] = lambda: None
        self._store: Store | None = None

    def attach(self, store: Store, changed: Callable[[], None]) -> None:
        """Read into this database, and call `changed` after something has changed."""
        self._store, self._changed = store, changed

    def add(self, source: Source) -> None:
        """Read this one too."""
        self._sources.append(source)

    @property
    def consecutive_errors(self) -> int:
        """The most errors in a row of any source."""
        return max(self._errors.values(), default=0)

    def step(self) -> int:
        """Read what is due; returns how long until the next one is."""
        now = self._clock.mono_ns() // 1000
        for source in self._sources:
            if self._next.get(source.name, 0) <= now:
                with self._busy:
                    self._read(source)
        now = self._clock.mono_ns() // 1000
        return max(1000, min((self._next[s.name] for s in self._sources), default=now + 60_000_000) - now)

    def reload(self, names: Iterable[str] = ()) -> dict[str, Reconciled]:
        """Read all sources (or those named) now, and say what changed. Conflict while another reading goes on; the
        error of the application's function is raised to the caller."""
        if not self._busy.acquire(blocking=False):
            raise Conflict("The sources are being read at this moment; try again in a second.")
        try:
            wanted = set(names)
            return {
                s.name: self._read(s, quiet=False) for s in self._sources if not wanted or s.name in wanted
            }
        finally:
            self._busy.release()

    def _read(self, source: Source, quiet: bool = True) -> Reconciled:
        assert self._store is not None
        store = self._store
        now, most = self._clock.wall_us(), self._most(source)
        doer = Doer(f"source {source.name}", now, self._zone)
        self._next[source.name] = self._clock.mono_ns() // 1000 + source.every_us
        try:
            reading = source.read()

            def write(tx: Tx) -> tuple[Reconciled, int]:
                self._catalog.refresh(tx)
                result = reconcile(tx, self._catalog, source.name, reading(tx), doer)
                errors = note_success(tx, source.name, source.every_us, most, result, now)
                if errors >= most:
                    alerts.observe(tx, [Happening("succeeded", 1, f"source {source.name}")], now)
                return result, errors

            result, errors = store.write(write)
        except StoreError:
            raise
        except Exception as error:
            self._failed(source, error, now)
            if not quiet:
                raise
            return Reconciled(errors={"": str(error)})
        self._errors[source.name] = 0
        self._succeeded(source, result, errors)
        return result

    def _most(self, source: Source) -> int:
        return self.max_errors if source.max_errors is None else source.max_errors

    def _succeeded(self, source: Source, result: Reconciled, errors: int) -> None:
        if result.added or result.changed or result.ended:
            _log.info(
                "source.reconciled: %s: %d added, %d changed, %d ended, %d unchanged",
                source.name,
                result.added,
                result.changed,
                result.ended,
                result.unchanged,
            )
            self._changed()
        for key, text in result.errors.items():
            _log.warning("source.set_aside: %s:%s: %s", source.name, key, text)
        if errors:
            _log.warning("source.recovered: %s, after %d errors in a row", source.name, errors)
            self._hooks.tell("source.recovered", {"source": source.name, "errors": errors})

    def _failed(self, source: Source, error: Exception, now: int) -> None:
        text, most = f"{type(error).__name__}: {error}", self._most(source)

        def write(tx: Tx) -> int:
            count = note_failure(tx, source.name, source.every_us, most, text, now)
            if count == most:
                detail = f"the source has failed {count} times in a row: {text}; nothing was changed"
                alerts.observe(tx, [Happening("failed", 1, f"source {source.name}", detail=detail)], now)
            return count

        assert self._store is not None
        count = self._errors[source.name] = self._store.write(write)
        wait = min(LONGEST_BACKOFF_US, source.every_us, 1_000_000 * 2 ** min(count - 1, 20))
        self._next[source.name] = self._clock.mono_ns() // 1000 + wait
        _log.error("source.failed: %s (%d in a row): %s; nothing was changed, next try in %.0f s", source.name, count,
                   text, wait / 1e6)  # fmt: skip
        self._hooks.tell("source.failed", {"source": source.name, "errors": count, "error": text})
