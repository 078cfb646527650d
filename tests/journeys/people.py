"""A person at a shell, in a folder of their own: real commands, a real service, and waiting for facts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

WATCHBELL = [sys.executable, "-m", "watchbell"]
DEADLINE_S = 60.0


def wait_for(fact: Callable[[], Any], what: str | Callable[[], str]) -> Any:
    """Wait until `fact` gives something true, and return that."""
    end = time.monotonic() + DEADLINE_S
    while not (found := fact()):
        if time.monotonic() > end:
            raise AssertionError(
                f"after {DEADLINE_S:.0f} s still not so: {what if isinstance(what, str) else what()}"
            )
        threading.Event().wait(0.05)
    return found


class Shell:
    """Their shell. Nothing of another test is in its home."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = dict(os.environ) | {
            "XDG_STATE_HOME": str(folder / "state"),
            "HOME": str(folder),
            "PWD": str(folder),
        }

    def run(self, *words: str, code: int = 0) -> str:
        """A watchbell command, to its end; its output. Fails where the exit code is another."""
        done = subprocess.run(
            [*WATCHBELL, *words],
            cwd=self.folder,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == code, f"{words} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def ask(self, *words: str, code: int = 0) -> dict[str, Any]:
        """The same with --json, read."""
        answer: dict[str, Any] = json.loads(self.run(*words, "--json", code=code))
        return answer

    @contextmanager
    def background(self, *command: str) -> Iterator[subprocess.Popen[str]]:
        """A program in the background; gone at the end, whatever happens."""
        with (self.folder / "background.log").open("a") as log:
            child = subprocess.Popen(
                command,
                cwd=self.folder,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                text=True,
            )
        try:
            yield child
        finally:
            if child.poll() is None:
                child.kill()
            child.wait()

    def serve(self, *words: str) -> Any:
        """`watchbell serve` in the background."""
        return self.background(*WATCHBELL, "serve", *words)

    def lines(self, name: str) -> list[str]:
        """The lines of a file; none while there is no such file."""
        path = self.folder / name
        return path.read_text().splitlines() if path.exists() else []

    def hears(self, words: str) -> None:
        """Wait until what runs in the background has said these words."""
        wait_for(
            lambda: any(words in line for line in self.lines("background.log")),
            lambda: f"it says {words!r}; it says\n" + "\n".join(self.lines("background.log")[-40:]),
        )

    def stop(self, child: subprocess.Popen[str]) -> None:
        """Ask it to end, as a deploy does; it ends well."""
        child.send_signal(signal.SIGTERM)
        code = child.wait(timeout=DEADLINE_S)
        assert code == 0, f"it ended with {code}\n" + "\n".join(self.lines("background.log")[-40:])
