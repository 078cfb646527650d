"""Every story ends with an audit: what fell due is accounted for, whatever happened."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.databases import lane, pytest_generate_tests
from tests.engine.story import Story

__all__ = ["lane", "pytest_generate_tests", "story"]


@pytest.fixture
def story() -> Iterator[Callable[..., Story]]:
    """Begins a story; when the test is over, its audit must be all zeros."""
    told: list[Story] = []

    def begin(*args: object, **options: object) -> Story:
        begun = Story(*args, **options)  # type: ignore[arg-type]
        told.append(begun)
        return begun

    yield begin
    for begun in told:
        begun.audit()
        begun.bell.stop()
