"""An agent and its sidecar's socket: a real Unix server speaks real lines, and sees what the agent did."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from session_scenario import echo_agent, error_code, outcome, run, serving
from sidecar_end import CAP_S, Client, server

from seamesh import (
    Agent,
    BadArguments,
    Canceled,
    Context,
    Mesh,
    NoAgent,
    SeameshError,
    SidecarUnavailable,
    SkillError,
    Timeout,
)

# hello, welcome.


def test_hello_tells_the_agents_profile() -> None:
    async def scenario() -> None:
        async with server() as made, echo_agent().connected(made.path, wait=False):
            hello = await (await made.accept()).greet()
            assert hello["agent"]["agent_id"] == "echo"
            assert [s["name"] for s in hello["agent"]["skills"]] == ["echo"]
            assert hello["agent"]["skills"][0]["input_schema"]["required"] == ["text"]

    run(scenario)


def test_welcome_and_registry_tell_where_the_agent_is() -> None:
    async def scenario() -> None:
        agent = Agent("a")
        changes: asyncio.Queue[bool] = asyncio.Queue()
        agent.on_registry(changes.put_nowait)
        async with server() as made, agent.connected(made.path, wait=False) as mesh:
            client = await made.accept()
            await client.greet(peer_id="a-sidecar", registry_connected=False)
            client.write("registry", {"connected": True})
            assert await changes.get() is True
            assert (mesh.peer_id, mesh.registry_connected) == ("a-sidecar", True)
            client.write("registry", {"connected": False})
            assert await changes.get() is False
            assert mesh.registry_connected is False

    run(scenario)


# task.


def test_a_task_is_executed_and_its_result_told() -> None:
    async def scenario() -> None:
        async with serving(echo_agent()) as (_, client, _mesh):
            client.task("echo", {"text": "hé"}, task_id="t7", attempt=3)
            answer = await client.expect("respond")
            assert answer == {"task_id": "t7", "attempt": 3, "outcome": {"state": "completed", "result": "hé"}}

    run(scenario)


def test_the_context_tells_the_task_at_hand() -> None:
    async def scenario() -> None:
        agent = Agent("a")

        @agent.skill
        async def where(ctx: Context) -> list[Any]:
            inside = 0 < ctx.remaining <= 60 and ctx.deadline > 0
            return [ctx.task_id, ctx.attempt, ctx.from_agent, ctx.path, ctx.parent_id, inside, ctx.agent_id]

        async with serving(agent) as (_, client, _mesh):
            client.task("where", task_id="t1", attempt=2, parent_id="t0", path="queue")
            assert (await outcome(client))["result"] == ["t1", 2, "asker", "queue", "t0", True, "a"]

    run(scenario)


def test_a_slow_sync_skill_does_not_block_the_next_task() -> None:
    async def scenario() -> None:
        agent = echo_agent()
        release = threading.Event()

        @agent.skill
        def slow() -> str:
            assert release.wait(CAP_S)
            return "slow"

        async with serving(agent) as (_, client, _mesh):
            for number in range(20):
                client.task("slow", task_id=f"slow{number}")
            client.task("echo", {"text": "quick"}, task_id="quick")
            assert (await client.expect("respond"))["task_id"] == "quick"
            release.set()
            assert {(await client.expect("respond"))["task_id"] for _ in range(20)} == {f"slow{n}" for n in range(20)}

    run(scenario)


@pytest.mark.parametrize(
    ("raised", "code", "text"),
    [
        (ValueError("no such page"), "skill_failed", "ValueError: no such page"),
        (KeyError(), "skill_failed", "KeyError"),
        (SkillError("out of ink"), "skill_failed", "out of ink"),
        (SkillError("not_found", "no such page"), "not_found", "no such page"),
        (SkillError("ink_low", "buy some"), "skill_failed", "ink_low: buy some"),
        (NoAgent("nobody"), "skill_failed", "no_agent: nobody"),
        (SystemExit(3), "skill_failed", "SystemExit: 3"),
        (StopIteration(), "skill_failed", "StopIteration"),
        (asyncio.CancelledError(), "skill_failed", "CancelledError"),
    ],
)
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_whatever_a_skill_raises_is_an_answer_and_the_agent_lives(
    raised: BaseException, code: str, text: str, kind: str
) -> None:
    async def scenario() -> None:
        agent = echo_agent()

        def sync_bad() -> None:
            raise raised

        async def async_bad() -> None:
            raise raised

        agent.skill(name="bad")(sync_bad if kind == "sync" else async_bad)
        async with serving(agent) as (_, client, _mesh):
            client.task("bad")
            told = (await outcome(client))["error"]
            assert told["code"] == code
            assert text in told["message"] or "StopIteration" in told["message"]
            assert "Traceback" not in told["message"]
            client.task("echo", {"text": "still here"}, task_id="t2")
            assert (await outcome(client))["result"] == "still here"

    run(scenario)


def deep() -> Any:
    """A value nested deeper than other ends read."""
    value: Any = 1
    for _ in range(200):
        value = [value]
    return value


def cycle() -> Any:
    """A value that holds itself."""
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (object(), "bad_result"),
        ("\ud800", "bad_result"),
        (cycle(), "bad_result"),
        (deep(), "bad_result"),
        ("x" * 1_100_000, "too_large"),
        ({1j: 2}, "bad_result"),
    ],
    ids=["object", "surrogate", "cycle", "deep", "large", "key"],
)
def test_a_result_that_cannot_travel_is_a_bad_result(value: Any, code: str) -> None:
    async def scenario() -> None:
        agent = Agent("a")
        agent.skill(name="give")(lambda: value)
        async with serving(agent) as (_, client, _mesh):
            client.task("give")
            assert await error_code(client) == code

    run(scenario)


def test_arguments_that_do_not_fit_and_unknown_skills_are_the_callers_fault() -> None:
    async def scenario() -> None:
        async with serving(echo_agent()) as (_, client, _mesh):
            client.task("echo", {"text": 1})
            told = (await outcome(client))["error"]
            assert (told["code"], "text" in told["message"]) == ("bad_arguments", True)
            client.task("sing", task_id="t2")
            told = (await outcome(client))["error"]
            assert (told["code"], "echo" in told["message"]) == ("skill_unknown", True)

    run(scenario)


# task_cancel.


def test_task_cancel_reaches_an_async_skill_as_cancellation() -> None:
    async def scenario() -> None:
        agent = Agent("a")
        began, ended = asyncio.Event(), asyncio.Event()

        @agent.skill
        async def wait_forever() -> None:
            began.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

        async with serving(agent) as (_, client, _mesh):
            client.task("wait_forever")
            await began.wait()
            client.write("task_cancel", {"task_id": "t1", "attempt": 1, "code": "canceled"})
            assert (await outcome(client))["state"] == "canceled"
            assert ended.is_set()

    run(scenario)


def test_a_task_canceled_in_the_same_read_it_came_with_is_answered() -> None:
    async def scenario() -> None:
        async with serving(echo_agent()) as (_, client, _mesh):
            client.raw(
                b'{"type":"task","payload":{"task_id":"t1","attempt":1,"skill":"echo","timeout_ms":9}}\n'
                b'{"type":"task_cancel","payload":{"task_id":"t1","attempt":1,"code":"expired"}}\n'
            )
            assert (await outcome(client))["state"] == "canceled"

    run(scenario)


def test_a_sync_skill_sees_that_it_was_canceled_and_what_it_awaits_ends() -> None:
    async def scenario() -> None:
        agent = Agent("a")
        seen: list[Any] = []

        @agent.skill
        def ask(ctx: Context) -> None:
            try:
                ctx.run(ctx.delegate("other"))
            except Canceled:
                seen.append(ctx.canceled)
                raise

        async with serving(agent) as (_, client, _mesh):
            client.task("ask")
            asked = await client.expect("request")
            client.write("task_cancel", {"task_id": "t1", "attempt": 1, "code": "canceled"})
            lines = [await client.read(), await client.read()]
            by_kind = {each["type"]: each["payload"] for each in lines}
            assert by_kind["cancel"] == {"request_id": asked["request_id"]}, "cancellation travels on"
            assert by_kind["respond"]["outcome"]["state"] == "canceled"
            assert seen == [True]

    run(scenario)


# request, accepted, response, cancel.


def delegating(**options: Any) -> Agent:
    """An agent whose skill delegates with these options, and gives what comes back."""
    agent = Agent("a")

    @agent.skill
    async def ask(ctx: Context) -> Any:
        try:
            return await ctx.delegate("search", **options)
        except SeameshError as error:
            return [type(error).__name__, error.code, error.fault, error.retry, error.message]

    return agent


def test_a_delegation_goes_out_under_its_parent_and_its_result_comes_back() -> None:
    async def scenario() -> None:
        async with serving(delegating(query="x", limit=3, to="librarian", via="queue")) as (_, client, _mesh):
            client.task("ask", timeout_ms=30_000)
            request = await client.expect("request")
            assert 0 < request["timeout_ms"] <= 30_000, "the deadline travels"
            assert request["payload"] == {"query": "x", "limit": 3}
            assert (request["skill"], request["to"], request["via"]) == ("search", "librarian", "queue")
            assert (request["wait"], request["parent"]) == (True, "t1")
            found = {"request_id": request["request_id"], "task_id": "t2"}
            client.write("accepted", {**found, "path": "queue"})
            client.write("response", {**found, "outcome": {"state": "completed", "result": {"hits": [1]}}})
            assert (await outcome(client))["result"] == {"hits": [1]}

    run(scenario)


def test_without_waiting_accepted_is_the_last_word() -> None:
    async def scenario() -> None:
        async with serving(delegating(wait=False)) as (_, client, _mesh):
            client.task("ask")
            request = await client.expect("request")
            assert request["wait"] is False
            client.write("accepted", {"request_id": request["request_id"], "task_id": "t9", "path": "queue"})
            assert (await outcome(client))["result"] == "t9"

    run(scenario)


@pytest.mark.parametrize(
    ("ended", "expected"),
    [
        ({"state": "failed", "error": {"code": "skill_failed", "message": "m"}}, "SkillError"),
        ({"state": "failed", "error": {"code": "bad_arguments", "message": "m"}}, "BadArguments"),
        ({"state": "failed", "error": {"code": "expired", "message": "m"}}, "Timeout"),
        ({"state": "failed", "error": {"code": "deadline_exceeded", "message": "m"}}, "Timeout"),
        ({"state": "canceled", "error": {"code": "canceled", "message": "m"}}, "Canceled"),
        ({"state": "failed", "error": {"code": "attempts_exhausted", "message": "m"}}, "SeameshError"),
    ],
)
def test_a_failed_response_is_the_exception_of_its_code(ended: Any, expected: str) -> None:
    async def scenario() -> None:
        async with serving(delegating()) as (_, client, _mesh):
            client.task("ask")
            request = await client.expect("request")
            client.write("response", {"request_id": request["request_id"], "task_id": "t2", "outcome": ended})
            name, code, _, _, message = (await outcome(client))["result"]
            assert (name, code, message) == (expected, ended["error"]["code"], "m")

    run(scenario)


def test_a_refused_request_carries_fault_and_retry() -> None:
    async def scenario() -> None:
        async with serving(delegating()) as (_, client, _mesh):
            client.task("ask")
            request = await client.expect("request")
            problem = {"code": "no_agent", "detail": "nobody", "fault": "caller", "retry": "later"}
            client.write("error", {**problem, "request_id": request["request_id"]})
            assert (await outcome(client))["result"] == ["NoAgent", "no_agent", "caller", "later", "nobody"]

    run(scenario)


def test_arguments_that_are_not_json_never_leave() -> None:
    async def scenario() -> None:
        async with serving(delegating(payload=object())) as (_, client, _mesh):
            client.task("ask")
            assert (await outcome(client))["result"][0] == "BadArguments"

    run(scenario)


def test_a_caller_that_gives_up_cancels_its_request() -> None:
    async def scenario() -> None:
        async with serving(Agent("a")) as (_, client, mesh):
            asking = asyncio.ensure_future(mesh.delegate("search"))
            request = await client.expect("request")
            asking.cancel()
            assert await client.expect("cancel") == {"request_id": request["request_id"]}
            with pytest.raises(asyncio.CancelledError):
                await asking

    run(scenario)


def test_a_deadline_that_has_passed_asks_nobody() -> None:
    async def scenario() -> None:
        async with serving(Agent("a")) as (_, _client, mesh):
            with pytest.raises(Timeout):
                await mesh.delegate("search", timeout=0)
            with pytest.raises(BadArguments):
                await mesh.delegate("search", payload=[1], q="both")

    run(scenario)


def test_run_is_for_threads_only() -> None:
    async def scenario() -> None:
        async with serving(Agent("a")) as (_, _client, mesh):
            with pytest.raises(RuntimeError, match="await"):
                mesh.run(mesh.peers())

    run(scenario)


# Bad lines, reconnects, the end.


def test_malformed_and_oversized_lines_are_skipped_and_the_next_task_runs() -> None:
    async def scenario() -> None:
        async with serving(echo_agent()) as (_, client, _mesh):
            for bad in (b"{\n", b"\n", b"\xff\xfe\n", b'{"type":"nonsense"}\n', b'{"type":"task"}\n'):
                client.raw(bad)
            client.raw(b'{"type":"message","payload":"' + b"x" * (17 * 1024 * 1024) + b'"}\n')
            client.task("echo", {"text": "alive"})
            assert (await outcome(client))["result"] == "alive"

    run(scenario)


def test_a_second_welcome_and_strange_order_do_no_harm() -> None:
    async def scenario() -> None:
        async with serving(echo_agent()) as (_, client, mesh):
            client.welcome(peer_id="renamed")
            client.write("peer_list", {"peers": []})
            client.write("task_cancel", {"task_id": "never", "attempt": 1, "code": "canceled"})
            client.write("accepted", {"request_id": "never", "task_id": "t", "path": "queue"})
            client.task("echo", {"text": "alive"})
            assert (await outcome(client))["result"] == "alive"
            assert mesh.peer_id == "renamed"

    run(scenario)


def test_the_agent_says_hello_again_to_a_sidecar_that_restarted_and_brings_its_answer() -> None:
    async def scenario() -> None:
        agent = Agent("a")
        go = asyncio.Event()

        @agent.skill
        async def work() -> str:
            await go.wait()
            return "done"

        async with serving(agent) as (made, client, mesh):
            asking = asyncio.ensure_future(mesh.delegate("search"))
            await client.expect("request")
            client.task("work")
            listing = asyncio.ensure_future(mesh.peers())
            await client.expect("list_peers")
            await made.stop()
            with pytest.raises(SidecarUnavailable):
                await asking
            with pytest.raises(SidecarUnavailable):
                await listing
            await made.start()
            client = await made.accept()
            hello = await client.greet()
            assert hello["running"] == [{"task_id": "t1", "attempt": 1, "timeout_ms": 60_000, "depth": 0}]
            go.set()
            assert (await outcome(client))["result"] == "done"

    run(scenario)


def test_an_agent_started_before_its_sidecar_waits_for_it() -> None:
    async def scenario() -> None:
        async with server() as made:
            await made.stop()
            async with echo_agent().connected(made.path, wait=False):
                await made.start()
                client = await made.greeted()
                client.task("echo", {"text": "x"})
                assert (await outcome(client))["result"] == "x"

    run(scenario)


def test_a_sidecar_that_is_busy_with_another_client_is_tried_again() -> None:
    async def scenario() -> None:
        async with server() as made, echo_agent().connected(made.path, wait=False):
            refused = await made.accept()
            await refused.expect("hello")
            refused.write("error", {"code": "sidecar_busy", "detail": "busy", "fault": "caller", "retry": "later"})
            refused.close()
            client = await made.greeted()
            client.task("echo", {"text": "x"})
            assert (await outcome(client))["result"] == "x"

    run(scenario)


def test_work_delegated_while_the_sidecar_restarts_waits_for_it() -> None:
    async def scenario() -> None:
        async with serving(Agent("a")) as (made, client, mesh):
            await client.hang_up()
            asking = asyncio.ensure_future(mesh.delegate("search"))
            client = await made.greeted()
            request = await client.expect("request")
            done = {"state": "completed", "result": 5}
            client.write("response", {"request_id": request["request_id"], "task_id": "t", "outcome": done})
            assert await asking == 5

    run(scenario)


def test_an_agent_that_stops_ends_its_tasks_says_goodbye_and_takes_no_more() -> None:
    async def scenario() -> None:
        agent = echo_agent()
        began, go, stop = asyncio.Event(), asyncio.Event(), asyncio.Event()

        @agent.skill
        async def work() -> str:
            began.set()
            await go.wait()
            return "done"

        async with server() as made:
            serving = asyncio.ensure_future(agent.serve(made.path, stop=stop))
            client = await made.greeted()
            client.task("work", task_id="t1")
            await began.wait()
            stop.set()
            go.set()
            assert (await outcome(client))["result"] == "done"
            await client.expect("goodbye")
            assert await client.ended()
            await serving

    run(scenario)


def test_work_that_does_not_end_in_time_is_left_to_goodbye() -> None:
    async def scenario() -> None:
        agent = Agent("a")
        ended = asyncio.Event()

        @agent.skill
        async def forever() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

        async with server() as made:
            async with agent.connected(made.path, wait=False, grace=0.01):
                client = await made.greeted()
                client.task("forever")
                await agent_took(client)
            await client.expect("goodbye")
            assert await client.ended(), "no respond: the sidecar hands the work back"

    run(scenario)


async def agent_took(client: Client) -> None:
    """Waits until the agent has read everything: it answers a task it has no skill for."""
    client.task("no-such-skill", task_id="probe")
    assert (await client.expect("respond"))["task_id"] == "probe"


def test_on_start_gets_the_mesh_once_and_may_fail() -> None:
    async def scenario() -> None:
        agent = echo_agent()

        @agent.on_start
        async def begin(mesh: Mesh) -> None:
            await mesh.send("p", "up")
            raise ValueError("no matter")

        async with serving(agent) as (_, client, _mesh):
            assert (await client.expect("send"))["message"]["payload"]["message"] == "up"
            client.task("echo", {"text": "x"})
            assert (await outcome(client))["result"] == "x"

    run(scenario)


def test_no_socket_named_is_an_error_that_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEAMESH_SOCKET", raising=False)
    with pytest.raises(SidecarUnavailable, match="seamesh run"):
        asyncio.run(Agent("a").serve())
