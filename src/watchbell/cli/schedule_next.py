"""`watchbell schedule next`: when something would be due, of a rule alone or of a schedule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import click

from ..core.instants import human_duration
from ..core.triggers import Trigger
from ..errors import StoreError, WatchbellError
from ..services import database, previews, what_if
from ..services.what_if import WhatIf, Wish
from .kinds import SPAN, instant
from .output import emit_json, moment, say
from .setup import Read, Setup

T = TypeVar("T")


@click.command("next", cls=Read)
@click.argument("expression_or_name", metavar="EXPR|NAME")
@click.option("--tz", metavar="ZONE", help="The time zone of the expression, such as Europe/Berlin.")
@click.option("--from", "start", metavar="TIME", help="Look behind this time instead of now.")
@click.option(
    "--count", type=click.IntRange(1, previews.MOST), default=5, show_default=True, help="How many."
)
@click.option(
    "--if-down", multiple=True, metavar="01:00-09:00", help="As if no engine were up then; may be repeated."
)
@click.option("--if-takes", type=SPAN, metavar="SPAN", help="As if each run took so long.")
@click.pass_obj
def next_(setup: Setup, /, expression_or_name: str, **given: Any) -> None:
    """When a rule, or a schedule of that name, would be due next; and what would become of it, if.

    EXPR is a cron expression ("30 2 * * 1-5", "@daily"), a span ("15m"), a time, a phrase ("every weekday at 9:00") or a
    trigger's text; it needs no database. A schedule of that name comes first, where there is one. With --if-down or
    --if-takes every instant is told with what the policies would do, and with the next two changes of the clocks.
    """
    tz, start, count = given["tz"], given["start"], given["count"]
    after = setup.now if start is None else instant(start, "--from", setup.now, tz or "UTC")
    if given["if_down"] or given["if_takes"] is not None:
        wish = Wish(after, count, given["if_down"], given["if_takes"], tz)
        _tell(setup, _find(setup, expression_or_name, tz, _Asker(
            lambda store, name: what_if.of_schedule(store, name, wish), lambda rule: what_if.of_rule(rule, wish)
        )))  # fmt: skip
        return
    found = _find(setup, expression_or_name, tz, _Asker(
        lambda store, name: previews.of_schedule(store, name, after=after, count=count, tz=tz),
        lambda rule: previews.of_rule(rule, after=after, count=count, tz=tz),
    ))  # fmt: skip
    if setup.json:
        emit_json(found.to_json())
        return
    said = expression_or_name.split()[0] if expression_or_name.strip() else ""
    if (
        found.schedule is None
        and len(said) > 1
        and said.isalpha()
        and said != found.trigger.partition(" ")[0]
    ):
        say(f"Understood as: {found.trigger}")
    say(f"{found.rule}:" if found.instants else f"{found.rule}.")
    starts = found.starts or found.instants
    for at, nominal, begins in zip(found.instants, found.stands_for, starts, strict=True):
        start = moment(begins, found.tz)
        later = f", starts {start}" if start != moment(at, found.tz) else ""
        say(f"  {moment(at, found.tz)}{later}" + (f"  (stands for {', '.join(nominal)})" if nominal else ""))
    if found.note:
        say(f"{found.note[0].upper()}{found.note[1:]}.")


def _tell(setup: Setup, found: WhatIf) -> None:
    if setup.json:
        emit_json(found.to_json())
        return
    long = f"; each run takes {human_duration(found.takes_us)}" if found.takes_us else ""
    say(f"{found.rule}{long}:")
    for fate in found.fates:
        names = f"  (stands for {', '.join(fate.stands_for)})" if fate.stands_for else ""
        say(f"  {moment(fate.due_at, found.tz)}  {fate.sentence}{names}")
    for change in found.changes:
        say(f"Clock change {change.sentence}.")
    if not found.changes:
        say(f"The clocks of {found.tz} do not change.")
    if found.note:
        say(f"{found.note[0].upper()}{found.note[1:]}.")


@dataclass(frozen=True, slots=True)
class _Asker(Generic[T]):
    """How a schedule and how a rule is asked."""

    schedule: Callable[[database.Store, str], T | None]
    rule: Callable[[Trigger], T]


def _find(setup: Setup, text: str, tz: str | None, ask: _Asker[T]) -> T:
    refused: WatchbellError | None = None
    try:
        rule = previews.read_rule(text, tz)
    except WatchbellError as error:
        rule, refused = None, error
    if database.exists(setup.url):
        try:
            with setup.store() as store:
                found = ask.schedule(store, text)
            if found is not None:
                return found
        except StoreError:
            if rule is None:
                raise
    if rule is not None:
        return ask.rule(rule)
    assert refused is not None
    raise previews.neither(text, refused)
