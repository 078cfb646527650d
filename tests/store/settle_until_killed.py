"""A program for test_alerts_kill9: claims runs and settles them at random, a few in each transaction, until it is killed.

What it finds claimed when it starts, an earlier life of it has left behind: those runs are lost. It says a word after
every commit; nothing else tells anybody how far it has come.
"""

from __future__ import annotations

import random
import sys

from watchbell.core.claim import Claim
from watchbell.core.outcome import Ending, Outcome
from watchbell.store.settling import Ended, settle
from watchbell.store.sqlite.open import open_store
from watchbell.store.tx import Tx

NODE = 1
SUBJECTS = {1: ("backup", ("db",)), 2: ("sync", ()), 3: ("dump", ("db", "nightly"))}


def claim_of(run: int, job: int) -> Claim:
    """The claim of a row as this program writes it."""
    return Claim(run, 1, "", 1, None, None, job, "async", due_at=run, start_at=run, claimed_at=run)


def claim_some(tx: Tx) -> list[Claim]:
    """Insert a few claimed rows."""
    first = tx.next_id("occurrence")
    claims = [claim_of(first + n, random.choice(list(SUBJECTS))) for n in range(random.randint(1, 4))]
    tx.many(
        "INSERT INTO occurrence (id, job, origin, due_at, start_at, state, lane, node, epoch, attempt, planned_at) "
        "VALUES (?, ?, 'manual', ?, ?, 'claimed', 'async', ?, 1, 1, 0)",
        [(claim.run, claim.job, claim.due_at, claim.start_at, NODE) for claim in claims],
    )
    return claims


def settle_all(tx: Tx, claims: list[Claim], endings: list[Ending]) -> None:
    """Write how they ended, as the engine does."""
    ended = [
        Ended(claim, Outcome(ending, claim.run, claim.run))
        for claim, ending in zip(claims, endings, strict=True)
    ]
    settled = settle(tx, NODE, ended, claims[-1].run, lambda: 0.5, lambda claim: SUBJECTS[claim.job])
    assert len(settled.done) == len(claims)


def main(path: str) -> None:
    store = open_store(path, 0)
    left = store.read(
        lambda tx: tx.rows("SELECT id, job FROM occurrence WHERE state = 'claimed' ORDER BY id")
    )
    claims = [claim_of(run, job) for run, job in left]
    endings = [Ending.LOST for _ in claims]
    while True:
        if claims:
            store.write(lambda tx: settle_all(tx, claims, endings))  # noqa: B023
            print("settled", flush=True)
        claims = store.write(claim_some)
        endings = random.choices(
            (Ending.SUCCEEDED, Ending.FAILED, Ending.TIMED_OUT, Ending.CANCELLED), (6, 6, 1, 1), k=len(claims)
        )
        print("claimed", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
