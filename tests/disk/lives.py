"""A life on a failing disk: schedules under virtual time, a log of effects that knows nothing of the ledger, an audit."""

from __future__ import annotations

from pathlib import Path

import apsw

from tests.disk.shim import Disk
from tests.engine.story import Story
from watchbell import Run, Watchbell, every, retry
from watchbell.core.instants import SECOND
from watchbell.errors import DiskFailing, StoreError
from watchbell.testing.inline import Lasting


class Life:
    """One application on one file. `begun` is what its jobs did: (run, epoch), and whether the disk held the claim."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.begun: list[tuple[int, int]] = []
        self.unclaimed: list[tuple[int, int]] = []
        self.errors: list[StoreError] = []
        self.down = False
        self.story = Story(self.declare, file=file)
        self.born = self.story.now

    def declare(self, bell: Watchbell) -> None:
        @bell.job
        def beat(run: Run) -> None:
            self.note(run)

        @bell.job
        def lasts(run: Run) -> Lasting:
            self.note(run)
            return Lasting("4s")

        @bell.job(retry=retry(3, delay="1s"))
        def stumbles(run: Run) -> None:
            self.note(run)
            if run.attempt == 1:
                raise ValueError("the first time")

        bell.add_schedule("beat", beat, every("1s"), catchup="none")
        bell.add_schedule("lasts", lasts, every("7s"))
        bell.add_schedule("stumbles", stumbles, every("5s"))

    def note(self, run: Run) -> None:
        """An effect; and a look at the disk, past the faulty layer, whether its claim is durable."""
        self.begun.append((run.id, run.epoch))
        conn = apsw.Connection(str(self.file), flags=apsw.SQLITE_OPEN_READWRITE, vfs="unix")
        try:
            sql = "SELECT 1 FROM occurrence WHERE id = ? AND epoch = ? AND state IN ('claimed', 'running')"
            if conn.execute(sql, (run.id, run.epoch)).fetchone() is None:
                self.unclaimed.append((run.id, run.epoch))
        finally:
            conn.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            conn.close()

    def live(self, seconds: float) -> None:
        """Let time pass, as an engine whose every loop tries again after an error, and whose process is started again
        when it has ended."""
        end = self.story.now + int(seconds * SECOND)
        while self.story.now < end:
            try:
                if self.down:
                    self.story.open()
                    self.down = False
                self.story.node.run_until(end)
                return
            except StoreError as error:
                self._met(error)
                self._again()
            self.story.clock.advance(100_000)

    def _again(self) -> None:
        if not self.down:
            try:
                self.story.node._trouble.step()
            except StoreError as error:
                self._met(error)

    def _met(self, error: StoreError) -> None:
        self.errors.append(error)
        if isinstance(error, DiskFailing):
            self.story.die("1s")
            self.down = True

    def judge(self, disk: Disk) -> None:
        """The disk is well again: everything is accounted for, and nothing began twice or without a durable claim."""
        disk.heal()
        self.live(30)
        assert self.unclaimed == []
        assert len(self.begun) == len(set(self.begun))
        attempts = {
            (run, number)
            for run, number in self.story.rows(
                "SELECT run, number FROM attempt UNION SELECT id, attempt FROM occurrence"
            )
        }
        for run in {run for run, _ in self.begun}:
            assert sum(1 for one, _ in self.begun if one == run) <= sum(
                1 for one, _ in attempts if one == run
            )
        live = "('claimed', 'running', 'retrying')"
        old = self.story.now - 20 * SECOND
        assert (
            self.story.rows(f"SELECT id, state FROM occurrence WHERE state IN {live} AND due_at < ?", old)
            == []
        )
        assert self.story.rows("SELECT 1 FROM audit_event WHERE action = 'report.refused'") == []
        self.story.audit()

    def end(self) -> None:
        self.story.bell.stop()
