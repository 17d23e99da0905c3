"""Tests of agents without processes: a mesh in memory, behind the real protocol."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import msgspec

from seamesh import _wire
from seamesh._lines import LineSplitter, Oversized
from seamesh._session import Session
from seamesh.agent import Agent
from seamesh.mesh import Mesh
from seamesh.stream import Stream

_encoder = msgspec.json.Encoder()

CLIENT = "test-client"
"""The agent that `FakeMesh.call` asks as."""


@dataclass
class FakeTask:
    """Work that was delegated in a `FakeMesh`.

    Attributes:
        task_id: its id.
        skill: the skill asked for.
        payload: the arguments.
        from_agent: who asked.
        to_agent: who got it.
        parent_id: the task whose skill asked.
        depth: hops from the first task of its tree.
        traceparent: the span that asked (W3C Trace Context); ``None``: nobody named one.
        run_traceparent: the span of its run.
        outcome: how it ended; ``None`` while it runs.
        progress: how far its skill told that it was, in order.
        questions: what its skill asked, in order.
        path: ``direct``, or ``queue``.
    """

    task_id: str
    skill: str
    payload: Any
    from_agent: str
    to_agent: str
    parent_id: str | None
    depth: int
    traceparent: str | None
    run_traceparent: str
    outcome: _wire.Outcome | None = None
    progress: list[_wire.Progress] = field(default_factory=list)
    questions: list[_wire.Question] = field(default_factory=list)
    path: _wire.Path = "direct"


class FakeMesh:
    """Some agents, and a mesh between them. Use it with ``async with``.

    Args:
        agents: the agents.
        linked: whether every two of them are linked; without links everything goes through the queue.
    """

    def __init__(self, *agents: Agent, linked: bool = True) -> None:
        self._linked = linked
        self._cut: set[str] = set()
        self._ended = asyncio.Event()
        self.tasks: list[FakeTask] = []
        self._client = Agent(CLIENT)
        self._agents = (*agents, self._client)
        self._members: dict[str, _Member] = {}
        self._requests: dict[str, tuple[_Member, _wire.Request]] = {}

    async def __aenter__(self) -> FakeMesh:
        for agent in self._agents:
            self._members[agent.name] = _Member(self, agent)
        for member in self._members.values():
            member.session.connection_made(member)
        for member in self._members.values():
            await member.session.welcome.wait()
            if member.agent.start_handler is not None:
                await member.agent.start_handler(member.session.mesh)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for member in self._members.values():
            member.session.connection_lost()
            await member.session.close()
            member.close()

    async def call(self, skill: str, **options: Any) -> Any:
        """Asks the mesh from outside; takes what `Mesh.delegate <seamesh.Mesh.delegate>` takes."""
        return await self._members[CLIENT].session.mesh.delegate(skill, **options)

    def stream(self, skill: str, **options: Any) -> Stream:
        """Asks the mesh from outside, and takes the parts as they come; takes what
        `Mesh.stream <seamesh.Mesh.stream>` takes."""
        return self._members[CLIENT].session.mesh.stream(skill, **options)

    def deliver(self, to: str, message: dict[str, Any], *, from_peer: str = CLIENT) -> None:
        """A message for an agent's message handler, as if it came over a link."""
        body = _wire.Message(from_peer=from_peer, message=msgspec.Raw(_encoder.encode(message)))
        self._members[to].say(_wire.AgentEventMessage(body))

    def assign(self, to: str, skill: str, payload: Any) -> FakeTask:
        """Work for an agent that somebody outside the mesh put in the queue."""
        span = f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"
        task = FakeTask(f"task-{len(self.tasks) + 1}", skill, payload, CLIENT, to, None, 0, None, span, path="queue")
        self.tasks.append(task)
        event = _wire.TaskEvent(
            task_id=task.task_id,
            attempt=1,
            skill=skill,
            payload=payload,
            path="queue",
            timeout_ms=300_000,
            run_traceparent=span,
        )
        self._members[to].say(_wire.AgentEventTask(event))
        return task

    async def settled(self) -> None:
        """Waits until all the work of the mesh has ended."""
        while any(task.outcome is None for task in self.tasks):
            self._ended.clear()
            await self._ended.wait()

    def mesh_of(self, agent: Agent) -> Mesh:
        """The mesh as one of the agents sees it."""
        return self._members[agent.name].session.mesh

    def cut(self, agent: Agent) -> None:
        """Takes the links of an agent down. Its work goes on, and new work goes through the queue."""
        for other in self._members.values():
            if self._has_link(agent.name, other.agent.name):
                other.say(_wire.AgentEventPeerDisconnected(_wire.PeerRef(peer_id=agent.name)))
                self._members[agent.name].say(_wire.AgentEventPeerDisconnected(_wire.PeerRef(peer_id=other.agent.name)))
        self._cut.add(agent.name)

    def _has_link(self, one: str, other: str) -> bool:
        return self._linked and one != other and not {one, other} & self._cut

    # What members say.

    def handle(self, member: _Member, command: _wire.AgentCommand) -> None:
        """Acts on one line of an agent."""
        match command:
            case _wire.AgentCommandHello():
                member.welcome()
                for name in self._members:
                    if self._has_link(member.agent.name, name):
                        member.say(_wire.AgentEventPeerConnected(_wire.LinkedPeer(peer_id=name)))
            case _wire.AgentCommandRequest(payload=request):
                self._delegate(member, request)
            case _wire.AgentCommandRespond(payload=answer):
                self._finish(answer.task_id, answer.outcome)
            case _wire.AgentCommandTaskNews(payload=news):
                self._tell_asker(news)
            case _wire.AgentCommandRequestInput(payload=told):
                self._tell_handler(member, told)
            case _wire.AgentCommandCancel(payload=cancel):
                self._give_up(member, cancel.request_id)
            case _wire.AgentCommandAgents(payload=query):
                records = [m.record() for name, m in sorted(self._members.items()) if name != CLIENT]
                found = [r for r in records if query.skill is None or _wire.offers(r, query.skill)]
                member.say(_wire.AgentEventAgents(_wire.AgentsList(request_id=query.request_id, agents=found)))
            case _wire.AgentCommandListPeers():
                linked = (name for name in self._members if self._has_link(member.agent.name, name))
                peers = sorted(name for name in linked if name != CLIENT)
                member.say(_wire.AgentEventPeerList(_wire.PeerList(peers=peers)))
            case _wire.AgentCommandSend(payload=sent):
                self._send(member, sent)
            case _wire.AgentCommandBroadcast(payload=broadcast):
                body = _wire.Message(from_peer=member.agent.name, message=broadcast.message)
                for other in self._members.values():
                    if self._has_link(member.agent.name, other.agent.name):
                        other.say(_wire.AgentEventMessage(body))
            case _:
                pass

    def _send(self, member: _Member, sent: _wire.Send) -> None:
        target = self._members.get(sent.target_peer)
        if target is None or not self._has_link(member.agent.name, sent.target_peer):
            member.refuse("no_link", f"no link to {sent.target_peer}")
            return
        message = msgspec.json.decode(sent.message, type=_wire.MeshMessage)
        if message.type == "ping":
            pong = {"type": "pong", "request_id": message.request_id, "source_agent": target.agent.name}
            body = _wire.Message(from_peer=target.agent.name, message=msgspec.Raw(_encoder.encode(pong)))
            member.say(_wire.AgentEventMessage(body))
        else:
            body = _wire.Message(from_peer=member.agent.name, message=sent.message)
            target.say(_wire.AgentEventMessage(body))

    def _delegate(self, member: _Member, request: _wire.Request) -> None:
        if request.to is not None and request.to not in self._members:
            return member.refuse("agent_unknown", f"no agent {request.to}", request.request_id)
        able = [m for m in self._members.values() if request.skill in m.agent.skills]
        able.sort(key=lambda other: not self._may_call(member, other, request.skill))
        target = self._members[request.to] if request.to is not None else next(iter(able), None)
        if target is None:
            return member.refuse("no_agent", f"no agent offers {request.skill!r}", request.request_id)
        if not self._may_call(member, target, request.skill):
            detail = f"agent {member.agent.name} may not call skill {request.skill!r} of agent {target.agent.name}"
            return member.refuse("forbidden", detail, request.request_id)
        is_linked = self._has_link(member.agent.name, target.agent.name)
        if request.via == "direct" and not is_linked:
            return member.refuse("no_link", f"no link to {target.agent.name}", request.request_id)
        parent = next((task for task in self.tasks if task.task_id == request.parent), None)
        depth = parent.depth + 1 if parent else 0
        if depth > _wire.MAX_DEPTH:
            chain = " -> ".join(f"{hop.agent_id}.{hop.skill}" for hop in self._chain(parent))
            detail = (
                f"a chain of delegations has at most {_wire.MAX_DEPTH} hops; this one is {chain} -> {request.skill}"
            )
            return member.refuse("depth_exceeded", detail, request.request_id)
        if parent and sum(task.parent_id == parent.task_id for task in self.tasks) >= _wire.MAX_CHILDREN:
            detail = f"task {parent.task_id} has asked for {_wire.MAX_CHILDREN} others"
            return member.refuse("fan_out_exceeded", detail, request.request_id)
        task_id = f"task-{len(self.tasks) + 1}"
        above = request.traceparent or (parent.run_traceparent if parent else None)
        trace, flags = (above[3:35], above[53:55]) if above else (secrets.token_hex(16), "01")
        task = FakeTask(
            task_id,
            request.skill,
            request.payload,
            member.agent.name,
            target.agent.name,
            request.parent,
            depth,
            traceparent=above,
            run_traceparent=f"00-{trace}-{secrets.token_hex(8)}-{flags}",
        )
        self.tasks.append(task)
        self._accept(member, target, request, task)
        return None

    def _may_call(self, member: _Member, target: _Member, skill: str) -> bool:
        """Whether the target's skill names the member among its callers. The test asks as an operator would."""
        return member.agent is self._client or _wire.allows(target.agent.profile(), skill, member.agent.name)

    def _chain(self, task: FakeTask | None) -> list[_wire.Hop]:
        """Who ran what from the first task of a tree down to this one."""
        hops: list[_wire.Hop] = []
        while task is not None:
            hops.insert(0, _wire.Hop(agent_id=task.to_agent, skill=task.skill))
            task = next((above for above in self.tasks if above.task_id == task.parent_id), None)
        return hops

    def _accept(self, member: _Member, target: _Member, request: _wire.Request, task: FakeTask) -> None:
        is_linked = self._has_link(member.agent.name, target.agent.name)
        path: _wire.Path = "direct" if is_linked and request.wait and request.via != "queue" else "queue"
        task.path = path
        accepted = _wire.Accepted(request_id=request.request_id, task_id=task.task_id, path=path)
        member.say(_wire.AgentEventAccepted(accepted))
        if request.wait:
            self._requests[task.task_id] = (member, request)
        timeout_ms = request.timeout_ms or _wire.DEFAULT_REQUEST_TIMEOUT_MS
        member.later(timeout_ms / 1000, self._expire, task)
        event = _wire.TaskEvent(
            task_id=task.task_id,
            attempt=1,
            skill=task.skill,
            payload=task.payload,
            from_agent="" if member.agent is self._client else member.agent.name,
            path=path,
            timeout_ms=timeout_ms,
            stream=request.stream,
            answers=request.answers,
            parent_id=task.parent_id,
            depth=task.depth,
            chain=self._chain(next((above for above in self.tasks if above.task_id == task.parent_id), None)) or None,
            traceparent=task.traceparent,
            run_traceparent=task.run_traceparent,
        )
        target.say(_wire.AgentEventTask(event))

    def _finish(self, task_id: str, outcome: _wire.Outcome) -> None:
        task = next(task for task in self.tasks if task.task_id == task_id)
        if task.outcome is None:
            task.outcome = outcome
            self._ended.set()
        asked = self._requests.pop(task_id, None)
        if asked is not None:
            member, request = asked
            response = _wire.Response(
                request_id=request.request_id, task_id=task_id, outcome=outcome, path=task.path, agent_id=task.to_agent
            )
            member.say(_wire.AgentEventResponse(response))

    def _expire(self, task: FakeTask) -> None:
        if task.outcome is None:
            error = _wire.TaskError(code="deadline_exceeded", message="the deadline passed")
            self._finish(task.task_id, _wire.Outcome(state="failed", error=error))
            self._stop(task, "deadline_exceeded")

    def _give_up(self, member: _Member, request_id: str) -> None:
        task = self._asked(member, request_id)
        if task is not None:
            del self._requests[task.task_id]
            self._stop(task, "canceled")

    def _asked(self, member: _Member, request_id: str) -> FakeTask | None:
        """The task of an open request."""
        for task in self.tasks:
            asker, request = self._requests.get(task.task_id, (None, None))
            if asker is member and request is not None and request.request_id == request_id:
                return task
        return None

    def _tell_asker(self, news: _wire.HandlerNews) -> None:
        task = next(task for task in self.tasks if task.task_id == news.task_id)
        if news.progress is not None:
            task.progress.append(news.progress)
        if news.question is not None:
            task.questions.append(news.question)
        asker, request = self._requests.get(news.task_id, (None, None))
        if asker is not None and request is not None:
            body = _wire.RequestNews(
                request_id=request.request_id,
                task_id=news.task_id,
                attempt=news.attempt,
                progress=news.progress,
                chunk=news.chunk,
                question=news.question,
            )
            asker.say(_wire.AgentEventRequestNews(body))

    def _tell_handler(self, member: _Member, told: _wire.RequestInput) -> None:
        task = self._asked(member, told.request_id)
        if task is not None:
            body = _wire.TaskInputEvent(task_id=task.task_id, attempt=1, answer=told.answer, taken=told.taken)
            self._members[task.to_agent].say(_wire.AgentEventTaskInput(body))

    def _stop(self, task: FakeTask, code: _wire.Code) -> None:
        stop = _wire.TaskCancel(task_id=task.task_id, attempt=1, code=code)
        self._members[task.to_agent].say(_wire.AgentEventTaskCancel(stop))


class _Member:
    """An agent in the mesh, and its sidecar's end of the line: what the session writes arrives here."""

    def __init__(self, mesh: FakeMesh, agent: Agent) -> None:
        self.agent = agent
        self.session = Session(agent)
        self._mesh = mesh
        self._lines = LineSplitter()
        self._loop = asyncio.get_running_loop()
        self._timers: list[asyncio.TimerHandle] = []

    def write(self, data: bytes) -> None:
        """Bytes of the agent; acted on in the loop's next turn, as if they had traveled."""
        self._loop.call_soon(self._read, data)

    def get_write_buffer_size(self) -> int:
        """Nothing waits here."""
        return 0

    def pause_reading(self) -> None:
        """Has no effect: what was said is delivered."""

    def resume_reading(self) -> None:
        """Has no effect."""

    def _read(self, data: bytes) -> None:
        for line in self._lines.feed(data):
            if isinstance(line, Oversized):
                self.refuse("too_large", "the line is too long")
                continue
            try:
                command = _wire.decode_agent_command(line)
            except _wire.WireError as error:
                self.refuse(error.code, str(error))
            else:
                self._mesh.handle(self, command)

    def say(self, event: _wire.AgentEvent) -> None:
        """Tells the agent something."""
        self._loop.call_soon(self.session.data_received, _encoder.encode(event) + b"\n")

    def refuse(self, code: _wire.Code, detail: str, request_id: str | None = None) -> None:
        """Tells the agent what was wrong."""
        fault, retry = _wire.CODES[code]
        problem = _wire.Problem(code=code, detail=detail, fault=fault, retry=retry, request_id=request_id)
        self.say(_wire.AgentEventError(problem))

    def welcome(self) -> None:
        """Answers the agent's ``hello``."""
        self.say(
            _wire.AgentEventWelcome(
                _wire.Welcome(
                    version=_wire.PROTOCOL_VERSION,
                    peer_id=self.agent.name,
                    registry_connected=True,
                    max_line_bytes=_wire.MAX_LINE_BYTES,
                )
            )
        )

    def later(self, delay_s: float, action: Any, *arguments: Any) -> None:
        """Does something after a while, unless the mesh ends first."""
        self._timers.append(self._loop.call_later(delay_s, action, *arguments))

    def close(self) -> None:
        """Nothing happens here any more."""
        for timer in self._timers:
            timer.cancel()

    def record(self) -> _wire.AgentRecord:
        """The agent as the registry would list it."""
        profile = self.agent.profile()
        never = "1970-01-01T00:00:00Z"
        return _wire.AgentRecord(
            agent_id=profile.agent_id,
            hostname=profile.hostname,
            sidecar_peer_id=profile.agent_id,
            capabilities=_wire.Capabilities(skills=list(self.agent.skills)),
            description=profile.description,
            skills=profile.skills,
            health="active",
            registered_at=never,
            last_heartbeat=never,
        )


async def call(agent: Agent, skill: str, *, others: Iterable[Agent] = (), **options: Any) -> Any:
    """Runs one skill of an agent and gives its result.

    Args:
        agent: the agent.
        skill: its skill.
        others: agents that answer what the skill delegates.
        options: the arguments; also ``payload=``, ``timeout=``, ``on_question=`` and ``on_progress=``, as
            `Mesh.delegate <seamesh.Mesh.delegate>` takes them.

    Raises:
        SeameshError: as a caller in a mesh would see it.
    """
    async with FakeMesh(agent, *others) as mesh:
        return await mesh.call(skill, **{"to": agent.name, **options})


def call_sync(agent: Agent, skill: str, *, others: Iterable[Agent] = (), **options: Any) -> Any:
    """`call` for tests that are not async."""
    return asyncio.run(call(agent, skill, others=others, **options))


@dataclass
class Collected:
    """What a skill streamed, and how it ended.

    Attributes:
        parts: the chunks' values and the `Artifact <seamesh.Artifact>` objects, in order.
        result: its result.
        progress: how far it told that it was, in order.
    """

    parts: list[Any]
    result: Any
    progress: list[_wire.Progress]


async def collect(agent: Agent, skill: str, *, others: Iterable[Agent] = (), **options: Any) -> Collected:
    """Runs one skill of an agent and takes everything that it streams. Args and errors are those of `call`."""
    async with FakeMesh(agent, *others) as mesh, mesh.stream(skill, **{"to": agent.name, **options}) as stream:
        parts = [part async for part in stream]
        return Collected(parts, await stream.result(), mesh.tasks[0].progress)


def collect_sync(agent: Agent, skill: str, *, others: Iterable[Agent] = (), **options: Any) -> Collected:
    """`collect` for tests that are not async."""
    return asyncio.run(collect(agent, skill, others=others, **options))
