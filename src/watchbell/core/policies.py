"""The policies of a job and of a schedule, as values, with the checks that refuse contradictions (SEMANTICS §3)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from typing import Any

from ..errors import BadPolicy
from .blackout import Blackout, read_blackouts
from .rates import Rate, parse_rate

SECOND_US = 1_000_000
LARGEST = 2**31 - 1
LONGEST_US = 100 * 366 * 86_400 * SECOND_US
CATCHUP_LIMIT = 100
LEAST_MEMORY = 1 << 20
QUEUE_LIMIT = 1000
MOST_FAILURES = 1000
_LABEL = re.compile(r"\w[\w.-]{0,62}")


class CatchUp(StrEnum):
    """What happens to missed occurrences (those whose successor is due as well)."""

    NONE = "none"
    LATEST = "latest"
    EARLIEST = "earliest"
    ALL = "all"


class CatchUpOrder(StrEnum):
    """In which order the missed ones of a schedule are caught up."""

    OLDEST = "oldest"
    NEWEST = "newest"


class Overlap(StrEnum):
    """What becomes of an occurrence while an earlier one of the same schedule is active."""

    SKIP = "skip"
    QUEUE_ONE = "queue_one"
    QUEUE_ALL = "queue_all"
    ALLOW = "allow"
    REPLACE = "replace"


class OnLost(StrEnum):
    """What becomes of a run whose node died: nothing more, or another attempt with the same run key."""

    SKIP = "skip"
    RERUN = "rerun"


@dataclass(frozen=True, slots=True)
class Retry:
    """How often and how far apart a failed attempt is tried again.

    `max_attempts` counts the first. The wait before attempt n+1 is drawn between 0 and
    `min(cap_us, delay_us * factor**(n-1))` (full jitter), or is exactly that with `jitter=False`. With `on` only
    exceptions of these class names are retried, with `exit_codes` only these codes. A timeout counts as a failure.
    """

    max_attempts: int = 3
    delay_us: int = 10 * SECOND_US
    factor: float = 2.0
    cap_us: int = 3600 * SECOND_US
    jitter: bool = True
    on: tuple[str, ...] = ()
    exit_codes: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        _whole("max_attempts", self.max_attempts, 1_000_000)
        _spans(self, "delay_us", "cap_us")
        factor: object = self.factor
        if isinstance(factor, bool) or not isinstance(factor, (int, float)) or not 1 <= factor <= 1e6:
            raise BadPolicy(f"A retry policy's factor is a number from 1 to 1,000,000, not {factor!r}.")
        if self.max_attempts < 1:
            raise BadPolicy(f"A retry policy needs at least 1 attempt, not {self.max_attempts}.")
        if self.delay_us < 0 or self.cap_us < 0:
            raise BadPolicy("A retry policy's delay and cap cannot be negative.")


@dataclass(frozen=True, slots=True)
class JobOptions:
    """How a job's attempts are carried out, unless its schedule says otherwise."""

    timeout_us: int | None = None
    retry: Retry | None = None
    kill_grace_us: int = 5 * SECOND_US
    concurrency: int | None = None
    limits: tuple[tuple[str, int], ...] = ()
    priority: int = 0
    on_lost: OnLost = OnLost.SKIP
    may_overlap: bool = False
    hold_if_missing: bool = False
    rate: Rate | None = None
    rates: tuple[tuple[str, Rate], ...] = ()
    keep_us: int | None = None
    """How long its occurrences are kept, instead of as long as those of all."""
    keep_logs_us: int | None = None
    memory: int | None = None
    """How many bytes of memory a run in processes of its own may use."""
    on: tuple[str, ...] = ()
    """The labels that a node must have, all of them, to carry it out."""

    def __post_init__(self) -> None:
        _whole("priority", self.priority, LARGEST)
        _whole("concurrency", self.concurrency, LARGEST)
        _whole("memory", self.memory, 1 << 50)
        _spans(self, "timeout_us", "kill_grace_us", "keep_us", "keep_logs_us")
        for label in self.on:
            check_label(label)
        if self.memory is not None and self.memory < LEAST_MEMORY:
            raise BadPolicy("memory is at least 1 MiB, such as '512M'; leave it out for no limit.")
        for name in ("keep_us", "keep_logs_us"):
            if (kept := getattr(self, name)) is not None and kept < 86_400 * SECOND_US:
                raise BadPolicy(f"{name.removesuffix('_us')} is at least a day, such as '30d'.")
        for key, limit in self.limits:
            _whole(f"the limit of {key!r}", limit, LARGEST)
            if limit < 1:
                raise BadPolicy(
                    f"The limit of {key!r} must be at least 1, not {limit}; pause the job to stop it."
                )
        if self.concurrency is not None and self.concurrency < 1:
            raise BadPolicy(
                f"concurrency must be at least 1, not {self.concurrency}; pause the job to stop it."
            )
        if self.timeout_us is not None and self.timeout_us <= 0:
            raise BadPolicy("A timeout must be longer than 0; leave it out for none.")

    def gates(self, job: str) -> tuple[tuple[str, int], ...]:
        """The gates a run of this job passes, as (key, limit) in the order in which they are locked."""
        own = () if self.concurrency is None else ((f"job:{job}", self.concurrency),)
        return tuple(sorted((*own, *((f"key:{key}", limit) for key, limit in self.limits))))

    def all_rates(self, job: str) -> tuple[tuple[str, Rate], ...]:
        """The rates that a start of this job counts for, as (key, rate) in the order of their keys."""
        own = () if self.rate is None else ((f"job:{job}", self.rate),)
        return tuple(sorted((*own, *((f"key:{key}", rate) for key, rate in self.rates))))


@dataclass(frozen=True, slots=True)
class Policies:
    """A schedule's policies."""

    catchup: CatchUp = CatchUp.LATEST
    catchup_limit: int = CATCHUP_LIMIT
    catchup_window_us: int | None = None
    overlap: Overlap = Overlap.SKIP
    overlap_max: int | None = None
    start_deadline_us: int | None = None
    grace_us: int = 60 * SECOND_US
    priority: int | None = None
    timeout_us: int | None = None
    retry: Retry | None = None
    blackouts: tuple[Blackout, ...] = ()
    condition: str | None = None
    pause_after_failures: int | None = None
    spread_us: int = 0
    jitter_us: int = 0
    catchup_order: CatchUpOrder = CatchUpOrder.OLDEST
    catchup_rate: Rate | None = None

    def __post_init__(self) -> None:
        _whole("priority", self.priority, LARGEST)
        _whole("pause_after_failures", self.pause_after_failures, MOST_FAILURES)
        if self.pause_after_failures is not None and self.pause_after_failures < 1:
            raise BadPolicy("pause_after_failures must be at least 1; leave it out to let failures go on.")
        condition: object = self.condition
        if condition is not None and not (isinstance(condition, str) and condition.strip()):
            raise BadPolicy("A condition is a function's name or, of a command, a text for /bin/sh.")
        _whole("catchup_limit", self.catchup_limit, 100_000)
        _whole("overlap_max", self.overlap_max, LARGEST)
        _spans(self, "catchup_window_us", "start_deadline_us", "grace_us", "timeout_us")
        if self.catchup in (CatchUp.ALL, CatchUp.EARLIEST) and self.overlap is Overlap.SKIP:
            raise BadPolicy(
                f"catchup={self.catchup} with overlap=skip would drop occurrences without a word: "
                "each would be skipped while the one before it runs. Use overlap=queue_all."
            )
        if self.overlap_max is not None and self.overlap not in (Overlap.QUEUE_ALL, Overlap.ALLOW):
            raise BadPolicy(f"overlap_max goes with overlap=queue_all or allow, not with {self.overlap}.")
        if self.overlap_max is not None and self.overlap_max < 1:
            raise BadPolicy(f"overlap_max must be at least 1, not {self.overlap_max}.")
        if self.catchup_limit < 1:
            raise BadPolicy(f"catchup_limit must be at least 1, not {self.catchup_limit}; use catchup=none.")
        for name in ("catchup_window_us", "start_deadline_us", "timeout_us"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise BadPolicy(f"{name.removesuffix('_us')} must be longer than 0; leave it out for none.")
        if self.grace_us < 0:
            raise BadPolicy("grace cannot be negative.")
        self._check_waiting()

    def _check_waiting(self) -> None:
        """What makes occurrences start later than they are due, and in which order."""
        _spans(self, "spread_us", "jitter_us")
        for name in ("spread_us", "jitter_us"):
            if (getattr(self, name) or 0) < 0:
                raise BadPolicy(f"{name.removesuffix('_us')} cannot be negative; leave it out for none.")
        newest = self.catchup_order is CatchUpOrder.NEWEST
        if self.catchup is not CatchUp.ALL and (newest or self.catchup_rate is not None):
            name = "catchup_order" if newest else "catchup_rate"
            raise BadPolicy(
                f"{name} says how more than one missed occurrence is caught up: it goes with catchup=all, "
                f"not with {self.catchup}."
            )

    def bound(self, zone: str) -> Policies:
        """The same, with this zone for the blackouts that name none."""
        return replace(self, blackouts=tuple(blackout.bound(zone) for blackout in self.blackouts))

    @property
    def paced(self) -> bool:
        """Whether the occurrences of a backlog are let in one by one, by this schedule's own order or rate."""
        return self.catchup_rate is not None or self.catchup_order is CatchUpOrder.NEWEST


def check_label(label: object) -> str:
    """A node's label, once it can be one. BadPolicy says what it may hold."""
    if not isinstance(label, str) or not _LABEL.fullmatch(label):
        raise BadPolicy(
            f"A label is a word of letters, digits, '.', '_' and '-', such as gpu, not {str(label)[:40]!r}."
        )
    return label


def _whole(name: str, value: object, most: int) -> None:
    """Refuse what is no whole number, or one that no database column holds."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or abs(value) > most):
        raise BadPolicy(f"{name} is a whole number of at most {most:,}, not {str(value)[:40]}.")


def _spans(value: object, *names: str) -> None:
    for name in names:
        span = getattr(value, name)
        if span is not None and (
            isinstance(span, bool) or not isinstance(span, int) or abs(span) > LONGEST_US
        ):
            raise BadPolicy(f"{name.removesuffix('_us')} is a span of at most 100 years, such as '10m'.")


def to_json(value: Policies | JobOptions) -> dict[str, Any]:
    """The fields that differ from their defaults; exact inverse of `policies_from_json`, `options_from_json`."""
    default = _DEFAULTS[type(value)]
    if value == default:
        return {}
    return {
        f.name: _plain(getattr(value, f.name))
        for f in fields(value)
        if getattr(value, f.name) != getattr(default, f.name)
    }


def policies_from_json(data: Mapping[str, Any]) -> Policies:
    """Read what `to_json` wrote; BadPolicy names an unknown field or value."""
    known = _known(Policies, data)
    if "catchup" in known:
        known["catchup"] = _member(CatchUp, "catchup", known["catchup"])
    if "overlap" in known:
        known["overlap"] = _member(Overlap, "overlap", known["overlap"])
    if known.get("retry") is not None:
        known["retry"] = retry_from_json(known["retry"])
    if "catchup_order" in known:
        known["catchup_order"] = _member(CatchUpOrder, "catchup_order", known["catchup_order"])
    if known.get("catchup_rate") is not None:
        known["catchup_rate"] = parse_rate(known["catchup_rate"])
    if "blackouts" in known:
        known["blackouts"] = read_blackouts(known["blackouts"])
    return Policies(**known)


def options_from_json(data: Mapping[str, Any]) -> JobOptions:
    """Read what `to_json` wrote; BadPolicy names an unknown field or value."""
    known = _known(JobOptions, data)
    if "on_lost" in known:
        known["on_lost"] = _member(OnLost, "on_lost", known["on_lost"])
    if known.get("retry") is not None:
        known["retry"] = retry_from_json(known["retry"])
    if "on" in known:
        known["on"] = tuple(sorted(set(known["on"])))
    if "limits" in known:
        known["limits"] = tuple((str(key), int(limit)) for key, limit in known["limits"])
    if known.get("rate") is not None:
        known["rate"] = parse_rate(known["rate"])
    if "rates" in known:
        known["rates"] = tuple((str(key), parse_rate(rate)) for key, rate in known["rates"])
    return JobOptions(**known)


def retry_from_json(data: Mapping[str, Any]) -> Retry:
    """Read a retry policy."""
    known = _known(Retry, data)
    for name in ("on", "exit_codes"):
        if name in known:
            known[name] = tuple(known[name])
    return Retry(**known)


def _plain(value: Any) -> Any:
    if isinstance(value, Retry):
        return {key: list(v) if isinstance(v, tuple) else v for key, v in asdict(value).items()}
    if isinstance(value, Rate):
        return value.to_text()
    if isinstance(value, tuple):
        return [_item(item) for item in value]
    return str(value) if isinstance(value, StrEnum) else value


def _item(item: Any) -> Any:
    if isinstance(item, tuple):
        return [_plain(part) for part in item]
    return item.to_json() if hasattr(item, "to_json") else item


def _known(cls: type, data: Mapping[str, Any]) -> dict[str, Any]:
    names = {f.name for f in fields(cls)}
    if strange := sorted(set(data) - names):
        raise BadPolicy(f"{cls.__name__} has no {strange[0]!r}; it has {', '.join(sorted(names))}.")
    return dict(data)


def _member(kind: type[StrEnum], name: str, value: Any) -> Any:
    try:
        return kind(value)
    except ValueError:
        raise BadPolicy(f"{name} is one of {', '.join(kind)}, not {value!r}.") from None


_DEFAULTS: dict[type, Policies | JobOptions] = {Policies: Policies(), JobOptions: JobOptions()}
