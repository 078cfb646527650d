"""Rows 4, 5, 6 and 10: what a caller waits for. A run asked for, schedules registered, next instants computed, days
simulated."""

from __future__ import annotations

from .child import Unmeasured, answer
from .database import POSTGRES, SQLITE
from .figures import Figure, median, quantile
from .ledger import Ledger
from .session import Session
from .stock import prepare

CALLED = {SQLITE: "a datagram", POSTGRES: "a notification"}


def run_now(session: Session) -> None:
    """Row 4: from the call in another process to the first line of the function."""
    calls = 50 if session.quick else 200
    session.say(f"run now from another process, {calls} calls")
    raw = session.raw("wake", calls=calls)
    late, note = [], ""
    try:
        with session.database() as database:
            prepare(database.url)
            with session.engine(database) as engine, Ledger(database) as ledger:
                answer("caller", database.folder, url=database.url, calls=calls, rest_s=0.01)
                ledger.await_idle(5.0)
                late = [taken / 1000 for _, taken in engine.ask("taken")["taken"]]
        note = "" if len(late) == calls else f"{len(late)} of {calls} began"
    except Unmeasured as why:
        note = str(why)
    for word, share, aim in (("p50", 0.5, 2.0), ("p99", 0.99, 6.0)):
        title = f"a row committed elsewhere and {CALLED[session.on]} → claimed in a commit, {word}"
        beside = session.limit(f"wake-{word}", title, raw[word], "ms")
        value = quantile(late, share) if late else None
        title = f"run now from another process → function starts, {word}"
        session.add(Figure("run-now", title, value, "ms", aim, less=True, limit=beside, note=note))
        note = ""


BULK_AIM, SINGLE_AIM = {SQLITE: 150_000, POSTGRES: 80_000}, {SQLITE: 6_500, POSTGRES: 2_500}
WAYS = (
    ("declared", "registered in bulk: add_schedule for each, one declaration", 10_000, BULK_AIM, "bulk"),
    ("source", "registered in bulk: one reading of a source", 10_000, BULK_AIM, "bulk"),
    ("single", "registered one by one, a durable transaction each", 1_000, SINGLE_AIM, "single"),
)


def register(session: Session) -> None:
    """Row 5: schedules registered in bulk and one by one."""
    session.say("raw inserts of schedules")
    titles = {"bulk": "schedules inserted in one transaction", "single": "schedules inserted, a commit each"}
    keys = {
        key: session.limit(key, titles[key], session.raw(key, count=count)["value"], "/s")
        for key, count in (("bulk", 50_000), ("single", 1_000))
    }
    for way, title, count, aims, raw in WAYS:
        aim, beside = aims[session.on], keys[raw]
        session.say(title)
        try:
            told = [_register(session, way, count) for _ in range(1 if session.quick else 3)]
            value, note = median([one["per_s"] for one in told]), ""
            if "adding_s" in told[0]:
                note = (
                    f"add_schedule {told[0]['adding_s']:.2f} s, the declaration {told[0]['writing_s']:.2f} s"
                )
            session.add(Figure("register", f"schedules {title}", value, "/s", aim, limit=beside, note=note))
        except Unmeasured as why:
            session.add(
                Figure("register", f"schedules {title}", None, "/s", aim, limit=beside, note=str(why))
            )


def _register(session: Session, way: str, count: int) -> dict[str, float]:
    with session.database() as database:
        return answer("register", database.folder, url=database.url, way=way, count=count)


def cron(session: Session) -> None:
    """Row 6: next instants of a cron rule with a zone."""
    session.say("next instants")
    try:
        told = answer("cron", session.folder, seconds=0.3 if session.quick else 1.0)
    except Unmeasured as why:
        session.add_common(Figure("cron", "next instants computed", None, "/s", 500_000, note=str(why)))
        return
    title = "next instants of one cron rule with a zone, from a table in plain Python"
    beside = session.common_limit("sketch", title, told["sketch_per_s"], "/s")
    for key, words in (("asked_per_s", "after unrelated instants"), ("walked_per_s", "walking on")):
        title = f"next instants computed, cron with a zone, {words}"
        session.add_common(Figure("cron", title, told[key], "/s", 500_000, limit=beside))


def simulated(session: Session) -> None:
    """Row 10: how fast virtual time passes while every rule is judged after every step."""
    count = 3 if session.quick else 12
    session.say(f"{count} simulated lives")
    title = "simulated days a minute, on the whole engine, judged after every step"
    try:
        told = answer("lives", session.folder, count=count, days=30.0)
        session.add_common(
            Figure("simulate", title, told["days_per_min"], "", 2_000, note=f"{told['rows']:.0f} rows")
        )
    except Unmeasured as why:
        session.add_common(Figure("simulate", title, None, "", 2_000, note=str(why)))
