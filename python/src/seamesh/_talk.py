"""What one running skill has said to its asker and the asker has not taken yet, without IO, clock or asyncio.

It outlives connections: what was not taken is said again over the next one. Sidecars ignore repeats.
"""

from __future__ import annotations

from collections import deque
from typing import Any, TypeAlias

import msgspec

from seamesh import _wire

Key: TypeAlias = tuple[str, int]
"""A task's id and its attempt's number."""

_encoder = msgspec.json.Encoder()


class Speech:
    """One attempt's side of the conversation. What it gives back are lines for the sidecar."""

    def __init__(self, key: Key, *, is_streamed: bool) -> None:
        self.is_streamed = is_streamed
        self._key = key
        self._next = 0
        self._taken = 0
        self._chunks: deque[bytes] = deque()
        self._asked = 0
        self._question: tuple[int, bytes] | None = None

    @property
    def has_room(self) -> bool:
        """Whether the window has room for another chunk."""
        return self._next - self._taken < _wire.STREAM_WINDOW

    @property
    def was_taken(self) -> bool:
        """Whether the asker took any chunk, so that not all of them are here."""
        return self._taken > 0

    def progress(self, progress: _wire.Progress) -> bytes:
        """Tells how far the work is. It is not said again."""
        return self._line(progress=progress)

    def chunk(self, data: Any, artifact: _wire.ArtifactPart | None = None) -> bytes:
        """Adds a chunk."""
        return self._push(_wire.Chunk(index=self._next, data=data, artifact=artifact))

    def end(self) -> bytes:
        """Ends the stream: it needs no room in the window."""
        return self._push(_wire.Chunk(index=self._next, last=True))

    def ask(self, prompt: str, schema: Any) -> tuple[int, bytes]:
        """Asks a question; its number, and the line."""
        self._asked += 1
        question = _wire.Question(number=self._asked, prompt=prompt, schema=schema)
        line = self._line(question=question)
        self._question = (self._asked, line)
        return self._asked, line

    def withdraw(self, number: int) -> None:
        """Nobody waits for the answer to a question any more."""
        if self._question is not None and self._question[0] == number:
            self._question = None

    def hear(self, taken: int | None) -> None:
        """The asker took every chunk with a smaller number."""
        if taken is None:
            return
        self._taken = max(self._taken, min(taken, self._next))
        while len(self._chunks) > self._next - self._taken:
            self._chunks.popleft()

    def untaken_chunks(self) -> list[bytes]:
        """The chunks that the asker has not taken."""
        return list(self._chunks)

    def untaken(self) -> list[bytes]:
        """What has to be said again over a new connection."""
        question = [] if self._question is None else [self._question[1]]
        return [*self._chunks, *question]

    def _push(self, chunk: _wire.Chunk) -> bytes:
        line = self._line(chunk=chunk)
        self._next += 1
        self._chunks.append(line)
        return line

    def _line(self, **news: Any) -> bytes:
        body = _wire.HandlerNews(task_id=self._key[0], attempt=self._key[1], **news)
        return _encoder.encode(_wire.AgentCommandTaskNews(body)) + b"\n"
