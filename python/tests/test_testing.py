"""What users test their agents with behaves as a mesh does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from seamesh import (
    Agent,
    Artifact,
    BadArguments,
    BadResult,
    Context,
    LinkError,
    Mesh,
    Message,
    NoAgent,
    Progress,
    Question,
    SeameshError,
    SkillError,
    SkillUnknown,
    Timeout,
)
from seamesh.testing import FakeMesh, call, call_sync, collect_sync


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


def test_a_skill_knows_the_span_of_its_run_and_what_it_asks_for_stands_under_it() -> None:
    spans: dict[str, str | None] = {}
    asker, helper = Agent("asker"), Agent("helper")

    @asker.skill
    async def plan(ctx: Context, span: str | None = None) -> None:
        spans["plan"] = ctx.traceparent
        await ctx.delegate("help", traceparent=span)

    @helper.skill
    async def help(ctx: Context) -> None:
        spans["help"] = ctx.traceparent

    async def scenario() -> None:
        given = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        async with FakeMesh(asker, helper) as mesh:
            await mesh.call("plan")
            first, second = mesh.tasks
            assert (first.traceparent, first.run_traceparent) == (None, spans["plan"])
            assert (second.traceparent, second.run_traceparent) == (spans["plan"], spans["help"])
            assert first.run_traceparent[:36] == second.run_traceparent[:36]
            await mesh.call("plan", span=given)
            assert mesh.tasks[3].traceparent == given
            assert str(spans["help"])[:36] == given[:36]

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


def writer() -> Agent:
    """Writes word by word, and asks for its tone."""
    agent = Agent("writer")

    @agent.skill
    async def write(ctx: Context, words: int, cover: bool = False) -> AsyncIterator[str]:
        for number in range(words):
            ctx.progress(number / words, f"word {number}")
            yield f"w{number}"
        if cover:
            await ctx.artifact("cover.png", bytes(200_000), "image/png")
        ctx.set_result(words)

    @agent.skill
    async def write_in_tone(ctx: Context) -> Any:
        return await ctx.ask("Which tone?", {"type": "string"})

    return agent


def test_everything_a_skill_streams_is_collected_past_any_window() -> None:
    written = collect_sync(writer(), "write", words=100, cover=True)
    cover = Artifact("cover.png", "image/png", bytes(200_000))
    assert (written.parts, written.result) == ([*(f"w{n}" for n in range(100)), cover], 100)
    assert written.progress[0] == Progress(fraction=0.0, note="word 0")
    assert call_sync(writer(), "write", words=3) == 3


def test_a_reader_that_stops_reading_stops_the_skill_at_the_window() -> None:
    agent, sent = Agent("a"), []

    @agent.skill
    async def count() -> AsyncIterator[int]:
        for number in range(1000):
            sent.append(number)
            yield number

    @agent.skill
    def idle() -> None:
        pass

    async def scenario() -> None:
        async with FakeMesh(agent) as mesh, mesh.stream("count") as stream:
            assert await anext(stream) == 0
            await mesh.call("idle")
            assert len(sent) == 33, "32 are on their way, and one waits for room"
            for number in range(1, 20):
                assert await anext(stream) == number
            await mesh.call("idle")
            assert len(sent) == 49, "16 more were granted"

    asyncio.run(asyncio.wait_for(scenario(), 10))


def test_a_skill_that_asks_is_answered_by_the_test() -> None:
    heard: list[Question] = []

    def answer(question: Question) -> str:
        heard.append(question)
        return "dry"

    assert call_sync(writer(), "write_in_tone", on_question=answer) == "dry"
    assert heard == [Question(number=1, prompt="Which tone?", schema={"type": "string"})]
    with pytest.raises(SkillError, match="nobody_answers"):
        call_sync(writer(), "write_in_tone")


def test_questions_pass_up_and_parts_flow_down_the_tree() -> None:
    editor = Agent("editor")

    @editor.skill
    async def edit(ctx: Context) -> AsyncIterator[str]:
        tone = await ctx.delegate("write_in_tone")
        async with ctx.stream("write", words=40) as stream:
            async for word in stream:
                yield f"{tone} {word}"
            ctx.set_result(await stream.result())

    @editor.skill
    def edit_in_a_thread(ctx: Context) -> Iterator[str]:
        yield ctx.run(ctx.delegate("write_in_tone"))

    async def scenario() -> None:
        async with FakeMesh(editor, writer()) as mesh:
            heard: list[Progress] = []
            async with mesh.stream("edit", on_question=lambda _: "dry", on_progress=heard.append) as stream:
                assert [part async for part in stream] == [f"dry w{n}" for n in range(40)]
                assert await stream.result() == 40
            edit, asked, written = mesh.tasks
            assert [len(task.questions) for task in (edit, asked, written)] == [1, 1, 0]
            assert (len(written.progress), heard) == (40, [])
            assert await mesh.call("edit_in_a_thread", on_question=lambda _: "warm") == ["warm"]

    asyncio.run(asyncio.wait_for(scenario(), 10))
