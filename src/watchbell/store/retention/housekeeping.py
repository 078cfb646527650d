"""Retention from end to end, in small steps: each is one short transaction, and nothing between two of them is half
done. Who drives it (the engine's housekeeper, or a person) decides how large a step is and when the next one comes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from typing import TypeVar

from ...core.retention import Keep
from ..base import Store
from ..tx import Tx
from . import days, log_keeping, sweeping
from .passes import Done, note_pass

LOOKED_AT = 200
T = TypeVar("T")


class Housekeeping:
    """One pass after the other over all that grows old. `guard` is called first in each transaction: it raises where
    this process may not act any more."""

    def __init__(self, store: Store, keep: Keep, guard: Callable[[Tx], None] = lambda _tx: None) -> None:
        self.keep = keep
        self.done = Done()
        self.limit = LOOKED_AT
        self._store = store
        self._guard = guard
        self._measured = 0
        self._excess: dict[int | None, int] = {}
        self._steps: Iterator[None] | None = None

    def step(self, now: int) -> bool:
        """Take one step of the pass that goes on, or the first of a new one; False when a pass has come to its end."""
        if self._steps is None:
            self.done = Done()
            self._steps = self._pass(now)
        try:
            next(self._steps)
            return True
        except StopIteration:
            self._steps = None
            return False
        except BaseException:
            self._steps = None  # what was not written is found again by the next pass
            raise

    def run(self, now: int) -> Done:
        """A whole pass, at once."""
        while self.step(now):
            pass
        return self.done

    def _write(self, work: Callable[[Tx], T]) -> T:
        def guarded(tx: Tx) -> T:
            self._guard(tx)
            return work(tx)

        return self._store.write(guarded)

    def _pass(self, now: int) -> Iterator[None]:
        yield from self._measure()
        yield from self._logs(now)
        yield from self._days(now)
        yield from self._by_hand(now)
        yield from self._beside(now)
        text = json.dumps({"at": now, **asdict(self.done)})
        self._write(partial(note_pass, text=text))
        yield

    # --- logs ---------------------------------------------------------------------------------------------------------

    def _measure(self) -> Iterator[None]:
        live: int | None = None
        while True:
            found = self._write(
                partial(log_keeping.measure, after=self._measured, limit=max(1, self.limit // 4))
            )
            live = found.live if live is None else live
            yield
            if found.next is None:
                break
            self._measured = found.next
        if live is not None:
            self._measured = live - 1  # what still ran is looked at again

    def _logs(self, now: int) -> Iterator[None]:
        after: int | None = 0
        while after is not None:
            cut = partial(log_keeping.cut_old, keep=self.keep, now=now, after=after, limit=self.limit)
            gone, after = self._write(cut)
            self.done.log_lines += gone
            yield
        gone = 1
        while gone:
            gone = self._write(
                partial(log_keeping.cut_excess, keep=self.keep, now=now, limit=self.limit, due=self._excess)
            )
            self.done.log_lines += gone
            yield

    # --- occurrences --------------------------------------------------------------------------------------------------

    def _days(self, now: int) -> Iterator[None]:
        after = 0
        while rows := self._old_schedules(after, now):
            for schedule, upto in rows:
                while upto is not None:
                    removed = self._write(partial(days.step, schedule=schedule, upto=upto, limit=self.limit))
                    if not removed:
                        break
                    self.done.days += removed.days
                    self.done.rows += removed.rows
                    self.done.spans += removed.spans
                    yield
            after = rows[-1][0]
            yield

    def _old_schedules(self, after: int, now: int) -> list[tuple[int, int | None]]:
        """The next schedules, each with up to where its days may go; None where nothing of it is old enough."""

        def read(tx: Tx) -> list[tuple[int, int | None]]:
            found: list[tuple[int, int | None]] = []
            for schedule, options in days.schedules_after(tx, after, LOOKED_AT):
                upto = days.target_of(now, options, self.keep.occurrences_us)
                found.append((schedule, upto if days.has_old(tx, schedule, upto) else None))
            return found

        return self._store.read(read)

    def _by_hand(self, now: int) -> Iterator[None]:
        after = 0
        while jobs := self._store.read(partial(days.jobs_after, after=after, limit=LOOKED_AT)):
            for job, options in jobs:
                upto = days.target_of(now, options, self.keep.occurrences_us)
                run: int | None = 0
                while run is not None and self._store.read(
                    partial(days.has_old_by_hand, job=job, after=run, upto=upto)
                ):
                    removed, run = self._write(
                        partial(days.step_by_hand, job=job, upto=upto, after=run, limit=self.limit)
                    )
                    self.done.by_hand += removed.rows
                    yield
            after = jobs[-1][0]
            yield

    # --- what stands beside the ledger --------------------------------------------------------------------------------

    def _beside(self, now: int) -> Iterator[None]:
        gone = 1
        while gone:
            gone = self._write(partial(sweeping.alerts, before=now - self.keep.alerts_us, limit=self.limit))
            self.done.alerts += gone
            yield
        gone = 1
        while gone:
            gone = self._write(partial(sweeping.changes, before=now - self.keep.changes_us, limit=self.limit))
            self.done.changes += gone
            yield
        after: tuple[int, str] | None = (0, "")
        while after is not None:
            gone, after = self._write(partial(sweeping.keys, now=now, after=after, limit=self.limit))
            self.done.keys += gone
            yield
