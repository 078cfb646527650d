"""The spool: what is put into it is on the disk until it is in the ledger, and is written there once; nobody takes it from
one who lives."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.engine.story import Story
from watchbell import Watchbell, cron
from watchbell.core.claim import Claim
from watchbell.core.outcome import Ending, Outcome
from watchbell.core.policies import Retry
from watchbell.engine import spool
from watchbell.engine.recovery import write_spooled
from watchbell.engine.spool import Spool, folder_of, write_left
from watchbell.errors import StoreError, StoreUnavailable
from watchbell.store.settling import Ended
from watchbell.testing import Lasting


def claim(run: int) -> Claim:
    return Claim(
        run, 1, "t", 1, None, None, 1, "async", 0, 0, 0,
        args="{}", gates=("a",), rates=("b",), retry=Retry(on=("OSError",), exit_codes=(75,)),
    )  # fmt: skip


def end(run: int, text: str | None = None) -> Ended:
    outcome = Outcome(Ending.FAILED, 1, 2, error=text, error_type=("ValueError", "Exception"))
    return Ended(claim(run), outcome, [(1, 5, "stdout", "info", text or "")], None)


def left(folder: Path, node: int, *ended: Ended) -> Path:
    """The file of an incarnation that is over."""
    one = Spool(folder, node)
    one.keep(ended)
    (path,) = folder.glob(f"{node}-*")
    one.close()
    return path


def runs_left(folder: Path) -> list[int]:
    """What is left there, and is written by this."""
    found: list[Ended] = []
    write_left(folder, found.extend)
    return sorted(item.claim.run for item in found)


# --- what it keeps ----------------------------------------------------------------------------------------------------


def test_what_is_kept_comes_back_as_it_was_with_the_node_that_has_claimed_it(tmp_path: Path) -> None:
    left(tmp_path, 7, end(1, "grün \U0001f514 \ud800"), end(2))
    found: list[Ended] = []
    assert write_left(tmp_path, found.extend) == 2
    assert found == [item._replace(node=7) for item in (end(1, "grün \U0001f514 \ud800"), end(2))]
    assert list(tmp_path.iterdir()) == []


def test_files_and_folders_are_for_their_user_alone(tmp_path: Path) -> None:
    one = Spool(tmp_path / "state" / "spool" / "abc", 7)
    one.open()
    (file,) = one.folder.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    for folder in (one.folder, one.folder.parent, one.folder.parent.parent):
        assert folder.stat().st_mode & 0o777 == 0o700
    one.close()


def test_each_end_is_in_it_once_and_no_more_than_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "LIMIT", 3)
    one = Spool(tmp_path, 7)
    assert one.keep([end(1), end(2)]) == 0
    assert one.keep([end(1), end(2), end(3), end(4)]) == 1
    one.close()
    assert runs_left(tmp_path) == [1, 2, 3]


def test_what_is_in_the_ledger_is_taken_out_and_a_file_with_nothing_in_it_goes_with_its_folder(
    tmp_path: Path,
) -> None:
    one = Spool(tmp_path / "spool", 7)
    one.keep([end(1)])
    one.clear()
    one.keep([end(2)])
    (file,) = one.folder.iterdir()
    assert file.read_text().count("\n") == 1
    one.clear()
    one.close()
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_somebody_has_removed_is_made_anew_with_all_that_is_to_be_kept(tmp_path: Path) -> None:
    one = Spool(tmp_path / "spool", 7)
    one.keep([end(1)])
    for file in one.folder.iterdir():
        file.unlink()
    one.folder.rmdir()
    one.keep([end(1), end(2)])
    one.close()
    assert runs_left(tmp_path / "spool") == [1, 2]


def test_a_last_line_that_a_crash_has_torn_is_left_out(tmp_path: Path) -> None:
    file = left(tmp_path, 7, end(1), end(2))
    file.write_bytes(file.read_bytes()[:-20])
    assert runs_left(tmp_path) == [1]
    assert not file.exists()


@pytest.mark.parametrize("strange", [b'{"claim": 1}\n', b"\0\0\0\0\n", b"[]\n"])
def test_what_cannot_be_made_sense_of_stays_is_said_once_and_is_in_nobodys_way(
    tmp_path: Path, strange: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    file = left(tmp_path, 7, end(1))
    file.write_bytes(strange + file.read_bytes())
    left(tmp_path, 8, end(2))
    assert runs_left(tmp_path) == [2]
    assert runs_left(tmp_path) == []
    assert [record.getMessage().count(str(file)) for record in caplog.records] == [1]
    assert list(tmp_path.iterdir()) == [file]


def test_what_is_said_of_a_strange_file_is_short_and_on_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = left(tmp_path, 7, end(1)).rename(tmp_path / "7-\x1b[31m\nengine.ready")
    file.write_bytes(b"\xff" * 5000 + b"\n")
    assert runs_left(tmp_path) == []
    (said,) = [record.getMessage() for record in caplog.records]
    assert said.isprintable()
    assert len(said) < 1500


WRONG: list[tuple[str, str, Any]] = [
    ("claim", "run", 99_999_999_999_999_999_999),
    ("claim", "run", "1"),
    ("claim", "run", True),
    ("claim", "epoch", {"a": 1}),
    ("claim", "schedule", -(2**63) - 1),
    ("claim", "gates", "abc"),
    ("claim", "gates", [["a"]]),
    ("claim", "key", 5),
    ("claim", "rerun", 1),
    ("claim", "retry", {"max_attempts": 2, "on": [{}], "exit_codes": []}),
    ("outcome", "ended_at", 1.5),
    ("outcome", "began_at", 2**63),
    ("outcome", "error_type", {}),
    ("outcome", "exit_code", "0"),
]


@pytest.mark.parametrize(("part", "name", "value"), WRONG)
def test_a_value_of_another_type_or_size_is_not_handed_to_the_database(
    tmp_path: Path, part: str, name: str, value: Any
) -> None:
    file = left(tmp_path, 7, end(1), end(3))
    first, second, _ = file.read_text().split("\n")
    data = json.loads(second)
    data[part][name] = value
    file.write_text(f"{first}\n{json.dumps(data)}\n")
    left(tmp_path, 8, end(2))
    assert runs_left(tmp_path) == [2]
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    "change", [{"node": 2**70}, {"node": "7"}, {"lines": [[1, 5, "stdout", "info", None]]}, {"lines": [5]}]
)
def test_so_is_a_node_or_a_line_of_output(tmp_path: Path, change: dict[str, Any]) -> None:
    file = left(tmp_path, 7, end(1))
    file.write_text(json.dumps(json.loads(file.read_text()) | change) + "\n")
    assert runs_left(tmp_path) == []
    assert file.exists()


def test_a_file_is_read_in_parts_and_no_line_without_an_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "LONGEST_LINE", 5000)
    file = left(tmp_path, 7, *(end(run) for run in range(1, 31)))
    parts: list[list[int]] = []
    assert write_left(tmp_path, lambda ended: parts.append([item.claim.run for item in ended])) == 30
    assert [run for part in parts for run in part] == list(range(1, 31))
    assert len(parts) > 1
    file = left(tmp_path, 7, end(1))
    file.write_bytes(file.read_bytes() + b" " * 6000)
    assert runs_left(tmp_path) == []
    assert file.exists()


# --- who may take it --------------------------------------------------------------------------------------------------


def test_the_file_of_one_who_lives_is_left_alone(tmp_path: Path) -> None:
    one = Spool(tmp_path, 7)
    one.keep([end(1)])
    assert runs_left(tmp_path) == []
    one.keep([end(2)])
    one.close()
    assert runs_left(tmp_path) == [1, 2]


def test_a_fork_of_one_who_has_died_does_not_keep_its_file(tmp_path: Path) -> None:
    one = Spool(tmp_path, 7)
    one.keep([end(1)])
    here, there = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        there.send(b"I am there")
        there.recv(1)
        os._exit(0)
    try:
        here.recv(100)
        one.close()
        assert runs_left(tmp_path) == [1]
    finally:
        here.send(b".")
        os.waitpid(pid, 0)
        here.close()
        there.close()


def test_of_several_who_look_at_once_one_has_each_file(tmp_path: Path) -> None:
    for node in range(20):
        left(tmp_path, node, end(node))
    found: list[int] = []
    begin = threading.Barrier(4)

    def look() -> None:
        begin.wait()
        write_left(tmp_path, lambda ended: found.extend(item.claim.run for item in ended))

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == list(range(20))
    assert list(tmp_path.iterdir()) == []


def test_who_opens_a_file_while_another_one_reads_it_finds_nothing_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left(tmp_path, 7, end(1))
    lock, early = spool._lock, [True]
    faster: list[int] = []

    def late(fd: int) -> bool:
        if early.pop() if early else False:
            faster.extend(runs_left(tmp_path))
        return lock(fd)

    monkeypatch.setattr(spool, "_lock", late)
    assert runs_left(tmp_path) == []
    assert faster == [1]


def test_an_empty_file_that_is_taken_before_its_owner_has_locked_it_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, early = spool._lock, [True]

    def late(fd: int) -> bool:
        if early.pop() if early else False:
            assert runs_left(tmp_path) == []  # another one looks just now
            assert list(tmp_path.iterdir()) == []
        return lock(fd)

    monkeypatch.setattr(spool, "_lock", late)
    one = Spool(tmp_path, 7)
    one.keep([end(1)])
    one.close()
    assert runs_left(tmp_path) == [1]


def test_what_could_not_be_written_stays_for_the_next_one(tmp_path: Path) -> None:
    left(tmp_path, 7, end(1))

    def refuse(_ended: list[Ended]) -> None:
        raise StoreUnavailable("The server is away.")

    with pytest.raises(StoreUnavailable):
        write_left(tmp_path, refuse)
    assert runs_left(tmp_path) == [1]


def test_what_the_database_refuses_stays_and_is_in_nobodys_way(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = left(tmp_path, 7, end(1))
    left(tmp_path, 8, end(2))
    found: list[int] = []

    def refuse_the_first(ended: list[Ended]) -> None:
        if ended[0].claim.run == 1:
            raise StoreError("The database refused a statement.")
        found.append(ended[0].claim.run)

    assert write_left(tmp_path, refuse_the_first) == 1
    assert found == [2]
    assert list(tmp_path.iterdir()) == [file]
    assert "refused a statement" in caplog.text


def test_what_is_no_file_of_this_user_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    file = left(tmp_path / "other", 7, end(1))
    (tmp_path / "spool" / "7-link").symlink_to(file)
    (tmp_path / "spool" / "7-folder").mkdir()
    os.mkfifo(tmp_path / "spool" / "7-pipe")
    assert runs_left(tmp_path / "spool") == []
    assert file.exists()


def test_a_database_on_a_server_has_its_spool_in_the_state_folder_and_a_file_beside_itself(
    tmp_path: Path,
) -> None:
    assert folder_of(tmp_path / "a.db.lock", None, "abc") == tmp_path / "a.db.lock" / "spool"
    assert folder_of(None, tmp_path, "abc") == tmp_path / "spool" / "abc"
    assert folder_of(None, None, "abc") is None


# --- what becomes of it -----------------------------------------------------------------------------------------------


def begun(bell: Watchbell) -> None:
    @bell.schedule(cron("*/10 * * * *"))
    def work() -> Lasting:
        return Lasting("5m")


def told(story: Story) -> Ended:
    """How the one run ended that is going on, as its node would say it."""
    (held,) = story.node.house.desk.held()
    return Ended(held, Outcome(Ending.SUCCEEDED, story.now, story.now))


def test_an_end_that_was_left_is_settled_once_however_often_it_is_read(
    story: Callable[..., Story], tmp_path: Path
) -> None:
    lives = story(begun, at="2026-11-21T00:09:50Z")
    lives.until("00:10")
    house = lives.node.house
    house.spool = tmp_path
    file = left(tmp_path, house.node, told(lives))
    text = file.read_bytes()
    write_spooled(house)
    assert lives.rows("SELECT state, resolved FROM occurrence") == [("succeeded", None)]
    assert not file.exists()
    file.write_bytes(text)  # as after a crash just before it was removed
    write_spooled(house)
    assert lives.rows("SELECT state, resolved FROM occurrence") == [("succeeded", None)]
    assert lives.rows("SELECT count(*) FROM audit_event WHERE action = 'report.refused'") == [(0,)]
    house.desk.clear(house.desk.held())
    for lane in lives.node.lanes.values():
        lane.die()


def test_an_end_that_was_left_resolves_what_was_called_lost_meanwhile(
    story: Callable[..., Story], tmp_path: Path
) -> None:
    lives = story(begun, at="2026-11-21T00:09:50Z", file=tmp_path / "bell.db")
    lives.until("00:10")
    left(tmp_path / "spool", lives.node.house.node, told(lives))
    lives.restart("1m")
    assert lives.states()[0] == "lost"
    lives.node.house.spool = tmp_path / "spool"
    write_spooled(lives.node.house)
    ((state, resolved),) = lives.rows("SELECT state, resolved FROM occurrence")
    assert (state, str(resolved).split(" at ")[0]) == ("lost", "succeeded")
    assert runs_left(tmp_path / "spool") == []
