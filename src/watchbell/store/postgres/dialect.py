"""The page of differences: what PostgreSQL says otherwise than SQLite.

Statements are written once, in SQLite's words. `translated` turns one into PostgreSQL's; `BATCHED` holds a second text for the
few that are carried out for hundreds of rows at a time, and `copied` says how a plain insert of many rows is sent as
one stream. Beyond that the two schemas define the same names (store/postgres/migrations).

| SQLite | PostgreSQL |
|---|---|
| `?` | `%s` |
| `INDEXED BY name` | nothing: its planner has statistics |
| `json_each(x) t` | `json_array_elements_text(x::json) t (value)` |
| `max(a, b)`, `min(a, b)`, `instr(a, b)` | functions of these names in the schema |
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

_INDEXED = re.compile(r"\s+INDEXED BY \w+")
_EACH = re.compile(r"json_each\(([\w.]+)\) (\w+)")
_QUOTED = re.compile(r"('(?:[^']|'')*')")


@lru_cache(maxsize=4096)
def translated(sql: str) -> str:
    """One statement in PostgreSQL's words, with psycopg's marks for parameters.

    >>> translated("SELECT 1 FROM t INDEXED BY i WHERE a = ? AND b LIKE '%?'")
    "SELECT 1 FROM t WHERE a = %s AND b LIKE '%%?'"
    """
    sql = _INDEXED.sub("", sql)
    sql = _EACH.sub(r"json_array_elements_text(\1::json) \2 (value)", sql)
    parts = _QUOTED.split(sql.replace("%", "%%"))
    return "".join(part if part.startswith("'") else part.replace("?", "%s") for part in parts)


class Copied(NamedTuple):
    """A plain insert as a stream: the statement, and the values that are the same in every row, with their places."""

    statement: str
    constants: tuple[tuple[int, str | int], ...]

    def whole(self, row: Sequence[Any]) -> list[Any]:
        """The columns of a row, from its parameters."""
        found = list(row)
        for place, value in self.constants:
            found.insert(place, value)
        return found


_INSERT = re.compile(r"INSERT INTO (\w+) \(([\w, ]+)\) VALUES \(([^()]+)\)")
_TEXT = re.compile(r"'([^']*)'")


@lru_cache(maxsize=256)
def copied(sql: str) -> Copied | None:
    """How a plain INSERT of many rows is sent; None if it is not one.

    >>> copied("INSERT INTO t (a, b, c) VALUES (?, 'x', ?)")
    Copied(statement='COPY t (a, b, c) FROM STDIN', constants=((1, 'x'),))
    """
    found = _INSERT.fullmatch(sql.strip())
    if found is None:
        return None
    constants: list[tuple[int, str | int]] = []
    for place, part in enumerate(found[3].split(",")):
        text = part.strip()
        if quoted := _TEXT.fullmatch(text):
            constants.append((place, quoted[1]))
        elif text.isdigit():
            constants.append((place, int(text)))
        elif text != "?":
            return None
    return Copied(f"COPY {found[1]} ({found[2]}) FROM STDIN", tuple(constants))
