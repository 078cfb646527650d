"""The options that say what a schedule is: its rule of time, what it runs, its policies and labels; and what they are read as.

`schedule add` and `schedule edit` share them: an option is added here once, in the list it belongs to, and read once, in
the function beside it. Every option is None (or empty) where it is not given, so that an edit leaves it as it is.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import click

from ..core.blackout import Blackout, parse_blackout
from ..core.instants import parse_instant
from ..core.policies import CatchUp, CatchUpOrder, Overlap, Policies, Retry
from ..core.rates import parse_rate
from ..core.triggers import (
    DSTS,
    SHORT_MONTHS,
    Interval,
    Once,
    Trigger,
    cron,
    every,
    manual,
    once,
    parse_trigger,
)
from ..errors import BadInput, WatchbellError
from ..services.previews import read_rule
from .kinds import SPAN
from .setup import several

GAPS = ("end", "shift", "skip")
FOLDS = ("first", "second", "both")
COMMAND_ONLY = (
    *("cwd", "env", "inherit_env", "user", "success_codes", "memory"),
    *("on", "limit", "rate", "only_if"),
)
_GOES_WITH = {
    "dst": ("--cron", "--calendar"),
    "gap": ("--cron", "--calendar"),
    "fold": ("--cron", "--calendar"),
    "from_": ("--calendar",),
    "short_month": ("--calendar",),
    "start_at": ("--every",),
    "run_at_start": ("--every",),
    "after_completion": ("--every",),
}

rule_options = several(
    click.option("--cron", "cron_", metavar="EXPR", help="A cron expression of 5 or 6 fields, or @daily …"),
    click.option("--every", "every_", metavar="SPAN", help="A period, such as 15m."),
    click.option(
        "--calendar",
        "calendar_",
        metavar="TEXT",
        help="Of the calendar, such as 'every 3 months on the last business day at 09:00'.",
    ),
    click.option(
        "--when",
        "when_",
        metavar="TEXT",
        help="In words, such as 'every weekday at 9:00'; or a trigger's text: rrule …, any (…) (…), except (…) ….",
    ),
    click.option("--at", "at_", metavar="TIME", help="One instant, such as '2026-12-24 18:00' or +10m."),
    click.option("--manual", "manual_", is_flag=True, help="Never by itself; only by `watchbell run now`."),
    click.option(
        "--tz", metavar="ZONE", help="The time zone, such as Europe/Berlin; else the configured one, UTC."
    ),
    click.option("--dst", type=click.Choice(sorted(DSTS)), help="Times on the wall, or real time."),
    click.option("--gap", type=click.Choice(GAPS), help="A time that the clocks leave out."),
    click.option("--fold", type=click.Choice(FOLDS), help="A time that the clocks show twice."),
    click.option(
        "--from", "from_", metavar="DATE", help="Where the calendar's periods are counted from; else today."
    ),
    click.option(
        "--short-month", type=click.Choice(SHORT_MONTHS), help="Day 31 where there is none; else clamp."
    ),
    click.option("--start-at", metavar="TIME", help="What the period is counted from; else now."),
    click.option("--run-at-start", is_flag=True, help="Run once at creation as well."),
    click.option("--after-completion", is_flag=True, help="Count the period from the end of each run."),
)
job_options = several(
    click.option("--job", metavar="NAME", help="A job that an application has declared."),
    click.option(
        "--arg", multiple=True, metavar="K=V", help="An argument of the job or the request; may be repeated."
    ),
)
command_options = several(
    click.option("--shell", metavar="TEXT", help="A text for /bin/sh instead of a command behind --."),
    click.option("--cwd", metavar="FOLDER", help="Where the command starts; else the present folder."),
    click.option("--env", multiple=True, metavar="K=V", help="An environment variable; may be repeated."),
    click.option("--inherit-env", is_flag=True, help="Give the command the environment of the engine."),
    click.option("--user", help="The account it runs as, where the engine runs as root."),
    click.option("--success-codes", metavar="N,N", help="The exit codes that count as success; else 0."),
    click.option("--memory", metavar="SIZE", help="End a run that uses more memory than this, such as 512M."),
    click.option(
        "--on", multiple=True, metavar="LABEL", help="Only on a node with this label; may be repeated."
    ),
    click.option("--limit", multiple=True, metavar="KEY=N", help="At most N runs with this key at once."),
    click.option(
        "--rate",
        multiple=True,
        metavar="[KEY=]N/SPAN",
        help="At most N starts in any span, of its own or with this key, such as 10/1m.",
    ),
)
policy_options = several(
    click.option(
        "--catchup",
        type=click.Choice([one.value for one in CatchUp]),
        help="What missed ones become; else latest.",
    ),
    click.option("--catchup-limit", type=int, help="At most so many of them."),
    click.option("--catchup-window", type=SPAN, metavar="SPAN", help="None older than this."),
    click.option(
        "--catchup-order",
        type=click.Choice([one.value for one in CatchUpOrder]),
        help="Which of all missed ones first; else oldest.",
    ),
    click.option("--catchup-rate", metavar="N/SPAN", help="At most N of a backlog start in any span: 10/1m."),
    click.option("--spread", type=SPAN, metavar="SPAN", help="Start by up to this later, always the same."),
    click.option("--jitter", type=SPAN, metavar="SPAN", help="Start by up to this later, each time another."),
    click.option(
        "--overlap",
        type=click.Choice([one.value for one in Overlap]),
        help="While one runs still; else skip.",
    ),
    click.option("--overlap-max", type=int, help="At most so many queued, or at once."),
    click.option("--timeout", type=SPAN, metavar="SPAN", help="End an attempt after this."),
    click.option("--retry", type=click.IntRange(0, 1000), help="Try a failed run again so many times."),
    click.option("--retry-delay", type=SPAN, metavar="SPAN", help="The first wait between two attempts."),
    click.option(
        "--start-deadline", type=SPAN, metavar="SPAN", help="Let one go that could not begin by then."
    ),
    click.option("--grace", type=SPAN, metavar="SPAN", help="Tell of one that begins later than this."),
    click.option("--priority", type=int, help="Lower runs first; else 0."),
    click.option(
        "--blackout",
        multiple=True,
        metavar="TEXT",
        help="No runs then: 'FROM/TO ZONE' or 'cron EXPR for SPAN'; may be repeated.",
    ),
    click.option(
        "--only-if", metavar="CMD", help="Run only if this command for /bin/sh ends with exit code 0."
    ),
    click.option(
        "--pause-after-failures",
        type=click.IntRange(1, 1000),
        metavar="N",
        help="Pause after so many in a row.",
    ),
)
later_options = several(
    click.option("--apply-from", metavar="TIME", help="Let the edit take effect then, and not now."),
    click.option("--take-back", is_flag=True, help="Drop the edit that waits for its instant."),
)
label_options = several(
    click.option("--tag", multiple=True, help="A tag; may be repeated."),
    click.option("--about", help="What it is for, in words."),
)


def rule_kinds(given: dict[str, Any]) -> dict[str, Any]:
    """The options that bring a rule of time, of those that are given."""
    kinds = {
        "--cron": given["cron_"],
        "--every": given["every_"],
        "--calendar": given["calendar_"],
        "--when": given.get("when_"),
        "--at": given["at_"],
        "--manual": given["manual_"] or None,
    }
    return {name: value for name, value in kinds.items() if value is not None}


def trigger_of(given: dict[str, Any], now: int, zone: str = "UTC") -> Trigger:
    """The rule of time; exactly one kind, and only the options that go with it. Times without a zone are read in `zone`."""
    chosen = list(rule_kinds(given))
    if len(chosen) != 1:
        said = f"not {' and '.join(chosen)} together" if chosen else "there is none"
        raise BadInput(
            f"A schedule needs one of --cron, --every, --calendar, --when, --at or --manual; {said}."
        )
    kind = chosen[0]
    for option, goes_with in _GOES_WITH.items():
        if given[option] and kind not in goes_with:
            name = option.rstrip("_").replace("_", "-")
            raise BadInput(f"--{name} goes with {' or '.join(goes_with)}, not with {kind}.")
    if given["tz"] is not None and (kind == "--manual" or (kind == "--every" and not given["start_at"])):
        raise BadInput(f"--tz says nothing with {kind}; leave it out.")
    try:
        return _made(kind, given, now, zone)
    except WatchbellError as error:
        raise type(error)(f"{kind}: {error}") from error


def _made(kind: str, given: dict[str, Any], now: int, zone: str) -> Trigger:
    tz = given["tz"]
    if kind == "--cron":
        chosen = {name: given[name] for name in ("dst", "gap", "fold") if given[name] is not None}
        return cron(given["cron_"], tz=tz, **chosen)
    if kind == "--calendar":
        options = {"tz": tz, "start": given["from_"]}
        options |= {name: given[name] for name in ("short_month", "dst", "gap", "fold")}
        words = [f"{name}={value}" for name, value in options.items() if value is not None]
        return parse_trigger(" ".join(["calendar", given["calendar_"], *words]))
    if kind == "--when":
        return read_rule(given["when_"], tz)
    if kind == "--at":
        text = given["at_"]
        return (
            once(parse_instant(text, tz, now))
            if text.lstrip()[:1] in ("+", "-")
            else once(text, tz=tz or zone)
        )
    if kind == "--manual":
        return manual()
    start = None if given["start_at"] is None else parse_instant(given["start_at"], tz or zone, now)
    found = every(
        given["every_"],
        start_at=start,
        run_at_start=given["run_at_start"],
        after_completion=given["after_completion"],
    )
    if not isinstance(found, Interval) and (given["run_at_start"] or given["after_completion"]):
        raise BadInput("a period of 0 is never due by itself; give one, or write --manual")
    return found


_PARTS = ("tz", "dst", "gap", "fold", "short_month", "start_at", "after_completion")


def edited_rule(given: dict[str, Any], before: Trigger | None, now: int, zone: str) -> Trigger | None:
    """The rule that an edit wants: another one, which keeps what changes of the clocks do to it where it is of the same
    kind; or the one that there is, with another zone and such; None where nothing is said about it."""
    if given["run_at_start"]:
        raise BadInput("--run-at-start is for the creation of a schedule; `watchbell run now` runs it now.")
    parts = {name: given[name] for name in _PARTS if given.get(name)}
    if rule_kinds(given):
        found = trigger_of(given, now, zone)
        kept = ("dst", "gap", "fold") if type(found) is type(before) and hasattr(found, "dst") else ()
        return replace(found, **{name: getattr(before, name) for name in kept if name not in parts})
    if given.get("from_"):
        raise BadInput("--from goes with --calendar.")
    if not parts:
        return None
    if before is None:
        raise BadInput("The rule of this schedule cannot be read any more: bring another, such as --cron.")
    if isinstance(before, Once) and set(parts) == {"tz"} and before.wall is not None:
        return once(before.wall, tz=parts["tz"])
    for name in parts:
        if not hasattr(before, name) or isinstance(before, Once):
            raise BadInput(
                f"--{name.replace('_', '-')} says nothing about a rule like {before.describe()!r}."
            )
    if "start_at" in parts:
        parts["start_at"] = parse_instant(parts["start_at"], parts.get("tz") or zone, now)
    return replace(before, **parts)


def policies_of(given: dict[str, Any], base: Policies = Policies()) -> Policies:
    """The policies of `base` with those that are given in place of its own. Raises BadPolicy, BadInput."""
    values: dict[str, Any] = {
        "catchup": None if given["catchup"] is None else CatchUp(given["catchup"]),
        "catchup_limit": given["catchup_limit"],
        "catchup_window_us": given["catchup_window"],
        "catchup_order": None if given["catchup_order"] is None else CatchUpOrder(given["catchup_order"]),
        "catchup_rate": None if given["catchup_rate"] is None else parse_rate(given["catchup_rate"]),
        "spread_us": given["spread"],
        "jitter_us": given["jitter"],
        "overlap": None if given["overlap"] is None else Overlap(given["overlap"]),
        "overlap_max": given["overlap_max"],
        "timeout_us": given["timeout"],
        "start_deadline_us": given["start_deadline"],
        "grace_us": given["grace"],
        "priority": given["priority"],
        "retry": _retry(given, base.retry),
        "blackouts": _blackouts(given["blackout"]),
        "condition": given["only_if"],
        "pause_after_failures": given["pause_after_failures"],
    }
    return replace(base, **{name: value for name, value in values.items() if value is not None})


def _blackouts(texts: tuple[str, ...]) -> tuple[Blackout, ...] | None:
    """Those that are given, in place of all that were there; "none" takes them away."""
    if texts == ("none",):
        return ()
    return tuple(map(parse_blackout, texts)) or None


def _retry(given: dict[str, Any], base: Retry | None) -> Retry | None:
    again, delay = given["retry"], given["retry_delay"]
    if again is None and delay is None:
        return None
    if again is None and base is None:
        raise BadInput("--retry-delay goes with --retry N.")
    found = base or Retry()
    if again is not None:
        found = replace(found, max_attempts=again + 1)
    return found if delay is None else replace(found, delay_us=delay)
