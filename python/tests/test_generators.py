"""Skills that are generators: what they yield, seen from their sidecar's socket."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from session_scenario import error_code, outcome, run, serving
from sidecar_end import CAP_S
from skill_end import chunk, stream_end, talking

from seamesh import Context


async def counts(ctx: Context, result: str | None = None) -> AsyncIterator[int]:
    """Counts to two, and then says something."""
    for number in range(3):
        yield number
    if result is not None:
        ctx.set_result(result)


def counts_in_a_thread(ctx: Context, result: str | None = None) -> Iterator[int]:
    """The same, without async."""
    assert threading.current_thread() is not threading.main_thread()
    yield from range(3)
    if result is not None:
        ctx.set_result(result)


def counts_and_returns(result: str | None = None) -> Any:
    """The same, with the result as a generator returns it."""
    yield from range(3)
    return result


GENERATORS = [counts, counts_in_a_thread, counts_and_returns]


@pytest.mark.parametrize("skill", GENERATORS)
@pytest.mark.parametrize("result", [None, "done"])
def test_what_a_generator_yields_is_streamed(skill: Any, result: str | None) -> None:
    async def scenario() -> None:
        async with serving(talking(skill)) as (_, client, _mesh):
            client.task("talk", {"result": result}, stream=True)
            assert [await chunk(client) for _ in range(3)] == [(0, 0), (1, 1), (2, 2)]
            assert await stream_end(client) == 3
            assert (await outcome(client)).get("result") == result

    run(scenario)


@pytest.mark.parametrize("skill", GENERATORS)
def test_what_a_generator_yields_is_its_result_for_an_asker_that_takes_no_chunks(skill: Any) -> None:
    async def scenario() -> None:
        async with serving(talking(skill)) as (_, client, _mesh):
            client.task("talk")
            assert (await outcome(client))["result"] == [0, 1, 2]
            client.task("talk", {"result": "done"}, task_id="t2")
            assert (await outcome(client))["result"] == "done"

    run(scenario)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize(
    ("value", "code"), [(object(), "bad_result"), ("x" * 1_100_000, "too_large")], ids=["object", "large"]
)
def test_what_a_generator_yields_and_cannot_travel_is_a_bad_result(
    stream: bool, kind: str, value: Any, code: str
) -> None:
    async def scenario() -> None:
        closed = threading.Event()

        def talk() -> Iterator[Any]:
            try:
                yield value
            finally:
                closed.set()

        async def talk_async() -> AsyncIterator[Any]:
            try:
                yield value
            finally:
                closed.set()

        async with serving(talking(talk if kind == "sync" else talk_async)) as (_, client, _mesh):
            client.task("talk", stream=stream)
            if stream:
                assert await stream_end(client) == 0
            assert await error_code(client) == code
            assert closed.is_set()

    run(scenario)


def test_more_than_a_result_may_hold_is_too_large_unless_the_generator_gives_a_result() -> None:
    async def scenario() -> None:
        async def talk(ctx: Context, short: bool) -> AsyncIterator[str]:
            for _ in range(12):
                yield "x" * 100_000
            if short:
                ctx.set_result("short")

        async with serving(talking(talk)) as (_, client, _mesh):
            client.task("talk", {"short": True})
            assert (await outcome(client))["result"] == "short"
            client.task("talk", {"short": False}, task_id="t2")
            error = (await outcome(client))["error"]
            assert (error["code"], "stream()" in error["message"]) == ("too_large", True)

    run(scenario)


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_generator_that_fails_or_is_canceled_is_closed(kind: str) -> None:
    async def scenario() -> None:
        closed = threading.Event()

        def talk(fail: bool = False) -> Iterator[int]:
            try:
                while True:
                    yield 0
                    if fail:
                        raise ValueError("out of numbers")
            finally:
                closed.set()

        async def talk_async(fail: bool = False) -> AsyncIterator[int]:
            try:
                while True:
                    yield 0
                    if fail:
                        raise ValueError("out of numbers")
            finally:
                closed.set()

        async with serving(talking(talk if kind == "sync" else talk_async)) as (_, client, _mesh):
            client.task("talk", stream=True)
            for _ in range(32):
                await chunk(client)
            client.write("task_cancel", {"task_id": "t1", "attempt": 1, "code": "canceled"})
            await stream_end(client)
            assert (await outcome(client))["state"] == "canceled"
            assert closed.wait(CAP_S)
            closed.clear()
            client.task("talk", {"fail": True}, stream=False, task_id="t2")
            assert await error_code(client) == "skill_failed"
            assert closed.is_set()

    run(scenario)
