"""Skills: functions with a name, a description and a JSON Schema that come from the function itself."""

from __future__ import annotations

import copy
import inspect
import re
import typing
from collections.abc import Callable, Iterable
from typing import Annotated, Any, Self

import msgspec

from seamesh import _wire, docstrings
from seamesh.errors import BadArguments
from seamesh.mesh import Mesh

_AT = re.compile(r" - at `\$\.?(.*)`$")


class Skill:
    """One skill of an agent.

    Attributes:
        name: the name others ask for.
        description: what it does, for people and models.
        input_schema: JSON Schema of its arguments.
        callers: the agents that may call it; ``None``: everybody.
        function: the function itself.
        is_async: whether it runs on the event loop; otherwise in a thread.
        is_generator: whether it yields parts of its result.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        name: str | None = None,
        description: str | None = None,
        callers: Iterable[str] | None = None,
    ) -> None:
        documented, parameters = docstrings.parse(function.__doc__)
        self.function = function
        self.name = function.__name__ if name is None else name
        self.description = documented if description is None else description
        inner = inspect.unwrap(function)
        self.is_generator = inspect.isgeneratorfunction(inner) or inspect.isasyncgenfunction(inner)
        self.is_async = inspect.iscoroutinefunction(inner) or inspect.isasyncgenfunction(inner)
        _check_name(self.name)
        self.callers = None if callers is None else _checked_callers(callers, self.name)
        plan = _Plan(function, parameters, self.name)
        self.takes_context = plan.takes_context
        self._fields = plan.names
        self._open = plan.open
        self._arguments = plan.arguments
        self.input_schema = plan.schema()

    @property
    def info(self) -> _wire.SkillInfo:
        """The skill as the mesh is told of it."""
        return _wire.SkillInfo(
            name=self.name,
            description=self.description,
            input_schema=self.input_schema,
            callers=None if self.callers is None else list(self.callers),
        )

    def for_callers(self, callers: Iterable[str]) -> Self:
        """The same skill for other callers.

        Raises:
            ValueError: one is no agent id, or there are too many.
        """
        same = copy.copy(self)
        same.callers = _checked_callers(callers, self.name)
        return same

    def bind(self, payload: Any) -> dict[str, Any]:
        """The keyword arguments that a payload stands for, converted to the types of the hints.

        A payload that is not an object is the value of the skill's only parameter. Absent, ``null`` and ``{}`` mean
        no arguments.

        Raises:
            BadArguments: they do not fit; the message names the field.
        """
        if payload is None:
            payload = {}
        elif not isinstance(payload, dict):
            if len(self._fields) != 1:
                raise BadArguments(f"{self.name} takes an object of arguments by name")
            payload = {self._fields[0]: payload}
        try:
            arguments = msgspec.convert(payload, self._arguments)
        except (msgspec.ValidationError, RecursionError) as error:
            raise BadArguments(f"{self.name}: {_AT.sub(_field, str(error))}") from error
        bound = {name: getattr(arguments, name) for name in self._fields}
        bound = {name: value for name, value in bound.items() if value is not msgspec.UNSET}
        if self._open:
            bound.update({name: value for name, value in payload.items() if name not in bound})
        return bound


class _Plan:
    """What a function's signature says: which arguments it takes, and whether it wants the context."""

    def __init__(self, function: Callable[..., Any], described: dict[str, str], skill: str) -> None:
        self._skill = skill
        hints = _hints(function, skill)
        parameters = list(inspect.signature(function).parameters.values())
        self.takes_context = bool(parameters) and _wants_context(parameters[0], hints)
        self.open = False
        self.names: list[str] = []
        fields: list[tuple[str, Any, Any] | tuple[str, Any]] = []
        for parameter in parameters[1:] if self.takes_context else parameters:
            if parameter.kind is parameter.VAR_KEYWORD:
                self.open = True
                continue
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.POSITIONAL_ONLY):
                raise TypeError(f"skill {skill!r}: {parameter} cannot be given by name")
            self.names.append(parameter.name)
            fields.append(_declared(parameter, hints.get(parameter.name, Any), described))
        self.arguments = msgspec.defstruct("Arguments", fields, kw_only=True, forbid_unknown_fields=not self.open)

    def schema(self) -> dict[str, Any]:
        """The JSON Schema of the arguments, self-contained."""
        try:
            (root,), definitions = msgspec.json.schema_components([self.arguments], ref_template="#/$defs/{name}")
        except TypeError as error:
            raise TypeError(f"skill {self._skill!r}: a parameter's type has no JSON form: {error}") from error
        schema = dict(definitions.pop(root["$ref"].removeprefix("#/$defs/")))
        schema.pop("title", None)
        if definitions:
            schema["$defs"] = definitions
        return schema


def _declared(
    parameter: inspect.Parameter, hint: Any, described: dict[str, str]
) -> tuple[str, Any, Any] | tuple[str, Any]:
    optional = parameter.default is not parameter.empty
    extra: dict[str, Any] = {}
    if parameter.name in described:
        extra["description"] = described[parameter.name]
    if optional and _is_plain(parameter.default):
        extra["extra_json_schema"] = {"default": parameter.default}
    # The function's own default applies when the argument is absent, so UNSET stands for it here.
    kind = typing.Union[hint, msgspec.UnsetType] if optional else hint  # noqa: UP007
    annotated = Annotated[kind, msgspec.Meta(**extra)] if extra else kind
    return (parameter.name, annotated, msgspec.UNSET) if optional else (parameter.name, annotated)


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float | bool)


def _hints(function: Callable[..., Any], skill: str) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function, include_extras=True)
    except NameError as error:
        raise TypeError(f"skill {skill!r}: a type hint cannot be resolved: {error}") from error


def _wants_context(first: inspect.Parameter, hints: dict[str, Any]) -> bool:
    hint = hints.get(first.name)
    if hint is None:
        return first.name == "ctx"
    return isinstance(hint, type) and issubclass(hint, Mesh)


def _check_name(name: str) -> None:
    if not name or len(name.encode()) > _wire.MAX_SKILL_BYTES:
        raise ValueError(f"a skill's name has 1 to {_wire.MAX_SKILL_BYTES} bytes")


def _checked_callers(callers: Iterable[str], skill: str) -> tuple[str, ...]:
    if isinstance(callers, str):
        raise TypeError(f"skill {skill!r}: callers is a list of agents: write callers=[{callers!r}]")
    named = tuple(callers)
    if len(named) > _wire.MAX_CALLERS:
        raise ValueError(f"skill {skill!r} names more than {_wire.MAX_CALLERS} callers")
    for caller in named:
        if not _wire.is_id(caller):
            raise ValueError(f"skill {skill!r}: caller {caller!r} is no agent id")
    return named


def _field(match: re.Match[str]) -> str:
    return f" (field {match.group(1)!r})" if match.group(1) else ""
