"""Runs a skill and says how it ended. Nothing a skill does ends the agent."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
from collections.abc import AsyncGenerator, Generator
from concurrent.futures import Executor
from typing import Any

import msgspec

from seamesh import _wire, values
from seamesh._yields import BadYield, Yields
from seamesh.context import Context
from seamesh.errors import BadArguments, BadResult, Canceled, SeameshError, SkillError
from seamesh.mesh import PROMPT
from seamesh.skills import Skill

_log = logging.getLogger("seamesh")


async def run_skill(
    skills: dict[str, Skill], task: _wire.TaskEvent, context: Context, executor: Executor
) -> _wire.Outcome:
    """Runs the task's skill once, and gives its outcome whatever happens in it."""
    # Agents of the old dialect send a prompt through the queue as work without a skill.
    skill = skills.get(task.skill or PROMPT)
    if skill is None:
        offered = ", ".join(sorted(skills)) or "none"
        return failed("skill_unknown", f"no skill {task.skill!r} here; there are: {offered}")
    try:
        arguments = skill.bind(task.payload)
    except BadArguments as error:
        return failed(error.code, error.message)
    try:
        value = await _call(skill, arguments, context, executor)
    except BadYield as error:
        return failed(error.code, error.message)
    except asyncio.CancelledError as error:
        if context.canceled:
            return canceled("canceled")
        current = asyncio.current_task()
        if current is not None and current.cancelling():
            raise
        return _outcome_of(skill.name, error)
    except (Exception, SystemExit) as error:
        return _outcome_of(skill.name, error)
    if context.canceled:
        return canceled("canceled")
    try:
        return _wire.Outcome(state="completed", result=checked_result(skill.name, value))
    except BadResult as error:
        return failed(error.code, error.message)


async def _call(skill: Skill, arguments: dict[str, Any], context: Context, executor: Executor) -> Any:
    first = (context,) if skill.takes_context else ()
    if skill.is_async and skill.is_generator:
        return await _generate(skill.function(*first, **arguments), Yields(skill.name, context))
    if skill.is_async:
        return await skill.function(*first, **arguments)
    copied = contextvars.copy_context()

    def run() -> Any:
        made = skill.function(*first, **arguments)
        return _generate_here(made, Yields(skill.name, context), context) if skill.is_generator else made

    def guarded() -> tuple[Any, BaseException | None]:
        # An exception goes back as a value: a future cannot carry every kind (StopIteration for one).
        try:
            return copied.run(run), None
        except BaseException as error:
            return None, error

    value, error = await asyncio.get_running_loop().run_in_executor(executor, guarded)
    if isinstance(error, asyncio.CancelledError | KeyboardInterrupt | GeneratorExit):
        raise SkillError(f"{type(error).__name__} in the skill") from error
    if error is not None:
        raise error
    return value


async def _generate(parts: AsyncGenerator[Any, None], yields: Yields) -> Any:
    async with contextlib.aclosing(parts):
        async for part in parts:
            if yields.is_streamed:
                await yields.send(part)
            else:
                yields.collect(part)
    return yields.result()


def _generate_here(parts: Generator[Any, None, Any], yields: Yields, context: Context) -> Any:
    with contextlib.closing(parts):
        while True:
            try:
                part = next(parts)
            except StopIteration as end:
                return yields.result(end.value)
            if context.canceled:
                raise Canceled("the task was canceled")
            if yields.is_streamed:
                context.run(yields.send(part))
            else:
                yields.collect(part)


def checked_result(skill: str, value: Any) -> msgspec.Raw:
    """The result as JSON text that goes on the wire as it is.

    Raises:
        BadResult: it is not JSON, or (code ``too_large``) over the limit of a result.
    """
    try:
        return msgspec.Raw(values.encode(value))
    except values.ValueTooLargeError as error:
        raise BadResult(f"{skill} returned {error}", code="too_large") from error
    except ValueError as error:
        raise BadResult(f"{skill} returned something that is not JSON: {error}") from error


def failed(code: _wire.Code, message: str) -> _wire.Outcome:
    """It failed."""
    return _wire.Outcome(state="failed", error=_wire.TaskError(code=code, message=message))


def canceled(message: str) -> _wire.Outcome:
    """It was canceled."""
    return _wire.Outcome(state="canceled", error=_wire.TaskError(code="canceled", message=message))


def _outcome_of(skill: str, error: BaseException) -> _wire.Outcome:
    if isinstance(error, SkillError):
        _log.info("skill %s failed: %s", skill, error)
        return failed(error.code, error.message)
    _log.warning("skill %s failed", skill, exc_info=error)
    if isinstance(error, SeameshError):
        return failed("skill_failed", str(error))
    text = str(error)
    return failed("skill_failed", f"{type(error).__name__}: {text}" if text else type(error).__name__)
