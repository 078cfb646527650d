"""What a job and a version of a schedule say, as values; and what the two together mean for a run."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .blackout import thinned
from .policies import JobOptions, OnLost, Policies, Retry
from .rates import Rate, catchup_key
from .spread import Spread

if TYPE_CHECKING:
    from .triggers import Trigger


@dataclass(frozen=True, slots=True)
class Job:
    """What to run: a function of an application by its name, or a command."""

    id: int
    workspace: int
    name: str
    lane: str
    target: str | None = None
    command: str | None = None
    options: JobOptions = field(default_factory=JobOptions)
    aliases: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    about: str = ""
    app: str | None = None
    ended_at: int | None = None
    trouble: str | None = None
    """Why what is stored of it cannot be read; the defaults stand for that, and nothing of it is begun."""

    @property
    def gates(self) -> tuple[str, ...]:
        """The keys of the gates that a run of it passes, in the order in which they are locked."""
        return tuple(key for key, _ in self.options.gates(self.name))

    @property
    def rates(self) -> tuple[tuple[str, Rate], ...]:
        """The rates that each of its starts counts for."""
        options = self.options
        return options.all_rates(self.name) if options.rate is not None or options.rates else ()


@dataclass(frozen=True, slots=True)
class Definition:
    """One version of a schedule, with its job as it is now."""

    schedule: int
    version: int
    workspace: int
    name: str
    job: Job
    trigger: Trigger
    policies: Policies
    args: str
    tags: tuple[str, ...] = ()
    spread: Spread | None = None

    @property
    def catchup_rates(self) -> tuple[tuple[str, Rate], ...]:
        """The rate that each start of its backlog counts for, if it has one."""
        rate = self.policies.catchup_rate
        return () if rate is None else ((catchup_key(self.schedule), rate),)

    @property
    def rule(self) -> Trigger:
        """When it comes due: its trigger, less its blackouts; of one that counts from the end of its run, the trigger."""
        chained = getattr(self.trigger, "after_completion", False)
        return self.trigger if chained else thinned(self.trigger, self.policies.blackouts)

    @property
    def priority(self) -> int:
        """Lower runs first."""
        own = self.policies.priority
        return self.job.options.priority if own is None else own

    @property
    def timeout_us(self) -> int | None:
        """The limit of one attempt."""
        return self.policies.timeout_us or self.job.options.timeout_us

    @property
    def retry(self) -> Retry | None:
        """The retry policy in force."""
        return self.policies.retry or self.job.options.retry

    @property
    def rerun(self) -> bool:
        """Whether a lost run is tried again."""
        return self.job.options.on_lost is OnLost.RERUN

    @property
    def chain_us(self) -> int | None:
        """The delay after each end, of a schedule that counts from there."""
        if getattr(self.trigger, "after_completion", False):
            return int(getattr(self.trigger, "period_us"))  # noqa: B009  only Interval has it
        return None


def canonical(value: Any) -> str:
    """JSON text that is the same for the same content."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def arguments_text(value: Any) -> str:
    """Arguments as they are stored: JSON that everybody can read. ValueError says what of it is none: NaN, infinity, half a
    character; TypeError and RecursionError as `json` raises them."""
    try:
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    except ValueError as error:
        if "Out of range float" not in str(error):
            raise
        raise ValueError("NaN and infinity are no numbers of JSON; give None, or a text") from error
    text.encode()
    return text


def content_hash(*parts: Any) -> str:
    """Names a content: the same hash means that nothing has to be written."""
    return text_hash(canonical(parts))


def text_hash(text: str) -> str:
    """The same of a content that is canonical JSON text already."""
    return hashlib.sha256(text.encode()).hexdigest()[:24]
