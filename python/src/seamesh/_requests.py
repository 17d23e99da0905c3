"""What an agent asked its sidecar and has no answer to yet."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Protocol

from seamesh import _wire
from seamesh._listener import Listener
from seamesh.errors import SeameshError, Timeout

ANSWER_GRACE_S = 5.0
"""Seconds past a request's deadline that the sidecar, which keeps it, has to say so."""


class Tell(Protocol):
    """Tells the handler of a request something."""

    def __call__(self, request_id: str, /, *, answer: _wire.Answer | None = None, taken: int | None = None) -> None: ...


class Requests:
    """The open requests, by id; and those for ``peer_list``, which has no id and is answered in order.

    Args:
        give_up: tells the sidecar that a request is given up.
        tell: tells the handler of a request something.
        asked: something was asked just now, and must be written and its answer read.
    """

    def __init__(self, give_up: Callable[[str], None], tell: Tell, asked: Callable[[], None]) -> None:
        self._give_up = give_up
        self._tell = tell
        self._asked = asked
        self._open: dict[str, asyncio.Future[Any]] = {}
        self._listeners: dict[str, Listener] = {}
        self._unwaited: set[str] = set()
        self._count = 0
        self._lists: deque[asyncio.Future[list[str]]] = deque()

    def __bool__(self) -> bool:
        """Whether anybody waits."""
        return bool(self._open or self._lists)

    def next_id(self) -> str:
        """A name that no request of this process had before."""
        self._count += 1
        return f"r{self._count}"

    async def answer(
        self, request_id: str, patience_s: float, *, wait: bool = True, listener: Listener | None = None
    ) -> Any:
        """The answer to a request that was said just now; without ``wait``, that it was accepted. What is told before
        goes to the ``listener``, whose error ends the request too.

        Raises:
            Timeout: none came within ``patience_s`` and the grace.
            SeameshError: the answer is an error.
        """
        done = asyncio.get_running_loop().create_future()
        self._open[request_id] = done
        if not wait:
            self._unwaited.add(request_id)
        if listener is not None:
            self._listeners[request_id] = listener
            listener.opened(partial(self._tell, request_id), partial(_end, done, None))
        self._asked()
        try:
            return await _patiently(done, patience_s)
        finally:
            if listener is not None:
                del self._listeners[request_id]
                listener.close()
            # Nothing is left to give up once the last word came; after a cancellation or a timeout there is.
            if self._open.pop(request_id, None) is not None:
                self._unwaited.discard(request_id)
                self._give_up(request_id)

    async def peer_list(self) -> list[str]:
        """The answer to a ``list_peers`` that was said just now."""
        done: asyncio.Future[list[str]] = asyncio.get_running_loop().create_future()
        self._lists.append(done)
        self._asked()
        # Shielded: it keeps its place, because the answers come in order.
        peers: list[str] = await _patiently(asyncio.shield(done), 0.0)
        return peers

    def accepted(self, request_id: str, task_id: str) -> bool:
        """A request was accepted; whether that was its last word."""
        if request_id not in self._unwaited:
            return False
        self.settle(request_id, task_id)
        return True

    def heard(self, news: _wire.RequestNews) -> None:
        """The handler of a request told something before its end."""
        listener = self._listeners.get(news.request_id)
        if listener is not None:
            listener.hear(news)

    def settle(self, request_id: str, value: Any = None, *, error: SeameshError | None = None) -> None:
        """A request ended. One that nobody waits for any more is nothing."""
        self._unwaited.discard(request_id)
        done = self._open.pop(request_id, None)
        if done is not None:
            _end(done, value, error)

    def peers_came(self, peers: list[str]) -> None:
        """A ``peer_list`` came."""
        if self._lists:
            _end(self._lists.popleft(), peers, None)

    def lost(self, request_ids: Iterable[str], error: SeameshError) -> None:
        """Nobody will answer these, nor any ``list_peers``."""
        for request_id in request_ids:
            self.settle(request_id, error=error)
        while self._lists:
            _end(self._lists.popleft(), None, error)


async def _patiently(done: asyncio.Future[Any], patience_s: float) -> Any:
    try:
        async with asyncio.timeout(patience_s + ANSWER_GRACE_S):
            return await done
    except TimeoutError:
        raise Timeout("the sidecar did not answer in time") from None


def _end(future: asyncio.Future[Any], value: Any, error: Exception | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(value)
    else:
        future.set_exception(error)
