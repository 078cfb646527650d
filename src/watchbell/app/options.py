"""Policies as users write them: "10m" instead of microseconds, words instead of enumerations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, replace
from datetime import datetime, timedelta
from typing import Any, TypedDict

from ..core.instants import parse_duration
from ..core.policies import (
    JobOptions,
    Policies,
    Retry,
    check_label,
    options_from_json,
    policies_from_json,
)
from ..core.policies import to_json as _to_json
from ..core.sizes import parse_size
from ..errors import BadPolicy
from . import checks
from .conditions import condition_name

MOST_ATTEMPTS = 1000
Span = str | int | float | timedelta


class ScheduleOptions(TypedDict, total=False):
    """What a schedule may say beside its trigger."""

    catchup: str
    catchup_limit: int
    catchup_window: Span
    catchup_order: str
    catchup_rate: str
    spread: Span
    jitter: Span
    overlap: str
    overlap_max: int
    start_deadline: Span
    grace: Span
    priority: int
    timeout: Span
    retry: Retry
    blackouts: Sequence[str | tuple[datetime, datetime]]
    condition: Callable[..., Any] | str
    pause_after_failures: int


def retry(
    max: int = 3,  # noqa: A002  the field's word
    *,
    delay: Span = "10s",
    factor: float = 2.0,
    cap: Span = "1h",
    jitter: bool = True,
    on: Iterable[type[BaseException] | str] = (),
    exit_codes: Iterable[int] = (),
) -> Retry:
    """A retry policy: at most `max` attempts, the first included.

    The wait before attempt n+1 is drawn between 0 and `min(cap, delay * factor**(n-1))`, or is exactly that with
    `jitter=False`. `on` limits it to exceptions of these classes (or class names), `exit_codes` to these codes of a
    command. Raises BadPolicy, BadDuration.
    """
    checks.whole(max, "max", 1, MOST_ATTEMPTS, BadPolicy)
    if not checks.is_number(factor) or not 1 <= factor <= 1e6:
        raise BadPolicy(f"factor is a number from 1 to 1,000,000, not {checks.shown(factor)}.")
    if jitter not in (True, False):
        raise BadPolicy(f"jitter is True or False, not {checks.shown(jitter)}.")
    codes = tuple(
        checks.whole(code, "Each of exit_codes", -255, 255, BadPolicy)
        for code in checks.several(exit_codes, "exit_codes")
    )
    return Retry(max, parse_duration(delay), factor, parse_duration(cap), jitter, _kinds(on), codes)


def _kinds(on: object) -> tuple[str, ...]:
    """The class names of exceptions."""
    kinds = tuple(kind.__name__ if isinstance(kind, type) else kind for kind in checks.several(on, "on"))
    if strange := [kind for kind in kinds if not isinstance(kind, str) or not kind]:
        raise BadPolicy(f"on takes exceptions or their names, not {checks.shown(strange[0])}.")
    return kinds


_SPANS = ("catchup_window", "start_deadline", "grace", "timeout", "spread", "jitter")
_FIELDS = {field.name.removesuffix("_us"): field.name for field in fields(Policies)}
_JOB_FIELDS = {field.name.removesuffix("_us"): field.name for field in fields(JobOptions)}
PLAIN = Policies()
"""What most schedules ask for: nothing but the defaults."""


def policies(options: Mapping[str, Any]) -> Policies:
    """A schedule's policies from what the user wrote. Raises BadPolicy, BadDuration."""
    if not options:
        return PLAIN
    return policies_from_json(_read(options, _SPANS))


def policies_over(options: Mapping[str, Any], default: Iterable[str] | str) -> Callable[[Policies], Policies]:
    """What an edit makes of a schedule's policies: those that `default` names become what they are without a word, those
    in `options` what was written; the others stay. Raises BadPolicy, BadDuration."""
    said = _read(options, _SPANS)
    back = {_FIELDS[name]: getattr(PLAIN, _FIELDS[name]) for name in _policy_names(default)}

    def over(stands: Policies) -> Policies:
        return policies_from_json({**_to_json(replace(stands, **back)), **said})

    return over


def _policy_names(default: Iterable[str] | str) -> tuple[str, ...]:
    names = (default,) if isinstance(default, str) else tuple(checks.several(default, "default"))
    for name in names:
        if not isinstance(name, str) or name not in _FIELDS:
            known = ", ".join(sorted(_FIELDS))
            raise BadPolicy(
                f"default takes the names of policies, not {checks.shown(name)}; they are {known}."
            )
    return names


def job_options(options: Mapping[str, Any]) -> JobOptions:
    """A job's options from what the user wrote. Raises BadPolicy, BadDuration."""
    read = _read(options, ("timeout", "kill_grace", "keep", "keep_logs"), JobOptions)
    if "memory" in read:
        read["memory"] = parse_size(read["memory"], "memory")
    if "on" in read:
        read["on"] = list(labels(read["on"], "on"))
    if "limits" in read:
        read["limits"] = _limits(read["limits"])
    if "rates" in read:
        read["rates"] = _rates(read["rates"])
    for name in ("may_overlap", "hold_if_missing"):
        if not isinstance(read.get(name, False), bool):
            raise BadPolicy(f"{name} is True or False, not {checks.shown(read[name])}.")
    return options_from_json(read)


def labels(value: object, what: str) -> tuple[str, ...]:
    """Labels of nodes, as a list; a single text is one of them. Raises BadPolicy."""
    given = (value,) if isinstance(value, str) else checks.several(value, what)
    return tuple(sorted({check_label(label) for label in given}))


def _limits(value: object) -> list[list[Any]]:
    if not isinstance(value, Mapping):
        raise BadPolicy(f"limits are numbers by key, such as {{'database': 2}}, not {checks.shown(value)}.")
    for key, limit in value.items():
        checks.name(key, "The key of a limit", BadPolicy)
        checks.whole(limit, f"The limit of {checks.shown(key)}", 1, 2**31 - 1, BadPolicy)
    return [[key, limit] for key, limit in value.items()]


def _rates(value: object) -> list[list[Any]]:
    if not isinstance(value, Mapping):
        raise BadPolicy(f"rates are texts by key, such as {{'api': '100/1h'}}, not {checks.shown(value)}.")
    for key in value:
        checks.name(key, "The key of a rate", BadPolicy)
    return [[key, rate] for key, rate in value.items()]


def _read(
    options: Mapping[str, Any], spans: tuple[str, ...], of: type[Policies | JobOptions] = Policies
) -> dict[str, Any]:
    read: dict[str, Any] = {}
    given = checks.options(options)
    known = _FIELDS if of is Policies else _JOB_FIELDS
    if strange := [name for name in given if name not in known]:
        whose = "A schedule" if of is Policies else "A job"
        raise BadPolicy(
            f"{whose} has no option {checks.shown(strange[0])}; it has {', '.join(sorted(known))}."
        )
    for name, value in given.items():
        if value is None:
            continue
        if name in spans:
            read[f"{name}_us"] = parse_duration(value)
        elif name == "condition":
            read[name] = condition_name(value)
        elif isinstance(value, Retry):
            read[name] = _to_json(Policies(retry=value))["retry"]
        elif name == "retry" and not isinstance(value, Mapping):
            raise BadPolicy(f"retry is a policy, not {checks.shown(value)}; write retry=retry(max=3).")
        else:
            read[name] = value
    return read
