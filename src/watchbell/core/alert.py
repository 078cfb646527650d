"""When somebody must be told: a rule × what happened → an alert, or none (one per transition, never one per failure).

A rule counts endings of one subject (a schedule, or a job run by hand). It raises when its streak of bad endings is
full, stays silent while that goes on, and with `recovered` among its events tells once when a success ends it. A rule
on `recovered` alone follows every bad ending in silence. *Late* and *running long* are about one run each, *clock* about
one step of the machine's clock, and each is told once for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .instants import to_text

BAD = ("failed", "timed_out", "missed", "lost")
ABOUT_ONE_RUN = ("late", "running_long", "paused", "clock")
EVENTS = (*BAD, *ABOUT_ONE_RUN, "recovered")
SCOPES = ("workspace", "tag", "schedule")

_ANY_BAD = frozenset(BAD)
_SAID = {
    "failed": "failed",
    "timed_out": "ran out of time",
    "missed": "was missed",
    "lost": "was lost",
    "late": "is late",
    "running_long": "has been running unusually long",
    "paused": "was paused by watchbell",
    "clock": "stands on a machine whose clock has moved",
    "recovered": "has recovered",
}
_HEADLINES = {"timed_out": "timed out", "running_long": "running long", "test": "test"}


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that a rule may be about. `event` is one of EVENTS, or "succeeded"."""

    event: str
    workspace: int
    subject: str
    tags: tuple[str, ...] = ()
    run: int | None = None
    due_at: int | None = None
    count: int = 1
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """Whom to tell about what."""

    id: int
    workspace: int
    scope: str
    target: str
    events: frozenset[str]
    streak: int
    channel: int

    def covers(self, happening: Happening) -> bool:
        """Whether the rule is about this subject at all."""
        if self.workspace != happening.workspace:
            return False
        if self.scope == "workspace":
            return True
        return self.target in happening.tags if self.scope == "tag" else self.target == happening.subject


class RuleBook:
    """Rules, found by what they are about: thousands of rules cost a happening that none of them covers nothing."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._wide: list[Rule] = []
        self._by_target: dict[str, list[Rule]] = {}
        for rule in rules:
            shelf = self._wide if rule.scope == "workspace" else self._by_target.setdefault(rule.target, [])
            shelf.append(rule)

    def about(self, happening: Happening) -> list[Rule]:
        """The rules that cover it, by id."""
        near = self._by_target
        found = [rule for rule in self._wide if rule.covers(happening)]
        if near:
            names = {happening.subject, *happening.tags}
            found += [rule for name in names for rule in near.get(name, ()) if rule.covers(happening)]
        return sorted(found, key=lambda rule: rule.id)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a rule stands for one subject."""

    streak: int = 0
    firing: bool = False


def follow(rule: Rule, before: Standing, happening: Happening) -> tuple[Standing, str | None]:
    """The rule's next standing, and the event to tell of, if any.

    >>> rule = Rule(1, 1, "workspace", "", frozenset({"failed", "recovered"}), 2, 1)
    >>> failed, fine = Happening("failed", 1, "backup"), Happening("succeeded", 1, "backup")
    >>> standing, told = follow(rule, Standing(), failed); told
    >>> standing, told = follow(rule, standing, failed); told
    'failed'
    >>> standing, told = follow(rule, standing, failed); told
    >>> follow(rule, standing, fine)
    (Standing(streak=0, firing=False), 'recovered')
    """
    event = happening.event
    if event in ABOUT_ONE_RUN:
        return before, event if event in rule.events else None
    if event == "succeeded":
        told = "recovered" if before.firing and "recovered" in rule.events else None
        return Standing(), told
    if event not in (rule.events & _ANY_BAD or _followed_in_silence(rule)):
        return before, None
    streak = before.streak + happening.count
    if before.firing or streak < rule.streak:
        return Standing(streak, before.firing), None
    return Standing(streak, True), event if event in rule.events else None


def _followed_in_silence(rule: Rule) -> frozenset[str]:
    """A rule that names no bad ending but wants to hear of recoveries has to know what there is to recover from."""
    return _ANY_BAD if "recovered" in rule.events else frozenset()


def sentence(told: str, happening: Happening, streak: int = 1) -> str:
    """What the alert says.

    >>> sentence("failed", Happening("failed", 1, "backup", detail="exit code 2"), 3)
    'backup failed: exit code 2. It has not succeeded 3 times in a row.'
    >>> sentence("missed", Happening("missed", 1, "sync", due_at=0, count=4320, detail="downtime"), 4320)
    'sync was missed 4320 times (the last due 1970-01-01T00:00:00Z): downtime.'
    """
    text = f"{happening.subject} {_SAID[told]}"
    many = happening.count > 1
    if many:
        text += f" {happening.count} times"
    if happening.due_at is not None:
        text += f" ({'the last ' if many else ''}due {to_text(happening.due_at)})"
    if happening.detail:
        text += f": {happening.detail}"
    if not text.endswith((".", "!", "?", "…")):
        text += "."
    if told in BAD and streak > happening.count:
        text += f" It has not succeeded {streak} times in a row."
    return text


def headline(event: str, subject: str) -> str:
    """An alert in a few words, on one line of bounded length whatever the subject holds.

    >>> headline("failed", "backup"), headline("timed_out", "nightly\\r\\nBcc: x@y.z")
    ('backup failed', 'nightly Bcc: x@y.z timed out')
    """
    return f"{_on_one_line(subject, 150)} {_on_one_line(_HEADLINES.get(event, event), 40)}"


def _on_one_line(text: str, limit: int) -> str:
    plain = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return plain if len(plain) <= limit else plain[: limit - 1] + "…"
