"""Cutting bytes into lines, however they come."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from seamesh._lines import OVERSIZED, LineSplitter, Oversized


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    """``data`` cut at the given places."""
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(places)]


@given(
    lines=st.lists(st.binary(max_size=40).map(lambda b: b.replace(b"\n", b"")), max_size=10),
    cuts=st.lists(st.integers(min_value=0, max_value=1000), max_size=12),
)
def test_lines_come_out_as_they_went_in_wherever_the_stream_is_cut(lines: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(line + b"\n" for line in lines)
    splitter = LineSplitter()
    assert [line for piece in pieces(stream, cuts) for line in splitter.feed(piece)] == lines


@given(
    sizes=st.lists(st.integers(min_value=0, max_value=30), min_size=1, max_size=8),
    cuts=st.lists(st.integers(min_value=0, max_value=300), max_size=12),
)
def test_only_lines_over_the_limit_are_skipped_each_told_once(sizes: list[int], cuts: list[int]) -> None:
    limit = 16
    stream = b"".join(b"x" * size + b"\n" for size in sizes)
    splitter = LineSplitter(limit)
    out = [line for piece in pieces(stream, cuts) for line in splitter.feed(piece)]
    # The newline counts.
    expected: list[bytes | Oversized] = [OVERSIZED if size + 1 > limit else b"x" * size for size in sizes]
    assert out == expected


def test_an_endless_line_is_not_kept() -> None:
    splitter = LineSplitter(1024)
    told = [line for _ in range(1000) for line in splitter.feed(b"x" * 100)]
    assert told == [OVERSIZED]
    assert sum(len(piece) for piece in splitter._pieces) == 0


def test_a_partial_line_waits_for_its_newline() -> None:
    splitter = LineSplitter()
    assert splitter.feed(b'{"type":') == []
    assert splitter.feed(b'"x"}') == []
    assert splitter.feed(b"\n") == [b'{"type":"x"}']
