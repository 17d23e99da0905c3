"""What generator skills yield: chunks for an asker that takes them, else a list that becomes the result."""

from __future__ import annotations

from typing import Any

import msgspec

from seamesh import _wire, values
from seamesh.context import Context
from seamesh.errors import BadResult, TooLarge


class BadYield(BadResult):
    """The skill yielded something that cannot travel."""


class Yields:
    """The parts that one run of a skill yields."""

    def __init__(self, skill: str, context: Context) -> None:
        self.is_streamed = context.is_streamed
        self._skill = skill
        self._context = context
        self._parts: list[msgspec.Raw] = []
        self._size = 0

    async def send(self, part: Any) -> None:
        """Sends a part to the asker, which takes chunks."""
        try:
            await self._context.chunk(part)
        except TooLarge as error:
            raise BadYield(f"{self._skill} yielded too much at once: {error.message}", code="too_large") from error
        except BadResult as error:
            raise BadYield(f"{self._skill}: {error.message}") from error

    def collect(self, part: Any) -> None:
        """Keeps a part for the result. Past the limit of a result, only its size."""
        try:
            encoded = values.encode(part)
        except values.ValueTooLargeError as error:
            raise BadYield(f"{self._skill} yielded {error}", code="too_large") from error
        except ValueError as error:
            raise BadYield(f"{self._skill} yielded something that is not JSON: {error}") from error
        self._size += len(encoded)
        if self._size <= _wire.MAX_PAYLOAD_BYTES:
            self._parts.append(msgspec.Raw(encoded))

    def result(self, returned: Any = None) -> Any:
        """The result: what the skill gave as such, else what it yielded, unless the asker has that already."""
        given = self._context.given_result
        if given is not msgspec.UNSET:
            return given
        if returned is not None or self.is_streamed:
            return returned
        if self._size > _wire.MAX_PAYLOAD_BYTES:
            limit = _wire.MAX_PAYLOAD_BYTES
            text = f"{self._skill} yielded {self._size} bytes; a result has at most {limit}: ask for it with stream()"
            raise BadYield(text, code="too_large")
        return self._parts
