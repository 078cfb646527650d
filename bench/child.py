"""A process of its own for each engine, caller and limit. It speaks JSON lines on its standard output, is asked by words
on its standard input, and ends when that is closed: it cannot outlive the bench."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from .place import ROOT


class Unmeasured(Exception):
    """Why there is no figure, as a sentence."""


class Child:
    """One process in the role `role` of bench/inside.py; `before` is written before its command."""

    def __init__(self, role: str, folder: Path, *, before: Sequence[str] = (), **params: Any) -> None:
        self.role = role
        self._log = folder / f"{role}-{time.monotonic_ns()}.log"
        self.started = time.time()
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*before, sys.executable, "-m", "bench.inside", role, json.dumps(params)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=ROOT,
                start_new_session=True,
            )
        self._heard = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.wait()

    def kill(self) -> None:
        """End it at once, without a word."""
        self._process.kill()

    def freeze(self) -> None:
        """Let it stand still."""
        self._process.send_signal(signal.SIGSTOP)

    def hear(self, within_s: float = 60.0) -> dict[str, Any]:
        """The next thing it says. Unmeasured if it says nothing in time, or ends."""
        assert self._process.stdout is not None
        end = time.monotonic() + within_s
        while b"\n" not in self._heard:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self._process.stdout], [], [], left)[0]:
                raise Unmeasured(f"the process {self.role!r} said nothing for {within_s:.0f} s")
            more = os.read(self._process.stdout.fileno(), 65536)
            if not more:
                raise Unmeasured(f"the process {self.role!r} ended: {self._last_words()}")
            self._heard += more
        line, _, self._heard = self._heard.partition(b"\n")
        said: dict[str, Any] = json.loads(line)
        return said

    def ask(self, word: str, within_s: float = 30.0) -> dict[str, Any]:
        """Say a word and hear the answer."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(word.encode() + b"\n")
            self._process.stdin.flush()
        except OSError:
            raise Unmeasured(f"the process {self.role!r} ended: {self._last_words()}") from None
        return self.hear(within_s)

    def _last_words(self) -> str:
        lines = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1] if lines else "without a word"


def answer(role: str, folder: Path, within_s: float = 60.0, **params: Any) -> dict[str, Any]:
    """The one answer of a process that does one thing."""
    with Child(role, folder, **params) as child:
        return child.hear(within_s)
