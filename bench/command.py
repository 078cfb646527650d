"""The command line: which rows, how thorough, as a table or as data."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType

from . import bursts, calls, paces, sizes
from .child import Unmeasured
from .figures import Result
from .machine import machine
from .place import place
from .session import Session
from .table import as_data, render

WHOLE_S, QUICK_S = 350.0, 85.0
INTERRUPTED = 130

# In the order of DESIGN §6, with the numbers that they can be called by.
ROWS = (
    "burst",
    "sustained",
    "lateness",
    "run-now",
    "register",
    "cron",
    "startup",
    "idle",
    "growth",
    "simulate",
)
STORED = frozenset({"startup", "idle"})

HELP = """\
rows (by name or number; all of them if none is given):
  1 burst      one-offs all due at one instant, whole life
  2 sustained  the most schedules on a 1 s interval for 20 s
  3 lateness   start − due of 1,000 schedules on a 1 s interval
  4 run-now    from a call in another process to the function
  5 register   schedules registered in bulk and one by one
  6 cron       next instants computed
  7 startup    to ready with 1,000,000 stored schedules
  8 idle       cost with 1,000,000 schedules, none due
  9 growth     cost of a run as schedules grow in number
 10 simulate   days of virtual time a minute

Nothing is asserted; the exit code is 0 whatever the figures are. Leave the machine alone meanwhile: with two cores,
whatever else runs is measured too."""


def main(arguments: list[str]) -> int:
    """Measure, and print what came of it."""
    parser = argparse.ArgumentParser(
        prog="bench", epilog=HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("row", nargs="*", help="what to measure", type=_row, default=[])
    parser.add_argument("--quick", action="store_true", help="smaller sizes, once each: under 90 seconds")
    parser.add_argument("--json", action="store_true", help="the same as data on the standard output")
    options = parser.parse_args(arguments)
    rows = frozenset(options.row or ROWS)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        result = measure(rows, options.quick)
    except KeyboardInterrupt:
        print("\ninterrupted; nothing is left behind", file=sys.stderr)
        return INTERRUPTED
    print(json.dumps(as_data(result), indent=2) if options.json else render(result))
    return 0


def _row(text: str) -> str:
    if text.isdigit() and 1 <= int(text) <= len(ROWS):
        return ROWS[int(text) - 1]
    if text in ROWS:
        return text
    raise argparse.ArgumentTypeError(f"there is no row {text!r}; use 1 to {len(ROWS)}, or {', '.join(ROWS)}")


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def measure(rows: frozenset[str], quick: bool) -> Result:
    """Measure these rows. The open-ended search comes last and takes the time that is left."""
    began = time.monotonic()
    with place() as folder:
        session = Session(folder, quick, began + (QUICK_S if quick else WHOLE_S), Result(machine(folder)))
        for row, carry_out in _steps(rows):
            if session.left_s() < 5:
                session.say(f"no time is left for {row}")
                continue
            try:
                carry_out(session)
            except Unmeasured as why:
                session.say(f"{row}: {why}")
        session.hush()
        result = session.result
    result.figures.sort(key=lambda figure: ROWS.index(figure.row))
    result.seconds = time.monotonic() - began
    return result


def _steps(rows: frozenset[str]) -> list[tuple[str, Callable[[Session], None]]]:
    steps: list[tuple[str, Callable[[Session], None]]] = [("raw limits", _raw)]
    every: list[tuple[str, Callable[[Session], None]]] = [
        ("burst", bursts.bursts),
        ("lateness", paces.lateness),
        ("run-now", calls.run_now),
        ("register", calls.register),
        ("cron", calls.cron),
        ("simulate", calls.simulated),
    ]
    steps += [step for step in every if step[0] in rows]
    if rows & STORED:
        steps.append(("startup", lambda session: sizes.stored(session, rows)))
    if "growth" in rows:
        steps.append(("growth", sizes.growth))
    if "sustained" in rows:
        steps.append(("sustained", paces.sustained))
    return steps


def _raw(session: Session) -> None:
    """Disk and commits stand beside every run: they tell a slow minute of the disk from a slow scheduler."""
    session.say("disk")
    count = 500 if session.quick else 1500
    session.limit("disk", "disk: 4 KiB appended + fdatasync", session.raw("disk", count=count)["value"], "/s")
    session.limit(
        "commits", "SQLite FULL: single-row commits", session.raw("commits", count=count)["value"], "/s"
    )
