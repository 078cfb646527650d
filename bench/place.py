"""Where databases lie while they are measured: a folder of this run in `.bench/`, on the disk of the checkout."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BENCH = ROOT / ".bench"
STATE = "WATCHBELL_STATE_FOLDER"


@contextlib.contextmanager
def place() -> Iterator[Path]:
    """A fresh folder, removed at the end however that comes; what a killed run has left goes as well."""
    BENCH.mkdir(exist_ok=True)
    for left in BENCH.iterdir():
        if left.name.isdigit() and not Path(f"/proc/{left.name}").exists():
            shutil.rmtree(left, ignore_errors=True)
    folder = BENCH / str(os.getpid())
    folder.mkdir()
    before = os.environ.get(STATE)
    os.environ[STATE] = str(folder / "state")
    try:
        yield folder
    finally:
        os.environ.pop(STATE)
        if before is not None:
            os.environ[STATE] = before
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            BENCH.rmdir()


@contextlib.contextmanager
def within(folder: Path, name: str) -> Iterator[Path]:
    """A folder inside it, for one measurement, so that no other one finds a full disk."""
    inner = folder / name
    inner.mkdir()
    try:
        yield inner
    finally:
        shutil.rmtree(inner, ignore_errors=True)
