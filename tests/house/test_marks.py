"""The marks of a file of tests are what its reader takes them for."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest


def given(text: str) -> int:
    """How often a file says what all its tests are marked with. A second time takes back the first."""
    return sum(
        isinstance(node, ast.Assign)
        and any(isinstance(target, ast.Name) and target.id == "pytestmark" for target in node.targets)
        for node in ast.parse(text).body
    )


def test_no_file_takes_back_the_marks_that_it_has_given(root: Path) -> None:
    found = [
        str(path.relative_to(root)) for path in (root / "tests").rglob("*.py") if given(path.read_text()) > 1
    ]
    assert found == []


@pytest.mark.parametrize(
    ("text", "times"), [("pytestmark = 1\npytestmark = 2\n", 2), ("pytestmark = [1, 2]\n", 1)]
)
def test_planted_marks_are_counted(text: str, times: int) -> None:
    assert given(text) == times
