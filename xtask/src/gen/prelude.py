"""What an agent reads and writes: IPC, links and REST, as msgspec types.

Encode with `msgspec.json.encode(value)`: the result is the canonical form of the wire.
Decode IPC with `decode_agent_event`, link messages with `msgspec.json.decode(data, type=MeshMessage)`
and REST answers with `msgspec.json.decode(data, type=...)`. Unknown members are ignored.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final, Literal, TypeAlias, TypeVar, Union

import msgspec

Id: TypeAlias = Annotated[
    str, msgspec.Meta(min_length=1, max_length=128, pattern="^[A-Za-z0-9._:@+~*=-]+$")
]
TraceContext: TypeAlias = Annotated[
    str, msgspec.Meta(pattern="^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:$|-)")
]
UInt16: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Int32: TypeAlias = Annotated[int, msgspec.Meta(ge=-2147483648, le=2147483647)]
UInt32: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=4294967295)]
UInt64: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]

_Body = TypeVar("_Body")
_Kind = TypeVar("_Kind")


class WireError(ValueError):
    """A message that is refused."""

    code: Code
    """`bad_encoding`, `bad_json`, `bad_field` or `unknown_type`."""

    def __init__(self, code: Code, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code


def _empty_list() -> list[Any]:
    return []


def _empty_object() -> dict[str, Any]:
    return {}


class _Frame(msgspec.Struct):
    type: str
    payload: msgspec.Raw = msgspec.Raw(b"{}")


_FRAME: Final = msgspec.json.Decoder(_Frame)
_ANY: Final = msgspec.json.Decoder()


def _typed(message: Callable[[_Body], _Kind], body: type[_Body]) -> Callable[[bytes], _Kind]:
    decoder = msgspec.json.Decoder(body)
    return lambda data: message(decoder.decode(data))


def _free(message: Callable[[Any], _Kind]) -> Callable[[bytes], _Kind]:
    return lambda data: message(_ANY.decode(data))


def _decode(
    data: bytes | bytearray | memoryview | str, readers: dict[str, Callable[[bytes], _Kind]]
) -> _Kind:
    # Absent, null and {} payloads are one and the same.
    try:
        text = data if isinstance(data, str) else str(data, "utf-8")
        frame = _FRAME.decode(text)
    except UnicodeDecodeError as error:
        raise WireError("bad_encoding", str(error)) from error
    except (msgspec.ValidationError, RecursionError) as error:
        raise WireError("bad_field", str(error)) from error
    except msgspec.DecodeError as error:
        raise WireError("bad_json", str(error)) from error
    reader = readers.get(frame.type)
    if reader is None:
        raise WireError("unknown_type", f"unknown message type {frame.type[:64]!r}")
    body = bytes(frame.payload)
    try:
        return reader(b"{}" if body == b"null" else body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise WireError("bad_field", f"payload: {error}") from error
