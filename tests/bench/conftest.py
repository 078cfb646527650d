"""Databases to be measured on."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.database import POSTGRES, SQLITE, Database


@pytest.fixture(params=(SQLITE, POSTGRES))
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    """An empty database of either kind."""
    if request.param == SQLITE:
        return Database.in_file(tmp_path / "bench.db")
    return Database(request.getfixturevalue("empty_postgres_url"), tmp_path)
