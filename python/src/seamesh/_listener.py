"""What an asker does with what is told before the end of the work it asked for."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

import msgspec

from seamesh import _wire, values
from seamesh.errors import BadArguments, Canceled, TooLarge

_log = logging.getLogger("seamesh")

OnQuestion: TypeAlias = Callable[[_wire.Question], Any]
"""Answers a question of the skill, or gives something that can be awaited for the answer."""

OnProgress: TypeAlias = Callable[[_wire.Progress], Any]
"""Is told how far the skill is."""

OnChunk: TypeAlias = Callable[[int, _wire.Chunk], None]
"""Gets each chunk, with the number of its attempt."""


class Tell(Protocol):
    """Tells the handler something."""

    def __call__(self, *, answer: _wire.Answer | None = None, taken: int | None = None) -> None: ...


class Listener:
    """Hears what is told of one request, until its end.

    Args:
        on_question: answers; ``None``: the asker answers nothing.
        on_progress: is told how far the work is.
        on_chunk: takes chunks; ``None``: the asker takes none.
    """

    def __init__(
        self, on_question: OnQuestion | None, on_progress: OnProgress | None, on_chunk: OnChunk | None = None
    ) -> None:
        self._on_question = on_question
        self._on_progress = on_progress
        self._on_chunk = on_chunk
        self._tell: Tell | None = None
        self._fail: Callable[[Exception], None] | None = None
        self._question: tuple[int, int] | None = None
        self._answer: _wire.Answer | None = None
        self._answering: asyncio.Future[None] | None = None
        self._hooks: set[asyncio.Future[Any]] = set()

    @property
    def stream(self) -> bool:
        """Whether it takes chunks."""
        return self._on_chunk is not None

    @property
    def answers(self) -> bool:
        """Whether it answers questions."""
        return self._on_question is not None

    def opened(self, tell: Tell, fail: Callable[[Exception], None]) -> None:
        """The request is open: how to tell its handler something, and how to end it with an error."""
        self._tell = tell
        self._fail = fail

    def close(self) -> None:
        """The request has ended: nobody needs an answer any more."""
        self._tell = None
        if self._answering is not None:
            self._answering.cancel()
        for hook in self._hooks:
            hook.cancel()

    def taken(self, chunks: int) -> None:
        """Every chunk with a smaller number was taken."""
        if self._tell is not None:
            self._tell(taken=chunks)

    def hear(self, news: _wire.RequestNews) -> None:
        """The handler told something."""
        if news.progress is not None:
            self.progress(news.progress)
        if news.chunk is not None and self._on_chunk is not None:
            self._on_chunk(news.attempt, news.chunk)
        if news.question is not None and self._on_question is not None:
            self._hear_question(news.attempt, news.question, self._on_question)

    def progress(self, progress: _wire.Progress) -> None:
        """It is so far. What goes wrong with that is told to the log."""
        if self._on_progress is None:
            return
        try:
            result = self._on_progress(progress)
            if inspect.isawaitable(result):
                hook = asyncio.ensure_future(result)
                self._hooks.add(hook)
                hook.add_done_callback(self._hook_ended)
        except Exception:
            _log.exception("a function that is told the progress failed")

    def _hook_ended(self, hook: asyncio.Future[Any]) -> None:
        self._hooks.discard(hook)
        if not hook.cancelled() and hook.exception() is not None:
            _log.error("a function that is told the progress failed", exc_info=hook.exception())

    def _hear_question(self, attempt: int, question: _wire.Question, answer: OnQuestion) -> None:
        named = (attempt, question.number)
        if self._question is not None and named <= self._question:
            # Said again after a connection was lost: one that was answered is answered again.
            if named == self._question and self._answer is not None and self._tell is not None:
                self._tell(answer=self._answer)
            return
        if self._answering is not None:
            self._answering.cancel()
        self._question, self._answer = named, None
        self._answering = asyncio.ensure_future(self._reply(named, question, answer))

    async def _reply(self, named: tuple[int, int], question: _wire.Question, answer: OnQuestion) -> None:
        try:
            value = answer(question)
            if inspect.isawaitable(value):
                value = await value
            told = _wire.Answer(number=question.number, value=_encode(value))
        except asyncio.CancelledError:
            self._end(named, Canceled("the answer to a question was given up"))
            raise
        except Exception as error:
            self._end(named, error)
            return
        self._answer = told
        if self._tell is not None:
            self._tell(answer=told)

    def _end(self, named: tuple[int, int], error: Exception) -> None:
        # Of a question that another one took the place of, nobody needs the answer.
        if self._question == named and self._tell is not None and self._fail is not None:
            self._fail(error)


def _encode(value: Any) -> msgspec.Raw:
    try:
        return msgspec.Raw(values.encode(value, _wire.MAX_QUESTION_BYTES))
    except values.ValueTooLargeError as error:
        raise TooLarge(f"the answer has {error}") from error
    except ValueError as error:
        raise BadArguments(f"the answer is not JSON: {error}") from error
