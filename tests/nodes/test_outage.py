"""What a real node says while its server is away: that it is, and that it is back, and how it leaves meanwhile."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.engine.engines import wait_for
from tests.nodes.real import Nodes
from tests.nodes.test_spool import Cut, acting, nodes, spooled, way

__all__ = ["nodes", "way"]
pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes in /proc")


def bad(log: str) -> list[str]:
    """What is said of what went wrong: the first two words of each line."""
    lines = [line.split(":")[0] for line in log.splitlines() if line.startswith(("ERROR", "CRITICAL"))]
    return [
        line for line in lines if line != "CRITICAL engine.store_failing"
    ]  # of a commit that was under way


def test_an_outage_is_one_line_at_its_beginning_and_one_at_its_end(nodes: Nodes, way: Cut) -> None:
    node = acting(nodes, url=way.url)
    way.cut()
    tried = way.refused
    wait_for(lambda: way.refused > tried + 20, "it has tried again and again")
    way.shut = False
    node.says("engine.store_healed")
    assert bad(node.log) == ["CRITICAL engine.store_refused"], node.log
    assert node.log.count("engine.store_healed") == 1


def test_a_node_that_drains_meanwhile_says_it_once_and_where_its_ends_are(nodes: Nodes, way: Cut) -> None:
    node = acting(nodes, url=way.url, grace="600s")
    run = nodes.run_now("waits")
    nodes.has_begun("waits")
    node.signal(signal.SIGTERM)
    node.says("engine.draining")
    way.cut()
    tried = way.refused
    nodes.go()
    wait_for(lambda: way.refused > tried + 20, "it has tried again and again")
    assert bad(node.log) == ["CRITICAL engine.store_refused"], node.log
    node.signal(signal.SIGTERM)
    node.ends()
    assert f'"run": {run},' in spooled(nodes)
    assert bad(node.log) == ["CRITICAL engine.store_refused", "ERROR engine.spooled"], node.log
    assert "engine.spooled: 1 end could not be written: it is kept in " in node.log


def test_a_server_that_comes_back_while_its_node_drains_is_said_as_well(nodes: Nodes, way: Cut) -> None:
    node = acting(nodes, url=way.url, grace="600s")
    run = nodes.run_now("waits")
    nodes.has_begun("waits")
    node.signal(signal.SIGTERM)
    node.says("engine.draining")
    way.cut()
    nodes.go()
    node.says("engine.store_refused")
    way.shut = False
    assert node.ends() == 0
    assert nodes.ended(run) == ("succeeded", None)
    assert node.log.count("engine.store_healed") == 1
