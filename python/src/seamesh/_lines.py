"""Cuts a byte stream into lines. No IO."""

from __future__ import annotations

from seamesh import _wire


class Oversized:
    """Stands in the stream where a line was longer than the limit; the line itself is skipped."""

    __slots__ = ()


OVERSIZED = Oversized()


class LineSplitter:
    """Takes bytes as they come, gives whole lines without their newline.

    A partial line is kept as the pieces it came in, so a long line costs one copy. A line over ``max_line`` bytes
    (newline included) is given as `OVERSIZED`, once, and skipped up to its newline.
    """

    def __init__(self, max_line: int = _wire.MAX_LINE_BYTES) -> None:
        self._max_line = max_line
        self._pieces: list[bytes] = []
        self._held = 0
        self._skipping = False

    def feed(self, data: bytes) -> list[bytes | Oversized]:
        """The lines that ``data`` completes, in order."""
        *whole, rest = data.split(b"\n")
        lines: list[bytes | Oversized] = []
        for piece in whole:
            if self._held or self._skipping:
                self._finish(piece, lines)
            elif len(piece) >= self._max_line:
                lines.append(OVERSIZED)
            else:
                lines.append(piece)
        if rest:
            self._hold(rest, lines)
        return lines

    def _finish(self, piece: bytes, lines: list[bytes | Oversized]) -> None:
        self._hold(piece, lines)
        if not self._skipping:
            lines.append(b"".join(self._pieces))
        self._pieces, self._held, self._skipping = [], 0, False

    def _hold(self, piece: bytes, lines: list[bytes | Oversized]) -> None:
        if self._skipping:
            return
        self._held += len(piece)
        if self._held >= self._max_line:
            lines.append(OVERSIZED)
            self._pieces, self._held, self._skipping = [], 0, True
        else:
            self._pieces.append(piece)
