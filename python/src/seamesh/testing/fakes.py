"""Peers that a test does not want to start."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from seamesh.agent import Agent
from seamesh.skills import Skill

if TYPE_CHECKING:
    from seamesh.testing.calls import Call
    from seamesh.testing.live import LiveMesh


class FakeAgent:
    """An agent that answers as a test says. It is in the mesh as any other: with a sidecar and links of its own.

    Attributes:
        name: its name.
    """

    def __init__(self, mesh: LiveMesh, name: str) -> None:
        self.name = name
        self._mesh = mesh

    @property
    def calls(self) -> list[Call]:
        """The calls that reached it, in order."""
        return [call for call in self._mesh.calls if call.agent == self.name]

    def calls_of(self, skill: str) -> list[Call]:
        """The calls of one of its skills."""
        return [call for call in self.calls if call.skill == skill]


class _Answers(Skill):
    """A skill that takes any arguments."""

    def __init__(self, name: str, answer: Callable[[Any], Any]) -> None:
        async def reply(payload: Any) -> Any:
            return answer(payload)

        super().__init__(reply, name=name, description="A fake.")
        self.input_schema = {"type": "object"}

    def bind(self, payload: Any) -> dict[str, Any]:
        """All of it."""
        return {"payload": payload}


def fake(name: str, skills: Mapping[str, Any], played: Mapping[str, Callable[[Any], Any]]) -> Agent:
    """An agent whose skills answer with what stands for them: an exception is raised, a function is a skill like any
    other, anything else is the result. ``played`` skills are called with the arguments, whatever they are.

    Raises:
        TypeError, ValueError: a function cannot be a skill, or a name is none; see `Agent.skill`.
    """
    agent = Agent(name, description="A fake agent of a test.")
    for skill, answer in skills.items():
        if callable(answer) and not isinstance(answer, type):
            agent.skill(name=skill)(answer)
        else:
            agent.skills[skill] = _Answers(skill, _constantly(answer))
    for skill, play in played.items():
        if skill not in agent.skills:
            agent.skills[skill] = _Answers(skill, play)
    return agent


def _constantly(answer: Any) -> Callable[[Any], Any]:
    def give(_: Any) -> Any:
        if isinstance(answer, BaseException) or (isinstance(answer, type) and issubclass(answer, BaseException)):
            raise answer
        return answer

    return give
