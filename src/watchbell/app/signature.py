"""A function's signature as the contract of its job: arguments are JSON, checked once, when they are written.

pydantic does the checking and is imported when a job with parameters is first declared or enqueued, never by `import
watchbell` and never when a run starts. Where a parameter's type is not one of JSON's own (a date, a UUID), the run gets
the value back in that type.
"""

from __future__ import annotations

import inspect
import json
import typing
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from ..core.definition import arguments_text
from ..errors import BadArguments, BadDeclaration
from ..executors.context import find_run_parameter

_PLAIN = {str, int, float, bool, list, dict, type(None), Any, inspect.Parameter.empty, object}


class Signature:
    """What a job's function takes, without its run parameter."""

    def __init__(self, function: Callable[..., Any], job: str) -> None:
        self._job = job
        self._function = function
        self.run_parameter = find_run_parameter(function)
        self.parameters: dict[str, inspect.Parameter] = {}
        for name, parameter in inspect.signature(function).parameters.items():
            if name == self.run_parameter:
                continue
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.POSITIONAL_ONLY):
                raise BadDeclaration(
                    f"{job!r} cannot be a job with the parameter {parameter}: arguments are stored by name; "
                    "give each parameter a name of its own."
                )
            self.parameters[name] = parameter

    @cached_property
    def _hints(self) -> dict[str, Any]:
        try:
            return typing.get_type_hints(self._function)
        except Exception:
            return {}

    def _annotation(self, name: str) -> Any:
        return self._hints.get(name, Any)

    @cached_property
    def _model(self) -> Any:
        import pydantic

        fields: dict[str, Any] = {}
        extra = "forbid"
        for name, parameter in self.parameters.items():
            if parameter.kind is parameter.VAR_KEYWORD:
                extra = "allow"
                continue
            default = ... if parameter.default is parameter.empty else parameter.default
            # A leading underscore or a name that pydantic keeps for itself would be refused as a field.
            fields[f"p_{name}"] = (self._annotation(name), pydantic.Field(default, alias=name))
        config = pydantic.ConfigDict(
            extra=extra,  # type: ignore[typeddict-item]
            arbitrary_types_allowed=False,
            populate_by_name=False,
            ser_json_inf_nan="constants",  # NaN stays what it is, and is refused; it never becomes None by itself
        )
        try:
            return pydantic.create_model(f"Arguments of {self._job}", __config__=config, **fields)
        except Exception as error:
            raise BadDeclaration(
                f"{self._job!r} has a parameter whose type cannot be stored as JSON: {error}"
            ) from error

    @property
    def plain(self) -> bool:
        """Whether every parameter has one of JSON's own types, so that a run gets what was stored."""
        return all(self._is_plain(self._annotation(name)) for name in self.parameters)

    def _is_plain(self, annotation: Any) -> bool:
        origin = typing.get_origin(annotation)
        if origin is None:
            return annotation in _PLAIN
        if origin in (list, dict, typing.Union, getattr(__import__("types"), "UnionType", None)):
            return all(self._is_plain(part) for part in typing.get_args(annotation))
        return origin is typing.Literal

    def schema(self) -> str | None:
        """The JSON schema of the arguments, for forms and for the command line; None when there are none."""
        if not self.parameters:
            return None
        return json.dumps(self._model.model_json_schema(by_alias=True), sort_keys=True)

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Positional and named arguments as names and values; BadArguments says what is missing or too much."""
        names = [n for n, p in self.parameters.items() if p.kind is p.POSITIONAL_OR_KEYWORD]
        if len(args) > len(names):
            raise BadArguments(f"{self._job!r} takes {len(names)} arguments by place, not {len(args)}.")
        bound = dict(zip(names, args, strict=False))
        for name, value in kwargs.items():
            if name in bound:
                raise BadArguments(f"{self._job!r} was given {name!r} twice, by place and by name.")
            bound[name] = value
        return bound

    def to_json(self, arguments: Mapping[str, Any]) -> str:
        """The arguments as the JSON text that is stored. Raises BadArguments with a line for each that does not fit."""
        if not self.parameters:
            if arguments:
                raise BadArguments(
                    f"{self._job!r} takes no arguments, but was given {', '.join(sorted(arguments))}."
                )
            return "{}"
        import pydantic

        try:
            checked = self._model.model_validate(dict(arguments))
            data = checked.model_dump(mode="json", by_alias=True, exclude_unset=True)
            text = arguments_text(data)  # what is no JSON is refused here, where its writer can still be told
        except pydantic.ValidationError as error:
            raise BadArguments(self._complaint(error)) from None
        except Exception as error:
            raise BadArguments(f"The arguments of {self._job!r} cannot be stored as JSON: {error}") from None
        return text

    def _complaint(self, error: Any) -> str:
        parts = []
        for line in error.errors():
            name = ".".join(str(part) for part in line["loc"]) or "arguments"
            parts.append(f"{name}: {line['msg'][0].lower()}{line['msg'][1:]}")
        takes = ", ".join(self.parameters) or "none"
        return f"The arguments do not fit {self._job!r}: {'; '.join(parts)}. It takes: {takes}."

    def decoder(self) -> Callable[[Mapping[str, Any]], dict[str, Any]] | None:
        """What turns stored arguments back into the types the function asks for; None when they are that already."""
        if self.plain:
            return None

        def decode(stored: Mapping[str, Any]) -> dict[str, Any]:
            checked = self._model.model_validate(dict(stored))
            values = {
                name: getattr(checked, f"p_{name}")
                for name in stored
                if f"p_{name}" in checked.model_fields_set
            }
            return {**(checked.model_extra or {}), **values}

        return decode
