"""Unions and exclusions: one occurrence for one instant, whole days left out, and the recount agrees."""

from __future__ import annotations

import json
from itertools import takewhile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watchbell.core.audit.recount import implied, implied_count, transitions_of
from watchbell.core.instants import DAY, HOUR, MINUTE, local_text, parse_instant, to_text
from watchbell.core.triggers import (
    Trigger,
    any_of,
    cron,
    every,
    except_for,
    manual,
    once,
    parse_trigger,
    rrule,
    trigger_from_json,
)
from watchbell.core.triggers.rebinding import filled_like
from watchbell.core.wallclock import zone_rules
from watchbell.errors import BadTrigger, NeverMatches

NOW = parse_instant("2026-12-20T00:00:00Z")
BERLIN = "Europe/Berlin"


def listed(trigger: Trigger, after: int, upto: int) -> list[int]:
    found, at = [], trigger.next_after(after)
    while at is not None and at <= upto:
        found.append(at)
        at = trigger.next_after(at)
    return found


def test_an_instant_that_both_give_is_one_occurrence() -> None:
    both = any_of(cron("0 9 * * *", tz="UTC"), cron("0 9,12 * * *", tz="UTC"))
    assert both == cron("0 9 * * *", tz="UTC") | cron("0 9,12 * * *", tz="UTC")
    assert listed(both, NOW, NOW + DAY) == [NOW + 9 * HOUR, NOW + 12 * HOUR]
    assert both.count(NOW, NOW + 10 * DAY) == 20
    assert both.last_in(NOW, NOW + 10 * HOUR) == NOW + 9 * HOUR


def test_times_of_two_parts_that_fall_into_a_gap_are_one_occurrence_that_names_both() -> None:
    both = cron("15 2 * * *", tz=BERLIN) | cron("45 2 * * *", tz=BERLIN)
    at = parse_instant("2026-03-29T01:00:00Z")
    assert both.first_in(at - 1, at) == at
    assert both.stands_for(at) == ("2026-03-29 02:15", "2026-03-29 02:45")


def test_whole_days_are_left_out_as_the_calendar_of_the_zone_has_them() -> None:
    rule = except_for(cron("30 * * * *", tz=BERLIN), "2026-12-25", "2026-12-26")
    bound = rule.bound("UTC", NOW)
    assert bound.tz == BERLIN
    found = listed(bound, parse_instant("2026-12-24T20:00:00Z"), parse_instant("2026-12-27T00:00:00Z"))
    assert [to_text(at) for at in found] == [
        "2026-12-24T20:30:00Z", "2026-12-24T21:30:00Z", "2026-12-24T22:30:00Z", "2026-12-26T23:30:00Z"
    ]  # fmt: skip
    assert bound.last_in(NOW, parse_instant("2026-12-26T20:00:00Z")) == parse_instant("2026-12-24T22:30:00Z")


def test_an_instant_that_the_other_gives_is_left_out() -> None:
    rule = every("15m", start_at=NOW) - cron("* 2 * * *", tz="UTC")
    assert [at for at in listed(rule, NOW, NOW + DAY) if NOW + 2 * HOUR <= at < NOW + 3 * HOUR] == []
    assert rule.count(NOW, NOW + DAY) == 92


def test_leaving_out_more_and_more_stays_one_exclusion() -> None:
    rule = cron("0 9 * * *", tz=BERLIN) - "2026-12-25" - "2026-12-26" - cron("0 9 24 12 *", tz=BERLIN)
    assert rule.to_text() == (
        "except (cron 0 9 * * * tz=Europe/Berlin) (cron 0 9 24 12 * tz=Europe/Berlin) days=2026-12-25,2026-12-26"
    )


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: any_of(cron("@daily")), "joins 2 to 20 different triggers, not 1"),
        (lambda: any_of(cron("@daily"), cron("@daily")), "not 1"),
        (lambda: any_of(cron("@daily"), manual()), "manual() has no instants"),
        (lambda: any_of(cron("@daily"), every("1m", after_completion=True)), "give it a schedule of its own"),
        (lambda: any_of(cron("@daily"), "tuesday"), "is no trigger"),
        (lambda: except_for(cron("@daily")), "nothing to leave out"),
        (lambda: except_for(cron("@daily"), "25.12."), "write it as '2026-12-25'"),
        (lambda: parse_trigger("any (cron @daily"), "a bracket is not closed"),
        (lambda: parse_trigger("except (cron @daily) day=3"), "behind the brackets cannot be read"),
        (lambda: trigger_from_json({"kind": "any"}), "is no combined trigger"),
        (lambda: trigger_from_json({"kind": "except", "base": {"kind": "cron", "expression": "@daily"}, "days": 3}),
         "no combined trigger"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_with_what_to_write(make: object, said: str) -> None:
    with pytest.raises(BadTrigger) as refusal:
        make()  # type: ignore[operator]
    assert said in str(refusal.value)


def test_a_rule_of_which_nothing_is_left_is_refused() -> None:
    with pytest.raises(NeverMatches, match="nothing is left of the rule"):
        (cron("0 9 * * *", tz="UTC") - cron("0 9,10 * * *", tz="UTC")).bound("UTC", NOW)


def test_a_rule_declared_again_keeps_the_starts_it_was_given() -> None:
    rule = (every("15m") | cron("@daily") | rrule("FREQ=WEEKLY")) - "2026-12-25"
    stored = rule.bound(BERLIN, NOW)
    assert filled_like(rule, stored).bound(BERLIN, NOW + 3 * DAY) == stored
    more = every("1h") | every("15m")
    first = (every("15m") | cron("@daily")).bound("UTC", NOW)
    assert filled_like(more, first).to_text().count("2026-12-20T00:00:00Z") == 1


# --- in general ---------------------------------------------------------------------------------------------

simple: st.SearchStrategy[Trigger] = st.one_of(
    st.builds(
        lambda m, h, d, tz: cron(f"{m} {h} * * {d}", tz=tz),
        st.sampled_from(["0", "30", "*/20", "15,45"]),
        st.sampled_from(["*", "2", "1-3", "*/6", "22-2"]),
        st.sampled_from(["*", "1-5", "SUN"]),
        st.sampled_from(["UTC", BERLIN, "Australia/Lord_Howe"]),
    ),
    st.builds(lambda n: every(n * MINUTE // 1_000_000, start_at=NOW - 3 * DAY), st.integers(7, 400)),
    st.builds(lambda n: once(NOW + n * 30 * MINUTE), st.integers(0, 400)),
    st.builds(
        lambda n: rrule(f"FREQ=HOURLY;INTERVAL={n}", start="2026-01-01 00:30", tz=BERLIN), st.integers(2, 9)
    ),
)


def leaves_something(trigger: Trigger) -> bool:
    """Not one of which nothing is left: those are refused at creation, after a long search."""
    if trigger.kind != "except":
        return True
    left = set(implied(json.dumps(trigger.to_json()), NOW + 12 * DAY, NOW + 26 * DAY))
    return bool(left) or trigger.base.kind == "once"


days = st.lists(
    st.integers(0, 8).map(lambda n: local_text(NOW + n * DAY, "UTC")[:10]), min_size=1, max_size=3
)
triggers: st.SearchStrategy[Trigger] = st.one_of(
    st.builds(lambda a, b: any_of(a, b) if a != b else a, simple, simple),
    st.builds(lambda a, b: except_for(a, b), simple, simple),
    st.builds(lambda a, d: except_for(a, *d, tz=BERLIN), simple, days),
    st.builds(
        lambda a, b, c, d: except_for(any_of(a, b) if a != b else a, c, *d, tz=BERLIN),
        simple,
        simple,
        simple,
        days,
    ),
).filter(leaves_something)


@settings(max_examples=80, deadline=None)
@given(triggers, st.integers(-20, 260), st.sampled_from([NOW, parse_instant("2026-03-27T00:00:00Z")]))
def test_the_recount_knows_the_same_instants(trigger: Trigger, ahead: int, base: int) -> None:
    after, upto = base + ahead * HOUR, base + ahead * HOUR + 6 * DAY
    stored = json.dumps(trigger.to_json())
    known = {zone: json.dumps(zone_rules(zone).to_json()) for zone in trigger.zones()}
    expected = list(implied(stored, after, upto, transitions_of(stored, known)))
    assert expected == list(implied(stored, after, upto))
    assert listed(trigger, after, upto) == expected
    assert trigger.count(after, upto) == implied_count(stored, after, upto) == len(expected)
    assert trigger.last_in(after, upto) == (expected[-1] if expected else None)
    assert trigger.first_in(after, upto) == (expected[0] if expected else None)
    middle = after + 2 * DAY
    earlier = list(takewhile(lambda at: at <= middle, expected))
    assert trigger.last_in(after, middle) == (earlier[-1] if earlier else None)


@settings(max_examples=80, deadline=None)
@given(triggers)
def test_every_form_reads_back_exactly(trigger: Trigger) -> None:
    assert parse_trigger(trigger.to_text()) == trigger
    assert trigger_from_json(json.loads(json.dumps(trigger.to_json()))) == trigger
    assert trigger.describe()
