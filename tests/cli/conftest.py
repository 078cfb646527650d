"""What the tests of the command line share: a database of their own, an instant, and one call as a person makes it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from watchbell.cli.main import root
from watchbell.cli.setup import Setup
from watchbell.clock import ManualClock
from watchbell.core.instants import parse_instant
from watchbell.store.sqlite import SqliteStore
from watchbell.store.sqlite.open import open_store

NOW = parse_instant("2026-11-21T08:00:00Z")


@dataclass(frozen=True, slots=True)
class Reply:
    """What one call answered."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """The answer as JSON; it must be nothing else."""
        return json.loads(self.out)


Call = Callable[..., Reply]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the database of a test is; the test stands in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    place = tmp_path / "bell.db"
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "configuration"))
    monkeypatch.setenv("WATCHBELL_DATABASE_URL", f"sqlite:///{place}")
    return place


@pytest.fixture
def call(database: Path, clock: ManualClock) -> Call:
    """Carry out one call in this process."""

    def carry_out(*words: str) -> Reply:
        result = CliRunner().invoke(root, list(words), obj=Setup(clock=clock))
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return Reply(result.exit_code, result.stdout, result.stderr)

    return carry_out


@pytest.fixture
def store(database: Path) -> Iterator[SqliteStore]:
    """The database itself, for what no command can write."""
    made = open_store(str(database), NOW)
    yield made
    made.close()
