"""A great many expressions, most of them nonsense: each is read or refused with a sentence, and no question to it takes long.

How long is counted in the steps of the search itself (months and periods that are looked into), so that the answer does
not depend on the machine. With `--release` there are a million, and the clock is looked at as well.
"""

from __future__ import annotations

import gc
import json
import random
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from watchbell.core.audit.recount import implied_count, rule_of
from watchbell.core.instants import DAY, EARLIEST, LATEST, parse_instant
from watchbell.core.triggers import Trigger, parse_trigger, trigger_from_json
from watchbell.core.triggers.calendar_dates import CalendarDates, calendar_dates
from watchbell.core.triggers.calendar_trigger import _shared_walk
from watchbell.core.triggers.cron_fields import parse_cron
from watchbell.core.triggers.pattern import Dates, dates_of, pattern_of
from watchbell.core.triggers.walk import walk
from watchbell.errors import BadInput

START = parse_instant("2026-11-21T09:17:03Z")
YEAR = 366 * DAY
# The calendar repeats itself after 400 years, 4,800 months: a search looks into so many at most, for the next match and the
# one behind it, and a count into so many in each of the two long stretches without changes, before 1970 and after 2100.
MOST_STEPS = 4 * 4_800
MOST_SECONDS = 0.050
ZONES = (
    "",
    "",
    " tz=Europe/Berlin",
    " tz=America/Santiago",
    " tz=Australia/Lord_Howe",
    " tz=Pacific/Apia",
    " tz=Mars/Base",
)
CLOCKS = (
    "",
    "",
    "",
    " dst=wall",
    " dst=rhythm gap=skip",
    " fold=both",
    " gap=shift fold=second",
    " fold=never",
    " dst=",
)

_TERMS = (
    "*", "*", "*", "0", "5", "?", "L", "LW", "W", "L-3", "L-31", "15W", "31W", "1W", "L-2W", "WL", "H", "H/7", "H(2-9)", "H(0-29)/10",
    "H(9-2)", "h", "MON#2", "FRI#5", "SUNL", "0L", "7#1", "MON-FRI", "FRI-MON", "jan", "SEP-APR", "*/2", "*/31", "*/99", "59/7", "30",
    "31", "29", "2", "1-5", "22-2", "5-5", "40/10", "1,2,3", "0-59", "*,5", "60", "24", "-1", "1-", "/", "*/0", "@", "#", "2147483648",
    "1.5", "0x1", "٣", "\N{NO-BREAK SPACE}", "MONDAY", "L-0", "LL", "W15", "H(", "H()", "5H", "HH", "?/2", "L/2", "30-2/3", ",", "",
)  # fmt: skip
_GOOD = (
    ("0", "5", "*/5", "*/20", "H", "H/15", "7-50/9", "0,30", "59", "H(0-29)", "*"),
    ("*", "*/2", "2", "H", "0-3", "22-2", "9-17", "H(0-7)", "23", "*/5"),
    ("*", "*", "?", "L", "LW", "15W", "31W", "L-3", "29-31", "*/31", "H", "1,15W,L-2W", "30", "L-30"),
    ("*", "*", "2", "JAN", "SEP-APR", "*/3", "4,6,9,11", "2/5"),
    ("*", "*", "?", "MON-FRI", "SUN#5", "5L", "7", "FRI-MON", "*/5", "MON#1,TUE#5"),
)
_ON = (
    "", "", "last day", "day 31", "15", "the first Monday", "fifth Friday", "last business day", "23rd business day", "29",
    "24 December", "30 February", "fifth Sunday of February", "day 366", "66th business day", "Monday and Friday", "day 91",
)  # fmt: skip
_WORDS = (
    "every", "2", "3", "0", "13", "999", "1001", "day", "days", "weeks", "month", "months", "quarter", "years", "on", "on", "the", "last",
    "first", "second", "fifth", "5th", "23rd", "31", "day", "366", "business", "Monday", "mon", "and", "Friday", "of", "February",
    "24", "December", "at", "09:00", "02:30", "23:59:59", "24:00", "noon", "start=2026-02-01", "start=0001-01-01",
    "start=9999-12-31", "start=soon", "short_month=skip", "short_month=", "=", "every=2",
)  # fmt: skip


def texts(seed: int, count: int) -> Iterator[str]:
    """Triggers as text: fields of likely terms, calendar words, and both with damage done to them."""
    draw = random.Random(seed)
    for _ in range(count):
        kind = draw.random()
        if kind < 0.65:
            size = 5 if draw.random() < 0.7 else draw.choice((6, 6, 6, 4, 7, 1))
            fields = [",".join(draw.choices(_TERMS, k=draw.choice((1, 1, 1, 1, 2, 3)))) for _ in range(size)]
            if size in (5, 6) and draw.random() < 0.6:  # most are read, or there would be nothing to ask
                likely = (*_GOOD[: size - 5], *_GOOD)
                fields = [
                    field if draw.random() < 0.08 else draw.choice(likely[i])
                    for i, field in enumerate(fields)
                ]
            text = "cron " + " ".join(fields)
        elif kind < 0.95:
            unit = draw.choice(
                ("day", "2 weeks", "month", "3 months", "quarter", "year", "7 years", "5 days")
            )
            on = draw.choice(("", " on ")) + " ".join(draw.choices(_WORDS, k=draw.choice((1, 2, 2, 3, 4))))
            if draw.random() < 0.6:
                on = draw.choice(_ON)
                on = f" on {on}" if on else ""
                on += draw.choice(
                    ("", " at 02:30", " start=2026-02-01", " start=2023-11-30 short_month=skip")
                )
            text = f"calendar every {unit}{on}" if draw.random() < 0.9 else "calendar " + on
        else:
            text = "".join(draw.choices("cron every cal*/-,#LWH()0123456789\t ", k=draw.randint(0, 40)))
        text += draw.choice(ZONES) + draw.choice(CLOCKS)
        for _ in range(draw.choice((0, 0, 0, 0, 0, 0, 1, 2))):
            place = draw.randrange(len(text) + 1)
            text = (
                text[:place]
                + draw.choice("0123456789*/-,?LW#H() ÄMONFRI=")
                + text[place + draw.randint(0, 1) :]
            )
        yield text


class Steps:
    """How many months and periods the search has looked into since it was last asked."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.count = 0
        for owner, name in ((Dates, "_month"), (CalendarDates, "_choose")):
            patch.setattr(owner, name, self._counted(getattr(owner, name)))

    def _counted(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def counting(dates: object, number: int) -> Any:
            self.count += 1
            return method(dates, number)

        return counting


def questions(trigger: Trigger, far: bool) -> Iterator[Callable[[], object]]:
    """What a planner, an audit and a person ask; and of some what nobody would, over all the years there are."""
    for at in (START, EARLIEST - 1, LATEST - YEAR, LATEST, 0):
        yield lambda at=at: trigger.next_after(at)
    for after, upto in (
        (START, START + YEAR),
        *(((0, START), (EARLIEST - 1, LATEST), (START, 0)) if far else ()),
    ):
        yield lambda after=after, upto=upto: trigger.last_in(after, upto)
        yield lambda after=after, upto=upto: trigger.count(after, upto)
    yield lambda: trigger.stands_for(START)
    yield trigger.describe
    yield lambda: trigger.hash_span_us


def read(text: str) -> Trigger | None:
    try:
        return parse_trigger(text).bound("Europe/Berlin", START)
    except BadInput as error:
        sentence = str(error)
        assert sentence
        assert len(sentence) < 600, sentence
        return None


def judge(text: str, ask: Callable[[str, Callable[[], object]], object], far: bool) -> bool:
    """Everything that must hold of one text; whether it was read."""
    trigger = ask(text, lambda: read(text))
    if trigger is None:
        return False
    assert parse_trigger(trigger.to_text()) == trigger, text  # type: ignore[attr-defined]
    assert trigger_from_json(json.loads(json.dumps(trigger.to_json()))) == trigger, text  # type: ignore[attr-defined]
    for question in questions(trigger, far):  # type: ignore[arg-type]
        ask(text, question)
    at = trigger.next_after(START)  # type: ignore[attr-defined]
    assert at is not None, text
    assert at > START, text
    assert trigger.last_in(START, at) == at, text  # type: ignore[attr-defined]
    assert trigger.count(START, at) == 1, text  # type: ignore[attr-defined]
    return True


def agrees(text: str) -> None:
    """The recount of the audit reads what the planner reads, and counts the same."""
    trigger = read(text)
    if trigger is not None:
        stored = json.dumps(trigger.to_json())
        rule_of.cache_clear()
        assert implied_count(stored, START, START + 40 * DAY) == trigger.count(START, START + 40 * DAY), text


def test_F61_20000_expressions_are_read_or_refused_in_few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = Steps(monkeypatch)
    most = 0

    def ask(text: str, question: Callable[[], object]) -> object:
        nonlocal most
        steps.count = 0
        answer = question()
        assert steps.count <= MOST_STEPS, (text, steps.count)
        most = max(most, steps.count)
        return answer

    good = 0
    for number, text in enumerate(texts(61, 20_000)):
        good += judge(text, ask, far=number % 40 == 0)
        if number % 40 == 0:
            agrees(text)
    assert good > 2_000
    assert most > 1_000, "nothing was searched for; the steps are not counted"


def slowest(text: str, far: bool) -> float:
    """The seconds that the slowest of all questions took this thread, whatever else the machine does."""
    most = 0.0

    def ask(_text: str, question: Callable[[], object]) -> object:
        nonlocal most
        began = time.thread_time()
        answer = question()
        most = max(most, time.thread_time() - began)
        return answer

    judge(text, ask, far)
    return most


def is_slow(text: str) -> bool:
    """Whether nothing that is remembered and no machine that is busy is what made it slow: it is so every time."""
    for _ in range(4):
        for kept in (parse_cron, pattern_of, dates_of, walk, calendar_dates, _shared_walk):
            kept.cache_clear()
        if slowest(text, far=True) <= MOST_SECONDS:
            return False
    return True


@pytest.mark.release
@pytest.mark.parametrize("part", range(50))
def test_F61_a_million_expressions_are_read_or_refused_in_a_moment(part: int) -> None:
    for zone in ZONES[:-1]:
        read(f"cron * * * * *{zone}")  # the rules of a zone are read once, by whoever asks first
    suspects = []
    gc.disable()  # a collection of garbage is nobody's step; it comes between two texts
    try:
        for number, text in enumerate(texts(1_000 + part, 20_000)):
            if slowest(text, far=number % 20 == 0) > MOST_SECONDS:
                suspects.append(text)
            if number % 20 == 0:
                agrees(text)
            if number % 1_000 == 0:
                gc.collect()
        assert [text for text in suspects if is_slow(text)] == []
    finally:
        gc.enable()
