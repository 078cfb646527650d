"""The spool: ends that cannot be written to the database, in files, until somebody can write them (docs/design/disk-trouble.md).

Every incarnation of a node has a file of its own in the spool's folder. It is made when the incarnation begins to act,
and its lock (`flock`) is held for as long as it acts; the system lets go of it the instant the process is gone. So a file
whose lock is free is left over, and whoever gets its lock has it alone: it is read, what it says is written to the
ledger, and only then it is removed.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import stat
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from ..core.claim import Claim
from ..core.outcome import Ending, Outcome
from ..core.policies import Retry
from ..errors import StoreError
from ..store.settling import Ended

LIMIT = 10_000
"""How many ends the file of one incarnation holds at most."""
LONGEST_LINE = 64 << 20
"""How many bytes are read at once; no end takes as many."""
_PART = 1000
_ROW = tuple[int, int, str, str, str]
_KINDS: dict[type, dict[str, Any]] = {one: get_type_hints(one) for one in (Claim, Outcome, Retry)}
T = TypeVar("T")
_log = logging.getLogger("watchbell.engine")
_open: set[Spool] = set()
_left: set[Path] = set()
"""Files of which it was said that they cannot be used."""


def folder_of(lock_folder: Path | None, state: Path | None, database: str) -> Path | None:
    """Where the spool of a database is: in the lock folder beside its file; for one on a server, on each machine in the
    state folder of the user who runs the engine. None where there is neither: a database in memory."""
    if lock_folder is not None:
        return lock_folder / "spool"
    return None if state is None else state / "spool" / database


class Spool:
    """The file of one incarnation. For one thread."""

    def __init__(self, folder: Path, node: int) -> None:
        self.folder = folder
        self._node = node
        self._file: tuple[int, Path] | None = None
        self._kept: set[tuple[int, int]] = set()

    def open(self) -> None:
        """Make the file and take its lock, if that has not been done or somebody has removed it. OSError if it cannot be."""
        if self._file is not None:
            if _is_at(*self._file):
                return
            self._leave()
        while self._file is None:
            self._file = self._made()
        _open.add(self)

    def _made(self) -> tuple[int, Path] | None:
        """A new file, locked; None if somebody took it for one that was left over before that, or removed the folder as
        an empty one."""
        _make(self.folder)
        try:
            fd, name = tempfile.mkstemp(prefix=f"{self._node}-", dir=self.folder)
        except FileNotFoundError:
            return None
        path = Path(name)
        try:
            if _lock(fd) and _is_at(fd, path):
                _sync(self.folder)
                return fd, path
        except BaseException:
            path.unlink(missing_ok=True)
            os.close(fd)
            raise
        os.close(fd)
        return None

    def keep(self, ended: Sequence[Ended]) -> int:
        """Have all of these in the file, on the disk; returns for how many the limit leaves no room. OSError where the
        disk has none, or the file cannot be used: nothing more is kept then."""
        self.open()
        assert self._file is not None
        fresh = [item for item in ended if _key(item) not in self._kept]
        kept = fresh[: max(0, LIMIT - len(self._kept))]
        if kept:
            _append(self._file[0], "".join(_line(item, self._node) for item in kept).encode())
            self._kept |= {_key(item) for item in kept}
        return len(fresh) - len(kept)

    def clear(self) -> None:
        """Everything in it is in the ledger."""
        if self._file is not None and self._kept:
            with contextlib.suppress(OSError):  # what stays in it is known to the ledger
                os.ftruncate(self._file[0], 0)
                os.fsync(self._file[0])
        self._kept.clear()

    def close(self) -> None:
        """The incarnation acts no more. What is in the file is there for others; an empty one is removed, and a folder
        that holds no other."""
        with contextlib.suppress(OSError):
            if self._file is not None and not self._kept and _is_at(*self._file):
                self._file[1].unlink()
                self.folder.rmdir()
        self._leave()

    def _leave(self) -> None:
        _open.discard(self)
        if self._file is not None:
            os.close(self._file[0])
        self._file = None
        self._kept.clear()


def write_left(folder: Path, write: Callable[[list[Ended]], None]) -> int:
    """Hand what incarnations that are over have left to `write`, file by file, and remove what is written then. Returns how
    many ends that were. A file stays where the database is in trouble, which is raised, where it refuses what the file says, and where that
    cannot be made sense of."""
    count = 0
    try:
        paths = sorted(folder.iterdir())
    except OSError:  # there is none yet, or it cannot be used: the engine's own file will tell
        return 0
    for path in paths:
        if (fd := _taken(path)) is None:
            continue
        try:
            found = sum(len(part) for part in _read(fd))  # all of it can be read, before any of it is written
            for part in _read(fd):
                write(part)
            with contextlib.suppress(OSError):
                os.ftruncate(fd, 0)  # for those who have it open already, and wait for nothing but the lock
                path.unlink()
            count += found
        except Exception as error:
            if isinstance(error, StoreError) and type(error) is not StoreError:
                raise  # there is trouble with the database; one that only refuses these values goes on with the others
            if path not in _left:
                _left.add(path)
                _log.error("engine.spool: %s cannot be made sense of here, and is left there: %s",
                           _short(str(path), 1000), _short(f"{type(error).__name__}: {error}", 300))  # fmt: skip
        finally:
            os.close(fd)
    return count


def _taken(path: Path) -> int | None:
    """A file of this user that is left over, open and locked; None if its incarnation lives, or another one has it."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        about = os.fstat(fd)
        own = stat.S_ISREG(about.st_mode) and about.st_uid == os.geteuid()
        if own and _lock(fd):
            return fd
    except OSError:
        pass
    os.close(fd)
    return None


# --- what is in a file ------------------------------------------------------------------------------------------------


def _key(item: Ended) -> tuple[int, int]:
    return item.claim.run, item.claim.epoch


def _line(item: Ended, node: int) -> str:
    data = {
        "node": item.node or node,
        "claim": asdict(item.claim),
        "outcome": asdict(item.outcome),
        "lines": list(item.lines),
    }
    return json.dumps(data) + "\n"


def _append(fd: int, text: bytes) -> None:
    before = os.lseek(fd, 0, os.SEEK_END)
    try:
        while text:
            text = text[os.write(fd, text) :]
        os.fsync(fd)
    except OSError:
        os.ftruncate(fd, before)  # half a line would spoil the next one
        raise


def _read(fd: int) -> Iterator[list[Ended]]:
    """What was kept, in parts that are written at once. A last line that was torn by a crash is left out; ValueError, TypeError
    or KeyError for any other that says nothing, or what only another version of the program understands."""
    part, size = [], 0
    with open(fd, "rb", closefd=False) as file:
        file.seek(0)
        while (line := file.readline(LONGEST_LINE)).endswith(b"\n"):
            if line == b"\n":
                continue
            part.append(_ended(json.loads(line)))
            size += len(line)
            if len(part) == _PART or size > LONGEST_LINE:
                yield part
                part, size = [], 0
        if len(line) == LONGEST_LINE:
            raise ValueError(f"a line of more than {LONGEST_LINE:,} bytes")
    if part:
        yield part


def _ended(data: dict[str, Any]) -> Ended:
    claim, outcome = data["claim"], data["outcome"]
    claim["gates"], claim["rates"] = _several(claim["gates"]), _several(claim.get("rates", []))
    if claim["retry"] is not None:
        claim["retry"] = _typed(Retry(**{**claim["retry"], "on": _several(claim["retry"]["on"]),
                                         "exit_codes": _several(claim["retry"]["exit_codes"])}))  # fmt: skip
    outcome["ending"] = Ending(outcome["ending"])
    outcome["error_type"] = _several(outcome["error_type"])
    rows = [(row[0], row[1], row[2], row[3], row[4]) for row in data["lines"]]
    ended = Ended(_typed(Claim(**claim)), _typed(Outcome(**outcome)), rows, data["node"])
    if not _fits(ended.node, int | None) or not all(_fits(row, _ROW) for row in rows):
        raise ValueError("a node or a line of output of another type")
    return ended


def _several(value: object) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise TypeError("there is no list where one belongs")
    return tuple(value)


def _typed(value: T) -> T:
    """The value, once each of its fields is what it is declared to be: nothing else is written to the ledger."""
    for name, kind in _KINDS[type(value)].items():
        if not _fits(getattr(value, name), kind):
            raise ValueError(f"{name} of a {type(value).__name__.lower()} is of another type or size")
    return value


def _fits(value: object, kind: Any) -> bool:
    """Whether a value is of a type; a whole number also, whether a column of the database holds it."""
    parts = get_args(kind)
    if get_origin(kind) is UnionType:
        return any(_fits(value, part) for part in parts)
    if get_origin(kind) is tuple:
        wanted = parts[:1] * len(value) if parts[-1:] == (...,) and isinstance(value, tuple) else parts
        return (
            isinstance(value, tuple)
            and len(value) == len(wanted)
            and all(_fits(one, part) for one, part in zip(value, wanted, strict=True))
        )
    if kind is int:
        return type(value) is int and -(2**63) <= value < 2**63
    return isinstance(value, (int, float) if kind is float else kind)


def _short(text: str, limit: int) -> str:
    """Text that somebody else has written, on one line of the log."""
    plain = "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text[: limit + 1])
    return plain if len(plain) <= limit else f"{plain[:limit]}…"


# --- files, folders and locks -----------------------------------------------------------------------------------------


def _make(folder: Path) -> None:
    """The folder, for its user alone and such that it outlives a loss of power."""
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    for place in reversed(missing):
        place.mkdir(mode=0o700, exist_ok=True)
        _sync(place.parent)


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _lock(fd: int) -> bool:
    """Whether its lock was free, and is held now. OSError where there are no locks."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(fd: int, path: Path) -> bool:
    """Whether the open file is the one that others find at this path."""
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path, follow_symlinks=False))
    except FileNotFoundError:
        return False


def _forget_in_child() -> None:
    """A lock is free when its last descriptor is closed: a fork must not keep one."""
    for spool in list(_open):
        spool._leave()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)
