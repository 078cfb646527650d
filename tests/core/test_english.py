"""Phrases: what is understood, what is refused and with which words, and descriptions that read back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchbell.core.instants import parse_instant
from watchbell.core.triggers import cron, parse_trigger
from watchbell.core.triggers.english import EXAMPLES
from watchbell.errors import BadInput, BadTrigger

NOW = parse_instant("2026-11-21T08:00:00Z")

UNDERSTOOD = [
    ("every weekday at 9:00", "cron 0 9 * * 1-5"),
    ("every monday at 08:30", "cron 30 8 * * 1"),
    ("every 15 minutes", "every 15m"),
    ("every 90 minutes", "every 1h30m"),
    ("daily at 2am", "cron 0 2 * * *"),
    ("Daily at 12am", "cron 0 0 * * *"),
    ("every day at 12:05 pm", "cron 5 12 * * *"),
    ("daily", "cron 0 0 * * *"),
    ("every hour", "cron 0 * * * *"),
    ("every hour at :30", "cron 30 * * * *"),
    ("every minute", "cron * * * * *"),
    ("first monday of the month at 10:00", "cron 0 10 * * 1#1"),
    ("the last friday of the month at 4pm", "cron 0 16 * * 5L"),
    ("on the last day of every month at 23:30", "cron 30 23 L * *"),
    ("on the 1st and the 15th of the month at 06:00", "cron 0 6 1,15 * *"),
    (
        "on the last business day of every month at 17:00",
        "calendar every month on last business day at 17:00",
    ),
    ("weekends at noon", "cron 0 12 * * 0,6"),
    ("on Mon, Wed and Fri at 7:15", "cron 15 7 * * 1,3,5"),
    ("friday to monday at 07:00", "cron 0 7 * * 5-1"),
    ("at 9am every tuesday and thursday in Europe/Berlin", "cron 0 9 * * 2,4 tz=Europe/Berlin"),
    ("every day at 9:00 and 17:00", "cron 0 9,17 * * *"),
    ("every day at 9:00 and 17:30", "any (cron 0 9 * * *) (cron 30 17 * * *)"),
    ("at 00:00 on the 24th of December", "cron 0 0 24 12 *"),
    ("at 08:00 every day in July and August", "cron 0 8 * 7,8 *"),
    ("every 15 minutes from 09:00 to 16:45 on weekdays", "cron */15 9-16 * * 1-5"),
    ("every hour from 08:00 to 17:00", "cron 0 8-17 * * *"),
]


@pytest.mark.parametrize(("phrase", "text"), UNDERSTOOD)
def test_a_phrase_becomes_the_trigger_it_means(phrase: str, text: str) -> None:
    assert parse_trigger(phrase).to_text() == text


@pytest.mark.parametrize(
    ("phrase", "said"),
    [
        ("twice a day", "write 'every day at 09:00 and 21:00'"),
        ("every other week", "it does not say counted from when"),
        ("every 3 days at 9:00", "write 'calendar 3 days at 09:00'"),
        ("weekly", "write 'every monday at 09:00'"),
        ("every month at 9:00", "write 'on the first day of the month at 09:00'"),
        ("every morning", "write 'every day at 08:00'"),
        ("every monday", "write 'every monday at 09:00'"),
        ("every day at 9", "write 'at 09:00', or '9am' or '9pm'"),
        ("every day at 25:00", "25 in"),
        ("every day at 13pm", "write 'at 9am'"),
        ("every hour at :75", "write 'every hour at :30'"),
        ("every wekday at 9:00", "write a phrase such as 'every weekday at 9:00'"),
        ("every 15 minutes from 09:00 to 17:00", "cron */15 9-16 * * *"),
        ("on the 42nd of the month at 9:00", "is not understood"),
        ("every day at 9:00 in Europe/Berlni", "did you mean 'Europe/Berlin'"),
        ("a" * 400, "write at most 300"),
    ],
)
def test_what_could_mean_two_things_is_refused_with_the_nearest(phrase: str, said: str) -> None:
    with pytest.raises(BadInput) as refusal:
        parse_trigger(phrase)
    assert said in str(refusal.value)


@pytest.mark.parametrize("phrase", EXAMPLES)
def test_every_example_that_a_refusal_gives_is_understood(phrase: str) -> None:
    assert parse_trigger(phrase).bound("UTC", NOW).next_after(NOW) is not None


def test_what_a_refusal_tells_to_write_is_understood() -> None:
    for phrase in (
        "twice a day",
        "every other week",
        "weekly",
        "monthly",
        "quarterly",
        "every morning",
        "every 3 days at 9:00",
    ):
        with pytest.raises(BadTrigger) as refusal:
            parse_trigger(phrase)
        advice = str(refusal.value).partition("write '")[2].removesuffix("'")
        for each in advice.split("' or '"):
            parse_trigger(each).bound("UTC", NOW)


TIMES = st.one_of(
    st.builds(lambda m, h: f"{m} {h}", st.integers(0, 59), st.integers(0, 23)),
    st.builds(
        lambda m, h: f"{m} {','.join(map(str, sorted(h)))}",
        st.integers(0, 59),
        st.sets(st.integers(0, 23), min_size=2, max_size=4),
    ),
)
DATES = st.one_of(
    st.just("* * *"),
    st.sampled_from(["1-5", "0,6", "1", "5-1", "1,3,5", "2-4"]).map(lambda d: f"* * {d}"),
    st.builds(lambda d, n: f"* * {d}{n}", st.integers(0, 6), st.sampled_from(["#1", "#3", "#5", "L"])),
    st.builds(lambda d: f"{d} * *", st.sampled_from(["1", "15", "1,15", "L", "31"])),
    st.builds(lambda d, m: f"{d} {m} *", st.integers(1, 28), st.integers(1, 12)),
)


@given(TIMES, DATES, st.sampled_from([None, "UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires"]))
def test_the_description_of_times_on_dates_reads_back_as_the_same_rule(
    time: str, date: str, tz: str | None
) -> None:
    trigger = cron(f"{time} {date}", tz=tz)
    again = parse_trigger(trigger.describe())
    assert again.describe() == trigger.describe()
    bound, same = trigger.bound("UTC", NOW), again.bound("UTC", NOW)
    at = NOW
    for _ in range(5):
        following = bound.next_after(at)
        assert following is not None
        assert same.next_after(at) == following
        at = following
