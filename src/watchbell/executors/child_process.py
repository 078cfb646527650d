"""One process as the engine's side sees it: how it is to be launched, its pipes, and how it ended."""

from __future__ import annotations

import os
import selectors
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .lines import LineReader
from .link import Link

_PIECE = 65536
_LAST_WORDS = 1024 * 1024  # at most what a pipe can hold


@dataclass(frozen=True, slots=True)
class Launch:
    """What the spawner needs to know. `keep` are the names in `env` that a change of user leaves as they are,
    `memory` is how many bytes of it each process is given at most."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str | None = None
    user: str | None = None
    keep: tuple[str, ...] = ()
    memory: int | None = None

    def order(self) -> dict[str, Any]:
        return {
            "argv": list(self.argv),
            "env": dict(self.env),
            "cwd": self.cwd,
            "user": self.user,
            "keep": list(self.keep),
            "memory": self.memory,
        }


@dataclass(frozen=True, slots=True)
class Exit:
    """How a process ended. `code` is negative for a signal; `peak` in bytes. `stage` and `number` (an errno) say
    where it could not be started: pipe, fork, user, cwd, exec. `lost`: the spawner died, so nobody saw its end."""

    code: int | None = None
    peak: int | None = None
    cpu_us: int | None = None
    stage: str | None = None
    number: int | None = None
    lost: bool = False


class Process:
    """One process and our ends of its pipes. The owner gives the calls that its life leads to."""

    def __init__(
        self,
        mark: str,
        on_started: Callable[[int, int | None], None],
        on_line: Callable[[str, str], None],
        on_exit: Callable[[Exit], None],
        on_message: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        self.id = 0
        self.pid: int | None = None
        self.started: int | None = None
        self.mark = mark
        self.killed = False
        self.swept = False
        self.control: Link | None = None
        self.on_started = on_started
        self.on_exit = on_exit
        self._on_line = on_line
        self._on_message = on_message
        self._pipes: dict[str, tuple[int, LineReader]] = {}
        self._selector: selectors.BaseSelector | None = None

    def open(self, selector: selectors.BaseSelector) -> list[int]:
        """Open the pipes; the answer is the child's ends, which the caller closes once they have been passed on.
        Raises OSError when there are no descriptors left."""
        self._selector = selector
        theirs: list[int] = []
        try:
            for stream in ("stdout", "stderr"):
                read, write = os.pipe()
                theirs.append(write)
                os.set_blocking(read, False)
                self._pipes[stream] = (read, LineReader())
                selector.register(read, selectors.EVENT_READ, lambda _, s=stream: self._read(s))
            if self._on_message is not None:
                ours, other = socket.socketpair()
                theirs.append(other.detach())
                self.control = Link(selector, ours, self._on_message, lambda: None)
        except OSError:
            close_all(theirs)
            raise
        return theirs

    def _read(self, stream: str) -> int:
        """Read one piece; the answer is its length, 0 if there is none."""
        if stream not in self._pipes:
            return 0
        fd, reader = self._pipes[stream]
        try:
            data = os.read(fd, _PIECE)
        except BlockingIOError:
            return 0
        except OSError:
            data = b""
        for line in reader.feed(data):
            self._on_line(stream, line)
        if not data:
            self._close(stream)
        return len(data)

    def finish(self) -> None:
        """The process has ended: take what is still in the pipes and close them, whoever else may hold them open."""
        for stream in ("stdout", "stderr"):
            taken = 0
            while stream in self._pipes and taken < _LAST_WORDS and (count := self._read(stream)):
                taken += count
            self._close(stream)
        if self.control is not None:
            self.control.drain()
            self.control.close()

    def _close(self, stream: str) -> None:
        if stream not in self._pipes or self._selector is None:
            return
        fd, reader = self._pipes.pop(stream)
        for line in reader.rest():
            self._on_line(stream, line)
        self._selector.unregister(fd)
        os.close(fd)


def close_all(fds: Sequence[int]) -> None:
    for fd in fds:
        os.close(fd)
