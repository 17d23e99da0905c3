"""Recorded traffic: the skill calls of a real mesh in a JSON file, replayed by a fake agent."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec

from seamesh import _wire
from seamesh.errors import SkillError
from seamesh.testing.calls import Answered, value_of

VERSION = 1
"""The file's format."""

MAX_BYTES = 64 * 1024 * 1024
"""Largest file that is read: sixty results of the largest size."""


class CassetteError(Exception):
    """A cassette cannot be used; the message says what to do."""


class _Error(msgspec.Struct):
    code: _wire.Code
    message: str


class Recorded(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One call.

    Attributes:
        caller: the agent that asked.
        agent: the agent that answered.
        skill: the skill.
        args: the arguments.
        result: what came back, unless it failed.
        error: why it failed.
    """

    caller: str
    agent: str
    skill: str
    args: Any = None
    result: Any = None
    error: _Error | None = None


class _File(msgspec.Struct):
    version: int
    calls: list[Recorded]


class Cassette:
    """Recorded calls, in the order in which they were answered."""

    def __init__(self, calls: Iterable[Recorded] = ()) -> None:
        self.calls = list(calls)

    @classmethod
    def load(cls, path: str | Path) -> Cassette:
        """Reads a file.

        Raises:
            CassetteError: it cannot be read, is no cassette, or is over 64 MiB.
        """
        path = Path(path)
        try:
            if path.stat().st_size > MAX_BYTES:
                raise CassetteError(f"{path} is larger than {MAX_BYTES} bytes; record fewer calls")
            file = msgspec.json.decode(path.read_bytes(), type=_File)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            raise CassetteError(f"{path} cannot be read: {error}; record it with mesh.record({str(path)!r})") from error
        if file.version != VERSION:
            raise CassetteError(f"{path} has version {file.version}, not {VERSION}: record it anew")
        return cls(file.calls)

    def save(self, path: str | Path) -> None:
        """Writes a file that people can read and review."""
        text = msgspec.json.format(msgspec.json.encode(_File(VERSION, self.calls)), indent=2)
        Path(path).write_bytes(text + b"\n")

    def add(self, answered: Answered) -> None:
        """Keeps a call."""
        recorded = Recorded(
            caller=answered.caller, agent=answered.agent, skill=answered.skill, args=_plain(answered.args)
        )
        failed = answered.outcome.error
        if answered.outcome.state == "completed":
            recorded.result = value_of(answered.outcome)
        else:
            code: _wire.Code = failed.code if failed else "canceled"
            recorded.error = _Error(code, failed.message if failed else answered.outcome.state)
        self.calls.append(recorded)

    def answers(self, agent: str) -> dict[str, Callable[[Any], Any]]:
        """The skills of an agent, each a function from the arguments to what was answered. The same arguments give the
        recorded answers in turn, and the last one again and again.

        Raises:
            CassetteError: nothing was recorded of this agent.
        """
        skills = sorted({call.skill for call in self.calls if call.agent == agent})
        if not skills:
            there = ", ".join(sorted({call.agent for call in self.calls})) or "nobody"
            raise CassetteError(f"no call of agent {agent!r} was recorded; there are calls of: {there}")
        return {skill: self._player(agent, skill) for skill in skills}

    def _player(self, agent: str, skill: str) -> Callable[[Any], Any]:
        left = [call for call in self.calls if call.agent == agent and call.skill == skill]

        def play(args: Any) -> Any:
            same = [call for call in left if call.args == _plain(args)]
            if not same:
                shown = msgspec.json.encode(args).decode()
                raise SkillError("not_found", f"the cassette has no call {agent}.{skill} with {shown}: record it anew")
            call = same[0]
            if len(same) > 1:
                left.remove(call)
            if call.error is not None:
                raise SkillError(call.error.code, call.error.message)
            return call.result

        return play


def _plain(args: Any) -> Any:
    """Arguments as they are compared: none, ``null`` and ``{}`` mean the same."""
    return None if args in ({}, None) else args
