"""What running tasks said survives connections: the books of the core, and what ``hello`` names."""

from __future__ import annotations

import json
from typing import Any

from test_protocol import WELCOME, completed, kinds, line, ran, said, task, welcomed

from seamesh import _wire
from seamesh._protocol import AgentProtocol

KEY = ("t1", 1)


def streamed(task_id: str = "t1", **changes: Any) -> bytes:
    """A line that hands over a task whose asker takes chunks and answers."""
    body = {"task_id": task_id, "attempt": 1, "skill": "s", "timeout_ms": 1000, "stream": True, "answers": True}
    return line("task", {**body, **changes})


def chunked(protocol: AgentProtocol, count: int) -> None:
    """Says chunks, numbered from 0."""
    for number in range(count):
        protocol.say(protocol.speech(KEY).chunk(number))


def again(protocol: AgentProtocol) -> list[dict[str, Any]]:
    """What the agent says after ``welcome`` on a new connection."""
    protocol.disconnected()
    protocol.connected()
    protocol.take()
    protocol.receive(line("welcome", WELCOME))
    return said(protocol)


def indexes(lines: list[dict[str, Any]]) -> list[Any]:
    """The numbers of the chunks, or the kind of what is none."""
    return [each["payload"].get("chunk", {}).get("index", each["type"]) for each in lines]


# hello.


def test_hello_names_unfinished_work_as_its_task_event_named_it() -> None:
    protocol = welcomed()
    protocol.receive(streamed(lease=7, parent_id="t0", root_id="r", depth=2) + task("t2"))
    protocol.disconnected()
    protocol.connected()
    (hello,) = said(protocol)
    tree: dict[str, Any] = {"parent_id": "t0", "root_id": "r", "depth": 2}
    assert hello["payload"]["running"] == [ran("t1", lease=7, **tree), ran("t2")]


def test_work_that_comes_again_under_a_lease_runs_once_and_remembers_the_lease() -> None:
    protocol = welcomed()
    assert len(protocol.receive(task())) == 1
    assert protocol.receive(streamed(lease=9)) == []
    assert protocol.receive(task()) == [], "the same work on the direct path takes no lease away"
    protocol.disconnected()
    protocol.connected()
    assert said(protocol)[0]["payload"]["running"] == [ran("t1", lease=9)]


def test_an_answer_that_was_not_delivered_is_named_with_its_lease() -> None:
    protocol = welcomed()
    protocol.receive(streamed(lease=7))
    protocol.disconnected()
    protocol.respond(KEY, completed(1))
    protocol.connected()
    assert said(protocol)[0]["payload"]["running"] == [ran("t1", lease=7)]


def test_an_answer_said_on_a_connection_that_is_lost_at_once_is_said_on_the_next() -> None:
    protocol = welcomed()
    protocol.receive(task())
    protocol.disconnected()
    protocol.respond(KEY, completed(1))
    for _ in range(2):
        protocol.disconnected()
        protocol.connected()
        assert said(protocol)[0]["payload"]["running"] == [ran("t1")]
        protocol.receive(line("welcome", WELCOME))
    assert kinds(said(protocol)) == ["respond"]


# What was not taken.


def test_chunks_that_were_not_taken_are_said_again_and_those_that_were_are_not() -> None:
    protocol = welcomed()
    protocol.receive(streamed())
    chunked(protocol, 5)
    assert indexes(said(protocol)) == [0, 1, 2, 3, 4]
    protocol.speech(KEY).hear(2)
    assert indexes(again(protocol)) == [2, 3, 4]
    protocol.speech(KEY).hear(1)
    assert indexes(again(protocol)) == [2, 3, 4], "what was taken stays taken"
    protocol.speech(KEY).hear(99)
    assert again(protocol) == [], "nobody can take what was not said"
    chunked(protocol, 1)
    assert indexes(said(protocol)) == [5]


def test_what_is_said_without_a_connection_is_said_with_the_next() -> None:
    protocol = welcomed()
    protocol.receive(streamed())
    protocol.disconnected()
    chunked(protocol, 2)
    protocol.say(protocol.speech(KEY).progress(_wire.Progress(note="n")))
    number, question = protocol.speech(KEY).ask("Which?", {"type": "string"})
    protocol.say(question)
    protocol.connected()
    protocol.take()
    protocol.receive(line("welcome", WELCOME))
    first, second, asked = said(protocol)
    assert indexes([first, second]) == [0, 1]
    expected = {"number": number, "prompt": "Which?", "schema": {"type": "string"}}
    assert asked == {"type": "task_news", "payload": {"task_id": "t1", "attempt": 1, "question": expected}}


def test_a_question_nobody_waits_for_is_not_said_again() -> None:
    protocol = welcomed()
    protocol.receive(streamed())
    speech = protocol.speech(KEY)
    number, _ = speech.ask("Which?", None)
    speech.withdraw(number)
    assert again(protocol) == []
    assert speech.ask("And now?", None)[0] == number + 1


def test_a_window_is_full_until_the_asker_takes() -> None:
    protocol = welcomed()
    protocol.receive(streamed())
    speech = protocol.speech(KEY)
    chunked(protocol, _wire.STREAM_WINDOW - 1)
    assert speech.has_room
    chunked(protocol, 1)
    assert not speech.has_room
    speech.hear(1)
    assert speech.has_room


# The end.


def test_the_end_of_a_stream_is_said_before_the_answer_even_with_a_full_window() -> None:
    protocol = welcomed()
    protocol.receive(streamed())
    chunked(protocol, _wire.STREAM_WINDOW)
    protocol.take()
    protocol.respond(KEY, completed("r"))
    end, answer = said(protocol)
    assert end["payload"]["chunk"] == {"index": _wire.STREAM_WINDOW, "data": None, "last": True}
    assert answer["type"] == "respond"


def test_work_that_is_not_streamed_ends_with_its_answer_alone() -> None:
    protocol = welcomed()
    protocol.receive(task())
    protocol.respond(KEY, completed("r"))
    assert kinds(said(protocol)) == ["respond"]


def test_a_stream_that_ended_without_a_connection_is_brought_whole_with_its_answer() -> None:
    protocol = welcomed()
    protocol.receive(streamed())
    chunked(protocol, 3)
    protocol.take()
    protocol.speech(KEY).hear(1)
    protocol.disconnected()
    protocol.respond(KEY, completed("r"))
    assert indexes(again(protocol)) == [1, 2, 3, "respond"]


def test_streamed_work_that_comes_again_after_its_end_is_answered_with_its_stream() -> None:
    protocol = welcomed()
    protocol.receive(streamed())
    chunked(protocol, 2)
    protocol.respond(KEY, completed("r"))
    protocol.take()
    assert protocol.receive(streamed()) == []
    assert indexes(said(protocol)) == [0, 1, 2, "respond"]


# The asker.


def test_news_of_a_request_that_is_not_open_are_nothing() -> None:
    protocol = welcomed()
    news = line("request_news", {"request_id": "r1", "task_id": "t", "attempt": 1, "chunk": {"index": 0, "data": 1}})
    assert protocol.receive(news) == []
    protocol.request(_wire.Request(request_id="r1", skill="s"), b"{}")
    assert len(protocol.receive(news)) == 1


def test_a_handler_is_told_only_while_the_request_is_open() -> None:
    protocol = welcomed()
    told = _wire.RequestInput(request_id="r1", taken=16)
    protocol.tell(told)
    protocol.request(_wire.Request(request_id="r1", skill="s"), b"{}")
    protocol.tell(told)
    protocol.cancel("r1")
    protocol.tell(told)
    lines = said(protocol)
    assert kinds(lines) == ["request", "request_input", "cancel"]
    assert json.dumps(lines[1]["payload"]) == '{"request_id": "r1", "taken": 16}'
