"""Each built-in skill does what it says, over links, through the queue, and when it cannot."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from seamesh import Agent, Context, SeameshError, SkillError
from seamesh.builtin import NAMES
from seamesh.testing import FakeMesh

BOTH = pytest.mark.parametrize("linked", [True, False], ids=["link", "queue"])


def desk() -> Agent:
    """An agent that only has the built-in skills."""
    return Agent("desk", builtin=NAMES)


class Worker:
    """An agent with a skill and a prompt handler, and what was asked of it."""

    def __init__(self) -> None:
        self.agent = Agent("worker", description="Works.", builtin=["user_intervention"])
        self.heard: asyncio.Queue[str] = asyncio.Queue()

        @self.agent.skill
        async def dig(message: str, depth: int = 1) -> str:
            self.heard.put_nowait(f"dig {message} {depth}")
            return f"dug {message}, {depth} deep"

        @self.agent.on_prompt
        async def read(ctx: Context, message: str) -> str:
            self.heard.put_nowait(f"read {message} of {ctx.from_agent}")
            return message.upper()


def ask(builtin: str, linked: bool = True, /, **arguments: Any) -> tuple[Any, Worker, list[str]]:
    """Asks the desk for a built-in skill; gives its result, the worker, and the paths of all the work behind it."""

    async def scenario() -> tuple[Any, Worker, list[str]]:
        worker = Worker()
        async with FakeMesh(desk(), worker.agent, linked=linked) as mesh:
            result = await mesh.call(builtin, to="desk", payload=arguments)
            await mesh.settled()
            return result, worker, [task.path for task in mesh.tasks[1:]]

    return asyncio.run(asyncio.wait_for(scenario(), 10))


@BOTH
def test_list_agents_tells_who_is_there_and_who_is_linked(linked: bool) -> None:
    agents, _, _ = ask("list_agents", linked)
    assert [(agent["agent_id"], agent["linked"]) for agent in agents] == [("desk", False), ("worker", linked)]
    assert agents[1]["skills"] == ["agent_prompt", "dig", "user_intervention"]
    assert [agent["agent_id"] for agent in ask("list_agents", skill="dig")[0]] == ["worker"]
    assert ask("list_agents", skill="fly")[0] == []


def test_find_agent_names_who_offers_a_skill_or_says_that_nobody_does() -> None:
    assert ask("find_agent", skill="dig")[0]["agent_id"] == "worker"
    with pytest.raises(SkillError, match="no healthy agent offers 'fly'"):
        ask("find_agent", skill="fly")


@BOTH
def test_delegate_by_agent_by_skill_and_by_both(linked: bool) -> None:
    path = ["direct" if linked else "queue"]
    result, worker, paths = ask("delegate", linked, message="a hole", skill="dig")
    assert (result, worker.heard.get_nowait(), paths) == ("dug a hole, 1 deep", "dig a hole 1", path)
    result, worker, paths = ask("delegate", linked, message="hello", target_agent_id="worker")
    assert (result, worker.heard.get_nowait(), paths) == ("HELLO", "read hello of desk", path)
    arguments = {"message": "a well", "depth": 9}
    result, worker, paths = ask("delegate", linked, target_agent_id="worker", skill="dig", arguments=arguments)
    assert (result, worker.heard.get_nowait(), paths) == ("dug a well, 9 deep", "dig a well 9", path)


@BOTH
def test_delegate_without_waiting_gives_the_tasks_name_and_the_work_is_done(linked: bool) -> None:
    result, worker, paths = ask("delegate", linked, message="later", skill="dig", wait=False)
    assert (result, paths) == ({"task_id": "task-2"}, ["queue"])
    assert worker.heard.get_nowait() == "dig later 1"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"message": "x"}, "bad_arguments"),
        ({"message": "x", "skill": "fly"}, "no_agent"),
        ({"message": "x", "skill": "dig", "target_agent_id": "nobody"}, "agent_unknown"),
        ({"skill": "dig", "arguments": {"depth": "deep"}}, "bad_arguments"),
    ],
    ids=["neither agent nor skill", "nobody offers it", "no such agent", "wrong arguments"],
)
def test_delegate_tells_what_is_wrong(arguments: dict[str, Any], code: str) -> None:
    with pytest.raises(SeameshError) as refused:
        ask("delegate", **arguments)
    assert code in str(refused.value)


@BOTH
def test_mesh_send_is_read(linked: bool) -> None:
    result, worker, paths = ask("mesh_send", linked, target_agent_id="worker", message="hi")
    assert result == ({"path": "direct"} if linked else {"path": "queue", "task_id": "task-2"})
    assert paths == ([] if linked else ["queue"])
    assert worker.heard.get_nowait() == "read hi of desk"


def test_mesh_send_tells_that_nobody_is_there() -> None:
    with pytest.raises(SkillError, match="agent_unknown"):
        ask("mesh_send", target_agent_id="nobody", message="hi")


@BOTH
def test_mesh_broadcast_is_read(linked: bool) -> None:
    result, worker, _ = ask("mesh_broadcast", linked, message="all hands")
    near, far = (["worker"], []) if linked else ([], ["worker"])
    assert result == {"direct": near, "queue": far, "unreached": []}
    assert worker.heard.get_nowait() == "read all hands of desk"


@BOTH
def test_user_intervention_is_a_word_to_the_prompt_handler(linked: bool) -> None:
    async def scenario() -> None:
        worker = Worker()
        async with FakeMesh(worker.agent, linked=linked) as mesh:
            assert await mesh.call("user_intervention", message="stop") == "STOP"
            assert worker.heard.get_nowait() == "read stop of "

    asyncio.run(scenario())


def test_user_intervention_without_a_prompt_handler_says_so() -> None:
    with pytest.raises(SeameshError, match="on_prompt") as refused:
        ask("user_intervention", message="stop")
    assert refused.value.code == "nobody_answers"


def test_a_built_in_skill_that_is_none_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="no built-in skill 'fly'; there are: list_agents"):
        Agent("a", builtin=["fly"])


def test_the_users_own_skill_stays() -> None:
    agent = Agent("a")

    @agent.skill
    def delegate(message: str) -> str:
        return message

    agent.add_builtin("delegate")
    assert agent.skills["delegate"].function is delegate
