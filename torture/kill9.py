"""kill9: a few databases beside each other, each with its engines killed again and again, and one verdict."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
import traceback
from pathlib import Path

from .arena import Arena
from .plan import plan_of
from .verdict import Verdict, say_violations

SAY_EVERY_S = 5.0
ARENAS = 4


def main(arguments: list[str]) -> int:
    """Everything that the command line says."""
    parser = argparse.ArgumentParser(prog="torture kill9", description=__doc__)
    parser.add_argument("--cycles", type=int, default=300, help="how many engines are killed")
    parser.add_argument("--seed", type=int, default=None, help="the same seed gives the same plan")
    parser.add_argument("--keep", type=Path, default=None, help="keep the databases and logs in this folder")
    parser.add_argument(
        "--arenas", type=int, default=ARENAS, help="databases that are tortured beside each other"
    )
    asked = parser.parse_args(arguments)
    if asked.cycles < 1 or asked.arenas < 1:
        parser.error("--cycles and --arenas are at least 1")
    seed = asked.seed if asked.seed is not None else int.from_bytes(os.urandom(4), "big")
    folder: Path = asked.keep or Path(tempfile.mkdtemp(prefix="watchbell-torture-"))
    folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    verdict = torture(asked.cycles, seed, folder.absolute(), min(asked.arenas, asked.cycles))
    say(verdict, seed, time.monotonic() - began)
    if not verdict.violations and asked.keep is None:
        shutil.rmtree(folder)
    else:
        print(f"databases, jobs' logs and engines' logs: {folder}")
    failed = len(verdict.failed)
    print(f"torture: {verdict.cycles - failed} passed, {failed} failed", flush=True)
    return 1 if verdict.violations else 0


def torture(cycles: int, seed: int, folder: Path, arenas: int) -> Verdict:
    """Carry out all cycles, shared between so many databases, and judge each."""
    shares = [range(cycles * n // arenas, cycles * (n + 1) // arenas) for n in range(arenas)]
    heard, tell = os.pipe()
    sys.stdout.flush()
    running: dict[int, tuple[Path, range]] = {}
    for number, share in enumerate(shares):
        place = folder / f"arena-{number}"
        if place.exists():
            shutil.rmtree(place)
        place.mkdir()
        pid = os.fork()
        if pid == 0:
            os.close(heard)
            _carry_out(place, seed + number, share, tell)
        running[pid] = (place, share)
    os.close(tell)
    _follow(heard, cycles)
    verdict = Verdict(cycles)
    for pid, (place, share) in running.items():
        _, status = os.waitpid(pid, 0)
        if os.waitstatus_to_exitcode(status) != 0:
            text = f"the arena itself broke: see {place / 'arena.log'}"
            broken = {"rule": "torture", "sentence": text, "at": None, "run": None}
            verdict.add(place, {"violations": [broken], "kills": [], "occurrences": 0, "begun": 0, "ends": {},
                                "attempts_lost": 0}, share)  # fmt: skip
        else:
            verdict.add(place, json.loads((place / "result.json").read_text(encoding="utf-8")), share)
    return verdict


def _carry_out(place: Path, seed: int, share: range, tell: int) -> None:
    """In a process of its own: one database. It never returns."""
    code = 1
    try:
        arena = Arena(plan_of(seed, share.start, len(share)), place, lambda: _one_more(tell))
        (place / "result.json").write_text(json.dumps(arena.run()), encoding="utf-8")
        code = 0
    except BaseException:
        with (place / "arena.log").open("w") as file:
            traceback.print_exc(file=file)
    finally:
        os._exit(code)


def _one_more(tell: int) -> None:
    os.write(tell, b"+")


def _follow(heard: int, cycles: int) -> None:
    """Print a line now and then, until every database is judged."""
    done, said = 0, time.monotonic()
    while chunk := os.read(heard, 4096):
        done += len(chunk)
        if time.monotonic() - said > SAY_EVERY_S or done == cycles:
            said = time.monotonic()
            rest = "; draining and judging" if done == cycles else ""
            print(f"{done} of {cycles} engines killed{rest}", flush=True)
    os.close(heard)


def say(verdict: Verdict, seed: int, took_s: float) -> None:
    """The closing summary, and the first counter-example of each rule if there is one."""
    lost = verdict.ends.get("lost", 0)
    strange = verdict.count("lost")
    flight = "all in flight at a kill" if not strange else f"{strange} of them not in flight at a kill"
    print(
        f"{verdict.kills} kills in {took_s:.0f} s ({verdict.cycles / took_s:.1f} cycles/s), seed {seed}: "
        f"{verdict.occurrences} occurrences, {sum(verdict.ends.values())} rows, {verdict.begun} begun, "
        f"{verdict.count('unaccounted')} unaccounted, {verdict.count('twice')} begun twice, "
        f"{lost} lost and {verdict.attempts_lost} tried again ({flight})"
    )
    print("  " + ", ".join(f"{count} {state}" for state, count in sorted(verdict.ends.items())))
    say_violations(verdict, "bell.db, jobs.log, engine-*.log", seed)
