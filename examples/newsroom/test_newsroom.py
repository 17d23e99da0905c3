"""The newsroom, tested in memory and in a real mesh: the code of docs/guide/testing-your-agents.md."""

from __future__ import annotations

from pathlib import Path

from seamesh.hosting import load_agent
from seamesh.testing import LiveMesh, call_sync

HERE = Path(__file__).parent
editor = load_agent(f"{HERE}/newsroom.py:editor")
reader = load_agent(f"{HERE}/newsroom.py:reader")

TEXT = "Bees sting. Wasps, notoriously, too."


def test_a_headline_without_a_reader_is_the_first_sentence() -> None:
    assert call_sync(editor, "headline", text=TEXT) == "Bees sting!"


def test_a_headline_is_the_summary(mesh: LiveMesh) -> None:
    mesh.add(editor, reader)
    assert mesh.call("headline", text=TEXT) == "notoriously!"


def test_the_reader_gets_the_whole_text_over_the_link(mesh: LiveMesh) -> None:
    mesh.add(editor)
    fake = mesh.fake_agent("reader", skills={"summarize": "Stings"})
    assert mesh.call("headline", text=TEXT) == "Stings!"
    (call,) = fake.calls
    assert (call.caller, call.skill, call.args) == ("editor", "summarize", {"text": TEXT})
    assert call.path == "direct"


def test_a_headline_comes_through_the_queue_when_the_link_is_cut(mesh: LiveMesh) -> None:
    mesh.add(editor)
    fake = mesh.fake_agent("reader", skills={"summarize": "Stings"})
    with mesh.partition("editor", "reader"):
        assert mesh.call("headline", text=TEXT) == "Stings!"
    assert [call.path for call in fake.calls] == ["queue"]


def test_a_headline_does_without_a_reader_that_never_answers(mesh: LiveMesh) -> None:
    mesh.add(editor)
    fake = mesh.fake_agent("reader", skills={"summarize": "Stings"})
    mesh.deaf("reader.summarize")
    asked = mesh.start_call("headline", text=TEXT, timeout=60)
    mesh.wait_until(lambda: len(fake.calls) == 1)
    mesh.advance(21)
    assert asked.result() == "Bees sting!"


def test_a_headline_waits_for_a_reader_that_is_started_again(mesh: LiveMesh) -> None:
    mesh.add(editor, reader)
    mesh.kill("reader")
    asked = mesh.start_call("headline", text=TEXT)
    mesh.restart("reader")
    assert asked.result() == "notoriously!"


def test_a_headline_of_recorded_summaries(mesh: LiveMesh, tmp_path: Path) -> None:
    cassette = tmp_path / "reader.json"
    with LiveMesh() as real, real.record(cassette):
        real.add(editor, reader)
        assert real.call("headline", text=TEXT) == "notoriously!"
    mesh.add(editor)
    mesh.fake_agent("reader", cassette=cassette)
    assert mesh.call("headline", text=TEXT) == "notoriously!"
