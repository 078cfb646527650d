"""One concept, one word: the names in the code are those of docs/design/words.md."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

# word that is not ours → what to say instead
NOT_OURS = {
    "worker": "node",
    "workers": "nodes",
    "ping": "check-in or probe",
    "pinged": "checked in",
    "dispatcher": "claimer",
    "dispatch": "claim",
    "misfire": "missed, or past",
    "misfires": "missed, or past",
    "misfired": "missed",
    "leader": "no such thing: a plan is a compare-and-set (docs/design/no-leader.md)",
    "cronjob": "schedule",
    "timetable": "schedule",
    "zombie": "lost",
    "notification": "alert",
    "notifier": "channel",
    "preset": "template",
    "blueprint": "template",
    "replay": "backfill",
}
# The first caller of a group commit leads it (docs/design/group-commit.md); nobody leads anything else.
ALLOWED = {("leader", "store")}
TASK = re.compile(r"(^|_)tasks?(_|$)")
PIECES = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")


def named(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Every name that this text itself gives to something."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.attr
        elif isinstance(node, ast.alias) and node.asname:
            yield node.lineno, node.asname


def pieces(name: str) -> list[str]:
    """`lastPing_id` → last, ping, id."""
    return [piece.lower() for piece in PIECES.findall(name)]


def foreign(text: str, room: str) -> list[str]:
    return [
        f"{line} {name}: say {NOT_OURS[piece]}"
        for line, name in named(ast.parse(text))
        for piece in pieces(name)
        if piece in NOT_OURS and (piece, room) not in ALLOWED
    ]


def test_names_use_the_words_of_the_house(source: Path, modules: list[Path]) -> None:
    found = [
        f"{path.relative_to(source)}:{what}"
        for path in modules
        for what in foreign(path.read_text(encoding="utf-8"), path.relative_to(source).parts[0])
    ]
    assert found == []


def test_files_are_named_by_the_words_of_the_house(source: Path) -> None:
    names = [
        path
        for path in source.rglob("*")
        if path.suffix in ("", ".py", ".sql") and path.name != "__pycache__"
    ]
    assert [str(path) for path in names for piece in pieces(path.stem) if piece in NOT_OURS] == []


def test_the_schema_uses_the_words_of_the_house(source: Path) -> None:
    found = []
    for path in sorted((source / "store" / "sqlite" / "migrations").glob("*.sql")):
        statements = re.sub(r"--[^\n]*", "", path.read_text(encoding="utf-8"))
        words = re.findall(r"[A-Za-z_]+", statements)
        found += [f"{path.name}: {word}" for word in words for piece in pieces(word) if piece in NOT_OURS]
        found += [f"{path.name}: {word}" for word in words if TASK.search(word.lower())]
    assert found == []


@pytest.mark.parametrize(
    "text",
    [
        "class WorkerPool: ...",
        "def ping(): ...",
        "misfire_grace_time = 1",
        "self.lastPing = 2",
        "def f(n_workers): ...",
    ],
)
def test_a_planted_foreign_word_is_found(text: str) -> None:
    assert foreign(text, "engine") != []


def test_words_inside_other_words_are_left_alone() -> None:
    assert foreign("stopping = mapping = shipping = 1", "engine") == []
