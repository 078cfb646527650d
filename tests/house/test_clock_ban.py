"""Time is an argument: only clock.py reads it, only clock.py waits for it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

BANNED = {
    "time": {
        "clock_gettime", "clock_gettime_ns", "gmtime", "localtime", "monotonic", "monotonic_ns", "perf_counter",
        "perf_counter_ns", "sleep", "time", "time_ns",
    },
    "datetime": {"now", "today", "utcnow"},
    "date": {"today"},
    "asyncio": {"sleep"},
}  # fmt: skip
WITHOUT_ARGUMENT = {"gmtime", "localtime"}  # with one they only convert


def reads(text: str) -> list[str]:
    """Every place in the text that reads a clock or sleeps, under whatever name it was imported."""
    tree = ast.parse(text)
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.asname or alias.name: alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    calls = {id(node.func): node for node in ast.walk(tree) if isinstance(node, ast.Call)}
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute | ast.Name):
            continue
        owner, _, what = resolve(node, names).rpartition(".")
        if what not in BANNED.get(owner.rpartition(".")[2], set()):
            continue
        call = calls.get(id(node))
        if what in WITHOUT_ARGUMENT and call is not None and call.args:
            continue
        found.append(f"{node.lineno}: {owner}.{what}")
    return found


def resolve(node: ast.expr, names: dict[str, str]) -> str:
    """The dotted name of an expression, with imported names put back to what they stand for."""
    if isinstance(node, ast.Name):
        return names.get(node.id, "")
    if isinstance(node, ast.Attribute) and (owner := resolve(node.value, names)):
        return f"{owner}.{node.attr}"
    return ""


def test_only_the_clock_reads_the_time(source: Path, modules: list[Path]) -> None:
    found = [
        f"{path.relative_to(source)}:{place}"
        for path in modules
        if path != source / "clock.py"
        for place in reads(path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_the_clock_itself_does(source: Path) -> None:
    assert reads((source / "clock.py").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "text",
    [
        "import time\ntime.sleep(1)",
        "import time as t\nt.time_ns()",
        "from time import monotonic\nmonotonic()",
        "from time import perf_counter as tick\nbegan = tick()",
        "import time\nread = time.time",
        "import datetime\ndatetime.datetime.now(datetime.UTC)",
        "from datetime import datetime\ndatetime.utcnow()",
        "import datetime as dt\ndt.date.today()",
        "from asyncio import sleep\nsleep(0.1)",
        "import time\ntime.localtime()",
    ],
)
def test_a_planted_clock_read_is_found(text: str) -> None:
    assert len(reads(text)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "import time\ntime.localtime(0)",
        "from datetime import datetime, UTC\ndatetime.fromtimestamp(0, UTC)",
        "def f(clock):\n    return clock.time()",
        "class Row:\n    time = 1\nRow.time",
    ],
)
def test_what_only_looks_like_a_clock_is_left_alone(text: str) -> None:
    assert reads(text) == []
