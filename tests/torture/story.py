"""Histories written by hand, line by line."""

from __future__ import annotations

from torture.check import check
from torture.history import Attempt, History, Kill, Life, Node, Record, Row, Silence
from torture.nodes.judge import check_many
from watchbell.store.tokens import hashed

ENGINE, OTHER = 700, 701
T0 = 1_795_251_600_000_000


class Story:
    """A history, written down line by line."""

    def __init__(self) -> None:
        self.history = History(nodes=[Node(1, ENGINE, "dead"), Node(2, OTHER, "stopped")])
        self._place = 0

    def row(self, run: int, state: str = "succeeded", **more: object) -> Row:
        given: dict[str, object] = {
            "schedule": "tick",
            "job": "tick",
            "lane": "async",
            "epoch": 1,
            "attempt": 1,
            "node": 2,
            "token_hash": hashed(f"t{run}.1"),
            "start_at": T0,
            "claimed_at": T0,
            "began_at": T0,
        }
        row = Row(run, f"db-r{run}", state=state, **(given | more))  # type: ignore[arg-type]
        self.history.rows.append(row)
        return row

    def did_not_run(self, run: int, state: str, **more: object) -> Row:
        nothing = {
            "epoch": 0,
            "attempt": 0,
            "node": None,
            "token_hash": None,
            "claimed_at": None,
            "began_at": None,
        }
        return self.row(run, state, **(nothing | more))

    def says(self, run: int, phase: str, epoch: int = 1, **more: object) -> Record:
        given: dict[str, object] = {
            "attempt": epoch,
            "token": f"t{run}.{epoch}",
            "wall_us": T0 + 1 + self._place,
        }
        self._place += 1
        line = {"pid": OTHER, "mono_ns": self._place} | given | more
        record = Record(self._place - 1, f"db-r{run}", epoch, phase=phase, **line)  # type: ignore[arg-type]
        self.history.records.append(record)
        return record

    def kill(self, pid: int = ENGINE) -> None:
        self._place += 1
        self.history.kills.append(Kill(self._place - 1, pid, T0 + self._place, 0))

    def attempt(
        self, run: int, epoch: int, ending: str = "failed", node: int = 2, number: int | None = None
    ) -> None:
        self.history.attempts.append(
            Attempt(run, epoch if number is None else number, epoch, node, ending, T0)
        )

    def ran(self, run: int, **more: object) -> None:
        """A run that began and succeeded."""
        self.row(run, **more)
        self.says(run, "begin")
        self.says(run, "end")

    @property
    def rules(self) -> set[str]:
        return {violation.rule for violation in check(self.history)}

    # --- where many engines act -----------------------------------------------------------------------------------

    def silent(self, from_s: float, to_s: float, kind: str = "stop", pid: int | None = ENGINE) -> None:
        """A time in which an engine could not be heard, in seconds after T0."""
        self.history.silences.append(Silence(pid, kind, T0 + int(from_s * 1e6), T0 + int(to_s * 1e6)))

    def at(self, run: int, phase: str, second: float, epoch: int = 1, **more: object) -> Record:
        """A line that is written so many seconds after T0."""
        return self.says(run, phase, epoch, wall_us=T0 + int(second * 1e6), **more)

    def process(self, pid: int, newer: bool = False, from_s: float = -1, to_s: float | None = None) -> None:
        """A process of an engine."""
        until = None if to_s is None else T0 + int(to_s * 1e6)
        self.history.lives.append(Life(pid, 0, newer, T0 + int(from_s * 1e6), until))

    @property
    def rules_of_many(self) -> set[str]:
        return {violation.rule for violation in check_many(self.history)}
