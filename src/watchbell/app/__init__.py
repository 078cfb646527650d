"""The application's door and the composition root: `Watchbell` puts the house together."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self, Unpack

from ..clock import Clock, SystemClock
from ..config import switched_off
from ..core.instants import parse_duration
from ..core.wallclock import zone_info
from ..engine.hooks import Hooks
from ..engine.sources import Reading, Source, Sources
from ..errors import BadConfiguration, Conflict
from ..store.base import Store
from ..store.open import open_store
from ..store.runs import Enqueued, Wish, enqueue, request_cancel
from ..store.schedules.catalog import Catalog, job_by_name
from ..store.schedules.put import Doer, ScheduleSpec
from ..store.schedules.sources import Reconciled
from ..store.tx import Tx
from . import checks
from .control import ACTOR, AsyncControl, T, aside
from .declarations import Declarations, Declared
from .declaring import Declares, Declaring
from .embedding import Embedding
from .engine_options import DEFAULT_SLOTS, EngineOptions, NodeOptions, checked_slots, labels_of
from .hosts import attach, is_flask, is_starlette
from .job import Job, RunHandle
from .keeping import keep_of
from .signals import hearing

if TYPE_CHECKING:
    from ..engine.node import Node
    from ..services.status import StatusView
    from .compose import Parts

__all__ = ["DEFAULT_SLOTS", "Declared", "Job", "RunHandle", "Watchbell"]

_log = logging.getLogger("watchbell")


class Watchbell(Declaring, AsyncControl):
    """A scheduler with its ledger.

    `url` is `sqlite:///watchbell.db`, a path, or `sqlite://` for one in memory, which promises nothing over a restart; or
    it is the application itself, as for `init_app`.
    `app` names the application whose code declares things; `tz` is the zone of what names none; `slots` is how many
    runs of each lane (async, thread, process, command, http) go on at once; `keep` is how long what is kept, such as
    `{"occurrences": "400d", "logs": "30d"}`; `labels` mark its node, for jobs that ask for some of them. Declaring needs no database; the first use opens
    it. Raises BadConfiguration, BadZone.
    """

    def __init__(
        self,
        url: Any = "watchbell.db",
        *,
        app: str = "app",
        tz: str = "UTC",
        slots: dict[str, int] | None = None,
        shutdown_grace: str | float | timedelta = "10s",
        revision: int | None = None,
        clock: Clock | None = None,
        keep: Mapping[str, Any] | None = None,
        **node: Unpack[NodeOptions],
    ) -> None:
        host = url if is_flask(url) or is_starlette(url) else None
        if host is not None:
            url = os.environ.get("WATCHBELL_DATABASE_URL") or "watchbell.db"
        for what, text in (("url", url), ("app", app), ("tz", tz)):
            if not isinstance(text, str):
                raise BadConfiguration(f"{what} is a text, not {checks.shown(text)}.")
        if revision is not None:
            checks.whole(revision, "revision", 0)
        zone_info(tz)
        self._url = url
        self._tz = tz
        self._clock: Clock = clock or SystemClock()
        self._slots = checked_slots(slots)
        self._grace_us = parse_duration(shutdown_grace)
        self._declared = Declarations(app, self._clock.wall_us() if revision is None else revision)
        self._hooks = Hooks()
        self._sources = Sources(self._clock, self._hooks, tz)
        self._store: Store | None = None
        self._node: Node | None = None
        self._engine = EngineOptions(keep=keep_of(keep), labels=labels_of(node))
        self._lock = threading.RLock()
        self._pid = os.getpid()
        self._embedding = Embedding(self)
        if host is not None:
            self.init_app(host)

    # --- life ---------------------------------------------------------------------------------------------------------

    def start(self) -> Watchbell:
        """Run the engine on threads of its own and return once it acts, or stands by for another process that does.

        Where WATCHBELL_DISABLE_JOBS is set, no engine is started here; everything else goes on. Raises StoreError,
        BadDeclaration; Conflict if it was started already.
        """
        if (switch := switched_off(os.environ)) is not None:
            _log.warning("engine.switched_off: $%s is set; this process runs nothing by itself", switch)
            return self
        with self._lock:
            if self._node is not None and self._node.alive():
                raise Conflict("This Watchbell has been started already; stop() it first.")
            from . import compose

            store = self._open()
            node = self._node = compose.node(self._parts(store))
            self._sources.attach(store, node.wake)
            node.start()
        while not node.ready.wait(0.05) and not node.standing_by:
            pass
        if node.error is not None:
            raise node.error
        return self

    def stop(self, grace: str | float | timedelta | None = None) -> None:
        """Drain and stop the engine: what runs may finish within `grace`, what has not begun is handed back."""
        node = self._node
        if node is not None:
            node.stop(self._grace_us if grace is None else parse_duration(grace))
            node.join()
            self._node = None
        self._hooks.finish(2.0)
        with self._lock:
            if self._store is not None and not self._store.in_memory:
                self._store.close()
                self._store = None
                self._declared.begin_anew()

    def run(self, for_us: int | None = None) -> None:
        """Run the engine until SIGTERM or SIGINT (a second one means at once), or for `for_us` microseconds.

        Where the application has set up no logging, what the engine does is logged to the standard error. Raises
        Conflict outside of the main thread, BadConfiguration where engines are switched off, and what `start` raises.
        """
        if threading.current_thread() is not threading.main_thread():
            raise Conflict(
                "run() handles signals, which only the main thread can: call start() here, and stop() later."
            )
        if (switch := switched_off(os.environ)) is not None:
            raise BadConfiguration(f"No engine is started: ${switch} is set. Unset it to run one here.")
        if not logging.getLogger().handlers:
            logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
        stopping = threading.Event()

        def asked(number: signal.Signals) -> None:
            _log.info("engine.signal: %s", number.name)
            if stopping.is_set() and self._node is not None:
                self._node.stop()
            stopping.set()

        with hearing(asked):
            self.start()
            assert self._node is not None
            node = self._node
            end = None if for_us is None else self._clock.mono_ns() + for_us * 1000
            while not stopping.is_set() and not node.ended.is_set():
                left = 1_000_000 if end is None else (end - self._clock.mono_ns()) // 1000
                if left <= 0:
                    break
                self._clock.wait(stopping, left)
            error = node.error
            node.stop(self._grace_us)
            while not node.join(0.2):
                pass
            self.stop()
            if error is not None:
                raise error

    async def __aenter__(self) -> Self:
        await aside(self.start)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await aside(self.stop)

    @contextlib.asynccontextmanager
    async def lifespan(self, app: Any = None) -> AsyncIterator[None]:
        """The engine for as long as a FastAPI or Starlette application lives: `FastAPI(lifespan=bell.lifespan)`. Inside
        of a lifespan of your own it is `async with bell.lifespan(app):`, or `bell.init_app(app)`."""
        await aside(self._embedding.begin)
        try:
            yield
        finally:
            await aside(self._embedding.end)

    def init_app(self, app: Any) -> None:
        """Put the engine into a Flask, Starlette or FastAPI application: it runs where that one serves, and in no other
        process. What `app.config` of Flask says under `WATCHBELL_…` counts. Raises BadDeclaration, BadConfiguration."""
        attach(self, app)

    # --- the house ----------------------------------------------------------------------------------------------------

    def _open(self) -> Store:
        """The database, opened on first use, with everything declared written to it."""
        with self._lock:
            if self._store is not None and self._pid != os.getpid():
                raise Conflict(
                    "This Watchbell was used before the process forked, and a database connection must not cross a "
                    "fork: make it, or start it, after the fork."
                )
            if self._store is None:
                self._store, self._pid = open_store(self._url, self._now()), os.getpid()
                self._sources.attach(self._store, self._store.poke)
            if self._declared.dirty:
                self._declare(self._store)
            return self._store

    def _declared_more(self) -> None:
        """Something was declared while the engine runs: it counts from now on, and not only from the next use."""
        if self._node is not None and self._node.alive():
            self._open()

    def _declare(self, store: Store) -> None:
        declared = self._declared
        with declared.lock:
            declared.dirty = False
            if not declared.jobs and not declared.wanted:
                return
            doer = Doer(f"app {declared.app}", self._now(), self._tz)
            try:
                counts = store.write(lambda tx: declared.write(tx, _fresh(tx), doer))
                declared.were_written()
            except BaseException:
                declared.dirty = True
                raise
        if counts["older"]:
            _log.warning(
                "declared.older: %d schedules were declared by newer code already; left alone",
                counts["older"],
            )
        if counts["added"] or counts["changed"]:
            _log.info("declared: %d added, %d changed, %d unchanged", counts["added"], counts["changed"],
                      counts["unchanged"])  # fmt: skip
        store.poke()
        if self._node is not None:
            self._node.wake()

    def _parts(self, store: Store) -> Parts:
        from .compose import Parts

        return Parts(
            self._clock,
            store,
            self._declared.handlers,
            self._hooks,
            self._sources,
            self._slots,
            self._tz,
            self._grace_us,
            self._engine,
        )

    # --- what the parts ask for ---------------------------------------------------------------------------------------

    def _now(self) -> int:
        store, own = self._store, self._clock
        return (own if store is None else store.clock(own)).wall_us()

    def _add_source(self, name: str, period: int, max_errors: int | None, function: Declares) -> None:
        def read() -> Reading:
            items = self._declared.around(lambda: list(function()))()

            def wishes(tx: Tx) -> list[tuple[str, ScheduleSpec | str, int]]:
                jobs: dict[str, int] = {}
                return [self._declared.wish(tx, name, item, jobs) for item in items]

            return wishes

        self._sources.add(Source(name, period, max_errors, read))

    def _reload(self, sources: tuple[str, ...]) -> dict[str, Reconciled]:
        self._open()
        return self._sources.reload(sources)

    def _own_status(self, found: StatusView) -> StatusView:
        node = self._node
        return replace(
            found,
            thread_alive=found.thread_alive if node is None else node.alive(),
            consecutive_errors=max(found.consecutive_errors, self._sources.consecutive_errors),
        )

    def _enqueue(
        self,
        job: str,
        args: str,
        at: int | None,
        key: str | None,
        priority: int | None = None,
        within: Any = None,
    ) -> RunHandle:
        store = self._open()
        doer = Doer(ACTOR, self._now(), self._tz)

        def wish(tx: Tx) -> Wish:
            found = job_by_name(tx, job)
            assert found is not None
            return Wish(found, args, at, key, priority=priority)

        if within is not None:
            from .joining import enqueue_joined

            joined = enqueue_joined(store, within, store.read(wish))
            return RunHandle(joined.run, joined.new, self)

        def work(tx: Tx) -> Enqueued:
            tx.poke()
            return enqueue(tx, wish(tx), doer)

        made = self._after(store.write(work))
        return RunHandle(made.run, made.new, self)

    def _after(self, change: T) -> T:
        """Let the engine of this process look: nobody else can wake one whose database is in memory. Those of others were
        told by the commit."""
        if self._node is not None and not self._node.standing_by:
            self._node.wake()
        return change

    def _run_state(self, run: int) -> str:
        return str(
            self._open().read(lambda tx: tx.value("SELECT state FROM occurrence WHERE id = ?", (run,)))
        )

    def _run_wait(self, run: int, timeout_us: int) -> str:
        from ..services.runs import wait

        page = wait(self._open(), run, clock=self._clock, timeout_us=timeout_us)
        return str(page.run.state)

    def _run_cancel(self, run: int) -> str:
        store = self._open()
        doer = Doer(ACTOR, self._now(), self._tz)

        def work(tx: Tx) -> str:
            tx.poke()
            return request_cancel(tx, run, f"Cancelled by {ACTOR}.", doer)

        return self._after(store.write(work))


def _fresh(tx: Tx) -> Catalog:
    catalog = Catalog()
    catalog.refresh(tx)
    return catalog
