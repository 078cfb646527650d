"""The demo's application: what it runs and when. `watchbell serve --app watchbell.demo.application:bell` carries it out.

It is written against the public interface, as yours would be: a job on each kind of executor, every way in which an
occurrence can go, and a source over the shop's own table.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2

from .. import Declared, Run, Watchbell, cron, every, retry
from ..clock import SystemClock
from ..store.sqlite.open import open_store
from .place import SITE_VARIABLE, VARIABLE, Place
from .shop import Shop, integrity

BACKUPS_KEPT = 3
SHELVES, SECONDS_A_SHELF = 12, 0.5
TIMEOUT_S = 5.0

place = Place(Path(os.environ.get(VARIABLE, "watchbell-demo")).absolute())
site = os.environ.get(SITE_VARIABLE, "http://127.0.0.1:8080")
shop = Shop(place.shop)
bell = Watchbell(str(place.database), app="demo")


# An async function runs on the job loop. A check that was missed says nothing any more: catchup="none".
@bell.schedule(every("3s"), catchup="none")
@bell.job(name="site-check", timeout="5s")
async def check_site() -> str:
    """Ask the web site how it is."""
    async with httpx2.AsyncClient(timeout=TIMEOUT_S) as client:
        answer = await client.get(f"{site}/health")
    if answer.status_code != 200:
        raise RuntimeError(f"the site answered {answer.status_code}")
    return str(answer.json()["status"])


# The first answer is always "busy": the attempt fails, and the next one, with the same run key, succeeds.
@bell.schedule(every("7s"))
@bell.job(name="prices", retry=retry(3, delay="1s"))
def fetch_prices(run: Run) -> str:
    """Fetch the prices of the day."""
    answer = httpx2.get(f"{site}/prices", headers={"Idempotency-Key": run.run_key}, timeout=TIMEOUT_S)
    if answer.status_code != 200:
        raise RuntimeError(f"the site answered {answer.status_code}")
    shop.write_prices(answer.json())
    return f"{len(answer.json())} prices at attempt {run.attempt}"


# A plain function runs on a thread. This one takes longer than its period: every other occurrence is skipped.
@bell.schedule(every("4s"), overlap="skip")
@bell.job(name="stocktaking")
def take_stock(run: Run) -> str:
    """Walk along the shelves and count."""
    walking = threading.Event()
    for shelf in range(SHELVES):
        run.raise_if_cancelled()
        run.progress(shelf, SHELVES, "shelves")
        walking.wait(SECONDS_A_SHELF)
    return f"{sum(shop.stock().values()):,} pieces"


@bell.schedule(cron("*/10 * * * * *"))
@bell.job(name="export-orders")
def export_orders(run: Run) -> str:
    """Write all orders to a CSV file, batch by batch."""

    def step(done: int, of: int) -> None:
        run.raise_if_cancelled()
        run.progress(done, of, "orders")

    return f"{shop.export(place.exports / 'orders.csv', step):,} orders"


# In a process of its own, which can be killed. Its arguments say where, as they would for any other database.
@bell.job(name="backup", isolated=True, timeout="1m")
def back_up(database: str, folder: str, run: Run) -> str:
    """Copy the ledger while it is in use, and check the copy."""
    target = Path(folder) / f"watchbell-{run.due_at:%Y%m%dT%H%M%S}.db"
    store = open_store(database, SystemClock().wall_us(), create=False)
    try:
        store.backup(target, lambda done, of: run.progress(done, of, "pages"))
    finally:
        store.close()
    found = integrity(target)
    if found != "ok":
        raise RuntimeError(f"the copy {target.name} is damaged: {found}")
    for old in sorted(Path(folder).glob("watchbell-*.db"))[:-BACKUPS_KEPT]:
        old.unlink()
    return f"{target.stat().st_size // 1024:,} KiB, integrity ok"


bell.add_schedule(
    "backup", back_up, every("10s"), args={"database": str(place.database), "folder": str(place.backups)}
)


# The shop's own table says which schedules there are: one for each branch that is open.
@bell.job(name="take-order")
def take_order(branch: int, run: Run) -> str:
    """Take an order at a branch."""
    return f"order {shop.take_order(branch, run.run_key)}"


@bell.source("branches", every="2s")
def branches() -> Iterator[Declared]:
    """Every branch wants its orders taken, also the latest that came in while nobody was there: catchup="all"."""
    for branch in shop.branches():
        if branch.open:
            yield Declared(
                key=str(branch.id),
                name=f"orders-{branch.name}",
                job=take_order,
                trigger=every(f"{branch.every_s}s"),
                args={"branch": branch.id},
                options={"catchup": "all", "catchup_limit": 20, "overlap": "queue_all"},
            )


@bell.schedule(every("12s"))
@bell.job(name="opening-hours")
def turn_the_sign() -> str:
    """Open or close the market branch; the source follows."""
    return f"market is {'open' if shop.turn_the_sign('market') else 'closed'}"
