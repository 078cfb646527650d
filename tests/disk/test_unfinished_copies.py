"""A backup that is killed leaves part of a copy, and the next one to the same place removes it; never one that is being made."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from watchbell.services.backup import backup
from watchbell.store.sqlite.copying import fresh_file
from watchbell.store.sqlite.open import open_store

NOW = 1_795_219_200_000_000
KILLED = """
import os, signal, sys
from pathlib import Path
from watchbell.services.backup import backup

target = Path(sys.argv[2]) if len(sys.argv) > 2 else None
backup(sys.argv[1], target, now=1_795_219_100_000_000, progress=lambda *_: os.kill(os.getpid(), signal.SIGKILL))
"""


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "bell.db"
    open_store(str(path), NOW).close()
    return path


def hidden(folder: Path) -> list[str]:
    return sorted(name for name in os.listdir(folder) if name.startswith((".bell", ".kept")))


def kill_a_backup(*words: str) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, *words], check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL


@pytest.mark.kill9
@pytest.mark.parametrize("named", [True, False], ids=["to a file", "to a dated name"])
def test_F40_what_a_killed_backup_has_left_is_removed_by_the_next_one(
    database: Path, tmp_path: Path, named: bool
) -> None:
    folder = tmp_path / "copies" if named else tmp_path
    folder.mkdir(exist_ok=True)
    target = folder / "kept.db" if named else None
    kill_a_backup(str(database), *([str(target)] if target else []))
    assert hidden(folder) != []
    made = backup(str(database), target, now=NOW)
    assert Path(made.file).is_file()
    assert hidden(folder) == []


def test_F40_a_copy_that_is_being_made_is_left_alone_and_so_is_a_strangers_file(
    database: Path, tmp_path: Path
) -> None:
    target = tmp_path / "kept.db"
    stranger = tmp_path / ".kept.db.deadbeef"
    stranger.write_text("mine")
    with fresh_file(target) as going_on:
        backup(str(database), target, now=NOW)
        assert going_on.is_file()
    assert stranger.read_text() == "mine"
    assert hidden(tmp_path) == [".kept.db.deadbeef"]
