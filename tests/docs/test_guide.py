"""Every code block of the README and of docs/guide runs as it is printed, and the tables say what the code says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.docs.pages import KINDS, Block, Reader, blocks, commands
from watchbell import errors
from watchbell.channels.base import Message
from watchbell.channels.webhook import body_of
from watchbell.core.alert import EVENTS
from watchbell.core.instants import duration_text
from watchbell.core.policies import Policies, to_json
from watchbell.executors.environment import KEPT

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs" / "guide").glob("*.md"))]

SERVED = ROOT / "docs" / "guide" / "nodes.md"
"""The page that needs a server."""


@pytest.mark.parametrize("page", [page for page in PAGES if page != SERVED], ids=lambda page: page.stem)
def test_every_block_runs_as_printed(page: Path, tmp_path: Path) -> None:
    read(page, Reader(tmp_path))


def test_every_block_of_the_page_on_nodes_runs_as_printed(tmp_path: Path, listening_url: str) -> None:
    read(SERVED, Reader(tmp_path, listening_url))


def read(page: Path, reader: Reader) -> None:
    found = list(blocks(page))
    assert found
    assert {block.kind for block in found} <= set(KINDS), "a block of another kind would go unchecked"
    for block in found:
        reader.read(block)


def test_a_page_that_lies_is_found(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    for kind, text in (
        ("console", "$ echo one\ntwo\n"),
        ("console", "$ false\n"),
        ("console", "$ watchbell version\nwatchbell: no\n"),
        ("python", "assert 1 == 2\n"),
    ):
        with pytest.raises(AssertionError):
            reader.read(Block(kind, text, 1))
    reader.read(Block("console", "$ echo one; echo two\none\n...\n", 1))


def test_what_a_console_shows_is_split_into_commands() -> None:
    assert list(commands("$ a\nx\ny\n$ b\n")) == [("a", "x\ny\n"), ("b", "")]


def table(page: Path, heading: str) -> list[list[str]]:
    """The rows of the table whose first heading this is, without back quotes."""
    lines = page.read_text(encoding="utf-8").splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"| {heading} |"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip().strip("`") for cell in line.strip("|").split(" | ")])
    return rows


def test_the_table_of_policies_has_the_defaults_of_the_code() -> None:
    default = Policies()
    names = {field.removesuffix("_us") for field in Policies.__dataclass_fields__}
    rows = {row[0]: row[1] for row in table(ROOT / "README.md", "policy")}
    assert set(rows) == names
    assert to_json(default) == {}
    for name, said in rows.items():
        value = getattr(default, name, None) if hasattr(default, name) else getattr(default, f"{name}_us")
        if value is not None and not hasattr(default, name):
            value = duration_text(value)
        assert said == ("none" if value in (None, ()) else str(value)), name


def test_the_table_of_exit_codes_has_those_of_the_errors() -> None:
    codes = {int(row[0]) for row in table(ROOT / "docs" / "guide" / "operating.md", "exit code")}
    kinds = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.WatchbellError)
    ]
    assert {kind.exit_code for kind in kinds} <= codes


def test_the_guide_names_every_event_of_an_alert() -> None:
    text = (ROOT / "docs" / "guide" / "operating.md").read_text(encoding="utf-8")
    assert [event for event in EVENTS if not re.search(f"`{event}`", text)] == []


def test_the_guide_names_the_fields_of_an_alert_and_what_a_command_finds() -> None:
    page = ROOT / "docs" / "guide" / "operating.md"
    told = {name for row in table(page, "field") for name in re.findall(r"\w+", row[0])}
    message = Message(1, "failed", "a", "text", None, 0, "default", "d", 0)
    assert told == set(json.loads(body_of(message)))
    text = page.read_text(encoding="utf-8")
    assert [name for name in KEPT if f"`{name}`" not in text] == []
