"""What runs say while they run: log lines, progress, that they have begun, what they have done once.

Executors speak from many threads; everything is kept here, bounded, and written in batches by the keeper while a run
goes on and by its settlement when it ends. A run's log has a limit; what the limit cut off is said in its last line.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from ..clock import Clock
from ..store.base import Store
from ..store.claims import ATTEMPT_LINES
from ..store.tx import Tx

LOG_LIMIT = 256 * 1024
LINES_LIMIT = 10_000

Line = tuple[int, int, str, str, str]


class _Log:
    __slots__ = ("cut", "lines", "room", "seq")

    def __init__(self, epoch: int) -> None:
        self.seq = epoch * ATTEMPT_LINES
        self.room = LOG_LIMIT
        self.cut = 0
        self.lines: list[Line] = []


class Notes:
    """The sink of every executor of a node."""

    def __init__(self, clock: Clock, store: Store, dirty: Callable[[], None]) -> None:
        self._clock = clock
        self._store = store
        self._dirty = dirty
        self._lock = threading.Lock()
        self._logs: dict[tuple[int, int], _Log] = {}
        self._progress: dict[int, tuple[float, float | None, str | None, int]] = {}
        self._begun: list[tuple[int, int, int, int | None, int | None]] = []

    def began(self, run: int, epoch: int, began_at: int, pid: int | None, pid_started: int | None) -> None:
        """A run has a process of its own: written at once, so that the next engine can end it."""
        with self._lock:
            self._begun.append((run, epoch, began_at, pid, pid_started))
        self._dirty()

    def log(self, run: int, epoch: int, stream: str, level: str, text: str) -> None:
        """A line of a run's log."""
        now = self._clock.wall_us()
        with self._lock:
            log = self._logs.get((run, epoch))
            if log is None:
                log = self._logs[run, epoch] = _Log(epoch)
            size = len(text) + 16
            if size > log.room or log.seq % ATTEMPT_LINES >= LINES_LIMIT:
                log.cut += 1
                log.room = min(log.room, 0)
                return
            log.room -= size
            log.lines.append((log.seq, now, stream, level, text))
            log.seq += 1

    def progress(self, run: int, epoch: int, done: float, of: float | None, message: str | None) -> None:
        """How far a run has come; only the latest is kept."""
        with self._lock:
            self._progress[run] = (done, of, message, self._clock.wall_us())

    def once(self, run: int, epoch: int, name: str) -> bool:
        """True the first time this name is asked for in this run, over all its attempts; durable before it returns."""
        now = self._clock.wall_us()

        def first(tx: Tx) -> bool:
            return bool(
                tx.run(
                    "INSERT INTO effect (run, name, at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                    (run, name, now),
                )
            )

        return self._store.write(first)

    def take_begun(self) -> list[tuple[int, int, int, int | None, int | None]]:
        """What has begun since it was asked last."""
        with self._lock:
            begun, self._begun = self._begun, []
        return begun

    def take_lines(self) -> list[tuple[int, int, int, str, str, str]]:
        """The lines of all running runs since they were asked for last: (run, seq, at, stream, level, text)."""
        with self._lock:
            taken = [(key[0], *line) for key, log in self._logs.items() for line in log.lines]
            for log in self._logs.values():
                log.lines = []
        return taken

    def take_progress(self) -> list[tuple[int, float, float | None, str | None, int]]:
        """The latest progress of all runs that have said something since."""
        with self._lock:
            taken = [(run, *said) for run, said in self._progress.items()]
            self._progress.clear()
        return taken

    def put_back(
        self,
        begun: Sequence[tuple[int, int, int, int | None, int | None]],
        lines: Sequence[tuple[int, int, int, str, str, str]],
        progress: Sequence[tuple[int, float, float | None, str | None, int]],
    ) -> None:
        """What was taken could not be written: it is said again. Lines of a run that has ended meanwhile are gone, as its
        log is closed; what is here at any time is within each log's limit."""
        with self._lock:
            self._begun = [*begun, *self._begun]
            for run, done, of, message, at in progress:
                self._progress.setdefault(run, (done, of, message, at))
            logs = {key[0]: log for key, log in self._logs.items()}
            for line in reversed(lines):
                if line[0] in logs:
                    logs[line[0]].lines.insert(0, line[1:])

    def close(self, run: int, epoch: int) -> list[Line]:
        """The lines of a run that has ended which were not taken yet, and a last one if the limit cut some off."""
        with self._lock:
            log = self._logs.pop((run, epoch), None)
        if log is None:
            return []
        if log.cut:
            text = f"… the log's limit of {LOG_LIMIT // 1024} KiB was reached: {log.cut} more lines were not kept"
            log.lines.append((log.seq, self._clock.wall_us(), "watchbell", "warning", text))
        return log.lines

    @property
    def silent(self) -> bool:
        """Whether no run has said anything: the common case on the hot path."""
        return not self._logs
