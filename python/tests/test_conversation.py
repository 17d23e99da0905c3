"""Prompts, statuses, questions for skills and pings act at their receiver, over links and through the queue."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from seamesh import Agent, Context, LinkError, Message, NoAgent, SeameshError, SkillError, SkillUnknown, Timeout
from seamesh.testing import CLIENT, FakeMesh

BOTH = pytest.mark.parametrize("linked", [True, False], ids=["link", "queue"])


class Scholar:
    """An agent that reads prompts, and what it read."""

    def __init__(self) -> None:
        self.agent = Agent("scholar")
        self.read: list[tuple[str, str, str]] = []
        self.came = asyncio.Event()

        @self.agent.on_prompt
        async def read(ctx: Context, message: str) -> str:
            self.read.append((ctx.from_agent, message, ctx.path))
            self.came.set()
            if message == "fail":
                raise SkillError("not_found", "no such book")
            return f"I read: {message}"


def run(scenario: Any) -> None:
    """Runs a test's scenario, for at most 10 seconds."""
    asyncio.run(asyncio.wait_for(scenario, 10))


@BOTH
def test_a_prompt_is_answered_by_its_reader(linked: bool) -> None:
    async def scenario() -> None:
        scholar, asker = Scholar(), Agent("asker")
        async with FakeMesh(asker, scholar.agent, linked=linked) as mesh:
            assert await mesh.mesh_of(asker).prompt("scholar", "Moby Dick") == "I read: Moby Dick"
            assert scholar.read == [("asker", "Moby Dick", "direct" if linked else "queue")]
            assert [task.path for task in mesh.tasks] == ([] if linked else ["queue"])

    run(scenario())


@BOTH
def test_the_readers_error_is_the_askers(linked: bool) -> None:
    async def scenario() -> None:
        scholar, asker = Scholar(), Agent("asker")
        async with FakeMesh(asker, scholar.agent, linked=linked) as mesh:
            with pytest.raises(SeameshError, match="no such book") as failed:
                await mesh.mesh_of(asker).prompt("scholar", "fail")
            assert failed.value.code == "not_found"

    run(scenario())


@BOTH
def test_an_answer_comes_in_parts_to_whoever_takes_them(linked: bool) -> None:
    async def scenario() -> None:
        poet, asker = Agent("poet"), Agent("asker")
        parts: list[str] = []

        @poet.on_prompt
        async def speak(ctx: Context, message: str) -> AsyncIterator[str]:
            for word in message.split():
                yield word
            ctx.set_result(len(message.split()))

        async with FakeMesh(asker, poet, linked=linked) as mesh:
            around = mesh.mesh_of(asker)
            assert await around.prompt("poet", "call me Ishmael", on_chunk=parts.append) == 3
            assert parts == ["call", "me", "Ishmael"]
            assert await around.prompt("poet", "a b") == 2

    run(scenario())


def test_a_reader_that_is_not_async_runs_beside_the_loop() -> None:
    async def scenario() -> None:
        slow, asker = Agent("slow"), Agent("asker")

        @slow.on_prompt
        def read(ctx: Context, message: str) -> int:
            return len(ctx.run(ctx.agents())) + len(message)

        async with FakeMesh(asker, slow) as mesh:
            assert await mesh.mesh_of(asker).prompt("slow", "abc") == 5

    run(scenario())


@BOTH
def test_what_is_told_is_read_and_not_answered(linked: bool) -> None:
    async def scenario() -> None:
        scholar, asker = Scholar(), Agent("asker")
        async with FakeMesh(asker, scholar.agent, linked=linked) as mesh:
            told = await mesh.mesh_of(asker).tell("scholar", "good morning")
            await scholar.came.wait()
            assert scholar.read == [("asker", "good morning", told.path)]
            assert told.path == ("direct" if linked else "queue")

    run(scenario())


@BOTH
def test_what_is_told_reaches_a_message_handler_too(linked: bool) -> None:
    async def scenario() -> None:
        reader, asker = Agent("reader"), Agent("asker")
        came: asyncio.Queue[Message] = asyncio.Queue()
        reader.on_message(came.put_nowait)
        async with FakeMesh(asker, reader, linked=linked) as mesh:
            await mesh.mesh_of(asker).tell("reader", "hello")
            message = await came.get()
            assert (message.kind, message.text, message.source_agent) == ("agent_prompt", "hello", "asker")
            assert message.from_peer == ("asker" if linked else "")

    run(scenario())


def test_a_word_to_all_reaches_linked_and_unlinked_and_names_who_reads_nothing() -> None:
    async def scenario() -> None:
        near, far, deaf, asker = Scholar(), Scholar(), Agent("deaf"), Agent("asker")
        near.agent.name, far.agent.name = "near", "far"
        down: asyncio.Queue[str] = asyncio.Queue()
        asker.on_peer(lambda peer, is_up: None if is_up else down.put_nowait(peer))
        async with FakeMesh(asker, near.agent, far.agent, deaf) as mesh:
            mesh.cut(far.agent)
            mesh.cut(deaf)
            assert {await down.get(), await down.get()} == {"far", "deaf"}
            told = await mesh.mesh_of(asker).tell_all("fire")
            assert (told.direct, told.queue, told.unreached) == (["near"], ["far"], ["deaf"])
            await asyncio.gather(near.came.wait(), far.came.wait())
            assert near.read == [("asker", "fire", "direct")]
            assert far.read == [("asker", "fire", "queue")]

    run(scenario())


def test_nobody_waits_for_one_that_is_not_there_or_reads_nothing() -> None:
    async def scenario() -> None:
        asker, deaf = Agent("asker"), Agent("deaf")
        async with FakeMesh(asker, deaf, linked=False) as mesh:
            around = mesh.mesh_of(asker)
            with pytest.raises(NoAgent, match="nobody"):
                await around.tell("nobody", "x")
            with pytest.raises(SkillUnknown, match="deaf"):
                await around.tell("deaf", "x")
            with pytest.raises(SkillUnknown, match="deaf"):
                await around.prompt("deaf", "x")
            with pytest.raises(LinkError):
                await around.ping("deaf")

    run(scenario())


def test_a_link_that_goes_down_ends_the_wait_for_an_answer() -> None:
    async def scenario() -> None:
        asker, stuck = Agent("asker"), Agent("stuck")
        reads = asyncio.Event()

        @stuck.on_prompt
        async def read(message: str) -> None:
            reads.set()
            await asyncio.Event().wait()

        async with FakeMesh(asker, stuck) as mesh:
            answer = asyncio.ensure_future(mesh.mesh_of(asker).prompt("stuck", "x"))
            await reads.wait()
            mesh.cut(stuck)
            with pytest.raises(LinkError, match="may have been read"):
                await answer
            with pytest.raises(Timeout):
                await mesh.mesh_of(asker).prompt("stuck", "x", timeout=0.01)

    run(scenario())


def test_more_prompts_than_an_agent_takes_at_once_are_refused() -> None:
    async def scenario() -> None:
        asker, busy = Agent("asker"), Agent("busy", max_concurrent=1)
        reads, go = asyncio.Event(), asyncio.Event()

        @busy.on_prompt
        async def read(message: str) -> str:
            reads.set()
            await go.wait()
            return message

        async with FakeMesh(asker, busy) as mesh:
            first = asyncio.ensure_future(mesh.mesh_of(asker).prompt("busy", "first"))
            await reads.wait()
            with pytest.raises(Exception, match="overloaded"):
                await mesh.mesh_of(asker).prompt("busy", "second")
            go.set()
            assert await first == "first"

    run(scenario())


@BOTH
def test_an_agents_skills_can_be_asked_for(linked: bool) -> None:
    async def scenario() -> None:
        asker, worker = Agent("asker"), Agent("worker")

        @worker.skill
        def dig(depth: int) -> int:
            """Digs."""
            return depth

        async with FakeMesh(asker, worker, linked=linked) as mesh:
            (skill,) = await mesh.mesh_of(asker).skills_of("worker")
            assert (skill.name, skill.description) == ("dig", "Digs.")
            assert skill.input_schema["required"] == ["depth"]

    run(scenario())


def test_a_ping_comes_back() -> None:
    async def scenario() -> None:
        asker, other = Agent("asker"), Agent("other")
        async with FakeMesh(asker, other) as mesh:
            assert 0 <= await mesh.mesh_of(asker).ping("other") < 10

    run(scenario())


def test_the_last_status_of_each_agent_is_kept_and_its_message_handed_on() -> None:
    async def scenario() -> None:
        watcher, worker = Agent("watcher"), Agent("worker")
        came: asyncio.Queue[Message] = asyncio.Queue()
        watcher.on_message(came.put_nowait)
        async with FakeMesh(watcher, worker) as mesh:
            await mesh.mesh_of(worker).report_status({"mood": "idle"})
            await mesh.mesh_of(worker).report_status({"mood": "busy"})
            assert [(await came.get()).payload, (await came.get()).payload] == [{"mood": "idle"}, {"mood": "busy"}]
            assert mesh.mesh_of(watcher).statuses == {"worker": {"mood": "busy"}}

    run(scenario())


def test_an_answer_from_another_peer_is_no_answer() -> None:
    async def scenario() -> None:
        asker, mute, liar = Agent("asker"), Agent("mute"), Agent("liar")
        asked: asyncio.Queue[Message] = asyncio.Queue()
        mute.on_message(asked.put_nowait)
        async with FakeMesh(asker, mute, liar) as mesh:
            answer = asyncio.ensure_future(mesh.mesh_of(asker).prompt("mute", "x"))
            request_id = (await asked.get()).request_id
            reply = {"type": "agent_response", "request_id": request_id, "payload": {"message": "lie"}}
            mesh.deliver("asker", reply, from_peer="liar")
            mesh.deliver("asker", {**reply, "payload": {"message": "truth"}}, from_peer="mute")
            assert await answer == "truth"

    run(scenario())


def test_work_without_a_skill_is_a_prompt() -> None:
    async def scenario() -> None:
        scholar = Scholar()
        async with FakeMesh(scholar.agent) as mesh:
            mesh.assign("scholar", "", {"message": "old dialect", "direct": True})
            await scholar.came.wait()
            assert scholar.read == [("", "old dialect", "queue")]

    run(scenario())


def test_a_prompt_handler_takes_a_message() -> None:
    agent = Agent("a")
    with pytest.raises(TypeError, match="message"):
        agent.on_prompt(lambda text: text)
    agent.on_prompt(lambda message: message)
    with pytest.raises(ValueError, match="already"):
        agent.on_prompt(lambda message: message)


def test_a_prompt_that_is_none_is_refused() -> None:
    async def scenario() -> None:
        scholar = Scholar()
        answers: asyncio.Queue[Message] = asyncio.Queue()
        asker = Agent("asker")
        asker.on_message(answers.put_nowait)
        async with FakeMesh(asker, scholar.agent) as mesh:
            prompt = {"type": "agent_prompt", "request_id": "q1", "payload": {"message": 7}}
            await mesh.mesh_of(asker).send("scholar", prompt)
            answer = await answers.get()
            assert (answer.kind, answer.request_id) == ("agent_response", "q1")
            assert answer.payload["code"] == "bad_arguments"
            assert scholar.read == []

    run(scenario())


def test_the_test_itself_is_no_reader() -> None:
    async def scenario() -> None:
        asker = Agent("asker")
        async with FakeMesh(asker) as mesh:
            with pytest.raises(NoAgent):
                await mesh.mesh_of(asker).tell(CLIENT, "x")

    run(scenario())
