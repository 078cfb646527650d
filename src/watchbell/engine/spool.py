"""Ends that could not be written: a bounded, fsynced file beside the database, written first after recovery."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from ..core.claim import Claim
from ..core.outcome import Ending, Outcome
from ..core.policies import Retry
from ..store.settling import Ended

LIMIT = 10_000


def save(path: Path, node: int, ended: Sequence[Ended]) -> int:
    """Append what fits; returns how many ends were kept. OSError where there is no room even for that; nothing of it
    is kept then."""
    kept = list(ended)[: max(0, LIMIT - _count(path))]
    text = "".join(
        json.dumps(
            {
                "node": item.node or node,
                "claim": asdict(item.claim),
                "outcome": asdict(item.outcome),
                "lines": list(item.lines),
            }
        )
        + "\n"
        for item in kept
    ).encode()
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        before = os.fstat(fd).st_size
        try:
            while text:
                text = text[os.write(fd, text) :]
            os.fsync(fd)
        except OSError:
            os.ftruncate(fd, before)  # half a line would spoil the next one
            raise
    finally:
        os.close(fd)
    return len(kept)


def load(path: Path) -> list[Ended]:
    """What was kept; a last line that was torn by a crash is left out."""
    found = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    for line in lines:
        try:
            data = json.loads(line)
        except ValueError:
            continue
        claim, outcome = data["claim"], data["outcome"]
        claim["gates"], claim["rates"] = tuple(claim["gates"]), tuple(claim.get("rates", ()))
        if claim["retry"] is not None:
            claim["retry"] = Retry(**{**claim["retry"], "on": tuple(claim["retry"]["on"]),
                                      "exit_codes": tuple(claim["retry"]["exit_codes"])})  # fmt: skip
        outcome["ending"] = Ending(outcome["ending"])
        outcome["error_type"] = tuple(outcome["error_type"])
        rows = [(row[0], row[1], row[2], row[3], row[4]) for row in data["lines"]]
        found.append(Ended(Claim(**claim), Outcome(**outcome), rows, data["node"]))
    return found


def clear(path: Path) -> None:
    """Everything in it is in the ledger."""
    path.unlink(missing_ok=True)


def _count(path: Path) -> int:
    try:
        return path.read_bytes().count(b"\n")
    except OSError:
        return 0
