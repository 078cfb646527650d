"""A command whose bytes go through: what it prints reaches our own standard output and error untouched and at once,
and a cleaned copy of it becomes lines for the run's log. It reads our standard input.

Where this process is in the foreground of a terminal the command stays in its process group, as a shell would have it:
it may read the terminal and gets Ctrl-C and Ctrl-Z from it. Elsewhere it has a session of its own.
"""

from __future__ import annotations

import errno
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

from ..executors.child_process import Exit, Launch
from ..executors.lines import LineReader
from ..executors.spawner import Family, everything_of, kill_all, send_to, signal_group

STREAMS = {"stdout": 1, "stderr": 2}
_PIECE = 65536
_LAST_WORDS = 1024 * 1024  # at most what a pipe can hold
_PR_SET_PDEATHSIG = 1

OnLine = Callable[[str, str], None]


class Through:
    """One command, begun when this is made. Raises OSError if it cannot be started.

    `on_line` gets (stream, line) on a thread of that stream, `on_end` is called when the command has ended. All methods
    belong to the thread that made it, which must live as long as the command may.
    """

    def __init__(self, launch: Launch, mark: str, on_line: OnLine, on_end: Callable[[], None]) -> None:
        self.shared = _in_foreground()
        self.unwritten: dict[str, str] = {}
        self._over, self._over_out = os.pipe()
        self._process = subprocess.Popen(
            launch.argv,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env=launch.env,
            start_new_session=not self.shared,
            preexec_fn=_dies_with_us(),  # noqa: PLW1509  no thread of ours runs yet
        )
        self.pid = self._process.pid
        self._family = Family(self.pid, mark.encode())
        pipes = {"stdout": self._process.stdout, "stderr": self._process.stderr}
        self._readers = [
            threading.Thread(target=self._pass, args=(stream, pipe.fileno(), on_line), daemon=True)
            for stream, pipe in pipes.items()
            if pipe is not None
        ]
        for reader in self._readers:
            reader.start()
        threading.Thread(target=self._await_end, args=(on_end,), daemon=True).start()

    def ask(self) -> None:
        """SIGTERM to all that belongs to it."""
        family = everything_of([self._family])
        signal_group(self.pid, signal.SIGTERM)
        for seen in family:
            if self.shared or seen.group != self.pid:
                send_to(seen, signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL to all that belongs to it."""
        kill_all([self._family])

    def result(self) -> Exit:
        """How it ended; to be called once, after `on_end`. What is still in the pipes has gone through by then."""
        os.close(self._over_out)
        for reader in self._readers:
            reader.join()
        _, status, usage = os.wait4(self.pid, 0)
        code = self._process.returncode = os.waitstatus_to_exitcode(status)
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()
        os.close(self._over)
        peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        return Exit(code, peak, round((usage.ru_utime + usage.ru_stime) * 1e6))

    def _await_end(self, on_end: Callable[[], None]) -> None:
        """The process is left to be reaped: until then its number is nobody else's, and may be signalled."""
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        on_end()

    def _pass(self, stream: str, pipe: int, on_line: OnLine) -> None:
        """All bytes of one stream, in order."""
        lines, out = LineReader(), STREAMS[stream]
        os.set_blocking(pipe, False)
        for data in self._pieces(pipe):
            if stream not in self.unwritten:
                try:
                    _write(out, data)
                except OSError as error:
                    self.unwritten[stream] = "" if error.errno == errno.EPIPE else str(error.strerror)
            for line in lines.feed(data):
                on_line(stream, line)
            if self.unwritten.get(stream) == "":
                # Nobody reads: the command is to learn it as it would without us, and `yes` must end.
                pipes = {"stdout": self._process.stdout, "stderr": self._process.stderr}
                if (ours := pipes[stream]) is not None:
                    ours.close()
                break
        for line in lines.rest():
            on_line(stream, line)

    def _pieces(self, pipe: int) -> Iterator[bytes]:
        """What comes until the end of the pipe; once the command has ended, what is in it, whoever else may hold it."""
        room = _LAST_WORDS
        poll = select.poll()
        poll.register(pipe, select.POLLIN)
        poll.register(self._over, select.POLLIN)
        while room > 0:
            over = self._over in dict(poll.poll())
            try:
                data = os.read(pipe, _PIECE)
            except BlockingIOError:
                if over:
                    return
                continue
            if not data:
                return
            yield data
            room -= len(data) if over else 0


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:  # whoever gave us the stream has made it so
            select.select([], [fd], [])


def _in_foreground() -> bool:
    """Whether there is a terminal whose foreground we are in."""
    try:
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)


def _dies_with_us() -> Callable[[], None] | None:
    """For the child: have the system kill it when this process is killed, where there is a way to ask for that."""
    if not sys.platform.startswith("linux"):
        return None
    import ctypes

    prctl, parent = ctypes.CDLL(None).prctl, os.getpid()

    def in_child() -> None:
        prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
        if os.getppid() != parent:
            os._exit(127)

    return in_child
