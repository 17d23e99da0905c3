"""The mesh as an agent sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Set
from concurrent.futures import Future
from typing import Any, Protocol, TypeAlias, TypeVar

import msgspec

from seamesh import _wire, values
from seamesh._listener import Listener, OnProgress, OnQuestion
from seamesh.errors import BadArguments, NoAgent, SkillUnknown, Timeout, TooLarge
from seamesh.message import encode_message
from seamesh.stream import Stream

T = TypeVar("T")

PROMPT = "agent_prompt"
"""The skill that reads prompts, and the message that carries one over a link."""


OnPart: TypeAlias = Callable[[Any], None]
"""Is called on the event loop with each part of an answer."""


class Told(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a message went.

    Attributes:
        path: ``direct`` over a link, or ``queue``.
        task_id: the queue's task; ``None`` for a link.
    """

    path: _wire.Path
    task_id: str | None = None


class ToldAll(msgspec.Struct, frozen=True):
    """Which agents a message for all went to.

    Attributes:
        direct: over a link.
        queue: through the queue.
        unreached: neither is linked nor reads messages.
    """

    direct: list[str]
    queue: list[str]
    unreached: list[str]


PROMPT_TTL_S = 60.0
"""Seconds that a message waits in the queue for its reader."""


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

    @property
    def linked(self) -> Set[str]: ...

    @property
    def statuses(self) -> Mapping[str, Any]: ...

    async def ask(
        self, peer: str, kind: str, to: str, body: Any, patience_s: float, on_chunk: OnPart | None = None
    ) -> Any: ...

    def send(self, peer: str, message: msgspec.Raw) -> Awaitable[None]: ...

    def broadcast(self, message: msgspec.Raw) -> Awaitable[None]: ...

    def connect_peer(self, peer: str) -> Awaitable[None]: ...


ASK_S = 10.0
"""Seconds that another end has to answer a question of the SDK's own."""


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

    # Conversation.

    def is_linked(self, peer: str) -> bool:
        """Whether a link to a peer is open, as the sidecar told last."""
        return peer in self._port.linked

    async def prompt(
        self,
        to: str,
        message: str,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 -- the deadline travels with the work
        on_chunk: OnPart | None = None,
    ) -> Any:
        """Says something to an agent in words and gives its answer: what its `Agent.on_prompt` handler returns. Over
        the link to it (``agent_prompt``, ``agent_response``), else through the queue.

        Args:
            to: the agent.
            message: the text.
            timeout: seconds until the answer is given up; ``None``: what is left of the task at hand, else 120.
            on_chunk: is called with each part of an answer that comes in parts; ``None``: they come as one list.

        Raises:
            NoAgent: there is no such agent.
            SkillUnknown: it reads no prompts.
            LinkError: the link went down before the answer; the prompt may have been read.
            Timeout: no answer came in time.
            SeameshError: the handler's error.
        """
        timeout_ms = self._timeout_ms(timeout, wait=True) or _wire.DEFAULT_REQUEST_TIMEOUT_MS
        agent = await self._reader(to)
        if self.is_linked(agent.sidecar_peer_id):
            body = {"message": message, "direct": True, "stream": on_chunk is not None}
            answer = await self._port.ask(agent.sidecar_peer_id, PROMPT, to, body, timeout_ms / 1000, on_chunk)
            return answer.get("message") if isinstance(answer, dict) else answer
        if on_chunk is None:
            return await self.delegate(PROMPT, to=to, timeout=timeout, message=message)
        async with self.stream(PROMPT, to=to, timeout=timeout, message=message) as stream:
            async for part in stream:
                on_chunk(part)
            return await stream.result()

    async def tell(self, to: str, message: str) -> Told:
        """Says something to an agent and waits for no answer: over the link to it, else through the queue, where it
        waits for at most 60 seconds (``PROMPT_TTL_S``).

        Raises:
            NoAgent: there is no such agent.
            SkillUnknown: it is not linked, and takes no prompts from the queue.
        """
        agent = await self._agent(to)
        if self.is_linked(agent.sidecar_peer_id):
            body = {"message": message, "direct": True}
            await self.send(agent.sidecar_peer_id, {"type": PROMPT, "target_agent": to, "payload": body})
            return Told("direct")
        _check_reads(agent)
        return Told("queue", await self._queue(to, message))

    async def tell_all(self, message: str) -> ToldAll:
        """Says something to every healthy agent, and tells which path each got it by."""
        others = [a for a in await self.agents() if a.health == "active" and a.agent_id != self._agent_id]
        direct = [a.agent_id for a in others if self.is_linked(a.sidecar_peer_id)]
        apart = [a for a in others if not self.is_linked(a.sidecar_peer_id)]
        if self._port.linked:
            await self.broadcast(message)
        queue = [a.agent_id for a in apart if _wire.offers(a, PROMPT)]
        for name in queue:
            await self._queue(name, message)
        return ToldAll(direct, queue, [a.agent_id for a in apart if not _wire.offers(a, PROMPT)])

    async def skills_of(self, to: str) -> list[_wire.SkillInfo]:
        """The skills of an agent: as itself says over the link to it (``skill_query``), else as the registry knows.

        Raises:
            NoAgent: there is no such agent.
            Timeout: it is linked, and did not say.
        """
        agent = await self._agent(to)
        if not self.is_linked(agent.sidecar_peer_id):
            return agent.skills
        body = await self._port.ask(agent.sidecar_peer_id, "skill_query", to, {}, ASK_S)
        return msgspec.convert(body.get("skills", []), list[_wire.SkillInfo])

    async def ping(self, to: str) -> float:
        """Seconds that a word to an agent's sidecar and back takes (``ping``, ``pong``).

        Raises:
            NoAgent: there is no such agent.
            LinkError: it is not linked.
            Timeout: nothing came back within 10 seconds.
        """
        agent = await self._agent(to)
        before = self._port.loop.time()
        await self._port.ask(agent.sidecar_peer_id, "ping", to, {}, ASK_S)
        return self._port.loop.time() - before

    def report_status(self, status: Any) -> Awaitable[None]:
        """Tells every linked peer how this agent is (``agent_status``): any JSON."""
        return self.broadcast({"type": "agent_status", "target_agent": "*", "payload": status})

    @property
    def statuses(self) -> Mapping[str, Any]:
        """What linked agents told last of how they are, by agent."""
        return self._port.statuses

    def _queue(self, to: str, message: str) -> Coroutine[Any, Any, Any]:
        payload = {"message": message}
        return self.delegate(PROMPT, to=to, wait=False, via="queue", timeout=PROMPT_TTL_S, payload=payload)

    async def _agent(self, name: str) -> _wire.AgentRecord:
        found = [agent for agent in await self.agents() if agent.agent_id == name]
        if not found:
            raise NoAgent(f"no agent {name}; `seamesh agents` shows who is there", code="agent_unknown")
        return found[0]

    async def _reader(self, name: str) -> _wire.AgentRecord:
        agent = await self._agent(name)
        _check_reads(agent)
        return agent

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


def _check_reads(agent: _wire.AgentRecord) -> None:
    if not _wire.offers(agent, PROMPT):
        raise SkillUnknown(f"agent {agent.agent_id} reads no prompts: it has no @agent.on_prompt")


def _encode_payload(payload: Any, args: dict[str, Any]) -> bytes:
    if payload is not msgspec.UNSET and args:
        raise BadArguments("give the arguments either by name or as payload=, not both")
    try:
        return values.encode(args if payload is msgspec.UNSET else payload)
    except values.ValueTooLargeError as error:
        raise TooLarge(f"the arguments have {error}") from error
    except ValueError as error:
        raise BadArguments(f"the arguments are not JSON: {error}") from error
