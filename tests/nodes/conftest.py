"""A database for several nodes; when a test is over, its audit must be all zeros."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.nodes.several import Several


@pytest.fixture
def several(postgres_url: str) -> Iterator[Several]:
    """Nodes under virtual time."""
    made = Several(postgres_url)
    try:
        yield made
        made.audited()
    finally:
        made.close()
