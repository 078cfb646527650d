"""gunicorn in the ways in which it is used, and what is done to it."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from .. import sidelog
from ..processes import children_of, send
from .names import APPLICATION, SEED, URL

WAYS: tuple[tuple[str, ...], ...] = (
    (),
    ("--preload",),
    ("-k", "gthread", "--threads", "4"),
    ("-k", "gthread", "--threads", "4", "--preload"),
)
ACTS = ("kill", "kill", "kill", "end", "end", "reload", "power cut", "orphans", "restart")
"""kill: SIGKILL to one web worker; end: SIGTERM to one; reload: SIGHUP to the master; power cut: SIGKILL to all of them at
once; orphans: SIGKILL to the master alone; restart: SIGTERM to the master, and another way of serving."""


SETTLED_S = 30.0


class Server:
    """gunicorn, again and again, on one database."""

    def __init__(self, folder: Path, url: str, count: int, drawn: random.Random, seed: int) -> None:
        self._folder = folder
        self._count = count
        self._drawn = drawn
        self._env = dict(os.environ) | {URL: url, SEED: str(seed)}
        self.port = 0
        self.acts: dict[str, int] = {}
        self.log = folder / "server.log"

    def start(self) -> None:
        """In one of the ways, drawn, on a port of its own."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        words = [
            "-w",
            str(self._count),
            "-b",
            f"127.0.0.1:{port}",
            "--no-control-socket",
            "--graceful-timeout",
            "20",
        ]
        command = [sys.executable, "-m", "gunicorn", *words, *self._drawn.choice(WAYS), APPLICATION]
        with self.log.open("ab") as log:
            self._master = subprocess.Popen(
                command, env=self._env, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self.port = port

    def act(self) -> None:
        """One of the things that happen to a server."""
        what = self._drawn.choice(ACTS)
        children = children_of(self._master.pid)
        if not children:
            return  # still starting
        self.acts[what] = self.acts.get(what, 0) + 1
        number = sum(self.acts.values())
        if what == "kill":
            self._kill(self._drawn.choice(children), number)
        elif what == "end":
            send(self._drawn.choice(children), signal.SIGTERM)
        elif what == "reload":
            self._master.send_signal(signal.SIGHUP)
        elif what == "restart":
            self.stop()
            self.start()
        else:
            self._master.kill()
            for pid in children if what == "power cut" else ():
                self._kill(pid, number)
            self._master.wait()
            self.start()

    def _kill(self, pid: int, number: int) -> None:
        sidelog.say_kill(os.environ[sidelog.LOG_VARIABLE], pid, number)
        send(pid, signal.SIGKILL)

    def stop(self) -> int:
        """As a deploy does; gunicorn's exit code."""
        self._master.terminate()
        return self._master.wait(60)

    def await_service(self) -> None:
        """Until a request is answered, whatever with; not for ever, as it may have been killed."""
        end = time.monotonic() + SETTLED_S
        while time.monotonic() < end and self._master.poll() is None:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=2).close()
            except urllib.error.HTTPError:
                return
            except OSError:
                time.sleep(0.1)

    def died(self) -> str | None:
        """How the master ended by itself, if it did."""
        code = self._master.poll()
        return None if code is None else f"gunicorn left by itself with code {code}; see {self.log}"
