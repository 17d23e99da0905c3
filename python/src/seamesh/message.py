"""Messages between agents, beside tasks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from seamesh.errors import BadArguments

_encoder = msgspec.json.Encoder()


class Message:
    """A message that came over a link.

    Attributes:
        from_peer: the sidecar it came from; answer there.
        body: the whole message as it came, unknown members included.
    """

    __slots__ = ("body", "from_peer")

    def __init__(self, from_peer: str, body: dict[str, Any]) -> None:
        self.from_peer = from_peer
        self.body = body

    @property
    def kind(self) -> str:
        """The message kind, such as ``agent_prompt``; empty when the sender named none."""
        return self._text("type")

    @property
    def payload(self) -> Any:
        """What it says; ``{}`` when it has no payload."""
        payload = self.body.get("payload")
        return {} if payload is None else payload

    @property
    def text(self) -> str:
        """The text of an ``agent_prompt``; empty when there is none."""
        payload = self.payload
        message = payload.get("message") if isinstance(payload, dict) else payload
        return message if isinstance(message, str) else ""

    @property
    def request_id(self) -> str:
        """Ties an answer to its request; empty when none is wanted."""
        return self._text("request_id")

    @property
    def source_agent(self) -> str:
        """The agent that sent it, as it says; empty when it does not say."""
        return self._text("source_agent")

    def __repr__(self) -> str:
        return f"Message(from_peer={self.from_peer!r}, kind={self.kind!r})"

    def _text(self, member: str) -> str:
        value = self.body.get(member)
        return value if isinstance(value, str) else ""


def encode_message(message: str | Mapping[str, Any], source: str, *, broadcast: bool) -> msgspec.Raw:
    """A message as it goes over a link.

    Text becomes an ``agent_prompt``. A mapping with a ``type`` is the message itself; ``source_agent`` is filled in.

    Raises:
        BadArguments: the message has no ``type``, or is not JSON.
    """
    if isinstance(message, str):
        reach = {"broadcast": True} if broadcast else {"direct": True}
        body: Mapping[str, Any] = {
            "type": "agent_prompt",
            "request_id": "",
            "source_agent": source,
            "target_agent": "*" if broadcast else "",
            "payload": {"message": message, **reach},
        }
    elif isinstance(message.get("type"), str):
        body = message if "source_agent" in message else {**message, "source_agent": source}
    else:
        raise BadArguments('a message is a text, or an object with a "type" such as "agent_prompt"')
    try:
        return msgspec.Raw(_encoder.encode(body))
    except (TypeError, ValueError, RecursionError) as error:
        raise BadArguments(f"the message is not JSON: {error}") from error
