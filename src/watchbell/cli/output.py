"""How answers look: one JSON object for programs, aligned text for pipes, tables on a terminal."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from ..services.moments import moment

if TYPE_CHECKING:
    from rich.console import Console

# Everything that a terminal could take for an order, but the line break and the tab.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_LONGEST_CELL = 100
_LEAST_LAST = 32
"""The last column of a table is a sentence: with less room than this on a terminal, others have to go."""

__all__ = ["clean", "emit_json", "facts", "moment", "say", "table", "warn"]


def emit_json(value: Mapping[str, Any]) -> None:
    """One object, never coloured."""
    plain = "utf" not in (sys.stdout.encoding or "").lower()
    click.echo(json.dumps(value, indent=2, ensure_ascii=plain), color=False)


def say(text: str, colour: str | None = None) -> None:
    """A line for people, in a colour where the output is a terminal and NO_COLOR is not set."""
    plain = clean(text)
    click.echo(plain if colour is None or os.environ.get("NO_COLOR") else click.style(plain, fg=colour))


def warn(text: str) -> None:
    """A line for people that is no answer: to the standard error."""
    click.echo(clean(text), err=True)


def clean(text: str) -> str:
    """Text without control characters: what a job printed must not command the terminal that shows it."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def facts(rows: Sequence[tuple[str, str]], colours: Mapping[str, str] = {}) -> None:
    """Names with their values, one a line; `colours` are by name."""
    width = max((len(name) for name, _ in rows), default=0)
    for name, value in rows:
        first, *more = value.split("\n")
        say(f"{name:<{width}}  {first}", colours.get(name))
        for line in more:
            say(f"{'':<{width}}  {line}", colours.get(name))


def table(
    headings: Sequence[str], rows: Sequence[Sequence[str]], empty: str, spare: Sequence[str] = ()
) -> None:
    """A table: on a terminal by rich, in a pipe aligned text of which nothing is cut off. `empty` is said where there are
    no rows. Where a terminal is too narrow the columns of `spare` go, in that order, and the last one has the
    rest; the first one is never folded."""
    if not rows:
        say(empty)
    elif sys.stdout.isatty():
        _rich_table(headings, rows, spare)
    else:
        _plain_table(headings, rows)


def _plain_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    cells = [[*headings], *([_one_line(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(headings))]
    for row in cells:
        say("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())


def _rich_table(
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    spare: Sequence[str],
    console: Console | None = None,
) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = console or Console()
    cells = [[_short(_one_line(cell)) for cell in row] for row in rows]
    shown = list(range(len(headings)))
    for name in spare:
        if _room(headings, cells, shown, console.width) < _LEAST_LAST:
            shown.remove(headings.index(name))
    crowded = _room(headings, cells, shown, console.width) < _LEAST_LAST
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in shown:
        folds = column == shown[-1] or (crowded and column != shown[0])
        made.add_column(headings[column], overflow="fold", no_wrap=not folds)
    for row in cells:
        made.add_row(*(Text(row[column], style=_STYLES.get(row[column], "")) for column in shown))
    console.print(made)


def _room(headings: Sequence[str], cells: Sequence[Sequence[str]], shown: Sequence[int], width: int) -> int:
    """What is left of the width for the last column, where no other is folded."""
    others = [max(len(row[column]) for row in (headings, *cells)) for column in shown[:-1]]
    return width - sum(others) - 3 * len(others)


def _one_line(text: str) -> str:
    return " ".join(clean(text).split("\n"))


def _short(line: str) -> str:
    return line if len(line) <= _LONGEST_CELL else f"{line[: _LONGEST_CELL - 1]}…"


_STYLES = {
    "succeeded": "green",
    "on": "green",
    "running": "cyan",
    "claimed": "cyan",
    "failed": "red",
    "timed_out": "red",
    "lost": "red",
    "missed": "red",
    "set_aside": "red",
    "skipped": "yellow",
    "coalesced": "yellow",
    "paused": "yellow",
}
