"""Tables: nothing is cut off in a pipe, and a narrow terminal folds the sentence and not the name."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from tests.cli.conftest import Call
from watchbell.cli import output
from watchbell.clock import ManualClock

HEADINGS = ("NAME", "RULE", "NEXT DUE", "STATE")
SENTENCE = "overdue by 12 min: no engine has been running since 05:00 UTC, and nobody has come to start one"
ROW = ("close-the-day-of-the-shop", "at 02:30 every day, Europe/Berlin", "2026-11-21 09:00:00 UTC", SENTENCE)


def drawn(width: int) -> str:
    file = io.StringIO()
    output._rich_table(HEADINGS, [ROW], ("RULE",), Console(file=file, width=width))
    return file.getvalue()


def test_a_narrow_terminal_drops_the_rule_and_folds_the_sentence_only() -> None:
    wide, narrow = drawn(140), drawn(90)
    assert ROW[1] in wide
    for text in (wide, narrow):
        assert ROW[0] in text
        assert ROW[2] in text
        assert set(SENTENCE.split()) <= set(text.split())
    assert ROW[0] in drawn(60)
    assert "RULE" not in narrow
    assert ROW[1] not in narrow


def test_nothing_is_cut_off_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    output.table(HEADINGS, [(*ROW[:3], "x" * 500)], "nothing")
    assert "x" * 500 in capsys.readouterr().out


def test_a_list_has_instants_to_the_second_and_no_count_from(call: Call, clock: ManualClock) -> None:
    clock.advance(123_456)
    call("schedule", "add", "a", "--every", "2s", "--", "true")
    call("schedule", "add", "b", "--at", "+10m", "--", "true")
    out = call("schedule", "list").out
    assert ".123456" not in out
    assert "counted from" not in out
    assert "counted from 2026-11-21T08:00:00.123456Z" in call("schedule", "show", "a").out
