"""The core of the conversation with the sidecar: lines in, events and lines out."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seamesh import Overloaded, SidecarUnavailable, TooLarge, _wire
from seamesh._protocol import AgentProtocol, Event


def line(kind: str, payload: Any) -> bytes:
    """A line of the sidecar."""
    return json.dumps({"type": kind, "payload": payload}).encode() + b"\n"


WELCOME = {"version": 1, "peer_id": "me", "registry_connected": True, "max_line_bytes": 1 << 24}


def task(task_id: str = "t1", attempt: int = 1) -> bytes:
    """A line that hands over a task."""
    return line("task", {"task_id": task_id, "attempt": attempt, "skill": "s", "timeout_ms": 1000})


def ran(task_id: str, attempt: int = 1, **known: Any) -> dict[str, Any]:
    """How ``hello`` names a task of `task`."""
    return {"task_id": task_id, "attempt": attempt, "timeout_ms": 1000, "depth": 0, **known}


def said(protocol: AgentProtocol) -> list[dict[str, Any]]:
    """What the agent says now."""
    return [json.loads(each) for each in protocol.take().splitlines()]


def kinds(lines: list[dict[str, Any]]) -> list[str]:
    """The kinds of some lines."""
    return [each["type"] for each in lines]


def welcomed(max_line: int = _wire.MAX_LINE_BYTES, **profile: Any) -> AgentProtocol:
    """A protocol past its greeting."""
    protocol = AgentProtocol(_wire.AgentProfile(agent_id="a", **profile), max_line=max_line)
    protocol.connected()
    protocol.receive(line("welcome", WELCOME))
    protocol.take()
    return protocol


def completed(result: Any) -> _wire.Outcome:
    """An outcome."""
    return _wire.Outcome(state="completed", result=result)


def request(request_id: str, *, wait: bool = True) -> _wire.Request:
    """A request."""
    return _wire.Request(request_id=request_id, skill="s", wait=wait)


def one(events: list[Event]) -> Any:
    """The only event."""
    assert len(events) == 1, events
    return events[0]


def test_hello_is_the_first_line_and_nothing_is_said_before_welcome() -> None:
    protocol = AgentProtocol(_wire.AgentProfile(agent_id="a", description="d"))
    protocol.connected()
    (hello,) = said(protocol)
    assert hello["type"] == "hello"
    assert hello["payload"]["version"] == 1
    assert hello["payload"]["agent"]["agent_id"] == "a"
    with pytest.raises(SidecarUnavailable):
        protocol.send("p", msgspec.Raw(b'{"type":"x"}'))
    assert protocol.take() == b""


def test_every_kind_of_event_comes_out_typed() -> None:
    protocol = welcomed()
    outcome = {"state": "completed", "result": 1}
    protocol.request(request("r1"), b"{}")
    protocol.agents(_wire.AgentsQuery(request_id="r2"))
    expected: list[tuple[bytes, type]] = [
        (task(), _wire.AgentEventTask),
        (line("message", {"from_peer": "p", "message": {"type": "x"}}), _wire.AgentEventMessage),
        (line("peer_connected", {"peer_id": "p"}), _wire.AgentEventPeerConnected),
        (line("peer_disconnected", {"peer_id": "p"}), _wire.AgentEventPeerDisconnected),
        (line("peer_list", {"peers": ["p"]}), _wire.AgentEventPeerList),
        (line("task_cancel", {"task_id": "t1", "attempt": 1, "code": "canceled"}), _wire.AgentEventTaskCancel),
        (
            line("request_news", {"request_id": "r1", "task_id": "t2", "attempt": 1, "progress": {"note": "n"}}),
            _wire.AgentEventRequestNews,
        ),
        (line("accepted", {"request_id": "r1", "task_id": "t2", "path": "direct"}), _wire.AgentEventAccepted),
        (line("response", {"request_id": "r1", "task_id": "t2", "outcome": outcome}), _wire.AgentEventResponse),
        (line("agents", {"request_id": "r2", "agents": []}), _wire.AgentEventAgents),
        (line("task_input", {"task_id": "t1", "attempt": 1, "taken": 1}), _wire.AgentEventTaskInput),
        (line("registry", {"connected": False}), _wire.AgentEventRegistry),
        (
            line("error", {"code": "no_link", "detail": "d", "fault": "network", "retry": "later"}),
            _wire.AgentEventError,
        ),
    ]
    for data, kind in expected:
        assert type(one(protocol.receive(data))) is kind


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"{", "bad_json"),
        (b"", "bad_json"),
        (b"[]", "bad_field"),
        (b'{"payload":{}}', "bad_field"),
        (b'{"type":"never_heard_of","payload":{}}', "unknown_type"),
        (b'{"type":"task","payload":{"task_id":"t"}}', "bad_field"),
        (b'{"type":"registry","payload":{"connected":"yes"}}', "bad_field"),
        (b'{"type":"registry"}', "bad_field"),
        (b'{"type":"peer_connected","payload":{"peer_id":"\xff"}}', "bad_encoding"),
        (b'{"type":"task","payload":' + b"[" * 5000 + b"]" * 5000 + b"}", "bad_field"),
    ],
)
def test_a_malformed_line_is_told_by_its_code_and_the_next_line_is_read(data: bytes, code: str) -> None:
    protocol = welcomed()
    malformed, after = protocol.receive(data + b"\n" + line("registry", {"connected": True}))
    assert isinstance(malformed, _wire.Malformed)
    assert malformed.code == code
    assert isinstance(after, _wire.AgentEventRegistry)


def test_an_oversized_line_is_told_once_and_skipped() -> None:
    protocol = welcomed(max_line=200)
    events = protocol.receive(b"x" * 150) + protocol.receive(b"x" * 1000) + protocol.receive(b"y\n" + task())
    assert isinstance(events[0], _wire.Malformed)
    assert events[0].code == "too_large"
    assert [type(e) for e in events[1:]] == [_wire.AgentEventTask]


@given(cuts=st.lists(st.integers(min_value=1, max_value=400), max_size=10))
def test_events_are_the_same_wherever_the_stream_is_cut(cuts: list[int]) -> None:
    stream = task("t1") + line("message", {"from_peer": "p", "message": {"type": "é"}}) + b"{\n" + task("t2")
    whole = welcomed().receive(stream)
    protocol = welcomed()
    events: list[Event] = []
    for cut in sorted(cuts):
        events += protocol.receive(stream[:cut])
        stream = stream[cut:]
    assert events + protocol.receive(stream) == whole
    assert len(whole) == 4


def test_a_task_that_comes_twice_is_started_once() -> None:
    protocol = welcomed()
    assert len(protocol.receive(task() + task())) == 1
    assert len(protocol.receive(task(attempt=2))) == 1, "another attempt is other work"


def test_a_task_that_was_answered_is_answered_again_and_not_run_again() -> None:
    protocol = welcomed()
    protocol.receive(task())
    protocol.respond(("t1", 1), completed({"a": 1}))
    first = said(protocol)
    assert protocol.receive(task()) == []
    assert said(protocol) == first
    assert first[0]["payload"]["outcome"] == {"state": "completed", "result": {"a": 1}}


def test_tasks_over_the_agents_limit_are_refused_as_overloaded_and_may_come_again() -> None:
    protocol = welcomed(max_concurrent=1)
    assert len(protocol.receive(task("t1") + task("t2"))) == 1
    (refusal,) = said(protocol)
    assert refusal["payload"]["task_id"] == "t2"
    assert refusal["payload"]["outcome"]["error"]["code"] == "overloaded"
    protocol.respond(("t1", 1), completed(None))
    assert len(protocol.receive(task("t3"))) == 1


def test_a_lost_connection_ends_open_requests_and_keeps_answers_for_the_next() -> None:
    protocol = welcomed()
    protocol.receive(task("t1") + task("t2"))
    protocol.request(request("r1"), b"{}")
    protocol.take()
    assert protocol.disconnected() == ["r1"]
    protocol.respond(("t1", 1), completed("late"))
    assert protocol.take() == b""

    protocol.connected()
    (hello,) = said(protocol)
    assert [(r["task_id"], r["attempt"]) for r in hello["payload"]["running"]] == [("t1", 1), ("t2", 1)]
    protocol.receive(line("welcome", WELCOME))
    (answer,) = said(protocol)
    assert answer["payload"]["outcome"]["result"] == "late"
    assert protocol.receive(task("t2")) == [], "it is still running here"


def test_an_answer_that_was_never_written_is_said_on_the_next_connection() -> None:
    protocol = welcomed()
    protocol.receive(task())
    protocol.respond(("t1", 1), completed(1))
    protocol.disconnected()
    protocol.connected()
    assert said(protocol)[0]["payload"]["running"] == [ran("t1")]
    protocol.receive(line("welcome", WELCOME))
    assert kinds(said(protocol)) == ["respond"]


def test_a_new_connection_starts_with_a_clean_line() -> None:
    protocol = welcomed()
    protocol.receive(b'{"type":"tas')
    protocol.disconnected()
    protocol.connected()
    assert isinstance(one(protocol.receive(line("welcome", WELCOME))), _wire.AgentEventWelcome)


def test_an_answer_to_a_request_nobody_made_or_that_ended_is_nothing() -> None:
    protocol = welcomed()
    response = line("response", {"request_id": "r1", "task_id": "t", "outcome": {"state": "completed"}})
    assert protocol.receive(response) == []
    protocol.request(request("r1"), b"{}")
    assert len(protocol.receive(response)) == 1
    assert protocol.receive(response) == []


def test_a_request_is_canceled_once_and_only_while_it_is_open() -> None:
    protocol = welcomed()
    protocol.request(request("r1"), b'{"q":1}')
    protocol.cancel("r1")
    protocol.cancel("r1")
    lines = said(protocol)
    assert kinds(lines) == ["request", "cancel"]
    assert lines[0]["payload"]["payload"] == {"q": 1}


def test_a_request_that_was_only_to_be_accepted_is_closed_by_accepted() -> None:
    protocol = welcomed()
    protocol.request(request("r1", wait=False), b"{}")
    protocol.accepted("r1")
    assert protocol.disconnected() == []


def test_requests_are_bounded() -> None:
    protocol = welcomed()
    for number in range(_wire.MAX_OPEN_REQUESTS):
        protocol.request(request(f"r{number}"), b"{}")
    with pytest.raises(Overloaded):
        protocol.request(request("one-more"), b"{}")
    protocol.cancel("r0")
    protocol.request(request("one-more"), b"{}")


def test_a_line_longer_than_the_sidecar_reads_is_refused_and_not_written() -> None:
    protocol = AgentProtocol(_wire.AgentProfile(agent_id="a"))
    protocol.connected()
    protocol.receive(line("welcome", {**WELCOME, "max_line_bytes": 300}))
    protocol.take()
    with pytest.raises(TooLarge):
        protocol.send("p", msgspec.Raw(json.dumps({"type": "x", "payload": "y" * 400}).encode()))
    assert protocol.take() == b""
    protocol.send("p", msgspec.Raw(b'{"type":"x"}'))
    assert kinds(said(protocol)) == ["send"]


def test_what_is_remembered_of_answers_is_bounded_in_bytes() -> None:
    protocol = welcomed()
    big = "x" * 1_000_000
    for number in range(10):
        protocol.receive(task(f"t{number}"))
        protocol.respond((f"t{number}", 1), completed(big))
        protocol.take()
    assert sum(len(answer) for answer in protocol._answers.values()) <= 4 * 1024 * 1024
    assert len(protocol.receive(task("t0"))) == 1, "the oldest is forgotten"


def test_goodbye_is_said_only_to_a_sidecar_that_serves() -> None:
    protocol = welcomed()
    protocol.goodbye()
    assert kinds(said(protocol)) == ["goodbye"]
    protocol.disconnected()
    protocol.goodbye()
    assert protocol.take() == b""
