"""A second process: it enqueues with business keys, runs things now, edits, pauses, resumes and cancels while engines
die. What it was promised is written down, and must hold whatever dies."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from watchbell import Watchbell, WatchbellError
from watchbell.errors import Conflict

from .history import Promise
from .jobs import BY_HAND, arguments, build
from .plan import Plan, Work

MEAN_WAIT_S = 0.05
PERIODS = ("every 200ms", "every 500ms", "every 1s", "cron * * * * * *")


class Caller:
    """What the second process does, drawn from the seed. Errors of the kinds `refusals` are answers: nothing was
    promised."""

    refusals: tuple[type[Exception], ...] = (Conflict,)

    def __init__(self, plan: Plan, url: str, promises: Path, number: int) -> None:
        self._drawn = random.Random(plan.seed * 1000 + number)
        self._bell: Watchbell = build(url, plan)
        self._works = [work for work in plan.works if work.lane != "process"]
        self._functions = [work for work in self._works if work.lane != "command"]
        self._names = [work.name for work in plan.works]
        self._file = os.open(promises, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._stopping = False
        self._paused: set[str] = set()

    def run(self) -> None:
        """Until SIGTERM."""
        signal.signal(signal.SIGTERM, self._stop)
        verbs = self._verbs()
        while not self._stopping:
            verb = self._drawn.choice(verbs)
            try:
                verb()
            except self.refusals:
                pass  # the schedule's overlap policy says no, or the run has ended: answers like any other
            except WatchbellError as error:
                self._write({"error": f"{verb.__name__}: {type(error).__name__}: {error}"})
            time.sleep(min(0.3, self._drawn.expovariate(1 / MEAN_WAIT_S)))

    def _verbs(self) -> tuple[Callable[[], None], ...]:
        """What it does by turns; what stands here twice is done twice as often."""
        return (
            self._errand,
            self._errand,
            self._later,
            self._run_now,
            self._pause,
            self._resume,
            self._edit,
        )

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping = True

    def _write(self, said: dict[str, object]) -> None:
        os.write(self._file, (json.dumps(said) + "\n").encode())

    def _errand(self) -> None:
        """The same few keys again and again, each with arguments of its own: the first run must come back."""
        job = self._drawn.choice(list(BY_HAND))
        key = f"key-{self._drawn.randrange(400)}"
        arguments = {"longest": 0.3, "limit": BY_HAND[job] or 0}
        made = self._bell.run_now(job, arguments, key=key)
        self._write({"job": job, "key": key, "run": made.run, "new": made.new})
        if self._drawn.random() < 0.1:
            self._cancel(made.run)

    def _cancel(self, run: int) -> None:
        self._bell._run_cancel(run)

    def _later(self) -> None:
        made = self._bell._enqueue("errand-async", '{"longest":0.1}', self._bell._now() + 300_000, None)
        self._write({"job": "errand-async", "key": None, "run": made.id, "new": made.new})

    def _run_now(self) -> None:
        work = self._drawn.choice(self._works)
        made = self._bell.run_now(work.name)
        self._write({"job": made.job, "key": None, "run": made.run, "new": made.new})

    def _pause(self) -> None:
        name = self._drawn.choice(self._names)
        if len(self._paused) < 3:
            self._paused.add(name)
            self._bell.pause(name)

    def _resume(self) -> None:
        if self._paused:
            name = self._drawn.choice(sorted(self._paused))
            self._paused.discard(name)
            self._bell.resume(name)

    def _edit(self) -> None:
        work: Work = self._drawn.choice(self._functions)
        if self._drawn.random() < 0.5:
            self._bell.edit(work.name, trigger=self._drawn.choice(PERIODS))
        else:
            self._bell.edit(
                work.name, args=arguments(work, round(self._drawn.uniform(0.05, work.longest_s), 2))
            )


def promises_of(folder: Path) -> Path:
    """Where the second process writes what it was promised."""
    return folder / "promises.jsonl"


def read_promises(path: Path) -> tuple[list[Promise], list[str]]:
    """What was promised, and what it met that it should not have. A last line without its end was never promised."""
    promises, errors = [], []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        said = json.loads(line)
        if "error" in said:
            errors.append(said["error"])
        else:
            promises.append(Promise(said["job"], said["key"], said["run"], said["new"]))
    return promises, errors
