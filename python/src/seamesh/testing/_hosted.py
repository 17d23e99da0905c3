"""Agents that live in the test's process: real sessions with real sidecars, seen and broken by the test."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from seamesh import _wire
from seamesh._protocol import Event
from seamesh._session import Session
from seamesh._transport import SidecarConnection
from seamesh.agent import Agent
from seamesh.errors import SeameshError
from seamesh.mesh import PROMPT, Work
from seamesh.message import Message
from seamesh.testing.calls import Answered, Call


@dataclass(frozen=True)
class Deafness:
    """A skill that is not answered.

    Attributes:
        agent: whose skill.
        skill: the skill.
        caller: only calls of this agent are not answered (empty: of the test); ``None``: all.
        cap_s: seconds after which its callers give up; ``None``: as long as they say.
    """

    agent: str
    skill: str
    caller: str | None = None
    cap_s: float | None = None

    def hits(self, caller: str, skill: str) -> bool:
        """Whether a call is not answered."""
        return self.skill == skill and self.caller in (None, caller)


class Observer(Protocol):
    """Whoever watches the agents of a mesh. Called on their event loop."""

    deafnesses: list[Deafness]
    calls: list[Call]

    def answered(self, answered: Answered) -> None: ...

    def struck(self, caller: str, task_id: str | None, error: SeameshError) -> None: ...

    def pulse(self) -> None: ...


@dataclass
class _Asked:
    skill: str
    args: bytes


@dataclass
class _Books:
    """What one session has under way."""

    calls: dict[tuple[str, int], Call] = field(default_factory=dict)
    asked: dict[str, _Asked] = field(default_factory=dict)


class HostedSession(Session):
    """A session whose every call the test sees."""

    def __init__(self, agent: Agent, observer: Observer) -> None:
        super().__init__(agent)
        self._observer = observer
        self._books = _Books()
        self._respond = self._protocol.respond
        self._request = self._protocol.request
        self._protocol.respond = self._responded  # type: ignore[method-assign]
        self._protocol.request = self._requested  # type: ignore[method-assign]

    @property
    def name(self) -> str:
        """The agent's name."""
        return self._agent.name

    def _dispatch(self, event: Event) -> None:
        if isinstance(event, _wire.AgentEventTask) and self._is_deaf_to(event.payload):
            self._observer.pulse()
            return
        if isinstance(event, _wire.AgentEventResponse):
            self._answered(event.payload)
        super()._dispatch(event)
        self._observer.pulse()

    def _is_deaf_to(self, task: _wire.TaskEvent) -> bool:
        call = Call(task.from_agent, self.name, task.skill, task.payload, task.path, task.task_id, task.attempt)
        call.is_deaf = self._is_deaf(task.from_agent, task.skill)
        self._observer.calls.append(call)
        self._books.calls[task.task_id, task.attempt] = call
        return call.is_deaf

    def _is_deaf(self, caller: str, skill: str) -> bool:
        return any(d.agent == self.name and d.hits(caller, skill) for d in self._observer.deafnesses)

    def _message(self, from_peer: str, raw: msgspec.Raw) -> None:
        try:
            message = Message(from_peer, raw)
        except (ValueError, RecursionError):
            return super()._message(from_peer, raw)
        if message.kind == PROMPT:
            caller = message.source_agent
            call = Call(caller, self.name, PROMPT, message.payload, "direct", message.request_id, 1)
            call.is_deaf = self._is_deaf(caller, PROMPT)
            self._observer.calls.append(call)
            self._observer.pulse()
            if call.is_deaf:
                return None
        return super()._message(from_peer, raw)

    def _responded(self, key: tuple[str, int], outcome: _wire.Outcome) -> None:
        call = self._books.calls.pop(key, None)
        if call is not None:
            call._outcome = outcome
        self._respond(key, outcome)
        self._observer.pulse()

    # What the agent asks.

    async def request(self, work: Work) -> Any:
        """Delegates; a call that will not be answered is given up early when the test says so."""
        caps = [d.cap_s for d in self._observer.deafnesses if d.cap_s and d.hits(self.name, work.skill)]
        if not caps:
            return await super().request(work)
        cap_ms = int(min(caps) * 1000)
        work = msgspec.structs.replace(work, timeout_ms=min(work.timeout_ms or cap_ms, cap_ms))
        try:
            return await super().request(work)
        except SeameshError as error:
            self._observer.struck(self.name, work.parent.task_id if work.parent else None, error)
            raise

    def _requested(self, request: _wire.Request, payload: bytes) -> None:
        self._books.asked[request.request_id] = _Asked(request.skill, payload)
        self._request(request, payload)

    def _answered(self, response: _wire.Response) -> None:
        asked = self._books.asked.pop(response.request_id, None)
        if asked is not None:
            args = msgspec.json.decode(asked.args) if asked.args else None
            answered = Answered(self.name, response.agent_id, asked.skill, args, response.outcome)
            self._observer.answered(answered)


class Hosted:
    """An agent of the test's process, connected to its sidecar. Use it on the mesh's event loop."""

    def __init__(self, agent: Agent, observer: Observer, socket: str) -> None:
        self.session = HostedSession(agent, observer)
        self._connection = SidecarConnection(self.session, socket)
        self._tasks = [asyncio.create_task(self._connection.keep())]
        if agent.start_handler is not None:
            self._tasks.append(asyncio.create_task(agent._start(self.session)))

    async def close(self) -> None:
        """Ends it, without a goodbye."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._connection.close()
        await self.session.close()
