"""The raw limits: each way to the same promise does what it is a limit for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bench.database import SQLITE, Database

SIZES: dict[str, dict[str, Any]] = {
    "commits": {"count": 3},
    "bulk": {"count": 20},
    "single": {"count": 3},
    "path": {"count": 25, "batch": 10, "times": 2},
    "wake": {"calls": 3},
}


def measured(database: Database, name: str) -> dict[str, float]:
    from bench.limits import OF_SQLITE
    from bench.limits_postgres import OF_POSTGRES

    if database.on == SQLITE:
        return OF_SQLITE[name](database.folder, **SIZES[name])
    limit: Callable[..., dict[str, float]] = OF_POSTGRES[name]
    return limit(database.url, **SIZES[name])


@pytest.mark.parametrize("name", SIZES)
def test_every_limit_is_measured_on_both(database: Database, name: str) -> None:
    found = measured(database, name)
    assert set(found) == ({"p50", "p99"} if name == "wake" else {"value"})
    assert all(value > 0 for value in found.values())
