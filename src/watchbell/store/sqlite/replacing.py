"""Keeping a database's file under another name before one is put in its place: whole, with its log, and only while nobody
has it open.

The file gets a second name and keeps its first until that is taken over, so that whoever is killed in between leaves the
database where it was: an engine that found none there would begin an empty one.
"""

from __future__ import annotations

import os
from pathlib import Path

import apsw

from ...errors import Conflict, StoreForbidden

BUSY_MS = 2_000


def put_aside(path: Path, kept: Path) -> Path | None:
    """Keep the file at `path`, with its log, as `kept` too; None if there is none. Conflict while somebody has it open, or
    if `kept` exists."""
    if not path.exists():
        for ending in ("-wal", "-shm"):  # of a file that is gone; it must not be taken for the new one's
            path.with_name(path.name + ending).unlink(missing_ok=True)
        return None
    if kept.exists():
        raise Conflict(f"{kept} exists already; try again in a second.")
    _log_into_the_file(path)
    try:
        for part, other in _logs(path, kept):
            if part.exists():
                os.rename(part, other)
        try:
            os.link(path, kept)
        except OSError:  # a file system without second names
            os.rename(path, kept)
    except OSError as error:
        raise StoreForbidden(
            f"{path} cannot be moved aside ({error.strerror}); nothing was changed."
        ) from error
    return kept


def put_back(kept: Path, path: Path) -> None:
    """Undo `put_aside`, as nothing came in the file's place."""
    if path.exists():
        kept.unlink()  # its second name
    else:
        kept.rename(path)
    for part, other in _logs(path, kept):
        if other.exists():
            os.rename(other, part)


def _logs(path: Path, kept: Path) -> list[tuple[Path, Path]]:
    return [(path.with_name(path.name + end), kept.with_name(kept.name + end)) for end in ("-wal", "-shm")]


def _log_into_the_file(path: Path) -> None:
    """Leave the write-ahead log, which only works where nobody else has the file open. One that is damaged is kept as it
    is, with its log."""
    try:
        conn = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            conn.set_busy_timeout(BUSY_MS)
            conn.config(
                apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1
            )  # a log that cannot be read is not to be removed
            if conn.execute("PRAGMA journal_mode = DELETE").fetchall()[0][0] == "wal":
                raise apsw.BusyError
        finally:
            conn.close()
    except (apsw.BusyError, apsw.LockedError) as error:
        raise Conflict(
            f"Another process has {path} open: end it (an application, a stand-by engine, a command that waits), then restore."
        ) from error
    except apsw.Error:
        return
