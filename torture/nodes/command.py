"""nodes: many engines on one PostgreSQL database, each behind a proxy of its own, and everything that may happen to them.

A case is a fault: an engine is killed, stopped or asked to end, its sessions are terminated, its connections are cut, refused,
stalled or delayed, the replies to its commits are eaten, the server is restarted or killed. The last two need a cluster of our
own, which is made where PostgreSQL's programs are.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.postgres import at_hand, keeper

from ..processes import Processes
from ..verdict import Verdict, say_violations
from .cluster import Cluster, Server, dump
from .code import plan_of_nodes
from .deeds import Deeds
from .ending import TABLES, Ending, is_sound
from .faults import KINDS, Fault, faults_of
from .field import Field

SAY_EVERY_S = 10.0


def main(arguments: list[str]) -> int:
    """Everything that the command line says."""
    parser = argparse.ArgumentParser(prog="torture nodes", description=__doc__)
    parser.add_argument("--nodes", type=int, default=3, help="how many engines act at once")
    parser.add_argument("--minutes", type=float, default=1.0, help="how long faults are done to them")
    parser.add_argument("--database", default="", help="a server to use (a URL); else a cluster of our own")
    parser.add_argument("--only", default=",".join(KINDS), help="kinds of faults, with commas between them")
    parser.add_argument("--seed", type=int, default=None, help="the same seed gives the same plan")
    parser.add_argument("--keep", type=Path, default=None, help="keep the logs and the tables in this folder")
    asked = parser.parse_args(arguments)
    if asked.nodes < 1 or asked.minutes <= 0:
        parser.error("--nodes is at least 1, and --minutes is more than 0")
    only = tuple(asked.only.split(","))
    if strange := [kind for kind in only if kind not in KINDS]:
        parser.error(f"--only knows no {strange[0]!r}: {', '.join(KINDS)}")
    seed = asked.seed if asked.seed is not None else int.from_bytes(os.urandom(4), "big")
    folder: Path = asked.keep or Path(tempfile.mkdtemp(prefix="watchbell-torture-"))
    folder.mkdir(parents=True, exist_ok=True)
    for pattern in ("*.log", "*.log.*", "*.jsonl", "*.csv"):  # of the time before
        for left in folder.glob(pattern):
            left.unlink()
    try:
        wanted = Wanted(seed, asked.nodes, asked.minutes * 60, only, asked.database, asked.keep is not None)
        verdict = torture(wanted, folder.absolute())
    except keeper.Trouble as trouble:
        print(f"torture: there is no PostgreSQL to use: {trouble}", file=sys.stderr)
        return 2
    if not verdict.violations and asked.keep is None:
        shutil.rmtree(folder)
    else:
        print(f"faults, proxies', jobs' and engines' logs, and the tables: {folder}")
    failed = len(verdict.failed)
    print(f"torture: {verdict.cycles - failed} passed, {failed} failed", flush=True)
    return 1 if verdict.violations else 0


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for. `keep`: the logs and tables, whatever comes of it."""

    seed: int
    nodes: int
    seconds: float
    only: tuple[str, ...]
    database: str
    keep: bool


def torture(wanted: Wanted, folder: Path) -> Verdict:
    """One database from its beginning to its end, and the verdict."""
    seed, nodes, seconds = wanted.seed, wanted.nodes, wanted.seconds
    began = time.monotonic()
    with ExitStack() as house:
        processes = Processes(folder)
        server = _server(wanted.database, processes, house)
        faults = faults_of(seed, nodes, seconds, server.own, wanted.only)
        print(f"{nodes} nodes, {len(faults)} faults in {seconds / 60:g} min, seed {seed}", flush=True)
        field = Field(plan_of_nodes(seed), server, folder, processes, nodes)
        kept = False
        try:
            deeds = Deeds(field, faults, _Progress(len(faults)))
            field.live(seconds)
            print("every fault is healed; draining and judging", flush=True)
            result = Ending(field, deeds.begun).judge() | {"skipped": deeds.skipped}
            verdict = Verdict(len(faults))
            verdict.add(folder, result, range(max(1, len(faults))))
            if server.own and (said := is_sound(field.database)):
                broken = {"rule": "index", "sentence": said, "run": None, "folder": str(folder)}
                verdict.violations.append(broken)
                verdict.failed.add(0)
            kept = wanted.keep or bool(verdict.violations)
            if kept:
                dump(field.database, folder, TABLES)
        finally:
            field.clear()
            if kept and not server.own:
                print(f"the database is kept: {field.database}")
            else:
                server.drop(field.database)
    say(verdict, result, faults, seed, time.monotonic() - began)
    return verdict


def _server(database: str, processes: Processes, house: ExitStack) -> Server:
    """A cluster of our own if that can be; else a server that is here."""
    found = at_hand.look()
    if not database and found.programs is None and (packages := at_hand.to_install(found)):
        at_hand.install(packages)
        found = at_hand.look()
    if not database and found.programs is not None:
        return Cluster(found.programs, processes, house)
    url = database or (found.named if found.named != at_hand.NONE else "") or found.answering
    if not url:
        raise keeper.Trouble(at_hand.why_none(found))
    print("the server is not ours, so that it is neither restarted nor killed")
    return Server(at_hand.usable(url))


class _Progress:
    """A line now and then."""

    def __init__(self, faults: int) -> None:
        self._faults = faults
        self._said = time.monotonic()

    def __call__(self, done: int) -> None:
        if time.monotonic() - self._said > SAY_EVERY_S or done == self._faults:
            self._said = time.monotonic()
            print(f"{done} of {self._faults} faults", flush=True)


def say(
    verdict: Verdict, result: dict[str, object], faults: tuple[Fault, ...], seed: int, took_s: float
) -> None:
    """The closing summary, and the first counter-example of each rule if there is one."""
    strange = verdict.count("lost")
    silence = (
        "all of killed or silent nodes"
        if not strange
        else f"{strange} of nodes that were neither killed nor silent"
    )
    kinds = Counter(fault.kind for fault in faults)
    print(
        f"{len(faults)} faults in {took_s:.0f} s, seed {seed}: {result['engines']} engines as {result['incarnations']} nodes, "
        f"{verdict.occurrences} occurrences, {sum(verdict.ends.values())} rows, {verdict.begun} begun, "
        f"{result['promises']} promises, {verdict.count('unaccounted')} unaccounted, {verdict.count('twice')} begun twice, "
        f"{verdict.ends.get('lost', 0)} lost and {verdict.attempts_lost} tried again ({silence})"
    )
    print("  " + ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())))
    print(
        f"  {result['skipped']} found nobody there; {result['fenced']} engines came back after they had been declared dead; "
        f"replies to commits eaten: {result['eaten'] or 'none'}; "
        f"runs that went on after they were lost: {result['went_on']}"
    )
    print("  " + ", ".join(f"{count} {state}" for state, count in sorted(verdict.ends.items())))
    say_violations(verdict, "faults.log, jobs.log, engine-*.log, occurrence.csv", seed)
