"""What the tests of a talking skill share: how its sidecar reads what it tells."""

from __future__ import annotations

from typing import Any

from sidecar_end import Client

from seamesh import Agent


def talking(skill: Any) -> Agent:
    """An agent with one skill, ``talk``."""
    agent = Agent("a")
    agent.skill(name="talk")(skill)
    return agent


async def news(client: Client, kind: str) -> Any:
    """What the next line tells, which is of that kind."""
    told = await client.expect("task_news")
    assert (told["task_id"], told["attempt"]) == ("t1", 1)
    return told[kind]


async def chunk(client: Client) -> tuple[int, Any]:
    """Number and value of the next chunk."""
    told = await news(client, "chunk")
    assert told["last"] is False
    return told["index"], told["data"]


async def stream_end(client: Client) -> int:
    """The number of the chunk that ends the stream."""
    told = await news(client, "chunk")
    assert (told["last"], told["data"]) == (True, None)
    index: int = told["index"]
    return index
