"""What came of all databases together, and the first counter-example of each rule in words."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(slots=True)
class Verdict:
    """The sum of what was judged. A cycle has failed if a violation belongs to it."""

    cycles: int
    failed: set[int] = field(default_factory=set)
    violations: list[dict[str, Any]] = field(default_factory=list)
    kills: int = 0
    occurrences: int = 0
    begun: int = 0
    ends: dict[str, int] = field(default_factory=dict)
    attempts_lost: int = 0

    def add(self, folder: Path, result: dict[str, Any], cycles: range) -> None:
        """The result of one database."""
        self.kills += len(result["kills"])
        self.occurrences += result["occurrences"]
        self.begun += result["begun"]
        self.attempts_lost += result["attempts_lost"]
        for state, count in result["ends"].items():
            self.ends[state] = self.ends.get(state, 0) + count
        for violation in result["violations"]:
            self.violations.append(violation | {"folder": str(folder)})
            if "case" in violation:
                self.failed.add(violation["case"])
                continue
            later = [cycle for cycle, wall_us in result["kills"] if wall_us >= (violation["at"] or 2**62)]
            self.failed.add(later[0] if later else cycles[-1])

    def count(self, *rules: str) -> int:
        """How many counter-examples there are to these rules."""
        return sum(1 for violation in self.violations if violation["rule"] in rules)


def say_violations(verdict: Verdict, files: str, seed: int) -> None:
    """The first counter-example of each rule, and where to look."""
    shown: set[str] = set()
    for violation in verdict.violations:
        if violation["rule"] in shown:
            continue
        shown.add(violation["rule"])
        print(f"VIOLATION {violation['rule']} ({verdict.count(violation['rule'])}): {violation['sentence']}")
        run = f"; rows and lines of run_{violation['run']}" if violation["run"] else ""
        print(f"  look at {violation['folder']}: {files}{run}; again with --seed {seed}")
