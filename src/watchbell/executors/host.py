"""The engine's side of all processes: one thread that reads every pipe, talks to the spawner and keeps deadlines.

The spawner is started with the first process and again if it dies. Everything here but `post`, `attach` and `close`
is called on the host's own thread, so nothing needs a lock.
"""

from __future__ import annotations

import itertools
import logging
import os
import selectors
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..clock import Clock
from .child_process import Exit, Launch, Process, close_all
from .deadlines import Deadline, Deadlines
from .link import Link
from .spawner import Family, kill_all

_SPAWNER = Path(__file__).with_name("spawner.py")
_LOOK_AGAIN_US = 30_000
_PATIENCE_US = 5_000_000
_ANSWER_US = 1_500_000
_LONGEST_WAIT_US = 1_000_000
_log = logging.getLogger(__name__)


class ProcessHost:
    """One for an engine; the lanes that need processes share it. `python` is the interpreter the spawner and process
    jobs run under, for hosts in which `sys.executable` is something else."""

    def __init__(self, clock: Clock, python: str | None = None) -> None:
        self.python = python or sys.executable
        self._clock = clock
        self._selector = selectors.DefaultSelector()
        self._deadlines = Deadlines()
        self._posted: deque[Callable[[], object]] = deque()
        self._wake_in, self._wake_out = os.pipe()
        os.set_blocking(self._wake_in, False)
        os.set_blocking(self._wake_out, False)
        self._processes: dict[int, Process] = {}
        self._watched: list[Process] = []
        self._numbers = itertools.count(1)
        self._spawner: subprocess.Popen[bytes] | None = None
        self._link: Link | None = None
        self._spoken = 0
        self._closing = False
        self._closed = False
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def post(self, call: Callable[[], object]) -> None:
        """From any thread: have `call` made on the host's thread; not at all once the host is closed."""
        self._posted.append(call)
        with self._lock:
            if self._thread is None and not self._closing:
                self._selector.register(self._wake_in, selectors.EVENT_READ, self._woken)
                self._thread = threading.Thread(target=self._keep, name="watchbell-processes", daemon=True)
                self._thread.start()
            self._wake()

    def close(self) -> None:
        """From any thread: end the spawner, and with it every process that is left, and the thread."""
        with self._lock:
            self._closing = True
            self._wake()
        if self._thread is None:
            self._close_pipe()
        else:
            self._thread.join(2 * _PATIENCE_US / 1e6)

    def _wake(self) -> None:
        if self._closed:
            return
        try:
            os.write(self._wake_out, b"!")
        except BlockingIOError:
            pass  # it is awake

    def after(self, after_us: int, call: Callable[[], object]) -> Deadline:
        """Have `call` made after a time."""
        return self._deadlines.add(self._clock.mono_ns() + after_us * 1000, call)

    def drop(self, deadline: Deadline) -> None:
        """Take it back."""
        self._deadlines.drop(deadline)

    def start(self, launch: Launch, process: Process) -> None:
        """Have the process started. Everything that becomes of it, also that it could not be, reaches `process`."""
        process.id = next(self._numbers)
        self._processes[process.id] = process
        try:
            link = self._spawner_link()
        except OSError as error:
            self._exited(process, Exit(stage="spawner", number=error.errno))
            return
        try:
            fds = process.open(self._selector)
        except OSError as error:
            self._exited(process, Exit(stage="pipe", number=error.errno))
            return
        order = {"op": "start", "id": process.id, "fds": len(fds), **launch.order()}
        link.send(order, tuple(fds), lambda: close_all(fds))

    def end(self, process: Process, grace_us: int) -> None:
        """SIGTERM to all of its group, SIGKILL after the grace to whatever is left of it, in the group or not. If it
        is already ending, the shorter grace holds."""
        if process.id not in self._processes:
            return
        self._order("term", process)
        self.after(grace_us, lambda: self.kill(process))

    def nudge(self, process: Process) -> None:
        """SIGTERM once more."""
        if process.id in self._processes and not process.killed:
            self._order("term", process)

    def kill(self, process: Process) -> None:
        """SIGKILL to all that belongs to it."""
        if process.id in self._processes and not process.killed:
            process.killed = True
            self._order("kill", process)

    def ask_for_an_answer(self) -> None:
        """Have the spawner show that it is there. One that neither answers nor does anything else (somebody stopped
        it) is killed within about two seconds, and its runs end as with one that died."""
        spawner, link = self._spawner, self._link
        if spawner is not None and link is not None:
            link.send({"op": "answer", "id": 0})
            self._expect(spawner, link, self._spoken)

    def _expect(self, spawner: subprocess.Popen[bytes], link: Link, spoken: int) -> None:
        work = _work_of(spawner.pid)

        def look() -> None:
            if self._link is not link or self._spoken != spoken:
                return
            if _work_of(spawner.pid) != work:
                self._expect(spawner, link, spoken)
                return
            _log.warning("The spawner does not answer and is killed.")
            spawner.kill()
            spawner.wait()
            link.drain()  # what it said before; at the end `_bereft` is called
            if link.open:
                link.close()
                self._bereft()

        self.after(_ANSWER_US, look)

    def _order(self, op: str, process: Process) -> None:
        if self._link is not None:
            self._link.send({"op": op, "id": process.id})

    def _keep(self) -> None:
        """The thread. Nothing that goes wrong in one turn ends it: all processes of the engine hang on it."""
        rest = threading.Event()
        while not self._closing:
            try:
                self._turn()
            except Exception:
                _log.exception("The process host could not make one turn and goes on.")
                rest.wait(_LOOK_AGAIN_US / 1e6)  # it must not spin on what goes wrong each time
        self._shut()

    def _turn(self) -> None:
        """Never longer than a second: no system call takes a wait of months."""
        next_ns = self._deadlines.next_ns()
        left_us = _LONGEST_WAIT_US if next_ns is None else (next_ns - self._clock.mono_ns()) / 1000
        for key, events in self._selector.select(max(0.0, min(left_us, _LONGEST_WAIT_US)) / 1e6):
            self._guard(lambda key=key, events=events: key.data(events))  # type: ignore[misc]
        while self._posted:
            self._guard(self._posted.popleft())
        for call in self._deadlines.due(self._clock.mono_ns()):
            self._guard(call)

    def _guard(self, call: Callable[[], object]) -> None:
        try:
            call()
        except Exception:
            _log.exception("The process host could not do one thing and goes on.")

    def _woken(self, _events: int) -> None:
        os.read(self._wake_in, 65536)

    def _shut(self) -> None:
        if self._link is not None:
            self._link.close()
        if self._spawner is not None:
            self._await_spawner(self._spawner)
        self._sweep_here()
        self._close_pipe()

    def _close_pipe(self) -> None:
        with self._lock:
            if not self._closed:
                self._closed = True
                self._selector.close()
                os.close(self._wake_in)
                os.close(self._wake_out)

    def _await_spawner(self, spawner: subprocess.Popen[bytes]) -> None:
        """It has lost its link and ends what is left; killed if it takes long over that, or does nothing."""
        until_ns = self._clock.mono_ns() + _PATIENCE_US * 1000
        work = -1
        while work != (work := _work_of(spawner.pid)) and self._clock.mono_ns() < until_ns:
            try:
                spawner.wait(_ANSWER_US / 1e6)
                return
            except subprocess.TimeoutExpired:
                continue
        spawner.kill()
        spawner.wait()

    def _spawner_link(self) -> Link:
        if self._link is not None and self._link.open:
            return self._link
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                self._spawner = subprocess.Popen(
                    [self.python, "-I", "-S", str(_SPAWNER), str(theirs.fileno())],
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    start_new_session=True,
                )
            except OSError:
                ours.close()
                raise
        self._spoken = 0
        self._link = Link(self._selector, ours, self._guarded_heard, self._bereft)
        return self._link

    def _guarded_heard(self, event: dict[str, Any]) -> None:
        """What goes wrong with one run must not keep from the others what the spawner says of them."""
        self._guard(lambda: self._heard(event))

    def _heard(self, event: dict[str, Any]) -> None:
        """What the spawner says."""
        self._spoken += 1
        process = self._processes.get(event["id"])
        if process is None:
            return
        match event["ev"]:
            case "started":
                process.pid, process.started = event["pid"], event["started"]
                process.on_started(process.pid, process.started)
            case "gone":
                self._order("look", process)
            case "left" if event["left"] == 0:
                self.kill(process)
            case "left":
                if not self._watched:
                    self.after(_LOOK_AGAIN_US, self._look)
                self._watched.append(process)
            case "exit":
                told = Exit(event["code"], event["peak"], event["cpu_us"], event["stage"], event["errno"])
                self._exited(process, told)
            case "swept":
                self._exited(process, Exit(lost=True))

    def _look(self) -> None:
        """See what is left of those whose first process is gone; all at once, as a look at all processes is dear."""
        watched, self._watched = self._watched, []
        for process in watched:
            if process.id in self._processes and not process.killed:
                self._order("look", process)

    def _bereft(self) -> None:
        """The spawner has died, and its direct children with it. A new one ends what they had started; then they are
        reported."""
        spawner, self._spawner, self._link = self._spawner, None, None
        if spawner is not None:
            self._await_spawner(spawner)
        if self._closing:
            return
        _log.warning("The spawner died; %d processes die with it.", len(self._processes))
        if not self._spoken:  # another one would do no better
            self._sweep_here()
            return
        left = list(self._processes.values())
        for process in left:
            process.swept = True
        try:
            link = self._spawner_link()
        except OSError:
            self._sweep_here()
            return
        for process in left:
            link.send({"op": "sweep", "id": process.id, "pid": process.pid, "mark": process.mark})

    def _sweep_here(self) -> None:
        """End what is left of all runs without a spawner, and report them."""
        left = list(self._processes.values())
        if left:
            marks = [process.mark.encode(errors="surrogateescape") for process in left]
            families = [Family(p.pid or -1, mark, False) for p, mark in zip(left, marks, strict=True)]
            self._guard(lambda: kill_all(families))
        for process in left:
            never = process.pid is None and not process.swept and not self._closing
            self._exited(process, Exit(stage="spawner") if never else Exit(lost=True))

    def _exited(self, process: Process, told: Exit) -> None:
        if self._processes.pop(process.id, None) is not None:
            self._guard(process.finish)
            self._guard(lambda: process.on_exit(told))


def _work_of(pid: int) -> int:
    """The processor time it has used, in clock ticks; always 0 where the system does not tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        return int(fields[11]) + int(fields[12])
    except (OSError, IndexError):
        return 0
