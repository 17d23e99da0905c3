"""What agents say to each other over links beside work: prompts, questions for skills, pings and how they are."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from seamesh import _wire
from seamesh.errors import LinkError, Overloaded, SeameshError, Timeout, error_of
from seamesh.mesh import PROMPT
from seamesh.message import Message, encode_message
from seamesh.prompts import PromptContext, PromptVoice, answer_of, task_of
from seamesh.runner import run_skill

if TYPE_CHECKING:
    from seamesh.agent import Agent
    from seamesh.mesh import Port

_log = logging.getLogger("seamesh")

_ANSWERS = frozenset(("agent_response", "agent_stream_chunk", "skill_response", "pong"))

MAX_ASKED = 1_024
"""Answers waited for at once."""

MAX_STATUSES = 4_096
"""Agents whose last status is kept; the one that was heard of first makes room."""


class _Asked:
    """An answer that is waited for."""

    def __init__(self, peer: str, on_chunk: Callable[[Any], None] | None) -> None:
        self.peer = peer
        self.on_chunk = on_chunk
        self.done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()


class Conversation:
    """Acts on what others say to the agent, and finds the answers to what it said.

    Args:
        agent: who is spoken to.
        port: the way to others.
        threads: where handlers that are not async run.
    """

    def __init__(self, agent: Agent, port: Port, threads: Executor) -> None:
        self._agent = agent
        self._port = port
        self._threads = threads
        self._name = secrets.token_hex(6)
        self._count = 0
        self._asked: dict[str, _Asked] = {}
        self._prompts: set[asyncio.Task[None]] = set()
        self.linked: set[str] = set()
        self.statuses: dict[str, Any] = {}

    def __bool__(self) -> bool:
        """Whether an answer is waited for."""
        return bool(self._asked)

    # What others say.

    def hears(self, message: Message) -> bool:
        """Acts on a message. ``False``: it is for the agent's handler of messages."""
        kind = message.kind
        if kind in _ANSWERS:
            return self._answered(message)
        if kind == "skill_query":
            skills = [skill.info for skill in self._agent.skills.values()]
            self._reply(message, "skill_response", {"agent_id": self._agent.name, "skills": skills})
            return True
        if kind == PROMPT and self._agent.prompt is not None:
            self._prompted(message)
            return True
        if kind == "agent_status" and message.source_agent:
            self._keep_status(message)
        return False

    def _answered(self, message: Message) -> bool:
        asked = self._asked.get(message.request_id)
        # The name of a request is known to the two ends of its link; an answer from elsewhere is none.
        if asked is None or asked.peer != message.from_peer:
            return False
        body = message.payload
        if message.kind == "agent_stream_chunk":
            if asked.on_chunk is not None:
                try:
                    asked.on_chunk(body.get("chunk") if isinstance(body, dict) else body)
                except Exception as error:
                    _fail(asked, error)
        elif isinstance(body, dict) and body.get("error"):
            code = body.get("code")
            known = code if isinstance(code, str) and code in _wire.CODES else "skill_failed"
            _fail(asked, error_of(known, str(body["error"])))
        elif not asked.done.done():
            asked.done.set_result(body)
        return True

    def _prompted(self, message: Message) -> None:
        if len(self._prompts) >= (self._agent.max_concurrent or _wire.DEFAULT_MAX_CONCURRENT):
            text = f"agent {self._agent.name} reads {len(self._prompts)} prompts already"
            self._reply(message, "agent_response", {"message": None, "error": text, "code": "overloaded"})
            return
        reading = asyncio.get_running_loop().create_task(self._read(message))
        self._prompts.add(reading)
        reading.add_done_callback(self._prompts.discard)

    async def _read(self, message: Message) -> None:
        task = task_of(message)
        context = PromptContext(self._port, self._agent.name, task, PromptVoice(partial(self._say, message)))
        outcome = await run_skill(self._agent.skills, task, context, self._threads)
        self._reply(message, "agent_response", answer_of(outcome))

    def _reply(self, message: Message, kind: str, body: Any) -> None:
        """Answers a message, if its sender waits for that."""
        if not message.request_id:
            return
        try:
            self._send(message, kind, body)
        except SeameshError as error:
            _log.warning("peer %s gets no %s: %s", message.from_peer, kind, error)

    async def _say(self, message: Message, kind: str, body: Any) -> None:
        await self._send(message, kind, body)

    def _send(self, message: Message, kind: str, body: Any) -> Any:
        answer = _envelope(kind, message.request_id, self._agent.name, message.source_agent, body)
        return self._port.send(message.from_peer, answer)

    def _keep_status(self, message: Message) -> None:
        self.statuses.pop(message.source_agent, None)
        if len(self.statuses) >= MAX_STATUSES:
            del self.statuses[next(iter(self.statuses))]
        self.statuses[message.source_agent] = message.payload

    # What the agent says.

    async def ask(
        self,
        peer: str,
        kind: str,
        to: str,
        body: Any,
        patience_s: float,
        on_chunk: Callable[[Any], None] | None = None,
    ) -> Any:
        """Says something to a linked peer and gives the body of the answer.

        Raises:
            LinkError: there is no link, or it went down before the answer came: it may have been read.
            Overloaded: too many answers are waited for.
            Timeout: none came in time.
            SeameshError: the answer is an error.
        """
        if peer not in self.linked:
            raise LinkError(f"there is no link to {peer}")
        if len(self._asked) >= MAX_ASKED:
            raise Overloaded(f"{MAX_ASKED} answers are waited for already")
        self._count += 1
        request_id = f"{self._name}-{self._count}"
        asked = self._asked[request_id] = _Asked(peer, on_chunk)
        try:
            self._port.send(peer, _envelope(kind, request_id, self._agent.name, to, body))
            async with asyncio.timeout(patience_s):
                return await asked.done
        except TimeoutError:
            raise Timeout(f"{peer} did not answer {kind} within {patience_s:.1f} s") from None
        finally:
            del self._asked[request_id]

    # Links and the end.

    def link(self, peer: str, is_up: bool) -> None:
        """A link opened or went down."""
        if is_up:
            self.linked.add(peer)
            return
        self.linked.discard(peer)
        for asked in self._asked.values():
            if asked.peer == peer:
                _fail(asked, LinkError(f"the link to {peer} went down before the answer; it may have been read"))

    def unlinked(self) -> None:
        """The sidecar is gone, and with it every link."""
        for peer in list(self.linked):
            self.link(peer, False)

    @property
    def handles(self) -> list[asyncio.Task[None]]:
        """The prompts that are read now."""
        return list(self._prompts)


def _fail(asked: _Asked, error: Exception) -> None:
    if not asked.done.done():
        asked.done.set_exception(error)


def _envelope(kind: str, request_id: str, source: str, target: str, body: Any) -> msgspec.Raw:
    message = {"type": kind, "request_id": request_id, "source_agent": source, "target_agent": target, "payload": body}
    return encode_message(message, source, broadcast=False)
