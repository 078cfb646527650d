"""What people hand to the command line by mistake: each is one sentence, with the exit code of its kind."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from .conftest import Call


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("run", "now", "tick", "--arg", f"a={'[' * 100_000}"), 2, "nested too deeply"),
        (("run", "logs", "1", "--after", str(2**63)), 2, "is not in the range"),
        (("alert", "rm", str(2**63)), 2, "is not in the range"),
        (("alert", "test", "-1"), 2, ""),
        (("alert", "log", "--before", str(2**70)), 2, "is not in the range"),
        (("schedule", "add", "x", "--every", "1h", "--limit", f"k={2**70}", "--", "true"), 2, "beyond"),
        (
            ("schedule", "add", "x", "--every", "1h", "--rate", f"{'k' * 201}=1/1s", "--", "true"),
            2,
            "201 characters",
        ),
        (
            ("schedule", "add", "x", "--every", "1h", "--limit", f"{'k' * 201}=1", "--", "true"),
            2,
            "200 are the most",
        ),
        (
            (
                "schedule",
                "add",
                "x",
                "--every",
                "1h",
                "--rate",
                f"{'k' * 201}=1/1s",
                "--http",
                "http://8.8.8.8",
            ),
            2,
            "201 characters",
        ),
        (("run", "now", "tick", "--key", "k" * 201), 2, "201 characters"),
        (("status", "--database", "x" * 5000), 78, "File name too long"),
        (("schedule", "list", "--database", "x" * 5000), 78, "File name too long"),
        (("schedule", "list", "--database", "sqlite://"), 78, "keeps nothing"),
        (("database", "migrate", "--database", "sqlite://"), 78, "keeps nothing"),
        (("exec", "--database", "sqlite://", "--", "true"), 78, "keeps nothing"),
        (
            ("schedule", "add", "x", "--every", "1h", "--database", "sqlite://", "--", "true"),
            78,
            "keeps nothing",
        ),
        (("status", "--database", "sqlite:"), 78, "sqlite:///relative.db"),
        (("status", "--database", "file:a.db"), 78, "sqlite:///relative.db"),
        (("status", "--database", ":memory:"), 78, "sqlite:///relative.db"),
        (("status", "--database", "sqlite:///%00"), 78, "NUL"),
        (("status", "--database", "/dev/null"), 78, "is no regular file"),
        (("database", "migrate", "--database", "a-pipe"), 78, "is no regular file"),
    ],
    ids=lambda value: "",
)
def test_a_mistake_is_one_sentence(
    call: Call, database: Path, words: tuple[str, ...], code: int, said: str
) -> None:
    os.mkfifo(database.parent / "a-pipe")
    assert call("schedule", "add", "tick", "--every", "1h", "--", "true").code == 0
    reply = call(*words)
    assert (reply.code, reply.out) == (code, "")
    assert said in reply.err
    assert "should not have" not in reply.err
    assert len(reply.err) < 500
    assert reply.err.count("\n") == 1


def test_a_rule_alone_needs_no_database(call: Call) -> None:
    assert call("schedule", "next", "@daily", "--database", "sqlite://").code == 0


@pytest.mark.parametrize("words", [("x" * 5000,), ("two\nlines",), ("schedule", "show", "a\nb" * 200)])
def test_what_is_echoed_is_short_and_escaped(call: Call, words: tuple[str, ...]) -> None:
    call("database", "migrate")
    reply = call(*words)
    assert reply.code in (2, 5)
    assert reply.err.count("\n") == 1
    assert len(reply.err) < 300
