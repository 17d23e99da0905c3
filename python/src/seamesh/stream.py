"""Taking the parts of delegated work as they come."""

from __future__ import annotations

import asyncio
import binascii
import hashlib
from base64 import b64decode
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from seamesh import _wire
from seamesh._listener import Listener, OnProgress, OnQuestion
from seamesh.errors import Canceled, StreamBroken

_NOTHING = object()


@dataclass(frozen=True)
class Artifact:
    """Bytes that came with a task, whole and checked against their hash.

    Attributes:
        name: its name, unique within the task's attempt.
        media_type: its media type (RFC 6838), such as ``image/png``.
        data: the bytes.
    """

    name: str
    media_type: str
    data: bytes


@dataclass(frozen=True)
class Restarted:
    """The attempt was lost and another one began: what came so far comes again.

    Attributes:
        attempt: the number of the attempt that works now.
    """

    attempt: int


class Stream:
    """Delegated work whose parts are taken as they come: from `Mesh.stream <seamesh.Mesh.stream>`.

        async with ctx.stream("write", topic="bees") as stream:
            async for part in stream:
                match part:
                    case Artifact(name=name, data=data): ...
                    case Restarted(): ...
                    case text: ...
            words = await stream.result()

    The work begins with the ``async with`` block, and leaving that before the end gives the work up. Iterating yields
    each chunk's value just as the skill sent it (any JSON), an `Artifact` once it is whole, and `Restarted` when the
    work began anew after parts of it were read. It ends with the work: quietly when that completed, else with its
    error.

    A reader that does not read slows the skill down: it gets at most 32 chunks ahead (``STREAM_WINDOW``).
    """

    def __init__(
        self,
        ask: Callable[[Listener], Coroutine[Any, Any, Any]],
        on_question: OnQuestion | None,
        on_progress: OnProgress | None,
    ) -> None:
        self._ask = ask
        self._listener = Listener(on_question, on_progress, self._chunk_came)
        self._work: asyncio.Task[Any] | None = None
        self._moved = asyncio.Event()
        # What came and was not read: at most a window.
        self._came: deque[_wire.Chunk] = deque()
        self._attempt = 0
        self._next = 0
        self._is_skipping = False
        # What was read of this attempt.
        self._read = 0
        self._told = 0
        self._is_whole = False
        self._is_cut = False
        self._partial: _Partial | None = None
        # Since the reader was last told of a restart.
        self._has_given = False
        self._is_restarted = False

    async def __aenter__(self) -> Stream:
        if self._work is not None:
            raise RuntimeError("a stream is entered once")
        self._work = asyncio.create_task(self._ask(self._listener))
        self._work.add_done_callback(lambda _: self._moved.set())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        work = self._entered()
        work.cancel()
        # Its error belongs to whoever asked for the result, or for the parts; here it is over anyway.
        await asyncio.gather(work, return_exceptions=True)

    def __aiter__(self) -> Stream:
        return self

    async def __anext__(self) -> Any:
        """The next part.

        Raises:
            StreamBroken: parts are missing although the work completed, or an artifact is not what it should be. The
                result may still be had.
            SeameshError: the work did not complete, as `result` tells it.
        """
        work = self._entered()
        while True:
            if self._is_restarted:
                self._is_restarted = self._has_given = False
                return Restarted(self._attempt)
            while self._came:
                part = self._take(self._came.popleft())
                if part is not _NOTHING:
                    self._has_given = True
                    return part
            if work.done():
                _ended(work)
                self._check_end()
                raise StopAsyncIteration
            self._moved.clear()
            await self._moved.wait()

    async def result(self) -> Any:
        """Waits for the result. Parts that were not read by then are dropped.

        Raises:
            SeameshError: as `Mesh.delegate <seamesh.Mesh.delegate>`.
        """
        work = self._entered()
        self._is_skipping = True
        while self._came:
            self._count(self._came.popleft())
        await asyncio.wait([work])
        return _ended(work)

    def _entered(self) -> asyncio.Task[Any]:
        if self._work is None:
            raise RuntimeError("a stream begins with `async with`")
        return self._work

    def _chunk_came(self, attempt: int, chunk: _wire.Chunk) -> None:
        if attempt > self._attempt:
            self._restart(attempt)
        if attempt < self._attempt or chunk.index < self._next:
            return  # said again, or by an attempt that is lost
        self._next = chunk.index + 1
        if self._is_skipping:
            self._count(chunk)
        else:
            self._came.append(chunk)
            self._moved.set()

    def _restart(self, attempt: int) -> None:
        self._is_restarted |= self._has_given
        self._came.clear()
        self._attempt = attempt
        self._next = self._read = self._told = 0
        self._is_whole = self._is_cut = False
        self._partial = None
        self._moved.set()

    def _count(self, chunk: _wire.Chunk) -> None:
        self._is_cut |= chunk.index > self._read
        self._is_whole |= chunk.last
        self._read = chunk.index + 1
        if self._read - self._told >= _wire.STREAM_GRANT:
            self._told = self._read
            self._listener.taken(self._read)

    def _take(self, chunk: _wire.Chunk) -> Any:
        """The part that a chunk completes, or `_NOTHING`."""
        self._count(chunk)
        if chunk.last:
            return _NOTHING
        if chunk.artifact is None:
            return chunk.data
        begun, self._partial = self._partial, None
        if begun is None or chunk.artifact.offset == 0:
            begun = _Partial(chunk.artifact)
        begun.add(chunk.artifact, chunk.data)
        if not begun.is_whole:
            self._partial = begun
            return _NOTHING
        return begun.artifact()

    def _check_end(self) -> None:
        # A handler that knows of no streams sends nothing at all, and that is no cut.
        is_broken = self._is_cut or (self._read > 0 and not self._is_whole)
        self._is_cut, self._is_whole = False, True  # told once
        if is_broken and not self._is_skipping:
            raise StreamBroken("the work completed, and parts of its stream are missing")


def _ended(work: asyncio.Task[Any]) -> Any:
    if work.cancelled():
        raise Canceled("the stream was left before its end")
    return work.result()


class _Partial:
    """An artifact on its way."""

    def __init__(self, first: _wire.ArtifactPart) -> None:
        self._first = first
        self._data = bytearray()
        self._hash = hashlib.sha256()

    @property
    def is_whole(self) -> bool:
        return len(self._data) == self._first.size

    def add(self, part: _wire.ArtifactPart, data: Any) -> None:
        first = self._first
        try:
            more = b64decode(data, validate=True)
        except (TypeError, ValueError, binascii.Error) as error:
            raise StreamBroken(f"artifact {part.name!r}: a part of it is no base64") from error
        fits = (part.name, part.size, part.offset) == (first.name, first.size, len(self._data))
        if not fits or part.size > _wire.MAX_ARTIFACT_BYTES or part.offset + len(more) > part.size:
            raise StreamBroken(f"artifact {part.name!r}: its parts do not fit")
        self._data += more
        self._hash.update(more)

    def artifact(self) -> Artifact:
        first = self._first
        if self._hash.hexdigest() != first.sha256:
            raise StreamBroken(f"artifact {first.name!r}: its hash is another")
        return Artifact(first.name, first.media_type, bytes(self._data))
