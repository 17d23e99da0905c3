"""Users' data on its way to the wire."""

from __future__ import annotations

from typing import Any

import msgspec

from seamesh import _wire

MAX_VALUE_DEPTH = _wire.MAX_JSON_DEPTH - 8
"""Deepest nesting of a payload, a result, a chunk or an answer: the message around it takes a few of the levels that
other ends read."""

_encoder = msgspec.json.Encoder()


class ValueTooLargeError(ValueError):
    """The value's JSON is over its limit."""


def encode(value: Any, limit: int = _wire.MAX_PAYLOAD_BYTES) -> bytes:
    """A value as JSON of at most ``limit`` bytes. Numbers that JSON has no form for (NaN, infinities) become ``null``.

    Raises:
        ValueTooLargeError: it is over the limit.
        ValueError: it is not JSON, or nested too deep.
    """
    try:
        encoded = _encoder.encode(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(str(error)) from error
    if len(encoded) > limit:
        raise ValueTooLargeError(f"{len(encoded)} bytes; at most {limit} are allowed")
    # Few values have so many brackets at all, so few are walked.
    if encoded.count(b"[") + encoded.count(b"{") > MAX_VALUE_DEPTH and _depth(encoded) > MAX_VALUE_DEPTH:
        raise ValueError(f"nested deeper than {MAX_VALUE_DEPTH} levels")
    return encoded


def _depth(encoded: bytes) -> int:
    deepest = depth = 0
    in_text = escaped = False
    for byte in encoded:
        if in_text:
            in_text = escaped or byte != 0x22
            escaped = not escaped and byte == 0x5C
        elif byte == 0x22:
            in_text = True
        elif byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"]}":
            depth -= 1
    return deepest
