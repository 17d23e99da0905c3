"""What users test their agents with behaves as a mesh does."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from seamesh import (
    Agent,
    BadArguments,
    BadResult,
    Context,
    LinkError,
    Mesh,
    Message,
    NoAgent,
    SeameshError,
    SkillError,
    SkillUnknown,
    Timeout,
)
from seamesh.testing import FakeMesh, call, call_sync


def greeter() -> Agent:
    """Greets, alone or with help."""
    agent = Agent("greeter", description="Greets.")

    @agent.skill
    def greet(name: str, loud: bool = False) -> str:
        return f"HELLO {name.upper()}" if loud else f"Hello, {name}"

    @agent.skill
    async def greet_in(ctx: Context, name: str, language: str) -> Any:
        return await ctx.delegate("translate", text=f"Hello, {name}", language=language)

    return agent


def translator(calls: list[str]) -> Agent:
    """Translates, and notes who asked."""
    agent = Agent("translator")

    @agent.skill
    async def translate(ctx: Context, text: str, language: str) -> str:
        calls.append(f"{ctx.from_agent} {ctx.task_id} {ctx.parent_id} {ctx.path}")
        return f"{text} ({language})"

    return agent


def test_a_skill_is_called_with_its_arguments_validated() -> None:
    assert call_sync(greeter(), "greet", name="Ada") == "Hello, Ada"
    assert call_sync(greeter(), "greet", payload={"name": "Ada", "loud": True}) == "HELLO ADA"
    with pytest.raises(BadArguments, match="name"):
        call_sync(greeter(), "greet", name=1)
    with pytest.raises(SkillUnknown):
        call_sync(greeter(), "sing")


def test_delegated_work_is_done_by_the_other_agent_under_its_parent() -> None:
    calls: list[str] = []
    assert call_sync(greeter(), "greet_in", others=[translator(calls)], name="Ada", language="fr") == "Hello, Ada (fr)"
    assert calls == ["greeter task-2 task-1 direct"]


def test_a_mesh_tells_every_hop() -> None:
    async def scenario() -> None:
        async with FakeMesh(greeter(), translator([])) as mesh:
            await mesh.call("greet_in", name="Ada", language="fr")
            first, second = mesh.tasks
            assert (first.skill, first.from_agent, first.to_agent, first.depth) == (
                "greet_in",
                "test-client",
                "greeter",
                0,
            )
            assert (second.skill, second.parent_id, second.depth) == ("translate", first.task_id, 1)
            assert second.payload == {"text": "Hello, Ada", "language": "fr"}
            assert second.outcome is not None
            assert second.outcome.result == "Hello, Ada (fr)"

    asyncio.run(scenario())


def test_errors_come_as_they_come_in_a_mesh() -> None:
    agent = Agent("bad")

    @agent.skill
    def fail() -> None:
        raise SkillError("not_found", "no such page")

    @agent.skill
    def odd() -> object:
        return object()

    @agent.skill
    async def forever() -> None:
        await asyncio.Event().wait()

    with pytest.raises(SeameshError, match="no such page") as caught:
        call_sync(agent, "fail")
    assert caught.value.code == "not_found"
    with pytest.raises(BadResult):
        call_sync(agent, "odd")
    with pytest.raises(Timeout):
        call_sync(agent, "forever", timeout=0.01)
    with pytest.raises(NoAgent):
        call_sync(agent, "fail", to="nobody")


def test_a_timeout_cancels_the_skill() -> None:
    agent, ended = Agent("a"), asyncio.Event()

    @agent.skill
    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def scenario() -> None:
        async with FakeMesh(agent) as mesh:
            with pytest.raises(Timeout):
                await mesh.call("forever", timeout=0.01)
            await ended.wait()

    asyncio.run(asyncio.wait_for(scenario(), 10))


def test_a_caller_that_gives_up_cancels_the_work_down_the_tree() -> None:
    agent, other = Agent("a"), Agent("b")
    began, ended = asyncio.Event(), asyncio.Event()

    @agent.skill
    async def top(ctx: Context) -> Any:
        return await ctx.delegate("low")

    @other.skill
    async def low() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def scenario() -> None:
        async with FakeMesh(agent, other) as mesh:
            asking = asyncio.ensure_future(mesh.call("top"))
            await began.wait()
            asking.cancel()
            await ended.wait()

    asyncio.run(asyncio.wait_for(scenario(), 10))


def test_runaway_delegation_ends_at_the_deepest_level() -> None:
    agent = Agent("loop")

    @agent.skill
    async def again(ctx: Context) -> Any:
        return await ctx.delegate("again")

    async def scenario() -> None:
        async with FakeMesh(agent) as mesh:
            with pytest.raises(SkillError, match=r"depth_exceeded: .* loop\.again -> loop\.again -> again"):
                await mesh.call("again")
            assert max(task.depth for task in mesh.tasks) == 16

    asyncio.run(scenario())


def test_a_task_that_asks_without_end_is_stopped() -> None:
    agent = Agent("wide")

    @agent.skill
    async def spread(ctx: Context) -> None:
        while True:
            await ctx.delegate("leaf", wait=False)

    @agent.skill
    def leaf() -> None: ...

    async def scenario() -> None:
        async with FakeMesh(agent) as mesh:
            with pytest.raises(SkillError, match="fan_out_exceeded"):
                await mesh.call("spread", timeout=60)
            assert len(mesh.tasks) == 4096 + 1

    asyncio.run(scenario())


def test_a_skill_that_names_its_callers_runs_for_them_and_for_the_test() -> None:
    vault = Agent("vault")

    @vault.skill(callers=["friend"])
    def open_it() -> str:
        return "open"

    def asker(name: str) -> Agent:
        agent = Agent(name)

        @agent.skill(name=f"ask-{name}")
        async def ask(ctx: Context) -> Any:
            return await ctx.delegate("open_it")

        return agent

    async def scenario() -> None:
        async with FakeMesh(vault, asker("friend"), asker("stranger")) as mesh:
            assert await mesh.call("ask-friend") == "open"
            assert await mesh.call("open_it") == "open"
            with pytest.raises(SkillError, match=r"forbidden: .*stranger.*open_it"):
                await mesh.call("ask-stranger")
            assert [task.skill for task in mesh.tasks].count("open_it") == 2

    asyncio.run(scenario())


def test_messages_between_agents_arrive_and_an_unknown_peer_is_told() -> None:
    one, two = Agent("one"), Agent("two")
    heard: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
    errors: asyncio.Queue[SeameshError] = asyncio.Queue()

    @one.on_start
    async def begin(mesh: Mesh) -> None:
        await mesh.send("two", "direct")
        await mesh.broadcast({"type": "agent_status", "payload": "up"})
        await mesh.send("nobody", "lost")

    one.on_error(errors.put_nowait)

    @two.on_message
    async def hear(message: Message) -> None:
        heard.put_nowait((message.from_peer, message.text or message.payload))

    async def scenario() -> None:
        async with FakeMesh(two, one) as mesh:
            assert [await heard.get(), await heard.get()] == [("one", "direct"), ("one", "up")]
            assert isinstance(await errors.get(), LinkError)
            mesh.deliver("two", {"type": "agent_prompt", "payload": {"message": "hi"}})
            assert await heard.get() == ("test-client", "hi")

    asyncio.run(asyncio.wait_for(scenario(), 10))


def test_work_nobody_waits_for_is_run_too() -> None:
    agent, done = Agent("a"), asyncio.Event()

    @agent.skill
    async def note() -> None:
        done.set()

    async def scenario() -> None:
        async with FakeMesh(agent) as mesh:
            assert await mesh.call("note", wait=False) == "task-1"
            await done.wait()

    asyncio.run(asyncio.wait_for(scenario(), 10))


def test_call_works_inside_a_loop_as_well() -> None:
    async def scenario() -> Any:
        return await call(greeter(), "greet", name="Bo")

    assert asyncio.run(scenario()) == "Hello, Bo"
