"""Agents, peers and messages over the sidecar's socket: a real Unix server sees what the agent did."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from session_scenario import run, serving

from seamesh import (
    Agent,
    BadArguments,
    Context,
    LinkError,
    Mesh,
    Message,
    NoAgent,
    Overloaded,
    SeameshError,
)

# agents, peer_list, peers.


def record(name: str, health: str, busy: int) -> dict[str, Any]:
    """An agent as the sidecar lists it."""
    known = {"agent_id": name, "hostname": "h", "health": health, "tasks_in_flight": busy}
    return {**known, "registered_at": "t", "last_heartbeat": "t", "capabilities": {"skills": ["search"]}}


def test_find_gives_the_least_busy_healthy_agent() -> None:
    async def scenario() -> None:
        async with serving(Agent("a")) as (_, client, mesh):
            finding = asyncio.ensure_future(mesh.find("search"))
            query = await client.expect("agents")
            assert query["skill"] == "search"
            listed = [record("x", "stale", 0), record("y", "active", 2), record("z", "active", 1)]
            client.write("agents", {"request_id": query["request_id"], "agents": listed})
            assert (await finding).agent_id == "z"
            finding = asyncio.ensure_future(mesh.find("search"))
            query = await client.expect("agents")
            client.write("agents", {"request_id": query["request_id"], "agents": listed[:1]})
            with pytest.raises(NoAgent):
                await finding

    run(scenario)


def test_peers_are_those_of_peer_list_and_on_peer_hears_of_changes() -> None:
    async def scenario() -> None:
        agent = Agent("a")
        heard: asyncio.Queue[tuple[str, bool]] = asyncio.Queue()
        agent.on_peer(lambda peer, up: heard.put_nowait((peer, up)))
        async with serving(agent) as (_, client, mesh):
            asking = asyncio.ensure_future(mesh.peers())
            await client.expect("list_peers")
            client.write("peer_list", {"peers": ["p", "q"]})
            assert await asking == ["p", "q"]
            client.write("peer_connected", {"peer_id": "p"})
            client.write("peer_disconnected", {"peer_id": "p"})
            assert [await heard.get(), await heard.get()] == [("p", True), ("p", False)]
            await mesh.connect("q")
            assert await client.expect("connect") == {"target_peer_id": "q"}

    run(scenario)


# send, broadcast, message.


def test_a_message_reaches_the_handler_and_its_answer_the_peer() -> None:
    async def scenario() -> None:
        agent = Agent("a")

        @agent.on_message
        def answer(message: Message, mesh: Mesh) -> None:
            mesh.send(message.from_peer, {"type": "agent_response", "request_id": message.request_id, "payload": 1})

        async with serving(agent) as (_, client, _mesh):
            body = {"type": "agent_prompt", "request_id": "q1", "payload": {"message": "hi"}}
            client.write("message", {"from_peer": "p", "message": body})
            sent = await client.expect("send")
            assert sent["target_peer"] == "p"
            message = {"type": "agent_response", "request_id": "q1", "payload": 1, "source_agent": "a"}
            assert sent["message"] == message

    run(scenario)


def test_an_async_handler_gets_messages_in_order_one_at_a_time() -> None:
    async def scenario() -> None:
        agent = Agent("a")
        seen: list[str] = []
        done = asyncio.Event()
        turn = asyncio.Semaphore(0)

        @agent.on_message
        async def slowly(message: Message) -> None:
            await turn.acquire()
            seen.append(message.text)
            if len(seen) == 50:
                done.set()

        async with serving(agent) as (_, client, _mesh):
            for number in range(50):
                body = {"type": "agent_prompt", "payload": {"message": str(number)}}
                client.write("message", {"from_peer": "p", "message": body})
            for _ in range(50):
                turn.release()
            await done.wait()
            assert seen == [str(number) for number in range(50)]

    run(scenario)


def test_a_handler_that_awaits_an_answer_never_stops_the_reading_of_it() -> None:
    async def scenario() -> None:
        agent = Agent("a")
        got: asyncio.Queue[Any] = asyncio.Queue()

        @agent.on_message
        async def ask(message: Message, mesh: Mesh) -> None:
            got.put_nowait(await mesh.delegate("search"))

        async with serving(agent) as (_, client, _mesh):
            line = b'{"type":"message","payload":{"from_peer":"p","message":{"type":"x"}}}\n'
            client.raw(line * 3000)  # far more than wait before reading is held
            for number in range(3):
                request = await client.expect("request")
                done = {"state": "completed", "result": number}
                client.write("response", {"request_id": request["request_id"], "task_id": "t", "outcome": done})
                assert await got.get() == number

    run(scenario)


@pytest.mark.parametrize("bad", [{"payload": 1}, {"type": 5}, 7, None, {"type": "x", "source_agent": 3}])
def test_what_a_peer_sends_wrongly_is_skipped_and_a_failing_handler_is_no_end(bad: Any) -> None:
    async def scenario() -> None:
        agent = Agent("a")
        seen: asyncio.Queue[str] = asyncio.Queue()

        @agent.on_message
        def handle(message: Message) -> None:
            seen.put_nowait(message.kind)
            raise ValueError(message.kind)

        async with serving(agent) as (_, client, _mesh):
            client.write("message", {"from_peer": "p", "message": bad})
            client.write("message", {"from_peer": "p", "message": {"type": "one"}})
            client.write("message", {"from_peer": "p", "message": {"type": "two"}})
            assert [await seen.get(), await seen.get()] == ["one", "two"]

    run(scenario)


def test_members_this_version_does_not_know_are_in_the_messages_body() -> None:
    async def scenario() -> None:
        agent = Agent("a")
        seen: asyncio.Queue[Message] = asyncio.Queue()
        agent.on_message(seen.put_nowait)
        async with serving(agent) as (_, client, _mesh):
            body = {"type": "x", "payload": None, "hops": [1], "source_agent": "b", "target_agent": "*"}
            client.write("message", {"from_peer": "p", "message": body})
            message = await seen.get()
            assert message.body == body
            assert (message.payload, message.source_agent, message.target_agent) == ({}, "b", "*")

    run(scenario)


def test_sends_and_broadcasts_keep_their_order_and_text_is_a_prompt() -> None:
    async def scenario() -> None:
        async with serving(Agent("a")) as (_, client, mesh):
            for number in range(3):
                mesh.send("p", str(number))
            await mesh.broadcast("all")
            for number in range(3):
                sent = await client.expect("send")
                assert sent["message"]["payload"] == {"message": str(number), "direct": True}
            told = await client.expect("broadcast")
            assert told["message"]["type"] == "agent_prompt"
            assert told["message"]["payload"] == {"message": "all", "broadcast": True}
            assert told["message"]["target_agent"] == "*"
            with pytest.raises(BadArguments):
                mesh.send("p", {"payload": 1})

    run(scenario)


def test_awaited_sends_wait_for_a_sidecar_that_does_not_read_and_none_is_lost() -> None:
    async def scenario() -> None:
        async with serving(Agent("a")) as (_, client, mesh):
            total, sent = 200, 0
            client.writer.transport.pause_reading()  # type: ignore[attr-defined]

            async def produce() -> None:
                nonlocal sent
                for number in range(total):
                    await mesh.send("p", {"type": "data", "request_id": str(number), "payload": "x" * 65_536})
                    sent += 1

            producing = asyncio.ensure_future(produce())
            while mesh._port._room is None:  # type: ignore[attr-defined]  # noqa: ASYNC110 -- one turn, no wait
                await asyncio.sleep(0)
            stuck_at = sent
            for _ in range(100):
                await asyncio.sleep(0)
            assert sent == stuck_at < total
            client.writer.transport.resume_reading()  # type: ignore[attr-defined]
            for number in range(total):
                line = await client.expect("send")
                assert line["message"]["request_id"] == str(number)
            await producing

    run(scenario)


def test_sends_that_nobody_awaits_are_refused_once_too_many_bytes_wait() -> None:
    async def scenario() -> None:
        async with serving(Agent("a")) as (_, client, mesh):
            client.writer.transport.pause_reading()  # type: ignore[attr-defined]

            def flood() -> None:
                for _ in range(200):
                    mesh.send("p", {"type": "data", "payload": "x" * 65_536})

            with pytest.raises(Overloaded):
                flood()

    run(scenario)


def test_a_send_from_a_sync_skill_is_written_too() -> None:
    async def scenario() -> None:
        agent = Agent("a")

        @agent.skill
        def tell(ctx: Context) -> None:
            ctx.send("p", "from a thread")

        async with serving(agent) as (_, client, _mesh):
            client.task("tell")
            lines = [await client.read(), await client.read()]
            sent = next(each["payload"] for each in lines if each["type"] == "send")
            assert sent["message"]["payload"]["message"] == "from a thread"

    run(scenario)


def test_an_error_that_answers_no_call_reaches_on_error() -> None:
    async def scenario() -> None:
        agent = Agent("a")
        errors: asyncio.Queue[SeameshError] = asyncio.Queue()
        agent.on_error(errors.put_nowait)
        async with serving(agent) as (_, client, _mesh):
            client.write("error", {"code": "no_link", "detail": "no link to p", "fault": "network", "retry": "later"})
            error = await errors.get()
            assert isinstance(error, LinkError)
            assert (error.code, error.retry) == ("no_link", "later")

    run(scenario)
