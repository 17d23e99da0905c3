"""Finds the agent in a user's file or module."""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from seamesh.agent import Agent


class HostingError(Exception):
    """The agent cannot be hosted; the message says what to do."""


def load_agent(where: str) -> Agent:
    """The agent in a file (``agent.py``), a directory that holds one, or a module (``package.module``), each with
    ``:name`` after it when there are several.

    Raises:
        HostingError: there is no such file or module, it holds no agent, or more than one.
    """
    from seamesh.agent import Agent  # an agent asks this module to load files

    place, _, name = where.partition(":")
    module = load_file(Path(place)) if place.endswith(".py") or Path(place).is_dir() else _load_module(place)
    if name:
        found = getattr(module, name, None)
        if not isinstance(found, Agent):
            raise HostingError(f"{place} has no Agent called {name!r}")
        return found
    agents = {id(value): (key, value) for key, value in vars(module).items() if isinstance(value, Agent)}
    if not agents:
        raise HostingError(f'{place} holds no Agent: write `agent = Agent("name")` in it')
    if len(agents) > 1:
        names = ", ".join(sorted(key for key, _ in agents.values()))
        raise HostingError(f"{place} holds several Agents ({names}): say which one with {place}:NAME")
    return next(iter(agents.values()))[1]


def load_file(path: Path) -> ModuleType:
    """Runs a file, or the ``agent.py`` of a directory, as a module.

    Raises:
        HostingError: there is no such file.
    """
    if path.is_dir():
        path = path / "agent.py"
    if not path.is_file():
        raise HostingError(f"there is no file {path}")
    sys.path.insert(0, str(path.parent.resolve()))
    # Named after its place: two agents of one process are often both called agent.py.
    name = "seamesh_hosted_" + re.sub(r"\W", "_", str(path.resolve()))
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise HostingError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _load_module(name: str) -> ModuleType:
    sys.path.insert(0, str(Path.cwd()))
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise HostingError(f"there is no file or module {name!r}: {error}") from error
