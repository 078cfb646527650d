"""What a dump that was put back on a PostgreSQL server does not know may have run: watchbell is told, before a node starts
(PROTOCOL §6; what it does then is the same as after `watchbell restore` of a file)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..core.instants import SECOND, human_age, to_text
from ..errors import BadInput, Conflict
from ..store import nodes
from ..store.base import Store
from ..store.sqlite.restoring import begin_anew, owe
from ..store.tx import Tx

_ANY_NODE = 0


@dataclass(frozen=True, slots=True)
class DumpRestored:
    """What was done: the dump knows nothing from `newest_at` to `at`, and so many live rows of it have ended."""

    database: str
    newest_at: int
    at: int
    ended: int

    @property
    def sentence(self) -> str:
        """For people."""
        gap = human_age(max(SECOND, self.at - self.newest_at))
        return (
            f"{self.database} knows nothing of the last {gap} (from {to_text(self.newest_at)} on): what fell due then is "
            f"`missed: restored` and does not run again. {self.ended:,} of its rows that may have run since have ended."
        )

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        return {
            "database": self.database,
            "knows_until": to_text(self.newest_at),
            "restored_at": to_text(self.at),
            "ended": self.ended,
            "sentence": self.sentence,
        }


def dump_restored(store: Store, *, now: int) -> DumpRestored:
    """Account for the time that the dump does not know. Conflict while a node acts, BadInput for a database in a file."""
    if not store.shared:
        raise BadInput(
            f"{store.where} is a file: `watchbell restore FILE` puts a backup of it back, and says so by itself."
        )

    def write(tx: Tx) -> DumpRestored:
        if nodes.is_attended(tx, _ANY_NODE, now):
            raise Conflict(
                f"A node acts on {store.where}, or did a moment ago: stop every node, put the dump back, wait 15 seconds, "
                "and say so before one starts again."
            )
        owed = owe(tx, now, "a dump")
        tx.value(
            "SELECT setval('occurrence_id', (SELECT CAST(value AS BIGINT) FROM meta WHERE key = 'id_base'))"
        )
        return DumpRestored(store.where, owed.newest_at, owed.at, begin_anew(tx) or 0)

    return store.write(write)
