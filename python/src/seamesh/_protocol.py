"""The agent's end of the IPC socket, without IO, clock or asyncio.

Bytes go in with `AgentProtocol.receive`, events come out; commands append to the output, which `AgentProtocol.take`
hands over. One object outlives many connections: what must survive a sidecar's restart (work that is running, what it
told that was not taken, answers that were not delivered) is here.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple, TypeAlias

import msgspec

from seamesh import _seams, _wire
from seamesh._lines import LineSplitter, Oversized
from seamesh._talk import Key, Speech
from seamesh.errors import Overloaded, SidecarUnavailable, TooLarge

ANSWERS_KEPT = 256
"""Answers remembered, so that a task handed over again after a reconnect is answered and not run again."""

ANSWERS_KEPT_BYTES = 4 * 1024 * 1024
"""Bytes of answers remembered: four of the largest."""


Event: TypeAlias = _wire.AgentEvent | _wire.Malformed

_encoder = msgspec.json.Encoder()


class _Farewell(NamedTuple):
    """The end of an attempt, until it has left: what was not taken of its stream, and then its answer."""

    run: _wire.RunRef
    lines: list[bytes]


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
        self._running: dict[Key, _wire.RunRef] = {}
        self._speeches: dict[Key, Speech] = {}
        # Answers go from `_unwritten` (in the output) to the socket, or to `_undelivered` when the connection is lost.
        self._unwritten: dict[Key, _Farewell] = {}
        self._undelivered: dict[Key, _Farewell] = {}
        self._answers: OrderedDict[Key, bytes] = OrderedDict()
        self._answers_bytes = 0

    # The connection.

    def connected(self) -> None:
        """A connection is open: says ``hello``."""
        self._lines = LineSplitter(self._max_line)
        self._out.clear()
        unfinished = {**self._running, **{key: farewell.run for key, farewell in self._undelivered.items()}}
        running = [unfinished[key] for key in sorted(unfinished)]
        hello = _wire.Hello(version=_wire.PROTOCOL_VERSION, agent=self.profile, running=running or None)
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
            times = _seams.heard("ipc", _seams.kind_of(line), "sidecar") if _seams.is_on else 1
            if times != 1:
                events += self._again(line, times)
                continue
            event = _wire.parse_event(line)
            if type(event) is _wire.AgentEventMessage or self._admit(event):
                events.append(event)
        return events

    def _again(self, line: bytes, times: int) -> list[Event]:
        events = (_wire.parse_event(line) for _ in range(times))
        return [event for event in events if type(event) is _wire.AgentEventMessage or self._admit(event)]

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
            case _wire.AgentEventRequestNews(payload=news):
                return news.request_id in self._open
            case _wire.AgentEventWelcome(payload=welcome):
                self._welcome(welcome)
            case _:
                pass
        return True

    def _welcome(self, welcome: _wire.Welcome) -> None:
        is_new = self.welcomed is None
        self.welcomed = welcome
        self._peer_max_line = min(self._max_line, welcome.max_line_bytes)
        if not is_new:
            return
        for speech in self._speeches.values():
            self._out += b"".join(speech.untaken())
        for farewell in self._undelivered.values():
            self._out += b"".join(farewell.lines)
        # Until they have left, another lost connection may take them along.
        self._unwritten.update(self._undelivered)
        self._undelivered.clear()

    def _admit_task(self, task: _wire.TaskEvent) -> bool:
        key = (task.task_id, task.attempt)
        known = self._running.get(key)
        if known is not None:
            # The same work another way: directly first, now under a lease.
            if task.lease is not None:
                known.lease = task.lease
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
        self._running[key] = _wire.RunRef(
            task_id=task.task_id,
            attempt=task.attempt,
            lease=task.lease,
            timeout_ms=task.timeout_ms,
            parent_id=task.parent_id,
            root_id=task.root_id,
            depth=task.depth,
            chain=task.chain,
            traceparent=task.traceparent,
        )
        self._speeches[key] = Speech(key, is_streamed=bool(task.stream))
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

    def tell(self, told: _wire.RequestInput) -> None:
        """Tells the handler of an open request something."""
        if self.welcomed is not None and told.request_id in self._open:
            self._append(_wire.AgentCommandRequestInput(told))

    def speech(self, key: Key) -> Speech:
        """The books of what a running task has said."""
        return self._speeches[key]

    def say(self, line: bytes) -> None:
        """Says a line of a `Speech` now, if there is a connection. What matters is said again with the next."""
        if self.welcomed is not None and (not _seams.is_on or _said(line)):
            self._out += line

    def respond(self, key: Key, outcome: _wire.Outcome) -> None:
        """Tells how a task ended, after the end of its stream: now, or as soon as there is a connection again."""
        line = self._encode(_respond(key, outcome))
        run = self._running.pop(key, None)
        speech = self._speeches.pop(key, None)
        if run is None or speech is None:
            self._remember(key, line)
            return self.say(line)  # what was never handed over needs no repeat
        if speech.is_streamed:
            self.say(speech.end())
        self.say(line)
        # A question has no use any more; what the asker may not have heard of the stream has.
        lines = [*speech.untaken_chunks(), line]
        (self._undelivered if self.welcomed is None else self._unwritten)[key] = _Farewell(run, lines)
        # A sidecar that forgot the work takes its stream from the first chunk on, or not at all.
        self._remember(key, line if speech.was_taken else b"".join(lines))
        return None

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
        if _seams.is_on and not _said(_encoder.encode(frame)):
            return
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


def _said(line: bytes) -> bool:
    """Whether a command, and the message for another agent in it, is to be said: always, but for a planted fault."""
    command = msgspec.json.decode(line)
    if not _seams.said("ipc", command["type"], "sidecar"):
        return False
    if command["type"] not in ("send", "broadcast"):
        return True
    message = command["payload"]["message"]
    return not isinstance(message, dict) or _seams.said("link", str(message.get("type")), "*")
