"""Random lives of schedules with everything that keeps one from running: blackouts, conditions, pauses, edits now and
later, failures that pause it, deaths and drains. Whatever they do, the audit's four figures stay 0 after every step."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from tests import databases
from tests.engine.story import Story
from watchbell import Watchbell, cron, every, manual, once
from watchbell.core.instants import to_text
from watchbell.errors import WatchbellError
from watchbell.testing import Lasting

RULES: list[Any] = [
    cron("*/10 * * * *", tz="UTC"),
    cron("0 */2 * * *", tz="Europe/Berlin"),
    cron("30 2 * * *", tz="Europe/Berlin"),
    every("7m"),
    every("25m", after_completion=True),
    every("90s"),
    manual(),
    once("2026-03-29T01:30:00Z"),
]
DARK = [
    "2026-03-28T23:30/2026-03-29T04:15 Europe/Berlin",
    "cron 0 * * * * for 20m",
    "cron 30 1 * * * for 3h Europe/Berlin",
    "cron */15 * * * * for 40s",
]
SPANS = ["30s", "4m", "21m", "1h", "3h7m", "11h"]
policies = st.fixed_dictionaries(
    {},
    optional={
        "blackouts": st.lists(st.sampled_from(DARK), max_size=2, unique=True),
        "overlap": st.sampled_from(["skip", "queue_one", "allow"]),
        "catchup": st.sampled_from(["latest", "none"]),
        "pause_after_failures": st.integers(1, 3),
        "start_deadline": st.just("30m"),
    },
)
steps = st.one_of(
    st.tuples(st.just("wait"), st.sampled_from(SPANS)),
    st.tuples(st.just("die"), st.sampled_from(SPANS)),
    st.tuples(st.just("drain"), st.sampled_from(SPANS)),
    st.tuples(st.just("pause"), st.booleans()),
    st.tuples(st.just("resume"), st.booleans()),
    st.tuples(st.just("edit"), st.sampled_from(RULES), policies),
    st.tuples(st.just("edit later"), st.sampled_from(RULES), policies, st.sampled_from(SPANS)),
    st.tuples(st.just("take back")),
    st.tuples(st.just("run now")),
)


class Life:
    """One schedule whose job does what it is told: fails, lasts, or is refused by its condition, one after the other."""

    def __init__(self, ways: list[str], file: Path) -> None:
        self.ways, self.turn, self.began, self.skips = ways, 0, 0, 0
        self.story = Story(self.declare, at="2026-03-28T20:00:00Z", file=file)

    def declare(self, bell: Watchbell) -> None:
        def willing() -> bool:
            self.turn += 1
            return self.ways[self.turn % len(self.ways)] != "refuse"

        self.willing = willing

        @bell.job(limits={"db": 1})
        def work() -> Lasting:
            self.began += 1
            way = self.ways[self.turn % len(self.ways)]
            if way == "fail":
                raise RuntimeError("it fails")
            return Lasting("20m" if way == "last" else "1s")

        if getattr(self, "story", None) is None:
            bell.add_schedule("life", work, RULES[0], condition=willing)
        else:
            bell.job(name="unused")(lambda: None)

    def do(self, step: tuple[Any, ...]) -> None:
        story = self.story
        match step:
            case ("wait", span):
                story.live(to_text(story.now + parse(span)), by="10m")
            case ("die", span):
                story.restart(after=span)
            case ("drain", span):
                story.node.drain()
                story.restart(after=span)
            case ("pause", drop):
                story.bell.pause("life", drop_waiting=drop)
            case ("resume", catchup):
                story.bell.resume("life", catchup=catchup)
            case ("edit", rule, options):
                story.bell.edit("life", trigger=rule, condition=self.willing, **options)
            case ("edit later", rule, options, span):
                at = to_text(story.now + parse(span))
                story.bell.edit("life", trigger=rule, condition=self.willing, apply_from=at, **options)
            case ("take back",):
                story.bell.edit("life", take_back=True)
            case ("run now",):
                story.bell.run_now("life")


def parse(span: str) -> int:
    from watchbell.core.instants import parse_duration

    return parse_duration(span)


@databases.holds_for(
    st.lists(st.sampled_from(["fine", "fail", "last", "refuse"]), min_size=1, max_size=5),
    st.lists(steps, min_size=2, max_size=14),
    sqlite=20,
    postgresql=4,
)
def test_S3_whatever_happens_the_audit_holds(ways: list[str], life: list[tuple[Any, ...]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        lived = Life(ways, Path(folder) / "a.db")
        for step in life:
            with contextlib.suppress(
                WatchbellError
            ):  # a rule in the past, blackouts that leave nothing: refused
                lived.do(step)
            lived.story.audit()
        story = lived.story
        begun = story.value(
            "SELECT count(*) FROM occurrence WHERE reason = 'condition' AND state = 'skipped' AND began_at > 0"
        )
        assert begun == 0
        assert (
            story.rows("SELECT at FROM pending_change WHERE at <= ? AND kind = 'pause'", story.now - 1) == []
        )
        story.bell.stop()
