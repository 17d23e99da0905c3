"""The editor: answers questions about a folder of texts. It finds nothing and reads nothing itself: it delegates."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from seamesh import Agent, Context

agent = Agent("editor", description="Answers questions about a folder, and cites file and line.", version="1.0.0")

HITS = 8
"""Passages to ask the librarian for: enough to choose from, few enough to be about the question."""

SENTENCES = 4
"""Sentences of an answer."""


class Hit(Struct):
    """A passage the librarian found."""

    file: str
    line: int
    text: str
    score: float = 0.0


class Found(Struct):
    """The librarian's answer."""

    hits: list[Hit]


class Chosen(Struct):
    """A sentence the reader chose."""

    text: str
    file: str
    line: int


class Read(Struct):
    """The reader's answer."""

    sentences: list[Chosen]


class Citation(Struct):
    """Where a sentence of an answer stands."""

    file: str
    line: int


class Answer(Struct):
    """An answer, and where each of its sentences stands."""

    answer: str
    citations: list[Citation]


@agent.skill
async def answer(ctx: Context, question: Annotated[str, Meta(min_length=1)]) -> Answer:
    """Answers a question from the texts that the mesh's librarian knows, and cites file and line.

    Args:
        question: the question.
    """
    found = msgspec.convert(await ctx.delegate("search", query=question, limit=HITS), Found)
    if not found.hits:
        return Answer(f"I found nothing about this in the indexed texts: {question}", [])
    read = msgspec.convert(
        await ctx.delegate("summarize", passages=found.hits, sentences=SENTENCES, about=question), Read
    )
    return compose(read.sentences)


def compose(sentences: list[Chosen]) -> Answer:
    """One text of the sentences, each with its source behind it; a source is listed once."""
    citations = [Citation(s.file, s.line) for s in sentences]
    unique = [c for number, c in enumerate(citations) if c not in citations[:number]]
    return Answer(" ".join(f"{s.text} [{s.file}:{s.line}]" for s in sentences), unique)


if __name__ == "__main__":
    agent.run()
