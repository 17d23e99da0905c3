"""The editor's answers, with a librarian and the real reader behind it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from seamesh import Agent, BadArguments, SkillError
from seamesh.hosting import load_agent
from seamesh.testing import FakeMesh, call_sync

HERE = Path(__file__).parent
editor = load_agent(str(HERE))
reader = load_agent(str(HERE.parent / "reader"))

PAGES = [
    {
        "file": "guide/leases.md",
        "line": 12,
        "text": "A lease lapses after fifteen seconds without renewal.",
        "score": 4.2,
    },
    {"file": "guide/links.md", "line": 3, "text": "A link opens in the time of its handshakes.", "score": 0.4},
]


def librarian(hits: list[dict[str, Any]]) -> Agent:
    """An agent that searches like the librarian, in a fixed set of pages."""
    made = Agent("librarian")

    @made.skill
    def search(query: str, limit: int) -> dict[str, Any]:
        return {"hits": hits[:limit]}

    return made


def test_an_answer_cites_file_and_line_of_every_sentence() -> None:
    result = call_sync(editor, "answer", question="When does a lease lapse?", others=[librarian(PAGES), reader])
    assert "A lease lapses after fifteen seconds without renewal. [guide/leases.md:12]" in result["answer"]
    assert {"file": "guide/leases.md", "line": 12} in result["citations"]
    for citation in result["citations"]:
        assert f"[{citation['file']}:{citation['line']}]" in result["answer"]


def test_the_editor_delegates_the_search_and_then_the_reading() -> None:
    async def scenario() -> None:
        async with FakeMesh(editor, librarian(PAGES), reader) as mesh:
            await mesh.call("answer", question="When does a lease lapse?")
            asked = mesh.tasks[0].task_id
            hops = [(t.skill, t.from_agent, t.to_agent, t.parent_id) for t in mesh.tasks[1:]]
            assert hops == [("search", "editor", "librarian", asked), ("summarize", "editor", "reader", asked)]
            assert mesh.tasks[1].payload["query"] == "When does a lease lapse?"

    asyncio.run(scenario())


def test_it_says_so_when_nothing_is_found() -> None:
    result = call_sync(editor, "answer", question="Who ate the cake?", others=[librarian([]), reader])
    assert result["citations"] == []
    assert "found nothing" in result["answer"]
    assert "Who ate the cake?" in result["answer"]


def test_without_a_librarian_the_answer_is_an_error_that_says_so() -> None:
    with pytest.raises(SkillError, match="no_agent"):
        call_sync(editor, "answer", question="Anything?")


def test_an_empty_question_is_refused() -> None:
    with pytest.raises(BadArguments, match="question"):
        call_sync(editor, "answer", question="", others=[librarian(PAGES), reader])
