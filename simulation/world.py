"""One life, carried out: the real engine under virtual time, with jobs that write down what they themselves saw.

What a job does depends on the seed, its run key and the attempt alone, so that the same life twice is the same twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from watchbell import Run, Watchbell
from watchbell.clock import ManualClock
from watchbell.core.policies import OnLost, Retry
from watchbell.errors import WatchbellError
from watchbell.executors.context import current_run
from watchbell.services import clock
from watchbell.store.sqlite.tx import SqliteTx
from watchbell.store.tx import Tx
from watchbell.testing import Lasting

from .deeds import do
from .node import LifeNode
from .plan import DAY_US, HOUR_US, Life, Step, Work
from .states import LIVE
from .zones import machines_zone_data, own_zone_data

SHARED = {"shared": 2}
LASTS = ("0s", "0s", "0s", "40s", "20m", "50m", "100m", "5h")
FAILING = 0.15
REFUSING = 0.3
KEY_KEPT_US = 30 * DAY_US

_WATCH = (
    (
        "CREATE TEMP TRIGGER sim_insert AFTER INSERT ON occurrence BEGIN "
        "SELECT sim_heard(NEW.id, NULL, NEW.state, NEW.epoch); END"
    ),
    (
        "CREATE TEMP TRIGGER sim_update AFTER UPDATE OF state ON occurrence BEGIN "
        "SELECT sim_heard(NEW.id, OLD.state, NEW.state, NEW.epoch); END"
    ),
    (
        "CREATE TEMP TRIGGER sim_delete AFTER DELETE ON occurrence BEGIN "
        "SELECT sim_gone(OLD.id, OLD.state, OLD.epoch, OLD.schedule, OLD.due_at, OLD.origin); END"
    ),
)
Change = tuple[int, str | None, str | None, int, int]
"""(run, state before, state after, epoch, how often it had begun); a write that is rolled back has been heard as well."""


@dataclass(frozen=True, slots=True)
class Gone:
    """A row that was removed, as it was."""

    run: int
    state: str
    epoch: int
    schedule: int | None
    due_at: int
    origin: str


class LifeClock(ManualClock):
    """A ManualClock that knows how much time has really passed, over reboots and steps."""

    def __init__(self, wall_us: int) -> None:
        super().__init__(wall_us)
        self._before = -self.boot_ns() // 1000

    @property
    def passed_us(self) -> int:
        """The time since the life began."""
        return self._before + self.boot_ns() // 1000

    def reboot(self, off_us: int = 0) -> None:
        """Let the machine be off for a while and start again."""
        passed = self.passed_us + off_us
        super().reboot(off_us)
        self._before = passed - self.boot_ns() // 1000


class Broken(AssertionError):
    """Something that must always be true is not: the rule, and what was seen."""

    def __init__(self, rule: str, sentence: str) -> None:
        super().__init__(f"{rule}: {sentence}")
        self.rule = rule
        self.sentence = sentence


@dataclass(frozen=True, slots=True)
class Begin:
    """What a job wrote down when it began."""

    run: int
    epoch: int
    attempt: int
    work: str
    due_at: int
    at: int
    place: int
    passed_us: int


class World:
    """What a life is lived in."""

    def __init__(self, life: Life) -> None:
        self.life = life
        own_zone_data()
        self.clock = LifeClock(life.begins_at)
        self.begins: dict[int, list[Begin]] = {}
        self.furthest = life.begins_at
        self.places = 0
        self.edited: set[str] = set()
        self.keyed: dict[tuple[str, str], int] = {}
        self.planned: dict[tuple[int, int], int] = {}
        self.gone: list[Gone] = []
        self.repaired_at: int | None = None
        self.found: Broken | None = None
        keep = {} if life.keep is None else {"occurrences": life.keep}
        self.bell = Watchbell("sqlite://", clock=self.clock, keep=keep)
        for work in life.works:
            self._declare(work)
        self._functions = dict(self.bell._declared.handlers._by_name)
        self.node = LifeNode(self.bell)
        self.changes: list[Change] = []
        self.bell._open().write(self._watch)

    def carry_out(self, step: Step) -> None:
        """Wait, then do it. An answer that says no is an answer."""
        self.advance(step.wait_us)
        do(self, step, self.life.works[step.work].name)
        self.node.step()
        self.furthest = max(self.furthest, self.clock.wall_us())

    def rows(self, sql: str, *params: Any) -> list[tuple[Any, ...]]:
        """Ask the ledger."""
        return self.bell._open().read(lambda tx: tx.rows(sql, params))

    def come_to_rest(self) -> None:
        """Let nothing new fall due, and all that is there end."""
        for work in self.life.works:
            try:
                self.bell.pause(work.name)
            except WatchbellError:
                continue
        self.node.set_slots(thread=16)
        clock.confirm(self.bell._open(), now=self.clock.wall_us(), actor="a person")
        self.advance(HOUR_US)
        later = self.rows("SELECT max(start_at) FROM occurrence WHERE state = 'waiting'")[0][0] or 0
        self.advance(later - self.clock.wall_us())
        left = self._live() + 1
        while 0 < (now_left := self._live()) < left:  # a long queue takes its time, but it grows shorter
            left = now_left
            self.advance(72 * HOUR_US)

    def _live(self) -> int:
        return int(self.rows(f"SELECT count(*) FROM occurrence WHERE state IN ({LIVE})")[0][0])

    def trace(self) -> str:
        """A digest of everything that happened."""
        said = hashlib.sha256()
        for row in self.rows("SELECT id, schedule, due_at, start_at, state, reason, attempt, ended_at FROM occurrence "
                             "ORDER BY id"):  # fmt: skip
            said.update(repr(row).encode())
        said.update(repr(sorted(self.begins.items())).encode())
        return said.hexdigest()

    def close(self) -> None:
        """Forget it."""
        self.bell.stop()
        machines_zone_data()

    def _watch(self, tx: Tx) -> None:
        def heard(*change: Any) -> None:
            self.changes.append((*change, len(self.begins.get(change[0], ()))))

        def gone(*row: Any) -> None:
            self.gone.append(Gone(*row))
            self.changes.append((row[0], row[1], None, row[2], 0))

        assert isinstance(tx, SqliteTx)
        tx._conn.create_scalar_function("sim_heard", heard, 4)
        tx._conn.create_scalar_function("sim_gone", gone, 6)
        for sql in _WATCH:
            tx.run(sql)

    # --- what jobs do -----------------------------------------------------------------------------------------------

    def _declare(self, work: Work) -> None:
        def act() -> Any:
            return self._act(work)

        options: dict[str, Any] = {"name": work.name, "concurrency": work.limit, "timeout": work.timeout}
        if work.rate is not None:
            options["rate"] = work.rate
        if work.shared:
            options["limits"] = SHARED
        if work.api is not None:
            options["rates"] = {"api": work.api}
        if work.attempts > 1:
            options["retry"] = Retry(work.attempts, delay_us=HOUR_US // 4)
        if work.rerun:
            options |= {"on_lost": OnLost.RERUN, "may_overlap": True}
        job = self.bell.job(**options)(act)
        more: dict[str, Any] = {"condition": self._condition(work)} if work.asks else {}
        self.bell.add_schedule(work.name, job, work.trigger, **work.options, **more)

    def _condition(self, work: Work) -> Any:
        def asked(run: Run) -> bool:
            return not self.refuses(run.id)

        asked.__qualname__ = f"condition of {work.name}"
        return asked

    def refuses(self, run: int) -> bool:
        """What the condition says of a run, in this life."""
        drawn = hashlib.sha256(f"{self.life.seed} condition {run}".encode()).digest()
        return drawn[0] < 256 * REFUSING

    def _act(self, work: Work) -> Any:
        run = current_run.get()
        assert isinstance(run, Run)
        place, self.places = self.places, self.places + 1
        now, due = self.clock.wall_us(), run._assignment.due_at
        begin = Begin(run.id, run.epoch, run.attempt, work.name, due, now, place, self.clock.passed_us)
        try:
            self._judge_begin(work, begin)
        except Broken as found:  # an executor takes what a job raises for the job's own failure
            self.found = self.found or found
        self.begins.setdefault(run.id, []).append(begin)
        drawn = hashlib.sha256(f"{self.life.seed} {run.id} {run.attempt}".encode()).digest()
        error = ValueError("as drawn") if drawn[0] < 256 * FAILING else None
        return Lasting(LASTS[drawn[1] % len(LASTS)], error=error)

    def _judge_begin(self, work: Work, begin: Begin) -> None:
        """The moment at which most promises can be broken: what is true here was true when user code began."""
        before = self.begins.get(begin.run, [])
        if any(other.epoch == begin.epoch for other in before):
            raise Broken("twice", f"run_{begin.run} began twice by its claim {begin.epoch}")
        if before and before[-1].epoch > begin.epoch:
            raise Broken("epoch", f"run_{begin.run} began by claim {begin.epoch} after {before[-1].epoch}")
        [(state, epoch, start, schedule, origin)] = self.rows(
            "SELECT state, epoch, start_at, schedule, origin FROM occurrence WHERE id = ?", begin.run
        )
        if state not in ("claimed", "running") or epoch != begin.epoch:
            text = (
                f"run_{begin.run} began by claim {begin.epoch} while the ledger said {state}, claim {epoch}"
            )
            raise Broken("write-ahead", text)
        if begin.at < start and begin.attempt == 1:
            raise Broken("early", f"run_{begin.run} began {start - begin.at} µs before its instant")
        if origin in ("scheduled", "backfill"):
            self._judge_instant(begin, schedule)
            if work.asks and origin == "scheduled" and self.refuses(begin.run):
                raise Broken(
                    "condition", f"run_{begin.run} of {work.name} began, and its condition refuses it"
                )
        if work.alone and work.name not in self.edited and schedule is not None:
            self._judge_alone(work, begin, schedule)

    def _judge_instant(self, begin: Begin, schedule: int) -> None:
        """An instant of a schedule is run by one row, whatever was repaired, removed or backfilled meanwhile."""
        first = self.planned.setdefault((schedule, begin.due_at), begin.run)
        if first != begin.run:
            raise Broken(
                "instant", f"run_{begin.run} of {begin.work} began for an instant that run_{first} ran"
            )

    def _judge_alone(self, work: Work, begin: Begin, schedule: int) -> None:
        for run, epoch in self._going():
            other = any(one.epoch == epoch for one in self.begins.get(run, ()))
            if run != begin.run and other:
                of = self.rows("SELECT schedule FROM occurrence WHERE id = ?", run)
                if of and of[0][0] == schedule:
                    raise Broken(
                        "overlap", f"run_{begin.run} of {work.name} began while run_{run} was at work"
                    )

    def _going(self) -> Iterator[tuple[int, int]]:
        for lane in self.node.lanes.values():
            yield from lane.in_progress()

    # --- what happens -----------------------------------------------------------------------------------------------

    def advance(self, by_us: int) -> None:
        """Let time pass."""
        if by_us > 0:
            self.node.run_until(self.clock.wall_us() + by_us)
        self.furthest = max(self.furthest, self.clock.wall_us())

    def come_back(self, without: str | None = None) -> None:
        """A new process: it declares everything again, as an application does at its start; the function of one job may
        be missing in it."""
        handlers = self.bell._declared.handlers
        handlers._by_name |= self._functions
        self.declare_again()
        if without is not None:
            self._functions = dict(handlers._by_name)
            handlers._by_name.pop(without)
        slots = self.node.house.slots.lanes
        self.node = LifeNode(self.bell)
        self.node.set_slots(**{lane: n for lane, n in slots.items() if lane == "thread"})

    def declare_again(self) -> None:
        """Write down what is declared, as at a start."""
        self.bell._declared.begin_anew()
        self.bell._open()

    def judge_key(self, work: str, key: str, before: int | None, run: int) -> None:
        """One run for a business key, until 30 days after its end."""
        if before is None or before == run:
            return
        row = self.rows("SELECT state, ended_at FROM occurrence WHERE id = ?", before)
        if row and (row[0][1] is None or row[0][1] + KEY_KEPT_US > self.clock.wall_us()):
            raise Broken(
                "key", f"run_{run} of {work} has the key {key} of run_{before}, which is {row[0][0]}"
            )
