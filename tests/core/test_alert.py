"""Alert rules as values: streaks, one alert per transition, recoveries, what covers what, and what is said."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchbell.core.alert import (
    ABOUT_ONE_RUN,
    BAD,
    EVENTS,
    Happening,
    Rule,
    RuleBook,
    Standing,
    follow,
    headline,
    sentence,
)

ALL = frozenset(EVENTS)


def rule(events: frozenset[str] | set[str] = ALL, streak: int = 1, **more: object) -> Rule:
    made = Rule(1, 1, "workspace", "", frozenset(events), streak, 1)
    return replace(made, **more)  # type: ignore[arg-type]


def happened(event: str, count: int = 1) -> Happening:
    return Happening(event, 1, "backup", count=count)


def told(asked: Rule, *events: str | tuple[str, int]) -> list[str]:
    """What the rule tells of, `-` for nothing, one word for each happening."""
    standing, words = Standing(), []
    for event in events:
        name, count = (event, 1) if isinstance(event, str) else event
        standing, word = follow(asked, standing, happened(name, count))
        words.append(word or "-")
    return words


@pytest.mark.parametrize(
    ("asked", "events", "words"),
    [
        (rule(), "failed failed failed succeeded", "failed - - recovered"),
        (rule(), "succeeded succeeded", "- -"),
        (rule(), "failed succeeded failed", "failed recovered failed"),
        (rule(), "failed timed_out lost missed succeeded", "failed - - - recovered"),
        (rule(streak=3), "failed failed succeeded failed failed failed failed", "- - - - - failed -"),
        (rule(streak=3), "failed missed lost failed succeeded", "- - lost - recovered"),
        (rule(streak=2), "failed succeeded failed succeeded", "- - - -"),
        (rule({"failed"}), "failed succeeded failed", "failed - failed"),
        (rule({"failed"}, 2), "failed missed failed", "- - failed"),
        (rule({"missed"}), "failed timed_out lost missed", "- - - missed"),
        (rule({"recovered"}), "failed failed succeeded succeeded", "- - recovered -"),
        (rule({"recovered"}, 2), "failed succeeded failed lost succeeded", "- - - - recovered"),
        (rule(), "cancelled skipped superseded coalesced", "- - - -"),
        (rule(), "failed cancelled failed", "failed - -"),
        (rule({"late", "running_long"}), "late late running_long failed succeeded", "late late running_long - -"),
        (rule(streak=5), "late running_long", "late running_long"),
        (rule({"failed"}), "late running_long", "- -"),
        (rule(), "failed late succeeded late", "failed late recovered late"),
    ],
)  # fmt: skip
def test_one_alert_per_transition(asked: Rule, events: str, words: str) -> None:
    assert told(asked, *events.split()) == words.split()


def test_a_backlog_is_one_transition() -> None:
    assert told(rule(), ("missed", 4320), "missed", "succeeded") == ["missed", "-", "recovered"]
    assert told(rule(streak=100), ("missed", 99), ("missed", 4320)) == ["-", "missed"]


ASKED = st.builds(
    rule,
    st.sets(st.sampled_from(EVENTS), min_size=1),
    st.integers(1, 5),
)
STORY = st.lists(
    st.tuples(st.sampled_from((*EVENTS[:-1], "succeeded", "succeeded", "cancelled")), st.integers(1, 4))
)


@given(ASKED, STORY)
def test_never_two_alerts_without_a_success_between(asked: Rule, story: list[tuple[str, int]]) -> None:
    words = told(asked, *story)
    alarmed = False
    for (event, _), word in zip(story, words, strict=True):
        if event == "succeeded":
            alarmed = False
        if word in BAD:
            assert not alarmed
            alarmed = True


@given(ASKED, STORY)
def test_it_tells_exactly_when_the_streak_is_full(asked: Rule, story: list[tuple[str, int]]) -> None:
    counted = asked.events & set(BAD) or (set(BAD) if "recovered" in asked.events else set())
    expected, length = [], 0
    for event, count in story:
        full = length >= asked.streak
        if event in ABOUT_ONE_RUN:
            expected.append(event if event in asked.events else "-")
        elif event == "succeeded":
            expected.append("recovered" if full and "recovered" in asked.events else "-")
            length = 0
        elif event in counted:
            length += count
            expected.append(event if not full and length >= asked.streak and event in asked.events else "-")
        else:
            expected.append("-")
    assert told(asked, *story) == expected


@given(ASKED, st.sampled_from(BAD), st.integers(1, 50))
def test_a_count_stands_for_so_many_endings(asked: Rule, event: str, count: int) -> None:
    at_once = follow(asked, Standing(), happened(event, count))
    standing, words = Standing(), []
    for _ in range(count):
        standing, word = follow(asked, standing, happened(event))
        words += [word] if word else []
    assert at_once == (standing, words[0] if words else None)
    assert len(words) <= 1


@pytest.mark.parametrize(
    ("scope", "target", "covered"),
    [
        ("workspace", "", True),
        ("schedule", "backup", True),
        ("schedule", "nightly", False),
        ("schedule", "back", False),
        ("tag", "nightly", True),
        ("tag", "backup", False),
        ("tag", "", False),
    ],
)
def test_a_rule_covers_its_scope(scope: str, target: str, covered: bool) -> None:
    happening = Happening("failed", 1, "backup", ("nightly", "db"))
    asked = rule(scope=scope, target=target)
    assert asked.covers(happening) is covered
    assert RuleBook([asked]).about(happening) == ([asked] if covered else [])
    assert not asked.covers(replace(happening, workspace=2))
    assert RuleBook([asked]).about(replace(happening, workspace=2)) == []


NAMES = st.sampled_from(("backup", "nightly", "db", ""))
RULES = st.lists(
    st.builds(
        rule,
        scope=st.sampled_from(("workspace", "tag", "schedule")),
        target=NAMES,
        workspace=st.integers(1, 2),
    ),
    max_size=8,
)


@given(RULES, NAMES, st.lists(NAMES, max_size=3, unique=True), st.integers(1, 2))
def test_the_book_finds_each_rule_that_covers_once_in_order(
    rules: list[Rule], subject: str, tags: list[str], workspace: int
) -> None:
    numbered = [replace(one, id=number) for number, one in enumerate(rules)]
    happening = Happening("failed", workspace, subject, tuple(tags))
    assert RuleBook(numbered).about(happening) == [one for one in numbered if one.covers(happening)]


@pytest.mark.parametrize(
    ("event", "happening", "streak", "text"),
    [
        ("failed", Happening("failed", 1, "backup"), 1, "backup failed."),
        ("lost", Happening("lost", 1, "backup", detail="its node died"), 1, "backup was lost: its node died."),
        ("late", Happening("late", 1, "sync", due_at=0), 1, "sync is late (due 1970-01-01T00:00:00Z)."),
        ("recovered", Happening("succeeded", 1, "sync"), 0, "sync has recovered."),
        ("failed", Happening("failed", 1, "s", detail="Why?"), 4,
         "s failed: Why? It has not succeeded 4 times in a row."),
        ("missed", Happening("missed", 1, "s", count=3, detail="downtime"), 3, "s was missed 3 times: downtime."),
    ],
)  # fmt: skip
def test_an_alert_is_a_sentence(event: str, happening: Happening, streak: int, text: str) -> None:
    assert sentence(event, happening, streak) == text


@given(st.text(max_size=400))
def test_a_headline_is_one_printable_line(subject: str) -> None:
    text = headline("failed", subject)
    assert text.isprintable()
    assert text.endswith(" failed")
    assert len(text) <= 160
