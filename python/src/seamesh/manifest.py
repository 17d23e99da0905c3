"""What `seamesh run` hands to the agent of its manifest: ``skills``, ``callers``, the description and ``AGENT.md``."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from seamesh.hosting import HostingError, load_file
from seamesh.skills import Skill

if TYPE_CHECKING:
    from seamesh.agent import Agent

HANDED_ENV = "SEAMESH_HANDED"
"""Names the file."""

_MARK = "__seamesh_skill__"

F = TypeVar("F", bound=Callable[..., Any])


class Handed(msgspec.Struct, frozen=True):
    """The file."""

    name: str
    description: str = ""
    instructions: str = ""
    builtin: list[str] = []
    dirs: list[str] = []
    disabled: list[str] = []
    callers: dict[str, list[str]] = {}


def skill(
    function: F | None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    callers: list[str] | None = None,
) -> F | Callable[[F], F]:
    """Declares a skill in a module of a directory that the manifest names (``skills: {dirs: [skills]}``). Takes what
    `Agent.skill` takes; the agent that the manifest is of offers it."""

    def declare(declared: F) -> F:
        setattr(declared, _MARK, {"name": name, "description": description, "callers": callers})
        return declared

    return declare if function is None else declare(function)


def apply(agent: Agent, path: str | None = None) -> None:
    """Does to an agent what its manifest says. An agent of another name, and one without a manifest, stays as it is.

    Args:
        agent: the agent.
        path: the file; ``None``: ``$SEAMESH_HANDED``.

    Raises:
        HostingError: the file or a module cannot be read, or the manifest disables or restricts what is not there.
    """
    path = path or os.environ.get(HANDED_ENV)
    if not path:
        return
    try:
        handed = msgspec.json.decode(Path(path).read_bytes(), type=Handed)
    except (OSError, msgspec.DecodeError) as error:
        raise HostingError(f"what the manifest says cannot be read: {path}: {error}") from error
    if handed.name != agent.name:
        return
    agent.description = handed.description or agent.description
    agent.instructions = handed.instructions or agent.instructions
    for directory in handed.dirs:
        for file in sorted(Path(directory).glob("*.py")):
            _take_skills(agent, file)
    for name in handed.builtin:
        agent.add_builtin(name)
    for name, callers in handed.callers.items():
        agent.skills[name] = _known(agent, name, "callers").for_callers(callers)
    for name in handed.disabled:
        _known(agent, name, "skills.disabled")
        agent.remove_skill(name)


def _take_skills(agent: Agent, file: Path) -> None:
    try:
        module = load_file(file)
    except Exception as error:
        raise HostingError(f"{file}: {type(error).__name__}: {error}") from error
    for value in list(vars(module).values()):
        options = getattr(value, _MARK, None)
        # What a module imported from another is that one's.
        if options is not None and getattr(value, "__module__", None) == module.__name__:
            try:
                agent.skill(**options)(value)
            except (TypeError, ValueError) as error:
                raise HostingError(f"{file}: {error}") from error


def _known(agent: Agent, name: str, key: str) -> Skill:
    if name not in agent.skills:
        offered = ", ".join(sorted(agent.skills)) or "none"
        raise HostingError(f"{key}: agent {agent.name} has no skill {name!r}; there are: {offered}")
    return agent.skills[name]
