"""Extractive summaries: the sentences that say most of what a text is about, in its own words."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

WORD = re.compile(r"[^\W\d_][\w'-]*", re.UNICODE)

MIN_WORDS = 4
"""Sentences with fewer words are headings or fragments."""

_STOP_WORDS = """
a about above after again all also am an and any are as at be because been before being between both but by can could
did do does doing down each few for from further had has have having he her here him his how i if in into is it its
itself just may me might more most must my no nor not now of off on once one only or other our out over own per same
shall she should since so some such than that the their them then there these they this those through to too two under
until up us use used very was we were what when where which while who whom why will with would yes you your
"""

STOP_WORDS = frozenset(_STOP_WORDS.split())

_FENCE = re.compile(r"^\s*(```|~~~)")
_MARKUP = re.compile(r"^\s*(#{1,6}\s+|[-*+]\s+|\d+[.)]\s+|>\s*)")
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_TABLE = re.compile(r"^\s*\|.*\|\s*$|^\s*[-=|:+ ]{3,}$")
_END = re.compile(r"(?<=[.!?])[\"')\]]*\s+(?=[\"'(\[]*[A-Z0-9])")
_ABBREVIATION = re.compile(r"(?:\b(?:e\.g|i\.e|etc|cf|vs|Dr|Mr|Mrs|Ms|No|Fig|approx)|\b[A-Z])\.$")


@dataclass(frozen=True)
class Sentence:
    """One sentence and where it begins.

    Attributes:
        text: the sentence, without markup.
        file: the file it is from; empty for plain text.
        line: the line it begins on, from 1.
        place: its place in its passage, from 0.
        weight: how much its passage matters, 1 for plain text.
    """

    text: str
    file: str
    line: int
    place: int
    weight: float = 1.0


def words(text: str) -> list[str]:
    """The words that carry meaning, in lower case and without plural endings."""
    found = (word.lower().strip("'-") for word in WORD.findall(text))
    return [_stem(word) for word in found if len(word) > 1 and word not in STOP_WORDS]


def _stem(word: str) -> str:
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def sentences(text: str, *, file: str = "", line: int = 1, weight: float = 1.0) -> list[Sentence]:
    """The sentences of a text, with the line each begins on. Code blocks and tables are left out."""
    found: list[Sentence] = []
    for start, paragraph in _paragraphs(text):
        for offset, sentence in _split(paragraph):
            begins = line + start + paragraph.count("\n", 0, offset)
            found.append(Sentence(" ".join(sentence.split()), file, begins, len(found), weight))
    return found


def _paragraphs(text: str) -> Iterable[tuple[int, str]]:
    """Runs of lines that belong together, and the number of each run's first line, from 0."""
    held: list[str] = []
    start = 0
    fenced = False
    for number, raw in enumerate(text.splitlines()):
        fence = _FENCE.match(raw) is not None
        fenced ^= fence
        skipped = fence or fenced or not raw.strip() or _TABLE.match(raw) is not None
        if held and (skipped or _MARKUP.match(raw)):
            yield start, "\n".join(held)
            held = []
        if not skipped:
            if not held:
                start = number
            held.append(_LINK.sub(r"\1", _MARKUP.sub("", raw)))
            if raw.lstrip().startswith("#"):  # a heading is a paragraph of its own
                yield start, held.pop()
    if held:
        yield start, "\n".join(held)


def _split(paragraph: str) -> Iterable[tuple[int, str]]:
    begin = 0
    for match in _END.finditer(paragraph):
        if _ABBREVIATION.search(paragraph[: match.start()]):
            continue
        yield begin, paragraph[begin : match.start()]
        begin = match.end()
    if paragraph[begin:].strip():
        yield begin, paragraph[begin:]


def summarize(candidates: list[Sentence], count: int, *, about: str = "") -> list[Sentence]:
    """The ``count`` sentences that say most, in the order they stood in.

    A sentence scores by how often its words occur in the whole text (damped, and normalised by its length), by the
    words it shares with ``about``, by its passage's weight, and a little by standing early. What a chosen sentence
    said already counts less in the next.
    """
    usable = [s for s in candidates if len(WORD.findall(s.text)) >= MIN_WORDS] or candidates
    frequency = Counter(word for s in usable for word in words(s.text))
    asked = set(words(about))
    chosen: list[Sentence] = []
    told: set[str] = set()
    remaining = list(usable)
    while remaining and len(chosen) < count:
        best = max(remaining, key=lambda s: _score(s, frequency, asked, told))
        remaining.remove(best)
        if all(best.text != other.text for other in chosen):
            chosen.append(best)
            told.update(words(best.text))
    order = {id(sentence): number for number, sentence in enumerate(candidates)}
    return sorted(chosen, key=lambda s: order[id(s)])


def _score(sentence: Sentence, frequency: Counter[str], asked: set[str], told: set[str]) -> float:
    terms = words(sentence.text)
    if not terms:
        return 0.0
    unique = set(terms)
    # Sorted, so that equal texts score equally whatever the order of a set.
    weight = sum((0.25 + math.log(frequency[t])) * (0.6 if t in told else 1.0) for t in sorted(unique))
    density = weight / math.sqrt(len(terms))
    overlap = len(unique & asked) / len(asked) if asked else 0.0
    early = 1.0 / (1.0 + sentence.place / 4.0)
    return density * (1.0 + 2.0 * overlap) * (1.0 + 0.3 * early) * sentence.weight


def keywords(text: str, count: int) -> list[tuple[str, int]]:
    """The words that carry most of a text, with how often each occurs; as they are spelled most often."""
    spelled: dict[str, Counter[str]] = {}
    for word in WORD.findall(text):
        plain = word.lower().strip("'-")
        if len(plain) > 2 and plain not in STOP_WORDS:
            spelled.setdefault(_stem(plain), Counter())[plain] += 1
    total = {stem: sum(forms.values()) for stem, forms in spelled.items()}
    best = sorted(total, key=lambda stem: (-total[stem] * math.log1p(len(stem)), stem))[:count]
    return [(max(sorted(spelled[stem]), key=spelled[stem].__getitem__), total[stem]) for stem in best]
