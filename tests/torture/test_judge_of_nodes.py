"""The judge where many engines act: who may be lost, who may begin, and what may still be at work, by the evidence."""

from __future__ import annotations

import pytest

from tests.torture.story import ENGINE, OTHER, T0, Story
from torture.history import Kill, Node
from torture.nodes.judge import went_on
from watchbell.store.tokens import hashed

LEASE_S = 15


@pytest.fixture
def story() -> Story:
    story = Story()
    story.history.of_schedule = {"tick": 1}
    return story


def lost(story: Story, run: int = 1, at_s: float = 18, **more: object) -> None:
    """A run of the silent engine that the others settle as lost, and that goes on by itself."""
    story.row(run, "lost", node=1, ended_at=T0 + int(at_s * 1e6), **more)
    story.at(run, "begin", 1, pid=ENGINE)


def next_one(story: Story, at_s: float = 19) -> None:
    story.row(2)
    story.at(2, "begin", at_s)
    story.at(2, "end", at_s + 1)


def leased(story: Story, until_s: float, stopped_s: float | None = None) -> None:
    """The silent engine's node, with the end of its lease."""
    stopped = None if stopped_s is None else T0 + int(stopped_s * 1e6)
    state = "dead" if stopped is None else "stopped"
    story.history.nodes[0] = Node(1, ENGINE, state, T0 + int(until_s * 1e6), stopped)


def test_lost_while_its_engine_was_stopped_for_longer_than_its_lease(story: Story) -> None:
    story.silent(2, 22)
    lost(story)
    assert story.rules_of_many == set()


def test_lost_without_a_kill_or_a_silence(story: Story) -> None:
    lost(story)
    assert story.rules_of_many == {"lost"}


def test_lost_after_a_silence_that_is_shorter_than_what_is_left_of_a_lease(story: Story) -> None:
    story.silent(2, 7)
    lost(story, at_s=9)
    assert story.rules_of_many == {"lost"}


def test_two_silences_with_hardly_a_moment_between_them_are_one(story: Story) -> None:
    story.silent(2, 8)
    story.silent(9, 15, "refuse")
    lost(story, at_s=18)
    assert story.rules_of_many == set()


def test_lost_because_of_the_silence_of_another_engine(story: Story) -> None:
    story.silent(2, 22, pid=OTHER)
    lost(story)
    assert story.rules_of_many == {"lost"}


def test_lost_because_there_was_no_server(story: Story) -> None:
    story.silent(2, 22, "crash", pid=None)
    lost(story)
    assert story.rules_of_many == set()


def test_lost_long_before_its_silence(story: Story) -> None:
    story.silent(60, 90)
    lost(story, at_s=18)
    assert story.rules_of_many == {"lost"}


def test_lost_by_a_kill_that_came_only_later(story: Story) -> None:
    lost(story)
    story.history.kills.append(Kill(5, ENGINE, T0 + 60_000_000, 0))
    assert story.rules_of_many == {"lost"}


def test_lost_by_an_engine_that_left_while_it_was_cut_off(story: Story) -> None:
    story.process(ENGINE, to_s=6)
    lost(story, at_s=8)
    assert story.rules_of_many == {"lost"}
    story.silent(4, 7, "refuse")
    assert story.rules_of_many == set()


def test_what_a_stopped_engine_had_begun_may_go_on_beside_the_next(story: Story) -> None:
    story.silent(2, 22)
    lost(story)
    next_one(story)
    story.says(2, "over")
    story.at(1, "end", 23, pid=ENGINE)
    assert story.rules_of_many == set()


def test_the_next_must_wait_until_the_silent_one_is_settled(story: Story) -> None:
    story.silent(2, 22)
    lost(story, at_s=18)
    next_one(story, at_s=10)
    story.at(1, "end", 23, pid=ENGINE)
    assert story.rules_of_many == {"overlap"}


def test_what_a_node_runs_that_is_cut_off_may_go_on_beside_the_next(story: Story) -> None:
    story.silent(2, 22, "refuse")
    lost(story)
    next_one(story)
    story.says(2, "over")
    story.at(1, "end", 23, pid=ENGINE)
    assert story.rules_of_many == set()


@pytest.mark.parametrize(("kind", "why"), [("stop", "stopped"), ("refuse", "cut")])
def test_what_went_on_after_it_was_lost_is_counted(story: Story, kind: str, why: str) -> None:
    story.silent(2, 22, kind)
    lost(story)
    assert set(went_on(story.history).values()) == {0}
    story.at(1, "end", 23, pid=ENGINE)
    assert went_on(story.history) == {"stopped": 0, "cut": 0} | {why: 1}


def test_what_was_ended_in_time_is_in_nobodys_way(story: Story) -> None:
    story.silent(2, 22, "refuse")
    lost(story)
    story.at(1, "stop", 14, pid=ENGINE)
    next_one(story)
    assert story.rules_of_many == set()


def test_a_lock_that_a_living_run_holds(story: Story) -> None:
    next_one(story)
    story.says(2, "over")
    assert story.rules_of_many == {"overlap"}


def test_a_begin_after_the_end_of_the_lease(story: Story) -> None:
    leased(story, LEASE_S)
    story.row(1, node=1)
    story.at(1, "begin", LEASE_S - 1)
    story.at(1, "end", LEASE_S + 3)
    assert story.rules_of_many == set()
    story.row(2, node=1, claimed_at=T0)
    story.at(2, "begin", LEASE_S + 5)
    story.at(2, "end", LEASE_S + 6)
    assert story.rules_of_many == {"lease"}


def test_a_node_that_renews_its_lease_after_it_was_declared_dead(story: Story) -> None:
    story.history.nodes[0] = Node(1, ENGINE, "dead", T0 + 90_000_000, T0 + 2_000_000)
    story.row(1, node=1)
    story.at(1, "begin", LEASE_S + 5)
    story.at(1, "end", LEASE_S + 6)
    assert story.rules_of_many == {"lease"}


def test_a_process_that_was_on_its_way_when_its_engine_was_stopped(story: Story) -> None:
    leased(story, LEASE_S)
    story.silent(2, 22)
    lost(story, at_s=18, lane="process")
    story.history.records.clear()
    begin = story.at(1, "begin", 23, pid=ENGINE)
    assert story.rules_of_many == set()
    story.history.records[0] = type(begin)(**{**_fields(begin), "wall_us": T0 + 60_000_000})
    assert story.rules_of_many == {"lease"}


def test_a_begin_in_an_engine_that_goes_on_after_its_lease(story: Story) -> None:
    leased(story, LEASE_S)
    story.silent(2, 22)
    lost(story, at_s=18)
    story.history.records.clear()
    story.at(1, "begin", 22.1, pid=ENGINE)
    assert story.rules_of_many == {"lease"}


def test_a_node_that_has_stopped_by_its_own_word_begins_nothing_more(story: Story) -> None:
    leased(story, LEASE_S, stopped_s=5)
    story.ran(1, node=1)
    assert story.rules_of_many == set()
    story.row(2, node=1)
    story.at(2, "begin", 6)
    story.at(2, "end", 7)
    assert story.rules_of_many == {"lease"}


def test_a_job_that_only_the_newer_code_knows(story: Story) -> None:
    story.history.only_newer = frozenset({"tick"})
    story.process(OTHER, newer=True)
    story.ran(1)
    assert story.rules_of_many == set()
    story.history.lives.clear()
    story.process(OTHER, newer=False)
    assert story.rules_of_many == {"handler"}


def test_missed_for_want_of_code_that_was_there(story: Story) -> None:
    story.history.only_newer = frozenset({"tick"})
    story.did_not_run(1, "missed", reason="handler_missing", ended_at=T0 + 70_000_000)
    assert story.rules_of_many == set()
    story.process(OTHER, newer=True)
    assert story.rules_of_many == {"handler"}
    story.silent(5, 40, pid=OTHER)
    assert story.rules_of_many == set()


def test_a_rerun_begins_once_the_lost_attempt_is_settled(story: Story) -> None:
    story.silent(2, 22)
    story.row(1, epoch=2, attempt=2, token_hash=hashed("t1.2"), claimed_at=T0 + 18_500_000)
    story.attempt(1, 1, "lost", node=1)
    story.history.attempts[0] = type(story.history.attempts[0])(1, 1, 1, 1, "lost", T0, T0 + 18_000_000)
    story.at(1, "begin", 1, pid=ENGINE)
    story.at(1, "begin", 19, epoch=2)
    story.at(1, "end", 20, epoch=2)
    assert story.rules_of_many == set()
    story.history.silences.clear()
    assert story.rules_of_many == {"lost"}


def test_what_holds_for_one_engine_holds_for_many(story: Story) -> None:
    story.ran(1)
    story.says(1, "begin")
    assert "twice" in story.rules_of_many


def _fields(record: object) -> dict[str, object]:
    return {name: getattr(record, name) for name in type(record).__dataclass_fields__}  # type: ignore[attr-defined]
