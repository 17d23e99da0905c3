"""Hands messages to the agent's handler, in order and one at a time, without a task for each."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from seamesh import _seams
from seamesh.mesh import Mesh
from seamesh.message import Message

_log = logging.getLogger("seamesh")

HOLD_AT = 1_024
"""Messages that wait for an async handler before the sidecar is slowed down."""

DROP_AT = 65_536
"""Messages that wait at most. They get this many only when the handler itself awaits an answer, so that reading cannot
stop; later ones are dropped, and the log says so."""


class MessageHandler:
    """A user's message handler: how to call it, known once."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.is_async = inspect.iscoroutinefunction(inspect.unwrap(function))
        parameters = inspect.signature(function).parameters
        if not 1 <= len(parameters) <= 2:
            raise TypeError("a message handler takes the message, and the mesh when it wants to answer")
        self.takes_mesh = len(parameters) == 2

    def call(self, message: Message, mesh: Mesh) -> Any:
        """Calls it; gives its coroutine when it is async."""
        return self.function(message, mesh) if self.takes_mesh else self.function(message)


class Inbox:
    """The messages that wait for the handler."""

    def __init__(self, handler: MessageHandler | None, mesh: Mesh, hold: Callable[[bool], bool]) -> None:
        self._handler = handler
        self._mesh = mesh
        self._hold = hold
        self._held = False
        self._dropped = 0
        self._waiting: deque[Message] = deque()
        self._pump: asyncio.Task[None] | None = None

    def put(self, from_peer: str, raw: msgspec.Raw) -> None:
        """A message came. A handler that is not async is called right here."""
        for _ in range(_seams.heard("link", _seams.kind_of(raw), "*") if _seams.is_on else 1):
            self._put(from_peer, raw)

    def _put(self, from_peer: str, raw: msgspec.Raw) -> None:
        handler = self._handler
        if handler is None:
            _log.debug("a message of %s was not read: there is no message handler", from_peer)
            return
        try:
            message = Message(from_peer, raw)
        except (ValueError, RecursionError) as error:
            _log.warning("peer %s sent what is no message, it was skipped: %s", from_peer, error)
            return
        if not handler.is_async:
            try:
                handler.call(message, self._mesh)
            except Exception:
                _log.exception("the message handler failed")
            return
        if len(self._waiting) >= DROP_AT:
            self._dropped += 1
            return
        self._waiting.append(message)
        if len(self._waiting) >= HOLD_AT and not self._held:
            self._held = self._hold(True)
        if self._pump is None:
            self._pump = asyncio.get_running_loop().create_task(self._run(handler))

    async def _run(self, handler: MessageHandler) -> None:
        while self._waiting:
            message = self._waiting.popleft()
            try:
                await handler.call(message, self._mesh)
            except Exception:
                _log.exception("the message handler failed")
            if len(self._waiting) < HOLD_AT // 2:
                self.let_read()
                self._tell_dropped()
        self._pump = None

    def let_read(self) -> None:
        """Somebody awaits an answer: reading must go on."""
        if self._held:
            self._held = False
            self._hold(False)

    def _tell_dropped(self) -> None:
        if self._dropped:
            _log.warning("%d messages were dropped: their handler was too slow", self._dropped)
            self._dropped = 0

    def close(self) -> list[asyncio.Task[None]]:
        """Forgets what waits; gives what still runs."""
        self._waiting.clear()
        return [] if self._pump is None else [self._pump]
