"""Rows 2 and 3: schedules on an interval of a second. How many are sustained, and how late they begin."""

from __future__ import annotations

import time
from dataclasses import dataclass

from .child import Unmeasured
from .database import POSTGRES, SQLITE
from .figures import Figure, quantile
from .ledger import Ledger
from .session import Session, sleep_until
from .stock import SECOND, each, fill, now_us, prepare

MOST_LATE_US = SECOND
SUSTAINED_AIM = {SQLITE: 30_000, POSTGRES: 15_000}
LATENESS_AIM = {SQLITE: (2.0, 10.0), POSTGRES: (5.0, 25.0)}
PROBE_S, WHOLE_S = 4, 20
LARGEST = 128_000
WHOLE_COST_S = 30.0


@dataclass(frozen=True, slots=True)
class Pace:
    """How so many schedules went for a while."""

    count: int
    wanted: int
    ran: int
    p50_us: float
    p99_us: float

    @property
    def sustained(self) -> bool:
        """Every run is in the ledger, and 99 of 100 began within a second."""
        return self.ran == self.wanted and self.p99_us < MOST_LATE_US

    def words(self) -> str:
        """In words, for the note."""
        return (
            f"{self.count:,} schedules: {self.ran:,} of {self.wanted:,} runs, lateness p50 {self.p50_us / 1000:,.0f} ms, "
            f"p99 {self.p99_us / 1000:,.0f} ms"
        )


def pace(session: Session, count: int, seconds: int, spread: bool = False, engines: int = 1) -> Pace:
    """Let `count` schedules be due each second, all at once or spread over it."""
    with session.database() as database:
        prepare(database.url)
        with session.engines(database, engines), Ledger(database) as ledger:
            start = ((now_us() + session.filling_us(count)) // SECOND + 2) * SECOND
            if spread:
                groups = [each(1, start + place * SECOND // count, 1) for place in range(count)]
            else:
                groups = [each(1, start, count)]
            fill(database.url, groups)
            end = start + seconds * SECOND
            while (now := now_us()) < end:
                if ledger.behind_us(now) > 2 * MOST_LATE_US:
                    break  # a whole second of them is late by more than a second
                time.sleep(min(0.25, (end - now) / 1e6 + 0.001))
            sleep_until(min(end, now_us()) + 700_000)
            late = ledger.lateness_us(start, end)
    if not late:
        raise Unmeasured(f"none of {count:,} schedules has run")
    return Pace(count, count * seconds, len(late), quantile(late, 0.5), quantile(late, 0.99))


def lateness(session: Session) -> None:
    """Row 3: 1,000 schedules, spread over the second and all at one instant."""
    seconds = 4 if session.quick else 10
    session.say("raw lateness of a thread and of a loop")
    raw = {True: session.raw("timers", seconds=2.0), False: session.raw("together", count=1000, times=10)}
    names = {True: "spread over the second", False: "all at one instant"}
    for spread in (True, False):
        session.say(f"1,000 schedules on a 1 s interval, {names[spread]}, {seconds} s")
        found, note = None, ""
        try:
            found = pace(session, 1000, seconds, spread)
            note = "" if found.ran == found.wanted else found.words()
        except Unmeasured as why:
            note = str(why)
        for word, aim in zip(("p50", "p99"), LATENESS_AIM[session.on], strict=True):
            what = (
                "a thread waiting for 1,000 instants a second" if spread else "1,000 coroutines begun at once"
            )
            beside = session.common_limit(
                f"late-{spread}-{word}", f"lateness of {what}, {word}", raw[spread][word], "ms"
            )
            value = None if found is None else (found.p50_us if word == "p50" else found.p99_us) / 1000
            title = f"lateness, 1,000 schedules each second, {names[spread]}, {word}"
            session.add(Figure("lateness", title, value, "ms", aim, less=True, limit=beside, note=note))
            note = ""


def sustained(session: Session) -> None:
    """Row 2: the largest size found; or one size, when in a hurry."""
    title = f"schedules on a 1 s interval sustained for {whole_s(session)} s, all at one instant"
    session.add(most(session, "sustained", title, session.ends_at))


def whole_s(session: Session) -> int:
    """For how long a size has to be sustained."""
    return WHOLE_S // 2 if session.quick else WHOLE_S


def most(session: Session, row: str, title: str, ends_at: float, engines: int = 1) -> Figure:
    """The largest size that so many engines sustain, as far as it is found by `ends_at`."""
    beside = session.path_limit(10_000)
    best: float | None
    try:
        best, note = _one_size(session, engines) if session.quick else _largest(session, ends_at, engines)
    except Unmeasured as why:
        best, note = None, str(why)
    return Figure(row, title, best, "", SUSTAINED_AIM[session.on], limit=beside, note=note)


def _one_size(session: Session, engines: int, count: int = 5_000) -> tuple[float | None, str]:
    found = _probe(session, count, WHOLE_S // 2, engines)
    return (count if found.sustained else None), f"one size only ({found.words()})"


def _largest(session: Session, ends_at: float, engines: int) -> tuple[float | None, str]:
    """Double until it fails, narrow, and let the answer stand for the whole time."""

    def left_s() -> float:
        return ends_at - time.monotonic()

    good, bad, size = 0, LARGEST, 4_000
    while size < LARGEST and left_s() > WHOLE_COST_S + 12:
        if not _probe(session, size, PROBE_S, engines).sustained:
            bad = size
            break
        good, size = size, size * 2
    while good and bad - good > max(500, good // 8) and left_s() > WHOLE_COST_S + 12:
        middle = (good + bad) // 2 // 250 * 250
        if _probe(session, middle, PROBE_S, engines).sustained:
            good = middle
        else:
            bad = middle
    size, last = good or bad // 2, ""
    while left_s() > WHOLE_COST_S and size >= 100:
        found = _probe(session, size, WHOLE_S, engines)
        last = found.words()
        if found.sustained:
            return size, f"{last}; {bad:,} was too much"
        bad, size = size, size * 17 // 20 // 50 * 50
    return None, f"no size was found in the time there was; {last or f'{PROBE_S} s of {good:,} went well'}"


def _probe(session: Session, count: int, seconds: int, engines: int) -> Pace:
    of = f", {engines} engines" if engines > 1 else ""
    session.say(f"{count:,} schedules on a 1 s interval for {seconds} s{of}")
    return pace(session, count, seconds, engines=engines)
