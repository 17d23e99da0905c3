"""The reader's skills, as a caller in the mesh sees them."""

from __future__ import annotations

from pathlib import Path

import pytest

from seamesh import BadArguments
from seamesh.hosting import load_agent
from seamesh.testing import call_sync

reader = load_agent(str(Path(__file__).parent))

TEXT = """# Leases

A lease is the right to work on a task. Every lease has a number, and the registry refuses a result under an old number.
The weather was fine that day.

```
code is not prose. It must never be chosen. Lease lease lease lease.
```

When a lease lapses, the registry hands the task out again, e.g. to another agent. Cats sleep a lot.
"""


def test_a_summary_keeps_what_the_text_is_about_and_drops_asides() -> None:
    result = call_sync(reader, "summarize", text=TEXT, sentences=3)
    chosen = [sentence["text"] for sentence in result["sentences"]]
    assert len(chosen) == 3
    assert result["summary"] == " ".join(chosen)
    assert all("lease" in text.lower() for text in chosen)
    assert not any("weather" in text or "Cats" in text or "code" in text for text in chosen)


def test_sentences_stay_in_the_order_of_the_text_and_are_whole() -> None:
    result = call_sync(reader, "summarize", text=TEXT, sentences=3)
    flat = " ".join(TEXT.split())
    places = [flat.index(sentence["text"]) for sentence in result["sentences"]]
    assert places == sorted(places)
    assert "When a lease lapses, the registry hands the task out again, e.g. to another agent." in result["summary"]


def test_passages_keep_file_and_line_of_each_chosen_sentence() -> None:
    passages = [
        {"file": "ops.md", "line": 40, "text": "Backups run nightly.\nThe registry restores a backup in seconds."},
        {"file": "faq.md", "line": 7, "text": "Bananas are yellow and sweet.\n\nRestoring needs no registry restart."},
    ]
    result = call_sync(reader, "summarize", passages=passages, sentences=2, about="restore registry backup")
    where = {(s["file"], s["line"]): s["text"] for s in result["sentences"]}
    assert where == {
        ("ops.md", 41): "The registry restores a backup in seconds.",
        ("faq.md", 9): "Restoring needs no registry restart.",
    }


def test_a_better_scored_passage_wins() -> None:
    text = "The pump moves water through the pipe."
    passages = [
        {"file": "low.md", "line": 1, "text": text, "score": 0.1},
        {"file": "high.md", "line": 1, "text": text.replace("pump", "engine"), "score": 9.0},
    ]
    result = call_sync(reader, "summarize", passages=passages, sentences=1)
    assert result["sentences"][0]["file"] == "high.md"


def test_the_same_sentence_in_two_files_is_told_once() -> None:
    passages = [{"file": name, "line": 1, "text": "Agents find each other by skill."} for name in ("a.md", "b.md")]
    result = call_sync(reader, "summarize", passages=passages, sentences=5)
    assert len(result["sentences"]) == 1


def test_nothing_to_summarize_is_the_callers_mistake() -> None:
    with pytest.raises(BadArguments, match="no sentence"):
        call_sync(reader, "summarize", text="  \n")


@pytest.mark.parametrize("sentences", [0, 51, "three"])
def test_an_impossible_count_of_sentences_is_refused(sentences: object) -> None:
    with pytest.raises(BadArguments, match="sentences"):
        call_sync(reader, "summarize", text=TEXT, sentences=sentences)


def test_keywords_count_all_forms_of_a_word() -> None:
    text = "Agents delegate tasks. An agent runs a task. The registry assigns the task to the agent."
    result = call_sync(reader, "keywords", text=text, count=2)
    assert {(k["word"], k["count"]) for k in result} == {("agent", 3), ("task", 3)}


def test_keywords_of_nothing_are_none() -> None:
    assert call_sync(reader, "keywords", text="of the and to") == []
