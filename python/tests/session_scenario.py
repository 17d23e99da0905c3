"""What the tests of a session share: an agent served by a real Unix socket, and a hard cap on every scenario."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from sidecar_end import CAP_S, Client, Line, Server, server

from seamesh import Agent, Mesh


@asynccontextmanager
async def serving(
    agent: Agent, hellos: list[Any] | None = None, *, grace: float = 5.0
) -> AsyncIterator[tuple[Server, Client, Mesh]]:
    """The agent, connected and greeted. What it said in ``hello`` is added to the list."""
    async with server() as made:

        async def greet() -> Client:
            client = await made.accept()
            hello = await client.greet()
            if hellos is not None:
                hellos.append(hello)
            return client

        greeting = asyncio.ensure_future(greet())
        async with agent.connected(made.path, grace=grace) as mesh:
            yield made, await greeting, mesh


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    """Runs a scenario with a hard cap."""

    async def capped() -> None:
        async with asyncio.timeout(6 * CAP_S):
            await scenario()

    asyncio.run(capped())


def echo_agent() -> Agent:
    """An agent with one skill."""
    agent = Agent("echo", description="Echoes.")

    @agent.skill
    async def echo(text: str) -> str:
        """Says it again."""
        return text

    return agent


async def outcome(client: Client) -> Any:
    """The outcome in the next line."""
    return (await client.expect("respond"))["outcome"]


async def error_code(client: Client) -> Any:
    """The error code in the next line."""
    return (await outcome(client))["error"]["code"]


async def asked(client: Client) -> Line:
    """The next request, which takes chunks."""
    request: Line = await client.expect("request")
    assert request["stream"] is True
    return request


async def settled(mesh: Mesh, client: Client) -> None:
    """Waits until the agent has read everything."""
    listing = asyncio.ensure_future(mesh.peers())
    await client.expect("list_peers")
    client.write("peer_list", {"peers": []})
    await listing
