"""The mesh as an agent sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine, Mapping
from concurrent.futures import Future
from typing import Any, Protocol, TypeVar

import msgspec

from seamesh import _wire, values
from seamesh._listener import Listener, OnProgress, OnQuestion
from seamesh.errors import BadArguments, NoAgent, Timeout, TooLarge
from seamesh.message import encode_message
from seamesh.stream import Stream

T = TypeVar("T")


class Work(msgspec.Struct, frozen=True):
    """Work to delegate, as a `Port` takes it."""

    skill: str
    payload: bytes
    to: str | None = None
    wait: bool = True
    via: _wire.Via = "auto"
    timeout_ms: int | None = None
    parent: _wire.TaskEvent | None = None
    traceparent: str | None = None
    listener: Listener | None = None
    """Hears what is told before the end; ``None``: nobody does."""


class Port(Protocol):
    """The way from an agent into the mesh: a sidecar's socket, or the registry's REST interface."""

    @property
    def peer_id(self) -> str | None: ...

    @property
    def registry_connected(self) -> bool: ...

    @property
    def loop(self) -> asyncio.AbstractEventLoop: ...

    def request(self, work: Work) -> Coroutine[Any, Any, Any]: ...

    async def agents(self, skill: str | None) -> list[_wire.AgentRecord]: ...

    async def peers(self) -> list[str]: ...

    def send(self, peer: str, message: msgspec.Raw) -> Awaitable[None]: ...

    def broadcast(self, message: msgspec.Raw) -> Awaitable[None]: ...

    def connect_peer(self, peer: str) -> Awaitable[None]: ...


class Mesh:
    """The mesh as an agent sees it, outside of any task."""

    __slots__ = ("_agent_id", "_port")

    def __init__(self, port: Port, agent_id: str) -> None:
        self._port = port
        self._agent_id = agent_id

    @property
    def agent_id(self) -> str:
        """The agent's own name."""
        return self._agent_id

    @property
    def peer_id(self) -> str | None:
        """The sidecar's name on the network; ``None`` while it has none."""
        return self._port.peer_id

    @property
    def registry_connected(self) -> bool:
        """Whether the registry is reachable now, as the sidecar told last."""
        return self._port.registry_connected

    async def delegate(
        self,
        skill: str,
        *,
        to: str | None = None,
        wait: bool = True,
        timeout: float | None = None,  # noqa: ASYNC109 -- the deadline travels with the work
        via: _wire.Via = "auto",
        on_question: OnQuestion | None = None,
        on_progress: OnProgress | None = None,
        traceparent: str | None = None,
        payload: Any = msgspec.UNSET,
        **args: Any,
    ) -> Any:
        """Asks an agent to run ``skill`` and gives its result, or with ``wait=False`` the task's id.

        Args:
            skill: the skill to run.
            to: the agent to ask, and no other; ``None``: any that offers the skill.
            wait: whether to wait for the result. Without it the work goes to the durable queue.
            timeout: seconds until the work is given up; ``None``: what is left of the task at hand, else 120.
            via: ``auto`` (directly when linked, else the queue), ``direct`` or ``queue``.
            on_question: a function, sync or async, that is called on the event loop with each `Question` of the skill
                and gives the answer (any JSON, at most 64 KiB). What it raises gives the work up and is raised here.
                ``None``: the questions of work that a skill delegates go to that skill's own asker, if that answers;
                those of other work to a person, where it goes through the queue.
            on_progress: a function, sync or async, that is called on the event loop with each `Progress` of the skill,
                at most ten times a second. What it raises is told to the log.
            traceparent: the span that asks (W3C Trace Context), when the agent traces by itself; ``None``: that of the
                run at hand.
            payload: the arguments when they are not an object, or when their names collide with those above.
            args: the arguments.

        Raises:
            SkillError: the skill failed.
            BadArguments: the arguments do not fit the skill, or a function was given to hear of work that is not waited
                for.
            NoAgent: nobody offers the skill.
            Timeout: no answer came in time.
            Canceled: somebody canceled the task.
            SidecarUnavailable: the connection went away before the answer came; the work may still run.
            SeameshError: anything else, with its code.
        """
        if not wait and (on_question is not None or on_progress is not None):
            raise BadArguments("with wait=False nobody hears of the work any more")
        answerer = self._answerer(on_question) if wait else None
        listener = Listener(answerer, on_progress) if answerer or on_progress else None
        work = Work(
            skill=skill,
            payload=_encode_payload(payload, args),
            to=to,
            wait=wait,
            via=via,
            timeout_ms=self._timeout_ms(timeout, wait=wait),
            parent=self._parent(),
            traceparent=traceparent,
            listener=listener,
        )
        return await self._port.request(work)

    def stream(
        self,
        skill: str,
        *,
        to: str | None = None,
        timeout: float | None = None,
        via: _wire.Via = "auto",
        on_question: OnQuestion | None = None,
        on_progress: OnProgress | None = None,
        traceparent: str | None = None,
        payload: Any = msgspec.UNSET,
        **args: Any,
    ) -> Stream:
        """Asks an agent to run ``skill`` and takes the parts of its result as they come; see `Stream`.

            async with ctx.stream("write", topic="bees") as stream:
                async for part in stream:
                    print(part, end="")

        Args and errors are those of `delegate`; errors of the work come from the stream.

        Raises:
            BadArguments: the arguments are not JSON.
            TooLarge: the arguments are over 1 MiB of JSON.
            Timeout: the deadline has passed already.
        """
        work = Work(
            skill=skill,
            payload=_encode_payload(payload, args),
            to=to,
            via=via,
            timeout_ms=self._timeout_ms(timeout, wait=True),
            parent=self._parent(),
            traceparent=traceparent,
        )

        def ask(listener: Listener) -> Coroutine[Any, Any, Any]:
            return self._port.request(msgspec.structs.replace(work, listener=listener))

        return Stream(ask, self._answerer(on_question), on_progress)

    def send(self, peer: str, message: str | Mapping[str, Any]) -> Awaitable[None]:
        """Sends a message to a peer over its link, at once and in order. Await it to be slowed to the link's speed.

        Args:
            peer: the receiving sidecar's peer id.
            message: a text (an ``agent_prompt``), or a whole message with its ``type``.

        Raises:
            BadArguments: the message has no ``type``, or is not JSON.
            SidecarUnavailable: there is no connection to the sidecar now.
            Overloaded: too many bytes wait already: await what you send.
            TooLarge: the message is longer than a line may be.
        """
        return self._port.send(peer, encode_message(message, self._agent_id, broadcast=False))

    def broadcast(self, message: str | Mapping[str, Any]) -> Awaitable[None]:
        """Sends a message to every linked peer; otherwise like `send`."""
        return self._port.broadcast(encode_message(message, self._agent_id, broadcast=True))

    def connect(self, peer: str) -> Awaitable[None]:
        """Asks for a link to a peer, if there is none; `Agent.on_peer` tells when it is open."""
        return self._port.connect_peer(peer)

    async def agents(self, skill: str | None = None) -> list[_wire.AgentRecord]:
        """The agents of the mesh, by id; with ``skill`` only those that offer it."""
        return await self._port.agents(skill)

    async def find(self, skill: str) -> _wire.AgentRecord:
        """The agent to ask for a skill: healthy, with the fewest tasks.

        Raises:
            NoAgent: no healthy agent offers it.
        """
        able = [a for a in await self.agents(skill) if a.health == "active" and _wire.offers(a, skill)]
        if not able:
            raise NoAgent(f"no healthy agent offers {skill!r}; `seamesh agents` shows who is there")
        return min(able, key=lambda agent: (agent.tasks_in_flight, agent.agent_id))

    async def peers(self) -> list[str]:
        """The peers with an open link."""
        return await self._port.peers()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Waits for one of the calls above from a skill that is not async: ``ctx.run(ctx.delegate("search", q="x"))``.

        Raises:
            RuntimeError: called on the event loop, where ``await`` is the way.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return self._wait_for(asyncio.run_coroutine_threadsafe(work, self._port.loop))
        work.close()
        raise RuntimeError("use await here: run() is for skills that are not async")

    def _wait_for(self, answer: Future[T]) -> T:
        return answer.result()

    def _timeout_ms(self, timeout: float | None, *, wait: bool) -> int | None:
        if timeout is None:
            return None
        if timeout <= 0:
            raise Timeout("the deadline has passed already")
        return max(1, int(timeout * 1000))

    def _parent(self) -> _wire.TaskEvent | None:
        return None

    def _answerer(self, on_question: OnQuestion | None) -> OnQuestion | None:
        return on_question


def _encode_payload(payload: Any, args: dict[str, Any]) -> bytes:
    if payload is not msgspec.UNSET and args:
        raise BadArguments("give the arguments either by name or as payload=, not both")
    try:
        return values.encode(args if payload is msgspec.UNSET else payload)
    except values.ValueTooLargeError as error:
        raise TooLarge(f"the arguments have {error}") from error
    except ValueError as error:
        raise BadArguments(f"the arguments are not JSON: {error}") from error
