"""The golden vectors, as this SDK reads them: what every language must accept, refuse, and write alike."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from seamesh import _wire
from seamesh._generated import wire
from seamesh.message import Message

VECTORS = Path(__file__).parents[2] / "vectors"

Reader = Callable[[bytes], Any]


def event(data: bytes) -> Any:
    """An event as the SDK reads it: in one pass, with the careful reader behind it."""
    read = _wire.parse_event(data)
    if isinstance(read, _wire.Malformed):
        raise wire.WireError(read.code, read.detail)
    return read


def agent_message(data: bytes) -> Any:
    """A link message as a handler gets it; what is written back is what came."""
    message = Message("peer", msgspec.Raw(data))
    return {"request_id": "", "source_agent": "", "target_agent": "", **message.body, "payload": message.payload}


def rest_body(kind: str) -> Reader | None:
    """The reader of a REST body this SDK has a type for."""
    found = getattr(wire, kind, None)
    return None if found is None else lambda data: msgspec.json.decode(data, type=found)


def readers(vector: dict[str, Any]) -> dict[str, Reader]:
    """Everything here that reads this kind of message, by name."""
    match vector["channel"], vector["direction"]:
        case "ipc", "sidecar_to_agent":
            return {"event": event}
        case "ipc", "agent_to_sidecar":
            return {"command": wire.decode_agent_command}
        case "link", "agent_to_agent":
            return {"message": agent_message}
        case "rest", _:
            reader = rest_body(vector["kind"])
            return {} if reader is None else {"body": reader}
    return {}


def produced(vector: dict[str, Any]) -> bool:
    """Whether agents only say this, and never read it: refusing it is the other end's business."""
    return vector["direction"] in ("agent_to_sidecar", "request")


def cases(section: str) -> list[Any]:
    """Every case of a section, once for each reader."""
    found: list[Any] = []
    for path in sorted(VECTORS.glob("*/*.json")):
        vector = json.loads(path.read_text())
        if section == "reject" and produced(vector):
            continue
        for name, reader in readers(vector).items():
            for case in vector[section]:
                label = f"{path.parent.name}/{path.stem} {name}: {case['name']}"
                found.append(pytest.param(reader, vector, case, id=label))
    return found


def wire_bytes(case: dict[str, Any]) -> bytes:
    """The case's bytes, in whichever form it gives them."""
    if "wire_hex" in case:
        return bytes.fromhex(case["wire_hex"])
    if "wire_text" in case:
        return str(case["wire_text"]).encode()
    return json.dumps(case["wire"]).encode()


@pytest.mark.parametrize(("reader", "vector", "case"), cases("accept"))
def test_an_accepted_message_is_read_and_written_canonically(
    reader: Reader, vector: dict[str, Any], case: dict[str, Any]
) -> None:
    canonical = case.get("canonical", case.get("wire"))
    assert json.loads(msgspec.json.encode(reader(wire_bytes(case)))) == canonical


@pytest.mark.parametrize(("reader", "vector", "case"), cases("reject"))
def test_a_refused_message_is_refused_with_its_code(
    reader: Reader, vector: dict[str, Any], case: dict[str, Any]
) -> None:
    with pytest.raises((wire.WireError, msgspec.DecodeError, UnicodeDecodeError, RecursionError)) as caught:
        reader(wire_bytes(case))
    if isinstance(caught.value, wire.WireError):
        assert caught.value.code == case["code"]


def test_every_event_and_command_of_the_socket_has_a_vector() -> None:
    kinds: dict[str, set[str]] = {"sidecar_to_agent": set(), "agent_to_sidecar": set()}
    for path in (VECTORS / "ipc").glob("*.json"):
        vector = json.loads(path.read_text())
        kinds[vector["direction"]].add(vector["kind"])
    assert kinds["sidecar_to_agent"] == wire.AGENT_EVENT_KINDS
    assert kinds["agent_to_sidecar"] == wire.AGENT_COMMAND_KINDS
