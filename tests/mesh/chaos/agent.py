"""The same witness as the Rust agent of the chaos test: each handler's start and end is one appended line."""

import asyncio
import json
import os
import sys
import time
from typing import Any

from seamesh import Agent, Context, Restarted

CHUNKS = 6
FOLLOW_S = 10
NAME, LOG, GRACE_MS = sys.argv[1], sys.argv[2], int(sys.argv[3])
log = os.open(LOG, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
agent = Agent(NAME)


def saw(fact: str, **body: Any) -> None:
    line = {"at_ms": time.time_ns() // 1_000_000, "fact": fact, **body}
    os.write(log, (json.dumps(line) + "\n").encode())


def run_of(ctx: Context) -> dict[str, Any]:
    return {"task": ctx.task_id, "attempt": ctx.attempt, "agent": NAME, "incarnation": os.getpid()}


@agent.skill
async def work(ctx: Context, ms: int, n: int) -> int:
    """Works for a while."""
    saw("started", **run_of(ctx))
    await asyncio.sleep(ms / 1000)  # tidy-allow: the work that a handler does takes its time
    saw("finished", **run_of(ctx))
    return n


@agent.skill
async def ask(ctx: Context, ms: int, n: int) -> int:
    """Has somebody do the work."""
    saw("started", **run_of(ctx))
    request = f"{os.getpid()}/{ctx.task_id}/{ctx.attempt}"
    saw("submitted", request=request, digest=f"{ms}/{n}")
    try:
        answer: int = await ctx.delegate("work", ms=ms, n=n)
    except asyncio.CancelledError:
        saw("sender_gone", request=request)
        raise
    except Exception:
        saw("refused", request=request)
        raise
    saw("told", request=request, state="completed")
    saw("finished", **run_of(ctx))
    return answer


@agent.skill
async def pour(ctx: Context, ms: int, n: int) -> Any:
    """Works in chunks, and answers what the asker says in the end."""
    saw("started", **run_of(ctx))
    for chunk in range(CHUNKS):
        await ctx.chunk(chunk)
        await asyncio.sleep(ms / CHUNKS / 1000)  # tidy-allow: the work that a handler does takes its time
    answer = await ctx.ask("which one?")
    saw("finished", **run_of(ctx))
    return answer


@agent.skill
async def follow(ctx: Context, ms: int, n: int) -> int:
    """Has somebody pour, and takes every chunk once and in order."""
    saw("started", **run_of(ctx))
    async with ctx.stream("pour", ms=ms, n=n, timeout=FOLLOW_S, on_question=lambda _: n) as stream:
        chunks: list[Any] = []
        async for part in stream:
            if isinstance(part, Restarted):
                chunks.clear()  # another attempt pours from the start
            else:
                chunks.append(part)
        answer = await stream.result()
    if chunks != list(range(CHUNKS)) or answer != n:
        raise ValueError(f"broken stream: {chunks} {answer}")
    saw("finished", **run_of(ctx))
    return n


if __name__ == "__main__":
    asyncio.run(agent.serve(grace=GRACE_MS / 1000, stop_on_signals=True))
