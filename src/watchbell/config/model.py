"""What can be configured: the keys with their types, defaults and what each is for.

A key that has no effect does not stand here. The descriptions are what `config init` writes.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from ..core.instants import DAY, duration_text, parse_duration
from ..core.retention import Keep
from ..core.sizes import parse_size
from ..core.wallclock import zone_info
from ..errors import WatchbellError
from . import PREFIX


def _span(value: Any) -> Any:
    try:
        return parse_duration(value)
    except WatchbellError as error:
        raise ValueError(str(error)) from error


def _positive(value: Any) -> Any:
    found = _span(value)
    if found < 1000:
        raise ValueError("it must be at least 1ms")
    return found


def _at_most_a_day(value: int) -> int:
    if value > DAY:
        raise ValueError(f"it is at most a day, not {duration_text(value)}")
    return value


def _at_least_a_day(value: int) -> int:
    if value < DAY:
        raise ValueError(f"it is at least a day, not {duration_text(value)}")
    return value


def _size(value: Any) -> Any:
    try:
        return parse_size(value)
    except WatchbellError as error:
        raise ValueError(str(error)) from error


def _zone(value: Any) -> Any:
    if isinstance(value, str):
        try:
            zone_info(value)
        except WatchbellError as error:
            raise ValueError(str(error)) from error
    return value


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


Span = Annotated[int, BeforeValidator(_span)]
"""A span as people write it ("10m"; a number is seconds), in microseconds."""
Wait = Annotated[int, BeforeValidator(lambda value: _at_most_a_day(_span(value)))]
Poll = Annotated[int, BeforeValidator(lambda value: _at_most_a_day(_positive(value)))]
Days = Annotated[int, BeforeValidator(lambda value: _at_least_a_day(_span(value)))]
Size = Annotated[int, BeforeValidator(_size)]
"""An amount of bytes as people write it: 100M."""
Slots_ = Annotated[int, Field(ge=0, le=100_000)]
Word = BeforeValidator(_lower)


class Table(BaseModel):
    """A table of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, validate_default=True)


class Engine(Table):
    """The engine of `watchbell serve`."""

    enabled: bool = Field(default=True, description="Whether an engine is started at all.")
    startup_delay: Wait = Field(  # a default is read like any other value
        default="0s",  # type: ignore[assignment]
        description="How long a new engine waits before it acts.",
    )
    check_interval: Poll = Field(
        default="250ms",  # type: ignore[assignment]
        description="How often the engine looks by itself, behind wake-ups that come at once; at most 1s counts.",
    )
    max_consecutive_errors: int = Field(
        default=5,
        ge=1,
        le=1_000_000,
        description="A source that fails so often in a row raises an alert, unless it says otherwise.",
    )


class Slots(Table):
    """How many runs go on at once."""

    async_: Slots_ = Field(default=1000, alias="async", description="Async functions.")
    thread: Slots_ = Field(default=32, description="Other functions, each on a thread.")
    process: Slots_ = Field(
        default=4, description="Functions with isolated=True, each in a process of its own."
    )
    command: Slots_ = Field(default=16, description="Commands.")
    http: Slots_ = Field(default=32, description="HTTP requests.")


class Retention(Table):
    """How long what is kept. A job may say otherwise for its own occurrences and logs."""

    occurrences: Days = Field(
        default="400d",  # type: ignore[assignment]
        description="Occurrences and runs; after that the totals of each day.",
    )
    logs: Days = Field(default="30d", description="What runs have logged and printed.")  # type: ignore[assignment]
    logs_of_job: Size = Field(
        default="100M",  # type: ignore[assignment]
        description="The logs of one job, at most so much; the oldest go first.",
    )
    logs_in_all: Size = Field(
        default="1G",  # type: ignore[assignment]
        description="All logs, at most so much; the oldest go first.",
    )
    alerts: Days = Field(default="90d", description="Alerts and their deliveries.")  # type: ignore[assignment]
    changes: Days = Field(default="1100d", description="The audit trail.")  # type: ignore[assignment]


class Log(Table):
    """What `watchbell serve` says on the standard error."""

    level: Annotated[Literal["debug", "info", "warning", "error"], Word] = Field(
        default="info", description="debug, info, warning or error."
    )
    format: Annotated[Literal["text", "json"], Word] = Field(
        default="text", description="text for people, json for programs: one object a line."
    )


class Configuration(BaseSettings):
    """The configuration of a process. It reads nothing by itself: `reading` brings what was found, and knows where."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, env_prefix=PREFIX, env_nested_delimiter="__"
    )

    database: str | None = Field(
        default=None,
        min_length=1,
        description="The database: a path, counted from the folder of this file, or a URL such as sqlite:///path.",
    )
    state_folder: str | None = Field(
        default=None,
        min_length=1,
        description="The folder for what watchbell keeps on this machine; else the user's own for state.",
    )
    zone: Annotated[str, BeforeValidator(_zone)] = Field(
        default="UTC", description="The time zone of rules that name none."
    )
    shutdown_grace: Wait = Field(
        default="10s",  # type: ignore[assignment]
        description="How long running work may go on after a signal to stop.",
    )
    engine: Engine = Engine()
    slots: Slots = Slots()
    retention: Retention = Retention()
    log: Log = Log()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        *_others: PydanticBaseSettingsSource,
        **_more: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what it is given: files and environment are read where it is known what came from which."""
        return (init_settings,)

    def keeping(self) -> Keep:
        """The keep times as a value."""
        kept = self.retention
        return Keep(
            kept.occurrences, kept.logs, kept.logs_of_job, kept.logs_in_all, kept.alerts, kept.changes
        )

    def by_lane(self) -> dict[str, int]:
        """The slots by lane."""
        return self.slots.model_dump(by_alias=True)


SPANS = (
    "engine.startup_delay",
    "engine.check_interval",
    "shutdown_grace",
    "retention.occurrences",
    "retention.logs",
    "retention.alerts",
    "retention.changes",
)
"""The keys whose values are microseconds within and spans outside."""

SIZES = ("retention.logs_of_job", "retention.logs_in_all")
"""The keys whose values are bytes within and sizes outside."""
