"""Agents without a sidecar: what comes in a heartbeat's answer is run, and its result posted."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from registry_end import CAP_S, Registry, end, problem, running, serve, work

from seamesh import (
    Agent,
    Context,
    LinkError,
    NoAgent,
    NobodyAnswers,
    NotStreamed,
    Progress,
    SkillError,
    Timeout,
    Unauthorized,
    http_agent,
)
from seamesh._registry_client import RegistryClient
from seamesh.errors import SeameshError
from seamesh.http_agent import HttpAgent

BEAT = "POST /api/hub/heartbeat"
REGISTER = "POST /api/registry/agents"
TOKEN = "POST /api/token"


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries come at once: no test waits for a pause."""
    monkeypatch.setattr(http_agent, "FIRST_RETRY_S", 0.01)
    monkeypatch.setattr(http_agent, "LAST_RETRY_S", 0.05)


def echo_agent() -> Agent:
    """An agent with one skill."""
    agent = Agent("a", description="Echoes.", hostname="box")

    @agent.skill
    async def echo(text: str = "nothing") -> str:
        """Says it again."""
        return text

    return agent


def serving(
    registry: Registry,
    agent: Agent,
    scenario: Callable[[], None],
    *,
    interval: float = 60.0,
    key: str = "key",
    grace: float = 5.0,
) -> None:
    """Runs an agent, and meanwhile a scenario in a thread that watches what the registry is asked."""

    async def both() -> None:
        stop = asyncio.Event()
        served = HttpAgent(registry.url, key, agent, interval=interval)
        loop = asyncio.ensure_future(served.serve(stop=stop, grace=grace))
        try:
            async with asyncio.timeout(4 * CAP_S):
                await asyncio.to_thread(scenario)
        finally:
            stop.set()
            await loop

    asyncio.run(both())


def happened(event: threading.Event) -> None:
    """Waits for an event of a skill."""
    assert event.wait(CAP_S)


def test_the_task_of_pending_tasks_is_executed_and_its_result_posted() -> None:
    agent, ran = Agent("a"), threading.Event()

    @agent.skill
    def shout(text: str) -> str:
        ran.set()
        return text.upper()

    with running() as registry:
        registry.pending.append(work("t1", "shout", {"text": "hey"}, lease=42))

        def scenario() -> None:
            assert registry.posted("t1") == {"state": "completed", "result": "HEY", "error": "", "lease": 42}
            assert ran.is_set()

        serving(registry, agent, scenario)


def test_every_task_of_one_answer_is_executed_a_slow_one_blocks_none() -> None:
    agent, release = echo_agent(), threading.Event()

    @agent.skill
    def slow() -> str:
        assert release.wait(CAP_S)
        return "slow"

    with running() as registry:
        registry.pending += [work("s1", "slow"), work("s2", "slow"), work("t1", "echo", {"text": "x"})]

        def scenario() -> None:
            assert registry.posted("t1")["result"] == "x"
            release.set()
            assert registry.posted("s1")["result"] == registry.posted("s2")["result"] == "slow"

        serving(registry, agent, scenario)


def test_it_registers_with_its_skills_before_it_beats_and_leaves_when_it_stops() -> None:
    with running() as registry:

        def scenario() -> None:
            info = registry.next(REGISTER).body
            assert (info["agent_id"], info["hostname"], info["capabilities"]["skills"]) == ("a", "box", ["echo"])
            assert info["skills"][0]["input_schema"]["type"] == "object"
            beat = registry.next(BEAT).body
            assert (beat["agent_id"], beat["skill_names"], beat["max_tasks"]) == ("a", ["echo"], 64)

        serving(registry, echo_agent(), scenario)
        assert registry.next("DELETE /api/registry/agents/a")


def test_finished_work_is_followed_by_a_beat_at_once() -> None:
    with running() as registry:
        registry.pending.append(work("t1"))

        def scenario() -> None:
            registry.next(BEAT)
            registry.posted("t1")
            registry.next(BEAT)  # the interval is a minute

        serving(registry, echo_agent(), scenario)


@pytest.mark.parametrize(
    ("task", "text"),
    [
        (work(skill="echo", payload={"text": 5}), "bad_arguments: echo: Expected `str`, got `int` (field 'text')"),
        (work(skill="sing"), "skill_unknown: no skill 'sing' here; there are: echo, fail"),
        (work(skill="fail"), "ValueError: no"),
    ],
)
def test_work_that_fails_is_posted_as_failed_with_the_reason(task: dict[str, Any], text: str) -> None:
    agent = echo_agent()

    @agent.skill
    def fail() -> None:
        raise ValueError("no")

    with running() as registry:
        registry.pending.append(task)

        def scenario() -> None:
            assert registry.posted("t1") == {"state": "failed", "result": None, "error": text, "lease": 7}

        serving(registry, agent, scenario)


def test_after_a_lost_heartbeat_answer_the_next_beat_names_no_lease_so_the_work_is_handed_out_again() -> None:
    with running() as registry:
        registry.answers[BEAT] = [None]  # the registry assigned work, and the answer got lost

        def scenario() -> None:
            registry.next(BEAT)
            assert registry.next(BEAT).body["leases"] == []
            registry.pending.append(work("t1", attempt=2, lease=8))
            assert registry.posted("t1")["lease"] == 8

        serving(registry, echo_agent(), scenario, interval=0.02)


def test_every_beat_names_the_leases_it_works_under_until_their_results_are_posted() -> None:
    agent, release = Agent("a"), threading.Event()

    @agent.skill
    def slow() -> str:
        assert release.wait(CAP_S)
        return "done"

    with running() as registry:
        registry.pending.append(work("t1", "slow", lease=9))

        def scenario() -> None:
            assert registry.next(BEAT).body["leases"] == []
            for _ in range(2):
                beat = registry.next(BEAT).body
                assert beat["leases"] == [{"task_id": "t1", "lease": 9}]
                assert beat["max_tasks"] == 63
            release.set()
            assert registry.posted("t1")["result"] == "done"
            while registry.next(BEAT).body["leases"]:
                pass

        serving(registry, agent, scenario, interval=0.02)


def test_the_same_hand_out_twice_is_run_once() -> None:
    agent, runs, release = Agent("a"), [], threading.Event()

    @agent.skill
    def slow() -> None:
        runs.append(1)
        assert release.wait(CAP_S)

    with running() as registry:
        registry.pending += [work("t1", "slow"), work("t1", "slow")]

        def scenario() -> None:
            registry.next(BEAT)
            release.set()
            registry.posted("t1")
            registry.next(BEAT)

        serving(registry, agent, scenario)
    assert runs == [1]
    assert registry.asked("POST /api/hub/tasks/t1").empty()


def test_a_refused_token_is_renewed_and_the_call_made_again() -> None:
    with running() as registry:

        def scenario() -> None:
            registry.next(BEAT)
            registry.valid.clear()  # the registry restarted with another secret
            registry.pending.append(work("t1"))
            assert registry.posted("t1")["state"] == "completed"
            assert registry.issued == 2

        serving(registry, echo_agent(), scenario, interval=0.02)


def test_a_token_is_renewed_before_it_expires() -> None:
    with running() as registry:
        registry.token_life_s = 1

        def scenario() -> None:
            for _ in range(3):
                registry.next(TOKEN)

        serving(registry, echo_agent(), scenario, interval=0.02)


def test_a_wrong_key_is_tried_again_and_never_ends_the_agent() -> None:
    with running() as registry:

        def scenario() -> None:
            for _ in range(3):
                registry.next(TOKEN)
            registry.answers[TOKEN] = [(200, {"token": "h.e.y", "peer_id": "p", "role": "agent"})]
            registry.valid.add("h.e.y")
            registry.next(BEAT)

        serving(registry, echo_agent(), scenario, key="wrong")


def test_a_registry_that_is_away_is_waited_for_and_a_result_is_not_lost_meanwhile() -> None:
    agent, release = Agent("a"), threading.Event()

    @agent.skill
    def slow() -> str:
        assert release.wait(CAP_S)
        return "kept"

    registry = Registry()
    server = serve(registry)
    registry.pending.append(work("t1", "slow"))
    port = server.server_port

    def scenario() -> None:
        nonlocal server
        registry.next(BEAT)
        end(server)
        release.set()
        server = serve(registry, port)
        assert registry.posted("t1")["result"] == "kept"

    try:
        serving(registry, agent, scenario, interval=0.02)
    finally:
        end(server)


def test_an_agent_started_before_its_registry_waits_for_it() -> None:
    registry = Registry()
    server = serve(registry)
    port = server.server_port
    end(server)
    made: list[Any] = []

    def scenario() -> None:
        made.append(serve(registry, port))
        registry.pending.append(work("t1"))
        assert registry.posted("t1")["state"] == "completed"

    serving(registry, echo_agent(), scenario)
    end(made[0])


@pytest.mark.parametrize(
    "answer", [(200, b"not json"), (200, {"status": "ok"}), (500, b""), (503, b"<html>"), (200, [1]), None]
)
def test_an_answer_that_is_none_is_survived(answer: Any) -> None:
    with running() as registry:
        registry.answers[BEAT] = [answer]
        registry.answers[REGISTER] = [problem(429, "rate_limited", "slow down", "later")]
        registry.pending.append(work("t1"))
        serving(registry, echo_agent(), lambda: registry.posted("t1"))


def test_a_result_that_meets_a_full_store_is_posted_again_and_a_stale_one_is_not() -> None:
    with running() as registry:
        full = problem(503, "store_unavailable", "disk full", "later")
        registry.answers["POST /api/hub/tasks/t1"] = [full, None]
        registry.answers["POST /api/hub/tasks/t2"] = [problem(409, "lease_stale", "another attempt has it")]
        registry.pending += [work("t1"), work("t2")]

        def scenario() -> None:
            # The broken-off one arrives too.
            assert [registry.posted("t1")["state"] for _ in range(3)] == ["completed"] * 3
            registry.posted("t2")
            registry.next(BEAT)

        serving(registry, echo_agent(), scenario)
        assert registry.asked("POST /api/hub/tasks/t2").empty()


def test_an_agent_the_registry_forgot_registers_again() -> None:
    with running() as registry:
        registry.answers[BEAT] = [problem(404, "agent_unknown", "who?")]

        def scenario() -> None:
            registry.next(REGISTER)
            registry.next(REGISTER)

        serving(registry, echo_agent(), scenario)


def test_work_that_does_not_end_before_the_stop_is_handed_back() -> None:
    agent, began = Agent("a"), threading.Event()

    @agent.skill
    async def forever() -> None:
        began.set()
        await asyncio.Event().wait()

    with running() as registry:
        registry.pending.append(work("t1", "forever"))
        serving(registry, agent, lambda: happened(began), grace=0.01)
        assert registry.posted("t1") == {"state": "pending", "result": None, "error": "", "lease": 7}


def test_work_past_its_time_to_live_is_stopped_and_not_posted() -> None:
    agent, ended = Agent("a"), threading.Event()

    @agent.skill
    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    with running() as registry:
        registry.pending.append(work("t1", "forever", ttl=0))
        serving(registry, agent, lambda: happened(ended))
        assert ended.is_set()
        assert registry.asked("POST /api/hub/tasks/t1").empty()


# Delegating without links.


def asking(registry: Registry, ask: Callable[[Context], Awaitable[Any]]) -> Any:
    """Runs ``ask`` in a skill, and gives what it posts."""
    agent = Agent("a")

    @agent.skill(name="ask")
    async def skill(ctx: Context) -> Any:
        return await ask(ctx)

    registry.pending.append(work("t1", "ask", root_id="t0", depth=2))
    answers: list[Any] = []
    serving(registry, agent, lambda: answers.append(registry.posted("t1")))
    return answers[0]


def test_a_delegation_is_submitted_under_its_parent_and_awaited() -> None:
    with running() as registry:
        registry.answers["POST /api/hub/tasks"] = [(200, {"task_id": "t2"})]
        done = work("t2", state="completed", result={"hits": []})
        registry.answers["GET /api/hub/tasks/t2/wait"] = [(200, work("t2")), (200, done)]
        posted = asking(registry, lambda ctx: ctx.delegate("search", to="librarian", query="x", timeout=9))
        assert posted["result"] == {"hits": []}
        body = registry.next("POST /api/hub/tasks").body
        assert (body["skill"], body["target_agent_id"], body["payload"]) == ("search", "librarian", {"query": "x"})
        assert (body["parent_id"], body["root_id"], body["depth"], body["ttl"]) == ("t1", "t0", 3, 9)
        assert "timeout_ms=" in registry.next("GET /api/hub/tasks/t2/wait").query


def test_without_waiting_the_task_id_is_the_answer() -> None:
    with running() as registry:
        registry.answers["POST /api/hub/tasks"] = [(200, {"task_id": "t2"})]
        assert asking(registry, lambda ctx: ctx.delegate("search", wait=False))["result"] == "t2"
        assert registry.asked("GET /api/hub/tasks/t2/wait").empty()


def test_a_delegation_that_fails_or_times_out_raises_what_it_says() -> None:
    async def ask(ctx: Context) -> list[str]:
        names = []
        for kind, timeout in ((SkillError, 5.0), (Timeout, 0.05)):
            with pytest.raises(kind):
                await ctx.delegate("search", timeout=timeout)
            names.append(kind.__name__)
        with pytest.raises(LinkError):
            await ctx.delegate("search", via="direct")
        with pytest.raises(LinkError):
            ctx.send("p", "x")
        return names

    with running() as registry:
        registry.answers["POST /api/hub/tasks"] = [(200, {"task_id": "t2"}), (200, {"task_id": "t3"})]
        failed = work("t2", state="failed", error="broken", error_code="skill_failed")
        registry.answers["GET /api/hub/tasks/t2/wait"] = [(200, failed)]
        registry.answers["GET /api/hub/tasks/t3/wait"] = [(200, work("t3"))] * 1000
        assert asking(registry, ask)["result"] == ["SkillError", "Timeout"]
        assert registry.next("POST /api/hub/tasks/t3/cancel"), "nobody waits for it any more"


def test_progress_of_queued_work_is_told_as_the_registry_tells_it() -> None:
    heard: list[Progress] = []
    with running() as registry:
        registry.answers["POST /api/hub/tasks"] = [(200, {"task_id": "t2"})]
        told = [work("t2", progress={"note": "a"}), work("t2", progress={"note": "a"}), work("t2")]
        told.append(work("t2", progress={"fraction": 0.5}, state="completed", result="r"))
        registry.answers["GET /api/hub/tasks/t2/wait"] = [(200, each) for each in told]
        assert asking(registry, lambda ctx: ctx.delegate("search", on_progress=heard.append))["result"] == "r"
        assert heard == [Progress(note="a"), Progress(fraction=0.5)]


def test_without_a_sidecar_nothing_is_streamed_and_no_question_asked_or_answered() -> None:
    async def ask(ctx: Context) -> str:
        ctx.progress(0.5, "told to nobody")
        assert not ctx.is_streamed
        with pytest.raises(NotStreamed):
            await ctx.chunk(1)
        with pytest.raises(NobodyAnswers):
            await ctx.ask("Which?")
        with pytest.raises(NobodyAnswers):
            await ctx.delegate("search", on_question=lambda _: "this")
        async with ctx.stream("search") as stream:
            with pytest.raises(NotStreamed):
                await anext(stream)
        return "told"

    with running() as registry:
        assert asking(registry, ask)["result"] == "told"
        assert registry.asked("POST /api/hub/tasks").empty()


def test_agents_are_those_the_registry_lists() -> None:
    async def ask(ctx: Context) -> Any:
        with pytest.raises(NoAgent):
            await ctx.find("sing")
        return [agent.agent_id for agent in await ctx.agents("search")] + await ctx.peers()

    listed = {"hostname": "h", "health": "active", "registered_at": "t", "last_heartbeat": "t"}
    able = {"agent_id": "x", **listed, "skills": [{"name": "search"}]}
    with running() as registry:
        registry.answers["GET /api/registry/agents"] = [(200, [able]), (200, [able, {"agent_id": "y", **listed}])]
        assert asking(registry, ask)["result"] == ["x"]


def test_the_client_names_what_is_wrong_with_the_key() -> None:
    with running() as registry:
        with pytest.raises(Unauthorized):
            RegistryClient(registry.url, "wrong").call("list_agents")
        registry.answers[TOKEN] = [(401, b"")]
        with pytest.raises(Unauthorized, match="SEAMESH_API_KEY"):
            RegistryClient(registry.url, "key").call("list_agents")


@pytest.mark.parametrize(("url", "interval"), [("nonsense", 1.0), ("http://h", 0.0)])
def test_a_loop_that_cannot_work_is_refused_when_it_is_made(url: str, interval: float) -> None:
    with pytest.raises(ValueError, match=r"URL|interval"):
        HttpAgent(url, "key", Agent("a"), interval=interval)


def test_a_call_that_is_asked_to_wait_is_made_again_after_that_time() -> None:
    with running() as registry:
        limited = problem(429, "rate_limited", "too many requests", "later")
        registry.answers["GET /api/session"] = [limited, (200, {"peer_id": "peer", "role": "agent"})]
        client = RegistryClient(registry.url, "key")
        begun = time.monotonic()
        assert b"peer" in client.call("session")
        assert time.monotonic() - begun >= 1
        registry.answers["GET /api/session"] = [limited, limited]
        with pytest.raises(SeameshError) as told:
            client.call("session")
        assert told.value.code == "rate_limited"
