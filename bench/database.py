"""What is measured on: a fresh database for every measurement, a file or one on a server."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

SQLITE, POSTGRES = "sqlite", "postgresql"
NAMES = {SQLITE: "SQLite", POSTGRES: "PostgreSQL"}


@dataclass(frozen=True, slots=True)
class Database:
    """A database, and the folder for whatever belongs to its measurement."""

    url: str
    folder: Path

    @classmethod
    def in_file(cls, path: Path) -> Self:
        """SQLite's, in a file."""
        return cls(f"sqlite:///{path}", path.parent)

    @property
    def path(self) -> Path | None:
        """The file, where it is one."""
        return Path(self.url.removeprefix("sqlite:///")) if self.url.startswith("sqlite:") else None

    @property
    def on(self) -> str:
        """Which of the two kinds it is."""
        return POSTGRES if self.path is None else SQLITE
