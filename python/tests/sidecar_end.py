"""The other end of the IPC socket for tests: a real Unix server that speaks real lines, one at a time, as told."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

CAP_S = 10.0
"""Longest wait for anything in a test."""

Line = dict[str, Any]


class Client:
    """One connection of an agent, seen from the sidecar."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def read(self) -> Line:
        """The next line the agent wrote."""
        async with asyncio.timeout(CAP_S):
            raw = await self.reader.readline()
        assert raw.endswith(b"\n"), f"the connection ended with {raw!r}"
        line = json.loads(raw)
        assert isinstance(line, dict)
        return line

    async def expect(self, kind: str) -> Any:
        """The body of the next line, which is of that kind."""
        line = await self.read()
        assert line["type"] == kind, line
        return line["payload"]

    async def ended(self) -> bool:
        """Waits until the agent closes the connection."""
        async with asyncio.timeout(CAP_S):
            return await self.reader.read() == b""

    def write(self, kind: str, payload: Any) -> None:
        """Tells the agent something."""
        self.raw(json.dumps({"type": kind, "payload": payload}).encode() + b"\n")

    def raw(self, data: bytes) -> None:
        """Writes bytes as they are."""
        self.writer.write(data)

    async def greet(self, **changes: Any) -> Line:
        """Takes the ``hello`` and answers it; gives the ``hello``."""
        hello: Line = await self.expect("hello")
        self.welcome(**changes)
        return hello

    def welcome(self, **changes: Any) -> None:
        """Answers a ``hello``."""
        welcome = {"version": 1, "peer_id": "me", "registry_connected": True, "max_line_bytes": 1 << 24}
        self.write("welcome", {**welcome, **changes})

    def task(self, skill: str, payload: Any = None, **changes: Any) -> None:
        """Hands the agent a task."""
        task = {"task_id": "t1", "attempt": 1, "skill": skill, "payload": payload, "from_agent": "asker"}
        self.write("task", {**task, "path": "direct", "timeout_ms": 60_000, "depth": 0, **changes})

    def task_input(self, **told: Any) -> None:
        """Tells the skill of the task something."""
        self.write("task_input", {"task_id": "t1", "attempt": 1, **told})

    def news(self, request: Line, *, attempt: int = 1, **told: Any) -> None:
        """Tells an asker something of its request."""
        self.write("request_news", {"request_id": request["request_id"], "task_id": "t9", "attempt": attempt, **told})

    def chunk(self, request: Line, index: int, data: Any, *, attempt: int = 1, **more: Any) -> None:
        """Tells an asker a chunk."""
        self.news(request, attempt=attempt, chunk={"index": index, "data": data, **more})

    def last(self, request: Line, index: int, *, attempt: int = 1) -> None:
        """Tells an asker the end of the stream."""
        self.chunk(request, index, None, attempt=attempt, last=True)

    def completed(self, request: Line, result: Any) -> None:
        """Ends a request with a result."""
        self.ended_with(request, {"state": "completed", "result": result})

    def ended_with(self, request: Line, outcome: Any) -> None:
        """Ends a request."""
        self.write("response", {"request_id": request["request_id"], "task_id": "t9", "outcome": outcome})

    async def hang_up(self) -> None:
        """Ends the connection, and waits until the agent has noticed."""
        self.writer.write_eof()
        assert await self.ended()
        self.writer.close()

    def close(self) -> None:
        """Ends the connection, as a sidecar that stops does."""
        self.writer.close()


class Server:
    """The socket, which may go away and come back under the same path."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._clients: asyncio.Queue[Client] = asyncio.Queue()
        self._server: asyncio.Server | None = None
        self._all: list[Client] = []

    async def start(self) -> None:
        """Listens."""

        def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            client = Client(reader, writer)
            self._all.append(client)
            self._clients.put_nowait(client)

        self._server = await asyncio.start_unix_server(accepted, self.path, limit=1 << 25)

    async def accept(self) -> Client:
        """The next connection."""
        async with asyncio.timeout(CAP_S):
            return await self._clients.get()

    async def greeted(self, **changes: Any) -> Client:
        """The next connection, its ``hello`` answered."""
        client = await self.accept()
        await client.greet(**changes)
        return client

    async def stop(self) -> None:
        """Closes the socket and every connection."""
        if self._server is not None:
            self._server.close()
            for client in self._all:
                client.close()
            await self._server.wait_closed()
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path)
            self._server = None


@contextlib.asynccontextmanager
async def server() -> AsyncIterator[Server]:
    """A listening server in a directory of its own."""
    with tempfile.TemporaryDirectory() as directory:
        made = Server(str(Path(directory) / "ipc.sock"))
        await made.start()
        try:
            yield made
        finally:
            await made.stop()
