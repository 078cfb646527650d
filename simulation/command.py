"""The command line: how many lives, how long, from which seed."""

from __future__ import annotations

import argparse
import os
import time

from .live import live, shrink
from .plan import Life, life_of


def main(arguments: list[str]) -> int:
    """Live, judge, and print what came of it; 1 if a rule was broken."""
    parser = argparse.ArgumentParser(prog="simulate", description=__doc__)
    parser.add_argument("--seeds", type=int, default=10, help="how many lives (10)")
    parser.add_argument("--days", type=float, default=365.0, help="how long each lasts (365)")
    parser.add_argument(
        "--seed", type=int, default=None, help="the first seed; the same seed gives the same life"
    )
    asked = parser.parse_args(arguments)
    first = asked.seed if asked.seed is not None else int.from_bytes(os.urandom(3), "big")
    began, days, rows = time.monotonic(), 0.0, 0
    for seed in range(first, first + asked.seeds):
        life = life_of(seed, asked.days)
        lived = live(life)
        days += lived.days
        rows += lived.rows
        if lived.broken is not None:
            print(f"seed {seed}: {lived.broken}")
            tell(shrink(life, lived.broken.rule))
            return 1
    took = time.monotonic() - began
    print(
        f"{asked.seeds} lives from seed {first}: {days:,.0f} days and {rows:,} rows in {took:.0f} s "
        f"({days / took * 60:,.0f} days a minute), every rule held after every step"
    )
    return 0


def tell(life: Life) -> None:
    """Print a life in full, so that it can be lived again."""
    lived = live(life)
    print(f"the shortest life found, of {len(life.steps)} steps, says: {lived.broken}")
    print(f"Life({life.seed}, {life.begins_at}, keep={life.keep!r}, works=(")
    for work in life.works:
        print(f"    {work},")
    print("), steps=(")
    for step in life.steps:
        print(f"    {step},")
    print("))", flush=True)
