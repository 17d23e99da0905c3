"""The agent's end of the IPC socket, without IO, clock or asyncio.

Bytes go in with `AgentProtocol.receive`, events come out; commands append to the output, which `AgentProtocol.take`
hands over. One object outlives many connections: what must survive a sidecar's restart (work that is running, answers
that were not delivered) is here.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TypeAlias

import msgspec

from seamesh import _wire
from seamesh._lines import LineSplitter, Oversized
from seamesh.errors import Overloaded, SidecarUnavailable, TooLarge

Key: TypeAlias = tuple[str, int]
"""A task's id and its attempt's number."""

ANSWERS_KEPT = 256
"""Answers remembered, so that a task handed over again after a reconnect is answered and not run again."""

ANSWERS_KEPT_BYTES = 4 * 1024 * 1024
"""Bytes of answers remembered: four of the largest."""


Event: TypeAlias = _wire.AgentEvent | _wire.Malformed

_encoder = msgspec.json.Encoder()


class AgentProtocol:
    """One agent's conversation with its sidecar, over any number of connections."""

    def __init__(self, profile: _wire.AgentProfile, *, max_line: int = _wire.MAX_LINE_BYTES) -> None:
        self.profile = profile
        self.welcomed: _wire.Welcome | None = None
        self._max_line = max_line
        self._peer_max_line = max_line
        self._lines = LineSplitter(max_line)
        self._out = bytearray()
        self._open: set[str] = set()
        self._running: set[Key] = set()
        # Answers go from `_unwritten` (in the output) to the socket, or to `_undelivered` when the connection is lost.
        self._unwritten: dict[Key, bytes] = {}
        self._undelivered: dict[Key, bytes] = {}
        self._answers: OrderedDict[Key, bytes] = OrderedDict()
        self._answers_bytes = 0

    # The connection.

    def connected(self) -> None:
        """A connection is open: says ``hello``."""
        self._lines = LineSplitter(self._max_line)
        self._out.clear()
        running = [_wire.RunRef(task_id=task_id, attempt=attempt) for task_id, attempt in self._unfinished()]
        hello = _wire.Hello(version=_wire.PROTOCOL_VERSION, agent=self.profile, running=running)
        self._append(_wire.AgentCommandHello(hello))

    def disconnected(self) -> list[str]:
        """The connection is gone: the requests that nobody will answer any more."""
        self.welcomed = None
        self._undelivered.update(self._unwritten)
        self._unwritten.clear()
        self._out.clear()
        lost = sorted(self._open)
        self._open.clear()
        return lost

    def receive(self, data: bytes) -> list[Event]:
        """The events that ``data`` completes, in order."""
        events: list[Event] = []
        for line in self._lines.feed(data):
            if isinstance(line, Oversized):
                events.append(_wire.Malformed("too_large", f"a line of more than {self._max_line} bytes"))
                continue
            event = _wire.parse_event(line)
            if type(event) is _wire.AgentEventMessage or self._admit(event):
                events.append(event)
        return events

    def take(self) -> bytes:
        """The bytes to write, once."""
        out = bytes(self._out)
        self._out.clear()
        self._unwritten.clear()
        return out

    @property
    def queued(self) -> int:
        """Bytes that wait for `take`."""
        return len(self._out)

    def _unfinished(self) -> list[Key]:
        return sorted(self._running | self._undelivered.keys())

    # What an event changes.

    def _admit(self, event: Event) -> bool:
        """Keeps the books; whether anybody else has to know of the event."""
        match event:
            case _wire.AgentEventTask(payload=task):
                return self._admit_task(task)
            case _wire.AgentEventResponse(payload=response):
                return self._close(response.request_id)
            case _wire.AgentEventAgents(payload=answer):
                return self._close(answer.request_id)
            case _wire.AgentEventError(payload=problem):
                if problem.request_id is not None:
                    self._open.discard(problem.request_id)
            case _wire.AgentEventWelcome(payload=welcome):
                self.welcomed = welcome
                self._peer_max_line = min(self._max_line, welcome.max_line_bytes)
                for line in self._undelivered.values():
                    self._out += line
                self._undelivered.clear()
            case _:
                pass
        return True

    def _admit_task(self, task: _wire.TaskEvent) -> bool:
        key = (task.task_id, task.attempt)
        if key in self._running:
            return False
        answer = self._answers.get(key)
        if answer is not None:
            self._out += answer
            return False
        limit = self.profile.max_concurrent or _wire.DEFAULT_MAX_CONCURRENT
        if len(self._running) >= limit:
            error = _wire.TaskError(code="overloaded", message=f"the agent holds {limit} tasks already")
            self._append(_respond(key, _wire.Outcome(state="failed", error=error)))
            return False
        self._running.add(key)
        return True

    def _close(self, request_id: str) -> bool:
        if request_id not in self._open:
            return False
        self._open.discard(request_id)
        return True

    # Commands.

    def send(self, peer: str, message: msgspec.Raw) -> None:
        """Sends a message to a peer."""
        self._command(_wire.AgentCommandSend(_wire.Send(target_peer=peer, message=message)))

    def broadcast(self, message: msgspec.Raw) -> None:
        """Sends a message to every linked peer."""
        self._command(_wire.AgentCommandBroadcast(_wire.Broadcast(message=message)))

    def connect_peer(self, peer: str) -> None:
        """Asks for a link to a peer."""
        self._command(_wire.AgentCommandConnect(_wire.Connect(target_peer_id=peer)))

    def list_peers(self) -> None:
        """Asks for ``peer_list``."""
        self._command(_wire.AgentCommandListPeers())

    def request(self, request: _wire.Request, payload: bytes) -> None:
        """Delegates work, with a payload that is JSON already.

        Raises:
            Overloaded: too many requests are open.
            SidecarUnavailable: there is no connection.
        """
        request.payload = msgspec.Raw(payload)
        self._ask(request.request_id, _wire.AgentCommandRequest(request))

    def accepted(self, request_id: str) -> None:
        """The request needs no ``response``: ``accepted`` was its last word."""
        self._open.discard(request_id)

    def cancel(self, request_id: str) -> None:
        """Gives up a request. A request that has ended stays as it is."""
        if self._close(request_id):
            self._append(_wire.AgentCommandCancel(_wire.Cancel(request_id=request_id)))

    def agents(self, query: _wire.AgentsQuery) -> None:
        """Asks for the agents of the mesh."""
        self._ask(query.request_id, _wire.AgentCommandAgents(query))

    def respond(self, key: Key, outcome: _wire.Outcome) -> None:
        """Tells how a task ended: now, or as soon as there is a connection again."""
        line = self._encode(_respond(key, outcome))
        self._running.discard(key)
        self._remember(key, line)
        if self.welcomed is None:
            self._undelivered[key] = line
        else:
            self._unwritten[key] = line
            self._out += line

    def goodbye(self) -> None:
        """Goes away for good: the sidecar hands unfinished work back."""
        if self.welcomed is not None:
            self._append(_wire.AgentCommandGoodbye())

    @property
    def running(self) -> int:
        """Tasks that were handed to the agent and have no answer yet."""
        return len(self._running)

    def _ask(self, request_id: str, frame: _wire.AgentCommand) -> None:
        if len(self._open) >= _wire.MAX_OPEN_REQUESTS:
            raise Overloaded(f"{_wire.MAX_OPEN_REQUESTS} requests are open already")
        self._command(frame)
        self._open.add(request_id)

    def _command(self, frame: _wire.AgentCommand) -> None:
        if self.welcomed is None:
            raise SidecarUnavailable("there is no connection to the sidecar now")
        start = len(self._out)
        self._append(frame)
        size = len(self._out) - start
        if size > self._peer_max_line:
            del self._out[start:]
            raise TooLarge(f"a line of {size} bytes; at most {self._peer_max_line} are allowed")

    def _append(self, frame: _wire.AgentCommand) -> None:
        _encoder.encode_into(frame, self._out, -1)
        self._out += b"\n"

    def _encode(self, frame: _wire.AgentCommand) -> bytes:
        return _encoder.encode(frame) + b"\n"

    def _remember(self, key: Key, line: bytes) -> None:
        self._answers_bytes += len(line) - len(self._answers.pop(key, b""))
        self._answers[key] = line
        while len(self._answers) > ANSWERS_KEPT or self._answers_bytes > ANSWERS_KEPT_BYTES:
            _, dropped = self._answers.popitem(last=False)
            self._answers_bytes -= len(dropped)


def _respond(key: Key, outcome: _wire.Outcome) -> _wire.AgentCommandRespond:
    return _wire.AgentCommandRespond(_wire.Respond(task_id=key[0], attempt=key[1], outcome=outcome))
