"""What the options of the commands are read as: spans, instants, pairs; each refusal says what to write."""

from __future__ import annotations

import re
from collections.abc import Iterable

import click

from ..core.instants import DAY, local_text, parse_duration, parse_instant, read_time
from ..core.wallclock import zone_rules
from ..errors import BadInput, WatchbellError


class Span(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # generic in newer clicks only
    """A span of time such as 10m, in microseconds."""

    name = "span"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read it; a number is microseconds already."""
        if isinstance(value, int):
            return value
        try:
            return parse_duration(str(value))
        except WatchbellError as error:
            self.fail(f"{error}", param, ctx)


SPAN = Span()
LARGEST = 2**63 - 1  # that the database can hold
NUMBER = click.IntRange(1, LARGEST)
MOST_AT_ONCE = 2**31 - 1
_SHOWN = 80


def echoed(text: str) -> str:
    """What a person wrote, as a sentence shows it: control characters escaped, and no longer than a line."""
    shown = repr(text)
    return shown if len(shown) <= _SHOWN else f"{shown[: _SHOWN - 1]}…"


def instant(text: str, option: str, now: int, tz: str | None = None) -> int:
    """An instant from what a person writes; the refusal names the option."""
    try:
        return parse_instant(text, tz, now)
    except WatchbellError as error:
        raise type(error)(f"{option}: {error}") from error


_TIME_OF_DAY = re.compile(r"([01]?[0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,9})?)?")


def past_instant(text: str, option: str, now: int, tz: str) -> int:
    """An instant that is asked about. A bare time of day such as "10:29:51" is the latest such instant in the zone that
    is not ahead of now."""
    stripped = text.strip()
    if not _TIME_OF_DAY.fullmatch(stripped):
        return instant(text, option, now, tz)
    rules, time = (
        zone_rules(tz),
        stripped.rjust(5, "0") if stripped.count(":") == 1 else stripped.rjust(8, "0"),
    )
    for days in range(
        3
    ):  # in a zone east of UTC, today's date there may be a day that its clocks have not shown yet
        day = local_text(now - days * DAY, tz)[:10]
        reading = rules.from_local(read_time(f"{day} {time}")[0])
        behind = [at for at in reading.instants or reading.chosen() if at <= now]
        if behind:
            return behind[-1]
    raise BadInput(f"{option}: {text!r} is no time of day that there has been; write its date as well.")


def since(text: str, option: str, now: int) -> int:
    """The beginning of a past span: a time (UTC, where it names no zone), or how long ago ("2h")."""
    try:
        return now - parse_duration(text)
    except BadInput:
        return instant(text, option, now, "UTC")


def pairs(texts: Iterable[str], option: str, example: str) -> dict[str, str]:
    """NAME=VALUE texts as a dictionary."""
    found: dict[str, str] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign or not name:
            raise BadInput(f"{option} {echoed(text)} is no pair; write {option} {example}.")
        if name in found:
            raise BadInput(f"{option} {echoed(name)} is written twice.")
        found[name] = value
    return found


def whole(text: str, option: str, example: str) -> int:
    """A whole number."""
    try:
        found = int(text)
    except ValueError:
        raise BadInput(f"{option} {echoed(text)} holds no whole number; write {option} {example}.") from None
    if abs(found) > MOST_AT_ONCE:
        raise BadInput(f"{option} {echoed(text)} is beyond {MOST_AT_ONCE:,}; write {option} {example}.")
    return found
