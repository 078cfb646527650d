"""The configuration put together from its layers, with the origin of every value; or what is wrong with it, in sentences.

A layer is a file, the environment, or the command line. Old names are read in each of them, and the finding names the new
one. Whatever is wrong is found at once, not one at a time.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_settings import EnvSettingsSource, SettingsError

from ..core.instants import duration_text
from ..core.sizes import size_text
from ..errors import BadConfiguration
from . import OFF_SWITCHES, PLACES, PREFIX, _from_its_folder, files, switched_off, tables
from .model import SIZES, SPANS, Configuration

__all__ = ["Finding", "Loaded", "Value", "keys", "load", "read"]

BUILT_IN = "built in"
COMMAND_LINE = "command line"

OLD_KEYS = {
    "scheduler_enabled": "engine.enabled",
    "scheduler_startup_delay_seconds": "engine.startup_delay",
    "scheduler_check_interval_seconds": "engine.check_interval",
    "max_consecutive_errors": "engine.max_consecutive_errors",
}
"""What others called it: read, and the new name is said. Written in capitals, these are variables of the environment too."""
WITHOUT_EFFECT = {
    "dashboard_url": "there is no dashboard yet",
    "disable_monitor_scheduler": "there are no monitors yet",
    "watchbell_disable_monitors": "there are no monitors yet",
}
VARIABLES = {"WATCHBELL_DATABASE_URL": "database"}
"""Variables that are named otherwise than their key."""
OF_RUNS = ("RUN", "RUN_KEY", "JOB", "SCHEDULE", "DUE_AT", "ATTEMPT", "EPOCH", "TOKEN")
OURS = ("WATCHBELL_CONFIG", "WATCHBELL_DEBUG", *OFF_SWITCHES, *(f"{PREFIX}{name}" for name in OF_RUNS))
"""Variables that are no key: of a process, and of a run, in which somebody may call watchbell."""


@dataclass(frozen=True, slots=True)
class Value:
    """A value that is in force, with where it came from."""

    key: str
    value: Any
    origin: str
    valid: bool = True

    @property
    def shown(self) -> str:
        """The value for people: a span as it is written, and of a URL no password."""
        if self.value is None:
            return "-"
        if self.key in SPANS and isinstance(self.value, int) and self.valid:
            return duration_text(self.value) if self.value else "0s"
        if self.key in SIZES and isinstance(self.value, int) and self.valid:
            return size_text(self.value)
        if isinstance(self.value, bool):
            return str(self.value).lower()
        return masked(str(self.value))


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about the configuration: an error, or (`error` False) what is to be known."""

    where: str
    text: str
    error: bool = True

    @property
    def sentence(self) -> str:
        """For people."""
        return f"{self.where}: {self.text}."

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        return {"where": self.where, "text": self.text, "error": self.error}


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration, the origin of each value, and what was found; None as configuration where there are errors."""

    configuration: Configuration | None
    values: tuple[Value, ...]
    findings: tuple[Finding, ...]
    files: tuple[Path, ...]

    @property
    def errors(self) -> tuple[Finding, ...]:
        """What keeps a process from starting."""
        return tuple(one for one in self.findings if one.error)


@dataclass(slots=True)
class _Layer:
    """One place where values are written: by key, with what the place is called for each of them."""

    values: dict[str, Any] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def put(self, key: str, value: Any, place: str) -> None:
        self.values[key] = value
        self.places[key] = place


def keys(model: type[BaseModel] = Configuration, above: str = "") -> Iterator[str]:
    """Every key, as it is written: "engine.enabled"."""
    for name, about in model.model_fields.items():
        key = f"{above}{about.alias or name}"
        if isinstance(about.annotation, type) and issubclass(about.annotation, BaseModel):
            yield from keys(about.annotation, f"{key}.")
        else:
            yield key


def load(environment: Mapping[str, str], folder: Path, given: Mapping[str, Any] = {}) -> Configuration:
    """The configuration of this process; `given` is what the command line says, by key. BadConfiguration with every error."""
    found = read(environment, folder, given)
    if found.configuration is None:
        raise BadConfiguration(" ".join(one.sentence for one in found.errors))
    return found.configuration


def read(environment: Mapping[str, str], folder: Path, given: Mapping[str, Any] = {}) -> Loaded:
    """The same, with everything that was found; raises nothing for what is written wrongly."""
    layers, found = [], []
    paths: list[Path] = []
    try:
        paths = files(environment, folder)
        for path in paths:
            layers.append(_file(path))
    except BadConfiguration as error:
        where, _, text = str(error).rstrip(".").partition(": ")
        found.append(Finding(where, text) if text else Finding("configuration", where))
    layers.append(_environment(environment))
    command = _Layer()
    for key, value in given.items():
        if value is not None:
            command.put(key, value, COMMAND_LINE)
    layers.append(command)
    merged = _Layer()
    for layer in layers:
        merged.values.update(layer.values)
        merged.places.update(layer.places)
        found += layer.findings
    configuration = None
    try:
        configuration = Configuration(**_nested(merged.values))
    except ValidationError as error:
        found += [_wrong(one, merged) for one in error.errors()]
    if any(one.error for one in found):
        configuration = None
    return Loaded(configuration, tuple(_values(configuration, merged)), tuple(found), tuple(paths))


def _file(path: Path) -> _Layer:
    layer, known = _Layer(), set(keys())
    text = path.read_text(encoding="utf-8", errors="replace")
    for key, value in _leaves(tables(path), known):
        where = f"{path}, line {_line_of(text, key)}"
        old = OLD_KEYS.get(key.removeprefix("scheduler.").lower())
        if old is not None:
            layer.findings.append(
                Finding(where, f"{key} is called {old} now; it is read as that", error=False)
            )
            key = old
        elif (why := WITHOUT_EFFECT.get(key.removeprefix("scheduler.").lower())) is not None:
            layer.findings.append(Finding(where, f"{key} has no effect: {why}", error=False))
            continue
        elif key not in known:
            layer.findings.append(Finding(where, _unknown(key, known)))
            continue
        if key in PLACES and isinstance(value, str) and value.strip():
            value = _from_its_folder(value.strip(), path)
        layer.put(key, value, where)
    return layer


def _environment(environment: Mapping[str, str]) -> _Layer:
    """What the environment says: WATCHBELL_ZONE, WATCHBELL_ENGINE__ENABLED, a whole table as JSON, and the old names."""
    layer, known = _Layer(), set(keys())
    source = EnvSettingsSource(Configuration)
    source.env_vars = {name.lower(): value for name, value in environment.items() if value.strip()}
    try:
        said = source()
    except SettingsError as error:
        layer.findings.append(Finding("environment", f"{error}".rstrip(".")))
        said = {}
    for key, value in _leaves(said, known):
        variable = _variable_of(key)
        if variable not in environment:
            variable = _variable_of(key.partition(".")[0])  # a whole table, as JSON
        if key not in known:
            near = difflib.get_close_matches(key, known, 1, 0.6)
            meant = f"; perhaps ${_variable_of(near[0])} is meant" if near else ""
            layer.findings.append(Finding(f"${variable}", f"there is no key {key!r}{meant}"))
        else:
            layer.put(key, value.strip() if isinstance(value, str) else value, f"${variable}")
    names, tables_ = (
        {_variable_of(key): key for key in known},
        {_variable_of(name) for name in Configuration.model_fields},
    )
    for variable, value in environment.items():
        if not value.strip() or variable in names or variable in tables_:
            continue
        if variable in VARIABLES:
            layer.put(VARIABLES[variable], value.strip(), f"${variable}")
        elif variable.isupper() and (key := OLD_KEYS.get(variable.lower(), "")):
            new = f"it is called ${_variable_of(key)} now; it is read as that"
            layer.findings.append(Finding(f"${variable}", new, error=False))
            if key not in layer.values:
                unit = "s" if variable.endswith("_SECONDS") else ""
                layer.put(key, f"{value.strip()}{unit}", f"${variable}")
        else:
            _other_variable(layer, variable, names)
    _switches(layer, environment)
    return layer


def _variable_of(key: str) -> str:
    return f"{PREFIX}{key.upper().replace('.', '__')}"


def _switches(layer: _Layer, environment: Mapping[str, str]) -> None:
    switch = switched_off(environment)
    if switch is None:
        return
    layer.put("engine.enabled", False, f"${switch}")
    if switch != OFF_SWITCHES[0]:
        said = f"it is called ${OFF_SWITCHES[0]} now; it is read as that"
        layer.findings.append(Finding(f"${switch}", said, error=False))


def _other_variable(layer: _Layer, variable: str, names: Mapping[str, str]) -> None:
    """A variable that names no key: one of ours with a slip in it is an error, everybody else's is theirs."""
    if (why := WITHOUT_EFFECT.get(variable.lower())) is not None and variable.isupper():
        layer.findings.append(Finding(f"${variable}", f"it has no effect: {why}", error=False))
    elif variable.startswith(PREFIX) and variable not in OURS and not variable.startswith(f"{PREFIX}ARG_"):
        near = difflib.get_close_matches(variable, names, 1, 0.8)
        inside = (
            "__" in variable
            and variable[len(PREFIX) :].partition("__")[0].lower() in Configuration.model_fields
        )
        if not inside and (near or "__" in variable):
            meant = f"; perhaps ${near[0]} is meant" if near else ""
            layer.findings.append(Finding(f"${variable}", f"there is no such variable{meant}"))


def _leaves(data: Mapping[str, Any], known: set[str], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in data.items():
        key = f"{above}{name}"
        if isinstance(value, dict) and (value or any(one.startswith(f"{key}.") for one in known)):
            yield from _leaves(value, known, f"{key}.")
        else:
            yield key, value


def _unknown(key: str, known: set[str]) -> str:
    near = difflib.get_close_matches(key, known, 1, 0.6)
    last = [one for one in known if one.rpartition(".")[2] == key.rpartition(".")[2]]
    meant = last[:1] or near
    return f"there is no key {key!r}; " + (
        f"perhaps {meant[0]} is meant" if meant else f"there are {', '.join(sorted(known))}"
    )


def _line_of(text: str, key: str) -> int:
    """The line on which a key stands; where it is written in another form than one key a line, that of its table."""
    table, name = "", key
    best = 1
    for number, line in enumerate(text.splitlines(), 1):
        if (head := re.match(r"\s*\[\s*([\w.\"' -]+?)\s*\]", line)) is not None:
            table = head[1].replace('"', "").replace("'", "").replace(" ", "")
            if key.startswith(f"{table}."):
                best = number
            continue
        inside = name.removeprefix(f"{table}.") if table else name
        written = re.match(r"\s*([\w.\"'-]+)\s*=", line)
        if written is None or (table and not name.startswith(f"{table}.")):
            continue
        found = written[1].replace('"', "").replace("'", "")
        if found == inside:
            return number
        if inside.startswith(f"{found}."):
            best = number
    return best


def _nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, value in flat.items():
        *tables_, name = key.split(".")
        place = made
        for table in tables_:
            place = place.setdefault(table, {})
        place[name] = value
    return made


def _wrong(error: Any, merged: _Layer) -> Finding:
    key = ".".join(str(part) for part in error["loc"])
    text = str(error["msg"]).removeprefix("Value error, ").rstrip(".")
    if error["type"] != "value_error":
        text = re.sub(r"^Input\b", "it", text)
    said = merged.values.get(key)
    shown = f", not {masked(str(said))!r}" if said is not None and error["type"] != "value_error" else ""
    return Finding(merged.places.get(key, "configuration"), f"{key}: {text}{shown}")


def _values(configuration: Configuration | None, merged: _Layer) -> Iterator[Value]:
    content = None if configuration is None else configuration.model_dump(by_alias=True)
    for key in keys():
        if content is None:
            if key in merged.values:
                yield Value(key, merged.values[key], merged.places[key], valid=False)
            continue
        value: Any = content
        for part in key.split("."):
            value = value[part]
        yield Value(key, value, merged.places.get(key, BUILT_IN))


def masked(text: str) -> str:
    """The text without the password of a URL."""
    return re.sub(r"(?<=://)([^/@:\s]*):[^/@\s]*@", r"\1:***@", text)
