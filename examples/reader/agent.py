"""The reader: summarizes texts and finds their keywords, in their own words and with no model."""

from __future__ import annotations

from typing import Annotated

import summary
from msgspec import Meta, Struct

from seamesh import Agent, SkillError

agent = Agent("reader", description="Summarizes texts and finds their keywords.", version="1.0.0")


class Passage(Struct):
    """A part of a file.

    Attributes:
        file: the file.
        line: the line in the file that the text begins on.
        text: the text.
        score: how well it fits what was asked; only the order of magnitude between passages counts.
    """

    file: str
    line: Annotated[int, Meta(ge=1)]
    text: str
    score: float = 0.0


class Chosen(Struct):
    """A sentence of a summary, and where it stands. Plain text has no file."""

    text: str
    file: str
    line: int


class Summary(Struct):
    """What a text says, shorter."""

    summary: str
    sentences: list[Chosen]


@agent.skill
def summarize(
    text: str = "",
    passages: list[Passage] | None = None,
    sentences: Annotated[int, Meta(ge=1, le=50)] = 3,
    about: str = "",
) -> Summary:
    """Chooses the sentences that say most, in the order they stand in.

    Args:
        text: the text; or give passages.
        passages: parts of files. Each chosen sentence keeps its file and line.
        sentences: how many to choose.
        about: a question or topic that the choice should lean to.
    """
    found = summary.sentences(text)
    best = max((p.score for p in passages or []), default=0.0)
    for passage in passages or []:
        weight = 0.5 + passage.score / best if best > 0 else 1.0
        found += summary.sentences(passage.text, file=passage.file, line=passage.line, weight=weight)
    if not found:
        raise SkillError("bad_arguments", "there is no sentence: give text, or passages with text")
    chosen = summary.summarize(found, sentences, about=about)
    listed = [Chosen(s.text, s.file, s.line) for s in chosen]
    return Summary(" ".join(s.text for s in listed), listed)


class Keyword(Struct):
    """A word and how often it occurs, all its forms together."""

    word: str
    count: int


@agent.skill
def keywords(text: str, count: Annotated[int, Meta(ge=1, le=100)] = 10) -> list[Keyword]:
    """Finds the words that carry most of a text.

    Args:
        text: the text.
        count: how many words at most.
    """
    return [Keyword(word, times) for word, times in summary.keywords(text, count)]


if __name__ == "__main__":
    agent.run()
