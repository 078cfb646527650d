"""Real web servers with a real application in them, and what can be seen of their engines from outside."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from watchbell.services.status import StatusView, status
from watchbell.store.sqlite.open import open_store

PROJECTS = Path(__file__).with_name("projects")
DEADLINE_S = 60.0


def wait_for(fact: Callable[[], Any], what: Callable[[], str]) -> Any:
    """Wait until `fact` gives something true, and return that."""
    end = time.monotonic() + DEADLINE_S
    while not (found := fact()):
        assert time.monotonic() < end, f"after {DEADLINE_S:.0f} s still not so: {what()}"
        threading.Event().wait(0.05)
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Shop:
    """An application's folder, and the servers that serve it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.database = folder / "bell.db"
        self.port = free_port()
        self.env = dict(os.environ) | {
            "SHOP_FOLDER": str(folder),
            "PYTHONPATH": str(PROJECTS),
            "PYTHONUNBUFFERED": "1",
        }
        self._servers: list[subprocess.Popen[bytes]] = []

    def serve(self, *words: str, **env: str) -> subprocess.Popen[bytes]:
        """A server in the background, in a group of its own."""
        command = [sys.executable, "-m", *(word.format(port=self.port) for word in words)]
        with (self.folder / "server.log").open("ab") as log:
            made = subprocess.Popen(
                command, cwd=self.folder, env=self.env | env, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        self._servers.append(made)
        return made

    def gunicorn(self, application: str, *words: str, **env: str) -> subprocess.Popen[bytes]:
        return self.serve(
            "gunicorn", "-b", "127.0.0.1:{port}", "--no-control-socket", *words, application, **env
        )

    def close(self) -> None:
        """End everything that was started here."""
        for server in self._servers:
            try:
                os.killpg(server.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            server.wait()

    # --- what is seen from outside ------------------------------------------------------------------------------------

    def log(self) -> str:
        return (self.folder / "server.log").read_text(errors="replace")[-6000:]

    def said(self) -> list[list[str]]:
        """What jobs have written: [run key, process, word]."""
        path = self.folder / "said"
        return [line.split() for line in path.read_text().splitlines()] if path.exists() else []

    def ticks_of(self, pid: int | None = None) -> list[str]:
        """The run keys of what has run, of one process or of all."""
        return [key for key, by, _ in self.said() if key != "-" and pid in (None, int(by))]

    def status(self) -> StatusView:
        store = open_store(str(self.database), time.time_ns() // 1000)
        try:
            return status(store, now=time.time_ns() // 1000)
        finally:
            store.close()

    def acting(self) -> int | None:
        """The process whose engine acts."""
        if not self.database.exists():
            return None
        found = self.status().engine
        return found.engine.pid if found.running and found.engine is not None else None

    def wait_for_one_engine(self, others: int, but: int | None = None) -> int:
        """Until one engine acts, has run something, and so many others stand by. Its process."""

        def fact() -> int | None:
            pid = self.acting()
            if pid is None or pid == but or not self.ticks_of(pid):
                return None
            return pid if len(self.status().engine.stand_bys) == others else None

        return int(wait_for(fact, lambda: f"one engine and {others} standing by\n{self.log()}"))

    def get(self, path: str = "/", method: str = "GET") -> str:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", method=method)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return str(answer.read().decode())

    def wait_until_served(self) -> None:
        def fact() -> bool:
            try:
                return bool(self.get())
            except OSError:
                return False

        wait_for(fact, lambda: f"an answer to a request\n{self.log()}")

    def nothing_ran_twice(self) -> None:
        counts = Counter(self.ticks_of())
        assert counts
        assert [key for key, count in counts.items() if count > 1] == []
