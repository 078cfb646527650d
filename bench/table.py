"""The table that a person reads, and the same as data. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .database import NAMES
from .figures import Figure, Limit, Result, percent

HEAD = ("row", "on", "what", "figure", "aim", "of aim", "raw limit in this run", "of limit")
LEFT = (0, 1, 2)


def number(value: float | None, unit: str) -> str:
    """A value with its unit, with as many digits as mean something.

    >>> number(51234.4, "/s"), number(1.234, "ms"), number(None, "s")
    ('51,234/s', '1.23 ms', '–')
    """
    if value is None:
        return "–"
    size = abs(value)
    digits = f"{value:,.0f}" if size >= 100 else f"{value:.1f}" if size >= 10 else f"{value:.2f}"
    return f"{digits}{unit}" if unit in ("/s", "") else f"{digits} {unit}"


def _aim(figure: Figure) -> str:
    if figure.aim is None:
        return ""
    return f"{'≤' if figure.less else '≥'} {number(figure.aim, figure.unit).replace('.00', '')}"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.0f} %"


def _line(figure: Figure, limits: dict[str, Limit]) -> tuple[str, ...]:
    limit = limits.get(figure.limit or "")
    beside = "" if limit is None else number(limit.value, limit.unit)
    of_limit = percent(figure.value, None if limit is None else limit.value, figure.less)
    shown = number(figure.value, figure.unit)
    return (
        figure.row,
        NAMES.get(figure.on, ""),
        figure.title,
        shown,
        _aim(figure),
        _share(percent(figure.value, figure.aim, figure.less)),
        beside,
        _share(of_limit),
    )


def _name(figure: Figure) -> str:
    return f"{figure.row} on {NAMES[figure.on]}" if figure.on else figure.row


def aligned(lines: Sequence[tuple[str, ...]], left: tuple[int, ...] = LEFT) -> list[str]:
    """Lines of cells as text, each column as wide as its widest cell."""
    widths = [max(len(line[place]) for line in lines) for place in range(len(lines[0]))]
    return [
        "  ".join(
            cell.ljust(width) if place in left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]


def render(result: Result) -> str:
    """The table, its notes, the limits and the machine."""
    out = aligned([HEAD, *(_line(figure, result.limits) for figure in result.figures)])
    out.insert(1, "-" * max(len(line) for line in out))
    notes = [f"  {_name(f)}, {f.title}: {f.note}" for f in result.figures if f.note]
    if notes:
        out += ["", "notes", *notes]
    if result.limits:
        rows = [(f"  {limit.title}", number(limit.value, limit.unit)) for limit in result.limits.values()]
        out += ["", "raw limits in this run", *aligned(rows, left=(0,))]
    out += ["", "machine: " + ", ".join(f"{k} {v}".strip() for k, v in result.machine.items())]
    out.append(f"measured in {result.seconds:.0f} s")
    return "\n".join(out)


def as_data(result: Result) -> dict[str, Any]:
    """The same as JSON data."""
    return {
        "machine": result.machine,
        "seconds": round(result.seconds, 1),
        "limits": [
            {"key": x.key, "title": x.title, "value": x.value, "unit": x.unit} for x in result.limits.values()
        ],
        "items": [_datum(figure, result.limits) for figure in result.figures],
    }


def _datum(figure: Figure, limits: dict[str, Limit]) -> dict[str, Any]:
    limit = limits.get(figure.limit or "")
    return {
        "row": figure.row,
        "on": figure.on,
        "title": figure.title,
        "value": figure.value,
        "unit": figure.unit,
        "better": "less" if figure.less else "more",
        "aim": figure.aim,
        "of_aim": percent(figure.value, figure.aim, figure.less),
        "limit": None if limit is None else limit.key,
        "limit_value": None if limit is None else limit.value,
        "of_limit": percent(figure.value, None if limit is None else limit.value, figure.less),
        "note": figure.note,
    }
