"""Explain: why a schedule ran, did not run or will run, and where it stands now."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import replace

from ..core.explain import Check, Explanation, explain_instant
from ..core.explain.case import Case
from ..core.explain.outlook import standing_sentence
from ..core.instants import SECOND, Instant
from ..errors import NotFound
from ..store.base import Store
from ..store.case import find_any, last_and_next, read_case, read_outlooks
from ..store.evidence import read_present
from ..store.schedules.put import find_job, find_schedule
from ..store.tx import Tx
from . import engines

__all__ = ["Check", "Explanation", "explain", "standing", "standings", "zone_of"]

_DUE = ("scheduled", "backfill")


def explain(store: Store, schedule: str, at: Instant | None, now: Instant) -> Explanation:
    """Explain one schedule at any past or future instant; without one, the last and the next at which it is due.

    A schedule that has been removed is explained from the ledger it has left; instead of its name, a run that it was due
    for may be named: `run_12`. NotFound if no schedule ever had the name.
    """

    def read(tx: Tx) -> Explanation:
        number, due = _subject(tx, schedule)
        return _explain(tx, number, due if at is None else at, now)

    return store.read(read)


def _subject(tx: Tx, name: str) -> tuple[int, Instant | None]:
    """The schedule that is meant, and the instant if a run of it is. NotFound with what to ask instead."""
    try:
        return find_any(tx, name), None
    except NotFound:
        if not re.fullmatch(r"run_[0-9]{1,18}", name):
            if find_job(tx, name) is None:
                raise
            raise NotFound(
                f"{name!r} is a job, and explained are schedules: `watchbell schedule list` shows them, and "
                f"`watchbell run list --job {shlex.quote(name)}` the job's runs."
            ) from None
    row = tx.row("SELECT schedule, due_at, origin FROM occurrence WHERE id = ?", (int(name[4:]),))
    if row is None:
        raise NotFound(f"There is no {name}; `watchbell run list` shows the latest.")
    if row[0] is None or row[2] not in _DUE:
        raise NotFound(
            f"{name} was asked for and did not come due by a schedule: `watchbell run show {name}` shows what became of it."
        )
    return int(row[0]), int(row[1])


def _explain(tx: Tx, schedule: int, at: Instant | None, now: Instant) -> Explanation:
    running = engines.look(tx, now).running

    def told(case: Case) -> Explanation:
        return explain_instant(replace(case, running=running))

    if at is not None:
        case = read_case(tx, schedule, at, now)
        meant = _meant(case)
        return told(case if meant == at else read_case(tx, schedule, meant, now))
    found = [
        told(read_case(tx, schedule, instant, now))
        for instant in last_and_next(tx, schedule, now)
        if instant is not None
    ]
    case = read_case(tx, schedule, now, now)
    sentence = " ".join(part.sentence for part in found)
    if not found:
        outlooks = read_outlooks(tx, [schedule], case.present) if case.ended_at is None else {}
        ended = f"{case.name} has ended and was never due."
        stands = standing_sentence(outlooks[schedule], case.present, running) if outlooks else ended
        return Explanation(case.name, case.tz, None, (Check(None, stands),), stands)
    return Explanation(case.name, case.tz, None, found[0].checks, sentence, tuple(found))


def zone_of(store: Store, schedule: str, now: Instant) -> str:
    """The zone in which people read and write the instants of a schedule, removed or not. NotFound."""
    return store.read(lambda tx: read_case(tx, _subject(tx, schedule)[0], now, now).tz)


def _meant(case: Case) -> Instant:
    """The instant that is asked about. People read and write whole seconds, and an interval is counted from a fraction
    of one: where a whole second is asked for, an instant within it is meant."""
    at, version = case.at, case.version
    if at % SECOND or case.row is not None or version is None or version.chained:
        return at
    found = version.trigger.next_after(at - 1)
    return found if found is not None and found < at + SECOND else at


def standing(store: Store, schedule: str, now: Instant) -> str:
    """Where one schedule stands, in one sentence that never shows a next run in the past. NotFound."""

    def read(tx: Tx) -> str:
        number = find_schedule(tx, schedule)
        return standings(tx, [number], now)[number]

    return store.read(read)


def standings(tx: Tx, schedules: Sequence[int], now: Instant) -> dict[int, str]:
    """The same for many schedules, by their ids, within a transaction of the caller's."""
    present, running = read_present(tx, now), engines.look(tx, now).running
    return {
        number: standing_sentence(one, present, running)
        for number, one in read_outlooks(tx, schedules, present).items()
    }
