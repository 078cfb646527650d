"""However an engine is asked to begin in a process, and by how many at once, it begins there once and is kept."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from watchbell import Watchbell

from .servers import wait_for

_before: set[threading.Thread] = set()
"""Those of other tests, which have not ended yet."""


@pytest.fixture
def bell(tmp_path: Path) -> Iterator[Watchbell]:
    _before.clear()
    _before.update(threading.enumerate())
    made = Watchbell(f"sqlite:///{tmp_path / 'bell.db'}", shutdown_grace="1s")
    yield made
    made._embedding.end()
    made.stop()


def acts(bell: Watchbell) -> bool:
    return bell._node is not None and bell._node.ready.is_set() and not bell._node.ended.is_set()


def keepers() -> int:
    return sum(
        thread.name == "watchbell-embedding" and thread not in _before for thread in threading.enumerate()
    )


def refused(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [text for text in caplog.messages if text.startswith("embedding.not_started")]


@pytest.mark.parametrize("turn", range(8))
def test_S4_10_a_server_that_is_noticed_while_a_lifespan_begins_starts_nothing_a_second_time(
    bell: Watchbell, turn: int, caplog: pytest.LogCaptureFixture
) -> None:
    embedding = bell._embedding
    embedding.arm()
    orders = [threading.Thread(target=embedding.begin) for _ in range(2)]
    with bell._lock:  # whoever comes first stands in the middle of its start until all have come
        for act in (embedding.asked, *(order.start for order in orders))[:: 1 if turn % 2 else -1]:
            act()
        wait_for(lambda: embedding._starting.locked(), lambda: "somebody starts the engine")
    for order in orders:
        order.join()
    assert acts(bell)
    assert refused(caplog) == []
    assert keepers() == 1


@pytest.mark.parametrize("armed", [True, False])
def test_an_engine_begun_by_order_is_begun_again_after_it_has_ended_by_itself(
    bell: Watchbell, armed: bool, caplog: pytest.LogCaptureFixture
) -> None:
    if armed:
        bell._embedding.arm()
    bell._embedding.begin()
    ended = bell._node
    assert ended is not None
    ended.stop(0)
    wait_for(lambda: bell._node is not ended and acts(bell), lambda: "another engine in its place")
    bell._embedding.end()
    assert bell._node is None
    assert keepers() == 0
    assert refused(caplog) == []


def test_it_can_be_begun_and_ended_again_and_a_request_after_the_end_begins_nothing(bell: Watchbell) -> None:
    bell._embedding.arm()
    for _ in range(3):
        bell._embedding.begin()
        assert acts(bell)
        assert keepers() == 1
        bell._embedding.end()
        bell._embedding.asked()
        assert bell._node is None
        assert keepers() == 0


def test_one_that_was_stopped_by_hand_stays_so_until_it_is_begun_again(bell: Watchbell) -> None:
    bell._embedding.begin()
    bell.stop()
    wait_for(lambda: keepers() == 0, lambda: "its keeper has gone")
    assert bell._node is None
    bell._embedding.begin()
    assert acts(bell)
    assert keepers() == 1


def test_where_a_database_cannot_be_opened_an_order_says_so_and_what_begins_by_itself_waits_for_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "watchbell.embedding")
    place = tmp_path / "bell.db"
    place.mkdir()
    bell = Watchbell(f"sqlite:///{place}")
    bell._embedding.arm()
    bell._embedding.asked()
    wait_for(lambda: refused(caplog), lambda: "it could not be started")
    assert "next try in" in refused(caplog)[0]
    place.rmdir()
    wait_for(lambda: acts(bell), lambda: "an engine, now that there can be a database")
    bell._embedding.end()
    assert keepers() == 0
