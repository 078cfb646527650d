"""What a check of `watchbell doctor` is: a name, how it stands, a sentence, what to do, and perhaps what mends it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from ..clock import Clock
from ..store.base import Store

__all__ = ["Check", "Level", "Patient", "broken", "left_out", "ok", "warning"]


class Level(StrEnum):
    """How it stands."""

    OK = "ok"
    WARNING = "warning"
    BROKEN = "broken"
    LEFT_OUT = "left_out"


@dataclass(frozen=True, slots=True)
class Check:
    """What a check has found. `fix` names what `--fix` would do about it; without one, `todo` says what a person can."""

    name: str
    level: Level
    sentence: str
    todo: str = ""
    fix: str | None = None

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        return {
            "name": self.name,
            "level": self.level.value,
            "sentence": self.sentence,
            "todo": self.todo or None,
            "fix": self.fix,
        }


def ok(name: str, sentence: str) -> Check:
    """Nothing is wrong."""
    return Check(name, Level.OK, sentence)


def left_out(name: str, sentence: str) -> Check:
    """It was not looked at, so nobody knows."""
    return Check(name, Level.LEFT_OUT, sentence)


def warning(name: str, sentence: str, todo: str = "", fix: str | None = None) -> Check:
    """Something that may become wrong, or that somebody has to decide."""
    return Check(name, Level.WARNING, sentence, todo, fix)


def broken(name: str, sentence: str, todo: str = "", fix: str | None = None) -> Check:
    """Something that keeps watchbell from doing what it promises."""
    return Check(name, Level.BROKEN, sentence, todo, fix)


@dataclass(slots=True)
class Patient:
    """What the checks look at. `url` is None where it is not known, `path` where the database is in memory, `store` where there is none to open."""

    url: str | None
    path: Path | None
    clock: Clock
    folder: Path
    environment: Mapping[str, str]
    quick: bool = False
    store: Store | None = None
    notes: dict[str, str] = field(default_factory=dict)
    own_clock: Clock | None = None
    """This machine's clock, where the one that counts is the database's."""

    @property
    def now(self) -> int:
        """The wall clock, microseconds UTC."""
        return self.clock.wall_us()

    @property
    def db(self) -> Store:
        """The open database."""
        assert self.store is not None
        return self.store
