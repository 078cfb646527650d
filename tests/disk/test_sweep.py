"""Every write, sync and read of a life fails once, or from then on: nothing begins twice or without a durable claim, and
once the disk is well everything is accounted for. The normal run takes a sample of n, that
of a release every n up to 500."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.disk.lives import Life
from tests.disk.shim import FAULTS, READ, Disk, faulty
from watchbell.core.instants import to_datetime
from watchbell.errors import CommitUnknown, DiskFailing, StoreCorrupt, StoreFull, StoreUnavailable

TOLD = {
    "no room to write": {StoreFull},
    "EIO on write": {CommitUnknown},
    "EIO on fsync": {CommitUnknown},
    "EIO on read": {CommitUnknown, StoreUnavailable},
    "short read": {CommitUnknown, StoreCorrupt, StoreUnavailable},
}


def lived(file: Path, fault: str, n: int, lasting: bool) -> tuple[Life, int]:
    """A life in which the n-th operation fails; after a while the disk is well again."""
    with faulty() as disk:
        life = Life(file)
        life.live(2)
        disk.fail(fault, n, lasting)
        life.live(6)
        while not disk.failed and disk.counts[READ] and life.story.now < life.born + 40_000_000:
            life.live(4)
        life.judge(disk)
        life.end()
        return life, disk.failed


SOME = (1, 8, 60, 157)


def sweep(folder: Path, fault: str, lasting: bool, every: Iterable[int]) -> None:
    errors: set[type[Exception]] = set()
    failed = lives = 0
    for n in every:
        life, times = lived(folder / f"{n}.db", fault, n, lasting)
        errors |= {type(error) for error in life.errors}
        failed, lives = failed + bool(times), lives + 1
    assert failed > lives // 3
    assert errors & TOLD[fault]
    if fault != "short read":
        assert (DiskFailing in errors) == (lasting and fault != "no room to write")


@pytest.mark.parametrize("lasting", [False, True], ids=["once", "until it heals"])
@pytest.mark.parametrize("fault", FAULTS)
def test_F31_F33_F34_whichever_operation_fails_everything_is_accounted_for(
    tmp_path: Path, fault: str, lasting: bool
) -> None:
    sweep(tmp_path, fault, lasting, SOME)


@pytest.mark.release
@pytest.mark.parametrize("lasting", [False, True], ids=["once", "until it heals"])
@pytest.mark.parametrize("fault", FAULTS)
def test_F31_F33_F34_every_single_operation_fails_and_everything_is_accounted_for(
    tmp_path: Path, fault: str, lasting: bool
) -> None:
    sweep(tmp_path, fault, lasting, range(1, 501))


@pytest.mark.parametrize("happened", [True, False])
def test_F33_a_commit_of_claims_that_may_have_happened_runs_each_of_them_once(
    tmp_path: Path, disk: Disk, happened: bool
) -> None:
    """The sync of the commit fails: what was written is there after all, or it is not. A write that fails never is."""
    life = Life(tmp_path / "w.db")
    life.live(2)
    disk.fail("EIO on fsync" if happened else "EIO on write", 1)
    life.live(0.97)  # nothing is due but the claim ahead of the next second
    life.live(3)
    assert [type(error) for error in life.errors] == [CommitUnknown]
    rows = life.story.rows("SELECT id, epoch FROM occurrence WHERE due_at = ?", life.born + 3_000_000)
    assert [row[1] for row in rows] == [2 if happened else 1]
    assert [begun for begun in life.begun if begun[0] == rows[0][0]] == rows
    life.judge(disk)
    life.end()


def test_F31_an_end_that_cannot_be_written_is_written_later_and_what_was_not_planned_is_missed(
    tmp_path: Path, disk: Disk
) -> None:
    life = Life(tmp_path / "w.db")
    life.live(6)  # `lasts` begins at the seventh second and goes on for four
    life.live(2)
    disk.fail("no room to write", 1, lasting=True)
    begun = len(life.begun)
    life.live(8)
    assert len(life.begun) <= begun + 2, "what was claimed before may begin, and nothing else"
    disk.heal()
    life.live(5)
    rows = life.story.rows(
        "SELECT o.state, o.reason FROM occurrence o JOIN schedule s ON s.id = o.schedule WHERE s.name = 'lasts' LIMIT 1"
    )
    assert rows == [("succeeded", None)]
    assert life.story.rows("SELECT kind FROM outage WHERE kind <> 'downtime'") == [("store_full",)]
    missed = life.story.rows(
        "SELECT sum(n) FROM (SELECT count AS n FROM span WHERE ending = 'missed' AND reason = 'store_full' UNION ALL "
        "SELECT 1 FROM occurrence WHERE state = 'missed' AND reason = 'store_full')"
    )
    assert missed[0][0] >= 6
    told = life.story.bell.explain("beat", to_datetime(life.born + 12_000_000, "UTC")).sentence
    assert "there was no room left to write the database" in told
    life.judge(disk)
    life.end()
