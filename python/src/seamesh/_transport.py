"""The Unix socket between an agent and its sidecar, on asyncio.

Protocol-based (not streams): one call from the loop to the session for each read, and one write for all that a turn
produced.
"""

from __future__ import annotations

import asyncio
import logging
from typing import cast

from seamesh._session import Session

_log = logging.getLogger("seamesh")

HIGH_WATER_BYTES = 1024 * 1024
"""Bytes that wait for the sidecar before senders that await are slowed down."""

FIRST_RETRY_S = 0.05
LAST_RETRY_S = 2.0
"""Longest pause between two attempts to reach a local socket."""

CLOSE_WAIT_S = 1.0
"""Seconds the last bytes have to reach the sidecar."""


class _Connection(asyncio.Protocol):
    """One connection: hands everything to the session."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.closed = asyncio.Event()
        self.data_received = session.data_received  # type: ignore[method-assign]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=HIGH_WATER_BYTES)
        self._session.connection_made(self.transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._session.connection_lost()
        self.closed.set()

    def pause_writing(self) -> None:
        self._session.unwritable()

    def resume_writing(self) -> None:
        self._session.writable()


class SidecarConnection:
    """Keeps a session connected to the sidecar's socket, however often the sidecar restarts."""

    def __init__(self, session: Session, path: str) -> None:
        self._session = session
        self._path = path
        self._connection: _Connection | None = None
        self._retry_s = FIRST_RETRY_S
        self._is_closing = False

    async def keep(self) -> None:
        """Connects, again and again, until closed or canceled. Backs off while nobody answers, until welcomed."""
        while True:
            connection = await self._connect()
            if connection is not None:
                self._connection = connection
                await connection.closed.wait()
                self._connection = None
                if self._is_closing:
                    return
                if self._session.was_welcomed:
                    self._retry_s = FIRST_RETRY_S
                _log.info("the connection to the sidecar ended; connecting again")
            await asyncio.sleep(self._retry_s)
            self._retry_s = min(self._retry_s * 2, LAST_RETRY_S)

    async def _connect(self) -> _Connection | None:
        loop = asyncio.get_running_loop()
        try:
            _, connection = await loop.create_unix_connection(lambda: _Connection(self._session), self._path)
        except OSError as error:
            level = logging.WARNING if self._retry_s == FIRST_RETRY_S else logging.DEBUG
            _log.log(level, "no sidecar answers (%s); is it running? Trying again", error)
            return None
        return connection

    async def close(self) -> None:
        """Writes what waits, then closes."""
        self._is_closing = True
        connection = self._connection
        if connection is None:
            return
        connection.transport.close()
        try:
            async with asyncio.timeout(CLOSE_WAIT_S):
                await connection.closed.wait()
        except TimeoutError:
            connection.transport.abort()
