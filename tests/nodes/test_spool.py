"""Ends that a node could not write to the server: who writes them when it has died, on its machine and elsewhere. Two state
folders stand for two machines; in front of the first node's server there is a proxy that can be cut off."""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.engine.engines import Engine, wait_for
from tests.nodes.real import Nodes
from tests.nodes.several import Several
from tests.nodes.test_several import id_of, lasting
from tests.store.proxy import Proxy
from watchbell import Watchbell, cron
from watchbell.core.instants import SECOND
from watchbell.core.outcome import Ending, Outcome
from watchbell.engine.spool import Spool
from watchbell.errors import StoreUnavailable
from watchbell.store.base import Store
from watchbell.store.settling import Ended
from watchbell.store.tx import Tx
from watchbell.testing import Lasting, StepNode

LONG_US = 600_000_000
real = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes in /proc")


class Cut(Proxy):
    """A way to the server that can be closed, with all that goes through it, and opened again."""

    def cut(self) -> None:
        self.shut = True
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def way(postgres_url: str) -> Iterator[Cut]:
    made = Cut(postgres_url)
    yield made
    made.close()


@pytest.fixture
def nodes(tmp_path: Path, postgres_url: str) -> Iterator[Nodes]:
    made = Nodes(tmp_path, postgres_url)
    yield made
    made.close()


def spooled(nodes: Nodes, machine: str = "here") -> str:
    """What is in the spool of a machine."""
    files = (nodes.folder / machine / "spool").glob("*/*")
    return "".join(file.read_text() for file in files)


def start(nodes: Nodes, machine: str = "here", **options: object) -> Engine:
    return nodes.engine(
        **({"state": str(nodes.folder / machine), "lease_us": LONG_US, "grace": "0s"} | options)
    )


def acting(nodes: Nodes, machine: str = "here", **options: object) -> Engine:
    started = start(nodes, machine, **options)
    started.says("engine.ready")
    return started


def cut_off(nodes: Nodes, way: Cut) -> tuple[Engine, int]:
    """A node whose run has ended while its server was away, and the run."""
    node = acting(nodes, url=way.url)
    run = nodes.run_now("waits")
    nodes.has_begun("waits")
    way.cut()
    nodes.go()
    wait_for(lambda: f'"run": {run},' in spooled(nodes), "what has ended is in the spool")
    return node, run


def resolved(nodes: Nodes, run: int) -> str:
    sql = "SELECT resolved FROM occurrence WHERE id = ?"
    return str(wait_for(lambda: nodes.value(sql, run), "how it really ended is known"))


def refused(nodes: Nodes) -> int:
    return int(nodes.value("SELECT count(*) FROM audit_event WHERE action = 'report.refused'"))


@real
@pytest.mark.kill9
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "stopped"])
def test_an_end_that_died_with_its_node_resolves_what_was_called_lost_when_the_next_one_starts_there(
    nodes: Nodes, way: Cut, number: int
) -> None:
    first, run = cut_off(nodes, way)
    first.signal(number)
    first.ends()
    acting(nodes, "elsewhere")
    assert nodes.ended(run)[0] == "lost"
    assert f'"run": {run},' in spooled(nodes)
    acting(nodes)
    assert resolved(nodes, run).startswith("succeeded at ")
    assert spooled(nodes) == ""
    assert refused(nodes) == 0
    nodes.audited()


@real
@pytest.mark.kill9
def test_an_end_that_died_with_its_node_is_written_by_its_neighbour_before_anything_is_called_lost(
    nodes: Nodes, way: Cut
) -> None:
    first, run = cut_off(nodes, way)
    second = acting(nodes)
    assert f'"run": {run},' in spooled(nodes), "its owner lives"
    first.signal(signal.SIGKILL)
    first.ends()
    assert nodes.ended(run) == ("succeeded", None)
    second.says("1 ends that could not be written before are in the ledger now")
    wait_for(lambda: nodes.state(first) == "dead", "it is declared dead")
    assert nodes.value("SELECT resolved FROM occurrence WHERE id = ?", run) is None
    wait_for(lambda: spooled(nodes) == "", "the file is gone")
    nodes.audited()


@real
@pytest.mark.kill9
def test_what_ends_while_its_node_drains_is_on_the_disk_before_the_grace_is_over(
    nodes: Nodes, way: Cut
) -> None:
    first = acting(nodes, url=way.url, grace="600s")
    run = nodes.run_now("waits")
    nodes.has_begun("waits")
    way.cut()
    first.signal(signal.SIGTERM)
    first.says("engine.draining")
    nodes.go()
    wait_for(lambda: f'"run": {run},' in spooled(nodes), "what has ended is in the spool")
    first.signal(signal.SIGKILL)
    first.ends()
    acting(nodes)
    assert nodes.ended(run) == ("succeeded", None)
    nodes.audited()


@real
@pytest.mark.kill9
def test_two_nodes_that_start_at_once_write_what_is_left_once(nodes: Nodes, way: Cut) -> None:
    first, run = cut_off(nodes, way)
    first.signal(signal.SIGKILL)
    first.ends()
    both = [start(nodes), start(nodes)]
    for node in both:
        node.says("engine.ready")
    assert nodes.ended(run) == ("succeeded", None)
    assert sum(node.log.count("that could not be written before are in the ledger now") for node in both) == 1
    assert refused(nodes) == 0
    nodes.audited()


@real
def test_a_node_whose_server_comes_back_writes_its_ends_itself_and_leaves_nothing(
    nodes: Nodes, way: Cut
) -> None:
    first, run = cut_off(nodes, way)
    way.shut = False
    assert nodes.ended(run) == ("succeeded", None)
    wait_for(lambda: spooled(nodes) == "", "the spool is empty")
    first.signal(signal.SIGTERM)
    assert first.ends() == 0, first.log
    assert list((nodes.folder / "here" / "spool").iterdir()) == []
    assert refused(nodes) == 0
    nodes.audited()


@real
def test_a_state_folder_that_cannot_be_used_is_said_once_and_the_engine_goes_on(
    nodes: Nodes, way: Cut
) -> None:
    (nodes.folder / "here").write_text("no folder")
    node = acting(nodes, url=way.url)
    node.says("is kept in memory only")
    run = nodes.run_now("waits")
    nodes.has_begun("waits")
    way.cut()
    nodes.go()
    wait_for(lambda: way.refused > 8, "it has tried several times")
    way.shut = False
    assert nodes.ended(run) == ("succeeded", None)
    assert node.log.count("engine.spool:") == 1
    assert "$WATCHBELL_STATE_FOLDER names another folder" in node.log
    nodes.audited()


# --- under virtual time -----------------------------------------------------------------------------------------------


def left_by(node: StepNode, folder: Path) -> None:
    """The node's run has ended, and it dies without having been able to say so."""
    (held,) = node.house.desk.held()
    now = node.clock.wall_us()
    file = Spool(folder, id_of(node))
    file.keep([Ended(held, Outcome(Ending.SUCCEEDED, now, now))])
    file.close()
    node.die(seen=False)


def test_a_node_that_declares_another_dead_reads_first_what_that_one_has_left(
    several: Several, tmp_path: Path
) -> None:
    one = several.node(lasting("5m"), "one")
    two = several.node(lasting("5m"), "two")
    two.house.spool = tmp_path
    several.until("00:10")
    assert several.rows("SELECT node FROM occurrence") == [(id_of(one),)]
    two._peers._looked = two.clock.boot_ns() // 1000
    left_by(one, tmp_path)
    several.live(20)
    assert several.states()["one"] == "dead"
    assert several.rows("SELECT state, resolved FROM occurrence") == [("succeeded", None)]


def test_a_node_finds_what_was_left_by_one_whose_death_others_have_seen(
    several: Several, tmp_path: Path
) -> None:
    one = several.node(lasting("5m"), "one")
    two = several.node(lasting("5m"), "two")
    several.until("00:10")
    left_by(one, tmp_path)
    several.live(20)
    assert several.rows("SELECT state, resolved FROM occurrence") == [("lost", None)]
    two.house.spool = tmp_path
    several.live(61)
    ((state, said),) = several.rows("SELECT state, resolved FROM occurrence")
    assert (state, str(said).split(" at ")[0]) == ("lost", "succeeded")
    assert list(tmp_path.iterdir()) == []


class Away:
    """A store whose server is away. It looks into the spool when it is asked to write."""

    def __init__(self, store: Store, folder: Path) -> None:
        self._store = store
        self._folder = folder
        self.found: list[int] = []

    def write(self, work: Callable[[Tx], object]) -> object:
        self.found.append(sum(file.read_text().count("\n") for file in self._folder.iterdir()))
        raise StoreUnavailable("The server is away.")

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)


def two_spans(bell: Watchbell) -> None:
    @bell.schedule(cron("*/10 * * * *"))
    def short() -> Lasting:
        return Lasting("10s")

    @bell.schedule(cron("*/10 * * * *"))
    def long() -> Lasting:
        return Lasting("20s")


def test_what_ends_while_a_server_is_away_is_in_the_spool_before_it_is_asked_again(
    several: Several, tmp_path: Path
) -> None:
    one = several.node(two_spans, "one")
    file = one._trouble._spool = Spool(tmp_path, id_of(one))
    file.open()
    several.until("00:10")
    store = one.house.store
    one.house.store = away = Away(store, tmp_path)  # type: ignore[assignment]
    for _ in range(2):
        several.clock.advance(10 * SECOND)
        for lane in one.lanes.values():
            lane.pass_time()
        with pytest.raises(StoreUnavailable):
            one._trouble.step()
    assert away.found == [0, 2]
    one.house.store = store
    several.live(1)
    assert several.seen() == [("00:10", "succeeded", None)] * 2
    assert [left.read_text() for left in tmp_path.iterdir()] == [""]
    one._trouble.close()
    assert not tmp_path.exists()
