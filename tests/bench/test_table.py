"""The table of the bench, and the same as data."""

from __future__ import annotations

import json

from bench.database import POSTGRES, SQLITE
from bench.figures import Figure, Limit, Result
from bench.table import as_data, number, render


def a_result() -> Result:
    return Result(
        {"": "2 × a processor", "Python": "3.11"},
        [
            Figure("burst", "many at once", 25_000.0, "/s", 50_000.0, limit="path", on=SQLITE),
            Figure("run-now", "until it starts", 4.0, "ms", 2.0, less=True, on=POSTGRES),
            Figure("idle", "cost", None, "%", 0.5, less=True, note="the process ended"),
        ],
        {"path": Limit("path", "the shortest path", 100_000.0, "/s")},
        12.3,
    )


def test_each_figure_stands_beside_its_aim_and_its_limit() -> None:
    lines = render(a_result()).splitlines()
    assert lines[2].split() == [
        "burst", "SQLite", "many", "at", "once", "25,000/s", "≥", "50,000/s", "50", "%", "100,000/s", "25", "%",
    ]  # fmt: skip
    assert lines[3].split() == [
        "run-now", "PostgreSQL", "until", "it", "starts", "4.00", "ms", "≤", "2", "ms", "50", "%",
    ]  # fmt: skip


def test_columns_are_aligned() -> None:
    lines = render(a_result()).splitlines()
    assert (
        len({line.index(word) for line, word in zip(lines[2:5], ("many", "until", "cost"), strict=True)}) == 1
    )
    assert lines[2].index("25,000/s") + len("25,000/s") == lines[3].index("4.00 ms") + len("4.00 ms")


def test_what_could_not_be_measured_says_why() -> None:
    result = a_result()
    result.figures.append(Figure("burst", "more", None, "/s", note="too busy", on=POSTGRES))
    text = render(result)
    assert "  idle, cost: the process ended" in text
    assert "  burst on PostgreSQL, more: too busy" in text
    assert "–" in text.splitlines()[4]


def test_the_machine_is_named() -> None:
    assert "machine: 2 × a processor, Python 3.11" in render(a_result())


def test_the_data_are_json_and_say_what_the_table_says() -> None:
    data = json.loads(json.dumps(as_data(a_result()), allow_nan=False))
    assert [item["row"] for item in data["items"]] == ["burst", "run-now", "idle"]
    assert [item["on"] for item in data["items"]] == ["sqlite", "postgresql", ""]
    burst, _, idle = data["items"]
    assert (burst["of_aim"], burst["of_limit"], burst["limit"]) == (50.0, 25.0, "path")
    assert (idle["value"], idle["of_aim"], idle["note"]) == (None, None, "the process ended")
    assert data["limits"] == [{"key": "path", "title": "the shortest path", "value": 100_000.0, "unit": "/s"}]


def test_numbers_have_as_many_digits_as_mean_something() -> None:
    assert number(51_234.4, "/s") == "51,234/s"
    assert number(12.34, "ms") == "12.3 ms"
    assert number(0.123, "s") == "0.12 s"
    assert number(30_000, "") == "30,000"
