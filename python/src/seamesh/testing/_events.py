"""The registry's event stream, as far as a test mesh needs it: which agents are there, and which links."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from urllib.parse import urlsplit

import msgspec


class _Event(msgspec.Struct):
    type: str
    payload: msgspec.Raw = msgspec.Raw(b"{}")


class _Record(msgspec.Struct):
    event: _Event


class _Named(msgspec.Struct):
    agent_id: str


class _Link(msgspec.Struct):
    from_peer: str
    to_peer: str


class EventStream:
    """Follows the stream from its beginning.

    Args:
        url: the registry's.
        token: a credential that may watch.
        pulse: is called after each event.
    """

    def __init__(self, url: str, token: str, pulse: Callable[[], None]) -> None:
        self.agents: set[str] = set()
        self.links: set[tuple[str, str]] = set()
        self._pulse = pulse
        self._following = asyncio.create_task(self._follow(url, token))

    async def _follow(self, url: str, token: str) -> None:
        place = urlsplit(url)
        reader, writer = await asyncio.open_connection(place.hostname, place.port)
        try:
            head = f"GET /api/events?after=0 HTTP/1.1\r\nhost: {place.netloc}\r\nauthorization: Bearer {token}\r\n\r\n"
            writer.write(head.encode())
            while line := await reader.readline():
                # Chunked transfer puts its own lines between ours: only ours begin with a field's name.
                if line.startswith(b"data:"):
                    self._take(line[len(b"data:") :])
        except OSError:
            pass  # the registry is gone, and the mesh with it
        finally:
            writer.transport.abort()

    def _take(self, data: bytes) -> None:
        event = msgspec.json.decode(data, type=_Record).event
        match event.type:
            case "agent_registered":
                self.agents.add(msgspec.json.decode(event.payload, type=_Named).agent_id)
            case "agent_removed":
                self.agents.discard(msgspec.json.decode(event.payload, type=_Named).agent_id)
            case "link_up" | "link_down":
                link = msgspec.json.decode(event.payload, type=_Link)
                change = self.links.add if event.type == "link_up" else self.links.discard
                change((link.from_peer, link.to_peer))
            case _:
                return
        self._pulse()

    async def close(self) -> None:
        """Ends it."""
        self._following.cancel()
        await asyncio.gather(self._following, return_exceptions=True)
