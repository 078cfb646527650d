"""The house looked at from outside: its files, not its behaviour."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def root() -> Path:
    """The top of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def source(root: Path) -> Path:
    """The package."""
    return root / "src" / "watchbell"


@pytest.fixture(scope="session")
def modules(source: Path) -> list[Path]:
    """Every Python file of the package."""
    return sorted(source.rglob("*.py"))
