"""Prompts: what a person or an agent says to an agent in words. They come over links as ``agent_prompt``, and through
the queue as work for the skill of that name."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from seamesh import _wire
from seamesh._inbox import MessageHandler
from seamesh.context import Context
from seamesh.errors import BadArguments, NobodyAnswers, SkillError
from seamesh.mesh import PROMPT
from seamesh.message import Message, encode_message
from seamesh.skills import Skill

INTERVENTION = "user_intervention"
"""The skill by which a person speaks to an agent."""


class PromptSkill(Skill):
    """A skill that reads a prompt: its only argument is ``message``, and whatever else a prompt carries is left out."""

    def __init__(self, function: Callable[..., Any], name: str = PROMPT, description: str | None = None) -> None:
        super().__init__(function, name=name, description=description or None)
        if list(self.input_schema.get("properties", {})) != ["message"]:
            raise TypeError("a prompt handler takes one argument, message, after the context if it wants that")

    def bind(self, payload: Any) -> dict[str, Any]:
        """The argument that a payload stands for: its ``message``, or all of it when it is a text."""
        if isinstance(payload, dict):
            payload = {"message": payload["message"]} if "message" in payload else {}
        return super().bind(payload)


def reads_messages(handler: MessageHandler) -> PromptSkill:
    """Hands prompts that come through the queue to the handler of messages."""

    async def read(ctx: Context, message: str) -> None:
        body = {"type": PROMPT, "source_agent": ctx.from_agent, "target_agent": ctx.agent_id}
        raw = encode_message({**body, "payload": {"message": message, "direct": True}}, "", broadcast=False)
        called = handler.call(Message("", raw), ctx)
        if inspect.isawaitable(called):
            await called

    return PromptSkill(read, description="Reads messages.")


def intervention(prompt: PromptSkill | None) -> PromptSkill:
    """The skill by which a person speaks to an agent: its prompt handler, if it has one."""
    said = "Takes a person's word, and gives the agent's answer."
    if prompt is not None:
        return PromptSkill(prompt.function, INTERVENTION, said)

    async def refuse(ctx: Context, message: str) -> None:
        raise SkillError("nobody_answers", f"agent {ctx.agent_id} reads no prompts: it needs an @agent.on_prompt")

    return PromptSkill(refuse, INTERVENTION, said)


class PromptContext(Context):
    """The context of a prompt that came over a link. There is no task behind it: what its handler delegates begins a
    tree of its own, and it asks no questions."""

    __slots__ = ()

    def _parent(self) -> None:
        return None


class PromptVoice:
    """What a prompt's handler tells before its answer: chunks, and nothing else."""

    def __init__(self, say: Callable[[str, Any], Awaitable[None]]) -> None:
        self._say = say
        self._chunks = 0

    def progress(self, progress: _wire.Progress) -> None:
        """Nobody hears of a prompt's progress."""

    async def chunk(self, data: msgspec.Raw) -> None:
        """Sends a part of the answer."""
        number, self._chunks = self._chunks, self._chunks + 1
        await self._say("agent_stream_chunk", {"number": number, "chunk": data})

    async def artifact(self, name: str, media_type: str, data: bytes) -> None:
        """Refused."""
        raise BadArguments("the answer to a prompt has no artifacts: make it a skill")

    async def ask(self, prompt: str, schema: Any) -> Any:
        """Refused."""
        raise NobodyAnswers("whoever sent this prompt answers no questions: make it a skill")


def task_of(prompt: Message) -> _wire.TaskEvent:
    """A prompt that came over a link, as work."""
    payload = prompt.payload
    return _wire.TaskEvent(
        task_id=prompt.request_id or "prompt",
        attempt=1,
        skill=PROMPT,
        payload=payload,
        from_agent=prompt.source_agent,
        path="direct",
        timeout_ms=_wire.DEFAULT_REQUEST_TIMEOUT_MS,
        stream=(bool(prompt.request_id) and isinstance(payload, dict) and payload.get("stream") is True) or None,
    )


def answer_of(outcome: _wire.Outcome) -> dict[str, Any]:
    """The body of an ``agent_response``."""
    if outcome.state == "completed":
        return {"message": outcome.result}
    error = outcome.error
    return {
        "message": None,
        "error": error.message if error else outcome.state,
        "code": error.code if error else "skill_failed",
    }
