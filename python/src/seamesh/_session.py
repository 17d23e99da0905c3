"""One agent at work: the protocol core, the skills, and whatever carries the bytes.

The session outlives connections. A transport calls `connection_made`, `data_received` and `connection_lost`; the
session writes to the `Sink` it was given.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import threading
from collections.abc import Awaitable, Callable, Generator, Mapping, Set
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from seamesh import _seams, _wire
from seamesh._conversation import Conversation
from seamesh._inbox import Inbox
from seamesh._protocol import AgentProtocol, Event
from seamesh._requests import Requests
from seamesh._tasks import Tasks
from seamesh.errors import (
    Overloaded,
    SeameshError,
    SidecarUnavailable,
    error_of,
    outcome_error,
)
from seamesh.mesh import Mesh, OnPart, Work
from seamesh.message import Message

if TYPE_CHECKING:
    from seamesh.agent import Agent

_log = logging.getLogger("seamesh")

COALESCE_BYTES = 64 * 1024
"""Output is written at the end of the loop's turn, or as soon as this many bytes wait."""

CONNECT_WAIT_S = 5.0
"""Seconds that work waits for a sidecar that is restarting before it fails."""


class Sink(Protocol):
    """Where a session's bytes go."""

    def write(self, data: bytes) -> None: ...

    def get_write_buffer_size(self) -> int: ...

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class _Drained:
    """Awaits the room to write more; nothing happens when nobody awaits it."""

    __slots__ = ("_wait",)

    def __init__(self, wait: Callable[[], asyncio.Future[None] | None]) -> None:
        self._wait = wait

    def __await__(self) -> Generator[Any, None, None]:
        room = self._wait()
        if room is not None:
            yield from asyncio.shield(room).__await__()


class Session:
    """An agent's life with its sidecar. Also the `Port <seamesh.mesh.Port>` of its skills."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        profile = agent.profile()
        # 64 random bits name this run: work that an earlier one began is not known here.
        profile.instance = secrets.token_hex(8)
        self._protocol = AgentProtocol(profile)
        self._sink: Sink | None = None
        self._flush_due = False
        self._dispatching = False
        self._room: asyncio.Future[None] | None = None
        self._requests = Requests(self._give_up, self._tell, self._asked)
        self._peer_id: str | None = None
        self._registry_connected = False
        self.was_welcomed = False
        self._hooks: set[asyncio.Future[Any]] = set()
        self.mesh = Mesh(self, agent.name)
        self.welcome = asyncio.Event()
        self._tasks = Tasks(agent, self, self._protocol, self._output, self._is_writable)
        self._conversation = Conversation(agent, self, self._tasks.threads)
        self._inbox = Inbox(agent.message_handler, self.mesh, self._hold_reading)

    # What a transport says.

    def connection_made(self, sink: Sink) -> None:
        """A connection to the sidecar is open."""
        self._sink = sink
        self.was_welcomed = False
        self._protocol.connected()
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Bytes of the sidecar."""
        self._dispatching = True
        try:
            for event in self._protocol.receive(data):
                if type(event) is _wire.AgentEventMessage:
                    self._message(event.payload.from_peer, event.payload.message)
                else:
                    self._dispatch(event)
        finally:
            self._dispatching = False
            self._flush()

    def _message(self, from_peer: str, raw: msgspec.Raw) -> None:
        try:
            message = Message(from_peer, raw)
        except (ValueError, RecursionError) as error:
            _log.warning("peer %s sent what is no message, it was skipped: %s", from_peer, error)
            return
        for _ in range(_seams.heard("link", message.kind, "*") if _seams.is_on else 1):
            if not self._conversation.hears(message):
                self._inbox.put(message)

    def connection_lost(self) -> None:
        """The connection is gone; another may come."""
        self._sink = None
        self.welcome.clear()
        self.writable()
        self._conversation.unlinked()
        lost = SidecarUnavailable("the sidecar went away before it answered; the work may still run")
        self._requests.lost(self._protocol.disconnected(), lost)

    def unwritable(self) -> None:
        """The transport holds enough bytes: whoever awaits a `send` waits."""
        if self._room is None:
            self._room = self._loop.create_future()

    def writable(self) -> None:
        """The transport has room again."""
        if self._room is not None:
            self._room.set_result(None)
            self._room = None

    # What the sidecar says.

    def _dispatch(self, event: Event) -> None:
        match event:
            case _wire.AgentEventTask(payload=task):
                self._tasks.start(task)
            case _wire.AgentEventTaskInput(payload=told):
                self._tasks.hear(told)
            case _wire.AgentEventTaskCancel(payload=cancel):
                self._tasks.cancel((cancel.task_id, cancel.attempt), cancel.code)
            case _wire.AgentEventRequestNews(payload=news):
                self._requests.heard(news)
            case _wire.AgentEventResponse(payload=response):
                ended = response.outcome
                self._requests.settle(response.request_id, ended.result, error=outcome_error(ended))
            case _wire.AgentEventAccepted(payload=accepted):
                if self._requests.accepted(accepted.request_id, accepted.task_id):
                    self._protocol.accepted(accepted.request_id)
            case _wire.AgentEventAgents(payload=answer):
                self._requests.settle(answer.request_id, answer.agents)
            case _wire.AgentEventPeerList(payload=listed):
                self._requests.peers_came(listed.peers)
            case _wire.AgentEventWelcome(payload=welcome):
                self._welcomed(welcome)
            case _wire.AgentEventRegistry(payload=state):
                self._registry_connected = state.connected
                self._call(self._agent.registry_handler, state.connected)
            case _wire.AgentEventPeerConnected(payload=peer):
                self._conversation.link(peer.peer_id, True)
                self._call(self._agent.peer_handler, peer.peer_id, True)
            case _wire.AgentEventPeerDisconnected(payload=peer):
                self._conversation.link(peer.peer_id, False)
                self._call(self._agent.peer_handler, peer.peer_id, False)
            case _wire.AgentEventError(payload=problem):
                self._refused(problem)
            case _wire.Malformed(code=code, detail=detail):
                _log.warning("the sidecar sent a line that was skipped: %s: %s", code, detail)
            case _:
                pass

    def _welcomed(self, welcome: _wire.Welcome) -> None:
        self._registry_connected = welcome.registry_connected
        self._peer_id = welcome.peer_id or self._peer_id
        if welcome.version != _wire.PROTOCOL_VERSION:
            _log.warning("the sidecar speaks version %d, this agent %d", welcome.version, _wire.PROTOCOL_VERSION)
        _log.info("agent %s serves %s", self._agent.name, ", ".join(self._agent.skills) or "no skills")
        self.was_welcomed = True
        self.welcome.set()

    def _refused(self, problem: _wire.Problem) -> None:
        error = error_of(problem.code, problem.detail, fault=problem.fault, retry=problem.retry)
        if problem.request_id is not None:
            self._requests.settle(problem.request_id, error=error)
            return
        _log.warning("the sidecar refused: %s", error)
        self._call(self._agent.error_handler, error)

    def _call(self, handler: Callable[..., Any] | None, *arguments: Any) -> None:
        """Calls a hook of the user, which may be async and may fail."""
        if handler is None:
            return
        try:
            result = handler(*arguments)
            if isinstance(result, Awaitable):
                hook = asyncio.ensure_future(result)
                self._hooks.add(hook)
                hook.add_done_callback(self._hook_ended)
        except Exception:
            _log.exception("a hook of agent %s failed", self._agent.name)

    def _hook_ended(self, hook: asyncio.Future[Any]) -> None:
        self._hooks.discard(hook)
        if not hook.cancelled() and hook.exception() is not None:
            _log.error("a hook of agent %s failed", self._agent.name, exc_info=hook.exception())

    # The port of the skills.

    @property
    def peer_id(self) -> str | None:
        """The sidecar's name on the network."""
        return self._peer_id

    @property
    def registry_connected(self) -> bool:
        """Whether the registry is reachable, as told last."""
        return self._registry_connected

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop the session lives on."""
        return self._loop

    async def request(self, work: Work) -> Any:
        """Delegates, and gives the result or (without waiting) the task's id."""
        timeout_ms = work.timeout_ms or _wire.DEFAULT_REQUEST_TIMEOUT_MS
        deadline = self._loop.time() + timeout_ms / 1000
        await self._connected(deadline)
        left_ms = max(1, int((deadline - self._loop.time()) * 1000))
        request = _wire.Request(
            request_id=self._requests.next_id(),
            skill=work.skill,
            to=work.to,
            timeout_ms=left_ms if work.timeout_ms else None,
            wait=work.wait,
            via=work.via,
            parent=work.parent.task_id if work.parent else None,
            traceparent=work.traceparent,
        )
        if work.listener is not None:
            request.stream = work.listener.stream or None
            request.answers = work.listener.answers or None
        self._protocol.request(request, work.payload)
        return await self._requests.answer(request.request_id, left_ms / 1000, wait=work.wait, listener=work.listener)

    async def agents(self, skill: str | None) -> list[_wire.AgentRecord]:
        """The agents of the mesh."""
        await self._connected(self._loop.time() + CONNECT_WAIT_S)
        request_id = self._requests.next_id()
        self._protocol.agents(_wire.AgentsQuery(request_id=request_id, skill=skill))
        agents: list[_wire.AgentRecord] = await self._requests.answer(request_id, 0.0)
        return agents

    async def peers(self) -> list[str]:
        """The peers with an open link."""
        await self._connected(self._loop.time() + CONNECT_WAIT_S)
        self._protocol.list_peers()
        return await self._requests.peer_list()

    @property
    def linked(self) -> Set[str]:
        """The peers with an open link, as told last."""
        return self._conversation.linked

    @property
    def statuses(self) -> Mapping[str, Any]:
        """What agents said of themselves last."""
        return self._conversation.statuses

    async def ask(
        self, peer: str, kind: str, to: str, body: Any, patience_s: float, on_chunk: OnPart | None = None
    ) -> Any:
        """Says something to a linked peer and gives the body of the answer."""
        self._inbox.let_read()
        return await self._conversation.ask(peer, kind, to, body, patience_s, on_chunk)

    def send(self, peer: str, message: msgspec.Raw) -> Awaitable[None]:
        """Sends to a peer."""
        return self._emit(partial(self._protocol.send, peer, message))

    def broadcast(self, message: msgspec.Raw) -> Awaitable[None]:
        """Sends to every linked peer."""
        return self._emit(partial(self._protocol.broadcast, message))

    def connect_peer(self, peer: str) -> Awaitable[None]:
        """Asks for a link."""
        return self._emit(partial(self._protocol.connect_peer, peer))

    async def _connected(self, deadline: float) -> None:
        if self.welcome.is_set():
            return
        left = min(CONNECT_WAIT_S, deadline - self._loop.time())
        try:
            async with asyncio.timeout(left):
                await self.welcome.wait()
        except TimeoutError:
            raise SidecarUnavailable(f"no connection to the sidecar within {left:.1f} s") from None

    def _asked(self) -> None:
        self._inbox.let_read()
        self._output()

    def _give_up(self, request_id: str) -> None:
        self._protocol.cancel(request_id)
        self._output()

    def _tell(self, request_id: str, /, *, answer: _wire.Answer | None = None, taken: int | None = None) -> None:
        self._protocol.tell(_wire.RequestInput(request_id=request_id, answer=answer, taken=taken))
        self._output()

    # Output.

    def _is_writable(self) -> bool:
        return self._room is None

    def _emit(self, command: Callable[[], None]) -> Awaitable[None]:
        if threading.get_ident() != self._thread:
            self._loop.call_soon_threadsafe(self._emit_late, command)
            return _Drained(lambda: None)
        sink = self._sink
        if sink is not None and sink.get_write_buffer_size() > _wire.MAX_QUEUED_BYTES:
            raise Overloaded(f"{_wire.MAX_QUEUED_BYTES} bytes wait already; await what you send")
        command()
        self._output()
        return _Drained(lambda: self._room)

    def _emit_late(self, command: Callable[[], None]) -> None:
        try:
            self._emit(command)
        except SeameshError as error:
            _log.warning("a message was not sent: %s", error)
            self._call(self._agent.error_handler, error)

    def _output(self) -> None:
        """There is something to write: at the end of this turn, or now when it is much."""
        if self._protocol.queued >= COALESCE_BYTES:
            self._flush()
        elif not (self._dispatching or self._flush_due):
            self._flush_due = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_due = False
        if self._sink is not None and self._protocol.queued:
            self._sink.write(self._protocol.take())

    def _hold_reading(self, hold: bool) -> bool:
        """Slows the sidecar down while messages wait for their handler. Not while an answer is awaited: it could be
        the handler that awaits it."""
        if self._sink is None or (hold and (self._requests or self._conversation)):
            return False
        if hold:
            self._sink.pause_reading()
        else:
            self._sink.resume_reading()
        return True

    # The end.

    async def drain(self, grace: float) -> None:
        """Takes no more work, gives what runs ``grace`` seconds to end, and says ``goodbye``, which hands the rest
        back."""
        await self._tasks.drain(grace)
        self._protocol.goodbye()
        self._flush()

    async def close(self) -> None:
        """Ends everything that still runs here."""
        leftovers: list[asyncio.Future[Any]] = [*self._hooks, *self._inbox.close(), *self._tasks.handles]
        leftovers += self._conversation.handles
        for handle in leftovers:
            handle.cancel()
        await asyncio.gather(*leftovers, return_exceptions=True)
        self._tasks.close()
