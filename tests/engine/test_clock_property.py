"""Whatever happens to the clock, no instant is lost and none is doubled: random steps, sleeps, kills and acts of a person."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import strategies as st

from tests import databases
from tests.engine.story import Story
from watchbell import Watchbell, cron, every
from watchbell.core.instants import DAY, HOUR, MINUTE, SECOND
from watchbell.services import clock as service

SIZES = (3 * SECOND, MINUTE, 9 * MINUTE, 11 * MINUTE, 2 * HOUR, 26 * HOUR, 3 * DAY)
STEPS = st.tuples(st.just("step"), st.sampled_from([*SIZES, *(-size for size in SIZES)]))
SLEEPS = st.tuples(st.just("suspend"), st.sampled_from(SIZES))
TIMES = st.tuples(st.just("live"), st.sampled_from([MINUTE, 20 * MINUTE, 3 * HOUR]))
ACTS = st.tuples(
    st.sampled_from(["kill", "reboot", "confirm", "repair", "edit", "sync"]), st.sampled_from(SIZES)
)


def declare(bell: Watchbell) -> None:
    @bell.schedule(every("7m"), name="often", catchup="all", overlap="queue_all", catchup_limit=20)
    def often() -> None: ...

    @bell.schedule(cron("0 */2 * * *", tz="Europe/Berlin"), name="seldom")
    def seldom() -> None: ...

    @bell.schedule(every("30m", after_completion=True), name="chain")
    def chain() -> None: ...


def happen(begun: Story, what: str, by: int) -> None:
    store = begun.bell._open()
    match what:
        case "step":
            begun.clock.step(by)
        case "suspend":
            begun.clock.suspend(by)
        case "live":
            begun.node.advance(by / 1e6)
        case "kill":
            begun.restart(f"{by // SECOND}s")
        case "reboot":
            begun.die()
            begun.clock.reboot(by)
            begun.open()
        case "confirm":
            service.confirm(store, now=begun.now, actor="somebody")
        case "repair":
            service.repair_clock(store, now=begun.now, actor="somebody", apply=True)
        case "edit":
            begun.bell.edit("often", trigger=every(f"{5 + by % 7}m"))
        case "sync":
            begun.clock.in_sync = not begun.clock.in_sync


@databases.holds_for(st.lists(st.one_of(STEPS, SLEEPS, TIMES, ACTS), max_size=6), sqlite=8, postgresql=3)
def test_S3_1_whatever_happens_to_the_clock_nothing_is_lost_or_doubled(life: list[tuple[str, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        begun = Story(declare, file=Path(folder) / "w.db")
        try:
            begun.node.advance("20m")
            for what, by in life:
                happen(begun, what, by)
                begun.node.step()
                begun.audit()
            begun.node.advance("30m")
            service.confirm(begun.bell._open(), now=begun.now, actor="somebody")
            begun.node.advance("1m")
            begun.audit()
            assert begun.rows("SELECT 1 FROM span WHERE ending = 'held' AND to_at <= ?", begun.now) == []
            twice = "SELECT schedule, due_at FROM occurrence GROUP BY 1, 2 HAVING count(*) > 1"
            assert begun.rows(twice) == []
        finally:
            begun.bell.stop()
