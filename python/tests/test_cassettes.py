"""Recorded traffic: what is written, and what a fake agent makes of it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from seamesh import Agent, Context, SkillError
from seamesh.testing import Cassette, CassetteError, LiveMesh


def editor() -> Agent:
    """Asks the reader."""
    agent = Agent("editor")

    @agent.skill
    async def ask(ctx: Context, page: int) -> str:
        text: str = await ctx.delegate("read", page=page)
        return text

    return agent


def reader() -> Agent:
    """Reads, and never the same twice."""
    agent = Agent("reader")
    read_before: list[int] = []

    @agent.skill
    def read(page: int) -> str:
        if page < 0:
            raise SkillError("not_found", f"no page {page}")
        read_before.append(page)
        return f"page {page}, time {read_before.count(page)}"

    return agent


def test_what_was_recorded_is_replayed_by_a_fake(tmp_path: Path) -> None:
    path = tmp_path / "reader.json"
    with LiveMesh() as mesh, mesh.record(path):
        mesh.add(editor(), reader())
        recorded = [mesh.call("ask", page=page) for page in (1, 1, 2)]
        with pytest.raises(SkillError, match="no page -1"):
            mesh.call("ask", page=-1)
    assert recorded == ["page 1, time 1", "page 1, time 2", "page 2, time 1"]
    first = msgspec.json.decode(path.read_bytes())["calls"][0]
    assert first == {"caller": "editor", "agent": "reader", "skill": "read", "args": {"page": 1}, "result": recorded[0]}
    with LiveMesh() as mesh:
        mesh.add(editor())
        fake = mesh.fake_agent("reader", cassette=path)
        assert [mesh.call("ask", page=page) for page in (1, 2, 1, 1)] == [
            "page 1, time 1",
            "page 2, time 1",
            "page 1, time 2",
            "page 1, time 2",
        ]
        with pytest.raises(SkillError, match="no page -1"):
            mesh.call("ask", page=-1)
        with pytest.raises(SkillError, match="the cassette has no call"):
            mesh.call("ask", page=3)
        assert len(fake.calls) == 6


def test_a_cassette_is_written_as_it_was_read_and_as_the_rust_testkit_writes_it(tmp_path: Path) -> None:
    shared = Path(__file__).parents[2] / "crates" / "testkit" / "tests" / "reader.json"
    Cassette.load(shared).save(tmp_path / "copy.json")
    assert (tmp_path / "copy.json").read_text() == shared.read_text()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "cannot be read"),
        ('{"version": 2, "calls": []}', "version 2"),
        ('{"version": 1, "calls": [{"skill": 1}]}', "cannot be read"),
        ('{"version": 1, "calls": []}', "calls of: nobody"),
    ],
)
def test_a_file_that_is_no_cassette_is_refused(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "reader.json"
    path.write_text(text)
    with pytest.raises(CassetteError, match=why):
        Cassette.load(path).answers("reader")


def test_a_missing_cassette_says_how_to_record_it(tmp_path: Path) -> None:
    with pytest.raises(CassetteError, match=r"mesh.record"):
        Cassette.load(tmp_path / "none.json")
