"""The order and the pace of a backlog: oldest or newest first, so many in a span, none older than the window."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.engine.story import Story
from watchbell import Watchbell, every
from watchbell.core.instants import MINUTE
from watchbell.errors import BadPolicy
from watchbell.testing import Lasting


def working(lasts: str, **options: Any) -> Callable[[Watchbell], None]:
    def declare(bell: Watchbell) -> None:
        @bell.schedule(every("10m"), catchup="all", **options)
        def work() -> Lasting:
            return Lasting(lasts)

    return declare


def after_an_outage(tmp_path: Path, declare: Callable[[Watchbell], None], down: str = "60m") -> Story:
    """Nobody plans from 00:05 on; the engine comes back on a whole minute, between two due instants."""
    begun = Story(declare, file=tmp_path / "a.db")
    begun.until("00:05")
    begun.restart(down)
    begun.node.step()
    return begun


def order(begun: Story) -> list[str]:
    """The due instants in the order in which they began."""
    rows = begun.rows("SELECT due_at FROM occurrence WHERE began_at IS NOT NULL ORDER BY began_at, id")
    return [f"{row[0] // MINUTE % 60:02d}" for row in rows]


def end(begun: Story) -> None:
    begun.audit()
    begun.bell.stop()


def test_oldest_first_is_the_default(tmp_path: Path) -> None:
    begun = after_an_outage(tmp_path, working("1m", overlap="queue_all"))
    begun.until("01:15")
    assert order(begun) == ["10", "20", "30", "40", "50", "00", "10"]
    end(begun)


@pytest.mark.parametrize("overlap", ["queue_all", "allow"])
def test_newest_first_runs_the_backlog_backwards_and_what_is_new_before_it(
    tmp_path: Path, overlap: str
) -> None:
    declare = working("2m", overlap=overlap, catchup_order="newest")
    begun = Story(declare, file=tmp_path / "a.db")
    begun.until("00:05")
    begun.die("60m")
    begun.open()
    begun.node.set_slots(thread=1)
    begun.until("01:30")
    # it comes back at 01:05: the one of 01:00 begins, and that of 01:10 falls due while the backlog is on its way
    assert order(begun) == ["00", "50", "40", "10", "30", "20", "10", "20"]
    end(begun)


def test_a_catchup_rate_lets_in_so_many_of_a_backlog_and_leaves_what_is_new_alone(tmp_path: Path) -> None:
    begun = after_an_outage(tmp_path, working("1s", overlap="allow", catchup_rate="2/10m"))
    assert sorted(begun.states()) == ["going", "going", "held", "held", "held", "held"]
    begun.until("01:11")
    assert begun.states()[-1] == "succeeded"  # the one of 01:10, which is no backlog
    begun.until("01:39")
    assert set(begun.states()) == {"succeeded"}
    began = [
        row[0] for row in begun.rows("SELECT began_at FROM occurrence WHERE catchup = 1 ORDER BY began_at")
    ]
    assert all(later - first > 10 * MINUTE for first, later in zip(began, began[2:], strict=False))
    end(begun)


def test_a_catchup_rate_goes_with_the_order_and_survives_another_death(tmp_path: Path) -> None:
    declare = working("1s", overlap="allow", catchup_rate="1/5m", catchup_order="newest")
    begun = after_an_outage(tmp_path, declare)
    begun.until("01:06")
    begun.restart("1m")
    begun.until("01:45")
    backlog = begun.rows("SELECT due_at FROM occurrence WHERE catchup = 1 ORDER BY began_at")
    assert [row[0] // MINUTE % 60 for row in backlog] == [0, 50, 40, 30, 20, 10]
    end(begun)


def test_a_backlog_that_runs_one_after_another_keeps_its_rate_as_well(tmp_path: Path) -> None:
    begun = after_an_outage(tmp_path, working("1s", overlap="queue_all", catchup_rate="1/2m"))
    begun.until("01:20")
    began = [
        row[0] for row in begun.rows("SELECT began_at FROM occurrence WHERE catchup = 1 ORDER BY began_at")
    ]
    assert len(began) == 6
    assert all(later - first > 2 * MINUTE for first, later in pairwise(began))
    end(begun)


@pytest.mark.parametrize(
    ("catchup", "overlap", "ran"),
    [("all", "queue_all", 3), ("earliest", "queue_all", 1), ("latest", "skip", 1)],
)
def test_what_is_older_than_the_window_is_missed_for_it(
    tmp_path: Path, catchup: str, overlap: str, ran: int
) -> None:
    def declare(bell: Watchbell) -> None:
        @bell.schedule(every("10m"), catchup=catchup, overlap=overlap, catchup_window="30m")
        def work() -> None: ...

    begun = after_an_outage(tmp_path, declare)
    begun.until("01:09")
    assert [row for row in begun.seen() if row[2] == "catchup_window"] == [
        (due, "missed", "catchup_window") for due in ("00:10", "00:20", "00:30")
    ]
    assert begun.states().count("succeeded") == ran
    assert begun.states().count("coalesced") == 3 - ran
    end(begun)


def test_a_spread_moves_the_starts_of_a_backlog_and_not_what_is_missed(tmp_path: Path) -> None:
    begun = after_an_outage(tmp_path, working("1s", overlap="queue_all", spread="9m"), down="56m")
    # 01:01: six are due, the one of 01:00 starts at 01:02:09
    assert begun.states() == ["going", "held", "held", "held", "held", "waiting"]
    begun.until("01:09")
    assert order(begun) == ["10", "20", "30", "40", "50", "00"]
    end(begun)


@pytest.mark.parametrize("option", [{"catchup_order": "newest"}, {"catchup_rate": "1/1m"}])
def test_order_and_rate_are_refused_where_no_more_than_one_is_caught_up(option: dict[str, str]) -> None:
    bell = Watchbell("sqlite://")
    with pytest.raises(BadPolicy, match="it goes with catchup=all"):
        bell.schedule(every("1m"), **option)(lambda: None)


def test_an_order_that_there_is_not_is_refused_with_those_there_are() -> None:
    bell = Watchbell("sqlite://")
    with pytest.raises(BadPolicy, match="catchup_order is one of oldest, newest"):
        bell.schedule(every("1m"), catchup="all", overlap="allow", catchup_order="best")(lambda: None)
