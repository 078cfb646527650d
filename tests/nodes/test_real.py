"""Real nodes: killed, stopped, told to end. No figure of time is asserted, only facts of the ledger and their order; a
lease of ten minutes says that nobody has waited for one, and a lease of three seconds makes it worth waiting for."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.engines import wait_for
from tests.nodes.real import Nodes

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes in /proc")
LONG_US = 600_000_000
SHORT_US = 3_000_000


@pytest.fixture
def nodes(tmp_path: Path, listening_url: str) -> Iterator[Nodes]:
    made = Nodes(tmp_path, listening_url)
    yield made
    made.close()


def ticks_of(nodes: Nodes, pid: int) -> int:
    return sum(int(line[2]) == pid for line in nodes.begun("tick"))


def test_three_nodes_that_start_at_once_all_act_and_none_stands_by(nodes: Nodes) -> None:
    started = [nodes.engine(ticking="200ms", lease_us=LONG_US) for _ in range(3)]
    for node in started:
        node.says("engine.ready")
    wait_for(lambda: len(nodes.begun("tick")) > 5, "what is due begins")
    assert nodes.rows("SELECT state, count(*) FROM node GROUP BY state") == [("up", 3)]
    assert nodes.value("SELECT count(*) FROM schedule") == 1
    nodes.audited()


def test_a_node_that_was_killed_is_dead_to_its_neighbour_at_once(nodes: Nodes) -> None:
    first = nodes.acting(lease_us=LONG_US)
    run = nodes.run_now("waits")
    nodes.has_begun("waits")
    second = nodes.acting(ticking="200ms", lease_us=LONG_US)
    first.signal(signal.SIGKILL)
    assert nodes.ended(run)[0] == "lost"
    assert nodes.state(first) == "dead"
    wait_for(lambda: ticks_of(nodes, second.pid), "the second one goes on")
    nodes.audited()


def test_a_node_that_was_killed_elsewhere_is_dead_when_its_lease_is_over(nodes: Nodes) -> None:
    first = nodes.acting(lease_us=SHORT_US, elsewhere=True)
    run = nodes.run_now("waits")
    nodes.has_begun("waits")
    second = nodes.acting(ticking="200ms", lease_us=SHORT_US)
    first.signal(signal.SIGKILL)
    assert nodes.ended(run)[0] == "lost"
    second.says("its lease was not renewed")
    nodes.audited()


def test_the_next_process_of_a_machine_knows_that_the_last_one_is_dead(nodes: Nodes) -> None:
    first = nodes.acting(lease_us=LONG_US)
    run = nodes.run_now("waits")
    nodes.has_begun("waits")
    first.signal(signal.SIGKILL)
    nodes.acting(lease_us=LONG_US)
    assert nodes.ended(run)[0] == "lost"
    assert nodes.state(first) == "dead"


def test_a_node_that_was_stopped_past_its_lease_ends_what_it_ran_and_comes_back_as_another(
    nodes: Nodes,
) -> None:
    first = nodes.acting(lease_us=SHORT_US, grace="0s")
    run = nodes.run_now("waits")
    nodes.has_begun("waits")
    second = nodes.acting(ticking="200ms", lease_us=SHORT_US)
    nodes.freeze(first)
    assert nodes.ended(run)[0] == "lost"
    before = ticks_of(nodes, second.pid)
    wait_for(lambda: ticks_of(nodes, second.pid) > before + 3, "the second one goes on")
    first.signal(signal.SIGCONT)
    first.says("engine.replaced")
    wait_for(lambda: first.log.count("engine.ready") == 2, "it acts again")
    assert nodes.rows("SELECT state FROM node WHERE pid = ? ORDER BY id", first.pid) == [("dead",), ("up",)]
    resolved = "SELECT resolved FROM occurrence WHERE id = ?"
    wait_for(lambda: nodes.value(resolved, run), "how it really ended is known")
    assert str(nodes.value(resolved, run)).startswith("cancelled at")
    nodes.audited()


def test_a_node_that_is_told_to_end_leaves_its_work_to_the_other_and_nobody_waits_for_a_lease(
    nodes: Nodes,
) -> None:
    first = nodes.acting(lease_us=LONG_US, grace="0s", ticking="200ms")
    held = nodes.run_now("waits")
    nodes.has_begun("waits")
    second = nodes.acting(lease_us=LONG_US, ticking="200ms")
    runs = [nodes.run_now("tick") for _ in range(50)]
    first.signal(signal.SIGTERM)
    assert first.ends() == 0
    assert nodes.ended(held) == ("cancelled", "shutdown")
    assert {nodes.ended(run)[0] for run in runs} == {"succeeded"}
    before = ticks_of(nodes, second.pid)
    wait_for(lambda: ticks_of(nodes, second.pid) > before + 3, "the second one goes on")
    assert nodes.state(first) == "stopped"
    assert nodes.value("SELECT count(*) FROM occurrence WHERE state = 'lost'") == 0
    nodes.audited()


def test_what_a_full_node_leaves_begins_on_another_that_looks_once_a_minute(nodes: Nodes) -> None:
    slots = {"async": 1}
    first = nodes.acting(lease_us=LONG_US, slots=slots, patient=True)
    second = nodes.acting(lease_us=LONG_US, slots=slots, patient=True)
    runs = [nodes.run_now("waits"), nodes.run_now("waits")]
    wait_for(lambda: len(nodes.begun("waits")) == 2, "both have begun")
    assert {nodes.owner(run) for run in runs} == {first.pid, second.pid}
    nodes.go()
    assert {nodes.ended(run)[0] for run in runs} == {"succeeded"}
