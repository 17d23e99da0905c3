"""What a skill sees of its task, and of the mesh around it."""

from __future__ import annotations

import math
from concurrent.futures import CancelledError as FutureCanceled
from concurrent.futures import Future
from typing import Any, TypeVar

import msgspec

from seamesh import _wire, values
from seamesh._listener import OnQuestion
from seamesh._speaker import Voice
from seamesh.errors import BadArguments, BadResult, Canceled, NobodyAnswers, NotStreamed, TooLarge
from seamesh.mesh import Mesh, Port

T = TypeVar("T")


class Context(Mesh):
    """The task at hand, and the mesh around it. A skill gets it as its first parameter ``ctx``."""

    __slots__ = ("_awaited", "_canceled", "_deadline", "_result", "_speaker", "_task")

    def __init__(self, port: Port, agent_id: str, task: _wire.TaskEvent, speaker: Voice | None = None) -> None:
        super().__init__(port, agent_id)
        self._task = task
        self._speaker = speaker
        self._result: Any = msgspec.UNSET
        self._deadline = port.loop.time() + task.timeout_ms / 1000
        self._canceled = False
        self._awaited: set[Future[Any]] = set()

    @property
    def task_id(self) -> str:
        """The task's id."""
        return self._task.task_id

    @property
    def attempt(self) -> int:
        """Which attempt at the task this is, from 1."""
        return self._task.attempt

    @property
    def from_agent(self) -> str:
        """The agent that asked; empty: somebody outside the mesh."""
        return self._task.from_agent

    @property
    def traceparent(self) -> str | None:
        """The span of this run (W3C Trace Context): the parent of the spans that the skill makes by itself."""
        return self._task.run_traceparent

    @property
    def path(self) -> _wire.Path:
        """How the task came: ``direct`` or ``queue``."""
        return self._task.path

    @property
    def parent_id(self) -> str | None:
        """The task whose skill asked for this one."""
        return self._task.parent_id

    @property
    def deadline(self) -> float:
        """When nobody waits for the result any more, in the event loop's time (`time.monotonic` seconds)."""
        return self._deadline

    @property
    def remaining(self) -> float:
        """Seconds until the deadline; 0 when it has passed."""
        return max(0.0, self._deadline - self._port.loop.time())

    @property
    def canceled(self) -> bool:
        """Whether the work was canceled: for skills that are not async, which cannot be interrupted."""
        return self._canceled

    # What a running skill says.

    def progress(self, fraction: float | None = None, note: str = "") -> None:
        """Tells how far the work is: to whoever asked for it, and to the dashboard. Not awaited; safe in any thread.
        Of many in a short time only the newest arrives, and without a connection to the sidecar none does.

        Args:
            fraction: the share that is done, 0 to 1; ``None``: not known.
            note: what the skill does now, for a person; cut to 1,024 bytes.
        """
        if fraction is not None:
            fraction = None if math.isnan(fraction) else min(1.0, max(0.0, float(fraction)))
        note = note.encode("utf-8", "replace")[: _wire.MAX_NOTE_BYTES].decode("utf-8", "ignore")
        if self._speaker is not None:
            self._speaker.progress(_wire.Progress(fraction=fraction, note=note))

    @property
    def is_streamed(self) -> bool:
        """Whether the asker takes chunks and artifacts."""
        return bool(self._task.stream) and self._speaker is not None

    async def chunk(self, data: Any) -> None:
        """Sends a part of the result to the asker, in order. Waits while 32 chunks are on their way
        (``STREAM_WINDOW``). A skill that is a generator does the same with ``yield``.

        Args:
            data: any JSON of at most 128 KiB.

        Raises:
            NotStreamed: the asker takes no chunks; `is_streamed` tells that before.
            BadResult: it is not JSON.
            TooLarge: it is over 128 KiB of JSON.
            Canceled: the work has ended.
        """
        speaker = self._streaming()
        try:
            encoded = values.encode(data, _wire.MAX_CHUNK_BYTES)
        except values.ValueTooLargeError as error:
            raise TooLarge(f"a chunk has {error}") from error
        except ValueError as error:
            raise BadResult(f"a chunk is not JSON: {error}") from error
        await speaker.chunk(msgspec.Raw(encoded))

    async def artifact(self, name: str, data: bytes, media_type: str = "application/octet-stream") -> None:
        """Sends bytes to the asker, who gets them whole, among the chunks. Waits as `chunk` does.

        Args:
            name: its name, unique within the task; 1 to 256 bytes.
            data: the bytes, at most 64 MiB.
            media_type: its media type (RFC 6838), at most 256 bytes.

        Raises:
            NotStreamed: the asker takes no artifacts.
            BadArguments: the name or the media type is empty or too long.
            TooLarge: it is over 64 MiB.
            Canceled: the work has ended.
        """
        speaker = self._streaming()
        for what, text in (("name", name), ("media type", media_type)):
            if _wire_bytes(text) not in range(1, _wire.MAX_NAME_BYTES + 1):
                raise BadArguments(f"an artifact's {what} has 1 to {_wire.MAX_NAME_BYTES} bytes")
        if len(data) > _wire.MAX_ARTIFACT_BYTES:
            limit = _wire.MAX_ARTIFACT_BYTES
            raise TooLarge(f"artifact {name!r} has {len(data)} bytes; at most {limit} are carried")
        await speaker.artifact(name, media_type, bytes(data))

    async def ask(self, prompt: str, schema: Any = None) -> Any:
        """Asks whoever asked for this work, or a person, and gives the answer. A task asks one question at a time:
        others wait for their turn. To wait not longer than so many seconds, use `asyncio.timeout`.

        Args:
            prompt: what is asked, for a person; at most 64 KiB with the schema.
            schema: JSON Schema of the answer; ``None``: anything. The answer is not checked against it.

        Raises:
            NobodyAnswers: there is nobody to ask.
            BadArguments: the schema is not JSON.
            TooLarge: the question is over 64 KiB of JSON.
            Canceled: the work has ended.
        """
        if not self._task.answers or self._speaker is None:
            raise NobodyAnswers(
                "whoever asked for this work answers no questions: ask for it with on_question, or through the queue, "
                "where a person answers"
            )
        question = _wire.Question(number=1, prompt=prompt, schema=schema)
        try:
            values.encode(question, _wire.MAX_QUESTION_BYTES)
        except values.ValueTooLargeError as error:
            raise TooLarge(f"the question has {error}") from error
        except ValueError as error:
            raise BadArguments(f"the question is not JSON: {error}") from error
        return await self._speaker.ask(prompt, schema)

    def set_result(self, value: Any) -> None:
        """The result of a skill that is an async generator, which cannot return one: the last call counts. Of any
        other skill the result is what it returns."""
        self._result = value

    @property
    def given_result(self) -> Any:
        """What `set_result` was given; ``msgspec.UNSET`` when it was not called."""
        return self._result

    def _streaming(self) -> Voice:
        if self._speaker is None or not self._task.stream:
            raise NotStreamed(
                "whoever asked for this work takes no chunks and no artifacts: return the result, or ask with stream()"
            )
        return self._speaker

    def _answerer(self, on_question: OnQuestion | None) -> OnQuestion | None:
        if on_question is not None or not self._task.answers or self._speaker is None:
            return on_question
        return lambda question: self.ask(question.prompt, question.schema)

    def mark_canceled(self) -> None:
        """Notes that nobody wants the result any more."""
        self._canceled = True
        # What a thread waits for with `run` ends here, and with it the work it delegated.
        for answer in list(self._awaited):
            answer.cancel()

    def _wait_for(self, answer: Future[T]) -> T:
        self._awaited.add(answer)
        try:
            if self._canceled:
                answer.cancel()
            return answer.result()
        except FutureCanceled:
            raise Canceled("the task was canceled") from None
        finally:
            self._awaited.discard(answer)

    def _timeout_ms(self, timeout: float | None, *, wait: bool) -> int | None:
        # Work that nobody waits for may outlive the task that asked for it.
        if wait:
            timeout = self.remaining if timeout is None else min(timeout, self.remaining)
        return super()._timeout_ms(timeout, wait=wait)

    def _parent(self) -> _wire.TaskEvent | None:
        return self._task


def _wire_bytes(text: str) -> int:
    """Its length on the wire; 0 when it cannot go there."""
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        return 0
