"""Built-in skills: what an agent can be asked to do in the mesh on somebody's behalf.

    agent = Agent("desk", builtin=["list_agents", "delegate"])

In a manifest: ``skills: {builtin: [list_agents, delegate]}``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from seamesh.context import Context
from seamesh.errors import BadArguments
from seamesh.mesh import PROMPT
from seamesh.prompts import INTERVENTION


class AgentSummary(msgspec.Struct, frozen=True):
    """An agent, as `list_agents` and `find_agent` tell of it."""

    agent_id: str
    description: str
    health: str
    skills: list[str]
    linked: bool


async def list_agents(ctx: Context, skill: str = "") -> list[AgentSummary]:
    """Lists the agents of the mesh, by name.

    Args:
        skill: only those that offer it; empty: all.
    """
    return [_summary(ctx, agent) for agent in await ctx.agents(skill or None)]


async def find_agent(ctx: Context, skill: str) -> AgentSummary:
    """Finds the agent to ask for a skill: healthy, with the fewest tasks.

    Args:
        skill: the skill it must offer.
    """
    return _summary(ctx, await ctx.find(skill))


async def delegate(
    ctx: Context,
    message: str = "",
    target_agent_id: str = "",
    skill: str = "",
    arguments: Any = None,
    wait: bool = True,
) -> Any:
    """Hands work to another agent: directly when it is linked, else through the queue. Gives its result, or without
    waiting {"task_id": …}.

    Args:
        message: what to do, in words; the skill gets it as its argument `message`.
        target_agent_id: the agent to ask; empty: any that offers the skill.
        skill: the skill to run; empty: the agent reads the message as a prompt.
        arguments: the skill's arguments, in place of the message.
        wait: whether to wait for the result.
    """
    if not skill and not target_agent_id:
        raise BadArguments("delegate: name a skill, an agent, or both")
    payload = {"message": message} if arguments is None else arguments
    to = target_agent_id or None
    result = await ctx.delegate(skill or PROMPT, to=to, wait=wait, payload=payload)
    return result if wait else {"task_id": result}


async def mesh_send(ctx: Context, target_agent_id: str, message: str) -> Any:
    """Says something to an agent: over the link to it, or through the queue. Gives {"path": …}, and for the queue the
    task's id.

    Args:
        target_agent_id: the agent.
        message: the text.
    """
    return await ctx.tell(target_agent_id, message)


async def mesh_broadcast(ctx: Context, message: str) -> Any:
    """Says something to every agent that reads messages: over links where there are, else through the queue. Gives who
    got it by which path, and who reads none.

    Args:
        message: the text.
    """
    return await ctx.tell_all(message)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    function.__name__: function for function in (list_agents, find_agent, delegate, mesh_send, mesh_broadcast)
}

NAMES = (*FUNCTIONS, INTERVENTION)
"""The built-in skills."""


def _summary(ctx: Context, agent: Any) -> AgentSummary:
    return AgentSummary(
        agent_id=agent.agent_id,
        description=agent.description or "",
        health=agent.health,
        skills=sorted({*agent.capabilities.skills, *(skill.name for skill in agent.skills)}),
        linked=ctx.is_linked(agent.sidecar_peer_id),
    )
