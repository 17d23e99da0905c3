"""Round trips between two agents: ping.py PEER COUNT prints {"p50_us", ...}."""

import asyncio
import json
import sys
import time

from seamesh import Agent, Message

WAIT_S = 30.0


async def main(peer: str, count: int) -> None:
    agent = Agent("ping")
    answered: asyncio.Queue[None] = asyncio.Queue()

    @agent.on_message
    def heard(_: Message) -> None:
        answered.put_nowait(None)

    message = {"type": "ping_", "payload": "x" * 60}
    times = []
    async with agent.connected() as mesh:
        for round_number in range(count + count // 10):
            begin = time.perf_counter()
            mesh.send(peer, message)
            await asyncio.wait_for(answered.get(), WAIT_S) if round_number == 0 else await answered.get()
            if round_number >= count // 10:
                times.append((time.perf_counter() - begin) * 1e6)
    times.sort()
    measured = {"p50_us": times[len(times) // 2], "p99_us": times[len(times) * 99 // 100]}
    print(json.dumps({**measured, "messages_per_s": 0, "mb_per_s": 0, "lost": 0}))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
