"""What a run says by `logging` and by print finds its way into the log of the run.

The log handler sits on the root logger and copies records made inside a run; everything else that handles them goes
on as before. Standard output can be captured on request: a proxy writes through to the original and, inside a run,
also to the sink, line by line.
"""

from __future__ import annotations

import logging
import sys
import threading
import weakref
from typing import Any, TextIO

from .base import Sink
from .context import Run, current_run
from .lines import LineSplitter


class LogCapture(logging.Handler):
    """Copies log records made inside a run to the sink. `run` stands in where no run is known (a thread that user
    code started has no context): in a process that carries out one run only, all its words are that run's."""

    def __init__(self, sink: Sink, run: Run | None = None) -> None:
        super().__init__()
        self._sink = sink
        self._run = run
        self._telling = threading.local()

    def emit(self, record: logging.LogRecord) -> None:
        """Copy the record, unless it is the sink itself that logs it: that would never end."""
        run = current_run.get() or self._run
        if run is None or getattr(self._telling, "now", False):
            return
        self._telling.now = True
        try:
            self._sink.log(run.id, run.epoch, "log", record.levelname.lower(), self.format(record))
        except Exception:
            self.handleError(record)
        finally:
            self._telling.now = False


class _Tee:
    """Stands for `sys.stdout` or `sys.stderr`. It keeps an unfinished line for each run until its newline comes."""

    def __init__(self, original: TextIO, stream: str, sink: Sink) -> None:
        self._original = original
        self._stream = stream
        self._sink = sink
        self._lock = threading.Lock()
        self._splitters: weakref.WeakKeyDictionary[Run, LineSplitter] = weakref.WeakKeyDictionary()

    def write(self, text: str) -> int:
        run = current_run.get()
        if run is not None:
            with self._lock:
                splitter = self._splitters.setdefault(run, LineSplitter())
                lines = splitter.feed(text)
            for line in lines:
                self._sink.log(run.id, run.epoch, self._stream, "info", line)
        return self._original.write(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def finish(self, run: Run) -> None:
        """The run has ended: an unfinished line is a line."""
        with self._lock:
            splitter = self._splitters.pop(run, None)
        for line in splitter.rest() if splitter is not None else ():
            self._sink.log(run.id, run.epoch, self._stream, "info", line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._original, name)


class _Installed:
    """What is installed in this process."""

    handler: LogCapture | None = None
    tees: tuple[_Tee, ...] = ()


def install_capture(sink: Sink, stdio: bool = False, run: Run | None = None) -> None:
    """Copy log records made inside runs to `sink`; with `stdio`, also what they print. A second call replaces the
    first."""
    remove_capture()
    _Installed.handler = LogCapture(sink, run)
    logging.getLogger().addHandler(_Installed.handler)
    if stdio:
        out, err = _Tee(sys.stdout, "stdout", sink), _Tee(sys.stderr, "stderr", sink)
        _Installed.tees = (out, err)
        sys.stdout, sys.stderr = out, err


def finish_capture(run: Run) -> None:
    """Called by a lane when a run has ended: what it printed without a newline is logged now."""
    for tee in _Installed.tees:
        tee.finish(run)


def remove_capture() -> None:
    """Undo `install_capture`, unless somebody else has put another stream in our place since."""
    if _Installed.handler is not None:
        logging.getLogger().removeHandler(_Installed.handler)
        _Installed.handler = None
    for tee, name in zip(_Installed.tees, ("stdout", "stderr"), strict=False):
        if getattr(sys, name) is tee:
            setattr(sys, name, tee._original)
    _Installed.tees = ()
