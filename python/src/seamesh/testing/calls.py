"""What a test mesh saw: who called which skill, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec

from seamesh import _wire
from seamesh.errors import SeameshError, outcome_error


@dataclass
class Call:
    """A skill call that reached an agent of this process.

    Attributes:
        caller: the agent that asked; empty: the test, by `LiveMesh.call`.
        agent: the agent that was asked.
        skill: the skill.
        args: its arguments, as JSON.
        path: ``direct`` over a link, or ``queue``.
        task_id: the task.
        attempt: which attempt at it, from 1.
        is_deaf: the call was not answered, because a test made the skill deaf.
    """

    caller: str
    agent: str
    skill: str
    args: Any
    path: _wire.Path
    task_id: str
    attempt: int
    is_deaf: bool = False
    _outcome: _wire.Outcome | None = field(default=None, repr=False)

    @property
    def is_over(self) -> bool:
        """Whether the skill has ended."""
        return self._outcome is not None

    @property
    def result(self) -> Any:
        """The skill's result; ``None`` while it runs and when it failed."""
        return None if self._outcome is None else value_of(self._outcome)

    @property
    def error(self) -> SeameshError | None:
        """Why the skill failed."""
        return None if self._outcome is None else outcome_error(self._outcome)


def value_of(outcome: _wire.Outcome) -> Any:
    """The result of an outcome, decoded."""
    result = outcome.result
    return msgspec.json.decode(result) if isinstance(result, msgspec.Raw) else result


@dataclass(frozen=True)
class Answered:
    """A call as its caller saw it: what a cassette keeps."""

    caller: str
    agent: str
    skill: str
    args: Any
    outcome: _wire.Outcome
