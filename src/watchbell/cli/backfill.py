"""`watchbell backfill` and `watchbell run retry`: what never ran is reopened; what ran is run once more by hand."""

from __future__ import annotations

import click

from ..services import backfill as service
from ..services.backfill import LIMIT, MOST, Stretch
from ..services.explain import zone_of
from .kinds import instant
from .output import emit_json, say
from .setup import Read, Setup


@click.command(cls=Read)
@click.argument("schedule")
@click.option(
    "--from", "from_", metavar="TIME", required=True, help="From this time on, in the schedule's zone."
)
@click.option("--to", "to_", metavar="TIME", help="Up to this time; else now.")
@click.option(
    "--limit", type=click.IntRange(1, MOST), default=LIMIT, show_default=True, help="At most so many."
)
@click.option("--dry-run", is_flag=True, help="Only say how many, and what had become of them.")
@click.option(
    "--force", is_flag=True, help="Also run by hand what retention has removed, whether or not it ran."
)
@click.pass_obj
def backfill(
    setup: Setup, schedule: str, from_: str, to_: str | None, limit: int, dry_run: bool, force: bool
) -> None:
    """Reopen what SCHEDULE was due for and never ran, oldest first.

    Missed, skipped, coalesced and superseded occurrences, also those that are kept as spans, and instants before the
    schedule was there. They run one after the other, behind everything fresh, through all limits.
    """
    now = setup.now
    with setup.store() as store:
        tz = zone_of(store, schedule, now)
        start = instant(from_, "--from", now, tz)
        end = now if to_ is None else instant(to_, "--to", now, tz)
        stretch = Stretch(start, end, limit, force)
        done = service.backfill(store, schedule, stretch, dry_run=dry_run, now=now, actor=setup.actor)
    if setup.json:
        emit_json(done.to_json())
    else:
        say(done.sentence)


@click.command(cls=Read)
@click.argument("run_id", metavar="RUN")
@click.pass_obj
def retry(setup: Setup, run_id: str) -> None:
    """Run once more what has ended, such as run_12.

    What never ran is reopened. What ran gets a run by hand that points at it, with the same arguments.
    """
    with setup.store() as store:
        made = service.retry_run(store, run_id, now=setup.now, actor=setup.actor)
    if setup.json:
        emit_json(made.to_json())
    else:
        say(made.sentence)
