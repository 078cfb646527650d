"""`watchbell explain` and `watchbell audit`: why, and whether everything is accounted for."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from ..services.audit import AuditReport
from ..services.audit import audit as recompute
from ..services.explain import explain as find_out
from ..services.explain import zone_of
from .kinds import instant, past_instant
from .output import emit_json, moment, say
from .setup import Read, Setup

FIGURES = ("unaccounted", "invented", "stuck", "contradicted")
NOT_ZERO = 1
_MARKS = {True: "✓", False: "✗", None: "·"}


@click.command(cls=Read)
@click.argument("schedule")
@click.option("--at", "at_", metavar="TIME", help="The instant, or a time of day such as 10:29:51, which is the latest "
              "one; else what was due last and what is due next.")  # fmt: skip
@click.option("--tz", metavar="ZONE", help="The zone of a TIME without one; else the schedule's own.")
@click.pass_obj
def explain(setup: Setup, schedule: str, at_: str | None, tz: str | None) -> None:
    """Why a schedule ran, did not run, or will run at an instant, check by check.

    In place of its name, SCHEDULE may be one of its runs, such as run_12.
    """
    now = setup.now
    with setup.store() as store:
        at = None if at_ is None else past_instant(at_, "--at", now, tz or zone_of(store, schedule, now))
        found = find_out(store, schedule, at, now)
    if setup.json:
        emit_json(found.to_json())
        return
    for part in found.items:
        say(part.subject if part.at is None else f"{part.subject} at {moment(part.at, part.tz)}")
        for check in part.checks:
            say(f"  {_MARKS[check.ok]} {check.text}")
        say(part.sentence)


@click.command(cls=Read)
@click.option("--from", "from_", metavar="TIME", help="Only from this time on.")
@click.option("--to", "to_", metavar="TIME", help="Only up to this time; else now.")
@click.option("--schedule", metavar="NAME", help="Only this schedule.")
@click.pass_obj
def audit(setup: Setup, from_: str | None, to_: str | None, schedule: str | None) -> int:
    """Recompute what was due, with other code than the planner's, and compare it with the ledger.

    Exits with 1 if any of the four figures is not 0, or a schedule cannot be judged.
    """
    now = setup.now
    start = None if from_ is None else instant(from_, "--from", now, "UTC")
    end = None if to_ is None else instant(to_, "--to", now, "UTC")
    with setup.store() as store, _progress(setup) as progress:
        report = recompute(store, now=now, from_at=start, to_at=end, schedule=schedule, progress=progress)
    if setup.json:
        emit_json(report.to_json())
    else:
        _show(report)
    return 0 if report.ok else NOT_ZERO


def _show(report: AuditReport) -> None:
    for name in FIGURES:
        say(f"{name}: {getattr(report, name):,}")
    if report.unknown:
        say(f"unknown: {len(report.unknown):,}")
    for finding in report.findings:
        say(f"  {finding.kind}: {finding.sentence}")
    for item in report.unknown:
        say(f"  unknown: {item.schedule}: {item.why}")
    for key, stored, counted in report.gates:
        say(f"  the gate {key} says {stored} active; the ledger has {counted}")
    say(report.sentence)


@contextmanager
def _progress(setup: Setup) -> Iterator[Callable[[int, int], None] | None]:
    """A bar on the terminal while it lasts; nothing in a pipe."""
    if setup.json or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        line = bar.add_task("schedules")
        yield lambda done, total: bar.update(line, completed=done, total=total)
