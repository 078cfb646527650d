"""`enqueue(tx=…)` on PostgreSQL: the run and the application's own rows are both there, or neither is."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
import sqlalchemy
from sqlalchemy.orm import Session

from watchbell import Watchbell
from watchbell.errors import BadArguments, KeyTaken
from watchbell.store.open import open_store


@pytest.fixture
def bell(postgres_url: str) -> Iterator[Watchbell]:
    made = Watchbell(postgres_url)
    made.job(confirm)
    yield made
    made.stop()


def confirm(number: int) -> int:
    return number


def runs(bell: Watchbell) -> int:
    return len(bell.runs(job="confirm").items)


def test_with_psycopg_it_is_there_after_the_commit_and_an_engine_carries_it_out(
    bell: Watchbell, postgres_url: str
) -> None:
    job: Any = bell._declared.jobs["confirm"]
    bell.start()
    with psycopg.connect(postgres_url) as own:
        handle = job.enqueue(7, key="order 7", tx=own)
        later = job.enqueue_in("1h", 8, tx=own.cursor())
        assert handle.new
        assert runs(bell) == 0
    assert handle.wait("30s") == "succeeded"
    assert later.state() == "waiting"
    with psycopg.connect(postgres_url) as own:
        assert job.enqueue(7, key="order 7", tx=own).id == handle.id
        with pytest.raises(KeyTaken):
            job.enqueue(9, key="order 7", tx=own)
        with pytest.raises(BadArguments):
            job.enqueue("seven", tx=own)
        job.enqueue(10, tx=own)
        own.rollback()
    assert runs(bell) == 2


def test_with_a_session_of_sqlalchemy_too(bell: Watchbell, postgres_url: str) -> None:
    job: Any = bell._declared.jobs["confirm"]
    engine = sqlalchemy.create_engine(postgres_url.replace("postgresql://", "postgresql+psycopg://", 1))
    with Session(engine) as session:
        with session.begin():
            job.enqueue(1, tx=session)
            assert runs(bell) == 0
        assert runs(bell) == 1
        job.enqueue(2, tx=session)
        session.rollback()
    engine.dispose()
    assert runs(bell) == 1


def test_a_transaction_in_another_database_with_a_ledger_of_its_own_is_refused(
    bell: Watchbell, empty_postgres_url: str
) -> None:
    job: Any = bell._declared.jobs["confirm"]
    theirs = open_store(empty_postgres_url, 0)
    with psycopg.connect(empty_postgres_url) as other:
        with pytest.raises(BadArguments, match="another database, which has a ledger of its own"):
            job.enqueue(1, tx=other)
        other.execute("SELECT 1")  # it can go on
    assert theirs.read(lambda tx: tx.value("SELECT count(*) FROM occurrence")) == 0
    theirs.close()
    assert runs(bell) == 0


def test_a_transaction_that_only_reads_is_refused_with_the_reason(bell: Watchbell, postgres_url: str) -> None:
    job: Any = bell._declared.jobs["confirm"]
    with psycopg.connect(postgres_url) as own:
        own.read_only = True
        with pytest.raises(BadArguments, match="read-only"):
            job.enqueue(1, tx=own)
        own.rollback()


def test_a_transaction_in_another_database_is_refused_with_the_reason(
    bell: Watchbell, empty_postgres_url: str
) -> None:
    job: Any = bell._declared.jobs["confirm"]
    with psycopg.connect(empty_postgres_url) as other:
        with pytest.raises(BadArguments, match="it has to be in the same database"):
            job.enqueue(1, tx=other)
        other.rollback()
    assert runs(bell) == 0


IN_DJANGO = """
import os
import django
from django.conf import settings
from psycopg.conninfo import conninfo_to_dict

where = conninfo_to_dict(os.environ["WHERE"])
settings.configure(DATABASES={"default": {
    "ENGINE": "django.db.backends.postgresql", "NAME": where["dbname"], "USER": where.get("user", ""),
    "HOST": where.get("host", ""), "PORT": where.get("port", ""), "PASSWORD": where.get("password", "")}})
django.setup()

from django.db import connection, transaction
from watchbell import Watchbell

bell = Watchbell(os.environ["WHERE"])

@bell.job
def confirm(number: int) -> None: ...

runs = lambda: len(bell.runs(job="confirm").items)
with transaction.atomic():
    confirm.enqueue(1, tx="default")
    assert runs() == 0
assert runs() == 1
try:
    with transaction.atomic():
        confirm.enqueue(2, tx=connection)
        raise LookupError
except LookupError:
    pass
assert runs() == 1
bell.stop()
print("done")
"""


def test_with_a_transaction_of_django_too(postgres_url: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", IN_DJANGO],
        env=os.environ | {"WHERE": postgres_url}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout == "done\n", done.stderr
