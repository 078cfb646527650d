"""What a run says by `logging` and by print finds its way into the log of the run.

Log records are noticed where they are made: a record factory, put in front of the one that was there, copies those made
inside a run. It is no handler, because Python, `basicConfig` and web frameworks take a handler on the root logger to
mean that somebody has configured logging, and then show nothing themselves. Standard output can be captured on request:
a proxy writes through to the original and, inside a run, also to the log of the run, line by line.
"""

from __future__ import annotations

import logging
import sys
import threading
import weakref
from typing import Any, ClassVar, TextIO

from .base import Sink
from .context import Run, current_run
from .lines import LineSplitter

_FORMATTER = logging.Formatter()
_COMPLAINER = logging.NullHandler()


class _Factory:
    """Makes log records as the factory before it does, and copies those made inside a run to the log of the run. Other
    factories may come to stand in front of it; when it is the one installed no longer it only passes them on."""

    def __init__(self, before: Any) -> None:
        self.before = before
        self._telling = threading.local()
        self._last = _LastFilter(self)
        self._watched: list[logging.Logger] = []
        self._lock = threading.Lock()

    def __call__(self, *args: Any, **kwargs: Any) -> logging.LogRecord:
        record: logging.LogRecord = self.before(*args, **kwargs)
        # A record without a name (None) is an empty one, which logging.makeLogRecord fills with a record of elsewhere.
        if _Installed.factory is self and record.name and _the_run() is not None:
            logger = _logger_of(record)
            if logger is not None and logger.filters:
                self._watch(logger)
            else:
                self.tell(record)
        return record

    def tell(self, record: logging.LogRecord) -> None:
        """Copy the record, unless it is the sink itself that logs it: that would never end."""
        run = _the_run()
        if run is None or _Installed.factory is not self or getattr(self._telling, "now", False):
            return
        self._telling.now = True
        try:
            run._sink.log(run.id, run.epoch, "log", record.levelname.lower(), _text_of(record))
        except Exception:
            _COMPLAINER.handleError(record)
        finally:
            self._telling.now = False

    def _watch(self, logger: logging.Logger) -> None:
        """A filter of the logger may yet drop the record, or take a secret out of it: ours comes after all of them."""
        if logger.filters[-1] is self._last:
            return
        with self._lock:
            if logger not in self._watched:
                self._watched.append(logger)
            logger.filters = [*(each for each in logger.filters if each is not self._last), self._last]

    def leave(self) -> None:
        """Take it away again, unless another factory stands in front of it and calls it."""
        if logging.getLogRecordFactory() is self:
            logging.setLogRecordFactory(self.before)
        with self._lock:
            for logger in self._watched:
                logger.removeFilter(self._last)


class _LastFilter(logging.Filter):
    """Comes after the filters of a logger, and lets everything pass."""

    def __init__(self, factory: _Factory) -> None:
        super().__init__()
        self._factory = factory

    def filter(self, record: logging.LogRecord) -> bool:
        self._factory.tell(record)
        return True


def _the_run() -> Run | None:
    return current_run.get() or _Installed.run


def _logger_of(record: logging.LogRecord) -> logging.Logger | None:
    root = logging.getLogger()
    found = root if record.name == root.name else root.manager.loggerDict.get(record.name)
    return found if isinstance(found, logging.Logger) else None


def _text_of(record: logging.LogRecord) -> str:
    """The message, with its traceback. `Formatter.format` would leave its own words in the record, which the handlers of
    the application would then take for theirs."""
    try:
        text = record.getMessage()
    except Exception:  # the handlers of the application report it
        text = f"{record.msg} {record.args!r}"
    if record.exc_text:
        text += "\n" + record.exc_text
    elif record.exc_info and record.exc_info[0] is not None:
        text += "\n" + _FORMATTER.formatException(record.exc_info)
    if record.stack_info:
        text += "\n" + record.stack_info
    return text


def _from_logging() -> bool:
    """Whether the caller of our caller is a handler of `logging`, that is: whether the line was told already."""
    return sys._getframe(2).f_code is logging.StreamHandler.emit.__code__


class _Tee:
    """Stands for `sys.stdout` or `sys.stderr`. It keeps an unfinished line for each run until its newline comes."""

    def __init__(self, original: TextIO, stream: str) -> None:
        self._original = original
        self._stream = stream
        self._lock = threading.Lock()
        self._splitters: weakref.WeakKeyDictionary[Run, LineSplitter] = weakref.WeakKeyDictionary()

    def write(self, text: str) -> int:
        run = current_run.get()
        if run is not None and self in _Installed.tees and not _from_logging():
            with self._lock:
                splitter = self._splitters.setdefault(run, LineSplitter())
                lines = splitter.feed(text)
            for line in lines:
                run._sink.log(run.id, run.epoch, self._stream, "info", line)
        return self._original.write(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def finish(self, run: Run) -> None:
        """The run has ended: an unfinished line is a line."""
        with self._lock:
            splitter = self._splitters.pop(run, None)
        for line in splitter.rest() if splitter is not None else ():
            run._sink.log(run.id, run.epoch, self._stream, "info", line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._original, name)


class _Once:
    """Stands for a standard stream of a process that carries out one run. All of it is the run's, and a record that a
    handler writes there has been told as a record already."""

    def __init__(self, original: TextIO) -> None:
        self._original = original

    def write(self, text: str) -> int:
        return len(text) if _from_logging() else self._original.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._original, name)


class _Installed:
    """What is installed in this process, and for whom: the engines of one process share it."""

    lock = threading.Lock()
    sinks: ClassVar[weakref.WeakSet[Sink]] = weakref.WeakSet()
    factory: _Factory | None = None
    run: Run | None = None
    tees: tuple[_Tee | _Once, ...] = ()


def install_capture(sink: Sink, stdio: bool = False) -> None:
    """Copy log records made inside runs to the logs of those runs, until `remove_capture(sink)`; with `stdio`, also what
    they print."""
    with _Installed.lock:
        _Installed.sinks.add(sink)
        _put_factory()
        if stdio:
            _put_streams(*(_over(getattr(sys, name), name) for name in ("stdout", "stderr")))


def capture_all(sink: Sink, run: Run) -> None:
    """As `install_capture`, in a process that carries out one run only: all its words are that run's, also those of a
    thread that user code started, which has no context. Its standard streams are read by the engine."""
    with _Installed.lock:
        _Installed.sinks.add(sink)
        _Installed.run = run
        _put_factory()
        _put_streams(_Once(sys.stdout), _Once(sys.stderr))


def finish_capture(run: Run) -> None:
    """Called by a lane when a run has ended: what it printed without a newline is logged now."""
    for tee in _Installed.tees:
        if isinstance(tee, _Tee):
            tee.finish(run)


def remove_capture(sink: Sink) -> None:
    """Undo what was installed for this sink. What somebody else has put another in front of stays where it is, and only
    passes on."""
    with _Installed.lock:
        _Installed.sinks.discard(sink)
        if _Installed.sinks:
            return
        factory, _Installed.factory, _Installed.run = _Installed.factory, None, None
        if factory is not None:
            factory.leave()
        for tee, name in zip(_Installed.tees, ("stdout", "stderr"), strict=False):
            if getattr(sys, name) is tee:
                setattr(sys, name, tee._original)
        _Installed.tees = ()


def _put_factory() -> None:
    """In front of all others. One of ours that another was put in front of gives way to it."""
    there, known = logging.getLogRecordFactory(), _Installed.factory
    if known is None or there is not known:
        _Installed.factory = made = _Factory(there)
        logging.setLogRecordFactory(made)
        if known is not None:
            known.leave()


def _over(stream: Any, name: str) -> _Tee:
    return stream if isinstance(stream, _Tee) else _Tee(stream, name)


def _put_streams(*tees: _Tee | _Once) -> None:
    _Installed.tees = tees
    sys.stdout, sys.stderr = tees
