"""The command line: which rows, on which database, how thorough, as a table or as data."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType

from . import bursts, calls, crowds, deaths, nodes, paces, restarts, sizes
from .child import Unmeasured
from .database import NAMES, POSTGRES, SQLITE
from .figures import Figure, Result
from .machine import machine
from .place import place
from .server import NoServer, at_hand, becomes_one_with_a_server
from .session import Session
from .table import as_data, render

WHOLE_S = {SQLITE: 350.0, POSTGRES: 900.0}
QUICK_S = {SQLITE: 85.0, POSTGRES: 270.0}
INTERRUPTED = 130
MISUSED = 2

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
    "nodes",
    "death",
    "restart",
    "crowd",
)
STORED = frozenset({"startup", "idle"})
WITHOUT_DATABASE = frozenset({"cron", "simulate"})
NOT_ON_SQLITE = {
    "nodes": "one engine acts on a file, and the others stand by",
    "restart": "there is no server to be restarted",
}
ON = {SQLITE: (SQLITE,), POSTGRES: (POSTGRES,), "both": (SQLITE, POSTGRES)}

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
 11 nodes      burst and sustained with 1, 2 and 4 engines on one database (PostgreSQL)
 12 death      an engine dies: until what it held is resolved
 13 restart    the server is restarted: until runs begin again (PostgreSQL)
 14 crowd      100,000 schedules due in one second: a run that is asked for meanwhile

PostgreSQL is the server that the tests use: the one that WATCHBELL_TEST_POSTGRES names, one that answers here, or one of our
own. Every measurement has a database of its own there, which is dropped afterwards.

Nothing is asserted; the exit code is 0 whatever the figures are. Leave the machine alone meanwhile: with two cores,
whatever else runs is measured too."""


def main(arguments: list[str]) -> int:
    """Measure, and print what came of it."""
    options = _options(arguments)
    rows = frozenset(options.row or ROWS)
    kinds = ON[options.on]
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        if POSTGRES in kinds:
            becomes_one_with_a_server(arguments)
        result = measure(rows, options.quick, kinds, named=bool(options.row))
    except KeyboardInterrupt:
        print("\ninterrupted; nothing is left behind", file=sys.stderr)
        return INTERRUPTED
    except NoServer as why:
        print(f"bench: {why}", file=sys.stderr)
        return MISUSED
    print(json.dumps(as_data(result), indent=2) if options.json else render(result))
    return 0


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="bench", epilog=HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("row", nargs="*", help="what to measure", type=_row, default=[])
    parser.add_argument("--on", choices=ON, default=SQLITE, help="which database (sqlite)")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="smaller sizes, once each: a minute and a half, on PostgreSQL some four",
    )
    parser.add_argument("--json", action="store_true", help="the same as data on the standard output")
    return parser.parse_args(arguments)


def _row(text: str) -> str:
    if text.isdigit() and 1 <= int(text) <= len(ROWS):
        return ROWS[int(text) - 1]
    if text in ROWS:
        return text
    raise argparse.ArgumentTypeError(f"there is no row {text!r}; use 1 to {len(ROWS)}, or {', '.join(ROWS)}")


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def measure(rows: frozenset[str], quick: bool, kinds: tuple[str, ...], named: bool) -> Result:
    """Measure these rows on these kinds of database. The open-ended search comes last and takes the time that is left.
    What cannot be measured on a kind is said where it was asked for by its name."""
    began = time.monotonic()
    with place() as folder, at_hand(POSTGRES in kinds) as server:
        result = Result(machine(folder, None if server is None else server.server))
        for number, kind in enumerate(kinds):
            ends_at = time.monotonic() + (QUICK_S if quick else WHOLE_S)[kind]
            session = Session(folder, quick, ends_at, result, server if kind == POSTGRES else None)
            _measure(session, rows - WITHOUT_DATABASE if number else rows, named)
            session.hush()
    # Stable: of one row, the first kind's figures come first.
    result.figures.sort(key=lambda figure: ROWS.index(figure.row))
    result.seconds = time.monotonic() - began
    return result


def _measure(session: Session, rows: frozenset[str], named: bool) -> None:
    if session.on == SQLITE:
        for row in sorted(rows & NOT_ON_SQLITE.keys()):
            if named:
                session.add(Figure(row, "not measured", None, "", note=NOT_ON_SQLITE[row]))
        rows -= NOT_ON_SQLITE.keys()
    for row, carry_out in _steps(rows):
        if session.left_s() < 5:
            session.say(f"no time is left for {row}")
            continue
        try:
            carry_out(session)
        except Unmeasured as why:
            session.say(f"{row}: {why}")


def _steps(rows: frozenset[str]) -> list[tuple[str, Callable[[Session], None]]]:
    steps: list[tuple[str, Callable[[Session], None]]] = [("raw limits", _raw)]
    every: list[tuple[str, Callable[[Session], None]]] = [
        ("burst", bursts.bursts),
        ("lateness", paces.lateness),
        ("run-now", calls.run_now),
        ("register", calls.register),
        ("cron", calls.cron),
        ("simulate", calls.simulated),
        ("death", deaths.deaths),
        ("restart", restarts.restarts),
        ("crowd", crowds.crowd),
    ]
    steps += [step for step in every if step[0] in rows]
    if rows & STORED:
        steps.append(("startup", lambda session: sizes.stored(session, rows)))
    steps += [
        step
        for step in (("growth", sizes.growth), ("nodes", nodes.nodes), ("sustained", paces.sustained))
        if step[0] in rows
    ]
    return steps


def _raw(session: Session) -> None:
    """Disk and commits stand beside every run: they tell a slow minute of the disk from a slow scheduler."""
    count = 500 if session.quick else 1500
    if "disk" not in session.result.limits:
        session.say("disk")
        value = session.raw("disk", count=count)["value"]
        session.common_limit("disk", "disk: 4 KiB appended + fdatasync", value, "/s")
    session.say(f"commits on {NAMES[session.on]}")
    title = {SQLITE: "single-row commits, FULL", POSTGRES: "single-row commits, one connection"}[session.on]
    session.limit("commits", title, session.raw("commits", count=count)["value"], "/s")
