"""The voice of one running skill: what it says to its asker before its result, and what it hears."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from base64 import b64encode
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from seamesh import _wire
from seamesh._talk import Speech
from seamesh.errors import Canceled

_HASHED_AT_ONCE = 1024 * 1024
"""Bytes that are hashed on the event loop; more goes to a thread."""


class Voice(Protocol):
    """What a running skill can say."""

    def progress(self, progress: _wire.Progress) -> None: ...

    async def chunk(self, data: msgspec.Raw) -> None: ...

    async def artifact(self, name: str, media_type: str, data: bytes) -> None: ...

    async def ask(self, prompt: str, schema: Any) -> Any: ...


class Speaker:
    """Says what a skill says, in order, as far as the asker takes it.

    Args:
        speech: the books of what was said.
        say: hands a line to the sidecar, if there is one now.
        is_writable: whether the sidecar reads what is said.
    """

    def __init__(self, speech: Speech, say: Callable[[bytes], None], is_writable: Callable[[], bool]) -> None:
        self._speech = speech
        self._say = say
        self._is_writable = is_writable
        self._loop = asyncio.get_running_loop()
        self._is_over = False
        self._moved = asyncio.Event()
        # One chunk, or the parts of one artifact, at a time; and one question.
        self._chunking = asyncio.Lock()
        self._asking = asyncio.Lock()
        self._answer: tuple[int, asyncio.Future[Any]] | None = None
        self._progress: _wire.Progress | None = None
        self._progress_due = False

    # What the skill says.

    def progress(self, progress: _wire.Progress) -> None:
        """Tells how far it is, from any thread. Of many in one turn of the loop the newest is told."""
        self._progress = progress
        if not self._progress_due:
            self._progress_due = True
            with contextlib.suppress(RuntimeError):  # the agent has stopped, and this thread runs on
                self._loop.call_soon_threadsafe(self._tell_progress)

    def _tell_progress(self) -> None:
        self._progress_due = False
        progress, self._progress = self._progress, None
        # A sidecar that does not read gets the next one.
        if progress is not None and not self._is_over and self._is_writable():
            self._say(self._speech.progress(progress))

    async def chunk(self, data: Any) -> None:
        """Sends a chunk, once the window has room for it."""
        async with self._chunking:
            await self._send(data, None)

    async def artifact(self, name: str, media_type: str, data: bytes) -> None:
        """Sends bytes in parts, with nothing between them."""
        async with self._chunking:
            sha256 = await _sha256(data)
            for offset in range(0, len(data) or 1, _wire.ARTIFACT_PART_BYTES):
                part = _wire.ArtifactPart(
                    name=name, media_type=media_type, size=len(data), sha256=sha256, offset=offset
                )
                text = b64encode(data[offset : offset + _wire.ARTIFACT_PART_BYTES]).decode("ascii")
                await self._send(text, part)

    async def _send(self, data: Any, artifact: _wire.ArtifactPart | None) -> None:
        while not (self._is_over or self._speech.has_room):
            self._moved.clear()
            await self._moved.wait()
        self._check()
        self._tell_progress()
        self._say(self._speech.chunk(data, artifact))

    async def ask(self, prompt: str, schema: Any) -> Any:
        """Asks, and gives the answer."""
        async with self._asking:
            self._check()
            self._tell_progress()
            number, line = self._speech.ask(prompt, schema)
            answer: asyncio.Future[Any] = self._loop.create_future()
            self._answer = (number, answer)
            try:
                self._say(line)
                return await answer
            finally:
                self._answer = None
                self._speech.withdraw(number)

    def _check(self) -> None:
        if self._is_over:
            raise Canceled("the work has ended")

    # What it hears.

    def hear(self, told: _wire.TaskInputEvent) -> None:
        """The asker told something. An answer that comes twice, or too late, is nobody's."""
        self._speech.hear(told.taken)
        self._moved.set()
        if told.answer is not None and self._answer is not None:
            number, answer = self._answer
            if number == told.answer.number and not answer.done():
                self._speech.withdraw(number)
                answer.set_result(told.answer.value)

    def end(self) -> None:
        """The skill has ended: whoever still waits here is told so."""
        self._tell_progress()
        self._is_over = True
        self._moved.set()
        if self._answer is not None and not self._answer[1].done():
            self._answer[1].set_exception(Canceled("the work has ended"))


async def _sha256(data: bytes) -> str:
    if len(data) <= _HASHED_AT_ONCE:
        return hashlib.sha256(data).hexdigest()
    return (await asyncio.to_thread(hashlib.sha256, data)).hexdigest()
