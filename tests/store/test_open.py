"""Opening a database: every wrong one gets a sentence that says what to do, and nothing is changed (S0.13)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import pytest

from watchbell.errors import BadConfiguration, StoreCorrupt, StoreUnavailable
from watchbell.store.sqlite import refuse_network_file_system
from watchbell.store.sqlite.open import open_store, parse_url

pytestmark = pytest.mark.sqlite


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite://", None),
        ("sqlite:///:memory:", None),
        ("sqlite:///watchbell.db", "watchbell.db"),
        ("sqlite:////var/lib/watchbell.db", "/var/lib/watchbell.db"),
        ("sqlite:///with%20space.db", "with space.db"),
        ("plain.db", "plain.db"),
        ("/abs/plain.db", "/abs/plain.db"),
    ],
)
def test_the_forms_of_a_url(url: str, path: str | None) -> None:
    assert parse_url(url) == (None if path is None else Path(path))


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("", "The database URL is empty; write sqlite:///relative.db"),
        ("mysql://db/x", "mysql:// is not a database this watchbell can use; write"),
        (
            "postgresql+psycopg://db/x",
            r"not a database .*; write .*, or postgresql://user:password@host:5432",
        ),
        ("postgresql:shop", "is no form of a database that is known here; write"),
        ("sqlite://host/x.db", "names a host; SQLite is a file: write"),
    ],
)
def test_a_url_that_is_none_is_refused_with_the_forms_there_are(url: str, sentence: str) -> None:
    with pytest.raises(BadConfiguration, match=sentence):
        open_store(url, 0)


@pytest.mark.parametrize("text", ["user=ada password=secret dbname=shop", "host=db password=secret"])
def test_a_connection_string_of_postgresql_is_no_path_and_is_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadConfiguration, match="write it as a URL: postgresql://") as refused:
        open_store(text, 0)
    assert "secret" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_S0_13_a_folder_that_does_not_exist_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match=f"The folder {tmp_path}/no does not exist: create it"):
        open_store(str(tmp_path / "no" / "w.db"), 0)
    assert list(tmp_path.iterdir()) == []


def test_S0_13_a_folder_is_no_database(tmp_path: Path) -> None:
    with pytest.raises(
        StoreUnavailable, match=f"{tmp_path} is a folder; name a file in it, such as {tmp_path}/watchbell.db"
    ):
        open_store(str(tmp_path), 0)


def test_a_database_that_has_to_be_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match=r"There is no database at .*; `watchbell serve` creates one"):
        open_store(str(tmp_path / "w.db"), 0, create=False)
    assert list(tmp_path.iterdir()) == []


@contextmanager
def nobody() -> Iterator[None]:
    """Somebody without any rights: root may write everywhere."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder that anybody can look into."""
    import shutil
    import tempfile

    folder = Path(tempfile.mkdtemp(prefix="watchbell-open-"))
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


def test_S0_13_a_folder_that_cannot_be_written_gets_a_sentence(place: Path) -> None:
    place.chmod(0o555)
    with (
        nobody(),
        pytest.raises(StoreUnavailable, match="give this user write permission"),
    ):
        open_store(str(place / "w.db"), 0)
    assert list(place.iterdir()) == []


def test_S0_13_a_file_that_cannot_be_written_gets_a_sentence(place: Path) -> None:
    open_store(str(place / "w.db"), 0).close()
    (place / "w.db").chmod(0o444)
    place.chmod(0o555)
    with (
        nobody(),
        pytest.raises(StoreUnavailable, match=r"give this user write permission|must exist and be writable"),
    ):
        open_store(str(place / "w.db"), 0)


def test_a_text_file_is_no_database_and_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("Milk, bread, eggs. " * 300)
    before = path.read_bytes()
    with pytest.raises(StoreCorrupt, match="is damaged or is not a watchbell database"):
        open_store(str(path), 0)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_somebody_elses_database_is_refused_and_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    with apsw.Connection(str(path)) as conn:
        conn.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY)")
    conn.close()
    before = path.read_bytes()
    with pytest.raises(StoreCorrupt, match=r"but not one of watchbell's: give watchbell a file of its own"):
        open_store(str(path), 0)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_an_empty_file_is_a_fresh_database(tmp_path: Path) -> None:
    path = tmp_path / "w.db"
    path.touch()
    store = open_store(str(path), 7)
    assert store.read(lambda tx: tx.value("SELECT value FROM meta WHERE key = 'created_at'")) == "7"
    store.close()


def test_after_close_it_says_so(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "w.db"), 0)
    store.close()
    store.close()
    for use in (store.read, store.write):
        with pytest.raises(StoreUnavailable, match="has been closed"):
            use(lambda tx: None)


def test_nothing_that_reads_can_write(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "w.db"), 0)
    with pytest.raises(StoreUnavailable):
        store.read(lambda tx: tx.run("DELETE FROM meta"))
    store.close()


def test_a_backup_is_a_whole_database_of_its_own(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "w.db"), 0)
    store.write(lambda tx: tx.run("INSERT INTO meta VALUES ('mark', 'here')"))
    steps: list[tuple[int, int]] = []
    store.backup(tmp_path / "copy.db", lambda done, of: steps.append((done, of)))
    store.close()
    copy = open_store(str(tmp_path / "copy.db"), 0)
    assert copy.read(lambda tx: tx.value("SELECT value FROM meta WHERE key = 'mark'")) == "here"
    assert steps[-1][0] == steps[-1][1]
    copy.close()


def test_a_network_file_system_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = f"server:/export {tmp_path} nfs4 rw 0 0\nproc /proc proc rw 0 0\nbroken\n"
    real = Path.read_text

    def read(path: Path, *args: object, **more: object) -> str:
        return mounts if str(path) == "/proc/mounts" else real(path, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Path, "read_text", read)
    with pytest.raises(
        BadConfiguration,
        match=f"on a network file system \\(nfs4 at {tmp_path}\\).*put the database on a local",
    ):
        refuse_network_file_system(tmp_path / "w.db")
    refuse_network_file_system(Path("/w.db"))
