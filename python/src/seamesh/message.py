"""Messages between agents, beside tasks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from seamesh import _wire
from seamesh.errors import BadArguments

_decoder = msgspec.json.Decoder(_wire.MeshMessage)
_encoder = msgspec.json.Encoder()


class Message:
    """A message that came over a link.

    Attributes:
        from_peer: the sidecar it came from; answer there.

    Raises:
        msgspec.ValidationError: what came is no message.
    """

    __slots__ = ("_message", "_raw", "from_peer")

    def __init__(self, from_peer: str, raw: msgspec.Raw) -> None:
        self.from_peer = from_peer
        self._raw = raw
        self._message = _decoder.decode(raw)

    @property
    def body(self) -> dict[str, Any]:
        """The whole message as it came, members included that this version does not know."""
        body: dict[str, Any] = msgspec.json.decode(self._raw)
        return body

    @property
    def kind(self) -> str:
        """The message kind, such as ``agent_prompt``."""
        return self._message.type

    @property
    def payload(self) -> Any:
        """What it says; ``{}`` when it has no payload."""
        return self._message.payload

    @property
    def text(self) -> str:
        """The text of an ``agent_prompt``; empty when there is none."""
        payload = self.payload
        message = payload.get("message") if isinstance(payload, dict) else payload
        return message if isinstance(message, str) else ""

    @property
    def request_id(self) -> str:
        """Ties an answer to its request; empty when none is wanted."""
        return self._message.request_id

    @property
    def source_agent(self) -> str:
        """The agent that sent it, as it says; empty when it does not say."""
        return self._message.source_agent

    @property
    def target_agent(self) -> str:
        """The agent it is for; ``*`` for all, empty for whoever is behind the sidecar."""
        return self._message.target_agent

    def __repr__(self) -> str:
        return f"Message(from_peer={self.from_peer!r}, kind={self.kind!r})"


def encode_message(message: str | Mapping[str, Any], source: str, *, broadcast: bool) -> msgspec.Raw:
    """A message as it goes over a link.

    Text becomes an ``agent_prompt``. A mapping with a ``type`` is the message itself; ``source_agent`` is filled in.

    Raises:
        BadArguments: the message has no ``type``, or is not JSON.
    """
    body: Mapping[str, Any]
    if isinstance(message, str):
        reach = "broadcast" if broadcast else "direct"
        body = {
            "type": "agent_prompt",
            "request_id": "",
            "source_agent": source,
            "target_agent": "*" if broadcast else "",
            "payload": {"message": message, reach: True},
        }
    elif isinstance(message.get("type"), str):
        body = message if "source_agent" in message else {**message, "source_agent": source}
    else:
        raise BadArguments('a message is a text, or an object with a "type" such as "agent_prompt"')
    try:
        return msgspec.Raw(_encoder.encode(body))
    except (TypeError, ValueError, RecursionError) as error:
        raise BadArguments(f"the message is not JSON: {error}") from error
