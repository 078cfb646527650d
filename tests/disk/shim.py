"""A disk that fails when a test says so: SQLite's own file layer with faults laid over it.

While it is in place every connection of this process goes through it, but those opened with `vfs="unix"`: they see what is
really on the disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw

WRITE, SYNC, READ = "write", "sync", "read"


def no_space() -> apsw.Error:
    return apsw.FullError("the shim has no room")


def input_output(code: int) -> Callable[[], apsw.Error]:
    def made() -> apsw.Error:
        error = apsw.IOError("the shim's disk failed")
        error.extendedresult = code
        return error

    return made


FAULTS: dict[str, tuple[str, Callable[[], apsw.Error]]] = {
    "no room to write": (WRITE, no_space),
    "EIO on write": (WRITE, input_output(apsw.SQLITE_IOERR_WRITE)),
    "EIO on fsync": (SYNC, input_output(apsw.SQLITE_IOERR_FSYNC)),
    "EIO on read": (READ, input_output(apsw.SQLITE_IOERR_READ)),
    "short read": (READ, input_output(apsw.SQLITE_IOERR_SHORT_READ)),
}


@dataclass
class Disk:
    """Counts what is done to it, and fails at the n-th of a kind: once, or (`lasting`) until it is healed."""

    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys((WRITE, SYNC, READ), 0))
    failed: int = 0
    on_sync: Callable[[], None] = lambda: None
    _kind: str = ""
    _at: int = 0
    _lasting: bool = False
    _error: Callable[[], apsw.Error] = no_space

    def fail(self, fault: str, at: int, lasting: bool = False) -> None:
        """Fail at the `at`-th operation from now on."""
        self._kind, self._error = FAULTS[fault]
        self._at = self.counts[self._kind] + at
        self._lasting = lasting

    def heal(self) -> None:
        self._kind = ""

    def meet(self, kind: str) -> None:
        self.counts[kind] += 1
        if kind != self._kind or self.counts[kind] < self._at:
            return
        if not self._lasting:
            self._kind = ""
        self.failed += 1
        raise self._error()


class _Layer(apsw.VFS):
    def __init__(self, disk: Disk) -> None:
        self.disk = disk
        super().__init__("faulty", "unix", makedefault=True)

    def xOpen(self, name: Any, flags: list[int]) -> Any:
        return _File(self.disk, name, flags)


class _File(apsw.VFSFile):
    def __init__(self, disk: Disk, name: Any, flags: list[int]) -> None:
        self.disk = disk
        super().__init__("unix", name, flags)

    def xWrite(self, data: Any, offset: int) -> None:
        self.disk.meet(WRITE)
        super().xWrite(data, offset)

    def xRead(self, amount: int, offset: int) -> bytes:
        self.disk.meet(READ)
        return super().xRead(amount, offset)

    def xSync(self, flags: int) -> None:
        self.disk.meet(SYNC)
        self.disk.on_sync()
        super().xSync(flags)


@contextmanager
def faulty() -> Iterator[Disk]:
    """A faulty disk under everything that SQLite opens in this process."""
    disk = Disk()
    layer = _Layer(disk)
    try:
        yield disk
    finally:
        disk.heal()
        layer.unregister()


class _Switched(Disk):
    """Has no room, or fails, as long as a file of that name is in the folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def meet(self, kind: str) -> None:
        if kind == WRITE and (self.folder / "disk-full").exists():
            raise no_space()
        if kind == SYNC and (self.folder / "disk-fails").exists():
            raise input_output(apsw.SQLITE_IOERR_FSYNC)()


_installed: list[apsw.VFS] = []


def install(folder: Path) -> None:
    """For the rest of this process: a disk that a test in another process makes full, or lets fail."""
    _installed.append(_Layer(_Switched(folder)))
