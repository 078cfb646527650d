"""Journeys are told with real processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.journeys.people import Shell


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """A person's shell in a folder of their own."""
    return Shell(tmp_path)
