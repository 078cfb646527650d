"""Row 14: a crowd. Very many schedules are due in the same second, and meanwhile somebody asks for runs of his own."""

from __future__ import annotations

from .child import Child, Unmeasured
from .database import POSTGRES, SQLITE
from .figures import Figure, quantile
from .ledger import Ledger
from .session import Session, sleep_until
from .stock import SECOND, each, fill, now_us, prepare

ENGINES = {POSTGRES: 4, SQLITE: 1}
COUNT, QUICK_COUNT = 100_000, 20_000
AIM_MS = {POSTGRES: 500.0}
REST_S = 0.02
ENOUGH = 1_000_000
PERIOD_S = 6 * 3600
PATIENCE_S = 120.0
PLACES = 100  # of the second in which they are due


def crowd(session: Session) -> None:
    """How fast the crowd is through, and how long a run that was asked for meanwhile waits."""
    count = QUICK_COUNT if session.quick else COUNT
    engines = ENGINES[session.on]
    meanwhile = f"{count:,} schedules are due in one second on {engines} engine{'s' if engines > 1 else ''}"
    session.say(meanwhile)
    beside = session.path_limit(10_000)
    rate: float | None = None
    late: list[float] = []
    note = ""
    try:
        rate, late, note = _crowd(session, count, engines)
    except Unmeasured as why:
        note = str(why)
    session.add(Figure("crowd", f"{meanwhile}: runs a second", rate, "/s", limit=beside, note=note))
    for word, share in (("p50", 0.5), ("p99", 0.99)):
        title = f"run now from another process → function starts, while {meanwhile}, {word}"
        value = quantile(late, share) if late else None
        aim = AIM_MS.get(session.on) if word == "p99" else None
        session.add(Figure("crowd", title, value, "ms", aim, less=True))


def _crowd(session: Session, count: int, engines: int) -> tuple[float, list[float], str]:
    """Runs a second, the milliseconds that each run waited that was asked for meanwhile, and how many these were."""
    with session.database() as database:
        prepare(database.url)
        with (
            session.engines(database, engines) as nodes,
            Ledger(database) as ledger,
            Child("caller", database.folder, url=database.url, calls=ENOUGH, rest_s=REST_S) as caller,
        ):
            due = ((now_us() + session.filling_us(count)) // SECOND + 2) * SECOND
            part = count // PLACES
            fill(
                database.url,
                [each(PERIOD_S, due + place * SECOND // PLACES, part) for place in range(PLACES)],
            )
            if now_us() > due:
                raise Unmeasured("the machine was too busy to be ready for the instant")
            sleep_until(due + SECOND // 2)
            through = ledger.await_run(due + SECOND, PATIENCE_S)
            if through is None:
                raise Unmeasured(
                    f"not through within {PATIENCE_S:.0f} s: {ledger.ran(due, due + SECOND):,} of {count:,}"
                )
            sent = [pair for pair in caller.ask("enough")["sent"] if due <= pair[0] <= through * 1e6]
            ledger.await_idle(10.0)
            if (ran := ledger.ran(due, due + SECOND)) != count:
                raise Unmeasured(f"{ran:,} of {count:,} have run")
            told = [pair for node in nodes for pair in node.ask("taken")["taken"]]
    late = {at: taken / 1000 for at, taken in told}
    begun = [late[at] for at, _ in sent if at in late]
    note = f"{len(begun)} of {len(sent)} runs that were asked for meanwhile have begun"
    if sent:
        note += f"; the call itself returned within {quantile([took for _, took in sent], 0.99) / 1000:,.0f} ms (p99)"
    return count / (through - due / 1e6), begun, note
