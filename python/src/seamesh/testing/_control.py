"""The test's end of ``--test-control``: JSON lines over a private Unix socket; see docs/adr/0017."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec

ANSWER_S = 10.0
"""Seconds a process may take to do what it is asked."""


class ControlError(Exception):
    """A process did not do what a test asked."""


class _Answer(msgspec.Struct):
    ok: bool
    error: str | None = None


class ControlSocket:
    """A way to break things in a process, one command after the other."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._turn = asyncio.Lock()

    async def ask(self, command: str, **arguments: Any) -> None:
        """Has something done, and waits until it is.

        Raises:
            ControlError: the process is gone, or refused.
        """
        async with self._turn:
            await self._ask(command, arguments)

    async def _ask(self, command: str, arguments: dict[str, Any]) -> None:
        try:
            if self._streams is None:
                self._streams = await asyncio.open_unix_connection(str(self._path))
            reader, writer = self._streams
            writer.write(msgspec.json.encode({"command": command, **arguments}) + b"\n")
            async with asyncio.timeout(ANSWER_S):
                answer = msgspec.json.decode(await reader.readline(), type=_Answer)
        except (OSError, TimeoutError, msgspec.DecodeError) as error:
            raise ControlError(f"{command}: the process does not answer ({error or type(error).__name__})") from error
        if not answer.ok:
            raise ControlError(f"{command}: {answer.error}")

    def close(self) -> None:
        """Lets go of the socket."""
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None
