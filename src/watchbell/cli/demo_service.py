"""The demo's service: a real `watchbell serve` as a child process, started, drained and, for the outage, killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from ..clock import Clock
from ..demo.place import SITE_VARIABLE, VARIABLE, Place
from ..errors import WatchbellError
from ..services import database, engines

APP = "watchbell.demo.application:bell"
LONGEST_START_US = 30_000_000
LONGEST_DRAIN_S = 30.0
LOOK_US = 50_000
_LINES_OF_LOG = 5


class Service:
    """One service on the demo's database; at any time at most one process."""

    def __init__(self, place: Place, site: str, clock: Clock) -> None:
        self._place = place
        self._site = site
        self._clock = clock
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The number of its process; 0 while there is none."""
        return 0 if self._child is None else self._child.pid

    def start(self) -> None:
        """Start it and return once its engine acts. WatchbellError with the end of its log where it does not."""
        env = dict(os.environ) | {VARIABLE: str(self._place.folder), SITE_VARIABLE: self._site}
        env.pop(database.VARIABLE, None)
        with self._place.log.open("ab") as log:
            # A session of its own: Ctrl-C is for the demo, which then asks the service to end.
            self._child = subprocess.Popen(
                [sys.executable, "-m", "watchbell", "serve", "--app", APP],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env, start_new_session=True,
            )  # fmt: skip
        never, began = threading.Event(), self._clock.mono_ns()
        while not self._acts():
            self.check()
            if (self._clock.mono_ns() - began) // 1000 > LONGEST_START_US:
                raise WatchbellError(f"The service has not come up in 30 s. {self._told()}")
            self._clock.wait(never, LOOK_US)

    def _acts(self) -> bool:
        found = acting(self._place.database, self._clock.wall_us())
        return (
            found is not None and found.running and found.engine is not None and found.engine.pid == self.pid
        )

    def check(self) -> None:
        """Raise WatchbellError if it has ended, though nobody asked it to."""
        if self._child is not None and (code := self._child.poll()) is not None:
            raise WatchbellError(f"The service has ended by itself with exit code {code}. {self._told()}")

    def kill(self) -> int:
        """End it with SIGKILL: it can do nothing about it. Returns the number that its process had."""
        assert self._child is not None
        pid = self._child.pid
        self._child.kill()
        self._child.wait()
        self._child = None
        return pid

    def drain(self, hurry: threading.Event) -> None:
        """Ask it to end and wait until it has; what runs may finish, but not once `hurry` is set."""
        child, self._child = self._child, None
        if child is None or child.poll() is not None:
            return
        child.send_signal(signal.SIGTERM)
        began, hurried = self._clock.mono_ns(), False
        while child.poll() is None:
            if hurry.is_set() and not hurried:
                hurried = True
                child.send_signal(signal.SIGTERM)
            if (self._clock.mono_ns() - began) / 1e9 > LONGEST_DRAIN_S:
                child.kill()
            self._clock.wait(threading.Event(), LOOK_US)

    def _told(self) -> str:
        lines = _tail(self._place.log)
        return (
            f"Its log, {self._place.log}, ends with: {lines}" if lines else f"Its log is {self._place.log}."
        )


def acting(path: Path, now: int) -> engines.EngineView | None:
    """Who acts on a database; None where there is none yet."""
    if not path.exists():
        return None
    store = database.open_database(str(path), now, create=False)
    try:
        return store.read(lambda tx: engines.look(tx, now))
    finally:
        store.close()


def _tail(path: Path) -> str:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return " / ".join(line.strip() for line in lines[-_LINES_OF_LOG:] if line.strip())
